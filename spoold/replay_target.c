/* SPDX-License-Identifier: ISC */
/*
 * A target of the configuration as it lives: its scheduler is asked and
 * obeyed here, its changes of state become events, ledger notes and rows of
 * the store. All of that happens at the end of a turn, so whatever reports
 * something is never called back from inside.
 *
 * Before: replay.c   After: replay_sched.c, replay_work.c, replay_place.c
 */
#include "replay.h"

#include <inttypes.h>
#include <stdlib.h>

#include "clock.h"
#include "event.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "peer.h"

static struct replay_target *targets; /* by name */

/* --- its state ----------------------------------------------------------- */

static void
keep_health(struct replay_target *target)
{
    replay_target_keep(target, NULL, NULL);
}

static enum event_kind
event_of(enum target_state state)
{
    switch (state) {
    case TARGET_UP:
        return EVENT_TARGET_UP;
    case TARGET_DOWN:
        return EVENT_TARGET_DOWN;
    case TARGET_RETURNING:
        return EVENT_TARGET_RETURNING;
    case TARGET_PAUSED:
        return EVENT_TARGET_PAUSED;
    }
    bug("target state %d", (int)state);
}

static void
keep_note(const struct replay_target *target)
{
    struct buf text = {0};
    struct ledger_entry entry = {.when_ms = target->since_ms,
                                 .event = event_of(target->sched.state)};

    buf_add_text(&text, target->name);
    if (target->sched.reason[0] != 0)
        buf_addf(&text, ": %s", target->sched.reason);
    entry.text = buf_view(&text);
    peer_send(ROLE_STORE, PROTO_NOTE, &entry, -1);
    buf_free(&text);
}

/* The state is another one. */
static void
announce(struct replay_target *target)
{
    const struct replay_sched *sched = &target->sched;
    enum target_state before = target->told;
    bool paused = sched->state == TARGET_PAUSED;
    char until[CLOCK_TEXT_MAX];
    struct event event;

    target->since_ms = (uint64_t)clock_wall_ms();
    if (sched->state == TARGET_DOWN || sched->state == TARGET_PAUSED)
        replay_queue_forget_live(target);
    if (before == TARGET_PAUSED)
        replay_pause_ended(target);
    replay_recovery_changed(target, before);
    target->told = sched->state;
    event_begin(&event, event_of(sched->state));
    event_text(&event, "target", target->name);
    if (sched->state == TARGET_DOWN)
        event_num(&event, "probe-ms",
                  (uint64_t)(sched->probe_ms - loop_now_ms()));
    if (paused)
        event_text(&event, "by", target->paused_by);
    if (paused && target->pause_until_ms != 0)
        event_text(&event, "until",
                   clock_print_iso((int64_t)target->pause_until_ms, until));
    if (sched->state == TARGET_DOWN || paused)
        event_text(&event, "reason", sched->reason);
    event_end(&event);
    if (sched->state == TARGET_UP) {
        eta_begin(&target->eta, loop_now_ms());
        replay_delay_target_up();
    }
    target->unkept = !replay_store_is_ready();
    if (target->unkept)
        return;
    keep_note(target);
    keep_health(target);
}

void
replay_target_store_up(bool again)
{
    for (struct replay_target *t = targets; t != NULL; t = t->hh.next) {
        if (t->unkept)
            keep_note(t);
        if (again)
            keep_health(t); /* the last one may have been lost with it */
        t->unkept = false;
        replay_queue_look(t); /* what was announced meanwhile */
        replay_target_run(t);
    }
}

/* --- the scheduler ------------------------------------------------------- */

static void
give(struct replay_target *target, size_t slot)
{
    struct replay_job *job = replay_work_take(target);

    if (job != NULL) {
        replay_sched_bytes(&target->sched, job->message.message.size,
                           loop_now_ms());
        replay_session_give(target->sessions[slot], job);
    } else {
        replay_target_event(target, REPLAY_NO_WORK, slot, false, NULL);
    }
}

static void
obey(struct replay_target *target, const struct replay_action *action)
{
    switch (action->kind) {
    case REPLAY_OPEN:
        replay_place_open(target, action->slot);
        break;
    case REPLAY_GIVE:
        give(target, action->slot);
        break;
    case REPLAY_CLOSE:
        replay_session_quit(target->sessions[action->slot]);
        break;
    case REPLAY_CHANGED:
        announce(target);
        break;
    case REPLAY_SAVE:
        keep_health(target);
        break;
    }
}

