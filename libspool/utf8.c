/* SPDX-License-Identifier: ISC */
#include "utf8.h"

/* What the first byte says: its own bits, how many bytes follow, and the
 * smallest character this length may be used for. */
struct lead {
    unsigned char mask;
    unsigned char value;
    unsigned follow;
    uint32_t least;
};

static const struct lead leads[] = {
    {0x80, 0x00, 0, 0x0},
    {0xe0, 0xc0, 1, 0x80},
    {0xf0, 0xe0, 2, 0x800},
    {0xf8, 0xf0, 3, 0x10000},
};

static const struct lead *
lead_of(unsigned char first)
{
    for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++)
        if ((first & leads[i].mask) == leads[i].value)
            return &leads[i];
    return NULL;
}

/* Bytes of the character at the front; 0: there is none. */
static size_t
utf8_decode(struct view text, uint32_t *character)
{
    unsigned char first = (unsigned char)text.data[0];
    const struct lead *lead = lead_of(first);
    uint32_t value;

    if (lead == NULL || text.len <= lead->follow)
        return 0;
    value = first & (unsigned char)~lead->mask;
    for (size_t i = 1; i <= lead->follow; i++) {
        unsigned char next = (unsigned char)text.data[i];

        if ((next & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (next & 0x3f);
    }
    if (value < lead->least || value > 0x10ffff ||
        (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *character = value;
    return lead->follow + 1;
}

bool
utf8_is_ascii(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] > 127)
            return false;
    return true;
}

uint32_t
utf8_take(struct view *text)
{
    uint32_t character = UTF8_REPLACEMENT;
    size_t n = utf8_decode(*text, &character);

    *text = view_skip(*text, n > 0 ? n : 1);
    return character;
}

void
utf8_put(struct buf *out, uint32_t character)
{
    if (character < 0x80) {
        buf_add_byte(out, (uint8_t)character);
        return;
    }
    if (character < 0x800) {
        buf_add_byte(out, (uint8_t)(0xc0 | character >> 6));
    } else {
        if (character < 0x10000) {
            buf_add_byte(out, (uint8_t)(0xe0 | character >> 12));
        } else {
            buf_add_byte(out, (uint8_t)(0xf0 | character >> 18));
            buf_add_byte(out, (uint8_t)(0x80 | (character >> 12 & 0x3f)));
        }
        buf_add_byte(out, (uint8_t)(0x80 | (character >> 6 & 0x3f)));
    }
    buf_add_byte(out, (uint8_t)(0x80 | (character & 0x3f)));
}

void
utf8_clean(struct view text, struct buf *out)
{
    buf_reserve(out, text.len);
    while (text.len > 0) {
        uint32_t character = utf8_take(&text);

        utf8_put(out, character != 0 ? character : UTF8_REPLACEMENT);
    }
}
