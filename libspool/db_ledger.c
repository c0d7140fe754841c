/* SPDX-License-Identifier: ISC */
/*
 * The table ledger: entries are only added, each chained to the one before
 * (ledger_chain.h), and only a prefix that a signed checkpoint covers is ever
 * removed. The end of the chain stands in the totals, which every
 * transaction writes.
 */
#include "db_lmdb.h"
#include "db_read.h"
#include "log.h"

static const struct record_field db_totals_fields[] = {
    RECORD_NUM_FIELD(1, db_totals, held),
    RECORD_NUM_FIELD(2, db_totals, held_stored),
    RECORD_NUM_FIELD(3, db_totals, floor_ms),
    RECORD_NUM_FIELD(4, db_totals, seq),
    RECORD_VIEW_FIELD(5, db_totals, head),
    RECORD_NUM_FIELD(6, db_totals, on_hold),
    RECORD_NUM_FIELD(7, db_totals, unknown),
    RECORD_NUM_FIELD(8, db_totals, notice_ms),
    RECORD_NUM_FIELD(9, db_totals, rules),
    RECORD_NUM_FIELD(20, db_totals, mailboxes),
    RECORD_NUM_FIELD(21, db_totals, filled_id),
    RECORD_NUM_FIELD(22, db_totals, filled_n),
    RECORD_NUM_FIELD(23, db_totals, uidvalidity),
    RECORD_NUM_FIELD(24, db_totals, modseq),
    RECORD_NUM_FIELD(25, db_totals, uid_base),
    RECORD_NUM_FIELD(26, db_totals, number),
    RECORD_NUM_FIELD(27, db_totals, modseq_floor),
    RECORD_NUM_FIELD(28, db_totals, vanished_from),
};
RECORD_TYPE(db_totals);

/* --- totals and the end of the chain -------------------------------------- */

enum db_result
db_get_totals(struct db_txn *txn, struct db_totals *totals)
{
    struct db_key key;
    enum db_result result;

    db_key_name(&key, VIEW("totals"));
    result = db_row_get(txn, DB_setting, &key, &db_totals_record, totals);
    if (result == DB_NONE) {
        *totals = (struct db_totals){0};
        result = DB_OK;
    }
    if (result != DB_OK)
        return result;
    if (txn->chain_known) {
        totals->seq = txn->seq;
    } else {
        txn->seq = totals->seq;
        memset(txn->head, 0, LEDGER_HASH);
        if (totals->head.len == LEDGER_HASH)
            memcpy(txn->head, totals->head.data, LEDGER_HASH);
        txn->chain_known = true;
    }
    totals->head = (struct view){txn->head, LEDGER_HASH};
    return DB_OK;
}

enum db_result
db_chain_load(struct db_txn *txn)
{
    struct db_totals totals;

    return txn->chain_known ? DB_OK : db_get_totals(txn, &totals);
}

enum db_result
db_put_totals(struct db_txn *txn, const struct db_totals *totals)
{
    struct db_totals row = *totals;
    struct db_key key;
    enum db_result result = db_chain_load(txn);

    if (result != DB_OK)
        return result;
    row.seq = txn->seq;
    row.head = (struct view){txn->head, LEDGER_HASH};
    db_key_name(&key, VIEW("totals"));
    return db_row_put(txn, DB_setting, &key, &db_totals_record, &row, 0);
}

enum db_result
db_ledger_seq(struct db_txn *txn, uint64_t *seq)
{
    enum db_result result = db_chain_load(txn);

    *seq = txn->seq;
    return result;
}

/* --- entries ----------------------------------------------------------------
 */

static int
ledger_open(struct db_txn *txn)
{
    if (txn->ledger != NULL)
        return 0;
    return mdb_cursor_open(txn->mdb, txn->db->tables[DB_ledger], &txn->ledger);
}

