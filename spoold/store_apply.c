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
#include "store.h"

#include <stdlib.h>

#include "event.h"

static const struct record_field store_record_fields[] = {
    RECORD_NEEDED_NUM(1, store_record, kind),
    RECORD_NEEDED_NUM(2, store_record, when_ms),
    RECORD_NUM_FIELD(3, store_record, keep_ms),
    RECORD_NEEDED_VIEW(4, store_record, payload),
    RECORD_VIEW_FIELD(5, store_record, content),
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

/* Copies the views of a row, which end with the next change. */
static void
keep_views(struct store_apply *apply, struct view **views, size_t n)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += views[i]->len;
    buf_reset(&apply->scratch);
    buf_reserve(&apply->scratch, total);
    for (size_t i = 0; i < n; i++) {
        char *at = apply->scratch.data + apply->scratch.len;

        buf_add_view(&apply->scratch, *views[i]);
        views[i]->data = at;
    }
}

/* --- a delivery changes its state ---------------------------------------- */

/* What a delivery is now, with the flow that is part of its ready key. */
struct open_delivery {
    uint64_t id;
    uint64_t n;
    struct delivery row;
    char flow[DB_FLOW_MAX + 1];
    size_t flow_len;
};

static struct view
flow_of(const struct open_delivery *open)
{
    return (struct view){open->flow, open->flow_len};
}

static enum apply_result
load_flow(struct store_apply *apply, struct open_delivery *open,
          struct message *message)
{
    enum db_result got = db_get_message(apply->txn, open->id, message);

    if (got != DB_OK)
        return got == DB_NONE ? APPLY_REFUSED : store_apply_db(apply, got);
    open->flow_len = message->flow.len <= DB_FLOW_MAX ? message->flow.len : 0;
    if (open->flow_len > 0)
        memcpy(open->flow, message->flow.data, open->flow_len);
    return APPLY_OK;
}

static void
keep_delivery(struct store_apply *apply, struct delivery *row)
{
    struct view *views[] = {&row->recipient, &row->target, &row->reply};

    keep_views(apply, views, sizeof(views) / sizeof(views[0]));
}

/* Takes the row out of ready or later, wherever its state says it is. */
static enum apply_result
leave_state(struct store_apply *apply, const struct open_delivery *open)
{
    const struct delivery *row = &open->row;

    if (row->state == DELIVERY_READY)
        return store_apply_db(apply,
                              db_del_ready(apply->txn, row->target,
                                           flow_of(open), open->id, open->n));
    return store_apply_db(
        apply, db_del_later(apply->txn, row->next_ms, open->id, open->n));
}

static enum apply_result
enter_state(struct store_apply *apply, const struct open_delivery *open)
{
    const struct delivery *row = &open->row;
    enum db_result result = DB_OK;

    if (row->state == DELIVERY_READY) {
        result = db_put_ready(apply->txn, row->target, flow_of(open), open->id,
                              open->n);
        store_apply_announce(apply, open->id, row->target, flow_of(open));
    } else if (row->state == DELIVERY_LATER) {
        result = db_put_later(apply->txn, row->next_ms, open->id, open->n);
    }
    if (result == DB_OK)
        result = db_put_delivery(apply->txn, open->id, open->n, row);
    return store_apply_db(apply, result);
}

/* The event of each state a delivery can go to. */
static enum event_kind
event_of(uint64_t state)
{
    switch (state) {
    case DELIVERY_DELIVERED:
        return EVENT_DELIVERED;
    case DELIVERY_RETURNED:
        return EVENT_RETURNED;
    case DELIVERY_EXPIRED:
        return EVENT_EXPIRED;
    case DELIVERY_DROPPED:
        return EVENT_DROPPED;
    default:
        return EVENT_DEFERRED;
    }
}

static enum apply_result
add_entry(struct store_apply *apply, uint64_t when_ms, enum event_kind event,
          const struct open_delivery *open)
{
    struct ledger_entry entry = {.when_ms = when_ms,
                                 .event = event,
                                 .id = open->id,
                                 .n = open->n + 1,
                                 .code = open->row.code,
                                 .text = open->row.reply};

    return store_apply_db(apply, db_add_ledger(apply->txn, &entry));
}

/* --- OUTCOME ------------------------------------------------------------- */

