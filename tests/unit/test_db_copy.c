/* SPDX-License-Identifier: ISC */
/*
 * Copies of a store: what one holds, how it takes the place of the other, and
 * that erased bytes are nowhere in the file after a scrub.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "db_copy.h"
#include "db_lmdb.h"
#include "db_read.h"
#include "db_scrub.h"

#define MESSAGES 600
#define MARKER   "erase-me-for-good"

static char dir[64], copy_dir[80];

static int
setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/spoold-test-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(copy_dir, sizeof(copy_dir), "%s/compact", dir);
    return mkdir(copy_dir, 0700);
}

static void
path_of(const char *in, const char *name, char path[160])
{
    snprintf(path, 160, "%s/%s", in, name);
}

static void
remove_store(const char *in)
{
    char path[160];

    path_of(in, "data.mdb", path);
    unlink(path);
    path_of(in, "lock.mdb", path);
    unlink(path);
    rmdir(in);
}

static int
teardown(void **state)
{
    (void)state;
    remove_store(copy_dir);
    remove_store(dir);
    return 0;
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

/* Message id with a body of len bytes that are text over and over. */
static void
add(struct db_txn *txn, uint64_t id, const char *text, size_t len)
{
    struct message row = {.arrived_ms = id,
                          .origin = ORIGIN_SMTP,
                          .subject = view_of(text),
                          .salt = view_of(text)};
    char *body = malloc(len);

    for (size_t i = 0; i < len; i++)
        body[i] = text[i % strlen(text)];
    assert_int_equal(db_add_message(txn, id, &row), DB_OK);
    assert_int_equal(db_put_piece(txn, id, 0, (struct view){body, len}), DB_OK);
    free(body);
}

static void
del(struct db_txn *txn, uint64_t id)
{
    assert_int_equal(db_del_pieces(txn, id), DB_OK);
    assert_int_equal(db_del_message(txn, id), DB_OK);
}

static size_t
length_of(uint64_t id)
{
    return 40 + id * 7919 % 9000;
}

/* Ids first to last, each step'th; a commit for every ten. */
static void
fill(struct db *db, uint64_t first, uint64_t last, const char *text)
{
    struct db_txn *txn = NULL;

    for (uint64_t id = first; id <= last; id++) {
        if (txn == NULL)
            assert_int_equal(db_begin(db, &txn), DB_OK);
        add(txn, id, text, length_of(id));
        if (id % 10 == 0)
            commit(&txn);
    }
    if (txn != NULL)
        commit(&txn);
}

static void
thin_out(struct db *db, uint64_t last, uint64_t keep)
{
    for (uint64_t id = 1; id <= last; id++) {
        struct db_txn *txn;

        if (id % keep == 0)
            continue;
        assert_int_equal(db_begin(db, &txn), DB_OK);
        del(txn, id);
        commit(&txn);
    }
}

static struct buf
dump_of(struct db *db)
{
    struct buf out = {0};
    struct why why;

    assert_int_equal(db_dump(db, &out, &why), 0);
    return out;
}

static void
assert_same(struct buf *a, struct buf *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}

static enum db_copy_state
wait_for(struct db_copy *copy, struct why *why)
{
    struct pollfd event = {db_copy_event_fd(copy), POLLIN, 0};

    assert_int_equal(poll(&event, 1, 20000), 1);
    return db_copy_state(copy, why);
}

/* --- to a second store ---------------------------------------------------- */

static void
test_a_copy_is_what_was_committed(void **state)
{
    struct db *db = writer();
    struct db_copy *copy;
    struct why why = {0};
    struct buf before, after, copied;

    (void)state;
    fill(db, 1, MESSAGES, "content ");
    thin_out(db, MESSAGES, 10);
    before = dump_of(db);
    copy = db_copy_to_store(db, copy_dir, &why);
    assert_non_null(copy);
    fill(db, MESSAGES + 1, MESSAGES + 5, "later ");
    assert_int_equal(wait_for(copy, &why), DB_COPY_DONE);
    copied = dump_of(db_copy_store(copy));
    assert_same(&before, &copied);
    assert_false(db_copy_is_equal(db, copy, &why));
    assert_true(db_file_bytes(db_copy_store(copy)) * 5 < db_file_bytes(db));
    db_copy_free(&copy);
    after = dump_of(db);
    assert_true(after.len > before.len);
    buf_free(&before);
    buf_free(&after);
    buf_free(&copied);
    db_close(&db);
}

