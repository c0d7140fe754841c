/* SPDX-License-Identifier: ISC */
/*
 * How a delivery changes its state, and how a message ends: the steps all
 * records are made of. Legal states (spool.5): ready has one row in ready,
 * later and unknown one in later, held and finished deliveries have none; a
 * message whose deliveries are all finished has one purge row in later, or is
 * gone.
 *
 * Before: store_apply.c, store_steer.c   After: db_write.c
 */
#include "event.h"
#include "store_mailbox.h"

/* --- a delivery ------------------------------------------------------------
 */

static struct view
flow_of(const struct store_open *open)
{
    return (struct view){open->flow, open->flow_len};
}

enum apply_result
store_open_message(struct store_apply *apply, uint64_t id,
                   struct store_open *open, struct message *message)
{
    enum db_result got = db_get_message(apply->txn, id, message);

    if (got == DB_NONE) {
        why_text(&apply->why, "there is no such message");
        return APPLY_REFUSED;
    }
    if (got != DB_OK)
        return store_apply_db(apply, got);
    open->id = id;
    open->block = message->block;
    open->flow_len = message_flow_key(message, open->flow);
    return APPLY_OK;
}

/* Copies the views of the row, which end with the next change. */
static void
keep_views(struct store_apply *apply, struct delivery *row)
{
    struct view *views[] = {&row->recipient, &row->target, &row->reply,
                            &row->orcpt, &row->home};
    size_t total = 0;

    for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
        total += views[i]->len;
    buf_reset(&apply->scratch);
    buf_reserve(&apply->scratch, total);
    for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
        char *at = apply->scratch.data + apply->scratch.len;

        buf_add_view(&apply->scratch, *views[i]);
        views[i]->data = at;
    }
}

static enum apply_result
kept(struct store_apply *apply, struct store_open *open, enum db_result got)
{
    if (got == DB_NONE) {
        why_text(&apply->why, "there is no such delivery");
        return APPLY_REFUSED;
    }
    if (got == DB_OK)
        keep_views(apply, &open->row);
    return store_apply_db(apply, got);
}

enum apply_result
store_open_get(struct store_apply *apply, struct store_open *open, uint64_t n)
{
    open->n = n;
    return kept(apply, open,
                db_get_delivery(apply->txn, open->id, n, &open->row));
}

enum apply_result
store_open_next(struct store_apply *apply, struct store_open *open, uint64_t n)
{
    open->n = n;
    return kept(apply, open,
                db_next_delivery(apply->txn, open->id, &open->n, &open->row));
}

enum apply_result
store_open_leave(struct store_apply *apply, const struct store_open *open)
{
    const struct delivery *row = &open->row;
    enum db_result result = DB_OK;

    if (row->state == DELIVERY_READY)
        result = db_del_ready(apply->txn, row->target, flow_of(open), open->id,
                              open->n);
    else if (delivery_waits(row->state))
        result = db_del_later(apply->txn, row->next_ms, open->id, open->n);
    else if (row->state == DELIVERY_HELD)
        apply->totals.on_hold--;
    apply->totals.unknown -= row->state == DELIVERY_UNKNOWN;
    /* An index row that was lost must not keep the delivery from going on;
     * "spoolctl check" would have told of it. */
    return store_apply_db(apply, result == DB_NONE ? DB_OK : result);
}

enum apply_result
store_open_enter(struct store_apply *apply, struct store_open *open)
{
    const struct delivery *row = &open->row;
    enum db_result result = DB_OK;
    enum apply_result placed = store_mailbox_enter(apply, open);

    if (placed != APPLY_OK)
        return placed;

    if (row->state == DELIVERY_READY) {
        result = db_put_ready(apply->txn, row->target, flow_of(open), open->id,
                              open->n);
        store_apply_announce(apply, open->id, row->target, flow_of(open));
    } else if (delivery_waits(row->state)) {
        result = db_put_later(apply->txn, row->next_ms, open->id, open->n);
    } else if (row->state == DELIVERY_HELD) {
        apply->totals.on_hold++;
    }
    apply->totals.unknown += row->state == DELIVERY_UNKNOWN;
    if (result == DB_OK)
        result = db_put_delivery(apply->txn, open->id, open->n, row);
    return store_apply_db(apply, result);
}

enum apply_result
store_open_move(struct store_apply *apply, struct store_open *open,
                uint64_t state, uint64_t next_ms, uint64_t when_ms)
{
    enum apply_result result = store_open_leave(apply, open);

    open->row.state = state;
    open->row.next_ms = next_ms;
    open->row.changed_ms = when_ms;
    return result == APPLY_OK ? store_open_enter(apply, open) : result;
}

enum apply_result
store_open_entry(struct store_apply *apply, uint64_t when_ms, uint64_t event,
                 const struct store_open *open, struct view text,
                 struct view by)
{
    struct ledger_entry entry = {.when_ms = when_ms,
                                 .event = event,
                                 .id = open->id,
                                 .n = open->n + 1,
                                 .code = open->row.code,
                                 .text = text,
                                 .by = by};

