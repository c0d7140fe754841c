/* SPDX-License-Identifier: ISC */
/*
 * TLS on one connection to a target (RFC 3207): after the first EHLO, before
 * anything else; EHLO again inside, since nothing said before counts. What
 * there has to be is replay_secure.c's.
 *
 * Where TLS need not be and fails, mail goes in the clear over a fresh
 * connection (RFC 7435); where it must be, the address is no good.
 *
 * Before: replay_step.c   After: replay_step.c
 */
#include "replay_session.h"

#include <stdio.h>

#include "io.h"
#include "replay_secure.h"

bool
replay_starttls_is_done(struct replay_session *session)
{
    struct replay_tls tls;

    if (session->secured || session->plain)
        return true;
    if (!replay_route_tls(session->target->route, session->address, &tls)) {
        replay_session_next_address(session,
                                    "the target has other addresses by now");
        return false;
    }
    if (tls.need == REPLAY_TLS_NONE)
        return true;
    if (session->offers.flags & SMTP_OFFER_STARTTLS) {
        replay_step_say_starttls(session);
        return false;
    }
    if (tls.need == REPLAY_TLS_OFFERED)
        return true;
    replay_session_next_address(session, "STARTTLS is not offered, and nothing "
                                         "may go in the clear");
    return false;
}

void
replay_starttls_failed(struct replay_session *session, const char *reason)
{
    struct replay_tls tls;

    if (replay_route_tls(session->target->route, session->address, &tls) &&
        tls.need != REPLAY_TLS_NEEDED)
        replay_session_without_tls(session, reason);
    else
        replay_session_next_address(session, reason);
}

void
replay_starttls_reply(struct replay_session *session, size_t at)
{
    char reason[SMTP_REPLY_PRINT_MAX + 32];
    struct replay_tls tls;
    struct why why;

    (void)at;
    if (!replay_route_tls(session->target->route, session->address, &tls)) {
        replay_session_next_address(session,
                                    "the target has other addresses by now");
    } else if (session->reply.code != 220) {
        struct buf words = {0};

        smtp_reply_print(&session->reply, &words);
        snprintf(reason, sizeof(reason), "%d %.*s, to STARTTLS",
                 session->reply.code, (int)words.len, words.data);
        buf_free(&words);
        replay_starttls_failed(session, reason);
    } else if (io_start_tls_client(session->io, tls.context, &tls.demand,
                                   tls.memory, &why) != 0) {
        replay_starttls_failed(session, why.text);
    } else {
        session->securing = true;
    }
}

void
replay_starttls_on_tls(struct replay_session *session)
{
    session->securing = false;
    session->secured = true;
    session->offers = (struct smtp_offers){0};
    replay_step_say_ehlo(session);
}

const char *
replay_starttls_describe(const struct replay_session *session)
{
    static char text[160];
    struct replay_tls tls = {0};

    if (!session->secured || session->address == NULL)
        return "none";
    replay_route_tls(session->target->route, session->address, &tls);
    snprintf(text, sizeof(text), "%s%s%s", io_tls_name(session->io),
             !tls.demand.proof           ? ""
             : tls.demand.n_records == 0 ? ", proved by its name"
             : tls.demand.host.len > 0 && tls.demand.n_names > 0
                 ? ", proved by DANE"
                 : ", proved by its fingerprint",
             io_tls_is_resumed(session->io) ? ", resumed" : "");
    return text;
}
