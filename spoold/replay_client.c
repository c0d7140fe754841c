/* SPDX-License-Identifier: ISC */
/*
 * Telling the target who the first client was, before each message
 * (libspool/xclient.h). XCLIENT makes the session that client's: the server
 * begins it anew, we greet again with the client's own name, and whatever it
 * says of the client then is its verdict on the message. XFORWARD only adds
 * to the server's log. Where neither is offered, the target takes this host
 * for the client.
 *
 * A server that does not let us use XCLIENT is told so in the log once, and
 * gets XFORWARD. Messages of this host (notices) have no first client: where
 * the session is somebody's already, it becomes ours again.
 *
 * Before: replay_step.c (a transaction begins)   After: replay_step.c (MAIL)
 */
#include "replay_session.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdio.h>
#include <stdlib.h>

#include "addr.h"
#include "log.h"
#include "msgid.h"
#include "xclient.h"

/* Of this host, as the target sees it. */
struct local_end {
    char address[INET6_ADDRSTRLEN];
    uint16_t port;
};

static bool
has_client(const struct replay_job *job)
{
    return xclient_is_address(job->message.message.client);
}

static void
find_local_end(const struct replay_session *session, struct local_end *end)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;

    *end = (struct local_end){0};
    if (io_local(session->io, (struct sockaddr *)&address, &len) != 0)
        return;
    if (address.ss_family == AF_INET)
        inet_ntop(AF_INET, &in->sin_addr, end->address, sizeof(end->address));
    else if (address.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &in6->sin6_addr, end->address,
                  sizeof(end->address));
    else
        return;
    end->port = ntohs(in->sin_port); /* at the same place in both */
}

/* Texts are those of the job, of *end and of id. */
static struct xclient_facts
facts_of(const struct replay_session *session, const struct replay_job *job,
         struct local_end *end, char id[MSGID_TEXT_MAX])
{
    const struct message *message = &job->message.message;
    struct view ident = view_of(msgid_print(job->key.id, id));
    struct view hostname = replay_conf()->hostname;

    if (has_client(job))
        return (struct xclient_facts){
            .client = message->client,
            .port = message->port,
            .helo = message->helo,
            .protocol = message->protocol,
            .server = message->server,
            .server_port = message->server_port,
            .ident = ident,
        };
    find_local_end(session, end);
    return (struct xclient_facts){
        .name = hostname,
        .client = view_of(end->address),
        .port = end->port,
        .helo = hostname,
        .protocol = VIEW("ESMTP"),
        .ident = ident,
        .is_local = true,
    };
}

/* --- which way ----------------------------------------------------------- */

static bool
may_xclient(const struct replay_session *session)
{
    return session->target->client >= CONF_CLIENT_XCLIENT &&
           (session->offers.xclient & XCLIENT_ADDR) != 0 &&
           !session->client_off;
}

static bool
may_xforward(const struct replay_session *session)
{
    return session->target->client >= CONF_CLIENT_XFORWARD &&
           (session->offers.xforward & XCLIENT_ADDR) != 0 &&
           !session->forward_off;
}

/* What makes this client another one than the one before: all that is told,
 * but for its name. */
static void
print_key(const struct replay_session *session, const struct replay_job *job,
          struct buf *out)
{
    struct local_end end;
    char id[MSGID_TEXT_MAX];
    struct xclient_facts facts = facts_of(session, job, &end, id);

    xclient_print(session->offers.xclient & ~(unsigned)XCLIENT_NAME, &facts,
                  out);
}

enum step
replay_client_step(const struct replay_session *session,
                   const struct replay_job *job)
{
    static struct buf key;

    if (may_xclient(session)) {
        if (!has_client(job) && session->client.len == 0)
            return STEP_MAIL; /* it is ours */
        buf_reset(&key);
        print_key(session, job, &key);
        return view_equal(buf_view(&key), buf_view(&session->client))
                   ? STEP_MAIL
                   : STEP_XCLIENT;
    }
    return may_xforward(session) ? STEP_XFORWARD : STEP_MAIL;
}

/* Once, until it works again. */
static void
tell_once(struct replay_session *session, const char *text)
{
    struct replay_target *target = session->target;

    if (target->client_told)
        return;
    target->client_told = true;
    log_info("target %s: %s; %s", target->name, text,
             may_xforward(session)
                 ? "it is told the first client by XFORWARD"
                 : "it takes this host for the client of all mail");
}

void
replay_client_ready(struct replay_session *session)
{
    uint64_t wanted = session->target->client;

    if (wanted == CONF_CLIENT_XCLIENT && !may_xclient(session))
        tell_once(session, "XCLIENT is not offered to this host");
    else if (wanted == CONF_CLIENT_XFORWARD && !may_xforward(session))
        tell_once(session, "XFORWARD is not offered to this host");
}

/* --- the client's name --------------------------------------------------- */

/* The transaction a name is being looked up for; at the most one has that. */
static void
on_name(void *arg, const char *name, bool temporary)
{
    struct replay_session *session = arg;
    struct transaction *t = session->current.name_state == NAME_ASKED
                                ? &session->current
                                : &session->ahead;

    t->name_state = NAME_KNOWN;
    t->name_unknown = temporary;
    snprintf(t->name, sizeof(t->name), "%s", name != NULL ? name : "");
    if (!session->asking)
        replay_session_resume(session);
}

