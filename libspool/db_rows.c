/* SPDX-License-Identifier: ISC */
/*
 * A row of a CHECKED table: four check bytes, then a record. The check covers
 * the table's name and the key, so a row that was changed, or stands in
 * another's place, is not taken for what it says. All rows go through here.
 */
#include <sodium.h>

#include "db_lmdb.h"
#include "log.h"

#define CHECK_HASH 16 /* BLAKE2b-128, cut */

void
db_check(enum db_table table, struct view key, struct view record,
         char check[DB_CHECK])
{
    char head[32 + DB_TARGET_MAX + DB_FLOW_MAX + 16];
    size_t name = strlen(db_table_names[table]) + 1; /* with its NUL */
    unsigned char hash[CHECK_HASH];
    crypto_generichash_state state;

    if (name + key.len > sizeof(head))
        bug("a key of %zu bytes", key.len);
    memcpy(head, db_table_names[table], name);
    memcpy(head + name, key.data, key.len);
    crypto_generichash_init(&state, NULL, 0, CHECK_HASH);
    crypto_generichash_update(&state, (const unsigned char *)head,
                              name + key.len);
    crypto_generichash_update(&state, (const unsigned char *)record.data,
                              record.len);
    crypto_generichash_final(&state, hash, CHECK_HASH);
    memcpy(check, hash, DB_CHECK);
}

void
db_row_encode(enum db_table table, struct view key,
              const struct record_type *type, const void *object,
              struct buf *out)
{
    size_t start = out->len;
    char check[DB_CHECK] = {0};

    buf_add(out, check, DB_CHECK);
    record_encode(type, object, out);
    db_check(table, key, view_skip(buf_view(out), start + DB_CHECK), check);
    memcpy(out->data + start, check, DB_CHECK);
}

int
db_row_decode(enum db_table table, struct view key, struct view value,
              const struct record_type *type, void *object)
{
    char check[DB_CHECK];

    if (value.len < DB_CHECK || key.len > sizeof(struct db_key))
        return -1;
    db_check(table, key, view_skip(value, DB_CHECK), check);
    if (memcmp(check, value.data, DB_CHECK) != 0)
        return -1;
    return record_decode(type, view_skip(value, DB_CHECK), object, NULL);
}

/* Keys of most tables rise with time. LMDB fills a page to its end only when
 * it is told that a key is the last one; otherwise it splits the page. */
static int
put_ordered(struct db_txn *txn, enum db_table table, MDB_val *k, MDB_val *v,
            unsigned flags)
{
    MDB_dbi dbi = txn->db->tables[table];
    MDB_val value = *v; /* a put that fails may leave the other's there */
    int rc = mdb_put(txn->mdb, dbi, k, &value, flags | MDB_APPEND);

    return rc != MDB_KEYEXIST ? rc : mdb_put(txn->mdb, dbi, k, v, flags);
}

enum db_result
db_bytes_put(struct db_txn *txn, enum db_table table, struct db_key *key,
             struct view value)
{
    MDB_val k = db_key_val(key), v = db_val(value);

    return db_txn_result(txn, put_ordered(txn, table, &k, &v, 0));
}

enum db_result
db_row_put(struct db_txn *txn, enum db_table table, struct db_key *key,
           const struct record_type *type, const void *object, unsigned flags)
{
    MDB_val k = db_key_val(key), v;

    buf_reset(&txn->row);
    db_row_encode(table, db_view(k), type, object, &txn->row);
    v = db_val(buf_view(&txn->row));
    return db_txn_result(txn, put_ordered(txn, table, &k, &v, flags));
}

enum db_result
db_row_get(struct db_txn *txn, enum db_table table, struct db_key *key,
           const struct record_type *type, void *object)
{
    MDB_val k = db_key_val(key), v;
    int rc = mdb_get(txn->mdb, txn->db->tables[table], &k, &v);

    if (rc != 0)
        return db_txn_result(txn, rc);
    if (db_row_decode(table, db_view(k), db_view(v), type, object) != 0) {
        txn->error = MDB_CORRUPTED;
        return DB_DAMAGED;
    }
    return DB_OK;
}

enum db_result
db_key_put(struct db_txn *txn, enum db_table table, struct db_key *key)
{
    return db_bytes_put(txn, table, key, (struct view){NULL, 0});
}

enum db_result
db_key_del(struct db_txn *txn, enum db_table table, struct db_key *key)
{
    MDB_val k = db_key_val(key);

    return db_txn_result(txn,
                         mdb_del(txn->mdb, txn->db->tables[table], &k, NULL));
}
