/* SPDX-License-Identifier: ISC */
/*
 * ctl: every command is found by its words and by nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ctl.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static size_t
split(const char *text, struct view words[8])
{
    size_t n = 0;

    while (*text != '\0' && n < 8) {
        words[n++] = (struct view){text, strcspn(text, " ")};
        text += words[n - 1].len;
        text += *text == ' ';
    }
    return n;
}

static void
test_all_commands(void **state)
{
    struct view words[8];
    struct why why;
    size_t used;

    (void)state;
    for (int c = 0; c < CTL_COUNT; c++) {
        const struct ctl_row *row = ctl_row((enum ctl_command)c);
        size_t n = split(row->words, words);

        words[n] = VIEW("more");
        assert_int_equal(ctl_find(words, n, &used, &why), c);
        assert_int_equal(used, n);
        assert_int_equal(ctl_find(words, n + 1, &used, &why), c);
        assert_int_equal(used, n);
        assert_true(row->min <= row->max && row->max <= CTL_ARGUMENTS_MAX);
        assert_true(*row->sentence != '\0');
        assert_true(strlen(row->sentence) <= 57);
        /* Options are not arguments. */
        assert_true(row->max == 0 || *row->arguments != '\0');
    }
}

static const struct {
    const char *line;
    const char *reason;
} bad[] = {
    {"", "missing"},
    {"frobnicate", "no command \"frobnicate\""},
    {"stat", "no command \"stat\""},
    {"STATUS", "no command"},
    {"target", "\"target list\" or \"target retry\""},
    {"target explode", "\"target list\" or \"target retry\""},
    {"list target", NULL}, /* an argument, not a second word */
};

static void
test_bad(void **state)
{
    struct view words[8];

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct why why = {0};
        size_t used;
        size_t n = split(bad[i].line, words);
        enum ctl_command command = ctl_find(words, n, &used, &why);

        if ((command == CTL_COUNT) != (bad[i].reason != NULL))
            fail_msg("\"%s\"", bad[i].line);
        if (bad[i].reason != NULL && strstr(why.text, bad[i].reason) == NULL)
            fail_msg("\"%s\": %s", bad[i].line, why.text);
    }
}

static void
test_arguments(void **state)
{
    struct why why;

    (void)state;
    assert_int_equal(ctl_check(CTL_SHOW, 1, &why), 0);
    assert_int_equal(ctl_check(CTL_SHOW, 0, &why), -1);
    assert_string_equal(why.text, "an argument is missing: write \"show ID\"");
    assert_int_equal(ctl_check(CTL_SHOW, 2, &why), -1);
    assert_string_equal(why.text, "too many arguments: write \"show ID\"");
    assert_int_equal(ctl_check(CTL_STATUS, 1, &why), -1);
    assert_string_equal(why.text, "too many arguments: write \"status\"");
    assert_int_equal(ctl_check(CTL_RETRY, 5000, &why), 0);
    assert_int_equal(ctl_check(CTL_LIST, 0, &why), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_commands),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
