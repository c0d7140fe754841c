/* SPDX-License-Identifier: ISC */
/*
 * Why this is safe, and why it is all.
 *
 * A page is in the free list under the number of the transaction that freed
 * it, T. It is part of snapshots before T only. Who may still look at such a
 * snapshot? A reader that began before T; and, after a crash that tears the
 * newer of the two meta pages, whoever opens the file and falls back to the
 * older one, the snapshot before the last, L. So pages of entries with T
 * below L and below the oldest reader are nobody's: LMDB itself takes a page
 * for new data under the same condition. We are the writer, commit nothing
 * during a step, and read the list anew in each: a page that LMDB took
 * meanwhile is not in it any more. A reader that comes during the step sees
 * L. A crash in the middle of a step leaves a free page half written over.
 *
 * In a page that is in use, the bytes between the table of entries and the
 * entries, and those behind a value with pages of its own, are looked at by
 * nobody: they are what LMDB last had in that memory. They are overwritten in
 * place with the live bytes around them as they are, which a torn write does
 * not change.
 *
 * LMDB keeps page buffers from one transaction for the next as they are, and
 * would go on writing what was removed into such gaps. Opening the
 * environment again gives the buffers back; new ones are zeroed. So: open
 * again (what is written from here on is clean), walk the pages in use, then
 * the free pages up to the transaction at which the walk ended. Pages that
 * were freed later were in use at the end of the walk, or are younger than
 * it, and clean. The leaves of a table are found by its rows, a step at a
 * time; LMDB's own tables and the branch pages, which are few and change with
 * each commit, all in the last step.
 *
 * Keys that branch pages use are left: they are message numbers, and in ready
 * the names of a target and of a sender's domain.
 */
#include "db_scrub.h"

#include <sys/stat.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "db_copy.h"
#include "db_lmdb.h"
#include "mem.h"

/* The head of LMDB's pages (0.9): number, 2 bytes of nothing, flags, and
 * where the gap begins and ends, or how many pages belong together. */
struct page_head {
    uint64_t number;
    uint16_t pad;
    uint16_t flags;
    union {
        struct {
            uint16_t lower;
            uint16_t upper;
        } gap;
        uint32_t pages;
    } of;
};
_Static_assert(sizeof(struct page_head) == 16, "as LMDB has it on disk");
#define PAGE_BRANCH   0x01
#define PAGE_LEAF     0x02
#define PAGE_OVERFLOW 0x04

/* How LMDB describes a table: in its own table of tables, and for that and
 * the free list in the meta pages. */
struct tree {
    uint32_t pad;
    uint16_t flags;
    uint16_t depth; /* 1: the root is a leaf */
    uint64_t counts[4];
    uint64_t root;
};
_Static_assert(sizeof(struct tree) == 48, "as LMDB has it on disk");
#define META_TREES 40 /* where the two are in a meta page */

static const MDB_dbi free_list = 0, table_of_tables = 1;

#define PAGE_MAX 65536
/* Looked at in a step, for each page that it may write. */
#define ROWS_A_PAGE  32
#define LOOKS_A_PAGE 8

struct db_scrub {
    struct db *db;
    int fd;
    size_t page_size;
    uint64_t last_page; /* of the file at the start: later ones are clean */
    uint64_t tail;      /* bytes behind it, up to here, are done */
    int table;          /* in use: the table under way */
    struct db_key row;  /* the row to go on with, or len 0: the first */
    uint64_t walked;    /* free pages: the transaction the walk ended at */
    uint64_t entry;     /* of the free list: where to go on */
    bool found;         /* this round over the list found some */
    char *done;         /* a bit for each page that was free and is zero */
    uint64_t written;
    size_t left;  /* of this step: pages to write over */
    size_t looks; /* and to read for that */
    char zeros[PAGE_MAX];
    char page[PAGE_MAX];
};

