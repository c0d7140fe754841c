/* SPDX-License-Identifier: ISC */
/*
 * target show: all that is known of one target. target set: limits of its
 * pace for a time, each told to replay, which keeps them and has them obeyed.
 *
 * Before: control_client.c (step by step)   After: replay_limit.c (LIMIT)
 */
#include "control.h"

#include <stdlib.h>

#include "mem.h"

#define LIMITS_ASKED_MAX 8
#define WAITING_MAX      100000 /* messages counted; then it is "more" */
#define FOR_MAX_MS       (UINT64_C(365) * 86400000)

static json_t *
json_num(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static void
no_such_target(struct control_client *client, struct view name)
{
    control_fail(client, "there is no target \"%.*s\"",
                 (int)(name.len < 80 ? name.len : 80), name.data);
}

/* --- target show ---------------------------------------------------------- */

struct target_view {
    struct control_eta eta; /* first */
    json_t *shown;          /* an array with json alone */
    json_t *json;           /* NULL once it was given away */
    struct db_ready_cursor cursor;
    uint64_t messages;
    uint64_t deliveries;
};

static void
view_free(void *work)
{
    struct target_view *view = work;

    json_decref(view->json);
    json_decref(view->shown);
    free(view);
}

static json_t *
json_configuration(const struct conf_target *target)
{
    json_t *json = json_object();
    struct buf value = {0};
    const char *name;

    for (size_t i = 0; conf_target_key(target, i, &name, &value); i++) {
        json_object_set_new(json, name, control_json_text(buf_view(&value)));
        buf_reset(&value);
    }
    buf_free(&value);
    return json;
}

/* The domains whose mail goes there. */
static json_t *
json_domains(struct view target)
{
    const struct conf_domain *domains = control_state.conf->domains.items;
    json_t *json = json_array();

    for (size_t i = 0; i < control_state.conf->domains.count; i++)
        if (view_equal(domains[i].target, target))
            json_array_append_new(json, control_json_text(domains[i].name));
    return json;
}

static void
view_end(struct control_client *client, bool whole)
{
    struct target_view *view = client->work;

    json_object_set_new(view->json, "waiting",
                        json_pack("{s:o, s:o, s:b}", "messages",
                                  json_num(view->messages), "deliveries",
                                  json_num(view->deliveries), "more",
                                  (int)!whole));
    control_row(client, view->json);
    view->json = NULL;
    control_done(client);
}

/* Counts what is ready for it, a bounded number of rows a step. */
static void
view_count(struct control_client *client)
{
    struct target_view *view = client->work;
    struct view name = control_argument(client, 0);
    struct db_ready found;
    struct why why;
    struct db *db = control_db(&why);
    int got = -1;

    for (size_t i = 0; db != NULL && i < CONTROL_MESSAGES_MAX; i++) {
        got = db_read_ready(db, name, &view->cursor, &found, &why);
        if (got != 1 || view->messages == WAITING_MAX)
            break;
        view->messages++;
        view->deliveries += found.n_deliveries;
    }
    if (got < 0)
        control_fail(client, "%s", why.text);
    else if (got == 0 || view->messages == WAITING_MAX)
        view_end(client, got == 0);
    else
        control_continue(client, view_count);
}

static void
view_on_targets(struct control_client *client, struct peer_message *answer,
                const struct why *why)
{
    struct target_view *view = client->work;
    struct view name = control_argument(client, 0);
    const struct conf_target *conf =
        conf_target_by_name(control_state.conf, name);
    const struct proto_targets *targets;
    const struct proto_target_now *rows;

    if (answer == NULL) {
        control_fail(client, "%s", why->text);
        return;
    }
    targets = answer->payload;
    rows = targets->targets.items;
    for (size_t i = 0; i < targets->targets.count && view->json == NULL; i++)
        if (view_equal(rows[i].name, name))
            view->json = control_json_target(&rows[i]);
    if (view->json == NULL || conf == NULL) {
        no_such_target(client, name);
        return;
    }
    json_object_set_new(view->json, "domains", json_domains(name));
    json_object_set_new(view->json, "configuration", json_configuration(conf));
    view->shown = json_pack("[O]", view->json);
    control_eta(client, view->shown, view_count);
}

void
control_target_show(struct control_client *client)
{
    struct proto_none none = {0};

    client->work = mem_alloc(sizeof(struct target_view));
    client->work_free = view_free;
    control_ask(client, ROLE_REPLAY, PROTO_TARGETS, &none, CONTROL_ANSWER_MS,
                view_on_targets);
}

/* --- target set ----------------------------------------------------------- */

struct setting {
    struct proto_limit limits[LIMITS_ASKED_MAX];
    size_t n;
    size_t next;
};

/* "message-rate=600", "connections=default". */
static int
setting_read(struct proto_limit *limit, struct view text, struct why *why)
{
    const char *equals = memchr(text.data, '=', text.len);
    struct view key = text, value = {NULL, 0};

    if (equals != NULL) {
        key.len = (size_t)(equals - text.data);
        value = view_skip(text, key.len + 1);
    }
    limit->key = target_limit_by_name(key);
    if (limit->key == 0)
        return why_text(why,
                        "\"%.*s\" cannot be set: connections, connection-rate, "
                        "message-rate or byte-rate can",
                        (int)(key.len < 80 ? key.len : 80), key.data);
    if (value.len == 0)
        return why_text(why, "%s: write %s=VALUE, or %s=default",
                        target_limit_name(limit->key),
                        target_limit_name(limit->key),
                        target_limit_name(limit->key));
    limit->back = view_equal(value, VIEW("default"));
    if (limit->back)
        return 0;
    return conf_parse_target_number(key, value, &limit->value, why);
}

static void setting_step(struct control_client *client);

static void
setting_on_limited(struct control_client *client, struct peer_message *answer,
                   const struct why *why)
{
    struct setting *setting = client->work;

    if (control_was_done(client, answer, why) == NULL)
        return;
    setting->next++;
    setting_step(client);
}

static void
setting_end(struct control_client *client)
{
    struct setting *setting = client->work;
    struct view name = control_argument(client, 0);
    const struct conf_target *conf =
        conf_target_by_name(control_state.conf, name);
    json_t *limits = json_array();

    for (size_t i = 0; i < setting->n; i++) {
        const struct proto_limit *limit = &setting->limits[i];
        const char *key = target_limit_name(limit->key);
        uint64_t value = limit->value;

        if (limit->back && conf != NULL)
            value = conf_target_number(conf, view_of(key));
        json_array_append_new(limits,
                              json_pack("{s:s, s:o, s:o, s:b}", "limit", key,
                                        "value", json_num(value), "until",
                                        control_json_time(limit->until_ms),
                                        "default", (int)limit->back));
    }
    control_row(client, json_pack("{s:o, s:o}", "target",
                                  control_json_text(name), "limits", limits));
    control_done(client);
}

static void
setting_step(struct control_client *client)
{
    struct setting *setting = client->work;

    if (setting->next == setting->n)
        setting_end(client);
    else
        control_ask(client, ROLE_REPLAY, PROTO_LIMIT,
                    &setting->limits[setting->next], CONTROL_COMMIT_MS,
                    setting_on_limited);
}

void
control_target_set(struct control_client *client)
{
    struct setting *setting = mem_alloc(sizeof(*setting));
    struct view name = control_argument(client, 0);
    uint64_t until_ms;
    struct why why;

    client->work = setting;
    client->work_free = free;
    if (conf_target_by_name(control_state.conf, name) == NULL) {
        no_such_target(client, name);
        return;
    }
    if (control_until(client, FOR_MAX_MS, &until_ms, &why) != 0) {
        control_refuse(client, "--for: %s", why.text);
        return;
    }
    for (size_t i = 1; i < control_n_arguments(client); i++) {
        struct proto_limit *limit = &setting->limits[setting->n];

        if (setting->n == LIMITS_ASKED_MAX ||
            setting_read(limit, control_argument(client, i), &why) != 0) {
            control_refuse(client, "%s",
                           setting->n == LIMITS_ASKED_MAX ? "too many at once"
                                                          : why.text);
            return;
        }
        limit->name = name;
        limit->until_ms = limit->back ? 0 : until_ms;
        limit->by = view_of(control_operator(client));
        setting->n++;
    }
    setting_step(client);
}
