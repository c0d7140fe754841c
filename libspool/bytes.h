/* SPDX-License-Identifier: ISC */
/* Big-endian numbers in bytes: frames, body files and database keys, where
 * the order of the bytes is the order of the numbers. */
#ifndef SPOOL_BYTES_H
#define SPOOL_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void
bytes_put64(void *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof(value));
}

static inline uint64_t
bytes_get64(const void *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return be64toh(value);
}

static inline void
bytes_put32(void *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof(value));
}

static inline uint32_t
bytes_get32(const void *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return be32toh(value);
}

#endif
