/* SPDX-License-Identifier: ISC */
/*
 * Applying records: the legal states after each, refusals that change
 * nothing, and that captured records rebuild the same tables elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "body.h"
#include "db_read.h"
#include "msgid.h"
#include "store.h"

#define T0           UINT64_C(1750000000000)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct fixture {
    char dir[64];
    struct db *db;
    struct buf captured; /* every record applied, as a stream */
};

static struct db *
open_store(char dir[64])
{
    struct why why;
    struct db *db;

    strcpy(dir, "/tmp/spoold-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    db = db_open_writer(dir, &why);
    assert_non_null(db);
    return db;
}

static void
close_store(const char *dir, struct db **db)
{
    char path[128];

    db_close(db);
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/lock.mdb", dir);
    unlink(path);
    rmdir(dir);
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->db = open_store(f->dir);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;

    close_store(f->dir, &f->db);
    buf_free(&f->captured);
    free(f);
    return 0;
}

/* Applies one record in a transaction of its own. */
static enum apply_result
apply_to(struct db *db, const struct store_record *record, uint64_t *retried)
{
    struct store_apply apply = {0};
    struct db_txn *txn;
    struct why why;
    enum apply_result result;

    assert_int_equal(db_begin(db, &txn), DB_OK);
    assert_int_equal(store_apply_begin(&apply, txn), APPLY_OK);
    result = store_apply_record(&apply, record);
    if (retried != NULL)
        *retried = apply.count;
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
capture(struct fixture *f, const struct store_record *record)
{
    struct buf one = {0};

    record_encode(&store_record_record, record, &one);
    record_put_varint(&f->captured, one.len);
    buf_add_view(&f->captured, buf_view(&one));
    buf_free(&one);
}

static enum apply_result
apply(struct fixture *f, uint64_t kind, uint64_t when_ms, uint64_t keep_ms,
      const struct record_type *type, const void *payload)
{
    struct buf bytes = {0};
    struct store_record record = {
        .kind = kind, .when_ms = when_ms, .keep_ms = keep_ms, .fd = -1};
    enum apply_result result;

    record_encode(type, payload, &bytes);
    record.payload = buf_view(&bytes);
    result = apply_to(f->db, &record, NULL);
    if (result == APPLY_OK)
        capture(f, &record);
    buf_free(&bytes);
    return result;
}

static void
body_of(const char *text, size_t len, struct buf *file)
{
    struct body_writer *writer = body_writer_new(3, 1 << 30, NULL, 1);
    struct view content;
    struct why why;
    uint64_t total;
    int fd;

    assert_int_equal(body_write(writer, (struct view){text, len}, &why), 0);
    assert_int_equal(body_finish(writer, &content, &fd, &total, &why), 0);
    buf_add_view(file, content);
    body_writer_free(&writer);
}

static void
encode_submit(uint64_t id, const char *const *recipients, size_t n,
              struct view content, struct buf *out)
{
    struct message message = {.arrived_ms = T0,
                              .origin = ORIGIN_SMTP,
                              .sender = VIEW("bob@elsewhere.example"),
                              .flow = VIEW("elsewhere.example"),
                              .size = 100};
    struct delivery *deliveries = calloc(n, sizeof(*deliveries));
    struct proto_submit submit = {.id = id,
                                  .deliveries = {deliveries, n},
                                  .content = content,
                                  .content_len = content.len};
    struct buf row = {0};

    for (size_t i = 0; i < n; i++) {
        deliveries[i].recipient = view_of(recipients[i]);
        deliveries[i].target = i % 2 == 0 ? VIEW("office") : VIEW("branch");
    }
    record_encode(&message_record, &message, &row);
    submit.message = buf_view(&row);
    record_encode(&proto_submit_record, &submit, out);
    buf_free(&row);
    free(deliveries);
}

static enum apply_result
submit(struct fixture *f, uint64_t id, const char *const *recipients, size_t n)
{
    struct buf file = {0}, payload = {0};
    struct store_record record = {
        .kind = STORE_SUBMIT, .when_ms = T0, .fd = -1};
    enum apply_result result;

    body_of("Subject: x\r\n\r\nhello\r\n", 21, &file);
    encode_submit(id, recipients, n, buf_view(&file), &payload);
    record.payload = buf_view(&payload);
    result = apply_to(f->db, &record, NULL);
    if (result == APPLY_OK)
        capture(f, &record);
    buf_free(&file);
    buf_free(&payload);
    return result;
}

static enum apply_result
outcome(struct fixture *f, uint64_t id, struct proto_result *results, size_t n,
        uint64_t when_ms, uint64_t keep_ms, struct view dsn)
{
    struct proto_outcome payload = {
        .id = id, .when_ms = when_ms, .results = {results, n}, .dsn = dsn};

    return apply(f, STORE_OUTCOME, when_ms, keep_ms, &proto_outcome_record,
                 &payload);
}

static struct db_counts
counts(struct fixture *f)
{
    struct db_counts out;
    struct why why;

    assert_int_equal(db_read_counts(f->db, &out, &why), 1);
    return out;
}

static uint64_t
state_of(struct fixture *f, uint64_t id, size_t n)
{
    struct db_message message;
    struct why why;
    uint64_t state = 0;

    if (db_read_message(f->db, id, &message, &why) != 1)
        return 0;
    if (n < message.n_deliveries)
        state = message.deliveries[n].delivery.state;
    db_message_free(&message);
    return state;
}

static const char *const two[] = {"anna@example.com", "ben@example.com"};
#define ID (((T0 - UINT64_C(1577836800000)) << 21) | 256)

static void
test_submit_makes_the_rows(void **state)
{
    struct fixture *f = *state;
    struct db_counts c;
    struct db_ready ready;
    struct db_ready_cursor cursor = {0};
    struct buf piece = {0}, content = {0};
    struct why why;

    assert_int_equal(submit(f, ID, two, 2), APPLY_OK);
    c = counts(f);
    assert_int_equal(c.held, 1);
    assert_int_equal(c.messages, 1);
    assert_int_equal(c.deliveries, 2);
    assert_int_equal(c.ready, 2);
    assert_int_equal(c.later, 0);
    assert_int_equal(c.ledger, 1);
    assert_int_equal(c.floor_ms, T0);
    assert_int_equal(
        db_read_ready(f->db, VIEW("branch"), &cursor, &ready, &why), 1);
    assert_int_equal(ready.id, ID);
    assert_int_equal(ready.n_deliveries, 1);
    assert_int_equal(
        db_read_ready(f->db, VIEW("branch"), &cursor, &ready, &why), 0);
    assert_int_equal(db_read_piece(f->db, ID, 0, &piece, &why), 1);
    assert_int_equal(body_read_piece(buf_view(&piece), NULL, &content, &why), 0);
    assert_int_equal(content.len, 21);
    assert_int_equal(db_read_piece(f->db, ID, 1, &piece, &why), 0);
    buf_free(&piece);
    buf_free(&content);
}

static void
test_an_id_is_never_written_over(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(submit(f, ID, two, 2), APPLY_OK);
    assert_int_equal(submit(f, ID, two, 1), APPLY_STALE); /* another id */
    assert_int_equal(counts(f).deliveries, 2);
}

static void
test_bad_submits_change_nothing(void **state)
{
    struct fixture *f = *state;
    struct buf payload = {0};
    struct store_record record = {
        .kind = STORE_SUBMIT, .when_ms = T0, .fd = -1};
    static const struct view contents[] = {{"\0\0\0\5zz", 6},
                                           {"\0\0\0\0", 4},
                                           {"\377\377\377\377x", 5},
                                           {"\0", 1}};

    for (size_t i = 0; i < COUNT(contents); i++) {
        buf_reset(&payload);
        encode_submit(ID, two, 2, contents[i], &payload);
        record.payload = buf_view(&payload);
        assert_int_equal(apply_to(f->db, &record, NULL), APPLY_REFUSED);
    }
    buf_reset(&payload);
    encode_submit(ID, two, 0, (struct view){0}, &payload); /* no recipient */
    record.payload = buf_view(&payload);
    assert_int_equal(apply_to(f->db, &record, NULL), APPLY_REFUSED);
    record.payload = VIEW("\x01");
    assert_int_equal(apply_to(f->db, &record, NULL), APPLY_REFUSED);
    assert_int_equal(counts(f).messages, 0);
    assert_int_equal(counts(f).ledger, 0);
    buf_free(&payload);
}

static void
test_content_by_descriptor(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/spoold-test-XXXXXX";
    struct buf file = {0}, payload = {0}, piece = {0}, content = {0};
    struct store_record record = {.kind = STORE_SUBMIT, .when_ms = T0};
    struct proto_submit decoded;
    struct why why;
    size_t len = 200000;
    char *text = malloc(len);

    for (size_t i = 0; i < len; i++)
        text[i] = (char)((i * 2654435761u) >> 13); /* does not compress */
    body_of(text, len, &file);
    record.fd = mkstemp(path);
    unlink(path);
    assert_int_equal(write(record.fd, file.data, file.len), file.len);
    encode_submit(ID, two, 1, (struct view){0}, &payload);
    record_decode(&proto_submit_record, buf_view(&payload), &decoded, &why);
    decoded.content_len = file.len - 1; /* not what the file has */
    struct buf wrong = {0};
    record_encode(&proto_submit_record, &decoded, &wrong);
    record.payload = buf_view(&wrong);
    assert_int_equal(apply_to(f->db, &record, NULL), APPLY_REFUSED);
    decoded.content_len = file.len;
    buf_reset(&wrong);
    record_encode(&proto_submit_record, &decoded, &wrong);
    record.payload = buf_view(&wrong);
    assert_int_equal(apply_to(f->db, &record, NULL), APPLY_OK);
    for (uint64_t n = 0; db_read_piece(f->db, ID, n, &piece, &why) == 1; n++) {
        assert_true(piece.len <= BODY_PIECE_MAX);
        assert_int_equal(body_read_piece(buf_view(&piece), NULL, &content, &why), 0);
        buf_reset(&piece);
    }
    assert_int_equal(content.len, len);
    assert_memory_equal(content.data, text, len);
    record_clear(&proto_submit_record, &decoded);
    close(record.fd);
    free(text);
    buf_free(&file);
    buf_free(&payload);
    buf_free(&wrong);
    buf_free(&piece);
    buf_free(&content);
}

static void
test_later_and_back(void **state)
{
    struct fixture *f = *state;
    struct proto_result later = {.n = 0,
                                 .state = DELIVERY_LATER,
                                 .code = 451,
                                 .reply = VIEW("4.3.0 not now"),
                                 .next_ms = T0 + 60000};
    struct store_due_row row = {T0 + 60000, ID, 0};
    struct store_due due = {{&row, 1}};

    submit(f, ID, two, 2);
    assert_int_equal(outcome(f, ID, &later, 1, T0 + 1, 0, (struct view){0}),
                     APPLY_OK);
    assert_int_equal(state_of(f, ID, 0), DELIVERY_LATER);
    assert_int_equal(counts(f).ready, 1);
    assert_int_equal(counts(f).later, 1);
    assert_int_equal(counts(f).held, 1);
    assert_int_equal(
        apply(f, STORE_DUE, T0 + 60000, 0, &store_due_record, &due), APPLY_OK);
    assert_int_equal(state_of(f, ID, 0), DELIVERY_READY);
    assert_int_equal(counts(f).ready, 2);
    assert_int_equal(counts(f).later, 0);
    /* The row is gone: the same again does nothing. */
    assert_int_equal(
        apply(f, STORE_DUE, T0 + 60001, 0, &store_due_record, &due), APPLY_OK);
    assert_int_equal(counts(f).ready, 2);
}

static void
test_retry_is_for_what_waits(void **state)
{
    struct fixture *f = *state;
    struct proto_result later = {
        .n = 1, .state = DELIVERY_LATER, .code = 421, .next_ms = T0 + 60000};
    struct proto_id ids[] = {{ID}, {ID + 4096}};
    struct proto_ids retry = {.when_ms = T0 + 5, .ids = {ids, 2}};

    submit(f, ID, two, 2);
    outcome(f, ID, &later, 1, T0 + 1, 0, (struct view){0});
    assert_int_equal(
        apply(f, STORE_RETRY, T0 + 5, 0, &proto_ids_record, &retry), APPLY_OK);
    assert_int_equal(state_of(f, ID, 1), DELIVERY_READY);
    assert_int_equal(counts(f).ready, 2);
    assert_int_equal(counts(f).later, 0);
}

static void
test_the_last_delivery_finishes(void **state)
{
    struct fixture *f = *state;
    struct proto_result both[] = {
        {.n = 0, .state = DELIVERY_DELIVERED, .code = 250, .reply = VIEW("ok")},
        {.n = 1, .state = DELIVERY_DROPPED, .code = 550, .reply = VIEW("no")}};
    struct store_due_row row = {T0 + 1 + 5000, ID, DB_LATER_PURGE};
    struct store_due due = {{&row, 1}};

    submit(f, ID, two, 2);
    assert_int_equal(outcome(f, ID, both, 2, T0 + 1, 5000, (struct view){0}),
                     APPLY_OK);
    assert_int_equal(counts(f).held, 0);
    assert_int_equal(counts(f).held_stored, 0);
    assert_int_equal(counts(f).messages, 1); /* kept */
    assert_int_equal(counts(f).ready, 0);
    assert_int_equal(counts(f).later, 1); /* the purge */
    /* Told twice, after the store was away: nothing more happens. */
    assert_int_equal(outcome(f, ID, both, 2, T0 + 2, 5000, (struct view){0}),
                     APPLY_OK);
    assert_int_equal(counts(f).later, 1);
    assert_int_equal(counts(f).ledger, 3);
    assert_int_equal(apply(f, STORE_DUE, T0 + 6000, 0, &store_due_record, &due),
                     APPLY_OK);
    assert_int_equal(counts(f).messages, 0);
    assert_int_equal(counts(f).deliveries, 0);
    assert_int_equal(counts(f).later, 0);
    assert_int_equal(counts(f).ledger, 4);
}

static void
test_nothing_kept_when_not_asked(void **state)
{
    struct fixture *f = *state;
    struct proto_result one = {
        .n = 0, .state = DELIVERY_DELIVERED, .code = 250, .reply = VIEW("ok")};

    submit(f, ID, two, 1);
    assert_int_equal(outcome(f, ID, &one, 1, T0 + 1, 0, (struct view){0}),
                     APPLY_OK);
    assert_int_equal(counts(f).messages, 0);
    assert_int_equal(counts(f).deliveries, 0);
    assert_int_equal(counts(f).ready, 0);
    assert_int_equal(counts(f).ledger, 2); /* the ledger forgets nothing */
}

static void
test_a_dsn_enters_with_its_outcome(void **state)
{
    struct fixture *f = *state;
    static const char *const bob[] = {"bob@elsewhere.example"};
    struct proto_result returned = {
        .n = 0, .state = DELIVERY_RETURNED, .code = 550, .reply = VIEW("no")};
    struct buf file = {0}, dsn = {0};

    submit(f, ID, two, 1);
    /* A DSN that breaks a rule undoes its outcome as well. */
    assert_int_equal(outcome(f, ID, &returned, 1, T0 + 1, 0, VIEW("nonsense")),
                     APPLY_UNDO);
    assert_int_equal(state_of(f, ID, 0), DELIVERY_READY);
    body_of("Subject: failed\r\n\r\n", 19, &file);
    encode_submit(ID + 1, bob, 1, buf_view(&file), &dsn);
    assert_int_equal(outcome(f, ID, &returned, 1, T0 + 1, 0, buf_view(&dsn)),
                     APPLY_OK);
    assert_int_equal(state_of(f, ID, 0), 0);
    assert_int_equal(state_of(f, ID + 1, 0), DELIVERY_READY);
    assert_int_equal(counts(f).held, 1);
    buf_free(&file);
    buf_free(&dsn);
}

static void
test_illegal_outcomes_are_refused(void **state)
{
    struct fixture *f = *state;
    struct proto_result bad[] = {
        {.n = 0, .state = DELIVERY_READY}, /* not an end */
        {.n = 0, .state = DELIVERY_LATER}, /* without a time */
        {.n = 0, .state = 99},
    };
    struct proto_result ghost = {.n = 7, .state = DELIVERY_DELIVERED};

    submit(f, ID, two, 1);
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(
            outcome(f, ID, &bad[i], 1, T0 + 1, 0, (struct view){0}),
            APPLY_REFUSED);
    assert_int_equal(outcome(f, ID, NULL, 0, T0 + 1, 0, (struct view){0}),
                     APPLY_REFUSED);
    /* Of a message that is gone: noted, since it may have been erased. */
    assert_int_equal(outcome(f, ID + 9, &ghost, 1, T0 + 1, 0, (struct view){0}),
                     APPLY_OK);
    /* A delivery that is not there changes nothing of the others. */
    assert_int_equal(outcome(f, ID, &ghost, 1, T0 + 1, 0, (struct view){0}),
                     APPLY_OK);
    assert_int_equal(state_of(f, ID, 0), DELIVERY_READY);
}

static void
test_health_counts_into_new_deliveries(void **state)
{
    struct fixture *f = *state;
    struct target_health health = {.name = VIEW("office"),
                                   .state = TARGET_UP,
                                   .since_ms = T0,
                                   .reach_ms = 12345};
    struct db_message message;
    struct why why;

    apply(f, STORE_HEALTH, T0, 0, &target_health_record, &health);
    submit(f, ID, two, 2);
    assert_int_equal(db_read_message(f->db, ID, &message, &why), 1);
    assert_int_equal(message.deliveries[0].delivery.reach_ms, 12345);
    assert_int_equal(message.deliveries[1].delivery.reach_ms, 0);
    db_message_free(&message);
}

/* A long random life, captured, applied to an empty store: equal tables. */
static void
test_records_rebuild_the_tables(void **state)
{
    struct fixture *f = *state;
    struct fixture copy = {0};
    struct buf before = {0}, after = {0};
    struct view stream;
    struct why why;
    unsigned seed = 42;
    uint64_t next_id = ID;

    for (int step = 0; step < 2000; step++) {
        uint64_t when = T0 + (uint64_t)step * 1000;
        uint64_t some = ID + (uint64_t)(rand_r(&seed) % (step + 1)) * 512;
        struct proto_result result = {.n = (uint64_t)(rand_r(&seed) % 2),
                                      .state = DELIVERY_LATER +
                                               (uint64_t)(rand_r(&seed) % 5),
                                      .code = 250,
                                      .reply = VIEW("said"),
                                      .next_ms = when + 5000};
        struct proto_id one = {some};
        struct proto_ids retry = {.when_ms = when, .ids = {&one, 1}};

        switch (rand_r(&seed) % 4) {
        case 0:
        case 1:
            submit(f, next_id, two, 1 + (size_t)(rand_r(&seed) % 2));
            next_id += 512;
            break;
        case 2:
            outcome(f, some, &result, 1, when, step % 3 == 0 ? 0 : 60000,
                    (struct view){0});
            break;
        default:
            apply(f, STORE_RETRY, when, 0, &proto_ids_record, &retry);
        }
    }
    copy.db = open_store(copy.dir);
    stream = buf_view(&f->captured);
    while (stream.len > 0) {
        struct store_record record;
        uint64_t len;

        assert_int_equal(record_take_varint(&stream, &len), 0);
        assert_int_equal(record_decode(&store_record_record,
                                       (struct view){stream.data, len}, &record,
                                       &why),
                         0);
        record.fd = -1;
        assert_int_equal(apply_to(copy.db, &record, NULL), APPLY_OK);
        stream = view_skip(stream, len);
    }
    assert_int_equal(db_dump(f->db, &before, &why), 0);
    assert_int_equal(db_dump(copy.db, &after, &why), 0);
    assert_true(before.len > 100000);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    close_store(copy.dir, &copy.db);
    buf_free(&before);
    buf_free(&after);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_submit_makes_the_rows),
        T(test_an_id_is_never_written_over),
        T(test_bad_submits_change_nothing),
        T(test_content_by_descriptor),
        T(test_later_and_back),
        T(test_retry_is_for_what_waits),
        T(test_the_last_delivery_finishes),
        T(test_nothing_kept_when_not_asked),
        T(test_a_dsn_enters_with_its_outcome),
        T(test_illegal_outcomes_are_refused),
        T(test_health_counts_into_new_deliveries),
        T(test_records_rebuild_the_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
