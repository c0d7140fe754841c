/* SPDX-License-Identifier: ISC */
/* Questions about accounts, and which numbers of mailbox are a user's. */
#include <stdlib.h>

#include "db_lmdb.h"
#include "db_mailbox.h"
#include "db_mailbox_read.h"
#include "glob.h"
#include "mem.h"

static int
answer(int rc, struct why *why)
{
    if (rc == 0)
        return 1;
    return rc == MDB_NOTFOUND
               ? 0
               : why_text(why, "reading the store: %s", mdb_strerror(rc));
}

/* Copies the value at key to memory. */
static int
copy_row(struct db *db, MDB_txn *txn, enum db_table table,
         const struct db_key *key, struct buf *memory)
{
    MDB_val k = db_val((struct view){key->bytes, key->len}), v;
    int rc = mdb_get(txn, db->tables[table], &k, &v);

    buf_reset(memory);
    if (rc == 0)
        buf_add_view(memory, db_view(v));
    return rc;
}

/* --- accounts ------------------------------------------------------------- */

static int
decode_account(const struct db_key *key, const struct buf *memory,
               struct account *out, struct why *why)
{
    if (db_row_decode(DB_user, (struct view){key->bytes, key->len},
                      buf_view(memory), &account_record, out) == 0)
        return 1;
    return why_text(why, "damaged row %llu in user",
                    (unsigned long long)bytes_get64(key->bytes));
}

int
db_read_account(struct db *db, uint64_t number, struct account *out,
                struct buf *memory, struct why *why)
{
    struct db_key key;
    MDB_txn *txn;
    int rc;

    *out = (struct account){0};
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    db_key_id(&key, number);
    rc = copy_row(db, txn, DB_user, &key, memory);
    db_read_end(db);
    return rc == 0 ? decode_account(&key, memory, out, why) : answer(rc, why);
}

/* The login at key, or the first behind it; the account it names. */
static int
read_named(struct db *db, struct db_key *key, MDB_cursor_op op,
           struct account *out, struct buf *memory, struct why *why)
{
    struct address_row login;
    struct db_key number;
    MDB_val k = db_key_val(key), v;
    MDB_cursor *cursor;
    MDB_txn *txn;
    int rc;

    *out = (struct account){0};
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = mdb_cursor_open(txn, db->tables[DB_login], &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &k, &v, key->len > 0 ? op : MDB_FIRST);
        mdb_cursor_close(cursor);
    }
    if (rc == 0 && db_row_decode(DB_login, db_view(k), db_view(v),
                                 &address_row_record, &login) != 0)
        rc = MDB_CORRUPTED;
    if (rc == 0) {
        db_key_id(&number, login.number);
        rc = copy_row(db, txn, DB_user, &number, memory);
    }
    db_read_end(db);
    return rc == 0 ? decode_account(&number, memory, out, why)
                   : answer(rc, why);
}

int
db_read_account_named(struct db *db, struct view name, struct account *out,
                      struct buf *memory, struct why *why)
{
    struct db_key key;

    if (name.len == 0)
        return 0;
    db_key_name(&key, name);
    return read_named(db, &key, MDB_SET_KEY, out, memory, why);
}

int
db_read_account_after(struct db *db, struct view after, struct account *out,
                      struct buf *memory, struct why *why)
{
    struct db_key key;

    db_key_name(&key, after);
    if (key.len > 0) /* the first key behind "name" is "name\0" */
        key.bytes[key.len++] = '\0';
    return read_named(db, &key, MDB_SET_RANGE, out, memory, why);
}

/* --- addresses ------------------------------------------------------------ */

typedef bool address_fn(void *arg, struct view address, uint64_t number);

