/* SPDX-License-Identifier: ISC */
/*
 * Dictionaries in the store: a new one takes the place of those before, which
 * stay as long as a message needs them. Writers are told which is in use when
 * they come up and when it changes (store.c).
 *
 * Before: replay_train.c (LEARN)   After: sealing.c (DICTIONARY)
 */
#include "dictionary.h"
#include "event.h"
#include "store.h"

/* --- applying ------------------------------------------------------------- */

/* Retires the row. It stays even where nothing needs it, since a message may
 * be on its way that does; the next time it goes. */
static enum apply_result
retire(struct store_apply *apply, uint64_t id)
{
    struct dictionary_row row;
    enum db_result got = db_get_dictionary(apply->txn, id, &row);

    if (got == DB_OK && row.retired && row.messages == 0)
        return store_apply_db(apply, db_del_dictionary(apply->txn, id));
    if (got != DB_OK || row.retired)
        return store_apply_db(apply, got);
    row.retired = 1;
    buf_reset(&apply->scratch);
    buf_add_view(&apply->scratch, row.bytes);
    row.bytes = buf_view(&apply->scratch);
    return store_apply_db(apply, db_put_dictionary(apply->txn, &row));
}

enum apply_result
store_apply_learn(struct store_apply *apply, uint64_t when_ms,
                  const struct dictionary_row *learned)
{
    struct dictionary_row row = *learned, other;
    struct ledger_entry entry = {
        .when_ms = when_ms, .event = EVENT_DICTIONARY, .code = learned->id};
    enum apply_result result = store_refs_flush(apply);
    uint64_t id = DICTIONARY_TRAINED_ID;
    enum db_result got;

    if (row.id < DICTIONARY_TRAINED_ID || row.bytes.len == 0 ||
        row.bytes.len > DICTIONARY_BYTES_MAX ||
        db_get_dictionary(apply->txn, row.id, &other) != DB_NONE) {
        why_text(&apply->why, "a dictionary that is none, or is there");
        return APPLY_REFUSED;
    }
    while (result == APPLY_OK &&
           (got = db_next_dictionary(apply->txn, &id)) == DB_OK)
        result = retire(apply, id++);
    row.messages = 0;
    row.retired = 0;
    if (result == APPLY_OK)
        result = store_apply_db(apply, db_put_dictionary(apply->txn, &row));
    if (result == APPLY_OK)
        result = store_apply_db(apply, db_add_ledger(apply->txn, &entry));
    return result;
}
