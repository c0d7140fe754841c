/* SPDX-License-Identifier: ISC */
/*
 * Lines of events as a role under a stranger's influence might send them:
 * reading ends, views stay inside the line, values become clean UTF-8. And
 * any bytes put into an event come back.
 */
#include "event_line.h"

#include <assert.h>
#include <stdint.h>

#include "event.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_inside(struct view part, struct view whole)
{
    assert(part.data >= whole.data &&
           part.data + part.len <= whole.data + whole.len);
}

static void
check_clean(struct view value)
{
    struct buf clean = {0}, again = {0};

    utf8_clean(value, &clean);
    utf8_clean(buf_view(&clean), &again);
    assert(view_equal(buf_view(&clean), buf_view(&again)));
    assert(clean.len == 0 || memchr(clean.data, '\0', clean.len) == NULL);
    buf_free(&clean);
    buf_free(&again);
}

static void
check_line(struct view whole)
{
    struct view line = whole, time, verb, key;
    struct buf value = {0};
    size_t before = line.len + 1;

    if (event_line_start(&line, &time, &verb) != 0)
        return;
    check_inside(time, whole);
    check_inside(verb, whole);
    while (event_line_field(&line, &key, &value) == 1) {
        assert(line.len < before);
        before = line.len;
        check_inside(key, whole);
        check_clean(buf_view(&value));
    }
    buf_free(&value);
}

static void
check_round(struct view bytes)
{
    struct event event;
    struct view line, time, verb, key;
    struct buf value = {0};

    event_begin(&event, EVENT_REFUSED);
    event_view(&event, "value", bytes);
    event_num(&event, "last", 1);
    /* Not event_end, which would log it. */
    line = (struct view){event.line, event.len};
    assert(event_line_start(&line, &time, &verb) == 0);
    assert(event_line_field(&line, &key, &value) == 1);
    assert(view_equal(buf_view(&value), bytes));
    assert(event_line_field(&line, &key, &value) == 1);
    assert(event_line_field(&line, &key, &value) == 0);
    buf_free(&value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view bytes = {(const char *)data, size};

    check_line(bytes);
    if (size < 300) /* longer ones are cut, as they should */
        check_round(bytes);
    return 0;
}