/* Every address with mail that fits the pattern, until fn says false. */
static int
walk_domain(struct db *db, MDB_txn *txn, struct view pattern, address_fn *fn,
            void *arg)
{
    struct db_key key;
    size_t domain;
    MDB_cursor *walk;
    MDB_val k, v;
    int rc = mdb_cursor_open(txn, db->tables[DB_address], &walk);

    if (rc != 0)
        return rc;
    db_key_address(&key, pattern);
    domain = (size_t)((char *)memchr(key.bytes, '@', key.len) - key.bytes) + 1;
    k = db_val((struct view){key.bytes, domain});
    rc = mdb_cursor_get(walk, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && k.mv_size > domain && k.mv_size <= MAILBOX_ADDRESS_MAX &&
           memcmp(k.mv_data, key.bytes, domain) == 0) {
        char text[MAILBOX_ADDRESS_MAX];
        struct view address = {text, k.mv_size};
        struct address_row row;
        size_t local = k.mv_size - domain;

        memcpy(text, (const char *)k.mv_data + domain, local);
        text[local] = '@';
        memcpy(text + local + 1, k.mv_data, domain - 1);
        if (glob_matches(pattern, address) &&
            db_row_decode(DB_address, db_view(k), db_view(v),
                          &address_row_record, &row) == 0 &&
            !fn(arg, address, row.number))
            break;
        rc = mdb_cursor_get(walk, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(walk);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
walk_pattern(struct db *db, MDB_txn *txn, struct view pattern, address_fn *fn,
             void *arg)
{
    struct address_row row;
    struct db_key key;
    MDB_val k, v;
    int rc;

    if (account_pattern_is_wild(pattern))
        return walk_domain(db, txn, pattern, fn, arg);
    db_key_address(&key, pattern);
    k = db_key_val(&key);
    rc = mdb_get(txn, db->tables[DB_address], &k, &v);
    if (rc == 0 && db_row_decode(DB_address, db_view(k), db_view(v),
                                 &address_row_record, &row) == 0)
        fn(arg, pattern, row.number);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool
add_number(void *arg, struct view address, uint64_t number)
{
    struct db_numbers *numbers = arg;

    (void)address;
    if (numbers->count == numbers->cap) {
        numbers->cap = numbers->cap > 0 ? numbers->cap * 2 : 8;
        numbers->items =
            mem_grow(numbers->items, numbers->cap, sizeof(*numbers->items));
    }
    numbers->items[numbers->count++] = number;
    return numbers->count < DB_NUMBERS_MAX;
}

struct names {
    struct buf *out;
    size_t left;
};

static bool
add_name(void *arg, struct view address, uint64_t number)
{
    struct names *names = arg;

    (void)number;
    buf_add_view(names->out, address);
    buf_add_byte(names->out, '\0');
    return --names->left > 0;
}

static int
by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

/* In order, each once: two patterns may name the same address. */
static void
sort_numbers(struct db_numbers *numbers)
{
    size_t kept = 0;

    if (numbers->count == 0)
        return;
    qsort(numbers->items, numbers->count, sizeof(*numbers->items), by_number);
    for (size_t i = 0; i < numbers->count; i++)
        if (i == 0 || numbers->items[i] != numbers->items[kept - 1])
            numbers->items[kept++] = numbers->items[i];
    numbers->count = kept;
}

int
db_mailbox_numbers(struct db *db, uint64_t user,
                   const struct record_list *patterns, struct db_numbers *out,
                   struct why *why)
{
    const struct account_text *items = patterns->items;
    MDB_txn *txn;
    int rc = 0;

    out->count = 0;
    add_number(out, (struct view){0}, user);
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    for (size_t i = 0; i < patterns->count && rc == 0; i++)
        if (out->count < DB_NUMBERS_MAX)
            rc = walk_pattern(db, txn, items[i].text, add_number, out);
    db_read_end(db);
    sort_numbers(out);
    return answer(rc, why);
}

int
db_mailbox_numbers_of(struct db *db, struct view pattern,
                      struct db_numbers *out, struct why *why)
{
    MDB_txn *txn;
    int rc;

    out->count = 0;
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = walk_pattern(db, txn, pattern, add_number, out);
    db_read_end(db);
    sort_numbers(out);
    return answer(rc, why);
}

int
db_mailbox_addresses(struct db *db, struct view pattern, size_t max,
                     struct buf *out, struct why *why)
{
    struct names names = {out, max};
    MDB_txn *txn;
    int rc;

    if (max == 0)
        return 1;
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = walk_pattern(db, txn, pattern, add_name, &names);
    db_read_end(db);
    return answer(rc, why);
}

void
db_numbers_free(struct db_numbers *numbers)
{
    free(numbers->items);
    *numbers = (struct db_numbers){0};
}
