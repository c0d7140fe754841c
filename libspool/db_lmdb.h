/* SPDX-License-Identifier: ISC */
/* Private to db*.c: the environment, the tables, the keys. */
#ifndef SPOOL_DB_LMDB_H
#define SPOOL_DB_LMDB_H

#include <lmdb.h>

#include "bytes.h"
#include "db.h"

/* The tables, once: X(name, "what the key is"). spool.5 describes them. */
#define DB_TABLES(X)                                                           \
    X(message, "id")                                                           \
    X(body, "id, n")                                                           \
    X(delivery, "id, n")                                                       \
    X(ready, "target, flow, id, n")                                            \
    X(later, "time, id, n")                                                    \
    X(target, "name")                                                          \
    X(ledger, "seq")                                                           \
    X(setting, "name")

enum db_table {
#define X(name, key) DB_##name,
    DB_TABLES(X)
#undef X
        DB_TABLE_COUNT
};
extern const char *const db_table_names[DB_TABLE_COUNT];

struct db {
    MDB_env *env;
    MDB_dbi tables[DB_TABLE_COUNT];
    MDB_txn *reader;  /* reset between questions */
    int dir;          /* the directory, for free space */
    uint64_t written; /* length of the data file that was written before */
};

struct db_txn {
    struct db *db;
    MDB_txn *mdb;
    MDB_cursor *ledger; /* opened with the first entry */
    uint64_t ledger_seq;
    struct buf row; /* the value under construction */
    int error;      /* LMDB's last */
};

/* LMDB's answer inside txn as ours; keeps it for db_reason. */
enum db_result db_txn_result(struct db_txn *txn, int rc);

struct db_key {
    size_t len;
    char bytes[DB_TARGET_MAX + DB_FLOW_MAX + 16];
};
_Static_assert(DB_TARGET_MAX + DB_FLOW_MAX + 16 <= 511, "LMDB's longest key");

void db_key_id(struct db_key *key, uint64_t id);
void db_key_id_n(struct db_key *key, uint64_t id, uint64_t n);
void db_key_later(struct db_key *key, uint64_t when_ms, uint64_t id,
                  uint64_t n);
/* -1: target or flow is too long or has a NUL. */
int db_key_ready(struct db_key *key, struct view target, struct view flow,
                 uint64_t id, uint64_t n);

static inline MDB_val
db_val(struct view v)
{
    return (MDB_val){v.len, (void *)(uintptr_t)v.data};
}
static inline MDB_val
db_key_val(struct db_key *key)
{
    return (MDB_val){key->len, key->bytes};
}
static inline struct view
db_view(MDB_val v)
{
    return (struct view){v.mv_data, v.mv_size};
}

extern const struct record_type db_totals_record;

/* Begins a question: the process's one read transaction, renewed. */
int db_read_begin(struct db *db, MDB_txn **txn, struct why *why);
void db_read_end(struct db *db);

/* Opens the environment; flags as for mdb_env_open. */
struct db *db_open_env(const char *dir, unsigned flags, struct why *why);
int db_open_tables(struct db *db, MDB_txn *txn, unsigned flags,
                   struct why *why);

#endif
