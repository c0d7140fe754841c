/* SPDX-License-Identifier: ISC */
/* xtext, in both directions. */
#include "xtext.h"

#include "utf8.h"

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool
is_plain(unsigned char c)
{
    return c > ' ' && c != 127 && c != '+' && c != '=';
}

/* Takes one byte off the front of *text; -1: there is none in its form. */
static int
take(struct view *text)
{
    unsigned char c = (unsigned char)text->data[0];
    int high, low;

    if (is_plain(c)) {
        *text = view_skip(*text, 1);
        return c;
    }
    if (c != '+' || text->len < 3)
        return -1;
    high = hex_value(text->data[1]);
    low = hex_value(text->data[2]);
    *text = view_skip(*text, 3);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

void
xtext_encode(struct view bytes, struct buf *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.data[i];

        if (c < 128 && is_plain(c))
            buf_add_byte(out, (char)c);
        else
            buf_addf(out, "+%02X", c);
    }
}

int
xtext_decode(struct view text, struct buf *out)
{
    size_t start = out->len;

    while (text.len > 0) {
        int c = take(&text);

        if (c < 0) {
            out->len = start;
            return -1;
        }
        buf_add_byte(out, (char)c);
    }
    return 0;
}

/* utf8_take gives the replacement for one byte that is no character. */
static bool
is_utf8(struct view text)
{
    while (text.len > 0) {
        size_t before = text.len;

        if (utf8_take(&text) == UTF8_REPLACEMENT && before - text.len == 1)
            return false;
    }
    return true;
}

bool
xtext_is_printable(struct view text, bool utf8)
{
    if (utf8 ? !is_utf8(text) : !utf8_is_ascii(text))
        return false;
    while (text.len > 0) {
        bool is_encoded = text.data[0] == '+';
        int c = take(&text);

        if (c < ' ' || c == 127 || (is_encoded && c > 127))
            return false;
    }
    return true;
}
