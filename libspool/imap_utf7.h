/* SPDX-License-Identifier: ISC */
/*
 * Names of mailboxes in IMAP4rev1: modified UTF-7 (RFC 3501 5.1.3). Inside,
 * names are UTF-8.
 */
#ifndef SPOOL_IMAP_UTF7_H
#define SPOOL_IMAP_UTF7_H

#include "buf.h"
#include "view.h"

/* Appends name as UTF-8. -1: it is not modified UTF-7, or not in its one
 * form (a client that sends another form of a name means no name we gave). */
int imap_utf7_decode(struct view name, struct buf *utf8);
/* Appends the modified UTF-7 of well-formed UTF-8. */
void imap_utf7_encode(struct view utf8, struct buf *out);

#endif
