/* SPDX-License-Identifier: ISC */
/*
 * One search for LF a call, starting where the last one ended: a line that
 * arrives byte by byte is looked at once. While a line is dropped nothing of
 * it is kept in the input but a CR at its end, which may begin the CRLF.
 */
#include "line.h"

void
line_init(struct line *line, size_t limit)
{
    *line = (struct line){.limit = limit};
}

/* Takes off what is dropped. GOT_ONE: the line is over, go on after *taken. */
static enum got
drop(struct line *line, struct view input, size_t *taken)
{
    const char *lf = memchr(input.data, '\n', input.len);

    if (lf == NULL) {
        bool cr = input.len > 0 && input.data[input.len - 1] == '\r';

        *taken = input.len - (cr ? 1 : 0);
        return GOT_MORE;
    }
    *taken = (size_t)(lf - input.data) + 1;
    if (lf == input.data || lf[-1] != '\r')
        return GOT_BAD;
    line->dropping = false;
    return GOT_ONE;
}

static enum got
start_dropping(struct line *line, enum got got)
{
    line->seen = 0;
    line->dropping = true;
    return got;
}

static enum got
cut(struct line *line, struct view input, struct view *text, size_t *taken)
{
    size_t look = input.len < line->limit ? input.len : line->limit;
    const char *lf = NULL;

    if (look > line->seen)
        lf = memchr(input.data + line->seen, '\n', look - line->seen);
    if (lf == NULL && look < line->limit) {
        line->seen = look;
        *taken = 0;
        return GOT_MORE;
    }
    if (lf == NULL) {
        /* A CR here may be half of the CRLF that ends the dropping. */
        *taken = look - (input.data[look - 1] == '\r' ? 1 : 0);
        return start_dropping(line, GOT_TOOBIG);
    }
    *taken = (size_t)(lf - input.data) + 1;
    *text = (struct view){input.data, *taken - 1};
    if (lf == input.data || lf[-1] != '\r')
        return start_dropping(line, GOT_BAD);
    text->len--;
    line->seen = 0;
    return GOT_ONE;
}

enum got
line_cut(struct line *line, struct view input, struct view *text, size_t *taken)
{
    size_t dropped = 0;
    enum got got;

    *text = (struct view){0};
    *taken = 0;
    if (input.len == 0)
        return GOT_MORE;
    if (line->dropping) {
        got = drop(line, input, &dropped);
        *taken = dropped;
        if (got != GOT_ONE)
            return got;
    }
    got = cut(line, view_skip(input, dropped), text, taken);
    *taken += dropped;
    return got;
}
