/* SPDX-License-Identifier: ISC */
/*
 * A connection over libevent's readiness events and our own buffers: plain
 * reads go through one scratch buffer of the process, so an idle connection
 * holds no input memory; output is collected and sent once a turn.
 *
 * What is true when: `flushing` - a deferred flush is queued; `dead` -
 * io_free was called, the deferred free is to come; `ended` - on_end was
 * called, no further callback; `last_words` - after a timeout what is written
 * before io_free still goes; `wipes` - taken input stays in no memory.
 */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "io_private.h"
#include "log.h"
#include "loop.h"
#include "loop_base.h"
#include "mem.h"
#include "tls.h"

#define SCRATCH_BYTES (64 * 1024)
/* A handler that does not take its input is not fed past this. */
#define INPUT_MAX (256 * 1024)

static char scratch[SCRATCH_BYTES];

static void io_read(struct io *io);

/* --- the end ------------------------------------------------------------- */

static void
io_end(struct io *io, enum io_end end, const char *reason)
{
    if (io->dead || io->ended)
        return;
    io->ended = true;
    io->last_words = end == IO_TIMEOUT;
    event_del(io->readable);
    event_del(io->writable);
    snprintf(io->reason, sizeof(io->reason), "%s", reason);
    io->handlers->on_end(io->arg, end);
}

static void
io_end_errno(struct io *io)
{
    io_end(io, IO_ERROR, strerror(errno));
}

void
io_end_ssl(struct io *io)
{
    io_end(io, IO_ERROR, tls_reason(io->ssl));
}

/* Gives back the memory of what was left of input. */
static void
io_drop_input(struct io *io)
{
    if (io->wipes && io->in.cap > 0)
        explicit_bzero(io->in.data, io->in.cap);
    buf_free(&io->in);
}

static void
io_destroy(void *arg)
{
    struct io *io = arg;

    event_free(io->readable);
    event_free(io->writable);
    SSL_free(io->ssl);
    close(io->fd);
    io_drop_input(io);
    buf_free(&io->out);
    io->magic = 0;
    free(io);
}

void
io_free(struct io **io_ptr)
{
    struct io *io = *io_ptr;

    if (io == NULL)
        return;
    *io_ptr = NULL;
    io->dead = true; /* from here on no callback */
    if (!io->ended || io->last_words)
        io_flush(io);
    if (io->phase == IO_TLS && (!io->ended || io->last_words))
        SSL_shutdown(io->ssl); /* close_notify, if there is room for it */
    ERR_clear_error();
    event_del(io->readable);
    event_del(io->writable);
    loop_defer(io_destroy, io);
}

/* --- input --------------------------------------------------------------- */

/* Adds to what is left of input; a buffer that is too small is not left
 * behind with its bytes. */
static void
io_keep(struct io *io, struct view bytes)
{
    size_t len = io->in.len + bytes.len;

    if (io->wipes && io->in.len > 0 && len > io->in.cap) {
        struct buf larger = {0};

        buf_reserve(&larger, len);
        buf_add_view(&larger, buf_view(&io->in));
        io_drop_input(io);
        io->in = larger;
    }
    buf_add_view(&io->in, bytes);
}

/* Takes the first n bytes off what was left of input. */
static void
io_drop(struct io *io, size_t n)
{
    buf_consume(&io->in, n);
    if (io->wipes && n > 0)
        explicit_bzero(io->in.data + io->in.len, n);
}

static void
io_deliver(struct io *io, struct view fresh)
{
    bool from_scratch = io->in.len == 0;

    if (from_scratch) {
        io->current = fresh;
    } else {
        io_keep(io, fresh);
        io->current = buf_view(&io->in);
    }
    io->in_input = true;
    if (io->current.len > 0)
        io->handlers->on_input(io->arg);
    io->in_input = false;
    if (io->dead)
        return;
    /* Keep what was not taken, give back memory that is not needed. */
    if (from_scratch)
        io_keep(io, io->current);
    else
        io_drop(io, io->in.len - io->current.len);
    if (io->in.len == 0)
        io_drop_input(io);
    io->current = buf_view(&io->in);
}

/* 1: bytes in *got; 0: nothing now; -1: over (io_end was called). */
static int
io_read_plain(struct io *io, size_t *got)
{
    ssize_t n = read(io->fd, scratch, sizeof(scratch));

    if (n > 0) {
        *got = (size_t)n;
        return 1;
    }
    if (n == 0)
        io_end(io, IO_EOF, "closed");
    else if (errno == EAGAIN || errno == EINTR)
        return 0;
    else
        io_end_errno(io);
    return -1;
}

