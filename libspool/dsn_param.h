/* SPDX-License-Identifier: ISC */
/*
 * The parameters a sender asks for delivery status notifications with
 * (RFC 3461 4): RET and ENVID of MAIL, NOTIFY and ORCPT of RCPT. They are
 * kept as they came and handed on to a target that offers DSN; where one does
 * not, we answer for them.
 */
#ifndef SPOOL_DSN_PARAM_H
#define SPOOL_DSN_PARAM_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "view.h"

#define DSN_ENVID_MAX 100 /* characters of xtext */
#define DSN_ORCPT_MAX 500 /* characters, with the type */

/* How much of the message a notice of failure brings back. */
enum dsn_ret {
    DSN_RET_FULL = 1,
    DSN_RET_HDRS = 2,
};

/* What is told of a recipient, or-ed. 0, not given, is FAILURE, and DELAY
 * where it is the custom. */
enum dsn_notify {
    DSN_NOTIFY_NEVER = 1, /* alone */
    DSN_NOTIFY_SUCCESS = 2,
    DSN_NOTIFY_FAILURE = 4,
    DSN_NOTIFY_DELAY = 8,
};

/* 0, and a value of the enums above; or -1: it is none. */
int dsn_ret_parse(struct view text, uint64_t *ret);
int dsn_notify_parse(struct view text, uint64_t *notify);
bool dsn_notify_is_valid(uint64_t notify); /* 0 is */
const char *dsn_ret_name(uint64_t ret);    /* "FULL"; "" for 0 */
/* Appends "SUCCESS,DELAY"; nothing for 0. */
void dsn_notify_print(uint64_t notify, struct buf *out);

/* xtext for printable ASCII, not empty. */
bool dsn_envid_is_valid(struct view text);
/* "rfc822;xtext"; "utf-8;" may have its address in UTF-8 as it is, which only
 * a transaction with SMTPUTF8 may carry (RFC 6533 3). */
bool dsn_orcpt_is_valid(struct view text);
/* Appends an ORCPT in the form that needs no SMTPUTF8: characters beyond
 * ASCII become "\x{...}" (RFC 6533 3, utf-8-addr-xtext). */
void dsn_orcpt_to_ascii(struct view orcpt, struct buf *out);

#endif
