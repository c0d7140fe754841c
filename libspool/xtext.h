/* SPDX-License-Identifier: ISC */
/*
 * xtext (RFC 3461 4): how values with any byte in them travel as parameters
 * of SMTP commands. Graphic ASCII stands for itself but for "+" and "=";
 * every other byte is "+" and two hexadecimal digits.
 */
#ifndef SPOOL_XTEXT_H
#define SPOOL_XTEXT_H

#include <stdbool.h>

#include "buf.h"
#include "view.h"

/* Appends bytes encoded. */
void xtext_encode(struct view bytes, struct buf *out);
/* Appends text decoded; -1, and nothing is appended, where it is no xtext.
 * Digits in lower case and bytes beyond ASCII (RFC 6533) are taken. */
int xtext_decode(struct view text, struct buf *out);
/* Is text xtext that stands for printable ASCII only? With utf8 the text may
 * have valid UTF-8 in it as it is. Empty text is fine. */
bool xtext_is_printable(struct view text, bool utf8);

#endif
