/* SPDX-License-Identifier: ISC */
/*
 * The control role: the socket spoolctl talks to. It reads the store and asks
 * the other roles; it changes nothing itself. Only root and the daemon's own
 * user get in, by the credentials the kernel vouches for.
 *
 * Before: spoolctl
 * After:  control_client.c
 */
#include "control.h"

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "db_copy.h"
#include "log.h"
#include "mem.h"
#include "role.h"
#include "sealing.h"

#define ACCEPT_PAUSE_MS 1000 /* out of descriptors: wait for some to close */

struct control_state control_state;

static struct {
    int fd; /* the listening socket; -1: none yet */
    struct loop_watch *watch;
    struct loop_timer *pause_timer;
    struct loop_timer *drain_timer; /* NULL: not draining */
    struct db *db;
} control = {.fd = -1};

struct db *
control_db(struct why *why)
{
    if (control.db == NULL)
        control.db = db_open_reader(".", why);
    return control.db;
}

/* --- who gets in --------------------------------------------------------- */

static void
turn_away(int fd, const char *reason)
{
    char line[200];
    int n = snprintf(line, sizeof(line),
                     "{\"done\":{\"exit\":1,\"error\":\"%s\"}}\n", reason);

    /* A new socket has room for one line. */
    if (send(fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("a client was turned away unheard: %s", strerror(errno));
    close(fd);
}

static void
control_admit(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    char reason[120];

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        turn_away(fd, "the kernel does not say who you are");
    } else if (peer.uid != 0 && peer.uid != geteuid()) {
        snprintf(reason, sizeof(reason),
                 "user %d may not control this daemon: use root or user %d",
                 (int)peer.uid, (int)geteuid());
        log_warn("control socket: %s", reason);
        turn_away(fd, reason);
    } else if (control_n_clients() >= CONTROL_CLIENTS_MAX) {
        snprintf(reason, sizeof(reason),
                 "there are %d control sessions already; end one of them",
                 CONTROL_CLIENTS_MAX);
        turn_away(fd, reason);
    } else {
        control_client_new(fd);
    }
}

static void
control_accept(int listen_fd, void *arg)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)arg;
    if (fd >= 0) {
        control_admit(fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
        log_warn("control socket: %s", strerror(errno));
        loop_watch_pause(control.watch);
        loop_timer_set(control.pause_timer, ACCEPT_PAUSE_MS);
    }
}

static void
control_accept_again(void *arg)
{
    (void)arg;
    if (control.watch != NULL)
        loop_watch_resume(control.watch);
}

static void
control_listen(void)
{
    if (control.fd < 0 || control.pause_timer == NULL)
        return; /* not both there yet */
    loop_watch_free(&control.watch);
    control.watch = loop_watch_new(control.fd, control_accept, NULL);
}

/* --- messages of other roles --------------------------------------------- */

static void
control_on_listen(struct peer_message *message)
{
    loop_watch_free(&control.watch);
    if (control.fd >= 0)
        close(control.fd);
    control.fd = message->fd;
    message->fd = -1;
    fcntl(control.fd, F_SETFL, fcntl(control.fd, F_GETFL) | O_NONBLOCK);
    control_listen();
}

static void
control_on_roles(struct peer_message *message)
{
    buf_reset(&control_state.roles);
    buf_add_view(&control_state.roles, message->bytes);
}

static void
control_on_pairs(struct peer_message *message)
{
    buf_reset(&control_state.pairs);
    buf_add_view(&control_state.pairs, message->bytes);
    sealing_on_pairs(message);
}

static void
control_on_space(struct peer_message *message)
{
    const struct proto_space *space = message->payload;
    const struct proto_name *names = space->full_domains.items;

    control_state.space = *space;
    control_state.space.full_domains = (struct record_list){0}; /* borrowed */
    buf_reset(&control_state.full_domains);
    for (size_t i = 0; i < space->full_domains.count; i++) {
        buf_add_view(&control_state.full_domains, names[i].name);
        buf_add_byte(&control_state.full_domains, '\0');
    }
    control_state.has_space = true;
}

/* The store is in another file now. Nothing of the old one is kept between
 * two turns but the environment: every question is a transaction of its own,
 * and what is found is copied. */
static void
control_on_reopen(struct peer_message *message)
{
    struct why why;

    (void)message;
    if (control.db != NULL && db_is_replaced(control.db) &&
        db_reopen(control.db, &why) != 0)
        fatal("%s", why.text);
}

static void
control_on_lost(enum role role)
{
    if (role == ROLE_PARENT)
        fatal("the parent is gone");
    if (role == ROLE_STORE) {
        control_state.has_space = false;
        control_state.space = (struct proto_space){0};
        buf_reset(&control_state.full_domains);
    }
}

/* --- role ---------------------------------------------------------------- */

static void
control_reload(const struct conf *conf)
{
    control_state.conf = conf;
}

static void
control_start(const struct conf *conf)
{
    json_set_alloc_funcs(mem_alloc, free);
    control_reload(conf);
    control_state.started_ms = (uint64_t)clock_wall_ms();
    control.pause_timer = loop_timer_new(control_accept_again, NULL);
    control_listen();
    role_ready();
}

static void
control_drained(void *arg)
{
    (void)arg;
    role_done();
}

void
control_client_gone(void)
{
    if (control.drain_timer != NULL && control_n_clients() == 0)
        role_done();
}

/* Commands under way may end, as long as there is time. */
static void
control_drain(uint64_t limit_ms)
{
    loop_watch_free(&control.watch);
    control.drain_timer = loop_timer_new(control_drained, NULL);
    loop_timer_set(control.drain_timer, limit_ms);
    control_watch_stop();
    control_clients_drain();
    control_client_gone();
}

static const struct peer_handler handlers[] = {
    {PROTO_LISTEN, control_on_listen},         {PROTO_ROLES, control_on_roles},
    {PROTO_SPACE, control_on_space},           {PROTO_EVENT, control_on_event},
    {PROTO_REOPEN, control_on_reopen},         {PROTO_PAIRS, control_on_pairs},
    {PROTO_DICTIONARY, sealing_on_dictionary},
};

const struct role_entry control_role = {
    .role = ROLE_CONTROL,
    .directory = ".",
    .handlers = handlers,
    .n_handlers = sizeof(handlers) / sizeof(handlers[0]),
    .hooks = {.on_up = control_watch_role, .on_lost = control_on_lost},
    .start = control_start,
    .reload = control_reload,
    .drain = control_drain,
};
