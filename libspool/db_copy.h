/* SPDX-License-Identifier: ISC */
/*
 * The store in another file: a copy of what it is at one moment, made by a
 * thread with a read transaction of its own, while the owner of the store
 * goes on. To a descriptor for a backup; to a store beside it for compaction,
 * which then takes the place of the old one under its names.
 *
 * All functions belong to the thread that owns the struct db; the thread of
 * the copy shares nothing with it but a flag, a counter and an eventfd. One
 * copy at a time of one store.
 */
#ifndef SPOOL_DB_COPY_H
#define SPOOL_DB_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "why.h"

struct db;
struct db_copy;

enum db_copy_state { DB_COPY_RUNS, DB_COPY_DONE, DB_COPY_FAILED };

/* Writes the store without its free pages to fd (taken, closed at the end):
 * a data.mdb. fd may be a pipe: whoever closes its other end stops it. */
struct db_copy *db_copy_to_fd(struct db *db, int fd, struct why *why);

/* Makes a store in dir, an empty directory, with the rows of db, row by row:
 * pages that lost some of their rows are full again. Everything that was
 * committed before the call is in it and nothing after. Nothing is synced
 * for good before db_copy_install. */
struct db_copy *db_copy_to_store(struct db *db, const char *dir,
                                 struct why *why);
/* The second store: not to be touched while the copy runs. */
struct db *db_copy_store(struct db_copy *copy);
/* Has what was written to the second store brought to the disk by a thread:
 * the state is DB_COPY_RUNS again until it is. -1: it could not start. */
int db_copy_sync(struct db_copy *copy, struct why *why);

/* Readable when the thread has come to its end. */
int db_copy_event_fd(const struct db_copy *copy);
/* Looks, and takes the event; FAILED has a reason. */
enum db_copy_state db_copy_state(struct db_copy *copy, struct why *why);
/* Bytes of rows that were written so far (second store). */
uint64_t db_copy_bytes(const struct db_copy *copy);
/* The thread is to stop: its event comes soon. */
void db_copy_stop(struct db_copy *copy);
/* Waits for the thread; a second store is removed, its bytes written over by
 * another thread. */
void db_copy_free(struct db_copy **copy);

/* Are the rows of both the same, as far as counts, sums and the head of the
 * ledger's chain tell? */
bool db_copy_is_equal(struct db *db, struct db_copy *copy, struct why *why);

/* Syncs the second store and renames its files over those of db, lock file
 * first: whoever opens the names in between gets the old data and a lock that
 * nobody writes under. db is the second store from then on, by the same
 * pointer; the old one is closed, and its bytes written over, by a thread
 * as soon as nobody else has it open. Frees copy in any case.
 * -1: nobody knows which of the two is there now; the caller must end. */
int db_copy_install(struct db *db, struct db_copy **copy, struct why *why);

/* The files have other names since db was opened (or none). */
bool db_is_replaced(const struct db *db);
/* Closes and opens the store again by its path; db stays where it is. No
 * transaction may be open. A copy to a descriptor goes on undisturbed, unless
 * the file is the same: then it must have ended. -1: db is of no use. */
int db_reopen(struct db *db, struct why *why);

/* Bytes of pages that are in use: what a copy needs, and more. */
uint64_t db_used_bytes(struct db *db);
/* Bytes of the data file that LMDB knows of. */
uint64_t db_file_bytes(struct db *db);

#endif
