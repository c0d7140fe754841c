/* SPDX-License-Identifier: ISC */
/*
 * What the store knows of keys: which pairs there are, never a secret. When
 * it starts it sees that every data key in the table can be opened by
 * somebody: a lost secret is told of before the daemon takes mail, not when
 * the first delivery fails. And it takes data keys sealed anew (REKEY).
 *
 * Before: store.c (PAIRS, start), replay_key.c (REKEY)   After: db_write.c
 */
#include <inttypes.h>

#include "db_read.h"
#include "key_file.h"
#include "log.h"
#include "peer.h"
#include "role.h"
#include "store.h"

static struct {
    struct buf pairs; /* the last PAIRS, encoded */
    char current[SEAL_PAIR_ID];
    size_t current_len; /* 0: there is none */
} keys;

void
store_on_pairs(struct peer_message *message)
{
    const struct proto_pairs *pairs = message->payload;
    const struct proto_pair *current = pairs->pairs.items;

    buf_reset(&keys.pairs);
    buf_add_view(&keys.pairs, message->bytes);
    keys.current_len = 0;
    if (pairs->pairs.count > 0 && current->id.len == SEAL_PAIR_ID) {
        memcpy(keys.current, current->id.data, SEAL_PAIR_ID);
        keys.current_len = SEAL_PAIR_ID;
    }
}

struct view
store_keys_current(void)
{
    return (struct view){keys.current, keys.current_len};
}

static const struct proto_pair *
pair_of(const struct proto_pairs *pairs, struct view id)
{
    const struct proto_pair *items = pairs->pairs.items;

    for (size_t i = 0; i < pairs->pairs.count; i++)
        if (view_equal(id, items[i].id))
            return &items[i];
    return NULL;
}

/* Data keys and messages nobody can open: those of the first pair that is
 * missing. */
struct missing {
    char pair[SEAL_PAIR_ID];
    uint64_t data_keys;
    uint64_t messages;
};

static void
missing_add(struct missing *missing, const struct data_key *row)
{
    if (missing->data_keys == 0)
        memcpy(missing->pair, row->pair.data, SEAL_PAIR_ID);
    if (!view_equal(row->pair, (struct view){missing->pair, SEAL_PAIR_ID}))
        return;
    missing->data_keys++;
    missing->messages += row->messages;
}

static void
explain(const struct missing *missing, struct view from)
{
    char pair[KEY_PAIR_TEXT_MAX];

    key_pair_print(missing->pair, pair);
    log_warn("the store holds %" PRIu64 " messages (%" PRIu64 " data keys) "
             "sealed to key pair %s, whose secret is not in %.*s",
             missing->messages, missing->data_keys, pair, (int)from.len,
             from.data);
    log_warn("put the key file that was used before back in its place, or a "
             "copy made by \"spoolctl key export\", and start again");
    fatal_exit(ROLE_EXIT_CONFIG,
               "if the secret is gone for good: \"spoolctl key forget %s\" "
               "lets spoold start; those messages stay unreadable",
               pair);
}

void
store_keys_check(struct db *db)
{
    struct proto_pairs pairs;
    struct missing missing = {.data_keys = 0};
    struct buf memory = {0};
    struct data_key row;
    struct why why;
    uint64_t id = 0;
    int found;

    if (record_decode(&proto_pairs_record, buf_view(&keys.pairs), &pairs,
                      &why) != 0)
        return;
    while ((found = db_read_data_key_after(db, id, &row, &memory, &why)) == 1) {
        id = row.id;
        if (row.messages > 0 && row.pair.len == SEAL_PAIR_ID &&
            pair_of(&pairs, row.pair) == NULL)
            missing_add(&missing, &row);
    }
    if (found < 0)
        log_warn("%s: see spoolctl check", why.text);
    if (missing.data_keys > 0)
        explain(&missing, pairs.from);
    record_clear(&proto_pairs_record, &pairs);
    buf_free(&memory);
}

bool
store_keys_welcome(struct db *db, struct view data_key)
{
    struct buf memory = {0};
    struct data_key row, known;
    bool welcome;

    if (data_key.len == 0 || keys.current_len == 0 ||
        record_decode(&data_key_record, data_key, &row, NULL) != 0 ||
        view_equal(row.pair, store_keys_current()))
        return true;
    welcome = db_read_data_key(db, row.id, &known, &memory, NULL) == 1;
    buf_free(&memory);
    return welcome;
}

/* --- REKEY ---------------------------------------------------------------- */

enum apply_result
store_apply_rekey(struct store_apply *apply, const struct proto_data_keys *list)
{
    const struct data_key *items = list->keys.items;
    enum apply_result result = store_refs_flush(apply);

    for (size_t i = 0; i < list->keys.count && result == APPLY_OK; i++) {
        struct data_key row;
        enum db_result got = db_get_data_key(apply->txn, items[i].id, &row);

        if (got == DB_NONE) /* nothing needed it any more */
            continue;
        if (items[i].pair.len != SEAL_PAIR_ID ||
            items[i].sealed.len != SEAL_SEALED) {
            why_text(&apply->why, "a data key that is none");
            return APPLY_UNDO;
        }
        row.pair = items[i].pair;
        row.sealed = items[i].sealed;
        if (got == DB_OK)
            got = db_put_data_key(apply->txn, &row);
        result = store_apply_db(apply, got);
        apply->count++;
    }
    return result;
}
