/* SPDX-License-Identifier: ISC */
/*
 * The operator's commands of the last hour (the table undo): their numbers,
 * their list, and which deliveries each of them changed.
 *
 * Before: control_client.c, control_steer.c   After: control_steer.c (UNDO)
 */
#include "control.h"

#include <stdlib.h>

#include "clock.h"
#include "mem.h"
#include "msgid.h"
#include "num.h"

/* Rows of an earlier command, to be passed over. */
#define BEHIND_ALL UINT64_MAX

static uint64_t last_number; /* given to a command, or found in the store */

/* The row of the first command with a number above undo->number. 1, 0, -1. */
static int
next_command(struct control_undo *undo, struct db *db, struct why *why)
{
    int found;

    do {
        /* Behind all deliveries of the one before. */
        if (undo->number > 0)
            undo->id = BEHIND_ALL;
        found = db_read_undo_after(db, &undo->number, &undo->id, &undo->n,
                                   &undo->command, &undo->memory, why);
    } while (found == 1 && undo->id != 0);
    return found;
}

int
control_undo_number(uint64_t *number, struct why *why)
{
    struct control_undo undo = {.number = last_number};
    struct db *db = control_db(why);
    int found = -1;

    while (db != NULL && (found = next_command(&undo, db, why)) == 1)
        last_number = undo.number;
    control_undo_end(&undo);
    if (found < 0)
        return -1;
    *number = ++last_number;
    return 0;
}

/* --- the command that is meant -------------------------------------------- */

static int
find_last(struct control_undo *undo, struct db *db, struct why *why)
{
    struct control_undo next = {0};
    uint64_t last = 0;
    int found;

    while ((found = next_command(&next, db, why)) == 1)
        last = next.number;
    control_undo_end(&next);
    if (found < 0)
        return -1;
    if (last == 0)
        return 0;
    undo->number = last - 1;
    return next_command(undo, db, why);
}

int
control_undo_begin(struct control_undo *undo,
                   const struct control_client *client, struct why *why)
{
    struct view text = control_argument(client, 0);
    struct db *db = control_db(why);
    uint64_t number;
    int found;

    if (db == NULL)
        return -1;
    if (control_n_arguments(client) == 0) {
        found = find_last(undo, db, why);
        if (found == 0)
            why_text(why, "there is nothing to undo");
        return found;
    }
    if (num_parse(text, 1, UINT64_MAX, &number, NULL) != 0)
        return why_text(why,
                        "\"%.*s\" is no number of a command: see "
                        "\"spoolctl undo list\"",
                        (int)(text.len < 40 ? text.len : 40), text.data);
    undo->number = number - 1;
    found = next_command(undo, db, why);
    if (found < 0 || (found == 1 && undo->number == number))
        return found;
    why_text(why,
             "command %llu is not there: it was undone, or is older than "
             "an hour",
             (unsigned long long)number);
    return 0;
}

void
control_undo_end(struct control_undo *undo)
{
    buf_free(&undo->memory);
}

/* --- its deliveries ------------------------------------------------------- */

/* Is it as the command left it? */
static bool
is_as_left(struct db *db, uint64_t id, uint64_t n, const struct undo_row *row)
{
    struct db_message message;
    bool same = false;
    struct why why;

    if (db_read_message(db, id, &message, &why) != 1)
        return false;
    for (size_t i = 0; i < message.n_deliveries; i++)
        same |= message.deliveries[i].n == n &&
                message.deliveries[i].delivery.state == row->after &&
                message.deliveries[i].delivery.changed_ms == row->after_ms;
    db_message_free(&message);
    return same;
}

int
control_undo_next(struct control_undo *undo, bool look,
                  struct proto_steer_item *item, struct why *why)
{
    struct db *db = control_db(why);
    uint64_t number = undo->number;
    struct buf memory = {0};
    struct undo_row row;
    int found = db == NULL ? -1
                           : db_read_undo_after(db, &number, &undo->id,
                                                &undo->n, &row, &memory, why);

    if (found == 1 && number != undo->number)
        found = 0;
    if (found == 1) {
        *item = (struct proto_steer_item){undo->id, undo->n + 1};
        if (look && !is_as_left(db, undo->id, undo->n, &row))
            found = 2;
    }
    buf_free(&memory);
    return found;
}

/* --- undo list ------------------------------------------------------------ */

static void
list_free(void *work)
{
    control_undo_end(work);
    free(work);
}

static void
list_step(struct control_client *client)
{
    struct control_undo *undo = client->work;
    const struct undo_row *row = &undo->command;
    struct why why;
    struct db *db = control_db(&why);
    int found = -1;

    for (size_t i = 0; db != NULL && i < CONTROL_MESSAGES_MAX; i++) {
        found = next_command(undo, db, &why);
        if (found != 1)
            break;
        control_row(client,
                    json_pack("{s:I, s:s, s:I, s:o, s:o, s:o, s:o}", "number",
                              (json_int_t)undo->number, "command",
                              steer_name(row->what), "deliveries",
                              (json_int_t)row->count, "by",
                              control_json_text(row->by), "reason",
                              control_json_text(row->reason), "when",
                              control_json_time(row->began_ms), "until",
                              control_json_time(row->began_ms + UNDO_MS)));
    }
    if (found < 0)
        control_fail(client, "%s", why.text);
    else if (found == 0)
        control_done(client);
    else
        control_continue(client, list_step);
}

void
control_undo_list(struct control_client *client)
{
    client->work = mem_alloc(sizeof(struct control_undo));
    client->work_free = list_free;
    list_step(client);
}
