/* SPDX-License-Identifier: ISC */
/*
 * Opening the store, transactions, and the rows as the writer changes them.
 * Only db*.c knows LMDB. The keys section is part of the format (spool.5).
 */
#include "db.h"

#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "db_lmdb.h"
#include "log.h"
#include "mem.h"

/* Address space, not disk: the operator never has to think of it. */
#define MAP_BYTES     (UINT64_C(1) << 40)
#define MAP_BYTES_MIN (UINT64_C(1) << 30)
/* LMDB says EIO where the disk is full; with less than this free it is. */
#define FULL_BYTES (UINT64_C(1) << 20)

const char *const db_table_names[DB_TABLE_COUNT] = {
#define X(name, key) #name,
    DB_TABLES(X)
#undef X
};

struct db_txn {
    struct db *db;
    MDB_txn *mdb;
    MDB_cursor *ledger; /* opened with the first entry */
    uint64_t ledger_seq;
    struct buf row; /* the value under construction */
    int error;      /* LMDB's last */
};

/* --- keys ---------------------------------------------------------------- */

static void
key_add32(struct db_key *key, uint64_t n)
{
    bytes_put32(key->bytes + key->len, (uint32_t)n);
    key->len += 4;
}

static void
key_add64(struct db_key *key, uint64_t n)
{
    bytes_put64(key->bytes + key->len, n);
    key->len += 8;
}

void
db_key_id(struct db_key *key, uint64_t id)
{
    key->len = 0;
    key_add64(key, id);
}

void
db_key_id_n(struct db_key *key, uint64_t id, uint64_t n)
{
    db_key_id(key, id);
    key_add32(key, n);
}

void
db_key_later(struct db_key *key, uint64_t when_ms, uint64_t id, uint64_t n)
{
    key->len = 0;
    key_add64(key, when_ms);
    key_add64(key, id);
    key_add32(key, n);
}

static int
key_add_text(struct db_key *key, struct view text, size_t max)
{
    if (text.len > max || memchr(text.data, '\0', text.len) != NULL)
        return -1;
    memcpy(key->bytes + key->len, text.data, text.len);
    key->len += text.len;
    key->bytes[key->len++] = '\0';
    return 0;
}

int
db_key_ready(struct db_key *key, struct view target, struct view flow,
             uint64_t id, uint64_t n)
{
    key->len = 0;
    if (target.len == 0 || key_add_text(key, target, DB_TARGET_MAX) != 0)
        return -1;
    if (flow.len == 0)
        flow = (struct view){"", 0};
    if (key_add_text(key, flow, DB_FLOW_MAX) != 0)
        return -1;
    key_add64(key, id);
    key_add32(key, n);
    return 0;
}

/* --- opening ------------------------------------------------------------- */

static void
db_on_assert(MDB_env *env, const char *message)
{
    (void)env;
    fatal("the store is damaged: %s", message);
}

/* A map as large as the address space allows: a limit on it (ulimit -v)
 * makes it smaller, not impossible. */
static int
open_mapped(struct db *db, const char *dir, unsigned flags)
{
    int rc = ENOMEM;

    for (uint64_t size = MAP_BYTES; size >= MAP_BYTES_MIN; size /= 2) {
        if ((rc = mdb_env_create(&db->env)) != 0)
            return rc;
        mdb_env_set_mapsize(db->env, size);
        mdb_env_set_maxdbs(db->env, 32);
        mdb_env_set_maxreaders(db->env, 126);
        mdb_env_set_assert(db->env, db_on_assert);
        rc =
            mdb_env_open(db->env, dir, flags | MDB_NOTLS | MDB_NORDAHEAD, 0600);
        if (rc != ENOMEM)
            return rc;
        mdb_env_close(db->env);
        db->env = NULL;
    }
    return rc;
}

struct db *
db_open_env(const char *dir, unsigned flags, struct why *why)
{
    struct db *db = mem_alloc(sizeof(*db));
    int rc = 0;

    db->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (db->dir < 0)
        why_text(why, "%s: %s", dir, strerror(errno));
    else if ((rc = open_mapped(db, dir, flags)) == MDB_INVALID ||
             rc == MDB_VERSION_MISMATCH)
        why_text(why, "%s/data.mdb is not a store of spoold", dir);
    else if (rc != 0)
        why_text(why, "%s/data.mdb: %s", dir, mdb_strerror(rc));
    if (db->dir < 0 || rc != 0)
        db_close(&db);
    return db;
}

