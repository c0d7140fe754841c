/* SPDX-License-Identifier: ISC */
/*
 * Sealing: what was sealed opens again, with the right secret, in its own
 * place, and nowhere else; and a writer cannot go back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sodium.h>

#include "msgid.h"
#include "remains.h"
#include "seal.h"

#define T0 UINT64_C(1750000000000)

struct writer {
    struct seal_writer *writer;
    struct seal_reader *reader;
    struct seal_pair pair;
};

static int
setup(void **state)
{
    struct writer *w = calloc(1, sizeof(*w));

    seal_init();
    seal_pair_new(&w->pair);
    w->writer = seal_writer_new();
    w->reader = seal_reader_new();
    seal_writer_use(w->writer, &w->pair.public);
    seal_reader_use(w->reader, &w->pair, 1);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct writer *w = *state;

    seal_writer_free(&w->writer);
    seal_reader_free(&w->reader);
    free(w);
    return 0;
}

/* What the store has of a message. */
struct stored {
    char salt[SEAL_SALT];
    struct message message;
    char row[200];
    size_t row_len;
    struct data_key data_key;
    char key[SEAL_KEY]; /* the writer's, to compare */
};

static void
write_one(struct writer *w, uint64_t id, uint64_t now_ms, struct stored *out)
{
    struct seal_key key;
    struct view row;
    struct why why;

    seal_writer_next(w->writer, id, now_ms, &key);
    memcpy(out->salt, key.salt, SEAL_SALT);
    memcpy(out->key, key.bytes, SEAL_KEY);
    out->message = (struct message){
        .key = key.data_key, .step = key.step, .salt = {out->salt, SEAL_SALT}};
    row = seal_writer_data_key(w->writer, key.data_key);
    if (row.len > 0) {
        memcpy(out->row, row.data, row.len);
        out->row_len = row.len;
        assert_int_equal(record_decode(&data_key_record,
                                       (struct view){out->row, row.len},
                                       &out->data_key, &why),
                         0);
    }
}

static int
read_key(struct writer *w, const struct stored *stored, char key[SEAL_KEY])
{
    struct why why;

    return seal_reader_key(w->reader, &stored->message, &stored->data_key, key,
                           &why);
}

static void
test_the_reader_finds_the_writers_key(void **state)
{
    struct writer *w = *state;
    static struct stored many[40];
    char key[SEAL_KEY];

    for (size_t i = 0; i < 40; i++)
        write_one(w, 100 + i, T0, &many[i]);
    /* In order, backwards, and again. */
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(read_key(w, &many[i], key), 0);
        assert_memory_equal(key, many[i].key, SEAL_KEY);
    }
    for (size_t i = 40; i-- > 0;) {
        assert_int_equal(read_key(w, &many[i], key), 0);
        assert_memory_equal(key, many[i].key, SEAL_KEY);
    }
    for (size_t i = 1; i < 40; i++)
        assert_memory_not_equal(many[0].key, many[i].key, SEAL_KEY);
}

/* Messages of more data keys than a reader keeps open, in no order. */
static void
test_many_data_keys_in_any_order(void **state)
{
    enum { KEYS = 50, EACH = 3, ALL = KEYS * EACH };
    struct writer *w = *state;
    struct stored *many = calloc(ALL, sizeof(*many));
    unsigned seed = 7;

    for (size_t i = 0; i < ALL; i++) {
        if (i % EACH == 0)
            seal_writer_use(w->writer, &w->pair.public);
        write_one(w, 100 + i, T0, &many[i]);
        seal_writer_stored(w->writer, 0); /* of none: nothing happens */
        if (i % EACH == EACH - 1)
            seal_writer_stored(w->writer, many[i].message.key);
    }
    for (size_t i = 0; i < 4 * (size_t)ALL; i++) {
        const struct stored *one = &many[(size_t)rand_r(&seed) % ALL];
        char key[SEAL_KEY];

        assert_int_equal(read_key(w, one, key), 0);
        assert_memory_equal(key, one->key, SEAL_KEY);
    }
    free(many);
}

