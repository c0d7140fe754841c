/* SPDX-License-Identifier: ISC */
/*
 * A connection to a target, from the first address to the last reply: which
 * address, what is awaited, how it ends and what that means for the message
 * under way. What is said on it is replay_step.c's.
 *
 * Whatever goes wrong before EHLO was answered is about the target (the next
 * address is tried, then the target hears REPLAY_FAILED); after it, about
 * the message under way (REPLAY_BROKEN), or about nothing (REPLAY_CLOSED).
 *
 * Before: replay_target.c, replay_route.c   After: replay_step.c
 */
#include "replay_session.h"

#include <stdio.h>
#include <stdlib.h>

#include "event.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "stats.h"

#define SESSION_MAGIC   0x72736573u
#define QUIT_TIMEOUT_MS 5000
#define REASON_MAX      512

struct replay_session *
replay_session_of(void *arg)
{
    struct replay_session *session = arg;

    if (session->magic != SESSION_MAGIC)
        bug("callback for a session that is gone");
    return session;
}

/* --- what is awaited ----------------------------------------------------- */

void
replay_session_expect(struct replay_session *session, enum step step, size_t at)
{
    if (session->queue_first + session->queue_n == session->queue_cap &&
        session->queue_first > 0) {
        memmove(session->queue, session->queue + session->queue_first,
                session->queue_n * sizeof(*session->queue));
        session->queue_first = 0;
    }
    if (session->queue_n == session->queue_cap) {
        session->queue_cap =
            session->queue_cap > 0 ? session->queue_cap * 2 : 8;
        session->queue = mem_grow(session->queue, session->queue_cap,
                                  sizeof(*session->queue));
    }
    session->queue[session->queue_first + session->queue_n++] =
        (struct expect){step, at};
}

enum step
replay_session_awaits(const struct replay_session *session)
{
    return session->queue_n > 0 ? session->queue[session->queue_first].step
                                : STEP_NONE;
}

/* Was an end mark sent whose reply did not come? Not if it never left. */
static bool
dot_is_open(const struct replay_session *session)
{
    for (size_t i = 0; i < session->queue_n; i++)
        if (session->queue[session->queue_first + i].step == STEP_DOT)
            return io_pending(session->io) <= session->behind_dot;
    return false;
}

static void
set_timeout(struct replay_session *session)
{
    const struct replay_target *target = session->target;
    enum step step = replay_session_awaits(session);
    uint64_t ms = target->reply_timeout_ms;

    if (session->dead || session->io == NULL)
        return;
    if (step == STEP_QUIT)
        ms = QUIT_TIMEOUT_MS;
    else if (step == STEP_DOT)
        ms = target->final_timeout_ms;
    else if (step == STEP_NONE && session->content == NULL)
        /* Idle: the scheduler closes it. */
        ms = session->ready ? 0 : target->connect_timeout_ms;
    /* Content that moves is a sign of life: the time begins anew. */
    if (ms != session->timeout_ms || session->content != NULL)
        io_set_timeout(session->io, ms);
    session->timeout_ms = ms;
}

/* --- the end ------------------------------------------------------------- */

static void
session_destroy(void *arg)
{
    struct replay_session *session = replay_session_of(arg);

    session->magic = 0;
    smtp_reply_free(&session->reply);
    loop_timer_free(&session->turn);
    replay_connect_free(&session->connect);
    free(session->failed);
    free(session->queue);
    buf_free(&session->client);
    free(session);
}

static void
tell_attempt(const struct replay_session *session,
             const struct replay_address *address, const char *reason)
{
    struct event event;

    event_begin(&event, EVENT_ATTEMPT);
    event_text(&event, "target", session->target->name);
    if (address != NULL)
        event_text(&event, "host", address->text);
    event_text(&event, "reason", reason);
    event_end(&event);
}

/* A server may close between two messages, and the first command of the next
 * one finds out: that one is tried again at once. A message that kills every
 * connection gets to be the first one on a new connection soon. */
