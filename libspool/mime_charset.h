/* SPDX-License-Identifier: ISC */
/*
 * Text of a charset as UTF-8, in pieces. Charsets of a table alone: the C
 * library's rarer converters are not for strangers' bytes.
 */
#ifndef SPOOL_MIME_CHARSET_H
#define SPOOL_MIME_CHARSET_H

#include "buf.h"
#include "view.h"

/* Loads the C library's converters of the table and keeps them, so that they
 * are there when the root directory is another. */
void mime_charset_init(void);

/* Is it in the table (any case)? */
bool mime_charset_is_known(struct view name);

struct mime_charset;

/* An unknown one is taken as US-ASCII. What is not of the charset becomes
 * UTF8_REPLACEMENT; but 8-bit bytes in US-ASCII are taken as UTF-8 where they
 * are that, and as windows-1252 else. */
struct mime_charset *mime_charset_new(struct view name);
/* Appends whole characters; keeps what is cut for the next call. */
void mime_charset_feed(struct mime_charset *charset, struct view bytes,
                       struct buf *out);
void mime_charset_end(struct mime_charset *charset, struct buf *out);
void mime_charset_free(struct mime_charset **charset);

#endif
