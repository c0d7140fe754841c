/* SPDX-License-Identifier: ISC */
/*
 * Opening the store, keys and transactions. Only db*.c knows LMDB. The keys
 * section is part of the format (spool.5). db_write.c has the rows.
 */
#include "db.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "db_lmdb.h"
#include "db_pages.h"
#include "log.h"
#include "mailbox.h"
#include "mem.h"

/* Address space, not disk: the operator never has to think of it. */
#define MAP_BYTES     (UINT64_C(1) << 40)
#define MAP_BYTES_MIN (UINT64_C(1) << 30)
/* LMDB says EIO where the disk is full; with less than this free it is. */
#define FULL_BYTES (UINT64_C(8) << 20)
/* How far the file is extended at a time, and not when room is short. */
#define EXTEND_BYTES      (UINT64_C(1) << 20)
#define EXTEND_ROOM_BYTES (UINT64_C(256) << 20)

const char *const db_table_names[DB_TABLE_COUNT] = {
#define X(name, form, key) #name,
    DB_TABLES(X)
#undef X
};
const enum db_form db_table_forms[DB_TABLE_COUNT] = {
#define X(name, form, key) DB_FORM_##form,
    DB_TABLES(X)
#undef X
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
db_key_part(struct db_key *key, uint64_t id, uint64_t n, unsigned part)
{
    db_key_id(key, id);
    key_add32(key, n << 8 | part);
}

void
db_key_later(struct db_key *key, uint64_t when_ms, uint64_t id, uint64_t n)
{
    key->len = 0;
    key_add64(key, when_ms);
    key_add64(key, id);
    key_add32(key, n);
}

void
db_key_name(struct db_key *key, struct view name)
{
    if (name.len > DB_FLOW_MAX)
        bug("a name of %zu bytes as a key", name.len);
    if (name.len > 0)
        memcpy(key->bytes, name.data, name.len);
    key->len = name.len;
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

void
db_key_place(struct db_key *key, uint64_t number, uint64_t box, uint64_t uid)
{
    key->len = 0;
    key_add32(key, number);
    key->bytes[key->len++] = (char)box;
    key_add32(key, uid);
}

void
db_key_vanished(struct db_key *key, uint64_t modseq, uint64_t number,
                uint64_t box, uint64_t uid)
{
    key->len = 0;
    key_add64(key, modseq);
    key_add32(key, number);
    key->bytes[key->len++] = (char)box;
    key_add32(key, uid);
}

void
db_key_mark(struct db_key *key, uint64_t id, uint64_t n, uint64_t user)
{
    db_key_id_n(key, id, n);
    key_add32(key, user);
}

void
db_key_address(struct db_key *key, struct view address)
{
    const char *at =
        address.len > 0 ? memrchr(address.data, '@', address.len) : NULL;
    size_t local = at != NULL ? (size_t)(at - address.data) : 0;

    if (at == NULL || address.len > MAILBOX_ADDRESS_MAX)
        bug("an address of %zu bytes as a key", address.len);
    key->len = address.len;
    memcpy(key->bytes, at + 1, address.len - local - 1);
    key->bytes[address.len - local - 1] = '@';
    memcpy(key->bytes + address.len - local, address.data, local);
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
    fatal("the store is damaged: %s: stop spoold and run \"spoolctl check "
          "--offline\"",
          message);
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

/* The two files of a store are two names, and the writer may put others in
 * their place between our opening the one and the other: only a lock file
 * that had its name before and after goes with the data. */
static int
open_pair(struct db *db, const char *dir, unsigned flags)
{
    int rc;

    for (;;) {
        struct stat before = {0}, after = {0};

        fstatat(db->dir, "lock.mdb", &before, 0);
        if ((rc = open_mapped(db, dir, flags)) != 0)
            return rc;
        if (fstatat(db->dir, "lock.mdb", &after, 0) != 0)
            return errno;
        db->lock_inode = after.st_ino;
        if ((before.st_ino == 0 || before.st_ino == after.st_ino) &&
            db_has_its_name(db))
            return 0;
        mdb_env_close(db->env);
        db->env = NULL;
    }
}

struct db *
db_open_env(const char *dir, unsigned flags, struct why *why)
{
    struct db *db = mem_alloc(sizeof(*db));
    int rc = 0;

    db->path = mem_copy_text(dir);
    db->reads_only = (flags & MDB_RDONLY) != 0;
    db->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (db->dir < 0)
        why_text(why, "%s: %s", dir, strerror(errno));
    else if ((rc = open_pair(db, dir, flags)) == MDB_INVALID ||
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
    db_let_go(db);
    if (db->dir >= 0)
        close(db->dir);
    free(db->path);
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

/* What is there? Its format, 0: nothing yet, -1: not for us. */
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
        found = (int)format;
    }
    mdb_txn_abort(txn);
    return found;
}

static int
create_tables(struct db *db, bool anew, struct why *why)
{
    char format[8];
    MDB_val key = db_val(VIEW("format")), value = {8, format};
    MDB_txn *txn;
    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);

    if (rc != 0)
        return why_text(why, "the store: %s", mdb_strerror(rc));
    if (db_open_tables(db, txn, MDB_CREATE, why) != 0) {
        mdb_txn_abort(txn);
        return -1;
    }
    bytes_put64(format, DB_FORMAT);
    if (anew)
        rc = mdb_put(txn, db->tables[DB_setting], &key, &value, 0);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    if (rc == 0 && anew && fsync(db->dir) != 0) /* the file's name, too */
        rc = errno;
    return rc == 0 ? 0 : why_text(why, "the store: %s", mdb_strerror(rc));
}

static bool
has_data(const char *dir)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    return access(path, F_OK) == 0;
}

static void
drop_data(const char *dir)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    unlink(path);
}

