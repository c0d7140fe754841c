/* SPDX-License-Identifier: ISC */
/*
 * The processes: started (fork and exec of this same program, so that no
 * role inherits another's memory), wired to each other, started again with
 * back-off when they die, stopped in the order in which mail flows.
 *
 * A role's life: R_NONE -> R_STARTING (process runs, READY not heard) ->
 * R_UP -> (dies) R_WAITING (back-off) -> R_STARTING; in an orderly stop
 * R_DRAINING -> R_NONE.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "event.h"
#include "log.h"
#include "loop.h"
#include "parent.h"
#include "peer.h"
#include "role.h"

#define CHANNEL_FD 3
#define LOCK_FD    4

#define RESTART_MIN_MS 100
#define RESTART_MAX_MS 30000
/* A role that lived this long starts its back-off anew. */
#define RESTART_CALM_MS 60000
/* What a role may take beyond the limit it was given to drain. */
#define KILL_AFTER_MS  5000
#define ASKED_AGAIN_MS 1000

enum life { R_NONE, R_STARTING, R_UP, R_WAITING, R_DRAINING };

struct child {
    enum role role;
    enum life life;
    pid_t pid;
    uint64_t restarts;
    int64_t started_ms; /* monotonic */
    uint64_t since_ms;  /* wall */
    uint64_t back_off_ms;
    struct loop_timer *again;
};

/* The order of an orderly stop: no new mail, deliveries under way finish,
 * then the operator's door, and the store when nobody writes any more. */
static const enum role stop_order[] = {ROLE_LISTENER, ROLE_IMAP,    ROLE_AUTH,
                                       ROLE_REPLAY,   ROLE_CONTROL, ROLE_STORE};
#define STOP_STEPS (sizeof(stop_order) / sizeof(stop_order[0]))

static struct {
    struct parent_gifts *gifts;
    struct child children[ROLE_COUNT];
    bool announced; /* the event "started" was logged */
    bool stopping;
    size_t stop_step;
    int64_t stop_asked_ms;
    int64_t stop_by_ms; /* monotonic: what is left of the drain limit */
    int status;
    struct loop_timer *kill;
} roles;

static void child_start(struct child *child);
static void stop_next(void);

/* --- which roles there are --------------------------------------------- */

static enum role
role_of_service(struct view service)
{
    return view_equal(service, VIEW("smtp")) ? ROLE_LISTENER : ROLE_IMAP;
}

/* Nobody gets the secrets who has nothing to do with them. */
static bool
is_wanted(enum role role)
{
    const struct parent_sockets *sockets = &roles.gifts->sockets;

    if (role != ROLE_IMAP && role != ROLE_AUTH)
        return true;
    for (size_t i = 0; i < sockets->count; i++)
        if (role_of_service(sockets->items[i].service) == ROLE_IMAP)
            return true;
    return false;
}

/* --- what others are told ------------------------------------------------ */

static void
tell_control(void)
{
    struct proto_role_now now[ROLE_COUNT + 1];
    struct proto_roles list = {{now, 0}};

    now[list.roles.count++] = (struct proto_role_now){
        view_of(role_name(ROLE_PARENT)), (uint64_t)getpid(), 0,
        roles.children[ROLE_PARENT].since_ms};
    for (int r = 1; r < ROLE_COUNT; r++) {
        const struct child *child = &roles.children[r];

        if (child->life == R_NONE && !is_wanted(child->role))
            continue;
        now[list.roles.count++] = (struct proto_role_now){
            view_of(role_name(child->role)),
            child->life == R_STARTING || child->life == R_UP
                ? (uint64_t)child->pid
                : 0,
            child->restarts, child->since_ms};
    }
    peer_send(ROLE_CONTROL, PROTO_ROLES, &list, -1);
}

/* To the log and to the ledger. */
static void
note(struct event *event, enum event_kind kind, const char *text)
{
    struct ledger_entry entry = {.when_ms = (uint64_t)clock_wall_ms(),
                                 .event = kind,
                                 .text = view_of(text)};

    event_end(event);
    peer_send(ROLE_STORE, PROTO_NOTE, &entry, -1);
}

/* --- gifts --------------------------------------------------------------- */

static int
copy_of(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 10);

    if (copy < 0)
        fatal("no descriptors left: %s", strerror(errno));
    return copy;
}

static void
give_sockets(enum role to)
{
    const struct parent_gifts *gifts = roles.gifts;

    for (size_t i = 0; i < gifts->sockets.count; i++) {
        const struct parent_socket *socket = &gifts->sockets.items[i];
        struct proto_listen listen = {socket->service,
                                      view_of(socket->address)};

        if (role_of_service(socket->service) != to)
            continue;
        peer_send(to, PROTO_LISTEN, &listen, copy_of(socket->fd));
    }
    if (to == ROLE_CONTROL) {
        struct proto_listen listen = {VIEW("control"), gifts->conf->control};

        peer_send(to, PROTO_LISTEN, &listen, copy_of(gifts->control_fd));
    }
}

