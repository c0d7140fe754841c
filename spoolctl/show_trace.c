/* SPDX-License-Identifier: ISC */
/*
 * trace: the history of one message as a table, oldest first.
 */
#include "spoolctl.h"

#include <inttypes.h>
#include <stdio.h>

#include "table.h"
#include "when.h"

static const struct table_column trace_columns[] = {
    {"TIME", false, 0, 0},  {"ENTRY", true, 0, 110},
    {"EVENT", false, 0, 0}, {"RECIPIENT", false, 12, 0},
    {"TEXT", false, 20, 0},
};
#define TRACE_COLUMNS (sizeof(trace_columns) / sizeof(trace_columns[0]))

static struct table table;
static bool begun;

/* due and retried repeat the reply of the entry before. */
static bool
repeats(const char *event)
{
    return strcmp(event, "due") == 0 || strcmp(event, "retried") == 0;
}

/* What the operator did keeps the code of the last reply beside his words. */
static bool
has_reply(const json_t *row)
{
    return *member_text(row, "by") == '\0' && member_num(row, "code") != 0;
}

/* Replies have a code; for the rest it counts something. */
static void
trace_text(const json_t *row, struct buf *text)
{
    const char *event = member_text(row, "event");
    const char *by = member_text(row, "by");
    uint64_t code = member_num(row, "code");
    bool of_message = json_is_null(json_object_get(row, "n"));
    char count[MEMBER_TEXT_MAX];

    if (of_message &&
        (strcmp(event, "accepted") == 0 || strcmp(event, "carried") == 0))
        buf_addf(text, "from <%s> for %s", member_text(row, "text"),
                 member_count(code, "recipient", count));
    else if (of_message && strcmp(event, "erased") == 0)
        buf_addf(text, "%s open; %s", member_count(code, "delivery", count),
                 member_text(row, "text"));
    else if (has_reply(row) && !repeats(event))
        buf_addf(text, "%" PRIu64 " %s", code, member_text(row, "text"));
    else if (!repeats(event))
        buf_add_text(text, member_text(row, "text"));
    if (*by != '\0')
        buf_addf(text, "%sby %s", text->len > 0 ? ", " : "", by);
}

static void
trace_recipient(const json_t *row)
{
    const char *address = member_text(row, "recipient");

    if (json_is_null(json_object_get(row, "n")))
        table_cell(&table, TEXT_PLAIN, "-");
    else if (*address != '\0')
        table_cell(&table, TEXT_PLAIN, "%s", address);
    else
        table_cell(&table, TEXT_PLAIN, "no. %" PRIu64,
                   member_num(row, "n") + 1);
}

static void
trace_row(const json_t *row)
{
    char date[WHEN_TEXT_MAX], clock[WHEN_TEXT_MAX];
    int64_t time_ms = member_time(row, "time");
    struct buf text = {0};

    if (!begun)
        table_begin(&table, trace_columns, TRACE_COLUMNS);
    begun = true;
    trace_text(row, &text);
    when_print(time_ms, date);
    table_cell(&table, TEXT_PLAIN, "%.10s %s", date,
               when_print_time(time_ms, clock));
    table_cell(&table, TEXT_PLAIN, "%" PRIu64, member_num(row, "entry"));
    table_cell(&table, TEXT_PLAIN, "%s", member_text(row, "event"));
    trace_recipient(row);
    table_cell(&table, TEXT_PLAIN, "%.*s", (int)text.len,
               text.len > 0 ? text.data : "");
    table_row_end(&table);
    buf_free(&text);
}

static void
trace_end(const json_t *done, bool whole)
{
    (void)done;
    (void)whole;
    if (begun)
        table_end(&table);
}

const struct show show_trace = {.row = trace_row, .end = trace_end};
