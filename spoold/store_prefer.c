/* SPDX-License-Identifier: ISC */
/*
 * PREFER: the operator's rules of what goes first. A message that one of them
 * means has the rule's number, which is the first part of its keys in ready,
 * so that replay finds it in front. New mail gets the number as it comes in,
 * by the first rule that means it; what is held already when the rule is made,
 * by STEER. A rule that ends leaves the numbers where they are: nobody looks
 * in front for it any more, and numbers are never used again.
 *
 * Before: store_apply.c, store_steer.c, store_submit.c   After: db_prefer.c
 */
#include "store.h"

#include <inttypes.h>
#include <stdlib.h>

#include "event.h"
#include "mem.h"
#include "query.h"

/* --- the rules ------------------------------------------------------------ */

static enum apply_result
add_entry(struct store_apply *apply, const struct proto_prefer *prefer,
          enum event_kind event, uint64_t number, struct view query)
{
    struct buf text = {0};
    struct ledger_entry entry = {
        .when_ms = prefer->when_ms, .event = event, .by = prefer->by};
    enum apply_result result;

    buf_addf(&text, "rule %" PRIu64 ": %.*s", number, (int)query.len,
             query.data);
    if (prefer->reason.len > 0)
        buf_addf(&text, " (%.*s)", (int)prefer->reason.len,
                 prefer->reason.data);
    entry.text = buf_view(&text);
    result = store_apply_db(apply, db_add_ledger(apply->txn, &entry));
    buf_free(&text);
    return result;
}

static enum apply_result
count_rules(struct store_apply *apply, size_t *count)
{
    struct prefer_rule rule = {0};
    enum db_result got;

    for (*count = 0;
         (got = db_next_prefer(apply->txn, rule.number + 1, &rule)) == DB_OK;)
        ++*count;
    return got == DB_NONE ? APPLY_OK : store_apply_db(apply, got);
}

static enum apply_result
add_rule(struct store_apply *apply, const struct proto_prefer *prefer)
{
    struct prefer_rule rule = {.number = apply->totals.rules + 1,
                               .made_ms = prefer->when_ms,
                               .until_ms = prefer->until_ms,
                               .query = prefer->query,
                               .by = prefer->by,
                               .reason = prefer->reason};
    struct query *query = query_parse(prefer->query, &apply->why);
    enum apply_result result;
    size_t count;

    if (query == NULL)
        return APPLY_REFUSED;
    query_free(&query);
    result = count_rules(apply, &count);
    if (result == APPLY_OK && count >= PREFER_MAX) {
        why_text(&apply->why, "there are %d rules already: remove one",
                 PREFER_MAX);
        return APPLY_REFUSED;
    }
    if (result == APPLY_OK)
        result = store_apply_db(apply, db_put_prefer(apply->txn, &rule));
    if (result != APPLY_OK)
        return result;
    apply->totals.rules = rule.number;
    apply->count = rule.number;
    return add_entry(apply, prefer, EVENT_PREFER, rule.number, rule.query);
}

static enum apply_result
remove_rule(struct store_apply *apply, const struct proto_prefer *prefer)
{
    struct prefer_rule rule;
    struct buf query = {0};
    enum db_result got = db_get_prefer(apply->txn, prefer->number, &rule);
    enum apply_result result;

    if (got == DB_NONE) {
        why_text(&apply->why, "there is no rule %" PRIu64, prefer->number);
        return APPLY_REFUSED;
    }
    if (got != DB_OK)
        return store_apply_db(apply, got);
    buf_add_view(&query, rule.query);
    result = store_apply_db(apply, db_del_prefer(apply->txn, prefer->number));
    if (result == APPLY_OK)
        result = add_entry(apply, prefer, EVENT_PREFER_ENDED, prefer->number,
                           buf_view(&query));
    buf_free(&query);
    apply->count = prefer->number;
    return result;
}

enum apply_result
store_apply_prefer(struct store_apply *apply, const struct proto_prefer *prefer)
{
    return prefer->number == 0 ? add_rule(apply, prefer)
                               : remove_rule(apply, prefer);
}

/* --- new mail ------------------------------------------------------------- */

static bool
rule_means(const struct prefer_rule *rule, const struct db_message *message)
{
    int64_t now_ms = (int64_t)message->message.arrived_ms;
    struct query *query;
    bool means;

    /* What is over is only not removed yet. */
    if (rule->until_ms != 0 && rule->until_ms <= message->message.arrived_ms)
        return false;
    query = query_parse(rule->query, NULL);
    means = query != NULL && query_matches(query, message, now_ms);
    query_free(&query);
    return means;
}

