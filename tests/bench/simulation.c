/* SPDX-License-Identifier: ISC */
/*
 * A heap of what will happen, a queue of targets that are to be asked, and
 * for each target a pattern of what it does with connections and messages.
 *
 * A target's mail is ready from the start; a message that was put off comes
 * back after a while, as with the store's table of later tries.
 */
#include "simulation.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "replay_budget.h"
#include "replay_sched.h"

#define SECOND        INT64_C(1000)
#define MINUTE        (60 * SECOND)
#define LONGEST       (INT64_C(30) * 24 * 60 * MINUTE)
#define HANGS_MS      (30 * SECOND) /* the time-out of a connection */
#define SESSIONS      20
#define AGAIN_MIN_MS  (5 * MINUTE)
#define AGAIN_MAX_MS  (15 * MINUTE)
#define GREY_MS       (10 * MINUTE)
#define FLAP_UP_MS    (4 * MINUTE)
#define FLAP_DOWN_MS  (9 * MINUTE)
#define NARROW        3
#define BREAKS_ONE_OF 40

enum pattern {
    SOUND,
    DEAD,        /* refuses connections for hours */
    BLACK,       /* the same, but they hang */
    FLAPS,       /* comes and goes */
    GREY,        /* puts off everything at first */
    NARROW_DOOR, /* 421 above a few connections */
    FRAGILE,     /* breaks sessions with a message under way */
    SLOW,        /* seconds for each message */
    PATTERNS,
};

enum what { CONNECTED, SAID, CLOSED, WAKE, AGAIN, PLACES };

struct happening {
    int64_t at_ms;
    struct target *target;
    enum what what;
    unsigned slot;
    unsigned life; /* of the slot: what was given up does not happen */
};

struct slot {
    struct replay_budget_link link; /* first */
    struct target *target;
    unsigned n;
    unsigned life;
};

struct target {
    struct replay_sched sched;
    struct replay_budget_member member;
    struct slot slots[SESSIONS];
    enum pattern pattern;
    int64_t back_ms; /* DEAD, BLACK: until then */
    int64_t latency_ms;
    size_t waiting;
    size_t open; /* deliveries: all but the delivered */
    int64_t wake_ms;
    int64_t fed_ms;  /* since then it is up and has mail and got nothing */
    int64_t down_ms; /* since then it is down and was not probed */
    bool queued;
    bool served;
    struct target *next;
};

static struct {
    const struct simulation_plan *plan;
    struct simulation_result *result;
    struct replay_budget budget;
    struct target *targets;
    struct target *first, *last; /* to be asked */
    struct happening *heap;
    size_t n, cap;
    int64_t now_ms;
    int64_t places_ms;
    uint64_t random;
    size_t left, sound_left;
} sim;

static const struct replay_limits limits = {
    .connections = SESSIONS,
    .messages_per_connection = 100,
    .probe_min_ms = 30 * SECOND,
    .probe_max_ms = 5 * MINUTE,
};

static void
fault(const char *what)
{
    if (sim.result->faults++ == 0)
        sim.result->fault = what;
}

/* In min..max. */
static int64_t
between(int64_t min, int64_t max)
{
    return min + (int64_t)(replay_sched_random(&sim.random) %
                           (uint64_t)(max - min + 1));
}

/* --- the heap ------------------------------------------------------------ */

static void
happens(int64_t at_ms, struct target *target, enum what what, unsigned slot)
{
    struct happening one = {at_ms, target, what, slot,
                            what < WAKE ? target->slots[slot].life : 0};
    size_t i = sim.n++;

    if (sim.n > sim.cap) {
        sim.cap = sim.cap > 0 ? 2 * sim.cap : 1024;
        sim.heap = mem_grow(sim.heap, sim.cap, sizeof(*sim.heap));
    }
    for (; i > 0 && sim.heap[(i - 1) / 2].at_ms > at_ms; i = (i - 1) / 2)
        sim.heap[i] = sim.heap[(i - 1) / 2];
    sim.heap[i] = one;
}