/* A target that is down is not asked what waits for it: mail that comes in
 * meanwhile costs nothing. */
static size_t
waiting(struct replay_target *target)
{
    if (target->sched.state == TARGET_DOWN)
        return replay_queue_known(target);
    return replay_work_waiting(target);
}

static void
target_free(struct replay_target *target)
{
    HASH_DEL(targets, target);
    replay_place_forget(target);
    replay_sched_free(&target->sched);
    replay_route_free(&target->route);
    replay_queue_free(&target->queue);
    replay_limit_free(target);
    replay_guard_free(&target->guard);
    replay_alarm_forget(target);
    loop_timer_free(&target->wake);
    buf_free(&target->hosts);
    buf_free(&target->routing);
    buf_free(&target->secured);
    free(target->sessions);
    free(target->links);
    free(target->name);
    free(target);
}

static void
run(void *arg)
{
    struct replay_target *target = arg;
    struct replay_action action;
    int64_t now_ms = loop_now_ms(), wake_ms;

    target->running = false;
    replay_sched_set_share(&target->sched, replay_place_share(target, now_ms));
    while (
        replay_sched_next(&target->sched, waiting(target), now_ms, &action)) {
        obey(target, &action);
        replay_sched_set_share(&target->sched,
                               replay_place_share(target, now_ms));
    }
    if (target->gone && !target->running && target->under_way == 0 &&
        replay_sched_open(&target->sched) == 0) {
        replay_work_forget(target);
        target_free(target);
        replay_place_serve();
        return;
    }
    wake_ms = replay_sched_wake(&target->sched, now_ms);
    replay_place_asked(target);
    if (wake_ms == INT64_MAX)
        loop_timer_cancel(target->wake);
    else
        loop_timer_set(target->wake,
                       wake_ms > now_ms ? (uint64_t)(wake_ms - now_ms) : 0);
}

static void
on_wake(void *arg)
{
    replay_target_run(arg);
}

void
replay_target_run(struct replay_target *target)
{
    if (target->running)
        return;
    target->running = true;
    loop_defer(run, target);
}

void
replay_target_report(struct replay_target *target,
                     const struct replay_event *event)
{
    size_t slot = event->slot;

    bool surplus =
        event->kind == REPLAY_READY && !replay_place_ready(target, slot);

    replay_sched_event(&target->sched, event, loop_now_ms());
    if (event->kind == REPLAY_READY)
        replay_place_serve();
    if (surplus)
        replay_sched_retire_slot(&target->sched, slot);
    if (event->kind == REPLAY_CLOSED || event->kind == REPLAY_FAILED ||
        event->kind == REPLAY_BROKEN) {
        replay_place_ended(target, slot);
        replay_check_drained();
        replay_place_serve();
    }
    replay_target_run(target);
}

void
replay_target_event(struct replay_target *target, enum replay_event_kind kind,
                    size_t slot, bool accepted, const char *reason)
{
    struct replay_event event = {
        .kind = kind, .slot = slot, .accepted = accepted, .reason = reason};

    replay_target_report(target, &event);
}

void
replay_target_last(struct replay_target *target, size_t slot)
{
    replay_sched_retire_slot(&target->sched, slot);
}

struct replay_job *
replay_target_ahead(struct replay_target *target, size_t slot)
{
    struct replay_job *job = NULL;
    int64_t now_ms = loop_now_ms();

    if (replay_sched_may_ahead(&target->sched, slot,
                               replay_work_waiting(target), now_ms))
        job = replay_work_take(target);
    if (job != NULL)
        replay_sched_bytes(&target->sched, job->message.message.size, now_ms);
    return job;
}

/* --- configuration ------------------------------------------------------- */

static void
add_texts(struct buf *out, const struct record_list *list)
{
    const struct conf_text *texts = list->items;

    for (size_t i = 0; i < list->count; i++) {
        if (out->len > 0)
            buf_add_text(out, ", ");
        buf_add_view(out, texts[i].text);
    }
}

/* All that a route is made of, to be compared. */
static void
print_routing(const struct conf_target *conf, struct buf *out)
{
    buf_addf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
             conf->port, conf->mx, conf->tls, conf->protocol);
    add_texts(out, &conf->hosts);
    buf_addf(out, "\n%.*s\n", (int)conf->mx_domain.len, conf->mx_domain.data);
    buf_addf(out, "%.*s\n", (int)conf->tls_ca.len, conf->tls_ca.data);
    buf_addf(out, "%.*s\n", (int)conf->tls_name.len, conf->tls_name.data);
    add_texts(out, &conf->tls_fingerprints);
}

