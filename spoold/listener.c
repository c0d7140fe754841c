/* SPDX-License-Identifier: ISC */
/*
 * The listener: takes mail from anybody. This file greets or turns away who
 * comes through gate.c, keeps what holds for all, and stops in order. What the
 * parent sends before START is a full set (sockets, certificate, recipient
 * lists) and takes the place of the one before, but for a list that cannot be
 * read: then the old one stays.
 *
 * After: listener_session.c
 */
#include "listener.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "event.h"
#include "gate.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "peer.h"
#include "role.h"
#include "sealing.h"
#include "stats.h"
#include "tls.h"

struct listener listener = {.ids = {.writer = 1}};

/* A list that came with RECIPIENTS, read at START. */
struct fresh_list {
    char *domain;
    int fd;
    LIST_ENTRY(fresh_list) link;
};
LIST_HEAD(fresh_lists, fresh_list);

static struct {
    struct fresh_lists fresh_lists;
    struct tls *fresh_tls;
    struct loop_timer *drain_limit;
    struct loop_timer *minute; /* ETRN: so many a minute */
} role;

/* --- connections --------------------------------------------------------- */

/* Says 421, without making a session of it. */
static void
turn_away(int fd, const struct gate_guest *guest, const char *reason)
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
        log_debug("%s: %s", guest->address, strerror(errno));
    buf_free(&line);

    stats_add(STAT_CONNECTIONS_REFUSED, 1);
    event_begin(&event, EVENT_REFUSED);
    event_text(&event, "what", "connection");
    event_text(&event, "client", guest->address);
    event_num(&event, "code", (uint64_t)reply.code);
    event_text(&event, "enhanced", reply.enhanced);
    event_text(&event, "reason", reason);
    event_end(&event);
}

static void
admit(int fd, const struct gate_guest *guest)
{
    stats_add(STAT_CONNECTIONS, 1);
    stats_set(STAT_CONNECTIONS_NOW, gate_count());
    listener_session_new(fd, guest);
}

static const struct gate_handlers gate_handlers = {admit, turn_away};

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
    gate_left(session->client);
    session->client = NULL;
    stats_set(STAT_CONNECTIONS_NOW, gate_count());
    if (listener.draining && gate_count() == 0)
        loop_defer(all_done, NULL);
}

/* --- what the parent sends ----------------------------------------------- */

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

static void
on_minute(void *arg)
{
    (void)arg;
    listener.policy.etrn_left = listener.policy.conf->etrn;
    loop_timer_set(role.minute, 60000);
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
    gate_open(conf->connections, conf->connections_per_client);
}

static void
listener_start(const struct conf *conf)
{
    stats_set(STAT_CONNECTIONS_NOW, 0);
    stats_set(STAT_TRANSACTIONS_NOW, 0);
    gate_init(&gate_handlers);
    take_all(conf);
    role.minute = loop_timer_new(on_minute, NULL);
    on_minute(NULL);
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
    listener.draining = true;
    gate_close();
    drain_sessions(false);
    role.drain_limit = loop_timer_new(on_drain_limit, NULL);
    loop_timer_set(role.drain_limit, limit_ms);
    if (gate_count() == 0)
        loop_defer(all_done, NULL);
}

static const struct peer_handler handlers[] = {
    {PROTO_LISTEN, gate_on_listen},
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
