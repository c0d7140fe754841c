/* SPDX-License-Identifier: ISC */
/*
 * Private to db*.c: the rows that readers see (spool.5, MAILBOXES) beside what
 * they stand for. Each answers 1: it is right, 0: it is not (*why), -1: the
 * store cannot be read.
 */
#ifndef SPOOL_DB_RULES_READER_H
#define SPOOL_DB_RULES_READER_H

#include "db_mailbox.h"
#include "db_mend.h"
#include "db_rules.h"

/* A user's own message by itself, as db_rules_message. */
bool db_rules_own(struct view key, struct view value, struct message *row,
                  struct why *why);
/* Does a row of mailbox, address, mark, structure or login stand for what is
 * there? Of other tables: always. What does not can go. */
int db_rules_stands(const struct db_snapshot *in, enum db_table table,
                    struct view key, struct view value, struct why *why);
/* Is what the row names in its place? A delivery or mark with a uid is in
 * mailbox, an account in login. */
int db_rules_delivery_placed(const struct db_snapshot *in, uint64_t id,
                             uint64_t n, const struct delivery *row);
int db_rules_mark_placed(const struct db_snapshot *in, struct view key,
                         const struct mark *row);
int db_rules_account_placed(const struct db_snapshot *in,
                            const struct account *row);
/* Does anybody have it in a folder? */
int db_rules_own_placed(const struct db_snapshot *in, uint64_t id);

/* MEND_PLACE, in db_mend_reader.c: what of these is missing is written. */
enum db_result db_mend_place(struct db_txn *txn, const struct db_snapshot *in,
                             struct db_totals *totals,
                             const struct proto_mend_item *item,
                             uint64_t *changed);

#endif
