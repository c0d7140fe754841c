/* SPDX-License-Identifier: ISC */
/*
 * Text for a terminal. What comes from mail is a stranger's: control
 * characters, escape sequences and direction marks never reach the screen,
 * and width is counted in columns, not bytes. Where the locale is not UTF-8,
 * what it cannot show becomes "?".
 */
#ifndef SPOOLCTL_TEXT_H
#define SPOOLCTL_TEXT_H

#include "buf.h"
#include "view.h"

/* Looks at the locale, the terminal and NO_COLOR; once, first. */
void text_init(void);
bool text_on_terminal(void);
/* Columns of the terminal; 0: output is not a terminal, nothing is cut. */
size_t text_columns(void);

/* Appends text as it may be shown. */
void text_clean(struct view text, struct buf *out);
/* Columns that cleaned text takes. */
size_t text_width(struct view clean);
/* Appends cleaned text; what goes beyond width becomes an ellipsis. */
void text_cut(struct view clean, size_t width, struct buf *out);

enum text_look { TEXT_PLAIN, TEXT_TROUBLE, TEXT_HEADING };
/* Appends what switches the look on or (plain) off; nothing without colour. */
void text_look(enum text_look look, struct buf *out);

/* Prints text (which is cleaned) behind a prefix that is width columns wide,
 * broken at blanks to fit the terminal, further lines indented to it. */
void text_paragraph(const char *prefix, size_t width, enum text_look look,
                    const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Prints bytes of mail to the terminal, cut anywhere. */
struct text_stream {
    char held[4]; /* the beginning of a character */
    size_t n_held;
};
void text_stream_put(struct text_stream *stream, struct view bytes);
void text_stream_end(struct text_stream *stream);

#endif
