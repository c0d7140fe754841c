/* SPDX-License-Identifier: ISC */
/*
 * The rows as the writer changes them, inside a transaction of db.c. A row
 * is one record (message.h) under one key (spool.5).
 */
#include "db.h"

#include "db_lmdb.h"
#include "log.h"

/* How a piece is cut into rows (spool.5). Rows of up to DB_PART_MAX bytes
 * fill the pages they share well; LMDB gives rows above 2,018 bytes
 * whole pages. */
#define DB_PAGE        4096
#define DB_PAGE_HEADER 16
#define DB_PART_MAX    500
#define DB_SHARE_MAX   3500

/* --- messages ------------------------------------------------------------- */

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
    struct message row = *message;
    struct db_key key;

    db_key_id(&key, id);
    message_pack(&row);
    return db_row_put(txn, DB_message, &key, &message_record, &row,
                      MDB_NOOVERWRITE);
}

enum db_result
db_put_message(struct db_txn *txn, uint64_t id, const struct message *message)
{
    struct message row = *message;
    struct db_key key;

    db_key_id(&key, id);
    message_pack(&row);
    return db_row_put(txn, DB_message, &key, &message_record, &row, 0);
}

enum db_result
db_get_message(struct db_txn *txn, uint64_t id, struct message *message)
{
    enum db_result result;
    struct db_key key;

    db_key_id(&key, id);
    result = db_row_get(txn, DB_message, &key, &message_record, message);
    if (result == DB_OK)
        message_unpack(message);
    return result;
}

enum db_result
db_del_message(struct db_txn *txn, uint64_t id)
{
    struct db_key key;

    db_key_id(&key, id);
    return db_key_del(txn, DB_message, &key);
}

/* Length of the next part of a piece of which rest bytes are left: whole
 * pages first, then parts that share pages with other rows, of about the
 * same length. A rest that would fill most of a page has one to itself. */
static size_t
part_length(size_t rest)
{
    size_t whole = (rest + DB_PAGE_HEADER) / DB_PAGE * DB_PAGE;
    size_t parts;

    if (whole > 0)
        return whole - DB_PAGE_HEADER;
    if (rest > DB_SHARE_MAX)
        return rest;
    parts = (rest + DB_PART_MAX - 1) / DB_PART_MAX;
    return (rest + parts - 1) / parts;
}

enum db_result
db_put_piece(struct db_txn *txn, uint64_t id, uint64_t n, struct view piece)
{
    enum db_result result = DB_OK;

    for (unsigned part = 0; piece.len > 0 && result == DB_OK; part++) {
        size_t len = part_length(piece.len);
        struct db_key key;

        db_key_part(&key, id, n, part);
        result =
            db_bytes_put(txn, DB_body, &key, (struct view){piece.data, len});
        piece = view_skip(piece, len);
    }
    return result;
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
    return db_row_put(txn, DB_delivery, &key, &delivery_record, delivery, 0);
}

enum db_result
db_get_delivery(struct db_txn *txn, uint64_t id, uint64_t n,
                struct delivery *delivery)
{
    struct db_key key;

    db_key_id_n(&key, id, n);
    return db_row_get(txn, DB_delivery, &key, &delivery_record, delivery);
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
    if (db_row_decode(DB_delivery, db_view(k), db_view(v), &delivery_record,
                      delivery) != 0) {
        txn->error = MDB_CORRUPTED;
        return DB_DAMAGED;
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
    return db_key_put(txn, DB_ready, &key);
}

enum db_result
db_del_ready(struct db_txn *txn, struct view target, struct view flow,
             uint64_t id, uint64_t n)
{
    struct db_key key;

    if (db_key_ready(&key, target, flow, id, n) != 0)
        bug("a target or flow that does not fit a key");
    return db_key_del(txn, DB_ready, &key);
}

enum db_result
db_put_later(struct db_txn *txn, uint64_t when_ms, uint64_t id, uint64_t n)
{
    struct db_key key;

    db_key_later(&key, when_ms, id, n);
    return db_key_put(txn, DB_later, &key);
}

enum db_result
db_del_later(struct db_txn *txn, uint64_t when_ms, uint64_t id, uint64_t n)
{
    struct db_key key;

    db_key_later(&key, when_ms, id, n);
    return db_key_del(txn, DB_later, &key);
}

enum db_result
db_get_health(struct db_txn *txn, struct view name,
              struct target_health *health)
{
    struct db_key key;

