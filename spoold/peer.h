/* SPDX-License-Identifier: ISC */
/*
 * Channels to the other roles. The parent wires them (PEER); a channel of a
 * role that was restarted takes the place of the old one. A frame whose kind
 * proto_table.h does not allow between the two roles, or whose payload does
 * not decode, ends the channel and is reported: the parent ends the offender
 * and starts it again.
 */
#ifndef SPOOLD_PEER_H
#define SPOOLD_PEER_H

#include "proto.h"

/* A message that came in. Payload and views end with the handler. */
struct peer_message {
    enum role from;
    unsigned kind;
    uint64_t call;     /* 0: no answer expected */
    void *payload;     /* the row's struct, decoded */
    struct view bytes; /* the same, encoded */
    int fd;            /* -1: none; a handler that keeps it sets it to -1 */
};

typedef void peer_fn(struct peer_message *message);
struct peer_handler {
    unsigned kind;
    peer_fn *fn;
};

/* Once a process: who we are and what we understand. on_lost (may be NULL)
 * is told when a channel ends, on_up when a new one is there. The parent's
 * channel ending ends the role. */
struct peer_hooks {
    void (*on_up)(enum role role);
    void (*on_lost)(enum role role);
};
void peer_init(enum role self, const struct peer_handler *handlers,
               size_t n_handlers, const struct peer_hooks *hooks);

/* Adds handlers to those given at peer_init. */
void peer_understand(const struct peer_handler *handlers, size_t n_handlers);

void peer_set(enum role role, int fd); /* takes fd */
void peer_close(enum role role);
bool peer_is_up(enum role role);

/* Queues one message; it leaves at the end of the turn. Where there is no
 * channel it is dropped. fd (-1: none) is passed and closed here. */
void peer_send(enum role to, unsigned kind, const void *payload, int fd);

/* The same with an answer: fn(arg, answer), or fn(arg, NULL) when the
 * channel is lost or not there (never from inside peer_call). */
typedef void peer_answer_fn(void *arg, struct peer_message *answer);
void peer_call(enum role to, unsigned kind, const void *payload, int fd,
               peer_answer_fn *fn, void *arg);
/* Answers of calls made with arg are dropped from now on. */
void peer_forget(const void *arg);

void peer_reply(const struct peer_message *to, unsigned kind,
                const void *payload);
/* fd (-1: none) is passed and closed here. */
void peer_reply_fd(const struct peer_message *to, unsigned kind,
                   const void *payload, int fd);
/* The same for an answer given later: the caller kept from and call. */
void peer_answer(enum role to, uint64_t call, unsigned kind,
                 const void *payload);

/* Sends what is queued now (before a long commit). */
void peer_flush(void);

#endif