static struct happening
next_happening(void)
{
    struct happening top = sim.heap[0], last = sim.heap[--sim.n];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < sim.n) {
        if (child + 1 < sim.n &&
            sim.heap[child + 1].at_ms < sim.heap[child].at_ms)
            child++;
        if (last.at_ms <= sim.heap[child].at_ms)
            break;
        sim.heap[i] = sim.heap[child];
        i = child;
    }
    sim.heap[i] = last;
    return top;
}

/* --- what targets do ----------------------------------------------------- */

static bool
is_there(const struct target *target)
{
    int64_t cycle = FLAP_UP_MS + FLAP_DOWN_MS;

    switch (target->pattern) {
    case DEAD:
    case BLACK:
        return sim.now_ms >= target->back_ms;
    case FLAPS: /* each in its own time */
        return (sim.now_ms + target->back_ms) % cycle < FLAP_UP_MS;
    default:
        return true;
    }
}

static bool
takes_connection(const struct target *target)
{
    size_t open = replay_sched_open(&target->sched);

    if (target->pattern == NARROW_DOOR &&
        open - target->sched.count[PHASE_CONNECTING] >= NARROW)
        return false;
    return is_there(target);
}

static int64_t
reply_ms(const struct target *target)
{
    int64_t ms = target->latency_ms;

    return between(ms / 2, ms * 3 / 2);
}

static int64_t
connect_ms(const struct target *target)
{
    if (target->pattern == BLACK && !is_there(target))
        return HANGS_MS;
    return between(10, 100);
}

/* --- asking and obeying, as replay_target.c and replay_place.c do
 * ------------------------- */

static void
ask(struct target *target)
{
    if (target->queued)
        return;
    target->queued = true;
    target->next = NULL;
    if (sim.first == NULL)
        sim.first = target;
    else
        sim.last->next = target;
    sim.last = target;
}

static struct target *
member_target(struct replay_budget_member *member)
{
    return (struct target *)(void *)((char *)member -
                                     offsetof(struct target, member));
}

static void
serve(void)
{
    struct replay_budget_member *member =
        replay_budget_next(&sim.budget, sim.now_ms);
    int64_t wake_ms;

    if (member != NULL) {
        member_target(member)->served = true;
        ask(member_target(member));
        return;
    }
    wake_ms = replay_budget_wake(&sim.budget, sim.now_ms);
    if (wake_ms < sim.places_ms) {
        sim.places_ms = wake_ms;
        happens(wake_ms, NULL, PLACES, 0);
    }
}

static void
asked(struct target *target)
{
    bool served = target->served;

    target->served = false;
    if (target->sched.starved)
        replay_budget_wait(&sim.budget, &target->member);
    if (served || target->sched.starved)
        serve();
}

static void
tell(struct target *target, enum replay_event_kind kind, unsigned slot,
     bool accepted, bool refused)
{
    struct replay_event event = {.kind = kind,
                                 .slot = slot,
                                 .accepted = accepted,
                                 .refused = refused,
                                 .reason = "simulated"};

    bool surplus = kind == REPLAY_READY &&
                   !replay_budget_ready(&sim.budget, &target->slots[slot].link);

    replay_sched_event(&target->sched, &event, sim.now_ms);
    if (kind == REPLAY_READY)
        serve();
    if (surplus)
        replay_sched_retire_slot(&target->sched, slot);
    if (kind == REPLAY_CLOSED || kind == REPLAY_FAILED ||
        kind == REPLAY_BROKEN) {
        target->slots[slot].life++;
        replay_budget_end(&sim.budget, &target->member,
                          &target->slots[slot].link);
        serve();
    }
    ask(target);
}

static size_t
share_of(const struct target *target)
{
    size_t share =
        replay_budget_share(&sim.budget, &target->member, sim.now_ms);
    int64_t wait_ms;

    replay_budget_in_the_way(&sim.budget, sim.now_ms, &wait_ms);
    if (wait_ms == 0)
        return share;
    return share < target->member.open ? share : target->member.open;
}

