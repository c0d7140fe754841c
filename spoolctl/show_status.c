/* SPDX-License-Identifier: ISC */
/*
 * How everything is, for people: status on one screen, targets, what retry
 * did, events. Only trouble has a colour.
 */
#include "spoolctl.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "table.h"
#include "when.h"

#define LABEL 11

static struct table table;
static bool begun;

/* --- targets ------------------------------------------------------------- */

static const struct table_column target_columns[] = {
    {"TARGET", false, 8, 0},   {"STATE", false, 0, 0},
    {"SINCE", false, 0, 0},    {"NEXT PROBE", false, 0, 0},
    {"SESSIONS", true, 0, 0},  {"DELIVERED", true, 0, 0},
    {"ETA", false, 0, 0},      {"DEFERRED", true, 0, 90},
    {"HOSTS", false, 12, 120},
};
#define TARGET_COLUMNS (sizeof(target_columns) / sizeof(target_columns[0]))

static void
target_hosts(const json_t *target)
{
    struct buf hosts = {0};
    const json_t *host;
    size_t i;

    json_array_foreach (json_object_get(target, "hosts"), i, host)
        buf_addf(&hosts, "%s%s", i > 0 ? " " : "", json_string_value(host));
    table_cell(&table, TEXT_PLAIN, "%.*s", (int)hosts.len, hosts.data);
    buf_free(&hosts);
}

static void
target_row(const json_t *target)
{
    char when[MEMBER_TEXT_MAX], until[MEMBER_TEXT_MAX], done[MEMBER_TEXT_MAX];
    const json_t *drain = json_object_get(target, "drain");
    const char *state = member_text(target, "state");
    bool up = strcmp(state, "up") == 0;

    if (!begun)
        table_begin(&table, target_columns, TARGET_COLUMNS);
    begun = true;
    table_cell(&table, TEXT_PLAIN, "%s", member_text(target, "name"));
    table_cell(&table, up ? TEXT_PLAIN : TEXT_TROUBLE, "%s", state);
    table_cell(&table, TEXT_PLAIN, "%s",
               member_when(member_time(target, "since"), when));
    table_cell(&table, TEXT_PLAIN, "%s",
               member_until(member_time(target, "next_probe"), until));
    table_cell(&table, TEXT_PLAIN, "%" PRIu64 " of %" PRIu64,
               member_num(target, "connections"),
               member_num(target, "connections_max"));
    table_cell(&table, TEXT_PLAIN, "%" PRIu64, member_num(target, "delivered"));
    table_cell(&table, TEXT_PLAIN, "%s",
               member_until(member_time(drain, "eta"), done));
    table_cell(&table, TEXT_PLAIN, "%" PRIu64, member_num(target, "deferred"));
    target_hosts(target);
    if (!up)
        table_note(&table, member_text(target, "reason"));
    table_row_end(&table);
}

static void
target_end(const json_t *done, bool whole)
{
    (void)done;
    if (begun)
        table_end(&table);
    else if (whole && text_on_terminal())
        printf("No targets.\n");
}

const struct show show_target_list = {.row = target_row, .end = target_end};

static void
target_retry_row(const json_t *row)
{
    (void)row;
    if (text_on_terminal())
        printf("The target is probed now if it is down.\n");
}

const struct show show_target_retry = {.row = target_retry_row};

static void
target_pause_row(const json_t *row)
{
    char until[MEMBER_TEXT_MAX];

    if (!text_on_terminal())
        return;
    printf("Nothing more is given to it; mail goes on being accepted. ");
    if (member_time(row, "until") != 0)
        printf("It goes on %s.\n",
               member_until(member_time(row, "until"), until));
    else
        printf("It goes on with \"spoolctl target resume\".\n");
}

const struct show show_target_pause = {.row = target_pause_row};

static void
target_resume_row(const json_t *row)
{
    (void)row;
    if (text_on_terminal())
        printf("The target gets one message first, then more.\n");
}

const struct show show_target_resume = {.row = target_resume_row};

/* --- status -------------------------------------------------------------- */

static void
status_mail(const json_t *status)
{
    if (member_is(status, "accepting"))
        text_paragraph("Mail in", LABEL, TEXT_PLAIN, "accepted");
    else
        text_paragraph("Mail in", LABEL, TEXT_TROUBLE, "REFUSED: %s",
                       member_text(status, "accepting_why"));
}

