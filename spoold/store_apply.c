/* SPDX-License-Identifier: ISC */
/*
 * What each record changes in the tables. Every change of state of a
 * delivery writes its ledger entry here, in the same transaction. Legal
 * states (spool.5): an open delivery has exactly one row in ready or one in
 * later; a finished one has none; a message whose deliveries are all
 * finished has one purge row in later, or is gone.
 *
 * Before: store_batch.c   After: store_batch.c (commit, then the answers)
 */
#include "store_mailbox.h"

#include <stdlib.h>

#include "event.h"

static const struct record_field store_record_fields[] = {
    RECORD_NEEDED_NUM(1, store_record, kind),
    RECORD_NEEDED_NUM(2, store_record, when_ms),
    RECORD_NUM_FIELD(3, store_record, keep_ms),
    RECORD_NEEDED_VIEW(4, store_record, payload),
    RECORD_VIEW_FIELD(5, store_record, content),
    RECORD_NUM_FIELD(6, store_record, notice_gap_ms),
};
RECORD_TYPE(store_record);

static const struct record_field store_due_row_fields[] = {
    RECORD_NEEDED_NUM(1, store_due_row, when_ms),
    RECORD_NEEDED_NUM(2, store_due_row, id),
    RECORD_NUM_FIELD(3, store_due_row, n),
};
RECORD_TYPE(store_due_row);

static const struct record_field store_due_fields[] = {
    RECORD_LIST_FIELD(1, store_due, rows, store_due_row_record),
};
RECORD_TYPE(store_due);

static const struct record_field store_trim_fields[] = {
    RECORD_NEEDED_NUM(1, store_trim, seq),
    RECORD_NEEDED_NUM(2, store_trim, max),
};
RECORD_TYPE(store_trim);

enum apply_result
store_apply_db(struct store_apply *apply, enum db_result result)
{
    switch (result) {
    case DB_OK:
        return APPLY_OK;
    case DB_FULL:
        why_text(&apply->why, "no room: %s", db_reason(apply->txn));
        return APPLY_FULL;
    case DB_NONE:
    case DB_EXISTS:
        why_text(&apply->why, "the tables contradict each other");
        return APPLY_UNDO;
    case DB_DAMAGED:
        why_text(&apply->why, "a damaged row: see spoolctl check");
        return APPLY_UNDO;
    case DB_FAILED:
        break;
    }
    why_text(&apply->why, "%s", db_reason(apply->txn));
    return APPLY_FAILED;
}

/* Replay hears of a message once for each run of one target. */
void
store_apply_announce(struct store_apply *apply, uint64_t id, struct view target,
                     struct view flow)
{
    struct proto_ready_item item = {id, target, flow};
    struct proto_queued one = {{&item, 1}};

    if (id == apply->last_ready_id &&
        view_equal(target, buf_view(&apply->last_ready_target)))
        return;
    apply->last_ready_id = id;
    buf_reset(&apply->last_ready_target);
    buf_add_view(&apply->last_ready_target, target);
    record_encode(&proto_queued_record, &one, &apply->ready);
}

/* --- LATER to READY, and purges ------------------------------------------ */

/* The delivery is in later: it becomes ready, for the reason why. */
static enum apply_result
make_ready(struct store_apply *apply, struct store_open *open, uint64_t when_ms,
           enum event_kind why)
{
    struct view nobody = {0};
    enum apply_result result =
        store_open_move(apply, open, DELIVERY_READY, 0, when_ms);

    if (result == APPLY_OK)
        result = store_open_entry(apply, when_ms, why, open, open->row.reply,
                                  nobody);
    return result;
}

