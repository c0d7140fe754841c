/* SPDX-License-Identifier: ISC */
/*
 * The imap role: people read their held mail in the program they already
 * use. It reads the store and the secret halves of the keys, and changes
 * nothing: what a user changes of his own (flags, what he hides) goes to the
 * store as a request. This file greets or turns away who comes through
 * gate.c, keeps what holds for all sessions, gives each its turns, and stops
 * in order.
 *
 * Turns: a session that has work stands in one queue; whoever is first does
 * steps for at most SLICE_US, then stands at the end again. After ROUND_US
 * the event loop looks at the network before the queue goes on.
 *
 * Before: store_batch.c (NEWS, after the commit)   After: imap_session.c
 */
#include "imap.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "body.h"
#include "clock.h"
#include "db_copy.h"
#include "db_read.h"
#include "event.h"
#include "imap_view.h"
#include "io.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "mime_decode.h"
#include "role.h"
#include "sealing.h"
#include "stats.h"
#include "tls.h"

#define SLICE_US 1000
#define ROUND_US 4000
/* Output of one session that waits for its client; then it has no turns. */
#define OUTPUT_MAX (256 * 1024)

struct imap_role imap;

static struct {
    struct tls *fresh_tls;
    struct imap_turns turns;
    struct loop_timer *round;
    struct loop_timer *drain_limit;
    bool done;
} role;

/* --- connections ---------------------------------------------------------- */

