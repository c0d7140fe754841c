/* SPDX-License-Identifier: ISC */
/*
 * The chain through the ledger. Each entry's hash covers the one before:
 *
 *     H(0)   = 32 zero bytes
 *     H(seq) = BLAKE2b-256(H(seq-1), seq (8 bytes, big-endian), record)
 *
 * A row holds the first LEDGER_CHECK bytes of its hash and then the record,
 * which names the first entry that was changed; the head of the chain stands
 * whole in the totals and, signed, in checkpoints.
 */
#ifndef SPOOL_LEDGER_CHAIN_H
#define SPOOL_LEDGER_CHAIN_H

#include <stdint.h>

#include "view.h"

#define LEDGER_HASH  32
#define LEDGER_CHECK 8

/* Turns the hash of the entry before into that of this one. */
void ledger_chain_next(char head[LEDGER_HASH], uint64_t seq,
                       struct view record);

#endif
