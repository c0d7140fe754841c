/* SPDX-License-Identifier: ISC */
/*
 * Dictionaries for small mail (zstd(1), "dictionary"). One comes with the
 * program; the operator can have one trained from his own held mail.
 *
 * A trained dictionary is made of pieces of mail, and the listener, which
 * must not be able to read what is stored, needs it in clear. So training
 * sees only what is nobody's own: a byte of a message takes part when it lies
 * in a run of DICTIONARY_RUN bytes that was seen in at least
 * DICTIONARY_MESSAGES messages of at least DICTIONARY_SENDERS different
 * senders' domains and as many different recipients. All else is left out
 * before the trainer sees it. (spool.5 says what that leaves.)
 */
#ifndef SPOOL_DICTIONARY_H
#define SPOOL_DICTIONARY_H

#include "buf.h"
#include "view.h"
#include "why.h"

#define DICTIONARY_SHIPPED_ID 1      /* the one in the program */
#define DICTIONARY_TRAINED_ID 32768  /* trained ones: this and above */
#define DICTIONARY_BYTES_MAX  114672 /* 28 pages less LMDB's header */
#define DICTIONARY_RUN        16
#define DICTIONARY_MESSAGES   8
#define DICTIONARY_SENDERS    4

/* The shipped dictionary. */
struct view dictionary_shipped(void);

/* Training: add samples (content, up to DICTIONARY_SAMPLE_MAX bytes of each
 * counts), then finish. Memory is bounded by DICTIONARY_SAMPLES_BYTES. */
#define DICTIONARY_SAMPLE_MAX    16384
#define DICTIONARY_SAMPLES_BYTES (UINT64_C(48) << 20)
struct dictionary_trainer;
struct dictionary_trainer *dictionary_trainer_new(void);
/* false: there is no room for more. recipient: the first one's address. */
bool dictionary_trainer_add(struct dictionary_trainer *trainer,
                            struct view content, struct view sender_domain,
                            struct view recipient);
/* Appends the dictionary, with that id in it, to out. Takes seconds. -1: too
 * little is common to the samples. */
int dictionary_trainer_finish(struct dictionary_trainer *trainer, uint32_t id,
                              struct buf *out, struct why *why);
void dictionary_trainer_free(struct dictionary_trainer **trainer);

#endif
