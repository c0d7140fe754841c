/* SPDX-License-Identifier: ISC */
/* The store's tables: what the writer writes is what readers find, in order;
 * and which directories are refused without being touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "db_lmdb.h"
#include "db_read.h"

static char dir[64];

static int
setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/spoold-test-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static void
path_of(const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", dir, name);
}

static int
teardown(void **state)
{
    char path[128];

    (void)state;
    path_of("data.mdb", path);
    unlink(path);
    path_of("lock.mdb", path);
    unlink(path);
    return rmdir(dir);
}

static struct db *
writer(void)
{
    struct why why = {0};
    struct db *db = db_open_writer(dir, &why);

    if (db == NULL)
        fail_msg("%s", why.text);
    return db;
}

static void
commit(struct db_txn **txn)
{
    struct why why;

    assert_int_equal(db_commit(txn, &why), DB_OK);
}

static void
test_messages_in_the_order_of_ids(void **state)
{
    struct db *db = writer();
    struct message row = {.arrived_ms = 5, .origin = ORIGIN_SMTP};
    struct delivery delivery = {.recipient = VIEW("a@b.example"),
                                .target = VIEW("office"),
                                .state = DELIVERY_READY};
    static const uint64_t ids[] = {300, 7, UINT64_C(1) << 40, 8};
    static const uint64_t sorted[] = {7, 8, 300, UINT64_C(1) << 40};
    struct db_message found;
    struct db_txn *txn;
    struct why why;
    uint64_t after = 0;

    (void)state;
    assert_int_equal(db_begin(db, &txn), DB_OK);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(db_add_message(txn, ids[i], &row), DB_OK);
        assert_int_equal(db_put_delivery(txn, ids[i], 0, &delivery), DB_OK);
        assert_int_equal(db_put_delivery(txn, ids[i], 1, &delivery), DB_OK);
    }
    assert_int_equal(db_add_message(txn, 7, &row), DB_EXISTS);
    commit(&txn);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(db_read_message_after(db, after, &found, &why), 1);
        assert_int_equal(found.id, sorted[i]);
        assert_int_equal(found.n_deliveries, 2);
        assert_int_equal(found.deliveries[1].n, 1);
        assert_true(view_equal(found.deliveries[1].delivery.recipient,
                               VIEW("a@b.example")));
        after = found.id;
        db_message_free(&found);
    }
    assert_int_equal(db_read_message_after(db, after, &found, &why), 0);
    assert_int_equal(db_read_message_after(db, UINT64_MAX, &found, &why), 0);
    assert_int_equal(db_read_message(db, 9, &found, &why), 0);
    db_close(&db);
}

/* Ids 10, 20 .. 100; only those of 40 and 90 are held. */
static struct db *
ten_messages(void)
{
    struct db *db = writer();
    struct db_txn *txn;

    assert_int_equal(db_begin(db, &txn), DB_OK);
    for (uint64_t id = 10; id <= 100; id += 10) {
        struct message row = {.arrived_ms = 5, .origin = ORIGIN_SMTP};

        row.finished_ms = id == 40 || id == 90 ? 0 : 6;
        assert_int_equal(db_add_message(txn, id, &row), DB_OK);
    }
    commit(&txn);
    return db;
}

static void
test_ids_a_bounded_number_of_rows(void **state)
{
    static const struct {
        uint64_t after;
        bool held_only;
        size_t rows;
        int found;
        uint64_t id;
        size_t left;
    } cases[] = {
        {0, false, 5, 1, 10, 5},
        {10, false, 5, 1, 20, 5},
        {15, false, 1, 1, 20, 1},
        {100, false, 5, 0, 100, 5},
        {UINT64_MAX, false, 5, 0, UINT64_MAX, 5},
        {0, true, 5, 1, 40, 2},
        {0, true, 4, 1, 40, 1},
        {0, true, 3, 2, 30, 0},
        {30, true, 3, 1, 40, 3},
        {40, true, 100, 1, 90, 96},
        {90, true, 100, 0, 100, 99},
        {90, true, 1, 2, 100, 0},
        {20, true, 0, 2, 20, 0},
    };
    struct db *db = ten_messages();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t rows = cases[i].rows;
        uint64_t id;
        int found = db_read_next_id(db, cases[i].after, cases[i].held_only,
                                    &rows, &id, NULL);

        if (found != cases[i].found || id != cases[i].id ||
            rows != cases[i].left)
            fail_msg("case %zu: %d, id %d, %zu rows left", i, found, (int)id,
                     rows);
    }
    db_close(&db);
}