static void
turn_away(int fd, const struct gate_guest *guest, const char *reason)
{
    struct buf line = {0};
    struct event event;

    /* Before TLS it could not be read. */
    if (strcmp(guest->service, "imaps") != 0) {
        buf_addf(&line, "* BYE [UNAVAILABLE] %s\r\n", reason);
        if (send(fd, line.data, line.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            log_debug("%s: %s", guest->address, strerror(errno));
        buf_free(&line);
    }
    stats_add(STAT_IMAP_REFUSED, 1);
    event_begin(&event, EVENT_REFUSED);
    event_text(&event, "what", "imap connection");
    event_text(&event, "client", guest->address);
    event_text(&event, "reason", reason);
    event_end(&event);
}

static void
admit(int fd, const struct gate_guest *guest)
{
    stats_add(STAT_IMAP_SESSIONS, 1);
    stats_set(STAT_IMAP_SESSIONS_NOW, gate_count());
    imap_session_new(fd, guest);
}

static const struct gate_handlers gate_handlers = {admit, turn_away};

static void
all_done(void *arg)
{
    (void)arg;
    if (role.done)
        return;
    role.done = true;
    role_done();
}

void
imap_closed(struct imap_session *session)
{
    imap_turn_cancel(session);
    LIST_REMOVE(session, link);
    gate_left(session->client);
    session->client = NULL;
    stats_set(STAT_IMAP_SESSIONS_NOW, gate_count());
    if (imap.draining && gate_count() == 0)
        loop_defer(all_done, NULL);
}

/* --- turns ---------------------------------------------------------------- */

void
imap_turn(struct imap_session *session)
{
    if (session->has_turn)
        return;
    session->has_turn = true;
    if (TAILQ_EMPTY(&role.turns))
        loop_timer_set(role.round, 0);
    TAILQ_INSERT_TAIL(&role.turns, session, turn);
}

void
imap_turn_cancel(struct imap_session *session)
{
    if (session->has_turn)
        TAILQ_REMOVE(&role.turns, session, turn);
    session->has_turn = false;
}

/* Steps of one session. True: it has more to do. */
static bool
take_turn(struct imap_session *session, int64_t now_us)
{
    while (imap_session_step(session)) {
        if (io_pending(session->io) > OUTPUT_MAX)
            return true;
        if (clock_mono_us() - now_us > SLICE_US)
            return true;
    }
    return false;
}

static void
on_round(void *arg)
{
    int64_t start_us = clock_mono_us(), now_us = start_us;
    struct imap_session *session, *last = TAILQ_LAST(&role.turns, imap_turns);
    bool was_last = false;

    (void)arg;
    while (!was_last && now_us - start_us < ROUND_US &&
           (session = TAILQ_FIRST(&role.turns)) != NULL) {
        was_last = session == last;
        imap_turn_cancel(session);
        /* What it wrote in its last turn waits for the client: on_drained
         * brings it back. */
        if (io_pending(session->io) > OUTPUT_MAX)
            continue;
        if (take_turn(session, now_us)) {
            session->has_turn = true;
            TAILQ_INSERT_TAIL(&role.turns, session, turn);
        }
        now_us = clock_mono_us();
    }
    if (!TAILQ_EMPTY(&role.turns))
        loop_timer_set(role.round, 0);
}

/* --- the store ------------------------------------------------------------ */

static void
imap_on_space(struct peer_message *message)
{
    const struct proto_space *space = message->payload;
    struct why why;

    imap_append_floor(space->floor_ms);
    if (imap.conf == NULL)
        return;
    imap.store_is_up = true;
    if (imap.db != NULL)
        return;
    imap.db = db_open_reader(".", &why);
    if (imap.db == NULL)
        fatal("%s", why.text);
}

/* The store is in another file now. Every question is a transaction of its
 * own, and what is found is copied. */
static void
imap_on_reopen(struct peer_message *message)
{
    struct why why;

    (void)message;
    if (imap.db != NULL && db_is_replaced(imap.db) &&
        db_reopen(imap.db, &why) != 0)
        fatal("%s", why.text);
}

/* What happened while it was away is not known: everybody looks anew. */
static void
imap_on_up(enum role up)
{
    struct imap_session *session;

    if (up != ROLE_STORE)
        return;
    imap_users_check();
    LIST_FOREACH (session, &imap.sessions, link)
        if (session->view != NULL)
            imap_view_look_anew(session);
}

static void
imap_on_lost(enum role lost)
{
    if (lost == ROLE_STORE)
        imap.store_is_up = false;
}

/* --- the parent ----------------------------------------------------------- */

static void
imap_on_certificate(struct peer_message *message)
{
    const struct proto_certificate *pem = message->payload;
    struct why why;

    tls_free(&role.fresh_tls);
    role.fresh_tls = tls_server_new(pem->certificate, pem->key, &why);
    if (role.fresh_tls == NULL)
        log_warn("there is no TLS for IMAP: %s", why.text);
}

/* What came before START takes the place of what was there. */
static void
take_all(const struct conf *conf)
{
    imap.conf = conf;
    tls_free(&imap.tls);
    imap.tls = role.fresh_tls;
    role.fresh_tls = NULL;
    gate_open(conf->imap_connections, conf->imap_connections_per_client);
}

static void
imap_start(const struct conf *conf)
{
    TAILQ_INIT(&role.turns);
    role.round = loop_timer_new(on_round, NULL);
    stats_set(STAT_IMAP_SESSIONS_NOW, 0);
    gate_init(&gate_handlers);
    take_all(conf);
    role_ready();
}

static void
imap_reload(const struct conf *conf)
{
    if (!imap.draining)
        take_all(conf);
}

/* --- drain ---------------------------------------------------------------- */

static void
drain_sessions(bool by_force)
{
    struct imap_session *session, *next;

    for (session = LIST_FIRST(&imap.sessions); session != NULL;
         session = next) {
        next = LIST_NEXT(session, link);
        if (by_force || session->mode != IMAP_MODE_BUSY)
            imap_session_bye(session, "going down, come back later");
        if (by_force && session->io != NULL)
            imap_session_close(session, "going down");
    }
}

static void
on_drain_limit(void *arg)
{
    (void)arg;
    drain_sessions(true);
}

static void
imap_drain(uint64_t limit_ms)
{
    imap.draining = true;
    gate_close();
    drain_sessions(false);
    role.drain_limit = loop_timer_new(on_drain_limit, NULL);
    loop_timer_set(role.drain_limit, limit_ms);
    if (gate_count() == 0)
        loop_defer(all_done, NULL);
}

static const struct peer_handler handlers[] = {
    {PROTO_LISTEN, gate_on_listen},   {PROTO_CERTIFICATE, imap_on_certificate},
    {PROTO_SPACE, imap_on_space},     {PROTO_REOPEN, imap_on_reopen},
    {PROTO_PAIRS, imap_key_on_pairs}, {PROTO_DICTIONARY, sealing_on_dictionary},
    {PROTO_NEWS, imap_view_on_news},
};

const struct role_entry imap_role = {
    .role = ROLE_IMAP,
    .directory = ".",
    .handlers = handlers,
    .n_handlers = sizeof(handlers) / sizeof(handlers[0]),
    .hooks = {.on_up = imap_on_up, .on_lost = imap_on_lost},
    .prepare = mime_decode_init,
    .start = imap_start,
    .reload = imap_reload,
    .drain = imap_drain,
};
