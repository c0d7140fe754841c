/* SPDX-License-Identifier: ISC */
/*
 * Rows of answers: the facts of messages, targets, roles and events as JSON
 * (spoolctl.8 lists the members; they are a promise). Strings are whatever
 * strangers sent, made valid UTF-8 and nothing else: who shows them on a
 * terminal takes care of control characters.
 */
#include "control.h"

#include "clock.h"
#include "event_line.h"
#include "msgid.h"
#include "utf8.h"

json_t *
control_json_text(struct view text)
{
    struct buf clean = {0};
    json_t *json;

    utf8_clean(text, &clean);
    json = json_stringn(clean.len > 0 ? clean.data : "", clean.len);
    buf_free(&clean);
    return json;
}

json_t *
control_json_time(uint64_t wall_ms)
{
    char text[CLOCK_TEXT_MAX];

    if (wall_ms == 0)
        return json_null();
    return json_string(clock_print_iso((int64_t)wall_ms, text));
}

static json_t *
json_num(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* --- messages ------------------------------------------------------------ */

static json_t *
json_recipient(const struct db_delivery *row, uint64_t arrived_ms)
{
    const struct delivery *delivery = &row->delivery;
    bool waits = delivery_waits(delivery->state);
    json_t *json = json_object();

    json_object_set_new(json, "n", json_num(row->n));
    json_object_set_new(json, "address",
                        control_json_text(delivery->recipient));
    json_object_set_new(json, "target", control_json_text(delivery->target));
    json_object_set_new(json, "state",
                        json_string(delivery_state_name(delivery->state)));
    json_object_set_new(json, "attempts", json_num(delivery->attempts));
    json_object_set_new(json, "changed",
                        control_json_time(delivery->changed_ms != 0
                                              ? delivery->changed_ms
                                              : arrived_ms));
    json_object_set_new(json, "next",
                        control_json_time(waits ? delivery->next_ms : 0));
    json_object_set_new(json, "code", json_num(delivery->code));
    json_object_set_new(json, "reply", control_json_text(delivery->reply));
    json_object_set_new(json, "home",
                        delivery->home.len > 0
                            ? control_json_text(delivery->home)
                            : json_null());
    json_object_set_new(json, "warned", control_json_time(delivery->warned_ms));
    json_object_set_new(json, "untold",
                        delivery->untold != 0
                            ? json_string(untold_text(delivery->untold))
                            : json_null());
    return json;
}

static const char *
origin_name(const struct message *message)
{
    switch (message->origin) {
    case ORIGIN_DSN:
        return "dsn";
    case ORIGIN_IMPORT:
        return "import";
    default:
        return "smtp";
    }
}

static void
set_facts(json_t *json, const struct message *message)
{
    char about[MSGID_TEXT_MAX];
    const struct {
        const char *name;
        struct view text;
    } texts[] = {
        {"sender", message->sender},
        {"client", message->client},
        {"helo", message->helo},
        {"protocol", message->protocol},
        {"tls", message->tls},
        {"subject", message->subject},
        {"message_id", message->message_id},
    };

    json_object_set_new(json, "arrived",
                        control_json_time(message->arrived_ms));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        json_object_set_new(json, texts[i].name,
                            control_json_text(texts[i].text));
    json_object_set_new(json, "size", json_num(message->size));
    json_object_set_new(json, "stored", json_num(message->stored));
    json_object_set_new(json, "origin", json_string(origin_name(message)));
    json_object_set_new(json, "about",
                        message->about != 0
                            ? json_string(msgid_print(message->about, about))
                            : json_null());
    json_object_set_new(json, "finished",
                        control_json_time(message->finished_ms));
}

json_t *
control_json_message(const struct db_message *message)
{
    char id[MSGID_TEXT_MAX];
    json_t *json = json_object();
    json_t *recipients = json_array();
    bool held = false;

    json_object_set_new(json, "id", json_string(msgid_print(message->id, id)));
    set_facts(json, &message->message);
    for (size_t i = 0; i < message->n_deliveries; i++) {
        const struct db_delivery *row = &message->deliveries[i];

        held = held || delivery_is_open(row->delivery.state);
        json_array_append_new(recipients,
                              json_recipient(row, message->message.arrived_ms));
    }
    json_object_set_new(json, "state", json_string(held ? "held" : "finished"));
    json_object_set_new(json, "recipients", recipients);
    return json;
}

/* --- targets and roles --------------------------------------------------- */

/* "a b, c": one text each. */
static json_t *
json_words(struct view text)
{
    json_t *json = json_array();
    size_t start = 0;

    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && text.data[i] != ' ' && text.data[i] != ',')
            continue;
        if (i > start)
            json_array_append_new(json, control_json_text((struct view){
                                            text.data + start, i - start}));
        start = i + 1;
    }
    return json;
}

