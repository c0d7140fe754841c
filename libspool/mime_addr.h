/* SPDX-License-Identifier: ISC */
/*
 * Address lists of header fields (RFC 5322 3.4, with the obsolete forms of
 * 4.4) as IMAP's ENVELOPE shows them (RFC 9051 7.5.2): the raw strings, still
 * encoded by RFC 2047, without quotes and comments. Takes every sequence of
 * bytes in linear time and without recursion.
 *
 *   Jane <jane@a.example>       name, mailbox, host
 *   jane@a.example (Jane)       the last comment is the name where none is
 *   <@b.example:jane@a.example> route "@b.example"
 *   friends: a@x, b@x;          MIME_ADDR_GROUP with mailbox "friends", the
 *                               members, MIME_ADDR_GROUP_END
 *
 * An address that lacks a half gets MISSING_MAILBOX or MISSING_DOMAIN, as a
 * client takes an absent host for a group.
 */
#ifndef SPOOL_MIME_ADDR_H
#define SPOOL_MIME_ADDR_H

#include "view.h"

#define MIME_ADDRS_MAX 10000 /* of one value; further ones are not seen */

enum mime_addr_kind {
    MIME_ADDR_MAILBOX,
    MIME_ADDR_GROUP,     /* begins; mailbox is its name */
    MIME_ADDR_GROUP_END, /* all views are absent */
};

/* data NULL: absent (IMAP's NIL). */
struct mime_addr {
    enum mime_addr_kind kind;
    struct view name, route, mailbox, host;
};

/* Called for each, in order; the views are valid in the call alone. */
typedef void mime_addr_fn(void *arg, const struct mime_addr *addr);

/* value is unfolded (mime.h). */
void mime_addr_parse(struct view value, mime_addr_fn *each, void *arg);

#endif
