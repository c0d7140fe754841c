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

void
mime_fold(struct view text, struct buf *out)
{
    buf_reserve(out, text.len);
    while (text.len > 0) {
        size_t n = 0;

        while (n < text.len && (uint8_t)text.data[n] < 0x80)
            n++;
        buf_reserve(out, n);
        for (size_t i = 0; i < n; i++) {
            char c = text.data[i];

            out->data[out->len++] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
        }
        text = view_skip(text, n);
        if (text.len > 0)
            fold_character(utf8_take(&text), out);
    }
}
