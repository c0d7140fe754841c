/* SPDX-License-Identifier: ISC */
/*
 * The ranges to look at - each part's header, and the bodies that are text -
 * come from a walk over the structure, in the order of the content. Text of
 * one field or body is a stream: decoded, folded, and sought in with the end
 * of the last piece kept, as a string may lie over a cut.
 */
#include "mime_search.h"

#include <stdlib.h>

#include "mem.h"
#include "mime.h"
#include "mime_decode.h"
#include "mime_envelope.h"
#include "mime_fold.h"
#include "mime_walk.h"
#include "utf8.h"

struct key {
    enum mime_search_where where;
    char *field;
    struct buf needle; /* folded */
    bool decided;
    bool found;
};

enum range_kind {
    RANGE_HEADER,
    RANGE_BODY,
    RANGE_END,
};

struct mime_search {
    struct key *keys;
    size_t n_keys;
    size_t longest; /* needle */

    struct mime_walk walk;
    struct mime_part part;
    enum range_kind range;
    uint64_t at; /* in the content */
    struct mime_decoder *decoder;
    struct buf field;  /* RANGE_HEADER: the lines of the field under way */
    bool line_begins;  /* RANGE_HEADER */
    struct buf text;   /* decoded */
    struct buf stream; /* folded; begins with the end of what was before */
};

/* Field names and where an envelope has them. */
static const struct {
    const char *name;
    enum mime_field_name field;
    bool is_list;
} in_envelope[] = {
    {"Subject", MIME_SUBJECT, false},
    {"From", MIME_FROM, true},
    {"To", MIME_TO, true},
    {"Cc", MIME_CC, true},
    {"Bcc", MIME_BCC, true},
    {"Date", MIME_DATE, false},
    {"Sender", MIME_SENDER, true},
    {"Reply-To", MIME_REPLY_TO, true},
    {"Message-ID", MIME_MESSAGE_ID, false},
    {"In-Reply-To", MIME_IN_REPLY_TO, false},
};

static int
add_key(struct mime_search *search, const struct mime_search_key *from,
        struct why *why)
{
    struct key *key = &search->keys[search->n_keys];
    struct view rest = from->text;

    if (from->text.len > MIME_SEARCH_NEEDLE_MAX ||
        from->field.len > MIME_SEARCH_NEEDLE_MAX)
        return why_text(why, "a search text has at most %u bytes",
                        (unsigned)MIME_SEARCH_NEEDLE_MAX);
    while (rest.len > 0) {
        size_t before = rest.len;

        if (utf8_take(&rest) == UTF8_REPLACEMENT && before - rest.len == 1)
            return why_text(why, "the search text is not UTF-8");
    }
    search->n_keys++;
    key->where = from->where;
    key->field = mem_copy(from->field.data, from->field.len);
    mime_fold(from->text, &key->needle);
    if (key->needle.len > search->longest)
        search->longest = key->needle.len;
    return 0;
}

int
mime_search_new(const struct mime_search_key *keys, size_t n_keys,
                struct mime_search **search_at, struct why *why)
{
    struct mime_search *search;

    *search_at = NULL;
    if (n_keys > MIME_SEARCH_KEYS_MAX)
        return why_text(why, "more than %u texts in one search",
                        (unsigned)MIME_SEARCH_KEYS_MAX);
    search = mem_alloc(sizeof(*search));
    search->keys = mem_alloc(n_keys * sizeof(search->keys[0]));
    search->range = RANGE_END;
    for (size_t i = 0; i < n_keys; i++)
        if (add_key(search, &keys[i], why) != 0) {
            mime_search_free(&search);
            return -1;
        }
    *search_at = search;
    return 0;
}

void
mime_search_free(struct mime_search **search_at)
{
    struct mime_search *search = *search_at;

    if (search == NULL)
        return;
    for (size_t i = 0; i < search->n_keys; i++) {
        free(search->keys[i].field);
        buf_free(&search->keys[i].needle);
    }
    mime_decoder_free(&search->decoder);
    free(search->keys);
    buf_free(&search->field);
    buf_free(&search->text);
    buf_free(&search->stream);
    free(search);
    *search_at = NULL;
}

bool
mime_search_found(const struct mime_search *search, size_t i)
{
    return search->keys[i].found;
}

/* --- streams ----------------------------------------------------------------
 */

static void
find_in(struct key *key, struct view text)
{
    if (key->decided ||
        (key->needle.len > 0 && (text.len < key->needle.len ||
                                 memmem(text.data, text.len, key->needle.data,
                                        key->needle.len) == NULL)))
        return;
    key->decided = key->found = true;
}

