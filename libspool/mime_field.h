/* SPDX-License-Identifier: ISC */
/*
 * The fields a scan keeps (mime.h): what mime.c does with a header line once
 * it knows where name and value are. Limits on their size are kept here.
 */
#ifndef SPOOL_MIME_FIELD_H
#define SPOOL_MIME_FIELD_H

#include "mime.h"

struct mime_fields {
    struct mime *mime;
    size_t cap;
    size_t cost;   /* against MIME_FIELDS_MAX */
    uint32_t seen; /* in this header, a bit for each name */
    bool open;     /* mime->fields[n_fields - 1] may go on */
};

/* A header begins. */
void mime_fields_begin_header(struct mime_fields *fields);
/* A line with that name (blanks at its end do not count) began at at. Fields
 * that are not kept have no further effect. */
void mime_fields_begin(struct mime_fields *fields, struct view name,
                       bool of_message, uint64_t at);
/* More of the value of the field that is open, without LF. */
void mime_fields_add(struct mime_fields *fields, struct view text);
/* The line has ended in CR LF: the CR goes. */
void mime_fields_drop_cr(struct mime_fields *fields);
/* The field, if one is open, has ended before at. */
void mime_fields_end(struct mime_fields *fields, uint64_t at);

#endif
