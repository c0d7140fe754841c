/* SPDX-License-Identifier: ISC */
#include "mime_decode.h"

#include <gmime/gmime.h>
#include <stdlib.h>

#include "mem.h"
#include "mime_charset.h"
#include "mime_token.h"
#include "utf8.h"

void
mime_decode_init(void)
{
    mime_charset_init();
    g_mime_init();
}

/* --- headers ----------------------------------------------------------------
 */

/* Bytes that say nothing of their charset. */
static void
add_unlabelled(struct view text, struct buf *out)
{
    struct mime_charset *charset = mime_charset_new(VIEW("us-ascii"));

    mime_charset_feed(charset, text, out);
    mime_charset_end(charset, out);
    mime_charset_free(&charset);
}

/* An encoded word (RFC 2047 2) at the front of text: its length, or 0. *known:
 * its charset is one of ours. */
static size_t
encoded_word(struct view text, bool *known)
{
    const char *end = text.data + text.len;
    const char *charset = text.data + 2, *encoding, *language, *close;
    struct view name;

    if (text.len < 2 || text.data[0] != '=' || text.data[1] != '?')
        return 0;
    encoding = memchr(charset, '?', (size_t)(end - charset));
    if (encoding == NULL || end - encoding < 3 || encoding[2] != '?')
        return 0;
    close = memmem(encoding + 3, (size_t)(end - encoding - 3), "?=", 2);
    if (close == NULL)
        return 0;
    name = (struct view){charset, (size_t)(encoding - charset)};
    language = memchr(charset, '*', name.len); /* RFC 2231 5 */
    if (language != NULL)
        name.len = (size_t)(language - charset);
    *known = mime_charset_is_known(name);
    return (size_t)(close + 2 - text.data);
}

/* text has no word of an unknown charset. */
static void
decode_words(struct view text, struct buf *out)
{
    char *copy, *decoded;

    if (text.len == 0)
        return;
    copy = mem_copy(text.data, text.len);
    decoded = g_mime_utils_header_decode_text(NULL, copy);
    utf8_clean(view_of(decoded), out);
    g_free(decoded);
    free(copy);
}

/* Words of unknown charsets stay as they are. */
static void
decode_text(struct view text, struct buf *out)
{
    const char *end = text.data + text.len;
    const char *at = text.data, *begun = text.data;

    while ((at = memmem(at, (size_t)(end - at), "=?", 2)) != NULL) {
        bool known = true;
        size_t len =
            encoded_word((struct view){at, (size_t)(end - at)}, &known);

        if (len > 0 && !known) {
            decode_words((struct view){begun, (size_t)(at - begun)}, out);
            buf_add(out, at, len);
            begun = at + len;
        }
        at += len > 0 ? len : 2;
    }
    decode_words((struct view){begun, (size_t)(end - begun)}, out);
}

/* Without its line ends; false: it is ASCII and has no NUL. */
static bool
unfold(struct view value, struct buf *out)
{
    bool odd = false;
    char *to;

    buf_reserve(out, value.len);
    to = out->data + out->len;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];

        if (c == '\r' || c == '\n')
            continue;
        odd |= (uint8_t)c - 1u > 126;
        *to++ = c;
    }
    out->len = (size_t)(to - out->data);
    return odd;
}

void
mime_decode_header(struct view value, struct buf *out)
{
    struct buf line = {0}, text = {0};

    if (value.len > MIME_DECODE_MAX)
        value.len = MIME_DECODE_MAX;
    if (value.len == 0)
        return;
    if (unfold(value, &line)) {
        add_unlabelled(buf_view(&line), &text);
        buf_free(&line);
        line = text;
    }
    if (memmem(line.data, line.len, "=?", 2) != NULL)
        decode_text(buf_view(&line), out);
    else
        buf_add_view(out, buf_view(&line));
    buf_free(&line);
}

static int
hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c | 0x20) : NULL;

    return at != NULL && (c <= '9' || (c | 0x20) >= 'a') ? (int)(at - digits)
                                                         : -1;
}

