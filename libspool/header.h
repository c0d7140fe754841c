/* SPDX-License-Identifier: ISC */
/*
 * Headers of messages (RFC 5322): looks at the header block while content
 * streams by, and prints our own Received field (RFC 5321 4.4).
 *
 * The block ends at an empty line, or before the first line that is neither
 * a field nor the continuation of one (a mbox "From " line at the very start
 * is stepped over). Content is the output of dot.h: lines end in CRLF.
 */
#ifndef SPOOL_HEADER_H
#define SPOOL_HEADER_H

#include <stdint.h>

#include "buf.h"
#include "view.h"

#define HEADER_VALUE_MAX 200  /* kept of Subject and Message-ID */
#define HEADER_TRACE_MAX 512  /* looked at of a Received field */
#define HEADER_LINE_MAX  1000 /* looked at of a line; the rest is skipped */

enum header_field {
    HEADER_OTHER,
    HEADER_RECEIVED,
    HEADER_SUBJECT,
    HEADER_MESSAGE_ID,
};

struct header {
    bool done;               /* the block has ended */
    bool started;            /* a first line was there */
    enum header_field field; /* that the next line may continue */
    struct view hostname;
    unsigned received; /* Received fields */
    unsigned loops;    /* of them, those with "by hostname" */
    /* Raw values of the first field of each name, unfolded, without blanks
     * at the ends. */
    char subject[HEADER_VALUE_MAX];
    char message_id[HEADER_VALUE_MAX];
    size_t subject_len;
    size_t message_id_len;
    bool has_subject;
    bool has_message_id;
    /* The field and the line under way. */
    char trace[HEADER_TRACE_MAX];
    size_t trace_len;
    char line[HEADER_LINE_MAX];
    size_t line_len;
};

/* The hostname is borrowed. */
void header_init(struct header *header, struct view hostname);
/* Looks at the next bytes of content, cut anywhere. False: the header has
 * ended, there is no need to call again (it does no harm). */
bool header_scan(struct header *header, struct view bytes);
/* The content has ended: a last field without its line end counts too. */
void header_end(struct header *header);

/* What our Received field says. Empty views are left out. */
struct header_trace {
    struct view helo;     /* as the client said it; odd bytes become '?' */
    struct view client;   /* "192.0.2.1" or "2001:db8::1" */
    struct view hostname; /* ours */
    struct view protocol; /* header_protocol() */
    struct view tls;      /* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
    struct view id;
    struct view recipient; /* only where there is exactly one */
    int64_t when_ms;
};
/* Appends the whole field, folded, with its last CRLF. */
void header_received(const struct header_trace *trace, struct buf *out);

/* The "with" keyword: SMTP, ESMTP, ESMTPS (RFC 3848), UTF8SMTP, UTF8SMTPS
 * (RFC 6531 4.3). */
const char *header_protocol(bool esmtp, bool tls, bool utf8);

#endif
