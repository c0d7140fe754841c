/* SPDX-License-Identifier: ISC */
/*
 * Whether rows are what spool.5 says they may be. Each question looks at all
 * the rows it needs in one read transaction, so what it finds was so at one
 * moment, whatever happens beside it.
 */
#ifndef SPOOL_DB_INSPECT_H
#define SPOOL_DB_INSPECT_H

#include "db_read.h"
#include "proto.h"

/* What is wrong, and what would put it right. Views end with the call. */
struct db_finding {
    enum mend_what mend;
    const char *table;
    struct view key;
    uint64_t id; /* of a message, 0: none */
    uint64_t n;
    char text[160]; /* a sentence without the id */
};
typedef void db_finding_fn(void *arg, const struct db_finding *finding);

/* Looks at all of a message: its row, deliveries and their rows in ready and
 * later, content, key, dictionary. -1: the store failed. */
int db_inspect_message(struct db *db, uint64_t id, db_finding_fn *fn, void *arg,
                       struct why *why);

/* Tables whose rows are looked at one by one for what they belong to. */
enum db_inspect_table {
    DB_INSPECT_DELIVERY,
    DB_INSPECT_READY,
    DB_INSPECT_LATER,
    DB_INSPECT_BODY,
    DB_INSPECT_SMALL, /* the check bytes of all other tables */
    DB_INSPECT_TABLES
};
/* Where a walk stands; zero-initialised at the start of a table. */
struct db_inspect_cursor {
    char key[512];
    size_t len;
    unsigned table; /* DB_INSPECT_SMALL: which */
};
/* Looks at up to max rows. 1: there are more, 0: the end, -1. */
int db_inspect_rows(struct db *db, enum db_inspect_table table,
                    struct db_inspect_cursor *cursor, size_t max,
                    db_finding_fn *fn, void *arg, struct why *why);

/* Counts what the totals say anew, in one go. */
int db_inspect_totals(struct db *db, db_finding_fn *fn, void *arg,
                      struct why *why);

#endif
