/* SPDX-License-Identifier: ISC */
/*
 * The structure of a message (RFC 2045, 2046, 5322): one pass over its bytes,
 * which come in pieces of any size, gives the tree of its parts with the
 * ranges, sizes and line counts of the original bytes, and the values of the
 * header fields that IMAP's ENVELOPE and BODYSTRUCTURE are made of.
 *
 * Every sequence of bytes is a message. How odd ones are read:
 *
 *   - A line ends in LF; the CR before it belongs to the line end.
 *   - A header ends at an empty line, before a delimiter of an open multipart
 *     or at the end. A line without a colon is stepped over.
 *   - The first Content-Type counts. Without one (or without a type in it) a
 *     part is text/plain, and message/rfc822 in a multipart/digest.
 *   - A delimiter is a line that begins with "--" and the boundary (RFC 2046
 *     5.1.1); of several open multiparts the one with the longest such
 *     boundary, then the innermost. The line end before it belongs to it.
 *   - A multipart without a boundary is read as a leaf, and shown as a
 *     text/plain; one without any part is shown with one empty text/plain
 *     (mime_structure.h).
 *   - message/rfc822 in base64 or quoted-printable, which RFC 2046 5.2.1
 *     forbids, is a leaf: its bytes are not those of a message. It is shown
 *     as application/octet-stream.
 *   - Beyond MIME_DEPTH_MAX and MIME_PARTS_MAX no part is opened: what would
 *     be one stays in the body of the part before it (mime.cut says so).
 */
#ifndef SPOOL_MIME_H
#define SPOOL_MIME_H

#include <stdint.h>

#include "buf.h"
#include "view.h"

#define MIME_DEPTH_MAX    100 /* multiparts and messages around a part */
#define MIME_PARTS_MAX    10000
#define MIME_BOUNDARY_MAX 1024           /* the rest of a longer one is cut */
#define MIME_FIELD_MAX    (64u * 1024)   /* kept of one field's value */
#define MIME_FIELDS_MAX   (1024u * 1024) /* kept of all; then fields lack */

/* The fields that are kept. Content fields are kept of every part, the others
 * of messages alone (the whole one, and those in message/rfc822). */
enum mime_field_name {
    MIME_CONTENT_TYPE,
    MIME_CONTENT_TRANSFER_ENCODING,
    MIME_CONTENT_ID,
    MIME_CONTENT_DESCRIPTION,
    MIME_CONTENT_DISPOSITION,
    MIME_CONTENT_LANGUAGE,
    MIME_CONTENT_LOCATION,
    MIME_CONTENT_MD5,
    MIME_DATE,
    MIME_SUBJECT,
    MIME_FROM,
    MIME_SENDER,
    MIME_REPLY_TO,
    MIME_TO,
    MIME_CC,
    MIME_BCC,
    MIME_IN_REPLY_TO,
    MIME_MESSAGE_ID,
    MIME_VERSION, /* only that it is there */
    MIME_FIELD_NAMES
};

struct mime_field {
    enum mime_field_name name;
    uint64_t at;  /* of its first byte in the content, its name's */
    uint64_t len; /* in the content, with its last line end */
    size_t value; /* where in mime.values the value begins */
    size_t value_len;
};

enum mime_kind {
    MIME_LEAF,
    MIME_MULTIPART,
    MIME_MESSAGE, /* message/rfc822: its one child is the message */
};

#define MIME_NONE UINT32_MAX

struct mime_node {
    uint32_t parent; /* index; smaller than the node's own; MIME_NONE: root */
    uint32_t children;
    enum mime_kind kind;
    bool is_digest; /* multipart/digest: parts default to message/rfc822 */
    /* The header with its empty line, and the body, which has the children's
     * headers and bodies in it. body_at == header_at + header_len. */
    uint64_t header_at, header_len;
    uint64_t body_at, body_len;
    uint64_t header_lines, lines; /* line ends in header and body */
    size_t first_field, n_fields; /* in mime.fields, as they stand there */
};

struct mime {
    struct mime_node *nodes; /* nodes[0] is the whole message; preorder */
    size_t n_nodes;
    struct mime_field *fields;
    size_t n_fields;
    struct buf values; /* unfolded: without the line ends, blanks kept; NUL
                        * is '?'; no blanks at either end */
    bool cut;          /* a limit above was reached */
};

struct mime_scan;

struct mime_scan *mime_scan_new(void);
/* The next bytes of content, in order, cut anywhere. */
void mime_scan_feed(struct mime_scan *scan, struct view bytes);
/* After the last byte: the tree, for mime_free. Frees the scan. */
struct mime *mime_scan_end(struct mime_scan **scan);
/* Gives up. */
void mime_scan_free(struct mime_scan **scan);
void mime_free(struct mime **mime);

/* The whole message in one piece. */
struct mime *mime_scan_whole(struct view content);

/* The first field of that name in the node, NULL: none. */
const struct mime_field *mime_find(const struct mime *mime,
                                   const struct mime_node *node,
                                   enum mime_field_name name);
/* Its value, borrowed from mime; an empty view with data NULL for NULL. */
struct view mime_value(const struct mime *mime, const struct mime_field *field);

#endif
