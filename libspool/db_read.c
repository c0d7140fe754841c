/* SPDX-License-Identifier: ISC */
/*
 * Questions to the store. Each is one renewed read transaction that ends
 * before the function returns; rows are copied out of the map.
 */
#include "db_read.h"

#include <stdlib.h>

#include "db_lmdb.h"
#include "log.h"
#include "mem.h"

struct db *
db_open_reader(const char *dir, struct why *why)
{
    struct db *db = db_open_env(dir, MDB_RDONLY, why);
    MDB_txn *txn;

    if (db == NULL)
        return NULL;
    if (db_read_begin(db, &txn, why) != 0) {
        db_close(&db);
        return NULL;
    }
    if (db_open_tables(db, txn, 0, why) != 0) {
        db_close(&db);
        return NULL;
    }
    /* Committing a reader is what keeps the table handles. */
    mdb_txn_commit(db->reader);
    db->reader = NULL;
    return db;
}

int
db_read_begin(struct db *db, MDB_txn **txn, struct why *why)
{
    int rc = db->reader == NULL
                 ? mdb_txn_begin(db->env, NULL, MDB_RDONLY, &db->reader)
                 : mdb_txn_renew(db->reader);

    if (rc != 0)
        return why_text(why, "reading the store: %s", mdb_strerror(rc));
    *txn = db->reader;
    return 0;
}

void
db_read_end(struct db *db)
{
    mdb_txn_reset(db->reader);
}

/* LMDB's answer as ours: 1, 0 or -1. */
static int
answer(int rc, struct why *why)
{
    if (rc == 0)
        return 1;
    if (rc == MDB_NOTFOUND)
        return 0;
    return why_text(why, "reading the store: %s", mdb_strerror(rc));
}

static int
damaged(const char *table, uint64_t id, struct why *why)
{
    return why_text(why, "damaged row in %s of message %llx", table,
                    (unsigned long long)id);
}

/* --- messages ------------------------------------------------------------ */

/* All delivery rows of id, one after the other: length, n, bytes. */
static int
collect_deliveries(struct db *db, MDB_txn *txn, uint64_t id, struct buf *rows,
                   size_t *count)
{
    struct db_key start;
    MDB_val k, v;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, db->tables[DB_delivery], &cursor);

    if (rc != 0)
        return rc;
    db_key_id(&start, id);
    k = db_key_val(&start);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && k.mv_size == 12 &&
           memcmp(k.mv_data, start.bytes, 8) == 0) {
        record_put_varint(rows, bytes_get32((const char *)k.mv_data + 8));
        record_put_varint(rows, v.mv_size);
        buf_add(rows, v.mv_data, v.mv_size);
        (*count)++;
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
decode_message(uint64_t id, struct buf *rows, size_t message_len, size_t count,
               struct db_message *out, struct why *why)
{
    struct view rest = view_skip(buf_view(rows), message_len);
    struct db_key key;

    out->id = id;
    out->memory = rows->data;
    db_key_id(&key, id);
    if (db_row_decode(DB_message, (struct view){key.bytes, key.len},
                      (struct view){rows->data, message_len}, &message_record,
                      &out->message) != 0)
        return damaged("message", id, why);
    message_unpack(&out->message);
    out->deliveries = mem_alloc(count * sizeof(*out->deliveries));
    out->n_deliveries = count;
    for (size_t i = 0; i < count; i++) {
        uint64_t len = 0;

        record_take_varint(&rest, &out->deliveries[i].n);
        record_take_varint(&rest, &len);
        db_key_id_n(&key, id, out->deliveries[i].n);
        if (db_row_decode(DB_delivery, (struct view){key.bytes, key.len},
                          (struct view){rest.data, (size_t)len},
                          &delivery_record, &out->deliveries[i].delivery) != 0)
            return damaged("delivery", id, why);
        rest = view_skip(rest, (size_t)len);
    }
    return 1;
}

static int
read_message(struct db *db, uint64_t id, MDB_cursor_op op,
             struct db_message *out, struct why *why)
{
    struct db_key key;
    struct buf rows = {0};
    size_t message_len, count = 0;
    MDB_val k, v;
    MDB_cursor *cursor;
    MDB_txn *txn;
    int rc;

    *out = (struct db_message){0};
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    db_key_id(&key, id);
    k = db_key_val(&key);
    rc = mdb_cursor_open(txn, db->tables[DB_message], &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &k, &v, op);
        mdb_cursor_close(cursor);
    }
    if (rc == 0 && k.mv_size != 8)
        rc = MDB_CORRUPTED;
    if (rc == 0) {
        id = bytes_get64(k.mv_data);
        message_len = v.mv_size;
        buf_add(&rows, v.mv_data, v.mv_size);
        rc = collect_deliveries(db, txn, id, &rows, &count);
    }
    db_read_end(db);
    if (rc != 0) {
        buf_free(&rows);
        return answer(rc, why);
    }
    /* Both are copies by now; views into rows stay until db_message_free. */
    rc = decode_message(id, &rows, message_len, count, out, why);
    if (rc < 0)
        db_message_free(out);
    return rc;
}

