/* SPDX-License-Identifier: ISC */
/*
 * How a role takes connections from anybody: the sockets the parent sends,
 * clients and their number of connections, limits on all and on each. One a
 * process; the listener and imap have one.
 *
 * A client is an IPv4 address or an IPv6 /64: whoever has one IPv6 address
 * has 2^64 of them.
 */
#ifndef SPOOLD_GATE_H
#define SPOOLD_GATE_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer_message;
struct gate_client;

struct gate_guest {
    char address[INET6_ADDRSTRLEN]; /* as text; IPv4 through IPv6 is IPv4 */
    bool is_loopback;
    uint16_t port;
    char server[INET6_ADDRSTRLEN]; /* the address it came to; empty: unknown */
    uint16_t server_port;
    const char *service; /* the listen section's title; until the return */
    struct gate_client *client;
};

struct gate_handlers {
    /* A connection within the limits; takes fd. gate_left() when it ends. */
    void (*admit)(int fd, const struct gate_guest *guest);
    /* One too many: may send a last word. fd is closed after it. */
    void (*turn_away)(int fd, const struct gate_guest *guest,
                      const char *reason);
};

void gate_init(const struct gate_handlers *handlers);
/* The handler of LISTEN: kept until gate_open. */
void gate_on_listen(struct peer_message *message);
/* What came with LISTEN takes the place of the sockets before; from now on
 * at most so many connections. */
void gate_open(size_t connections, size_t per_client);
void gate_left(struct gate_client *client);
size_t gate_count(void); /* connections open */
/* The daemon stops: no client shall wait in a queue nobody empties. */
void gate_close(void);

#endif
