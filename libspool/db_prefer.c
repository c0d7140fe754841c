/* SPDX-License-Identifier: ISC */
/*
 * The table prefer as the writer changes it: the operator's rules of what
 * goes first, by their numbers.
 */
#include "db_lmdb.h"

enum db_result
db_put_prefer(struct db_txn *txn, const struct prefer_rule *rule)
{
    struct db_key key;

    db_key_id(&key, rule->number);
    return db_row_put(txn, DB_prefer, &key, &prefer_rule_record, rule, 0);
}

enum db_result
db_get_prefer(struct db_txn *txn, uint64_t number, struct prefer_rule *rule)
{
    struct db_key key;

    db_key_id(&key, number);
    return db_row_get(txn, DB_prefer, &key, &prefer_rule_record, rule);
}

enum db_result
db_del_prefer(struct db_txn *txn, uint64_t number)
{
    struct db_key key;

    db_key_id(&key, number);
    return db_key_del(txn, DB_prefer, &key);
}

enum db_result
db_next_prefer(struct db_txn *txn, uint64_t number, struct prefer_rule *rule)
{
    struct db_key key;
    MDB_val k, v;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn->mdb, txn->db->tables[DB_prefer], &cursor);

    if (rc != 0)
        return db_txn_result(txn, rc);
    db_key_id(&key, number);
    k = db_key_val(&key);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    mdb_cursor_close(cursor);
    if (rc != 0)
        return db_txn_result(txn, rc);
    return db_row_decode(DB_prefer, db_view(k), db_view(v), &prefer_rule_record,
                         rule) == 0
               ? DB_OK
               : DB_DAMAGED;
}
