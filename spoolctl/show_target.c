/* SPDX-License-Identifier: ISC */
/* target show and target set for people. */
#include "spoolctl.h"

#include <inttypes.h>
#include <stdio.h>

#include "num.h"
#include "text.h"
#include "when.h"

#define LABEL 15

static void line(const char *name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
line(const char *name, const char *format, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    text_paragraph(name, LABEL, TEXT_PLAIN, "%s", text);
}

static void
show_state(const json_t *row)
{
    const char *state = member_text(row, "state");
    char when[MEMBER_TEXT_MAX], until[MEMBER_TEXT_MAX];
    bool up = strcmp(state, "up") == 0;

    text_paragraph("State", LABEL, up ? TEXT_PLAIN : TEXT_TROUBLE,
                   "%s since %s", state,
                   member_when(member_time(row, "since"), when));
    if (!up && *member_text(row, "reason") != '\0')
        line("Why", "%s", member_text(row, "reason"));
    if (member_time(row, "next_probe") != 0)
        line("Next probe", "%s",
             member_until(member_time(row, "next_probe"), until));
}

static void
show_words(const char *name, const json_t *words)
{
    struct buf out = {0};
    const json_t *word;
    size_t i;

    json_array_foreach (words, i, word)
        buf_addf(&out, "%s%s", i > 0 ? " " : "", json_string_value(word));
    text_paragraph(name, LABEL, TEXT_PLAIN, "%.*s", (int)out.len,
                   out.data != NULL ? out.data : "");
    buf_free(&out);
}

static void
show_counts(const json_t *row)
{
    const json_t *waiting = json_object_get(row, "waiting");
    char messages[MEMBER_TEXT_MAX], deliveries[MEMBER_TEXT_MAX];

    line("Sessions", "%" PRIu64 " of %" PRIu64, member_num(row, "connections"),
         member_num(row, "connections_max"));
    line("Ready", "%s%s, %s", member_is(waiting, "more") ? "more than " : "",
         member_count(member_num(waiting, "messages"), "message", messages),
         member_count(member_num(waiting, "deliveries"), "delivery",
                      deliveries));
    line("Since start", "%" PRIu64 " delivered, %" PRIu64 " put off",
         member_num(row, "delivered"), member_num(row, "deferred"));
}

/* "198.3 messages a second out, 20.1 in; 12034 left, gone in 1m" */
static void
show_drain(const json_t *row)
{
    const json_t *drain = json_object_get(row, "drain");
    int64_t eta_ms = member_time(drain, "eta");
    char until[MEMBER_TEXT_MAX];

    if (member_num(drain, "left") == 0)
        return;
    line("Drain", "%.1f messages a second out, %.1f in; %" PRIu64 " left%s%s",
         json_real_value(json_object_get(drain, "out")),
         json_real_value(json_object_get(drain, "in")),
         member_num(drain, "left"), eta_ms != 0 ? ", gone " : "",
         eta_ms != 0 ? member_until(eta_ms, until) : "");
}

/* "connections 4 (20 configured), for 2h more, by root" */
static void
show_limit(const json_t *one, const json_t *configuration)
{
    const char *name = member_text(one, "limit");
    const char *by = member_text(one, "by");
    char until[MEMBER_TEXT_MAX];

    line("Set", "%s = %" PRIu64 " instead of %s, %s%s%s%s", name,
         member_num(one, "value"), member_text(configuration, name),
         member_time(one, "until") != 0 ? "ends " : "until it is taken back",
         member_time(one, "until") != 0
             ? member_until(member_time(one, "until"), until)
             : "",
         *by != '\0' ? ", by " : "", by);
}

static void
target_row(const json_t *row)
{
    json_t *configuration = json_object_get(row, "configuration");
    const json_t *one;
    const char *name;
    json_t *value;
    size_t i;

    line("Target", "%s", member_text(row, "name"));
    show_state(row);
    if (strcmp(member_text(row, "guard"), "none") != 0)
        line("Guard", "%s",
             strcmp(member_text(row, "guard"), "trusts") == 0
                 ? "trusts it: what it refuses goes back"
                 : "watches it: what it refuses for good is "
                   "kept back");
    show_words("Hosts", json_object_get(row, "hosts"));
    if (*member_text(row, "tls") != '\0')
        line("TLS", "%s", member_text(row, "tls"));
    show_words("Domains", json_object_get(row, "domains"));
    show_counts(row);
    show_drain(row);
    json_array_foreach (json_object_get(row, "limits"), i, one)
        show_limit(one, configuration);
    printf("\n");
    json_object_foreach (configuration, name, value)
        printf("    %-24s = %s\n", name, json_string_value(value));
}

const struct show show_target_show = {.row = target_row};

static void
set_row(const json_t *row)
{
    const json_t *one;
    size_t i;

    json_array_foreach (json_object_get(row, "limits"), i, one) {
        char until[WHEN_TEXT_MAX];
        int64_t until_ms = member_time(one, "until");

        printf("Target %s: %s is %" PRIu64 " now, %s%s.\n",
               member_text(row, "target"), member_text(one, "limit"),
               member_num(one, "value"),
               member_is(one, "default") ? "as configured"
               : until_ms != 0           ? "until "
                                         : "until it is taken back",
               until_ms != 0 ? when_print(until_ms, until) : "");
    }
}

const struct show show_target_set = {.row = set_row};
