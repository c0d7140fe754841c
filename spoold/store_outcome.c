/* SPDX-License-Identifier: ISC */
/*
 * OUTCOME: what became of deliveries outside, and the notice to the sender
 * that goes with it, in one transaction: neither is ever there without the
 * other. Three things come in this way: what a target said, that the sender is
 * told of a delay, and what the operator sends back.
 *
 * Before: store_apply.c   After: store_batch.c (commit, then RECORDED)
 */
#include "event.h"
#include "store.h"

/* --- what a target said --------------------------------------------------- */

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
    case DELIVERY_UNKNOWN:
        return EVENT_UNKNOWN;
    default:
        return EVENT_DEFERRED;
    }
}

/* The operator took a delivery away while it was under way: what the target
 * did is the truth, what it only put off stays his. */
static uint64_t
state_after(const struct delivery *row, const struct proto_result *said)
{
    if (row->state == DELIVERY_HELD && delivery_waits(said->state))
        return DELIVERY_HELD;
    return said->state;
}

/* Told twice after the store was away, or decided by the operator meanwhile:
 * all but a delivery that was made in spite of being discarded. */
static bool
is_settled(const struct delivery *row, const struct proto_result *said,
           struct view target)
{
    bool may_have_it =
        said->state == DELIVERY_DELIVERED || said->state == DELIVERY_UNKNOWN;

    /* It was redirected meanwhile: no other target speaks for it, unless it
     * may have the message. */
    if (delivery_is_open(row->state))
        return target.len > 0 && !view_equal(target, row->target) &&
               !may_have_it;
    return !(row->state == DELIVERY_DISCARDED &&
             said->state == DELIVERY_DELIVERED);
}

/* What the target said; and why nobody was told, where nobody was. */
static enum apply_result
end_entry(struct store_apply *apply, const struct store_open *open,
          const struct proto_result *said, uint64_t when_ms)
{
    struct buf text = {0};
    enum apply_result result;

    buf_add_view(&text, said->reply);
    if (said->untold != 0)
        buf_addf(&text, "%s(nobody was told: %s)", text.len > 0 ? " " : "",
                 untold_text(said->untold));
    result = store_open_entry(apply, when_ms, event_of(said->state), open,
                              buf_view(&text), (struct view){0});
    buf_free(&text);
    return result;
}

static enum apply_result
apply_result_of(struct store_apply *apply, struct store_open *open,
                const struct proto_result *said,
                const struct proto_outcome *outcome, uint64_t *settled)
{
    struct view nobody = {0};
    uint64_t when_ms = outcome->when_ms;
    enum apply_result result = store_open_get(apply, open, said->n);
    uint64_t state;

    if (result != APPLY_OK)
        return result == APPLY_REFUSED ? APPLY_OK : result;
    if (is_settled(&open->row, said, outcome->target)) {
        ++*settled;
        return APPLY_OK;
    }
    if (open->row.state == DELIVERY_DISCARDED)
        result = store_open_entry(
            apply, when_ms, EVENT_AGAIN, open,
            VIEW("it was under way when it was discarded"), nobody);
    state = state_after(&open->row, said);
    if (result == APPLY_OK)
        result = store_open_leave(apply, open);
    open->row.state = state;
    open->row.attempts++;
    open->row.changed_ms = when_ms;
    open->row.next_ms = delivery_waits(state) ? said->next_ms : 0;
    open->row.code = said->code;
    open->row.reply = said->reply;
    open->row.untold = said->untold;
    if (said->alarmed && open->row.alarmed_ms == 0)
        open->row.alarmed_ms = when_ms;
    if (result == APPLY_OK)
        result = store_open_enter(apply, open);
    if (result == APPLY_OK && said->alarmed)
        result = store_open_entry(apply, when_ms, EVENT_EXPIRING, open,
                                  (struct view){0}, nobody);
    if (result == APPLY_OK)
        result = end_entry(apply, open, said, when_ms);
    return result;
}

/* --- the sender is told of a delay ---------------------------------------- */

static enum apply_result
apply_warning(struct store_apply *apply, struct store_open *open,
              const struct proto_result *said,
              const struct proto_outcome *outcome, uint64_t *settled)
{
    enum apply_result result = store_open_get(apply, open, said->n);

    if (result != APPLY_OK)
        return result == APPLY_REFUSED ? APPLY_OK : result;
    if (!delivery_is_open(open->row.state) || open->row.warned_ms != 0) {
        ++*settled;
        return APPLY_OK;
    }
    open->row.warned_ms = outcome->when_ms;
    result = store_apply_db(
        apply, db_put_delivery(apply->txn, open->id, open->n, &open->row));
    if (result == APPLY_OK)
        result = store_open_entry(apply, outcome->when_ms, EVENT_WARNED, open,
                                  said->reply, outcome->by);
    return result;
}

