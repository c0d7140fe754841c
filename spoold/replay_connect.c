/* SPDX-License-Identifier: ISC */
/*
 * From addresses to one connection (RFC 8305): the first is tried, and when
 * it has not answered within a quarter of a second the next one of the same
 * rank is tried beside it, and so on; the first that is there wins. Addresses
 * of lesser rank wait until all others have failed. One that lost is tried
 * again should the winner turn out to be no good.
 *
 * Before: replay_route.c   After: replay_session.c
 */
#include "replay.h"

#include <sys/un.h>

#include <stdio.h>
#include <stdlib.h>

#include "io.h"
#include "loop.h"
#include "mem.h"
#include "peer.h"

#define BESIDE_MS 250 /* RFC 8305 5 */
#define RACERS    4   /* at a time */

enum entry_state {
    ENTRY_WAITS,  /* to be tried */
    ENTRY_RACES,  /* io is on its way */
    ENTRY_FAILED, /* or was handed over */
};

struct entry {
    struct replay_connect *connect;
    struct replay_address address;
    enum entry_state state;
    struct io *io;
};

struct replay_connect {
    struct replay_target *target; /* hears which address failed */
    replay_connect_fn *fn;
    void *arg;
    struct entry *entries;
    size_t n;
    struct loop_timer *beside;
    bool running;
};

static void go_on(struct replay_connect *connect);

/* --- one address --------------------------------------------------------- */

static void
entry_stop(struct entry *entry, enum entry_state state)
{
    peer_forget(entry);
    io_free(&entry->io);
    entry->state = state;
}

/* The others of the race give up. Those that were slow are slow. */
static void
stop_race(struct replay_connect *connect, bool report)
{
    loop_timer_cancel(connect->beside);
    connect->running = false;
    for (size_t i = 0; i < connect->n; i++)
        if (connect->entries[i].state == ENTRY_RACES) {
            entry_stop(&connect->entries[i], ENTRY_WAITS);
            if (report)
                replay_route_report(connect->target->route,
                                    &connect->entries[i].address, false);
        }
}

static void
on_connected(void *arg)
{
    struct entry *entry = arg;
    struct replay_connect *connect = entry->connect;
    struct io *io = entry->io;

    entry->io = NULL;
    entry->state = ENTRY_FAILED;
    stop_race(connect, true);
    connect->fn(connect->arg, io, &entry->address, NULL);
}

static void
entry_failed(struct entry *entry, const char *why)
{
    struct replay_connect *connect = entry->connect;
    char reason[256];

    snprintf(reason, sizeof(reason), "%s, while connecting", why);
    entry_stop(entry, ENTRY_FAILED);
    replay_route_report(connect->target->route, &entry->address, false);
    connect->fn(connect->arg, NULL, &entry->address, reason);
    if (connect->running)
        go_on(connect);
}

static void
on_end(void *arg, enum io_end end)
{
    struct entry *entry = arg;

    entry_failed(entry, end == IO_TIMEOUT ? "timeout"
                        : end == IO_EOF   ? "the connection was closed"
                                          : io_reason(entry->io));
}

/* Before it is there nothing comes in. */
static void
on_input(void *arg)
{
    (void)arg;
}

static const struct io_handlers handlers = {
    .on_connected = on_connected,
    .on_input = on_input,
    .on_end = on_end,
};

static void
on_socket(void *arg, struct peer_message *answer)
{
    struct entry *entry = arg;
    const struct proto_done *done = answer != NULL ? answer->payload : NULL;
    char reason[200] = "the parent is gone";

    if (done != NULL && answer->fd >= 0) {
        entry->io = io_new(answer->fd, &handlers, entry);
        answer->fd = -1;
        on_connected(entry);
        return;
    }
    if (done != NULL)
        snprintf(reason, sizeof(reason), "%.*s", (int)done->text.len,
                 done->text.data);
    entry_failed(entry, reason);
}

/* A socket of this system has no path from our root directory: the parent
 * connects, which is at once or not at all. */
static void
entry_ask_parent(struct entry *entry)
{
    const struct sockaddr_un *to =
        (const struct sockaddr_un *)&entry->address.to;
    struct proto_name path = {view_of(to->sun_path)};

    peer_call(ROLE_PARENT, PROTO_CONNECT, &path, -1, on_socket, entry);
}

static void
entry_start(struct entry *entry)
{
    entry->state = ENTRY_RACES;
    if (entry->address.to.ss_family == AF_UNIX) {
        entry_ask_parent(entry);
        return;
    }
    entry->io = io_connect((const struct sockaddr *)&entry->address.to,
                           entry->address.to_len, &handlers, entry);
    io_set_timeout(entry->io, entry->connect->target->connect_timeout_ms);
}

/* --- the race ------------------------------------------------------------ */

static struct entry *
next_waiting(struct replay_connect *connect)
{
    for (size_t i = 0; i < connect->n; i++)
        if (connect->entries[i].state == ENTRY_WAITS)
            return &connect->entries[i];
    return NULL;
}

/* How many race; *same: all of them are of this rank. */
static size_t
racing(const struct replay_connect *connect, unsigned group, bool *same)
{
    size_t n = 0;

    *same = true;
    for (size_t i = 0; i < connect->n; i++)
        if (connect->entries[i].state == ENTRY_RACES) {
            *same &= connect->entries[i].address.group == group;
            n++;
        }
    return n;
}

static void
go_on(struct replay_connect *connect)
{
    struct entry *next = next_waiting(connect);
    bool same;
    size_t n = racing(connect, next != NULL ? next->address.group : 0, &same);

    if (next == NULL && n == 0) {
        connect->running = false;
        connect->fn(connect->arg, NULL, NULL, NULL);
        return;
    }
    if (next == NULL || !same || n == RACERS)
        return;
    entry_start(next);
    loop_timer_set(connect->beside, BESIDE_MS);
}

static void
on_beside(void *arg)
{
    go_on(arg);
}

struct replay_connect *
replay_connect_new(struct replay_target *target,
                   const struct replay_address *addresses, size_t n,
                   replay_connect_fn *fn, void *arg)
{
    struct replay_connect *connect = mem_alloc(sizeof(*connect));

    *connect = (struct replay_connect){
        .target = target,
        .fn = fn,
        .arg = arg,
        .entries = mem_alloc(n * sizeof(*connect->entries)),
        .n = n,
        .beside = loop_timer_new(on_beside, connect),
    };
    for (size_t i = 0; i < n; i++) {
        connect->entries[i].connect = connect;
        connect->entries[i].address = addresses[i];
    }
    return connect;
}

void
replay_connect_free(struct replay_connect **connect)
{
    if (*connect == NULL)
        return;
    stop_race(*connect, false);
    loop_timer_free(&(*connect)->beside);
    free((*connect)->entries);
    free(*connect);
    *connect = NULL;
}

void
replay_connect_next(struct replay_connect *connect)
{
    connect->running = true;
    go_on(connect);
}

void
replay_connect_again(struct replay_connect *connect,
                     const struct replay_address *address)
{
    for (size_t i = 0; i < connect->n; i++)
        if (&connect->entries[i].address == address) {
            connect->running = true;
            entry_start(&connect->entries[i]);
        }
}
