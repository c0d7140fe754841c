/* SPDX-License-Identifier: ISC */
/*
 * Allocation that does not fail: running out of memory ends the role, and
 * the parent starts it again with nothing lost (what was answered 250 is on
 * disk). Sizes that come from a stranger are limited before they get here.
 */
#ifndef SPOOL_MEM_H
#define SPOOL_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);                   /* zeroed */
void *mem_grow(void *p, size_t n, size_t size); /* realloc of n * size */
char *mem_copy_text(const char *text);          /* strdup */
char *mem_copy(const void *data, size_t len);   /* len bytes and a NUL */

#endif
