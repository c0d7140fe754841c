/* SPDX-License-Identifier: ISC */
/*
 * when: dates read and printed in the operator's zone, ages in few letters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "clock.h"
#include "when.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *text;
    int64_t ms;
} good[] = {
    {"1970-01-01T00:00Z", 0},
    {"1970-01-01T00:00:01.001Z", 1001},
    {"2026-11-25T03:22Z", INT64_C(1795576920000)},
    {"2026-11-25T03:22:01z", INT64_C(1795576921000)},
    {"2026-11-25T03:22:01.5Z", INT64_C(1795576921500)},
    {"2026-11-25T03:22:01.123Z", INT64_C(1795576921123)},
    {"2026-11-25 03:22+01:00", INT64_C(1795573320000)},
    {"2026-11-25 03:22-0130", INT64_C(1795582320000)},
    {"2024-02-29T00:00Z", INT64_C(1709164800000)},
    {"9999-12-31T23:59:59.999Z", INT64_C(253402300799999)},
    /* The zone of the process: two hours east in test_good. */
    {"2026-11-25", INT64_C(1795557600000)},
    {"2026-11-25T03:22", INT64_C(1795569720000)},
    {"2026-11-25 03:22:01", INT64_C(1795569721000)},
};

static const char *const bad[] = {
    "",
    "2026",
    "2026-11",
    "2026-11-25T",
    "2026-11-25T3:22",
    "2026-11-25T03",
    "2026-11-25T24:00",
    "2026-11-25T03:60",
    "2026-11-25T03:22:61",
    "2026-11-25T03:22:01.Z",
    "2026-11-25T03:22:01.1234Z",
    "2026-11-25T03:22.5Z",
    "2026-11-25Z",
    "2026-11-25x",
    "2026-11-25T03:22Zx",
    "2026-11-25T03:22+1",
    "2026-11-25T03:22+15:00",
    "2026-00-25",
    "2026-13-25",
    "2026-11-00",
    "2026-11-31",
    "2023-02-29",
    "2100-02-29",
    "1969-12-31",
    "1970-01-01T00:00+01:00",
    "9999-12-31T23:59-01:00",
    "26-11-25",
    "+2026-11-25",
    " 2026-11-25",
    "2026-11-25 ",
};

static void
test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        struct why why = {0};
        int64_t ms = -1;

        if (when_parse(view_of(good[i].text), &ms, &why) != 0)
            fail_msg("%s: %s", good[i].text, why.text);
        if (ms != good[i].ms)
            fail_msg("%s is %lld", good[i].text, (long long)ms);
    }
}

static void
test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct why why = {0};
        int64_t ms;

        if (when_parse(view_of(bad[i]), &ms, &why) == 0)
            fail_msg("\"%s\" was read", bad[i]);
        assert_non_null(strstr(why.text, "not a date"));
        assert_int_equal(when_parse(view_of(bad[i]), &ms, NULL), -1);
    }
}

/* What clock.h prints is read back. */
static void
test_iso(void **state)
{
    static const int64_t times[] = {
        0, 1, 999, 1000, INT64_C(1795576921123), INT64_C(253402300799999)};
    char text[CLOCK_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        int64_t ms = -1;

        clock_print_iso(times[i], text);
        assert_int_equal(when_parse(view_of(text), &ms, NULL), 0);
        assert_int_equal(ms, times[i]);
    }
}

static void
test_print(void **state)
{
    char text[WHEN_TEXT_MAX];

    (void)state;
    assert_string_equal(when_print(INT64_C(1795569721999), text),
                        "2026-11-25 03:22");
    assert_string_equal(when_print_time(INT64_C(1795569721999), text),
                        "03:22:01");
    /* Nonsense is shown somehow. */
    when_print(INT64_MAX, text);
    when_print_time(INT64_MIN, text);
}

static const struct {
    int64_t ms;
    const char *text;
} ages[] = {
    {-5, "0s"},
    {0, "0s"},
    {999, "0s"},
    {1000, "1s"},
    {99999, "99s"},
    {100000, "1m"},
    {INT64_C(60000) * 99, "99m"},
    {INT64_C(60000) * 100, "1h"},
    {INT64_C(3600000) * 47, "47h"},
    {INT64_C(3600000) * 48, "2d"},
    {INT64_C(86400000) * 99, "99d"},
    {INT64_C(86400000) * 100, "14w"},
};

static void
test_age(void **state)
{
    char text[WHEN_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(ages); i++)
        assert_string_equal(when_print_age(ages[i].ms, text), ages[i].text);
    when_print_age(INT64_MAX, text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_iso),  cmocka_unit_test(test_print),
        cmocka_unit_test(test_age),
    };

    setenv("TZ", "EET-2", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
