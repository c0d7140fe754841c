/* SPDX-License-Identifier: ISC */
/*
 * BODY[...] and BINARY[...]: a range of the content, as it is or changed on
 * the way (fields chosen, encodings undone). A literal's length stands before
 * its bytes: of what is changed it is known only at the end, so that goes by
 * twice, unless it is small enough to be kept. Only the pieces that a range
 * touches are read.
 *
 * Before: imap_fetch.c
 */
#include "imap_section.h"

#include <ctype.h>
#include <inttypes.h>

#include "body.h"
#include "imap_token.h"
#include "io.h"
#include "mime_decode.h"

#define KEEP_MAX (256 * 1024)

static bool
is_whole(const struct imap_item *item)
{
    return item->section.what == MIME_SECTION_ALL &&
           item->section.n_path == 0 && !item->binary;
}

bool
imap_section_needs_structure(const struct imap_item *item)
{
    return item->kind == IMAP_ITEM_BINARY_SIZE || !is_whole(item);
}

uint64_t
imap_section_first_piece(const struct imap_item *item,
                         const struct imap_content *content)
{
    uint64_t n =
        is_whole(item) && item->partial ? item->at / BODY_PIECE_RAW : 0;

    return n < content->pieces ? n : content->pieces - 1;
}

void
imap_section_put_name(const struct imap_item *item, struct buf *out)
{
    if (item->alias != NULL) {
        buf_add_text(out, item->alias);
        return;
    }
    buf_add_text(out, item->kind == IMAP_ITEM_BINARY_SIZE ? "BINARY.SIZE["
                      : item->binary                      ? "BINARY["
                                                          : "BODY[");
    for (size_t i = 0; i < item->text.len; i++)
        buf_add_byte(out, (uint8_t)toupper((unsigned char)item->text.data[i]));
    for (size_t i = 0; i < item->n_fields; i++) {
        buf_add_text(out, i == 0 ? " (" : " ");
        imap_put_mailbox(item->fields[i], true, out); /* an astring */
    }
    buf_add_text(out, item->n_fields > 0 ? ")]" : "]");
    if (item->partial)
        buf_addf(out, "<%" PRIu32 ">", item->at);
}

/* --- what goes by --------------------------------------------------------- */

static void
start_over(struct imap_section *section)
{
    const struct imap_item *item = section->item;

    section->at = section->range.at;
    mime_decoder_free(&section->decoder);
    if (section->decodes)
        section->decoder =
            mime_decoder_new(section->range.encoding, (struct view){NULL, 0});
    else if (section->changes)
        mime_header_filter_init(&section->filter, item->fields, item->n_fields,
                                item->section.what == MIME_SECTION_FIELDS_NOT);
    section->skip = item->partial ? item->at : 0;
    section->left = item->partial ? item->length : UINT64_MAX;
}

int
imap_section_begin(struct imap_section *section, const struct imap_item *item,
                   struct imap_content *content)
{
    int found = 1;

    imap_section_free(section);
    section->item = item;
    if (is_whole(item))
        section->range = (struct mime_range){.len = content->size,
                                             .encoding = MIME_IDENTITY};
    else
        found = mime_section_find(buf_view(&content->structure), &item->section,
                                  &section->range);
    if (found != 1)
        return found;
    section->decodes = item->binary &&
                       section->range.encoding != MIME_IDENTITY &&
                       section->range.kind == MIME_LEAF;
    section->changes = section->decodes ||
                       item->section.what == MIME_SECTION_FIELDS ||
                       item->section.what == MIME_SECTION_FIELDS_NOT;
    section->is_kept = true;
    section->phase = section->changes || item->binary ? IMAP_SECTION_MEASURE
                                                      : IMAP_SECTION_EMIT;
    section->total = section->changes ? 0 : section->range.len;
    start_over(section);
    return 1;
}

/* The next bytes of the range; empty at its end. */
static int
next_bytes(struct imap_section *section, struct imap_content *content,
           struct view *bytes, struct why *why)
{
    uint64_t end = section->range.at + section->range.len;
    uint64_t n = section->at / BODY_PIECE_RAW;
    uint64_t at = section->at % BODY_PIECE_RAW;

    *bytes = (struct view){NULL, 0};
    if (section->at >= end)
        return 0;
    if (imap_content_piece(content, n, bytes, why) != 0)
        return -1;
    if (at >= bytes->len)
        return why_text(why, "the content is shorter than it should be");
    *bytes = view_skip(*bytes, (size_t)at);
    if (bytes->len > end - section->at)
        bytes->len = (size_t)(end - section->at);
    section->at += bytes->len;
    return 0;
}

/* What comes out of bytes (empty: the end), appended to changed. */
static void
change(struct imap_section *section, struct view bytes, struct buf *changed)
{
    if (section->decodes && bytes.len > 0)
        mime_decoder_feed(section->decoder, bytes, changed);
    else if (section->decodes)
        mime_decoder_end(section->decoder, changed);
    else if (bytes.len > 0)
        mime_header_filter_feed(&section->filter, bytes, changed);
    else
        mime_header_filter_end(&section->filter, changed);
}

