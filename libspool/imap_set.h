/* SPDX-License-Identifier: ISC */
/*
 * Sets of message numbers and UIDs (RFC 3501 9, sequence-set; RFC 9051 adds
 * "$", the saved result). Ranges are kept as written until they are resolved
 * against a mailbox: then they are in order, apart, and "*" is a number.
 */
#ifndef SPOOL_IMAP_SET_H
#define SPOOL_IMAP_SET_H

#include <stdint.h>

#include "buf.h"
#include "view.h"
#include "why.h"

/* Ranges in one set. A client that needs more sends several commands. */
#define IMAP_SET_MAX  16384
#define IMAP_SET_STAR 0 /* "*", which no number is */

struct imap_range {
    uint32_t first;
    uint32_t last;
};

struct imap_set {
    struct imap_range *ranges; /* owned */
    size_t count;
    size_t cap;
    bool is_saved; /* "$": no ranges of its own */
};

/* The whole of text, which is not empty. -1: not a set, or too many ranges;
 * *set is as imap_set_free leaves it. */
int imap_set_parse(struct imap_set *set, struct view text, struct why *why);
/* A copy, in place of what *to had. */
void imap_set_copy(struct imap_set *to, const struct imap_set *from);
/* Adds a number above all that are there. */
void imap_set_add(struct imap_set *set, uint32_t number);
/* "*" becomes max; ranges in order, joined where they touch. With max 0 (an
 * empty mailbox) "*" is gone. */
void imap_set_resolve(struct imap_set *set, uint32_t max);
/* These questions are for a set that was resolved. */
bool imap_set_has(const struct imap_set *set, uint32_t number);
/* The smallest number of the set that is not under at; 0: none. */
uint32_t imap_set_next(const struct imap_set *set, uint32_t at);
/* Appends "1:3,7". Nothing where it is empty. */
void imap_set_print(const struct imap_set *set, struct buf *out);
void imap_set_free(struct imap_set *set); /* empty again */

#endif
