/* SPDX-License-Identifier: ISC */
/*
 * What IMAP says of a message without its content: ENVELOPE, BODY,
 * BODYSTRUCTURE (RFC 3501 and 9051 7.5.2) and where its sections are. All of
 * it comes from one compact form, the structure, which is made of a scan once
 * and kept in a row of the store: some 200 bytes for a plain mail.
 *
 *     structure  version (1), envelope and nodes:
 *     envelope   length; sent date; the fields (mime_envelope.h)
 *     node       kind, ranges, line count, strings; then its children
 *
 * A structure from the store may be damaged: what reads one answers -1 then
 * and never reads outside of it. One of another version is made anew.
 */
#ifndef SPOOL_MIME_STRUCTURE_H
#define SPOOL_MIME_STRUCTURE_H

#include <stdint.h>

#include "buf.h"
#include "mime.h"
#include "view.h"

#define MIME_STRUCTURE_VERSION 1

/* Appends the structure to out. */
void mime_structure_encode(const struct mime *mime, struct buf *out);
/* Is it one of this version? False: scan the message again. */
bool mime_structure_is_current(struct view structure);

/* Append the value of the FETCH item, parentheses and all: "(...)". Strings
 * are quoted, or literals where they have 8-bit bytes or are long. -1:
 * damaged; out may have a part of it then. */
int mime_structure_print_envelope(struct view structure, struct buf *out);
int mime_structure_print_body(struct view structure, struct buf *out);
int mime_structure_print_bodystructure(struct view structure, struct buf *out);

/* When it was sent, by its Date field. */
struct mime_sent {
    bool known;           /* there is a date that can be read */
    int64_t utc_s;        /* seconds since 1970 (SORT DATE) */
    int32_t zone_minutes; /* east of UTC: SENTSINCE wants the date there */
};
int mime_structure_sent(struct view structure, struct mime_sent *sent);

#endif