static bool
is_sought(const struct mime_search *search, const struct key *key)
{
    return !key->decided &&
           (key->where == MIME_SEARCH_TEXT ||
            (key->where == MIME_SEARCH_BODY && search->range == RANGE_BODY));
}

/* search->text goes on the stream of a body. */
static void
stream_text(struct mime_search *search)
{
    struct buf *stream = &search->stream;
    size_t keep = search->longest > 0 ? search->longest - 1 : 0;

    mime_fold(buf_view(&search->text), stream);
    buf_reset(&search->text);
    for (size_t i = 0; i < search->n_keys; i++)
        if (is_sought(search, &search->keys[i]))
            find_in(&search->keys[i], buf_view(stream));
    if (stream->len > keep)
        buf_consume(stream, stream->len - keep);
}

static bool
is_message_header(const struct mime_search *search)
{
    return search->part.depth == 0;
}

/* A field is whole: "Name: value" with its line ends. */
static void
end_field(struct mime_search *search)
{
    struct view line = buf_view(&search->field), name, value;
    const char *colon = line.len > 0 ? memchr(line.data, ':', line.len) : NULL;

    if (colon != NULL) {
        name = (struct view){line.data, (size_t)(colon - line.data)};
        while (name.len > 0 && (name.data[name.len - 1] == ' ' ||
                                name.data[name.len - 1] == '\t'))
            name.len--;
        value = view_skip(line, (size_t)(colon + 1 - line.data));
        buf_reset(&search->stream);
        mime_decode_header(value, &search->text);
        mime_fold(buf_view(&search->text), &search->stream);
        buf_reset(&search->text);
        for (size_t i = 0; i < search->n_keys; i++) {
            struct key *key = &search->keys[i];

            if (is_sought(search, key) ||
                (key->where == MIME_SEARCH_FIELD && !key->decided &&
                 is_message_header(search) &&
                 view_equal_nocase(view_of(key->field), name)))
                find_in(key, buf_view(&search->stream));
        }
        /* TEXT is found in names too. */
        buf_reset(&search->stream);
        mime_fold(name, &search->stream);
        for (size_t i = 0; i < search->n_keys; i++)
            if (is_sought(search, &search->keys[i]))
                find_in(&search->keys[i], buf_view(&search->stream));
    }
    buf_reset(&search->field);
}

static void
feed_header(struct mime_search *search, struct view bytes)
{
    while (bytes.len > 0) {
        const char *lf = memchr(bytes.data, '\n', bytes.len);
        size_t n = lf != NULL ? (size_t)(lf - bytes.data) + 1 : bytes.len;

        if (search->line_begins && bytes.data[0] != ' ' &&
            bytes.data[0] != '\t')
            end_field(search);
        /* No more of it would be decoded. */
        if (search->field.len < MIME_DECODE_MAX)
            buf_add(&search->field, bytes.data,
                    n < MIME_DECODE_MAX ? n : MIME_DECODE_MAX);
        search->line_begins = lf != NULL;
        bytes = view_skip(bytes, n);
    }
}

/* --- ranges -----------------------------------------------------------------
 */

static bool
is_searched(const struct mime_part *part)
{
    return part->kind == MIME_LEAF &&
           (part->type.data == NULL ||
            view_equal_nocase(part->type, VIEW("text")) ||
            view_equal_nocase(part->type, VIEW("message")));
}

static void
begin_body(struct mime_search *search)
{
    const struct mime_part *part = &search->part;
    enum mime_encoding encoding = MIME_IDENTITY;
    struct view charset = VIEW("us-ascii");

    mime_decode_encoding(part->encoding, &encoding);
    if (mime_strings_find(part->params, VIEW("charset"), &charset) != 1)
        charset = VIEW("us-ascii");
    search->decoder = mime_decoder_new(encoding, charset);
    search->range = RANGE_BODY;
}

static void
end_range(struct mime_search *search)
{
    if (search->range == RANGE_HEADER) {
        end_field(search);
    } else if (search->range == RANGE_BODY) {
        mime_decoder_end(search->decoder, &search->text);
        stream_text(search);
        mime_decoder_free(&search->decoder);
    }
    buf_reset(&search->stream);
}

/* -1: the structure is damaged. */
static int
next_range(struct mime_search *search)
{
    int got;

    if (search->range == RANGE_HEADER && is_searched(&search->part)) {
        begin_body(search);
        return 0;
    }
    got = mime_walk_next(&search->walk, &search->part);
    search->range = got == 1 ? RANGE_HEADER : RANGE_END;
    search->line_begins = true;
    buf_reset(&search->field);
    return got < 0 ? -1 : 0;
}

/* Where the range begins and ends in the content. */
static void
bounds(const struct mime_search *search, uint64_t *begin, uint64_t *end)
{
    const struct mime_part *part = &search->part;
    bool header = search->range == RANGE_HEADER;

    *begin = header ? part->header_at : part->body_at;
    *end = *begin + (header ? part->header_len : part->body_len);
}

