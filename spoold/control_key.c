/* SPDX-License-Identifier: ISC */
/*
 * key list and key rotate. The control role knows the pairs by their public
 * halves; how many data keys and messages need each stands in the table key.
 *
 * Before: control_client.c
 * After:  parent_key.c (ROTATE)
 */
#include <stdlib.h>

#include "control.h"
#include "key_file.h"
#include "mem.h"

#define KEYS_A_STEP 2000

/* --- key list ---------------------------------------------------------------
 */

struct pair_row {
    char id[SEAL_PAIR_ID];
    uint64_t made_ms;
    bool here; /* the key file has its secret */
    bool lost; /* the operator knows that it is gone */
    uint64_t data_keys;
    uint64_t messages;
};

struct key_list {
    struct pair_row *rows;
    size_t n;
    uint64_t cursor;
};

static void
list_free(void *work)
{
    struct key_list *list = work;

    free(list->rows);
    free(list);
}

static struct pair_row *
row_of(struct key_list *list, struct view id)
{
    for (size_t i = 0; i < list->n; i++)
        if (view_equal(id, (struct view){list->rows[i].id, SEAL_PAIR_ID}))
            return &list->rows[i];
    list->rows = mem_grow(list->rows, list->n + 1, sizeof(*list->rows));
    list->rows[list->n] = (struct pair_row){.here = false};
    memcpy(list->rows[list->n].id, id.data, SEAL_PAIR_ID);
    return &list->rows[list->n++];
}

static void
list_pairs(struct key_list *list)
{
    struct proto_pairs pairs;
    const struct proto_pair *items;

    if (record_decode(&proto_pairs_record, buf_view(&control_state.pairs),
                      &pairs, NULL) != 0)
        return;
    items = pairs.pairs.items;
    for (size_t i = 0; i < pairs.pairs.count; i++) {
        struct pair_row *row;

        if (items[i].id.len != SEAL_PAIR_ID)
            continue;
        row = row_of(list, items[i].id);
        row->made_ms = items[i].made_ms;
        row->here = row->here || items[i].public.len > 0;
        row->lost = row->lost || items[i].lost != 0;
    }
    record_clear(&proto_pairs_record, &pairs);
}

static void
list_show(struct control_client *client)
{
    struct key_list *list = client->work;

    for (size_t i = 0; i < list->n; i++) {
        const struct pair_row *row = &list->rows[i];
        char text[KEY_PAIR_TEXT_MAX];
        const char *state = i == 0 ? "current" : "former";

        if (!row->here)
            state = row->lost ? "lost" : "missing";
        control_row(client,
                    json_pack("{s:s, s:s, s:o, s:I, s:I}", "pair",
                              key_pair_print(row->id, text), "state", state,
                              "made", control_json_time(row->made_ms),
                              "data_keys", (json_int_t)row->data_keys,
                              "messages", (json_int_t)row->messages));
    }
    control_done(client);
}

static void
list_count(struct control_client *client)
{
    struct key_list *list = client->work;
    struct buf memory = {0};
    struct data_key row;
    struct why why;
    struct db *db = control_db(&why);
    int found = db != NULL ? 1 : -1;

    for (size_t i = 0; i < KEYS_A_STEP && found == 1; i++) {
        found = db_read_data_key_after(db, list->cursor, &row, &memory, &why);
        if (found == 1) {
            list->cursor = row.id;
            if (row.pair.len == SEAL_PAIR_ID && row.messages > 0) {
                struct pair_row *pair = row_of(list, row.pair);

                pair->data_keys++;
                pair->messages += row.messages;
            }
        }
    }
    buf_free(&memory);
    if (found < 0)
        control_fail(client, "%s", why.text);
    else if (found == 1)
        control_continue(client, list_count);
    else
        list_show(client);
}

void
control_key_list(struct control_client *client)
{
    struct key_list *list = mem_alloc(sizeof(*list));

    client->work = list;
    client->work_free = list_free;
    list_pairs(list);
    list_count(client);
}

/* --- key rotate --------------------------------------------------------------
 */

static void
rotate_on_answer(struct control_client *client, struct peer_message *answer,
                 const struct why *why)
{
    const struct proto_done *done = control_was_done(client, answer, why);

    if (done == NULL)
        return;
    control_row(client,
                json_pack("{s:o}", "pair", control_json_text(done->text)));
    control_done(client);
}

void
control_key_rotate(struct control_client *client)
{
    const struct proto_none none = {0};

    control_ask(client, ROLE_PARENT, PROTO_ROTATE, &none, CONTROL_COMMIT_MS,
                rotate_on_answer);
}
