/* SPDX-License-Identifier: ISC */
/*
 * One channel a role. Output is collected and leaves at the end of the turn;
 * input is read in large steps and each frame is checked against
 * proto_table.h before a handler sees it. Answers find their caller through
 * a table of open calls.
 */
#include "peer.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uthash.h>

#include "frame.h"
#include "log.h"
#include "loop.h"
#include "loop_base.h"
#include "mem.h"

struct peer_channel {
    enum role role;
    int fd; /* -1: not there */
    struct event *readable;
    struct event *writable;
    struct frame_out out;
    struct frame_in in;
    bool flushing;
};

struct peer_call_open {
    uint64_t call;
    enum role to;
    peer_answer_fn *fn; /* NULL: forgotten */
    void *arg;
    UT_hash_handle hh;
};

static struct {
    enum role self;
    peer_fn *handlers[PROTO_COUNT];
    struct peer_hooks hooks;
    struct peer_channel channels[ROLE_COUNT];
    struct peer_call_open *calls;
    uint64_t last_call;
} peers;

/* The largest payload struct; decoded in place, one handler at a time. */
#define PAYLOAD_BYTES 1024
static union {
    max_align_t align;
    char bytes[PAYLOAD_BYTES];
} payload;

void
peer_understand(const struct peer_handler *handlers, size_t n_handlers)
{
    for (size_t i = 0; i < n_handlers; i++)
        peers.handlers[handlers[i].kind] = handlers[i].fn;
}

void
peer_init(enum role self, const struct peer_handler *handlers,
          size_t n_handlers, const struct peer_hooks *hooks)
{
    peers.self = self;
    if (hooks != NULL)
        peers.hooks = *hooks;
    peer_understand(handlers, n_handlers);
    for (int role = 0; role < ROLE_COUNT; role++) {
        peers.channels[role].role = (enum role)role;
        peers.channels[role].fd = -1;
    }
    for (unsigned kind = 1; kind < PROTO_COUNT; kind++)
        if (proto_row(kind)->payload->size > PAYLOAD_BYTES)
            bug("%s is too large for a payload", proto_row(kind)->name);
}

/* --- calls --------------------------------------------------------------- */

static void
call_end(struct peer_call_open *call, struct peer_message *answer)
{
    HASH_DEL(peers.calls, call);
    if (call->fn != NULL)
        call->fn(call->arg, answer);
    free(call);
}

static void
call_is_lost(void *arg)
{
    call_end(arg, NULL);
}

/* Each is told after the turn; until then peer_forget still reaches it. */
static void
calls_lost(enum role role)
{
    struct peer_call_open *call, *next;

    HASH_ITER (hh, peers.calls, call, next) {
        if (call->to != role)
            continue;
        call->to = ROLE_COUNT; /* told once */
        loop_defer(call_is_lost, call);
    }
}

void
peer_forget(const void *arg)
{
    for (struct peer_call_open *call = peers.calls; call != NULL;
         call = call->hh.next)
        if (call->arg == arg)
            call->fn = NULL;
}

/* --- output -------------------------------------------------------------- */

static void channel_lost(struct peer_channel *channel, const char *reason);

static void
channel_flush(struct peer_channel *channel)
{
    if (channel->fd < 0)
        return;
    switch (frame_send(&channel->out, channel->fd)) {
    case 1:
        break;
    case 0:
        event_add(channel->writable, NULL);
        break;
    default:
        /* What the peer sent before it went is still in the socket; reading
         * it ends with the loss being noticed. */
        frame_out_free(&channel->out);
    }
}

static void
channel_flush_deferred(void *arg)
{
    struct peer_channel *channel = arg;

    channel->flushing = false;
    channel_flush(channel);
}

static void
channel_put(struct peer_channel *channel, unsigned kind, uint64_t call,
            const void *object, int fd)
{
    if (!proto_allowed(kind, peers.self, channel->role))
        bug("%s may not be sent to %s", proto_row(kind)->name,
            role_name(channel->role));
    frame_put(&channel->out, kind, call, proto_row(kind)->payload, object, fd);
    if (channel->flushing)
        return;
    channel->flushing = true;
    loop_defer(channel_flush_deferred, channel);
}

void
peer_flush(void)
{
    for (int role = 0; role < ROLE_COUNT; role++)
        channel_flush(&peers.channels[role]);
}

void
peer_send(enum role to, unsigned kind, const void *object, int fd)
{
    if (peers.channels[to].fd >= 0)
        channel_put(&peers.channels[to], kind, 0, object, fd);
    else if (fd >= 0)
        close(fd);
}

void
peer_call(enum role to, unsigned kind, const void *object, int fd,
          peer_answer_fn *fn, void *arg)
{
    struct peer_call_open *call = mem_alloc(sizeof(*call));

    call->call = ++peers.last_call;
    call->to = to;
    call->fn = fn;
    call->arg = arg;
    HASH_ADD(hh, peers.calls, call, sizeof(call->call), call);
    if (peers.channels[to].fd >= 0) {
        channel_put(&peers.channels[to], kind, call->call, object, fd);
        return;
    }
    if (fd >= 0)
        close(fd);
    call->to = ROLE_COUNT;
    loop_defer(call_is_lost, call);
}