/* --- measuring ------------------------------------------------------------ */

/* 1: all was seen. */
static int
measure(struct imap_section *section, struct imap_content *content,
        struct why *why)
{
    size_t before = section->kept.len;
    struct view bytes;

    if (next_bytes(section, content, &bytes, why) != 0)
        return -1;
    if (section->changes)
        change(section, bytes, &section->kept);
    else
        buf_add_view(&section->kept, bytes);
    if (section->kept.len > before &&
        memchr(section->kept.data + before, '\0', section->kept.len - before))
        section->has_nul = true;
    if (section->changes)
        section->total += section->kept.len - before;
    if (section->kept.len > KEEP_MAX)
        section->is_kept = false;
    if (!section->is_kept)
        buf_reset(&section->kept);
    return bytes.len == 0;
}

/* --- out ------------------------------------------------------------------ */

static uint64_t
length_of(const struct imap_section *section)
{
    const struct imap_item *item = section->item;
    uint64_t length = section->total;

    if (!item->partial)
        return length;
    length = length > item->at ? length - item->at : 0;
    return length < item->length ? length : item->length;
}

/* A NUL can be in a literal8 alone, and that is what BINARY has: elsewhere it
 * is shown as a byte that no text has, so that sizes and places stay. */
#define SHOWN_NUL '\x80'

static struct view
without_nul(struct view bytes)
{
    static struct buf shown;

    if (bytes.len == 0 || memchr(bytes.data, '\0', bytes.len) == NULL)
        return bytes;
    buf_reset(&shown);
    buf_add_view(&shown, bytes);
    for (size_t i = 0; i < shown.len; i++)
        if (shown.data[i] == '\0')
            shown.data[i] = SHOWN_NUL;
    return buf_view(&shown);
}

static void
emit(struct imap_section *section, struct imap_session *session,
     struct view bytes)
{
    size_t skip = section->skip < bytes.len ? (size_t)section->skip : bytes.len;

    section->skip -= skip;
    bytes = view_skip(bytes, skip);
    if (bytes.len > section->left)
        bytes.len = (size_t)section->left;
    section->left -= bytes.len;
    if (!section->item->binary)
        bytes = without_nul(bytes);
    if (bytes.len > 0)
        io_write(session->io, bytes);
}

/* Name and length; what of the content is not wanted is not read. */
static void
begin_emitting(struct imap_section *section, struct imap_session *session)
{
    section->is_told = true;
    start_over(section);
    imap_section_put_name(section->item, &imap.out);
    buf_addf(&imap.out, " %s{%" PRIu64 "}\r\n", section->has_nul ? "~" : "",
             length_of(section));
    imap_session_send(session);
    section->left = length_of(section);
    if (!section->changes && section->skip < section->range.len) {
        section->at += section->skip;
        section->skip = 0;
    }
}

static int
emit_next(struct imap_section *section, struct imap_session *session,
          struct imap_content *content, struct why *why)
{
    static struct buf changed;
    struct view bytes;

    if (section->left == 0)
        return 1;
    if (next_bytes(section, content, &bytes, why) != 0)
        return -1;
    if (section->changes) {
        buf_reset(&changed);
        change(section, bytes, &changed);
        emit(section, session, buf_view(&changed));
    } else {
        emit(section, session, bytes);
    }
    if (bytes.len == 0 && section->left > 0)
        return why_text(why, "less of it came than before");
    return section->left == 0;
}

int
imap_section_step(struct imap_section *section, struct imap_session *session,
                  struct imap_content *content, struct why *why)
{
    int rc;

    switch (section->phase) {
    case IMAP_SECTION_MEASURE:
        rc = measure(section, content, why);
        if (rc <= 0)
            return rc;
        section->phase = IMAP_SECTION_DONE;
        if (section->item->kind == IMAP_ITEM_BINARY_SIZE) {
            imap_section_put_name(section->item, &imap.out);
            buf_addf(&imap.out, " %" PRIu64, section->total);
            return 1;
        }
        begin_emitting(section, session);
        if (section->is_kept)
            emit(section, session, buf_view(&section->kept));
        else
            section->phase = IMAP_SECTION_EMIT;
        buf_free(&section->kept);
        return section->phase == IMAP_SECTION_DONE;
    case IMAP_SECTION_EMIT:
        if (!section->is_told)
            begin_emitting(section, session);
        return emit_next(section, session, content, why);
    case IMAP_SECTION_DONE:
        break;
    }
    return 1;
}

void
imap_section_free(struct imap_section *section)
{
    mime_decoder_free(&section->decoder);
    buf_free(&section->kept);
    *section = (struct imap_section){0};
}
