/* SPDX-License-Identifier: ISC */
/*
 * The content of a message on the wire (RFC 5321 4.5.2): where it ends, dots
 * put in and taken out, and the one rule of this program for bare CR and LF:
 *
 *   - content ends at CRLF "." CRLF (or "." CRLF at its very start) and
 *     nowhere else;
 *   - a bare LF in content is a line end: it becomes CRLF. It neither ends
 *     the content nor begins a line whose first dot means something, so
 *     LF "." CRLF is a content line of one dot, sent on as "..";
 *   - a bare CR is content and stays, but a bare CR directly followed by a
 *     dot makes the message refused: to servers that take CR for a line end
 *     what follows might be the end.
 *
 * So content here is a sequence of lines ending in CRLF, and what we send on
 * cannot mean two things to two servers.
 */
#ifndef SPOOL_DOT_H
#define SPOOL_DOT_H

#include "buf.h"
#include "got.h"
#include "view.h"

enum dot_state {
    DOT_LINE,        /* at the start, or after CRLF */
    DOT_LINE_DOT,    /* after CRLF "." */
    DOT_LINE_DOT_CR, /* after CRLF "." CR */
    DOT_TEXT,        /* inside a line */
    DOT_TEXT_CR,     /* after a CR inside a line, already given out */
    DOT_END,         /* after the end */
};

struct dot_decoder {
    enum dot_state state;
    bool bad; /* there was a bare CR before a dot */
};

void dot_decoder_init(struct dot_decoder *decoder);

/* Takes bytes off the front of *input and sets *content to what they mean:
 * a run borrowed from the input or a constant, perhaps empty. Runs are as
 * long as they can be: lines of ordinary text make one run.
 *
 * GOT_MORE  not the end; call again while input->len > 0
 * GOT_ONE   the end: *content is empty, *input is what follows
 * GOT_BAD   the end too, and the message must be refused (550 5.6.0) */
enum got dot_decode(struct dot_decoder *decoder, struct view *input,
                    struct view *content);

struct dot_encoder {
    enum dot_state state; /* DOT_LINE, DOT_TEXT or DOT_TEXT_CR */
};

void dot_encoder_init(struct dot_encoder *encoder);

/* Appends the next piece of content to out, stuffed. Pieces may be cut
 * anywhere. A bare LF is sent as CRLF (decoded content has none). out grows
 * by at most twice content.len. */
void dot_encode(struct dot_encoder *encoder, struct view content,
                struct buf *out);
/* After the last piece: the end mark, with a CRLF before it where the content
 * lacks one. */
void dot_encode_end(struct dot_encoder *encoder, struct buf *out);

#endif