static void
ask_name(struct replay_session *session, struct transaction *t)
{
    struct view client = t->job->message.message.client;
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    bool v4;

    snprintf(text, sizeof(text), "%.*s", (int)client.len, client.data);
    v4 = inet_pton(AF_INET, text, &in.sin_addr) == 1;
    if (!v4)
        inet_pton(AF_INET6, text, &in6.sin6_addr);
    t->name_state = NAME_ASKED;
    session->asking = true; /* on_name may come before the return */
    replay_reverse(v4 ? (struct sockaddr *)&in : (struct sockaddr *)&in6,
                   on_name, session);
    session->asking = false;
}

static void
add_name(const struct transaction *t, struct xclient_facts *facts)
{
    if (t->name_state != NAME_KNOWN)
        return;
    facts->name = view_of(t->name);
    facts->name_unknown = t->name_unknown;
}

bool
replay_client_may_say(struct replay_session *session, struct transaction *t)
{
    unsigned offered = t->next == STEP_XCLIENT    ? session->offers.xclient
                       : t->next == STEP_XFORWARD ? session->offers.xforward
                                                  : 0;

    if ((offered & XCLIENT_NAME) == 0 || !has_client(t->job))
        return true;
    if (t->name_state == NAME_UNASKED)
        ask_name(session, t);
    return t->name_state == NAME_KNOWN;
}

void
replay_client_forget(struct replay_session *session)
{
    replay_reverse_forget(session);
}

/* --- XCLIENT ------------------------------------------------------------- */

void
replay_client_say_xclient(struct replay_session *session, struct transaction *t)
{
    static struct buf line;
    struct local_end end;
    char id[MSGID_TEXT_MAX];
    struct xclient_facts facts = facts_of(session, t->job, &end, id);

    add_name(t, &facts);
    buf_reset(&line);
    xclient_print(session->offers.xclient, &facts, &line);
    io_write(session->io, buf_view(&line));
    t->next = STEP_NONE; /* on_xclient goes on */
}

/* The server's verdict on the client is one on the message. The session is
 * nobody's then: whoever comes next has to be told. */
static void
refuse_client(struct replay_session *session)
{
    buf_reset(&session->client);
    buf_add_text(&session->client, "nobody");
    replay_step_refused(session);
    session->current.next = STEP_MAIL; /* never said, since it is refused */
}

/* Is this reply about us, not about the client we named? Those who may not
 * use XCLIENT get 550 or an error of syntax or sequence; a server that does
 * not want the client says 554 or 521 in place of its greeting. */
static bool
is_refusal_of_xclient(int code)
{
    return code / 10 == 50 || code == 550;
}

void
replay_client_on_xclient(struct replay_session *session, size_t at)
{
    struct transaction *t = &session->current;
    char text[128];

    (void)at;
    t->heard = true;
    if (session->reply.code / 100 == 2) {
        t->next = STEP_XHELLO;
    } else if (is_refusal_of_xclient(session->reply.code) &&
               session->client.len > 0) {
        /* Only once a connection, then: as the client before it would be
         * somebody else's mail. */
        replay_session_end(session, FAULT_OURS, 0, "XCLIENT is refused");
    } else if (is_refusal_of_xclient(session->reply.code)) {
        session->client_off = true;
        snprintf(text, sizeof(text), "XCLIENT is refused (%d)",
                 session->reply.code);
        tell_once(session, text);
        t->next = replay_client_step(session, t->job);
    } else {
        refuse_client(session);
    }
}

/* The client's own greeting, where it makes sense: the checks of HELO and SPF
 * are about it. */
void
replay_client_say_xhello(struct replay_session *session, struct transaction *t)
{
    struct view helo = t->job->message.message.helo;

    if (!has_client(t->job) || !addr_is_domain(helo))
        helo = replay_conf()->hostname;
    io_printf(session->io, "%s %.*s\r\n", session->lmtp ? "LHLO" : "EHLO",
              (int)helo.len, helo.data);
    t->next = STEP_NONE;
}

void
replay_client_on_xhello(struct replay_session *session, size_t at)
{
    struct transaction *t = &session->current;
    unsigned xclient = session->offers.xclient;

    (void)at;
    if (session->reply.code != 250) {
        refuse_client(session);
        return;
    }
    buf_reset(&session->client);
    smtp_offers_read(&session->reply, &session->offers);
    session->offers.xclient = xclient; /* the next message's is to come */
    session->target->client_told = false;
    print_key(session, t->job, &session->client);
    t->next = STEP_MAIL;
    if (replay_fit_tries(&session->offers, t->job) == 0)
        t->refused = true; /* each has its word */
}

/* --- XFORWARD ------------------------------------------------------------ */

void
replay_client_say_xforward(struct replay_session *session,
                           struct transaction *t)
{
    static struct buf lines;
    struct local_end end;
    char id[MSGID_TEXT_MAX];
    struct xclient_facts facts = facts_of(session, t->job, &end, id);
    unsigned n;

    if (facts.is_local)
        facts.client = (struct view){NULL, 0}; /* it sees that itself */
    add_name(t, &facts);
    buf_reset(&lines);
    n = xclient_print_forward(session->offers.xforward, &facts, &lines);
    io_write(session->io, buf_view(&lines));
    for (unsigned i = 1; i < n; i++) /* the step adds one itself */
        replay_session_expect(session, STEP_XFORWARD, 0);
    t->next = STEP_MAIL;
}

/* The message goes on without it. */
void
replay_client_on_xforward(struct replay_session *session, size_t at)
{
    char text[128];

    (void)at;
    if (session->reply.code / 100 == 2) {
        if (session->target->client == CONF_CLIENT_XFORWARD)
            session->target->client_told = false;
        return;
    }
    session->forward_off = true;
    snprintf(text, sizeof(text), "XFORWARD is refused (%d)",
             session->reply.code);
    tell_once(session, text);
}
