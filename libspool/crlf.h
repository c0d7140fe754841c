/* SPDX-License-Identifier: ISC */
/*
 * Content that did not come over SMTP (files, queues of other programs) made
 * into content as dot.h has it: lines that end in CRLF. A bare LF is a line
 * end, a last line gets its own; a bare CR stays, but directly before a dot
 * it makes the content refused, for the reason dot.h gives. What is like that
 * already comes out byte for byte the same.
 */
#ifndef SPOOL_CRLF_H
#define SPOOL_CRLF_H

#include "buf.h"
#include "view.h"
#include "why.h"

/* Zero-initialised it is at the start of the content. */
struct crlf {
    bool after_cr;
    bool in_line; /* the last line has not ended */
    bool has_8bit;
    bool bad; /* there was a bare CR before a dot */
};

/* Appends the next bytes, cut anywhere, to out: at most two for each. */
void crlf_add(struct crlf *crlf, struct view bytes, struct buf *out);
/* After the last byte. -1 where the content must be refused. */
int crlf_end(struct crlf *crlf, struct buf *out, struct why *why);

#endif
