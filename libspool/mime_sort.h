/* SPDX-License-Identifier: ISC */
/*
 * Keys of SORT and of threads (RFC 5256): bytes whose order (memcmp, a
 * shorter prefix first) is the order of the messages, folded by mime_fold.h.
 */
#ifndef SPOOL_MIME_SORT_H
#define SPOOL_MIME_SORT_H

#include "buf.h"
#include "mime.h"
#include "view.h"

/* The base subject of 2.1: appends the subject without "Re:", "Fwd:", "[...]"
 * and "(fwd)", decoded but not folded. *is_reply (may be NULL): something of
 * that kind was there. */
void mime_sort_base_subject(struct view raw, struct buf *out, bool *is_reply);

/* Append the key of SUBJECT; of FROM, TO and CC (name is MIME_FROM, MIME_TO
 * or MIME_CC: the mailbox of the first address). Nothing for a field that is
 * not there. -1: the structure (mime_structure.h) is damaged. */
int mime_sort_subject(struct view structure, struct buf *out);
int mime_sort_address(struct view structure, enum mime_field_name name,
                      struct buf *out);
/* Of DISPLAYFROM and DISPLAYTO (RFC 5957): the name of the first address, or
 * "mailbox@host" where it has none. */
int mime_sort_display(struct view structure, enum mime_field_name name,
                      struct buf *out);

#endif
