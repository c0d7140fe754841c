/* SPDX-License-Identifier: ISC */
/*
 * What a message needs and takes: its data key, its dictionary, its share of
 * its recipients' domains. The rows of these count their messages, so that
 * a key or a dictionary goes when nothing needs it, and no domain takes more
 * than its share. Messages of a batch share most of these rows; one of each
 * kind is kept until another is needed or the batch ends.
 *
 * A message whose key or dictionary is not here would be lost: it is refused
 * as stale, and the writer makes it anew.
 *
 * Before: store_submit.c, store_delivery.c   After: db_write.c
 */
#include "dictionary.h"
#include "domains.h"
#include "seal.h"
#include "store.h"

/* --- data keys --------------------------------------------------------------
 */

static enum apply_result
key_flush(struct store_apply *apply)
{
    struct store_key_ref *ref = &apply->key;
    struct data_key row = {.id = ref->id,
                           .made_ms = ref->made_ms,
                           .pair = {ref->pair, SEAL_PAIR_ID},
                           .sealed = {ref->sealed, SEAL_SEALED},
                           .messages = ref->messages};

    if (!ref->changed)
        return APPLY_OK;
    ref->changed = false;
    return store_apply_db(apply, db_put_data_key(apply->txn, &row));
}

static bool
key_keep(struct store_key_ref *ref, const struct data_key *row)
{
    if (row->pair.len != SEAL_PAIR_ID || row->sealed.len != SEAL_SEALED)
        return false;
    *ref = (struct store_key_ref){
        .id = row->id, .made_ms = row->made_ms, .messages = row->messages};
    memcpy(ref->pair, row->pair.data, SEAL_PAIR_ID);
    memcpy(ref->sealed, row->sealed.data, SEAL_SEALED);
    return true;
}

/* Rows nothing needs any more go when a new one comes: not at once, since
 * their writer may be about to use them again. */
static enum apply_result
key_sweep(struct store_apply *apply, uint64_t made_ms)
{
    struct data_key row;
    uint64_t id = 0;
    enum db_result got;

    while ((got = db_next_data_key(apply->txn, &id, &row)) == DB_OK) {
        if (row.messages == 0 && row.made_ms + 2 * SEAL_AGE_MS < made_ms) {
            got = db_del_data_key(apply->txn, id);
            if (got != DB_OK)
                return store_apply_db(apply, got);
        }
        id++;
    }
    return got == DB_NONE || got == DB_DAMAGED ? APPLY_OK
                                               : store_apply_db(apply, got);
}

/* The key came with the message that needs it first. */
static enum apply_result
key_new(struct store_apply *apply, uint64_t id, struct view encoded)
{
    struct data_key row;

    if (encoded.len == 0) {
        why_text(&apply->why, "its data key is not here");
        return APPLY_STALE;
    }
    if (record_decode(&data_key_record, encoded, &row, &apply->why) != 0)
        return APPLY_REFUSED;
    row.messages = 0;
    if (row.id != id || !key_keep(&apply->key, &row)) {
        why_text(&apply->why, "a data key that is none");
        return APPLY_REFUSED;
    }
    apply->key.changed = true;
    return key_sweep(apply, row.made_ms);
}

/* The key that came along has the number of the one that is here, and is not
 * it: what it sealed could never be opened. One that was sealed anew for
 * another pair meanwhile (REKEY) is the same key. */
static bool
key_is_other(const struct store_key_ref *here, struct view encoded)
{
    struct data_key came;

    if (encoded.len == 0 ||
        record_decode(&data_key_record, encoded, &came, NULL) != 0)
        return false;
    return came.made_ms != here->made_ms ||
           (view_equal(came.pair, (struct view){here->pair, SEAL_PAIR_ID}) &&
            !view_equal(came.sealed, (struct view){here->sealed, SEAL_SEALED}));
}

static enum apply_result
key_check(struct store_apply *apply, struct view encoded)
{
    if (!key_is_other(&apply->key, encoded))
        return APPLY_OK;
    why_text(&apply->why, "another data key has its number");
    return APPLY_STALE;
}

static enum apply_result
key_load(struct store_apply *apply, uint64_t id, struct view encoded)
{
    struct data_key row;
    enum apply_result result;
    enum db_result got;

    if (apply->key.id == id)
        return key_check(apply, encoded);
    if ((result = key_flush(apply)) != APPLY_OK)
        return result;
    apply->key.id = 0;
    got = db_get_data_key(apply->txn, id, &row);
    if (got == DB_NONE)
        return key_new(apply, id, encoded);
    if (got == DB_DAMAGED || (got == DB_OK && !key_keep(&apply->key, &row))) {
        why_text(&apply->why, "its data key is damaged");
        return APPLY_STALE; /* another one is made */
    }
    return got == DB_OK ? key_check(apply, encoded)
                        : store_apply_db(apply, got);
}

static enum apply_result
key_count(struct store_apply *apply, uint64_t id, int by, struct view encoded)
{
    enum apply_result result;

    if (id == 0)
        return APPLY_OK;
    result = key_load(apply, id, encoded);
    if (by < 0 && result == APPLY_STALE)
        return APPLY_OK; /* a row that is damaged, or was set aside */
    if (result != APPLY_OK)
        return result;
    if (by > 0 || apply->key.messages > 0)
        apply->key.messages += (uint64_t)by;
    apply->key.changed = true;
    return APPLY_OK;
}

/* --- dictionaries ------------------------------------------------------------
 */

