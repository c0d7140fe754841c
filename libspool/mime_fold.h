/* SPDX-License-Identifier: ISC */
/*
 * Text compared without regard to case: i;unicode-casemap (RFC 5051) maps
 * each character to title case and decomposes it. The result is what is
 * compared byte by byte; ASCII letters become upper case, as by
 * i;ascii-casemap (RFC 4790 9.2).
 */
#ifndef SPOOL_MIME_FOLD_H
#define SPOOL_MIME_FOLD_H

#include "buf.h"
#include "view.h"

/* Appends text (UTF-8; what is not becomes UTF8_REPLACEMENT) folded. A
 * character cut by the end of text counts as broken. */
void mime_fold(struct view text, struct buf *out);

#endif
