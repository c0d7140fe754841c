/* SPDX-License-Identifier: ISC */
/*
 * A target that has just returned, perhaps half restored: what it refuses for
 * good is kept back while its guard watches (replay_guard.c), and where that
 * is too much the target is paused and the operator called. The watch is kept
 * with the target's state in the store before the first message goes, so a
 * process that dies at any point never returns mail the guard keeps.
 *
 * Before: replay_target.c (it returned), replay_work.c (verdicts)
 * After:  replay_pause.c, store.c (NOTE)
 */
#include "replay.h"

#include "clock.h"
#include "event.h"
#include "loop.h"
#include "peer.h"

void
replay_recovery_configure(struct replay_target *target,
                          const struct conf_target *conf)
{
    struct replay_guard_limits limits = {
        .on = conf->guard != 0,
        .messages = (size_t)conf->guard_messages,
        .share = conf->guard_share,
        .for_ms = conf->guard_for_ms,
    };

    replay_guard_set_limits(&target->guard, &limits);
}

void
replay_recovery_load(struct replay_target *target,
                     const struct target_health *health)
{
    if (health->guard <= GUARD_TRUSTS)
        replay_guard_load(&target->guard, (enum target_guard)health->guard,
                          loop_now_ms());
}

void
replay_recovery_changed(struct replay_target *target, enum target_state before)
{
    enum target_state now = target->sched.state;

    if (now != TARGET_UP && now != TARGET_RETURNING)
        return;
    if (before == TARGET_DOWN ||
        (before == TARGET_PAUSED && target->guard.state != GUARD_TRUSTS))
        replay_guard_begin(&target->guard, loop_now_ms());
}

bool
replay_recovery_is_alarm(const struct replay_target *target)
{
    return target->sched.state == TARGET_PAUSED &&
           replay_guard_keeps(&target->guard) &&
           view_equal(view_of(target->paused_by), VIEW(REPLAY_BY_GUARD));
}

/* --- verdicts ------------------------------------------------------------- */

static bool
is_refused(const struct replay_try *attempt)
{
    return attempt->said == SAID_US ||
           (attempt->said == SAID_REPLY && attempt->code / 100 == 5);
}

static struct replay_guard_verdict
verdict_of(const struct replay_job *job)
{
    struct replay_guard_verdict verdict = {.id = job->key.id};

    for (size_t i = 0; i < job->n_tries; i++) {
        const struct replay_try *attempt = &job->tries[i];

        verdict.accepted |= attempt->state == DELIVERY_DELIVERED;
        if (!is_refused(attempt))
            continue;
        verdict.refused = true;
        if (verdict.reply == NULL)
            verdict.reply = attempt->reply;
        if (!verdict.known && attempt->at_rcpt &&
            replay_took(job->key.target, attempt->row->recipient)) {
            verdict.known = true;
            verdict.reply = attempt->reply;
        }
    }
    return verdict;
}

/* The one alarm. */
static void
tell(const struct replay_target *target, const char *reason)
{
    struct buf text = {0};
    struct ledger_entry entry = {.when_ms = (uint64_t)clock_wall_ms(),
                                 .event = EVENT_GUARD};
    struct event event;

    event_begin(&event, EVENT_GUARD);
    event_text(&event, "target", target->name);
    event_num(&event, "accepted", target->guard.accepted);
    event_num(&event, "refused", target->guard.refused);
    event_text(&event, "reason", reason);
    event_end(&event);
    buf_addf(&text, "%s: %s", target->name, reason);
    entry.text = buf_view(&text);
    peer_send(ROLE_STORE, PROTO_NOTE, &entry, -1);
    buf_free(&text);
}

void
replay_recovery_judged(const struct replay_job *job)
{
    struct replay_target *target = job->key.target;
    struct replay_guard_verdict verdict;
    struct why why;

    if (!replay_guard_keeps(&target->guard) ||
        target->sched.state == TARGET_PAUSED)
        return; /* under way when it was paused: kept back, and that is all */
    verdict = verdict_of(job);
    switch (
        replay_guard_verdict(&target->guard, &verdict, loop_now_ms(), &why)) {
    case GUARD_GOES_ON:
        break;
    case GUARD_ENDS:
        replay_target_keep(target, NULL, NULL);
        break;
    case GUARD_STOPS:
        tell(target, why.text);
        replay_pause_begin(target, 0, VIEW(REPLAY_BY_GUARD), why.text);
        break;
    }
}

void
replay_recovery_told(const struct replay_job *job)
{
    for (size_t i = 0; i < job->n_tries; i++)
        if (job->tries[i].state == DELIVERY_DELIVERED)
            replay_took_note(job->key.target, job->tries[i].row->recipient);
}
