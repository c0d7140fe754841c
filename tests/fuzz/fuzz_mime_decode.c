/* SPDX-License-Identifier: ISC */
/*
 * Encoded text of a stranger becomes UTF-8 without NUL, whatever it says it
 * is, and a body the same one however it is cut. The first byte chooses what
 * the rest is read as.
 */
#include "mime_decode.h"

#include <assert.h>
#include <stdint.h>

#include "mime_charset.h"
#include "mime_fold.h"
#include "mime_sort.h"
#include "mime_token.h"
#include "utf8.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    mime_decode_init();
    return 0;
}

static void
check_utf8(struct view text)
{
    struct buf clean = {0};

    utf8_clean(text, &clean);
    assert(view_equal(text, buf_view(&clean)));
    buf_free(&clean);
}

static void
read_header(struct view value)
{
    struct buf out = {0}, folded = {0};
    bool reply;

    mime_decode_header(value, &out);
    check_utf8(buf_view(&out));
    /* A NUL within an encoded word becomes U+FFFD first, whose three bytes are
     * three characters of the word's charset. */
    assert(out.len <= 9 * value.len + 16);
    mime_fold(buf_view(&out), &folded);
    check_utf8(buf_view(&folded));
    buf_free(&folded);
    buf_reset(&out);
    mime_sort_base_subject(value, &out, &reply);
    check_utf8(buf_view(&out));
    buf_free(&out);
}

static void
read_params(struct view value)
{
    struct mime_params params = {0};
    struct view type, subtype, rest = value;
    struct buf out = {0};
    size_t total = 0;

    mime_token_take_type(&rest, &type, &subtype);
    mime_params_parse(value, &params);
    for (size_t i = 0; i < params.count; i++) {
        assert(params.items[i].name.len > 0);
        total += params.items[i].name.len + params.items[i].value.len;
    }
    assert(total <= 4 * value.len);
    if (mime_decode_param(value, VIEW("name"), &out))
        check_utf8(buf_view(&out));
    buf_free(&out);
    mime_params_free(&params);
}

static void
read_date(struct view value)
{
    int64_t utc_s;
    int32_t zone_minutes;

    if (mime_decode_date(value, &utc_s, &zone_minutes) == 0)
        assert(zone_minutes > -6000 && zone_minutes < 6000);
}

static void
decode(struct view body, enum mime_encoding encoding, struct view charset,
       size_t piece, struct buf *out)
{
    struct mime_decoder *decoder = mime_decoder_new(encoding, charset);

    while (body.len > 0) {
        size_t n = piece < body.len ? piece : body.len;

        mime_decoder_feed(decoder, (struct view){body.data, n}, out);
        body = view_skip(body, n);
    }
    mime_decoder_end(decoder, out);
    mime_decoder_free(&decoder);
}

/* "charset\n" and the body. */
static void
read_body(struct view text, uint8_t how)
{
    const char *lf = memchr(text.data, '\n', text.len);
    struct view charset = {text.data,
                           lf != NULL ? (size_t)(lf - text.data) : 0};
    struct view body = lf != NULL ? view_skip(text, charset.len + 1) : text;
    enum mime_encoding encoding = (enum mime_encoding)(how % 3);
    struct buf whole = {0}, parts = {0};

    decode(body, encoding, charset, SIZE_MAX, &whole);
    decode(body, encoding, charset, how / 3 % 7 + 1, &parts);
    check_utf8(buf_view(&whole));
    assert(view_equal(buf_view(&whole), buf_view(&parts)));
    buf_free(&whole);
    buf_free(&parts);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text;

    if (size < 2)
        return 0;
    text = (struct view){(const char *)data + 2, size - 2};
    switch (data[0] % 4) {
    case 0:
        read_header(text);
        break;
    case 1:
        read_params(text);
        break;
    case 2:
        read_date(text);
        break;
    default:
        read_body(text, data[1]);
        break;
    }
    return 0;
}
