/* SPDX-License-Identifier: ISC */
/*
 * A buffered, non-blocking connection: bytes in with back-pressure, bytes
 * out, idle timeout, TLS on either side. No protocol in here.
 *
 * Callbacks may call any function of this file, io_free included: the
 * object is dead at once (no further callback) and freed after the turn.
 */
#ifndef SPOOLD_IO_H
#define SPOOLD_IO_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stdint.h>

#include "view.h"

struct io;
struct tls;
struct tls_demand;
struct tls_memory;
struct why;

enum io_end {
    IO_EOF,     /* the peer closed in order */
    IO_ERROR,   /* reset, TLS failure, ...: io_reason() says which */
    IO_TIMEOUT, /* nothing came (or went) for the time of io_set_timeout */
};

struct io_handlers {
    /* Connected (io_connect only). */
    void (*on_connected)(void *arg);
    /* There is input: look with io_input, take with io_consume; what is not
     * taken stays. Called again when more came. */
    void (*on_input)(void *arg);
    /* All output has gone to the kernel after some had to wait. May be
     * NULL. */
    void (*on_drained)(void *arg);
    /* The TLS handshake is done. May be NULL where TLS is not started. */
    void (*on_tls)(void *arg);
    /* The connection is over; only io_reason and io_free make sense now, and
     * after IO_TIMEOUT a last io_write before io_free. */
    void (*on_end)(void *arg, enum io_end end);
};

/* Takes fd, which is non-blocking. The handlers stay valid with the io. */
struct io *io_new(int fd, const struct io_handlers *handlers, void *arg);
/* Starts a connection; failure comes through on_end. */
struct io *io_connect(const struct sockaddr *to, socklen_t to_len,
                      const struct io_handlers *handlers, void *arg);
/* Another owner from now on. */
void io_set_handlers(struct io *io, const struct io_handlers *handlers,
                     void *arg);
/* Closes (what is still to be written gets one last try) and clears. */
void io_free(struct io **io);

/* Input that is there and not consumed. Valid until the callback returns. */
struct view io_input(const struct io *io);
void io_consume(struct io *io, size_t n);
/* From now on what was taken is written over: it is somebody's mail. */
void io_wipe_input(struct io *io);
/* Stop and go on reading (back-pressure). on_input comes by itself after
 * io_resume when unconsumed input is waiting. */
void io_pause(struct io *io);
void io_resume(struct io *io);

/* Output is sent when the current callback returns, in one go. */
void io_write(struct io *io, struct view bytes);
void io_printf(struct io *io, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
size_t io_pending(const struct io *io); /* bytes not yet with the kernel */
/* Sends what can go now. True: all of it is with the kernel. False: on_drained
 * tells when it is, or the connection is over and on_end was called. */
bool io_send_now(struct io *io);
/* Closes for writing once all is sent, then on_end(IO_EOF) when the peer
 * closes too or at once if it has. */
void io_shutdown(struct io *io);

/* One timeout for inactivity in either direction; 0: none. */
void io_set_timeout(struct io *io, uint64_t ms);

/* Starts TLS as the server. -1, and nothing changes, while unread plaintext
 * is buffered: commands injected before the handshake must not survive it
 * (the STARTTLS injection family, CVE-2011-0411, is closed here). The 220
 * must have been written before; it is flushed first. */
int io_start_tls(struct io *io, struct tls *tls);
/* The same as the client, after the server's 220: bytes it sent behind that
 * would otherwise pass for replies inside TLS. -1 and a reason also where the
 * demand (tls.h) cannot be met. The demand ends with the return. */
int io_start_tls_client(struct io *io, struct tls *tls,
                        const struct tls_demand *demand,
                        struct tls_memory *memory, struct why *why);
bool io_tls_is_resumed(const struct io *io);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", "" without TLS. */
const char *io_tls_name(const struct io *io);

/* Our end of the connection, as getsockname(2) has it. */
int io_local(const struct io *io, struct sockaddr *address, socklen_t *len);

const char *io_reason(const struct io *io); /* after IO_ERROR */

#endif