struct db_scrub *
db_scrub_new(struct db *db, struct why *why)
{
    struct db_scrub *scrub;
    MDB_envinfo info;
    MDB_stat stat;

    if (db_reopen(db, why) != 0)
        return NULL;
    scrub = mem_alloc(sizeof(*scrub));
    scrub->db = db;
    mdb_env_get_fd(db->env, &scrub->fd);
    mdb_env_info(db->env, &info);
    mdb_env_stat(db->env, &stat);
    scrub->page_size = stat.ms_psize;
    scrub->last_page = info.me_last_pgno;
    scrub->tail = (scrub->last_page + 1) * scrub->page_size;
    scrub->done = mem_alloc(scrub->last_page / 8 + 1);
    return scrub;
}

void
db_scrub_free(struct db_scrub **scrub)
{
    if (*scrub == NULL)
        return;
    free((*scrub)->done);
    free(*scrub);
    *scrub = NULL;
}

uint64_t
db_scrub_pages(const struct db_scrub *scrub)
{
    return scrub->written;
}

static bool
is_zero(const char *bytes, size_t len)
{
    return len == 0 ||
           (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* Writes zeros where there are other bytes: now is what is there. */
static int
write_over(struct db_scrub *scrub, uint64_t offset, const char *now, size_t len,
           struct why *why)
{
    if (is_zero(now, len))
        return 0;
    if (pwrite(scrub->fd, scrub->zeros, len, (off_t)offset) != (ssize_t)len)
        return why_text(why, "writing over erased bytes: %s", strerror(errno));
    scrub->written++;
    if (scrub->left > 0)
        scrub->left--;
    return 0;
}

static bool
has_enough(const struct db_scrub *scrub)
{
    return scrub->left == 0 || scrub->looks == 0;
}

/* The same for a whole page, or what there is of it. */
static int
write_over_page(struct db_scrub *scrub, uint64_t number, struct why *why)
{
    uint64_t offset = number * scrub->page_size;
    ssize_t n = pread(scrub->fd, scrub->page, scrub->page_size, (off_t)offset);

    scrub->looks--;
    if (n < 0)
        return why_text(why, "reading a free page: %s", strerror(errno));
    return write_over(scrub, offset, scrub->page, (size_t)n, why);
}

/* --- behind the last page ------------------------------------------------- */

/* The file was made longer ahead of need, and a transaction that failed may
 * have written there. 1: done. */
static int
scrub_tail(struct db_scrub *scrub, struct why *why)
{
    MDB_envinfo info;
    struct stat st;
    uint64_t last;

    if (fstat(scrub->fd, &st) != 0 || mdb_env_info(scrub->db->env, &info) != 0)
        return why_text(why, "the data file: %s", strerror(errno));
    last = (info.me_last_pgno + 1) * scrub->page_size;
    if (scrub->tail < last)
        scrub->tail = last;
    for (; scrub->tail < (uint64_t)st.st_size && !has_enough(scrub);
         scrub->tail += scrub->page_size) {
        if (write_over_page(scrub, scrub->tail / scrub->page_size, why) != 0)
            return -1;
    }
    return scrub->tail >= (uint64_t)st.st_size;
}

/* --- pages in use --------------------------------------------------------- */

static const struct page_head *
head_of(const struct db_scrub *scrub, const void *at)
{
    return (const void *)((uintptr_t)at & ~(uintptr_t)(scrub->page_size - 1));
}

static int
bad_page(const struct page_head *head, struct why *why)
{
    return why_text(why, "page %" PRIu64 " of the data file is not one",
                    head->number);
}

static int
scrub_gap(struct db_scrub *scrub, const struct page_head *head, uint16_t kind,
          struct why *why)
{
    size_t lower = head->of.gap.lower, upper = head->of.gap.upper;

    if ((head->flags & kind) == 0 || lower < sizeof(*head) || lower > upper ||
        upper > scrub->page_size)
        return bad_page(head, why);
    return write_over(scrub, head->number * scrub->page_size + lower,
                      (const char *)head + lower, upper - lower, why);
}

/* The gap of the leaf the key is in. *seen is the last leaf. */
static int
scrub_leaf(struct db_scrub *scrub, const MDB_val *key,
           const struct page_head **seen, struct why *why)
{
    const struct page_head *head = head_of(scrub, key->mv_data);

    if (head == *seen)
        return 0;
    *seen = head;
    return scrub_gap(scrub, head, PAGE_LEAF, why);
}

/* What follows a value that has pages of its own. */
static int
scrub_value(struct db_scrub *scrub, const MDB_val *value,
            const struct page_head *leaf, struct why *why)
{
    const struct page_head *head = head_of(scrub, value->mv_data);
    size_t end = sizeof(*head) + value->mv_size;
    size_t whole;

    if (value->mv_size == 0 || head == leaf)
        return 0;
    whole = head->of.pages * scrub->page_size;
    if ((const char *)value->mv_data != (const char *)(head + 1) ||
        (head->flags & PAGE_OVERFLOW) == 0 || whole < end)
        return bad_page(head, why);
    return write_over(scrub, head->number * scrub->page_size + end,
                      (const char *)head + end, whole - end, why);
}

/* Rows of one table from where it stands. 1: the end, 0: enough for now. */
static int
scrub_rows(struct db_scrub *scrub, MDB_cursor *cursor, struct why *why)
{
    size_t rows = scrub->left * ROWS_A_PAGE;
    const struct page_head *leaf = NULL;
    MDB_val key = db_key_val(&scrub->row), value;
    int rc = mdb_cursor_get(cursor, &key, &value,
                            scrub->row.len > 0 ? MDB_SET_RANGE : MDB_FIRST);

    for (; rc == 0 && scrub->left > 0 && rows > 0; rows--) {
        if (scrub_leaf(scrub, &key, &leaf, why) != 0 ||
            scrub_value(scrub, &value, leaf, why) != 0)
            return -1;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    if (rc == MDB_NOTFOUND)
        return 1;
    if (rc != 0)
        return why_text(why, "reading the store: %s", mdb_strerror(rc));
    scrub->row.len = key.mv_size;
    memcpy(scrub->row.bytes, key.mv_data, key.mv_size);
    return 0;
}

/* 1: all tables are done. */
static int
scrub_tables(struct db_scrub *scrub, MDB_txn *txn, struct why *why)
{
    while (scrub->table < DB_TABLE_COUNT && scrub->left > 0) {
        MDB_cursor *cursor;
        int rc = mdb_cursor_open(txn, scrub->db->tables[scrub->table], &cursor);
        int end;

        if (rc != 0)
            return why_text(why, "reading the store: %s", mdb_strerror(rc));
        end = scrub_rows(scrub, cursor, why);
        mdb_cursor_close(cursor);
        if (end <= 0)
            return end;
        scrub->table++;
        scrub->row.len = 0;
    }
    return scrub->table == DB_TABLE_COUNT;
}

/* --- LMDB's own tables, branch pages ---------------------------------------
 */

/* The gaps of all branch pages under page number; map is where the file is in
 * memory. */
static int
scrub_branches(struct db_scrub *scrub, const char *map, uint64_t number,
               unsigned depth, struct why *why)
{
    const char *page = map + number * scrub->page_size;
    struct page_head head;
    size_t children;

    memcpy(&head, page, sizeof(head));
    if (head.number != number)
        return bad_page(&head, why);
    if (scrub_gap(scrub, (const void *)page, PAGE_BRANCH, why) != 0)
        return -1;
    children = (head.of.gap.lower - sizeof(head)) / 2;
    for (size_t i = 0; i < children && depth > 2; i++) {
        uint16_t at, parts[3]; /* of a page number of 48 bits */

        memcpy(&at, page + sizeof(head) + 2 * i, sizeof(at));
        memcpy(parts, page + at, sizeof(parts));
        number = parts[0] | (uint64_t)parts[1] << 16 | (uint64_t)parts[2] << 32;
        if (scrub_branches(scrub, map, number, depth - 1, why) != 0)
            return -1;
    }
    return 0;
}

static int
scrub_tree(struct db_scrub *scrub, const char *map, const void *at,
           struct why *why)
{
    struct tree tree;

    memcpy(&tree, at, sizeof(tree));
    return tree.depth < 2
               ? 0
               : scrub_branches(scrub, map, tree.root, tree.depth, why);
}

/* All rows of one of LMDB's own tables. */
static int
scrub_own_rows(struct db_scrub *scrub, MDB_txn *txn, MDB_dbi own,
               const char *map, struct why *why)
{
    const struct page_head *leaf = NULL;
    MDB_val key, value;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, own, &cursor);

    if (rc != 0)
        return why_text(why, "LMDB's tables: %s", mdb_strerror(rc));
    while (rc == 0 && mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        rc = scrub_leaf(scrub, &key, &leaf, why);
        if (rc == 0)
            rc = scrub_value(scrub, &value, leaf, why);
        if (rc == 0 && own == table_of_tables &&
            value.mv_size == sizeof(struct tree))
            rc = scrub_tree(scrub, map, value.mv_data, why);
    }
    mdb_cursor_close(cursor);
    return rc;
}

/* Where the file is in memory, by a row that is always there. */
static const char *
map_of(struct db_scrub *scrub, MDB_txn *txn)
{
    MDB_val key = db_val(VIEW("format")), value;
    const struct page_head *head;

    if (mdb_get(txn, scrub->db->tables[DB_setting], &key, &value) != 0)
        return NULL;
    head = head_of(scrub, value.mv_data);
    return (const char *)head - head->number * scrub->page_size;
}

static int
scrub_own(struct db_scrub *scrub, MDB_txn *txn, struct why *why)
{
    const char *map = map_of(scrub, txn);
    const char *meta;

    if (map == NULL)
        return why_text(why, "the store has no format");
    /* LMDB writes the meta pages in turn. */
    meta = map + mdb_txn_id(txn) % 2 * scrub->page_size + META_TREES;
    if (scrub_own_rows(scrub, txn, free_list, map, why) != 0 ||
        scrub_own_rows(scrub, txn, table_of_tables, map, why) != 0 ||
        scrub_tree(scrub, map, meta, why) != 0)
        return -1;
    return scrub_tree(scrub, map, meta + sizeof(struct tree), why);
}

/* --- free pages ----------------------------------------------------------- */

struct oldest {
    uint64_t txn;
    long pid;
};

/* A line of LMDB's list of readers: process, thread, transaction. */
static int
add_reader(const char *line, void *arg)
{
    struct oldest *oldest = arg;
    unsigned long long txn;
    long pid;

    if (sscanf(line, "%ld %*x %llu", &pid, &txn) == 2 && txn < oldest->txn)
        *oldest = (struct oldest){txn, pid};
    return 0;
}

/* The pages of one entry of the list. */
static int
scrub_entry(struct db_scrub *scrub, const MDB_val *value, struct why *why)
{
    size_t count = value->mv_size / sizeof(size_t);
    const char *at = value->mv_data; /* how many, then their numbers */

    for (size_t i = 1; i < count && !has_enough(scrub); i++) {
        size_t number;

        memcpy(&number, at + i * sizeof(number), sizeof(number));
        if (number > scrub->last_page ||
            (scrub->done[number / 8] >> number % 8 & 1) != 0)
            continue;
        if (write_over_page(scrub, number, why) != 0)
            return -1;
        scrub->done[number / 8] |= (char)(1 << number % 8);
        scrub->found = true;
    }
    return 0;
}

/* A round over the list, as far as limit allows. 1: the end of it; *waits is
 * set when there are entries that must wait. */
static int
scrub_list(struct db_scrub *scrub, MDB_cursor *cursor, uint64_t limit,
           bool *waits, struct why *why)
{
    MDB_val key = {sizeof(scrub->entry), &scrub->entry}, value;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

    for (; rc == 0; rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        size_t txn;

        memcpy(&txn, key.mv_data, sizeof(txn));
        if (txn > scrub->walked)
            return 1;
        if (txn >= limit) {
            *waits = true;
            return 1;
        }
        if (scrub_entry(scrub, &value, why) != 0)
            return -1;
        scrub->entry = txn;
        if (has_enough(scrub))
            return 0;
    }
    return rc == MDB_NOTFOUND
               ? 1
               : why_text(why, "the free list: %s", mdb_strerror(rc));
}

/* 1: all that was free when the walk ended is zero; 2: a reader is in the
 * way. LMDB puts pages it did not use back under lower numbers, so rounds
 * are made until one finds nothing. */
static int
scrub_free_pages(struct db_scrub *scrub, MDB_txn *txn, struct why *why)
{
    struct oldest oldest = {mdb_txn_id(txn), 0};
    MDB_cursor *cursor;
    bool waits = false;
    int end, rc;

    mdb_reader_list(scrub->db->env, add_reader, &oldest);
    rc = mdb_cursor_open(txn, free_list, &cursor);
    if (rc != 0)
        return why_text(why, "the free list: %s", mdb_strerror(rc));
    end = scrub_list(scrub, cursor, oldest.txn, &waits, why);
    mdb_cursor_close(cursor);
    if (end <= 0)
        return end;
    scrub->entry = 0;
    if (scrub->found) {
        scrub->found = false;
        return 0;
    }
    if (waits)
        why_text(why, "process %ld has been reading the store since before",
                 oldest.pid);
    return waits ? 2 : 1;
}

/* --- a step --------------------------------------------------------------- */

/* A commit that changes no row: what was freed before it is behind both meta
 * pages then. */
static int
advance(struct db *db, struct why *why)
{
    MDB_val key = db_val(VIEW("format")), value;
    char format[64];
    MDB_txn *txn;
    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);

    if (rc != 0)
        return why_text(why, "the store: %s", mdb_strerror(rc));
    rc = mdb_get(txn, db->tables[DB_setting], &key, &value);
    if (rc == 0 && value.mv_size <= sizeof(format)) {
        memcpy(format, value.mv_data, value.mv_size);
        value.mv_data = format;
        rc = mdb_put(txn, db->tables[DB_setting], &key, &value, 0);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return why_text(why, "the store: %s", mdb_strerror(rc));
    }
    rc = mdb_txn_commit(txn);
    return rc == 0 ? 0 : why_text(why, "the store: %s", mdb_strerror(rc));
}

static int
scrub_in_use(struct db_scrub *scrub, struct why *why)
{
    MDB_txn *txn;
    int end;

    if (db_read_begin(scrub->db, &txn, why) != 0)
        return -1;
    end = scrub_tables(scrub, txn, why);
    if (end == 1 && scrub_own(scrub, txn, why) != 0)
        end = -1;
    if (end == 1)
        scrub->walked = mdb_txn_id(txn);
    db_read_end(scrub->db);
    if (end == 1 && advance(scrub->db, why) != 0)
        return -1;
    return end < 0 ? -1 : 0;
}

static int
scrub_free(struct db_scrub *scrub, struct why *why)
{
    MDB_txn *txn;
    int end;

    if (db_read_begin(scrub->db, &txn, why) != 0)
        return -1;
    end = scrub_free_pages(scrub, txn, why);
    db_read_end(scrub->db);
    return end;
}

enum db_scrub_state
db_scrub_step(struct db_scrub *scrub, size_t pages, struct why *why)
{
    uint64_t before = scrub->written;
    int end;

    scrub->left = pages;
    scrub->looks = pages * LOOKS_A_PAGE;
    end = scrub_tail(scrub, why);
    if (end == 1)
        end = scrub->walked == 0 ? scrub_in_use(scrub, why)
                                 : scrub_free(scrub, why);
    if (end >= 0 && scrub->written > before && fdatasync(scrub->fd) != 0)
        end = why_text(why, "writing over erased bytes: %s", strerror(errno));
    if (end < 0)
        return DB_SCRUB_FAILED;
    if (end == 2)
        return DB_SCRUB_WAITS;
    return end == 1 ? DB_SCRUB_DONE : DB_SCRUB_MORE;
}
