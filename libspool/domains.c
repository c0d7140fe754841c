/* SPDX-License-Identifier: ISC */
#include "domains.h"

#include <string.h>

#include "addr.h"

bool
domains_next(struct view *rest, struct view *domain)
{
    if (rest->len == 0)
        return false;
    *domain = (struct view){rest->data, strlen(rest->data)};
    *rest = view_skip(*rest, domain->len + 1);
    return true;
}

void
domains_add(struct buf *domains, struct view address)
{
    char lower[DOMAINS_NAME_MAX];
    const char *at =
        address.len > 0 ? memrchr(address.data, '@', address.len) : NULL;
    struct view domain, rest = buf_view(domains), known;

    if (at == NULL)
        return;
    domain = view_skip(address, (size_t)(at - address.data) + 1);
    if (domain.len == 0 || domain.len > sizeof(lower) ||
        memchr(domain.data, '\0', domain.len) != NULL)
        return;
    addr_lower(domain, lower);
    while (domains_next(&rest, &known))
        if (view_equal(known, (struct view){lower, domain.len}))
            return;
    buf_add(domains, lower, domain.len);
    buf_add_byte(domains, '\0');
}
