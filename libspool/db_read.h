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

/* Health rows of all targets, one after the other (after: "" first). */
int db_read_health_after(struct db *db, const char *after,
                         struct target_health *out, struct buf *memory,
                         struct why *why);

struct db_counts {
    uint64_t held;        /* messages with an open delivery */
    uint64_t held_stored; /* their bytes in the body table */
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
