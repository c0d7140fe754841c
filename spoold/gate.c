/* SPDX-License-Identifier: ISC */
#include "gate.h"

#include <arpa/inet.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uthash.h>

#include "log.h"
#include "loop.h"
#include "mem.h"
#include "peer.h"

#define CLIENT_KEY_BYTES 17 /* family, and 4 or 8 bytes of address */
/* Connections taken from one socket before others get their turn. */
#define ACCEPTS_A_TURN 64
/* How long to leave connections waiting when descriptors ran out. */
#define ACCEPT_PAUSE_MS 200

struct gate_client {
    char key[CLIENT_KEY_BYTES];
    size_t connections;
    UT_hash_handle hh;
};

struct gate_socket {
    int fd;
    char *service;
    struct loop_watch *watch; /* NULL until gate_open */
    LIST_ENTRY(gate_socket) link;
};
LIST_HEAD(gate_sockets, gate_socket);

static struct {
    const struct gate_handlers *handlers;
    struct gate_client *clients;
    struct gate_sockets sockets, fresh;
    size_t n; /* connections */
    size_t max;
    size_t max_per_client;
    struct loop_timer *accept_again;
} gate;

/* --- clients -------------------------------------------------------------- */

/* The bytes of an address; one of IPv4 that came through an IPv6 socket is an
 * IPv4 address. */
static const uint8_t *
address_bytes(const struct sockaddr_storage *from, int *family)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;

    *family = AF_INET;
    if (from->ss_family != AF_INET6)
        return (const uint8_t *)&v4->sin_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        return v6->sin6_addr.s6_addr + 12;
    *family = AF_INET6;
    return v6->sin6_addr.s6_addr;
}

/* Returns the port. */
static uint16_t
print_end(const struct sockaddr_storage *end, char text[INET6_ADDRSTRLEN])
{
    int family;
    const uint8_t *bytes = address_bytes(end, &family);

    inet_ntop(family, bytes, text, INET6_ADDRSTRLEN);
    /* It is at the same place in both. */
    return ntohs(((const struct sockaddr_in *)end)->sin_port);
}

static void
guest_name(int fd, const struct sockaddr_storage *from,
           char key[CLIENT_KEY_BYTES], struct gate_guest *guest)
{
    int family;
    const uint8_t *bytes = address_bytes(from, &family);
    struct sockaddr_storage to = {0};
    socklen_t len = sizeof(to);

    memset(key, 0, CLIENT_KEY_BYTES);
    key[0] = family == AF_INET ? 4 : 6;
    memcpy(key + 1, bytes, family == AF_INET ? 4 : 8);
    guest->is_loopback =
        family == AF_INET
            ? bytes[0] == 127
            : IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)bytes);
    guest->port = print_end(from, guest->address);
    if (getsockname(fd, (struct sockaddr *)&to, &len) == 0)
        guest->server_port = print_end(&to, guest->server);
}

static struct gate_client *
client_get(const char key[CLIENT_KEY_BYTES])
{
    struct gate_client *client;

    HASH_FIND(hh, gate.clients, key, CLIENT_KEY_BYTES, client);
    if (client == NULL) {
        client = mem_alloc(sizeof(*client));
        memcpy(client->key, key, CLIENT_KEY_BYTES);
        HASH_ADD(hh, gate.clients, key, CLIENT_KEY_BYTES, client);
    }
    return client;
}

static void
client_release(struct gate_client *client)
{
    if (client->connections > 0)
        return;
    HASH_DEL(gate.clients, client);
    free(client);
}

/* --- connections ---------------------------------------------------------- */

static void
take(int fd, const struct sockaddr_storage *from, const char *service)
{
    struct gate_guest guest = {.service = service};
    char key[CLIENT_KEY_BYTES];
    bool full = gate.n >= gate.max;

    guest_name(fd, from, key, &guest);
    guest.client = client_get(key);
    if (full || guest.client->connections >= gate.max_per_client) {
        gate.handlers->turn_away(
            fd, &guest,
            full ? "too many connections, try again later"
                 : "too many connections from you, try again later");
        close(fd);
        client_release(guest.client);
        return;
    }
    guest.client->connections++;
    gate.n++;
    gate.handlers->admit(fd, &guest);
}

void
gate_left(struct gate_client *client)
{
    client->connections--;
    client_release(client);
    gate.n--;
}

size_t
gate_count(void)
{
    return gate.n;
}

static void
on_accept_again(void *arg)
{
    struct gate_socket *socket;

    (void)arg;
    LIST_FOREACH (socket, &gate.sockets, link)
        loop_watch_resume(socket->watch);
}

/* No descriptor (or no memory) for one more: the clients wait in the kernel's
 * queue while sessions end. */
static void
accept_failed(int error)
{
    struct gate_socket *socket;

    if (error != EMFILE && error != ENFILE && error != ENOBUFS &&
        error != ENOMEM)
        return; /* the client went before it was taken, or nobody is there */
    log_warn("no more connections can be taken now: %s", strerror(error));
    LIST_FOREACH (socket, &gate.sockets, link)
        loop_watch_pause(socket->watch);
    loop_timer_set(gate.accept_again, ACCEPT_PAUSE_MS);
}

static void
on_acceptable(int listening, void *arg)
{
    const struct gate_socket *socket = arg;

    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof(from);
        int fd = accept4(listening, (struct sockaddr *)&from, &len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0) {
            accept_failed(errno);
            return;
        }
        take(fd, &from, socket->service);
    }
}

/* --- sockets -------------------------------------------------------------- */

/* Closes ours; the parent has the sockets too, so they go on listening. */
static void
sockets_close(struct gate_sockets *sockets)
{
    while (!LIST_EMPTY(sockets)) {
        struct gate_socket *socket = LIST_FIRST(sockets);

        LIST_REMOVE(socket, link);
        loop_watch_free(&socket->watch);
        close(socket->fd);
        free(socket->service);
        free(socket);
    }
}

void
gate_on_listen(struct peer_message *message)
{
    const struct proto_listen *listen = message->payload;
    struct gate_socket *socket = mem_alloc(sizeof(*socket));

    socket->fd = message->fd;
    message->fd = -1;
    socket->service = mem_copy(listen->service.data, listen->service.len);
    LIST_INSERT_HEAD(&gate.fresh, socket, link);
}

void
gate_open(size_t connections, size_t per_client)
{
    struct gate_socket *socket, *next;

    gate.max = connections;
    gate.max_per_client = per_client;
    sockets_close(&gate.sockets);
    for (socket = LIST_FIRST(&gate.fresh); socket != NULL; socket = next) {
        next = LIST_NEXT(socket, link);
        LIST_REMOVE(socket, link);
        LIST_INSERT_HEAD(&gate.sockets, socket, link);
        socket->watch = loop_watch_new(socket->fd, on_acceptable, socket);
    }
}

void
gate_close(void)
{
    struct gate_socket *socket;

    loop_timer_cancel(gate.accept_again);
    LIST_FOREACH (socket, &gate.sockets, link)
        shutdown(socket->fd, SHUT_RD);
    sockets_close(&gate.sockets);
}

void
gate_init(const struct gate_handlers *handlers)
{
    gate.handlers = handlers;
    gate.accept_again = loop_timer_new(on_accept_again, NULL);
}
