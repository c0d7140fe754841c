/* SPDX-License-Identifier: ISC */
/*
 * What is refused here, and why the library cannot be left to it (libconfuse
 * 3.3; test_conf.c has a case for each):
 *
 *   - an open section at the end of a file: taken as closed;
 *   - an open string: runs to the next quote, lines further down, and leaves
 *     the static lexer inside a string for the next file (a reload);
 *   - comments: each is counted as two more lines, so they are blanked;
 *   - "25;": the semicolon becomes part of the value;
 *   - "${HOME}": replaced by the environment;
 *   - "a*b", "a+b": the "*" or "+" is dropped, "+=" appends;
 *   - "a|b": names key b in section a;
 *   - escapes in strings: octal and hexadecimal ones, a bad one leaves the
 *     lexer inside a string.
 */
#include "conf_scan.h"

#include <stdbool.h>
#include <stdlib.h>

#include "mem.h"

#define DEPTH_MAX 8 /* the grammar needs two */

struct scan {
    char *text;
    size_t len;
    size_t at;
    unsigned line;
    unsigned opened[DEPTH_MAX];
    size_t depth;
    struct conf_spans *spans;
    struct why *why;
};

static char
peek(const struct scan *scan, size_t ahead)
{
    return scan->at + ahead < scan->len ? scan->text[scan->at + ahead] : '\0';
}

static int
scan_control(const struct scan *scan)
{
    unsigned char c = (unsigned char)scan->text[scan->at];

    if ((c < ' ' && c != '\t' && c != '\r') || c == 0x7f)
        return why_text(scan->why, "a byte \\x%02x has no place here", c);
    return 0;
}

static int
scan_comment(struct scan *scan)
{
    while (scan->at < scan->len && scan->text[scan->at] != '\n')
        scan->text[scan->at++] = ' ';
    return 0;
}

static int
scan_string(struct scan *scan)
{
    char quote = scan->text[scan->at++];

    while (scan->at < scan->len && scan->text[scan->at] != '\n') {
        char c = scan->text[scan->at];

        if (scan_control(scan) != 0)
            return -1;
        if (c == '\\' && peek(scan, 1) != '\\' && peek(scan, 1) != quote)
            return why_text(scan->why,
                            "in quotes \"\\\" stands before \\ or the quote "
                            "only");
        if (c == '$' && peek(scan, 1) == '{' && quote == '"')
            return why_text(scan->why, "${...} is not replaced here; if the "
                                       "text is meant, use single quotes");
        scan->at += c == '\\' ? 2 : 1;
        if (c == quote)
            return 0;
    }
    return why_text(scan->why, "the text in quotes does not end in its line");
}

static int
scan_open(struct scan *scan)
{
    if (scan->depth == DEPTH_MAX)
        return why_text(scan->why, "braces are nested too deeply");
    scan->opened[scan->depth++] = scan->line;
    scan->at++;
    return 0;
}

static int
scan_close(struct scan *scan)
{
    struct conf_spans *spans = scan->spans;

    if (scan->depth == 0)
        return why_text(scan->why, "\"}\" without \"{\"");
    if ((spans->count & (spans->count - 1)) == 0) /* grows at powers of two */
        spans->items =
            mem_grow(spans->items, spans->count > 0 ? spans->count * 2 : 1,
                     sizeof(spans->items[0]));
    spans->items[spans->count++] =
        (struct conf_span){scan->opened[--scan->depth], scan->line};
    scan->at++;
    return 0;
}

/* Characters outside of quotes, comments and braces. */
static int
scan_plain(struct scan *scan)
{
    char c = scan->text[scan->at];
    char next = peek(scan, 1);

    if (scan_control(scan) != 0)
        return -1;
    if (c == ';')
        return why_text(scan->why, "\";\" has no meaning here; a line ends a "
                                   "setting by itself");
    if (c == '/' && (next == '/' || next == '*'))
        return why_text(scan->why,
                        "comments start with \"#\"; put a text "
                        "with \"/%c\" in quotes",
                        next);
    if (c == '*' || c == '+' || c == '|')
        return why_text(scan->why, "put a text with \"%c\" in quotes", c);
    if (c == '$' && next == '{')
        return why_text(scan->why, "${...} is not replaced here; if the text "
                                   "is meant, use single quotes");
    scan->at++;
    return 0;
}

static int
scan_one(struct scan *scan)
{
    switch (scan->text[scan->at]) {
    case '\n':
        scan->line++;
        scan->at++;
        return 0;
    case '#':
        return scan_comment(scan);
    case '"':
    case '\'':
        return scan_string(scan);
    case '{':
        return scan_open(scan);
    case '}':
        return scan_close(scan);
    default:
        return scan_plain(scan);
    }
}

int
conf_scan(struct buf *text, struct conf_spans *spans, unsigned *line,
          struct why *why)
{
    struct scan scan = {.text = text->data,
                        .len = text->len,
                        .line = 1,
                        .spans = spans,
                        .why = why};
    int result = 0;

    *spans = (struct conf_spans){0};
    while (result == 0 && scan.at < scan.len)
        result = scan_one(&scan);
    *line = scan.line;
    if (result == 0 && scan.depth > 0) {
        *line = scan.opened[scan.depth - 1];
        result = why_text(why, "the \"{\" of this line is not closed");
    }
    return result;
}

void
conf_spans_free(struct conf_spans *spans)
{
    free(spans->items);
    *spans = (struct conf_spans){0};
}

unsigned
conf_spans_opened(const struct conf_spans *spans, unsigned closed)
{
    /* Where lists close in the line of their section, the section is the
     * last to close. */
    for (size_t i = spans->count; i > 0; i--)
        if (spans->items[i - 1].closed == closed)
            return spans->items[i - 1].opened;
    return closed;
}
