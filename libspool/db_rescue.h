/* SPDX-License-Identifier: ISC */
/*
 * check --offline: what can be read of a store whose file is damaged
 * (db_pages.h), and a new store made of it. Nobody else may have the store
 * open. Rows that can be read but are not what was written are taken along as
 * they are: check --repair sets them aside, with an entry in the ledger.
 */
#ifndef SPOOL_DB_RESCUE_H
#define SPOOL_DB_RESCUE_H

#include <sys/stat.h>

#include "db_check.h"

struct db_rescue {
    db_check_fn *fn; /* told of all that is damaged; mend is not set */
    void *arg;
    uint64_t findings;
    uint64_t rows;     /* that were read */
    uint64_t messages; /* rows in message among them */
    uint64_t damaged;  /* rows that are not what was written */
    uint64_t missing;  /* rows the tables should have had */
};

/* Only looks at data.mdb in dir. -1: nothing of it can be read. */
int db_rescue_look(int dir, struct db_rescue *rescue, struct why *why);
/* Makes a new store of all rows that can be read and puts it in place; the
 * old file has the name keep from then on. path is that of dir, the new files
 * get the owner of it. -1: the old store is where it was. */
int db_rescue_make(int dir, const char *path, const struct stat *owner,
                   const char *keep, struct db_rescue *rescue, struct why *why);

#endif
