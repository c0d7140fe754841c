/* SPDX-License-Identifier: ISC */
/*
 * num: numbers, sizes and durations, read and written, good and bad.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "num.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef int parse_fn(struct view text, uint64_t min, uint64_t max,
                     uint64_t *value, struct why *why);

static const struct {
    parse_fn *parse;
    const char *text;
    uint64_t value;
} good[] = {
    {num_parse, "0", 0},
    {num_parse, "010", 10},
    {num_parse, "18446744073709551615", UINT64_MAX},
    {num_parse_size, "0", 0},
    {num_parse_size, "7", 7},
    {num_parse_size, "7B", 7},
    {num_parse_size, "25M", 25 << 20},
    {num_parse_size, "25m", 25 << 20},
    {num_parse_size, "1K", 1024},
    {num_parse_size, "3G", UINT64_C(3) << 30},
    {num_parse_size, "16777215T", UINT64_C(16777215) << 40},
    {num_parse_duration, "0", 0},
    {num_parse_duration, "0d", 0},
    {num_parse_duration, "250ms", 250},
    {num_parse_duration, "90s", 90000},
    {num_parse_duration, "5m", 300000},
    {num_parse_duration, "4H", 14400000},
    {num_parse_duration, "30d", 2592000000},
    {num_parse_duration, "2w", 1209600000},
};

static const struct {
    parse_fn *parse;
    const char *text;
} bad[] = {
    {num_parse, ""},
    {num_parse, "-1"},
    {num_parse, "+1"},
    {num_parse, " 1"},
    {num_parse, "1 "},
    {num_parse, "0x19"},
    {num_parse, "1.5"},
    {num_parse, "1K"},
    {num_parse, "18446744073709551616"},
    {num_parse, "99999999999999999999999"},
    {num_parse_size, ""},
    {num_parse_size, "M"},
    {num_parse_size, "1MB"},
    {num_parse_size, "1 M"},
    {num_parse_size, "-1M"},
    {num_parse_size, "16777216T"},
    {num_parse_size, "5s"},
    {num_parse_duration, ""},
    {num_parse_duration, "5"},
    {num_parse_duration, "d"},
    {num_parse_duration, "5y"},
    {num_parse_duration, "5M5"},
    {num_parse_duration, "1.5h"},
    {num_parse_duration, "18446744073709551615w"},
};

static void
test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        uint64_t value = 12345;
        struct why why;

        assert_int_equal(
            good[i].parse(view_of(good[i].text), 0, UINT64_MAX, &value, &why),
            0);
        assert_int_equal(value, good[i].value);
    }
}

static void
test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint64_t value;
        struct why why = {0};

        assert_int_equal(
            bad[i].parse(view_of(bad[i].text), 0, UINT64_MAX, &value, &why),
            -1);
        assert_string_not_equal(why.text, "");
        assert_int_equal(
            bad[i].parse(view_of(bad[i].text), 0, UINT64_MAX, &value, NULL),
            -1);
    }
}

static void
test_limits(void **state)
{
    static const struct {
        parse_fn *parse;
        const char *low, *high, *below, *above, *reason;
        uint64_t min, max;
    } rows[] = {
        {num_parse, "1", "9", "0", "10", "10 is out of range 1..9", 1, 9},
        {num_parse_size, "1K", "2M", "1023", "3M",
         "size 3M is out of range 1K..2M", 1024, 2 << 20},
        {num_parse_duration, "100ms", "1h", "99ms", "61m",
         "duration 61m is out of range 100ms..1h", 100, 3600000},
    };
    uint64_t value;
    struct why why;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(rows[i].parse(view_of(rows[i].low), rows[i].min,
                                       rows[i].max, &value, &why),
                         0);
        assert_int_equal(rows[i].parse(view_of(rows[i].high), rows[i].min,
                                       rows[i].max, &value, &why),
                         0);
        assert_int_equal(rows[i].parse(view_of(rows[i].below), rows[i].min,
                                       rows[i].max, &value, &why),
                         -1);
        assert_int_equal(rows[i].parse(view_of(rows[i].above), rows[i].min,
                                       rows[i].max, &value, &why),
                         -1);
        assert_string_equal(why.text, rows[i].reason);
    }
}

static void
test_print(void **state)
{
    static const struct {
        uint64_t value;
        const char *text;
    } sizes[] =
        {
            {0, "0"},
            {1023, "1023"},
            {1024, "1K"},
            {1536, "1.5K"},
            {50 << 20, "50M"},
            {UINT64_C(5) << 38, "1.2T"},
            {UINT64_MAX, "16777216.0T"},
        },
      durations[] = {
          {0, "0"},
          {1, "1ms"},
          {1500, "1500ms"},
          {90000, "90s"},
          {3600000, "1h"},
          {36 * UINT64_C(3600000), "36h"},
          {30 * UINT64_C(86400000), "30d"},
          {14 * UINT64_C(86400000), "2w"},
          {UINT64_MAX, "18446744073709551615ms"},
      };
    char text[NUM_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++)
        assert_string_equal(num_print_size(sizes[i].value, text),
                            sizes[i].text);
    for (size_t i = 0; i < COUNT(durations); i++)
        assert_string_equal(num_print_duration(durations[i].value, text),
                            durations[i].text);
}

/* What is printed without a decimal reads back as itself. */
static void
test_round_trip(void **state)
{
    char text[NUM_TEXT_MAX];
    uint64_t value;

    (void)state;
    for (uint64_t n = 1; n < UINT64_MAX / 3; n = n * 3 + 1) {
        num_print_duration(n, text);
        assert_int_equal(
            num_parse_duration(view_of(text), 0, UINT64_MAX, &value, NULL), 0);
        assert_int_equal(value, n);
    }
    for (uint64_t n = 1; n < 64; n++) {
        num_print_size(UINT64_C(1) << n, text);
        assert_int_equal(
            num_parse_size(view_of(text), 0, UINT64_MAX, &value, NULL), 0);
        assert_int_equal(value, UINT64_C(1) << n);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),       cmocka_unit_test(test_bad),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_print),
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests_name("num", tests, NULL, NULL);
}
