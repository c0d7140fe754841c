/* SPDX-License-Identifier: ISC */
/*
 * STEER: what the operator makes of messages that are here. Each delivery
 * that changes has its entry with who did it and why; what does not apply
 * (held already, gone meanwhile) is passed over, so that the same record
 * twice changes nothing the second time.
 *
 * A delivery may be under way in replay at that moment. Nothing here waits
 * for it: its outcome comes later and is the truth (store_apply.c).
 *
 * Before: store_apply.c   After: store_batch.c (commit, then STEERED)
 */
#include "event.h"
#include "store.h"

struct steering {
    struct store_apply *apply;
    const struct proto_steer *steer;
    uint64_t keep_ms;
};

/* What each of them does to one delivery it applies to. */
struct steer_row {
    uint64_t to; /* enum delivery_state */
    enum event_kind event;
};

static const struct steer_row rows[] = {
    [STEER_HOLD] = {DELIVERY_HELD, EVENT_HELD},
    [STEER_RELEASE] = {DELIVERY_READY, EVENT_RELEASED},
    [STEER_DISCARD] = {DELIVERY_DISCARDED, EVENT_DISCARDED},
    [STEER_AGAIN] = {DELIVERY_READY, EVENT_AGAIN},
};

/* --- again ---------------------------------------------------------------- */

/* The message is held once more: no purge waits for it. */
static enum apply_result
reopen_message(struct store_apply *apply, uint64_t id)
{
    struct message message;
    enum db_result result = db_get_message(apply->txn, id, &message);
    uint64_t purge_ms;

    if (result != DB_OK || message.finished_ms == 0)
        return store_apply_db(apply, result);
    apply->totals.held++;
    apply->totals.held_stored += message.stored;
    purge_ms = message.purge_ms;
    message.finished_ms = 0;
    message.purge_ms = 0;
    result = db_put_message(apply->txn, id, &message);
    if (result == DB_OK && purge_ms != 0)
        result = db_del_later(apply->txn, purge_ms, id, DB_LATER_PURGE);
    return store_apply_db(apply, result == DB_NONE ? DB_OK : result);
}

/* --- the clock ------------------------------------------------------------ */

/* What of hold-for has gone by stands still while the operator holds it, and
 * begins anew with again. */
static enum apply_result
set_clock(struct store_apply *apply, enum steer_what what,
          struct store_open *open)
{
    struct target_health health = {0};
    struct delivery *row = &open->row;
    enum db_result got = db_get_health(apply->txn, row->target, &health);

    if (got != DB_OK && got != DB_NONE)
        return store_apply_db(apply, got);
    if (what == STEER_HOLD && health.reach_ms > row->reach_ms)
        row->spent_ms += health.reach_ms - row->reach_ms;
    if (what == STEER_AGAIN) {
        row->spent_ms = 0;
        row->attempts = 0;
    }
    row->reach_ms = health.reach_ms;
    return APPLY_OK;
}

/* --- deliveries ----------------------------------------------------------- */

static bool
applies_to(const struct steering *steering, const struct store_open *open,
           bool named)
{
    uint64_t state = open->row.state;

    /* Not named one by one, again means those that were delivered. */
    if (steering->steer->what == STEER_AGAIN && !named)
        return state == DELIVERY_DELIVERED;
    return steer_applies(steering->steer->what, state);
}

static enum apply_result
steer_delivery(const struct steering *steering, struct store_open *open)
{
    const struct proto_steer *steer = steering->steer;
    const struct steer_row *row = &rows[steer->what];
    struct store_apply *apply = steering->apply;
    enum apply_result result = set_clock(apply, steer->what, open);

    if (result == APPLY_OK && steer->what == STEER_AGAIN)
        result = reopen_message(apply, open->id);
    if (result == APPLY_OK)
        result = store_open_move(apply, open, row->to, 0, steer->when_ms);
    if (result == APPLY_OK)
        result = store_open_entry(apply, steer->when_ms, row->event, open,
                                  steer->reason, steer->by);
    apply->count += result == APPLY_OK;
    return result;
}

