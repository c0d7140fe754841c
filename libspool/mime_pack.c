/* SPDX-License-Identifier: ISC */
#include "mime_pack.h"

#include <stdint.h>

#include "record.h"

/* Longer ones are printed as literals: readers of lines have limits. */
#define QUOTED_MAX 1000

/* For ever: add at the end, MIME_PACK_LITERAL - 1 at the most. */
static const struct view known[] = {
#define TEXT(literal)                                                          \
    {                                                                          \
        literal, sizeof(literal) - 1                                           \
    }
    TEXT(""),
    TEXT("text"),
    TEXT("plain"),
    TEXT("html"),
    TEXT("multipart"),
    TEXT("mixed"),
    TEXT("alternative"),
    TEXT("related"),
    TEXT("signed"),
    TEXT("report"),
    TEXT("message"),
    TEXT("rfc822"),
    TEXT("delivery-status"),
    TEXT("application"),
    TEXT("octet-stream"),
    TEXT("pdf"),
    TEXT("pkcs7-signature"),
    TEXT("pgp-signature"),
    TEXT("image"),
    TEXT("png"),
    TEXT("jpeg"),
    TEXT("gif"),
    TEXT("calendar"),
    TEXT("charset"),
    TEXT("utf-8"),
    TEXT("UTF-8"),
    TEXT("us-ascii"),
    TEXT("US-ASCII"),
    TEXT("iso-8859-1"),
    TEXT("ISO-8859-1"),
    TEXT("windows-1252"),
    TEXT("boundary"),
    TEXT("name"),
    TEXT("filename"),
    TEXT("filename*"),
    TEXT("type"),
    TEXT("format"),
    TEXT("flowed"),
    TEXT("delsp"),
    TEXT("yes"),
    TEXT("report-type"),
    TEXT("protocol"),
    TEXT("micalg"),
    TEXT("method"),
    TEXT("size"),
    TEXT("creation-date"),
    TEXT("modification-date"),
    TEXT("inline"),
    TEXT("attachment"),
    TEXT("7bit"),
    TEXT("8bit"),
    TEXT("binary"),
    TEXT("base64"),
    TEXT("quoted-printable"),
    TEXT("MISSING_DOMAIN"),
    TEXT("MISSING_MAILBOX"),
    TEXT("gmail.com"),
#undef TEXT
};

#define N_KNOWN (sizeof(known) / sizeof(known[0]))
_Static_assert(N_KNOWN < MIME_PACK_LITERAL, "the numbers are taken");

void
mime_pack_string(struct view text, struct buf *out)
{
    size_t i = 0;

    if (text.data == NULL) {
        buf_add_byte(out, 0);
        return;
    }
    while (i < N_KNOWN && !view_equal(known[i], text))
        i++;
    if (i < N_KNOWN) {
        record_put_varint(out, i + 1);
        return;
    }
    record_put_varint(out, MIME_PACK_LITERAL + text.len);
    buf_add_view(out, text);
}

int
mime_pack_take_string(struct view *packed, struct view *text)
{
    uint64_t n;

    *text = (struct view){0};
    if (record_take_varint(packed, &n) != 0)
        return -1;
    if (n == 0)
        return 0;
    if (n <= N_KNOWN) {
        *text = known[n - 1];
        return 0;
    }
    if (n < MIME_PACK_LITERAL || n - MIME_PACK_LITERAL > packed->len)
        return -1;
    *text = (struct view){packed->data, (size_t)n - MIME_PACK_LITERAL};
    *packed = view_skip(*packed, text->len);
    return 0;
}

static void
print_quoted(struct view text, struct buf *out)
{
    buf_reserve(out, 2 * text.len + 2);
    out->data[out->len++] = '"';
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            out->data[out->len++] = '\\';
        out->data[out->len++] = text.data[i];
    }
    out->data[out->len++] = '"';
}

void
mime_pack_print(struct view text, struct buf *out)
{
    bool quoted = text.len <= QUOTED_MAX;

    if (text.data == NULL) {
        buf_add_text(out, "NIL");
        return;
    }
    for (size_t i = 0; quoted && i < text.len; i++)
        quoted = (uint8_t)text.data[i] < 0x80 && text.data[i] != '\r' &&
                 text.data[i] != '\n';
    if (quoted) {
        print_quoted(text, out);
        return;
    }
    buf_addf(out, "{%zu}\r\n", text.len);
    buf_add_view(out, text);
}
