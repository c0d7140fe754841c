/* SPDX-License-Identifier: ISC */
/*
 * Mailboxes that are one file (mbox): messages one after the other, each
 * begins with a line "From SENDER DATE" at the start of the file or after an
 * empty line. In the content a line that looks like that has a ">" in front,
 * and so has a line that looks like such a one (the form called mboxrd), so
 * nothing is lost. Lines end in LF.
 */
#ifndef SPOOL_MBOX_H
#define SPOOL_MBOX_H

#include "buf.h"
#include "view.h"

#define MBOX_FROM_MAX 1024 /* kept of a "From " line */

enum mbox_part {
    MBOX_MORE, /* the input is used up */
    MBOX_FROM, /* a message begins; the one before has ended */
};

enum mbox_state {
    MBOX_START,   /* at the start of a line, some of which is kept back */
    MBOX_REST,    /* inside a line */
    MBOX_IN_FROM, /* inside a "From " line */
};

struct mbox {
    enum mbox_state state;
    bool inside;      /* in a message; what is outside of all is skipped */
    bool may_be_from; /* the line is the first, or follows an empty one */
    /* Kept back, in this order: */
    bool empty;       /* an empty line: the next one may be "From " */
    bool empty_cr;    /* it has a CR */
    bool quote;       /* a ">" that may be a quote */
    bool cr;          /* a CR that may be of an empty line */
    unsigned matched; /* so many bytes of "From " */
    char from[MBOX_FROM_MAX];
    size_t from_len;
};

/* At the start of a file, or inside: at the start of a message's content, of
 * which the caller knows where it ends. */
void mbox_init(struct mbox *mbox, bool inside);
/* Takes bytes off the front of *input and appends what they are of content,
 * without quotes, to out (a little more than bytes at the most).
 * MBOX_FROM: what was appended belongs to the message before; mbox->from has
 * the line, the rest of the input is of the new message. */
enum mbox_part mbox_take(struct mbox *mbox, struct view *input,
                         struct buf *out);
/* After the last byte: appends what was kept back. The empty line behind a
 * message that ends with the file is not a part of it. */
void mbox_end(struct mbox *mbox, struct buf *out);

/* The other way round: content in CRLF as lines of a mailbox, cut anywhere.
 * Zero-initialised it is at the start of a message. */
struct mbox_writer {
    bool in_line;
    bool judged;      /* the line is no "From " line, or was quoted */
    unsigned matched; /* bytes of "From ", kept back */
    bool cr;          /* kept back */
};
void mbox_write(struct mbox_writer *writer, struct view content,
                struct buf *out);
/* The last line gets its end where it has none, then comes an empty line. */
void mbox_write_end(struct mbox_writer *writer, struct buf *out);

#endif
