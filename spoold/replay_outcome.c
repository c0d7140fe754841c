/* SPDX-License-Identifier: ISC */
/*
 * What the target's words mean for each recipient, and the notice to the
 * sender when they mean the end. The session reports what happened; this
 * file alone decides deliver, later, return, give up. It includes neither
 * io.h nor loop.h: all of it is tested without a server.
 *
 *     2xx                      delivered
 *     5xx, or we cannot send   returned; dropped, where nobody may be told
 *     4xx, or session broken   later, with back-off; once hold-for of
 *                              reachable time is over: expired, but never
 *                              before an alarm told of it
 *     5xx while the target's guard watches: later; nothing expires then
 *     452 at RCPT while others were delivered: stays ready (too many
 *                              recipients for one go, RFC 5321 4.5.3.1.10)
 *     no reply to the dot      unknown: it may have been delivered; as later,
 *                              after a longer pause
 *     nothing said             stays ready
 *
 * Before: replay_session.c   After: replay_work.c (OUTCOME), store_apply.c
 */
#include "replay.h"

#include <stdlib.h>

#include "clock.h"
#include "dsn_param.h"
#include "event.h"
#include "log.h"
#include "mem.h"
#include "smtp_reply.h"
#include "stats.h"

/* --- verdicts ------------------------------------------------------------ */

/* What of hold-for has gone by. */
static uint64_t
spent_ms(const struct replay_try *attempt, const struct replay_rules *rules)
{
    const struct delivery *row = attempt->row;

    return row->spent_ms + (rules->reach_ms > row->reach_ms
                                ? rules->reach_ms - row->reach_ms
                                : 0);
}

/* Is it told now that the delivery is about to expire? */
static bool
is_alarming(const struct replay_try *attempt, const struct replay_rules *rules)
{
    const struct conf_domain *domain = conf_domain_for(
        rules->conf, attempt->row->recipient, attempt->row->target);

    return domain != NULL && attempt->row->alarmed_ms == 0 &&
           spent_ms(attempt, rules) >
               domain->hold_for_ms - domain->hold_for_ms / REPLAY_ALARM_PART;
}

/* Whoever heard the alarm has had a part of hold-for to do something. */
static bool
is_over(const struct replay_try *attempt, const struct replay_rules *rules)
{
    const struct conf_domain *domain = conf_domain_for(
        rules->conf, attempt->row->recipient, attempt->row->target);
    uint64_t alarmed_ms = attempt->row->alarmed_ms;

    return domain != NULL && domain->expire != CONF_EXPIRE_KEEP &&
           !rules->guarded && alarmed_ms != 0 &&
           rules->now_ms >=
               alarmed_ms + domain->hold_for_ms / REPLAY_ALARM_PART &&
           spent_ms(attempt, rules) > domain->hold_for_ms;
}

static void
put_off(struct replay_try *attempt, const struct replay_rules *rules)
{
    uint64_t attempts = attempt->row->attempts;

    attempt->state = DELIVERY_LATER;
    attempt->next_ms =
        rules->now_ms +
        replay_sched_backoff(attempts < 64 ? (unsigned)attempts : 64,
                             rules->retry_min_ms, rules->retry_max_ms,
                             replay_sched_random(rules->random));
}

/* Kept back: soon again, however often it was tried before. */
static void
put_off_first(struct replay_try *attempt, const struct replay_rules *rules)
{
    attempt->state = DELIVERY_LATER;
    attempt->next_ms =
        rules->now_ms +
        replay_sched_backoff(0, rules->retry_min_ms, rules->retry_max_ms,
                             replay_sched_random(rules->random));
}

/* Whoever took it has time to say so in its log, and the operator to look. */
static void
put_off_unknown(struct replay_try *attempt, const struct replay_rules *rules)
{
    uint64_t ms = rules->unknown_retry_ms;

    attempt->state = DELIVERY_UNKNOWN;
    attempt->next_ms =
        rules->now_ms + ms + replay_sched_random(rules->random) % (ms / 4 + 1);
}

static bool
is_delivered(const struct replay_try *attempt)
{
    return attempt->said == SAID_REPLY && !attempt->at_rcpt &&
           attempt->code / 100 == 2;
}

/* RFC 5321 4.5.3.1.10: the server takes no more recipients in one go. The
 * same code means a full disk; where the reply does not say, it counts as
 * this only while others are delivered, so it cannot go on for ever. */
static bool
is_too_many(const struct replay_try *attempt)
{
    struct view reply = view_of(attempt->reply);
    struct view enhanced = smtp_reply_enhanced(452, reply);

    return attempt->at_rcpt && attempt->code == 452 &&
           (enhanced.len == 0 || view_equal(enhanced, VIEW("4.5.3")));
}

