/* SPDX-License-Identifier: ISC */
/*
 * A message that goes to a target, and what becomes of it until the store has
 * recorded it.
 *
 * A message that is under way to a target is a job, found by (id, target): it
 * is not picked again, however often the store or the cursor names it, until
 * its outcome is durable. An outcome the store did not confirm is sent again
 * when the store is back, and only that: the target never sees the message
 * twice because of us.
 *
 * Before: replay_target.c, replay_queue.c   After: replay_session.c, then
 * replay_outcome.c, then store.c (OUTCOME)
 */
#include "replay.h"

#include <stdlib.h>

#include "clock.h"
#include "event.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "msgid.h"
#include "sealing.h"
#include "peer.h"

/* Jobs a target may have besides one a connection: delivered, but not yet
 * recorded. A crash now may deliver them twice, so they are few. */
#define UNRECORDED_MAX 200
#define AGAIN_MS       1000 /* before an outcome the store had no room for */

static struct {
    struct replay_job *jobs;
    size_t n_stuck;
    struct loop_timer *again;
} work;

static struct replay_job *
find_job(struct replay_target *target, uint64_t id)
{
    struct replay_job_key key = {id, target};
    struct replay_job *job;

    HASH_FIND(hh, work.jobs, &key, sizeof(key), job);
    return job;
}

bool
replay_job_is_known(struct replay_target *target, uint64_t id)
{
    return find_job(target, id) != NULL;
}

static bool
is_stuck(const struct replay_job *job)
{
    return job->state == JOB_STUCK || job->state == JOB_KEYLESS;
}

bool
replay_job_is_under_way(const struct replay_target *target, uint64_t id)
{
    const struct replay_job *job =
        find_job((struct replay_target *)(uintptr_t)target, id);

    return job != NULL && !is_stuck(job);
}

size_t
replay_work_waiting(struct replay_target *target)
{
    if (target->gone || !replay_store_is_ready() ||
        target->under_way >= UNRECORDED_MAX + target->limits.connections)
        return 0;
    return replay_queue_waiting(target);
}

/* --- jobs ---------------------------------------------------------------- */

static struct replay_job *
job_new(struct replay_target *target, uint64_t id)
{
    struct replay_job *job = mem_alloc(sizeof(*job));

    /* The key is compared byte by byte: mem_alloc has zeroed its padding. */
    job->key.id = id;
    job->key.target = target;
    HASH_ADD(hh, work.jobs, key, sizeof(job->key), job);
    target->under_way++;
    return job;
}

/* All but the key. */
static void
job_clear(struct replay_job *job)
{
    for (size_t i = 0; i < job->n_tries; i++)
        free(job->tries[i].reply);
    free(job->tries);
    free(job->results);
    free(job->remote);
    replay_notice_clear(&job->notice);
    db_message_free(&job->message);
    job->tries = NULL;
    job->results = NULL;
    job->remote = NULL;
    job->n_tries = job->n_results = 0;
}

static void
job_end(struct replay_job *job)
{
    HASH_DEL(work.jobs, job);
    if (is_stuck(job))
        work.n_stuck--;
    else
        job->key.target->under_way--;
    job_clear(job);
    free(job);
}

static void
job_free(struct replay_job *job)
{
    struct replay_target *target = job->key.target;

    job_end(job);
    replay_target_run(target);
    replay_check_drained();
}

/* What is left of it keeps the message from being picked again. */
static void
job_stick(struct replay_job *job, enum replay_job_state state)
{
    job->state = state;
    work.n_stuck++;
    job->key.target->under_way--;
    job_clear(job);
    replay_target_run(job->key.target);
    replay_check_drained();
}

void
replay_work_forget(struct replay_target *target)
{
    struct replay_job *job, *next;

    HASH_ITER (hh, work.jobs, job, next) {
        if (job->key.target == target && is_stuck(job))
            job_end(job);
    }
}

void
replay_job_keys_came(void)
{
    struct replay_job *job, *next;

    HASH_ITER (hh, work.jobs, job, next) {
        struct replay_target *target = job->key.target;

        if (job->state != JOB_KEYLESS)
            continue;
        job_end(job);
        replay_queue_again(target);
        replay_target_run(target);
    }
}