/* --- messages ---------------------------------------------------------------
 */

/* Is there a key that what is left of the content can decide? */
static bool
is_open(const struct mime_search *search)
{
    bool header = search->range == RANGE_HEADER && is_message_header(search);

    if (search->range == RANGE_END)
        return false;
    for (size_t i = 0; i < search->n_keys; i++)
        if (!search->keys[i].decided &&
            (search->keys[i].where != MIME_SEARCH_FIELD || header))
            return true;
    return false;
}

static void
add_address(void *arg, const struct mime_addr *addr)
{
    struct mime_search *search = arg;
    struct buf *text = &search->text;

    if (text->len > 0)
        buf_add_text(text, ", ");
    if (addr->name.data != NULL) {
        mime_decode_header(addr->name, text);
        buf_add_byte(text, ' ');
    }
    if (addr->mailbox.data == NULL)
        return;
    buf_add_byte(text, '<');
    mime_decode_header(addr->mailbox, text);
    if (addr->host.data != NULL) {
        buf_add_byte(text, '@');
        mime_decode_header(addr->host, text);
    }
    buf_add_byte(text, '>');
}

/* Decides a key on a field of the envelope. -1: that is damaged. */
static int
seek_in_envelope(struct mime_search *search, struct key *key, size_t i)
{
    struct view envelope = search->part.envelope, value;
    int there;

    if (in_envelope[i].is_list) {
        there = mime_envelope_addresses(envelope, in_envelope[i].field,
                                        add_address, search);
    } else {
        there = mime_envelope_string(envelope, in_envelope[i].field, &value);
        if (there == 1)
            mime_decode_header(value, &search->text);
    }
    buf_reset(&search->stream);
    mime_fold(buf_view(&search->text), &search->stream);
    buf_reset(&search->text);
    if (there == 1)
        find_in(key, buf_view(&search->stream));
    buf_reset(&search->stream);
    key->decided = true;
    return there < 0 ? -1 : 0;
}

static int
decide_by_envelope(struct mime_search *search)
{
    for (size_t k = 0; k < search->n_keys; k++) {
        struct key *key = &search->keys[k];
        size_t i = 0, n = sizeof(in_envelope) / sizeof(in_envelope[0]);

        if (key->where != MIME_SEARCH_FIELD)
            continue;
        while (i < n && strcasecmp(in_envelope[i].name, key->field) != 0)
            i++;
        if (i < n && seek_in_envelope(search, key, i) != 0)
            return -1;
    }
    return 0;
}

int
mime_search_begin(struct mime_search *search, struct view structure)
{
    for (size_t i = 0; i < search->n_keys; i++)
        search->keys[i].decided = search->keys[i].found = false;
    mime_decoder_free(&search->decoder);
    buf_reset(&search->text);
    buf_reset(&search->stream);
    search->at = 0;
    search->range = RANGE_END;
    if (mime_walk_begin(&search->walk, structure) != 0 ||
        next_range(search) != 0 || decide_by_envelope(search) != 0) {
        search->range = RANGE_END;
        return -1;
    }
    return is_open(search) ? 0 : 1;
}

static void
feed_range(struct mime_search *search, struct view bytes)
{
    if (bytes.len == 0)
        return;
    if (search->range == RANGE_HEADER) {
        feed_header(search, bytes);
        return;
    }
    mime_decoder_feed(search->decoder, bytes, &search->text);
    stream_text(search);
}

/* What of bytes lies in the range, and ends it if it does. Returns how many
 * bytes are behind. */
static size_t
feed_some(struct mime_search *search, struct view bytes)
{
    uint64_t begin, end, skip;
    struct view part = bytes;

    bounds(search, &begin, &end);
    skip = search->at < begin ? begin - search->at : 0;
    if (skip > part.len)
        return part.len;
    part = view_skip(part, (size_t)skip);
    if (part.len > end - (search->at + skip))
        part.len = (size_t)(end - (search->at + skip));
    feed_range(search, part);
    if (search->at + skip + part.len == end) {
        end_range(search);
        if (next_range(search) != 0)
            search->range = RANGE_END;
    }
    return (size_t)skip + part.len;
}

bool
mime_search_feed(struct mime_search *search, struct view bytes)
{
    while (bytes.len > 0 && is_open(search)) {
        size_t n = feed_some(search, bytes);

        search->at += n;
        bytes = view_skip(bytes, n);
    }
    return is_open(search);
}

void
mime_search_end(struct mime_search *search)
{
    if (is_open(search))
        end_range(search);
    mime_decoder_free(&search->decoder);
    search->range = RANGE_END;
}
