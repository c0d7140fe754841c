/* SPDX-License-Identifier: ISC */
/*
 * The listener: takes mail from anybody. This file admits connections, keeps
 * what holds for all of them, and stops in order. What the parent sends
 * before START is a full set (sockets, certificate, recipient lists) and
 * takes the place of the one before, but for a list that cannot be read:
 * then the old one stays.
 *
 * A client is an IPv4 address or an IPv6 /64: whoever has one IPv6 address
 * has 2^64 of them.
 *
 * After: listener_session.c
 */
#include "listener.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <uthash.h>

#include "event.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "peer.h"
#include "role.h"
#include "sealing.h"
#include "stats.h"
#include "tls.h"

#define CLIENT_KEY_BYTES 17 /* family, and 4 or 8 bytes of address */
/* Connections taken from one socket before others get their turn. */
#define ACCEPTS_A_TURN 64
/* How long to leave connections waiting when descriptors ran out. */
#define ACCEPT_PAUSE_MS 200

struct listener listener = {.ids = {.writer = 1}};

struct listener_client {
    char key[CLIENT_KEY_BYTES];
    size_t connections;
    UT_hash_handle hh;
};

struct listen_socket {
    int fd;
    struct loop_watch *watch; /* NULL until START */
    LIST_ENTRY(listen_socket) link;
};
LIST_HEAD(listen_sockets, listen_socket);

/* A list that came with RECIPIENTS, read at START. */
struct fresh_list {
    char *domain;
    int fd;
    LIST_ENTRY(fresh_list) link;
};
LIST_HEAD(fresh_lists, fresh_list);

static struct {
    struct listener_client *clients;
    struct listen_sockets sockets, fresh_sockets;
    struct fresh_lists fresh_lists;
    struct tls *fresh_tls;
    struct loop_timer *accept_again;
    struct loop_timer *drain_limit;
} role;

/* --- clients ------------------------------------------------------------- */

/* The client's key and its address as text; an IPv4 address that came through
 * an IPv6 socket is an IPv4 address. */
static void
client_name(const struct sockaddr_storage *from, char key[CLIENT_KEY_BYTES],
            char address[INET6_ADDRSTRLEN])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
    const uint8_t *bytes = (const uint8_t *)&v4->sin_addr;

    memset(key, 0, CLIENT_KEY_BYTES);
    if (from->ss_family == AF_INET6) {
        bytes = v6->sin6_addr.s6_addr;
        if (!IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
            key[0] = 6;
            memcpy(key + 1, bytes, 8);
            inet_ntop(AF_INET6, bytes, address, INET6_ADDRSTRLEN);
            return;
        }
        bytes += 12;
    }
    key[0] = 4;
    memcpy(key + 1, bytes, 4);
    inet_ntop(AF_INET, bytes, address, INET6_ADDRSTRLEN);
}

static struct listener_client *
client_get(const char key[CLIENT_KEY_BYTES])
{
    struct listener_client *client;

    HASH_FIND(hh, role.clients, key, CLIENT_KEY_BYTES, client);
    if (client == NULL) {
        client = mem_alloc(sizeof(*client));
        memcpy(client->key, key, CLIENT_KEY_BYTES);
        HASH_ADD(hh, role.clients, key, CLIENT_KEY_BYTES, client);
    }
    return client;
}

static void
client_release(struct listener_client *client)
{
    if (client->connections > 0)
        return;
    HASH_DEL(role.clients, client);
    free(client);
}

/* --- connections --------------------------------------------------------- */

