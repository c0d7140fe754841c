/* SPDX-License-Identifier: ISC */
/*
 * event: the exact lines, for the log and for the watcher; a stranger's text
 * cannot forge a line or a field; what is too long is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "event.h"
#include "log.h"

#define NOW INT64_C(1795576921007) /* 2026-11-25T03:22:01.007Z */

static struct buf watched;

static void
on_event(struct view line)
{
    buf_reset(&watched);
    buf_add_view(&watched, line);
}

/* Ends the event and returns what came out on standard error. */
static struct buf
end_and_read_log(struct event *event)
{
    int log = memfd_create("log", 0), stderr_was = dup(STDERR_FILENO);
    struct buf out = {0};
    ssize_t n;

    dup2(log, STDERR_FILENO);
    event_end(event);
    dup2(stderr_was, STDERR_FILENO);
    close(stderr_was);
    buf_reserve(&out, 2 * EVENT_LINE_MAX);
    n = pread(log, out.data, out.cap, 0);
    assert_true(n > 0);
    out.len = (size_t)n;
    close(log);
    return out;
}

static int
set_up(void **state)
{
    (void)state;
    clock_set_for_test(NOW, 0);
    log_init("tester", false);
    event_watch(on_event);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    event_watch(NULL);
    clock_set_for_test(-1, -1);
    buf_free(&watched);
    return 0;
}

static void
test_lines(void **state)
{
    struct event event;
    char want[128];
    struct buf log;

    (void)state;
    event_begin(&event, EVENT_ACCEPTED);
    event_id(&event, "id", UINT64_C(0x0123456789abcdef));
    event_view(&event, "from", VIEW("anna@example.com"));
    event_text(&event, "empty", "");
    event_num(&event, "size", UINT64_MAX);
    log = end_and_read_log(&event);
    assert_true(view_equal(
        buf_view(&watched),
        VIEW("2026-11-25T03:22:01.007Z accepted id=028T5CY4TQKFF "
             "from=anna@example.com empty=\"\" size=18446744073709551615")));
    snprintf(want, sizeof(want),
             "tester[%d]: accepted id=028T5CY4TQKFF from=anna@example.com "
             "empty=\"\" size=18446744073709551615\n",
             (int)getpid());
    assert_true(view_equal(buf_view(&log), view_of(want)));
    buf_free(&log);
}

static void
test_no_forgery(void **state)
{
    struct event event;
    struct buf log;

    (void)state;
    event_begin(&event, EVENT_REFUSED);
    event_view(&event, "a", VIEW("x y=z"));
    event_view(&event, "b", VIEW("\"\\\n\r\0\t\x7f\xc3\xbc"));
    event_view(&event, "c", VIEW("a=b"));
    log = end_and_read_log(&event);
    assert_true(view_equal(
        buf_view(&watched),
        VIEW("2026-11-25T03:22:01.007Z refused a=\"x y=z\" "
             "b=\"\\x22\\x5c\\x0a\\x0d\\x00\\x09\\x7f\\xc3\\xbc\" c=a=b")));
    assert_ptr_equal(memchr(log.data, '\n', log.len), log.data + log.len - 1);
    buf_free(&log);
}

static void
test_cut(void **state)
{
    struct buf text = {0}, log;
    struct event event;

    (void)state;
    for (size_t i = 0; i < 2 * EVENT_LINE_MAX; i++)
        buf_add_byte(&text, (uint8_t)(i % 3 == 0 ? '\n' : 'x'));
    for (size_t len = 0; len < text.len; len += 7) {
        event_begin(&event, EVENT_REFUSED);
        event_view(&event, "text", (struct view){text.data, len});
        event_num(&event, "after", 1);
        assert_true(event.len < EVENT_LINE_MAX);
        assert_null(memchr(event.line, '\n', event.len));
    }
    log = end_and_read_log(&event);
    assert_int_equal(log.data[log.len - 1], '\n');
    assert_int_equal(watched.len, EVENT_LINE_MAX - 1);
    buf_free(&log);
    buf_free(&text);
}

static void
test_verbs(void **state)
{
    static const struct {
        int number;
        const char *verb, *sentence;
    } rows[] = {
#define X(number, NAME, verb, sentence) {number, verb, sentence},
#include "event_table.h"
#undef X
    };
    size_t n = sizeof(rows) / sizeof(rows[0]);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        /* On disk, for ever: in order, so that none is taken twice. */
        assert_true(rows[i].number > (i > 0 ? rows[i - 1].number : 0));
        assert_string_equal(event_verb((uint64_t)rows[i].number), rows[i].verb);
        assert_int_equal(strspn(rows[i].verb, "abcdefghijklmnopqrstuvwxyz-"),
                         strlen(rows[i].verb));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(rows[i].verb, rows[k].verb);
    }
    assert_string_equal(event_verb(0), "unknown");
    assert_string_equal(event_verb((uint64_t)rows[n - 1].number + 1), "unknown");
    assert_string_equal(event_verb(UINT64_MAX), "unknown");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_no_forgery),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_verbs),
    };

    return cmocka_run_group_tests_name("event", tests, set_up, tear_down);
}