void
db_close(struct db **db_ptr)
{
    struct db *db = *db_ptr;

    if (db == NULL)
        return;
    if (db->reader != NULL)
        mdb_txn_abort(db->reader);
    if (db->env != NULL)
        mdb_env_close(db->env);
    if (db->dir >= 0)
        close(db->dir);
    free(db);
    *db_ptr = NULL;
}

int
db_open_tables(struct db *db, MDB_txn *txn, unsigned flags, struct why *why)
{
    for (int t = 0; t < DB_TABLE_COUNT; t++) {
        int rc = mdb_dbi_open(txn, db_table_names[t], flags, &db->tables[t]);

        if (rc != 0)
            return why_text(why, "table %s: %s", db_table_names[t],
                            mdb_strerror(rc));
    }
    return 0;
}

/* What is there? 1: our format, 0: nothing yet, -1: not for us. */
static int
check_format(struct db *db, struct why *why)
{
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_stat stat;
    MDB_val key = db_val(VIEW("format")), value;
    unsigned long format;
    int found = -1;
    int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);

    if (rc != 0)
        return why_text(why, "the store: %s", mdb_strerror(rc));
    rc = mdb_dbi_open(txn, "setting", 0, &dbi);
    if (rc == MDB_NOTFOUND && mdb_dbi_open(txn, NULL, 0, &dbi) == 0 &&
        mdb_stat(txn, dbi, &stat) == 0 && stat.ms_entries == 0) {
        found = 0;
    } else if (rc != 0 || mdb_get(txn, dbi, &key, &value) != 0 ||
               value.mv_size != 8) {
        why_text(why, "data.mdb is not a store of spoold");
    } else if ((format = bytes_get64(value.mv_data)) > DB_FORMAT) {
        why_text(why,
                 "the store has format %lu, this spoold knows up to %d: "
                 "use the newer version (nothing was changed)",
                 format, DB_FORMAT);
    } else {
        found = 1;
    }
    mdb_txn_abort(txn);
    return found;
}

static int
create_tables(struct db *db, bool fresh, struct why *why)
{
    char format[8];
    MDB_val key = db_val(VIEW("format")), value = {8, format};
    MDB_txn *txn;
    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);

    if (rc != 0)
        return why_text(why, "the store: %s", mdb_strerror(rc));
    if (db_open_tables(db, txn, fresh ? MDB_CREATE : 0, why) != 0) {
        mdb_txn_abort(txn);
        return -1;
    }
    bytes_put64(format, DB_FORMAT);
    if (fresh)
        rc = mdb_put(txn, db->tables[DB_setting], &key, &value, 0);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    if (rc == 0 && fresh && fsync(db->dir) != 0) /* the file's name, too */
        rc = errno;
    return rc == 0 ? 0 : why_text(why, "the store: %s", mdb_strerror(rc));
}

struct db *
db_open_writer(const char *dir, struct why *why)
{
    struct db *db = db_open_env(dir, 0, why);
    int there;

    if (db == NULL)
        return NULL;
    there = check_format(db, why);
    if (there < 0 || create_tables(db, there == 0, why) != 0)
        db_close(&db);
    return db;
}

void
db_reap_readers(struct db *db)
{
    int dead = 0;

    mdb_reader_check(db->env, &dead);
}