static enum apply_result
purge(struct store_apply *apply, const struct store_due_row *row,
      uint64_t when_ms)
{
    struct ledger_entry entry = {
        .when_ms = when_ms, .event = EVENT_PURGED, .id = row->id};
    struct message message;
    enum db_result got = db_get_message(apply->txn, row->id, &message);
    enum apply_result result;

    if (got == DB_NONE || (got == DB_OK && message.purge_ms != row->when_ms)) {
        /* Done by an earlier record, or taken up again since. */
        got = db_del_later(apply->txn, row->when_ms, row->id, DB_LATER_PURGE);
        return store_apply_db(apply, got == DB_NONE ? DB_OK : got);
    }
    if (got != DB_OK)
        return store_apply_db(apply, got);
    result = store_remove(apply, row->id);
    if (result == APPLY_OK)
        result = store_apply_db(apply, db_add_ledger(apply->txn, &entry));
    return result;
}

static enum apply_result
apply_due_row(struct store_apply *apply, const struct store_due_row *row,
              uint64_t when_ms)
{
    struct store_open open = {.id = row->id};
    struct message message;
    enum apply_result result;

    if (db_get_message(apply->txn, row->id, &message) == DB_DAMAGED)
        return APPLY_OK; /* it waits for spoolctl check; the others go on */
    if (row->n == DB_LATER_PURGE)
        return purge(apply, row, when_ms);
    result = store_open_message(apply, row->id, &open, &message);
    if (result != APPLY_OK)
        return result == APPLY_REFUSED ? APPLY_OK : result;
    if (db_get_delivery(apply->txn, row->id, row->n, &open.row) != DB_OK)
        return APPLY_OK; /* the same */
    result = store_open_get(apply, &open, row->n);
    if (result != APPLY_OK)
        return result;
    if (!delivery_waits(open.row.state) || open.row.next_ms != row->when_ms)
        return APPLY_OK; /* changed since the row was seen */
    return make_ready(apply, &open, when_ms, EVENT_DUE);
}

static enum apply_result
apply_due(struct store_apply *apply, const struct store_record *record,
          const struct store_due *due)
{
    const struct store_due_row *rows = due->rows.items;
    enum apply_result result = APPLY_OK;

    for (size_t i = 0; i < due->rows.count && result == APPLY_OK; i++)
        result = apply_due_row(apply, &rows[i], record->when_ms);
    return result;
}

static enum apply_result
retry_message(struct store_apply *apply, uint64_t id, uint64_t when_ms)
{
    struct store_open open = {.id = id};
    struct message message;
    enum apply_result result = store_open_message(apply, id, &open, &message);
    bool is_notice = result == APPLY_OK && message.origin == ORIGIN_DSN;
    uint64_t n = 0;

    while (result == APPLY_OK &&
           (result = store_open_next(apply, &open, n)) == APPLY_OK) {
        n = open.n + 1;
        /* A notice to a sender waits for its moment, not for a next try. */
        if (!delivery_waits(open.row.state) ||
            (is_notice && open.row.attempts == 0))
            continue;
        result = make_ready(apply, &open, when_ms, EVENT_RETRIED);
        apply->count += result == APPLY_OK;
    }
    return result == APPLY_REFUSED ? APPLY_OK : result;
}

static enum apply_result
apply_retry(struct store_apply *apply, const struct proto_ids *ids)
{
    const struct proto_id *items = ids->ids.items;
    enum apply_result result = APPLY_OK;

    for (size_t i = 0; i < ids->ids.count && result == APPLY_OK; i++)
        result = retry_message(apply, items[i].id, ids->when_ms);
    return result;
}

static enum apply_result
apply_health(struct store_apply *apply, const struct target_health *health)
{
    if (health->name.len == 0 || health->name.len > DB_TARGET_MAX) {
        why_text(&apply->why, "a target's name of %zu bytes", health->name.len);
        return APPLY_REFUSED;
    }
    return store_apply_db(apply, db_put_health(apply->txn, health));
}

/* --- records ------------------------------------------------------------- */

enum apply_result
store_apply_begin(struct store_apply *apply, struct db_txn *txn)
{
    *apply = (struct store_apply){.txn = txn};
    return store_apply_db(apply, db_get_totals(txn, &apply->totals));
}

enum apply_result
store_apply_end(struct store_apply *apply)
{
    enum apply_result result = store_refs_flush(apply);

    if (result != APPLY_OK)
        return result;
    return store_apply_db(apply, db_put_totals(apply->txn, &apply->totals));
}

