/* SPDX-License-Identifier: ISC */
#include "dns.h"

#include <netinet/in.h>
#include <stdio.h>

static bool
is_host_byte(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           c == '-' || c == '_';
}

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

int
dns_name_take(struct view *data, char name[DNS_NAME_MAX + 1])
{
    size_t at = 0;

    for (;;) {
        size_t label = data->len > 0 ? (unsigned char)data->data[0] : 64;

        if (label > 63 || data->len < 1 + label)
            return -1; /* a pointer, or cut off */
        if (label == 0)
            break;
        if (at + (at > 0) + label > DNS_NAME_MAX)
            return -1;
        if (at > 0)
            name[at++] = '.';
        for (size_t i = 1; i <= label; i++) {
            if (!is_host_byte((unsigned char)data->data[i]))
                return -1;
            name[at++] = lower(data->data[i]);
        }
        *data = view_skip(*data, 1 + label);
    }
    *data = view_skip(*data, 1);
    name[at] = '\0';
    return 0;
}

int
dns_mx_read(struct view data, struct dns_mx *mx)
{
    if (data.len < 3)
        return -1;
    mx->preference = (uint16_t)((unsigned char)data.data[0] << 8 |
                                (unsigned char)data.data[1]);
    data = view_skip(data, 2);
    return dns_name_take(&data, mx->name) == 0 && data.len == 0 ? 0 : -1;
}

int
dns_tlsa_read(struct view data, struct dns_tlsa *tlsa)
{
    if (data.len < 4)
        return -1;
    tlsa->usage = (uint8_t)data.data[0];
    tlsa->selector = (uint8_t)data.data[1];
    tlsa->matching = (uint8_t)data.data[2];
    tlsa->data = view_skip(data, 3);
    return 0;
}

bool
dns_tlsa_is_usable(const struct dns_tlsa *tlsa)
{
    static const size_t lengths[] = {0, 32, 64}; /* by matching; 0: any */

    if ((tlsa->usage != 2 && tlsa->usage != 3) || tlsa->selector > 1 ||
        tlsa->matching >= sizeof(lengths) / sizeof(lengths[0]))
        return false;
    return lengths[tlsa->matching] == 0 ||
           lengths[tlsa->matching] == tlsa->data.len;
}

int
dns_reverse_name(const struct sockaddr *address, char name[DNS_NAME_MAX + 1])
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
    const unsigned char *bytes = (const unsigned char *)&in->sin_addr;
    size_t at = 0;

    if (address->sa_family == AF_INET) {
        snprintf(name, DNS_NAME_MAX + 1, "%u.%u.%u.%u.in-addr.arpa", bytes[3],
                 bytes[2], bytes[1], bytes[0]);
        return 0;
    }
    if (address->sa_family != AF_INET6)
        return -1;
    bytes = in6->sin6_addr.s6_addr;
    for (int i = 15; i >= 0; i--)
        at += (size_t)snprintf(name + at, DNS_NAME_MAX + 1 - at, "%x.%x.",
                               bytes[i] & 15, bytes[i] >> 4);
    snprintf(name + at, DNS_NAME_MAX + 1 - at, "ip6.arpa");
    return 0;
}
