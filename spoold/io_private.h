/* SPDX-License-Identifier: ISC */
/* Private to io.c and io_tls.c: one connection. */
#ifndef SPOOLD_IO_PRIVATE_H
#define SPOOLD_IO_PRIVATE_H

#include <openssl/ssl.h>

#include "buf.h"
#include "io.h"
#include "loop.h"

struct event;

#define IO_MAGIC 0x696f696fu

enum io_phase {
    IO_CONNECTING, /* waiting for connect(2) to finish */
    IO_PLAIN,      /* bytes go as they are */
    IO_BEFORE_TLS, /* plain output must leave before the handshake */
    IO_HANDSHAKE,  /* SSL_do_handshake wants more turns */
    IO_TLS,        /* bytes go through ssl */
};

struct io {
    unsigned magic;
    int fd;
    enum io_phase phase;
    bool dead;
    bool ended;
    bool last_words;
    bool paused;
    bool flushing;
    bool shutting; /* io_shutdown was called */
    bool wants_drained;
    bool in_input; /* the input handler is running */
    bool wipes;
    const struct io_handlers *handlers;
    void *arg;
    struct event *readable;
    struct event *writable;
    uint64_t timeout_ms;
    struct view current; /* what io_input shows */
    struct buf in;       /* what was left of earlier input */
    struct buf out;
    size_t sent; /* of out */
    SSL *ssl;
    char reason[160];
};

void io_end_ssl(struct io *io); /* on_end, with what OpenSSL says */
void io_flush(struct io *io);
void io_want_flush(struct io *io); /* when the current callback returns */
loop_fn io_again;                  /* delivers input that waits in memory */
void io_handshake(struct io *io);  /* the next step of it */

#endif
