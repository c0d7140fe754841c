/* SPDX-License-Identifier: ISC */
/*
 * Notices of delay (domain { warn-after }): what is held longer than that is
 * looked for in the order of ids, which is the order of time, and the sender
 * is told once. A message costs one look when its time has come, whatever its
 * target does; nothing is written for those whose sender is not told.
 *
 * One notice is under way at a time, and none is made while others still wait
 * for their moment (store_submit.c): one that is late says what is not true
 * any more.
 *
 * Before: replay.c   After: replay_report.c, store_outcome.c (OUTCOME)
 */
#include "replay.h"

#include <stdlib.h>

#include "clock.h"
#include "db.h"
#include "event.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "msgid.h"
#include "peer.h"
#include "sealing.h"
#include "stats.h"

#define ROWS_MAX     2000 /* looked at in one turn */
#define MESSAGES_MAX 100  /* the same, read */
#define LOOK_MS      30000
#define FAILED_MS    5000
/* From the beginning again: ids of imports may be older than what was passed,
 * and a target that takes notices may be there again. */
#define ROUND_MS 3600000

/* Domains with the same warn-after share a walk. */
struct pass {
    uint64_t warn_ms;
    uint64_t after_id;
};

static struct {
    struct loop_timer *timer;
    struct pass *passes;
    size_t n_passes;
    int64_t round_ms; /* when the next round begins */
    bool passed_over; /* somebody, since his notice could not go */
    bool asking;      /* the store has a notice */
    size_t asked;     /* of this pass */
    uint64_t id;      /* about this message */
    struct replay_notice notice;
} delay;

/* --- the configuration ---------------------------------------------------- */

static bool
has_pass(const struct pass *passes, size_t n, uint64_t warn_ms)
{
    for (size_t i = 0; i < n; i++)
        if (passes[i].warn_ms == warn_ms)
            return true;
    return false;
}

static uint64_t
where_it_was(uint64_t warn_ms)
{
    for (size_t i = 0; i < delay.n_passes; i++)
        if (delay.passes[i].warn_ms == warn_ms)
            return delay.passes[i].after_id;
    return 0;
}

static void run(void *arg);

void
replay_delay_configure(const struct conf *conf)
{
    const struct conf_domain *domains = conf->domains.items;
    struct pass *passes = NULL;
    size_t n = 0;

    for (size_t i = 0; i < conf->domains.count; i++) {
        uint64_t warn_ms = domains[i].warn_after_ms;

        if (warn_ms == 0 || domains[i].returns == CONF_RETURN_NEVER ||
            has_pass(passes, n, warn_ms))
            continue;
        passes = mem_grow(passes, n + 1, sizeof(*passes));
        passes[n++] = (struct pass){warn_ms, where_it_was(warn_ms)};
    }
    free(delay.passes);
    delay.passes = passes;
    delay.n_passes = n;
    delay.asked = n; /* the answer that comes is of a pass that was */
    if (delay.timer == NULL)
        delay.timer = loop_timer_new(run, NULL);
    loop_timer_set(delay.timer, 0);
}

/* --- one notice ----------------------------------------------------------- */

/* Is the sender to be told of this delivery, in this pass? Nobody is told
 * that somebody holds his mail back. */
static bool
is_due(const struct pass *pass, const struct db_message *message,
       const struct delivery *row)
{
    const struct conf *conf = replay_conf();
    const struct conf_domain *domain =
        conf_domain_for(conf, row->recipient, row->target);

    return domain != NULL && domain->warn_after_ms == pass->warn_ms &&
           delivery_is_open(row->state) && row->state != DELIVERY_HELD &&
           row->warned_ms == 0 &&
           replay_report_untold(conf, &message->message, row, REPORT_DELAY) ==
               0;
}

/* A notice that would only wait, too, tells nothing in time. */
static bool
is_reachable(struct view target)
{
    const struct replay_target *found = replay_target_find(target);

    return found != NULL && found->sched.state == TARGET_UP;
}

static void
tell(uint64_t deliveries)
{
    struct event event;

    event_begin(&event, EVENT_WARNED);
    event_id(&event, "id", delay.id);
    event_num(&event, "deliveries", deliveries);
    event_id(&event, "dsn", delay.notice.id);
    event_end(&event);
    stats_add(STAT_WARNED, (int64_t)deliveries);
}

static void
on_recorded(void *arg, struct peer_message *answer)
{
    const struct proto_recorded *recorded =
        answer != NULL && answer->kind == PROTO_RECORDED ? answer->payload
                                                         : NULL;
    bool done = recorded != NULL && recorded->result == SUBMIT_DONE;

    (void)arg;
    sealing_answered(&delay.notice.key, done);
    if (done && recorded->count > 0)
        tell(recorded->count);
    replay_notice_clear(&delay.notice);
    delay.asking = false;
    /* What was refused is passed: it would be refused again. */
    if (delay.asked < delay.n_passes &&
        (done || (recorded != NULL && recorded->result == SUBMIT_REFUSED)))
        delay.passes[delay.asked].after_id = delay.id;
    loop_timer_set(delay.timer, done ? 0 : FAILED_MS);
}

static void
write_notice(const struct db_message *message,
             const struct dsn_recipient *recipients, size_t n,
             struct view target)
{
    struct buf original = {0};
    struct replay_report report = {
        .conf = replay_conf(),
        .ids = replay_ids(),
        .now_ms = (uint64_t)clock_wall_ms(),
        .id = message->id,
        .message = &message->message,
        .recipients = recipients,
        .n_recipients = n,
        .target = target,
    };
    struct why why;