static void
print_hosts(const struct conf_target *conf, struct buf *out)
{
    buf_reset(out);
    if (conf->mx)
        buf_addf(out, "MX of %.*s", (int)conf->mx_domain.len,
                 conf->mx_domain.data);
    add_texts(out, &conf->hosts);
}

/* Other hosts: sessions with the old ones end with the message they have, and
 * those that are still looking for an address ask anew. */
static void
adopt_hosts(struct replay_target *target, const struct conf_target *conf)
{
    struct buf routing = {0};

    print_routing(conf, &routing);
    if (view_equal(buf_view(&routing), buf_view(&target->routing))) {
        buf_free(&routing);
        return;
    }
    buf_free(&target->routing);
    target->routing = routing;
    print_hosts(conf, &target->hosts);
    replay_route_free(&target->route);
    target->route = replay_route_new(conf);
    replay_sched_retire(&target->sched);
    for (size_t i = 0; i < target->sched.n_slots; i++)
        if (target->sessions[i] != NULL)
            replay_session_reroute(target->sessions[i]);
}

static void
adopt(struct replay_target *target, const struct conf_target *conf)
{
    target->gone = false;
    target->limits = (struct replay_limits){
        .connections = (size_t)replay_limit_of(target, TARGET_LIMIT_CONNECTIONS,
                                               conf->connections),
        .messages_per_connection = conf->messages_per_connection,
        .connection_rate = replay_limit_of(target, TARGET_LIMIT_CONNECTION_RATE,
                                           conf->connection_rate),
        .message_rate = replay_limit_of(target, TARGET_LIMIT_MESSAGE_RATE,
                                        conf->message_rate),
        .byte_rate =
            replay_limit_of(target, TARGET_LIMIT_BYTE_RATE, conf->byte_rate),
        .probe_min_ms = conf->probe_min_ms,
        .probe_max_ms = conf->probe_max_ms,
    };
    target->retry_min_ms = conf->retry_min_ms;
    target->retry_max_ms = conf->retry_max_ms;
    target->unknown_retry_ms = conf->unknown_retry_ms;
    target->probe_min_ms = conf->probe_min_ms;
    target->connect_timeout_ms = conf->connect_timeout_ms;
    target->reply_timeout_ms = conf->reply_timeout_ms;
    target->final_timeout_ms = conf->final_timeout_ms;
    target->protocol = conf->protocol;
    target->client = conf->client;
    target->client_told = false;
    replay_recovery_configure(target, conf);
    adopt_hosts(target, conf);
}

static void
fit_sessions(struct replay_target *target, size_t n_before)
{
    if (target->sched.n_slots <= n_before)
        return;
    target->sessions = mem_grow(target->sessions, target->sched.n_slots,
                                sizeof(*target->sessions));
    target->links =
        mem_grow(target->links, target->sched.n_slots, sizeof(*target->links));
    for (size_t i = n_before; i < target->sched.n_slots; i++) {
        target->sessions[i] = NULL;
        target->links[i] = NULL;
    }
}

static void
target_new(const struct conf_target *conf)
{
    struct replay_target *target = mem_alloc(sizeof(*target));
    struct buf memory = {0};
    struct target_health health;
    enum target_state state = TARGET_UP;
    struct replay_pace_memory pace;

    target->name = mem_copy(conf->name.data, conf->name.len);
    health = replay_target_kept(target->name, &memory);
    if (health.state >= TARGET_DOWN && health.state <= TARGET_PAUSED)
        state = (enum target_state)health.state;
    pace = (struct replay_pace_memory){.rate = health.rate,
                                       .hurt_rate = health.hurt_rate,
                                       .hurt_window = health.hurt_connections};
    replay_limit_load(target, health.limits);
    adopt(target, conf);
    target->queue = replay_queue_new();
    target->since_ms =
        health.since_ms != 0 ? health.since_ms : (uint64_t)clock_wall_ms();
    replay_sched_init(&target->sched, &target->limits, &pace, state,
                      health.reach_ms, replay_sched_random(replay_random()),
                      loop_now_ms());
    replay_sched_set_reason(&target->sched, health.reason);
    replay_pause_load(target, &health);
    replay_recovery_load(target, &health);
    target->told = target->sched.told;
    fit_sessions(target, 0);
    eta_begin(&target->eta, loop_now_ms());
    target->wake = loop_timer_new(on_wake, target);
    HASH_ADD_KEYPTR(hh, targets, target->name, strlen(target->name), target);
    replay_target_run(target);
    buf_free(&memory);
}

