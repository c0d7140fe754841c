/* SPDX-License-Identifier: ISC */
/*
 * Strings and numbers in a structure (mime_structure.h), and IMAP's way to
 * print them. Numbers are varints (record.h). A string is a number and
 * perhaps bytes:
 *
 *     0           absent
 *     1..n        the n-th of a table of well-known strings
 *     MIME_PACK_LITERAL + length, bytes
 *
 * The table is for ever: entries are added at its end.
 */
#ifndef SPOOL_MIME_PACK_H
#define SPOOL_MIME_PACK_H

#include "buf.h"
#include "view.h"

#define MIME_PACK_LITERAL 64

/* Appends a string; data NULL: absent. */
void mime_pack_string(struct view text, struct buf *out);
/* Takes one off the front; absent is data NULL. -1: damaged. */
int mime_pack_take_string(struct view *packed, struct view *text);

/* Appends IMAP's nstring (RFC 3501 9): NIL, quoted, or a literal where bytes
 * over 127 or line ends are in it. NUL, which no string may have, must have
 * been replaced. */
void mime_pack_print(struct view text, struct buf *out);

#endif
