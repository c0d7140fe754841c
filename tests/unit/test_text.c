/* SPDX-License-Identifier: ISC */
/*
 * text of spoolctl: nothing that a terminal obeys gets through, columns are
 * counted as a terminal counts them, lines are broken and cut to fit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "terminal.h"
#include "text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BAD          "\xef\xbf\xbd" /* U+FFFD */
#define DOTS         "\xe2\x80\xa6" /* the ellipsis */
#define KANJI        "\xe6\x97\xa5"
#define TEXT(literal)                                                          \
    {                                                                          \
        literal, sizeof(literal) - 1                                           \
    }

static const struct {
    struct view in;
    const char *out;
    size_t width;
} cleans[] = {
    {TEXT(""), "", 0},
    {TEXT("plain ~"), "plain ~", 7},
    {TEXT("a\tb\r\nc"), "a b? c", 6},
    {TEXT("\x1b[31mred\x1b]0;x\x07"), "?[31mred?]0;x?", 14},
    {TEXT("a\0b\x7f\x08"), "a?b??", 5},
    {TEXT("\xc2\x9b"
          "31m"),
     "?31m", 4}, /* U+009B, CSI in one character */
    {TEXT("\xe2\x80\xae"
          "evil"),
     "?evil", 5}, /* right-to-left override */
    {TEXT("\xe2\x81\xa6\xe2\x80\xa8\xef\xbb\xbf"), "???", 3},
    {TEXT("b\xc3\xb6"
          "b"),
     "b\xc3\xb6"
     "b",
     3},
    {TEXT(KANJI KANJI), KANJI KANJI, 4},
    {TEXT("e\xcc\x81"), "e\xcc\x81", 1}, /* a combining accent */
    {TEXT("\xff\xfe"), BAD BAD, 2},
    {TEXT("\x9b"
          "x"),
     BAD "x", 2}, /* CSI as a byte of its own */
};

static void
test_clean(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cleans); i++) {
        struct buf out = {0};

        text_clean(cleans[i].in, &out);
        assert_int_equal(text_width(buf_view(&out)), cleans[i].width);
        buf_add_byte(&out, '\0');
        assert_string_equal(out.data, cleans[i].out);
        buf_free(&out);
    }
}

static const struct {
    const char *in;
    size_t width;
    const char *out;
} cuts[] = {
    {"abc", 3, "abc"},
    {"abc", 9, "abc"},
    {"abcd", 3, "ab" DOTS},
    {"abcd", 1, DOTS},
    {"abcd", 0, ""},
    {"", 0, ""},
    {KANJI KANJI KANJI, 5, KANJI KANJI DOTS},
    {KANJI KANJI KANJI, 4, KANJI DOTS " "}, /* half of one does not fit */
    {KANJI KANJI KANJI, 6, KANJI KANJI KANJI},
};

static void
test_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cuts); i++) {
        struct buf out = {0};

        text_cut(view_of(cuts[i].in), cuts[i].width, &out);
        assert_true(text_width(buf_view(&out)) <= cuts[i].width ||
                    cuts[i].width == 0);
        buf_add_byte(&out, '\0');
        assert_string_equal(out.data, cuts[i].out);
        buf_free(&out);
    }
}

static void
test_paragraph(void **state)
{
    (void)state;
    terminal_begin(40);
    text_paragraph("Label", 10, TEXT_PLAIN, "%s",
                   "words that are broken at blanks to fit the terminal");
    terminal_end("Label     words that are broken at\n"
                 "          blanks to fit the terminal\n");
    terminal_begin(40);
    text_paragraph("Label", 10, TEXT_TROUBLE, "%s",
                   "a-word-that-is-longer-than-a-line x\x1b[2J");
    terminal_end("Label     \033[1;31ma-word-that-is-longer-than-a-l\033[0m\n"
                 "          \033[1;31mine x?[2J\033[0m\n");
    terminal_begin(0);
    text_paragraph("Label", 10, TEXT_TROUBLE, "%s",
                   "elsewhere nothing is broken, and nothing has a colour");
    terminal_end("Label     elsewhere nothing is broken, and nothing has a "
                 "colour\n");
}

/* Content cut anywhere looks the same. */
static void
test_stream(void **state)
{
    static const char in[] = "a\r\nb\xc3\xb6\t" KANJI "\x1b[2J\xf0\x9f\x93\xa7"
                             "\xff\xc3z\xe6\x97";
    static const char out[] =
        "a\nb\xc3\xb6\t" KANJI "?[2J\xf0\x9f\x93\xa7" BAD BAD "z" BAD BAD;

    (void)state;
    for (size_t step = 1; step <= sizeof(in); step++) {
        struct text_stream stream = {0};

        terminal_begin(80);
        for (size_t at = 0; at < sizeof(in) - 1; at += step)
            text_stream_put(&stream,
                            (struct view){in + at, sizeof(in) - 1 - at < step
                                                       ? sizeof(in) - 1 - at
                                                       : step});
        text_stream_end(&stream);
        terminal_end(out);
    }
}

static void
test_other_locale(void **state)
{
    struct buf out = {0};

    (void)state;
    setenv("LC_ALL", "C", 1);
    text_init();
    text_clean(view_of("b\xc3\xb6"
                       "b " KANJI),
               &out);
    text_cut(view_of(" and more"), 5, &out);
    setenv("LC_ALL", "C.UTF-8", 1);
    text_init();
    buf_add_byte(&out, '\0');
    assert_string_equal(out.data, "b?b ? and~");
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_paragraph),    cmocka_unit_test(test_stream),
        cmocka_unit_test(test_other_locale),
    };

    setenv("LC_ALL", "C.UTF-8", 1);
    text_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
