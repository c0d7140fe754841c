/* SPDX-License-Identifier: ISC */
/* SHA-1 over a text that is there as a whole; names as in FIPS 180-4, 6.1. */
#include "password_sha1.h"

#include <string.h>

#include "bytes.h"

#define BLOCK 64

static uint32_t
turn_left(uint32_t value, unsigned by)
{
    return value << by | value >> (32 - by);
}

static uint32_t
mix(unsigned t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20)
        return ((b & c) | (~b & d)) + 0x5a827999;
    if (t < 40)
        return (b ^ c ^ d) + 0x6ed9eba1;
    if (t < 60)
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    return (b ^ c ^ d) + 0xca62c1d6;
}

static void
add_block(uint32_t h[5], const unsigned char *block)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

    for (unsigned t = 0; t < 16; t++)
        w[t] = bytes_get32(block + 4 * t);
    for (unsigned t = 16; t < 80; t++)
        w[t] = turn_left(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    for (unsigned t = 0; t < 80; t++) {
        uint32_t sum = turn_left(a, 5) + mix(t, b, c, d) + e + w[t];

        e = d;
        d = c;
        c = turn_left(b, 30);
        b = a;
        a = sum;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

void
password_sha1(const unsigned char *bytes, size_t len,
              unsigned char out[PASSWORD_SHA1])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                     0xc3d2e1f0};
    unsigned char last[2 * BLOCK] = {0};
    size_t whole = len / BLOCK * BLOCK, rest = len - whole;
    size_t end = rest + 9 <= BLOCK ? BLOCK : 2 * BLOCK;

    for (size_t at = 0; at < whole; at += BLOCK)
        add_block(h, bytes + at);
    if (rest > 0)
        memcpy(last, bytes + whole, rest);
    last[rest] = 0x80;
    bytes_put64(last + end - 8, (uint64_t)len * 8);
    for (size_t at = 0; at < end; at += BLOCK)
        add_block(h, last + at);
    for (unsigned i = 0; i < 5; i++)
        bytes_put32(out + 4 * i, h[i]);
}