static enum apply_result
apply_result_of(struct store_apply *apply, struct open_delivery *open,
                const struct proto_result *said, uint64_t when_ms)
{
    enum db_result got =
        db_get_delivery(apply->txn, open->id, said->n, &open->row);
    enum apply_result result;

    if (got == DB_NONE)
        return APPLY_OK; /* erased meanwhile */
    if (got != DB_OK)
        return store_apply_db(apply, got);
    if (!delivery_is_open(open->row.state))
        return APPLY_OK; /* told twice after the store was away */
    open->n = said->n;
    keep_delivery(apply, &open->row);
    result = leave_state(apply, open);
    open->row.state = said->state;
    open->row.attempts++;
    open->row.changed_ms = when_ms;
    open->row.next_ms = said->state == DELIVERY_LATER ? said->next_ms : 0;
    open->row.code = said->code;
    open->row.reply = said->reply;
    if (result == APPLY_OK)
        result = enter_state(apply, open);
    if (result == APPLY_OK)
        result = add_entry(apply, when_ms, event_of(said->state), open);
    return result;
}

static enum apply_result
remove_message(struct store_apply *apply, uint64_t id)
{
    enum db_result result = db_del_pieces(apply->txn, id);

    if (result == DB_OK)
        result = db_del_deliveries(apply->txn, id);
    if (result == DB_OK)
        result = db_del_message(apply->txn, id);
    return store_apply_db(apply, result);
}

/* The last delivery of a message ended. */
static enum apply_result
finish_message(struct store_apply *apply, uint64_t id, uint64_t when_ms,
               uint64_t keep_ms)
{
    struct message message;
    enum db_result result = db_get_message(apply->txn, id, &message);

    if (result != DB_OK)
        return store_apply_db(apply, result);
    apply->totals.held--;
    apply->totals.held_stored -= message.stored;
    if (keep_ms == 0)
        return remove_message(apply, id);
    message.finished_ms = when_ms;
    result = db_put_message(apply->txn, id, &message);
    if (result == DB_OK)
        result =
            db_put_later(apply->txn, when_ms + keep_ms, id, DB_LATER_PURGE);
    return store_apply_db(apply, result);
}

/* 1: some delivery of id is open, 0: none, -1: the database failed. */
static int
has_open(struct store_apply *apply, uint64_t id)
{
    struct delivery row;
    uint64_t n = 0;
    enum db_result got;

    for (; (got = db_next_delivery(apply->txn, id, &n, &row)) == DB_OK; n++)
        if (delivery_is_open(row.state))
            return 1;
    return got == DB_NONE ? 0 : -1;
}

static bool
outcome_is_legal(const struct proto_outcome *outcome)
{
    const struct proto_result *results = outcome->results.items;

    for (size_t i = 0; i < outcome->results.count; i++)
        if (results[i].state < DELIVERY_LATER ||
            results[i].state > DELIVERY_DROPPED ||
            (results[i].state == DELIVERY_LATER && results[i].next_ms == 0))
            return false;
    return outcome->results.count > 0;
}

static enum apply_result
apply_outcome(struct store_apply *apply, const struct store_record *record,
              const struct proto_outcome *outcome)
{
    const struct proto_result *results = outcome->results.items;
    struct open_delivery open = {.id = outcome->id};
    struct message message;
    enum apply_result result;
    int still_open;

    if (!outcome_is_legal(outcome)) {
        why_text(&apply->why, "an outcome that is none");
        return APPLY_REFUSED;
    }
    result = load_flow(apply, &open, &message);
    if (result != APPLY_OK)
        return result;
    if (message.finished_ms != 0)
        return APPLY_OK; /* told twice */
    for (size_t i = 0; i < outcome->results.count && result == APPLY_OK; i++)
        result = apply_result_of(apply, &open, &results[i], outcome->when_ms);
    if (result == APPLY_OK && outcome->dsn.len > 0)
        result = store_apply_submit(apply, outcome->dsn, (struct view){0}, -1);
    if (result == APPLY_REFUSED)
        result = APPLY_UNDO; /* rows were changed before the DSN was seen */
    if (result != APPLY_OK)
        return result;
    still_open = has_open(apply, outcome->id);
    if (still_open < 0)
        return APPLY_FAILED;
    return still_open ? APPLY_OK
                      : finish_message(apply, outcome->id, outcome->when_ms,
                                       record->keep_ms);
}

/* --- LATER to READY, and purges ------------------------------------------ */

