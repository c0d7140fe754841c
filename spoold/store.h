/* SPDX-License-Identifier: ISC */
/*
 * Private to store*.c. A request of another role becomes a record; a batch
 * is a list of records; applying one is deterministic: (record, tables) ->
 * tables, with no clock, no randomness and no other reads. So the same list
 * can be logged, carried elsewhere between collecting and committing, and
 * applied to an empty store to rebuild the tables.
 */
#ifndef SPOOLD_STORE_H
#define SPOOLD_STORE_H

#include "db.h"
#include "proto.h"

enum store_kind {
    STORE_SUBMIT = 1,  /* payload: proto_submit */
    STORE_OUTCOME = 2, /* proto_outcome */
    STORE_HEALTH = 3,  /* target_health */
    STORE_NOTE = 4,    /* ledger_entry */
    STORE_RETRY = 5,   /* proto_ids */
    STORE_DUE = 6,     /* store_due: rows of later whose time has come */
};

struct store_record {
    uint64_t kind;
    uint64_t when_ms; /* the record's now */
    uint64_t keep_ms; /* OUTCOME: how long finished content is kept */
    struct view payload;
    struct view content; /* SUBMIT: the body file, where it is not inline */
    /* Not encoded: the body file as a descriptor, -1: none. */
    int fd;
};
extern const struct record_type store_record_record;

struct store_due_row {
    uint64_t when_ms;
    uint64_t id;
    uint64_t n;
};
struct store_due {
    struct record_list rows;
};
extern const struct record_type store_due_record, store_due_row_record;

/* --- store_apply.c ------------------------------------------------------- */

enum apply_result {
    APPLY_OK,
    APPLY_REFUSED, /* the record breaks a rule; nothing was changed */
    APPLY_UNDO,    /* the same, found half-way: abort, go on without it */
    APPLY_FULL,    /* no room: abort */
    APPLY_FAILED,  /* the database failed: abort, do not go on */
};

/* One transaction's worth of applying. */
struct store_apply {
    struct db_txn *txn;
    struct db_totals totals;
    struct buf ready;       /* encoded proto_queued: what became ready */
    uint64_t last_ready_id; /* so that a target is announced once a message */
    struct buf last_ready_target;
    uint64_t retried;   /* deliveries the last RETRY made ready */
    struct buf scratch; /* copies of a row under change */
    struct why why;     /* the reason of a refusal */
};

/* Reads the totals; on APPLY_OK records can follow, then store_apply_end
 * writes the totals. The transaction stays the caller's. */
enum apply_result store_apply_begin(struct store_apply *apply,
                                    struct db_txn *txn);
enum apply_result store_apply_record(struct store_apply *apply,
                                     const struct store_record *record);
enum apply_result store_apply_end(struct store_apply *apply);
void store_apply_free(struct store_apply *apply);

/* store_submit.c: the record that brings a message in. */
enum apply_result store_apply_submit(struct store_apply *apply,
                                     struct view payload, struct view content,
                                     int fd);
enum apply_result store_apply_db(struct store_apply *apply,
                                 enum db_result result);
void store_apply_announce(struct store_apply *apply, uint64_t id,
                          struct view target, struct view flow);

/* --- store_batch.c ------------------------------------------------------- */

/* How a record ended, after the commit or instead of it. */
typedef void store_done_fn(enum role from, uint64_t call, uint64_t id,
                           enum submit_result result, const char *reason,
                           uint64_t count);

/* Appends a copy of record to the batch (takes fd); done is called after the
 * commit at the end of this turn, in order, NULL: nobody asks. */
void store_batch_add(const struct store_record *record, enum role from,
                     uint64_t call, uint64_t id, store_done_fn *done);
void store_batch_init(struct db *db, uint64_t floor_ms);
/* The latest time of an id that was used. */
uint64_t store_batch_floor_ms(void);
bool store_batch_is_empty(void);

#endif
