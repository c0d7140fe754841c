/* SPDX-License-Identifier: ISC */
/*
 * What is common to many samples: pieces of text each of which, as a whole,
 * was seen in DICTIONARY_MESSAGES messages of DICTIONARY_SENDERS senders'
 * domains and as many recipients. Private to dictionary.c.
 */
#ifndef SPOOL_DICTIONARY_COMMON_H
#define SPOOL_DICTIONARY_COMMON_H

#include <stdint.h>

#include "view.h"

struct dictionary_sample {
    uint32_t start; /* in the bytes of all samples */
    uint32_t len;
    uint64_t sender; /* hashes: only whether they differ matters */
    uint64_t recipient;
};

struct dictionary_piece {
    uint32_t at;
    uint32_t len;
    uint32_t sample;
};

struct dictionary_pieces {
    struct dictionary_piece *items;
    size_t n;
    size_t room;
};

/* Adds to out the pieces of each sample that are common, in order; they may
 * overlap. Free out->items. Deterministic. */
void dictionary_common_find(struct view bytes,
                            const struct dictionary_sample *samples, size_t n,
                            struct dictionary_pieces *out);

#endif