static bool
may_put_back(const struct replay_session *session, enum replay_fault fault)
{
    return fault == FAULT_OURS || fault == FAULT_CONTENT ||
           (fault == FAULT_THEIRS && !session->current.heard &&
            session->done > 0);
}

/* The target has all of the current message and did not answer: nobody knows
 * what became of those it had taken at RCPT, whoever ended the session. */
static void
doubt_current(struct replay_session *session, const char *reason)
{
    struct replay_job *job = session->current.job;

    for (size_t i = 0; job != NULL && i < job->n_tries; i++)
        if (job->tries[i].said == SAID_WAITING)
            replay_try_say(&job->tries[i], SAID_UNKNOWN, 0, view_of(reason));
}

/* The recipients of the current job that have no final word yet share what
 * happened, so that a message a server dies of waits for its next turn. */
static enum replay_event_kind
blame_current(struct replay_session *session, enum replay_fault fault, int code,
              const char *reason)
{
    struct replay_job *job = session->current.job;
    bool open = false;

    if (job == NULL)
        return REPLAY_CLOSED;
    if (may_put_back(session, fault)) {
        for (size_t i = 0; i < job->n_tries; i++)
            if (job->tries[i].said == SAID_WAITING)
                job->tries[i].said = SAID_NOTHING;
        return REPLAY_CLOSED;
    }
    for (size_t i = 0; i < job->n_tries; i++) {
        struct replay_try *attempt = &job->tries[i];

        if (attempt->left_out ||
            (attempt->said != SAID_NOTHING && attempt->said != SAID_WAITING))
            continue;
        /* The code has its own place. */
        replay_try_say(attempt, SAID_BROKEN, (uint64_t)code,
                       view_skip(view_of(reason), code != 0 ? 4 : 0));
        open = true;
    }
    return open && fault == FAULT_THEIRS ? REPLAY_BROKEN : REPLAY_CLOSED;
}

void
replay_session_end(struct replay_session *session, enum replay_fault fault,
                   int code, const char *reason)
{
    struct replay_job *current = session->current.job;
    struct replay_job *ahead = session->ahead.job;
    enum replay_event_kind kind;

    if (session->dead)
        return;
    session->dead = true;
    if (code == 0 && dot_is_open(session))
        doubt_current(session, reason);
    if (session->ready)
        kind = blame_current(session, fault, code, reason);
    else
        kind = fault == FAULT_OURS ? REPLAY_CLOSED : REPLAY_FAILED;
    if (kind == REPLAY_BROKEN ||
        (kind == REPLAY_FAILED && session->connect == NULL))
        tell_attempt(session, session->address, reason);
    if (session->ready)
        stats_add(STAT_TARGET_SESSIONS_NOW, -1);
    replay_route_forget(session->target->route, session);
    replay_client_forget(session);
    replay_content_free(&session->content);
    io_free(&session->io);
    replay_connect_free(&session->connect);
    session->address = NULL;
    replay_target_report(session->target,
                         &(struct replay_event){.kind = kind,
                                                .slot = session->slot,
                                                .reason = reason,
                                                .refused = code == 421});
    if (current != NULL)
        replay_job_done(current);
    if (ahead != NULL)
        replay_job_done(ahead); /* nothing was said of it: goes back */
    loop_defer(session_destroy, session);
}

/* --- input --------------------------------------------------------------- */

static void
on_nonsense(struct replay_session *session, const struct why *why)
{
    char reason[REASON_MAX];

    snprintf(reason, sizeof(reason), "%s, while waiting for %s", why->text,
             replay_step_awaited(replay_session_awaits(session)));
    if (session->ready)
        replay_session_end(session, FAULT_THEIRS, 0, reason);
    else
        replay_session_next_address(session, reason);
}

