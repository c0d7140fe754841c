/* SPDX-License-Identifier: ISC */
/*
 * MEND: what "spoolctl check" found is put right (db_mend.c). What went aside
 * of a message may have kept the rest of it: replay is told of its deliveries
 * again.
 *
 * Before: store_apply.c   After: store_batch.c (commit, then MENDED)
 */
#include "db_mend.h"
#include "store.h"

/* Replay left it alone while a row of it was damaged. */
static enum apply_result
announce(struct store_apply *apply, uint64_t id)
{
    struct store_open open = {.id = id};
    struct message message;
    char flow[MESSAGE_FLOW_KEY_MAX];
    enum db_result got = db_get_message(apply->txn, id, &message);

    if (got != DB_OK)
        return got == DB_NONE || got == DB_DAMAGED ? APPLY_OK
                                                   : store_apply_db(apply, got);
    for (uint64_t n = 0; got == DB_OK; n++) {
        got = db_next_delivery(apply->txn, id, &n, &open.row);
        if (got == DB_OK && open.row.state == DELIVERY_READY)
            store_apply_announce(
                apply, id, open.row.target,
                (struct view){flow, message_flow_key(&message, flow)});
    }
    return APPLY_OK;
}

enum apply_result
store_apply_mend(struct store_apply *apply, const struct store_record *record,
                 const struct proto_mend *mend)
{
    const struct db_mend_times times = {record->when_ms, record->keep_ms};
    const struct proto_mend_item *items = mend->items.items;
    enum apply_result result = store_refs_flush(apply);

    for (size_t i = 0; i < mend->items.count && result == APPLY_OK; i++) {
        uint64_t before = apply->count;

        result =
            store_apply_db(apply, db_mend(apply->txn, &apply->totals, &items[i],
                                          &times, &apply->count));
        if (result == APPLY_OK && apply->count > before && items[i].id != 0 &&
            items[i].what != MEND_BLOCK)
            result = announce(apply, items[i].id);
    }
    return result;
}