static int
io_read_tls(struct io *io, size_t *got)
{
    ERR_clear_error();
    if (SSL_read_ex(io->ssl, scratch, sizeof(scratch), got) == 1)
        return 1;
    switch (SSL_get_error(io->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_WANT_WRITE:
        event_add(io->writable, loop_timeout(io->timeout_ms));
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        io_end(io, IO_EOF, "closed");
        return -1;
    default:
        io_end_ssl(io);
        return -1;
    }
}

static void
io_read(struct io *io)
{
    while (!io->dead && !io->ended && !io->paused) {
        size_t got = 0;
        int more = io->phase == IO_TLS ? io_read_tls(io, &got)
                                       : io_read_plain(io, &got);

        if (more <= 0)
            return;
        io_deliver(io, (struct view){scratch, got});
        if (io->wipes)
            explicit_bzero(scratch, got);
        if (io->dead || io->ended)
            return;
        if (io->in.len > INPUT_MAX) {
            io_end(io, IO_ERROR, "input not taken");
            return;
        }
        /* Plain: the loop tells if there is more, others get their turn.
         * TLS: bytes inside OpenSSL make no event, so read to the end. */
        if (io->phase != IO_TLS)
            return;
    }
}

void
io_again(void *arg)
{
    struct io *io = arg;

    if (io->dead || io->ended || io->paused)
        return;
    if (io->in.len > 0)
        io_deliver(io, (struct view){NULL, 0});
    if (!io->dead && !io->ended && io->phase == IO_TLS)
        io_read(io);
}

struct view
io_input(const struct io *io)
{
    return io->current;
}

void
io_consume(struct io *io, size_t n)
{
    if (n > io->current.len)
        bug("%zu bytes of input taken, %zu there", n, io->current.len);
    io->current = view_skip(io->current, n);
}

void
io_wipe_input(struct io *io)
{
    io->wipes = true;
}

void
io_pause(struct io *io)
{
    /* The kernel is told only when input comes meanwhile (io_on_event): most
     * pauses are over before, and each telling is a system call. */
    io->paused = true;
}

void
io_resume(struct io *io)
{
    if (!io->paused)
        return;
    io->paused = false;
    if (io->ended)
        return;
    if (!event_pending(io->readable, EV_READ, NULL))
        event_add(io->readable, loop_timeout(io->timeout_ms));
    if (io->in.len > 0 || io->phase == IO_TLS)
        loop_defer(io_again, io);
}

/* --- output -------------------------------------------------------------- */

/* 1: some bytes went; 0: not now; -1: over. */
static int
io_send_some(struct io *io)
{
    size_t left = io->out.len - io->sent;
    size_t went = 0;
    ssize_t n;

    if (io->phase == IO_TLS) {
        ERR_clear_error();
        if (SSL_write_ex(io->ssl, io->out.data + io->sent, left, &went) == 1) {
            io->sent += went;
            return 1;
        }
        switch (SSL_get_error(io->ssl, 0)) {
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE:
            return 0;
        default:
            io_end_ssl(io);
            return -1;
        }
    }
    n = send(io->fd, io->out.data + io->sent, left, MSG_NOSIGNAL);
    if (n >= 0) {
        io->sent += (size_t)n;
        return 1;
    }
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    io_end_errno(io);
    return -1;
}

/* Everything is with the kernel: what was waiting for that. */
static void
io_sent_all(struct io *io)
{
    bool tell = io->wants_drained;

    /* Large buffers are for large output: idle connections hold none. */
    buf_free(&io->out);
    io->sent = 0;
    io->wants_drained = false;
    if (io->phase == IO_BEFORE_TLS && !io->dead) {
        io->phase = IO_HANDSHAKE;
        io_handshake(io);
        return;
    }
    if (io->shutting)
        shutdown(io->fd, SHUT_WR);
    if (tell && io->handlers->on_drained != NULL && !io->dead)
        io->handlers->on_drained(io->arg);
}

void
io_flush(struct io *io)
{
    if (io->phase == IO_CONNECTING || io->phase == IO_HANDSHAKE)
        return;
    while (io->sent < io->out.len) {
        int more = io_send_some(io);

        if (more < 0)
            return;
        if (more == 0) {
            io->wants_drained = true;
            if (!io->dead)
                event_add(io->writable, loop_timeout(io->timeout_ms));
            return;
        }
    }
    if (io->out.cap > 0 || io->phase == IO_BEFORE_TLS || io->shutting)
        io_sent_all(io);
}

static void
io_flush_deferred(void *arg)
{
    struct io *io = arg;

    io->flushing = false;
    if (!io->dead && !io->ended)
        io_flush(io);
}

void
io_want_flush(struct io *io)
{
    if (io->flushing)
        return;
    io->flushing = true;
    loop_defer(io_flush_deferred, io);
}

void
io_write(struct io *io, struct view bytes)
{
    if (io->dead || (io->ended && !io->last_words))
        return;
    if (io->sent > 0 && io->sent == io->out.len)
        buf_reset(&io->out), io->sent = 0;
    buf_add_view(&io->out, bytes);
    io_want_flush(io);
}

void
io_printf(struct io *io, const char *format, ...)
{
    char text[2048];
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof(text))
        bug("%d bytes for one io_printf", n);
    io_write(io, (struct view){text, (size_t)n});
}

