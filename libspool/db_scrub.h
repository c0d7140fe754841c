/* SPDX-License-Identifier: ISC */
/*
 * After an erasure: nothing of what was removed is left in the data file.
 * Rows that are gone leave their bytes in three places: in pages that are
 * free, in the gap of pages that are in use, behind the end of values that
 * have pages of their own. All of them are written over with zeros, in steps,
 * while the store goes on.
 *
 * What a file system has given back already, what a disk keeps of blocks that
 * were written over, and backups are outside of this.
 */
#ifndef SPOOL_DB_SCRUB_H
#define SPOOL_DB_SCRUB_H

#include <stddef.h>
#include <stdint.h>

#include "why.h"

struct db;
struct db_scrub;

enum db_scrub_state {
    DB_SCRUB_MORE,   /* go on with another step */
    DB_SCRUB_WAITS,  /* a reader still sees pages that are to go */
    DB_SCRUB_DONE,   /* and synced */
    DB_SCRUB_FAILED, /* the file could not be written or read */
};

/* For the writer, outside a transaction, and with no copy of db running.
 * Opens the store again. NULL: db is of no use any more. */
struct db_scrub *db_scrub_new(struct db *db, struct why *why);
/* Writes over at most about pages pages and looks at not many more. Why is
 * set for WAITS and FAILED. The caller commits nothing meanwhile, and what it
 * likes between two steps. */
enum db_scrub_state db_scrub_step(struct db_scrub *scrub, size_t pages,
                                  struct why *why);
/* Pages that were written over so far, in whole or in part. */
uint64_t db_scrub_pages(const struct db_scrub *scrub);
void db_scrub_free(struct db_scrub **scrub);

#endif
