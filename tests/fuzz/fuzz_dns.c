/* SPDX-License-Identifier: ISC */
/*
 * Records of a stranger: names stay host names within their limit, the hosts
 * that are chosen are in order, better than ourselves and none is there
 * twice; hosts files find addresses only.
 */
#include "hosts.h"
#include "mx.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS 64
#define SELF    VIEW("mx.example")

/* The records stand one after the other, each behind its length. */
static size_t
cut(struct view bytes, struct view *records)
{
    size_t n = 0;

    while (n < RECORDS && bytes.len > 0) {
        size_t len = (unsigned char)bytes.data[0];

        bytes = view_skip(bytes, 1);
        records[n++] =
            (struct view){bytes.data, len < bytes.len ? len : bytes.len};
        bytes = view_skip(bytes, len);
    }
    return n;
}

static void
check_name(const char *name)
{
    assert(strlen(name) <= DNS_NAME_MAX);
    for (; *name != '\0'; name++)
        assert((*name >= 'a' && *name <= 'z') ||
               (*name >= '0' && *name <= '9') || strchr("-_.", *name) != NULL);
}

static void
check_hosts(const struct view *records, size_t n)
{
    struct dns_mx hosts[MX_HOSTS_MAX], mx;
    unsigned ranks[MX_HOSTS_MAX];
    size_t order[MX_HOSTS_MAX], n_hosts, seen = 0;
    enum mx_verdict verdict = mx_choose(records, n, SELF, hosts, &n_hosts);

    assert((verdict == MX_FOUND) == (n_hosts > 0));
    assert((verdict == MX_IMPLICIT) == (n == 0));
    for (size_t i = 0; i < n_hosts; i++) {
        check_name(hosts[i].name);
        assert(hosts[i].name[0] != '\0');
        assert(!view_equal_nocase(view_of(hosts[i].name), SELF));
        assert(i == 0 || hosts[i - 1].preference <= hosts[i].preference);
        for (size_t k = 0; k < i; k++)
            assert(strcmp(hosts[i].name, hosts[k].name) != 0);
        ranks[i] = hosts[i].preference;
    }
    for (size_t i = 0; i < n; i++)
        if (dns_mx_read(records[i], &mx) == 0 &&
            view_equal_nocase(view_of(mx.name), SELF))
            assert(mx_cut(hosts, n_hosts, mx.preference) == n_hosts);
    mx_shuffle(ranks, n_hosts, n * 77, order);
    for (size_t i = 0; i < n_hosts; i++) {
        assert(order[i] < n_hosts);
        assert(i == 0 || ranks[order[i - 1]] <= ranks[order[i]]);
        seen |= (size_t)1 << order[i];
    }
    assert(seen == ((size_t)1 << n_hosts) - 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view bytes = {(const char *)data, size}, rest = bytes;
    struct view records[RECORDS], servers[3];
    struct sockaddr_storage addresses[4];
    char name[DNS_NAME_MAX + 1];
    struct dns_tlsa tlsa;
    size_t n;

    if (dns_name_take(&rest, name) == 0) {
        check_name(name);
        assert(rest.len < bytes.len);
    }
    if (dns_tlsa_read(bytes, &tlsa) == 0)
        assert(tlsa.data.len + 3 == size &&
               (!dns_tlsa_is_usable(&tlsa) || tlsa.usage >= 2));
    n = hosts_find(bytes, VIEW("a"), addresses, 4);
    assert(n <= 4);
    for (size_t i = 0; i < n; i++)
        assert(addresses[i].ss_family == AF_INET ||
               addresses[i].ss_family == AF_INET6);
    assert(hosts_servers(bytes, servers, 3) <= 3);
    check_hosts(records, cut(bytes, records));
    return 0;
}
