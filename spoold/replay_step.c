/* SPDX-License-Identifier: ISC */
/*
 * SMTP as a client (RFC 5321), one table of steps: how each is said, what its
 * reply does. Everything said adds one expectation to the session's queue and
 * every reply takes the first one off, so pipelining (RFC 2920) is only a
 * matter of how much may be said before waiting. With it a transaction is two
 * writes, and where there is a backlog the next MAIL, RCPT and DATA go out
 * right behind the content of this message: one write a message.
 *
 * STEP_DOT is the one window in which a message can be delivered twice: the
 * end mark was sent and the connection ends before the reply. It is recorded
 * (DELIVERY_UNKNOWN). Before it nothing was delivered, after it we know.
 *
 * Before: replay_session.c   After: replay_outcome.c
 */
#include "replay_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "loop.h"
#include "mem.h"
#include "smtp_param.h"
#include "stats.h"

/* Content of one connection in our memory: the store is read again when this
 * much has gone. */
#define CONTENT_AHEAD (256 * 1024)

struct step_row {
    const char *awaited;
    void (*say)(struct replay_session *session, struct transaction *t);
    void (*on_reply)(struct replay_session *session, size_t at);
};

static const struct step_row steps[STEP_NONE];

const char *
replay_step_awaited(enum step step)
{
    return step == STEP_NONE ? "nothing" : steps[step].awaited;
}

static bool
offers(const struct replay_session *session, enum smtp_offer offer)
{
    return (session->offers.flags & offer) != 0;
}

/* The reply as one line of text, until the next call. */
static struct view
reply_text(const struct replay_session *session)
{
    static struct buf text;

    buf_reset(&text);
    smtp_reply_print(&session->reply, &text);
    return buf_view(&text);
}

/* "554 5.7.1 Go away", until the next call. */
static const char *
reply_reason(const struct replay_session *session)
{
    static char text[SMTP_REPLY_PRINT_MAX + 16];
    struct view words = reply_text(session);

    snprintf(text, sizeof(text), "%d %.*s", session->reply.code, (int)words.len,
             words.data);
    return text;
}

/* --- the beginning ------------------------------------------------------- */

bool
replay_step_begin(struct replay_session *session, struct transaction *t,
                  struct replay_job *job)
{
    free(job->remote);
    job->remote = mem_copy_text(session->address->remote);
    if (replay_fit_tries(&session->offers, job) == 0)
        return false;
    *t = (struct transaction){.job = job,
                              .next = replay_client_step(session, job),
                              .chunked = offers(session, SMTP_OFFER_CHUNKING)};
    if (session->needs_reset)
        t->next = STEP_RSET;
    stats_add(STAT_ATTEMPTS, 1);
    return true;
}

/* --- saying -------------------------------------------------------------- */

static void
say_hello(struct replay_session *session, const char *verb)
{
    struct view name = replay_conf()->hostname;

    io_printf(session->io, "%s %.*s\r\n", verb, (int)name.len, name.data);
}

static void
say_ehlo(struct replay_session *session, struct transaction *t)
{
    (void)t;
    say_hello(session, session->lmtp ? "LHLO" : "EHLO");
}

static void
say_helo(struct replay_session *session, struct transaction *t)
{
    (void)t;
    say_hello(session, "HELO");
}

static void
say_starttls(struct replay_session *session, struct transaction *t)
{
    (void)t;
    io_write(session->io, VIEW("STARTTLS\r\n"));
}

static void
say_rset(struct replay_session *session, struct transaction *t)
{
    io_write(session->io, VIEW("RSET\r\n"));
    session->needs_reset = false;
    t->next = replay_client_step(session, t->job);
}

static void
say_mail(struct replay_session *session, struct transaction *t)
{
    const struct message *message = &t->job->message.message;
    static struct buf params;

    buf_reset(&params);
    smtp_param_mail(message, &session->offers, &params);
    io_printf(session->io, "MAIL FROM:<%.*s>%.*s\r\n", (int)message->sender.len,
              message->sender.data, (int)params.len, params.data);
    t->next = STEP_RCPT;
    if (++session->mails == session->offers.mail_max)
        replay_target_last(session->target, session->slot);
}

