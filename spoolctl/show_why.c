/* SPDX-License-Identifier: ISC */
/*
 * why, in sentences for a person who was woken: what is going on, since when,
 * what happens by itself, what can be done.
 */
#include "spoolctl.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "text.h"
#include "when.h"

#define CLOCK_FINE_MS  60000 /* less of hold-for is nothing */
#define RECIPIENTS_MAX 20    /* told one by one; show has them all */

/* --- words -----------------------------------------------------------------
 */

/* " in 12m" or " now", for "it is tried again%s". */
static const char *
in_when(int64_t wall_ms, char text[MEMBER_TEXT_MAX])
{
    char until[MEMBER_TEXT_MAX];

    if (wall_ms == 0)
        return "";
    snprintf(text, MEMBER_TEXT_MAX, " %s", member_until(wall_ms, until));
    return text;
}

static const char *
age_of(uint64_t ms, char text[WHEN_TEXT_MAX])
{
    return when_print_age((int64_t)ms, text);
}

/* The target's last words: "451 4.3.0 later" in quotes, appended. */
static void
add_reply(struct buf *out, const char *before, uint64_t code, const char *reply)
{
    if (code != 0)
        buf_addf(out, "%s\"%" PRIu64 " %s\"", before, code, reply);
    else if (*reply != '\0')
        buf_addf(out, "%s\"%s\"", before, reply);
}

static void
add_attempts(struct buf *out, const json_t *one)
{
    uint64_t attempts = member_num(one, "attempts");
    char count[MEMBER_TEXT_MAX];

    if (attempts == 0)
        return;
    buf_addf(out, " %s so far", member_count(attempts, "attempt", count));
    add_reply(out, "; at the last one the target said ",
              member_num(one, "code"), member_text(one, "reply"));
    buf_add_text(out, ".");
}

/* --- why it is still here --------------------------------------------------
 */

static void
tell_target(struct buf *out, const json_t *one, const json_t *target)
{
    const char *name = member_text(one, "target");
    const char *state = member_text(target, "state");
    char when[MEMBER_TEXT_MAX], in[MEMBER_TEXT_MAX];

    if (target == NULL)
        buf_addf(out,
                 "is ready for target %s, of which nothing is known: it is not "
                 "in the configuration, or replay is not running.",
                 name);
    else if (strcmp(state, "down") == 0)
        buf_addf(out,
                 "waits for target %s, which has been down since %s: %s. It is "
                 "probed%s; once it answers, this is delivered by itself.",
                 name, member_when(member_time(target, "since"), when),
                 member_text(target, "reason"),
                 in_when(member_time(target, "next_probe"), in));
    else if (strcmp(state, "returning") == 0)
        buf_addf(out,
                 "waits for its turn: target %s has just come back and gets "
                 "one message at a time until it accepts one.",
                 name);
    else
        buf_addf(out,
                 "is ready and waits for its turn: target %s is up, with "
                 "%" PRIu64 " of %" PRIu64 " sessions open and %" PRIu64
                 " deliveries ready.",
                 name, member_num(target, "connections"),
                 member_num(target, "connections_max"),
                 member_num(target, "ready"));
    add_attempts(out, one);
}

static void
tell_later(struct buf *out, const json_t *one, const json_t *target)
{
    char when[MEMBER_TEXT_MAX], in[MEMBER_TEXT_MAX], count[MEMBER_TEXT_MAX];

    buf_addf(out, "was put off %s",
             member_when(member_time(one, "changed"), when));
    add_reply(out, ": the target said ", member_num(one, "code"),
              member_text(one, "reply"));
    buf_addf(out, ". It is tried again%s, after %s so far",
             in_when(member_time(one, "next"), in),
             member_count(member_num(one, "attempts"), "attempt", count));
    if (strcmp(member_text(target, "state"), "down") == 0)
        buf_addf(out, "; but target %s is down now: %s",
                 member_text(one, "target"), member_text(target, "reason"));
    buf_add_text(out, ".");
}

