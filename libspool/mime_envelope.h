/* SPDX-License-Identifier: ISC */
/*
 * The envelope of a message in its compact form, of which structures
 * (mime_structure.h) hold one for the message and one for each in a
 * message/rfc822:
 *
 *     envelope  date, subject, in-reply-to, message-id: strings
 *               from, sender, reply-to, to, cc, bcc: lists
 *     list      count; for each address a byte of what it has, then its
 *               strings name, route, mailbox, host
 *     string    mime_pack.h
 *
 * Sender and Reply-To that are not there are those of From (RFC 3501 7.4.2);
 * they are kept empty.
 */
#ifndef SPOOL_MIME_ENVELOPE_H
#define SPOOL_MIME_ENVELOPE_H

#include "buf.h"
#include "mime.h"
#include "mime_addr.h"
#include "view.h"

/* Appends the envelope of a node that is a message. */
void mime_envelope_encode(const struct mime *mime, const struct mime_node *node,
                          struct buf *out);
/* Takes an envelope off the front of *packed and appends IMAP's text of it,
 * with parentheses. -1: damaged. */
int mime_envelope_print(struct view *packed, struct buf *out);

/* One field of it (MIME_DATE .. MIME_MESSAGE_ID; packed is not moved). 1: it
 * is there; 0: it is not; -1: damaged. */
int mime_envelope_string(struct view packed, enum mime_field_name name,
                         struct view *value);
int mime_envelope_addresses(struct view packed, enum mime_field_name name,
                            mime_addr_fn *each, void *arg);

#endif