/* The delivery is in later: it becomes ready, for the reason why. */
static enum apply_result
make_ready(struct store_apply *apply, struct open_delivery *open,
           uint64_t when_ms, enum event_kind why)
{
    enum apply_result result;

    keep_delivery(apply, &open->row);
    result = leave_state(apply, open);
    open->row.state = DELIVERY_READY;
    open->row.next_ms = 0;
    open->row.changed_ms = when_ms;
    if (result == APPLY_OK)
        result = enter_state(apply, open);
    if (result == APPLY_OK)
        result = add_entry(apply, when_ms, why, open);
    return result;
}

static enum apply_result
purge(struct store_apply *apply, const struct store_due_row *row,
      uint64_t when_ms)
{
    struct ledger_entry entry = {
        .when_ms = when_ms, .event = EVENT_PURGED, .id = row->id};
    enum db_result del =
        db_del_later(apply->txn, row->when_ms, row->id, DB_LATER_PURGE);
    enum apply_result result;

    if (del == DB_NONE)
        return APPLY_OK; /* done by an earlier record */
    result = store_apply_db(apply, del);
    if (result == APPLY_OK)
        result = remove_message(apply, row->id);
    if (result == APPLY_OK)
        result = store_apply_db(apply, db_add_ledger(apply->txn, &entry));
    return result;
}

static enum apply_result
apply_due_row(struct store_apply *apply, const struct store_due_row *row,
              uint64_t when_ms)
{
    struct open_delivery open = {.id = row->id, .n = row->n};
    struct message message;
    enum apply_result result;
    enum db_result got;

    if (row->n == DB_LATER_PURGE)
        return purge(apply, row, when_ms);
    result = load_flow(apply, &open, &message);
    if (result != APPLY_OK)
        return result == APPLY_REFUSED ? APPLY_OK : result;
    got = db_get_delivery(apply->txn, row->id, row->n, &open.row);
    if (got == DB_NONE || (got == DB_OK && (open.row.state != DELIVERY_LATER ||
                                            open.row.next_ms != row->when_ms)))
        return APPLY_OK; /* changed since the row was seen */
    if (got != DB_OK)
        return store_apply_db(apply, got);
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
    struct open_delivery open = {.id = id};
    struct message message;
    enum apply_result result = load_flow(apply, &open, &message);
    enum db_result got;

    if (result != APPLY_OK)
        return result == APPLY_REFUSED ? APPLY_OK : result;
    for (;
         (got = db_next_delivery(apply->txn, id, &open.n, &open.row)) == DB_OK;
         open.n++) {
        if (open.row.state != DELIVERY_LATER)
            continue;
        result = make_ready(apply, &open, when_ms, EVENT_RETRIED);
        if (result != APPLY_OK)
            return result;
        apply->retried++;
    }
    return got == DB_NONE ? APPLY_OK : store_apply_db(apply, got);
}

static enum apply_result
apply_retry(struct store_apply *apply, const struct proto_ids *ids)
{
    const struct proto_id *items = ids->ids.items;
    enum apply_result result = APPLY_OK;

    apply->retried = 0;
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
    return store_apply_db(apply, db_put_totals(apply->txn, &apply->totals));
}

void
store_apply_free(struct store_apply *apply)
{
    buf_free(&apply->ready);
    buf_free(&apply->last_ready_target);
    buf_free(&apply->scratch);
}

/* The record type of each kind's payload. */
static const struct record_type *const payloads[] = {
    [STORE_SUBMIT] = &proto_submit_record,
    [STORE_OUTCOME] = &proto_outcome_record,
    [STORE_HEALTH] = &target_health_record,
    [STORE_NOTE] = &ledger_entry_record,
    [STORE_RETRY] = &proto_ids_record,
    [STORE_DUE] = &store_due_record,
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
    } payload;
    const struct record_type *type;
    enum apply_result result = APPLY_REFUSED;

    if (record->kind == STORE_SUBMIT)
        return store_apply_submit(apply, record->payload, record->content,
                                  record->fd);
    if (record->kind == 0 || record->kind > STORE_DUE)
        return APPLY_REFUSED;
    type = payloads[record->kind];
    if (record_decode(type, record->payload, &payload, &apply->why) != 0)
        return APPLY_REFUSED;
    switch (record->kind) {
    case STORE_OUTCOME:
        result = apply_outcome(apply, record, &payload.outcome);
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
    }
    record_clear(type, &payload);
    return result;
}
