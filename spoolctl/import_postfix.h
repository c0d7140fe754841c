/* SPDX-License-Identifier: ISC */
/*
 * A queue file of Postfix, read as postcat(1) does: records of one byte of
 * type, a length (7 bits a byte, lowest first, the high bit set on all but
 * the last), and so many bytes. Envelope records, then content between M and
 * X, then more envelope; a pointer record goes on elsewhere in the file.
 */
#ifndef SPOOLCTL_IMPORT_POSTFIX_H
#define SPOOLCTL_IMPORT_POSTFIX_H

#include "buf.h"
#include "view.h"
#include "why.h"

#define POSTFIX_RECIPIENTS_MAX 20000
#define POSTFIX_JUMPS_MAX      10000
#define POSTFIX_CONTENT_MAX    (UINT64_C(2) << 30)

struct postfix_message {
    uint64_t arrived_ms;
    struct view sender; /* views point into the file */
    struct view client;
    struct view helo;
    struct view protocol;
    bool is_8bit;
    bool is_utf8;
    struct view *recipients; /* those that are not done */
    size_t n_recipients;
    struct buf content; /* lines end in CRLF */
};

/* -1: not a whole queue file, and why. Free in any case. */
int postfix_parse(struct view file, struct postfix_message *out,
                  struct why *why);
void postfix_free(struct postfix_message *message);

#endif
