/* SPDX-License-Identifier: ISC */
/* Private to db*.c: the environment, the tables, the keys. */
#ifndef SPOOL_DB_LMDB_H
#define SPOOL_DB_LMDB_H

#include <lmdb.h>

#include "bytes.h"
#include "db.h"

/* The tables, once: X(name, form, "what the key is"). spool.5 describes them.
 * The form of the values: CHECKED four check bytes and a record, CHAINED the
 * ledger's, KEYS none, BYTES as they are. */
#define DB_TABLES(X)                                                           \
    X(message, CHECKED, "id")                                                  \
    X(body, BYTES, "id, n << 8 | part")                                        \
    X(delivery, CHECKED, "id, n")                                              \
    X(ready, KEYS, "target, flow, id, n")                                      \
    X(later, KEYS, "time, id, n")                                              \
    X(target, CHECKED, "name")                                                 \
    X(ledger, CHAINED, "seq")                                                  \
    X(setting, CHECKED, "name")                                                \
    X(key, CHECKED, "id")                                                      \
    X(dictionary, CHECKED, "id")                                               \
    X(domain, CHECKED, "name")                                                 \
    X(sieve, BYTES, "number")                                                  \
    X(checkpoint, CHECKED, "seq")                                              \
    X(aside, CHECKED, "number")                                                \
    X(address, CHECKED, "domain, local part")                                  \
    X(mailbox, BYTES, "number, box, uid")                                      \
    X(vanished, KEYS, "modseq, number, box, uid")                              \
    X(mark, CHECKED, "id, n, user")                                            \
    X(own, CHECKED, "id")                                                      \
    X(structure, CHECKED, "id")                                                \
    X(login, CHECKED, "name")                                                  \
    X(user, CHECKED, "number")                                                 \
    X(undo, CHECKED, "number, id, n")                                          \
    X(prefer, CHECKED, "number")

enum db_table {
#define X(name, form, key) DB_##name,
    DB_TABLES(X)
#undef X
        DB_TABLE_COUNT
};
enum db_form { DB_FORM_CHECKED, DB_FORM_BYTES, DB_FORM_KEYS, DB_FORM_CHAINED };
extern const enum db_form db_table_forms[DB_TABLE_COUNT];
extern const char *const db_table_names[DB_TABLE_COUNT];
/* enum db_table, or -1. */
int db_table_named(struct view name);

struct db_copy;
struct db {
    MDB_env *env;
    char *path; /* of the directory, as it was given */
    bool reads_only;
    uint64_t lock_inode;  /* of the lock file that goes with env */
    struct db_copy *copy; /* a thread of ours reads env: db_copy.c */
    MDB_dbi tables[DB_TABLE_COUNT];
    MDB_txn *reader;  /* reset between questions */
    int dir;          /* the directory, for free space */
    uint64_t written; /* length of the data file that was written before */
};

struct db_key {
    size_t len;
    char bytes[DB_TARGET_MAX + DB_FLOW_MAX + 16];
};
_Static_assert(DB_TARGET_MAX + DB_FLOW_MAX + 16 <= 511, "LMDB's longest key");
_Static_assert(DB_FLOW_MAX == MESSAGE_FLOW_KEY_MAX, "they are the same text");

/* The block of sieve under change; written when another takes its place and
 * at the commit. */
#define DB_SIEVE_BYTES  4080 /* a page less LMDB's header */
#define DB_SIEVE_HEADER 16
#define DB_SIEVE_SLOT   (8 + 8 * SIEVE_WORDS)
#define DB_SIEVE_SLOTS  ((DB_SIEVE_BYTES - DB_SIEVE_HEADER) / DB_SIEVE_SLOT)
struct db_sieve_block {
    uint64_t number; /* 0: none is loaded */
    bool changed;
    char bytes[DB_SIEVE_BYTES];
};

struct db_txn {
    struct db *db;
    MDB_txn *mdb;
    MDB_cursor *ledger; /* opened with the first entry */
    bool chain_known;   /* seq and head are set */
    uint64_t seq;
    char head[LEDGER_HASH];
    struct db_sieve_block sieve;
    struct buf row; /* the value under construction */
    int error;      /* LMDB's last */
};

/* Check bytes in front of a row's record. */
#define DB_CHECK 4
void db_check(enum db_table table, struct view key, struct view record,
              char check[DB_CHECK]);