int
db_read_message(struct db *db, uint64_t id, struct db_message *out,
                struct why *why)
{
    return read_message(db, id, MDB_SET_KEY, out, why);
}

int
db_read_message_after(struct db *db, uint64_t after_id, struct db_message *out,
                      struct why *why)
{
    if (after_id == UINT64_MAX)
        return 0;
    return read_message(db, after_id + 1, MDB_SET_RANGE, out, why);
}

void
db_message_free(struct db_message *message)
{
    free(message->deliveries);
    free(message->memory);
    *message = (struct db_message){0};
}

/* All parts of piece n, one after the other. MDB_NOTFOUND: there is none. */
static int
collect_parts(MDB_cursor *cursor, uint64_t id, uint64_t n, struct buf *out)
{
    struct db_key key;
    MDB_val k, v;
    int rc;

    db_key_part(&key, id, n, 0);
    k = db_key_val(&key);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_KEY);
    for (unsigned part = 1; rc == 0; part++) {
        buf_add_view(out, db_view(v));
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
        db_key_part(&key, id, n, part);
        if (rc != 0 || k.mv_size != key.len ||
            memcmp(k.mv_data, key.bytes, key.len) != 0)
            return rc == MDB_NOTFOUND ? 0 : rc;
    }
    return rc;
}

int
db_read_piece(struct db *db, uint64_t id, uint64_t n, struct buf *out,
              struct why *why)
{
    MDB_cursor *cursor;
    MDB_txn *txn;
    int rc;

    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = mdb_cursor_open(txn, db->tables[DB_body], &cursor);
    if (rc == 0) {
        rc = collect_parts(cursor, id, n, out);
        mdb_cursor_close(cursor);
    }
    db_read_end(db);
    return answer(rc, why);
}

/* --- what is ready ------------------------------------------------------- */

enum split { SPLIT_OK, SPLIT_OTHER, SPLIT_NONE };

/* Splits a key of ready whose target is target. OTHER: another target's;
 * NONE: damaged, what is behind it may be right. */
static enum split
split_ready(struct view key, struct view target, struct view *flow,
            uint64_t *id, uint64_t *n)
{
    struct view rest;
    const char *end;

    if (key.len < target.len + 1 ||
        memcmp(key.data, target.data, target.len) != 0 ||
        key.data[target.len] != '\0')
        return SPLIT_OTHER;
    rest = view_skip(key, target.len + 1);
    end = rest.len > 0 ? memchr(rest.data, '\0', rest.len) : NULL;
    if (end == NULL || rest.len - (size_t)(end - rest.data) != 1 + 12)
        return SPLIT_NONE;
    *flow = (struct view){rest.data, (size_t)(end - rest.data)};
    *id = bytes_get64(end + 1);
    *n = bytes_get32(end + 9);
    return SPLIT_OK;
}

static void
start_of_target(struct db_key *key, struct view target)
{
    memcpy(key->bytes, target.data, target.len);
    key->bytes[target.len] = '\0';
    key->len = target.len + 1;
}

