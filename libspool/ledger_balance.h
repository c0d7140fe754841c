/* SPDX-License-Identifier: ISC */
/*
 * The accounts of the ledger: every delivery that was accepted must be open
 * or have ended, once. Fed with entries in their order; keeps per message
 * that has open deliveries one slot of 32 bytes, so that a million held
 * messages take less than 64 MB. Pure: reads no store, asks no clock.
 *
 *     accepted + again = open + delivered + returned + expired + dropped
 *                        + discarded + erased
 *
 * A message whose deliveries have all ended is forgotten; whatever comes for
 * it later, but again, is a fault.
 */
#ifndef SPOOL_LEDGER_BALANCE_H
#define SPOOL_LEDGER_BALANCE_H

#include "message.h"

/* Deliveries of one message at the most; more in an entry is a fault. */
#define LEDGER_DELIVERIES_MAX 100000
/* Bytes of the digest that are kept of each open message. */
#define LEDGER_DIGEST 8
/* Parts of the table: each holds a fixed share of the ids. */
#define LEDGER_PARTS 256

enum ledger_fault {
    LEDGER_ACCEPTED_TWICE = 1, /* the message is open already */
    LEDGER_NOT_OPEN,           /* delivery n ended or was never accepted */
    LEDGER_STILL_OPEN,         /* again, but delivery n has not ended */
    LEDGER_GONE_OPEN,          /* removed while deliveries are open */
    LEDGER_ERASED_OTHER, /* erased, with another number of open deliveries */
    LEDGER_NO_SENSE,     /* numbers that cannot be */
};
typedef void ledger_fault_fn(void *arg, enum ledger_fault fault, uint64_t seq,
                             const struct ledger_entry *entry);

enum ledger_start {
    /* The first entry there ever was: every acceptance is seen. */
    LEDGER_FROM_FIRST,
    /* Older entries were dropped: what was open then is carried, and until
     * that is complete, entries of messages that are not known may be. */
    LEDGER_FROM_CUT,
    /* Somewhere in between: only what is accepted from here on counts. */
    LEDGER_FROM_MIDDLE,
};

struct ledger_counts {
    uint64_t entries;
    uint64_t accepted; /* deliveries, the carried ones with them */
    uint64_t again;    /* ended ones that were opened once more */
    uint64_t open;
    uint64_t messages; /* with open deliveries */
    uint64_t delivered, returned, expired, dropped, discarded, erased;
    /* Entries about messages that were accepted before the start. */
    uint64_t earlier;
};

struct ledger_balance;

/* cut: the last entry before the start. fn is called for each fault. */
struct ledger_balance *ledger_balance_new(enum ledger_start start, uint64_t cut,
                                          ledger_fault_fn *fn, void *arg);
void ledger_balance_free(struct ledger_balance **balance);

void ledger_balance_add(struct ledger_balance *balance, uint64_t seq,
                        const struct ledger_entry *entry);
const struct ledger_counts *
ledger_balance_counts(const struct ledger_balance *balance);
/* LEDGER_FROM_CUT: has all that was open at the cut been said again? Until
 * then no fault is told of messages that are not known; they are earlier. */
bool ledger_balance_is_whole(const struct ledger_balance *balance);

/* What is known of a message with open deliveries. */
struct ledger_open {
    uint64_t id;
    uint64_t seq; /* its acceptance */
    uint64_t n;   /* how many are open */
    char digest[LEDGER_DIGEST];
    bool has_digest;
};
bool ledger_balance_find(const struct ledger_balance *balance, uint64_t id,
                         struct ledger_open *open);
/* The open delivery with the smallest number not below *n. */
bool ledger_balance_next(const struct ledger_balance *balance, uint64_t id,
                         uint64_t *n);
bool ledger_balance_is_open(const struct ledger_balance *balance, uint64_t id,
                            uint64_t n);

/* A mark for the caller's use: set it; the ids of those without it in one
 * part (0 .. LEDGER_PARTS - 1) are appended to ids as uint64_t. */
void ledger_balance_mark(struct ledger_balance *balance, uint64_t id);
void ledger_balance_unmarked(const struct ledger_balance *balance,
                             unsigned part, struct buf *ids);

/* Appends the bytes that the signature of a checkpoint is made of: its record
 * without public and signature. */
void ledger_signed_bytes(const struct checkpoint *row, struct buf *out);
/* What an entry adds to the sums of a checkpoint. */
void ledger_entry_count(const struct ledger_entry *entry, uint64_t *accepted,
                        uint64_t *ended);

#endif