/* Appends the value of a row in a CHECKED table. */
void db_row_encode(enum db_table table, struct view key,
                   const struct record_type *type, const void *object,
                   struct buf *out);
/* 0, or -1: the check bytes or the record are wrong. */
int db_row_decode(enum db_table table, struct view key, struct view value,
                  const struct record_type *type, void *object);
enum db_result db_row_put(struct db_txn *txn, enum db_table table,
                          struct db_key *key, const struct record_type *type,
                          const void *object, unsigned flags);
enum db_result db_row_get(struct db_txn *txn, enum db_table table,
                          struct db_key *key, const struct record_type *type,
                          void *object);
enum db_result db_bytes_put(struct db_txn *txn, enum db_table table,
                            struct db_key *key, struct view value);
enum db_result db_key_put(struct db_txn *txn, enum db_table table,
                          struct db_key *key);
enum db_result db_key_del(struct db_txn *txn, enum db_table table,
                          struct db_key *key);
/* A name as a key; bug() when it is too long. */
void db_key_name(struct db_key *key, struct view name);
/* Writes the block of sieve, if it was changed. */
int db_sieve_flush(struct db_txn *txn);
/* Loads seq and head of the chain from the totals. */
enum db_result db_chain_load(struct db_txn *txn);

/* LMDB's answer inside txn as ours; keeps it for db_reason. */
enum db_result db_txn_result(struct db_txn *txn, int rc);

void db_key_id(struct db_key *key, uint64_t id);
/* The key of a part of piece n. */
void db_key_part(struct db_key *key, uint64_t id, uint64_t n, unsigned part);
void db_key_id_n(struct db_key *key, uint64_t id, uint64_t n);
void db_key_later(struct db_key *key, uint64_t when_ms, uint64_t id,
                  uint64_t n);
void db_key_undo(struct db_key *key, uint64_t number, uint64_t id, uint64_t n);
/* -1: it is none. */
int db_undo_key(const struct db_key *key, uint64_t *number, uint64_t *id,
                uint64_t *n);
/* number, box, uid; and with the modseq in front. */
void db_key_place(struct db_key *key, uint64_t number, uint64_t box,
                  uint64_t uid);
void db_key_vanished(struct db_key *key, uint64_t modseq, uint64_t number,
                     uint64_t box, uint64_t uid);
struct db_place;
int db_place_decode(struct view key, struct view value, struct db_place *place,
                    uint64_t *id, uint64_t *n);
void db_key_mark(struct db_key *key, uint64_t id, uint64_t n, uint64_t user);
/* "domain@local" of "local@domain"; bug() when it is neither. */
void db_key_address(struct db_key *key, struct view address);
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

/* db_migrate.c. Makes the store of format 1 one of DB_FORMAT; *old is closed in
 * any case. -1: nothing was changed. */
int db_migrate(struct db **old, const char *path, struct why *why);
/* A new store beside that in dir (path is its path), to be filled, and put in
 * its place; leftovers of one that was not finished are removed by clear. */
struct db *db_rebuild_open(int dir, const char *path, struct why *why);
int db_rebuild_install(int dir, struct db **fresh, struct why *why);
void db_rebuild_clear(int dir);
/* Makes a store in dir, which has none; flags as for mdb_env_open. */
struct db *db_create(const char *dir, unsigned flags, struct why *why);

/* Begins a question: the process's one read transaction, renewed. */
int db_read_begin(struct db *db, MDB_txn **txn, struct why *why);
void db_read_end(struct db *db);

/* Opens the environment; flags as for mdb_env_open. */
struct db *db_open_env(const char *dir, unsigned flags, struct why *why);
/* Runs fn in a thread with all of the store as it is at this moment, as copies
 * are made (db_copy.h); what it returns is the copy's error. db_copy.c */
typedef int db_copy_fn(void *arg, MDB_txn *snapshot, const MDB_dbi *tables,
                       const _Atomic bool *stop);
struct db_copy *db_copy_to_fn(struct db *db, db_copy_fn *fn, void *arg,
                              struct why *why);
/* Are the files that are open those that have the names now? db_copy.c */
bool db_has_its_name(const struct db *db);
/* Ends the reader and closes the environment; one that a copy still reads is
 * closed with the copy. db_copy.c */
void db_let_go(struct db *db);
int db_open_tables(struct db *db, MDB_txn *txn, unsigned flags,
                   struct why *why);

#endif