/* Says 421 and closes, without making a session of it. */
static void
turn_away(int fd, const char *address, const char *reason)
{
    const struct conf *conf = listener.policy.conf;
    struct why reply;
    struct buf line = {0};
    struct event event;

    why_set(&reply, 421, "4.7.0", "%.*s %s", (int)conf->hostname.len,
            conf->hostname.data, reason);
    listener_command_print(&reply, &line);
    /* Nothing was sent before: the socket has room for a line. */
    if (send(fd, line.data, line.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("%s: %s", address, strerror(errno));
    buf_free(&line);
    close(fd);

    stats_add(STAT_CONNECTIONS_REFUSED, 1);
    event_begin(&event, EVENT_REFUSED);
    event_text(&event, "what", "connection");
    event_text(&event, "client", address);
    event_num(&event, "code", (uint64_t)reply.code);
    event_text(&event, "enhanced", reply.enhanced);
    event_text(&event, "reason", reason);
    event_end(&event);
}

static void
admit(int fd, const struct sockaddr_storage *from)
{
    const struct conf *conf = listener.policy.conf;
    char key[CLIENT_KEY_BYTES], address[INET6_ADDRSTRLEN];
    struct listener_client *client;

    client_name(from, key, address);
    client = client_get(key);
    if (listener.n_sessions >= conf->connections ||
        client->connections >= conf->connections_per_client) {
        turn_away(fd, address,
                  listener.n_sessions >= conf->connections
                      ? "too many connections, try again later"
                      : "too many connections from you, try again later");
        client_release(client);
        return;
    }
    client->connections++;
    listener.n_sessions++;
    stats_add(STAT_CONNECTIONS, 1);
    stats_set(STAT_CONNECTIONS_NOW, listener.n_sessions);
    listener_session_new(fd, address, client);
}

static void
all_done(void *arg)
{
    (void)arg;
    role_done();
}

void
listener_closed(struct listener_session *session)
{
    LIST_REMOVE(session, link);
    session->client->connections--;
    client_release(session->client);
    session->client = NULL;
    listener.n_sessions--;
    stats_set(STAT_CONNECTIONS_NOW, listener.n_sessions);
    if (listener.draining && listener.n_sessions == 0)
        loop_defer(all_done, NULL);
}

static void
on_accept_again(void *arg)
{
    struct listen_socket *socket;

    (void)arg;
    LIST_FOREACH (socket, &role.sockets, link)
        loop_watch_resume(socket->watch);
}

/* No descriptor (or no memory) for one more: the clients wait in the kernel's
 * queue while sessions end. */
static void
accept_failed(int error)
{
    struct listen_socket *socket;

    if (error != EMFILE && error != ENFILE && error != ENOBUFS &&
        error != ENOMEM)
        return; /* the client went before it was taken, or nobody is there */
    log_warn("no more connections can be taken now: %s", strerror(error));
    LIST_FOREACH (socket, &role.sockets, link)
        loop_watch_pause(socket->watch);
    loop_timer_set(role.accept_again, ACCEPT_PAUSE_MS);
}

static void
on_acceptable(int listening, void *arg)
{
    (void)arg;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof(from);
        int fd = accept4(listening, (struct sockaddr *)&from, &len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0) {
            accept_failed(errno);
            return;
        }
        admit(fd, &from);
    }
}

/* --- what the parent sends ----------------------------------------------- */

static void
socket_free(struct listen_socket *socket)
{
    LIST_REMOVE(socket, link);
    loop_watch_free(&socket->watch);
    close(socket->fd);
    free(socket);
}

/* Closes ours; the parent has the sockets too, so they go on listening. */
static void
sockets_close(struct listen_sockets *sockets)
{
    while (!LIST_EMPTY(sockets))
        socket_free(LIST_FIRST(sockets));
}

static void
on_listen(struct peer_message *message)
{
    struct listen_socket *socket = mem_alloc(sizeof(*socket));

    socket->fd = message->fd;
    message->fd = -1;
    LIST_INSERT_HEAD(&role.fresh_sockets, socket, link);
}

static void
on_recipients(struct peer_message *message)
{
    const struct proto_name *name = message->payload;
    struct fresh_list *fresh = mem_alloc(sizeof(*fresh));

    fresh->domain = mem_copy(name->name.data, name->name.len);
    fresh->fd = message->fd;
    message->fd = -1;
    LIST_INSERT_HEAD(&role.fresh_lists, fresh, link);
}

static void
on_certificate(struct peer_message *message)
{
    const struct proto_certificate *pem = message->payload;
    struct why why;

    tls_free(&role.fresh_tls);
    role.fresh_tls = tls_server_new(pem->certificate, pem->key, &why);
    if (role.fresh_tls == NULL)
        log_warn("STARTTLS is not offered: %s", why.text);
}

static void
take_full_domains(const struct record_list *list)
{
    const struct proto_name *names = list->items;
    struct buf *full = &listener.policy.full_domains;

    buf_reset(full);
    for (size_t i = 0; i < list->count; i++) {
        buf_add_view(full, names[i].name);
        buf_add_byte(full, '\0');
    }
}

static void
on_space(struct peer_message *message)
{
    const struct proto_space *space = message->payload;

    take_full_domains(&space->full_domains);
    listener.policy.room = space->full ? ROOM_FULL : ROOM_THERE;
    msgid_set_floor(&listener.ids, space->floor_ms);
}

static void
on_lost(enum role lost)
{
    if (lost == ROLE_STORE)
        listener.policy.room = ROOM_UNKNOWN;
}

/* --- START --------------------------------------------------------------- */

static int
fresh_list_take(struct view domain)
{
    struct fresh_list *fresh;
    int fd;

    LIST_FOREACH (fresh, &role.fresh_lists, link) {
        if (!view_equal_nocase(domain, view_of(fresh->domain)))
            continue;
        fd = fresh->fd;
        LIST_REMOVE(fresh, link);
        free(fresh->domain);
        free(fresh);
        return fd;
    }
    return -1;
}

static void
fresh_lists_drop(void)
{
    while (!LIST_EMPTY(&role.fresh_lists))
        close(fresh_list_take(view_of(LIST_FIRST(&role.fresh_lists)->domain)));
}

/* The list of a domain: the one just sent, or the old one where that is bad,
 * or the word that it is unknown. Never nobody: that would refuse for good. */
static struct listener_list
list_of(const struct conf_domain *domain, struct listener_list *old)
{
    struct listener_list known = {0};
    int fd = fresh_list_take(domain->name);

    if (fd >= 0 && domain->recipients == CONF_RECIPIENTS_LIST) {
        char *name =
            mem_copy(domain->recipient_file.data, domain->recipient_file.len);
        struct why why;

        known.list = recipients_load(fd, name, domain->name, &why);
        if (known.list == NULL)
            log_warn("%s", why.text);
        free(name);
    }
    if (fd >= 0)
        close(fd);
    if (domain->recipients != CONF_RECIPIENTS_LIST)
        return known;
    if (known.list == NULL && old != NULL) {
        known.list = old->list;
        old->list = NULL;
    }
    known.is_unknown = known.list == NULL;
    return known;
}

/* Where the list of a domain stood in the configuration before. */
static struct listener_list *
old_list(const struct listener_policy *policy, struct view name)
{
    const struct conf_domain *domain =
        policy->conf != NULL ? conf_domain_by_name(policy->conf, name) : NULL;

    if (domain == NULL)
        return NULL;
    return &policy->lists[domain - (const struct conf_domain *)
                                       policy->conf->domains.items];
}

static void
take_lists(const struct conf *conf)
{
    struct listener_policy *policy = &listener.policy;
    const struct conf_domain *domains = conf->domains.items;
    struct listener_list *lists =
        mem_alloc((conf->domains.count + 1) * sizeof(*lists));

    for (size_t i = 0; i < conf->domains.count; i++)
        lists[i] = list_of(&domains[i], old_list(policy, domains[i].name));
    for (size_t i = 0; policy->conf != NULL && i < policy->conf->domains.count;
         i++)
        recipients_free(&policy->lists[i].list);
    free(policy->lists);
    policy->lists = lists;
    fresh_lists_drop();
}

static void
take_sockets(void)
{
    struct listen_socket *socket, *next;

    sockets_close(&role.sockets);
    for (socket = LIST_FIRST(&role.fresh_sockets); socket != NULL;
         socket = next) {
        next = LIST_NEXT(socket, link);
        LIST_REMOVE(socket, link);
        LIST_INSERT_HEAD(&role.sockets, socket, link);
        socket->watch = loop_watch_new(socket->fd, on_acceptable, NULL);
    }
}

/* What came before START takes the place of what was there. */
static void
take_all(const struct conf *conf)
{
    struct listener_session *session;

    take_lists(conf);
    listener.policy.conf = conf;
    LIST_FOREACH (session, &listener.sessions, link) {
        if (session->content != NULL) /* it borrowed the old name */
            session->content->header.hostname = conf->hostname;
    }
    tls_free(&listener.tls);
    listener.tls = role.fresh_tls;
    role.fresh_tls = NULL;
    listener.policy.offers_tls = listener.tls != NULL;
    take_sockets();
}

static void
listener_start(const struct conf *conf)
{
    stats_set(STAT_CONNECTIONS_NOW, 0);
    stats_set(STAT_TRANSACTIONS_NOW, 0);
    role.accept_again = loop_timer_new(on_accept_again, NULL);
    take_all(conf);
    role_ready();
}

static void
listener_reload(const struct conf *conf)
{
    if (listener.draining)
        return;
    take_all(conf);
}

/* --- drain --------------------------------------------------------------- */

static void
drain_sessions(bool by_force)
{
    struct listener_session *session, *next;

    for (session = LIST_FIRST(&listener.sessions); session != NULL;
         session = next) {
        next = LIST_NEXT(session, link);
        listener_session_drain(session, by_force);
    }
}

static void
on_drain_limit(void *arg)
{
    (void)arg;
    drain_sessions(true);
}

static void
listener_drain(uint64_t limit_ms)
{
    struct listen_socket *socket;

    listener.draining = true;
    loop_timer_cancel(role.accept_again);
    /* The daemon stops: no client shall wait in a queue nobody empties. */
    LIST_FOREACH (socket, &role.sockets, link)
        shutdown(socket->fd, SHUT_RD);
    sockets_close(&role.sockets);
    drain_sessions(false);
    role.drain_limit = loop_timer_new(on_drain_limit, NULL);
    loop_timer_set(role.drain_limit, limit_ms);
    if (listener.n_sessions == 0)
        loop_defer(all_done, NULL);
}

static const struct peer_handler handlers[] = {
    {PROTO_LISTEN, on_listen},
    {PROTO_RECIPIENTS, on_recipients},
    {PROTO_CERTIFICATE, on_certificate},
    {PROTO_SPACE, on_space},
    {PROTO_PAIRS, sealing_on_pairs},
    {PROTO_DICTIONARY, sealing_on_dictionary},
};

const struct role_entry listener_role = {
    .role = ROLE_LISTENER,
    .directory = "incoming",
    .handlers = handlers,
    .n_handlers = sizeof(handlers) / sizeof(handlers[0]),
    .hooks = {.on_lost = on_lost},
    .start = listener_start,
    .reload = listener_reload,
    .drain = listener_drain,
};
