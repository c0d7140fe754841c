/* SPDX-License-Identifier: ISC */
/*
 * Paths of a stranger: what is accepted is made of its parts, is within the
 * limits, has no control characters, and reads the same once more.
 */
#include "addr.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_mailbox(const struct addr *addr)
{
    struct addr again;
    char local[ADDR_LOCAL_MAX];

    assert(addr->local.len >= 1 && addr->local.len <= ADDR_LOCAL_MAX);
    assert(addr->domain.len >= 1 && addr->domain.len <= ADDR_DOMAIN_MAX);
    assert(addr->text.len == addr->local.len + 1 + addr->domain.len);
    assert(addr->text.data[addr->local.len] == '@');
    assert(addr_is_domain(addr->domain));
    assert(addr_unquote(addr->local, local) <= addr->local.len);
    assert(addr_parse_mailbox(addr->text, &again, NULL) == 0);
    assert(view_equal(again.local, addr->local));
    assert(view_equal(again.domain, addr->domain));
    assert(again.is_utf8 == addr->is_utf8);
    assert(again.is_literal == addr->is_literal);
    (void)addr_is_routed(addr);
}

static void
check_bytes(const struct addr *addr)
{
    bool high = false;

    for (size_t i = 0; i < addr->text.len; i++) {
        uint8_t c = (uint8_t)addr->text.data[i];

        assert(c >= 0x20 && c != 0x7f);
        high |= c >= 0x80;
    }
    assert(high == addr->is_utf8);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = {(const char *)data, size};
    struct addr addr;
    struct why why = {0};

    if (addr_parse_path(&text, &addr, &why) != 0) {
        assert(why.code == 501 && why.text[0] != '\0');
    } else {
        assert(text.data > (const char *)data && text.data[-1] == '>');
        check_bytes(&addr);
        if (addr.kind == ADDR_MAILBOX)
            check_mailbox(&addr);
        else
            assert(addr.domain.len == 0);
    }
    if (addr_parse_mailbox((struct view){(const char *)data, size}, &addr,
                           NULL) == 0)
        check_mailbox(&addr);
    return 0;
}
