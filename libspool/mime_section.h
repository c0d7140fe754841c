/* SPDX-License-Identifier: ISC */
/*
 * Sections (RFC 3501 and 9051 6.4.5): which bytes of the content BODY[...]
 * and BINARY[...] mean.
 */
#ifndef SPOOL_MIME_SECTION_H
#define SPOOL_MIME_SECTION_H

#include <stdint.h>

#include "mime.h"
#include "mime_decode.h"
#include "view.h"

enum mime_section_what {
    MIME_SECTION_ALL, /* "" the message; "1.2" the part's body */
    MIME_SECTION_HEADER,
    MIME_SECTION_TEXT,
    MIME_SECTION_MIME,
    MIME_SECTION_FIELDS,     /* "HEADER.FIELDS": the range is the header */
    MIME_SECTION_FIELDS_NOT, /* "HEADER.FIELDS.NOT" */
};

/* Deeper ones are no section of any message. */
#define MIME_SECTION_DEPTH (2 * MIME_DEPTH_MAX)

struct mime_section {
    enum mime_section_what what;
    size_t n_path; /* "1.2.TEXT": 2 */
    uint32_t path[MIME_SECTION_DEPTH];
};

struct mime_range {
    uint64_t at, len;
    /* Of the part the section names, for BINARY: */
    enum mime_kind kind;
    bool encoding_known;
    enum mime_encoding encoding;
};

/* The whole of text, any case, without brackets and field names: "", "1",
 * "1.2.HEADER.FIELDS". -1: no section (too deep, number 0, MIME without a
 * number in front, ...). */
int mime_section_parse(struct view text, struct mime_section *section);

/* 1: *range is set; 0: the message has no such section (IMAP answers NIL);
 * -1: the structure is damaged. HEADER, TEXT and FIELDS below a path are of
 * message/rfc822 alone. Path "1" in a message that is no multipart is its
 * body. */
int mime_section_find(struct view structure, const struct mime_section *section,
                      struct mime_range *range);

#endif