/* The next try from here on that is to be asked. */
static size_t
next_try(const struct replay_job *job, size_t from)
{
    while (from < job->n_tries &&
           (job->tries[from].said == SAID_US || job->tries[from].left_out))
        from++;
    return from;
}

static void
say_rcpt(struct replay_session *session, struct transaction *t)
{
    size_t at = next_try(t->job, t->asked);
    struct replay_try *attempt = &t->job->tries[at];
    struct view recipient = attempt->row->recipient;
    static struct buf params;

    buf_reset(&params);
    smtp_param_rcpt(attempt->row, &session->offers, &params);
    attempt->dsn_passed = offers(session, SMTP_OFFER_DSN);
    io_printf(session->io, "RCPT TO:<%.*s>%.*s\r\n", (int)recipient.len,
              recipient.data, (int)params.len, params.data);
    t->asked = at + 1;
    if (next_try(t->job, t->asked) == t->job->n_tries)
        t->next = t->chunked ? STEP_BDAT : STEP_DATA;
}

static void
say_data(struct replay_session *session, struct transaction *t)
{
    io_write(session->io, VIEW("DATA\r\n"));
    t->next = STEP_NONE;
}

static void
say_quit(struct replay_session *session, struct transaction *t)
{
    (void)t;
    io_write(session->io, VIEW("QUIT\r\n"));
}

static void
say(struct replay_session *session, struct transaction *t, enum step step)
{
    steps[step].say(session, t);
    replay_session_expect(session, step, step == STEP_RCPT ? t->asked - 1 : 0);
}

void
replay_step_say_starttls(struct replay_session *session)
{
    say(session, NULL, STEP_STARTTLS);
}

void
replay_step_say_ehlo(struct replay_session *session)
{
    say(session, NULL, STEP_EHLO);
}

void
replay_step_say_quit(struct replay_session *session)
{
    say(session, NULL, STEP_QUIT);
}

static void finish(struct replay_session *session);
static void content_begin(struct replay_session *session);

/* May it be said before all replies to what was said before it came? XCLIENT
 * changes who we are; and chunks go out whatever became of the recipients, so
 * that is known first. */
static bool
may_pipeline(const struct replay_session *session, enum step step)
{
    return offers(session, SMTP_OFFER_PIPELINING) && step != STEP_XCLIENT &&
           step != STEP_XHELLO && step != STEP_BDAT;
}

void
replay_step_say(struct replay_session *session)
{
    struct transaction *t = &session->current;

    while (!session->dead && t->job != NULL && t->next != STEP_NONE) {
        bool last = t->next == STEP_DATA || t->next == STEP_BDAT;

        if (session->queue_n > 0 && !may_pipeline(session, t->next))
            return;
        /* One by one, it is known here that nobody is left to send it to. */
        if (session->queue_n == 0 &&
            (t->refused || (last && t->accepted == 0))) {
            session->needs_reset = !t->refused;
            finish(session);
            return;
        }
        if (!replay_client_may_say(session, t))
            return;
        if (t->next == STEP_BDAT)
            content_begin(session);
        else
            say(session, t, t->next);
    }
}

/* --- the end of a transaction -------------------------------------------- */

/* What the target says now is the last word for those that wait for one. */
static void
say_to_waiting(struct replay_session *session)
{
    struct replay_job *job = session->current.job;
    struct view words = reply_text(session);

    for (size_t i = 0; i < job->n_tries; i++)
        if (job->tries[i].said == SAID_WAITING)
            replay_try_say(&job->tries[i], SAID_REPLY,
                           (uint64_t)session->reply.code, words);
}