    db_key_name(&key, name);
    return db_row_get(txn, DB_target, &key, &target_health_record, health);
}

enum db_result
db_put_health(struct db_txn *txn, const struct target_health *health)
{
    struct db_key key;

    db_key_name(&key, health->name);
    return db_row_put(txn, DB_target, &key, &target_health_record, health, 0);
}

/* --- rows with a number or a name ----------------------------------------- */

/* For the tables whose key is the id: get, put, del. */
#define DB_ID_ROWS(name, table, type)                                          \
    enum db_result db_get_##name(struct db_txn *txn, uint64_t id,              \
                                 struct type *row)                             \
    {                                                                          \
        struct db_key key;                                                     \
                                                                               \
        db_key_id(&key, id);                                                   \
        return db_row_get(txn, table, &key, &type##_record, row);              \
    }                                                                          \
    enum db_result db_put_##name(struct db_txn *txn, const struct type *row)   \
    {                                                                          \
        struct db_key key;                                                     \
                                                                               \
        db_key_id(&key, row->id);                                              \
        return db_row_put(txn, table, &key, &type##_record, row, 0);           \
    }                                                                          \
    enum db_result db_del_##name(struct db_txn *txn, uint64_t id)              \
    {                                                                          \
        struct db_key key;                                                     \
                                                                               \
        db_key_id(&key, id);                                                   \
        return db_key_del(txn, table, &key);                                   \
    }

DB_ID_ROWS(data_key, DB_key, data_key)
DB_ID_ROWS(dictionary, DB_dictionary, dictionary_row)

enum db_result
db_next_data_key(struct db_txn *txn, uint64_t *id, struct data_key *row)
{
    struct db_key key;
    MDB_val k, v;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn->mdb, txn->db->tables[DB_key], &cursor);

    if (rc != 0)
        return db_txn_result(txn, rc);
    db_key_id(&key, *id);
    k = db_key_val(&key);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    mdb_cursor_close(cursor);
    if (rc != 0)
        return db_txn_result(txn, rc);
    *id = k.mv_size == 8 ? bytes_get64(k.mv_data) : UINT64_MAX;
    return db_row_decode(DB_key, db_view(k), db_view(v), &data_key_record,
                         row) == 0
               ? DB_OK
               : DB_DAMAGED;
}

enum db_result
db_next_dictionary(struct db_txn *txn, uint64_t *id)
{
    struct db_key key;
    MDB_val k, v;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn->mdb, txn->db->tables[DB_dictionary], &cursor);

    if (rc != 0)
        return db_txn_result(txn, rc);
    db_key_id(&key, *id);
    k = db_key_val(&key);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    if (rc == 0)
        *id = k.mv_size == 8 ? bytes_get64(k.mv_data) : UINT64_MAX;
    mdb_cursor_close(cursor);
    return db_txn_result(txn, rc);
}

enum db_result
db_get_share(struct db_txn *txn, struct view domain, struct domain_share *row)
{
    struct db_key key;

    db_key_name(&key, domain);
    return db_row_get(txn, DB_domain, &key, &domain_share_record, row);
}

enum db_result
db_put_share(struct db_txn *txn, struct view domain,
             const struct domain_share *row)
{
    struct db_key key;

    db_key_name(&key, domain);
    return db_row_put(txn, DB_domain, &key, &domain_share_record, row, 0);
}

enum db_result
db_del_share(struct db_txn *txn, struct view domain)
{
    struct db_key key;

    db_key_name(&key, domain);
    return db_key_del(txn, DB_domain, &key);
}

enum db_result
db_add_aside(struct db_txn *txn, const struct aside_row *row)
{
    struct db_key key;
    MDB_val k, v;
    MDB_cursor *cursor;
    uint64_t number = 0;
    int rc = mdb_cursor_open(txn->mdb, txn->db->tables[DB_aside], &cursor);

    if (rc != 0)
        return db_txn_result(txn, rc);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
    if (rc == 0 && k.mv_size == 8)
        number = bytes_get64(k.mv_data);
    mdb_cursor_close(cursor);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return db_txn_result(txn, rc);
    db_key_id(&key, number + 1);
    return db_row_put(txn, DB_aside, &key, &aside_row_record, row, 0);
}

/* --- rows as they are -------------------------------------------------------
 */

int
db_table_named(struct view name)
{
    for (int t = 0; t < DB_TABLE_COUNT; t++)
        if (view_equal(name, view_of(db_table_names[t])))
            return t;
    return -1;
}

enum db_result
db_get_raw(struct db_txn *txn, struct view table, struct view key,
           struct view *value)
{
    int t = db_table_named(table);
    MDB_val k = db_val(key), v;
    int rc;

    if (t < 0)
        return DB_NONE;
    rc = db_sieve_flush(txn);
    if (rc == 0)
        rc = mdb_get(txn->mdb, txn->db->tables[t], &k, &v);
    if (rc == 0)
        *value = db_view(v);
    return db_txn_result(txn, rc);
}

enum db_result
db_del_raw(struct db_txn *txn, struct view table, struct view key)
{
    int t = db_table_named(table);
    MDB_val k = db_val(key);
    int rc;

    if (t < 0)
        return DB_NONE;
    rc = db_sieve_flush(txn);
    if (rc == 0)
        rc = mdb_del(txn->mdb, txn->db->tables[t], &k, NULL);
    return db_txn_result(txn, rc);
}