static void
test_without_row_salt_or_secret_there_is_no_key(void **state)
{
    struct writer *w = *state;
    struct seal_pair other;
    struct stored one;
    char key[SEAL_KEY];
    struct why why;

    write_one(w, 1, T0, &one);
    one.salt[3] ^= 1; /* erased, and guessed wrong by a bit */
    assert_int_equal(read_key(w, &one, key), 0);
    assert_memory_not_equal(key, one.key, SEAL_KEY);
    one.salt[3] ^= 1;
    one.message.salt.len = 3;
    assert_int_equal(read_key(w, &one, key), -1);
    one.message.salt.len = SEAL_SALT;
    one.message.step = SEAL_MESSAGES_MAX;
    assert_int_equal(read_key(w, &one, key), -1);
    one.message.step = 0;
    one.row[one.row_len - 1] ^= 1; /* within the sealed box */
    assert_int_equal(read_key(w, &one, key), -1);
    one.row[one.row_len - 1] ^= 1;
    seal_pair_new(&other);
    seal_reader_use(w->reader, &other, 1);
    assert_int_equal(
        seal_reader_key(w->reader, &one.message, &one.data_key, key, &why), -1);
    assert_non_null(strstr(why.text, "is not here"));
}

/* What a taken-over writer did before: five messages, each sealed. */
struct taken {
    struct seal_public public;
    char row[200];
    size_t row_len;
    char salts[5][SEAL_SALT];
    char piece[5][64];
    bool seals; /* or merely makes the keys and keeps them */
};

static void
seal_five(void *arg)
{
    struct taken *taken = arg;
    struct seal_writer *writer = seal_writer_new();
    struct buf sealed = {0}, kept = {0}; /* kept stays, with the child */

    seal_writer_use(writer, &taken->public);
    for (size_t i = 0; i < 5; i++) {
        struct seal_key key;
        struct view row;

        seal_writer_next(writer, 1 + i, T0, &key);
        memcpy(taken->salts[i], key.salt, SEAL_SALT);
        row = seal_writer_data_key(writer, key.data_key);
        memcpy(taken->row, row.data, row.len);
        taken->row_len = row.len;
        seal_piece(key.bytes, 1 + i, 0, true, VIEW("secret"), &sealed);
        memcpy(taken->piece[i], sealed.data, sealed.len);
        buf_reset(&sealed);
        if (!taken->seals)
            buf_add(&kept, &key, sizeof(key));
        seal_key_wipe(&key);
    }
}

/* C(i), as the manual says. */
static void
chain_at(const struct seal_pair *pair, const struct data_key *row, size_t i,
         char chain[SEAL_KEY])
{
    unsigned char next[SEAL_KEY];

    assert_int_equal(crypto_box_seal_open(
                         (unsigned char *)chain,
                         (const unsigned char *)row->sealed.data, SEAL_SEALED,
                         (const unsigned char *)pair->public.key,
                         (const unsigned char *)pair->secret),
                     0);
    for (; i > 0; i--) {
        crypto_generichash(next, SEAL_KEY, (const unsigned char *)"chain", 5,
                           (unsigned char *)chain, SEAL_KEY);
        memcpy(chain, next, SEAL_KEY);
    }
}

