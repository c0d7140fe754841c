/* SPDX-License-Identifier: ISC */
/*
 * why: all that is known of why a message is still here, or what became of
 * it, put together from its rows, the ledger, the configuration and what
 * replay knows of the targets. spoolctl makes sentences of it.
 *
 * Before: control_client.c (step by step)
 * After:  control_trace.c (the trail), replay.c (TARGETS)
 */
#include "control.h"

#include <inttypes.h>
#include <stdlib.h>

#include "clock.h"
#include "event.h"
#include "ledger_balance.h"
#include "mem.h"
#include "msgid.h"

/* What the ledger last said of a delivery or of the message. */
struct said {
    uint64_t event; /* 0: nothing */
    uint64_t when_ms;
    uint64_t code;
    char *text;
    char *by;
};

struct reasons {
    struct control_trail trail;
    struct said *said; /* by delivery */
    size_t n_said;
    struct said accepted, removed, damaged;
    struct db_message message;
    int found; /* as of db_read_message */
    struct why damage;
    json_t *targets; /* by name; NULL: replay is away */
};

static void why_step(struct control_client *client);

static void
said_free(struct said *said)
{
    free(said->text);
    free(said->by);
}

static void
reasons_free(void *work)
{
    struct reasons *reasons = work;

    for (size_t i = 0; i < reasons->n_said; i++)
        said_free(&reasons->said[i]);
    said_free(&reasons->accepted);
    said_free(&reasons->removed);
    said_free(&reasons->damaged);
    free(reasons->said);
    if (reasons->found == 1)
        db_message_free(&reasons->message);
    json_decref(reasons->targets);
    free(reasons);
}

/* --- the ledger ------------------------------------------------------------
 */

static void
said_set(struct said *said, const struct ledger_entry *entry)
{
    said_free(said);
    *said = (struct said){
        .event = entry->event,
        .when_ms = entry->when_ms,
        .code = entry->code,
        .text = mem_copy(entry->text.data, entry->text.len),
        .by = mem_copy(entry->by.data, entry->by.len),
    };
}

static void
said_add(struct reasons *reasons, const struct ledger_entry *entry)
{
    size_t n = (size_t)entry->n, had = reasons->n_said;

    if (n > LEDGER_DELIVERIES_MAX)
        return;
    if (n > had) {
        reasons->said = mem_grow(reasons->said, n, sizeof(*reasons->said));
        memset(reasons->said + had, 0, (n - had) * sizeof(*reasons->said));
        reasons->n_said = n;
    }
    said_set(&reasons->said[n - 1], entry);
}

static void
why_entry(void *arg, uint64_t seq, const struct ledger_entry *entry)
{
    struct reasons *reasons = arg;

    (void)seq;
    switch (entry->event) {
    case EVENT_ACCEPTED:
        said_set(&reasons->accepted, entry);
        break;
    case EVENT_CARRIED:
        if (entry->n == 0 && reasons->accepted.event == 0)
            said_set(&reasons->accepted, entry);
        break;
    case EVENT_PURGED:
    case EVENT_ERASED:
        said_set(&reasons->removed, entry);
        break;
    case EVENT_DAMAGED:
        said_set(&reasons->damaged, entry);
        break;
    default:
        if (entry->n != 0)
            said_add(reasons, entry);
    }
}

/* --- the answer ------------------------------------------------------------
 */

