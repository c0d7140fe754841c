/* SPDX-License-Identifier: ISC */
/*
 * What compaction rests on: records are kept in order with their content,
 * wherever they are kept; and applied to a copy they make the tables of a
 * twin that was never compacted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <poll.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "db_copy.h"
#include "db_read.h"
#include "store_log.h"

#define T0 UINT64_C(1750000000000)
#define ID (((T0 - UINT64_C(1577836800000)) << 21) | 256)

static char dir[64], copy_dir[80], records[80];

static int
setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/spoold-test-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(copy_dir, sizeof(copy_dir), "%s/compact", dir);
    snprintf(records, sizeof(records), "%s/records", dir);
    return mkdir(copy_dir, 0700);
}

static int
teardown(void **state)
{
    char path[160];

    (void)state;
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", i < 2 ? copy_dir : dir,
                 i % 2 == 0 ? "data.mdb" : "lock.mdb");
        unlink(path);
    }
    rmdir(copy_dir);
    return rmdir(dir);
}

/* --- records -------------------------------------------------------------- */

/* A body file of one plain piece of len bytes: pieces need not make sense to
 * the store. */
static struct buf
body_file(char fill, size_t len)
{
    struct buf file = {0};

    buf_add_byte(&file, 0);
    buf_add_byte(&file, (uint8_t)(len >> 16));
    buf_add_byte(&file, (uint8_t)(len >> 8));
    buf_add_byte(&file, (uint8_t)len);
    for (size_t i = 0; i < len; i++)
        buf_add_byte(&file, (uint8_t)fill);
    return file;
}

static int
file_of(const struct buf *bytes)
{
    char path[] = "/tmp/spoold-test-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, bytes->data, bytes->len), bytes->len);
    return fd;
}

/* A SUBMIT whose content is inline, or in record->fd. */
static void
make_submit(struct store_record *record, struct buf *payload, uint64_t id,
            char fill, size_t len, bool inlined)
{
    struct buf file = body_file(fill, len), row = {0};
    struct message message = {.arrived_ms = T0,
                              .origin = ORIGIN_SMTP,
                              .sender = VIEW("bob@elsewhere.example"),
                              .flow = VIEW("elsewhere.example"),
                              .size = len};
    struct delivery delivery = {.recipient = VIEW("anna@example.com"),
                                .target = VIEW("office")};
    struct proto_submit submit = {
        .id = id, .deliveries = {&delivery, 1}, .content_len = file.len};

    *record =
        (struct store_record){.kind = STORE_SUBMIT, .when_ms = T0, .fd = -1};
    record_encode(&message_record, &message, &row);
    submit.message = buf_view(&row);
    if (inlined)
        submit.content = buf_view(&file);
    else
        record->fd = file_of(&file);
    record_encode(&proto_submit_record, &submit, payload);
    record->payload = buf_view(payload);
    buf_free(&row);
    buf_free(&file);
}

static void
make_outcome(struct store_record *record, struct buf *payload, uint64_t id)
{
    struct proto_result result = {.state = DELIVERY_DELIVERED, .code = 250};
    struct proto_outcome outcome = {
        .id = id, .when_ms = T0 + 5, .results = {&result, 1}};

    *record = (struct store_record){
        .kind = STORE_OUTCOME, .when_ms = T0 + 5, .fd = -1};
    record_encode(&proto_outcome_record, &outcome, payload);
    record->payload = buf_view(payload);
}

static void
apply_to(struct db *db, const struct store_record *record)
{
    struct store_apply apply = {0};
    struct db_txn *txn;
    struct why why;

    assert_int_equal(db_begin(db, &txn), DB_OK);
    assert_int_equal(store_apply_begin(&apply, txn), APPLY_OK);
    if (store_apply_record(&apply, record) != APPLY_OK)
        fail_msg("%s", apply.why.text);
    assert_int_equal(store_apply_end(&apply), APPLY_OK);
    assert_int_equal(db_commit(&txn, &why), DB_OK);
    store_apply_free(&apply);
}

/* --- the log -------------------------------------------------------------- */

#define N 300

/* Small ones inline, each third large with a descriptor. */
static void
make_nth(struct store_record *record, struct buf *payload, uint64_t n)
{
    make_submit(record, payload, ID + n, (char)('a' + n % 26),
                n % 3 == 0 ? 60000 : 50 + n, n % 3 != 0);
}