static void
give_lists(void)
{
    const struct conf_domain *domains = roles.gifts->conf->domains.items;

    for (size_t i = 0; i < roles.gifts->conf->domains.count; i++) {
        struct proto_name name = {domains[i].name};
        int fd = parent_list_fd(roles.gifts->lists, domains[i].name);

        if (fd >= 0)
            peer_send(ROLE_LISTENER, PROTO_RECIPIENTS, &name, copy_of(fd));
    }
}

static void
give_certificate(enum role to)
{
    const struct parent_gifts *gifts = roles.gifts;
    struct proto_certificate certificate = {
        {gifts->certificate, gifts->certificate_len},
        {gifts->key, gifts->key_len}};

    if (gifts->certificate != NULL)
        peer_send(to, PROTO_CERTIFICATE, &certificate, -1);
}

/* The configuration and all that comes with it; at START it is in force. */
static void
give_all(enum role to)
{
    struct proto_none none = {0};
    struct buf text = {0};
    struct proto_blob blob;

    conf_encode(roles.gifts->conf, &text);
    blob.bytes = buf_view(&text);
    peer_send(to, PROTO_CONF, &blob, -1);
    buf_free(&text);
    parent_keys_give(roles.gifts->keys, to, roles.gifts->conf);
    give_sockets(to);
    if (to == ROLE_LISTENER || to == ROLE_IMAP)
        give_certificate(to);
    if (to == ROLE_LISTENER)
        give_lists();
    if (to == ROLE_REPLAY || to == ROLE_AUTH)
        parent_files_give(roles.gifts->files, to);
    peer_send(to, PROTO_START, &none, -1);
}

static void
wire(enum role a, enum role b)
{
    struct proto_peer is_a = {a}, is_b = {b};
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   pair) != 0)
        fatal("channel between roles: %s", strerror(errno));
    peer_send(a, PROTO_PEER, &is_b, pair[0]);
    peer_send(b, PROTO_PEER, &is_a, pair[1]);
}

static bool
is_running(const struct child *child)
{
    return child->life == R_STARTING || child->life == R_UP ||
           child->life == R_DRAINING;
}

static void
wire_all(enum role role)
{
    for (int other = 1; other < ROLE_COUNT; other++)
        if (other != (int)role && is_running(&roles.children[other]) &&
            proto_meet(role, (enum role)other))
            wire(role, (enum role)other);
}

/* --- start --------------------------------------------------------------- */

static void
child_exec(const struct child *child, int channel)
{
    char name[32];
    char self[] = "/proc/self/exe";
    char flag_x[] = "-x", flag_d[] = "-d", program[] = "spoold";
    char *argv[] = {program, flag_x, name, NULL, NULL};
    sigset_t none;

    snprintf(name, sizeof(name), "%s", role_name(child->role));
    if (roles.gifts->debug)
        argv[3] = flag_d;
    /* Both are above the numbers they go to: see copy_of. */
    if (dup2(channel, CHANNEL_FD) < 0 ||
        dup2(roles.gifts->lock_fd, LOCK_FD) < 0)
        _exit(ROLE_EXIT_CONFIG);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(self, argv);
    _exit(ROLE_EXIT_CONFIG);
}

static void
child_start(struct child *child)
{
    int pair[2], ours, theirs;
    struct proto_none none = {0};

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   pair) != 0)
        fatal("channel to %s: %s", role_name(child->role), strerror(errno));
    ours = copy_of(pair[0]);
    theirs = copy_of(pair[1]);
    close(pair[0]);
    close(pair[1]);
    child->pid = fork();
    if (child->pid < 0)
        fatal("starting %s: %s", role_name(child->role), strerror(errno));
    if (child->pid == 0)
        child_exec(child, theirs);
    close(theirs);
    child->life = R_STARTING;
    child->started_ms = clock_mono_ms();
    child->since_ms = (uint64_t)clock_wall_ms();
    peer_set(child->role, ours);
    peer_send(child->role, PROTO_STATS, &none, copy_of(roles.gifts->stats_fd));
    wire_all(child->role);
    give_all(child->role);
    tell_control();
}

static void
start_again(void *arg)
{
    struct child *child = arg;

    if (!roles.stopping && child->life == R_WAITING)
        child_start(child);
}

