/* SPDX-License-Identifier: ISC */
#include "imap_set.h"

#include <inttypes.h>
#include <stdlib.h>

#include "mem.h"

static void
set_grow(struct imap_set *set)
{
    if (set->count < set->cap)
        return;
    set->cap = set->cap > 0 ? set->cap * 2 : 4;
    set->ranges = mem_grow(set->ranges, set->cap, sizeof(*set->ranges));
}

/* Takes "*" or nz-number off the front of *text. */
static bool
take_number(struct view *text, uint32_t *number)
{
    uint64_t value = 0;
    size_t n = 0;

    if (text->len > 0 && text->data[0] == '*') {
        *number = IMAP_SET_STAR;
        *text = view_skip(*text, 1);
        return true;
    }
    while (n < text->len && text->data[n] >= '0' && text->data[n] <= '9') {
        value = value * 10 + (uint64_t)(text->data[n] - '0');
        if (value > UINT32_MAX || ++n > 10)
            return false;
    }
    if (value == 0 || text->data[0] == '0')
        return false;
    *number = (uint32_t)value;
    *text = view_skip(*text, n);
    return true;
}

static bool
take_range(struct view *text, struct imap_range *range)
{
    if (!take_number(text, &range->first))
        return false;
    range->last = range->first;
    if (text->len == 0 || text->data[0] != ':')
        return true;
    *text = view_skip(*text, 1);
    return take_number(text, &range->last);
}

int
imap_set_parse(struct imap_set *set, struct view text, struct why *why)
{
    struct imap_range range;

    *set = (struct imap_set){0};
    if (view_equal(text, VIEW("$"))) {
        set->is_saved = true;
        return 0;
    }
    while (take_range(&text, &range)) {
        if (set->count >= IMAP_SET_MAX) {
            imap_set_free(set);
            return why_text(why, "more than %d ranges in a set", IMAP_SET_MAX);
        }
        set_grow(set);
        set->ranges[set->count++] = range;
        if (text.len == 0)
            return 0;
        if (text.data[0] != ',')
            break;
        text = view_skip(text, 1);
    }
    imap_set_free(set);
    return why_text(why, "not a set of numbers");
}

void
imap_set_copy(struct imap_set *to, const struct imap_set *from)
{
    imap_set_free(to);
    to->is_saved = from->is_saved;
    to->count = to->cap = from->count;
    if (from->count == 0)
        return;
    to->ranges = mem_grow(NULL, from->count, sizeof(*to->ranges));
    memcpy(to->ranges, from->ranges, from->count * sizeof(*to->ranges));
}

void
imap_set_add(struct imap_set *set, uint32_t number)
{
    if (set->count > 0 && set->ranges[set->count - 1].last + 1 == number) {
        set->ranges[set->count - 1].last = number;
        return;
    }
    set_grow(set);
    set->ranges[set->count++] = (struct imap_range){number, number};
}

static int
by_first(const void *a, const void *b)
{
    const struct imap_range *x = a, *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

/* False: nothing is left of it. */
static bool
range_resolve(struct imap_range *range, uint32_t max)
{
    uint32_t first = range->first == IMAP_SET_STAR ? max : range->first;
    uint32_t last = range->last == IMAP_SET_STAR ? max : range->last;

    if (first == 0 || last == 0)
        return false;
    range->first = first < last ? first : last;
    range->last = first < last ? last : first;
    return true;
}

void
imap_set_resolve(struct imap_set *set, uint32_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < set->count; i++)
        if (range_resolve(&set->ranges[i], max))
            set->ranges[n++] = set->ranges[i];
    if (n > 1)
        qsort(set->ranges, n, sizeof(*set->ranges), by_first);
    set->count = 0;
    for (size_t i = 0; i < n; i++) {
        struct imap_range *before = set->ranges + set->count - 1;

        if (set->count == 0 ||
            (uint64_t)before->last + 1 < set->ranges[i].first)
            set->ranges[set->count++] = set->ranges[i];
        else if (set->ranges[i].last > before->last)
            before->last = set->ranges[i].last;
    }
}

/* The position of the first range that does not end under number. */
static size_t
find(const struct imap_set *set, uint32_t number)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->ranges[middle].last < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool
imap_set_has(const struct imap_set *set, uint32_t number)
{
    size_t at = find(set, number);

    return at < set->count && set->ranges[at].first <= number;
}

uint32_t
imap_set_next(const struct imap_set *set, uint32_t number)
{
    size_t at = find(set, number);

    if (at == set->count)
        return 0;
    return set->ranges[at].first > number ? set->ranges[at].first : number;
}

void
imap_set_print(const struct imap_set *set, struct buf *out)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct imap_range *range = &set->ranges[i];

        if (i > 0)
            buf_add_byte(out, ',');
        buf_addf(out, "%" PRIu32, range->first);
        if (range->last != range->first)
            buf_addf(out, ":%" PRIu32, range->last);
    }
}

void
imap_set_free(struct imap_set *set)
{
    free(set->ranges);
    *set = (struct imap_set){0};
}