static void
target_change(struct replay_target *target, const struct conf_target *conf)
{
    size_t n_before = target->sched.n_slots;

    adopt(target, conf);
    replay_sched_set_limits(&target->sched, &target->limits);
    fit_sessions(target, n_before);
    replay_target_run(target);
}

void
replay_target_limits_changed(struct replay_target *target)
{
    const struct conf_target *conf =
        conf_target_by_name(replay_conf(), view_of(target->name));

    if (conf != NULL && !target->gone)
        target_change(target, conf);
}

static void
target_go(struct replay_target *target)
{
    size_t known = replay_queue_known(target);

    target->gone = true;
    if (known > 0)
        log_warn("target %s is no longer configured; at least %zu messages "
                 "wait for it",
                 target->name, known);
    target->sched.limits.connections = 0; /* no more of them */
    replay_target_run(target);
}

void
replay_target_configure(const struct conf *conf)
{
    const struct conf_target *rows = conf->targets.items;

    replay_place_set((size_t)conf->target_connections,
                     (size_t)conf->target_connecting);
    for (size_t i = 0; i < conf->targets.count; i++) {
        struct replay_target *target = replay_target_find(rows[i].name);

        if (target == NULL)
            target_new(&rows[i]);
        else
            target_change(target, &rows[i]);
    }
    for (struct replay_target *t = targets; t != NULL; t = t->hh.next)
        if (!t->gone && conf_target_by_name(conf, view_of(t->name)) == NULL)
            target_go(t);
}

/* --- questions ----------------------------------------------------------- */

struct replay_target *
replay_target_find(struct view name)
{
    struct replay_target *target;

    HASH_FIND(hh, targets, name.data, name.len, target);
    return target;
}

struct replay_target *
replay_target_next(const struct replay_target *after)
{
    return after == NULL ? targets : after->hh.next;
}

void
replay_target_probe(struct replay_target *target)
{
    replay_route_retry(target->route);
    replay_target_event(target, REPLAY_PROBE, 0, false, NULL);
}

void
replay_target_stop_all(void)
{
    for (struct replay_target *t = targets; t != NULL; t = t->hh.next) {
        replay_target_event(t, REPLAY_STOP, 0, false, NULL);
        for (size_t i = 0; i < t->sched.n_slots; i++)
            if (t->sched.slots[i].phase == PHASE_CONNECTING)
                replay_session_abort(t->sessions[i], "stopping");
        keep_health(t);
    }
}

void
replay_target_abort_all(void)
{
    for (struct replay_target *t = targets; t != NULL; t = t->hh.next)
        for (size_t i = 0; i < t->sched.n_slots; i++)
            if (t->sessions[i] != NULL)
                replay_session_abort(t->sessions[i], "stopped");
}

uint64_t
replay_target_reach_ms(struct replay_target *target)
{
    return replay_sched_reach_ms(&target->sched, loop_now_ms());
}

void
replay_target_secured(struct replay_target *target, const char *how)
{
    buf_reset(&target->secured);
    buf_add_text(&target->secured, how);
}

void
replay_target_describe(struct replay_target *target,
                       struct proto_target_now *now)
{
    const struct replay_sched *sched = &target->sched;

    *now = (struct proto_target_now){
        .name = view_of(target->name),
        .state = sched->state,
        .since_ms = target->since_ms,
        .reach_ms = replay_target_reach_ms(target),
        .connections = replay_sched_open(sched),
        .connections_max = target->limits.connections,
        .ready = replay_queue_known(target) + target->under_way,
        .delivered = target->delivered,
        .deferred = target->deferred,
        .reason = view_of(sched->reason),
        .hosts = buf_view(&target->hosts),
        .pause_until_ms = target->pause_until_ms,
        .paused_by = view_of(target->paused_by),
        .guard = target->guard.state,
        .alarm = replay_recovery_is_alarm(target),
        .expiring = target->expiring,
        .expiring_ms = target->expiring_ms,
        .rate = (uint64_t)(target->sched.pace.rate.now + 0.5),
        .window = replay_pace_window(&target->sched.pace),
        .tls = buf_view(&target->secured),
    };
    eta_rates(&target->eta, loop_now_ms(), &now->out, &now->in);
    if (sched->state == TARGET_DOWN)
        now->probe_ms =
            (uint64_t)(clock_wall_ms() + sched->probe_ms - loop_now_ms());
}
