/* SPDX-License-Identifier: ISC */
/*
 * The store for its one writer: rows of the tables of spool.5 inside a
 * transaction. Keys and values stay in db*.c; what is public speaks of
 * messages, deliveries and targets. db_read.h is for everybody else.
 *
 * LMDB's rules that became ours: one environment a process, opened after
 * fork; one writer; no nested transactions, no duplicate-sorted tables, no
 * WRITEMAP, no NOSYNC; values never longer than BODY_PIECE_MAX, since longer
 * runs of free pages become hard to find again; a reader never holds a
 * transaction across a return to the event loop.
 */
#ifndef SPOOL_DB_H
#define SPOOL_DB_H

#include "ledger_chain.h"
#include "message.h"
#include "sieve.h"

struct db;
struct db_txn;

/* The format of the tables this code reads and writes. */
#define DB_FORMAT 3
/* Stores from this format on become DB_FORMAT by having it written into them:
 * what came later is more tables and fields, which are only to be kept from a
 * spoold that would not understand them. */
#define DB_FORMAT_IN_PLACE 2

enum db_result {
    DB_OK = 0,
    DB_FAILED = -1,  /* the disk or the file failed: do not go on */
    DB_FULL = -2,    /* no room; nothing changed, deletions may still work */
    DB_NONE = -3,    /* there is no such row */
    DB_EXISTS = -4,  /* there is one already */
    DB_DAMAGED = -5, /* the row is not what was written; others may be */
};

/* Opens or creates the store in dir. NULL and a reason where it is newer
 * than DB_FORMAT, not ours or not usable; then nothing was changed. */
struct db *db_open_writer(const char *dir, struct why *why);
void db_close(struct db **db);
/* Frees the slots of readers that died. */
void db_reap_readers(struct db *db);
/* The reader whose transaction is the oldest, and how many commits have been
 * made since it began; 0: nobody is behind the last commit. */
struct db_reader {
    uint64_t process;
    uint64_t commit; /* the number of the one it sees */
};
uint64_t db_oldest_reader(struct db *db, struct db_reader *oldest);
/* Free bytes of the file system the store is in. */
uint64_t db_free_bytes(struct db *db);
/* Bytes in pages of the file that are free for use again: a file that was
 * full once stays long. Walks the list of free pages. */
uint64_t db_free_in_file(struct db *db);

/* Makes the file longer ahead of need, by written zeros: a commit that only
 * overwrites syncs without the file system's own bookkeeping, which a lone
 * client would wait for. Between transactions; failure does not matter. */
void db_extend(struct db *db);

enum db_result db_begin(struct db *db, struct db_txn **txn);
/* Durable on DB_OK; otherwise nothing of it happened. Ends the txn. */
enum db_result db_commit(struct db_txn **txn, struct why *why);
void db_abort(struct db_txn **txn);
/* What went wrong last in this transaction. */
const char *db_reason(const struct db_txn *txn);

/* Rows. All return DB_OK or another db_result. Views of a row that was read
 * are valid until the next change in the transaction. */
enum db_result db_add_message(struct db_txn *txn, uint64_t id,
                              const struct message *message);
enum db_result db_put_message(struct db_txn *txn, uint64_t id,
                              const struct message *message);
enum db_result db_get_message(struct db_txn *txn, uint64_t id,
                              struct message *message);
enum db_result db_del_message(struct db_txn *txn, uint64_t id);

/* A piece becomes one or more rows: whole pages, and a rest that shares
 * pages with others (spool.5). */
enum db_result db_put_piece(struct db_txn *txn, uint64_t id, uint64_t n,
                            struct view piece);
enum db_result db_del_pieces(struct db_txn *txn, uint64_t id);

enum db_result db_put_delivery(struct db_txn *txn, uint64_t id, uint64_t n,
                               const struct delivery *delivery);
enum db_result db_get_delivery(struct db_txn *txn, uint64_t id, uint64_t n,
                               struct delivery *delivery);
/* The first delivery of id with a number not below *n; *n is set to it. */
enum db_result db_next_delivery(struct db_txn *txn, uint64_t id, uint64_t *n,
                                struct delivery *delivery);
enum db_result db_del_deliveries(struct db_txn *txn, uint64_t id);

enum db_result db_put_ready(struct db_txn *txn, struct view target,
                            struct view flow, uint64_t id, uint64_t n);
enum db_result db_del_ready(struct db_txn *txn, struct view target,
                            struct view flow, uint64_t id, uint64_t n);
/* Longest target and flow that fit into a key. */
#define DB_TARGET_MAX 100
#define DB_FLOW_MAX   255

/* later: n is a delivery's number, or DB_LATER_PURGE for the removal of a
 * finished message. */
#define DB_LATER_PURGE UINT64_C(0xffffffff)
enum db_result db_put_later(struct db_txn *txn, uint64_t when_ms, uint64_t id,
                            uint64_t n);
enum db_result db_del_later(struct db_txn *txn, uint64_t when_ms, uint64_t id,
                            uint64_t n);

enum db_result db_get_health(struct db_txn *txn, struct view name,
                             struct target_health *health);
enum db_result db_put_health(struct db_txn *txn,
                             const struct target_health *health);

/* Appends with the next number and goes on with the chain. */
enum db_result db_add_ledger(struct db_txn *txn,
                             const struct ledger_entry *entry);
/* The number of the last entry, 0: none yet. */
enum db_result db_ledger_seq(struct db_txn *txn, uint64_t *seq);
/* Removes entries from the front, up to seq, at most max of them. */
enum db_result db_trim_ledger(struct db_txn *txn, uint64_t seq, size_t max,
                              size_t *removed);

/* Rows with a name or a number as key. get copies nothing. */
enum db_result db_get_data_key(struct db_txn *txn, uint64_t id,
                               struct data_key *row);
