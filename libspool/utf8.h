/* SPDX-License-Identifier: ISC */
/*
 * UTF-8 (RFC 3629) in bytes that only claim to be: headers, host names and
 * replies come from strangers. Overlong forms, surrogates and what lies above
 * U+10FFFF are not UTF-8.
 */
#ifndef SPOOL_UTF8_H
#define SPOOL_UTF8_H

#include <stdint.h>

#include "buf.h"
#include "view.h"

#define UTF8_REPLACEMENT 0xfffdu /* shown in place of what is not UTF-8 */

bool utf8_is_ascii(struct view text); /* nothing over 127 */
/* Takes one character off the front of *text, which must not be empty. Where
 * there is none, takes one byte and gives UTF8_REPLACEMENT. */
uint32_t utf8_take(struct view *text);
/* Appends the character. */
void utf8_put(struct buf *out, uint32_t character);
/* Appends text with UTF8_REPLACEMENT for every byte that is not part of a
 * character, and for NUL, which few readers of text survive. */
void utf8_clean(struct view text, struct buf *out);

#endif
