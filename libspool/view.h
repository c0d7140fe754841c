/* SPDX-License-Identifier: ISC */
/*
 * A borrowed run of bytes: a pointer and a length, never freed through the
 * view and not terminated by a NUL. Whoever hands a view out says how long
 * the bytes stay valid.
 */
#ifndef SPOOL_VIEW_H
#define SPOOL_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct view {
    const char *data;
    size_t len;
};

/* The view of a string literal. */
#define VIEW(literal) ((struct view){(literal), sizeof(literal) - 1})

static inline struct view
view_of(const char *text)
{
    return (struct view){text, text != NULL ? strlen(text) : 0};
}

static inline bool
view_equal(struct view a, struct view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Equal but for the case of ASCII letters (domains, SMTP verbs). */
static inline bool
view_equal_nocase(struct view a, struct view b)
{
    return a.len == b.len &&
           (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}

/* The rest after the first n bytes (all of them where n is past the end). */
static inline struct view
view_skip(struct view v, size_t n)
{
    if (n > v.len)
        n = v.len;
    if (n == 0)
        return v; /* the data of an empty view may be NULL */
    return (struct view){v.data + n, v.len - n};
}

#endif
