/* SPDX-License-Identifier: ISC */
#include "event.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "msgid.h"

static event_watch_fn *watcher;

static const char *const verbs[] = {
#define X(number, NAME, verb, sentence) [number] = verb,
#include "event_table.h"
#undef X
};

const char *
event_verb(uint64_t kind)
{
    if (kind >= sizeof(verbs) / sizeof(verbs[0]) || verbs[kind] == NULL)
        return "unknown";
    return verbs[kind];
}

/* What does not fit is left out: a cut line is better than none. One byte
 * stays free for the newline. */
static void
event_put(struct event *event, const char *bytes, size_t len)
{
    size_t room = sizeof(event->line) - 1 - event->len;

    if (len > room)
        len = room;
    memcpy(event->line + event->len, bytes, len);
    event->len += len;
}

static void
event_key(struct event *event, const char *key)
{
    event_put(event, " ", 1);
    event_put(event, key, strlen(key));
    event_put(event, "=", 1);
}

void
event_begin(struct event *event, enum event_kind kind)
{
    char now[CLOCK_TEXT_MAX];

    event->kind = kind;
    event->len = 0;
    clock_print_iso(clock_wall_ms(), now);
    event_put(event, now, strlen(now));
    event_put(event, " ", 1);
    event_put(event, event_verb(kind), strlen(event_verb(kind)));
}

void
event_num(struct event *event, const char *key, uint64_t value)
{
    char digits[24];
    int n = snprintf(digits, sizeof(digits), "%" PRIu64, value);

    event_key(event, key);
    event_put(event, digits, (size_t)n);
}

void
event_text(struct event *event, const char *key, const char *value)
{
    event_view(event, key, view_of(value));
}

static bool
is_plain(struct view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.data[i] <= ' ' || v.data[i] > '~' || v.data[i] == '"' ||
            v.data[i] == '\\')
            return false;
    return v.len > 0;
}

void
event_view(struct event *event, const char *key, struct view value)
{
    event_key(event, key);
    if (is_plain(value)) {
        event_put(event, value.data, value.len);
        return;
    }
    event_put(event, "\"", 1);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        char hex[5];

        if (c >= ' ' && c <= '~' && c != '"' && c != '\\') {
            event_put(event, (const char *)&c, 1);
        } else {
            snprintf(hex, sizeof(hex), "\\x%02x", c);
            event_put(event, hex, 4);
        }
    }
    event_put(event, "\"", 1);
}

void
event_id(struct event *event, const char *key, uint64_t id)
{
    char text[MSGID_TEXT_MAX];

    event_text(event, key, msgid_print(id, text));
}

void
event_end(struct event *event)
{
    char line[EVENT_LINE_MAX + 64];
    /* The log stamps lines itself; the watcher wants the time. */
    const char *rest = memchr(event->line, ' ', event->len);
    size_t skip = (size_t)(rest + 1 - event->line);
    int n = snprintf(line, sizeof(line), "%s[%d]: %.*s\n", log_name(),
                     log_pid(), (int)(event->len - skip), event->line + skip);

    log_line(line, (size_t)n);
    if (watcher != NULL)
        watcher((struct view){event->line, event->len});
}

void
event_watch(event_watch_fn *watch)
{
    watcher = watch;
}
