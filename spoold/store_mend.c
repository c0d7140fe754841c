/* SPDX-License-Identifier: ISC */
/*
 * Rows that contradict others are put right, and those that cannot be read
 * are set aside as they are, so that everything else flows. What is to be
 * done was found by "spoolctl check"; here each is looked at again, since the
 * store went on meanwhile: an item that no longer fits changes nothing.
 *
 * Before: control_check.c (MEND)   After: db_write.c
 */
#include "bytes.h"
#include "event.h"
#include "store.h"

/* --- setting aside -----------------------------------------------------------
 */

/* Only what is damaged, or belongs to nothing. */
static bool
may_go_aside(struct store_apply *apply, const struct proto_mend_item *item,
             struct view value)
{
    struct store_open open = {.id = item->id};
    struct message message;
    struct delivery row;

    (void)value;
    if (view_equal(item->table, VIEW("message")))
        return db_get_message(apply->txn, item->id, &message) == DB_DAMAGED ||
               db_next_delivery(apply->txn, item->id, &open.n, &row) == DB_NONE;
    if (view_equal(item->table, VIEW("delivery")))
        return db_get_delivery(apply->txn, item->id, item->n, &row) ==
                   DB_DAMAGED ||
               db_get_message(apply->txn, item->id, &message) == DB_NONE;
    if (view_equal(item->table, VIEW("body")))
        return db_get_message(apply->txn, item->id, &message) == DB_NONE;
    return !view_equal(item->table, VIEW("ledger")) &&
           !view_equal(item->table, VIEW("setting"));
}

static enum apply_result
set_aside(struct store_apply *apply, uint64_t when_ms,
          const struct proto_mend_item *item)
{
    struct aside_row row = {.when_ms = when_ms,
                            .table = item->table,
                            .key = item->key,
                            .reason = item->reason,
                            .id = item->id};
    struct ledger_entry entry = {.when_ms = when_ms,
                                 .event = EVENT_ASIDE,
                                 .id = item->id,
                                 .text = item->reason};
    struct buf value = {0};
    enum db_result result =
        db_get_raw(apply->txn, item->table, item->key, &row.value);

    if (result == DB_NONE)
        return APPLY_OK;
    if (result != DB_OK || !may_go_aside(apply, item, row.value))
        return store_apply_db(apply, result);
    buf_add_view(&value, row.value);
    row.value = buf_view(&value);
    if (view_equal(item->table, VIEW("delivery")))
        entry.n = item->n + 1;
    result = db_add_aside(apply->txn, &row);
    if (result == DB_OK)
        result = db_del_raw(apply->txn, item->table, item->key);
    if (result == DB_OK)
        result = db_add_ledger(apply->txn, &entry);
    buf_free(&value);
    apply->count += result == DB_OK;
    return store_apply_db(apply, result);
}

/* --- index rows
 * --------------------------------------------------------------- */

static enum apply_result
drop(struct store_apply *apply, const struct proto_mend_item *item)
{
    enum db_result result = DB_NONE;

    if (view_equal(item->table, VIEW("ready")) ||
        view_equal(item->table, VIEW("later")))
        result = db_del_raw(apply->txn, item->table, item->key);
    apply->count += result == DB_OK;
    return store_apply_db(apply, result == DB_NONE ? DB_OK : result);
}

/* The delivery's row, or the message's purge, gets its index row. */
static enum apply_result
write_index(struct store_apply *apply, const struct proto_mend_item *item)
{
    struct store_open open = {.id = item->id};
    struct message message;
    enum apply_result result =
        store_open_message(apply, item->id, &open, &message);

    if (result == APPLY_OK && item->n == DB_LATER_PURGE) {
        if (message.finished_ms == 0)
            return APPLY_OK;
        apply->count++;
        return store_apply_db(apply, db_put_later(apply->txn, message.purge_ms,
                                                  item->id, DB_LATER_PURGE));
    }
    if (result == APPLY_OK)
        result = store_open_get(apply, &open, item->n);
    if (result != APPLY_OK)
        return result == APPLY_REFUSED ? APPLY_OK : result;
    if (open.row.state != DELIVERY_READY && !delivery_waits(open.row.state))
        return APPLY_OK;
    apply->count++;
    return store_open_enter(apply, &open);
}

/* --- messages
 * ------------------------------------------------------------------ */

/* It is held while a delivery is open, and has ended otherwise. */
static enum apply_result
finish(struct store_apply *apply, const struct store_record *record,
       const struct proto_mend_item *item)
{
    struct store_open open = {.id = item->id};
    struct message message;
    struct delivery row;
    uint64_t n = 0;
    bool any = false;
    enum db_result got;
    enum apply_result result =
        store_open_message(apply, item->id, &open, &message);

    if (result != APPLY_OK)
        return result == APPLY_REFUSED ? APPLY_OK : result;
    for (; (got = db_next_delivery(apply->txn, item->id, &n, &row)) == DB_OK;
         n++)
        any = any || delivery_is_open(row.state);
    if (got != DB_NONE)
        return got == DB_DAMAGED ? APPLY_OK : store_apply_db(apply, got);
    apply->count++;
    if (!any)
        return store_finish(apply, item->id, record->when_ms, record->keep_ms);
    if (message.finished_ms == 0)
        return APPLY_OK;
    result = store_open_message(apply, item->id, &open, &message);
    if (result != APPLY_OK)
        return result;
    n = message.purge_ms;
    message.finished_ms = message.purge_ms = 0;
    apply->totals.held++;
    apply->totals.held_stored += message.stored;
    got = db_put_message(apply->txn, item->id, &message);
    if (got == DB_OK)
        got = db_del_later(apply->txn, n, item->id, DB_LATER_PURGE);
    return store_apply_db(apply, got == DB_NONE ? DB_OK : got);
}

static enum apply_result
mend_item(struct store_apply *apply, const struct store_record *record,
          const struct proto_mend *mend, const struct proto_mend_item *item)
{
    switch (item->what) {
    case MEND_ASIDE:
        return set_aside(apply, mend->when_ms, item);
    case MEND_DROP:
        return drop(apply, item);
    case MEND_READY:
    case MEND_LATER:
        return write_index(apply, item);
    case MEND_FINISH:
        return finish(apply, record, item);
    case MEND_TOTALS:
        apply->count++;
        return store_apply_db(apply, db_recount(apply->txn, &apply->totals));
    default:
        return APPLY_OK;
    }
}

enum apply_result
store_apply_mend(struct store_apply *apply, const struct store_record *record,
                 const struct proto_mend *mend)
{
    const struct proto_mend_item *items = mend->items.items;
    struct ledger_entry entry = {.when_ms = mend->when_ms,
                                 .event = EVENT_MENDED};
    enum apply_result result = store_refs_flush(apply);

    for (size_t i = 0; i < mend->items.count && result == APPLY_OK; i++)
        result = mend_item(apply, record, mend, &items[i]);
    entry.code = apply->count;
    if (result == APPLY_OK && apply->count > 0)
        result = store_apply_db(apply, db_add_ledger(apply->txn, &entry));
    return result;
}