static void
test_ready_walks_one_target_by_flow(void **state)
{
    struct db *db = writer();
    struct db_ready_cursor cursor = {0};
    struct db_ready ready;
    struct db_txn *txn;
    struct why why;
    /* Names that are prefixes of each other must not mix. */
    static const struct {
        const char *target, *flow;
        uint64_t id, n;
    } rows[] = {{"off", "a.example", 1, 0},     {"office", "b.example", 9, 0},
                {"office", "", 50, 0},          {"office", "b.example", 2, 0},
                {"office", "b.example", 2, 3},  {"office2", "a.example", 4, 0},
                {"office", "b.example2", 1, 0}, {"", "x", 1, 0}};
    static const struct {
        uint64_t id;
        size_t n;
    } expected[] = {{50, 1}, {2, 2}, {9, 1}, {1, 1}};

    (void)state;
    assert_int_equal(db_begin(db, &txn), DB_OK);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(db_put_ready(txn, view_of(rows[i].target),
                                      view_of(rows[i].flow), rows[i].id,
                                      rows[i].n),
                         DB_OK);
    commit(&txn);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(
            db_read_ready(db, VIEW("office"), &cursor, &ready, &why), 1);
        assert_int_equal(ready.id, expected[i].id);
        assert_int_equal(ready.n_deliveries, expected[i].n);
    }
    assert_int_equal(db_read_ready(db, VIEW("office"), &cursor, &ready, &why),
                     0);
    for (size_t max = 1; max < 9; max++) {
        uint64_t messages = 0;
        int got;

        cursor = (struct db_ready_cursor){0};
        do
            got = db_read_ready_count(db, VIEW("office"), &cursor, max,
                                      &messages, &why);
        while (got == 1);
        assert_int_equal(got, 0);
        assert_int_equal(messages, 4);
    }
    cursor = (struct db_ready_cursor){0};
    assert_int_equal(db_read_ready(db, VIEW("offic"), &cursor, &ready, &why),
                     0);
    db_close(&db);
}

static void
test_later_in_the_order_of_time(void **state)
{
    struct db *db = writer();
    struct db_later due[8];
    struct db_txn *txn;
    uint64_t next;

    (void)state;
    assert_int_equal(db_begin(db, &txn), DB_OK);
    db_put_later(txn, 3000, 1, 0);
    db_put_later(txn, 1000, 2, 0);
    db_put_later(txn, 2000, 3, DB_LATER_PURGE);
    db_put_later(txn, 9000, 4, DB_LATER_PURGE);
    commit(&txn);
    assert_int_equal(db_due(db, 0, 500, due, 8, &next), 0);
    assert_int_equal(next, 1000);
    assert_int_equal(db_due(db, 0, 3000, due, 8, &next), 3);
    assert_int_equal(due[0].id, 2);
    assert_int_equal(due[1].n, DB_LATER_PURGE);
    assert_int_equal(due[2].id, 1);
    assert_int_equal(next, 9000);
    assert_int_equal(db_due(db, 0, 3000, due, 2, &next), 2);
    assert_int_equal(db_due(db, 0, 99999, due, 8, &next), 4);
    assert_int_equal(next, 0);
    assert_int_equal(db_purges(db, due, 8), 2);
    assert_int_equal(due[1].id, 4);
    db_close(&db);
}

static void
test_health_one_after_the_other(void **state)
{
    struct db *db = writer();
    struct target_health row = {.state = TARGET_UP}, found;
    struct buf memory = {0};
    struct db_txn *txn;
    struct why why;

    (void)state;
    assert_int_equal(db_begin(db, &txn), DB_OK);
    row.name = VIEW("b");
    db_put_health(txn, &row);
    row.name = VIEW("ab");
    db_put_health(txn, &row);
    row.name = VIEW("a");
    db_put_health(txn, &row);
    commit(&txn);
    assert_int_equal(db_read_health_after(db, "", &found, &memory, &why), 1);
    assert_true(view_equal(found.name, VIEW("a")));
    assert_int_equal(db_read_health_after(db, "a", &found, &memory, &why), 1);
    assert_true(view_equal(found.name, VIEW("ab")));
    assert_int_equal(db_read_health_after(db, "ab", &found, &memory, &why), 1);
    assert_true(view_equal(found.name, VIEW("b")));
    assert_int_equal(db_read_health_after(db, "b", &found, &memory, &why), 0);
    buf_free(&memory);
    db_close(&db);
}

static void
test_readers_open_the_writers_store(void **state)
{
    struct why why;
    struct db *db = db_open_reader(dir, &why);
    struct db_counts counts;

    (void)state;
    assert_null(db); /* nobody has made it yet */
    db = writer();
    db_close(&db);
    db = db_open_reader(dir, &why);
    assert_non_null(db);
    assert_int_equal(db_read_counts(db, &counts, &why), 1);
    assert_int_equal(counts.messages, 0);
    db_close(&db);
}