    return store_apply_db(apply, db_add_ledger(apply->txn, &entry));
}

/* --- the clock of hold-for ------------------------------------------------
 */

static enum apply_result
reach_of(struct store_apply *apply, struct view target, uint64_t *reach_ms)
{
    struct target_health health = {0};
    enum db_result got = db_get_health(apply->txn, target, &health);

    *reach_ms = got == DB_OK ? health.reach_ms : 0;
    return got == DB_NONE ? APPLY_OK : store_apply_db(apply, got);
}

/* It stands still while the operator holds the delivery, and at its end. */
enum apply_result
store_open_spent(struct store_apply *apply, const struct delivery *row,
                 uint64_t *spent_ms)
{
    uint64_t reach_ms;
    enum apply_result result = reach_of(apply, row->target, &reach_ms);

    *spent_ms = row->spent_ms;
    if (row->state != DELIVERY_HELD && delivery_is_open(row->state) &&
        reach_ms > row->reach_ms)
        *spent_ms += reach_ms - row->reach_ms;
    return result;
}

enum apply_result
store_open_clock(struct store_apply *apply, struct delivery *row,
                 uint64_t spent_ms)
{
    row->spent_ms = spent_ms;
    return reach_of(apply, row->target, &row->reach_ms);
}

/* --- the end of a message --------------------------------------------------
 */

/* Takes the rows of its deliveries in ready and later away. */
static enum apply_result
leave_all(struct store_apply *apply, struct store_open *open)
{
    enum apply_result result;
    uint64_t n = 0;

    while ((result = store_open_next(apply, open, n)) == APPLY_OK) {
        if ((result = store_open_leave(apply, open)) != APPLY_OK)
            return result;
        n = open->n + 1;
    }
    return result == APPLY_REFUSED ? APPLY_OK : result;
}

static enum apply_result
remove_rows(struct store_apply *apply, uint64_t id,
            const struct message *message)
{
    enum db_result result = DB_OK;

    if (message->purge_ms != 0)
        result =
            db_del_later(apply->txn, message->purge_ms, id, DB_LATER_PURGE);
    if (result == DB_OK || result == DB_NONE)
        result = db_sieve_drop(apply->txn, message->block, id);
    if (result == DB_OK || result == DB_NONE)
        result = db_del_pieces(apply->txn, id);
    if (result == DB_OK)
        result = db_del_deliveries(apply->txn, id);
    if (result == DB_OK)
        result = db_del_message(apply->txn, id);
    return store_apply_db(apply, result);
}

enum apply_result
store_remove(struct store_apply *apply, uint64_t id)
{
    struct store_open open = {.id = id};
    struct message message;
    enum apply_result result = store_open_message(apply, id, &open, &message);

    if (result != APPLY_OK)
        return result;
    if (message.finished_ms == 0) {
        apply->totals.held--;
        apply->totals.held_stored -= message.stored;
        result = leave_all(apply, &open);
    }
    if (result == APPLY_OK)
        result = store_open_message(apply, id, &open, &message);
    if (result == APPLY_OK)
        result = store_mailbox_remove(apply, id);
    if (result == APPLY_OK)
        result = store_open_message(apply, id, &open, &message);
    if (result == APPLY_OK)
        result = store_refs_drop(apply, id, &message);
    if (result == APPLY_OK)
        result = store_open_message(apply, id, &open, &message);
    return result == APPLY_OK ? remove_rows(apply, id, &message) : result;
}

/* 1: some delivery of id is open, 0: none, -1: *result says what failed. One
 * that cannot be read has not ended, as far as anybody knows. */
static int
has_open(struct store_apply *apply, uint64_t id, enum apply_result *result)
{
    struct delivery row;
    uint64_t n = 0;
    enum db_result got;

    for (; (got = db_next_delivery(apply->txn, id, &n, &row)) == DB_OK; n++)
        if (delivery_is_open(row.state))
            return 1;
    if (got == DB_NONE || got == DB_DAMAGED)
        return got == DB_DAMAGED;
    *result = store_apply_db(apply, got);
    return -1;
}

enum apply_result
store_finish(struct store_apply *apply, uint64_t id, uint64_t when_ms,
             uint64_t keep_ms)
{
    struct message message;
    enum apply_result failed = APPLY_OK;
    enum db_result result;
    int open = has_open(apply, id, &failed);

    if (open != 0)
        return open < 0 ? failed : APPLY_OK;
    if (keep_ms == 0)
        return store_remove(apply, id);
    result = db_get_message(apply->txn, id, &message);
    if (result != DB_OK || message.finished_ms != 0)
        return store_apply_db(apply, result);
    apply->totals.held--;
    apply->totals.held_stored -= message.stored;
    message.finished_ms = when_ms;
    message.purge_ms = when_ms + keep_ms;
    result = db_put_message(apply->txn, id, &message);
    if (result == DB_OK)
        result =
            db_put_later(apply->txn, when_ms + keep_ms, id, DB_LATER_PURGE);
    return store_apply_db(apply, result);
}

enum apply_result
store_reopen(struct store_apply *apply, uint64_t id)
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
