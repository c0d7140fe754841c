/* SPDX-License-Identifier: ISC */
/*
 * A look at the raw text of a configuration file before the library parses
 * it, for what the library takes silently or counts wrongly. What passes is
 * text that its lexer and we read alike. Private to conf*.c.
 */
#ifndef SPOOL_CONF_SCAN_H
#define SPOOL_CONF_SCAN_H

#include "buf.h"
#include "why.h"

/* Where a pair of braces opens and closes. */
struct conf_span {
    unsigned opened; /* line, from 1 */
    unsigned closed;
};

struct conf_spans {
    struct conf_span *items; /* in the order of closing */
    size_t count;
};

/* Checks text, blanks its comments and notes its braces. 0, or -1 with the
 * line in *line and a reason. Free with conf_spans_free in either case. */
int conf_scan(struct buf *text, struct conf_spans *spans, unsigned *line,
              struct why *why);
void conf_spans_free(struct conf_spans *spans);

/* The line where the section opened that closes in this one; the line itself
 * when none does. */
unsigned conf_spans_opened(const struct conf_spans *spans, unsigned closed);

#endif
