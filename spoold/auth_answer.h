/* SPDX-License-Identifier: ISC */
/*
 * What the primary's IMAP server answers, line by line: a function of bytes,
 * fuzzed, with no sockets. RFC 9051 7.1, RFC 5530, RFC 4616.
 */
#ifndef SPOOLD_AUTH_ANSWER_H
#define SPOOLD_AUTH_ANSWER_H

#include "buf.h"
#include "view.h"

/* A line of the server longer than this ends the conversation. */
#define AUTH_ANSWER_LINE_MAX 8192

enum auth_answer {
    AUTH_ANSWER_OTHER,    /* untagged: nothing we wait for */
    AUTH_ANSWER_GREETING, /* "* OK", before anything else */
    AUTH_ANSWER_BYE,      /* it will not talk to us */
    AUTH_ANSWER_GO_ON,    /* "+" */
    AUTH_ANSWER_OK,       /* tagged with our tag */
    AUTH_ANSWER_NO,       /* refused, for good */
    AUTH_ANSWER_LATER,    /* NO, but not about the password; or BAD */
    AUTH_ANSWER_NONSENSE, /* no IMAP server says this */
};
/* line is without its CRLF. */
enum auth_answer auth_answer_parse(struct view line, struct view tag);

/* Which of these a CAPABILITY answer or response code has. */
struct auth_abilities {
    bool plain; /* AUTH=PLAIN */
    bool starttls;
    bool login_disabled; /* LOGINDISABLED */
};
void auth_answer_abilities(struct view line, struct auth_abilities *out);

/* The argument of AUTHENTICATE PLAIN: base64 of NUL name NUL password. */
void auth_answer_plain(struct view name, struct view password, struct buf *out);
/* A quoted string; false: it cannot be one (CR, LF, NUL, or not ASCII). */
bool auth_answer_quote(struct view text, struct buf *out);

#endif
