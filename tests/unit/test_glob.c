/* SPDX-License-Identifier: ISC */
/*
 * glob: patterns against texts, whole and within; compared with a matcher
 * that is too simple to be wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "glob.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *pattern;
    const char *text;
    bool whole;
    bool within;
} cases[] = {
    {"", "", true, true},
    {"", "a", false, true},
    {"a", "", false, false},
    {"*", "", true, true},
    {"*", "abc", true, true},
    {"abc", "ABC", true, true},
    {"ABC", "abc", true, true},
    {"b", "abc", false, true},
    {"a*", "abc", true, true},
    {"*c", "abc", true, true},
    {"*b", "abc", false, true},
    {"a*c", "abbbc", true, true},
    {"a*c", "xabbbcx", false, true},
    {"a**c", "ac", true, true},
    {"*a*b*c*", "xxaxxbxxcxx", true, true},
    {"*a*b*c*", "xxaxxcxxbxx", false, false},
    {"aab", "aaab", false, true},
    {"*aab", "aaab", true, true},
    {"abab*", "ababab", true, true},
    {"\xc3\xb6*", "\xc3\xb6x", true, true},
    {"?", "a", false, false},
};

static void
test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct view pattern = view_of(cases[i].pattern);
        struct view text = view_of(cases[i].text);

        if (glob_matches(pattern, text) != cases[i].whole ||
            glob_within(pattern, text) != cases[i].within)
            fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].text);
    }
}

static bool
simple(struct view pattern, struct view text)
{
    if (pattern.len == 0)
        return text.len == 0;
    if (pattern.data[0] == '*')
        return simple(view_skip(pattern, 1), text) ||
               (text.len > 0 && simple(pattern, view_skip(text, 1)));
    return text.len > 0 && pattern.data[0] == text.data[0] &&
           simple(view_skip(pattern, 1), view_skip(text, 1));
}

/* The nth text of len letters out of "ab*" or "ab". */
static struct view
nth(unsigned n, unsigned letters, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++, n /= letters)
        out[i] = "ab*"[n % letters];
    return (struct view){out, len};
}

static void
test_against_simple(void **state)
{
    char p[8], t[8], around[10];

    (void)state;
    for (unsigned i = 0; i < 729; i++)      /* 3^6 patterns */
        for (unsigned j = 0; j < 64; j++) { /* 2^6 texts */
            struct view pattern = nth(i, 3, 6, p);
            struct view text = nth(j, 2, 6, t);

            around[0] = around[7] = '*';
            memcpy(around + 1, pattern.data, 6);
            assert_int_equal(glob_matches(pattern, text),
                             simple(pattern, text));
            assert_int_equal(glob_within(pattern, text),
                             simple((struct view){around, 8}, text));
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_against_simple),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