/* LMDB takes the head with the higher number, whatever became of the other. */
static void
check_heads(const char *dir)
{
    char path[4096];
    struct why why;
    int fd;

    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (db_pages_heads(fd, &why) != 0)
        log_warn("%s: stop spoold and run \"spoolctl check --offline\"",
                 why.text);
    close(fd);
}

struct db *
db_open_writer(const char *dir, struct why *why)
{
    bool was_there = has_data(dir);
    struct db *db;
    int there;

    if (was_there)
        check_heads(dir);
    db = db_open_env(dir, 0, why);

    /* A file that could not be made whole would pass for somebody else's. */
    if (db == NULL && !was_there)
        drop_data(dir);
    if (db == NULL)
        return NULL;
    db_rebuild_clear(db->dir);
    there = check_format(db, why);
    if (there > 0 && there < DB_FORMAT_IN_PLACE) {
        log_info("the store has format %d and is rewritten in format %d", there,
                 DB_FORMAT);
        return db_migrate(&db, dir, why) == 0 ? db_open_writer(dir, why) : NULL;
    }
    if (there < 0 || create_tables(db, there < DB_FORMAT, why) != 0)
        db_close(&db);
    return db;
}

struct db *
db_create(const char *dir, unsigned flags, struct why *why)
{
    struct db *db = db_open_env(dir, flags, why);

    if (db != NULL && create_tables(db, true, why) != 0)
        db_close(&db);
    return db;
}

void
db_reap_readers(struct db *db)
{
    int dead = 0;

    mdb_reader_check(db->env, &dead);
}

/* One line of LMDB's table of readers: process, thread, commit or "-". */
static int
on_reader(const char *line, void *arg)
{
    struct db_reader *oldest = arg;
    unsigned long process, commit;

    if (sscanf(line, "%lu %*x %lu", &process, &commit) == 2 &&
        (oldest->process == 0 || commit < oldest->commit))
        *oldest = (struct db_reader){process, commit};
    return 0;
}

uint64_t
db_oldest_reader(struct db *db, struct db_reader *oldest)
{
    MDB_envinfo info;

    *oldest = (struct db_reader){0};
    if (mdb_reader_list(db->env, on_reader, oldest) < 0 ||
        mdb_env_info(db->env, &info) != 0 || oldest->process == 0 ||
        oldest->commit >= info.me_last_txnid)
        return 0;
    return info.me_last_txnid - oldest->commit;
}

uint64_t
db_free_bytes(struct db *db)
{
    struct statvfs fs;

    if (fstatvfs(db->dir, &fs) != 0)
        return 0;
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

void
db_extend(struct db *db)
{
    static const char zeros[EXTEND_BYTES];
    MDB_envinfo info;
    MDB_stat env;
    struct stat st;
    uint64_t end;
    int fd;

    if (mdb_env_info(db->env, &info) != 0 || mdb_env_stat(db->env, &env) != 0 ||
        mdb_env_get_fd(db->env, &fd) != 0)
        return;
    end = ((uint64_t)info.me_last_pgno + 1) * env.ms_psize;
    if (db->written == 0 && fstat(fd, &st) == 0)
        db->written = (uint64_t)st.st_size;
    if (db->written < end)
        db->written = end;
    if (db->written - end >= EXTEND_BYTES / 2 ||
        db_free_bytes(db) < EXTEND_ROOM_BYTES)
        return;
    if (pwrite(fd, zeros, sizeof(zeros), (off_t)db->written) !=
        (ssize_t)sizeof(zeros))
        return;
    sync_file_range(fd, (off_t)db->written, sizeof(zeros),
                    SYNC_FILE_RANGE_WRITE);
    db->written += sizeof(zeros);
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
    case EDQUOT:
    case MDB_MAP_FULL:
        return DB_FULL;
    case ENOSPC: /* a sync may say so on a disk that is not full: thin */
    case EIO:    /* provisioning, network. That is a failed sync. */
        return db_free_bytes(db) < FULL_BYTES ? DB_FULL : DB_FAILED;
    default:
        return DB_FAILED;
    }
}

enum db_result
db_txn_result(struct db_txn *txn, int rc)
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
    int rc = db_sieve_flush(*txn);

    if ((*txn)->ledger != NULL)
        mdb_cursor_close((*txn)->ledger);
    if (rc == 0)
        rc = mdb_txn_commit((*txn)->mdb);
    else
        mdb_txn_abort((*txn)->mdb);
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