static int
walk_ready(MDB_cursor *walk, struct view target, struct db_ready_cursor *cursor,
           struct db_ready *out)
{
    struct db_key key;
    struct view flow = {0};
    uint64_t id = 0, n = 0;
    enum split split;
    MDB_val k, v;
    int rc;

    if (cursor->started)
        db_key_ready(&key, target,
                     (struct view){cursor->flow, cursor->flow_len}, cursor->id,
                     UINT64_C(0xffffffff));
    else
        start_of_target(&key, target);
    k = db_key_val(&key);
    rc = mdb_cursor_get(walk, &k, &v, MDB_SET_RANGE);
    out->n_deliveries = 0;
    while (rc == 0 && (split = split_ready(db_view(k), target, &flow, &id,
                                           &n)) != SPLIT_OTHER) {
        if (split == SPLIT_NONE) {
            rc = mdb_cursor_get(walk, &k, &v, MDB_NEXT);
            continue;
        }
        if (out->n_deliveries > 0 && id != out->id)
            break;
        out->id = id;
        out->flow_len = flow.len < sizeof(out->flow) ? flow.len : 0;
        memcpy(out->flow, flow.data, out->flow_len);
        out->n_deliveries++;
        rc = mdb_cursor_get(walk, &k, &v, MDB_NEXT);
    }
    if (out->n_deliveries == 0)
        return rc == 0 ? MDB_NOTFOUND : rc;
    memcpy(cursor->flow, out->flow, out->flow_len);
    cursor->flow_len = out->flow_len;
    cursor->id = out->id;
    cursor->started = true;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int
db_read_ready(struct db *db, struct view target, struct db_ready_cursor *cursor,
              struct db_ready *out, struct why *why)
{
    MDB_cursor *walk;
    MDB_txn *txn;
    int rc;

    if (target.len == 0 || target.len > DB_TARGET_MAX)
        return 0;
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = mdb_cursor_open(txn, db->tables[DB_ready], &walk);
    if (rc == 0) {
        rc = walk_ready(walk, target, cursor, out);
        mdb_cursor_close(walk);
    }
    db_read_end(db);
    return answer(rc, why);
}

/* Counts on from the cursor, which was started, and moves it along. */
static int
count_ready(MDB_cursor *walk, struct view target,
            struct db_ready_cursor *cursor, size_t max, uint64_t *messages)
{
    struct db_key key;
    struct view flow = {0};
    uint64_t id, n;
    enum split split;
    MDB_val k, v;
    int rc;

