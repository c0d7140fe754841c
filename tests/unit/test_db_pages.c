/* SPDX-License-Identifier: ISC */
/*
 * Reading a data.mdb page by page: the same rows LMDB has; every kind of
 * damage is named and the rest is there; a new store of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <fcntl.h>

#include "db.h"
#include "db_pages.h"
#include "db_read.h"
#include "db_rescue.h"

#define PAGE     4096
#define MESSAGES 300
#define ID(n)    ((uint64_t)(n) << 21)

static char dir[64];
static struct buf file; /* the good one */

/* --- a store ---------------------------------------------------------------
 */

static void
put_message(struct db_txn *txn, uint64_t id, size_t content)
{
    static char bytes[20000];
    struct message message = {.arrived_ms = 1,
                              .origin = ORIGIN_SMTP,
                              .sender = VIEW("bob@elsewhere.example"),
                              .flow = VIEW("elsewhere.example"),
                              .digest = VIEW("0123456789abcdef"),
                              .pieces = 1,
                              .stored = content};
    struct delivery delivery = {.recipient = VIEW("anna@example.org"),
                                .target = VIEW("office"),
                                .state = DELIVERY_READY};
    struct ledger_entry entry = {.when_ms = 1, .event = 3, .id = id};
    struct sieve sieve = {{1, 2, 3}};

    memset(bytes, (int)(id >> 21 & 0x7f), sizeof(bytes));
    assert_int_equal(db_sieve_add(txn, id, &sieve, &message.block), DB_OK);
    assert_int_equal(db_add_message(txn, id, &message), DB_OK);
    assert_int_equal(db_put_delivery(txn, id, 0, &delivery), DB_OK);
    assert_int_equal(db_put_ready(txn, delivery.target, message.flow, id, 0),
                     DB_OK);
    assert_int_equal(db_put_piece(txn, id, 0, (struct view){bytes, content}),
                     DB_OK);
    assert_int_equal(db_add_ledger(txn, &entry), DB_OK);
}

static void
read_file(const char *name, struct buf *out)
{
    char path[128], chunk[65536];
    int fd;
    ssize_t n;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    buf_reset(out);
    while ((n = read(fd, chunk, sizeof(chunk))) > 0)
        buf_add(out, chunk, (size_t)n);
    close(fd);
}

static void
write_file(struct view bytes)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.len), (ssize_t)bytes.len);
    close(fd);
}

static int
setup(void **state)
{
    struct db_totals totals = {0};
    struct db_txn *txn;
    struct why why;
    struct db *db;

    (void)state;
    strcpy(dir, "/tmp/spoold-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    db = db_open_writer(dir, &why);
    assert_non_null(db);
    for (uint64_t n = 1; n <= MESSAGES; n++) {
        assert_int_equal(db_begin(db, &txn), DB_OK);
        assert_int_equal(db_get_totals(txn, &totals), DB_OK);
        put_message(txn, ID(n), n % 50 == 0 ? 20000 : 300);
        totals.held++;
        totals.held_stored += n % 50 == 0 ? 20000 : 300;
        totals.floor_ms = 7;
        assert_int_equal(db_put_totals(txn, &totals), DB_OK);
        assert_int_equal(db_commit(&txn, &why), DB_OK);
    }
    db_close(&db);
    read_file("data.mdb", &file);
    return 0;
}

static int
teardown(void **state)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "kept"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    buf_free(&file);
    return rmdir(dir);
}

/* --- reading ----------------------------------------------------------------
 */

struct seen {
    struct buf dump; /* as of db_dump */
    uint64_t rows, damages, missing;
    char text[200]; /* of the last damage */
    uint64_t page;
    uint64_t stop_at;
    bool dumps;
};

static void
hex(struct buf *out, struct view bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        buf_addf(out, "%02x", (unsigned char)bytes.data[i]);
}

static bool
on_row(void *arg, struct view table, struct view key, struct view value)
{
    struct seen *seen = arg;

    if (!seen->dumps)
        return ++seen->rows != seen->stop_at;
    buf_addf(&seen->dump, "%.*s ", (int)table.len, table.data);
    hex(&seen->dump, key);
    buf_add_byte(&seen->dump, ' ');
    hex(&seen->dump, value);
    buf_add_byte(&seen->dump, '\n');
    return ++seen->rows != seen->stop_at;
}

static void
on_damage(void *arg, const struct db_pages_damage *damage)
{
    struct seen *seen = arg;

    seen->damages++;
    seen->page = damage->page;
    snprintf(seen->text, sizeof(seen->text), "%s", damage->text);
}

