/* SPDX-License-Identifier: ISC */
/*
 * dot: both directions, in pieces of every size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dot.h"

/* Decodes wire in pieces; what follows the end goes to *rest. */
static enum got
decode(struct view wire, size_t piece, struct buf *out, size_t *rest)
{
    struct dot_decoder decoder;

    dot_decoder_init(&decoder);
    while (wire.len > 0) {
        size_t n = piece < wire.len ? piece : wire.len;
        struct view input = {wire.data, n};

        wire = view_skip(wire, n);
        while (input.len > 0) {
            struct view content;
            size_t before = input.len;
            enum got got = dot_decode(&decoder, &input, &content);

            buf_add_view(out, content);
            *rest = wire.len + input.len;
            if (got != GOT_MORE) {
                assert_int_equal(content.len, 0);
                return got;
            }
            assert_true(input.len < before || content.len > 0);
        }
    }
    return GOT_MORE;
}

#define W(literal)                                                             \
    {                                                                          \
        literal, sizeof(literal) - 1                                           \
    }

static const struct {
    struct view wire, content;
    enum got got;
    size_t rest;
} cases[] = {
    {W(".\r\n"), W(""), GOT_ONE, 0},
    {W("a\r\n.\r\n"), W("a\r\n"), GOT_ONE, 0},
    {W("a\r\n.\r\nRSET\r\n"), W("a\r\n"), GOT_ONE, 6},
    {W("a\r\nb\r\n\r\nc\r\n.\r\n"), W("a\r\nb\r\n\r\nc\r\n"), GOT_ONE, 0},
    {W("a\r\n"), W("a\r\n"), GOT_MORE, 0},
    {W("a\r\n.\r"), W("a\r\n"), GOT_MORE, 0},
    /* Transparency. */
    {W("..\r\n.\r\n"), W(".\r\n"), GOT_ONE, 0},
    {W("..a\r\n.b\r\nc.d\r\n.\r\n"), W(".a\r\nb\r\nc.d\r\n"), GOT_ONE, 0},
    {W(".a\r\n.\r\n"), W("a\r\n"), GOT_ONE, 0},
    /* A bare LF is a line end and nothing more. */
    {W("a\nb\r\n.\r\n"), W("a\r\nb\r\n"), GOT_ONE, 0},
    {W("\n\n\r\n.\r\n"), W("\r\n\r\n\r\n"), GOT_ONE, 0},
    {W("a\n.\r\nb\r\n.\r\n"), W("a\r\n.\r\nb\r\n"), GOT_ONE, 0},
    {W("a\n.\nb\r\n.\r\n"), W("a\r\n.\r\nb\r\n"), GOT_ONE, 0},
    {W("a\n..\r\n.\r\n"), W("a\r\n..\r\n"), GOT_ONE, 0},
    {W("a\r\n.\nb\r\n.\r\n"), W("a\r\n\r\nb\r\n"), GOT_ONE, 0},
    {W("a\n.\r\n"), W("a\r\n.\r\n"), GOT_MORE, 0},
    {W("a\r\n.\n"), W("a\r\n\r\n"), GOT_MORE, 0},
    {W("a\n.\n"), W("a\r\n.\r\n"), GOT_MORE, 0},
    /* A bare CR is content. */
    {W("a\rb\r\n.\r\n"), W("a\rb\r\n"), GOT_ONE, 0},
    {W("a\r\r\n.\r\n"), W("a\r\r\n"), GOT_ONE, 0},
    {W("\r\r\r\n.\r\n"), W("\r\r\r\n"), GOT_ONE, 0},
    {W("a\r\n.\r\r\n.\r\n"), W("a\r\n\r\r\n"), GOT_ONE, 0},
    {W("a\r\n.\rb\r\n.\r\n"), W("a\r\n\rb\r\n"), GOT_ONE, 0},
    /* But not before a dot. */
    {W("a\r.\r\n.\r\n"), W("a\r.\r\n"), GOT_BAD, 0},
    {W("a\r.\rb\r\n.\r\nx"), W("a\r.\rb\r\n"), GOT_BAD, 1},
    {W("a\r\n.\r.\r\n.\r\n"), W("a\r\n\r.\r\n"), GOT_BAD, 0},
    {W("\r.\r\n.\r\n"), W("\r.\r\n"), GOT_BAD, 0},
    {W("a\r\r.\r\n.\r\n"), W("a\r\r.\r\n"), GOT_BAD, 0},
    /* NUL and 8-bit bytes are content. */
    {W("a\0b\xff\r\n.\r\n"), W("a\0b\xff\r\n"), GOT_ONE, 0},
};