uint64_t
db_free_bytes(struct db *db)
{
    struct statvfs fs;

    if (fstatvfs(db->dir, &fs) != 0)
        return 0;
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* --- transactions -------------------------------------------------------- */

static enum db_result
db_result(struct db *db, int rc)
{
    switch (rc) {
    case 0:
        return DB_OK;
    case MDB_NOTFOUND:
        return DB_NONE;
    case MDB_KEYEXIST:
        return DB_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case MDB_MAP_FULL:
        return DB_FULL;
    case EIO:
        return db_free_bytes(db) < FULL_BYTES ? DB_FULL : DB_FAILED;
    default:
        return DB_FAILED;
    }
}

static enum db_result
txn_result(struct db_txn *txn, int rc)
{
    if (rc != 0 && rc != MDB_NOTFOUND && rc != MDB_KEYEXIST)
        txn->error = rc;
    return db_result(txn->db, rc);
}

enum db_result
db_begin(struct db *db, struct db_txn **txn)
{
    MDB_txn *mdb;
    int rc = mdb_txn_begin(db->env, NULL, 0, &mdb);

    if (rc != 0)
        return db_result(db, rc);
    *txn = mem_alloc(sizeof(**txn));
    (*txn)->db = db;
    (*txn)->mdb = mdb;
    return DB_OK;
}

static void
txn_free(struct db_txn **txn)
{
    buf_free(&(*txn)->row);
    free(*txn);
    *txn = NULL;
}

enum db_result
db_commit(struct db_txn **txn, struct why *why)
{
    struct db *db = (*txn)->db;
    int rc;

    if ((*txn)->ledger != NULL)
        mdb_cursor_close((*txn)->ledger);
    rc = mdb_txn_commit((*txn)->mdb);
    if (rc != 0)
        why_text(why, "commit: %s", mdb_strerror(rc));
    txn_free(txn);
    return db_result(db, rc);
}

void
db_abort(struct db_txn **txn)
{
    if ((*txn)->ledger != NULL)
        mdb_cursor_close((*txn)->ledger);
    mdb_txn_abort((*txn)->mdb);
    txn_free(txn);
}

const char *
db_reason(const struct db_txn *txn)
{
    return txn->error != 0 ? mdb_strerror(txn->error) : "no error";
}

/* --- rows ---------------------------------------------------------------- */

static enum db_result
row_put(struct db_txn *txn, enum db_table table, struct db_key *key,
        const struct record_type *type, const void *object, unsigned flags)
{
    MDB_val k = db_key_val(key), v;

    buf_reset(&txn->row);
    record_encode(type, object, &txn->row);
    v = db_val(buf_view(&txn->row));
    return txn_result(txn,
                      mdb_put(txn->mdb, txn->db->tables[table], &k, &v, flags));
}

static enum db_result
row_get(struct db_txn *txn, enum db_table table, struct db_key *key,
        const struct record_type *type, void *object)
{
    MDB_val k = db_key_val(key), v;
    int rc = mdb_get(txn->mdb, txn->db->tables[table], &k, &v);

    if (rc != 0)
        return txn_result(txn, rc);
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

    return txn_result(txn,
                      mdb_put(txn->mdb, txn->db->tables[table], &k, &v, 0));
}

static enum db_result
key_del(struct db_txn *txn, enum db_table table, struct db_key *key)
{
    MDB_val k = db_key_val(key);

    return txn_result(txn, mdb_del(txn->mdb, txn->db->tables[table], &k, NULL));
}

/* Deletes every row of table whose key starts with id. */
static enum db_result
del_all_of(struct db_txn *txn, enum db_table table, uint64_t id)
{
    struct db_key start;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn->mdb, txn->db->tables[table], &cursor);

    if (rc != 0)
        return txn_result(txn, rc);
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
    return rc == MDB_NOTFOUND ? DB_OK : txn_result(txn, rc);
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
    return txn_result(txn,
                      mdb_put(txn->mdb, txn->db->tables[DB_body], &k, &v, 0));
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
        return txn_result(txn, rc);
    db_key_id_n(&key, id, *n);
    k = db_key_val(&key);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    mdb_cursor_close(cursor);
    if (rc == 0 && (k.mv_size != 12 || memcmp(k.mv_data, key.bytes, 8) != 0))
        rc = MDB_NOTFOUND;
    if (rc != 0)
        return txn_result(txn, rc);
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
        return txn_result(txn, rc);
    db_key_id(&key, ++txn->ledger_seq);
    k = db_key_val(&key);
    buf_reset(&txn->row);
    record_encode(&ledger_entry_record, entry, &txn->row);
    v = db_val(buf_view(&txn->row));
    return txn_result(txn, mdb_cursor_put(txn->ledger, &k, &v, MDB_APPEND));
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
