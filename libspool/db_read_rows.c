/* SPDX-License-Identifier: ISC */
/*
 * Questions to the small tables: data keys, dictionaries, domains,
 * checkpoints, rows that were set aside. All are one question: the first row
 * at or behind a key.
 */
#include "db_lmdb.h"
#include "db_read.h"

/* The row at key, or (MDB_SET_RANGE) the first one behind; its key goes to
 * *key, its value to memory. 1, 0 or -1. */
static int
read_row(struct db *db, enum db_table table, MDB_cursor_op op,
         struct db_key *key, struct buf *memory, struct why *why)
{
    MDB_val k = db_key_val(key), v;
    MDB_cursor *cursor;
    MDB_txn *txn;
    int rc;

    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = mdb_cursor_open(txn, db->tables[table], &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &k, &v, key->len > 0 ? op : MDB_FIRST);
        mdb_cursor_close(cursor);
    }
    if (rc == 0 && k.mv_size > sizeof(key->bytes))
        rc = MDB_CORRUPTED;
    if (rc == 0) {
        buf_reset(memory);
        buf_add_view(memory, db_view(v));
        memcpy(key->bytes, k.mv_data, k.mv_size);
        key->len = k.mv_size;
    }
    db_read_end(db);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0)
        return why_text(why, "reading the store: %s", mdb_strerror(rc));
    return 1;
}

static int
decode_row(enum db_table table, const struct db_key *key,
           const struct buf *memory, const struct record_type *type, void *out,
           struct why *why)
{
    if (db_row_decode(table, (struct view){key->bytes, key->len},
                      buf_view(memory), type, out) == 0)
        return 1;
    if (key->len == 8)
        return why_text(why, "damaged row %llu in %s",
                        (unsigned long long)bytes_get64(key->bytes),
                        db_table_names[table]);
    return why_text(why, "damaged row \"%.*s\" in %s", (int)key->len,
                    key->bytes, db_table_names[table]);
}

static int
read_at(struct db *db, enum db_table table, uint64_t number,
        const struct record_type *type, void *out, struct buf *memory,
        struct why *why)
{
    struct db_key key;
    int found;

    db_key_id(&key, number);
    found = read_row(db, table, MDB_SET_KEY, &key, memory, why);
    return found == 1 ? decode_row(table, &key, memory, type, out, why) : found;
}

static int
read_after(struct db *db, enum db_table table, uint64_t after, uint64_t *number,
           const struct record_type *type, void *out, struct buf *memory,
           struct why *why)
{
    struct db_key key;
    int found;

    if (after == UINT64_MAX)
        return 0;
    db_key_id(&key, after + 1);
    found = read_row(db, table, MDB_SET_RANGE, &key, memory, why);
    if (found != 1)
        return found;
    if (number != NULL)
        *number = key.len == 8 ? bytes_get64(key.bytes) : after + 1;
    return decode_row(table, &key, memory, type, out, why);
}

int
db_read_checkpoint_after(struct db *db, uint64_t after_seq,
                         struct checkpoint *out, struct buf *memory,
                         struct why *why)
{
    return read_after(db, DB_checkpoint, after_seq, NULL, &checkpoint_record,
                      out, memory, why);
}

int
db_read_data_key(struct db *db, uint64_t id, struct data_key *out,
                 struct buf *memory, struct why *why)
{
    return read_at(db, DB_key, id, &data_key_record, out, memory, why);
}

int
db_read_data_key_after(struct db *db, uint64_t after_id, struct data_key *out,
                       struct buf *memory, struct why *why)
{
    return read_after(db, DB_key, after_id, NULL, &data_key_record, out, memory,
                      why);
}

int
db_read_dictionary(struct db *db, uint64_t id, struct dictionary_row *out,
                   struct buf *memory, struct why *why)
{
    return read_at(db, DB_dictionary, id, &dictionary_row_record, out, memory,
                   why);
}

int
db_read_dictionary_after(struct db *db, uint64_t after_id,
                         struct dictionary_row *out, struct buf *memory,
                         struct why *why)
{
    return read_after(db, DB_dictionary, after_id, NULL, &dictionary_row_record,
                      out, memory, why);
}

int
db_read_aside_after(struct db *db, uint64_t after, uint64_t *number,
                    struct aside_row *out, struct buf *memory, struct why *why)
{
    return read_after(db, DB_aside, after, number, &aside_row_record, out,
                      memory, why);
}

int
db_read_share_after(struct db *db, struct view after, struct buf *domain,
                    struct domain_share *out, struct why *why)
{
    struct buf memory = {0};
    struct db_key key;
    int found;

    db_key_name(&key, after);
    if (key.len > 0) /* the first key behind "name" is "name\0" */
        key.bytes[key.len++] = '\0';
    found = read_row(db, DB_domain, MDB_SET_RANGE, &key, &memory, why);
    if (found == 1) {
        buf_reset(domain);
        buf_add(domain, key.bytes, key.len);
        found = decode_row(DB_domain, &key, &memory, &domain_share_record, out,
                           why);
    }
    buf_free(&memory);
    return found;
}

int
db_read_prefer_after(struct db *db, uint64_t after, struct prefer_rule *out,
                     struct buf *memory, struct why *why)
{
    return read_after(db, DB_prefer, after, NULL, &prefer_rule_record, out,
                      memory, why);
}

int
db_read_undo_after(struct db *db, uint64_t *number, uint64_t *id, uint64_t *n,
                   struct undo_row *out, struct buf *memory, struct why *why)
{
    struct db_key key;
    int found;

    db_key_undo(&key, *number, *id, *n + 1);
    found = read_row(db, DB_undo, MDB_SET_RANGE, &key, memory, why);
    if (found == 1)
        found = decode_row(DB_undo, &key, memory, &undo_row_record, out, why);
    if (found == 1 && db_undo_key(&key, number, id, n) != 0)
        return why_text(why, "a row of undo without a number");
    return found;
}