static void
on_table(void *arg, struct view table, uint64_t rows, uint64_t found)
{
    struct seen *seen = arg;

    (void)table;
    seen->missing += rows > found ? rows - found : 0;
}

static int
look(struct view bytes, struct seen *seen)
{
    const struct db_pages_reader reader = {on_row, on_damage, on_table, seen};
    int fd = memfd_create("pages", 0);
    struct why why;
    int rc;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.len), (ssize_t)bytes.len);
    rc = db_pages_read(fd, &reader, &why);
    close(fd);
    return rc;
}

static int
compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines in their order, one string. */
static char *
sorted(const struct buf *dump)
{
    char *copy = strndup(dump->data, dump->len),
         *out = calloc(1, dump->len + 1);
    char **lines = calloc(100000, sizeof(*lines));
    size_t n = 0, len = 0;

    for (char *line = strtok(copy, "\n"); line != NULL;
         line = strtok(NULL, "\n"))
        lines[n++] = line;
    qsort(lines, n, sizeof(*lines), compare_lines);
    for (size_t i = 0; i < n; i++) {
        memcpy(out + len, lines[i], strlen(lines[i]));
        len += strlen(lines[i]);
        out[len++] = '\n';
    }
    free(lines);
    free(copy);
    return out;
}

static void
assert_same_rows(const struct buf *a, const struct buf *b)
{
    char *x = sorted(a), *y = sorted(b);

    assert_true(strcmp(x, y) == 0);
    free(x);
    free(y);
}

static void
test_same_rows(void **state)
{
    struct seen seen = {.dumps = true};
    struct buf dump = {0};
    struct why why;
    struct db *db;

    (void)state;
    assert_int_equal(look(buf_view(&file), &seen), 0);
    assert_int_equal(seen.damages, 0);
    assert_int_equal(seen.missing, 0);
    db = db_open_reader(dir, &why);
    assert_non_null(db);
    assert_int_equal(db_dump(db, &dump, &why), 0);
    db_close(&db);
    assert_same_rows(&seen.dump, &dump);
    buf_free(&dump);
    buf_free(&seen.dump);
}

static void
test_stops(void **state)
{
    struct seen seen = {.stop_at = 5};

    (void)state;
    assert_int_equal(look(buf_view(&file), &seen), 1);
    assert_int_equal(seen.rows, 5);
    buf_free(&seen.dump);
}

/* --- damage -----------------------------------------------------------------
 */

/* A copy of the file to be damaged. */
static struct buf
copy_file(void)
{
    struct buf copy = {0};

    buf_add_view(&copy, buf_view(&file));
    return copy;
}

/* The first page in use from number on that has all of these flags; nobody
 * else says whether it is in use, so the test looks at many. */
static uint64_t
page_with(uint16_t flags, uint64_t from)
{
    for (uint64_t p = from; (p + 1) * PAGE <= file.len; p++) {
        uint16_t have;
        uint64_t number;

        memcpy(&have, file.data + p * PAGE + 10, 2);
        memcpy(&number, file.data + p * PAGE, 8);
        if (number == p && (have & 0xf) == flags)
            return p;
    }
    return 0;
}

/* Damages each page with these flags in turn. Returns how many were missed;
 * whatever is missed must have been told of. */
static size_t
damage_each(uint16_t flags, size_t offset, const void *bytes, size_t len)
{
    size_t hit = 0;
    struct seen whole = {0};

    look(buf_view(&file), &whole);
    for (uint64_t p = page_with(flags, 2); p != 0;
         p = page_with(flags, p + 1)) {
        struct buf copy = copy_file();
        struct seen seen = {0};
        int rc;

        memcpy(copy.data + p * PAGE + offset, bytes, len);
        rc = look(buf_view(&copy), &seen);
        assert_true(rc == 0 || rc == -1);
        if (rc == 0 && seen.rows < whole.rows) {
            assert_true(seen.damages > 0);
            hit++;
        }
        buf_free(&copy);
        buf_free(&seen.dump);
    }
    buf_free(&whole.dump);
    return hit;
}

static void
test_pages(void **state)
{
    static const char zeros[PAGE];
    const uint64_t far = 1 << 30, self = 77;
    const uint16_t odd = 0x1235;

    (void)state;
    assert_true(damage_each(2, 0, zeros, PAGE) > 20); /* leaves */
    assert_true(damage_each(1, 0, zeros, PAGE) > 3);  /* branches */
    assert_true(damage_each(4, 0, zeros, PAGE) > 3);  /* long values */
    assert_true(damage_each(2, 0, &self, 8) > 20);
    assert_true(damage_each(2, 12, &odd, 2) > 20);
    assert_true(damage_each(1, 16, &odd, 2) > 3); /* an entry's place */
    assert_true(damage_each(4, 0, &far, 8) > 3);
}