static void
test_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t piece = 1; piece <= cases[i].wire.len; piece++) {
            struct buf out = {0};
            size_t rest = 0;

            assert_int_equal(decode(cases[i].wire, piece, &out, &rest),
                             cases[i].got);
            assert_int_equal(rest, cases[i].rest);
            assert_int_equal(out.len, cases[i].content.len);
            if (out.len > 0)
                assert_memory_equal(out.data, cases[i].content.data, out.len);
            buf_free(&out);
        }
}

static void
test_runs_are_long(void **state)
{
    struct view input = VIEW("one\r\ntwo\r\n\r\nthree\r\n.\r\n");
    struct dot_decoder decoder;
    struct view content;

    (void)state;
    dot_decoder_init(&decoder);
    assert_int_equal(dot_decode(&decoder, &input, &content), GOT_MORE);
    assert_int_equal(content.len, 19);
    assert_int_equal(dot_decode(&decoder, &input, &content), GOT_ONE);
    assert_int_equal(dot_decode(&decoder, &input, &content), GOT_ONE);
}

static void
encode(struct view content, size_t piece, struct buf *out)
{
    struct dot_encoder encoder;

    dot_encoder_init(&encoder);
    while (content.len > 0) {
        size_t n = piece < content.len ? piece : content.len;

        dot_encode(&encoder, (struct view){content.data, n}, out);
        content = view_skip(content, n);
    }
    dot_encode_end(&encoder, out);
}

static const struct {
    struct view content, wire;
} encodings[] = {
    {W(""), W(".\r\n")},
    {W("a\r\n"), W("a\r\n.\r\n")},
    {W("a"), W("a\r\n.\r\n")},
    {W("a\r"), W("a\r\n.\r\n")},
    {W(".\r\n"), W("..\r\n.\r\n")},
    {W("."), W("..\r\n.\r\n")},
    {W(".a\r\n..b\r\nc.d\r\n"), W("..a\r\n...b\r\nc.d\r\n.\r\n")},
    {W("a\n.b\n"), W("a\r\n..b\r\n.\r\n")},
    {W("\n"), W("\r\n.\r\n")},
    {W("a\rb\r\r\n"), W("a\rb\r\r\n.\r\n")},
    {W("a\0\xff\r\n"), W("a\0\xff\r\n.\r\n")},
};

static void
test_encode(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
        for (size_t piece = 1; piece <= encodings[i].content.len + 1; piece++) {
            struct buf out = {0};

            encode(encodings[i].content, piece, &out);
            assert_int_equal(out.len, encodings[i].wire.len);
            assert_memory_equal(out.data, encodings[i].wire.data, out.len);
            buf_free(&out);
        }
}

static void
test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf wire = {0}, out = {0};
        size_t rest = 0;

        if (cases[i].got != GOT_ONE)
            continue;
        encode(cases[i].content, 3, &wire);
        assert_int_equal(decode(buf_view(&wire), 3, &out, &rest), GOT_ONE);
        assert_int_equal(rest, 0);
        assert_true(view_equal(buf_view(&out), cases[i].content));
        buf_free(&wire);
        buf_free(&out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_runs_are_long),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests_name("dot", tests, NULL, NULL);
}
