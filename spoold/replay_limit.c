/* SPDX-License-Identifier: ISC */
/*
 * Limits of a target's pace that the operator set for a time ("spoolctl target
 * set"). They stand before what the configuration says, are kept with the
 * target's state in the store, end by themselves and say so.
 *
 * Before: control_target.c (LIMIT)   After: replay_target.c (obeys them),
 * store.c (HEALTH, NOTE)
 */
#include "replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "event.h"
#include "loop.h"
#include "mem.h"
#include "peer.h"

#define BY_MAX   64
#define TEXT_MAX 200
/* A wall clock that is set meanwhile is noticed this often. */
#define LOOK_MS 60000

struct override {
    bool set;
    uint64_t value;
    uint64_t until_ms; /* 0: no end */
    char by[BY_MAX];
};

struct replay_overrides {
    struct override of[TARGET_LIMIT_MAX + 1]; /* by enum target_limit_key */
    struct loop_timer *end;
};

static void on_end(void *arg);

static struct replay_overrides *
overrides_of(struct replay_target *target)
{
    if (target->overrides == NULL) {
        target->overrides = mem_alloc(sizeof(*target->overrides));
        target->overrides->end = loop_timer_new(on_end, target);
    }
    return target->overrides;
}

uint64_t
replay_limit_of(const struct replay_target *target, enum target_limit_key key,
                uint64_t configured)
{
    const struct replay_overrides *all = target->overrides;

    return all != NULL && all->of[key].set ? all->of[key].value : configured;
}

void
replay_limit_free(struct replay_target *target)
{
    if (target->overrides == NULL)
        return;
    loop_timer_free(&target->overrides->end);
    free(target->overrides);
    target->overrides = NULL;
}

/* --- kept ----------------------------------------------------------------- */

static void
override_set(struct override *one, uint64_t value, uint64_t until_ms,
             struct view by)
{
    size_t len = by.len < BY_MAX ? by.len : BY_MAX - 1;

    *one = (struct override){true, value, until_ms, ""};
    memcpy(one->by, by.data != NULL ? by.data : "", len);
    one->by[len] = '\0';
}

void
replay_limit_encode(const struct replay_target *target, struct buf *out)
{
    struct target_limit rows[TARGET_LIMIT_MAX];
    struct target_limits limits = {.limits = {rows, 0}};
    const struct replay_overrides *all = target->overrides;

    for (uint64_t key = 1; all != NULL && key <= TARGET_LIMIT_MAX; key++)
        if (all->of[key].set)
            rows[limits.limits.count++] = (struct target_limit){
                .key = key,
                .value = all->of[key].value,
                .until_ms = all->of[key].until_ms,
                .by = view_of(all->of[key].by),
            };
    record_encode(&target_limits_record, &limits, out);
}

/* --- the end -------------------------------------------------------------- */

static void
tell(const struct replay_target *target, enum event_kind kind, uint64_t key,
     const struct override *one)
{
    char text[TEXT_MAX], until[CLOCK_TEXT_MAX];
    struct ledger_entry entry = {.when_ms = (uint64_t)clock_wall_ms(),
                                 .event = kind,
                                 .code = one->value,
                                 .by = view_of(one->by)};
    struct event event;

    snprintf(text, sizeof(text), "%s: %s", target->name,
             target_limit_name(key));
    entry.text = view_of(text);
    event_begin(&event, kind);
    event_text(&event, "target", target->name);
    event_text(&event, "limit", target_limit_name(key));
    if (one->set)
        event_num(&event, "value", one->value);
    if (one->set && one->until_ms != 0)
        event_text(&event, "until",
                   clock_print_iso((int64_t)one->until_ms, until));
    event_text(&event, "by", one->by);
    event_end(&event);
    peer_send(ROLE_STORE, PROTO_NOTE, &entry, -1);
}

