/* SPDX-License-Identifier: ISC */
/*
 * The scanner: a state for where in a line the next byte is, the innermost
 * open part, and the boundaries of the open multiparts, outermost first. No
 * recursion; a byte is looked at once or twice however deep parts nest.
 *
 *     LINE       a header line begins; another line may go on its field
 *     LINE_CR    a header line began with a CR
 *     NAME       in a header line, no colon yet
 *     VALUE      behind the colon, or in a line to be stepped over
 *     HELD       a line began with "-" and may be a delimiter: it is kept
 *                until that is known, then passed on as header or body
 *     DELIMITER  in the rest of a delimiter
 *     BODY_LINE  a line of a body begins
 *     BODY       in a line of a body
 */
#include "mime.h"

#include <assert.h>
#include <stdlib.h>

#include "mem.h"
#include "mime_field.h"
#include "mime_token.h"

enum scan_state {
    SCAN_LINE,
    SCAN_LINE_CR,
    SCAN_NAME,
    SCAN_VALUE,
    SCAN_HELD,
    SCAN_DELIMITER,
    SCAN_BODY_LINE,
    SCAN_BODY,
    SCAN_STATES
};

/* "--", the boundary, "--": nothing behind that matters. */
#define HELD_MAX (MIME_BOUNDARY_MAX + 4)
/* A bit more than the longest name that is known. */
#define NAME_MAX_KEPT 32

struct boundary {
    uint32_t node;
    size_t at, len; /* in mime_scan.boundary_text */
};

struct mime_scan {
    struct mime *mime;
    size_t nodes_cap;
    struct mime_fields fields;
    struct mime_params params;

    enum scan_state state;
    uint64_t at;      /* of the next byte */
    uint64_t lfs;     /* before it */
    unsigned eol;     /* length of the line end before this line; 0 where it
                       * belongs to a header */
    char last;        /* the byte before */
    uint32_t current; /* innermost open node */
    uint32_t depth;   /* nodes around it */

    struct boundary boundaries[MIME_DEPTH_MAX];
    size_t n_boundaries;
    struct buf boundary_text;
    bool opens; /* DELIMITER: a part begins behind it */

    size_t held_len;
    bool held_in_header;
    char held[HELD_MAX];

    uint64_t line_at; /* where this header line began */
    size_t name_len;  /* NAME_MAX_KEPT: too long */
    char name[NAME_MAX_KEPT];
};

/* --- the tree ---------------------------------------------------------------
 */

static struct mime_node *
current(struct mime_scan *scan)
{
    return &scan->mime->nodes[scan->current];
}

/* Its header begins here. */
static void
open_node(struct mime_scan *scan, uint32_t parent)
{
    struct mime *mime = scan->mime;

    if (mime->n_nodes == scan->nodes_cap) {
        scan->nodes_cap = scan->nodes_cap == 0 ? 4 : 2 * scan->nodes_cap;
        mime->nodes =
            mem_grow(mime->nodes, scan->nodes_cap, sizeof(mime->nodes[0]));
    }
    if (parent != MIME_NONE) {
        mime->nodes[parent].children++;
        scan->depth++;
    }
    scan->current = (uint32_t)mime->n_nodes;
    mime_fields_begin_header(&scan->fields);
    mime->nodes[mime->n_nodes++] = (struct mime_node){
        .parent = parent,
        .header_at = scan->at,
        .header_lines = scan->lfs, /* made a difference by end_header */
        .first_field = mime->n_fields,
    };
    scan->state = SCAN_LINE;
}

static struct view
text_of(struct mime *mime, struct mime_node *node, enum mime_field_name name)
{
    return mime_value(mime, mime_find(mime, node, name));
}

static bool
is_encoded(struct view encoding)
{
    struct view word;

    mime_token_skip(&encoding);
    return mime_token_take(&encoding, &word) &&
           (view_equal_nocase(word, VIEW("base64")) ||
            view_equal_nocase(word, VIEW("quoted-printable")));
}

/* A multipart, if it names its boundary. */
static bool
open_multipart(struct mime_scan *scan, struct view rest)
{
    const struct mime_param *param;
    struct boundary *boundary = &scan->boundaries[scan->n_boundaries];
    size_t len;

    mime_params_parse(rest, &scan->params);
    param = mime_params_find(&scan->params, VIEW("boundary"));
    if (param == NULL || param->value.len == 0)
        return false;
    len = param->value.len;
    if (len > MIME_BOUNDARY_MAX) {
        len = MIME_BOUNDARY_MAX;
        scan->mime->cut = true;
    }
    assert(scan->n_boundaries < MIME_DEPTH_MAX);
    boundary->node = scan->current;
    boundary->at = scan->boundary_text.len;
    boundary->len = len;
    buf_add(&scan->boundary_text, param->value.data, len);
    scan->n_boundaries++;
    return true;
}