static void
open_session(struct target *target, unsigned n)
{
    struct slot *slot = &target->slots[n];
    int64_t wait_ms;
    struct slot *hangs = (struct slot *)(void *)replay_budget_in_the_way(
        &sim.budget, sim.now_ms, &wait_ms);

    if (hangs != NULL)
        tell(hangs->target, REPLAY_FAILED, hangs->n, false, false);
    replay_budget_connect(&sim.budget, &target->member, &slot->link,
                          target->sched.state != TARGET_UP, sim.now_ms);
    target->down_ms = sim.now_ms;
    happens(sim.now_ms + connect_ms(target), target, CONNECTED, n);
}

static void
give(struct target *target, unsigned slot)
{
    if (target->waiting == 0) {
        fault("a message is given where none waits");
        return;
    }
    target->waiting--;
    if (target->pattern == SOUND &&
        sim.now_ms - target->fed_ms > sim.result->longest_ms)
        sim.result->longest_ms = sim.now_ms - target->fed_ms;
    target->fed_ms = sim.now_ms;
    happens(sim.now_ms + reply_ms(target), target, SAID, slot);
}

static void
obey(struct target *target, const struct replay_action *action)
{
    unsigned slot = (unsigned)action->slot;

    if (action->kind == REPLAY_OPEN)
        open_session(target, slot);
    else if (action->kind == REPLAY_GIVE)
        give(target, slot);
    else if (action->kind == REPLAY_CLOSE)
        happens(sim.now_ms + 10, target, CLOSED, slot);
    else if (action->kind == REPLAY_CHANGED)
        target->fed_ms = target->down_ms = sim.now_ms;
}

static void
check(struct target *target)
{
    const struct replay_sched *sched = &target->sched;
    size_t open = replay_sched_open(sched);
    int64_t late_ms =
        sim.now_ms - target->down_ms - (int64_t)limits.probe_max_ms;

    if (open > limits.connections)
        fault("more sessions than the target may have");
    if (open != target->member.open)
        fault("a session that nobody counts");
    if (sched->state == TARGET_RETURNING && sched->count[PHASE_BUSY] > 1)
        fault("more than one message at a target that returns");
    if (sched->state == TARGET_DOWN && sched->count[PHASE_CONNECTING] == 0 &&
        late_ms > sim.result->probe_late_ms)
        sim.result->probe_late_ms = late_ms;
    if (sim.budget.working > sim.budget.total)
        fault("more connections than there may be");
    if (sim.budget.connecting > sim.budget.connecting_max)
        fault("more connections on their way than there may be");
    if (sim.budget.working > sim.result->working_max)
        sim.result->working_max = sim.budget.working;
    if (sim.budget.connecting > sim.result->starting_max)
        sim.result->starting_max = sim.budget.connecting;
}

static void
run(struct target *target)
{
    struct replay_action action;
    int64_t wake_ms;

    replay_sched_set_share(&target->sched, share_of(target));
    while (replay_sched_next(&target->sched, target->waiting, sim.now_ms,
                             &action)) {
        obey(target, &action);
        replay_sched_set_share(&target->sched, share_of(target));
    }
    wake_ms = replay_sched_wake(&target->sched, sim.now_ms);
    asked(target);
    if (wake_ms <= sim.now_ms)
        wake_ms = sim.now_ms + 1;
    /* An earlier one that is in the heap finds nothing to do and comes here
     * again. */
    if (wake_ms < target->wake_ms) {
        target->wake_ms = wake_ms;
        happens(wake_ms, target, WAKE, 0);
    }
    check(target);
}

static void
run_all(void)
{
    while (sim.first != NULL) {
        struct target *target = sim.first;

        sim.first = target->next;
        target->queued = false;
        run(target);
    }
}

/* --- what happens -------------------------------------------------------- */

static void
on_connected(struct target *target, unsigned slot)
{
    tell(target, takes_connection(target) ? REPLAY_READY : REPLAY_FAILED, slot,
         false, false);
}

/* The message stays open. */
static void
put_off(struct target *target, bool at_once)
{
    if (at_once)
        target->waiting++;
    else
        happens(sim.now_ms + between(AGAIN_MIN_MS, AGAIN_MAX_MS), target, AGAIN,
                0);
}

