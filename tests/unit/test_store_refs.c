/* SPDX-License-Identifier: ISC */
/*
 * What messages need and take: data keys, dictionaries, shares of domains are
 * counted with the messages that use them and go when nothing does; what
 * could not be read later is not taken in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "db_read.h"
#include "dictionary.h"
#include "seal.h"
#include "store.h"

#define T0   UINT64_C(1750000000000)
#define HOUR UINT64_C(3600000)

static char dir[64];
static struct db *db;

static int
setup(void **state)
{
    struct why why = {0};

    (void)state;
    strcpy(dir, "/tmp/spoold-test-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    db = db_open_writer(dir, &why);
    return db != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char path[128];

    (void)state;
    db_close(&db);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

/* What a message is made of here. */
struct want {
    uint64_t id;
    uint64_t key;
    bool brings_key;
    uint64_t key_made_ms;
    uint64_t dictionary;
    const char *recipients[4];
};

static void
encode_want(const struct want *want, struct buf *out)
{
    static char salt[SEAL_SALT] = {1}, sealed[SEAL_SEALED] = {2};
    struct data_key key = {.id = want->key,
                           .made_ms = want->key_made_ms,
                           .pair = VIEW("pairpair"),
                           .sealed = {sealed, SEAL_SEALED}};
    struct message message = {.arrived_ms = T0,
                              .origin = ORIGIN_SMTP,
                              .size = 3,
                              .key = want->key,
                              .dictionary = want->dictionary};
    struct delivery deliveries[4] = {0};
    struct proto_submit submit = {.id = want->id,
                                  .deliveries = {deliveries, 0},
                                  .content = {"\0\0\0\4"
                                              "0abc",
                                              8},
                                  .content_len = 8};
    struct buf row = {0}, key_row = {0};

    if (want->key != 0)
        message.salt = (struct view){salt, SEAL_SALT};
    for (; submit.deliveries.count < 4 &&
           want->recipients[submit.deliveries.count] != NULL;
         submit.deliveries.count++) {
        struct delivery *d = &deliveries[submit.deliveries.count];

        d->recipient = view_of(want->recipients[submit.deliveries.count]);
        d->target = VIEW("office");
    }
    record_encode(&message_record, &message, &row);
    submit.message = buf_view(&row);
    record_encode(&data_key_record, &key, &key_row);
    if (want->brings_key)
        submit.data_key = buf_view(&key_row);
    record_encode(&proto_submit_record, &submit, out);
    buf_free(&row);
    buf_free(&key_row);
}

/* All in one transaction, or none. */
static enum apply_result
bring(const struct want *wants, size_t n)
{
    struct store_apply apply;
    enum apply_result result = APPLY_OK;
    struct db_txn *txn;
    struct why why;

    assert_int_equal(db_begin(db, &txn), DB_OK);
    assert_int_equal(store_apply_begin(&apply, txn), APPLY_OK);
    for (size_t i = 0; i < n && result == APPLY_OK; i++) {
        struct buf bytes = {0};
        struct store_record record = {
            .kind = STORE_SUBMIT, .when_ms = T0, .fd = -1};

        encode_want(&wants[i], &bytes);
        record.payload = buf_view(&bytes);
        result = store_apply_record(&apply, &record);
        buf_free(&bytes);
    }
    if (result == APPLY_OK) {
        assert_int_equal(store_apply_end(&apply), APPLY_OK);
        assert_int_equal(db_commit(&txn, &why), DB_OK);
    } else {
        db_abort(&txn);
    }
    store_apply_free(&apply);
    return result;
}

static void
take_away(uint64_t id)
{
    struct store_apply apply;
    struct db_txn *txn;
    struct why why;

    assert_int_equal(db_begin(db, &txn), DB_OK);
    assert_int_equal(store_apply_begin(&apply, txn), APPLY_OK);
    assert_int_equal(store_remove(&apply, id), APPLY_OK);
    assert_int_equal(store_apply_end(&apply), APPLY_OK);
    assert_int_equal(db_commit(&txn, &why), DB_OK);
    store_apply_free(&apply);
}

/* Messages that need the key; -1: there is no such key. */
static int64_t
key_messages(uint64_t id)
{
    struct buf memory = {0};
    struct data_key row;
    struct why why;
    int found = db_read_data_key(db, id, &row, &memory, &why);

    assert_true(found >= 0);
    buf_free(&memory);
    return found == 1 ? (int64_t)row.messages : -1;
}

static struct domain_share
share_of(const char *name)
{
    struct domain_share row = {0};
    struct db_txn *txn;

    assert_int_equal(db_begin(db, &txn), DB_OK);
    if (db_get_share(txn, view_of(name), &row) != DB_OK)
        row = (struct domain_share){0};
    db_abort(&txn);
    return row;
}

#define TO(...)                                                                \
    {                                                                          \
        __VA_ARGS__                                                            \
    }