static void
tell_unknown(struct buf *out, const json_t *one)
{
    char when[MEMBER_TEXT_MAX], in[MEMBER_TEXT_MAX];

    buf_addf(out,
             "may have been delivered already: %s target %s had the whole "
             "message, and its answer never came",
             member_when(member_time(one, "changed"), when),
             member_text(one, "target"));
    add_reply(out, ": ", 0, member_text(one, "reply"));
    buf_addf(out,
             ". It is tried again%s, and may then arrive twice. If the "
             "target's log says that it was taken: spoolctl discard.",
             in_when(member_time(one, "next"), in));
}

static void
tell_held(struct buf *out, const json_t *one)
{
    const json_t *said = json_object_get(one, "said");
    const char *by = member_text(said, "by");
    const char *reason = member_text(said, "text");
    char when[MEMBER_TEXT_MAX];

    buf_addf(out, "is held back by %s since %s",
             *by != '\0' ? by : "the operator",
             member_when(member_time(one, "changed"), when));
    if (*reason != '\0')
        buf_addf(out, ": \"%s\"", reason);
    buf_add_text(out, ". It stays until somebody releases or discards it.");
}

/* How much of hold-for is left. */
static void
tell_clock(struct buf *out, const json_t *one)
{
    char all[WHEN_TEXT_MAX], used[WHEN_TEXT_MAX], left[WHEN_TEXT_MAX];
    uint64_t left_ms = member_num(one, "left_ms");

    if (json_object_get(one, "hold_for_ms") == NULL)
        return;
    age_of(member_num(one, "hold_for_ms"), all);
    age_of(member_num(one, "used_ms"), used);
    if (member_num(one, "used_ms") < CLOCK_FINE_MS)
        buf_addf(out,
                 " It may be tried for %s while the target is reachable; none "
                 "of that has gone yet.",
                 all);
    else if (left_ms > 0)
        buf_addf(out,
                 " Of the %s it may be tried while the target is reachable, %s "
                 "are gone and %s are left.",
                 all, used, age_of(left_ms, left));
    else
        buf_addf(out,
                 " The %s it may be tried while the target is reachable are "
                 "over: the next attempt that fails returns it.",
                 all);
}

/* --- what became of it -----------------------------------------------------
 */

static const struct {
    const char *event;
    const char *text;
} ends[] = {
    {"delivered", "was delivered"},
    {"returned", "was refused for good; the sender was told"},
    {"expired", "was tried for as long as hold-for says, without success; the "
                "sender was told"},
    {"dropped", "failed, and nobody was told"},
    {"discarded", "was discarded"},
};

/* event is a state of a delivery or the verb of its last entry. */
static void
tell_end(struct buf *out, const char *event, const json_t *said)
{
    const char *by = member_text(said, "by");
    const char *text = member_text(said, "text");
    const char *words = NULL;
    char when[MEMBER_TEXT_MAX];

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (strcmp(ends[i].event, event) == 0)
            words = ends[i].text;
    if (words != NULL)
        buf_add_text(out, words);
    else
        buf_addf(out, "was last heard of as %s", event);
    if (*by != '\0')
        buf_addf(out, " by %s", by);
    if (member_time(said, "time") != 0)
        buf_addf(out, ", %s", member_when(member_time(said, "time"), when));
    if (*by != '\0' && *text != '\0')
        buf_addf(out, ": \"%s\"", text);
    else if (*by == '\0')
        add_reply(out, "; the target said ", member_num(said, "code"), text);
    buf_add_text(out, ".");
}

/* --- recipients ------------------------------------------------------------
 */

static void
tell_recipient(const json_t *one)
{
    const json_t *target = json_object_get(one, "target_now");
    const json_t *said = json_object_get(one, "said");
    const char *state = member_text(one, "state");
    const char *address = member_text(one, "address");
    bool open = true;
    struct buf out = {0};

    if (*address != '\0')
        buf_addf(&out, "<%s> ", address);
    else
        buf_addf(&out, "Recipient %" PRIu64 " ", member_num(one, "n") + 1);
    if (strcmp(state, "ready") == 0)
        tell_target(&out, one, target);
    else if (strcmp(state, "later") == 0)
        tell_later(&out, one, target);
    else if (strcmp(state, "unknown") == 0)
        tell_unknown(&out, one);
    else if (strcmp(state, "on-hold") == 0)
        tell_held(&out, one);
    else
        open = false;
    if (open && *member_text(one, "home") != '\0')
        buf_addf(&out,
                 " It was redirected from %s; home again: spoolctl redirect "
                 "--home.",
                 member_text(one, "home"));
    if (open)
        tell_clock(&out, one);
    else
        tell_end(&out, *state != '\0' ? state : member_text(said, "event"),
                 said);
    text_paragraph("  -", 4, TEXT_PLAIN, "%.*s", (int)out.len, out.data);
    buf_free(&out);
}