    db_key_ready(&key, target, (struct view){cursor->flow, cursor->flow_len},
                 cursor->id, UINT64_C(0xffffffff));
    k = db_key_val(&key);
    rc = mdb_cursor_get(walk, &k, &v, MDB_SET_RANGE);
    for (size_t i = 0; rc == 0 && i < max;) {
        split = split_ready(db_view(k), target, &flow, &id, &n);
        if (split == SPLIT_OTHER)
            return MDB_NOTFOUND;
        if (split == SPLIT_OK) {
            i++; /* damaged rows are passed over: the cursor is to move */
            *messages += id != cursor->id;
            cursor->id = id;
            cursor->flow_len = flow.len < sizeof(cursor->flow) ? flow.len : 0;
            memcpy(cursor->flow, flow.data, cursor->flow_len);
        }
        rc = mdb_cursor_get(walk, &k, &v, MDB_NEXT);
    }
    return rc;
}

int
db_read_ready_count(struct db *db, struct view target,
                    struct db_ready_cursor *cursor, size_t max,
                    uint64_t *messages, struct why *why)
{
    struct db_ready first;
    MDB_cursor *walk;
    MDB_txn *txn;
    int rc;

    if (!cursor->started) {
        rc = db_read_ready(db, target, cursor, &first, why);
        if (rc != 1)
            return rc;
        (*messages)++;
    }
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = mdb_cursor_open(txn, db->tables[DB_ready], &walk);
    if (rc == 0) {
        rc = count_ready(walk, target, cursor, max, messages);
        mdb_cursor_close(walk);
    }
    db_read_end(db);
    return answer(rc, why);
}

/* --- the rest ------------------------------------------------------------ */

int
db_read_health_after(struct db *db, const char *after,
                     struct target_health *out, struct buf *memory,
                     struct why *why)
{
    struct db_key key = {0};
    struct buf name = {0};
    MDB_val k, v;
    MDB_cursor *cursor;
    MDB_txn *txn;
    int rc;

    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    /* The first key after "name" is "name\0". */
    key.len = strlen(after) < DB_TARGET_MAX ? strlen(after) : DB_TARGET_MAX;
    memcpy(key.bytes, after, key.len);
    if (key.len > 0)
        key.bytes[key.len++] = '\0';
    k = db_key_val(&key);
    rc = mdb_cursor_open(txn, db->tables[DB_target], &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &k, &v,
                            key.len > 0 ? MDB_SET_RANGE : MDB_FIRST);
        mdb_cursor_close(cursor);
    }
    if (rc == 0) {
        buf_reset(memory);
        buf_add_view(memory, db_view(v));
        buf_add_view(&name, db_view(k));
    }
    db_read_end(db);
    if (rc == 0 && db_row_decode(DB_target, buf_view(&name), buf_view(memory),
                                 &target_health_record, out) != 0)
        rc = why_text(why, "damaged row in target after \"%s\"", after);
    else
        rc = answer(rc, why);
    buf_free(&name);
    return rc;
}

static uint64_t
entries_of(struct db *db, MDB_txn *txn, enum db_table table)
{
    MDB_stat stat;

    return mdb_stat(txn, db->tables[table], &stat) == 0 ? stat.ms_entries : 0;
}

int
db_read_counts(struct db *db, struct db_counts *out, struct why *why)
{
    struct buf memory = {0};
    struct db_totals totals;
    MDB_envinfo info;
    MDB_stat stat;
    MDB_txn *txn;
    int found = db_read_totals(db, &totals, &memory, why);

    buf_free(&memory);
    if (found < 0 || db_read_begin(db, &txn, why) != 0)
        return -1;
    mdb_env_info(db->env, &info);
    mdb_env_stat(db->env, &stat);
    *out = (struct db_counts){
        .held = totals.held,
        .held_stored = totals.held_stored,
        .on_hold = totals.on_hold,
        .unknown = totals.unknown,
        .floor_ms = totals.floor_ms,
        .messages = entries_of(db, txn, DB_message),
        .deliveries = entries_of(db, txn, DB_delivery),
        .ready = entries_of(db, txn, DB_ready),
        .later = entries_of(db, txn, DB_later),
        .ledger = entries_of(db, txn, DB_ledger),
        .file_bytes = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize,
    };
    db_read_end(db);
    return 1;
}

/* Walks later from a time on; purges only takes those rows. */
static int
walk_later(struct db *db, uint64_t from_ms, uint64_t until_ms, bool purges_only,
           struct db_later *due, size_t max, uint64_t *next_ms)
{
    struct db_key from;
    MDB_val k, v;
    MDB_cursor *cursor;
    MDB_txn *txn;
    size_t count = 0;
    int rc;

    *next_ms = 0;
    if (db_read_begin(db, &txn, NULL) != 0)
        return -1;
    rc = mdb_cursor_open(txn, db->tables[DB_later], &cursor);
    if (rc != 0) {
        db_read_end(db);
        return -1;
    }
    db_key_later(&from, from_ms, 0, 0);
    k = db_key_val(&from);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    for (; rc == 0 && count < max;
         rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        struct db_later row;

        if (k.mv_size != 20) /* damaged: see spoolctl check */
            continue;
        row = (struct db_later){bytes_get64(k.mv_data),
                                bytes_get64((const char *)k.mv_data + 8),
                                bytes_get32((const char *)k.mv_data + 16)};
        if (row.when_ms > until_ms) {
            *next_ms = row.when_ms;
            break;
        }
        if (!purges_only || row.n == DB_LATER_PURGE)
            due[count++] = row;
    }
    mdb_cursor_close(cursor);
    db_read_end(db);
    return rc == 0 || rc == MDB_NOTFOUND ? (int)count : -1;
}