enum db_result
db_add_ledger(struct db_txn *txn, const struct ledger_entry *entry)
{
    static const char room[LEDGER_CHECK];
    enum db_result result = db_chain_load(txn);
    struct db_key key;
    MDB_val k, v;
    int rc;

    if (result != DB_OK)
        return result;
    if ((rc = ledger_open(txn)) != 0)
        return db_txn_result(txn, rc);
    db_key_id(&key, ++txn->seq);
    k = db_key_val(&key);
    buf_reset(&txn->row);
    buf_add(&txn->row, room, LEDGER_CHECK);
    record_encode(&ledger_entry_record, entry, &txn->row);
    ledger_chain_next(txn->head, txn->seq,
                      view_skip(buf_view(&txn->row), LEDGER_CHECK));
    memcpy(txn->row.data, txn->head, LEDGER_CHECK);
    v = db_val(buf_view(&txn->row));
    return db_txn_result(txn, mdb_cursor_put(txn->ledger, &k, &v, MDB_APPEND));
}

/* Removes rows from the front of a table with numbers as keys: those up to
 * last, at most max of them. */
static enum db_result
drop_front(struct db_txn *txn, enum db_table table, uint64_t last, size_t max,
           size_t *removed)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(txn->mdb, txn->db->tables[table], &cursor);

    *removed = 0;
    if (rc != 0)
        return db_txn_result(txn, rc);
    while (*removed < max) {
        /* Positioned anew each time: deleting moves the cursor. */
        rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
        if (rc != 0 || k.mv_size != 8 || bytes_get64(k.mv_data) > last)
            break;
        if ((rc = mdb_cursor_del(cursor, 0)) != 0)
            break;
        (*removed)++;
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND ? DB_OK : db_txn_result(txn, rc);
}

enum db_result
db_trim_ledger(struct db_txn *txn, uint64_t seq, size_t max, size_t *removed)
{
    return drop_front(txn, DB_ledger, seq, max, removed);
}

enum db_result
db_get_checkpoint(struct db_txn *txn, uint64_t seq, struct checkpoint *row)
{
    struct db_key key;

    db_key_id(&key, seq);
    return db_row_get(txn, DB_checkpoint, &key, &checkpoint_record, row);
}

enum db_result
db_drop_checkpoints(struct db_txn *txn, uint64_t seq, size_t max)
{
    size_t removed;

    return seq > 0 ? drop_front(txn, DB_checkpoint, seq - 1, max, &removed)
                   : DB_OK;
}

enum db_result
db_put_checkpoint(struct db_txn *txn, const struct checkpoint *row)
{
    struct db_key key;

    db_key_id(&key, row->seq);
    return db_row_put(txn, DB_checkpoint, &key, &checkpoint_record, row, 0);
}

/* --- reading ----------------------------------------------------------------
 */

static int
walk_ledger(MDB_cursor *walk, uint64_t from_seq, size_t max, db_ledger_fn *fn,
            void *arg)
{
    struct db_key key;
    MDB_cursor_op op = MDB_SET_RANGE;
    MDB_val k, v;

    db_key_id(&key, from_seq);
    k = db_key_val(&key);
    for (size_t i = 0; i < max; i++) {
        int rc = mdb_cursor_get(walk, &k, &v, op);

        if (rc != 0)
            return rc;
        if (k.mv_size == 8 && !fn(arg, bytes_get64(k.mv_data), db_view(v)))
            return 0;
        op = MDB_NEXT;
    }
    return 0;
}

int
db_read_ledger(struct db *db, uint64_t from_seq, size_t max, db_ledger_fn *fn,
               void *arg, struct why *why)
{
    MDB_cursor *walk;
    MDB_txn *txn;
    int rc;

    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = mdb_cursor_open(txn, db->tables[DB_ledger], &walk);
    if (rc == 0) {
        rc = walk_ledger(walk, from_seq, max, fn, arg);
        mdb_cursor_close(walk);
    }
    db_read_end(db);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0)
        return why_text(why, "reading the store: %s", mdb_strerror(rc));
    return 1;
}

int
db_read_totals(struct db *db, struct db_totals *out, struct buf *memory,
               struct why *why)
{
    struct view name = VIEW("totals");
    MDB_val k = db_val(name), v;
    MDB_txn *txn;
    int rc;

    *out = (struct db_totals){0};
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = mdb_get(txn, db->tables[DB_setting], &k, &v);
    buf_reset(memory);
    if (rc == 0)
        buf_add_view(memory, db_view(v));
    db_read_end(db);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0)
        return why_text(why, "reading the store: %s", mdb_strerror(rc));
    if (db_row_decode(DB_setting, name, buf_view(memory), &db_totals_record,
                      out) != 0)
        return why_text(why, "damaged row \"totals\" in setting");
    return 1;
}
