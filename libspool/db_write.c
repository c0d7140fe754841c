/* SPDX-License-Identifier: ISC */
/*
 * The rows as the writer changes them, inside a transaction of db.c. A row
 * is one record (message.h) under one key (spool.5).
 */
#include "db.h"

#include "db_lmdb.h"
#include "log.h"

/* --- rows ---------------------------------------------------------------- */

static enum db_result
row_put(struct db_txn *txn, enum db_table table, struct db_key *key,
        const struct record_type *type, const void *object, unsigned flags)
{
    MDB_val k = db_key_val(key), v;

    buf_reset(&txn->row);
    record_encode(type, object, &txn->row);
    v = db_val(buf_view(&txn->row));
    return db_txn_result(
        txn, mdb_put(txn->mdb, txn->db->tables[table], &k, &v, flags));
}

static enum db_result
row_get(struct db_txn *txn, enum db_table table, struct db_key *key,
        const struct record_type *type, void *object)
{
    MDB_val k = db_key_val(key), v;
    int rc = mdb_get(txn->mdb, txn->db->tables[table], &k, &v);

    if (rc != 0)
        return db_txn_result(txn, rc);
    if (record_decode(type, db_view(v), object, NULL) != 0) {
        txn->error = MDB_CORRUPTED;
        return DB_FAILED;
    }
    return DB_OK;
}

static enum db_result
key_put(struct db_txn *txn, enum db_table table, struct db_key *key)
{
    MDB_val k = db_key_val(key), v = {0, NULL};

    return db_txn_result(txn,
                         mdb_put(txn->mdb, txn->db->tables[table], &k, &v, 0));
}

static enum db_result
key_del(struct db_txn *txn, enum db_table table, struct db_key *key)
{
    MDB_val k = db_key_val(key);

    return db_txn_result(txn,
                         mdb_del(txn->mdb, txn->db->tables[table], &k, NULL));
}

/* Deletes every row of table whose key starts with id. */
static enum db_result
del_all_of(struct db_txn *txn, enum db_table table, uint64_t id)
{
    struct db_key start;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn->mdb, txn->db->tables[table], &cursor);

    if (rc != 0)
        return db_txn_result(txn, rc);
    db_key_id(&start, id);
    for (;;) {
        /* Positioned anew each time: deleting moves the cursor. */
        MDB_val k = db_key_val(&start), v;

        rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
        if (rc != 0 || k.mv_size < 8 || memcmp(k.mv_data, start.bytes, 8) != 0)
            break;
        if ((rc = mdb_cursor_del(cursor, 0)) != 0)
            break;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? DB_OK : db_txn_result(txn, rc);
}

enum db_result
db_add_message(struct db_txn *txn, uint64_t id, const struct message *message)
{
    struct db_key key;

    db_key_id(&key, id);
    return row_put(txn, DB_message, &key, &message_record, message,
                   MDB_NOOVERWRITE);
}

enum db_result
db_put_message(struct db_txn *txn, uint64_t id, const struct message *message)
{
    struct db_key key;

    db_key_id(&key, id);
    return row_put(txn, DB_message, &key, &message_record, message, 0);
}

enum db_result
db_get_message(struct db_txn *txn, uint64_t id, struct message *message)
{
    struct db_key key;

    db_key_id(&key, id);
    return row_get(txn, DB_message, &key, &message_record, message);
}

enum db_result
db_del_message(struct db_txn *txn, uint64_t id)
{
    struct db_key key;

    db_key_id(&key, id);
    return key_del(txn, DB_message, &key);
}

enum db_result
db_put_piece(struct db_txn *txn, uint64_t id, uint64_t n, struct view piece)
{
    struct db_key key;
    MDB_val k, v = db_val(piece);

    db_key_id_n(&key, id, n);
    k = db_key_val(&key);
    return db_txn_result(
        txn, mdb_put(txn->mdb, txn->db->tables[DB_body], &k, &v, 0));
}

enum db_result
db_del_pieces(struct db_txn *txn, uint64_t id)
{
    return del_all_of(txn, DB_body, id);
}

enum db_result
db_put_delivery(struct db_txn *txn, uint64_t id, uint64_t n,
                const struct delivery *delivery)
{
    struct db_key key;

    db_key_id_n(&key, id, n);
    return row_put(txn, DB_delivery, &key, &delivery_record, delivery, 0);
}

enum db_result
db_get_delivery(struct db_txn *txn, uint64_t id, uint64_t n,
                struct delivery *delivery)
{
    struct db_key key;

    db_key_id_n(&key, id, n);
    return row_get(txn, DB_delivery, &key, &delivery_record, delivery);
}

