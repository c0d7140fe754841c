/* SPDX-License-Identifier: ISC */
/*
 * How the guard counts: each message once, so that what is kept back and
 * refused again is no new evidence. Only when the time is over and there was
 * too little to go by, every further verdict counts, so that a target with
 * hardly any mail comes to an end, too.
 *
 * Before: replay_recovery.c   After: replay_recovery.c
 */
#include "replay_guard.h"

#include <stdlib.h>

#include "mem.h"
#include "why.h"

void
replay_guard_set_limits(struct replay_guard *guard,
                        const struct replay_guard_limits *limits)
{
    guard->limits = *limits;
    if (!limits->on)
        guard->state = GUARD_NONE;
}

void
replay_guard_free(struct replay_guard *guard)
{
    free(guard->ids);
    guard->ids = NULL;
    guard->n_ids = guard->cap_ids = 0;
}

static void
end(struct replay_guard *guard, enum target_guard state)
{
    replay_guard_free(guard);
    guard->accepted = guard->refused = 0;
    guard->state = state;
}

void
replay_guard_begin(struct replay_guard *guard, int64_t now_ms)
{
    end(guard, guard->limits.on ? GUARD_WATCHES : GUARD_NONE);
    guard->until_ms = now_ms + (int64_t)guard->limits.for_ms;
}

void
replay_guard_load(struct replay_guard *guard, enum target_guard state,
                  int64_t now_ms)
{
    if (state == GUARD_WATCHES)
        replay_guard_begin(guard, now_ms);
    else
        end(guard, guard->limits.on ? state : GUARD_NONE);
}

void
replay_guard_trust(struct replay_guard *guard)
{
    end(guard, GUARD_TRUSTS);
}

bool
replay_guard_keeps(const struct replay_guard *guard)
{
    return guard->state == GUARD_WATCHES;
}

/* --- counting ------------------------------------------------------------- */

/* False: it was refused before. */
static bool
remember(struct replay_guard *guard, uint64_t id)
{
    for (size_t i = 0; i < guard->n_ids; i++)
        if (guard->ids[i] == id)
            return false;
    if (guard->n_ids >= guard->limits.messages)
        return true; /* only where all may be refused */
    if (guard->n_ids == guard->cap_ids) {
        guard->cap_ids = guard->cap_ids > 0 ? guard->cap_ids * 2 : GUARD_LEAST;
        guard->ids = mem_grow(guard->ids, guard->cap_ids, sizeof(*guard->ids));
    }
    guard->ids[guard->n_ids++] = id;
    return true;
}

static void
count(struct replay_guard *guard, const struct replay_guard_verdict *verdict,
      bool over)
{
    if (verdict->accepted)
        guard->accepted++;
    else if (verdict->refused && (remember(guard, verdict->id) || over))
        guard->refused++;
}

/* More than the share of these many messages? */
static bool
is_too_much(const struct replay_guard *guard, size_t messages)
{
    return guard->refused * 100 > guard->limits.share * messages;
}

static size_t
least(const struct replay_guard *guard)
{
    return guard->limits.messages < GUARD_LEAST ? guard->limits.messages
                                                : GUARD_LEAST;
}

static bool
is_stopped(const struct replay_guard *guard, bool over)
{
    size_t seen = guard->accepted + guard->refused;

    if (is_too_much(guard, guard->limits.messages))
        return true;
    return seen >= least(guard) && (over || guard->accepted == 0) &&
           is_too_much(guard, seen);
}

static enum replay_guard_says
stop(const struct replay_guard *guard,
     const struct replay_guard_verdict *verdict, struct why *why)
{
    const char *reply = verdict->reply != NULL ? verdict->reply : "";

    if (verdict->known)
        why_text(why,
                 "since its return it refuses for good whom it took mail for "
                 "before: %s",
                 reply);
    else
        why_text(why,
                 "it refused %zu of the first %zu messages since its return "
                 "for good: %s",
                 guard->refused, guard->accepted + guard->refused, reply);
    return GUARD_STOPS;
}

enum replay_guard_says
replay_guard_verdict(struct replay_guard *guard,
                     const struct replay_guard_verdict *verdict, int64_t now_ms,
                     struct why *why)
{
    bool over = now_ms >= guard->until_ms;
    size_t seen;

    if (guard->state != GUARD_WATCHES)
        return GUARD_GOES_ON;
    count(guard, verdict, over);
    seen = guard->accepted + guard->refused;
    if (verdict->refused && (verdict->known || is_stopped(guard, over)))
        return stop(guard, verdict, why);
    if (seen == 0 || is_too_much(guard, seen) ||
        (seen < guard->limits.messages && !over))
        return GUARD_GOES_ON;
    end(guard, GUARD_NONE);
    return GUARD_ENDS;
}