static bool
all_up(void)
{
    for (int r = 1; r < ROLE_COUNT; r++)
        if (roles.children[r].life != R_UP && is_wanted((enum role)r))
            return false;
    return true;
}

static void
on_ready(struct peer_message *message)
{
    struct child *child = &roles.children[message->from];
    struct event event;

    if (child->life != R_STARTING)
        return;
    child->life = R_UP;
    tell_control();
    /* The first READY is the store's: the tables are there to be read. */
    for (int r = 1; r < ROLE_COUNT && !roles.stopping; r++)
        if (roles.children[r].life == R_NONE && is_wanted((enum role)r))
            child_start(&roles.children[r]);
    if (roles.announced || !all_up())
        return;
    roles.announced = true;
    event_begin(&event, EVENT_STARTED);
    event_text(&event, "version", SPOOLD_VERSION);
    event_view(&event, "spool", roles.gifts->conf->spool);
    for (size_t i = 0; i < roles.gifts->sockets.count; i++)
        event_text(&event, "listen", roles.gifts->sockets.items[i].address);
    note(&event, EVENT_STARTED, SPOOLD_VERSION);
}

/* --- death --------------------------------------------------------------- */

static void
child_died(struct child *child, int status)
{
    struct event event;
    char how[64];
    int64_t lived_ms = clock_mono_ms() - child->started_ms;

    if (WIFSIGNALED(status))
        snprintf(how, sizeof(how), "signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof(how), "exit %d", WEXITSTATUS(status));
    child->back_off_ms = child->back_off_ms == 0 || lived_ms > RESTART_CALM_MS
                             ? RESTART_MIN_MS
                             : child->back_off_ms * 2;
    if (child->back_off_ms > RESTART_MAX_MS)
        child->back_off_ms = RESTART_MAX_MS;
    child->life = R_WAITING;
    child->restarts++;
    event_begin(&event, EVENT_ROLE_DIED);
    event_text(&event, "role", role_name(child->role));
    event_num(&event, "pid", (uint64_t)child->pid);
    event_text(&event, "how", how);
    event_num(&event, "again-ms", child->back_off_ms);
    note(&event, EVENT_ROLE_DIED, role_name(child->role));
    tell_control();
    loop_timer_set(child->again, child->back_off_ms);
}

static void
child_ended(struct child *child, int status)
{
    bool in_order = WIFEXITED(status) && WEXITSTATUS(status) == 0;

    peer_close(child->role);
    if (roles.stopping) {
        if (!in_order)
            roles.status = 1;
        child->life = R_NONE;
        if (child->role == stop_order[roles.stop_step])
            stop_next();
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == ROLE_EXIT_CONFIG) {
        /* It said why. Trying again would say the same. */
        child->life = R_NONE;
        roles.status = 1;
        parent_roles_stop();
    } else {
        child_died(child, status);
    }
}

static void
on_child(void *arg)
{
    int status;
    pid_t pid;

    (void)arg;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int r = 1; r < ROLE_COUNT; r++)
            if (roles.children[r].pid == pid && is_running(&roles.children[r]))
                child_ended(&roles.children[r], status);
}

static void
on_report(struct peer_message *message)
{
    const struct proto_peer *offender = message->payload;

    if (offender->role == ROLE_PARENT || offender->role >= ROLE_COUNT ||
        !is_running(&roles.children[offender->role]))
        return;
    log_warn("%s is ended: %s could not trust what it said",
             role_name((enum role)offender->role), role_name(message->from));
    kill(roles.children[offender->role].pid, SIGKILL);
}

/* --- stop ---------------------------------------------------------------- */

static void
kill_slow(void *arg)
{
    (void)arg;
    for (int r = 1; r < ROLE_COUNT; r++)
        if (is_running(&roles.children[r])) {
            log_warn("%s did not stop in time and is killed",
                     role_name((enum role)r));
            kill(roles.children[r].pid, SIGKILL);
        }
}

/* Drains the next role that runs; leaves the loop after the last. */
static void
stop_next(void)
{
    for (; roles.stop_step < STOP_STEPS; roles.stop_step++) {
        struct child *child = &roles.children[stop_order[roles.stop_step]];
        int64_t left_ms = roles.stop_by_ms - clock_mono_ms();
        struct proto_drain drain = {left_ms > 0 ? (uint64_t)left_ms : 0};

        if (!is_running(child)) {
            child->life = R_NONE;
            continue;
        }
        child->life = R_DRAINING;
        peer_send(child->role, PROTO_DRAIN, &drain, -1);
        return;
    }
    loop_stop();
}