static void
test_keys_are_counted(void **state)
{
    const struct want wants[] = {
        {1, 11, true, T0, 0, TO("a@x.example")},
        {2, 11, true, T0, 0, TO("a@x.example")},
        {3, 11, false, T0, 0, TO("a@x.example")},
        {4, 12, true, T0, 0, TO("a@x.example")},
    };

    (void)state;
    assert_int_equal(bring(wants, 4), APPLY_OK);
    assert_int_equal(key_messages(11), 3);
    assert_int_equal(key_messages(12), 1);
    take_away(2);
    take_away(4);
    assert_int_equal(key_messages(11), 2);
    assert_int_equal(key_messages(12), 0); /* its writer may go on with it */
}

static void
test_a_key_nobody_has_is_stale(void **state)
{
    const struct want lost = {1, 11, false, T0, 0, TO("a@x.example")};
    const struct want stale = {1, 0, false, 0, 40000, TO("a@x.example")};
    const struct want mixed[] = {{1, 11, true, T0, 0, TO("a@x.example")},
                                 {2, 12, false, T0, 0, TO("a@x.example")}};

    (void)state;
    assert_int_equal(bring(&lost, 1), APPLY_STALE);
    assert_int_equal(bring(&stale, 1), APPLY_STALE);
    assert_int_equal(bring(mixed, 2), APPLY_STALE);
    assert_int_equal(key_messages(11), -1);
}

static void
test_unused_keys_go_when_a_new_one_comes(void **state)
{
    const struct want wants[] = {
        {1, 11, true, T0, 0, TO("a@x.example")},
        {2, 12, true, T0 + 10 * HOUR, 0, TO("a@x.example")},
        {3, 13, true, T0 + 11 * HOUR, 0, TO("a@x.example")},
    };

    (void)state;
    assert_int_equal(bring(wants, 2), APPLY_OK);
    take_away(1);
    take_away(2);
    assert_int_equal(bring(wants + 2, 1), APPLY_OK);
    assert_int_equal(key_messages(11), -1);
    assert_int_equal(key_messages(12), 0); /* too young */
    assert_int_equal(key_messages(13), 1);
}

static void
learn(uint64_t id, uint64_t messages, uint64_t retired)
{
    struct dictionary_row row = {.id = id,
                                 .bytes = VIEW("bytes"),
                                 .messages = messages,
                                 .retired = retired};
    struct db_txn *txn;
    struct why why;

    assert_int_equal(db_begin(db, &txn), DB_OK);
    assert_int_equal(db_put_dictionary(txn, &row), DB_OK);
    assert_int_equal(db_commit(&txn, &why), DB_OK);
}

static int64_t
dictionary_messages(uint64_t id)
{
    struct buf memory = {0};
    struct dictionary_row row;
    struct why why;
    int found = db_read_dictionary(db, id, &row, &memory, &why);
    int64_t messages = found == 1 ? (int64_t)row.messages : -1;

    assert_true(found >= 0);
    if (found == 1)
        assert_true(view_equal(row.bytes, VIEW("bytes")));
    buf_free(&memory);
    return messages;
}

static void
test_dictionaries_go_when_retired_and_unused(void **state)
{
    const struct want wants[] = {
        {1, 0, false, 0, 40000, TO("a@x.example")},
        {2, 0, false, 0, DICTIONARY_SHIPPED_ID, TO("a@x.example")},
        {3, 0, false, 0, 40000, TO("a@x.example")},
        {4, 0, false, 0, 40001, TO("a@x.example")},
    };

    (void)state;
    learn(40000, 0, 0);
    learn(40001, 0, 0);
    assert_int_equal(bring(wants, 4), APPLY_OK);
    assert_int_equal(dictionary_messages(40000), 2);
    learn(40000, 2, 1);
    take_away(1);
    assert_int_equal(dictionary_messages(40000), 1);
    take_away(3);
    assert_int_equal(dictionary_messages(40000), -1);
    take_away(4);
    assert_int_equal(dictionary_messages(40001), 0); /* still in use */
}

static void
test_a_message_counts_once_for_each_domain(void **state)
{
    const struct want wants[] = {
        {1, 0, false, 0, 0,
         TO("a@x.example", "b@X.Example", "c@y.example", "postmaster")},
        {2, 0, false, 0, 0, TO("a@x.example")},
    };

    (void)state;
    assert_int_equal(bring(wants, 2), APPLY_OK);
    assert_int_equal(share_of("x.example").messages, 2);
    assert_int_equal(share_of("x.example").stored, 8);
    assert_int_equal(share_of("y.example").messages, 1);
    take_away(1);
    assert_int_equal(share_of("x.example").stored, 4);
    assert_int_equal(share_of("y.example").messages, 0);
    take_away(2);
    assert_int_equal(share_of("x.example").messages, 0);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_keys_are_counted),
        T(test_a_key_nobody_has_is_stale),
        T(test_unused_keys_go_when_a_new_one_comes),
        T(test_dictionaries_go_when_retired_and_unused),
        T(test_a_message_counts_once_for_each_domain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
