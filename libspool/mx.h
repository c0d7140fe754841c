/* SPDX-License-Identifier: ISC */
/*
 * Which hosts take the mail of a domain, chosen from its MX records (RFC 5321
 * 5.1, RFC 7505): a pure function of the records, our own name and a random
 * number.
 */
#ifndef SPOOL_MX_H
#define SPOOL_MX_H

#include "dns.h"

#define MX_HOSTS_MAX   16   /* the best ones; the others are never tried */
#define MX_RECORDS_MAX 1000 /* looked at */

enum mx_verdict {
    MX_FOUND,    /* there are hosts */
    MX_IMPLICIT, /* there are no records: the domain is its own host */
    MX_NULL,     /* the domain takes no mail */
    MX_SELF,     /* nobody is better than we are */
    MX_BAD,      /* no record makes sense */
};

/* The hosts with a better preference than our own name has (all, where it is
 * not among them), the best first, none twice. records are the data of the
 * answer; hosts has room for MX_HOSTS_MAX. */
enum mx_verdict mx_choose(const struct view *records, size_t n_records,
                          struct view self, struct dns_mx *hosts,
                          size_t *n_hosts);

/* Leaves out what is not better than preference; the number that is left. */
size_t mx_cut(const struct dns_mx *hosts, size_t n_hosts, uint16_t preference);

/* A random order of 0..n-1 in which lower ranks come first; ranks rise. */
void mx_shuffle(const unsigned *ranks, size_t n, uint64_t random,
                size_t *order);

#endif