static void
test_the_copy_takes_the_place(void **state)
{
    struct db *db = writer(), *again;
    struct db_copy *copy;
    struct why why = {0};
    struct buf before, installed, reopened;
    uint64_t file;

    (void)state;
    fill(db, 1, MESSAGES, "content ");
    thin_out(db, MESSAGES, 10);
    file = db_file_bytes(db);
    before = dump_of(db);
    copy = db_copy_to_store(db, copy_dir, &why);
    assert_non_null(copy);
    assert_int_equal(wait_for(copy, &why), DB_COPY_DONE);
    assert_true(db_copy_is_equal(db, copy, &why));
    assert_int_equal(db_copy_sync(copy, &why), 0);
    assert_int_equal(wait_for(copy, &why), DB_COPY_DONE);
    assert_int_equal(db_copy_install(db, &copy, &why), 0);
    assert_null(copy);
    assert_false(db_is_replaced(db));
    assert_true(db_file_bytes(db) * 5 < file);
    installed = dump_of(db);
    assert_same(&before, &installed);
    fill(db, MESSAGES + 1, MESSAGES + 50, "later ");
    db_extend(db);
    buf_free(&installed);
    installed = dump_of(db);
    db_close(&db);
    again = writer();
    reopened = dump_of(again);
    assert_same(&installed, &reopened);
    buf_free(&before);
    buf_free(&installed);
    buf_free(&reopened);
    db_close(&again);
}

/* What a role does on REOPEN, in a process of its own as LMDB wants it. */
static int
reader_process(int ready, int go)
{
    struct why why;
    struct db *db = db_open_reader(dir, &why);
    struct db_message message;
    char byte = 'r';
    int bad = db == NULL || db_is_replaced(db) ||
              db_read_message(db, 10, &message, &why) != 1;

    if (!bad)
        db_message_free(&message);
    if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
        return 1;
    /* The old file is whole for whoever still has it open. */
    bad |= !db_is_replaced(db) || db_read_message(db, 10, &message, &why) != 1;
    if (!bad)
        db_message_free(&message);
    bad |= db_reopen(db, &why) != 0 || db_is_replaced(db);
    bad |= db_read_message(db, MESSAGES + 1, &message, &why) != 1;
    if (!bad)
        db_message_free(&message);
    db_close(&db);
    return bad;
}