static void
status_held(const json_t *status)
{
    const json_t *held = json_object_get(status, "held");
    uint64_t messages = member_num(held, "messages");
    uint64_t ready = member_num(held, "ready");
    uint64_t later = member_num(held, "later");
    char count[MEMBER_TEXT_MAX], when[MEMBER_TEXT_MAX], size[MEMBER_TEXT_MAX];

    if (messages == 0) {
        text_paragraph("Spool", LABEL, TEXT_PLAIN, "nothing held");
        return;
    }
    text_paragraph("Spool", LABEL, TEXT_PLAIN, "%s held, %s on disk; oldest %s",
                   member_count(messages, "message", count),
                   member_size(member_num(held, "bytes"), size),
                   member_when(member_time(held, "oldest"), when));
    text_paragraph("", LABEL, TEXT_PLAIN,
                   "%s ready, %" PRIu64 " waiting for a later try",
                   member_count(ready, "delivery", count), later);
    if (member_num(held, "on_hold") > 0)
        text_paragraph(
            "", LABEL, TEXT_PLAIN, "%s on hold: spoolctl release",
            member_count(member_num(held, "on_hold"), "delivery", count));
    if (member_num(held, "unknown") > 0)
        text_paragraph(
            "", LABEL, TEXT_PLAIN,
            "%s may have arrived already: spoolctl list state:unknown",
            member_count(member_num(held, "unknown"), "delivery", count));
}

static void
status_space(const json_t *status)
{
    const json_t *space = json_object_get(status, "space");
    char free_text[MEMBER_TEXT_MAX], reserve[MEMBER_TEXT_MAX];
    char file[MEMBER_TEXT_MAX], used[MEMBER_TEXT_MAX];
    bool full = member_is(space, "full");
    const json_t *domain;
    size_t i;

    text_paragraph("Disk", LABEL, full ? TEXT_TROUBLE : TEXT_PLAIN,
                   "%s free%s, %s of it kept in reserve",
                   member_size(member_num(space, "free"), free_text),
                   full ? ": TOO LITTLE" : "",
                   member_size(member_num(space, "reserve"), reserve));
    if (member_num(space, "file") > 2 * member_num(space, "used"))
        text_paragraph("", LABEL, TEXT_PLAIN,
                       "the store's file is %s, %s of it in use",
                       member_size(member_num(space, "file"), file),
                       member_size(member_num(space, "used"), used));
    json_array_foreach (json_object_get(space, "full_domains"), i, domain)
        text_paragraph("", LABEL, TEXT_TROUBLE,
                       "%s has USED ITS SHARE: its mail is answered 452",
                       json_string_value(domain));
}

/* One line while all is well; a line for each role that died or is away. */
static void
status_roles(const json_t *status)
{
    const json_t *role;
    struct buf well = {0};
    char since[MEMBER_TEXT_MAX];
    size_t i;

    json_array_foreach (json_object_get(status, "roles"), i, role)
        if (member_num(role, "pid") != 0 && member_num(role, "restarts") == 0)
            buf_addf(&well, "%s%s", well.len > 0 ? ", " : "",
                     member_text(role, "role"));
    if (well.len > 0)
        text_paragraph("Roles", LABEL, TEXT_PLAIN, "%.*s running",
                       (int)well.len, well.data);
    json_array_foreach (json_object_get(status, "roles"), i, role) {
        uint64_t restarts = member_num(role, "restarts");
        int64_t since_ms = member_time(role, "since");
        const char *name = member_text(role, "role");

        if (member_num(role, "pid") == 0)
            text_paragraph("", LABEL, TEXT_TROUBLE,
                           "%s is NOT running, last started %s", name,
                           member_when(since_ms, since));
        else if (restarts > 0)
            text_paragraph("", LABEL, TEXT_TROUBLE,
                           "%s died %" PRIu64 " time%s, last started %s", name,
                           restarts, restarts == 1 ? "" : "s",
                           member_when(since_ms, since));
    }
    buf_free(&well);
}

static void
status_counters(const json_t *status)
{
    const json_t *counters = json_object_get(status, "counters");
    uint64_t unknown = member_num(counters, "unknown");

    text_paragraph(
        "Since start", LABEL + 2, TEXT_PLAIN,
        "%" PRIu64 " accepted, %" PRIu64 " delivered, %" PRIu64
        " deferred, %" PRIu64 " returned, %" PRIu64 " refused",
        member_num(counters, "accepted"), member_num(counters, "delivered"),
        member_num(counters, "deferred"), member_num(counters, "returned"),
        member_num(counters, "refused"));
    if (member_num(counters, "dropped") > 0)
        text_paragraph("", LABEL + 2, TEXT_PLAIN,
                       "%" PRIu64 " failed and nobody was told: spoolctl list "
                       "state:dropped",
                       member_num(counters, "dropped"));
    if (unknown > 0)
        text_paragraph("", LABEL + 2, TEXT_PLAIN,
                       "%" PRIu64 " may have been delivered twice: the target "
                       "did not answer the final dot",
                       unknown);
}

