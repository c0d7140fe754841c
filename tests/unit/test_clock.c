/* SPDX-License-Identifier: ISC */
/*
 * clock: the system's time passes, a test's stands, and both forms of text
 * are right at the ends of days, years and centuries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void
test_system(void **state)
{
    int64_t wall = clock_wall_ms(), mono = clock_mono_us();

    (void)state;
    assert_true(wall > INT64_C(1577836800000)); /* 2020 */
    assert_true(clock_mono_us() >= mono);
    assert_true(clock_mono_ms() >= mono / 1000);
    assert_true(clock_mono_ms() - mono / 1000 < 10000);
}

static void
test_set(void **state)
{
    (void)state;
    clock_set_for_test(5000, 77);
    assert_int_equal(clock_wall_ms(), 5000);
    assert_int_equal(clock_mono_ms(), 77);
    assert_int_equal(clock_mono_us(), 77000);
    clock_set_for_test(-1, -1);
    assert_true(clock_wall_ms() > 5000);
}

static void
test_print(void **state)
{
    static const struct {
        int64_t wall_ms;
        const char *iso, *mail;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z", "Thu, 1 Jan 1970 00:00:00 +0000"},
        {INT64_C(951782399999), "2000-02-28T23:59:59.999Z",
         "Mon, 28 Feb 2000 23:59:59 +0000"},
        {INT64_C(951782400000), "2000-02-29T00:00:00.000Z",
         "Tue, 29 Feb 2000 00:00:00 +0000"},
        {INT64_C(1795576921007), "2026-11-25T03:22:01.007Z",
         "Wed, 25 Nov 2026 03:22:01 +0000"},
        {INT64_C(4107542400000), "2100-03-01T00:00:00.000Z",
         "Mon, 1 Mar 2100 00:00:00 +0000"},
        {INT64_C(253402300799000), "9999-12-31T23:59:59.000Z",
         "Fri, 31 Dec 9999 23:59:59 +0000"},
    };
    char text[CLOCK_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_string_equal(clock_print_iso(rows[i].wall_ms, text),
                            rows[i].iso);
        assert_string_equal(clock_print_mail(rows[i].wall_ms, text),
                            rows[i].mail);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_print),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