static json_t *
json_num(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *
json_said(const struct said *said)
{
    json_t *json;

    if (said == NULL || said->event == 0)
        return json_null();
    json = json_object();
    json_object_set_new(json, "event", json_string(event_verb(said->event)));
    json_object_set_new(json, "time", control_json_time(said->when_ms));
    json_object_set_new(json, "code", json_num(said->code));
    json_object_set_new(json, "text", control_json_text(view_of(said->text)));
    json_object_set_new(json, "by", control_json_text(view_of(said->by)));
    return json;
}

/* How much of hold-for has gone: reachable time of the target since then. */
static void
set_clock(json_t *json, const struct delivery *delivery, const json_t *target)
{
    const struct conf_domain *domain = conf_domain_for(
        control_state.conf, delivery->recipient, delivery->target);
    const json_t *reach = json_object_get(target, "reachable_ms");
    uint64_t now_ms = (uint64_t)json_integer_value(reach);
    uint64_t used_ms = delivery->spent_ms;

    if (domain == NULL || reach == NULL || !delivery_is_open(delivery->state))
        return;
    if (now_ms > delivery->reach_ms)
        used_ms += now_ms - delivery->reach_ms;
    json_object_set_new(json, "hold_for_ms", json_num(domain->hold_for_ms));
    json_object_set_new(json, "used_ms", json_num(used_ms));
    json_object_set_new(json, "left_ms",
                        json_num(domain->hold_for_ms > used_ms
                                     ? domain->hold_for_ms - used_ms
                                     : 0));
}

static json_t *
json_recipient(const struct reasons *reasons, const struct db_delivery *row,
               const json_t *shown)
{
    const struct delivery *delivery = &row->delivery;
    json_t *json = json_copy((json_t *)(uintptr_t)shown);
    const char *name = json_string_value(json_object_get(shown, "target"));
    json_t *target = json_object_get(reasons->targets, name);

    json_object_set_new(
        json, "said",
        json_said(row->n < reasons->n_said ? &reasons->said[row->n] : NULL));
    set_clock(json, delivery, target);
    if (target != NULL)
        json_object_set(json, "target_now", target);
    return json;
}

/* Recipients of a message that is gone: numbers, and how they ended. */
static json_t *
json_gone(const struct reasons *reasons)
{
    json_t *recipients = json_array();

    for (size_t i = 0; i < reasons->n_said; i++) {
        json_t *json = json_object();

        json_object_set_new(json, "n", json_num(i));
        json_object_set_new(json, "address", json_null());
        json_object_set_new(json, "said", json_said(&reasons->said[i]));
        json_array_append_new(recipients, json);
    }
    return recipients;
}

static json_t *
json_present(const struct reasons *reasons, const json_t *message)
{
    const json_t *shown = json_object_get(message, "recipients");
    json_t *recipients = json_array();

    for (size_t i = 0; i < reasons->message.n_deliveries; i++)
        json_array_append_new(
            recipients, json_recipient(reasons, &reasons->message.deliveries[i],
                                       json_array_get(shown, i)));
    return recipients;
}

static const char *
state_of(const struct reasons *reasons)
{
    if (reasons->found < 0)
        return "damaged";
    if (reasons->found == 0)
        return "gone";
    return reasons->message.message.finished_ms == 0 ? "held" : "finished";
}

static json_t *
json_reasons(const struct reasons *reasons)
{
    char id[MSGID_TEXT_MAX];
    json_t *json = reasons->found == 1 ? control_json_message(&reasons->message)
                                       : json_object();

    json_object_set_new(json, "recipients",
                        reasons->found == 1 ? json_present(reasons, json)
                                            : json_gone(reasons));
    json_object_set_new(json, "id",
                        json_string(msgid_print(reasons->trail.id, id)));
    json_object_set_new(json, "state", json_string(state_of(reasons)));
    json_object_set_new(json, "accepted", json_said(&reasons->accepted));
    json_object_set_new(json, "removed", json_said(&reasons->removed));
    json_object_set_new(json, "unreadable", json_said(&reasons->damaged));
    json_object_set_new(json, "damage",
                        reasons->found < 0
                            ? control_json_text(view_of(reasons->damage.text))
                            : json_null());
    json_object_set_new(json, "kept_until",
                        control_json_time(reasons->message.message.purge_ms));
    json_object_set_new(json, "replaying",
                        json_boolean(reasons->targets != NULL));
    return json;
}

static void
why_end(struct control_client *client)
{
    struct reasons *reasons = client->work;
    char id[MSGID_TEXT_MAX];

    if (reasons->found == 0 && reasons->trail.told == 0) {
        control_fail(client,
                     "there is no message %s, and the ledger has no entry of "
                     "it",
                     msgid_print(reasons->trail.id, id));
        return;
    }
    control_row(client, json_reasons(reasons));
    control_done(client);
}

/* --- steps -----------------------------------------------------------------
 */

static void
why_on_targets(struct control_client *client, struct peer_message *answer,
               const struct why *why)
{
    struct reasons *reasons = client->work;
    const struct proto_targets *targets;

    (void)why;
    if (answer != NULL) {
        targets = answer->payload;
        reasons->targets = json_object();
        for (size_t i = 0; i < targets->targets.count; i++) {
            json_t *target = control_json_target(
                (const struct proto_target_now *)targets->targets.items + i);

            json_object_set_new(
                reasons->targets,
                json_string_value(json_object_get(target, "name")), target);
        }
    }
    why_end(client);
}

static void
why_step(struct control_client *client)
{
    struct reasons *reasons = client->work;
    struct proto_none none = {0};
    struct why why;
    struct db *db = control_db(&why);
    int more = db != NULL ? control_trail_step(&reasons->trail, db, &why) : -1;

    if (more > 0) {
        control_continue(client, why_step);
        return;
    }
    /* Read last: the row is to be as new as what replay says. */
    if (more == 0)
        reasons->found = db_read_message(db, reasons->trail.id,
                                         &reasons->message, &reasons->damage);
    if (more < 0)
        control_fail(client, "%s", why.text);
    else if (reasons->found == 1 && reasons->message.message.finished_ms == 0)
        control_ask(client, ROLE_REPLAY, PROTO_TARGETS, &none,
                    CONTROL_ANSWER_MS, why_on_targets);
    else
        why_end(client);
}

void
control_why(struct control_client *client)
{
    struct reasons *reasons;
    uint64_t id;

    if (control_read_id(client, &id) != 0)
        return;
    reasons = mem_alloc(sizeof(*reasons));
    client->work = reasons;
    client->work_free = reasons_free;
    control_trail_begin(&reasons->trail, id, why_entry, reasons);
    why_step(client);
}