/* From message 0 on, is there in remains what opens message i? */
static void
assert_opens(struct writer *w, const struct taken *taken,
             const struct remains *remains, bool opens)
{
    struct data_key row;
    struct why why;
    struct view bytes = {taken->row, taken->row_len};

    assert_int_equal(record_decode(&data_key_record, bytes, &row, &why), 0);
    for (size_t i = 0; i < 5; i++) {
        struct message message = {
            .key = 1, .step = i, .salt = {taken->salts[i], SEAL_SALT}};
        struct view piece = {taken->piece[i], 6 + SEAL_TAG};
        char chain[SEAL_KEY], step[SEAL_KEY], key[SEAL_KEY];
        struct buf out = {0};

        assert_int_equal(seal_reader_key(w->reader, &message, &row, key, &why),
                         0);
        assert_int_equal(
            seal_open_piece(key, 1 + i, 0, true, piece, &out, &why), 0);
        buf_free(&out);
        assert_int_equal(remains_hold(remains, key, SEAL_KEY), opens);
        chain_at(&w->pair, &row, i, chain);
        assert_false(remains_hold(remains, chain, SEAL_KEY));
        crypto_generichash((unsigned char *)step, SEAL_KEY,
                           (const unsigned char *)"message", 7,
                           (unsigned char *)chain, SEAL_KEY);
        assert_false(remains_hold(remains, step, SEAL_KEY));
    }
}

static void
test_a_writer_forgets(void **state)
{
    struct writer *w = *state;
    struct taken *taken = remains_shared(sizeof(*taken));
    struct remains remains;
    struct data_key row;
    char chain[SEAL_KEY];
    struct why why;

    taken->public = w->pair.public;
    taken->seals = true;
    remains_of(&remains, seal_five, taken);
    assert_opens(w, taken, &remains, false);
    /* What the next message will be sealed with is there, so the search
     * finds what there is. */
    assert_int_equal(record_decode(&data_key_record,
                                   (struct view){taken->row, taken->row_len},
                                   &row, &why),
                     0);
    chain_at(&w->pair, &row, 5, chain);
    assert_true(remains_hold(&remains, chain, SEAL_KEY));
    remains_free(&remains);
    taken->seals = false;
    remains_of(&remains, seal_five, taken);
    assert_opens(w, taken, &remains, true);
    remains_free(&remains);
    munmap(taken, sizeof(*taken));
}

/* The data key of a message written then. */
static uint64_t
key_at(struct writer *w, uint64_t id, uint64_t now_ms)
{
    struct stored one;

    write_one(w, id, now_ms, &one);
    return one.message.key;
}

static void
test_data_keys_are_used_up(void **state)
{
    struct writer *w = *state;
    struct stored first, one;
    uint64_t key;

    write_one(w, 1, T0, &first);
    for (uint64_t i = 1; i < SEAL_MESSAGES_MAX; i++)
        assert_int_equal(key_at(w, 1 + i, T0), first.message.key);
    write_one(w, 5000, T0, &one);
    assert_int_not_equal(one.message.key, first.message.key);
    assert_int_equal(one.message.step, 0);
    seal_writer_count(w->writer, SEAL_BYTES_MAX);
    key = key_at(w, 5001, T0);
    assert_int_not_equal(key, one.message.key);
    assert_int_equal(key_at(w, 5002, T0 + SEAL_AGE_MS - 1), key);
    assert_int_not_equal(key_at(w, 5003, T0 + SEAL_AGE_MS), key);
    key = key_at(w, 5004, T0 + SEAL_AGE_MS);
    assert_int_not_equal(key_at(w, 5005, T0), key); /* the clock went back */
}

/* Two writers that took the same number for their first message. */
static void
test_data_keys_never_meet(void **state)
{
    struct writer *w = *state;
    struct seal_writer *others = seal_writer_new();
    struct seal_key ours, theirs;

    seal_writer_use(others, &w->pair.public);
    for (int i = 0; i < 100; i++) {
        seal_writer_use(w->writer, &w->pair.public);
        seal_writer_use(others, &w->pair.public);
        seal_writer_next(w->writer, msgid_make(T0, 1), T0, &ours);
        seal_writer_next(others, msgid_make(T0, 1), T0, &theirs);
        assert_int_not_equal(ours.data_key, theirs.data_key);
        assert_int_equal(msgid_ms(ours.data_key), T0);
        assert_int_equal(msgid_ms(theirs.data_key), T0);
    }
    seal_writer_free(&others);
}