/* The deliveries that are ready for this target, up to REPLAY_TRIES_MAX. */
static void
choose_tries(struct replay_job *job)
{
    struct view target = view_of(job->key.target->name);

    job->tries = mem_alloc(REPLAY_TRIES_MAX * sizeof(*job->tries));
    for (size_t i = 0; i < job->message.n_deliveries; i++) {
        const struct db_delivery *d = &job->message.deliveries[i];

        if (d->delivery.state != DELIVERY_READY ||
            !view_equal(d->delivery.target, target))
            continue;
        if (job->n_tries == REPLAY_TRIES_MAX) {
            job->more = true;
            break;
        }
        job->tries[job->n_tries++] =
            (struct replay_try){.n = d->n, .row = &d->delivery};
    }
}

/* In the log, and in the ledger for "spoolctl why". */
static void
tell_damaged(uint64_t id, const char *reason)
{
    struct ledger_entry entry = {.when_ms = (uint64_t)clock_wall_ms(),
                                 .event = EVENT_DAMAGED,
                                 .id = id,
                                 .text = view_of(reason)};
    struct event event;

    event_begin(&event, EVENT_DAMAGED);
    event_id(&event, "id", id);
    event_text(&event, "reason", reason);
    event_end(&event);
    peer_send(ROLE_STORE, PROTO_NOTE, &entry, -1);
}

void
replay_job_damaged(struct replay_job *job, const char *reason)
{
    tell_damaged(job->key.id, reason);
    job->damaged = true;
}

/* Without its key a sealed message is not even begun: it would only break
 * the connection. */
static bool
job_has_key(struct replay_job *job)
{
    struct why why;
    int has = replay_key_check(&job->message.message, &why);

    if (has == 1)
        return true;
    if (has < 0)
        tell_damaged(job->key.id, why.text);
    job_stick(job, JOB_KEYLESS); /* a lost one may be found again */
    return false;
}

/* NULL: the message is under way, gone, or has nothing for the target. */
static struct replay_job *
job_begin(struct replay_target *target, uint64_t id)
{
    struct replay_job *job = find_job(target, id);
    struct why why;
    int found;

    if (replay_return_keeps(id))
        return NULL;
    if (job != NULL && !is_stuck(job)) {
        job->more = true; /* something new of it became ready meanwhile */
        return NULL;
    }
    if (job != NULL) /* the cursor passes it over: the store announced it */
        job_end(job);
    job = job_new(target, id);
    found = replay_read_message(id, &job->message, &why);
    if (found < 0) {
        tell_damaged(id, why.text);
        job_stick(job, JOB_STUCK);
        return NULL;
    }
    if (found == 1)
        choose_tries(job);
    if (job->n_tries == 0) {
        job_free(job);
        return NULL;
    }
    return job_has_key(job) ? job : NULL;
}

struct replay_job *
replay_work_take(struct replay_target *target)
{
    struct replay_job *job = NULL;
    uint64_t id;

    while (job == NULL && replay_queue_next(target, &id))
        job = job_begin(target, id);
    if (job != NULL)
        replay_queue_began(target);
    return job;
}

void
replay_try_say(struct replay_try *attempt, enum replay_said said, uint64_t code,
               struct view reply)
{
    attempt->said = said;
    attempt->code = code;
    free(attempt->reply);
    attempt->reply = mem_copy(reply.data, reply.len);
}

size_t
replay_job_count(void)
{
    return HASH_COUNT(work.jobs) - work.n_stuck;
}

/* --- outcomes ------------------------------------------------------------ */

static void on_recorded(void *arg, struct peer_message *answer);

static void
job_record(struct replay_job *job)
{
    struct proto_outcome outcome = {
        .id = job->key.id,
        .when_ms = job->when_ms,
        .results = {job->results, job->n_results},
        .dsn = buf_view(&job->notice.submit),
        .target = view_of(job->key.target->name),
    };

    job->state = JOB_RECORDING;
    peer_call(ROLE_STORE, PROTO_OUTCOME, &outcome, -1, on_recorded, job);
}

void
replay_job_store_up(void)
{
    struct replay_job *job, *next;

    HASH_ITER (hh, work.jobs, job, next) {
        if (job->state == JOB_UNRECORDED)
            job_record(job);
    }
}

static void
again(void *arg)
{
    (void)arg;
    if (replay_store_is_ready())
        replay_job_store_up();
}

static void
record_later(struct replay_job *job, bool store_is_there)
{
    job->state = JOB_UNRECORDED;
    if (!store_is_there)
        return; /* replay_job_store_up comes with it */
    if (work.again == NULL)
        work.again = loop_timer_new(again, NULL);
    loop_timer_set(work.again, AGAIN_MS);
}

