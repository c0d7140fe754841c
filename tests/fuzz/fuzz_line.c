/* SPDX-License-Identifier: ISC */
/*
 * Command lines: however the stream is cut the lines are the same, a line is
 * within its limit and has no LF, and CRLF is what ends it.
 */
#include "line.h"

#include <assert.h>
#include <stdint.h>

#include "buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 32

static void
check_line(struct view input, struct view text, size_t taken)
{
    assert(text.len + 2 <= LIMIT && taken >= text.len + 2);
    assert(text.data >= input.data);
    assert(memcmp(text.data + text.len, "\r\n", 2) == 0);
    assert(memchr(text.data, '\n', text.len) == NULL);
}

/* Appends what is cut to out; input grows by piece bytes a step. */
static void
run(struct view stream, size_t piece, struct buf *out)
{
    size_t from = 0, to = 0;
    struct line line;

    line_init(&line, LIMIT);
    while (to < stream.len) {
        enum got got;

        to = stream.len - to < piece ? stream.len : to + piece;
        do {
            struct view input = {stream.data + from, to - from};
            struct view text;
            size_t taken;

            got = line_cut(&line, input, &text, &taken);
            assert(taken <= input.len);
            from += taken;
            if (got == GOT_ONE)
                check_line(input, text, taken);
            if (got != GOT_MORE) {
                buf_add_byte(out, (uint8_t)got);
                buf_add_view(out, text);
                buf_add_byte(out, '\n');
            }
            assert((got == GOT_BAD || got == GOT_TOOBIG) ==
                   (line_is_dropping(&line) && got != GOT_MORE));
        } while (got != GOT_MORE);
        assert(to - from < LIMIT); /* what waits is short */
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view stream;
    struct buf whole = {0}, parts = {0};

    if (size == 0)
        return 0;
    stream = (struct view){(const char *)data + 1, size - 1};
    run(stream, SIZE_MAX, &whole);
    run(stream, data[0] % 40 + 1, &parts);
    assert(view_equal(buf_view(&whole), buf_view(&parts)));
    buf_free(&whole);
    buf_free(&parts);
    return 0;
}
