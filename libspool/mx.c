/* SPDX-License-Identifier: ISC */
#include "mx.h"

#include <stdlib.h>

#include "mem.h"

static int
compare(const void *a, const void *b)
{
    const struct dns_mx *left = a, *right = b;

    if (left->preference != right->preference)
        return left->preference < right->preference ? -1 : 1;
    return strcmp(left->name, right->name);
}

/* Those that make sense, the best first; null records are told apart. */
static size_t
read_all(const struct view *records, size_t n_records, struct dns_mx *all,
         size_t *n_null)
{
    size_t n = 0;

    *n_null = 0;
    for (size_t i = 0; i < n_records; i++) {
        if (dns_mx_read(records[i], &all[n]) != 0)
            continue;
        if (all[n].name[0] == '\0')
            ++*n_null;
        else
            n++;
    }
    qsort(all, n, sizeof(*all), compare);
    return n;
}

size_t
mx_cut(const struct dns_mx *hosts, size_t n_hosts, uint16_t preference)
{
    size_t n = 0;

    while (n < n_hosts && hosts[n].preference < preference)
        n++;
    return n;
}

static bool
is_among(const struct dns_mx *hosts, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(hosts[i].name, name) == 0)
            return true;
    return false;
}

enum mx_verdict
mx_choose(const struct view *records, size_t n_records, struct view self,
          struct dns_mx *hosts, size_t *n_hosts)
{
    struct dns_mx *all;
    size_t n, n_null;

    *n_hosts = 0;
    if (n_records == 0)
        return MX_IMPLICIT;
    if (n_records > MX_RECORDS_MAX)
        n_records = MX_RECORDS_MAX;
    all = mem_alloc(n_records * sizeof(*all));
    n = read_all(records, n_records, all, &n_null);
    if (n == 0) {
        free(all);
        /* RFC 7505 3: a null MX stands alone. */
        return n_null == 1 && n_records == 1 ? MX_NULL : MX_BAD;
    }
    for (size_t i = 0; i < n; i++)
        if (view_equal_nocase(view_of(all[i].name), self)) {
            n = mx_cut(all, n, all[i].preference);
            break;
        }
    for (size_t i = 0; i < n && *n_hosts < MX_HOSTS_MAX; i++)
        if (!is_among(hosts, *n_hosts, all[i].name))
            hosts[(*n_hosts)++] = all[i];
    free(all);
    return *n_hosts > 0 ? MX_FOUND : MX_SELF;
}

void
mx_shuffle(const unsigned *ranks, size_t n, uint64_t random, size_t *order)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && ranks[end] == ranks[first]; end++)
            ;
        /* Each of the group may come to each place. */
        for (size_t i = first; i + 1 < end; i++) {
            size_t other, kept = order[i];

            random = random * UINT64_C(6364136223846793005) +
                     UINT64_C(1442695040888963407);
            other = i + (size_t)((random >> 33) % (end - i));
            order[i] = order[other];
            order[other] = kept;
        }
    }
}
