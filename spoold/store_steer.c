/* SPDX-License-Identifier: ISC */
/*
 * STEER: what the operator makes of messages that are here. Each delivery
 * that changes has its entry with who did it and why; what does not apply
 * (held already, gone meanwhile) is passed over, so that the same record
 * twice changes nothing the second time.
 *
 * A delivery may be under way in replay at that moment. Nothing here waits
 * for it: its outcome comes later and is the truth (store_outcome.c). What it
 * was before goes to the table undo (store_undo.c).
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
    [STEER_REDIRECT] = {0, EVENT_REDIRECTED}, /* state_after */
};

/* --- deliveries ----------------------------------------------------------- */

/* Is a redirect nothing to it? */
static bool
is_there(const struct proto_steer *steer, const struct delivery *row)
{
    return steer->target.len > 0 ? view_equal(row->target, steer->target)
                                 : row->home.len == 0;
}

static bool
applies_to(const struct steering *steering, const struct store_open *open,
           bool named)
{
    uint64_t state = open->row.state;

    /* Not named one by one, again means those that were delivered. */
    if (steering->steer->what == STEER_AGAIN && !named)
        return state == DELIVERY_DELIVERED;
    return steer_applies(steering->steer->what, state) &&
           (steering->steer->what != STEER_REDIRECT ||
            !is_there(steering->steer, &open->row));
}

/* A delivery that waits for its target's sake is ready for another one; what
 * the former one may have already goes on waiting. */
static uint64_t
state_after(enum steer_what what, uint64_t state)
{
    if (what != STEER_REDIRECT)
        return rows[what].to;
    return state == DELIVERY_LATER ? DELIVERY_READY : state;
}

/* What of hold-for has gone by stands still while the operator holds it, and
 * begins anew with again. */
static enum apply_result
set_clock(const struct steering *steering, struct store_open *open,
          uint64_t spent_ms)
{
    struct delivery *row = &open->row;

    if (steering->steer->what == STEER_AGAIN) {
        spent_ms = 0;
        row->attempts = 0;
        row->alarmed_ms = 0;
    }
    return store_open_clock(steering->apply, row, spent_ms);
}

/* Its own target is in the signature for ever. */
static enum apply_result
set_target(const struct steering *steering, struct store_open *open)
{
    const struct proto_steer *steer = steering->steer;
    struct store_apply *apply = steering->apply;
    struct delivery *row = &open->row;
    struct view home = row->home.len > 0 ? row->home : row->target;
    struct sieve there = {0};
    enum db_result result;

    row->target = steer->target.len > 0 ? steer->target : home;
    row->home = view_equal(row->target, home) ? (struct view){0} : home;
    sieve_add(&there, SIEVE_TARGET, row->target);
    result = db_sieve_extend(apply->txn, open->block, open->id, &there);
    return store_apply_db(apply, result == DB_NONE ? DB_OK : result);
}

/* Of a redirect, where to; and the operator's words. */
static enum apply_result
add_entry(const struct steering *steering, const struct store_open *open)
{
    const struct proto_steer *steer = steering->steer;
    struct buf text = {0};
    enum apply_result result;

    if (steer->what == STEER_REDIRECT) {
        buf_add_view(&text, open->row.target);
        buf_add_text(&text, steer->reason.len > 0 ? ": " : "");
    }
    buf_add_view(&text, steer->reason);
    result = store_open_entry(steering->apply, steer->when_ms,
                              rows[steer->what].event, open, buf_view(&text),
                              steer->by);
    buf_free(&text);
    return result;
}

static enum apply_result
steer_delivery(const struct steering *steering, struct store_open *open)
{
    const struct proto_steer *steer = steering->steer;
    struct store_apply *apply = steering->apply;
    struct delivery *row = &open->row;
    uint64_t to = state_after(steer->what, row->state), spent_ms;
    enum apply_result result = store_undo_note(apply, steer, open, to);

    if (result == APPLY_OK)
        result = store_open_spent(apply, row, &spent_ms);
    if (result == APPLY_OK)
        result = store_open_leave(apply, open);
    if (result == APPLY_OK && steer->what == STEER_REDIRECT)
        result = set_target(steering, open);
    if (result == APPLY_OK)
        result = set_clock(steering, open, spent_ms);
    if (result == APPLY_OK && steer->what == STEER_AGAIN)
        result = store_reopen(apply, open->id);
    row->state = to;
    row->next_ms = delivery_waits(to) ? row->next_ms : 0;
    row->changed_ms = steer->when_ms;
    if (result == APPLY_OK)
        result = store_open_enter(apply, open);
    if (result == APPLY_OK)
        result = add_entry(steering, open);
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
    if (steering->steer->what == STEER_PREFER)
        return store_prefer_mark(apply, steering->steer->rule, &open, &message);
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
    enum apply_result result;
    size_t n;

    if (steer->what < STEER_HOLD || steer->what > STEER_PREFER ||
        steer->what == STEER_RETURN || steer->target.len > DB_TARGET_MAX) {
        why_text(&apply->why, "the operator wants what there is not");
        return APPLY_REFUSED;
    }
    if (steer->what == STEER_UNDO)
        result = store_undo_apply(apply, record, steer);
    else
        result = store_undo_begin(apply, steer);
    if (result != APPLY_OK || steer->what == STEER_UNDO)
        return result == APPLY_REFUSED ? APPLY_UNDO : result;
    for (size_t i = 0; i < steer->items.count && result == APPLY_OK; i += n) {
        for (n = 1;
             i + n < steer->items.count && items[i + n].id == items[i].id;)
            n++;
        result = steer_message(&steering, &items[i], n);
    }
    if (result == APPLY_OK)
        result = store_undo_end(apply, steer);
    /* Items before this one may have changed rows. */
    return result == APPLY_REFUSED ? APPLY_UNDO : result;
}