/* --- the message -----------------------------------------------------------
 */

static void
tell_first(const json_t *row)
{
    const json_t *accepted = json_object_get(row, "accepted");
    const char *id = member_text(row, "id");
    const char *state = member_text(row, "state");
    char when[MEMBER_TEXT_MAX], count[MEMBER_TEXT_MAX];
    bool here = strcmp(state, "held") == 0 || strcmp(state, "finished") == 0;
    size_t n = json_array_size(json_object_get(row, "recipients"));

    if (here)
        text_paragraph("", 0, TEXT_PLAIN,
                       "Message %s from <%s> came %s, for %s.", id,
                       member_text(row, "sender"),
                       member_when(member_time(row, "arrived"), when),
                       member_count(n, "recipient", count));
    else if (json_is_object(accepted))
        text_paragraph(
            "", 0, TEXT_PLAIN, "Message %s from <%s> was accepted %s, for %s.",
            id, member_text(accepted, "text"),
            member_when(member_time(accepted, "time"), when),
            member_count(member_num(accepted, "code"), "recipient", count));
    else
        text_paragraph("", 0, TEXT_PLAIN, "Message %s.", id);
}

static void
tell_gone(const json_t *row)
{
    const json_t *removed = json_object_get(row, "removed");
    char when[MEMBER_TEXT_MAX];

    member_when(member_time(removed, "time"), when);
    if (strcmp(member_text(removed, "event"), "erased") == 0)
        text_paragraph("", 0, TEXT_PLAIN,
                       "It is gone: %s erased it %s, with the key to its "
                       "content.",
                       member_text(removed, "by"), when);
    else if (json_is_object(removed))
        text_paragraph("", 0, TEXT_PLAIN,
                       "It is gone: all its deliveries had ended, and its "
                       "content was removed %s.",
                       when);
    else
        text_paragraph("", 0, TEXT_PLAIN,
                       "It is gone; this is what the ledger says of it:");
}

static void
tell_state(const json_t *row)
{
    const char *state = member_text(row, "state");
    const json_t *unreadable = json_object_get(row, "unreadable");
    char when[MEMBER_TEXT_MAX];

    if (strcmp(state, "damaged") == 0)
        text_paragraph("", 0, TEXT_TROUBLE,
                       "Its rows in the store are damaged: %s. It is not "
                       "delivered. \"spoolctl check\" says what can be done.",
                       member_text(row, "damage"));
    else if (strcmp(state, "gone") == 0)
        tell_gone(row);
    else if (strcmp(state, "finished") == 0)
        text_paragraph("", 0, TEXT_PLAIN,
                       "All its deliveries have ended; it is kept until %s.",
                       when_print(member_time(row, "kept_until"), when));
    else if (!member_is(row, "replaying"))
        text_paragraph("", 0, TEXT_TROUBLE,
                       "The replay role is not running: nothing is delivered "
                       "until it is back. See the daemon's log.");
    if (json_is_object(unreadable) && strcmp(state, "held") == 0)
        text_paragraph("", 0, TEXT_TROUBLE,
                       "Its content could not be read %s: %s. It is not tried "
                       "until somebody retries or discards it.",
                       member_when(member_time(unreadable, "time"), when),
                       member_text(unreadable, "text"));
}

static void
why_row(const json_t *row)
{
    const json_t *recipients = json_object_get(row, "recipients");
    size_t i, n = json_array_size(recipients);
    const json_t *one;

    tell_first(row);
    tell_state(row);
    json_array_foreach (recipients, i, one)
        if (i < RECIPIENTS_MAX)
            tell_recipient(one);
    if (n > RECIPIENTS_MAX)
        text_paragraph("  -", 4, TEXT_PLAIN, "and %zu more recipients",
                       n - RECIPIENTS_MAX);
}

const struct show show_why = {.row = why_row};