void
replay_step_refused(struct replay_session *session)
{
    struct transaction *t = &session->current;

    for (size_t i = 0; i < t->job->n_tries; i++)
        if (t->job->tries[i].said == SAID_NOTHING)
            t->job->tries[i].said = SAID_WAITING;
    say_to_waiting(session);
    t->refused = true;
}

/* The current transaction ended, the connection is fine. */
static void
finish(struct replay_session *session)
{
    struct replay_job *job = session->current.job;
    struct replay_event event = {.kind = REPLAY_DONE, .slot = session->slot};

    for (size_t i = 0; i < job->n_tries; i++) {
        event.accepted |= job->tries[i].said == SAID_REPLY &&
                          !job->tries[i].at_rcpt &&
                          job->tries[i].code / 100 == 2;
        event.refused |= replay_outcome_is_distress(&job->tries[i]);
    }
    session->current = session->ahead;
    session->ahead = (struct transaction){0};
    session->done++;
    replay_target_report(session->target, &event);
    replay_job_done(job);
}

/* --- content ------------------------------------------------------------- */

/* Where there is a backlog the next transaction goes out in the same write
 * (RFC 2920 3.1: content may be the first part of a group). */
static void
say_ahead(struct replay_session *session)
{
    struct transaction *t = &session->ahead;
    size_t before = io_pending(session->io);
    struct replay_job *job;

    session->behind_dot = 0;
    /* A refusal of one of several chunks leaves the server within the
     * transaction, where MAIL has no place. */
    if (!offers(session, SMTP_OFFER_PIPELINING) || session->current.chunks > 1)
        return;
    job = replay_target_ahead(session->target, session->slot);
    if (job == NULL)
        return;
    if (!replay_step_begin(session, t, job)) {
        replay_job_done(job);
        return;
    }
    replay_target_event(session->target, REPLAY_AHEAD, session->slot, false,
                        NULL);
    while (t->next != STEP_NONE && may_pipeline(session, t->next) &&
           replay_client_may_say(session, t))
        say(session, t, t->next);
    session->behind_dot = io_pending(session->io) - before;
}

/* The next piece goes out; last: the message is complete with it. */
static void
write_piece(struct replay_session *session, struct view piece, bool last)
{
    struct transaction *t = &session->current;

    if (t->chunked) {
        io_printf(session->io, "BDAT %zu%s\r\n", piece.len,
                  last ? " LAST" : "");
        t->chunks++;
    }
    io_write(session->io, piece);
    if (t->chunked && !last)
        replay_session_expect(session, STEP_BDAT, 0);
}

/* RFC 2033 4.2: after the content LMTP has a reply for each recipient that
 * was accepted, in their order. */
static void
expect_verdicts(struct replay_session *session)
{
    struct transaction *t = &session->current;

    t->unanswered = 1;
    if (!session->lmtp) {
        replay_session_expect(session, STEP_DOT, 0);
        return;
    }
    t->unanswered = t->accepted;
    for (size_t i = 0; i < t->job->n_tries; i++)
        if (t->job->tries[i].said == SAID_WAITING)
            replay_session_expect(session, STEP_DOT, i);
}

/* Chunks are commands: one by one where pipelining is not offered. */
static bool
may_send_piece(const struct replay_session *session)
{
    return !session->current.chunked || session->queue_n == 0 ||
           offers(session, SMTP_OFFER_PIPELINING);
}

void
replay_step_content(struct replay_session *session)
{
    static struct buf wire;
    struct why why;
    int more = 1;

    if (session->content == NULL || !may_send_piece(session))
        return;
    while (more == 1 && io_pending(session->io) < CONTENT_AHEAD &&
           may_send_piece(session)) {
        buf_reset(&wire);
        more = replay_content_next(session->content, &wire, &why);
        if (more >= 0)
            write_piece(session, buf_view(&wire), more == 0);
    }
    if (more < 0) {
        replay_job_damaged(session->current.job, why.text);
        replay_session_end(session, FAULT_CONTENT, 0, why.text);
    } else if (more == 0) {
        replay_content_free(&session->content);
        expect_verdicts(session);
        say_ahead(session);
    } else {
        replay_session_go_on(session);
    }
}