/* Wakes when the next one ends, and now and then before that. */
static void
wait_for_end(struct replay_target *target)
{
    struct replay_overrides *all = target->overrides;
    uint64_t now_ms = (uint64_t)clock_wall_ms(), next_ms = 0;

    for (uint64_t key = 1; key <= TARGET_LIMIT_MAX; key++) {
        uint64_t until_ms = all->of[key].set ? all->of[key].until_ms : 0;

        if (until_ms != 0 && (next_ms == 0 || until_ms < next_ms))
            next_ms = until_ms;
    }
    if (next_ms == 0)
        loop_timer_cancel(all->end);
    else if (next_ms <= now_ms)
        loop_timer_set(all->end, 0);
    else
        loop_timer_set(all->end,
                       next_ms - now_ms < LOOK_MS ? next_ms - now_ms : LOOK_MS);
}

static void
on_end(void *arg)
{
    struct replay_target *target = arg;
    struct replay_overrides *all = target->overrides;
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    bool ended = false;

    for (uint64_t key = 1; key <= TARGET_LIMIT_MAX; key++) {
        struct override *one = &all->of[key];

        if (!one->set || one->until_ms == 0 || one->until_ms > now_ms)
            continue;
        one->set = false;
        tell(target, EVENT_LIMIT_ENDED, key, one);
        ended = true;
    }
    if (ended) {
        replay_target_limits_changed(target);
        replay_target_keep(target, NULL, NULL);
    }
    wait_for_end(target);
}

void
replay_limit_load(struct replay_target *target, struct view limits)
{
    struct target_limits kept;
    const struct target_limit *rows;

    if (limits.len == 0 ||
        record_decode(&target_limits_record, limits, &kept, NULL) != 0)
        return;
    rows = kept.limits.items;
    for (size_t i = 0; i < kept.limits.count; i++)
        if (rows[i].key >= 1 && rows[i].key <= TARGET_LIMIT_MAX)
            override_set(&overrides_of(target)->of[rows[i].key], rows[i].value,
                         rows[i].until_ms, rows[i].by);
    record_clear(&target_limits_record, &kept);
    /* Those that ended while we were not there: in a later turn, when the
     * target is whole. */
    if (target->overrides != NULL)
        wait_for_end(target);
}

/* --- LIMIT ---------------------------------------------------------------- */

/* Who asked, until the store has it. */
struct asked {
    enum role from;
    uint64_t call;
};

static void
on_kept(void *arg, struct peer_message *answer)
{
    struct asked *asked = arg;
    const struct proto_recorded *kept =
        answer != NULL && answer->kind == PROTO_KEPT ? answer->payload : NULL;
    struct proto_done done = {
        .done = kept != NULL && kept->result == SUBMIT_DONE,
        .text = VIEW("it holds, but is not kept over a restart: the store "
                     "is not there or has no room"),
    };

    peer_answer(asked->from, asked->call, PROTO_LIMITED, &done);
    free(asked);
}

void
replay_limit_on_limit(struct peer_message *message)
{
    const struct proto_limit *limit = message->payload;
    struct replay_target *target = replay_target_find(limit->name);
    struct proto_done none = {.text = VIEW("there is no such target")};
    struct override *one;
    struct asked *asked;

    if (limit->key < 1 || limit->key > TARGET_LIMIT_MAX)
        none.text = VIEW("there is no such limit");
    if (target == NULL || target->gone || limit->key < 1 ||
        limit->key > TARGET_LIMIT_MAX) {
        peer_reply(message, PROTO_LIMITED, &none);
        return;
    }
    one = &overrides_of(target)->of[limit->key];
    override_set(one, limit->value, limit->until_ms, limit->by);
    one->set = limit->back == 0;
    tell(target, EVENT_LIMIT_SET, limit->key, one);
    replay_target_limits_changed(target);
    wait_for_end(target);
    asked = mem_alloc(sizeof(*asked));
    *asked = (struct asked){message->from, message->call};
    replay_target_keep(target, on_kept, asked);
}