static void
on_said(struct target *target, unsigned slot)
{
    if (!is_there(target) ||
        (target->pattern == FRAGILE && between(1, BREAKS_ONE_OF) == 1)) {
        put_off(target, false);
        tell(target, REPLAY_BROKEN, slot, false, false);
        return;
    }
    if (target->pattern == GREY && sim.now_ms < GREY_MS) {
        put_off(target, false);
        tell(target, REPLAY_DONE, slot, false, false);
        return;
    }
    target->open--;
    sim.left--;
    sim.result->delivered++;
    if (target->pattern == SOUND && --sim.sound_left == 0)
        sim.result->sound_ms = sim.now_ms;
    tell(target, REPLAY_DONE, slot, true, false);
}

static void
live_through(const struct happening *one)
{
    struct target *target = one->target;

    sim.now_ms = one->at_ms;
    if (one->what < WAKE && one->life != target->slots[one->slot].life)
        return; /* it was given up meanwhile */
    sim.result->events++;
    switch (one->what) {
    case CONNECTED:
        on_connected(target, one->slot);
        break;
    case SAID:
        on_said(target, one->slot);
        break;
    case CLOSED:
        tell(target, REPLAY_CLOSED, one->slot, false, false);
        break;
    case WAKE:
        if (one->at_ms == target->wake_ms)
            target->wake_ms = INT64_MAX;
        ask(target);
        break;
    case AGAIN:
        if (target->waiting++ == 0)
            target->fed_ms = sim.now_ms;
        ask(target);
        break;
    case PLACES:
        sim.places_ms = INT64_MAX;
        serve();
        break;
    }
}

/* --- the whole ----------------------------------------------------------- */

/* A few big ones, many small ones: of n messages, each target takes half of
 * what an even share of the rest would be up to one and a half. */
static void
make_target(struct target *target, size_t nth, size_t messages)
{
    bool fails = nth % 100 < sim.plan->failing;

    target->pattern = fails ? (enum pattern)between(DEAD, PATTERNS - 1) : SOUND;
    target->back_ms = between(30 * MINUTE, 240 * MINUTE);
    target->latency_ms =
        target->pattern == SLOW ? 5 * SECOND : between(20, 300);
    target->waiting = target->open = messages;
    target->wake_ms = INT64_MAX;
    for (unsigned i = 0; i < SESSIONS; i++)
        target->slots[i] = (struct slot){.target = target, .n = i};
    replay_sched_init(&target->sched, &limits, &(struct replay_pace_memory){0},
                      TARGET_UP, 0, replay_sched_random(&sim.random), 0);
    if (target->pattern == SOUND)
        sim.sound_left += messages;
    ask(target);
}

static void
make_targets(void)
{
    size_t left = sim.plan->messages;

    sim.targets = mem_alloc(sim.plan->targets * sizeof(*sim.targets));
    for (size_t i = 0; i < sim.plan->targets; i++) {
        size_t even = left / (sim.plan->targets - i);
        size_t n = i + 1 == sim.plan->targets
                       ? left
                       : even / 2 + (size_t)between(0, (int64_t)even);

        /* nth: failing ones are spread over all. */
        make_target(&sim.targets[i], i * 37, n < left ? n : left);
        left -= n < left ? n : left;
    }
}

void
simulation_run(const struct simulation_plan *plan,
               struct simulation_result *result)
{
    struct happening one;

    *result = (struct simulation_result){0};
    sim.plan = plan;
    sim.result = result;
    sim.random = plan->seed;
    sim.left = plan->messages;
    sim.places_ms = INT64_MAX;
    replay_budget_set(&sim.budget, plan->total, plan->starting);
    make_targets();
    run_all();
    while (sim.left > 0 && sim.n > 0 && sim.now_ms < LONGEST) {
        one = next_happening();
        live_through(&one);
        run_all();
    }
    if (sim.left > 0)
        fault("mail that is never delivered");
    result->virtual_ms = sim.now_ms;
    for (size_t i = 0; i < plan->targets; i++)
        replay_sched_free(&sim.targets[i].sched);
    free(sim.targets);
    free(sim.heap);
    memset(&sim, 0, sizeof(sim));
}