static enum apply_result
steer_all(const struct steering *steering, struct store_open *open)
{
    enum apply_result result = APPLY_OK;
    uint64_t n = 0;

    while (result == APPLY_OK) {
        result = store_open_next(steering->apply, open, n);
        n = open->n + 1;
        if (result == APPLY_OK && applies_to(steering, open, false))
            result = steer_delivery(steering, open);
    }
    return result == APPLY_REFUSED ? APPLY_OK : result; /* no more of them */
}

static enum apply_result
steer_one(const struct steering *steering, struct store_open *open, uint64_t n)
{
    enum apply_result result = store_open_get(steering->apply, open, n);

    if (result == APPLY_REFUSED)
        return APPLY_OK;
    if (result == APPLY_OK && applies_to(steering, open, true))
        result = steer_delivery(steering, open);
    return result;
}

/* --- erase ---------------------------------------------------------------- */

static enum apply_result
count_open(struct store_apply *apply, uint64_t id, uint64_t *count)
{
    struct delivery row;
    uint64_t n = 0;
    enum db_result got;

    *count = 0;
    for (; (got = db_next_delivery(apply->txn, id, &n, &row)) == DB_OK; n++)
        *count += delivery_is_open(row.state);
    return got == DB_NONE ? APPLY_OK : store_apply_db(apply, got);
}

/* The row has the salt, without which its content cannot be read. */
static enum apply_result
erase(const struct steering *steering, uint64_t id,
      const struct message *message)
{
    const struct proto_steer *steer = steering->steer;
    struct store_apply *apply = steering->apply;
    char digest[MESSAGE_DIGEST];
    struct ledger_entry entry = {.when_ms = steer->when_ms,
                                 .event = EVENT_ERASED,
                                 .id = id,
                                 .text = steer->reason,
                                 .digest = {digest, message->digest.len},
                                 .by = steer->by};
    enum apply_result result;

    if (entry.digest.len > sizeof(digest))
        entry.digest.len = sizeof(digest);
    if (entry.digest.len > 0)
        memcpy(digest, message->digest.data, entry.digest.len);
    result = count_open(apply, id, &entry.code);
    if (result == APPLY_OK)
        result = store_remove(apply, id);
    if (result == APPLY_OK)
        result = store_apply_db(apply, db_add_ledger(apply->txn, &entry));
    apply->count += result == APPLY_OK;
    return result;
}

/* --- the record ----------------------------------------------------------- */

/* The items of one message, which stand together. */
static enum apply_result
steer_message(const struct steering *steering,
              const struct proto_steer_item *items, size_t n)
{
    struct store_apply *apply = steering->apply;
    struct store_open open = {.id = items[0].id};
    uint64_t before = apply->count;
    struct message message;
    enum apply_result result =
        store_open_message(apply, items[0].id, &open, &message);

    if (result != APPLY_OK) /* it is gone meanwhile, or damaged */
        return result == APPLY_REFUSED ? APPLY_OK : result;
    if (steering->steer->what == STEER_ERASE)
        return erase(steering, items[0].id, &message);
    for (size_t i = 0; i < n && result == APPLY_OK; i++)
        result = items[i].n > 0 ? steer_one(steering, &open, items[i].n - 1)
                                : steer_all(steering, &open);
    if (result == APPLY_OK && steering->steer->what == STEER_DISCARD &&
        apply->count > before)
        result = store_finish(apply, items[0].id, steering->steer->when_ms,
                              steering->keep_ms);
    return result;
}

enum apply_result
store_apply_steer(struct store_apply *apply, const struct store_record *record,
                  const struct proto_steer *steer)
{
    const struct steering steering = {apply, steer, record->keep_ms};
    const struct proto_steer_item *items = steer->items.items;
    enum apply_result result = APPLY_OK;
    size_t n;

    if (steer->what < STEER_HOLD || steer->what > STEER_ERASE) {
        why_text(&apply->why, "the operator wants what there is not");
        return APPLY_REFUSED;
    }
    for (size_t i = 0; i < steer->items.count && result == APPLY_OK; i += n) {
        for (n = 1;
             i + n < steer->items.count && items[i + n].id == items[i].id;)
            n++;
        result = steer_message(&steering, &items[i], n);
    }
    /* Items before this one may have changed rows. */
    return result == APPLY_REFUSED ? APPLY_UNDO : result;
}