static void
content_begin(struct replay_session *session)
{
    struct transaction *t = &session->current;

    t->next = STEP_NONE;
    session->content = replay_content_new(t->job, t->chunked);
    replay_step_content(session);
}

/* --- replies ------------------------------------------------------------- */

void
replay_step_hello_done(struct replay_session *session)
{
    if (!replay_starttls_is_done(session))
        return;
    replay_client_ready(session);
    replay_session_is_ready(session);
}

/* Does the server say our own name of itself (RFC 5321 4.2, 5.1)? Mail given
 * to it would be ours again. One that speaks LMTP is not us, and may well be
 * on this host. */
static bool
is_ourselves(struct replay_session *session)
{
    struct view line, name = replay_conf()->hostname;
    size_t at = 0;

    if (session->lmtp || !smtp_reply_line(&session->reply, &at, &line) ||
        line.len < name.len ||
        !view_equal_nocase((struct view){line.data, name.len}, name) ||
        (line.len > name.len && line.data[name.len] != ' '))
        return false;
    if (replay_route_is_self(session->target->route, session->address))
        replay_session_end(session, FAULT_THEIRS, 0,
                           "an MX host greets with our own name: it is this "
                           "server itself, and none is better");
    else
        replay_session_next_address(
            session, "it greets with our own name: it is this server itself");
    return true;
}

static void
on_greeting(struct replay_session *session, size_t at)
{
    (void)at;
    if (session->reply.code != 220)
        replay_session_next_address(session, reply_reason(session));
    else if (!is_ourselves(session))
        say(session, NULL, STEP_EHLO);
}

static void
on_ehlo(struct replay_session *session, size_t at)
{
    (void)at;
    if (session->reply.code / 100 == 5 && !session->lmtp) {
        say(session, NULL, STEP_HELO);
    } else if (session->reply.code != 250) {
        replay_session_next_address(session, reply_reason(session));
    } else if (!is_ourselves(session)) {
        smtp_offers_read(&session->reply, &session->offers);
        replay_step_hello_done(session);
    }
}

static void
on_helo(struct replay_session *session, size_t at)
{
    (void)at;
    session->offers = (struct smtp_offers){0};
    if (session->reply.code == 250)
        replay_step_hello_done(session);
    else
        replay_session_next_address(session, reply_reason(session));
}

/* Whatever it says: MAIL will show whether it helped. */
static void
on_rset(struct replay_session *session, size_t at)
{
    (void)session;
    (void)at;
}

static void
on_mail(struct replay_session *session, size_t at)
{
    (void)at;
    session->current.heard = true;
    if (session->reply.code / 100 != 2)
        replay_step_refused(session);
}

static void
on_rcpt(struct replay_session *session, size_t at)
{
    struct replay_try *attempt = &session->current.job->tries[at];

    if (session->current.refused)
        return;
    if (session->reply.code / 100 == 2) {
        attempt->said = SAID_WAITING;
        session->current.accepted++;
    } else {
        attempt->at_rcpt = true;
        replay_try_say(attempt, SAID_REPLY, (uint64_t)session->reply.code,
                       reply_text(session));
    }
}

static void
on_data(struct replay_session *session, size_t at)
{
    struct transaction *t = &session->current;

    (void)at;
    if (session->reply.code == 354 && t->accepted > 0) {
        content_begin(session);
    } else if (session->reply.code == 354 && session->lmtp) {
        /* An end mark would have no reply: there is no recipient. */
        replay_session_end(session, FAULT_THEIRS, 0, "DATA without recipients");
    } else if (session->reply.code == 354) {
        /* RFC 2920 3.1: it may happen; the message must have no content. */
        io_write(session->io, VIEW(".\r\n"));
        replay_session_expect(session, STEP_LONE_DOT, 0);
    } else if (session->reply.code / 100 < 4) {
        replay_session_end(session, FAULT_THEIRS, 0, reply_reason(session));
    } else {
        say_to_waiting(session);
        session->needs_reset = !t->refused;
        finish(session);
    }
}

