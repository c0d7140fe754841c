/* SPDX-License-Identifier: ISC */
/*
 * The rows of mailboxes and accounts as the writer changes them. What LMDB
 * makes of the keys: mailbox is ordered by uid within a number and box,
 * vanished by time, so it is written at its end and trimmed at its front.
 */
#include "db_mailbox.h"

#include "db_lmdb.h"

/* The first row at or behind key, which becomes its key. *value is valid
 * until the next change. */
static int
seek(struct db_txn *txn, enum db_table table, struct db_key *key,
     struct view *value)
{
    MDB_val k = db_key_val(key), v;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn->mdb, txn->db->tables[table], &cursor);

    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    mdb_cursor_close(cursor);
    if (rc == 0 && k.mv_size > sizeof(key->bytes))
        rc = MDB_CORRUPTED;
    if (rc == 0) {
        memcpy(key->bytes, k.mv_data, k.mv_size);
        key->len = k.mv_size;
        *value = db_view(v);
    }
    return rc;
}

/* --- addresses ------------------------------------------------------------ */

enum db_result
db_get_address(struct db_txn *txn, struct view address, struct address_row *row)
{
    struct db_key key;

    db_key_address(&key, address);
    return db_row_get(txn, DB_address, &key, &address_row_record, row);
}

enum db_result
db_put_address(struct db_txn *txn, struct view address,
               const struct address_row *row)
{
    struct db_key key;

    db_key_address(&key, address);
    return db_row_put(txn, DB_address, &key, &address_row_record, row, 0);
}

enum db_result
db_del_address(struct db_txn *txn, struct view address)
{
    struct db_key key;

    db_key_address(&key, address);
    return db_key_del(txn, DB_address, &key);
}

/* --- places --------------------------------------------------------------- */

enum db_result
db_put_mailbox(struct db_txn *txn, const struct db_place *place, uint64_t id,
               uint64_t n)
{
    struct buf value = {0};
    struct db_key key;
    char bytes[8];
    enum db_result result;

    bytes_put64(bytes, id);
    buf_add(&value, bytes, sizeof(bytes));
    if (n > 0)
        record_put_varint(&value, n);
    db_key_place(&key, place->number, place->box, place->uid);
    result = db_bytes_put(txn, DB_mailbox, &key, buf_view(&value));
    buf_free(&value);
    return result;
}

enum db_result
db_del_mailbox(struct db_txn *txn, const struct db_place *place)
{
    struct db_key key;

    db_key_place(&key, place->number, place->box, place->uid);
    return db_key_del(txn, DB_mailbox, &key);
}

int
db_place_decode(struct view key, struct view value, struct db_place *place,
                uint64_t *id, uint64_t *n)
{
    struct view rest = view_skip(value, 8);

    if (key.len != 9 || value.len < 8)
        return -1;
    place->number = bytes_get32(key.data);
    place->box = (uint8_t)key.data[4];
    place->uid = bytes_get32(key.data + 5);
    *id = bytes_get64(value.data);
    *n = 0;
    return rest.len == 0 || record_take_varint(&rest, n) == 0 ? 0 : -1;
}

enum db_result
db_next_mailbox(struct db_txn *txn, struct db_place *place, uint64_t *id,
                uint64_t *n)
{
    uint64_t number = place->number;
    struct view value;
    struct db_key key;
    int rc;

    db_key_place(&key, number, place->box, place->uid);
    rc = seek(txn, DB_mailbox, &key, &value);
    if (rc != 0)
        return db_txn_result(txn, rc);
    if (db_place_decode((struct view){key.bytes, key.len}, value, place, id,
                        n) != 0)
        return DB_DAMAGED;
    return place->number == number ? DB_OK : DB_NONE;
}

/* Drops the oldest where there are too many; *last is the modseq of the last
 * that went. */
static int
trim_vanished(struct db_txn *txn, uint64_t *last)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    MDB_stat stat;
    int rc = mdb_stat(txn->mdb, txn->db->tables[DB_vanished], &stat);

    *last = 0;
    if (rc != 0 || stat.ms_entries <= DB_VANISHED_MAX)
        return rc;
    rc = mdb_cursor_open(txn->mdb, txn->db->tables[DB_vanished], &cursor);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
    if (rc == 0 && k.mv_size > 8)
        *last = bytes_get64(k.mv_data);
    if (rc == 0)
        rc = mdb_cursor_del(cursor, 0);
    mdb_cursor_close(cursor);
    return rc;
}

enum db_result
db_add_vanished(struct db_txn *txn, uint64_t modseq,
                const struct db_place *place, uint64_t *dropped)
{
    struct db_key key;
    enum db_result result;

    *dropped = 0;
    db_key_vanished(&key, modseq, place->number, place->box, place->uid);
    result = db_key_put(txn, DB_vanished, &key);
    return result == DB_OK ? db_txn_result(txn, trim_vanished(txn, dropped))
                           : result;
}

/* --- marks ---------------------------------------------------------------- */

