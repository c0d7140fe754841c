/* SPDX-License-Identifier: ISC */
/*
 * SEARCH in headers and bodies (RFC 3501 6.4.4): is a string in a message,
 * without regard to case (mime_fold.h), in the decoded text? Content streams
 * by in pieces; memory does not grow with it. Any number of keys are sought
 * in one pass.
 *
 * Header fields are looked at decoded (RFC 2047) up to MIME_DECODE_MAX. Of
 * bodies, text/ and message/ parts are, with transfer encoding and charset
 * undone; others, as images, are not text.
 */
#ifndef SPOOL_MIME_SEARCH_H
#define SPOOL_MIME_SEARCH_H

#include "view.h"
#include "why.h"

#define MIME_SEARCH_KEYS_MAX   64
#define MIME_SEARCH_NEEDLE_MAX 1024 /* bytes of text */

enum mime_search_where {
    MIME_SEARCH_FIELD, /* HEADER name: in those fields of the message; an
                        * empty text: the field is there. FROM, SUBJECT ... */
    MIME_SEARCH_BODY,  /* the texts of all parts, not their headers */
    MIME_SEARCH_TEXT,  /* the same and all headers */
};

struct mime_search_key {
    enum mime_search_where where;
    struct view field; /* MIME_SEARCH_FIELD: its name, any case */
    struct view text;  /* UTF-8 */
};

struct mime_search;

/* For all messages of one SEARCH; keys are copied. -1: one is too long, is
 * no UTF-8, or there are too many. */
int mime_search_new(const struct mime_search_key *keys, size_t n_keys,
                    struct mime_search **search, struct why *why);
void mime_search_free(struct mime_search **search);

/* A message begins; structure (mime_structure.h) is borrowed until the next
 * begin. Decides at once what it can by the envelope in it: keys on Subject,
 * Date, From, Sender, Reply-To, To, Cc, Bcc, Message-ID, In-Reply-To. 1: all
 * keys are decided, no content is needed; 0: feed the content; -1: the
 * structure is damaged. */
int mime_search_begin(struct mime_search *search, struct view structure);
/* Content from its first byte on, cut anywhere. False: all keys are decided,
 * further content is not needed (feeding it does no harm). */
bool mime_search_feed(struct mime_search *search, struct view bytes);
/* The content has ended: what was not found is not there. */
void mime_search_end(struct mime_search *search);
/* Was key number i found in the message? After end, or after 1 and false. */
bool mime_search_found(const struct mime_search *search, size_t i);

#endif
