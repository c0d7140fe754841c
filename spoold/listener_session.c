/* SPDX-License-Identifier: ISC */
/*
 * One connection from greeting to end. Lines are cut from the input and run
 * one after the other; replies are collected by io.h and leave together when
 * the turn ends, so a pipelining client gets them in one packet, in order.
 *
 * A session that waits for the store reads nothing. Its end is then put off:
 * the answer still has to be logged, since the message may be ours already.
 *
 * Before: listener.c   After: listener_command.c, listener_data.c
 */
#include "listener.h"

#include <inttypes.h>
#include <stdlib.h>

#include "event.h"
#include "gate.h"
#include "io.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "peer.h"
#include "stats.h"

#define SESSION_MAGIC 0x73657373u

/* A client that does not read its replies is not read either past this. */
#define OUTPUT_MAX (16 * 1024)

static struct listener_session *
session_of(void *arg)
{
    struct listener_session *session = arg;

    if (session->magic != SESSION_MAGIC)
        bug("not a session");
    return session;
}

/* Replies are built here, one turn's command at a time. */
static struct buf reply_text;

void
listener_session_reply(struct listener_session *session,
                       const struct why *reply)
{
    if (session->io == NULL)
        return;
    buf_reset(&reply_text);
    listener_command_print(reply, &reply_text);
    io_write(session->io, buf_view(&reply_text));
}

void
listener_session_refused(const struct listener_session *session,
                         const char *what, struct view sender,
                         struct view recipient, const struct why *reply)
{
    struct event event;

    stats_add(STAT_REFUSED, 1);
    event_begin(&event, EVENT_REFUSED);
    event_text(&event, "what", what);
    event_text(&event, "client", session->ends.client);
    if (session->helo != NULL)
        event_text(&event, "helo", session->helo);
    event_view(&event, "from", sender);
    if (recipient.len > 0)
        event_view(&event, "to", recipient);
    event_num(&event, "code", (uint64_t)reply->code);
    event_text(&event, "enhanced", reply->enhanced);
    event_text(&event, "reason", reply->text);
    event_end(&event);
}

/* --- the end ------------------------------------------------------------- */

static void
session_free_deferred(void *arg)
{
    struct listener_session *session = session_of(arg);

    session->magic = 0;
    free(session->helo);
    free(session);
}

void
listener_session_free(struct listener_session *session)
{
    listener_data_drop(session);
    if (session->transaction != NULL)
        stats_add(STAT_TRANSACTIONS_NOW, -1);
    listener_transaction_free(&session->transaction);
    loop_defer(session_free_deferred, session);
}

void
listener_session_close(struct listener_session *session, const char *why)
{
    struct event event;

    event_begin(&event, EVENT_DISCONNECT);
    event_text(&event, "client", session->ends.client);
    if (session->helo != NULL)
        event_text(&event, "helo", session->helo);
    event_num(&event, "accepted", session->accepted);
    event_num(&event, "errors", session->errors);
    event_num(&event, "ms", (uint64_t)(loop_now_ms() - session->since_ms));
    event_text(&event, "reason", why);
    event_end(&event);
    io_free(&session->io);
    if (session->state != STATE_WAIT_STORE)
        listener_session_free(session);
    listener_closed(session);
}

static void
session_say_and_close(struct listener_session *session, const char *enhanced,
                      const char *text)
{
    struct why reply;

    why_set(&reply, 421, enhanced, "%s", text);
    listener_session_reply(session, &reply);
    listener_session_close(session, text);
}

void
listener_session_drain(struct listener_session *session, bool by_force)
{
    if (by_force || (session->state & (STATE_DATA | STATE_WAIT_STORE)) == 0)
        session_say_and_close(session, "4.3.2", "going down, try again later");
}

/* --- commands ------------------------------------------------------------ */

static void
session_start_tls(struct listener_session *session)
{
    if (io_start_tls(session->io, listener.tls) != 0)
        listener_session_close(session, "plaintext after STARTTLS");
}

/* What a command led to, besides its reply. */
static void
session_go_on(struct listener_session *session,
              const struct listener_reply *reply)
{
    switch (reply->next) {
    case NEXT_COMMAND:
        break;
    case NEXT_DATA:
        listener_data_begin(session);
        break;
    case NEXT_TLS:
        session_start_tls(session);
        break;
    case NEXT_CLOSE:
        listener_session_close(
            session, reply->why.code == 221 ? "quit" : reply->why.text);
        break;
    }
}

static void
session_log_refusal(const struct listener_session *session,
                    const struct listener_reply *reply)
{
    struct view sender = {0}, recipient = {0};

    if (reply->command.verb == VERB_MAIL)
        sender = reply->command.path.text;
    else
        recipient = reply->command.path.text;
    if (session->transaction != NULL)
        sender = session->transaction->sender;
    listener_session_refused(session, smtp_verb_name(reply->command.verb),
                             sender, recipient, &reply->why);
}

/* ETRN: replay tries the targets now. */
static void
session_wake(const struct listener_session *session,
             const struct listener_reply *reply)
{
    struct event event;

    event_begin(&event, EVENT_ETRN);
    event_text(&event, "client", session->ends.client);
    event_view(&event, "node", reply->command.argument);
    event_num(&event, "targets", reply->n_wake);
    event_end(&event);
    for (size_t i = 0; i < reply->n_wake; i++) {
        struct proto_name wake = {reply->wake[i]};

        peer_send(ROLE_STORE, PROTO_ETRN, &wake, -1);
    }
}

