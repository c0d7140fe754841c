/* SPDX-License-Identifier: ISC */
/*
 * Private to imap*.c: a SEARCH or SORT under way, and what SORT makes of its
 * results.
 */
#ifndef SPOOLD_IMAP_SEARCH_H
#define SPOOLD_IMAP_SEARCH_H

#include "imap_content.h"

/* Messages one SORT may find: it keeps a key of each. */
#define IMAP_SORT_MAX 100000

struct imap_sorted {
    uint32_t place; /* in the view */
    uint32_t len;   /* of its key */
    size_t at;      /* of its key, in imap_sort.keys */
};
struct imap_sort {
    struct imap_sorted *items;
    size_t count, cap;
    struct buf keys;
};
/* Does any criterion need the row, the structure? */
bool imap_sort_needs_row(const struct imap_command *command);
bool imap_sort_needs_structure(const struct imap_command *command);
/* Adds a message. content is open (and has its structure) where it is needed.
 * -1: the structure is damaged. */
int imap_sort_add(struct imap_sort *sort, const struct imap_command *command,
                  uint32_t place, const struct imap_content *content);
/* Puts the items in order. */
void imap_sort_order(struct imap_sort *sort);
void imap_sort_free(struct imap_sort *sort);

#endif
