/* SPDX-License-Identifier: ISC */
/*
 * What keeps the ledger short and provable: a signed state of it, acceptances
 * said again, and old entries going. Rules that hold whatever is asked:
 *
 *     only a prefix up to a signed checkpoint goes, never the last entry
 *     the checkpoint at the cut stays: the chain goes on from its hash
 *
 * That all which was open at the cut has been said again before is up to
 * store_ledger.c; the audit finds it where it was not.
 *
 * Before: store_ledger.c   After: db_ledger.c
 */
#include "event.h"
#include "key_file.h"
#include "store.h"

enum apply_result
store_apply_checkpoint(struct store_apply *apply, const struct checkpoint *row)
{
    struct ledger_entry entry = {
        .when_ms = row->when_ms, .event = EVENT_CHECKPOINT, .code = row->seq};
    uint64_t seq;
    enum db_result result = db_ledger_seq(apply->txn, &seq);

    if (result != DB_OK)
        return store_apply_db(apply, result);
    if (row->seq == 0 || row->seq > seq || row->head.len != LEDGER_HASH ||
        row->public.len != KEY_SIGN_PUBLIC ||
        row->signature.len != KEY_SIGNATURE) {
        why_text(&apply->why, "a checkpoint that is none");
        return APPLY_REFUSED;
    }
    result = db_put_checkpoint(apply->txn, row);
    if (result == DB_OK)
        result = db_add_ledger(apply->txn, &entry);
    return store_apply_db(apply, result);
}

/* --- said again ---------------------------------------------------------- */

/* A row that cannot be read is carried as open: its end is not known. */
static bool
is_row(enum db_result got)
{
    return got == DB_OK || got == DB_DAMAGED;
}

static enum apply_result
carry_end(struct store_apply *apply, enum db_result got)
{
    return store_apply_db(apply, got == DB_NONE ? DB_OK : got);
}

/* The deliveries that have ended, so that what is open is known from here. */
static enum apply_result
carry_ended(struct store_apply *apply, uint64_t id, uint64_t when_ms)
{
    struct delivery row;
    enum db_result got;
    uint64_t n = 0;

    for (; is_row(got = db_next_delivery(apply->txn, id, &n, &row)); n++) {
        struct ledger_entry entry = {
            .when_ms = when_ms, .event = EVENT_CARRIED, .id = id, .n = n + 1};

        if (got == DB_DAMAGED || delivery_is_open(row.state))
            continue;
        entry.code = row.code;
        entry.text = view_of(delivery_state_name(row.state));
        got = db_add_ledger(apply->txn, &entry);
        if (got != DB_OK)
            break;
    }
    return carry_end(apply, got);
}

/* One more than the last number: what accepted said. */
static enum apply_result
count_deliveries(struct store_apply *apply, uint64_t id, uint64_t *count)
{
    struct delivery row;
    enum db_result got;
    uint64_t n = 0;

    *count = 0;
    for (; is_row(got = db_next_delivery(apply->txn, id, &n, &row)); n++)
        *count = n + 1;
    return carry_end(apply, got);
}

static enum apply_result
carry_message(struct store_apply *apply, uint64_t id, uint64_t when_ms)
{
    struct ledger_entry entry = {
        .when_ms = when_ms, .event = EVENT_CARRIED, .id = id};
    enum apply_result result = count_deliveries(apply, id, &entry.code);
    struct message message = {0};
    enum db_result got;

    if (result != APPLY_OK || entry.code == 0)
        return result;
    got = db_get_message(apply->txn, id, &message);
    if (!is_row(got))
        return carry_end(apply, got);
    if (got == DB_OK) {
        entry.text = message.sender;
        entry.digest = message.digest;
    }
    apply->count++;
    result = store_apply_db(apply, db_add_ledger(apply->txn, &entry));
    return result == APPLY_OK ? carry_ended(apply, id, when_ms) : result;
}

enum apply_result
store_apply_carry(struct store_apply *apply, const struct proto_ids *ids)
{
    const struct proto_id *items = ids->ids.items;
    struct ledger_entry all = {
        .when_ms = ids->when_ms, .event = EVENT_CARRIED, .code = ids->up_to};
    enum apply_result result = APPLY_OK;

    for (size_t i = 0; i < ids->ids.count && result == APPLY_OK; i++)
        result = carry_message(apply, items[i].id, ids->when_ms);
    if (result != APPLY_OK || ids->up_to == 0)
        return result;
    return store_apply_db(apply, db_add_ledger(apply->txn, &all));
}

/* --- old entries go ------------------------------------------------------ */

enum apply_result
store_apply_trim(struct store_apply *apply, const struct store_trim *trim)
{
    struct checkpoint row;
    enum db_result result = db_get_checkpoint(apply->txn, trim->seq, &row);
    size_t removed = 0;
    uint64_t seq = 0;

    if (result == DB_OK)
        result = db_ledger_seq(apply->txn, &seq);
    if (result == DB_NONE || (result == DB_OK && trim->seq >= seq)) {
        why_text(&apply->why, "no checkpoint stands for what is to go");
        return APPLY_REFUSED;
    }
    if (result == DB_OK)
        result =
            db_trim_ledger(apply->txn, trim->seq, (size_t)trim->max, &removed);
    if (result == DB_OK)
        result = db_drop_checkpoints(apply->txn, trim->seq, (size_t)trim->max);
    apply->count = removed;
    return store_apply_db(apply, result);
}
