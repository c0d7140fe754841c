/* SPDX-License-Identifier: ISC */
/*
 * status, target list: how everything is. Counts come from the store's own
 * sums, targets from replay, processes from the parent, room from the store.
 * Whatever cannot be had is named in "notes"; the rest is shown all the same.
 *
 * Before: control_client.c (step by step)
 * After:  replay.c (TARGETS)
 */
#include "control.h"

#include <sys/statvfs.h>

#include <stdlib.h>

#include "clock.h"
#include "db_copy.h"
#include "mem.h"
#include "msgid.h"
#include "stats.h"

/* A message may be stored this long after its id was made: where the search
 * for the oldest one starts is never moved closer to now. */
#define OLDEST_SLACK_MS INT64_C(86400000)

struct status {
    struct control_eta eta; /* first */
    json_t *targets;
    json_t *alarms;
    json_t *notes;
    uint64_t after_id; /* of the search for the oldest message held */
    uint64_t oldest_ms;
};

/* Ids up to here are known to be finished; they stay so. */
static uint64_t oldest_after;

static void
status_free(void *work)
{
    struct status *status = work;

    json_decref(status->targets);
    json_decref(status->alarms);
    json_decref(status->notes);
    free(status);
}

static void
status_note(struct status *status, const char *text)
{
    json_array_append_new(status->notes, control_json_text(view_of(text)));
}

static json_t *
json_num(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static uint64_t
less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* --- the parts ----------------------------------------------------------- */

static void
set_held(json_t *json, struct status *status)
{
    struct db_counts counts = {0};
    struct why why;
    struct db *db = control_db(&why);
    uint64_t finished;

    if (db == NULL || db_read_counts(db, &counts, &why) < 0)
        status_note(status, why.text);
    finished = less(counts.messages, counts.held);
    /* Each finished message has one row of later, for its removal. */
    json_object_set_new(
        json, "held",
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "messages",
                  json_num(counts.held), "ready", json_num(counts.ready),
                  "later", json_num(less(counts.later, finished)), "on_hold",
                  json_num(counts.on_hold), "unknown", json_num(counts.unknown),
                  "bytes", json_num(counts.held_stored), "oldest",
                  control_json_time(counts.held > 0 ? status->oldest_ms : 0)));
    json_object_set_new(json, "finished", json_num(finished));
}

/* Those that have used their share. */
static json_t *
full_domains(void)
{
    json_t *names = json_array();
    struct view rest = buf_view(&control_state.full_domains);

    while (rest.len > 0) {
        size_t len = strlen(rest.data);

        json_array_append_new(names,
                              control_json_text((struct view){rest.data, len}));
        rest = view_skip(rest, len + 1);
    }
    return names;
}

static void
set_space(json_t *json)
{
    struct proto_space space = control_state.space;
    struct db *db = control_db(NULL);
    struct statvfs fs;

    /* The store is away: look for ourselves. */
    if (!control_state.has_space && statvfs(".", &fs) == 0) {
        space.free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
        space.full = space.free_bytes < control_state.conf->reserve;
    }
    json_object_set_new(json, "space",
                        json_pack("{s:o, s:o, s:b, s:o, s:o, s:o}", "free",
                                  json_num(space.free_bytes), "reserve",
                                  json_num(control_state.conf->reserve), "full",
                                  (int)(space.full != 0), "file",
                                  json_num(db != NULL ? db_file_bytes(db) : 0),
                                  "used",
                                  json_num(db != NULL ? db_used_bytes(db) : 0),
                                  "full_domains", full_domains()));
}

/* Is a message answered 250 now? */
static void
set_accepting(json_t *json)
{
    const char *why = "";

    if (!peer_is_up(ROLE_LISTENER))
        why = "the listener role is not running";
    else if (!control_state.has_space) /* the first thing it says */
        why = "the store role is not running: mail is answered 451";
    else if (control_state.space.full)
        why = "free space is under the reserve: mail is answered 452";
    json_object_set_new(json, "accepting", json_boolean(*why == '\0'));
    json_object_set_new(json, "accepting_why", json_string(why));
}

static void
set_counters(json_t *json)
{
    json_t *counters = json_object();

    for (int stat = 0; stat < STAT_COUNT; stat++)
        json_object_set_new(counters, stats_name((enum stat)stat),
                            json_num(stats_get((enum stat)stat)));
    stats_set(STAT_COMMIT_USEC_MAX, 0); /* "since it was last asked" */
    json_object_set_new(json, "counters", counters);
}

static json_t *
json_alarm(const char *kind, const struct proto_target_now *target,
           uint64_t since_ms)
{
    return json_pack("{s:s, s:o, s:o}", "alarm", kind, "target",
                     control_json_text(target->name), "since",
                     control_json_time(since_ms));
}

/* What somebody has to look at. */
static json_t *
alarms_of(const struct peer_message *answer)
{
    const struct proto_targets *targets = answer->payload;
    const struct proto_target_now *items = targets->targets.items;
    json_t *json = json_array(), *alarm;

    for (size_t i = 0; i < targets->targets.count; i++) {
        if (items[i].alarm) {
            alarm = json_alarm("guard", &items[i], items[i].since_ms);
            json_object_set_new(alarm, "reason",
                                control_json_text(items[i].reason));
            json_array_append_new(json, alarm);
        }
        if (items[i].expiring > 0) {
            alarm = json_alarm("expiring", &items[i], items[i].expiring_ms);
            json_object_set_new(alarm, "deliveries",
                                json_num(items[i].expiring));
            json_array_append_new(json, alarm);
        }
    }
    return json;
}