/* The message as the rules see it: with its deliveries, which are ready. */
static void
fill_message(const struct proto_submit *submit, const struct message *message,
             struct db_message *out)
{
    const struct delivery *rows = submit->deliveries.items;

    *out = (struct db_message){
        .id = submit->id,
        .message = *message,
        .n_deliveries = submit->deliveries.count,
        .deliveries =
            mem_alloc(submit->deliveries.count * sizeof(*out->deliveries)),
    };
    for (size_t i = 0; i < out->n_deliveries; i++) {
        out->deliveries[i] = (struct db_delivery){.n = i, .delivery = rows[i]};
        if (!delivery_is_open(rows[i].state))
            out->deliveries[i].delivery.state = DELIVERY_READY;
    }
}

enum apply_result
store_prefer_new(struct store_apply *apply, const struct proto_submit *submit,
                 struct message *message)
{
    struct prefer_rule rule;
    struct db_message seen;
    enum db_result got = DB_NONE;

    message->prefer = 0;
    if (apply->totals.rules > 0) /* there was one once */
        got = db_next_prefer(apply->txn, 1, &rule);
    if (got != DB_OK)
        return got == DB_NONE || got == DB_DAMAGED ? APPLY_OK
                                                   : store_apply_db(apply, got);
    fill_message(submit, message, &seen);
    for (; got == DB_OK && message->prefer == 0;
         got = db_next_prefer(apply->txn, rule.number + 1, &rule))
        if (rule_means(&rule, &seen))
            message->prefer = rule.number;
    free(seen.deliveries);
    return got == DB_OK || got == DB_NONE || got == DB_DAMAGED
               ? APPLY_OK
               : store_apply_db(apply, got);
}

/* --- what is held already ------------------------------------------------- */

/* 1: the rule is there. 0: it is not. -1: the database failed. */
static int
has_rule(struct store_apply *apply, uint64_t number)
{
    struct prefer_rule rule;
    enum db_result got = db_get_prefer(apply->txn, number, &rule);

    if (got == DB_OK)
        return 1;
    return got == DB_NONE ? 0 : -1;
}

/* Its rows in ready, from where they are to where open says. */
static enum apply_result
move_ready(struct store_apply *apply, struct store_open *open, struct view from)
{
    struct view to = {open->flow, open->flow_len};
    enum apply_result result;
    uint64_t n = 0;

    while ((result = store_open_next(apply, open, n)) == APPLY_OK) {
        struct view target = open->row.target;
        enum db_result moved = DB_OK;

        n = open->n + 1;
        if (open->row.state != DELIVERY_READY)
            continue;
        moved = db_del_ready(apply->txn, target, from, open->id, open->n);
        if (moved == DB_OK || moved == DB_NONE)
            moved = db_put_ready(apply->txn, target, to, open->id, open->n);
        result = store_apply_db(apply, moved);
        if (result != APPLY_OK)
            return result;
    }
    return result == APPLY_REFUSED ? APPLY_OK : result; /* no more of them */
}

enum apply_result
store_prefer_mark(struct store_apply *apply, uint64_t rule,
                  struct store_open *open, struct message *message)
{
    char from[DB_FLOW_MAX + 1];
    size_t from_len = open->flow_len;
    int is_there = has_rule(apply, rule), is_other = 0;
    enum db_result got = DB_OK;
    enum apply_result result;

    /* One that is preferred already stays so by the rule that came first. */
    if (is_there == 1 && message->prefer != 0)
        is_other = has_rule(apply, message->prefer);
    if (is_there < 0 || is_other < 0)
        return store_apply_db(apply, DB_FAILED);
    if (is_there == 0 || is_other == 1)
        return APPLY_OK;
    memcpy(from, open->flow, from_len);
    got = db_get_message(apply->txn, open->id, message);
    if (got != DB_OK)
        return store_apply_db(apply, got);
    message->prefer = rule;
    open->flow_len = message_flow_key(message, open->flow);
    result =
        store_apply_db(apply, db_put_message(apply->txn, open->id, message));
    if (result == APPLY_OK)
        result = move_ready(apply, open, (struct view){from, from_len});
    apply->count += result == APPLY_OK;
    return result;
}