/* It is durable. */
static void
job_finish(struct replay_job *job)
{
    struct replay_target *target = job->key.target;
    bool more = job->more;

    replay_outcome_tell(job);
    replay_recovery_told(job);
    replay_alarm_told(job);
    for (size_t i = 0; i < job->n_tries; i++) {
        target->delivered += job->tries[i].state == DELIVERY_DELIVERED;
        target->deferred += delivery_waits(job->tries[i].state);
        more |= job->tries[i].state == DELIVERY_READY;
    }
    if (job->damaged) {
        job_stick(job, JOB_STUCK);
        return;
    }
    if (more)
        replay_queue_put_back(target, job->key.id);
    else
        eta_went(&target->eta, loop_now_ms());
    job_free(job);
}

/* The store refused the outcome. When it had recorded it before (its answer
 * got lost with it), the deliveries are not ready any more and all is well.
 * If they are, sending the message again could go on for ever. */
static void
job_refused(struct replay_job *job)
{
    struct db_message now;
    char id[MSGID_TEXT_MAX];
    bool open = false;
    struct why why;
    int found = replay_read_message(job->key.id, &now, &why);

    for (size_t r = 0; found == 1 && r < job->n_results; r++)
        for (size_t i = 0; i < now.n_deliveries; i++)
            open |= now.deliveries[i].n == job->results[r].n &&
                    now.deliveries[i].delivery.state == DELIVERY_READY;
    if (found == 1)
        db_message_free(&now);
    if (found >= 0 && !open) {
        job_finish(job);
        return;
    }
    log_warn("the outcome of message %s was refused: it is left alone",
             msgid_print(job->key.id, id));
    job_stick(job, JOB_STUCK);
}

static void
on_recorded(void *arg, struct peer_message *answer)
{
    struct replay_job *job = arg;
    const struct proto_recorded *recorded =
        answer != NULL && answer->kind == PROTO_RECORDED ? answer->payload
                                                         : NULL;

    if (job->notice.submit.len > 0)
        sealing_answered(&job->notice.key,
                         recorded != NULL && recorded->result == SUBMIT_DONE);
    if (recorded == NULL) {
        record_later(job, false);
        return;
    }
    switch (recorded->result) {
    case SUBMIT_DONE:
        job_finish(job);
        break;
    case SUBMIT_REFUSED:
        job_refused(job);
        break;
    default: /* no room, or it could not */
        record_later(job, true);
    }
}

static void
job_return(struct replay_job *job, const struct replay_rules *rules)
{
    struct buf original = {0};
    struct why why;
    int whole = replay_content_original(
        job->key.id, &job->message.message,
        replay_outcome_wants_whole(job) ? REPLAY_REPORT_CONTENT_MAX : 0,
        &original, &why);

    if (whole < 0)
        log_warn("the header for a notice: %s", why.text);
    replay_outcome_return(job, rules, buf_view(&original), whole == 1);
    buf_free(&original);
}

/* Mail that was put off is held until then. */
static void
hold(struct replay_job *job)
{
    for (size_t i = 0; i < job->n_tries; i++)
        if (delivery_waits(job->tries[i].state))
            replay_sched_held_until(
                &job->key.target->sched,
                loop_now_ms() +
                    (int64_t)(job->tries[i].next_ms - job->when_ms));
}

void
replay_job_done(struct replay_job *job)
{
    struct replay_target *target = job->key.target;
    struct replay_rules rules = {
        .conf = replay_conf(),
        .now_ms = (uint64_t)clock_wall_ms(),
        .reach_ms = replay_target_reach_ms(target),
        .retry_min_ms = target->retry_min_ms,
        .retry_max_ms = target->retry_max_ms,
        .unknown_retry_ms = target->unknown_retry_ms,
        .guarded = replay_guard_keeps(&target->guard),
        .random = replay_random(),
        .ids = replay_ids(),
    };

    if (replay_outcome_judge(job, &rules))
        job_return(job, &rules);
    replay_recovery_judged(job);
    replay_outcome_results(job);
    if (job->n_results == 0 && job->damaged) {
        job_stick(job, JOB_STUCK);
        return;
    }
    if (job->n_results == 0) {
        replay_queue_put_back(target, job->key.id);
        job_free(job);
        return;
    }
    hold(job);
    job_record(job);
}
