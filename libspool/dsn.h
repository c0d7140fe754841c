/* SPDX-License-Identifier: ISC */
/*
 * Delivery status notifications: the message that tells a sender what could
 * not be delivered, is delayed, or was passed on (RFC 3461 6, 3464, 6522; RFC
 * 6533 where addresses are not ASCII).
 * A pure function: ids, times and texts come from the caller.
 *
 * The result is content in the sense of dot.h: lines of at most 998 bytes
 * ending in CRLF. It is 7-bit unless dsn_is_8bit, so it passes any server.
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
    /* failed: */
    DSN_REFUSED,    /* the server refused for good */
    DSN_EXPIRED,    /* refused for now, again and again, until hold-for */
    DSN_UNSENDABLE, /* we cannot give it to that server: too large, ... */
    DSN_GIVEN_UP,   /* the operator sends it back */
    /* delayed: */
    DSN_WAITING, /* not delivered yet */
    /* relayed: */
    DSN_PASSED_ON, /* delivered to a server that sends no such notices */
};

struct dsn_recipient {
    struct view address;
    struct view
        orcpt; /* ORCPT as the sender gave it (RFC 3461 4.2), or empty */
    enum dsn_cause cause;
    bool unknown;      /* EXPIRED, GIVEN_UP: it may have arrived all the same */
    uint64_t code;     /* the last reply, 0: there was none */
    struct view reply; /* its text, with the enhanced status code if any */
    struct view remote; /* the server that said so; empty: none did */
    int64_t attempt_ms; /* when */
};

struct dsn {
    struct view hostname; /* ours */
    struct view sender;   /* of the original, never null: gets this */
    uint64_t id;          /* of the DSN */
    uint64_t original_id;
    struct view message_id; /* the original's header value, may be empty */
    struct view envid;      /* ENVID as the sender gave it, xtext, or empty */
    int64_t now_ms;
    int64_t arrived_ms; /* of the original */
    const struct dsn_recipient *recipients;
    size_t n_recipients;
    struct view header;  /* the original's header block: dsn_header_of */
    struct view content; /* all of the original (RET=FULL), or empty */
};

/* The header block at the front of content: without the empty line, at most
 * DSN_HEADER_MAX bytes, cut after a line where there is one. */
struct view dsn_header_of(struct view content);

/* Must this DSN be sent with SMTPUTF8 and 8BITMIME? Only when the sender's
 * address is not ASCII: then it cannot be addressed otherwise. */
bool dsn_is_utf8(const struct dsn *dsn);

/* Is the original in it whole? Not where its lines or its header could not
 * travel in this message. */
bool dsn_has_content(const struct dsn *dsn);

/* Has it bytes over 127, so that it should be sent with 8BITMIME? */
bool dsn_is_8bit(const struct dsn *dsn);

/* Appends the whole message. */
void dsn_write(const struct dsn *dsn, struct buf *out);

#endif
