/* SPDX-License-Identifier: ISC */
#include "mem.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"

void *
mem_alloc(size_t size)
{
    void *p = calloc(1, size > 0 ? size : 1);

    if (p == NULL)
        fatal("out of memory (%zu bytes)", size);
    return p;
}

void *
mem_grow(void *p, size_t n, size_t size)
{
    void *grown = reallocarray(p, n > 0 ? n : 1, size);

    if (grown == NULL)
        fatal("out of memory (%zu times %zu bytes)", n, size);
    return grown;
}

char *
mem_copy(const void *data, size_t len)
{
    char *copy = mem_alloc(len + 1);

    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}

char *
mem_copy_text(const char *text)
{
    return mem_copy(text, strlen(text));
}
