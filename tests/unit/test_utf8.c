/* SPDX-License-Identifier: ISC */
/*
 * utf8: what is a character and what is not, and that cleaned text always
 * is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BAD          "\xef\xbf\xbd" /* U+FFFD */
#define TEXT(literal)                                                          \
    {                                                                          \
        literal, sizeof(literal) - 1                                           \
    }

static const struct {
    struct view in;
    struct view out;
} cleans[] = {
    {TEXT(""), TEXT("")},
    {TEXT("plain\t\r\n\x1b\x7f"), TEXT("plain\t\r\n\x1b\x7f")},
    {TEXT("\0a\0"), TEXT(BAD "a" BAD)},
    {TEXT("b\xc3\xb6"
          "b"),
     TEXT("b\xc3\xb6"
          "b")},
    {TEXT("\xe2\x82\xac"), TEXT("\xe2\x82\xac")},
    {TEXT("\xf0\x9f\x93\xa7"), TEXT("\xf0\x9f\x93\xa7")},
    {TEXT("\xf4\x8f\xbf\xbf"), TEXT("\xf4\x8f\xbf\xbf")},
    {TEXT("\xed\x9f\xbf\xee\x80\x80"), TEXT("\xed\x9f\xbf\xee\x80\x80")},
    /* Latin-1, a lone continuation, a character that is cut. */
    {TEXT("b\xf6"
          "b"),
     TEXT("b" BAD "b")},
    {TEXT("\x80"), TEXT(BAD)},
    {TEXT("\xe2\x82"), TEXT(BAD BAD)},
    {TEXT("\xe2\x82x"), TEXT(BAD BAD "x")},
    {TEXT("\xf0\x9f\x93"), TEXT(BAD BAD BAD)},
    /* Overlong, surrogate, beyond the last, no lead byte at all. */
    {TEXT("\xc0\xaf"), TEXT(BAD BAD)},
    {TEXT("\xc1\xbf"), TEXT(BAD BAD)},
    {TEXT("\xe0\x9f\xbf"), TEXT(BAD BAD BAD)},
    {TEXT("\xf0\x8f\xbf\xbf"), TEXT(BAD BAD BAD BAD)},
    {TEXT("\xed\xa0\x80"), TEXT(BAD BAD BAD)},
    {TEXT("\xf4\x90\x80\x80"), TEXT(BAD BAD BAD BAD)},
    {TEXT("\xf8\x88\x80\x80\x80"), TEXT(BAD BAD BAD BAD BAD)},
    {TEXT("\xff\xfe"), TEXT(BAD BAD)},
};

static void
test_clean(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cleans); i++) {
        struct buf out = {0}, again = {0};

        utf8_clean(cleans[i].in, &out);
        if (!view_equal(buf_view(&out), cleans[i].out))
            fail_msg("row %zu", i);
        utf8_clean(buf_view(&out), &again);
        assert_true(view_equal(buf_view(&out), buf_view(&again)));
        buf_free(&out);
        buf_free(&again);
    }
}

/* Every character goes through its bytes and back. */
static void
test_all(void **state)
{
    struct buf out = {0};

    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        struct view text;

        if (c >= 0xd800 && c <= 0xdfff)
            continue;
        buf_reset(&out);
        utf8_put(&out, c);
        text = buf_view(&out);
        if (utf8_take(&text) != c || text.len != 0)
            fail_msg("U+%04X", c);
    }
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