    if (replay_content_original(message->id, &message->message, 0, &original,
                                &why) < 0)
        log_warn("the header for a notice: %s", why.text);
    report.original = buf_view(&original);
    replay_report_write(&report, &delay.notice);
    buf_free(&original);
}

/* Sends a notice about those that are due; false: none is. */
static bool
warn(size_t pass, const struct db_message *message)
{
    struct dsn_recipient recipients[REPLAY_TRIES_MAX];
    struct proto_result results[REPLAY_TRIES_MAX];
    struct proto_outcome outcome = {.id = message->id,
                                    .when_ms = (uint64_t)clock_wall_ms(),
                                    .results = {results, 0},
                                    .what = OUTCOME_WARN};
    struct view target = {NULL, 0};
    size_t n = 0;

    for (size_t i = 0; i < message->n_deliveries && n < REPLAY_TRIES_MAX; i++) {
        const struct delivery *row = &message->deliveries[i].delivery;

        if (!is_due(&delay.passes[pass], message, row))
            continue;
        target = replay_report_way_back(replay_conf(), &message->message, row);
        results[n] = (struct proto_result){.n = message->deliveries[i].n,
                                           .code = row->code};
        recipients[n++] = (struct dsn_recipient){
            .address = row->recipient,
            .orcpt = row->orcpt,
            .cause = DSN_WAITING,
            .code = row->code,
            .reply = row->code != 0 ? row->reply : (struct view){NULL, 0},
            .attempt_ms = row->attempts > 0 ? (int64_t)row->changed_ms : 0,
        };
    }
    if (n > 0 && !is_reachable(target))
        delay.passed_over = true;
    if (n == 0 || !is_reachable(target))
        return false;
    write_notice(message, recipients, n, target);
    outcome.results.count = n;
    outcome.dsn = buf_view(&delay.notice.submit);
    delay.asking = true;
    delay.asked = pass;
    delay.id = message->id;
    peer_call(ROLE_STORE, PROTO_OUTCOME, &outcome, -1, on_recorded, NULL);
    return true;
}

/* --- the walk ------------------------------------------------------------- */

enum walked { WALK_ASKED, WALK_MORE, WALK_END };

/* Goes on with a pass. WALK_END: nothing more is old enough; *wait_ms is made
 * shorter where it is known when the next one is. */
static enum walked
walk(size_t pass, uint64_t *wait_ms)
{
    struct pass *at = &delay.passes[pass];
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    size_t rows = ROWS_MAX;

    for (size_t i = 0; i < MESSAGES_MAX; i++) {
        struct db_message message;
        struct why why;
        uint64_t id, old_ms;
        bool asked = false;
        int found =
            db_read_next_id(replay_db(), at->after_id, true, &rows, &id, &why);

        if (found < 0)
            log_warn("what is held long: %s", why.text);
        if (found == 2)
            at->after_id = id;
        if (found != 1)
            return found == 2 ? WALK_MORE : WALK_END;
        old_ms = msgid_ms(id) + at->warn_ms;
        if (old_ms > now_ms) {
            if (old_ms - now_ms < *wait_ms)
                *wait_ms = old_ms - now_ms;
            return WALK_END;
        }
        if (db_read_message(replay_db(), id, &message, &why) == 1) {
            asked = warn(pass, &message);
            db_message_free(&message);
        }
        if (asked)
            return WALK_ASKED;
        at->after_id = id;
    }
    return WALK_MORE;
}

/* Do notices wait for their moment already? Until when. */
static uint64_t
moment_wait_ms(void)
{
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    struct buf memory = {0};
    struct db_totals totals = {0};

    if (db_read_totals(replay_db(), &totals, &memory, NULL) < 0)
        totals.notice_ms = now_ms + FAILED_MS;
    buf_free(&memory);
    return totals.notice_ms > now_ms ? totals.notice_ms - now_ms : 0;
}

static void
run(void *arg)
{
    uint64_t wait_ms;

    (void)arg;
    if (delay.n_passes == 0 || delay.asking || !replay_store_is_ready())
        return; /* an answer, the store or a configuration goes on */
    wait_ms = moment_wait_ms();
    if (wait_ms > 0) {
        loop_timer_set(delay.timer, wait_ms < LOOK_MS ? wait_ms : LOOK_MS);
        return;
    }
    if (clock_wall_ms() >= delay.round_ms) {
        for (size_t i = 0; i < delay.n_passes; i++)
            delay.passes[i].after_id = 0;
        delay.round_ms = clock_wall_ms() + ROUND_MS;
        delay.passed_over = false;
    }
    wait_ms = LOOK_MS;
    for (size_t i = 0; i < delay.n_passes; i++)
        if (delay.passes[i].warn_ms < wait_ms)
            wait_ms = delay.passes[i].warn_ms;
    for (size_t i = 0; i < delay.n_passes; i++) {
        enum walked walked = walk(i, &wait_ms);

        if (walked == WALK_ASKED)
            return;
        if (walked == WALK_MORE)
            wait_ms = 0;
    }
    loop_timer_set(delay.timer, wait_ms);
}

/* A notice that was not made may go now. */
void
replay_delay_target_up(void)
{
    if (!delay.passed_over)
        return;
    delay.round_ms = 0;
    loop_timer_set(delay.timer, 0);
}

void
replay_delay_store_up(void)
{
    if (delay.timer != NULL)
        loop_timer_set(delay.timer, 0);
}
