/* SPDX-License-Identifier: ISC */
/*
 * A growable run of bytes. Zero-initialised it is empty and owns nothing.
 * Growing may move the bytes: views into a buffer end at the next append.
 */
#ifndef SPOOL_BUF_H
#define SPOOL_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "view.h"

struct buf {
    char *data;
    size_t len;
    size_t cap;
};

void buf_reserve(struct buf *buf, size_t more); /* room for more bytes */
void buf_add(struct buf *buf, const void *data, size_t len);
void buf_add_view(struct buf *buf, struct view v);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_byte(struct buf *buf, uint8_t byte);
void buf_addf(struct buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *buf, size_t n); /* drop the first n bytes */
void buf_reset(struct buf *buf);             /* empty, memory kept */
void buf_free(struct buf *buf);              /* empty, memory given back */

static inline struct view
buf_view(const struct buf *buf)
{
    return (struct view){buf->data, buf->len};
}

#endif
