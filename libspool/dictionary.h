/* SPDX-License-Identifier: ISC */
/*
 * Dictionaries for small mail (zstd(1), "dictionary"). One comes with the
 * program; the operator can have one trained from his own held mail.
 *
 * A trained dictionary is made of pieces of mail, and the listener, which
 * must not be able to read what is stored, needs it in clear. So it holds
 * only what is nobody's own: pieces of DICTIONARY_RUN bytes and more, each of
 * which was seen, as a whole, in at least DICTIONARY_MESSAGES messages of at
 * least DICTIONARY_SENDERS different senders' domains (two labels of them)
 * and as many different recipients, or is part of such a piece; in an order
 * that says nothing of where they stood. (spool.5 says what that leaves.)
 */
#ifndef SPOOL_DICTIONARY_H
#define SPOOL_DICTIONARY_H

#include "buf.h"
#include "view.h"
#include "why.h"

#define DICTIONARY_SHIPPED_ID 1      /* the one in the program */
#define DICTIONARY_TRAINED_ID 32768  /* trained ones: this and above */
#define DICTIONARY_BYTES_MAX  114672 /* 28 pages less LMDB's header */
#define DICTIONARY_RUN        12
#define DICTIONARY_MESSAGES   8
#define DICTIONARY_SENDERS    4

/* The shipped dictionary. */
struct view dictionary_shipped(void);

/* Training: add samples (content, up to DICTIONARY_SAMPLE_MAX bytes of each
 * counts), then finish. Memory is bounded by DICTIONARY_SAMPLES_BYTES; finish
 * needs about twice that again while it is at work. */
#define DICTIONARY_SAMPLE_MAX    16384
#define DICTIONARY_SAMPLES_BYTES (UINT64_C(32) << 20)
struct dictionary_trainer;
struct dictionary_trainer *dictionary_trainer_new(void);
/* false: there is no room for it. recipient: the first one's address. */
bool dictionary_trainer_add(struct dictionary_trainer *trainer,
                            struct view content, struct view sender_domain,
                            struct view recipient);
/* Makes room: every second sample goes. */
void dictionary_trainer_thin(struct dictionary_trainer *trainer);
/* Appends the dictionary, with that id in it, to out. Takes seconds; touches
 * nothing but trainer, out and why, so a thread can do it. -1: too
 * little is common to the samples. */
int dictionary_trainer_finish(struct dictionary_trainer *trainer, uint32_t id,
                              struct buf *out, struct why *why);
void dictionary_trainer_free(struct dictionary_trainer **trainer);

#endif