static void
session_run(struct listener_session *session, enum got got, struct view text)
{
    bool had = session->transaction != NULL;
    struct listener_reply reply;

    buf_reset(&reply_text);
    if (got == GOT_ONE)
        listener_command(session, &listener.policy, text, &reply, &reply_text);
    else
        listener_command_bad(session, &listener.policy, got, &reply,
                             &reply_text);
    io_write(session->io, buf_view(&reply_text));
    if (had != (session->transaction != NULL))
        stats_add(STAT_TRANSACTIONS_NOW, had ? -1 : 1);
    if (reply.why.code >= 400 && !listener_command_is_error(&reply.why) &&
        reply.next == NEXT_COMMAND)
        session_log_refusal(session, &reply);
    if (reply.n_wake > 0)
        session_wake(session, &reply);
    session_go_on(session, &reply);
}

/* io.h times silence; a client that sends its command byte by byte is never
 * silent, and has no more time for it than others. */
static void
session_check_patience(struct listener_session *session)
{
    uint64_t waited_ms = (uint64_t)(loop_now_ms() - session->waiting_ms);

    if (waited_ms > listener.policy.conf->command_timeout_ms)
        session_say_and_close(session, "4.4.2", "timeout");
}

/* One line. False: there is none. */
static bool
session_line(struct listener_session *session)
{
    struct view text;
    size_t taken;
    enum got got =
        line_cut(&session->line, io_input(session->io), &text, &taken);

    io_consume(session->io, taken); /* text stays until this turn ends */
    if (got == GOT_MORE) {
        session_check_patience(session);
        return false;
    }
    session->waiting_ms = loop_now_ms();
    session_run(session, got, text);
    return true;
}

/* --- what io.h calls ----------------------------------------------------- */

static void
session_on_input(void *arg)
{
    struct listener_session *session = session_of(arg);
    bool more = true;

    /* Before this turn's replies: what is pending now could not be sent, so
     * on_drained will come. */
    if (io_pending(session->io) > OUTPUT_MAX) {
        io_pause(session->io);
        return;
    }
    while (more && session->io != NULL) {
        if (session->state & STATE_ANY_COMMAND)
            more = session_line(session);
        else if (session->state == STATE_DATA)
            more = listener_data_input(session);
        else
            more = false;
    }
}

static void
session_on_drained(void *arg)
{
    struct listener_session *session = session_of(arg);

    if (session->state != STATE_WAIT_STORE)
        io_resume(session->io);
}

/* RFC 3207 4.2: nothing said before TLS counts after it. */
static void
session_on_tls(void *arg)
{
    struct listener_session *session = session_of(arg);

    free(session->helo);
    session->helo = NULL;
    session->esmtp = false;
    session->tls = true;
    session->state = STATE_FRESH;
    session->waiting_ms = loop_now_ms();
    line_init(&session->line, LINE_MAX_COMMAND);
    stats_add(STAT_TLS_SESSIONS, 1);
}

static void
session_on_end(void *arg, enum io_end end)
{
    struct listener_session *session = session_of(arg);

    switch (end) {
    case IO_EOF:
        listener_session_close(session, "closed by client");
        break;
    case IO_ERROR:
        listener_session_close(session, io_reason(session->io));
        break;
    case IO_TIMEOUT:
        session_say_and_close(session, "4.4.2", "timeout");
        break;
    }
}

static const struct io_handlers session_handlers = {
    .on_input = session_on_input,
    .on_drained = session_on_drained,
    .on_tls = session_on_tls,
    .on_end = session_on_end,
};

/* --- the beginning ------------------------------------------------------- */

void
listener_session_next(struct listener_session *session)
{
    listener_transaction_free(&session->transaction);
    stats_add(STAT_TRANSACTIONS_NOW, -1);
    session->state = STATE_READY;
    session->waiting_ms = loop_now_ms();
    if (listener.draining) {
        listener_session_drain(session, false);
        return;
    }
    io_set_timeout(session->io, listener.policy.conf->command_timeout_ms);
    io_resume(session->io);
}

void
listener_session_new(int fd, const struct gate_guest *guest)
{
    struct listener_session *session = mem_alloc(sizeof(*session));
    struct view hostname = listener.policy.conf->hostname;
    struct event event;

    session->magic = SESSION_MAGIC;
    session->state = STATE_FRESH;
    session->client = guest->client;
    session->since_ms = loop_now_ms();
    session->waiting_ms = session->since_ms;
    session->ends.client_port = guest->port;
    session->ends.server_port = guest->server_port;
    memcpy(session->ends.client, guest->address, sizeof(guest->address));
    memcpy(session->ends.server, guest->server, sizeof(guest->server));
    line_init(&session->line, LINE_MAX_COMMAND);
    LIST_INSERT_HEAD(&listener.sessions, session, link);

    event_begin(&event, EVENT_CONNECT);
    event_text(&event, "client", guest->address);
    event_end(&event);

    session->io = io_new(fd, &session_handlers, session);
    io_wipe_input(session->io);
    io_set_timeout(session->io, listener.policy.conf->command_timeout_ms);
    buf_reset(&reply_text);
    buf_add_text(&reply_text, "220 ");
    buf_add_view(&reply_text, hostname);
    buf_add_text(&reply_text, " ESMTP spoold\r\n");
    io_write(session->io, buf_view(&reply_text));
}
