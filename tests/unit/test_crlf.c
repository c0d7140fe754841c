/* SPDX-License-Identifier: ISC */
/*
 * crlf: content of files as content of mail, cut at every place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crlf.h"

static const struct {
    struct view in, out;
    bool has_8bit;
    bool bad;
} cases[] = {
    {VIEW(""), VIEW(""), false, false},
    {VIEW("a\r\n"), VIEW("a\r\n"), false, false},
    {VIEW("a\nb\n"), VIEW("a\r\nb\r\n"), false, false},
    {VIEW("a\r\nb\n\n\r\n"), VIEW("a\r\nb\r\n\r\n\r\n"), false, false},
    {VIEW("a"), VIEW("a\r\n"), false, false},
    {VIEW("a\r"), VIEW("a\r\n"), false, false},
    {VIEW("a\rb\r\n"), VIEW("a\rb\r\n"), false, false},
    {VIEW("a\r\r\n\r\r\n"), VIEW("a\r\r\n\r\r\n"), false, false},
    {VIEW(".\n..\n"), VIEW(".\r\n..\r\n"), false, false},
    {VIEW("a\r.\n"), VIEW("a\r.\r\n"), false, true},
    {VIEW("a\r.\r\n.\r\n"), VIEW("a\r.\r\n.\r\n"), false, true},
    {VIEW("a\r\n.\r\n"), VIEW("a\r\n.\r\n"), false, false},
    {VIEW("\xc3\xa9\n"), VIEW("\xc3\xa9\r\n"), true, false},
    {VIEW("\0\n"), VIEW("\0\r\n"), false, false},
};

static void
check(size_t i, size_t cut)
{
    struct crlf crlf = {0};
    struct buf out = {0};
    struct why why;
    struct view in = cases[i].in;

    while (in.len > 0) {
        size_t n = cut < in.len ? cut : in.len;

        crlf_add(&crlf, (struct view){in.data, n}, &out);
        in = view_skip(in, n);
    }
    assert_int_equal(crlf_end(&crlf, &out, &why), cases[i].bad ? -1 : 0);
    assert_int_equal(out.len, cases[i].out.len);
    if (out.len > 0)
        assert_memory_equal(out.data, cases[i].out.data, out.len);
    assert_int_equal(crlf.has_8bit, cases[i].has_8bit);
    buf_free(&out);
}

static void
test_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t cut = 1; cut < 9; cut++)
            check(i, cut);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_anywhere),
    };

    return cmocka_run_group_tests_name("crlf", tests, NULL, NULL);
}
