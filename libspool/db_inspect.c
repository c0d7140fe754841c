/* SPDX-License-Identifier: ISC */
#include "db_inspect.h"

#include <stdarg.h>
#include <stdio.h>

#include "db_lmdb.h"
#include "dictionary.h"

struct look {
    struct db *db;
    MDB_txn *txn;
    db_finding_fn *fn;
    void *arg;
};

static void __attribute__((format(printf, 7, 8)))
found(const struct look *look, enum mend_what mend, enum db_table table,
      const struct db_key *key, uint64_t id, uint64_t n, const char *format,
      ...)
{
    struct db_finding finding = {.mend = mend,
                                 .table = db_table_names[table],
                                 .key = {key->bytes, key->len},
                                 .id = id,
                                 .n = n};
    va_list ap;

    va_start(ap, format);
    vsnprintf(finding.text, sizeof(finding.text), format, ap);
    va_end(ap);
    look->fn(look->arg, &finding);
}

static int
row_get(const struct look *look, enum db_table table, struct db_key *key,
        MDB_val *value)
{
    MDB_val k = db_key_val(key);

    return mdb_get(look->txn, look->db->tables[table], &k, value);
}

static bool
row_is_there(const struct look *look, enum db_table table, struct db_key *key)
{
    MDB_val value;

    return row_get(look, table, key, &value) == 0;
}

/* 0: decoded, MDB_NOTFOUND, MDB_CORRUPTED: the row is damaged. */
static int
row_read(const struct look *look, enum db_table table, struct db_key *key,
         const struct record_type *type, void *object)
{
    MDB_val value;
    int rc = row_get(look, table, key, &value);

    if (rc == 0 && db_row_decode(table, (struct view){key->bytes, key->len},
                                 db_view(value), type, object) != 0)
        rc = MDB_CORRUPTED;
    return rc;
}

static int
read_message(const struct look *look, uint64_t id, struct message *message)
{
    struct db_key key;
    int rc;

    db_key_id(&key, id);
    rc = row_read(look, DB_message, &key, &message_record, message);
    if (rc == 0)
        message_unpack(message);
    return rc;
}

/* --- a message -------------------------------------------------------------
 */

/* The delivery's rows in ready and later. */
static void
inspect_indexes(const struct look *look, uint64_t id, uint64_t n,
                const struct message *message, const struct delivery *row)
{
    struct db_key key, at;
    char flow[MESSAGE_FLOW_KEY_MAX];
    bool ready;

    db_key_id_n(&at, id, n);
    if (db_key_ready(&key, row->target,
                     (struct view){flow, message_flow_key(message, flow)}, id,
                     n) != 0) {
        found(look, MEND_NONE, DB_delivery, &at, id, n,
              "delivery %llu has no target", (unsigned long long)n);
        return;
    }
    ready = row_is_there(look, DB_ready, &key);
    if (ready && row->state != DELIVERY_READY)
        found(look, MEND_DROP, DB_ready, &key, id, n,
              "delivery %llu is %s and has a row in ready",
              (unsigned long long)n, delivery_state_name(row->state));
    if (!ready && row->state == DELIVERY_READY)
        found(look, MEND_READY, DB_delivery, &at, id, n,
              "delivery %llu is ready and has no row in ready",
              (unsigned long long)n);
    db_key_later(&key, row->next_ms, id, n);
    if (delivery_waits(row->state) && !row_is_there(look, DB_later, &key))
        found(look, MEND_LATER, DB_delivery, &at, id, n,
              "delivery %llu waits and has no row in later",
              (unsigned long long)n);
}

