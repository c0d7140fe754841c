/* SPDX-License-Identifier: ISC */
/*
 * export: the messages of a query with all that is known of them, and their
 * content, one after the other. What is open of them can be imported again
 * elsewhere: state, attempts, and how much of hold-for is used up.
 *
 * Before: control_client.c
 * After:  replay_content.c (FETCH), spoolctl/export.c
 */
#include <stdio.h>
#include <stdlib.h>

#include "control.h"
#include "db.h"
#include "mem.h"
#include "msgid.h"

struct export
{
    struct control_walk walk;
    json_t *reach;            /* of the targets by name: reachable time */
    struct proto_fetch fetch; /* the piece under way */
    uint64_t messages;
    uint64_t failed;
};

static void export_next(struct control_client *client);

static void
export_free(void *work)
{
    struct export *export = work;

    control_walk_end(&export->walk);
    json_decref(export->reach);
    free(export);
}

/* --- the row ------------------------------------------------------------- */

/* Of the time it may be held: used up before it came here, and since. The
 * clock stands still for what is on hold. */
static uint64_t
spent_ms(const struct export *export, const struct delivery *delivery)
{
    char name[DB_TARGET_MAX + 1];
    const json_t *reach;
    uint64_t reach_ms;

    snprintf(name, sizeof(name), "%.*s", (int)delivery->target.len,
             delivery->target.data);
    reach = json_object_get(export->reach, name);
    reach_ms = (uint64_t)json_integer_value(reach);
    if (reach == NULL || delivery->state == DELIVERY_HELD ||
        reach_ms < delivery->reach_ms)
        return delivery->spent_ms;
    return delivery->spent_ms + reach_ms - delivery->reach_ms;
}

/* What XCLIENT and DSN parameters are made of. */
static void
set_connection(json_t *row, const struct message *message)
{
    json_object_set_new(row, "port", json_integer((json_int_t)message->port));
    json_object_set_new(row, "server", control_json_text(message->server));
    json_object_set_new(row, "server_port",
                        json_integer((json_int_t)message->server_port));
    json_object_set_new(row, "ret", json_integer((json_int_t)message->ret));
    json_object_set_new(row, "envid", control_json_text(message->envid));
}

static json_t *
export_row(const struct export *export, const struct db_message *message)
{
    json_t *row = control_json_message(message);
    json_t *recipients = json_object_get(row, "recipients");

    json_object_set_new(row, "arrived_ms",
                        json_integer((json_int_t)message->message.arrived_ms));
    json_object_set_new(row, "flags",
                        json_integer((json_int_t)message->message.flags));
    set_connection(row, &message->message);
    for (size_t i = 0; i < message->n_deliveries; i++) {
        const struct delivery *delivery = &message->deliveries[i].delivery;
        json_t *one = json_array_get(recipients, i);

        json_object_set_new(
            one, "spent_ms",
            json_integer((json_int_t)spent_ms(export, delivery)));
        json_object_set_new(one, "next_ms",
                            json_integer((json_int_t)delivery->next_ms));
        json_object_set_new(one, "notify",
                            json_integer((json_int_t)delivery->notify));
        json_object_set_new(one, "orcpt", control_json_text(delivery->orcpt));
    }
    return row;
}

/* --- the content --------------------------------------------------------- */

static void
export_end_message(struct control_client *client, const char *error)
{
    struct export *export = client->work;
    char id[MSGID_TEXT_MAX];
    json_t *row = json_pack("{s:s}", "end", msgid_print(export->fetch.id, id));

    if (error != NULL) {
        json_object_set_new(row, "error", control_json_text(view_of(error)));
        export->failed++;
    } else {
        export->messages++;
    }
    control_row(client, row);
    control_continue(client, export_next);
}

static void export_piece(struct control_client *client);

static void
export_on_piece(struct control_client *client, struct peer_message *answer,
                const struct why *why)
{
    struct export *export = client->work;
    const struct proto_fetched *piece;
    struct why reason;

    if (answer == NULL) {
        control_fail(client, "%s", why->text);
        return;
    }
    piece = answer->payload;
    if (!piece->found) {
        why_text(&reason, "piece %d: %.*s", (int)export->fetch.piece,
                 (int)piece->reason.len, piece->reason.data);
        export_end_message(client, reason.text);
        return;
    }
    if (piece->bytes.len > 0)
        control_raw(client, piece->bytes);
    if (piece->last) {
        export_end_message(client, NULL);
        return;
    }
    export->fetch.piece++;
    control_continue(client, export_piece);
}

static void
export_piece(struct control_client *client)
{
    struct export *export = client->work;

    control_ask(client, ROLE_REPLAY, PROTO_FETCH, &export->fetch,
                CONTROL_ANSWER_MS, export_on_piece);
}

/* --- all of them --------------------------------------------------------- */

static void
export_finish(struct control_client *client)
{
    struct export *export = client->work;
    uint64_t failed = export->failed + export->walk.damaged;

    control_note(client, "messages", export->messages);
    if (failed > 0)
        control_fail(
            client, "%llu messages could not be read%s%s",
            (unsigned long long)failed, export->walk.damaged > 0 ? ": " : "",
            export->walk.damaged > 0 ? export->walk.first_damage.text : "");
    else
        control_done(client);
}

static void
export_next(struct control_client *client)
{
    struct export *export = client->work;
    struct db_message message;
    struct why why;
    struct db *db = control_db(&why);
    int found = -1;

    export->walk.rows = CONTROL_ROWS_MAX;
    if (db != NULL)
        found = control_walk_next(&export->walk, &message, &why);
    if (found < 0) {
        control_fail(client, "%s", why.text);
    } else if (found == 0) {
        export_finish(client);
    } else if (found == 2) {
        control_continue(client, export_next);
    } else {
        export->fetch = (struct proto_fetch){.id = message.id};
        control_row(client, export_row(export, &message));
        db_message_free(&message);
        control_continue(client, export_piece);
    }
}

/* The clocks of the targets as they are now; the store's rows are older. */
static void
export_on_targets(struct control_client *client, struct peer_message *answer,
                  const struct why *why)
{
    struct export *export = client->work;
    const struct proto_targets *targets;

    if (answer == NULL) {
        control_fail(client, "%s", why->text);
        return;
    }
    targets = answer->payload;
    for (size_t i = 0; i < targets->targets.count; i++) {
        const struct proto_target_now *target =
            (const struct proto_target_now *)targets->targets.items + i;
        char name[DB_TARGET_MAX + 1];

        snprintf(name, sizeof(name), "%.*s", (int)target->name.len,
                 target->name.data);
        json_object_set_new(export->reach, name,
                            json_integer((json_int_t)target->reach_ms));
    }
    export_next(client);
}

void
control_export(struct control_client *client)
{
    struct export *export = mem_alloc(sizeof(*export));
    struct proto_none none = {0};
    struct why why;

    if (control_walk_begin(&export->walk, client, &why) != 0) {
        free(export);
        control_refuse(client, "%s", why.text);
        return;
    }
    export->reach = json_object();
    client->work = export;
    client->work_free = export_free;
    control_ask(client, ROLE_REPLAY, PROTO_TARGETS, &none, CONTROL_ANSWER_MS,
                export_on_targets);
}
