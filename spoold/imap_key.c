/* SPDX-License-Identifier: ISC */
/*
 * Reading what is sealed: the secret halves of the spool's key pairs, as the
 * parent sends them, give with a message's row and its data key's row the key
 * of its pieces.
 *
 * Before: parent_key.c (PAIRS)   After: imap_content.c
 */
#include <stdlib.h>

#include "body.h"
#include "db_read.h"
#include "imap.h"
#include "mem.h"
#include "seal.h"
#include "sealing.h"

static struct {
    struct seal_reader *reader;
    struct buf memory;
    struct data_key row; /* the last that was needed, in memory */
} keys;

static int
find_dictionary(uint64_t id, struct buf *out, struct why *why)
{
    struct buf memory = {0};
    struct dictionary_row row;
    int found = imap.db != NULL
                    ? db_read_dictionary(imap.db, id, &row, &memory, why)
                    : 0;

    if (found == 1)
        buf_add_view(out, row.bytes);
    buf_free(&memory);
    return found;
}

void
imap_key_on_pairs(struct peer_message *message)
{
    const struct proto_pairs *list = message->payload;
    const struct proto_pair *items = list->pairs.items;
    struct seal_pair *pairs =
        mem_alloc((list->pairs.count + 1) * sizeof(*pairs));
    size_t n = 0;

    if (keys.reader == NULL) {
        keys.reader = seal_reader_new();
        body_find_dictionaries_by(find_dictionary);
    }
    for (size_t i = 0; i < list->pairs.count; i++)
        if (items[i].secret.len == SEAL_SECRET)
            seal_pair_of(&pairs[n++], items[i].secret.data);
    seal_reader_use(keys.reader, pairs, n);
    keys.row = (struct data_key){0};
    explicit_bzero(pairs, n * sizeof(*pairs));
    free(pairs);
    sealing_on_pairs(message); /* for what APPEND brings */
}

int
imap_key_of(const struct message *message, char key[SEAL_KEY], struct why *why)
{
    int found = 1;

    if (message->key == 0)
        return 0;
    if (keys.reader == NULL)
        return why_text(why, "the secret keys are not there yet");
    if (keys.row.id != message->key)
        found = db_read_data_key(imap.db, message->key, &keys.row, &keys.memory,
                                 why);
    if (found == 0)
        why_text(why, "its data key is missing");
    if (found == 1 &&
        seal_reader_key(keys.reader, message, &keys.row, key, why) == 0)
        return 1;
    keys.row = (struct data_key){0};
    return -1;
}
