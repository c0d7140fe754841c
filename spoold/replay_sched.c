/* SPDX-License-Identifier: ISC */
/*
 * States of a target:
 *
 *     up         as many sessions and messages a second as replay_pace.c
 *                finds that the target bears
 *     down       one probe after the other, further and further apart
 *     returning  one session, one message at a time, until one is accepted
 *     paused     nothing begins; what is under way ends
 *
 *     up         connect failed, none works          -> down
 *     up         REPLAY_BROKEN_MAX broken in a row   -> down
 *     down       a session became ready              -> returning
 *     returning  connect failed or session broken    -> down
 *     returning  nothing waits and nothing was tried -> up
 *     down, returning  a message was accepted        -> up
 *     any        the operator or the guard says so   -> paused
 *     paused     its time is over, or it was resumed -> returning
 *
 * Before: replay_target.c   After: replay_work.c (which message)
 */
#include "replay_sched.h"

#include <stdio.h>
#include <stdlib.h>

#include "mem.h"

/* After a failed connect while other sessions work. */
#define OPEN_MIN_MS 1000
#define OPEN_MAX_MS 60000

/* --- random and waiting -------------------------------------------------- */

uint64_t
replay_sched_random(uint64_t *state)
{
    /* xorshift64*: spread is wanted, not secrecy. */
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

uint64_t
replay_sched_backoff(unsigned n, uint64_t min_ms, uint64_t max_ms,
                     uint64_t random)
{
    uint64_t top = min_ms, bottom;

    for (unsigned i = 0; i <= n && top < max_ms; i++)
        top *= 2;
    if (top > max_ms)
        top = max_ms;
    bottom = top / 2 > min_ms ? top / 2 : min_ms;
    if (bottom >= top)
        return top;
    return bottom + random % (top - bottom + 1);
}

/* --- slots --------------------------------------------------------------- */

static void
set_phase(struct replay_sched *sched, size_t slot, enum replay_phase phase,
          int64_t now_ms)
{
    struct replay_slot *s = &sched->slots[slot];

    sched->count[s->phase]--;
    s->phase = phase;
    s->since_ms = now_ms;
    sched->count[phase]++;
}

size_t
replay_sched_open(const struct replay_sched *sched)
{
    return sched->n_slots - sched->count[PHASE_FREE];
}

/* The session in this phase that got there last (or first); n_slots: none.
 * The newest idle session is the least likely to be dead. */
static size_t
find_slot(const struct replay_sched *sched, enum replay_phase phase, bool last)
{
    size_t found = sched->n_slots;

    for (size_t i = 0; sched->count[phase] > 0 && i < sched->n_slots; i++) {
        const struct replay_slot *s = &sched->slots[i];

        if (s->phase == phase &&
            (found == sched->n_slots ||
             (last ? s->since_ms > sched->slots[found].since_ms
                   : s->since_ms < sched->slots[found].since_ms)))
            found = i;
    }
    return found;
}

static size_t
find_free(const struct replay_sched *sched)
{
    size_t i = 0;

    while (sched->slots[i].phase != PHASE_FREE)
        i++;
    return i;
}

static size_t
works(const struct replay_sched *sched)
{
    return sched->count[PHASE_IDLE] + sched->count[PHASE_BUSY];
}

/* --- reachable time ------------------------------------------------------ */

static bool
is_reachable(const struct replay_sched *sched)
{
    return sched->state == TARGET_UP || sched->state == TARGET_RETURNING;
}

/* Time counts while the target can be reached and mail for it is held. */
static void
count_reach(struct replay_sched *sched, int64_t now_ms)
{
    int64_t until =
        sched->hold_until_ms < now_ms ? sched->hold_until_ms : now_ms;

    if (is_reachable(sched) && until > sched->counted_ms)
        sched->reach_ms += (uint64_t)(until - sched->counted_ms);
    sched->counted_ms = now_ms;
}

void
replay_sched_held_until(struct replay_sched *sched, int64_t until_ms)
{
    if (until_ms > sched->later_until_ms)
        sched->later_until_ms = until_ms;
}

uint64_t
replay_sched_reach_ms(struct replay_sched *sched, int64_t now_ms)
{
    count_reach(sched, now_ms);
    return sched->reach_ms;
}

/* --- states -------------------------------------------------------------- */

static void
go_down(struct replay_sched *sched, int64_t now_ms)
{
    if (sched->state == TARGET_UP)
        replay_pace_fell(&sched->pace, now_ms);
    sched->state = TARGET_DOWN;
    sched->probe_ms =
        now_ms + (int64_t)replay_sched_backoff(
                     sched->failures++, sched->limits.probe_min_ms,
                     sched->limits.probe_max_ms,
                     replay_sched_random(&sched->random));
}

static void
go_up(struct replay_sched *sched, int64_t now_ms)
{
    if (sched->state != TARGET_UP)
        replay_pace_restart(&sched->pace, now_ms);
    sched->state = TARGET_UP;
    sched->failures = 0;
    sched->reason[0] = 0;
}

static void
go_returning(struct replay_sched *sched)
{
    sched->state = TARGET_RETURNING;
    sched->tried = false;
}

void
replay_sched_init(struct replay_sched *sched,
                  const struct replay_limits *limits,
                  const struct replay_pace_memory *memory,
                  enum target_state state, uint64_t reach_ms, uint64_t seed,
                  int64_t now_ms)
{
    *sched = (struct replay_sched){
        .state = state,
        .told = state,
        .random = seed != 0 ? seed : 1,
        .reach_ms = reach_ms,
        .saved_reach_ms = reach_ms,
        .counted_ms = now_ms,
        .hold_until_ms = now_ms,
        .later_until_ms = now_ms,
        .open_ms = now_ms,
        .save_ms = now_ms + REPLAY_SAVE_MS,
        .give_ms = INT64_MAX,
        .resume_ms = INT64_MAX,
        .share = SIZE_MAX,
    };
    replay_pace_init(&sched->pace, limits, memory, now_ms);
    replay_sched_set_limits(sched, limits);
    /* Known to be down: ask soon, but not all targets in one moment. */
    sched->probe_ms = now_ms + (int64_t)(replay_sched_random(&sched->random) %
                                         (limits->probe_min_ms + 1));
}

void
replay_sched_set_reason(struct replay_sched *sched, struct view reason)
{
    snprintf(sched->reason, sizeof(sched->reason), "%.*s", (int)reason.len,
             reason.data);
}

void
replay_sched_free(struct replay_sched *sched)
{
    free(sched->slots);
    sched->slots = NULL;
    sched->n_slots = 0;
}

void
replay_sched_set_limits(struct replay_sched *sched,
                        const struct replay_limits *limits)
{
    sched->limits = *limits;
    replay_pace_set_limits(&sched->pace, limits);
    if (limits->connections <= sched->n_slots)
        return;
    sched->slots =
        mem_grow(sched->slots, limits->connections, sizeof(*sched->slots));
    for (size_t i = sched->n_slots; i < limits->connections; i++)
        sched->slots[i] = (struct replay_slot){0};
    sched->count[PHASE_FREE] += limits->connections - sched->n_slots;
    sched->n_slots = limits->connections;
}

void
replay_sched_retire(struct replay_sched *sched)
{
    for (size_t i = 0; i < sched->n_slots; i++)
        if (sched->slots[i].phase != PHASE_FREE)
            sched->slots[i].messages = UINT64_MAX / 2;
}

void
replay_sched_retire_slot(struct replay_sched *sched, size_t slot)
{
    sched->slots[slot].messages = UINT64_MAX / 2;
}

/* --- events -------------------------------------------------------------- */

static void
keep_reason(struct replay_sched *sched, const char *reason)
{
    snprintf(sched->reason, sizeof(sched->reason), "%s",
             reason != NULL ? reason : "");
}

static void
on_done(struct replay_sched *sched, const struct replay_event *event,
        int64_t now_ms)
{
    struct replay_slot *slot = &sched->slots[event->slot];

    if (!event->unasked)
        replay_pace_reply(&sched->pace, slot->since_ms, event->refused, now_ms);
    set_phase(sched, event->slot, slot->ahead ? PHASE_BUSY : PHASE_IDLE,
              now_ms);
    slot->ahead = false;
    sched->broken = 0;
    if (event->unasked)
        return;
    if (event->accepted && sched->state != TARGET_PAUSED)
        go_up(sched, now_ms);
    else
        sched->tried = true;
}

static void
on_failed(struct replay_sched *sched, const struct replay_event *event,
          int64_t now_ms)
{
    set_phase(sched, event->slot, PHASE_FREE, now_ms);
    if (sched->state == TARGET_PAUSED)
        return;
    keep_reason(sched, event->reason);
    if (sched->state == TARGET_DOWN ||
        (works(sched) == 0 && sched->count[PHASE_CONNECTING] == 0)) {
        go_down(sched, now_ms);
        return;
    }
    replay_pace_connection_hurt(&sched->pace, works(sched), now_ms);
    if (now_ms < sched->open_ms)
        return; /* more of the same moment */
    sched->open_ms =
        now_ms + (int64_t)replay_sched_backoff(
                     sched->open_failures++, OPEN_MIN_MS, OPEN_MAX_MS,
                     replay_sched_random(&sched->random));
}

static void
on_broken(struct replay_sched *sched, const struct replay_event *event,
          int64_t now_ms)
{
    set_phase(sched, event->slot, PHASE_FREE, now_ms);
    if (sched->state == TARGET_PAUSED)
        return;
    keep_reason(sched, event->reason);
    sched->broken++;
    if (event->refused)
        replay_pace_connection_hurt(&sched->pace, works(sched), now_ms);
    if (sched->state == TARGET_RETURNING ||
        (sched->state == TARGET_UP && sched->broken >= REPLAY_BROKEN_MAX))
        go_down(sched, now_ms);
}

static void
on_ready(struct replay_sched *sched, const struct replay_event *event,
         int64_t now_ms)
{
    set_phase(sched, event->slot, PHASE_IDLE, now_ms);
    sched->open_failures = 0;
    sched->open_ms = now_ms; /* what failed before says nothing any more */
    if (sched->state == TARGET_DOWN)
        go_returning(sched);
}

static void
on_pause(struct replay_sched *sched, const struct replay_event *event)
{
    sched->state = TARGET_PAUSED;
    sched->resume_ms = event->until_ms != 0 ? event->until_ms : INT64_MAX;
    keep_reason(sched, event->reason);
}

static void
on_resume(struct replay_sched *sched, int64_t now_ms)
{
    if (sched->state != TARGET_PAUSED)
        return;
    go_returning(sched);
    sched->failures = sched->broken = sched->open_failures = 0;
    sched->open_ms = now_ms;
    sched->resume_ms = INT64_MAX;
    sched->reason[0] = 0;
}

void
replay_sched_event(struct replay_sched *sched, const struct replay_event *event,
                   int64_t now_ms)
{
    count_reach(sched, now_ms);
    switch (event->kind) {
    case REPLAY_READY:
        on_ready(sched, event, now_ms);
        break;
    case REPLAY_DONE:
        on_done(sched, event, now_ms);
        break;
    case REPLAY_AHEAD:
        replay_pace_message(&sched->pace, now_ms);
        sched->slots[event->slot].ahead = true;
        sched->slots[event->slot].messages++;
        break;
    case REPLAY_NO_WORK:
        replay_pace_undo(&sched->pace);
        sched->slots[event->slot].messages--;
        set_phase(sched, event->slot, PHASE_IDLE, now_ms);
        break;
    case REPLAY_CLOSED:
        set_phase(sched, event->slot, PHASE_FREE, now_ms);
        break;
    case REPLAY_FAILED:
        on_failed(sched, event, now_ms);
        break;
    case REPLAY_BROKEN:
        on_broken(sched, event, now_ms);
        break;
    case REPLAY_PROBE:
        sched->probe_ms = sched->open_ms = now_ms;
        sched->failures = sched->open_failures = 0;
        break;
    case REPLAY_PAUSE:
        on_pause(sched, event);
        break;
    case REPLAY_RESUME:
        on_resume(sched, now_ms);
        break;
    case REPLAY_STOP:
        sched->stopped = true;
        break;
    }
}

/* --- actions ------------------------------------------------------------- */

static size_t
smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many sessions there may be. */
static size_t
sessions_max(const struct replay_sched *sched)
{
    return smaller(sched->limits.connections, sched->share);
}

/* How many sessions the target bears, whatever there is for others. */
static size_t
borne(const struct replay_sched *sched)
{
    return smaller(sched->limits.connections, replay_pace_window(&sched->pace));
}

/* How many sessions may work now. */
static size_t
allowed(const struct replay_sched *sched)
{
    if (sched->stopped || sched->state == TARGET_PAUSED)
        return 0;
    if (sched->state != TARGET_UP)
        return 1;
    return smaller(borne(sched), sched->share);
}

static bool
act(struct replay_action *action, enum replay_action_kind kind, size_t slot)
{
    *action = (struct replay_action){kind, slot};
    return true;
}

/* Something to keep: a change of state first, then time. */
static bool
next_save(struct replay_sched *sched, int64_t now_ms,
          struct replay_action *action)
{
    bool changed = sched->told != sched->state;

    if (!changed &&
        (now_ms < sched->save_ms || sched->reach_ms == sched->saved_reach_ms))
        return false;
    sched->told = sched->state;
    sched->saved_reach_ms = sched->reach_ms;
    sched->save_ms = now_ms + REPLAY_SAVE_MS;
    return act(action, changed ? REPLAY_CHANGED : REPLAY_SAVE, 0);
}

static bool
next_give(struct replay_sched *sched, size_t waiting, int64_t now_ms,
          struct replay_action *action)
{
    size_t slot;

    sched->give_ms = INT64_MAX;
    if (waiting == 0 || sched->state == TARGET_DOWN ||
        sched->count[PHASE_BUSY] >= allowed(sched))
        return false;
    slot = find_slot(sched, PHASE_IDLE, true);
    if (slot == sched->n_slots ||
        sched->slots[slot].messages >= sched->limits.messages_per_connection)
        return false;
    sched->give_ms = replay_pace_message_at(&sched->pace, now_ms);
    if (sched->give_ms > now_ms) {
        replay_pace_want_rate(&sched->pace, now_ms);
        return false;
    }
    replay_pace_message(&sched->pace, now_ms);
    sched->slots[slot].messages++;
    set_phase(sched, slot, PHASE_BUSY, now_ms);
    return act(action, REPLAY_GIVE, slot);
}

/* Idle sessions that are used up, too many, or idle for too long. */
static bool
next_close(struct replay_sched *sched, int64_t now_ms,
           struct replay_action *action)
{
    bool too_many = replay_sched_open(sched) > sessions_max(sched) ||
                    sched->stopped || !is_reachable(sched);

    if (sched->count[PHASE_IDLE] == 0)
        return false;
    for (size_t i = 0; i < sched->n_slots; i++) {
        const struct replay_slot *slot = &sched->slots[i];

        if (slot->phase == PHASE_IDLE &&
            (too_many ||
             slot->messages >= sched->limits.messages_per_connection ||
             slot->since_ms + REPLAY_IDLE_MS <= now_ms)) {
            set_phase(sched, i, PHASE_CLOSING, now_ms);
            return act(action, REPLAY_CLOSE, i);
        }
    }
    return false;
}

/* Where the target is up and work waits for a session. One that does not
 * answer must not have more than one hanging, so they double at the most. */
static bool
wants_another(struct replay_sched *sched, size_t waiting, int64_t now_ms)
{
    size_t connecting = sched->count[PHASE_CONNECTING];
    size_t working = works(sched);

    if (waiting <= connecting + sched->count[PHASE_IDLE] ||
        connecting >= (working > 1 ? working : 1))
        return false;
    if (replay_pace_message_at(&sched->pace, now_ms) > now_ms) {
        replay_pace_want_rate(&sched->pace, now_ms);
        return working + connecting == 0;
    }
    /* One that leaves still counts with a server that has a limit. */
    if (working + connecting + sched->count[PHASE_CLOSING] < borne(sched))
        return true;
    if (working + connecting < borne(sched))
        return false;
    replay_pace_want_window(&sched->pace);
    return false;
}

static bool
wants_open(struct replay_sched *sched, size_t waiting, int64_t now_ms)
{
    size_t connecting = sched->count[PHASE_CONNECTING];

    if (sched->stopped || sched->state == TARGET_PAUSED ||
        replay_sched_open(sched) >= sched->limits.connections)
        return false;
    /* A probe; sessions that still hang with a message do not stand for it. */
    if (sched->state == TARGET_DOWN)
        return connecting == 0 && sched->count[PHASE_IDLE] == 0;
    if (sched->state == TARGET_UP)
        return wants_another(sched, waiting, now_ms);
    return works(sched) + connecting == 0 && (waiting > 0 || !sched->tried);
}

/* No new connection before that. */
static int64_t
open_at(const struct replay_sched *sched, int64_t now_ms)
{
    int64_t at = sched->state == TARGET_DOWN ? sched->probe_ms
                 : works(sched) > 0          ? sched->open_ms
                                             : now_ms;
    int64_t paced = replay_pace_connect_at(&sched->pace, now_ms);

    return at > paced ? at : paced;
}

static bool
next_open(struct replay_sched *sched, size_t waiting, int64_t now_ms,
          struct replay_action *action)
{
    size_t slot;

    sched->wants_open = wants_open(sched, waiting, now_ms);
    sched->starved = false;
    if (!sched->wants_open || now_ms < open_at(sched, now_ms))
        return false;
    sched->starved = replay_sched_open(sched) >= sched->share;
    if (sched->starved)
        return false;
    replay_pace_connect(&sched->pace, now_ms);
    slot = find_free(sched); /* there is one: wants_open */
    sched->slots[slot].messages = 0;
    sched->slots[slot].ahead = false;
    set_phase(sched, slot, PHASE_CONNECTING, now_ms);
    return act(action, REPLAY_OPEN, slot);
}

bool
replay_sched_next(struct replay_sched *sched, size_t waiting, int64_t now_ms,
                  struct replay_action *action)
{
    struct replay_event resume = {.kind = REPLAY_RESUME};

    count_reach(sched, now_ms);
    if (sched->state == TARGET_PAUSED && now_ms >= sched->resume_ms)
        replay_sched_event(sched, &resume, now_ms);
    sched->hold_until_ms = waiting > 0 || sched->count[PHASE_BUSY] > 0
                               ? INT64_MAX
                               : sched->later_until_ms;
    if (next_save(sched, now_ms, action) ||
        next_give(sched, waiting, now_ms, action))
        return true;
    /* A target that was reached and has nothing to be tried with is up. */
    if (sched->state == TARGET_RETURNING && !sched->tried && waiting == 0 &&
        sched->count[PHASE_IDLE] > 0) {
        go_up(sched, now_ms);
        return next_save(sched, now_ms, action);
    }
    return next_close(sched, now_ms, action) ||
           next_open(sched, waiting, now_ms, action);
}

bool
replay_sched_may_ahead(struct replay_sched *sched, size_t slot, size_t waiting,
                       int64_t now_ms)
{
    const struct replay_slot *s = &sched->slots[slot];

    if (sched->state != TARGET_UP || sched->stopped || s->ahead ||
        s->messages >= sched->limits.messages_per_connection ||
        replay_sched_open(sched) > sessions_max(sched) ||
        sched->count[PHASE_IDLE] > 0 ||
        sched->count[PHASE_BUSY] > allowed(sched) ||
        waiting <= sched->limits.connections)
        return false;
    if (replay_pace_message_at(&sched->pace, now_ms) <= now_ms)
        return true;
    replay_pace_want_rate(&sched->pace, now_ms);
    return false;
}

void
replay_sched_bytes(struct replay_sched *sched, uint64_t bytes, int64_t now_ms)
{
    replay_pace_bytes(&sched->pace, bytes, now_ms);
}

void
replay_sched_set_share(struct replay_sched *sched, size_t share)
{
    sched->share = share;
}

int64_t
replay_sched_wake(const struct replay_sched *sched, int64_t now_ms)
{
    size_t oldest = find_slot(sched, PHASE_IDLE, false);
    int64_t wake = sched->give_ms, at;

    if (sched->wants_open && !sched->starved) {
        at = open_at(sched, now_ms);
        if (at < wake)
            wake = at;
    }
    if (oldest < sched->n_slots) {
        at = sched->slots[oldest].since_ms + REPLAY_IDLE_MS;
        if (at < wake)
            wake = at;
    }
    if (sched->state == TARGET_PAUSED && sched->resume_ms < wake)
        wake = sched->resume_ms;
    if (is_reachable(sched) && sched->hold_until_ms > sched->counted_ms &&
        sched->save_ms < wake)
        wake = sched->save_ms;
    return wake;
}