/* 421 and 451, and at RCPT no others; but not what greylisting says (4.7.1),
 * nor too many recipients (RFC 3463 3.8, 3.6). */
bool
replay_outcome_is_distress(const struct replay_try *attempt)
{
    struct view reply = view_of(attempt->reply);
    struct view enhanced = {NULL, 0};
    uint64_t code = attempt->code;

    if (attempt->said != SAID_REPLY || code / 100 != 4)
        return false;
    enhanced = smtp_reply_enhanced((int)code, reply);
    if (enhanced.len > 2 && memcmp(enhanced.data, "4.7", 3) == 0)
        return false;
    return code == 421 || code == 451 || (!attempt->at_rcpt && code == 452);
}

static void
judge_try(struct replay_try *attempt, const struct replay_rules *rules,
          bool some_delivered)
{
    bool refused = attempt->said == SAID_US ||
                   (attempt->said == SAID_REPLY && attempt->code / 100 == 5);

    if (attempt->said == SAID_NOTHING ||
        (some_delivered && is_too_many(attempt)))
        attempt->state = DELIVERY_READY;
    else if (is_delivered(attempt))
        attempt->state = DELIVERY_DELIVERED;
    else if (refused && rules->guarded)
        put_off_first(attempt, rules);
    else if (refused)
        attempt->state = DELIVERY_RETURNED;
    else if (is_over(attempt, rules))
        attempt->state = DELIVERY_EXPIRED;
    else if (attempt->said == SAID_UNKNOWN)
        put_off_unknown(attempt, rules);
    else
        put_off(attempt, rules);
    attempt->alarmed =
        delivery_waits(attempt->state) && is_alarming(attempt, rules);
}

static bool
has_failed(const struct replay_try *attempt)
{
    return attempt->state == DELIVERY_RETURNED ||
           attempt->state == DELIVERY_EXPIRED;
}

/* Is the sender told, by us? A failure nobody is told of is another state. */
static void
judge_notice(const struct replay_job *job, struct replay_try *attempt,
             const struct replay_rules *rules)
{
    const struct message *message = &job->message.message;
    uint64_t untold;

    attempt->told = false;
    attempt->untold = 0;
    if (attempt->state == DELIVERY_DELIVERED) {
        /* RFC 3461 5.2.2: who offers DSN tells the sender himself. */
        attempt->told = !attempt->dsn_passed &&
                        replay_report_untold(rules->conf, message, attempt->row,
                                             REPORT_SUCCESS) == 0;
    } else if (has_failed(attempt)) {
        untold = replay_report_untold(rules->conf, message, attempt->row,
                                      REPORT_FAILURE);
        attempt->told = untold == 0;
        attempt->untold = untold;
        if (untold != 0)
            attempt->state = DELIVERY_DROPPED;
    }
}

bool
replay_outcome_judge(struct replay_job *job, const struct replay_rules *rules)
{
    bool some_delivered = false, some_told = false;

    job->when_ms = rules->now_ms;
    for (size_t i = 0; i < job->n_tries; i++)
        some_delivered |= is_delivered(&job->tries[i]);
    for (size_t i = 0; i < job->n_tries; i++) {
        struct replay_try *attempt = &job->tries[i];

        judge_try(attempt, rules, some_delivered);
        judge_notice(job, attempt, rules);
        some_told |= attempt->told;
    }
    return some_told;
}

/* --- the notice ---------------------------------------------------------- */

bool
replay_outcome_wants_whole(const struct replay_job *job)
{
    bool failed = false;

    for (size_t i = 0; i < job->n_tries; i++)
        failed |= has_failed(&job->tries[i]);
    return failed && job->message.message.ret == DSN_RET_FULL;
}

static enum dsn_cause
cause_of(const struct replay_try *attempt)
{
    if (attempt->state == DELIVERY_DELIVERED)
        return DSN_PASSED_ON;
    if (attempt->said == SAID_US)
        return DSN_UNSENDABLE;
    return attempt->state == DELIVERY_EXPIRED ? DSN_EXPIRED : DSN_REFUSED;
}

static size_t
fill_recipients(const struct replay_job *job, struct dsn_recipient *out)
{
    size_t n = 0;

    for (size_t i = 0; i < job->n_tries; i++) {
        const struct replay_try *attempt = &job->tries[i];

        if (!attempt->told)
            continue;
        out[n++] = (struct dsn_recipient){
            .address = attempt->row->recipient,
            .orcpt = attempt->row->orcpt,
            .cause = cause_of(attempt),
            .unknown = attempt->said == SAID_UNKNOWN,
            .code = attempt->code,
            .reply = view_of(attempt->reply),
            .remote = view_of(job->remote),
            .attempt_ms = (int64_t)job->when_ms,
        };
    }
    return n;
}