static void
test_readers_open_anew(void **state)
{
    int ready[2], go[2], status;
    struct db *db;
    struct db_copy *copy;
    struct why why = {0};
    char byte;
    pid_t pid;

    (void)state;
    db = writer();
    fill(db, 1, MESSAGES, "content ");
    db_close(&db); /* an environment does not go through fork */
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    pid = fork();
    if (pid == 0) {
        close(go[1]); /* it ends with us */
        _exit(reader_process(ready[1], go[0]));
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    db = writer();
    copy = db_copy_to_store(db, copy_dir, &why);
    assert_int_equal(wait_for(copy, &why), DB_COPY_DONE);
    assert_int_equal(db_copy_install(db, &copy, &why), 0);
    fill(db, MESSAGES + 1, MESSAGES + 1, "new ");
    assert_int_equal(write(go[1], &byte, 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
    db_close(&db);
}

static void
test_a_copy_that_is_stopped(void **state)
{
    struct db *db = writer();
    struct db_copy *copy;
    struct why why = {0};
    char path[160];

    (void)state;
    fill(db, 1, MESSAGES, "content ");
    copy = db_copy_to_store(db, copy_dir, &why);
    assert_non_null(copy);
    assert_null(db_copy_to_store(db, copy_dir, &why)); /* one at a time */
    db_copy_stop(copy);
    wait_for(copy, &why);
    db_copy_free(&copy);
    path_of(copy_dir, "data.mdb", path);
    assert_int_equal(access(path, F_OK), -1);
    copy = db_copy_to_store(db, copy_dir, &why);
    assert_non_null(copy);
    assert_int_equal(wait_for(copy, &why), DB_COPY_DONE);
    db_copy_free(&copy);
    db_close(&db);
}

/* --- to a descriptor ------------------------------------------------------ */

static void
test_a_copy_to_a_file(void **state)
{
    struct db *db = writer(), *copied;
    struct db_copy *copy;
    struct why why = {0};
    struct buf before, after;
    char path[160];

    (void)state;
    fill(db, 1, MESSAGES, "content ");
    before = dump_of(db);
    path_of(copy_dir, "data.mdb", path);
    copy = db_copy_to_fd(db, open(path, O_WRONLY | O_CREAT, 0600), &why);
    assert_non_null(copy);
    assert_int_equal(wait_for(copy, &why), DB_COPY_DONE);
    db_copy_free(&copy);
    copied = db_open_reader(copy_dir, &why);
    assert_non_null(copied);
    after = dump_of(copied);
    assert_same(&before, &after);
    buf_free(&before);
    buf_free(&after);
    db_close(&copied);
    db_close(&db);
}

static void
test_nobody_takes_the_copy(void **state)
{
    struct db *db = writer();
    struct db_copy *copy;
    struct why why = {0};
    int ends[2];
    char byte;

    (void)state;
    fill(db, 1, MESSAGES, "content ");
    assert_int_equal(pipe(ends), 0);
    copy = db_copy_to_fd(db, ends[1], &why);
    assert_non_null(copy);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    assert_int_equal(wait_for(copy, &why), DB_COPY_FAILED);
    db_copy_free(&copy);
    db_close(&db);
}

/* A backup that is under way outlives the store it reads. */
static void
test_a_copy_outlives_its_store(void **state)
{
    struct db *db = writer();
    struct db_copy *backup;
    struct why why = {0};
    int ends[2];
    size_t total = 0;
    ssize_t n;
    char bytes[4096];

    (void)state;
    fill(db, 1, MESSAGES, "content ");
    assert_int_equal(pipe(ends), 0);
    backup = db_copy_to_fd(db, ends[1], &why);
    assert_non_null(backup);
    assert_int_equal(read(ends[0], bytes, 1), 1);
    /* The same file: the copy would lose its locks. */
    assert_int_equal(db_reopen(db, &why), -1);
    db_close(&db);
    while ((n = read(ends[0], bytes, sizeof(bytes))) > 0)
        total += (size_t)n;
    assert_true(total > 1000000);
    assert_int_equal(wait_for(backup, &why), DB_COPY_DONE);
    db_copy_free(&backup);
    close(ends[0]);
}

/* --- scrub ---------------------------------------------------------------- */

static bool
file_has(const char *what)
{
    struct buf all = {0};
    char path[160];
    struct stat st;
    bool found;
    int fd;

    path_of(dir, "data.mdb", path);
    fd = open(path, O_RDONLY);
    assert_int_equal(fstat(fd, &st), 0);
    buf_reserve(&all, (size_t)st.st_size);
    assert_int_equal(read(fd, all.data, (size_t)st.st_size), st.st_size);
    found = memmem(all.data, (size_t)st.st_size, what, strlen(what)) != NULL;
    close(fd);
    buf_free(&all);
    return found;
}

/* Runs until it is done or waits, with a commit between the steps. */
static enum db_scrub_state
run_scrub(struct db *db, struct db_scrub *scrub, uint64_t *next_id,
          struct why *why)
{
    enum db_scrub_state at;

    while ((at = db_scrub_step(scrub, 16, why)) == DB_SCRUB_MORE) {
        fill(db, *next_id, *next_id, "clean ");
        (*next_id)++;
    }
    return at;
}

/* Every other message is erased: leaves shrink, merge, leave bytes behind. */
static void
erase_half(struct db *db)
{
    fill(db, 1, MESSAGES, "kept ");
    fill(db, 2000, 2000 + MESSAGES, MARKER);
    fill(db, 4000, 4000 + MESSAGES, "kept ");
    for (uint64_t id = 2000; id <= 2000 + MESSAGES; id++) {
        struct db_txn *txn;

        assert_int_equal(db_begin(db, &txn), DB_OK);
        del(txn, id);
        add(txn, id + 10000, "short", 5 + id % 90);
        commit(&txn);
    }
}

static void
test_erased_bytes_are_nowhere(void **state)
{
    struct db *db = writer();
    struct db_scrub *scrub;
    struct why why = {0};
    struct buf before, after;
    uint64_t next_id = 50000;

    (void)state;
    erase_half(db);
    assert_true(file_has("for-good"));
    before = dump_of(db);
    scrub = db_scrub_new(db, &why);
    assert_non_null(scrub);
    assert_int_equal(run_scrub(db, scrub, &next_id, &why), DB_SCRUB_DONE);
    assert_true(db_scrub_pages(scrub) > 100);
    db_scrub_free(&scrub);
    assert_false(file_has("for-good"));
    fill(db, next_id, next_id + 50, "clean ");
    thin_out(db, 300, 7);
    assert_false(file_has("for-good"));
    for (uint64_t id = 50000; id <= next_id + 50; id++) {
        struct db_txn *txn;

        assert_int_equal(db_begin(db, &txn), DB_OK);
        del(txn, id);
        commit(&txn);
    }
    db_close(&db);
    db = writer();
    after = dump_of(db);
    assert_true(after.len < before.len);
    buf_free(&before);
    buf_free(&after);
    db_close(&db);
}

static void
test_rows_are_the_same_after_a_scrub(void **state)
{
    struct db *db = writer();
    struct db_scrub *scrub;
    struct why why = {0};
    struct buf before, after;

    (void)state;
    erase_half(db);
    before = dump_of(db);
    scrub = db_scrub_new(db, &why);
    assert_non_null(scrub);
    while (db_scrub_step(scrub, 64, &why) == DB_SCRUB_MORE)
        ;
    db_scrub_free(&scrub);
    after = dump_of(db);
    assert_same(&before, &after);
    buf_free(&before);
    buf_free(&after);
    db_close(&db);
}

/* A reader in a process of its own that keeps its snapshot. */
static int
hanging_reader(int ready, int go)
{
    struct why why;
    struct db *db = db_open_reader(dir, &why);
    MDB_txn *txn;
    MDB_val key, value;
    MDB_cursor *cursor;
    char byte = 'r';
    int seen = 0;

    if (db == NULL || db_read_begin(db, &txn, &why) != 0 ||
        write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1 ||
        mdb_cursor_open(txn, db->tables[DB_body], &cursor) != 0)
        return 1;
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0)
        seen += memmem(value.mv_data, value.mv_size, "for-good", 8) != NULL;
    return seen < MESSAGES / 2;
}

static void
test_a_reader_is_waited_for(void **state)
{
    struct db_scrub *scrub;
    struct db *db = writer();
    struct why why = {0};
    uint64_t next_id = 50000;
    int ready[2], go[2], status;
    char byte, pid_text[32];
    pid_t pid;

    (void)state;
    fill(db, 2000, 2000 + MESSAGES, MARKER);
    db_close(&db);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    pid = fork();
    if (pid == 0) {
        close(go[1]); /* it ends with us */
        _exit(hanging_reader(ready[1], go[0]));
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    db = writer();
    for (uint64_t id = 2000; id <= 2000 + MESSAGES; id++) {
        struct db_txn *txn;

        assert_int_equal(db_begin(db, &txn), DB_OK);
        del(txn, id);
        commit(&txn);
    }
    scrub = db_scrub_new(db, &why);
    assert_non_null(scrub);
    assert_int_equal(run_scrub(db, scrub, &next_id, &why), DB_SCRUB_WAITS);
    snprintf(pid_text, sizeof(pid_text), "process %d ", (int)pid);
    assert_non_null(strstr(why.text, pid_text));
    assert_true(file_has("for-good"));
    /* What it sees is all there. */
    assert_int_equal(write(go[1], &byte, 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    db_reap_readers(db);
    assert_int_equal(run_scrub(db, scrub, &next_id, &why), DB_SCRUB_DONE);
    assert_false(file_has("for-good"));
    db_scrub_free(&scrub);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
    db_close(&db);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_copy_is_what_was_committed),
        TEST(test_the_copy_takes_the_place),
        TEST(test_readers_open_anew),
        TEST(test_a_copy_that_is_stopped),
        TEST(test_a_copy_to_a_file),
        TEST(test_nobody_takes_the_copy),
        TEST(test_a_copy_outlives_its_store),
        TEST(test_erased_bytes_are_nowhere),
        TEST(test_rows_are_the_same_after_a_scrub),
        TEST(test_a_reader_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
