/* SPDX-License-Identifier: ISC */
/*
 * Events: what happened to mail and to the daemon, one line each, a fixed
 * verb and key=value fields. People, spoolctl events and the tests read the
 * same lines. Values with blanks, quotes or bytes outside printable ASCII
 * are quoted and escaped (\xNN), so a stranger's text cannot forge a line.
 *
 *     struct event event;
 *
 *     event_begin(&event, EVENT_ACCEPTED);
 *     event_id(&event, "id", id);
 *     event_view(&event, "from", sender);
 *     event_end(&event);
 */
#ifndef SPOOL_EVENT_H
#define SPOOL_EVENT_H

#include <stdint.h>

#include "view.h"

enum event_kind {
#define X(number, NAME, verb, sentence) EVENT_##NAME = number,
#include "event_table.h"
#undef X
};

const char *event_verb(uint64_t kind); /* "unknown" outside the table */

#define EVENT_LINE_MAX 1600

struct event {
    enum event_kind kind;
    size_t len;
    char line[EVENT_LINE_MAX];
};

void event_begin(struct event *event, enum event_kind kind);
void event_num(struct event *event, const char *key, uint64_t value);
void event_text(struct event *event, const char *key, const char *value);
void event_view(struct event *event, const char *key, struct view value);
void event_id(struct event *event, const char *key, uint64_t id);
/* Writes the line to the log and hands it to the watcher. */
void event_end(struct event *event);

/* Called with each event's line ("2026-... verb key=value", no newline)
 * while set; NULL: nobody watches. */
typedef void event_watch_fn(struct view line);
void event_watch(event_watch_fn *watch);

#endif
