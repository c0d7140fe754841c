/* SPDX-License-Identifier: ISC */
/*
 * why: filled, cut at its size, and never asked for when nobody listens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "why.h"

static void
test_set(void **state)
{
    struct why why;

    (void)state;
    assert_int_equal(why_set(&why, 550, "5.1.1", "no %s here", "bob"), -1);
    assert_int_equal(why.code, 550);
    assert_string_equal(why.enhanced, "5.1.1");
    assert_string_equal(why.text, "no bob here");
    assert_int_equal(why_text(&why, "%d", 7), -1);
    assert_int_equal(why.code, 0);
    assert_string_equal(why.enhanced, "");
    assert_string_equal(why.text, "7");
}

static void
test_cut(void **state)
{
    char text[2 * WHY_TEXT_MAX];
    struct why why;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    why_text(&why, "%s", text);
    assert_int_equal(strlen(why.text), WHY_TEXT_MAX - 1);
    why_set(&why, 1, "123456789012345", "%s", text);
    assert_int_equal(strlen(why.enhanced), sizeof(why.enhanced) - 1);
}

static void
test_nobody_asks(void **state)
{
    (void)state;
    assert_int_equal(why_set(NULL, 550, "5.1.1", "x"), -1);
    assert_int_equal(why_text(NULL, "x"), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_nobody_asks),
    };

    return cmocka_run_group_tests_name("why", tests, NULL, NULL);
}
