/* SPDX-License-Identifier: ISC */
/*
 * Content on the wire, both ways, against smuggling:
 *
 *   - decoded content is lines that end in CRLF, with no bare LF, however
 *     the wire was cut, and ends where a plain search says it does;
 *   - content that was accepted is sent so that it ends once, at its end,
 *     for every reader that takes CRLF, LF or CR for a line end;
 *   - what is sent decodes to what it was.
 */
#include "dot.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes of the wire up to and with the end mark; 0: there is none. */
static size_t
find_end(struct view wire)
{
    if (wire.len >= 3 && memcmp(wire.data, ".\r\n", 3) == 0)
        return 3;
    for (size_t i = 0; i + 5 <= wire.len; i++)
        if (memcmp(wire.data + i, "\r\n.\r\n", 5) == 0)
            return i + 5;
    return 0;
}

static enum got
decode(struct view wire, size_t piece, struct buf *content, size_t *used)
{
    struct dot_decoder decoder;

    dot_decoder_init(&decoder);
    *used = 0;
    while (*used < wire.len) {
        size_t left = wire.len - *used, n = piece < left ? piece : left;
        struct view input = {wire.data + *used, n};

        while (input.len > 0) {
            struct view run;
            size_t before = input.len;
            enum got got = dot_decode(&decoder, &input, &run);

            *used += before - input.len;
            buf_add_view(content, run);
            if (got != GOT_MORE)
                return got;
        }
    }
    return GOT_MORE;
}

static void
check_lines(struct view content, bool ended)
{
    for (size_t i = 0; i < content.len; i++)
        if (content.data[i] == '\n')
            assert(i > 0 && content.data[i - 1] == '\r');
    if (ended && content.len > 0)
        assert(content.data[content.len - 1] == '\n');
}

static bool
is_line_end(char c)
{
    return c == '\r' || c == '\n';
}

/* No reader, however loose, may see a line of one dot before the end. */
static void
check_wire(struct view wire)
{
    for (size_t i = 0; i + 3 < wire.len; i++)
        if (wire.data[i] == '.' && (i == 0 || is_line_end(wire.data[i - 1])))
            assert(!is_line_end(wire.data[i + 1]));
    assert(find_end(wire) == wire.len);
}

static void
encode(struct view content, size_t piece, struct buf *wire)
{
    struct dot_encoder encoder;

    dot_encoder_init(&encoder);
    while (content.len > 0) {
        size_t n = piece < content.len ? piece : content.len;
        size_t before = wire->len;

        dot_encode(&encoder, (struct view){content.data, n}, wire);
        assert(wire->len - before <= 2 * n);
        content = view_skip(content, n);
    }
    dot_encode_end(&encoder, wire);
}

static void
check_round_trip(struct view content, size_t piece)
{
    struct buf wire = {0}, whole = {0}, back = {0};
    size_t used;

    encode(content, piece, &wire);
    encode(content, SIZE_MAX, &whole);
    assert(view_equal(buf_view(&wire), buf_view(&whole)));
    check_wire(buf_view(&wire));
    assert(decode(buf_view(&wire), piece, &back, &used) == GOT_ONE);
    assert(used == wire.len);
    assert(view_equal(buf_view(&back), content));
    buf_free(&wire);
    buf_free(&whole);
    buf_free(&back);
}

/* Any bytes may be given to the encoder; what comes out still ends once. */
static void
check_encoder(struct view content)
{
    struct buf wire = {0};

    encode(content, SIZE_MAX, &wire);
    assert(find_end(buf_view(&wire)) == wire.len);
    buf_free(&wire);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = {0}, parts = {0};
    struct view wire;
    size_t piece, used, used_parts;
    enum got got;

    if (size == 0)
        return 0;
    piece = data[0] % 8 + 1;
    wire = (struct view){(const char *)data + 1, size - 1};
    got = decode(wire, SIZE_MAX, &whole, &used);
    assert(decode(wire, piece, &parts, &used_parts) == got);
    assert(used == used_parts);
    assert(view_equal(buf_view(&whole), buf_view(&parts)));
    assert((got == GOT_MORE) == (find_end(wire) == 0));
    if (got != GOT_MORE)
        assert(used == find_end(wire));
    check_lines(buf_view(&whole), got != GOT_MORE);
    if (got == GOT_ONE)
        check_round_trip(buf_view(&whole), piece);
    check_encoder(wire);
    buf_free(&whole);
    buf_free(&parts);
    return 0;
}