/* What the current node is, by its header. */
static enum mime_kind
kind_of(struct mime_scan *scan)
{
    struct mime *mime = scan->mime;
    struct mime_node *node = current(scan);
    struct view value = text_of(mime, node, MIME_CONTENT_TYPE);
    struct view type = {0}, subtype = {0};
    bool whole = true;

    if (value.data != NULL)
        whole = mime_token_take_type(&value, &type, &subtype);
    else if (node->parent != MIME_NONE && mime->nodes[node->parent].is_digest)
        type = VIEW("message"), subtype = VIEW("rfc822");
    if (view_equal_nocase(type, VIEW("multipart"))) {
        if (scan->depth == MIME_DEPTH_MAX) {
            mime->cut = true;
            return MIME_LEAF;
        }
        node->is_digest = view_equal_nocase(subtype, VIEW("digest"));
        return whole && open_multipart(scan, value) ? MIME_MULTIPART
                                                    : MIME_LEAF;
    }
    if (!view_equal_nocase(type, VIEW("message")) ||
        !view_equal_nocase(subtype, VIEW("rfc822")) ||
        is_encoded(text_of(mime, node, MIME_CONTENT_TRANSFER_ENCODING)))
        return MIME_LEAF;
    if (scan->depth == MIME_DEPTH_MAX || mime->n_nodes == MIME_PARTS_MAX) {
        mime->cut = true;
        return MIME_LEAF;
    }
    return MIME_MESSAGE;
}

static void
end_header(struct mime_scan *scan)
{
    struct mime_node *node = current(scan);

    mime_fields_end(&scan->fields, scan->at);
    node->header_len = scan->at - node->header_at;
    node->header_lines = scan->lfs - node->header_lines;
    node->n_fields = scan->mime->n_fields - node->first_field;
    node->body_at = scan->at;
    node->lines = scan->lfs; /* made a difference by close_nodes */
    scan->state = SCAN_BODY_LINE;
    scan->eol = 0;
}

/* Closes what is open inside of keep; bodies end at end. */
static void
close_nodes(struct mime_scan *scan, uint32_t keep, uint64_t end, uint64_t lfs)
{
    while (scan->current != keep) {
        struct mime_node *node = current(scan);

        node->body_len = end - node->body_at;
        node->lines = lfs - node->lines;
        scan->current = node->parent;
        scan->depth--;
    }
}

/* The header, with its empty line if it has one, is behind us. */
static void
begin_body(struct mime_scan *scan)
{
    enum mime_kind kind;

    end_header(scan);
    kind = kind_of(scan);
    current(scan)->kind = kind;
    if (kind == MIME_MESSAGE)
        open_node(scan, scan->current);
}

/* A header that no empty line ends, and with it that of the message in it. */
static void
cut_header(struct mime_scan *scan)
{
    while (scan->state <= SCAN_VALUE)
        begin_body(scan);
}

/* --- delimiters -------------------------------------------------------------
 */

/* The boundary of the line that is held, whole but for its line end or cut at
 * HELD_MAX. NULL: it is no delimiter. */