static void
decode_percent(struct view text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        int high = -1, low = -1;

        if (text.data[i] == '%' && i + 2 < text.len) {
            high = hex_digit(text.data[i + 1]);
            low = hex_digit(text.data[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            buf_add_byte(out, (uint8_t)(high << 4 | low));
            i += 2;
        } else {
            buf_add_byte(out, (uint8_t)text.data[i]);
        }
    }
}

/* charset'language'text (RFC 2231 4). */
static void
decode_extended(struct view value, struct buf *out)
{
    const char *end = value.data + value.len;
    const char *first = memchr(value.data, '\'', value.len);
    const char *second =
        first != NULL ? memchr(first + 1, '\'', (size_t)(end - first - 1))
                      : NULL;
    struct view name = {value.data, 0}, text = value;
    struct mime_charset *charset;
    struct buf bytes = {0};

    if (second != NULL) {
        name.len = (size_t)(first - value.data);
        text = (struct view){second + 1, (size_t)(end - second - 1)};
    }
    decode_percent(text, &bytes);
    charset = mime_charset_new(name);
    mime_charset_feed(charset, buf_view(&bytes), out);
    mime_charset_end(charset, out);
    mime_charset_free(&charset);
    buf_free(&bytes);
}

bool
mime_decode_param(struct view value, struct view name, struct buf *out)
{
    struct mime_params params = {0};
    const struct mime_param *param, *extended = NULL;
    struct buf longer = {0};

    if (value.len > MIME_DECODE_MAX)
        value.len = MIME_DECODE_MAX;
    mime_params_parse(value, &params);
    buf_add_view(&longer, name);
    buf_add_byte(&longer, '*');
    param = mime_params_find(&params, name);
    extended = mime_params_find(&params, buf_view(&longer));
    if (extended != NULL)
        decode_extended(extended->value, out);
    else if (param != NULL)
        mime_decode_header(param->value, out);
    buf_free(&longer);
    mime_params_free(&params);
    return param != NULL || extended != NULL;
}

int
mime_decode_date(struct view value, int64_t *utc_s, int32_t *zone_minutes)
{
    GDateTime *date;
    char text[128];

    if (value.len == 0 || value.len >= sizeof(text) ||
        memchr(value.data, '\0', value.len) != NULL)
        return -1;
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    date = g_mime_utils_header_decode_date(text);
    if (date == NULL)
        return -1;
    *utc_s = g_date_time_to_unix(date);
    *zone_minutes =
        (int32_t)(g_date_time_get_utc_offset(date) / G_TIME_SPAN_MINUTE);
    g_date_time_unref(date);
    return 0;
}

/* --- bodies -----------------------------------------------------------------
 */

static const struct {
    struct view name;
    enum mime_encoding encoding;
} encodings[] = {
#define ENCODING(literal, encoding)                                            \
    {                                                                          \
        {literal, sizeof(literal) - 1}, encoding                               \
    }
    ENCODING("7bit", MIME_IDENTITY),
    ENCODING("8bit", MIME_IDENTITY),
    ENCODING("binary", MIME_IDENTITY),
    ENCODING("base64", MIME_BASE64),
    ENCODING("quoted-printable", MIME_QUOTED_PRINTABLE),
#undef ENCODING
};

bool
mime_decode_encoding(struct view value, enum mime_encoding *encoding)
{
    struct view word = {0};

    mime_token_skip(&value);
    mime_token_take(&value, &word);
    *encoding = MIME_IDENTITY;
    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
        if (view_equal_nocase(encodings[i].name, word)) {
            *encoding = encodings[i].encoding;
            return true;
        }
    return false;
}

struct mime_decoder {
    enum mime_encoding encoding;
    GMimeEncoding state;
    struct mime_charset *charset; /* NULL: bytes stay */
    struct buf bytes;             /* between the two */
};

struct mime_decoder *
mime_decoder_new(enum mime_encoding encoding, struct view charset)
{
    struct mime_decoder *decoder = mem_alloc(sizeof(*decoder));

    decoder->encoding = encoding;
    if (encoding != MIME_IDENTITY)
        g_mime_encoding_init_decode(
            &decoder->state, encoding == MIME_BASE64
                                 ? GMIME_CONTENT_ENCODING_BASE64
                                 : GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE);
    if (charset.data != NULL)
        decoder->charset = mime_charset_new(charset);
    return decoder;
}

static void
add_text(struct mime_decoder *decoder, struct view bytes, struct buf *out)
{
    if (decoder->charset != NULL)
        mime_charset_feed(decoder->charset, bytes, out);
    else
        buf_add_view(out, bytes);
}

void
mime_decoder_feed(struct mime_decoder *decoder, struct view bytes,
                  struct buf *out)
{
    struct buf *decoded = &decoder->bytes;

    if (decoder->encoding == MIME_IDENTITY) {
        add_text(decoder, bytes, out);
        return;
    }
    if (bytes.len == 0)
        return;
    buf_reset(decoded);
    buf_reserve(decoded, g_mime_encoding_outlen(&decoder->state, bytes.len));
    decoded->len = g_mime_encoding_step(&decoder->state, bytes.data, bytes.len,
                                        decoded->data);
    add_text(decoder, buf_view(decoded), out);
}

void
mime_decoder_end(struct mime_decoder *decoder, struct buf *out)
{
    struct buf *decoded = &decoder->bytes;

    if (decoder->encoding != MIME_IDENTITY) {
        buf_reset(decoded);
        buf_reserve(decoded, g_mime_encoding_outlen(&decoder->state, 0) + 16);
        decoded->len =
            g_mime_encoding_flush(&decoder->state, "", 0, decoded->data);
        add_text(decoder, buf_view(decoded), out);
    }
    if (decoder->charset != NULL)
        mime_charset_end(decoder->charset, out);
}

void
mime_decoder_free(struct mime_decoder **decoder)
{
    if (*decoder == NULL)
        return;
    mime_charset_free(&(*decoder)->charset);
    buf_free(&(*decoder)->bytes);
    free(*decoder);
    *decoder = NULL;
}
