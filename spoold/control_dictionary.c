/* SPDX-License-Identifier: ISC */
/*
 * dictionary list and dictionary train.
 *
 * Before: control_client.c
 * After:  replay_train.c (TRAIN)
 */
#include "control.h"
#include "dictionary.h"

#define TRAIN_MS UINT64_C(600000)

static void
list_row(struct control_client *client, const struct dictionary_row *row,
         bool in_use)
{
    control_row(client,
                json_pack("{s:I, s:o, s:I, s:I, s:b}", "id",
                          (json_int_t)row->id, "made",
                          control_json_time(row->made_ms), "bytes",
                          (json_int_t)row->bytes.len, "messages",
                          (json_int_t)row->messages, "in_use", (int)in_use));
}

void
control_dictionary_list(struct control_client *client)
{
    struct dictionary_row row;
    struct buf memory = {0};
    struct why why;
    struct db *db = control_db(&why);
    bool trained = false;
    uint64_t id = 0;
    int found = db != NULL ? 1 : -1;

    /* There are never more than a few: each costs a command to make. */
    while (found == 1) {
        found = db_read_dictionary_after(db, id, &row, &memory, &why);
        if (found == 1) {
            id = row.id;
            trained = trained || !row.retired;
            list_row(client, &row, !row.retired);
        }
    }
    buf_free(&memory);
    if (found < 0) {
        control_fail(client, "%s", why.text);
        return;
    }
    row = (struct dictionary_row){.id = DICTIONARY_SHIPPED_ID,
                                  .bytes = dictionary_shipped()};
    list_row(client, &row, !trained);
    control_done(client);
}

static void
train_on_answer(struct control_client *client, struct peer_message *answer,
                const struct why *why)
{
    const struct proto_done *done;

    if (answer == NULL) {
        control_fail(client, "%s", why->text);
        return;
    }
    done = answer->payload;
    if (!done->done) {
        control_fail(client, "no dictionary was made: %.*s",
                     (int)done->text.len, done->text.data);
        return;
    }
    control_row(client, json_pack("{s:I}", "id", (json_int_t)done->count));
    control_done(client);
}

void
control_dictionary_train(struct control_client *client)
{
    const struct proto_none none = {0};

    control_ask(client, ROLE_REPLAY, PROTO_TRAIN, &none, TRAIN_MS,
                train_on_answer);
}