static void
test_a_row_goes_along_until_it_is_stored(void **state)
{
    struct writer *w = *state;
    uint64_t first, second;

    first = key_at(w, 1, T0);
    seal_writer_count(w->writer, SEAL_BYTES_MAX);
    second = key_at(w, 2, T0);
    assert_true(seal_writer_data_key(w->writer, first).len > 0);
    assert_true(seal_writer_data_key(w->writer, second).len > 0);
    seal_writer_stored(w->writer, first);
    assert_int_equal(seal_writer_data_key(w->writer, first).len, 0);
    assert_true(seal_writer_data_key(w->writer, second).len > 0);
    assert_int_equal(seal_writer_data_key(w->writer, 0).len, 0);
}

static void
test_nothing_is_sealed_without_a_public_key(void **state)
{
    struct writer *w = *state;
    struct seal_key key;

    seal_writer_use(w->writer, NULL);
    seal_writer_next(w->writer, 1, T0, &key);
    assert_int_equal(key.data_key, 0);
}

static void
test_a_data_key_is_sealed_anew(void **state)
{
    struct writer *w = *state;
    struct seal_pair fresh;
    struct stored one;
    char sealed[SEAL_SEALED], key[SEAL_KEY];
    struct why why;

    write_one(w, 1, T0, &one);
    seal_pair_new(&fresh);
    assert_int_equal(seal_reader_reseal(w->reader, &one.data_key, &fresh.public,
                                        sealed, &why),
                     0);
    one.data_key.pair = (struct view){fresh.public.id, SEAL_PAIR_ID};
    one.data_key.sealed = (struct view){sealed, SEAL_SEALED};
    assert_int_equal(read_key(w, &one, key), -1); /* the old secret is no use */
    seal_reader_use(w->reader, &fresh, 1);
    assert_true(seal_reader_has(w->reader, one.data_key.pair));
    assert_int_equal(read_key(w, &one, key), 0);
    assert_memory_equal(key, one.key, SEAL_KEY);
}

static void
test_a_piece_opens_in_its_place_only(void **state)
{
    char key[SEAL_KEY] = {7}, other[SEAL_KEY] = {8};
    struct buf sealed = {0}, out = {0};
    struct view view;
    struct why why;

    (void)state;
    seal_piece(key, 5, 2, true, VIEW("a piece"), &sealed);
    view = buf_view(&sealed);
    assert_int_equal(view.len, 7 + SEAL_TAG);
    assert_null(memmem(view.data, view.len, "piece", 5));
    assert_int_equal(seal_open_piece(key, 5, 2, true, view, &out, &why), 0);
    assert_true(view_equal(buf_view(&out), VIEW("a piece")));
    assert_int_equal(seal_open_piece(other, 5, 2, true, view, &out, &why), -1);
    assert_int_equal(seal_open_piece(key, 6, 2, true, view, &out, &why), -1);
    assert_int_equal(seal_open_piece(key, 5, 1, true, view, &out, &why), -1);
    assert_int_equal(seal_open_piece(key, 5, 2, false, view, &out, &why), -1);
    for (size_t i = 0; i < view.len; i++) {
        sealed.data[i] ^= 1;
        assert_int_equal(seal_open_piece(key, 5, 2, true, view, &out, &why),
                         -1);
        sealed.data[i] ^= 1;
    }
    for (size_t len = 0; len < view.len; len++)
        assert_int_equal(seal_open_piece(key, 5, 2, true,
                                         (struct view){view.data, len}, &out,
                                         &why),
                         -1);
    assert_int_equal(out.len, 7);
    buf_free(&sealed);
    buf_free(&out);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_the_reader_finds_the_writers_key),
        T(test_many_data_keys_in_any_order),
        T(test_without_row_salt_or_secret_there_is_no_key),
        T(test_a_writer_forgets),
        T(test_data_keys_are_used_up),
        T(test_data_keys_never_meet),
        T(test_a_row_goes_along_until_it_is_stored),
        T(test_nothing_is_sealed_without_a_public_key),
        T(test_a_data_key_is_sealed_anew),
        T(test_a_piece_opens_in_its_place_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
