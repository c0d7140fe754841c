/* SPDX-License-Identifier: ISC */
/*
 * Private to db*.c: what a row must be, and which rows may stand beside each
 * other (spool.5, STATES). The rules are asked by who looks (db_check.c) and
 * again by who puts right (db_mend.c), inside the transaction that changes
 * the row: what was wrong a moment ago may be right by now.
 */
#ifndef SPOOL_DB_RULES_H
#define SPOOL_DB_RULES_H

#include "db_lmdb.h"

/* The tables as one transaction sees them, a reader's or the writer's. */
struct db_snapshot {
    MDB_txn *txn;
    const MDB_dbi *tables;
};

/* 0, MDB_NOTFOUND or what else LMDB says. */
int db_rules_get(const struct db_snapshot *in, enum db_table table,
                 const struct db_key *key, struct view *value);
/* key: as in the table. false: too long for a key of ours. */
bool db_rules_key(struct db_key *key, struct view bytes);

/* One row by itself. true: it is one; false: *why says what is wrong. row
 * may be read only after true. */
bool db_rules_message(struct view key, struct view value, struct message *row,
                      struct why *why);
bool db_rules_delivery(struct view key, struct view value, struct delivery *row,
                       struct why *why);
bool db_rules_row(enum db_table table, struct view key, struct view value,
                  struct why *why);

/* A row of an index beside what it stands for. 1: it is right, 0: it is not
 * (*why), -1: the store cannot be read. */
int db_rules_ready(const struct db_snapshot *in, struct view key,
                   struct why *why);
int db_rules_later(const struct db_snapshot *in, struct view key,
                   struct why *why);
/* Which message and delivery a key of ready or later is about. false: it
 * is none. */
bool db_rules_index(enum db_table table, struct view key, uint64_t *id,
                    uint64_t *n);

/* The key of its row in ready; -1: its target fits none. */
int db_rules_key_ready(struct db_key *key, const struct message *message,
                       const struct delivery *row, uint64_t id, uint64_t n);

/* The message or delivery of that number: 1, 0: there is none or it cannot be
 * read, -1. */
int db_rules_get_message(const struct db_snapshot *in, uint64_t id,
                         struct message *row);
int db_rules_get_delivery(const struct db_snapshot *in, uint64_t id, uint64_t n,
                          struct delivery *row);

/* One slot of a block of sieve; false: there is none of that number. */
bool db_rules_slot(struct view block, size_t slot, uint64_t *id,
                   struct sieve *sieve);
/* 1: the block the message names has its signature, with all bits of want; 0,
 * -1. */
int db_rules_signed(const struct db_snapshot *in, uint64_t id,
                    const struct message *message, const struct sieve *want);
/* Slots of a block that were written, as far as there can be so many. */
size_t db_rules_slots(struct view block);

#endif
