/* SPDX-License-Identifier: ISC */
/*
 * The table undo as the writer changes it: the operator's commands of the
 * last hour and what each delivery was before them. Commands are numbered in
 * the order of time, so the oldest is in front, and the row of a command
 * stands before those of its deliveries.
 */
#include "db_lmdb.h"

void
db_key_undo(struct db_key *key, uint64_t number, uint64_t id, uint64_t n)
{
    bytes_put64(key->bytes, number);
    bytes_put64(key->bytes + 8, id);
    bytes_put32(key->bytes + 16, (uint32_t)n);
    key->len = 20;
}

int
db_undo_key(const struct db_key *key, uint64_t *number, uint64_t *id,
            uint64_t *n)
{
    if (key->len != 20)
        return -1;
    *number = bytes_get64(key->bytes);
    *id = bytes_get64(key->bytes + 8);
    *n = bytes_get32(key->bytes + 16);
    return 0;
}

enum db_result
db_put_undo(struct db_txn *txn, uint64_t number, uint64_t id, uint64_t n,
            const struct undo_row *row)
{
    struct db_key key;

    db_key_undo(&key, number, id, n);
    return db_row_put(txn, DB_undo, &key, &undo_row_record, row, 0);
}

enum db_result
db_get_undo(struct db_txn *txn, uint64_t number, uint64_t id, uint64_t n,
            struct undo_row *row)
{
    struct db_key key;

    db_key_undo(&key, number, id, n);
    return db_row_get(txn, DB_undo, &key, &undo_row_record, row);
}

enum db_result
db_del_undo(struct db_txn *txn, uint64_t number, uint64_t id, uint64_t n)
{
    struct db_key key;

    db_key_undo(&key, number, id, n);
    return db_key_del(txn, DB_undo, &key);
}

enum db_result
db_next_undo(struct db_txn *txn, uint64_t *number, uint64_t *id, uint64_t *n,
             struct undo_row *row)
{
    struct db_key key;
    MDB_val k, v;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn->mdb, txn->db->tables[DB_undo], &cursor);

    if (rc != 0)
        return db_txn_result(txn, rc);
    db_key_undo(&key, *number, *id, *n);
    k = db_key_val(&key);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    mdb_cursor_close(cursor);
    if (rc != 0)
        return db_txn_result(txn, rc);
    if (k.mv_size > sizeof(key.bytes))
        return DB_DAMAGED;
    memcpy(key.bytes, k.mv_data, k.mv_size);
    key.len = k.mv_size;
    return db_undo_key(&key, number, id, n) == 0 &&
                   db_row_decode(DB_undo, db_view(k), db_view(v),
                                 &undo_row_record, row) == 0
               ? DB_OK
               : DB_DAMAGED;
}
