/* SPDX-License-Identifier: ISC */
/*
 * Private to imap*.c: a FETCH item BODY[...] or BINARY[...] on its way out.
 */
#ifndef SPOOLD_IMAP_SECTION_H
#define SPOOLD_IMAP_SECTION_H

#include "imap_content.h"
#include "mime_header.h"
#include "mime_section.h"

struct mime_decoder;

enum imap_section_phase {
    IMAP_SECTION_MEASURE, /* what comes out is counted, and kept if small */
    IMAP_SECTION_EMIT,    /* the literal's length was told: its bytes go out */
    IMAP_SECTION_DONE,
};

struct imap_section {
    const struct imap_item *item;
    enum imap_section_phase phase;
    struct mime_range range; /* of the content */
    bool changes;            /* bytes go through filter or decoder */
    bool decodes;
    struct mime_header_filter filter;
    struct mime_decoder *decoder;
    uint64_t at;         /* of the content: the next byte to look at */
    uint64_t total;      /* bytes that came out so far, or in all */
    uint64_t skip, left; /* of what comes out, for <at.length> */
    bool has_nul;
    bool is_told; /* name and length went out */
    bool is_kept; /* kept has all that comes out */
    struct buf kept;
};

/* content has its structure where the item needs it. 1; 0: the message has no
 * such section; -1: the structure is damaged. */
int imap_section_begin(struct imap_section *section,
                       const struct imap_item *item,
                       struct imap_content *content);
/* Does it need the structure? */
bool imap_section_needs_structure(const struct imap_item *item);
/* The piece it begins with, if content has any, as far as that is known before
 * its structure is. */
uint64_t imap_section_first_piece(const struct imap_item *item,
                                  const struct imap_content *content);
/* The next piece of it, to the session. 1: done; 0: call again; -1: *why. */
int imap_section_step(struct imap_section *section,
                      struct imap_session *session,
                      struct imap_content *content, struct why *why);
/* Appends the item's name in a response: "BODY[1.TEXT]<0>". */
void imap_section_put_name(const struct imap_item *item, struct buf *out);
void imap_section_free(struct imap_section *section);

#endif
