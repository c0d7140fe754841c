/* SPDX-License-Identifier: ISC */
/*
 * TLS of a connection: how it begins, on either side, and what is known of it
 * then. What was sent in plain before the handshake does not survive it.
 */
#include <openssl/err.h>
#include <stdio.h>

#include "io_private.h"
#include "log.h"
#include "loop.h"
#include "loop_base.h"
#include "tls.h"
#include "why.h"

void
io_handshake(struct io *io)
{
    int done;

    ERR_clear_error();
    done = SSL_do_handshake(io->ssl);
    if (done == 1) {
        io->phase = IO_TLS;
        if (io->handlers->on_tls != NULL)
            io->handlers->on_tls(io->arg);
        if (!io->dead && !io->ended)
            loop_defer(io_again, io);
        return;
    }
    switch (SSL_get_error(io->ssl, done)) {
    case SSL_ERROR_WANT_READ: /* the read event is always on */
        return;
    case SSL_ERROR_WANT_WRITE:
        event_add(io->writable, loop_timeout(io->timeout_ms));
        return;
    default:
        io_end_ssl(io);
    }
}

/* Takes ssl; NULL: there is none, and nothing changes. */
static int
io_begin_tls(struct io *io, SSL *ssl)
{
    if (ssl == NULL)
        return -1;
    if (SSL_set_fd(ssl, io->fd) != 1)
        fatal("out of memory for a TLS connection");
    io->ssl = ssl;
    io->phase = IO_BEFORE_TLS;
    io_want_flush(io);
    return 0;
}

static bool
io_may_start_tls(const struct io *io)
{
    return io->current.len == 0 && io->phase == IO_PLAIN && !io->ended;
}

int
io_start_tls(struct io *io, struct tls *tls)
{
    SSL *ssl;

    if (!io_may_start_tls(io))
        return -1;
    ssl = tls_connection(tls);
    if (ssl == NULL)
        fatal("out of memory for a TLS connection");
    SSL_set_accept_state(ssl);
    return io_begin_tls(io, ssl);
}

int
io_start_tls_client(struct io *io, struct tls *tls,
                    const struct tls_demand *demand, struct tls_memory *memory,
                    struct why *why)
{
    if (!io_may_start_tls(io))
        return why_text(why, "there was plaintext after the reply to STARTTLS");
    return io_begin_tls(io, tls_client_connection(tls, demand, memory, why));
}

bool
io_tls_is_resumed(const struct io *io)
{
    return io->phase == IO_TLS && SSL_session_reused(io->ssl) == 1;
}

const char *
io_tls_name(const struct io *io)
{
    static char name[80];

    name[0] = '\0';
    if (io->phase == IO_TLS)
        snprintf(name, sizeof(name), "%s %s", SSL_get_version(io->ssl),
                 SSL_get_cipher_name(io->ssl));
    return name;
}