void
peer_answer(enum role to, uint64_t call, unsigned kind, const void *object)
{
    if (peers.channels[to].fd >= 0)
        channel_put(&peers.channels[to], kind, call, object, -1);
}

void
peer_reply(const struct peer_message *to, unsigned kind, const void *object)
{
    peer_answer(to->from, to->call, kind, object);
}

void
peer_reply_fd(const struct peer_message *to, unsigned kind, const void *object,
              int fd)
{
    if (peers.channels[to->from].fd >= 0)
        channel_put(&peers.channels[to->from], kind, to->call, object, fd);
    else if (fd >= 0)
        close(fd);
}

/* --- input --------------------------------------------------------------- */

/* 0, or -1 when the frame breaks the rules. */
static int
channel_check(const struct peer_channel *channel, const struct frame *frame,
              struct why *why)
{
    const struct proto_row *row = proto_row(frame->kind);

    if (!proto_allowed(frame->kind, channel->role, peers.self))
        return why_text(why, "kind %u is not for it to send", frame->kind);
    if ((row->descriptor == FD_MUST && frame->fd < 0) ||
        (row->descriptor == FD_NONE && frame->fd >= 0))
        return why_text(why, "%s with a wrong descriptor", row->name);
    return record_decode(row->payload, frame->payload, payload.bytes, why);
}

static void
channel_dispatch(const struct peer_channel *channel, struct frame *frame)
{
    const struct record_type *type = proto_row(frame->kind)->payload;
    struct peer_message message = {channel->role, frame->kind,    frame->call,
                                   payload.bytes, frame->payload, frame->fd};
    struct peer_call_open *call = NULL;

    if (frame->call != 0)
        HASH_FIND(hh, peers.calls, &frame->call, sizeof(frame->call), call);
    /* A number is an answer to our call, or the peer's own call. */
    if (peers.handlers[frame->kind] != NULL)
        peers.handlers[frame->kind](&message);
    else if (call != NULL && call->to == channel->role)
        call_end(call, &message);
    if (message.fd >= 0)
        close(message.fd);
    record_clear(type, payload.bytes);
}

static void
channel_nonsense(struct peer_channel *channel, const struct why *why)
{
    struct proto_peer offender = {channel->role};

    log_warn("%s sent nonsense: %s", role_name(channel->role), why->text);
    if (peers.self != ROLE_PARENT)
        peer_send(ROLE_PARENT, PROTO_REPORT, &offender, -1);
    channel_lost(channel, "nonsense");
}

static void
channel_read(struct peer_channel *channel)
{
    struct why why;
    struct frame frame;
    int received = frame_receive(&channel->in, channel->fd);
    int fd = channel->fd;

    if (received == 0)
        return;
    if (received < 0) {
        channel_lost(channel, errno != 0 ? strerror(errno) : "closed");
        return;
    }
    for (;;) {
        switch (frame_next(&channel->in, &frame, &why)) {
        case GOT_ONE:
            break;
        case GOT_MORE:
            return;
        default:
            channel_nonsense(channel, &why);
            return;
        }
        if (channel_check(channel, &frame, &why) != 0) {
            if (frame.fd >= 0)
                close(frame.fd);
            channel_nonsense(channel, &why);
            return;
        }
        channel_dispatch(channel, &frame);
        if (channel->fd != fd) /* a handler closed or replaced it */
            return;
    }
}

static void
channel_on_event(evutil_socket_t fd, short what, void *arg)
{
    struct peer_channel *channel = arg;

    (void)fd;
    if (what & EV_READ)
        channel_read(channel);
    else
        channel_flush(channel);
}

/* --- channels ------------------------------------------------------------ */

void
peer_close(enum role role)
{
    struct peer_channel *channel = &peers.channels[role];

    if (channel->fd < 0)
        return;
    event_free(channel->readable);
    event_free(channel->writable);
    close(channel->fd);
    channel->fd = -1;
    frame_out_free(&channel->out);
    frame_in_free(&channel->in);
    calls_lost(role);
}

static void
channel_lost(struct peer_channel *channel, const char *reason)
{
    enum role role = channel->role;

    log_debug("channel to %s lost: %s", role_name(role), reason);
    peer_close(role);
    if (role == ROLE_PARENT)
        fatal("the parent is gone");
    if (peers.hooks.on_lost != NULL)
        peers.hooks.on_lost(role);
}

void
peer_set(enum role role, int fd)
{
    struct peer_channel *channel = &peers.channels[role];

    if (channel->fd >= 0) {
        peer_close(role);
        if (peers.hooks.on_lost != NULL)
            peers.hooks.on_lost(role);
    }
    channel->fd = fd;
    channel->readable = event_new(loop_base(), fd, EV_READ | EV_PERSIST,
                                  channel_on_event, channel);
    channel->writable =
        event_new(loop_base(), fd, EV_WRITE, channel_on_event, channel);
    if (channel->readable == NULL || channel->writable == NULL)
        fatal("out of memory for a channel");
    event_add(channel->readable, NULL);
    if (peers.hooks.on_up != NULL)
        peers.hooks.on_up(role);
}

bool
peer_is_up(enum role role)
{
    return peers.channels[role].fd >= 0;
}
