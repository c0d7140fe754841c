/* SPDX-License-Identifier: ISC */
/*
 * How a process becomes a role. The order is the same for all: the parent
 * sends the configuration, sockets and channels; at START the process moves
 * into its directory (as its root when started as root), drops the user,
 * gives up new privileges for good, and only then begins to work.
 */
#include "role.h"

#include <sys/prctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event.h"
#include "log.h"
#include "loop.h"
#include "stats.h"

#define PARENT_FD 3

static const struct role_entry *const entries[ROLE_COUNT] = {
    [ROLE_LISTENER] = &listener_role, [ROLE_STORE] = &store_role,
    [ROLE_REPLAY] = &replay_role,     [ROLE_CONTROL] = &control_role,
    [ROLE_IMAP] = &imap_role,
    [ROLE_AUTH] = &auth_role,
};

static struct {
    const struct role_entry *entry;
    struct conf *conf;    /* in force */
    struct conf *pending; /* came with CONF, in force at START */
    bool started;
} role;

/* --- privileges ---------------------------------------------------------- */

static void
role_drop_user(const struct passwd *user)
{
    if (setgroups(1, &user->pw_gid) != 0 ||
        setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0)
        fatal("becoming user %s: %s", user->pw_name, strerror(errno));
}

static void
role_confine(const struct conf *conf)
{
    char directory[4096];
    char name[256];
    struct passwd *user = NULL;

    snprintf(directory, sizeof(directory), "%.*s/%s", (int)conf->spool.len,
             conf->spool.data, role.entry->directory);
    snprintf(name, sizeof(name), "%.*s", (int)conf->user.len, conf->user.data);
    /* The user's name cannot be looked up from inside the new root. */
    if (geteuid() == 0 && (user = getpwnam(name)) == NULL)
        fatal_exit(ROLE_EXIT_CONFIG, "there is no user \"%s\"", name);
    if (chdir(directory) != 0)
        fatal("%s: %s", directory, strerror(errno));
    if (user != NULL) {
        if (chroot(".") != 0 || chdir("/") != 0)
            fatal("root directory %s: %s", directory, strerror(errno));
        role_drop_user(user);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fatal("giving up privileges: %s", strerror(errno));
}

/* A read from the map of a disk that fails arrives as SIGBUS; LMDB trusts its
 * file, and may follow a damaged page to where nothing is. Nothing can be
 * trusted then; the parent starts the role again. */
static void
on_bad_memory(int number)
{
    static const char bus[] =
        "fatal: reading the spool failed (SIGBUS): when the disk is well, stop "
        "spoold and run \"spoolctl check --offline\"\n";
    static const char segv[] =
        "fatal: bad memory (SIGSEGV), perhaps from a damaged store: stop "
        "spoold and run \"spoolctl check --offline\"\n";
    ssize_t ignored = number == SIGBUS
                          ? write(STDERR_FILENO, bus, sizeof(bus) - 1)
                          : write(STDERR_FILENO, segv, sizeof(segv) - 1);

    (void)ignored;
    _exit(ROLE_EXIT_STORE);
}

/* Not where somebody (a sanitizer) looks at it already. */
static void
on_bad_memory_set(int number)
{
    struct sigaction bad = {.sa_handler = on_bad_memory}, old;

    if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        sigaction(number, &bad, NULL);
}

static void
role_signals(void)
{
    /* The parent hears the operator's signals and passes them on in words. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    on_bad_memory_set(SIGBUS);
    if (role.entry->role != ROLE_LISTENER) /* it reads no store */
        on_bad_memory_set(SIGSEGV);
}

/* --- messages of the parent that mean the same to every role ------------- */

static void
on_conf(struct peer_message *message)
{
    const struct proto_blob *blob = message->payload;
    struct why why;

    conf_free(&role.pending);
    role.pending = conf_decode(blob->bytes, &why);
    if (role.pending == NULL)
        fatal("the configuration does not decode: %s", why.text);
}

static void
on_peer(struct peer_message *message)
{
    const struct proto_peer *peer = message->payload;

    if (peer->role >= ROLE_COUNT)
        return;
    peer_set((enum role)peer->role, message->fd);
    message->fd = -1;
}

static void
on_stats(struct peer_message *message)
{
    stats_attach(message->fd);
    message->fd = -1;
}

static void
on_start(struct peer_message *message)
{
    struct conf *old = role.conf;

    (void)message;
    if (role.pending == NULL)
        fatal("started without a configuration");
    role.conf = role.pending;
    role.pending = NULL;
    if (role.started) {
        role.entry->reload(role.conf);
    } else {
        role.started = true;
        if (role.entry->prepare != NULL)
            role.entry->prepare();
        role_confine(role.conf);
        role.entry->start(role.conf);
    }
    conf_free(&old);
}

static void
on_drain(struct peer_message *message)
{
    const struct proto_drain *drain = message->payload;

    role.entry->drain(drain->limit_ms);
}

static void
send_event(struct view line)
{
    struct proto_blob blob = {line};

    peer_send(ROLE_CONTROL, PROTO_EVENT, &blob, -1);
}

void
role_on_watch(struct peer_message *message)
{
    const struct proto_count *on = message->payload;

    event_watch(on->count > 0 ? send_event : NULL);
}

static const struct peer_handler common[] = {
    {PROTO_CONF, on_conf},   {PROTO_PEER, on_peer},
    {PROTO_STATS, on_stats}, {PROTO_START, on_start},
    {PROTO_DRAIN, on_drain}, {PROTO_WATCH, role_on_watch},
};

/* --- life ---------------------------------------------------------------- */

void
role_ready(void)
{
    struct proto_none none = {0};

    peer_send(ROLE_PARENT, PROTO_READY, &none, -1);
}

void
role_done(void)
{
    peer_flush();
    loop_stop();
}

static const struct role_entry *
entry_by_name(const char *name)
{
    for (int r = 0; r < ROLE_COUNT; r++)
        if (entries[r] != NULL && strcmp(role_name((enum role)r), name) == 0)
            return entries[r];
    return NULL;
}

int
role_run(const char *name, bool debug)
{
    char process[16]; /* what ps(1) and top(1) show */
    int type;
    socklen_t len = sizeof(type);

    role.entry = entry_by_name(name);
    if (role.entry == NULL) {
        fprintf(stderr, "spoold: there is no role \"%s\"\n", name);
        return 2;
    }
    if (getsockopt(PARENT_FD, SOL_SOCKET, SO_TYPE, &type, &len) != 0) {
        fprintf(stderr, "spoold: -x is the parent's, there is none here\n");
        return 2;
    }
    log_init(role_name(role.entry->role), debug);
    snprintf(process, sizeof(process), "spoold-%s", name);
    prctl(PR_SET_NAME, process);
    role_signals();
    loop_init();
    peer_init(role.entry->role, role.entry->handlers, role.entry->n_handlers,
              &role.entry->hooks);
    peer_understand(common, sizeof(common) / sizeof(common[0]));
    peer_set(ROLE_PARENT, PARENT_FD);
    loop_run();
    conf_free(&role.conf);
    conf_free(&role.pending);
    return 0;
}
