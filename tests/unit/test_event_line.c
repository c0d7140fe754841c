/* SPDX-License-Identifier: ISC */
/*
 * event_line: what event.h wrote comes back; what it never writes is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "event.h"
#include "event_line.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct buf seen;

static void
keep(struct view line)
{
    buf_reset(&seen);
    buf_add_view(&seen, line);
}

static void
field(struct view *line, const char *want_key, struct view want)
{
    struct view key;
    struct buf value = {0};

    assert_int_equal(event_line_field(line, &key, &value), 1);
    assert_true(view_equal(key, view_of(want_key)));
    assert_true(view_equal(buf_view(&value), want));
    buf_free(&value);
}

static void
test_round(void **state)
{
    struct event event;
    char all[256];
    struct view line, time, verb, key;
    struct buf value = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)i;
    clock_set_for_test(INT64_C(1795576921123), 0);
    event_watch(keep);
    event_begin(&event, EVENT_ACCEPTED);
    event_num(&event, "size", 12);
    event_text(&event, "from", "anna@client.test");
    event_text(&event, "empty", "");
    event_text(&event, "quoted", "a \"b\" \\ c=d");
    event_view(&event, "all", (struct view){all, sizeof(all)});
    event_end(&event);
    event_watch(NULL);
    clock_set_for_test(-1, -1);

    line = buf_view(&seen);
    assert_int_equal(event_line_start(&line, &time, &verb), 0);
    assert_true(view_equal(time, VIEW("2026-11-25T03:22:01.123Z")));
    assert_true(view_equal(verb, VIEW("accepted")));
    field(&line, "size", VIEW("12"));
    field(&line, "from", VIEW("anna@client.test"));
    field(&line, "empty", VIEW(""));
    field(&line, "quoted", VIEW("a \"b\" \\ c=d"));
    field(&line, "all", (struct view){all, sizeof(all)});
    assert_int_equal(event_line_field(&line, &key, &value), 0);
    buf_free(&seen);
}

static const struct {
    struct view line;
    int fields; /* before it is refused; -1: at the start already */
} bad[] = {
    {{"", 0}, -1},
    {{"word", 4}, -1},
    {{" verb", 5}, -1},
    {{"time ", 5}, -1},
    {{"time verb ", 10}, 0},
    {{"time verb x", 11}, 0},
    {{"time verb =x", 12}, 0},
    {{"time verb a=b  c=d", 18}, 1},
    {{"time verb a=b\"c", 15}, 1},
    {{"time verb a=\"b", 14}, 0},
    {{"time verb a=\"\\", 14}, 0},
    {{"time verb a=\"\\n\"", 16}, 0},
    {{"time verb a=\"\\x1\"", 17}, 0},
    {{"time verb a=\"\\xGG\"", 18}, 0},
    {{"time verb a=\"b\"c", 16}, 1},
    {{"time verb a=\"\0\"", 15}, 0},
    {{"time verb a=b \0", 15}, 1},
};

static void
test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct view line = bad[i].line, time, verb, key;
        struct buf value = {0};
        int fields = 0, rc;

        rc = event_line_start(&line, &time, &verb);
        if ((rc != 0) != (bad[i].fields < 0))
            fail_msg("\"%s\"", bad[i].line.data);
        while (rc == 0 && (rc = event_line_field(&line, &key, &value)) == 1) {
            fields++;
            rc = 0;
        }
        buf_free(&value);
        if (bad[i].fields >= 0 && (rc != -1 || fields != bad[i].fields))
            fail_msg("\"%s\": %d after %d fields", bad[i].line.data, rc,
                     fields);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