int
db_due(struct db *db, uint64_t from_ms, uint64_t until_ms, struct db_later *due,
       size_t max, uint64_t *next_ms)
{
    return walk_later(db, from_ms, until_ms, false, due, max, next_ms);
}

int
db_purges(struct db *db, struct db_later *due, size_t max)
{
    uint64_t next_ms;

    return walk_later(db, 0, UINT64_MAX, true, due, max, &next_ms);
}

uint64_t
db_free_in_file(struct db *db)
{
    const MDB_dbi free_list = 0; /* LMDB's own table of free pages */
    MDB_val k, v;
    MDB_stat stat;
    MDB_cursor *cursor;
    MDB_txn *txn;
    uint64_t pages = 0;

    if (db_read_begin(db, &txn, NULL) != 0)
        return 0;
    if (mdb_env_stat(db->env, &stat) == 0 &&
        mdb_cursor_open(txn, free_list, &cursor) == 0) {
        while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0) {
            size_t count = 0; /* the first word of a row */

            memcpy(&count, v.mv_data, sizeof(count));
            pages += count;
        }
        mdb_cursor_close(cursor);
    }
    db_read_end(db);
    return pages * stat.ms_psize;
}

static void
dump_bytes(struct view v, struct buf *out)
{
    for (size_t i = 0; i < v.len; i++)
        buf_addf(out, "%02x", (unsigned char)v.data[i]);
}

int
db_dump(struct db *db, struct buf *out, struct why *why)
{
    MDB_txn *txn;
    int rc = 0;

    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    for (int t = 0; t < DB_TABLE_COUNT && rc == 0; t++) {
        MDB_cursor *cursor;
        MDB_val k, v;

        if ((rc = mdb_cursor_open(txn, db->tables[t], &cursor)) != 0)
            break;
        while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
            buf_addf(out, "%s ", db_table_names[t]);
            dump_bytes(db_view(k), out);
            buf_add_byte(out, ' ');
            dump_bytes(db_view(v), out);
            buf_add_byte(out, '\n');
        }
        mdb_cursor_close(cursor);
        rc = rc == MDB_NOTFOUND ? 0 : rc;
    }
    db_read_end(db);
    return answer(rc, why) == 1 ? 0 : -1;
}

static int
walk_ids(MDB_cursor *cursor, uint64_t after_id, bool held_only, size_t *rows,
         uint64_t *id, bool *stopped)
{
    struct db_key key;
    MDB_cursor_op op = MDB_SET_RANGE;
    MDB_val k, v;

    db_key_id(&key, after_id + 1);
    k = db_key_val(&key);
    for (; *rows > 0; (*rows)--) {
        struct message message;
        int rc = mdb_cursor_get(cursor, &k, &v, op);

        if (rc != 0)
            return rc;
        op = MDB_NEXT;
        if (k.mv_size != 8) /* damaged: see spoolctl check */
            continue;
        *id = bytes_get64(k.mv_data);
        if (!held_only ||
            db_row_decode(DB_message, db_view(k), db_view(v), &message_record,
                          &message) != 0 ||
            message.finished_ms == 0)
            return 0;
    }
    *stopped = true;
    return 0;
}

int
db_read_next_id(struct db *db, uint64_t after_id, bool held_only, size_t *rows,
                uint64_t *id, struct why *why)
{
    MDB_cursor *cursor;
    MDB_txn *txn;
    bool stopped = false;
    int rc;

    *id = after_id;
    if (after_id == UINT64_MAX)
        return 0;
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = mdb_cursor_open(txn, db->tables[DB_message], &cursor);
    if (rc == 0) {
        rc = walk_ids(cursor, after_id, held_only, rows, id, &stopped);
        mdb_cursor_close(cursor);
    }
    db_read_end(db);
    return stopped ? 2 : answer(rc, why);
}