void
store_apply_free(struct store_apply *apply)
{
    buf_free(&apply->ready);
    buf_free(&apply->news);
    buf_free(&apply->last_ready_target);
    buf_free(&apply->scratch);
    buf_free(&apply->domains);
}

/* The record type of each kind's payload. */
static const struct record_type *const payloads[] = {
    [STORE_SUBMIT] = &proto_submit_record,
    [STORE_OUTCOME] = &proto_outcome_record,
    [STORE_HEALTH] = &target_health_record,
    [STORE_NOTE] = &ledger_entry_record,
    [STORE_RETRY] = &proto_ids_record,
    [STORE_DUE] = &store_due_record,
    [STORE_STEER] = &proto_steer_record,
    [STORE_REKEY] = &proto_data_keys_record,
    [STORE_LEARN] = &dictionary_row_record,
    [STORE_CHECKPOINT] = &checkpoint_record,
    [STORE_CARRY] = &proto_ids_record,
    [STORE_TRIM] = &store_trim_record,
    [STORE_MEND] = &proto_mend_record,
    [STORE_UNDO_TRIM] = &store_undo_trim_record,
    [STORE_PREFER] = &proto_prefer_record,
};

enum apply_result
store_apply_record(struct store_apply *apply, const struct store_record *record)
{
    union {
        struct proto_outcome outcome;
        struct target_health health;
        struct ledger_entry note;
        struct proto_ids ids;
        struct store_due due;
        struct proto_steer steer;
        struct proto_data_keys keys;
        struct dictionary_row dictionary;
        struct checkpoint checkpoint;
        struct store_trim trim;
        struct proto_mend mend;
        struct store_undo_trim undo_trim;
        struct proto_prefer prefer;
    } payload;
    const struct record_type *type;
    enum apply_result result = APPLY_REFUSED;

    apply->count = 0;
    apply->notice_gap_ms = record->notice_gap_ms;
    if (record->kind == STORE_SUBMIT)
        return store_apply_submit(apply, record->payload, record->content,
                                  record->fd);
    if (record->kind >= STORE_MAILBOXES)
        return store_apply_reader(apply, record);
    if (record->kind == 0 || record->kind > STORE_KIND_MAX)
        return APPLY_REFUSED;
    type = payloads[record->kind];
    if (record_decode(type, record->payload, &payload, &apply->why) != 0)
        return APPLY_REFUSED;
    switch (record->kind) {
    case STORE_OUTCOME:
        result = store_apply_outcome(apply, record, &payload.outcome);
        break;
    case STORE_HEALTH:
        result = apply_health(apply, &payload.health);
        break;
    case STORE_NOTE:
        result =
            store_apply_db(apply, db_add_ledger(apply->txn, &payload.note));
        break;
    case STORE_RETRY:
        result = apply_retry(apply, &payload.ids);
        break;
    case STORE_DUE:
        result = apply_due(apply, record, &payload.due);
        break;
    case STORE_STEER:
        result = store_apply_steer(apply, record, &payload.steer);
        break;
    case STORE_MEND:
        result = store_apply_mend(apply, record, &payload.mend);
        break;
    case STORE_LEARN:
        result = store_apply_learn(apply, record->when_ms, &payload.dictionary);
        break;
    case STORE_REKEY:
        result = store_apply_rekey(apply, &payload.keys);
        break;
    case STORE_CHECKPOINT:
        result = store_apply_checkpoint(apply, &payload.checkpoint);
        break;
    case STORE_CARRY:
        result = store_apply_carry(apply, &payload.ids);
        break;
    case STORE_TRIM:
        result = store_apply_trim(apply, &payload.trim);
        break;
    case STORE_UNDO_TRIM:
        result = store_undo_trim(apply, &payload.undo_trim);
        break;
    case STORE_PREFER:
        result = store_apply_prefer(apply, &payload.prefer);
        break;
    }
    record_clear(type, &payload);
    return result;
}
