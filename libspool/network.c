/* SPDX-License-Identifier: ISC */
#include "network.h"

#include <arpa/inet.h>

#include "num.h"

static int
read_address(struct view text, unsigned char address[16], bool *is_v4)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    char copy[INET6_ADDRSTRLEN];

    if (text.len == 0 || text.len >= sizeof(copy) ||
        memchr(text.data, '\0', text.len) != NULL)
        return -1;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    memset(address, 0, 16);
    *is_v4 = inet_pton(AF_INET, copy, address) == 1;
    if (*is_v4)
        return 0;
    if (inet_pton(AF_INET6, copy, address) != 1)
        return -1;
    if (memcmp(address, mapped, sizeof(mapped)) == 0) {
        memmove(address, address + sizeof(mapped), 4);
        *is_v4 = true;
    }
    return 0;
}

int
network_parse(struct view text, struct network *network)
{
    const char *slash = text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
    struct view address = text;
    uint64_t bits, max;

    if (slash != NULL)
        address.len = (size_t)(slash - text.data);
    if (read_address(address, network->address, &network->is_v4) != 0)
        return -1;
    bits = max = network->is_v4 ? 32 : 128;
    if (slash != NULL &&
        num_parse(view_skip(text, address.len + 1), 0, max, &bits, NULL) != 0)
        return -1;
    network->bits = (unsigned)bits;
    return 0;
}

bool
network_has(const struct network *network, struct view address)
{
    unsigned char bytes[16];
    unsigned whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    bool is_v4;

    if (read_address(address, bytes, &is_v4) != 0 || is_v4 != network->is_v4 ||
        memcmp(bytes, network->address, whole) != 0)
        return false;
    return rest == 0 ||
           (bytes[whole] ^ network->address[whole]) >> (8 - rest) == 0;
}