static struct boundary *
find_boundary(struct mime_scan *scan, bool whole)
{
    struct view line = view_skip((struct view){scan->held, scan->held_len}, 2);
    struct boundary *best = NULL;

    if (scan->held_len < 2 || scan->held[1] != '-')
        return NULL;
    if (whole && line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    for (size_t i = scan->n_boundaries; i-- > 0;) {
        struct boundary *boundary = &scan->boundaries[i];
        const char *text = scan->boundary_text.data + boundary->at;
        struct view rest = view_skip(line, boundary->len);

        if (boundary->len > line.len ||
            memcmp(text, line.data, boundary->len) != 0)
            continue;
        if (best == NULL || boundary->len > best->len)
            best = boundary;
        if (whole && best == boundary &&
            (rest.len == 0 || view_equal(rest, VIEW("--"))))
            break; /* just this one: it does not get better */
    }
    return best;
}

static void
take_delimiter(struct mime_scan *scan, const struct boundary *boundary)
{
    struct view rest =
        view_skip((struct view){scan->held, scan->held_len}, 2 + boundary->len);
    uint64_t at = scan->at - scan->held_len;
    uint64_t after = scan->at;

    if (scan->held_in_header) {
        scan->state = SCAN_LINE;
        scan->at = at;
        cut_header(scan);
        scan->at = after;
    }
    close_nodes(scan, boundary->node, at - scan->eol,
                scan->lfs - (scan->eol > 0));
    scan->opens = rest.len < 2 || memcmp(rest.data, "--", 2) != 0;
    scan->n_boundaries = (size_t)(boundary - scan->boundaries);
    scan->boundary_text.len = boundary->at;
    if (scan->opens) {
        scan->n_boundaries++;
        scan->boundary_text.len += boundary->len;
    }
    scan->state = SCAN_DELIMITER;
}

/* What is held turned out to be a header or body line. */
static void
release_held(struct mime_scan *scan)
{
    struct view held = {scan->held, scan->held_len};

    if (!scan->held_in_header) {
        scan->state = SCAN_BODY;
        return;
    }
    scan->at -= held.len;
    scan->state = SCAN_NAME;
    mime_scan_feed(scan, held);
}

static void
judge_held(struct mime_scan *scan, bool whole)
{
    const struct boundary *boundary = find_boundary(scan, whole);

    if (boundary != NULL && scan->mime->n_nodes == MIME_PARTS_MAX) {
        scan->mime->cut = true;
        boundary = NULL;
    }
    if (boundary != NULL)
        take_delimiter(scan, boundary);
    else
        release_held(scan);
}

/* --- steps: each takes bytes off the front, or changes the state ----------
 */

static void
take(struct mime_scan *scan, struct view *bytes, size_t n)
{
    if (n == 0)
        return;
    scan->last = bytes->data[n - 1];
    scan->at += n;
    *bytes = view_skip(*bytes, n);
}

/* Takes up to a LF at offset n and the LF. */
static void
take_line(struct mime_scan *scan, struct view *bytes, size_t n)
{
    char before = n > 0 ? bytes->data[n - 1] : scan->last;

    scan->eol = before == '\r' ? 2 : 1;
    scan->lfs++;
    take(scan, bytes, n + 1);
}

static const char *
find_lf(struct view bytes)
{
    return memchr(bytes.data, '\n', bytes.len);
}

static bool
may_be_delimiter(const struct mime_scan *scan, char first)
{
    return first == '-' && scan->n_boundaries > 0;
}

static void
hold(struct mime_scan *scan, bool in_header)
{
    scan->held_len = 0;
    scan->held_in_header = in_header;
    if (in_header) {
        scan->eol = 0;
        mime_fields_end(&scan->fields, scan->at);
    }
    scan->state = SCAN_HELD;
}

static void
step_held(struct mime_scan *scan, struct view *bytes)
{
    size_t room = HELD_MAX - scan->held_len;
    struct view part = {bytes->data, bytes->len < room ? bytes->len : room};
    const char *lf = find_lf(part);

    if (lf != NULL)
        part.len = (size_t)(lf - part.data);
    memcpy(scan->held + scan->held_len, part.data, part.len);
    scan->held_len += part.len;
    take(scan, bytes, part.len);
    if (lf != NULL || scan->held_len == HELD_MAX ||
        (scan->held_len > 1 && scan->held[1] != '-'))
        judge_held(scan, lf != NULL);
}

static void
step_delimiter(struct mime_scan *scan, struct view *bytes)
{
    const char *lf = find_lf(*bytes);

    if (lf == NULL) {
        take(scan, bytes, bytes->len);
        return;
    }
    take_line(scan, bytes, (size_t)(lf - bytes->data));
    if (scan->opens) {
        open_node(scan, scan->current);
    } else {
        scan->state = SCAN_BODY_LINE;
    }
}

static void
step_body_line(struct mime_scan *scan, struct view *bytes)
{
    if (may_be_delimiter(scan, bytes->data[0]))
        hold(scan, false);
    else
        scan->state = SCAN_BODY;
}

/* Lines up to one that begins with '-'. */
static void
step_body(struct mime_scan *scan, struct view *bytes)
{
    const char *at = bytes->data, *end = at + bytes->len;
    const char *lf;

    while ((lf = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        scan->lfs++;
        at = lf + 1;
        if (at == end || *at == '-')
            break;
    }
    if (lf == NULL) {
        take(scan, bytes, bytes->len);
        return;
    }
    scan->lfs--; /* take_line counts it */
    take_line(scan, bytes, (size_t)(lf - bytes->data));
    scan->state = SCAN_BODY_LINE;
}

static void
step_line(struct mime_scan *scan, struct view *bytes)
{
    char c = bytes->data[0];

    if (c == ' ' || c == '\t') {
        scan->state = SCAN_VALUE;
        return;
    }
    if (may_be_delimiter(scan, c)) {
        scan->line_at = scan->at;
        scan->name_len = 0;
        hold(scan, true);
        return;
    }
    mime_fields_end(&scan->fields, scan->at);
    scan->line_at = scan->at;
    scan->name_len = 0;
    if (c == '\n') {
        take_line(scan, bytes, 0);
        begin_body(scan);
    } else if (c == '\r') {
        take(scan, bytes, 1);
        scan->state = SCAN_LINE_CR;
    } else {
        scan->state = SCAN_NAME;
    }
}

static void
step_line_cr(struct mime_scan *scan, struct view *bytes)
{
    if (bytes->data[0] == '\n') {
        take_line(scan, bytes, 0);
        begin_body(scan);
        return;
    }
    scan->name[scan->name_len++] = '\r';
    scan->state = SCAN_NAME;
}

static bool
is_message(struct mime_scan *scan)
{
    uint32_t parent = current(scan)->parent;

    return parent == MIME_NONE ||
           scan->mime->nodes[parent].kind == MIME_MESSAGE;
}

static void
step_name(struct mime_scan *scan, struct view *bytes)
{
    size_t n = 0;

    while (n < bytes->len && bytes->data[n] != ':' && bytes->data[n] != '\n') {
        if (scan->name_len < NAME_MAX_KEPT)
            scan->name[scan->name_len++] = bytes->data[n];
        n++;
    }
    if (n == bytes->len) {
        take(scan, bytes, n);
    } else if (bytes->data[n] == '\n') {
        take_line(scan, bytes, n); /* no colon */
        scan->state = SCAN_LINE;
    } else {
        take(scan, bytes, n + 1);
        mime_fields_begin(&scan->fields,
                          (struct view){scan->name, scan->name_len},
                          is_message(scan), scan->line_at);
        scan->state = SCAN_VALUE;
    }
}

static void
step_value(struct mime_scan *scan, struct view *bytes)
{
    const char *lf = find_lf(*bytes);
    size_t n = lf != NULL ? (size_t)(lf - bytes->data) : bytes->len;

    mime_fields_add(&scan->fields, (struct view){bytes->data, n});
    if (lf == NULL) {
        take(scan, bytes, n);
        return;
    }
    take_line(scan, bytes, n);
    if (scan->eol == 2)
        mime_fields_drop_cr(&scan->fields);
    scan->state = SCAN_LINE;
}

typedef void step_fn(struct mime_scan *scan, struct view *bytes);

static step_fn *const steps[SCAN_STATES] = {
    [SCAN_LINE] = step_line,           [SCAN_LINE_CR] = step_line_cr,
    [SCAN_NAME] = step_name,           [SCAN_VALUE] = step_value,
    [SCAN_HELD] = step_held,           [SCAN_DELIMITER] = step_delimiter,
    [SCAN_BODY_LINE] = step_body_line, [SCAN_BODY] = step_body,
};

void
mime_scan_feed(struct mime_scan *scan, struct view bytes)
{
    while (bytes.len > 0)
        steps[scan->state](scan, &bytes);
}

struct mime_scan *
mime_scan_new(void)
{
    struct mime_scan *scan = mem_alloc(sizeof(*scan));

    scan->mime = mem_alloc(sizeof(*scan->mime));
    scan->fields.mime = scan->mime;
    open_node(scan, MIME_NONE);
    return scan;
}

struct mime *
mime_scan_end(struct mime_scan **scan_at)
{
    struct mime_scan *scan = *scan_at;
    struct mime *mime;

    if (scan->state == SCAN_HELD)
        judge_held(scan, true);
    cut_header(scan);
    close_nodes(scan, MIME_NONE, scan->at, scan->lfs);
    mime = scan->mime;
    scan->mime = NULL;
    mime_scan_free(scan_at);
    return mime;
}

void
mime_scan_free(struct mime_scan **scan)
{
    if (*scan == NULL)
        return;
    mime_free(&(*scan)->mime);
    mime_params_free(&(*scan)->params);
    buf_free(&(*scan)->boundary_text);
    free(*scan);
    *scan = NULL;
}

struct mime *
mime_scan_whole(struct view content)
{
    struct mime_scan *scan = mime_scan_new();

    mime_scan_feed(scan, content);
    return mime_scan_end(&scan);
}
