/* SPDX-License-Identifier: ISC */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "mem.h"

void
buf_reserve(struct buf *buf, size_t more)
{
    size_t cap = buf->cap > 0 ? buf->cap : 64;

    if (more > SIZE_MAX / 4 - buf->len)
        bug("buffer of %zu bytes asked to grow by %zu", buf->len, more);
    if (buf->len + more <= buf->cap)
        return;
    while (cap < buf->len + more)
        cap *= 2;
    buf->data = mem_grow(buf->data, cap, 1);
    buf->cap = cap;
}

void
buf_add(struct buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return;
    buf_reserve(buf, len);
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
}

void
buf_add_view(struct buf *buf, struct view v)
{
    buf_add(buf, v.data, v.len);
}

void
buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void
buf_add_byte(struct buf *buf, uint8_t byte)
{
    buf_add(buf, &byte, 1);
}

void
buf_addf(struct buf *buf, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (n < 0)
        bug("format \"%s\"", format);
    buf_reserve(buf, (size_t)n + 1);
    va_start(ap, format);
    vsnprintf(buf->data + buf->len, (size_t)n + 1, format, ap);
    va_end(ap);
    buf->len += (size_t)n;
}

void
buf_consume(struct buf *buf, size_t n)
{
    if (n > buf->len)
        bug("buffer of %zu bytes asked to drop %zu", buf->len, n);
    buf->len -= n;
    if (buf->len > 0)
        memmove(buf->data, buf->data + n, buf->len);
}

void
buf_reset(struct buf *buf)
{
    buf->len = 0;
}

void
buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}
