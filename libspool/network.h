/* SPDX-License-Identifier: ISC */
/*
 * IP networks as people write them: "192.0.2.7", "192.0.2.0/24",
 * "2001:db8::/32". An IPv4 address mapped into IPv6 is the IPv4 address; a
 * network of one family never holds an address of the other.
 */
#ifndef SPOOL_NETWORK_H
#define SPOOL_NETWORK_H

#include "view.h"

struct network {
    bool is_v4;
    unsigned char address[16]; /* 4 of them for IPv4 */
    unsigned bits;
};

/* Bits of the address past the prefix are ignored. -1: not a network. */
int network_parse(struct view text, struct network *network);
/* False for a text that is not an address. */
bool network_has(const struct network *network, struct view address);

#endif
