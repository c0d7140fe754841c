/* SPDX-License-Identifier: ISC */
/*
 * Read-only questions to the store, in its own words. Every function opens
 * and ends its own read transaction (a renewed one, microseconds), so none
 * outlives a return to the event loop; what it gives back is a copy.
 *
 * All answer 1: found, 0: there is none, -1: the store failed (*why).
 */
#ifndef SPOOL_DB_READ_H
#define SPOOL_DB_READ_H

#include "buf.h"
#include "message.h"
#include "sieve.h"

/* A file beside the store, which spoolctl restore leaves there until the store
 * has counted on: what was given out after the backup is not given out again.
 */
#define DB_RESTORED "restored"

struct db;

/* Opens the store in dir for reading. The writer has created it. */
struct db *db_open_reader(const char *dir, struct why *why);
void db_close(struct db **db);

/* A copy of a row: the struct's views point into memory. Free with
 * db_row_free. */
struct db_message {
    uint64_t id;
    struct message message;
    struct db_delivery *deliveries;
    size_t n_deliveries;
    char *memory;
};
struct db_delivery {
    uint64_t n;
    struct delivery delivery;
};
/* The message with all its deliveries. */
int db_read_message(struct db *db, uint64_t id, struct db_message *out,
                    struct why *why);
/* The first message with an id above after_id (0: the first of all). */
int db_read_message_after(struct db *db, uint64_t after_id,
                          struct db_message *out, struct why *why);
void db_message_free(struct db_message *message);

/* The id of the next message above after_id; held_only passes over those
 * whose deliveries have all ended. Looks at *rows rows at the most and leaves
 * in *rows how many of them are left: 2 says that none is, and *id is where
 * to go on. A row that cannot be read is found, so that somebody sees it. */
int db_read_next_id(struct db *db, uint64_t after_id, bool held_only,
                    size_t *rows, uint64_t *id, struct why *why);

/* Appends piece number n of the content, as stored (body.h decodes). */
int db_read_piece(struct db *db, uint64_t id, uint64_t n, struct buf *out,
                  struct why *why);

/* Where a walk through what is ready for one target stands. */
struct db_ready_cursor {
    char flow[256];
    size_t flow_len;
    uint64_t id;
    uint64_t n;
    bool started;
};
struct db_ready {
    uint64_t id;
    char flow[256];
    size_t flow_len;
    size_t n_deliveries; /* ready for this target in this message */
};
/* The next message with deliveries ready for target, in the order of the
 * table: flow, id. Rows of one message are one answer. */
int db_read_ready(struct db *db, struct view target,
                  struct db_ready_cursor *cursor, struct db_ready *out,
                  struct why *why);

/* Counts messages with deliveries ready for target, from the cursor on; looks
 * at max rows at the most. 1: there is more, 0: that is all. */
int db_read_ready_count(struct db *db, struct view target,
                        struct db_ready_cursor *cursor, size_t max,
                        uint64_t *messages, struct why *why);

/* Health rows of all targets, one after the other (after: "" first). */
int db_read_health_after(struct db *db, const char *after,
                         struct target_health *out, struct buf *memory,
                         struct why *why);

/* Rows of the ledger from from_seq on, at most max of them, in order: fn is
 * called for each inside the transaction with the row as it is (LEDGER_CHECK
 * bytes and the record) and must not keep the view; false ends the walk. */
typedef bool db_ledger_fn(void *arg, uint64_t seq, struct view value);
int db_read_ledger(struct db *db, uint64_t from_seq, size_t max,
                   db_ledger_fn *fn, void *arg, struct why *why);
/* The checkpoint with the smallest seq above after_seq; the views point into
 * memory. */
int db_read_checkpoint_after(struct db *db, uint64_t after_seq,
                             struct checkpoint *out, struct buf *memory,
                             struct why *why);
/* The totals with the head of the ledger's chain. */
struct db_totals;
int db_read_totals(struct db *db, struct db_totals *out, struct buf *memory,
                   struct why *why);

/* The row of that id, or with the smallest id above after_id. */
int db_read_data_key(struct db *db, uint64_t id, struct data_key *out,
                     struct buf *memory, struct why *why);
int db_read_data_key_after(struct db *db, uint64_t after_id,
                           struct data_key *out, struct buf *memory,
                           struct why *why);
int db_read_dictionary(struct db *db, uint64_t id, struct dictionary_row *out,
                       struct buf *memory, struct why *why);
int db_read_dictionary_after(struct db *db, uint64_t after_id,
                             struct dictionary_row *out, struct buf *memory,
                             struct why *why);
/* What the domains take of the spool, by name (after: empty first); the name
 * goes to domain (DB_FLOW_MAX bytes at the most). */
int db_read_share_after(struct db *db, struct view after, struct buf *domain,
                        struct domain_share *out, struct why *why);
int db_read_aside_after(struct db *db, uint64_t after, uint64_t *number,
                        struct aside_row *out, struct buf *memory,
                        struct why *why);

/* The first rule of prefer with a number above after. */
int db_read_prefer_after(struct db *db, uint64_t after, struct prefer_rule *out,
                         struct buf *memory, struct why *why);

/* The row of undo behind number, id, n, which are set to its own. */
int db_read_undo_after(struct db *db, uint64_t *number, uint64_t *id,
                       uint64_t *n, struct undo_row *out, struct buf *memory,
                       struct why *why);

/* Ids whose signature passes mask, in the order in which the messages came
 * to the store: up to max of them; looks at *blocks blocks at the most and
 * leaves how many are left. *cursor is 0 at first. Returns the number of ids;
 * it is the end when *cursor is UINT64_MAX. -1: the store failed. */
int db_read_sieve(struct db *db, const struct sieve *mask, uint64_t *cursor,
                  size_t *blocks, uint64_t *ids, size_t max, struct why *why);

struct db_counts {
    uint64_t held;        /* messages with an open delivery */
    uint64_t held_stored; /* their bytes in the body table */
    uint64_t on_hold;     /* deliveries the operator holds */
    uint64_t unknown;     /* deliveries the target may have already */
    uint64_t floor_ms;    /* the latest time of an id that was used */
    uint64_t messages;    /* rows in message: held or kept after delivery */
    uint64_t deliveries;  /* open and finished */
    uint64_t ready;
    uint64_t later;      /* retries and purges that wait for their time */
    uint64_t ledger;     /* entries */
    uint64_t file_bytes; /* of the data file that are in use */
};
int db_read_counts(struct db *db, struct db_counts *out, struct why *why);

#endif
