/* SPDX-License-Identifier: ISC */
/*
 * From what is on the wire to text in UTF-8: encoded words (RFC 2047),
 * parameters (RFC 2231), transfer encodings, charsets, dates. The only door
 * to GMime, of which a few functions are allowed (tests/lint/gmime.sh has the
 * list): the others recurse or take quadratic time on hostile input.
 *
 * All results are valid UTF-8 without NUL; what can't be decoded becomes
 * UTF8_REPLACEMENT. Only charsets of a table are taken (those people's mail
 * has): the C library's rarer converters are not for strangers' bytes.
 */
#ifndef SPOOL_MIME_DECODE_H
#define SPOOL_MIME_DECODE_H

#include <stdint.h>

#include "buf.h"
#include "view.h"

#define MIME_DECODE_MAX (32u * 1024) /* looked at of a header field's value */

/* Once in a process, before its first thread and before chroot (converters
 * are files of the C library: it loads those of the table). */
void mime_decode_init(void);

/* Appends the text of a header value; folded or not. */
void mime_decode_header(struct view value, struct buf *out);

/* Appends the decoded parameter of a Content-Type or Content-Disposition
 * value. False: it has none of that name. */
bool mime_decode_param(struct view value, struct view name, struct buf *out);

/* RFC 5322 3.3 with its obsolete forms. -1: no date. */
int mime_decode_date(struct view value, int64_t *utc_s, int32_t *zone_minutes);

enum mime_encoding {
    MIME_IDENTITY, /* 7bit, 8bit, binary, and what is unknown */
    MIME_BASE64,
    MIME_QUOTED_PRINTABLE,
};
/* Of a Content-Transfer-Encoding value. False: unknown (BINARY answers
 * UNKNOWN-CTE, RFC 3516). */
bool mime_decode_encoding(struct view value, enum mime_encoding *encoding);

/* A body, in pieces of any size. */
struct mime_decoder;

/* charset: empty is US-ASCII, of which 8-bit bytes are taken as UTF-8 where
 * they are, and as windows-1252 else; data NULL: bytes come out as they are,
 * only the transfer encoding is undone. */
struct mime_decoder *mime_decoder_new(enum mime_encoding encoding,
                                      struct view charset);
void mime_decoder_feed(struct mime_decoder *decoder, struct view bytes,
                       struct buf *out);
void mime_decoder_end(struct mime_decoder *decoder, struct buf *out);
void mime_decoder_free(struct mime_decoder **decoder);

#endif
