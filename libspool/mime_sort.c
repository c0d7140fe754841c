/* SPDX-License-Identifier: ISC */
/*
 * The base subject by the grammar of RFC 5256 5, read from both ends:
 *
 *     trailer  "(fwd)" or blanks                       at the end
 *     leader   *blob ("re" / "fw" / "fwd") [blob] ":"  or blanks, in front
 *     blob     "[" text without brackets "]"
 *     "[fwd:" subject "]" around the whole
 *
 * A blob alone goes only where something is left without it.
 */
#include "mime_sort.h"

#include "mime_decode.h"
#include "mime_envelope.h"
#include "mime_fold.h"
#include "mime_walk.h"

static bool
begins(struct view text, struct view with)
{
    return text.len >= with.len &&
           view_equal_nocase((struct view){text.data, with.len}, with);
}

static void
trim_front(struct view *text)
{
    while (text->len > 0 && text->data[0] == ' ')
        *text = view_skip(*text, 1);
}

static void
trim_end(struct view *text)
{
    while (text->len > 0 && text->data[text->len - 1] == ' ')
        text->len--;
}

/* Takes a blob and the blanks after it off the front. */
static bool
take_blob(struct view *text)
{
    size_t n = 1;

    if (text->len == 0 || text->data[0] != '[')
        return false;
    while (n < text->len && text->data[n] != '[' && text->data[n] != ']')
        n++;
    if (n == text->len || text->data[n] != ']')
        return false;
    *text = view_skip(*text, n + 1);
    trim_front(text);
    return true;
}

static bool
take_leader(struct view *text)
{
    static const struct view words[] = {{"re", 2}, {"fwd", 3}, {"fw", 2}};
    struct view rest = *text;
    size_t i = 0;

    while (take_blob(&rest))
        ;
    while (i < 3 && !begins(rest, words[i]))
        i++;
    if (i == 3)
        return false;
    rest = view_skip(rest, words[i].len);
    trim_front(&rest);
    take_blob(&rest);
    if (rest.len == 0 || rest.data[0] != ':')
        return false;
    *text = view_skip(rest, 1);
    trim_front(text);
    return true;
}

static bool
take_trailer(struct view *text)
{
    struct view fwd = VIEW("(fwd)");

    trim_end(text);
    if (text->len < fwd.len ||
        !begins(view_skip(*text, text->len - fwd.len), fwd))
        return false;
    text->len -= fwd.len;
    trim_end(text);
    return true;
}

/* Blobs in front of something else, which a leader did not have. */
static void
take_lone_blobs(struct view *text)
{
    struct view rest = *text;

    while (take_blob(&rest) && rest.len > 0)
        *text = rest;
}

static bool
take_wrapping(struct view *text)
{
    struct view fwd = VIEW("[fwd:");

    if (!begins(*text, fwd) || text->data[text->len - 1] != ']')
        return false;
    text->len--;
    *text = view_skip(*text, fwd.len);
    trim_front(text);
    return true;
}

/* Blanks of every kind as one space. */
static void
squeeze(struct view text, struct buf *out)
{
    bool blank = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            blank = true;
            continue;
        }
        if (blank)
            buf_add_byte(out, ' ');
        blank = false;
        buf_add_byte(out, (uint8_t)c);
    }
}

void
mime_sort_base_subject(struct view raw, struct buf *out, bool *is_reply)
{
    struct buf decoded = {0}, squeezed = {0};
    struct view text;
    bool reply = false, more = true;

    mime_decode_header(raw, &decoded);
    squeeze(buf_view(&decoded), &squeezed);
    text = buf_view(&squeezed);
    trim_front(&text);
    while (more) {
        while (take_trailer(&text))
            reply = true;
        while (take_leader(&text))
            reply = true;
        take_lone_blobs(&text);
        more = take_wrapping(&text);
        reply |= more;
    }
    buf_add_view(out, text);
    if (is_reply != NULL)
        *is_reply = reply;
    buf_free(&decoded);
    buf_free(&squeezed);
}

/* The envelope of the whole message. */
static int
find_envelope(struct view structure, struct view *envelope)
{
    struct mime_walk walk;
    struct mime_part part;

    if (mime_walk_begin(&walk, structure) != 0 ||
        mime_walk_next(&walk, &part) != 1)
        return -1;
    *envelope = part.envelope;
    return 0;
}

int
mime_sort_subject(struct view structure, struct buf *out)
{
    struct view envelope, subject;
    struct buf base = {0};

    if (find_envelope(structure, &envelope) != 0 ||
        mime_envelope_string(envelope, MIME_SUBJECT, &subject) < 0)
        return -1;
    mime_sort_base_subject(subject, &base, NULL);
    mime_fold(buf_view(&base), out);
    buf_free(&base);
    return 0;
}

struct first {
    bool display;
    bool done;
    struct buf text;
};

static void
keep_first(void *arg, const struct mime_addr *addr)
{
    struct first *first = arg;

    if (first->done)
        return;
    first->done = true;
    if (first->display && addr->name.len > 0) {
        mime_decode_header(addr->name, &first->text);
        return;
    }
    mime_decode_header(addr->mailbox, &first->text);
    if (first->display && addr->host.data != NULL) {
        buf_add_byte(&first->text, '@');
        mime_decode_header(addr->host, &first->text);
    }
}

static int
sort_first(struct view structure, enum mime_field_name name, bool display,
           struct buf *out)
{
    struct first first = {.display = display};
    struct view envelope;
    int status = find_envelope(structure, &envelope);

    if (status == 0 &&
        mime_envelope_addresses(envelope, name, keep_first, &first) < 0)
        status = -1;
    if (status == 0)
        mime_fold(buf_view(&first.text), out);
    buf_free(&first.text);
    return status;
}

int
mime_sort_address(struct view structure, enum mime_field_name name,
                  struct buf *out)
{
    return sort_first(structure, name, false, out);
}

int
mime_sort_display(struct view structure, enum mime_field_name name,
                  struct buf *out)
{
    return sort_first(structure, name, true, out);
}