/* All deliveries; how many there are and how many are open. */
static int
inspect_deliveries(const struct look *look, uint64_t id,
                   const struct message *message, size_t *count, size_t *open)
{
    struct db_key start;
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(look->txn, look->db->tables[DB_delivery], &cursor);

    *count = *open = 0;
    if (rc != 0)
        return rc;
    db_key_id(&start, id);
    k = db_key_val(&start);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && k.mv_size == 12 &&
           memcmp(k.mv_data, start.bytes, 8) == 0) {
        uint64_t n = bytes_get32((const char *)k.mv_data + 8);
        struct delivery row;
        struct db_key key;

        db_key_id_n(&key, id, n);
        (*count)++;
        if (db_row_decode(DB_delivery, db_view(k), db_view(v), &delivery_record,
                          &row) != 0) {
            found(look, MEND_ASIDE, DB_delivery, &key, id, n,
                  "delivery %llu cannot be read", (unsigned long long)n);
            ++*open; /* whatever it was: the message has not ended by it */
        } else {
            *open += delivery_is_open(row.state);
            inspect_indexes(look, id, n, message, &row);
        }
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static void
inspect_end(const struct look *look, uint64_t id, const struct message *message,
            size_t count, size_t open)
{
    struct db_key key, purge;

    db_key_id(&key, id);
    if (count == 0) {
        found(look, MEND_ASIDE, DB_message, &key, id, 0, "it has no delivery");
        return;
    }
    if (message->finished_ms == 0 && open == 0)
        found(look, MEND_FINISH, DB_message, &key, id, 0,
              "all of its deliveries have ended and it has not");
    if (message->finished_ms == 0)
        return;
    if (open > 0)
        found(look, MEND_FINISH, DB_message, &key, id, 0,
              "it has ended and %zu of its deliveries have not", open);
    db_key_later(&purge, message->purge_ms, id, DB_LATER_PURGE);
    if (!row_is_there(look, DB_later, &purge))
        found(look, MEND_LATER, DB_message, &key, id, DB_LATER_PURGE,
              "it has ended and has no row for its removal");
}

static void
inspect_needs(const struct look *look, uint64_t id,
              const struct message *message)
{
    struct db_key key, at;
    unsigned long long missing = 0;

    db_key_id(&at, id);
    for (uint64_t n = 0; n < message->pieces; n++) {
        db_key_part(&key, id, n, 0);
        missing += !row_is_there(look, DB_body, &key);
    }
    if (missing > 0)
        found(look, MEND_NONE, DB_message, &at, id, 0,
              "%llu of %llu pieces of its content are missing", missing,
              (unsigned long long)message->pieces);
    db_key_id(&key, message->key);
    if (message->key != 0 && !row_is_there(look, DB_key, &key))
        found(look, MEND_NONE, DB_message, &at, id, 0,
              "its data key is missing: it cannot be read");
    db_key_id(&key, message->dictionary);
    if (message->dictionary >= DICTIONARY_TRAINED_ID &&
        !row_is_there(look, DB_dictionary, &key))
        found(look, MEND_NONE, DB_message, &at, id, 0,
              "its dictionary is missing: it cannot be read");
}

int
db_inspect_message(struct db *db, uint64_t id, db_finding_fn *fn, void *arg,
                   struct why *why)
{
    struct look look = {.db = db, .fn = fn, .arg = arg};
    struct message message;
    struct db_key key;
    size_t count, open;
    int rc;

    if (db_read_begin(db, &look.txn, why) != 0)
        return -1;
    rc = read_message(&look, id, &message);
    if (rc == MDB_CORRUPTED) {
        db_key_id(&key, id);
        found(&look, MEND_ASIDE, DB_message, &key, id, 0,
              "its row cannot be read");
    } else if (rc == 0) {
        rc = inspect_deliveries(&look, id, &message, &count, &open);
        inspect_end(&look, id, &message, count, open);
        inspect_needs(&look, id, &message);
    }
    db_read_end(db);
    if (rc != 0 && rc != MDB_NOTFOUND && rc != MDB_CORRUPTED)
        return why_text(why, "reading the store: %s", mdb_strerror(rc));
    return 0;
}

/* --- rows of a table ---------------------------------------------------------
 */

static bool
has_message(const struct look *look, uint64_t id)
{
    struct db_key key;

    db_key_id(&key, id);
    return row_is_there(look, DB_message, &key);
}

static int
read_delivery(const struct look *look, uint64_t id, uint64_t n,
              struct delivery *row)
{
    struct db_key key;

    db_key_id_n(&key, id, n);
    return row_read(look, DB_delivery, &key, &delivery_record, row);
}

static void
inspect_delivery(const struct look *look, const struct db_key *key)
{
    uint64_t id = key->len == 12 ? bytes_get64(key->bytes) : 0;

    if (key->len != 12 || !has_message(look, id))
        found(look, MEND_ASIDE, DB_delivery, key, id,
              key->len == 12 ? bytes_get32(key->bytes + 8) : 0,
              "a delivery without a message");
}

static void
inspect_ready(const struct look *look, const struct db_key *key)
{
    struct delivery row;
    uint64_t id, n;
    int rc;

    if (key->len < 14) {
        found(look, MEND_DROP, DB_ready, key, 0, 0, "a key that is none");
        return;
    }
    id = bytes_get64(key->bytes + key->len - 12);
    n = bytes_get32(key->bytes + key->len - 4);
    rc = read_delivery(look, id, n, &row);
    if (rc == MDB_NOTFOUND || !has_message(look, id))
        found(look, MEND_DROP, DB_ready, key, id, n,
              "a row in ready without a delivery");
    else if (rc == 0 &&
             (row.state != DELIVERY_READY || row.target.len >= key->len ||
              memcmp(row.target.data, key->bytes, row.target.len) != 0))
        found(look, MEND_DROP, DB_ready, key, id, n,
              "a row in ready of a delivery that is %s",
              delivery_state_name(row.state));
}

/* A row that cannot be read is told of elsewhere: what points at it stays. */
static bool
later_fits(const struct look *look, uint64_t when_ms, uint64_t id, uint64_t n)
{
    struct message message;
    struct delivery row;
    int rc;

    if (n == DB_LATER_PURGE) {
        rc = read_message(look, id, &message);
        return rc == MDB_CORRUPTED || (rc == 0 && message.purge_ms == when_ms);
    }
    rc = read_delivery(look, id, n, &row);
    return has_message(look, id) &&
           (rc == MDB_CORRUPTED ||
            (rc == 0 && delivery_waits(row.state) && row.next_ms == when_ms));
}

static void
inspect_later(const struct look *look, const struct db_key *key)
{
    uint64_t id, n;

    if (key->len != 20) {
        found(look, MEND_DROP, DB_later, key, 0, 0, "a key that is none");
        return;
    }
    id = bytes_get64(key->bytes + 8);
    n = bytes_get32(key->bytes + 16);
    if (!later_fits(look, bytes_get64(key->bytes), id, n))
        found(look, MEND_DROP, DB_later, key, id, n,
              "a row in later that nothing waits for");
}

static void
inspect_body(const struct look *look, const struct db_key *key)
{
    uint64_t id = key->len == 12 ? bytes_get64(key->bytes) : 0;

    if (key->len != 12 || !has_message(look, id))
        found(look, MEND_ASIDE, DB_body, key, id, 0,
              "content without a message");
}

/* Tables whose rows stand for themselves. */
static const struct {
    enum db_table table;
    const struct record_type *type;
} small[] = {
    {DB_target, &target_health_record},      {DB_key, &data_key_record},
    {DB_dictionary, &dictionary_row_record}, {DB_domain, &domain_share_record},
    {DB_checkpoint, &checkpoint_record},     {DB_aside, &aside_row_record},
};
#define N_SMALL (sizeof(small) / sizeof(small[0]))

static void
inspect_small(const struct look *look, unsigned which, const struct db_key *key,
              struct view value)
{
    union {
        struct target_health health;
        struct data_key data_key;
        struct dictionary_row dictionary;
        struct domain_share share;
        struct checkpoint point;
        struct aside_row aside;
    } row;

    if (db_row_decode(small[which].table, (struct view){key->bytes, key->len},
                      value, small[which].type, &row) != 0)
        found(look, MEND_ASIDE, small[which].table, key, 0, 0,
              "a row of %s cannot be read", db_table_names[small[which].table]);
}

typedef void inspect_fn(const struct look *look, const struct db_key *key);
static const struct {
    enum db_table table;
    inspect_fn *inspect;
} tables[] = {
    [DB_INSPECT_DELIVERY] = {DB_delivery, inspect_delivery},
    [DB_INSPECT_READY] = {DB_ready, inspect_ready},
    [DB_INSPECT_LATER] = {DB_later, inspect_later},
    [DB_INSPECT_BODY] = {DB_body, inspect_body},
};

static int
walk_rows(const struct look *look, enum db_inspect_table table,
          struct db_inspect_cursor *cursor, size_t max)
{
    bool is_small = table == DB_INSPECT_SMALL;
    enum db_table at =
        is_small ? small[cursor->table].table : tables[table].table;
    MDB_val k = {cursor->len, cursor->key}, v;
    MDB_cursor *walk;
    int rc = mdb_cursor_open(look->txn, look->db->tables[at], &walk);

    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(walk, &k, &v,
                        cursor->len > 0 ? MDB_SET_RANGE : MDB_FIRST);
    if (rc == 0 && cursor->len > 0 && k.mv_size == cursor->len &&
        memcmp(k.mv_data, cursor->key, cursor->len) == 0)
        rc = mdb_cursor_get(walk, &k, &v, MDB_NEXT);
    for (size_t i = 0; rc == 0 && i < max; i++) {
        struct db_key key = {.len = k.mv_size};

        if (k.mv_size > sizeof(key.bytes) || k.mv_size > sizeof(cursor->key)) {
            rc = MDB_CORRUPTED;
            break;
        }
        memcpy(key.bytes, k.mv_data, k.mv_size);
        if (is_small)
            inspect_small(look, cursor->table, &key, db_view(v));
        else
            tables[table].inspect(look, &key);
        memcpy(cursor->key, k.mv_data, k.mv_size);
        cursor->len = k.mv_size;
        rc = mdb_cursor_get(walk, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(walk);
    return rc;
}

int
db_inspect_rows(struct db *db, enum db_inspect_table table,
                struct db_inspect_cursor *cursor, size_t max, db_finding_fn *fn,
                void *arg, struct why *why)
{
    struct look look = {.db = db, .fn = fn, .arg = arg};
    int rc;

    if (db_read_begin(db, &look.txn, why) != 0)
        return -1;
    rc = walk_rows(&look, table, cursor, max);
    db_read_end(db);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return why_text(why, "reading the store: %s", mdb_strerror(rc));
    if (rc == 0)
        return 1;
    if (table == DB_INSPECT_SMALL && cursor->table + 1 < N_SMALL) {
        cursor->table++;
        cursor->len = 0;
        return 1;
    }
    return 0;
}

/* --- sums
 * --------------------------------------------------------------------- */

static int
count_by_state(MDB_txn *txn, struct db *db, struct db_totals *counted)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(txn, db->tables[DB_delivery], &cursor);

    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
        struct delivery row;

        if (db_row_decode(DB_delivery, db_view(k), db_view(v), &delivery_record,
                          &row) != 0)
            continue;
        counted->on_hold += row.state == DELIVERY_HELD;
        counted->unknown += row.state == DELIVERY_UNKNOWN;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int
db_count_totals(MDB_txn *txn, struct db *db, struct db_totals *counted)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(txn, db->tables[DB_message], &cursor);

    counted->held = counted->held_stored = 0;
    counted->on_hold = counted->unknown = 0;
    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
        struct message row;

        if (db_row_decode(DB_message, db_view(k), db_view(v), &message_record,
                          &row) != 0 ||
            row.finished_ms != 0)
            continue;
        counted->held++;
        counted->held_stored += row.stored;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? count_by_state(txn, db, counted) : rc;
}

int
db_inspect_totals(struct db *db, db_finding_fn *fn, void *arg, struct why *why)
{
    struct look look = {.db = db, .fn = fn, .arg = arg};
    struct db_totals counted = {0}, have = {0};
    struct db_key key;
    int rc, read;

    if (db_read_begin(db, &look.txn, why) != 0)
        return -1;
    db_key_name(&key, VIEW("totals"));
    read = row_read(&look, DB_setting, &key, &db_totals_record, &have);
    rc = db_count_totals(look.txn, db, &counted);
    if (rc == 0 &&
        (read == MDB_CORRUPTED || have.held != counted.held ||
         have.held_stored != counted.held_stored ||
         have.on_hold != counted.on_hold || have.unknown != counted.unknown))
        found(&look, read == MDB_CORRUPTED ? MEND_NONE : MEND_TOTALS,
              DB_setting, &key, 0, 0,
              "the sums say %llu messages held, %llu deliveries on hold, %llu "
              "unknown; there are %llu, %llu and %llu",
              (unsigned long long)have.held, (unsigned long long)have.on_hold,
              (unsigned long long)have.unknown,
              (unsigned long long)counted.held,
              (unsigned long long)counted.on_hold,
              (unsigned long long)counted.unknown);
    db_read_end(db);
    if (rc != 0)
        return why_text(why, "reading the store: %s", mdb_strerror(rc));
    return 0;
}