static enum apply_result
dictionary_flush(struct store_apply *apply)
{
    struct store_count_ref *ref = &apply->dictionary;
    struct dictionary_row row;
    enum db_result result;

    if (ref->by == 0)
        return APPLY_OK;
    result = db_get_dictionary(apply->txn, ref->id, &row);
    if (result != DB_OK)
        return store_apply_db(apply, result);
    row.messages += (uint64_t)ref->by;
    ref->by = 0;
    if (row.messages == 0 && row.retired) {
        result = db_del_dictionary(apply->txn, ref->id);
    } else {
        buf_reset(&apply->scratch);
        buf_add_view(&apply->scratch, row.bytes);
        row.bytes = buf_view(&apply->scratch);
        result = db_put_dictionary(apply->txn, &row);
    }
    return store_apply_db(apply, result);
}

static enum apply_result
dictionary_count(struct store_apply *apply, uint64_t id, int by)
{
    struct store_count_ref *ref = &apply->dictionary;
    struct dictionary_row row;
    enum apply_result result;
    enum db_result got;

    if (id < DICTIONARY_TRAINED_ID) /* those in the program */
        return APPLY_OK;
    if (ref->id != id) {
        if ((result = dictionary_flush(apply)) != APPLY_OK)
            return result;
        ref->id = 0;
        got = db_get_dictionary(apply->txn, id, &row);
        if ((got == DB_NONE || got == DB_DAMAGED) && by < 0)
            return APPLY_OK;
        if (got == DB_NONE || got == DB_DAMAGED) {
            why_text(&apply->why, "its dictionary is not here");
            return APPLY_STALE;
        }
        if (got != DB_OK)
            return store_apply_db(apply, got);
        ref->id = id;
    }
    ref->by += by;
    return APPLY_OK;
}

/* --- domains -----------------------------------------------------------------
 */

static enum apply_result
share_flush(struct store_apply *apply)
{
    struct store_share_ref *ref = &apply->share;
    struct view domain = {ref->domain, ref->len};

    if (!ref->changed)
        return APPLY_OK;
    ref->changed = false;
    if (ref->row.messages > 0)
        return store_apply_db(apply,
                              db_put_share(apply->txn, domain, &ref->row));
    ref->len = 0;
    switch (db_del_share(apply->txn, domain)) {
    case DB_OK:
    case DB_NONE:
        return APPLY_OK;
    default:
        return store_apply_db(apply, DB_FAILED);
    }
}

static enum apply_result
share_count(struct store_apply *apply, struct view domain, uint64_t stored,
            int by)
{
    struct store_share_ref *ref = &apply->share;
    enum apply_result result;
    enum db_result got;

    if (!view_equal(domain, (struct view){ref->domain, ref->len})) {
        if ((result = share_flush(apply)) != APPLY_OK)
            return result;
        memcpy(ref->domain, domain.data, domain.len);
        ref->len = domain.len;
        got = db_get_share(apply->txn, domain, &ref->row);
        /* A damaged sum is begun anew; check finds what is missing in it. */
        if (got == DB_NONE || got == DB_DAMAGED)
            ref->row = (struct domain_share){0};
        else if (got != DB_OK)
            return store_apply_db(apply, got);
    }
    if (by > 0) {
        ref->row.messages++;
        ref->row.stored += stored;
    } else {
        ref->row.messages -= ref->row.messages > 0;
        ref->row.stored -= stored < ref->row.stored ? stored : ref->row.stored;
    }
    ref->changed = true;
    return APPLY_OK;
}

static enum apply_result
domains_count(struct store_apply *apply, uint64_t stored, int by)
{
    enum apply_result result = APPLY_OK;

    struct view rest = buf_view(&apply->domains), domain;

    while (result == APPLY_OK && domains_next(&rest, &domain))
        result = share_count(apply, domain, stored, by);
    return result;
}

/* --- a message
 * ---------------------------------------------------------------- */

enum apply_result
store_refs_need(struct store_apply *apply, const struct message *message,
                struct view data_key)
{
    enum apply_result result = dictionary_count(apply, message->dictionary, 1);

    if (result != APPLY_OK)
        return result;
    result = key_count(apply, message->key, 1, data_key);
    if ((result == APPLY_STALE || result == APPLY_REFUSED) &&
        message->dictionary >= DICTIONARY_TRAINED_ID)
        apply->dictionary.by--;
    return result;
}

enum apply_result
store_refs_take(struct store_apply *apply, uint64_t stored,
                const struct delivery *deliveries, size_t n)
{
    buf_reset(&apply->domains);
    for (size_t i = 0; i < n; i++)
        domains_add(&apply->domains, deliveries[i].recipient);
    return domains_count(apply, stored, 1);
}

enum apply_result
store_refs_drop(struct store_apply *apply, uint64_t id,
                const struct message *message)
{
    uint64_t key = message->key, dictionary = message->dictionary;
    uint64_t stored = message->stored, n = 0;
    struct delivery row;
    enum apply_result result;

    buf_reset(&apply->domains);
    for (; db_next_delivery(apply->txn, id, &n, &row) == DB_OK; n++)
        domains_add(&apply->domains, row.recipient);
    result = domains_count(apply, stored, -1);
    if (result == APPLY_OK)
        result = key_count(apply, key, -1, (struct view){0});
    return result == APPLY_OK ? dictionary_count(apply, dictionary, -1)
                              : result;
}

enum apply_result
store_refs_flush(struct store_apply *apply)
{
    enum apply_result result = key_flush(apply);

    if (result == APPLY_OK)
        result = dictionary_flush(apply);
    if (result == APPLY_OK)
        result = share_flush(apply);
    apply->key.id = 0;
    apply->dictionary.id = 0;
    apply->share.len = 0;
    return result;
}
