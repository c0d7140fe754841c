/* SPDX-License-Identifier: ISC */
/*
 * Is every row what was written, and is every combination of rows a legal
 * one (spool.5, STATES)? A walk over all tables in short steps while the
 * store goes on. Rows that belong together are looked at inside one read
 * transaction, so what is found was so at one moment and is never two moments
 * taken for one. The sums need all rows of one moment: a thread counts them
 * in a snapshot (db_check_sums).
 *
 * What is found says what would put it right (proto.h, MEND).
 */
#ifndef SPOOL_DB_CHECK_H
#define SPOOL_DB_CHECK_H

#include "proto.h"

struct db;

struct db_finding {
    const char *what; /* a word for programs: "damaged", "index", ... */
    const char *text; /* a sentence for people */
    uint64_t id;      /* the message, 0: none */
    uint64_t n;       /* delivery + 1, 0: the whole message */
    /* what: 0 where nothing can be done. Its views end with the call. */
    struct proto_mend_item mend;
};
/* Called inside a read transaction: it asks the store nothing. */
typedef void db_check_fn(void *arg, const struct db_finding *finding);

struct db_check;
/* content: pieces are read and compared with the digests as well. */
struct db_check *db_check_new(bool content, db_check_fn *fn, void *arg);
/* Looks at about rows rows. 1: there are more, 0: the end, -1: the store
 * cannot be read (*why). */
int db_check_step(struct db_check *check, struct db *db, size_t rows,
                  struct why *why);
struct db_check_counts {
    uint64_t rows;     /* that were looked at */
    uint64_t messages; /* that can be read */
    uint64_t aside;    /* rows that were set aside, now and before */
    uint64_t findings;
};
const struct db_check_counts *db_check_counts(const struct db_check *check);
void db_check_free(struct db_check **check);

/* The sums kept in setting, key, dictionary and domain, against the rows. */
struct db_sums;
/* false: a thread reads the store for another: later. */
bool db_sums_may_start(const struct db *db);
/* Begins; db must not be closed before db_sums_free. */
struct db_sums *db_sums_start(struct db *db, struct why *why);
/* Readable when the counting has come to its end. */
int db_sums_event_fd(const struct db_sums *sums);
/* Tells fn what is wrong. 1: it still counts, 0: done, -1: failed. */
int db_sums_end(struct db_sums *sums, db_check_fn *fn, void *arg,
                struct why *why);
void db_sums_free(struct db_sums **sums);

#endif