static void
assert_nth(const struct store_record *record, uint64_t n)
{
    struct buf payload = {0}, file;
    struct store_record expected;
    char first[5];

    make_nth(&expected, &payload, n);
    assert_int_equal(record->kind, STORE_SUBMIT);
    assert_true(view_equal(record->payload, expected.payload));
    if (n % 3 == 0) {
        file = body_file((char)('a' + n % 26), 60000);
        if (record->fd >= 0) {
            assert_int_equal(pread(record->fd, first, 5, 0), 5);
            assert_memory_equal(first, file.data, 5);
        } else {
            assert_true(view_equal(record->content, buf_view(&file)));
        }
        buf_free(&file);
        close(expected.fd);
    } else {
        assert_int_equal(record->fd, -1);
        assert_int_equal(record->content.len, 0);
    }
    buf_free(&payload);
}

/* In and out by turns: memory, file, and back to memory. */
static void
test_order_and_content(void **state)
{
    struct store_log *log = store_log_new(records, 20000, 5);
    struct store_record record;
    struct why why;
    uint64_t in = 0, out = 0;

    (void)state;
    while (out < N) {
        for (uint64_t end = in + 40; in < N && in < end; in++) {
            struct buf payload = {0};

            make_nth(&record, &payload, in);
            assert_int_equal(store_log_add(log, &record, &why), 0);
            if (record.fd >= 0)
                close(record.fd);
            buf_free(&payload);
        }
        assert_int_equal(store_log_count(log), in - out);
        for (uint64_t end = out + (in < N ? 35 : N); out < in && out < end;
             out++) {
            assert_int_equal(store_log_next(log, &record, &why), 1);
            assert_nth(&record, out);
        }
    }
    assert_int_equal(store_log_next(log, &record, &why), 0);
    assert_int_equal(access(records, F_OK), -1);
    store_log_free(&log);
}

static void
test_what_cannot_be_kept(void **state)
{
    struct store_log *log = store_log_new("/nonexistent/records", 1000, 0);
    struct store_record record;
    struct buf payload = {0};
    struct why why;

    (void)state;
    make_submit(&record, &payload, ID, 'x', 5000, true);
    assert_int_equal(store_log_add(log, &record, &why), -1);
    assert_int_equal(store_log_count(log), 0);
    assert_int_equal(store_log_next(log, &record, &why), 0);
    buf_free(&payload);
    store_log_free(&log);
}

/* --- the twin ------------------------------------------------------------- */

static void
wait_for(struct db_copy *copy)
{
    struct pollfd event = {db_copy_event_fd(copy), POLLIN, 0};
    struct why why;

    assert_int_equal(poll(&event, 1, 20000), 1);
    assert_int_equal(db_copy_state(copy, &why), DB_COPY_DONE);
}

/* What the store does with a record, and what is kept of it. */
static void
commit_and_keep(struct db *db, struct store_log *log,
                struct store_record *record)
{
    struct why why;

    apply_to(db, record);
    assert_int_equal(store_log_add(log, record, &why), 0);
    if (record->fd >= 0)
        close(record->fd);
}

static void
test_the_copy_becomes_a_twin(void **state)
{
    struct store_log *log = store_log_new(records, 20000, 5);
    struct store_record record;
    struct buf twin = {0}, compacted = {0};
    struct db_copy *copy;
    struct why why;
    struct db *db = db_open_writer(dir, &why);

    (void)state;
    assert_non_null(db);
    for (uint64_t n = 0; n < N; n++) {
        struct buf payload = {0};

        make_nth(&record, &payload, n);
        apply_to(db, &record);
        if (record.fd >= 0)
            close(record.fd);
        buf_free(&payload);
    }
    copy = db_copy_to_store(db, copy_dir, &why);
    assert_non_null(copy);
    for (uint64_t n = N; n < 2 * N; n++) {
        struct buf payload = {0}, other = {0};

        make_nth(&record, &payload, n);
        commit_and_keep(db, log, &record);
        make_outcome(&record, &other, ID + n - N / 2);
        commit_and_keep(db, log, &record);
        buf_free(&payload);
        buf_free(&other);
    }
    wait_for(copy);
    while (store_log_next(log, &record, &why) == 1)
        apply_to(db_copy_store(copy), &record);
    if (!db_copy_is_equal(db, copy, &why))
        fail_msg("%s", why.text);
    assert_int_equal(db_dump(db, &twin, &why), 0);
    assert_int_equal(db_copy_install(db, &copy, &why), 0);
    assert_int_equal(db_dump(db, &compacted, &why), 0);
    assert_int_equal(twin.len, compacted.len);
    assert_memory_equal(twin.data, compacted.data, twin.len);
    buf_free(&twin);
    buf_free(&compacted);
    store_log_free(&log);
    db_close(&db);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order_and_content),
        TEST(test_what_cannot_be_kept),
        TEST(test_the_copy_becomes_a_twin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
