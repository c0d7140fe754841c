/* SPDX-License-Identifier: ISC */
/*
 * Is an address this server itself? It is if it is one of this machine and
 * something of ours listens there. What this cannot see (a translated
 * address) is found by the greeting (replay_step.c).
 */
#include "replay.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>

#include "loop.h"

#define FRESH_MS 60000

static struct {
    struct ifaddrs *list;
    int64_t fresh_until_ms;
} machine;

static const struct ifaddrs *
interfaces(void)
{
    int64_t now_ms = loop_now_ms();

    if (now_ms >= machine.fresh_until_ms) {
        if (machine.list != NULL)
            freeifaddrs(machine.list);
        if (getifaddrs(&machine.list) != 0)
            machine.list = NULL;
        machine.fresh_until_ms = now_ms + FRESH_MS;
    }
    return machine.list;
}

static const void *
bytes_of(const struct sockaddr *address, size_t *len)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

    *len = 0;
    if (address == NULL)
        return NULL;
    if (address->sa_family == AF_INET) {
        *len = sizeof(in->sin_addr);
        return &in->sin_addr;
    }
    if (address->sa_family != AF_INET6)
        return NULL;
    *len = sizeof(in6->sin6_addr);
    return &in6->sin6_addr;
}

static bool
same_bytes(const struct sockaddr *a, const struct sockaddr *b)
{
    size_t a_len, b_len;
    const void *a_bytes = bytes_of(a, &a_len), *b_bytes = bytes_of(b, &b_len);

    return a_len > 0 && a_len == b_len && memcmp(a_bytes, b_bytes, a_len) == 0;
}

/* Loopback as a whole, "any", and what the interfaces have. */
static bool
is_of_machine(const struct sockaddr *address)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

    if (address->sa_family == AF_INET &&
        (ntohl(in->sin_addr.s_addr) >> 24 == 127 || in->sin_addr.s_addr == 0))
        return true;
    if (address->sa_family == AF_INET6 &&
        IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
        return true;
    for (const struct ifaddrs *i = interfaces(); i != NULL; i = i->ifa_next)
        if (same_bytes(i->ifa_addr, address))
            return true;
    return false;
}

/* Would something that listens at "host" be reached there? */
static bool
listens(const struct conf_host *at, const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    const struct sockaddr_in *to = (const struct sockaddr_in *)address;

    /* The port is in the same place for both families. */
    if (ntohs(to->sin_port) != at->port)
        return false;
    snprintf(text, sizeof(text), "%.*s", (int)at->host.len, at->host.data);
    if (at->kind == CONF_HOST_IPV4 &&
        inet_pton(AF_INET, text, &in.sin_addr) == 1)
        return in.sin_addr.s_addr == 0
                   ? address->sa_family == AF_INET
                   : same_bytes((struct sockaddr *)&in, address);
    if (inet_pton(AF_INET6, text, &in6.sin6_addr) != 1)
        return false;
    /* "[::]" takes both families. */
    return IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr) ||
           same_bytes((struct sockaddr *)&in6, address);
}

bool
replay_self_is(const struct sockaddr *address)
{
    const struct conf_listen *listen = replay_conf()->listens.items;

    for (size_t i = 0; i < replay_conf()->listens.count; i++) {
        const struct conf_text *texts = listen[i].addresses.items;
        struct conf_host at;

        if (!view_equal(listen[i].service, VIEW("smtp")))
            continue;
        for (size_t k = 0; k < listen[i].addresses.count; k++)
            if (conf_host_parse(texts[k].text, &at, NULL) == 0 &&
                listens(&at, address) && is_of_machine(address))
                return true;
    }
    return false;
}