static void
on_input(void *arg)
{
    struct replay_session *session = replay_session_of(arg);
    struct io *io = session->io;
    enum got got;
    size_t taken;
    struct why why;

    /* Another address means another connection, with input of its own. */
    while (!session->dead && session->io == io) {
        got = smtp_reply_take(&session->reply, io_input(io), &taken, &why);
        io_consume(io, taken);
        if (got == GOT_MORE)
            break;
        if (got == GOT_ONE)
            replay_step_reply(session);
        else
            on_nonsense(session, &why);
    }
    if (session->dead)
        return;
    replay_step_say(session);
    set_timeout(session);
}

static void
on_drained(void *arg)
{
    struct replay_session *session = replay_session_of(arg);

    if (session->dead)
        return;
    replay_step_content(session);
    set_timeout(session);
}

void
replay_session_resume(struct replay_session *session)
{
    if (session->dead)
        return;
    replay_step_say(session);
    set_timeout(session);
}

void
replay_session_go_on(struct replay_session *session)
{
    if (session->turn == NULL)
        session->turn = loop_timer_new(on_drained, session);
    loop_timer_set(session->turn, 0);
}

static void
on_end(void *arg, enum io_end end)
{
    struct replay_session *session = replay_session_of(arg);
    const char *what = end == IO_EOF       ? "the connection was closed"
                       : end == IO_TIMEOUT ? "timeout"
                                           : io_reason(session->io);
    enum step step = replay_session_awaits(session);
    char reason[REASON_MAX];

    if (session->dead)
        return;
    snprintf(reason, sizeof(reason), "%s, while %s%s", what,
             session->content != NULL ? "sending the content"
             : session->queue_n > 0   ? "waiting for "
             : session->securing      ? "agreeing on TLS"
                                      : "idle",
             session->queue_n > 0 ? replay_step_awaited(step) : "");
    if (session->securing || step == STEP_STARTTLS)
        replay_starttls_failed(session, reason);
    else if (session->ready)
        replay_session_end(session, FAULT_THEIRS, 0, reason);
    else
        replay_session_next_address(session, reason);
}

static void
on_tls(void *arg)
{
    struct replay_session *session = replay_session_of(arg);

    if (session->dead)
        return;
    replay_starttls_on_tls(session);
    set_timeout(session);
}

static const struct io_handlers handlers = {
    .on_input = on_input,
    .on_tls = on_tls,
    .on_drained = on_drained,
    .on_end = on_end,
};

/* --- addresses ----------------------------------------------------------- */

static void
fail_with(struct replay_session *session, const struct replay_address *address,
          const char *reason)
{
    char text[REASON_MAX + 340];

    snprintf(text, sizeof(text), "%s: %s", address->text, reason);
    free(session->failed);
    session->failed = mem_copy_text(text);
    tell_attempt(session, address, reason);
}

static void
on_connect(void *arg, struct io *io, const struct replay_address *address,
           const char *reason)
{
    struct replay_session *session = replay_session_of(arg);

    if (io == NULL && address == NULL) {
        replay_session_end(session, FAULT_THEIRS, 0,
                           session->failed != NULL ? session->failed
                                                   : "there is no address");
    } else if (io == NULL) {
        fail_with(session, address, reason);
    } else {
        session->plain &= address == session->address;
        session->address = address;
        session->io = io;
        io_set_handlers(io, &handlers, session);
        replay_session_expect(session, STEP_GREETING, 0);
        session->timeout_ms = 0;
        set_timeout(session);
    }
}

/* Nothing of the connection counts for the next one. */
static void
drop_connection(struct replay_session *session, const char *reason)
{
    fail_with(session, session->address, reason);
    io_free(&session->io);
    session->queue_n = 0;
    session->securing = session->secured = false;
    session->offers = (struct smtp_offers){0};
    smtp_reply_free(&session->reply);
}

void
replay_session_next_address(struct replay_session *session, const char *reason)
{
    if (session->dead)
        return;
    replay_route_report(session->target->route, session->address, false);
    drop_connection(session, reason);
    replay_connect_next(session->connect);
}

