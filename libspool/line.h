/* SPDX-License-Identifier: ISC */
/*
 * Cuts a stream into the lines of a command dialogue (SMTP commands, and
 * replies on the sending side). A line ends in CRLF and in nothing else. The
 * cutter works on the caller's input buffer and copies nothing: a connection
 * that waits for a line costs this struct.
 *
 * The content of a message is not made of these lines: see dot.h, which has
 * the rule for bare CR and LF there.
 */
#ifndef SPOOL_LINE_H
#define SPOOL_LINE_H

#include "got.h"
#include "view.h"

/* A command line with its parameters, CRLF included. RFC 5321 4.5.3.1.4 asks
 * for 512 and each extension adds some; senders that need more are broken. */
#define LINE_MAX_COMMAND 2048

struct line {
    size_t limit;  /* longest line, CRLF included */
    size_t seen;   /* bytes at the front of the input already looked at */
    bool dropping; /* in the rest of a line that was bad or too long */
};

void line_init(struct line *line, size_t limit);

/* Looks for a line at the front of input, which is all the input there is
 * that was not taken. *taken says how many bytes to take off the front, in
 * every case; what is left must be at the front of the input next time.
 *
 * GOT_ONE     *text is the line without its CRLF, borrowed from input
 * GOT_MORE    no whole line there
 * GOT_BAD     a bare LF: *text is what stands before it; all up to the next
 *             CRLF belongs to this bad line and is dropped (each further
 *             bare LF in it is GOT_BAD again)
 * GOT_TOOBIG  limit bytes without a CRLF; the rest of the line is dropped
 *
 * A NUL or a bare CR in a line is no matter of this file: they are there in
 * *text, and no command syntax allows them. */
enum got line_cut(struct line *line, struct view input, struct view *text,
                  size_t *taken);

/* True after GOT_BAD and GOT_TOOBIG until the CRLF has come. */
static inline bool
line_is_dropping(const struct line *line)
{
    return line->dropping;
}

#endif