/* What the operator set for a time. */
static json_t *
json_limits(struct view encoded)
{
    json_t *json = json_array();
    struct target_limits limits;
    const struct target_limit *rows;

    if (record_decode(&target_limits_record, encoded, &limits, NULL) != 0)
        return json;
    rows = limits.limits.items;
    for (size_t i = 0; i < limits.limits.count; i++)
        json_array_append_new(json,
                              json_pack("{s:s, s:o, s:o, s:o}", "limit",
                                        target_limit_name(rows[i].key), "value",
                                        json_num(rows[i].value), "until",
                                        control_json_time(rows[i].until_ms),
                                        "by", control_json_text(rows[i].by)));
    record_clear(&target_limits_record, &limits);
    return json;
}

json_t *
control_json_target(const struct proto_target_now *target)
{
    json_t *json = json_object();

    json_object_set_new(json, "name", control_json_text(target->name));
    json_object_set_new(json, "state",
                        json_string(target_state_name(target->state)));
    json_object_set_new(json, "since", control_json_time(target->since_ms));
    json_object_set_new(json, "reason", control_json_text(target->reason));
    json_object_set_new(json, "reachable_ms", json_num(target->reach_ms));
    json_object_set_new(json, "next_probe",
                        control_json_time(target->probe_ms));
    json_object_set_new(json, "connections", json_num(target->connections));
    json_object_set_new(json, "connections_max",
                        json_num(target->connections_max));
    json_object_set_new(json, "ready", json_num(target->ready));
    json_object_set_new(json, "delivered", json_num(target->delivered));
    json_object_set_new(json, "deferred", json_num(target->deferred));
    json_object_set_new(json, "hosts", json_words(target->hosts));
    json_object_set_new(json, "tls", control_json_text(target->tls));
    json_object_set_new(json, "limits", json_limits(target->limits));
    json_object_set_new(json, "paused_until",
                        control_json_time(target->pause_until_ms));
    json_object_set_new(json, "paused_by",
                        control_json_text(target->paused_by));
    json_object_set_new(json, "guard",
                        json_string(target_guard_name(target->guard)));
    json_object_set_new(json, "drain", control_eta_json(target));
    json_object_set_new(json, "bears",
                        json_pack("{s:o, s:o}", "messages_a_second",
                                  json_num(target->rate), "connections",
                                  json_num(target->window)));
    return json;
}

json_t *
control_json_roles(void)
{
    struct proto_roles roles;
    json_t *json = json_array();

    if (record_decode(&proto_roles_record, buf_view(&control_state.roles),
                      &roles, NULL) != 0)
        return json;
    for (size_t i = 0; i < roles.roles.count; i++) {
        const struct proto_role_now *role =
            (const struct proto_role_now *)roles.roles.items + i;
        json_t *row = json_object();

        json_object_set_new(row, "role", control_json_text(role->name));
        json_object_set_new(row, "pid", json_num(role->pid));
        json_object_set_new(row, "restarts", json_num(role->restarts));
        json_object_set_new(row, "since", control_json_time(role->since_ms));
        json_array_append_new(json, row);
    }
    record_clear(&proto_roles_record, &roles);
    return json;
}

/* --- events -------------------------------------------------------------- */

json_t *
control_json_event(enum role role, struct view line)
{
    struct buf value = {0};
    struct view time, verb, key;
    json_t *json;

    if (event_line_start(&line, &time, &verb) != 0)
        return NULL;
    json = json_object();
    json_object_set_new(json, "time", control_json_text(time));
    json_object_set_new(json, "event", control_json_text(verb));
    json_object_set_new(json, "role", json_string(role_name(role)));
    /* A line that was cut (EVENT_LINE_MAX) ends with what is whole. */
    while (event_line_field(&line, &key, &value) == 1) {
        struct buf name = {0};

        utf8_clean(key, &name);
        buf_add_byte(&name, '\0');
        json_object_set_new(json, name.data,
                            control_json_text(buf_view(&value)));
        buf_free(&name);
    }
    buf_free(&value);
    return json;
}
