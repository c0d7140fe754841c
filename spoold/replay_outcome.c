/* SPDX-License-Identifier: ISC */
/*
 * What the target's words mean for each recipient, and the notice to the
 * sender when they mean the end. The session reports what happened; this
 * file alone decides deliver, later, return, give up. It includes neither
 * io.h nor loop.h: all of it is tested without a server.
 *
 *     2xx                      delivered
 *     5xx, or we cannot send   returned (null sender: dropped)
 *     4xx, or session broken   later, with back-off; once hold-for of
 *                              reachable time is over: expired
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

#include "addr.h"
#include "body.h"
#include "clock.h"
#include "dsn.h"
#include "event.h"
#include "header.h"
#include "log.h"
#include "mem.h"
#include "msgid.h"
#include "sealing.h"
#include "smtp_reply.h"
#include "stats.h"

/* A DSN stays in memory whatever its size: REPLAY_TRIES_MAX recipients and
 * DSN_HEADER_MAX bound it. */
#define DSN_INLINE_MAX (8 * 1024 * 1024)

#define NO_WAY_BACK " (nobody could be told: no way back to the sender)"

/* --- verdicts ------------------------------------------------------------ */

static struct view
domain_of(struct view address)
{
    const char *at = memrchr(address.data, '@', address.len);

    if (at == NULL)
        return (struct view){NULL, 0};
    return view_skip(address, (size_t)(at - address.data) + 1);
}

static bool
is_over(const struct replay_try *attempt, const struct replay_rules *rules)
{
    const struct conf_domain *domain = conf_domain_for(
        rules->conf, attempt->row->recipient, attempt->row->target);

    return domain != NULL && rules->reach_ms > attempt->row->reach_ms &&
           rules->reach_ms - attempt->row->reach_ms + attempt->row->spent_ms >
               domain->hold_for_ms;
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
    else if (refused)
        attempt->state = DELIVERY_RETURNED;
    else if (is_over(attempt, rules))
        attempt->state = DELIVERY_EXPIRED;
    else if (attempt->said == SAID_UNKNOWN)
        put_off_unknown(attempt, rules);
    else
        put_off(attempt, rules);
}

static bool
has_failed(const struct replay_try *attempt)
{
    return attempt->state == DELIVERY_RETURNED ||
           attempt->state == DELIVERY_EXPIRED;
}

bool
replay_outcome_judge(struct replay_job *job, const struct replay_rules *rules)
{
    bool some_delivered = false, some_failed = false;

    job->when_ms = rules->now_ms;
    for (size_t i = 0; i < job->n_tries; i++)
        some_delivered |= is_delivered(&job->tries[i]);
    for (size_t i = 0; i < job->n_tries; i++) {
        struct replay_try *attempt = &job->tries[i];

        judge_try(attempt, rules, some_delivered);
        if (!has_failed(attempt))
            continue;
        some_failed = true;
        if (job->message.message.sender.len == 0)
            attempt->state = DELIVERY_DROPPED;
    }
    return some_failed && job->message.message.sender.len > 0;
}

/* --- the notice ---------------------------------------------------------- */

/* Where the DSN goes: to the target of the sender's domain when it is ours,
 * else to the one that takes notices for the failed recipient's domain. An
 * empty view: nowhere. */
static struct view
way_back(const struct replay_job *job, const struct replay_rules *rules)
{
    const struct conf *conf = rules->conf;
    const struct conf_domain *domain =
        conf_domain_by_name(conf, domain_of(job->message.message.sender));
    struct view target = {NULL, 0};

    if (domain != NULL) {
        target = domain->target;
    } else {
        for (size_t i = 0; i < job->n_tries && domain == NULL; i++)
            if (has_failed(&job->tries[i]))
                domain = conf_domain_for(conf, job->tries[i].row->recipient,
                                         job->tries[i].row->target);
        if (domain != NULL)
            target = domain->return_target.len > 0 ? domain->return_target
                                                   : domain->target;
    }
    if (target.len == 0 || conf_target_by_name(conf, target) == NULL)
        return (struct view){NULL, 0};
    return target;
}

static void
drop_failed(struct replay_job *job)
{
    for (size_t i = 0; i < job->n_tries; i++) {
        struct replay_try *attempt = &job->tries[i];
        struct buf reply = {0};

        if (!has_failed(attempt))
            continue;
        attempt->state = DELIVERY_DROPPED;
        buf_add_text(&reply, attempt->reply);
        buf_add_text(&reply, NO_WAY_BACK);
        free(attempt->reply);
        attempt->reply = mem_copy(reply.data, reply.len);
        buf_free(&reply);
    }
}