/* A branch that has itself below it is read once. */
static void
test_loop(void **state)
{
    size_t seen_one = 0;

    (void)state;
    for (uint64_t p = page_with(1, 2); p != 0; p = page_with(1, p + 1)) {
        struct buf copy = copy_file();
        struct seen seen = {0};
        uint16_t place;
        uint32_t low = (uint32_t)p;

        memcpy(&place, copy.data + p * PAGE + 16, 2);
        memcpy(copy.data + p * PAGE + place, &low, 4);
        assert_int_equal(look(buf_view(&copy), &seen), 0);
        seen_one += seen.damages > 0 &&
                    strstr(seen.text, "something else has it") != NULL;
        buf_free(&copy);
        buf_free(&seen.dump);
    }
    assert_true(seen_one > 0);
}

static int
heads(struct view bytes)
{
    int fd = memfd_create("heads", 0);
    struct why why;
    int rc;

    assert_int_equal(write(fd, bytes.data, bytes.len), (ssize_t)bytes.len);
    rc = db_pages_heads(fd, &why);
    close(fd);
    return rc;
}

static void
test_heads(void **state)
{
    static const char zeros[PAGE];
    size_t missed = 0;

    (void)state;
    assert_int_equal(heads(buf_view(&file)), 0);
    for (size_t p = 0; p < 2; p++) {
        struct buf copy = copy_file();
        struct seen seen = {0};

        memcpy(copy.data + p * PAGE, zeros, PAGE);
        assert_int_equal(heads(buf_view(&copy)), -1);
        assert_int_equal(look(buf_view(&copy), &seen), 0);
        assert_int_equal(seen.damages > 0, 1);
        assert_true(seen.rows > 1000);
        buf_free(&copy);
        buf_free(&seen.dump);
    }
    /* A number that was changed makes LMDB take an old state. */
    for (size_t bit = 0; bit < 64; bit++) {
        struct buf copy = copy_file();

        copy.data[16 + 24 + 96 + 8 + bit / 8] ^= (char)(1 << bit % 8);
        missed += heads(buf_view(&copy)) == 0;
        buf_free(&copy);
    }
    /* From one behind to one ahead of the other, or back: nothing tells. */
    assert_true(missed <= 1);
}

static void
test_no_file(void **state)
{
    struct seen seen = {0}, whole = {0};

    (void)state;
    look(buf_view(&file), &whole);
    assert_int_equal(look((struct view){"", 0}, &seen), -1);
    assert_int_equal(look((struct view){file.data + 2 * PAGE, 4 * PAGE}, &seen),
                     -1);
    for (size_t pages = 2; pages < file.len / PAGE; pages += 7) {
        int rc = look((struct view){file.data, pages * PAGE}, &seen);

        assert_true(rc == -1 || seen.damages > 0 || seen.rows == whole.rows);
        seen.damages = seen.rows = 0;
    }
    buf_free(&seen.dump);
}

static void
test_flips(void **state)
{
    (void)state;
    srand(20);
    for (int i = 0; i < 500; i++) {
        struct buf copy = copy_file();
        struct seen seen = {0};

        for (int k = 0; k < 1 + i % 30; k++)
            copy.data[(size_t)rand() % copy.len] ^= (char)(1 << rand() % 8);
        look(buf_view(&copy), &seen);
        buf_free(&copy);
        buf_free(&seen.dump);
    }
}

/* --- a new store ------------------------------------------------------------
 */

static void
on_finding(void *arg, const struct db_finding *finding)
{
    (void)arg;
    assert_true(strlen(finding->text) > 10);
}

static struct db_rescue
rescue(bool make)
{
    struct db_rescue rescue = {.fn = on_finding};
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    struct stat owner;
    struct why why = {0};
    int rc;

    assert_int_equal(fstat(fd, &owner), 0);
    rc = make ? db_rescue_make(fd, dir, &owner, "kept", &rescue, &why)
              : db_rescue_look(fd, &rescue, &why);
    close(fd);
    if (rc != 0)
        fail_msg("%s", why.text);
    return rescue;
}

static void
test_rescue_nothing_wrong(void **state)
{
    struct db_rescue found;

    (void)state;
    write_file(buf_view(&file));
    found = rescue(false);
    assert_int_equal(found.findings, 0);
    assert_int_equal(found.messages, MESSAGES);
    assert_int_equal(found.missing, 0);
}