enum db_result
db_get_mark(struct db_txn *txn, uint64_t id, uint64_t n, uint64_t user,
            struct mark *mark)
{
    struct db_key key;

    db_key_mark(&key, id, n, user);
    return db_row_get(txn, DB_mark, &key, &mark_record, mark);
}

enum db_result
db_put_mark(struct db_txn *txn, uint64_t id, uint64_t n, uint64_t user,
            const struct mark *mark)
{
    struct db_key key;

    db_key_mark(&key, id, n, user);
    return db_row_put(txn, DB_mark, &key, &mark_record, mark, 0);
}

enum db_result
db_del_mark(struct db_txn *txn, uint64_t id, uint64_t n, uint64_t user)
{
    struct db_key key;

    db_key_mark(&key, id, n, user);
    return db_key_del(txn, DB_mark, &key);
}

enum db_result
db_next_mark(struct db_txn *txn, uint64_t id, uint64_t *n, uint64_t *user,
             struct mark *mark)
{
    struct view value;
    struct db_key key;
    int rc;

    db_key_mark(&key, id, *n, *user);
    rc = seek(txn, DB_mark, &key, &value);
    if (rc != 0)
        return db_txn_result(txn, rc);
    if (key.len != 16 || bytes_get64(key.bytes) != id)
        return DB_NONE;
    *n = bytes_get32(key.bytes + 8);
    *user = bytes_get32(key.bytes + 12);
    return db_row_decode(DB_mark, (struct view){key.bytes, key.len}, value,
                         &mark_record, mark) == 0
               ? DB_OK
               : DB_DAMAGED;
}

/* --- own messages, structures --------------------------------------------- */

enum db_result
db_add_own(struct db_txn *txn, uint64_t id, const struct message *message)
{
    struct db_key key;

    db_key_id(&key, id);
    return db_row_put(txn, DB_own, &key, &message_record, message,
                      MDB_NOOVERWRITE);
}

enum db_result
db_get_own(struct db_txn *txn, uint64_t id, struct message *message)
{
    struct db_key key;

    db_key_id(&key, id);
    return db_row_get(txn, DB_own, &key, &message_record, message);
}

enum db_result
db_del_own(struct db_txn *txn, uint64_t id)
{
    struct db_key key;

    db_key_id(&key, id);
    return db_key_del(txn, DB_own, &key);
}

enum db_result
db_put_structure(struct db_txn *txn, uint64_t id, struct view bytes)
{
    struct structure_row row = {bytes};
    struct db_key key;

    db_key_id(&key, id);
    return db_row_put(txn, DB_structure, &key, &structure_row_record, &row, 0);
}

enum db_result
db_del_structure(struct db_txn *txn, uint64_t id)
{
    struct db_key key;

    db_key_id(&key, id);
    return db_key_del(txn, DB_structure, &key);
}

/* --- accounts ------------------------------------------------------------- */

enum db_result
db_get_login(struct db_txn *txn, struct view name, uint64_t *number)
{
    struct address_row row;
    struct db_key key;
    enum db_result result;

    db_key_name(&key, name);
    result = db_row_get(txn, DB_login, &key, &address_row_record, &row);
    *number = result == DB_OK ? row.number : 0;
    return result;
}

enum db_result
db_put_login(struct db_txn *txn, struct view name, uint64_t number)
{
    struct address_row row = {number};
    struct db_key key;

    db_key_name(&key, name);
    return db_row_put(txn, DB_login, &key, &address_row_record, &row, 0);
}

enum db_result
db_del_login(struct db_txn *txn, struct view name)
{
    struct db_key key;

    db_key_name(&key, name);
    return db_key_del(txn, DB_login, &key);
}

enum db_result
db_get_account(struct db_txn *txn, uint64_t number, struct account *account)
{
    struct db_key key;

    db_key_id(&key, number);
    return db_row_get(txn, DB_user, &key, &account_record, account);
}

enum db_result
db_put_account(struct db_txn *txn, const struct account *account)
{
    struct db_key key;

    db_key_id(&key, account->number);
    return db_row_put(txn, DB_user, &key, &account_record, account, 0);
}

enum db_result
db_del_account(struct db_txn *txn, uint64_t number)
{
    struct db_key key;

    db_key_id(&key, number);
    return db_key_del(txn, DB_user, &key);
}

/* --- all deliveries ---------------------------------------------------------
 */

enum db_result
db_walk_delivery(struct db_txn *txn, uint64_t *id, uint64_t *n,
                 struct delivery *delivery)
{
    struct view value;
    struct db_key key;
    int rc;

    db_key_id_n(&key, *id, *n);
    rc = seek(txn, DB_delivery, &key, &value);
    if (rc != 0)
        return db_txn_result(txn, rc);
    if (key.len != 12)
        return DB_DAMAGED;
    *id = bytes_get64(key.bytes);
    *n = bytes_get32(key.bytes + 8);
    return db_row_decode(DB_delivery, (struct view){key.bytes, key.len}, value,
                         &delivery_record, delivery) == 0
               ? DB_OK
               : DB_DAMAGED;
}
