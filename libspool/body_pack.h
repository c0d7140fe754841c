/* SPDX-License-Identifier: ISC */
/*
 * The compressor behind body.h. One context serves the whole process (half a
 * megabyte, set up once): pieces are whole frames, so writers can take turns
 * with it. zstd keeps a copy of what it could not compress; of content that
 * is to be sealed that copy is wiped after each piece.
 *
 * body_use_dictionary (body.h) is here too.
 */
#ifndef SPOOL_BODY_PACK_H
#define SPOOL_BODY_PACK_H

#include "body.h"

struct body_pack {
    int level;
    bool dictionary; /* may be used: the content has headers */
    bool sealed;     /* will be: no checksum, and nothing is left behind */
};

/* The length of the zstd frame of raw in out; 0: it has no room there. *id is
 * the dictionary it needs, 0 for none. */
size_t body_pack(const struct body_pack *how, struct view raw, char *out,
                 size_t room, uint64_t *id);

#endif