void
parent_roles_stop(void)
{
    struct event event;

    int64_t now_ms = clock_mono_ms();

    if (roles.stopping) {
        /* Asked again: no more patience. But one request may arrive as two
         * signals, to the process and to its group. */
        if (now_ms - roles.stop_asked_ms > ASKED_AGAIN_MS)
            kill_slow(NULL);
        return;
    }
    roles.stopping = true;
    roles.stop_asked_ms = now_ms;
    roles.stop_by_ms = now_ms + (int64_t)roles.gifts->conf->drain_ms;
    event_begin(&event, EVENT_STOPPED);
    note(&event, EVENT_STOPPED, "");
    loop_timer_set(roles.kill, roles.gifts->conf->drain_ms + KILL_AFTER_MS);
    stop_next();
}

int
parent_roles_status(void)
{
    return roles.status;
}

/* --- keys ----------------------------------------------------------------- */

static void
give_keys(void)
{
    for (int r = 1; r < ROLE_COUNT; r++)
        if (is_running(&roles.children[r]))
            parent_keys_give(roles.gifts->keys, (enum role)r,
                             roles.gifts->conf);
}

static void
on_rotate(struct peer_message *message)
{
    char pair[KEY_PAIR_TEXT_MAX];
    struct why why;
    struct proto_done done = {0};
    struct ledger_entry entry = {.when_ms = (uint64_t)clock_wall_ms(),
                                 .event = EVENT_KEY_MADE};

    if (parent_keys_rotate(roles.gifts->keys, pair, &why) == 0) {
        done.done = 1;
        done.text = entry.text = view_of(pair);
        give_keys();
        peer_send(ROLE_STORE, PROTO_NOTE, &entry, -1);
    } else {
        done.text = view_of(why.text);
    }
    peer_reply(message, PROTO_ROTATED, &done);
}

static void
on_resealed(struct peer_message *message)
{
    const struct proto_pair *pair = message->payload;
    char text[KEY_PAIR_TEXT_MAX];
    struct ledger_entry entry = {.when_ms = (uint64_t)clock_wall_ms(),
                                 .event = EVENT_KEY_DROPPED};

    if (parent_keys_drop(roles.gifts->keys, pair->id) != 0)
        return;
    entry.text = view_of(key_pair_print(pair->id.data, text));
    give_keys();
    peer_send(ROLE_STORE, PROTO_NOTE, &entry, -1);
}

static void
on_sign(struct peer_message *message)
{
    const struct proto_blob *blob = message->payload;
    char public[KEY_SIGN_PUBLIC], signature[KEY_SIGNATURE];
    struct proto_signature answer = {{public, sizeof(public)},
                                     {signature, sizeof(signature)}};

    parent_keys_sign(roles.gifts->keys, blob->bytes, public, signature);
    peer_reply(message, PROTO_SIGNED, &answer);
}

/* --- connections by path ---------------------------------------------------
 */

static void
on_connect(struct peer_message *message)
{
    const struct proto_name *path = message->payload;
    struct proto_done done = {0};
    struct why why;
    int fd = parent_socket_connect(roles.gifts->conf, path->name, &why);

    if (fd >= 0)
        done.done = 1;
    else
        done.text = view_of(why.text);
    peer_reply_fd(message, PROTO_CONNECTED, &done, fd);
}

/* --- setting up ---------------------------------------------------------- */

static const struct peer_handler handlers[] = {
    {PROTO_READY, on_ready},       {PROTO_REPORT, on_report},
    {PROTO_WATCH, role_on_watch},  {PROTO_ROTATE, on_rotate},
    {PROTO_RESEALED, on_resealed}, {PROTO_SIGN, on_sign},
    {PROTO_CONNECT, on_connect},
};

void
parent_roles_init(struct parent_gifts *gifts)
{
    roles.gifts = gifts;
    peer_init(ROLE_PARENT, handlers, sizeof(handlers) / sizeof(handlers[0]),
              NULL);
    for (int r = 0; r < ROLE_COUNT; r++) {
        roles.children[r].role = (enum role)r;
        roles.children[r].since_ms = (uint64_t)clock_wall_ms();
        roles.children[r].again =
            loop_timer_new(start_again, &roles.children[r]);
    }
    roles.kill = loop_timer_new(kill_slow, NULL);
    loop_signal(SIGCHLD, on_child, NULL);
}

void
parent_roles_start(void)
{
    child_start(&roles.children[ROLE_STORE]);
}

void
parent_roles_reload(void)
{
    for (int r = 1; r < ROLE_COUNT; r++)
        if (roles.children[r].life == R_STARTING ||
            roles.children[r].life == R_UP)
            give_all((enum role)r);
        else if (roles.children[r].life == R_NONE && is_wanted((enum role)r) &&
                 roles.announced)
            child_start(&roles.children[r]);
}
