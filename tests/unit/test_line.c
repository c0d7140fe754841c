/* SPDX-License-Identifier: ISC */
/*
 * line: a stream goes in, in pieces of every size; a transcript of what was
 * cut comes out, and must not depend on the pieces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf.h"
#include "line.h"

#define LIMIT 16

/* "[text]" a line, "!text" a bare LF, "#" too long. */
static void
transcribe(struct line *line, struct buf *input, struct buf *out)
{
    static const char marks[] = {
        [GOT_ONE] = '[', [GOT_BAD] = '!', [GOT_TOOBIG] = '#'};

    for (;;) {
        struct view text;
        size_t taken;
        enum got got = line_cut(line, buf_view(input), &text, &taken);

        assert_true(taken <= input->len);
        if (got != GOT_MORE) {
            buf_add_byte(out, (uint8_t)marks[got]);
            buf_add_view(out, text);
        }
        if (got == GOT_ONE)
            buf_add_byte(out, ']');
        buf_consume(input, taken);
        if (got == GOT_MORE)
            return;
        assert_true(taken > 0);
    }
}

static void
check(struct view stream, const char *want, size_t left)
{
    for (size_t piece = 1; piece <= stream.len + 1; piece++) {
        struct buf input = {0}, out = {0};
        struct view rest = stream;
        struct line line;

        line_init(&line, LIMIT);
        while (rest.len > 0) {
            size_t n = piece < rest.len ? piece : rest.len;

            buf_add(&input, rest.data, n);
            rest = view_skip(rest, n);
            transcribe(&line, &input, &out);
        }
        buf_add_byte(&out, '\0');
        assert_string_equal(out.data, want);
        assert_int_equal(input.len, left);
        buf_free(&input);
        buf_free(&out);
    }
}

static const struct {
    struct view stream;
    const char *want;
    size_t left; /* bytes still in the input at the end */
} cases[] = {
    {{"", 0}, "", 0},
    {{"NOOP\r\n", 6}, "[NOOP]", 0},
    {{"\r\n", 2}, "[]", 0},
    {{"A\r\nB\r\nC", 7}, "[A][B]", 1},
    {{"A\r", 2}, "", 2},
    {{"A\rB\r\n", 5}, "[A\rB]", 0},
    {{"A\r\r\n", 4}, "[A\r]", 0},
    {{"12345678901234\r\n", 16}, "[12345678901234]", 0},
    {{"123456789012345\r\nNOOP\r\n", 23}, "#[NOOP]", 0},
    {{"1234567890123456\r\nNOOP\r\n", 24}, "#[NOOP]", 0},
    {{"12345678901234567890\r\rx\r\nNOOP\r\n", 31}, "#[NOOP]", 0},
    {{"12345678901234567890", 20}, "#", 0},
    {{"12345678901234567890\r", 21}, "#", 1},
    {{"12345678901234567890\nx\r\nA\r\n", 27}, "#![A]", 0},
    {{"A\nB\r\nC\r\n", 8}, "!A[C]", 0},
    {{"\nB\r\nC\r\n", 7}, "![C]", 0},
    {{"A\nB\nC\r\n", 7}, "!A!", 0},
    {{"A\n\r\nB\r\n", 7}, "!A[B]", 0},
    {{"A\n123456789012345678901234567890\r\nB\r\n", 37}, "!A[B]", 0},
};

static void
test_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check(cases[i].stream, cases[i].want, cases[i].left);
}

static void
test_dropping_is_visible(void **state)
{
    struct view text;
    struct line line;
    size_t taken;

    (void)state;
    line_init(&line, LIMIT);
    assert_false(line_is_dropping(&line));
    assert_int_equal(line_cut(&line, VIEW("A\nB"), &text, &taken), GOT_BAD);
    assert_true(line_is_dropping(&line));
    assert_int_equal(line_cut(&line, VIEW("B\r\n"), &text, &taken), GOT_MORE);
    assert_int_equal(taken, 3);
    assert_false(line_is_dropping(&line));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_dropping_is_visible),
    };

    return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}
