/* SPDX-License-Identifier: ISC */
/*
 * What comes out of the DNS as bytes: names (RFC 1035 3.1, uncompressed, as
 * resolvers hand record data out) and the data of MX, TLSA and PTR records.
 * The bytes are a stranger's: names are taken only if they are host names
 * (letters, digits, "-", "_"), so they can go to logs, certificates and
 * further questions as they are.
 */
#ifndef SPOOL_DNS_H
#define SPOOL_DNS_H

#include <sys/socket.h>

#include <stdint.h>

#include "view.h"

#define DNS_NAME_MAX 253 /* without the final dot and the NUL */

/* Takes a name off the front of *data, in lower case and without the final
 * dot; the root is "". -1: it is no host name, *data is anywhere then. */
int dns_name_take(struct view *data, char name[DNS_NAME_MAX + 1]);

/* RFC 1035 3.3.9; the whole of data. -1: it makes no sense. */
struct dns_mx {
    uint16_t preference;
    char name[DNS_NAME_MAX + 1]; /* "": the root, a null MX (RFC 7505) */
};
int dns_mx_read(struct view data, struct dns_mx *mx);

/* RFC 6698 2.1; the view points into data. -1: it makes no sense. */
struct dns_tlsa {
    uint8_t usage;
    uint8_t selector;
    uint8_t matching;
    struct view data;
};
int dns_tlsa_read(struct view data, struct dns_tlsa *tlsa);
/* May SMTP use it (RFC 7672 3.1)? DANE-TA(2) and DANE-EE(3), the certificate
 * or its key, whole or as SHA-256 or SHA-512 of the right length. */
bool dns_tlsa_is_usable(const struct dns_tlsa *tlsa);

/* The name whose PTR records name an address: "1.2.0.192.in-addr.arpa". -1:
 * neither IPv4 nor IPv6. */
int dns_reverse_name(const struct sockaddr *address,
                     char name[DNS_NAME_MAX + 1]);

#endif
