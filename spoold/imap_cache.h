/* SPDX-License-Identifier: ISC */
/*
 * Private to imap*.c: what was lately asked of messages, in memory, so that
 * the list of a mailbox that is shown again and again costs neither reading
 * nor unsealing. An entry counts only for the very place that was looked up in
 * the store when it was made: the place itself is read from the store each
 * time, so nobody is shown here what is gone there.
 *
 * At most IMAP_CACHE_BYTES_MAX for all users; what nobody asked for in
 * IMAP_CACHE_MS is forgotten.
 */
#ifndef SPOOLD_IMAP_CACHE_H
#define SPOOLD_IMAP_CACHE_H

#include "buf.h"
#include "db_mailbox_read.h"

#define IMAP_CACHE_BYTES_MAX (32u * 1024 * 1024)
#define IMAP_CACHE_MS        (5 * 60 * 1000)

struct imap_cached {
    uint64_t size;
    uint64_t arrived_ms;
    uint64_t pieces;
    struct view structure; /* valid until the next call of these functions */
};

/* What is known of the message at that place of box. */
bool imap_cache_find(const struct db_mail *mail, uint64_t box,
                     struct imap_cached *out);
/* Takes a copy. */
void imap_cache_put(const struct db_mail *mail, uint64_t box,
                    const struct imap_cached *what);

#endif
