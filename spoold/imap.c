/* SPDX-License-Identifier: ISC */
/*
 * The imap role: people read their held mail in the program they already
 * use. It reads the store and the secret halves of the keys, and changes
 * nothing: what a user changes of his own (flags, what he hides) goes to the
 * store as a request. This file greets or turns away who comes through
 * gate.c, keeps what holds for all sessions, and stops in order.
 *
 * Before: store_batch.c (after the commit)
 */
#include <sys/socket.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "db_copy.h"
#include "db_read.h"
#include "event.h"
#include "gate.h"
#include "log.h"
#include "peer.h"
#include "role.h"
#include "stats.h"
#include "tls.h"

static struct {
    const struct conf *conf;
    struct db *db; /* NULL until the store has said that it is there */
    struct tls *tls;
    struct tls *fresh_tls;
} imap;

/* --- connections ---------------------------------------------------------- */

static void
turn_away(int fd, const struct gate_guest *guest, const char *reason)
{
    struct buf line = {0};
    struct event event;

    buf_addf(&line, "* BYE %s\r\n", reason);
    if (send(fd, line.data, line.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("%s: %s", guest->address, strerror(errno));
    buf_free(&line);
    stats_add(STAT_CONNECTIONS_REFUSED, 1);
    event_begin(&event, EVENT_REFUSED);
    event_text(&event, "what", "imap connection");
    event_text(&event, "client", guest->address);
    event_text(&event, "reason", reason);
    event_end(&event);
}

static void
admit(int fd, const struct gate_guest *guest)
{
    turn_away(fd, guest, "nobody can sign in yet");
    close(fd);
    gate_left(guest->client);
}

static const struct gate_handlers gate_handlers = {admit, turn_away};

/* --- the store ------------------------------------------------------------ */

static void
imap_on_space(struct peer_message *message)
{
    struct why why;

    (void)message;
    if (imap.conf == NULL || imap.db != NULL)
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

/* --- the parent ----------------------------------------------------------- */

static void
imap_on_certificate(struct peer_message *message)
{
    const struct proto_certificate *pem = message->payload;
    struct why why;

    tls_free(&imap.fresh_tls);
    imap.fresh_tls = tls_server_new(pem->certificate, pem->key, &why);
    if (imap.fresh_tls == NULL)
        log_warn("there is no TLS for IMAP: %s", why.text);
}

/* What came before START takes the place of what was there. */
static void
take_all(const struct conf *conf)
{
    imap.conf = conf;
    tls_free(&imap.tls);
    imap.tls = imap.fresh_tls;
    imap.fresh_tls = NULL;
    gate_open(conf->imap_connections, conf->imap_connections_per_client);
}

static void
imap_start(const struct conf *conf)
{
    gate_init(&gate_handlers);
    take_all(conf);
    role_ready();
}

static void
imap_reload(const struct conf *conf)
{
    take_all(conf);
}

static void
imap_drain(uint64_t limit_ms)
{
    (void)limit_ms;
    gate_close();
    role_done();
}

static void
imap_on_pairs(struct peer_message *message)
{
    (void)message;
}

static const struct peer_handler handlers[] = {
    {PROTO_LISTEN, gate_on_listen}, {PROTO_CERTIFICATE, imap_on_certificate},
    {PROTO_SPACE, imap_on_space},   {PROTO_REOPEN, imap_on_reopen},
    {PROTO_PAIRS, imap_on_pairs},
};

const struct role_entry imap_role = {
    .role = ROLE_IMAP,
    .directory = ".",
    .handlers = handlers,
    .n_handlers = sizeof(handlers) / sizeof(handlers[0]),
    .start = imap_start,
    .reload = imap_reload,
    .drain = imap_drain,
};
