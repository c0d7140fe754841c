/* SPDX-License-Identifier: ISC */
/*
 * BODY[HEADER.FIELDS (...)] and HEADER.FIELDS.NOT (RFC 3501 6.4.5): the
 * chosen fields of a header, as their bytes are, while it streams by. Holds
 * no more of it than a field's name.
 */
#ifndef SPOOL_MIME_HEADER_H
#define SPOOL_MIME_HEADER_H

#include "buf.h"
#include "view.h"

#define MIME_HEADER_NAME_MAX 256 /* longer names are never asked for */

struct mime_header_filter {
    const struct view *names;
    size_t n_names;
    bool others; /* the fields that are not named */
    int state;   /* private, like what follows */
    bool keep;   /* the field under way */
    char last;   /* byte that was kept */
    size_t name_len;
    char name[MIME_HEADER_NAME_MAX];
};

/* names are borrowed until the end; any case. */
void mime_header_filter_init(struct mime_header_filter *filter,
                             const struct view *names, size_t n_names,
                             bool others);
/* The next bytes of the header (the range of MIME_SECTION_FIELDS), cut
 * anywhere; appends what is chosen of them. */
void mime_header_filter_feed(struct mime_header_filter *filter,
                             struct view bytes, struct buf *out);
/* Appends the empty line that ends every such answer. */
void mime_header_filter_end(struct mime_header_filter *filter, struct buf *out);

#endif