static size_t
slurp(const char *name, char *bytes, size_t room)
{
    char path[128];
    FILE *file;
    size_t n;

    path_of(name, path);
    file = fopen(path, "rb");
    assert_non_null(file);
    n = fread(bytes, 1, room, file);
    fclose(file);
    return n;
}

static void
put_format(struct db *db, uint64_t format)
{
    char bytes[8];
    MDB_val key = db_val(VIEW("format")), value = {8, bytes};
    MDB_txn *txn;

    bytes_put64(bytes, format);
    assert_int_equal(mdb_txn_begin(db->env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_put(txn, db->tables[DB_setting], &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
}

/* Tables are added and the number is written; the rows stay. */
static void
test_a_former_format_in_place(void **state)
{
    struct db *db = writer();
    struct db_totals totals = {.held = 7};
    struct db_txn *change;
    MDB_val key = db_val(VIEW("format")), value;
    MDB_txn *txn;
    struct why why;

    (void)state;
    assert_int_equal(db_begin(db, &change), DB_OK);
    assert_int_equal(db_put_totals(change, &totals), DB_OK);
    assert_int_equal(db_commit(&change, &why), DB_OK);
    put_format(db, DB_FORMAT_IN_PLACE);
    assert_int_equal(mdb_txn_begin(db->env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_drop(txn, db->tables[DB_aside], 1), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    db_close(&db);
    db = writer();
    assert_int_equal(mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_get(txn, db->tables[DB_setting], &key, &value), 0);
    assert_int_equal(bytes_get64(value.mv_data), DB_FORMAT);
    mdb_txn_abort(txn);
    assert_int_equal(db_begin(db, &change), DB_OK);
    assert_int_equal(db_get_totals(change, &totals), DB_OK);
    assert_int_equal(totals.held, 7);
    db_abort(&change);
    db_close(&db);
}

static void
test_a_newer_format_is_left_alone(void **state)
{
    static char before[1 << 20], after[1 << 20];
    struct db *db = writer();
    struct why why;
    size_t n;

    (void)state;
    put_format(db, DB_FORMAT + 1);
    db_close(&db);
    n = slurp("data.mdb", before, sizeof(before));
    assert_null(db_open_writer(dir, &why));
    assert_non_null(strstr(why.text, "newer"));
    assert_int_equal(slurp("data.mdb", after, sizeof(after)), n);
    assert_memory_equal(before, after, n);
}

static void
test_what_is_no_store_is_refused(void **state)
{
    struct why why;
    char path[128];
    FILE *file;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    (void)state;
    path_of("data.mdb", path);
    file = fopen(path, "wb");
    for (int i = 0; i < 8192; i++)
        fputc(i % 251, file);
    fclose(file);
    assert_null(db_open_writer(dir, &why));
    assert_non_null(strstr(why.text, "not a store"));
    unlink(path);
    /* A database of LMDB's, but of another program. */
    assert_int_equal(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 4);
    assert_int_equal(mdb_env_open(env, dir, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "cookies", MDB_CREATE, &dbi), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    assert_null(db_open_writer(dir, &why));
    assert_non_null(strstr(why.text, "not a store"));
    assert_null(db_open_writer("/nonexistent", &why));
}

static void
test_room_inside_the_file_is_counted(void **state)
{
    struct db *db = writer();
    struct db_txn *txn;
    char piece[60000] = {1};

    (void)state;
    for (uint64_t id = 1; id <= 20; id++) {
        assert_int_equal(db_begin(db, &txn), DB_OK);
        db_put_piece(txn, id, 0, (struct view){piece, sizeof(piece)});
        commit(&txn);
    }
    for (uint64_t id = 1; id <= 20; id++) {
        assert_int_equal(db_begin(db, &txn), DB_OK);
        assert_int_equal(db_del_pieces(txn, id), DB_OK);
        commit(&txn);
    }
    assert_true(db_free_in_file(db) > 20 * 50000);
    db_close(&db);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_messages_in_the_order_of_ids),
        T(test_ids_a_bounded_number_of_rows),
        T(test_ready_walks_one_target_by_flow),
        T(test_later_in_the_order_of_time),
        T(test_health_one_after_the_other),
        T(test_readers_open_the_writers_store),
        T(test_a_former_format_in_place),
        T(test_a_newer_format_is_left_alone),
        T(test_what_is_no_store_is_refused),
        T(test_room_inside_the_file_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
