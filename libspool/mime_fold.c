/* SPDX-License-Identifier: ISC */
#include "mime_fold.h"

#include <glib.h>

#include "utf8.h"

/* The longest decomposition of a character (U+FDFA). */
#define DECOMPOSED_MAX 18

static void
fold_character(uint32_t character, struct buf *out)
{
    gunichar parts[DECOMPOSED_MAX];
    size_t n = g_unichar_fully_decompose(g_unichar_totitle(character), TRUE,
                                         parts, DECOMPOSED_MAX);

    for (size_t i = 0; i < n && i < DECOMPOSED_MAX; i++)
        utf8_put(out, parts[i]);
}

#define EACH(byte) (0x0101010101010101u * (byte))

/* ASCII at the front of text in upper case to to, eight bytes at a time as
 * long as there are; returns how many. */
static size_t
fold_ascii(struct view text, char *to)
{
    size_t n = 0;

    while (n + 8 <= text.len) {
        uint64_t word, low, lower;

        memcpy(&word, text.data + n, 8);
        if ((word & EACH(0x80)) != 0)
            break;
        low = word + EACH(0x80 - 'a'); /* bit 7: 'a' or behind */
        lower = low & ~(word + EACH(0x7f - 'z')) & EACH(0x80);
        word -= lower >> 2; /* less 0x20 */
        memcpy(to + n, &word, 8);
        n += 8;
    }
    while (n < text.len && (uint8_t)text.data[n] < 0x80) {
        char c = text.data[n];

        to[n++] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
    return n;
}

void
mime_fold(struct view text, struct buf *out)
{
    while (text.len > 0) {
        size_t n;

        buf_reserve(out, text.len);
        n = fold_ascii(text, out->data + out->len);
        out->len += n;
        text = view_skip(text, n);
        if (text.len > 0)
            fold_character(utf8_take(&text), out);
    }
}