static void
status_alarm(const json_t *alarm)
{
    const char *target = member_text(alarm, "target");
    char since[MEMBER_TEXT_MAX], count[MEMBER_TEXT_MAX];

    member_when(member_time(alarm, "since"), since);
    if (strcmp(member_text(alarm, "alarm"), "guard") == 0)
        text_paragraph("ALARM", LABEL, TEXT_TROUBLE,
                       "%s was paused by its guard %s, and nothing was "
                       "returned: %s. When it is well: spoolctl target resume",
                       target, since, member_text(alarm, "reason"));
    else
        text_paragraph(
            "ALARM", LABEL, TEXT_TROUBLE,
            "%s for %s that it keeps refusing for now near the end of their "
            "hold-for, since %s: events \"expiring\", spoolctl why",
            member_count(member_num(alarm, "deliveries"), "delivery", count),
            target, since);
}

static void
status_alarms(const json_t *status)
{
    const json_t *alarm;
    size_t i;

    json_array_foreach (json_object_get(status, "alarms"), i, alarm)
        status_alarm(alarm);
}

static void
status_heading(const json_t *status)
{
    char now[WHEN_TEXT_MAX], up[WHEN_TEXT_MAX];

    text_paragraph("", 0, TEXT_HEADING, "%s  spoold %s  up %s  %s",
                   member_text(status, "hostname"),
                   member_text(status, "version"),
                   when_print_age((int64_t)member_num(status, "uptime_ms"), up),
                   when_print(clock_wall_ms(), now));
}

static void
status_row(const json_t *status)
{
    const json_t *item;
    char count[MEMBER_TEXT_MAX];
    size_t i;

    status_heading(status);
    status_alarms(status);
    status_mail(status);
    status_held(status);
    if (member_num(status, "finished") > 0)
        text_paragraph(
            "Finished", LABEL, TEXT_PLAIN, "%s still kept",
            member_count(member_num(status, "finished"), "message", count));
    status_space(status);
    status_roles(status);
    json_array_foreach (json_object_get(status, "notes"), i, item)
        text_paragraph(i == 0 ? "Unknown" : "", LABEL, TEXT_TROUBLE, "%s",
                       json_string_value(item));
    printf("\n");
    json_array_foreach (json_object_get(status, "targets"), i, item)
        target_row(item);
    if (begun && table_end(&table))
        printf("\n");
    status_counters(status);
}

const struct show show_status = {.row = status_row};

/* --- retry --------------------------------------------------------------- */

static uint64_t retried;

static void
retry_row(const json_t *row)
{
    retried = member_num(row, "retried");
}

static void
retry_end(const json_t *done, bool whole)
{
    char count[MEMBER_TEXT_MAX], ready[MEMBER_TEXT_MAX];

    (void)whole;
    if (member_num(done, "messages") == 0) /* the error says why */
        return;
    member_count(member_num(done, "messages"), "message", count);
    if (retried > 0)
        printf("%s: %s made ready", count,
               member_count(retried, "delivery", ready));
    else
        printf("%s: ready already", count);
    if (member_num(done, "probed") > 0)
        printf(", %s told to try now",
               member_count(member_num(done, "probed"), "target", count));
    printf("\n");
}

const struct show show_retry = {.row = retry_row, .end = retry_end};

/* --- events -------------------------------------------------------------- */

static bool
is_trouble(const char *event)
{
    static const char *const troubles[] = {
        "role-died", "target-down", "space-low", "returned",
        "expired",   "dropped",     "guard",     "expiring",
    };

    for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++)
        if (strcmp(event, troubles[i]) == 0)
            return true;
    return false;
}

static void
add_field(const char *name, const char *value, struct buf *line)
{
    struct buf clean = {0};
    bool quote;

    text_clean(view_of(value), &clean);
    quote = clean.len == 0 || memchr(clean.data, ' ', clean.len) != NULL;
    buf_addf(line, " %s=%s", name, quote ? "\"" : "");
    buf_add_view(line, buf_view(&clean));
    if (quote)
        buf_add_byte(line, '"');
    buf_free(&clean);
}

/* Is this part of the row in the line already, or known without it? Whose
 * event it is matters only where the event is about a role. */
static bool
is_said(const char *event, const char *name)
{
    if (strcmp(name, "role") == 0)
        return strncmp(event, "role-", 5) != 0;
    return strcmp(name, "time") == 0 || strcmp(name, "event") == 0;
}

static void
event_row(const json_t *row)
{
    const char *event = member_text(row, "event");
    char time[WHEN_TEXT_MAX];
    struct buf line = {0};
    const char *name;
    json_t *value;

    buf_addf(&line, "%s ", when_print_time(member_time(row, "time"), time));
    if (is_trouble(event))
        text_look(TEXT_TROUBLE, &line);
    text_clean(view_of(event), &line);
    if (is_trouble(event))
        text_look(TEXT_PLAIN, &line);
    json_object_foreach ((json_t *)(uintptr_t)row, name, value)
        if (!is_said(event, name))
            add_field(name, json_string_value(value), &line);
    printf("%.*s\n", (int)line.len, line.data);
    fflush(stdout);
    buf_free(&line);
}

const struct show show_events = {.row = event_row};
