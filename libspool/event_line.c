/* SPDX-License-Identifier: ISC */
#include "event_line.h"

static struct view
take_until(struct view *line, const char *stops)
{
    size_t n = 0;

    while (n < line->len && strchr(stops, line->data[n]) == NULL)
        n++;
    *line = view_skip(*line, n);
    return (struct view){line->data - n, n};
}

static bool
take_byte(struct view *line, char byte)
{
    if (line->len == 0 || line->data[0] != byte)
        return false;
    *line = view_skip(*line, 1);
    return true;
}

int
event_line_start(struct view *line, struct view *time, struct view *verb)
{
    if (line->len == 0)
        return -1;
    *time = take_until(line, " ");
    if (!take_byte(line, ' '))
        return -1;
    *verb = take_until(line, " ");
    return time->len > 0 && verb->len > 0 ? 0 : -1;
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What follows the backslash of "\xNN". */
static int
take_escape(struct view *line, struct buf *value)
{
    int high, low;

    if (line->len < 3 || line->data[0] != 'x')
        return -1;
    high = hex_digit(line->data[1]);
    low = hex_digit(line->data[2]);
    if (high < 0 || low < 0)
        return -1;
    buf_add_byte(value, (uint8_t)(high * 16 + low));
    *line = view_skip(*line, 3);
    return 0;
}

int
event_line_field(struct view *line, struct view *key, struct buf *value)
{
    buf_reset(value);
    if (line->len == 0)
        return 0;
    if (!take_byte(line, ' '))
        return -1;
    *key = take_until(line, "= \"");
    if (key->len == 0 || !take_byte(line, '='))
        return -1;
    if (!take_byte(line, '"')) {
        buf_add_view(value, take_until(line, " \""));
        return 1;
    }
    while (line->len > 0) {
        buf_add_view(value, take_until(line, "\"\\"));
        if (take_byte(line, '"'))
            return 1;
        if (!take_byte(line, '\\') || take_escape(line, value) != 0)
            return -1;
    }
    return -1;
}