enum db_result db_put_data_key(struct db_txn *txn, const struct data_key *row);
enum db_result db_del_data_key(struct db_txn *txn, uint64_t id);
/* The row with the smallest id not below *id; *id is set to it. */
enum db_result db_next_data_key(struct db_txn *txn, uint64_t *id,
                                struct data_key *row);
enum db_result db_get_dictionary(struct db_txn *txn, uint64_t id,
                                 struct dictionary_row *row);
enum db_result db_put_dictionary(struct db_txn *txn,
                                 const struct dictionary_row *row);
enum db_result db_del_dictionary(struct db_txn *txn, uint64_t id);
/* The smallest id not below *id. */
enum db_result db_next_dictionary(struct db_txn *txn, uint64_t *id);
enum db_result db_get_share(struct db_txn *txn, struct view domain,
                            struct domain_share *row);
enum db_result db_put_share(struct db_txn *txn, struct view domain,
                            const struct domain_share *row);
enum db_result db_del_share(struct db_txn *txn, struct view domain);
enum db_result db_put_checkpoint(struct db_txn *txn,
                                 const struct checkpoint *row);
enum db_result db_get_checkpoint(struct db_txn *txn, uint64_t seq,
                                 struct checkpoint *row);
/* Removes those of entries before seq, at most max of them. */
enum db_result db_drop_checkpoints(struct db_txn *txn, uint64_t seq,
                                   size_t max);
/* Appends with the next number. */
enum db_result db_add_aside(struct db_txn *txn, const struct aside_row *row);
/* A row as it is, by the name of its table: for check and its repairs. Value
 * is valid until the next change. */
enum db_result db_get_raw(struct db_txn *txn, struct view table,
                          struct view key, struct view *value);
enum db_result db_del_raw(struct db_txn *txn, struct view table,
                          struct view key);

/* prefer: the operator's rules, by number; next: the first one that is not
 * below it. */
enum db_result db_put_prefer(struct db_txn *txn,
                             const struct prefer_rule *rule);
enum db_result db_get_prefer(struct db_txn *txn, uint64_t number,
                             struct prefer_rule *rule);
enum db_result db_del_prefer(struct db_txn *txn, uint64_t number);
enum db_result db_next_prefer(struct db_txn *txn, uint64_t number,
                              struct prefer_rule *rule);

/* undo: a command of the operator (id and n 0), and what deliveries were
 * before it. next: the first row not before number, id, n, which are set to
 * its own. */
enum db_result db_put_undo(struct db_txn *txn, uint64_t number, uint64_t id,
                           uint64_t n, const struct undo_row *row);
enum db_result db_get_undo(struct db_txn *txn, uint64_t number, uint64_t id,
                           uint64_t n, struct undo_row *row);
enum db_result db_del_undo(struct db_txn *txn, uint64_t number, uint64_t id,
                           uint64_t n);
enum db_result db_next_undo(struct db_txn *txn, uint64_t *number, uint64_t *id,
                            uint64_t *n, struct undo_row *row);

/* Appends a message's signature to the last block of sieve; *block is where
 * it went (message.block). */
enum db_result db_sieve_add(struct db_txn *txn, uint64_t id,
                            const struct sieve *sieve, uint64_t *block);
/* Adds to the signature what is true of the message from now on. */
enum db_result db_sieve_extend(struct db_txn *txn, uint64_t block, uint64_t id,
                               const struct sieve *more);
/* The message is gone. */
enum db_result db_sieve_drop(struct db_txn *txn, uint64_t block, uint64_t id);

/* Sums kept with the rows, in the same transaction. */
struct db_totals {
    uint64_t held;        /* messages with an open delivery */
    uint64_t held_stored; /* their bytes in the body table */
    uint64_t floor_ms;    /* the latest time of an id that was used */
    uint64_t seq;         /* of the last entry of the ledger */
    struct view head;     /* the chain's hash there (LEDGER_HASH bytes) */
    uint64_t on_hold;     /* deliveries the operator holds */
    uint64_t unknown;     /* deliveries the target may have already */
    uint64_t notice_ms;   /* when the last DSN may go, or went */
    uint64_t rules;       /* the last number a rule of prefer got */
    /* Mailboxes (mailbox.h). */
    uint64_t mailboxes;     /* 1: their rows are kept, once and for all */
    uint64_t filled_id;     /* deliveries up to here are in one; */
    uint64_t filled_n;      /* UINT64_MAX: all */
    uint64_t uidvalidity;   /* of all mailboxes */
    uint64_t modseq;        /* the last number of the counter */
    uint64_t uid_base;      /* a uid is a number of the counter less this */
    uint64_t number;        /* the last that an address or user got */
    uint64_t modseq_floor;  /* no message has a modseq below: a restore */
    uint64_t vanished_from; /* rows of vanished are complete behind this */
};
enum db_result db_get_totals(struct db_txn *txn, struct db_totals *totals);
enum db_result db_put_totals(struct db_txn *txn,
                             const struct db_totals *totals);

/* Rows of later from from_ms to until_ms, outside a write transaction: fills
 * up to max and returns how many; the time of the next one after these goes
 * to *next_ms (0: none, or there was no room for all). */
struct db_later {
    uint64_t when_ms;
    uint64_t id;
    uint64_t n;
};
int db_due(struct db *db, uint64_t from_ms, uint64_t until_ms,
           struct db_later *due, size_t max, uint64_t *next_ms);
/* The oldest purges, due or not: for when room is short. */
int db_purges(struct db *db, struct db_later *due, size_t max);

/* Every row of every table, as "table key value" in the order of the keys:
 * tests compare stores with it. */
int db_dump(struct db *db, struct buf *out, struct why *why);

#endif
