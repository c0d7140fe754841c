/* SPDX-License-Identifier: ISC */
/*
 * Going through the messages that match a query without holding a read
 * transaction or a list: each call reads one message by its id, and after a
 * bounded number of rows the caller has to come back in a later turn. What
 * arrives or ends meanwhile is seen if the walk has not passed it.
 */
#include "control.h"

#include "clock.h"
#include "msgid.h"
#include "query.h"

int
control_walk_begin(struct control_walk *walk,
                   const struct control_client *client, struct why *why)
{
    struct buf text = {0};

    *walk = (struct control_walk){.now_ms = clock_wall_ms()};
    for (size_t i = 0; i < control_n_arguments(client); i++)
        query_add_word(&text, control_argument(client, i));
    walk->query = query_parse(buf_view(&text), why);
    buf_free(&text);
    if (walk->query == NULL)
        return -1;
    walk->held_only = query_want_held(walk->query);
    query_range(walk->query, walk->now_ms, &walk->after_id, &walk->last_id);
    return 0;
}

void
control_walk_end(struct control_walk *walk)
{
    query_free(&walk->query);
}

/* A message that cannot be read is counted and passed over: the rest can. */
static void
walk_damaged(struct control_walk *walk, uint64_t id, const struct why *why)
{
    char text[MSGID_TEXT_MAX];

    if (walk->damaged++ == 0)
        why_text(&walk->first_damage, "%s: %s", msgid_print(id, text),
                 why->text);
}

static void
walk_pay(struct control_walk *walk, size_t rows)
{
    walk->rows = walk->rows > rows ? walk->rows - rows : 0;
}

int
control_walk_next(struct control_walk *walk, struct db_message *message,
                  struct why *why)
{
    struct db *db = control_db(why);

    if (db == NULL)
        return -1;
    for (;;) {
        struct why damage;
        uint64_t id;
        int found = db_read_next_id(db, walk->after_id, walk->held_only,
                                    &walk->rows, &id, why);

        if (found < 0)
            return -1;
        if (found == 0 || id > walk->last_id)
            return 0;
        walk->after_id = id;
        if (found == 2)
            return 2;
        walk_pay(walk, 1);
        found = db_read_message(db, id, message, &damage);
        if (found < 0)
            walk_damaged(walk, id, &damage);
        if (found <= 0) /* 0: it was purged since */
            continue;
        walk_pay(walk, message->n_deliveries);
        if (query_matches(walk->query, message, walk->now_ms))
            return 1;
        db_message_free(message);
    }
}
