/* SPDX-License-Identifier: ISC */
/*
 * Looking at messages: list, show, cat. Content comes from replay, which has
 * what it takes to read it, one piece at a time as the client takes them.
 *
 * Before: control_client.c (step by step)
 * After:  control_walk.c, replay.c (FETCH)
 */
#include "control.h"

#include <stdlib.h>

#include "mem.h"
#include "msgid.h"

/* --- list ---------------------------------------------------------------- */

static void
list_free(void *work)
{
    control_walk_end(work);
    free(work);
}

static void
list_end(struct control_client *client, const struct control_walk *walk)
{
    if (walk->damaged > 0)
        control_fail(client, "%zu messages could not be read, first %s",
                     walk->damaged, walk->first_damage.text);
    else
        control_done(client);
}

static void
list_step(struct control_client *client)
{
    struct control_walk *walk = client->work;
    struct db_message message;
    struct why why;
    int found = 1;

    walk->rows = CONTROL_ROWS_MAX;
    for (size_t shown = 0; shown < CONTROL_MESSAGES_MAX; shown++) {
        found = control_walk_next(walk, &message, &why);
        if (found != 1)
            break;
        control_row(client, control_json_message(&message));
        db_message_free(&message);
    }
    if (found < 0)
        control_fail(client, "%s", why.text);
    else if (found == 0)
        list_end(client, walk);
    else
        control_continue(client, list_step);
}

void
control_list(struct control_client *client)
{
    struct control_walk *walk = mem_alloc(sizeof(*walk));
    struct why why;

    if (control_walk_begin(walk, client, &why) != 0) {
        free(walk);
        control_refuse(client, "%s", why.text);
        return;
    }
    client->work = walk;
    client->work_free = list_free;
    list_step(client);
}

/* --- show ---------------------------------------------------------------- */

int
control_read_id(struct control_client *client, uint64_t *id)
{
    struct view text = control_argument(client, 0);

    if (msgid_parse(text, id) == 0)
        return 0;
    control_refuse(client,
                   "\"%.*s\" is not a message id (13 letters and digits)",
                   (int)(text.len < 40 ? text.len : 40), text.data);
    return -1;
}

/* The message that the first argument names; otherwise the client is told
 * why not. */
static int
read_named(struct control_client *client, struct db_message *message)
{
    struct view text = control_argument(client, 0);
    struct why why;
    struct db *db;
    uint64_t id;
    int found;

    if (control_read_id(client, &id) != 0)
        return -1;
    db = control_db(&why);
    found = db != NULL ? db_read_message(db, id, message, &why) : -1;
    if (found < 0)
        control_fail(client, "%s", why.text);
    else if (found == 0)
        control_fail(client, "there is no message %.*s", (int)text.len,
                     text.data);
    return found == 1 ? 0 : -1;
}

void
control_show(struct control_client *client)
{
    struct db_message message;

    if (read_named(client, &message) != 0)
        return;
    control_row(client, control_json_message(&message));
    db_message_free(&message);
    control_done(client);
}

/* --- cat ----------------------------------------------------------------- */

static void cat_on_piece(struct control_client *client,
                         struct peer_message *answer, const struct why *why);

static void
cat_step(struct control_client *client)
{
    control_ask(client, ROLE_REPLAY, PROTO_FETCH, client->work,
                CONTROL_ANSWER_MS, cat_on_piece);
}

static void
cat_on_piece(struct control_client *client, struct peer_message *answer,
             const struct why *why)
{
    struct proto_fetch *fetch = client->work;
    const struct proto_fetched *piece;

    if (answer == NULL) {
        control_fail(client, "%s", why->text);
        return;
    }
    piece = answer->payload;
    if (!piece->found) {
        control_fail(client, "piece %d: %.*s", (int)fetch->piece,
                     (int)piece->reason.len, piece->reason.data);
        return;
    }
    if (piece->bytes.len > 0)
        control_raw(client, piece->bytes);
    if (piece->last) {
        control_done(client);
        return;
    }
    fetch->piece++;
    control_continue(client, cat_step);
}

void
control_cat(struct control_client *client)
{
    struct proto_fetch *fetch;
    struct db_message message;

    if (read_named(client, &message) != 0)
        return;
    fetch = mem_alloc(sizeof(*fetch));
    fetch->id = message.id;
    db_message_free(&message);
    client->work = fetch;
    client->work_free = free;
    cat_step(client);
}