void
replay_session_without_tls(struct replay_session *session, const char *reason)
{
    char text[REASON_MAX];

    if (session->dead)
        return;
    snprintf(text, sizeof(text), "%.400s; going on without TLS", reason);
    replay_route_no_tls(session->target->route, session->address);
    drop_connection(session, text);
    session->plain = true;
    replay_connect_again(session->connect, session->address);
}

void
replay_session_is_ready(struct replay_session *session)
{
    session->ready = true;
    stats_add(STAT_TARGET_SESSIONS, 1);
    stats_add(STAT_TARGET_SESSIONS_NOW, 1);
    stats_add(STAT_TARGET_TLS, session->secured);
    stats_add(STAT_TARGET_TLS_RESUMED,
              session->secured && io_tls_is_resumed(session->io));
    replay_target_secured(session->target, replay_starttls_describe(session));
    if (session->address != NULL)
        replay_route_report(session->target->route, session->address, true);
    replay_target_event(session->target, REPLAY_READY, session->slot, false,
                        NULL);
}

static void
on_route(void *arg, const struct replay_found *found)
{
    struct replay_session *session = replay_session_of(arg);

    if (session->dead)
        return;
    if (found->refused) {
        session->failed = mem_copy_text(found->reason);
        session->refused = true;
        replay_session_is_ready(session);
        return;
    }
    if (found->n == 0) {
        replay_session_end(session, FAULT_THEIRS, 0, found->reason);
        return;
    }
    session->connect = replay_connect_new(session->target, found->addresses,
                                          found->n, on_connect, session);
    replay_connect_next(session->connect);
}

/* --- what the target asks for -------------------------------------------- */

void
replay_session_open(struct replay_target *target, size_t slot)
{
    struct replay_session *session = mem_alloc(sizeof(*session));

    session->magic = SESSION_MAGIC;
    session->target = target;
    session->slot = slot;
    session->lmtp = target->protocol == CONF_PROTOCOL_LMTP;
    target->sessions[slot] = session;
    replay_route_get(target->route, on_route, session);
}

void
replay_session_reroute(struct replay_session *session)
{
    if (!session->dead && session->connect == NULL && !session->ready)
        replay_route_get(session->target->route, on_route, session);
}

/* RFC 7505 4.2: the domain takes no mail, which is a verdict like that of a
 * server. */
static void
refuse_all(struct replay_session *session, struct replay_job *job)
{
    char text[REASON_MAX];

    snprintf(text, sizeof(text), "5.1.10 %.480s", session->failed);
    for (size_t i = 0; i < job->n_tries; i++)
        replay_try_say(&job->tries[i], SAID_US, 556, view_of(text));
    replay_target_report(session->target,
                         &(struct replay_event){.kind = REPLAY_DONE,
                                                .slot = session->slot,
                                                .unasked = true});
    replay_job_done(job);
}

void
replay_session_give(struct replay_session *session, struct replay_job *job)
{
    if (session->refused) {
        refuse_all(session, job);
        return;
    }
    if (!replay_step_begin(session, &session->current, job)) {
        replay_target_report(session->target,
                             &(struct replay_event){.kind = REPLAY_DONE,
                                                    .slot = session->slot,
                                                    .unasked = true});
        replay_job_done(job);
        return;
    }
    replay_step_say(session);
    set_timeout(session);
}

void
replay_session_quit(struct replay_session *session)
{
    if (session->refused) {
        replay_session_end(session, FAULT_OURS, 0, "done");
        return;
    }
    replay_step_say_quit(session);
    set_timeout(session);
}

void
replay_session_give_up(struct replay_session *session, const char *reason)
{
    replay_session_end(session, FAULT_THEIRS, 0, reason);
}

void
replay_session_abort(struct replay_session *session, const char *reason)
{
    replay_session_end(session, FAULT_OURS, 0, reason);
}