static size_t
fill_recipients(const struct replay_job *job, struct dsn_recipient *out)
{
    size_t n = 0;

    for (size_t i = 0; i < job->n_tries; i++) {
        const struct replay_try *attempt = &job->tries[i];

        if (!has_failed(attempt))
            continue;
        out[n++] = (struct dsn_recipient){
            .address = attempt->row->recipient,
            .cause = attempt->said == SAID_US             ? DSN_UNSENDABLE
                     : attempt->state == DELIVERY_EXPIRED ? DSN_EXPIRED
                                                          : DSN_REFUSED,
            .code = attempt->code,
            .reply = view_of(attempt->reply),
            .remote = view_of(job->remote),
            .attempt_ms = (int64_t)job->when_ms,
        };
    }
    return n;
}

/* The row of the DSN, encoded. */
static void
encode_message(const struct dsn *dsn, struct view text,
               const struct body_writer *writer, const struct seal_key *key,
               struct view *data_key, struct buf *out)
{
    struct header header;
    struct message message;

    header_init(&header, dsn->hostname);
    header_scan(&header, text);
    message = (struct message){
        .arrived_ms = (uint64_t)dsn->now_ms,
        .origin = ORIGIN_DSN,
        .flags = dsn_is_utf8(dsn) ? MESSAGE_8BIT | MESSAGE_UTF8 : 0,
        .size = text.len,
        .subject = {header.subject, header.subject_len},
        .message_id = {header.message_id, header.message_id_len},
    };
    *data_key = sealing_describe(&message, writer, key);
    record_encode(&message_record, &message, out);
}

/* The DSN as a SUBMIT, with its content inline. */
static void
encode_submit(const struct dsn *dsn, int compression, struct view target,
              struct seal_key *key, struct buf *out)
{
    struct delivery delivery = {
        .recipient = dsn->sender, .target = target, .state = DELIVERY_READY};
    struct proto_submit submit = {.id = dsn->id, .deliveries = {&delivery, 1}};
    struct body_writer *writer = sealing_writer(
        compression, DSN_INLINE_MAX, dsn->id, (uint64_t)dsn->now_ms, key);
    struct buf text = {0}, row = {0};
    struct why why;
    int fd;

    dsn_write(dsn, &text);
    if (body_write(writer, buf_view(&text), &why) != 0 ||
        body_finish(writer, &submit.content, &fd, &submit.content_len, &why) !=
            0 ||
        fd >= 0)
        bug("a notice of %zu bytes was not kept in memory", text.len);
    encode_message(dsn, buf_view(&text), writer, key, &submit.data_key, &row);
    submit.message = buf_view(&row);
    record_encode(&proto_submit_record, &submit, out);
    body_writer_free(&writer);
    buf_free(&text);
    buf_free(&row);
}

void
replay_outcome_return(struct replay_job *job, const struct replay_rules *rules,
                      struct view header)
{
    const struct message *message = &job->message.message;
    struct dsn_recipient recipients[REPLAY_TRIES_MAX];
    struct view target = way_back(job, rules);
    struct dsn dsn;

    if (target.len == 0) {
        drop_failed(job);
        return;
    }
    job->dsn_id = msgid_next(rules->ids, (int64_t)rules->now_ms);
    dsn = (struct dsn){
        .hostname = rules->conf->hostname,
        .sender = message->sender,
        .id = job->dsn_id,
        .original_id = job->key.id,
        .message_id = message->message_id,
        .now_ms = (int64_t)rules->now_ms,
        .arrived_ms = (int64_t)message->arrived_ms,
        .recipients = recipients,
        .n_recipients = fill_recipients(job, recipients),
        .header = header,
    };
    encode_submit(&dsn, (int)rules->conf->compression, target, &job->dsn_key,
                  &job->dsn);
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
    if (has_failed(attempt))
        event_id(&event, "dsn", job->dsn_id);
    event_end(&event);
    stats_add(told_as[attempt->state].stat, 1);
}

void
replay_outcome_tell(const struct replay_job *job)
{
    for (size_t i = 0; i < job->n_tries; i++)
        if (job->tries[i].state != DELIVERY_READY)
            tell_try(job, &job->tries[i]);
}
