/* SPDX-License-Identifier: ISC */
/*
 * What an SMTP server answers (RFC 5321 4.2): replies of one or more lines,
 * enhanced status codes (RFC 3463, 2034) and the list of extensions in the
 * reply to EHLO.
 *
 * The server is a stranger: lines and their number are limited, all lines of
 * a reply must carry the same code, and the text that is kept is printable
 * ASCII (anything else becomes '?'), so it can go to logs, records, DSNs and
 * JSON as it is.
 */
#ifndef SPOOL_SMTP_REPLY_H
#define SPOOL_SMTP_REPLY_H

#include <stdint.h>

#include "buf.h"
#include "got.h"
#include "line.h"
#include "view.h"
#include "why.h"

#define SMTP_REPLY_LINE_MAX  2048 /* CRLF included; RFC 5321 says 512 */
#define SMTP_REPLY_LINES_MAX 100
#define SMTP_REPLY_PRINT_MAX 500 /* of smtp_reply_print */

/* Zero-initialised it is ready for the first reply. */
struct smtp_reply {
    int code; /* 200..599; 0 before the first line */
    size_t n_lines;
    struct buf text; /* of the lines, without code, each ending in '\n' */
    struct line line;
};

/* Takes bytes off the front of input, which is all the input there is that
 * was not taken; *taken says how many, in every case.
 *
 * GOT_ONE     a whole reply; the next call begins a new one
 * GOT_MORE    not yet
 * GOT_BAD     this is no SMTP reply (*why): nothing sensible can follow
 * GOT_TOOBIG  a line or the number of lines passed its limit (*why) */
enum got smtp_reply_take(struct smtp_reply *reply, struct view input,
                         size_t *taken, struct why *why);
void smtp_reply_free(struct smtp_reply *reply);

/* The next line's text; false after the last. *at is 0 at first. */
bool smtp_reply_line(const struct smtp_reply *reply, size_t *at,
                     struct view *line);
/* The text in one line for people and records, cut at SMTP_REPLY_PRINT_MAX;
 * an enhanced status code that is on every line is there once. Appends. */
void smtp_reply_print(const struct smtp_reply *reply, struct buf *out);

/* The enhanced status code "5.1.1" that text begins with; empty: none, or
 * not of the reply's class (a code of 550 goes with 5.x.x). */
struct view smtp_reply_enhanced(int code, struct view text);

enum smtp_offer {
    SMTP_OFFER_PIPELINING = 1, /* RFC 2920 */
    SMTP_OFFER_8BITMIME = 2,   /* RFC 6152 */
    SMTP_OFFER_SMTPUTF8 = 4,   /* RFC 6531 */
    SMTP_OFFER_SIZE = 8,       /* RFC 1870 */
    SMTP_OFFER_STARTTLS = 16,  /* RFC 3207 */
    SMTP_OFFER_DSN = 32,       /* RFC 3461 */
    SMTP_OFFER_CHUNKING = 64,  /* RFC 3030 */
};

struct smtp_offers {
    unsigned flags;    /* enum smtp_offer, or-ed */
    uint64_t size_max; /* 0: no limit told */
    unsigned xclient;  /* enum xclient_attribute, or-ed; 0: not offered */
    unsigned xforward;
    /* RFC 9422; 0: no limit told. */
    uint64_t mail_max;        /* transactions a connection */
    uint64_t rcpt_max;        /* recipients a transaction */
    uint64_t rcpt_domain_max; /* their domains */
};

/* What the reply to EHLO offers; lines that make no sense offer nothing. */
void smtp_offers_read(const struct smtp_reply *reply,
                      struct smtp_offers *offers);

#endif
