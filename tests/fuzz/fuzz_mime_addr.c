/* SPDX-License-Identifier: ISC */
/*
 * Address lists of a stranger: groups end, an address that has no half lacks
 * none, and no more comes out than went in.
 */
#include "mime_addr.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tally {
    size_t count, bytes;
    bool in_group;
};

static void
check(void *arg, const struct mime_addr *addr)
{
    struct tally *tally = arg;

    tally->count++;
    switch (addr->kind) {
    case MIME_ADDR_MAILBOX:
        assert(addr->mailbox.len > 0 && addr->host.len > 0);
        assert(addr->name.data == NULL || addr->name.len > 0);
        assert(addr->route.data == NULL || addr->route.data[0] == '@');
        break;
    case MIME_ADDR_GROUP:
        assert(!tally->in_group && addr->mailbox.data != NULL &&
               addr->host.data == NULL);
        tally->in_group = true;
        break;
    case MIME_ADDR_GROUP_END:
        assert(tally->in_group && addr->mailbox.data == NULL);
        tally->in_group = false;
        break;
    }
    if (!view_equal(addr->mailbox, VIEW("MISSING_MAILBOX")))
        tally->bytes += addr->mailbox.len;
    if (!view_equal(addr->host, VIEW("MISSING_DOMAIN")))
        tally->bytes += addr->host.len;
    tally->bytes += addr->route.len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view value = {(const char *)data, size};
    struct tally tally = {0};

    mime_addr_parse(value, check, &tally);
    assert(!tally.in_group);
    assert(tally.count <= MIME_ADDRS_MAX + 1);
    assert(tally.bytes <= size);
    return 0;
}
