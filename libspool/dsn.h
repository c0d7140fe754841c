/* SPDX-License-Identifier: ISC */
/*
 * Delivery status notifications: the message that tells a sender what could
 * not be delivered (RFC 3464, 6522; RFC 6533 where addresses are not ASCII).
 * A pure function: ids, times and texts come from the caller.
 *
 * The result is content in the sense of dot.h: lines of at most 998 bytes
 * ending in CRLF. It is 7-bit unless dsn_is_utf8, so it passes any server.
 */
#ifndef SPOOL_DSN_H
#define SPOOL_DSN_H

#include <stdint.h>

#include "buf.h"
#include "view.h"

#define DSN_HEADER_MAX (32 * 1024) /* of the original's header block */
#define DSN_LISTED_MAX                                                         \
    20 /* recipients in the part for people; the part for                      \
          programs has them all */

enum dsn_cause {
    DSN_REFUSED,    /* the server refused for good */
    DSN_EXPIRED,    /* refused for now, again and again, until hold-for */
    DSN_UNSENDABLE, /* we cannot give it to that server: too large, ... */
};

struct dsn_recipient {
    struct view address;
    enum dsn_cause cause;
    uint64_t code;      /* the last reply, 0: there was none */
    struct view reply;  /* its text, with the enhanced status code if any */
    struct view remote; /* the server that said so; empty: none did */
    int64_t attempt_ms; /* when */
};

struct dsn {
    struct view hostname; /* ours */
    struct view sender;   /* of the original, never null: gets this */
    uint64_t id;          /* of the DSN */
    uint64_t original_id;
    struct view message_id; /* the original's header value, may be empty */
    int64_t now_ms;
    int64_t arrived_ms; /* of the original */
    const struct dsn_recipient *recipients;
    size_t n_recipients;
    struct view header; /* the original's header block: dsn_header_of */
};

/* The header block at the front of content: without the empty line, at most
 * DSN_HEADER_MAX bytes, cut after a line where there is one. */
struct view dsn_header_of(struct view content);

/* Must this DSN be sent with SMTPUTF8 and 8BITMIME? Only when the sender's
 * address is not ASCII: then it cannot be addressed otherwise. */
bool dsn_is_utf8(const struct dsn *dsn);

/* Appends the whole message. */
void dsn_write(const struct dsn *dsn, struct buf *out);

#endif