void
replay_outcome_return(struct replay_job *job, const struct replay_rules *rules,
                      struct view original, bool whole)
{
    struct dsn_recipient recipients[REPLAY_TRIES_MAX];
    struct replay_report report = {
        .conf = rules->conf,
        .ids = rules->ids,
        .now_ms = rules->now_ms,
        .id = job->key.id,
        .message = &job->message.message,
        .recipients = recipients,
        .n_recipients = fill_recipients(job, recipients),
        .original = original,
        .whole = whole,
    };

    for (size_t i = 0; i < job->n_tries && report.target.len == 0; i++)
        if (job->tries[i].told)
            report.target = replay_report_way_back(rules->conf, report.message,
                                                   job->tries[i].row);
    replay_report_write(&report, &job->notice);
}

void
replay_outcome_results(struct replay_job *job)
{
    job->results = mem_alloc(job->n_tries * sizeof(*job->results));
    for (size_t i = 0; i < job->n_tries; i++) {
        const struct replay_try *attempt = &job->tries[i];

        if (attempt->state == DELIVERY_READY)
            continue;
        job->results[job->n_results++] = (struct proto_result){
            .n = attempt->n,
            .state = attempt->state,
            .code = attempt->code,
            .reply = view_of(attempt->reply),
            .next_ms = attempt->next_ms,
            .untold = attempt->untold,
            .alarmed = attempt->alarmed,
        };
    }
}

/* --- events and counters ------------------------------------------------- */

static const struct {
    enum event_kind event;
    enum stat stat;
} told_as[] = {
    [DELIVERY_LATER] = {EVENT_DEFERRED, STAT_DEFERRED},
    [DELIVERY_DELIVERED] = {EVENT_DELIVERED, STAT_DELIVERED},
    [DELIVERY_RETURNED] = {EVENT_RETURNED, STAT_RETURNED},
    [DELIVERY_EXPIRED] = {EVENT_EXPIRED, STAT_RETURNED},
    [DELIVERY_DROPPED] = {EVENT_DROPPED, STAT_DROPPED},
    [DELIVERY_UNKNOWN] = {EVENT_UNKNOWN, STAT_UNKNOWN},
};

static void
tell_try(const struct replay_job *job, const struct replay_try *attempt)
{
    struct event event;
    char next[CLOCK_TEXT_MAX];
    uint64_t arrived_ms = job->message.message.arrived_ms;

    event_begin(&event, told_as[attempt->state].event);
    event_id(&event, "id", job->key.id);
    event_view(&event, "to", attempt->row->recipient);
    event_view(&event, "target", attempt->row->target);
    if (job->remote != NULL)
        event_text(&event, "host", job->remote);
    event_num(&event, "code", attempt->code);
    event_text(&event, "reply", attempt->reply != NULL ? attempt->reply : "");
    event_num(&event, "attempts", attempt->row->attempts + 1);
    event_num(&event, "age",
              job->when_ms > arrived_ms ? (job->when_ms - arrived_ms) / 1000
                                        : 0);
    if (delivery_waits(attempt->state))
        event_text(&event, "next",
                   clock_print_iso((int64_t)attempt->next_ms, next));
    if (attempt->untold != 0)
        event_text(&event, "untold", untold_text(attempt->untold));
    if (attempt->told)
        event_id(&event, "dsn", job->notice.id);
    event_end(&event);
    stats_add(told_as[attempt->state].stat, 1);
}

/* It is about to expire, as far as that is known of its domain. */
static void
tell_expiring(const struct replay_job *job, const struct replay_try *attempt)
{
    struct event event;

    event_begin(&event, EVENT_EXPIRING);
    event_id(&event, "id", job->key.id);
    event_view(&event, "to", attempt->row->recipient);
    event_view(&event, "target", attempt->row->target);
    event_text(&event, "reply", attempt->reply != NULL ? attempt->reply : "");
    event_end(&event);
}

void
replay_outcome_tell(const struct replay_job *job)
{
    for (size_t i = 0; i < job->n_tries; i++)
        if (job->tries[i].state != DELIVERY_READY)
            tell_try(job, &job->tries[i]);
    for (size_t i = 0; i < job->n_tries; i++)
        if (job->tries[i].alarmed)
            tell_expiring(job, &job->tries[i]);
}
