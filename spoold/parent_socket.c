/* SPDX-License-Identifier: ISC */
/*
 * The sockets the roles listen on, bound here because ports under 1024 need
 * root. They stay open over the restart of a role, so that clients wait in
 * the backlog instead of being refused.
 *
 * And those replay connects to by path: its root directory has no paths, and
 * its user may not be one who may connect. Only what the configuration names
 * is connected to, whatever replay says.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"
#include "parent.h"

/* A flood of connections after an outage waits instead of being dropped
 * (the kernel caps it at net.core.somaxconn). */
#define BACKLOG 4096

/* "[::1]:25" and "127.0.0.1:25" into host and port. */
static int
split_address(const char *address, char host[128], const char **port)
{
    const char *colon = strrchr(address, ':');
    size_t len;

    if (colon == NULL)
        return -1;
    *port = colon + 1;
    len = (size_t)(colon - address);
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    if (len >= 128)
        return -1;
    memcpy(host, address, len);
    host[len] = '\0';
    return 0;
}

static int
bind_address(const char *address, struct why *why)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV |
                                               AI_PASSIVE};
    struct addrinfo *info = NULL;
    char host[128];
    const char *port;
    int fd, on = 1, off = 0;

    if (split_address(address, host, &port) != 0 ||
        getaddrinfo(*host ? host : NULL, port, &hints, &info) != 0)
        return why_text(why, "\"%s\" is not an address to listen on", address);
    fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        /* Accepted sockets have it from here (io.c). */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (info->ai_family == AF_INET6) /* [::] is for IPv4 as well */
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
        if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 ||
            listen(fd, BACKLOG) != 0) {
            why_text(why, "%s: %s", address, strerror(errno));
            close(fd);
            fd = -1;
        }
    } else {
        why_text(why, "%s: %s", address, strerror(errno));
    }
    freeaddrinfo(info);
    return fd;
}

static struct parent_socket *
find_socket(struct parent_sockets *sockets, struct view address)
{
    for (size_t i = 0; i < sockets->count; i++)
        if (view_equal(view_of(sockets->items[i].address), address))
            return &sockets->items[i];
    return NULL;
}

static int
want_socket(struct parent_sockets *sockets, const struct conf_listen *section,
            struct view address, struct why *why)
{
    struct parent_socket *socket = find_socket(sockets, address);
    struct parent_socket fresh = {.service = section->service, .kept = true};

    if (socket != NULL) {
        socket->kept = true;
        socket->service = section->service; /* the old text goes away */
        return 0;
    }
    snprintf(fresh.address, sizeof(fresh.address), "%.*s", (int)address.len,
             address.data);
    fresh.fd = bind_address(fresh.address, why);
    if (fresh.fd < 0)
        return -1;
    sockets->items =
        mem_grow(sockets->items, sockets->count + 1, sizeof(*sockets->items));
    sockets->items[sockets->count++] = fresh;
    return 0;
}

static void
drop_unwanted(struct parent_sockets *sockets)
{
    size_t kept = 0;

    for (size_t i = 0; i < sockets->count; i++) {
        if (sockets->items[i].kept)
            sockets->items[kept++] = sockets->items[i];
        else
            close(sockets->items[i].fd);
    }
    sockets->count = kept;
}

int
parent_sockets_bind(struct parent_sockets *sockets, const struct conf *conf,
                    struct why *why)
{
    const struct conf_listen *listens = conf->listens.items;

    for (size_t i = 0; i < sockets->count; i++)
        sockets->items[i].kept = false;
    for (size_t i = 0; i < conf->listens.count; i++) {
        const struct conf_text *addresses = listens[i].addresses.items;

        for (size_t k = 0; k < listens[i].addresses.count; k++)
            if (want_socket(sockets, &listens[i], addresses[k].text, why) != 0)
                return -1;
    }
    drop_unwanted(sockets);
    return 0;
}

/* Makes the directory of the control socket where it is missing: /run is
 * empty after a boot. */
static void
make_parent(const char *path, const struct parent_owner *owner)
{
    char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char *slash;

    snprintf(dir, sizeof(dir), "%s", path);
    slash = strrchr(dir, '/');
    if (slash == NULL || slash == dir)
        return;
    *slash = '\0';
    if (mkdir(dir, 0755) == 0 && owner->drops &&
        chown(dir, owner->uid, owner->gid) != 0)
        rmdir(dir);
}

/* Somebody answers there: a daemon with another spool. */
static bool
is_served(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool served = fd >= 0 && (connect(fd, (const struct sockaddr *)address,
                                      sizeof(*address)) == 0 ||
                              errno == EAGAIN);

    if (fd >= 0)
        close(fd);
    return served;
}

int
parent_control_bind(const struct conf *conf, const struct parent_owner *owner,
                    struct why *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    int fd;

    if (conf->control.len >= sizeof(address.sun_path))
        return why_text(why, "control: the path is longer than %zu bytes",
                        sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, conf->control.data, conf->control.len);
    make_parent(address.sun_path, owner);
    if (lstat(address.sun_path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return why_text(why, "%s is there and not a socket", address.sun_path);
    if (is_served(&address))
        return why_text(why, "%s is in use by another daemon",
                        address.sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Nobody serves it: a socket that is there is a dead one. Who may speak
     * is decided by peer credentials, with a sentence. */
    if (fd >= 0)
        unlink(address.sun_path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(address.sun_path, 0666) != 0 || listen(fd, 64) != 0) {
        why_text(why, "%s: %s", address.sun_path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* --- what is connected to ------------------------------------------------- */

static bool
is_target_host(const struct conf *conf, struct view path)
{
    const struct conf_target *targets = conf->targets.items;

    for (size_t i = 0; i < conf->targets.count; i++) {
        const struct conf_text *hosts = targets[i].hosts.items;
        struct conf_host host;

        for (size_t k = 0; k < targets[i].hosts.count; k++)
            if (conf_host_parse(hosts[k].text, &host, NULL) == 0 &&
                host.kind == CONF_HOST_PATH && view_equal(host.host, path))
                return true;
    }
    return false;
}

/* One of this system is connected at once or not at all: EAGAIN says that its
 * backlog is full. */
int
parent_socket_connect(const struct conf *conf, struct view path,
                      struct why *why)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd;

    if (path.len >= sizeof(to.sun_path) || !is_target_host(conf, path))
        return why_text(why, "no target has this socket any more");
    memcpy(to.sun_path, path.data, path.len);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    why_text(why, "%s",
             errno == EAGAIN ? "it takes no more connections now"
                             : strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}
