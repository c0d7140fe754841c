/* SPDX-License-Identifier: ISC */
/*
 * SORT (RFC 5256): each message gets one key whose order, byte by byte, is
 * the order asked for; so no criterion is looked at twice.
 *
 * A number is 8 bytes, big-endian. A text's bytes 0 and 1 are escaped and a 0
 * ends it, so that a shorter text comes first. A reversed criterion has all
 * its bits turned. Of equal keys the lower message number is first.
 *
 * Before: imap_search.c
 */
#include <stdlib.h>

#include "bytes.h"
#include "imap_search.h"
#include "mem.h"
#include "mime_sort.h"
#include "mime_structure.h"

/* Bytes of a text that count. */
#define TEXT_MAX 256

bool
imap_sort_needs_row(const struct imap_command *command)
{
    for (size_t i = 0; i < command->n_criteria; i++)
        if (command->criteria[i].by == IMAP_SORT_ARRIVAL ||
            command->criteria[i].by == IMAP_SORT_SIZE)
            return true;
    return imap_sort_needs_structure(command);
}

bool
imap_sort_needs_structure(const struct imap_command *command)
{
    for (size_t i = 0; i < command->n_criteria; i++)
        if (command->criteria[i].by != IMAP_SORT_ARRIVAL &&
            command->criteria[i].by != IMAP_SORT_SIZE)
            return true;
    return false;
}

static void
add_number(struct buf *keys, int64_t value)
{
    char bytes[8];

    bytes_put64(bytes, (uint64_t)value ^ (UINT64_C(1) << 63));
    buf_add(keys, bytes, sizeof(bytes));
}

static void
add_text(struct buf *keys, struct view text)
{
    if (text.len > TEXT_MAX)
        text.len = TEXT_MAX;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.data[i];

        if (c > 1) {
            buf_add_byte(keys, c);
        } else {
            buf_add_byte(keys, 1);
            buf_add_byte(keys, (uint8_t)(c + 1));
        }
    }
    buf_add_byte(keys, 0);
}

/* RFC 5256 2.2: without a Date field, the time of arrival. */
static int
add_date(struct buf *keys, const struct imap_content *content)
{
    struct mime_sent sent;

    if (mime_structure_sent(buf_view(&content->structure), &sent) != 0)
        return -1;
    add_number(keys,
               sent.known ? sent.utc_s : (int64_t)content->arrived_ms / 1000);
    return 0;
}

static int
add_criterion(struct buf *keys, enum imap_sort_by by,
              const struct imap_content *content)
{
    static struct buf text;
    struct view structure = buf_view(&content->structure);
    int rc;

    buf_reset(&text);
    switch (by) {
    case IMAP_SORT_ARRIVAL:
        add_number(keys, (int64_t)content->arrived_ms);
        return 0;
    case IMAP_SORT_SIZE:
        add_number(keys, (int64_t)content->size);
        return 0;
    case IMAP_SORT_DATE:
        return add_date(keys, content);
    case IMAP_SORT_SUBJECT:
        rc = mime_sort_subject(structure, &text);
        break;
    case IMAP_SORT_FROM:
        rc = mime_sort_address(structure, MIME_FROM, &text);
        break;
    case IMAP_SORT_TO:
        rc = mime_sort_address(structure, MIME_TO, &text);
        break;
    default:
        rc = mime_sort_address(structure, MIME_CC, &text);
        break;
    }
    add_text(keys, buf_view(&text));
    return rc;
}

int
imap_sort_add(struct imap_sort *sort, const struct imap_command *command,
              uint32_t place, const struct imap_content *content)
{
    struct imap_sorted item = {.place = place, .at = sort->keys.len};

    for (size_t i = 0; i < command->n_criteria; i++) {
        size_t before = sort->keys.len;

        if (add_criterion(&sort->keys, command->criteria[i].by, content) != 0)
            return -1;
        for (size_t k = before;
             command->criteria[i].reverse && k < sort->keys.len; k++)
            sort->keys.data[k] = (char)~sort->keys.data[k];
    }
    item.len = (uint32_t)(sort->keys.len - item.at);
    if (sort->count == sort->cap) {
        sort->cap = sort->cap == 0 ? 256 : sort->cap * 2;
        sort->items = mem_grow(sort->items, sort->cap, sizeof(*sort->items));
    }
    sort->items[sort->count++] = item;
    return 0;
}

static int
by_key(const void *a, const void *b, void *arg)
{
    const struct imap_sorted *x = a, *y = b;
    const char *keys = arg;
    size_t len = x->len < y->len ? x->len : y->len;
    int order = memcmp(keys + x->at, keys + y->at, len);

    if (order != 0)
        return order;
    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

void
imap_sort_order(struct imap_sort *sort)
{
    if (sort->count > 1)
        qsort_r(sort->items, sort->count, sizeof(*sort->items), by_key,
                sort->keys.data);
}

void
imap_sort_free(struct imap_sort *sort)
{
    free(sort->items);
    buf_free(&sort->keys);
    *sort = (struct imap_sort){0};
}