/* --- the operator sends it back ------------------------------------------- */

static enum apply_result
apply_return(struct store_apply *apply, struct store_open *open,
             const struct proto_result *said,
             const struct proto_outcome *outcome, uint64_t *settled)
{
    enum apply_result result = store_open_get(apply, open, said->n);

    if (result != APPLY_OK)
        return result == APPLY_REFUSED ? APPLY_OK : result;
    if (!delivery_is_open(open->row.state)) {
        ++*settled;
        return APPLY_OK;
    }
    result =
        store_open_move(apply, open, DELIVERY_RETURNED, 0, outcome->when_ms);
    if (result == APPLY_OK)
        result = store_open_entry(apply, outcome->when_ms, EVENT_RETURNED, open,
                                  outcome->reason, outcome->by);
    return result;
}

/* --- the record ----------------------------------------------------------- */

static bool
result_is_legal(const struct proto_result *result)
{
    if (delivery_waits(result->state))
        return result->next_ms != 0;
    return result->state >= DELIVERY_DELIVERED &&
           result->state <= DELIVERY_DROPPED;
}

static bool
outcome_is_legal(const struct proto_outcome *outcome)
{
    const struct proto_result *results = outcome->results.items;

    if (outcome->what > OUTCOME_RETURN)
        return false;
    for (size_t i = 0; i < outcome->results.count; i++)
        if (outcome->what == OUTCOME_SAID && !result_is_legal(&results[i]))
            return false;
    return outcome->results.count > 0;
}

/* It was erased while it was under way. What the target said is kept, since
 * somebody may have got the message; no notice tells of it any more. An
 * outcome that is told twice, of a message that was removed when it ended, is
 * noted in the same way. */
static enum apply_result
note_late(struct store_apply *apply, const struct proto_outcome *outcome)
{
    const struct proto_result *results = outcome->results.items;
    enum db_result result = DB_OK;

    for (size_t i = 0; i < outcome->results.count && result == DB_OK; i++) {
        struct ledger_entry entry = {.when_ms = outcome->when_ms,
                                     .event = EVENT_LATE,
                                     .id = outcome->id,
                                     .n = results[i].n + 1,
                                     .code = results[i].code,
                                     .text = results[i].reply};

        result = db_add_ledger(apply->txn, &entry);
    }
    return store_apply_db(apply, result);
}

/* Is there a delivery that the sender may be told of? */
static bool
tells_sender(const struct proto_outcome *outcome, uint64_t settled)
{
    return outcome->dsn.len > 0 && settled < outcome->results.count;
}

static enum apply_result
apply_one(struct store_apply *apply, struct store_open *open,
          const struct proto_result *said, const struct proto_outcome *outcome,
          uint64_t *settled)
{
    if (outcome->what == OUTCOME_WARN)
        return apply_warning(apply, open, said, outcome, settled);
    if (outcome->what == OUTCOME_RETURN)
        return apply_return(apply, open, said, outcome, settled);
    return apply_result_of(apply, open, said, outcome, settled);
}

enum apply_result
store_apply_outcome(struct store_apply *apply,
                    const struct store_record *record,
                    const struct proto_outcome *outcome)
{
    const struct proto_result *results = outcome->results.items;
    struct store_open open = {.id = outcome->id};
    struct message message;
    enum apply_result result;
    uint64_t settled = 0;
    bool finished;

    if (!outcome_is_legal(outcome)) {
        why_text(&apply->why, "an outcome that is none");
        return APPLY_REFUSED;
    }
    result = store_open_message(apply, outcome->id, &open, &message);
    if (result == APPLY_REFUSED)
        return outcome->what == OUTCOME_SAID ? note_late(apply, outcome)
                                             : APPLY_OK;
    if (result != APPLY_OK)
        return result;
    finished = message.finished_ms != 0;
    for (size_t i = 0; i < outcome->results.count && result == APPLY_OK; i++)
        result = apply_one(apply, &open, &results[i], outcome, &settled);
    apply->count = outcome->results.count - settled;
    if (result == APPLY_OK && !finished && tells_sender(outcome, settled))
        result = store_apply_submit(apply, outcome->dsn, (struct view){0}, -1);
    if (result == APPLY_REFUSED || result == APPLY_STALE)
        result = APPLY_UNDO; /* rows were changed before the DSN was seen */
    if (result != APPLY_OK)
        return result;
    return store_finish(apply, outcome->id, outcome->when_ms, record->keep_ms);
}