/* The n-th leaf of the table with rows like these is gone. */
static void
break_leaf_with(const char *text, struct buf *copy)
{
    static const char zeros[PAGE];

    for (uint64_t p = page_with(2, 2); p != 0; p = page_with(2, p + 1)) {
        struct seen seen = {0};

        if (memmem(copy->data + p * PAGE, PAGE, text, strlen(text)) == NULL)
            continue;
        memcpy(copy->data + p * PAGE, zeros, PAGE);
        look(buf_view(copy), &seen);
        buf_free(&seen.dump);
        if (seen.damages > 0)
            return;
        /* a page that was free: another */
    }
    fail();
}

static void
test_rescue(void **state)
{
    struct buf copy = copy_file(), kept = {0}, memory = {0};
    struct db_message message;
    struct db_totals totals;
    struct db_rescue found;
    struct db_counts counts;
    struct why why;
    struct db *db;
    size_t here = 0;

    (void)state;
    break_leaf_with("bob@elsewhere.example", &copy);
    write_file(buf_view(&copy));
    found = rescue(true);
    assert_true(found.findings > 0);
    assert_true(found.missing > 0 && found.missing < MESSAGES);
    read_file("kept", &kept);
    assert_true(view_equal(buf_view(&kept), buf_view(&copy)));

    db = db_open_writer(dir, &why);
    assert_non_null(db);
    for (uint64_t n = 1; n <= MESSAGES; n++) {
        int got = db_read_message(db, ID(n), &message, &why);

        assert_true(got >= 0);
        here += got == 1;
        if (got == 1)
            db_message_free(&message);
    }
    assert_int_equal(here, MESSAGES - found.missing);
    assert_int_equal(db_read_counts(db, &counts, &why), 1);
    assert_int_equal(counts.held, here);
    assert_int_equal(counts.deliveries, MESSAGES);
    assert_int_equal(counts.floor_ms,
                     counts.floor_ms > 0 ? counts.floor_ms : 1);
    assert_int_equal(db_read_totals(db, &totals, &memory, &why), 1);
    assert_int_equal(totals.seq, MESSAGES + 1);
    db_close(&db);
    buf_free(&memory);
    buf_free(&copy);
    buf_free(&kept);
}

/* The row with the end of the chain is damaged: the entries lead to it. */
static void
test_rescue_totals(void **state)
{
    struct buf copy = copy_file(), memory = {0};
    struct db_totals totals;
    char head[LEDGER_HASH] = {0}, row[400];
    struct why why;
    struct db *db;
    size_t len;

    (void)state;
    write_file(buf_view(&file));
    db = db_open_reader(dir, &why);
    assert_int_equal(db_read_totals(db, &totals, &memory, &why), 1);
    memcpy(head, totals.head.data, LEDGER_HASH);
    db_close(&db);
    for (char *at = copy.data;
         (at = memmem(at, (size_t)(copy.data + copy.len - at), head,
                      LEDGER_HASH)) != NULL;
         at++)
        at[3] ^= 1;
    write_file(buf_view(&copy));
    unlink("kept");
    snprintf(row, sizeof(row), "%s/kept", dir);
    unlink(row);
    assert_true(rescue(true).findings > 0);
    db = db_open_writer(dir, &why);
    assert_non_null(db);
    assert_int_equal(db_read_totals(db, &totals, &memory, &why), 1);
    assert_int_equal(totals.seq, MESSAGES + 1);
    assert_int_equal(totals.held, MESSAGES);
    /* one entry on from the head that was lost */
    {
        struct buf value = {0};
        struct db_txn *txn;
        struct view raw;
        char key[8] = {0};

        key[6] = (char)((MESSAGES + 1) >> 8);
        key[7] = (char)((MESSAGES + 1) & 0xff);
        assert_int_equal(db_begin(db, &txn), DB_OK);
        assert_int_equal(
            db_get_raw(txn, VIEW("ledger"), (struct view){key, 8}, &raw),
            DB_OK);
        buf_add_view(&value, raw);
        db_abort(&txn);
        len = value.len;
        assert_true(len > LEDGER_CHECK);
        ledger_chain_next(head, MESSAGES + 1,
                          view_skip(buf_view(&value), LEDGER_CHECK));
        assert_memory_equal(head, totals.head.data, LEDGER_HASH);
        buf_free(&value);
    }
    db_close(&db);
    buf_free(&memory);
    buf_free(&copy);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_rows),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_loop),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_flips),
        cmocka_unit_test(test_rescue_nothing_wrong),
        cmocka_unit_test(test_rescue),
        cmocka_unit_test(test_rescue_totals),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
