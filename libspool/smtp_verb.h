/* SPDX-License-Identifier: ISC */
/*
 * One SMTP command line (RFC 5321 4.1) into verb, path and parameters. Only
 * syntax: what is allowed when is the listener's command table.
 *
 * The line is what line.h cut, without CRLF. All views point into it.
 */
#ifndef SPOOL_SMTP_VERB_H
#define SPOOL_SMTP_VERB_H

#include <stdint.h>

#include "addr.h"
#include "view.h"
#include "why.h"

enum smtp_verb {
    VERB_UNKNOWN,
    VERB_HELO,
    VERB_EHLO,
    VERB_MAIL,
    VERB_RCPT,
    VERB_DATA,
    VERB_RSET,
    VERB_NOOP,
    VERB_VRFY,
    VERB_EXPN,
    VERB_HELP,
    VERB_QUIT,
    VERB_STARTTLS,
    VERB_ETRN, /* RFC 1985 */
    VERB_COUNT
};

enum smtp_body {
    SMTP_BODY_7BIT, /* also where BODY= is not given */
    SMTP_BODY_8BITMIME,
};

struct smtp_command {
    enum smtp_verb verb;  /* set even where the rest of the line is bad */
    struct view argument; /* HELO, EHLO, VRFY, EXPN, HELP, NOOP, ETRN:
                           * the rest */
    struct addr path;     /* MAIL, RCPT */
    enum smtp_body body;  /* MAIL BODY= (RFC 6152) */
    bool has_size;        /* MAIL SIZE= (RFC 1870) */
    uint64_t size;
    bool smtputf8; /* MAIL SMTPUTF8 (RFC 6531) */

    /* RFC 3461 */
    uint64_t ret;      /* MAIL RET=: enum dsn_ret; 0: not given */
    struct view envid; /* MAIL ENVID=, as given */
    uint64_t notify;   /* RCPT NOTIFY=: enum dsn_notify; 0: not given */
    struct view orcpt; /* RCPT ORCPT=, as given, perhaps with UTF-8 */
};

/* 0, or -1 with the reply to give in *why (500, 501, 553 or 555). A RCPT path
 * and its ORCPT may be in UTF-8: whether the transaction allows it is the
 * caller's. */
int smtp_verb_parse(struct view line, struct smtp_command *command,
                    struct why *why);

const char *smtp_verb_name(enum smtp_verb verb); /* "MAIL", "?" */

#endif