static json_t *
targets_of(const struct peer_message *answer)
{
    const struct proto_targets *targets = answer->payload;
    const struct proto_target_now *items = targets->targets.items;
    json_t *json = json_array();

    for (size_t i = 0; i < targets->targets.count; i++)
        json_array_append_new(json, control_json_target(&items[i]));
    return json;
}

/* Of the daemon: the parent is the first of the roles it tells of. */
static uint64_t
uptime_ms(void)
{
    uint64_t since_ms = control_state.started_ms;
    struct proto_roles roles;

    if (record_decode(&proto_roles_record, buf_view(&control_state.roles),
                      &roles, NULL) == 0) {
        const struct proto_role_now *first = roles.roles.items;

        if (roles.roles.count > 0)
            since_ms = first->since_ms;
        record_clear(&proto_roles_record, &roles);
    }
    return less((uint64_t)clock_wall_ms(), since_ms);
}

/* --- status -------------------------------------------------------------- */

static void
status_end(struct control_client *client)
{
    struct status *status = client->work;
    json_t *json = json_object();

    json_object_set_new(json, "version", json_string(SPOOLD_VERSION));
    json_object_set_new(json, "hostname",
                        control_json_text(control_state.conf->hostname));
    json_object_set_new(json, "uptime_ms", json_num(uptime_ms()));
    set_accepting(json);
    set_held(json, status);
    set_space(json);
    json_object_set(json, "targets", status->targets);
    json_object_set(json, "alarms", status->alarms);
    json_object_set_new(json, "roles", control_json_roles());
    set_counters(json);
    json_object_set(json, "notes", status->notes);
    control_row(client, json);
    control_done(client);
}

static void
status_on_targets(struct control_client *client, struct peer_message *answer,
                  const struct why *why)
{
    struct status *status = client->work;

    if (answer == NULL)
        status_note(status, why->text);
    status->targets = answer != NULL ? targets_of(answer) : json_array();
    status->alarms = answer != NULL ? alarms_of(answer) : json_array();
    control_eta(client, status->targets, status_end);
}

static void
status_ask_targets(struct control_client *client)
{
    struct proto_none none = {0};

    control_ask(client, ROLE_REPLAY, PROTO_TARGETS, &none, CONTROL_ANSWER_MS,
                status_on_targets);
}

/* Where the next search may start: what is known to be finished, as long as
 * it is old enough that nothing comes in behind it. */
static void
oldest_remember(uint64_t after_id)
{
    int64_t until_ms = clock_wall_ms() - OLDEST_SLACK_MS;
    uint64_t until = msgid_last(until_ms > 0 ? (uint64_t)until_ms : 0);

    if (after_id > until)
        after_id = until;
    if (after_id > oldest_after)
        oldest_after = after_id;
}

static void
status_find_oldest(struct control_client *client)
{
    struct status *status = client->work;
    struct db_message message;
    size_t rows = CONTROL_ROWS_MAX;
    struct why why;
    struct db *db = control_db(&why);
    uint64_t id = 0;
    int found = 0;

    if (db != NULL)
        found = db_read_next_id(db, status->after_id, true, &rows, &id, &why);
    if (found >= 0)
        oldest_remember(found == 1 ? id - 1 : id);
    if (found == 2) {
        status->after_id = id;
        control_continue(client, status_find_oldest);
        return;
    }
    if (found == 1) {
        status->oldest_ms = msgid_ms(id);
        if (db_read_message(db, id, &message, &why) == 1) {
            status->oldest_ms = message.message.arrived_ms;
            db_message_free(&message);
        }
    }
    status_ask_targets(client);
}

void
control_status(struct control_client *client)
{
    struct status *status = mem_alloc(sizeof(*status));

    status->notes = json_array();
    status->after_id = oldest_after;
    client->work = status;
    client->work_free = status_free;
    status_find_oldest(client);
}

/* --- target list --------------------------------------------------------- */

struct list {
    struct control_eta eta; /* first */
    json_t *targets;
};

static void
list_free(void *work)
{
    struct list *list = work;

    json_decref(list->targets);
    free(list);
}

static void
list_end(struct control_client *client)
{
    struct list *list = client->work;
    json_t *target;
    size_t i;

    json_array_foreach (list->targets, i, target)
        control_row(client, json_incref(target));
    control_done(client);
}

static void
list_on_targets(struct control_client *client, struct peer_message *answer,
                const struct why *why)
{
    struct list *list = client->work;

    if (answer == NULL) {
        control_fail(client, "%s", why->text);
        return;
    }
    list->targets = targets_of(answer);
    control_eta(client, list->targets, list_end);
}

void
control_target_list(struct control_client *client)
{
    struct proto_none none = {0};

    client->work = mem_alloc(sizeof(struct list));
    client->work_free = list_free;
    control_ask(client, ROLE_REPLAY, PROTO_TARGETS, &none, CONTROL_ANSWER_MS,
                list_on_targets);
}
