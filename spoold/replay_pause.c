/* SPDX-License-Identifier: ISC */
/*
 * A target that is paused: by the operator, for a time or until he resumes
 * it, or by the guard. What is under way ends, nothing begins, its clock
 * stands still. It is kept with the target's state in the store, ends by
 * itself when its time is over, and says so.
 *
 * Before: control_pause.c (PAUSE), replay_recovery.c   After: replay_target.c,
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

/* When the wall clock shows until_ms, on the loop's clock; 0: never. */
static int64_t
on_loop_clock(uint64_t until_ms)
{
    int64_t now_ms = clock_wall_ms();

    if (until_ms == 0)
        return 0;
    return loop_now_ms() +
           ((int64_t)until_ms > now_ms ? (int64_t)until_ms - now_ms : 0);
}

static void
set_by(struct replay_target *target, struct view by)
{
    snprintf(target->paused_by, sizeof(target->paused_by), "%.*s", (int)by.len,
             by.data);
}

void
replay_pause_load(struct replay_target *target,
                  const struct target_health *health)
{
    char *reason;
    struct replay_event pause = {.kind = REPLAY_PAUSE};

    if (health->state != TARGET_PAUSED)
        return;
    target->pause_until_ms = health->pause_until_ms;
    set_by(target, health->paused_by);
    reason = mem_copy(health->reason.data, health->reason.len);
    pause.reason = reason;
    pause.until_ms = on_loop_clock(health->pause_until_ms);
    replay_sched_event(&target->sched, &pause, loop_now_ms());
    target->sched.told = TARGET_PAUSED;
    free(reason);
}

void
replay_pause_begin(struct replay_target *target, uint64_t until_ms,
                   struct view by, const char *reason)
{
    struct replay_event pause = {.kind = REPLAY_PAUSE,
                                 .reason = reason,
                                 .until_ms = on_loop_clock(until_ms)};

    target->pause_until_ms = until_ms;
    set_by(target, by);
    replay_target_report(target, &pause);
}

static void
resume(struct replay_target *target, const struct proto_pause *pause)
{
    struct replay_event event = {.kind = REPLAY_RESUME};

    if (pause->trust)
        replay_guard_trust(&target->guard);
    set_by(target, pause->by);
    replay_target_report(target, &event);
}

void
replay_pause_ended(struct replay_target *target)
{
    bool over = target->pause_until_ms != 0 &&
                (int64_t)target->pause_until_ms <= clock_wall_ms();
    const char *by = over ? "its time is over" : target->paused_by;
    struct ledger_entry entry = {.when_ms = (uint64_t)clock_wall_ms(),
                                 .event = EVENT_PAUSE_ENDED,
                                 .text = view_of(target->name)};
    struct event event;

    event_begin(&event, EVENT_PAUSE_ENDED);
    event_text(&event, "target", target->name);
    event_text(&event, "by", by);
    event_end(&event);
    if (!over)
        entry.by = view_of(target->paused_by);
    if (replay_store_is_ready())
        peer_send(ROLE_STORE, PROTO_NOTE, &entry, -1);
    target->pause_until_ms = 0;
    target->paused_by[0] = 0;
}

/* --- the operator -------------------------------------------------------- */

struct asked {
    enum role from;
    uint64_t call;
    uint64_t until_ms;
};

static void
on_kept(void *arg, struct peer_message *answer)
{
    struct asked *asked = arg;
    const struct proto_recorded *kept =
        answer != NULL && answer->kind == PROTO_KEPT ? answer->payload : NULL;
    struct proto_done done = {.done =
                                  kept != NULL && kept->result == SUBMIT_DONE,
                              .count = asked->until_ms};

    if (!done.done)
        done.text = VIEW("it holds now, but could not be kept: the store is "
                         "away or full");
    peer_answer(asked->from, asked->call, PROTO_PAUSED, &done);
    free(asked);
}

static const char *
refusal(const struct replay_target *target, const struct proto_pause *pause)
{
    if (target == NULL || target->gone)
        return "there is no such target";
    if (pause->resume && target->sched.state != TARGET_PAUSED)
        return "it is not paused";
    return NULL;
}

void
replay_pause_on_pause(struct peer_message *message)
{
    const struct proto_pause *pause = message->payload;
    struct replay_target *target = replay_target_find(pause->name);
    const char *no = refusal(target, pause);
    struct proto_done none = {.text = view_of(no)};
    struct asked *asked;

    if (no != NULL) {
        peer_reply(message, PROTO_PAUSED, &none);
        return;
    }
    if (pause->resume)
        resume(target, pause);
    else
        replay_pause_begin(target, pause->until_ms, pause->by,
                           "paused by the operator");
    asked = mem_alloc(sizeof(*asked));
    *asked = (struct asked){message->from, message->call, pause->until_ms};
    replay_target_keep(target, on_kept, asked);
}