size_t
io_pending(const struct io *io)
{
    return io->out.len - io->sent;
}

bool
io_send_now(struct io *io)
{
    if (io->dead || io->ended)
        return false;
    io_flush(io);
    return !io->ended && io_pending(io) == 0;
}

void
io_shutdown(struct io *io)
{
    io->shutting = true;
    io_want_flush(io);
}

/* --- events -------------------------------------------------------------- */

static void
io_connect_done(struct io *io)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error != 0) {
        errno = error;
        io_end_errno(io);
        return;
    }
    io->phase = IO_PLAIN;
    if (!io->paused)
        event_add(io->readable, loop_timeout(io->timeout_ms));
    io->handlers->on_connected(io->arg);
}

static void
io_on_event(evutil_socket_t fd, short what, void *arg)
{
    struct io *io = arg;
    bool paused = io->paused && (io->phase == IO_PLAIN || io->phase == IO_TLS);

    (void)fd;
    if (io->magic != IO_MAGIC)
        bug("event for a connection that is gone");
    if (io->dead || io->ended)
        return;
    if (paused && (what & EV_READ))
        event_del(io->readable);
    else if (paused && (what & EV_TIMEOUT) && io_pending(io) == 0)
        return; /* it is us who wait, not the peer who is late */
    else if ((what & EV_TIMEOUT) && event_pending(io->writable, EV_WRITE, NULL))
        return; /* it takes what we send; when it does not, that times out */
    else if (what & EV_TIMEOUT)
        io_end(io, IO_TIMEOUT, "timeout");
    else if (io->phase == IO_CONNECTING)
        io_connect_done(io);
    else if (io->phase == IO_HANDSHAKE)
        io_handshake(io);
    else if (io->phase == IO_BEFORE_TLS && (what & EV_READ))
        io_end(io, IO_ERROR, "plaintext after STARTTLS");
    else if (what & EV_READ)
        io_read(io);
    else
        io_flush(io);
}

static struct io *
io_make(int fd, const struct io_handlers *handlers, void *arg)
{
    struct io *io = mem_alloc(sizeof(*io));

    io->magic = IO_MAGIC;
    io->fd = fd;
    io->handlers = handlers;
    io->arg = arg;
    io->readable =
        event_new(loop_base(), fd, EV_READ | EV_PERSIST, io_on_event, io);
    io->writable = event_new(loop_base(), fd, EV_WRITE, io_on_event, io);
    if (io->readable == NULL || io->writable == NULL)
        fatal("out of memory for a connection");
    return io;
}

struct io *
io_new(int fd, const struct io_handlers *handlers, void *arg)
{
    struct io *io = io_make(fd, handlers, arg);

    io->phase = IO_PLAIN;
    event_add(io->readable, NULL);
    return io;
}

static void
io_connect_failed(void *arg)
{
    struct io *io = arg;

    if (!io->dead && !io->ended)
        io->handlers->on_end(io->arg, IO_ERROR);
    io->ended = true;
}

struct io *
io_connect(const struct sockaddr *to, socklen_t to_len,
           const struct io_handlers *handlers, void *arg)
{
    int fd =
        socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct io *io;
    int on = 1;

    if (fd < 0) /* out of descriptors: an fd that fails its connect */
        fd = open("/", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fatal("no descriptor for a connection: %s", strerror(errno));
    /* Output is collected here; the kernel need not wait as well. Accepted
     * sockets have it from the listening one. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    io = io_make(fd, handlers, arg);
    io->phase = IO_CONNECTING;
    if (connect(fd, to, to_len) != 0 && errno != EINPROGRESS) {
        snprintf(io->reason, sizeof(io->reason), "%s", strerror(errno));
        loop_defer(io_connect_failed, io);
    } else {
        event_add(io->writable, NULL);
    }
    return io;
}

void
io_set_handlers(struct io *io, const struct io_handlers *handlers, void *arg)
{
    io->handlers = handlers;
    io->arg = arg;
}

void
io_set_timeout(struct io *io, uint64_t ms)
{
    io->timeout_ms = ms;
    if (io->dead || io->ended)
        return;
    if (event_pending(io->readable, EV_READ, NULL)) {
        /* An event keeps an old timeout when added without one. */
        if (ms == 0)
            event_del(io->readable);
        event_add(io->readable, loop_timeout(ms));
    }
    if (event_pending(io->writable, EV_WRITE, NULL)) {
        if (ms == 0)
            event_del(io->writable);
        event_add(io->writable, loop_timeout(ms));
    }
}

int
io_local(const struct io *io, struct sockaddr *address, socklen_t *len)
{
    return getsockname(io->fd, address, len);
}

const char *
io_reason(const struct io *io)
{
    return io->reason;
}