enum db_result
db_next_delivery(struct db_txn *txn, uint64_t id, uint64_t *n,
                 struct delivery *delivery)
{
    struct db_key key;
    MDB_val k, v;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn->mdb, txn->db->tables[DB_delivery], &cursor);

    if (rc != 0)
        return db_txn_result(txn, rc);
    db_key_id_n(&key, id, *n);
    k = db_key_val(&key);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    mdb_cursor_close(cursor);
    if (rc == 0 && (k.mv_size != 12 || memcmp(k.mv_data, key.bytes, 8) != 0))
        rc = MDB_NOTFOUND;
    if (rc != 0)
        return db_txn_result(txn, rc);
    *n = bytes_get32((const char *)k.mv_data + 8);
    if (record_decode(&delivery_record, db_view(v), delivery, NULL) != 0) {
        txn->error = MDB_CORRUPTED;
        return DB_FAILED;
    }
    return DB_OK;
}

enum db_result
db_del_deliveries(struct db_txn *txn, uint64_t id)
{
    return del_all_of(txn, DB_delivery, id);
}

enum db_result
db_put_ready(struct db_txn *txn, struct view target, struct view flow,
             uint64_t id, uint64_t n)
{
    struct db_key key;

    if (db_key_ready(&key, target, flow, id, n) != 0)
        bug("a target or flow that does not fit a key");
    return key_put(txn, DB_ready, &key);
}

enum db_result
db_del_ready(struct db_txn *txn, struct view target, struct view flow,
             uint64_t id, uint64_t n)
{
    struct db_key key;

    if (db_key_ready(&key, target, flow, id, n) != 0)
        bug("a target or flow that does not fit a key");
    return key_del(txn, DB_ready, &key);
}

enum db_result
db_put_later(struct db_txn *txn, uint64_t when_ms, uint64_t id, uint64_t n)
{
    struct db_key key;

    db_key_later(&key, when_ms, id, n);
    return key_put(txn, DB_later, &key);
}

enum db_result
db_del_later(struct db_txn *txn, uint64_t when_ms, uint64_t id, uint64_t n)
{
    struct db_key key;

    db_key_later(&key, when_ms, id, n);
    return key_del(txn, DB_later, &key);
}

static void
key_name(struct db_key *key, struct view name)
{
    if (name.len > DB_TARGET_MAX)
        bug("a name of %zu bytes as a key", name.len);
    memcpy(key->bytes, name.data, name.len);
    key->len = name.len;
}

enum db_result
db_get_health(struct db_txn *txn, struct view name,
              struct target_health *health)
{
    struct db_key key;

    key_name(&key, name);
    return row_get(txn, DB_target, &key, &target_health_record, health);
}

enum db_result
db_put_health(struct db_txn *txn, const struct target_health *health)
{
    struct db_key key;

    key_name(&key, health->name);
    return row_put(txn, DB_target, &key, &target_health_record, health, 0);
}

/* The first entry of a transaction looks up where the ledger ends. */
static int
ledger_open(struct db_txn *txn)
{
    MDB_val k, v;
    int rc =
        mdb_cursor_open(txn->mdb, txn->db->tables[DB_ledger], &txn->ledger);

    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(txn->ledger, &k, &v, MDB_LAST);
    if (rc == 0 && k.mv_size == 8)
        txn->ledger_seq = bytes_get64(k.mv_data);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

enum db_result
db_add_ledger(struct db_txn *txn, const struct ledger_entry *entry)
{
    struct db_key key;
    MDB_val k, v;
    int rc;

    if (txn->ledger == NULL && (rc = ledger_open(txn)) != 0)
        return db_txn_result(txn, rc);
    db_key_id(&key, ++txn->ledger_seq);
    k = db_key_val(&key);
    buf_reset(&txn->row);
    record_encode(&ledger_entry_record, entry, &txn->row);
    v = db_val(buf_view(&txn->row));
    return db_txn_result(txn, mdb_cursor_put(txn->ledger, &k, &v, MDB_APPEND));
}

static const struct record_field db_totals_fields[] = {
    RECORD_NUM_FIELD(1, db_totals, held),
    RECORD_NUM_FIELD(2, db_totals, held_stored),
    RECORD_NUM_FIELD(3, db_totals, floor_ms),
};
RECORD_TYPE(db_totals);

enum db_result
db_get_totals(struct db_txn *txn, struct db_totals *totals)
{
    struct db_key key;
    enum db_result result;

    key_name(&key, VIEW("totals"));
    result = row_get(txn, DB_setting, &key, &db_totals_record, totals);
    if (result == DB_NONE) {
        *totals = (struct db_totals){0};
        return DB_OK;
    }
    return result;
}

enum db_result
db_put_totals(struct db_txn *txn, const struct db_totals *totals)
{
    struct db_key key;

    key_name(&key, VIEW("totals"));
    return row_put(txn, DB_setting, &key, &db_totals_record, totals, 0);
}