/* To a chunk that is not the last one. */
static void
on_bdat(struct replay_session *session, size_t at)
{
    (void)at;
    if (session->reply.code / 100 == 2) {
        replay_step_content(session);
        return;
    }
    /* RFC 3030 2: the message has failed, and RSET must follow; where more of
     * it is under way already, ending the session is simpler. */
    say_to_waiting(session);
    if (session->queue_n > 0) {
        replay_session_end(session, FAULT_OURS, 0, reply_reason(session));
        return;
    }
    replay_content_free(&session->content);
    session->needs_reset = true;
    finish(session);
}

static void
on_dot(struct replay_session *session, size_t at)
{
    struct transaction *t = &session->current;

    if (session->lmtp)
        replay_try_say(&t->job->tries[at], SAID_REPLY,
                       (uint64_t)session->reply.code, reply_text(session));
    else
        say_to_waiting(session);
    if (--t->unanswered == 0)
        finish(session);
}

static void
on_lone_dot(struct replay_session *session, size_t at)
{
    (void)at;
    finish(session);
}

static void
on_quit(struct replay_session *session, size_t at)
{
    (void)at;
    replay_session_end(session, FAULT_OURS, 0, "done");
}

static const struct step_row steps[STEP_NONE] = {
    [STEP_GREETING] = {"the greeting", NULL, on_greeting},
    [STEP_EHLO] = {"the reply to EHLO", say_ehlo, on_ehlo},
    [STEP_HELO] = {"the reply to HELO", say_helo, on_helo},
    [STEP_STARTTLS] = {"the reply to STARTTLS", say_starttls,
                       replay_starttls_reply},
    [STEP_RSET] = {"the reply to RSET", say_rset, on_rset},
    [STEP_XCLIENT] = {"the reply to XCLIENT", replay_client_say_xclient,
                      replay_client_on_xclient},
    [STEP_XHELLO] = {"the reply to EHLO after XCLIENT",
                     replay_client_say_xhello, replay_client_on_xhello},
    [STEP_XFORWARD] = {"the reply to XFORWARD", replay_client_say_xforward,
                       replay_client_on_xforward},
    [STEP_MAIL] = {"the reply to MAIL", say_mail, on_mail},
    [STEP_RCPT] = {"the reply to RCPT", say_rcpt, on_rcpt},
    [STEP_DATA] = {"the reply to DATA", say_data, on_data},
    [STEP_BDAT] = {"the reply to a chunk", NULL, on_bdat},
    [STEP_DOT] = {"the reply to the message", NULL, on_dot},
    [STEP_LONE_DOT] = {"the reply to no content", NULL, on_lone_dot},
    [STEP_QUIT] = {"the reply to QUIT", say_quit, on_quit},
};

/* Nobody asked. Between messages it is a server that closes (421); within
 * content it is the verdict on it, early, and the content has no end then. */
static void
on_early_reply(struct replay_session *session)
{
    if (session->content != NULL && session->reply.code / 100 >= 4 &&
        session->reply.code != 421)
        say_to_waiting(session);
    replay_session_end(session, FAULT_THEIRS, session->reply.code,
                       reply_reason(session));
}

void
replay_step_reply(struct replay_session *session)
{
    struct expect expected;

    if (session->queue_n == 0) {
        on_early_reply(session);
        return;
    }
    expected = session->queue[session->queue_first++];
    session->queue_n--;
    /* RFC 5321 3.8: the server is about to close, whatever was asked. */
    if (session->reply.code == 421 && session->ready)
        replay_session_end(session, FAULT_THEIRS, 421, reply_reason(session));
    else
        steps[expected.step].on_reply(session, expected.at);
}
