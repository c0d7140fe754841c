/* SPDX-License-Identifier: ISC */
/*
 * The rows of a data.mdb, read page by page without LMDB, which trusts its
 * file. Each page and each entry is checked against its limits; what cannot
 * be right is left out and named, with all that hangs on it. Any bytes at all
 * may be in the file: no page is read twice, nothing is deeper than
 * DB_PAGES_DEPTH.
 *
 * It reads what LMDB 0.9 writes on a machine like this one (data version 1,
 * pages of 512 to 32,768 bytes, 64 bits, this order of bytes).
 */
#ifndef SPOOL_DB_PAGES_H
#define SPOOL_DB_PAGES_H

#include <stdint.h>

#include "view.h"
#include "why.h"

#define DB_PAGES_DEPTH 32

/* Something that is left out. The rows that are missing lie in
 * from <= key < to; empty: from the first on, to the last. Both the same: it
 * is that row. */
struct db_pages_damage {
    struct view table; /* empty: the table of tables; "(free pages)" */
    uint64_t page;
    struct view from, to;
    const char *text; /* a sentence without the page's number */
};

struct db_pages_reader {
    /* A row, in the order of the keys of its table. Views end with the call.
     * false ends the walk. */
    bool (*row)(void *arg, struct view table, struct view key,
                struct view value);
    void (*damage)(void *arg, const struct db_pages_damage *damage);
    /* A table is read: rows it should have, and rows there were. NULL: nobody
     * asks. */
    void (*table)(void *arg, struct view table, uint64_t rows, uint64_t found);
    void *arg;
};

/* Reads all tables of the file, whose offset is not used. 0: to the end (with
 * or without damage); 1: row said false; -1: it is no data file, or none of
 * its two heads can be used (*why). */
int db_pages_read(int fd, const struct db_pages_reader *reader,
                  struct why *why);

/* Are both heads of the file what the last two commits left? LMDB takes the
 * one with the higher number and does not look at the other: where a number
 * was changed, that is an old state. -1: one of them is damaged (*why). */
int db_pages_heads(int fd, struct why *why);

#endif
