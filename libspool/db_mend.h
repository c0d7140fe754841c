/* SPDX-License-Identifier: ISC */
/*
 * Puts right what a check found (db_check.h, proto.h: MEND), inside a
 * transaction of the writer. Each item is looked at again first: the store
 * went on, and what is right by now stays as it is. What cannot be read goes
 * to the table aside as it was, so that nothing is thrown away; what follows
 * from other rows is written anew. Depends on the tables and its arguments
 * alone.
 */
#ifndef SPOOL_DB_MEND_H
#define SPOOL_DB_MEND_H

#include "db.h"
#include "db_check.h"

struct db_mend_times {
    uint64_t now_ms;
    uint64_t keep_ms; /* how long finished messages are kept */
};

/* totals: of the transaction, to be written by the caller. *changed is raised
 * when something was; each change has its entry in the ledger. */
enum db_result db_mend(struct db_txn *txn, struct db_totals *totals,
                       const struct proto_mend_item *item,
                       const struct db_mend_times *times, uint64_t *changed);

struct db_repair_counts {
    struct db_check_counts checked; /* in the first pass */
    uint64_t found;                 /* in the first pass */
    uint64_t mended;
    uint64_t left; /* in the last pass */
};
/* Checks all of a store nobody else has open and mends it (mend false: only
 * checks), again until nothing more can be done; told is called for the
 * findings of the first pass. Transactions of bounded size. -1: the store
 * failed (*why). */
int db_repair(struct db *db, bool mend, bool content,
              const struct db_mend_times *times, db_check_fn *told, void *arg,
              struct db_repair_counts *counts, struct why *why);

#endif
