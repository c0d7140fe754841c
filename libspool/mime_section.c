/* SPDX-License-Identifier: ISC */
#include "mime_section.h"

#include "mime_structure.h"
#include "mime_walk.h"

static const struct {
    struct view text;
    enum mime_section_what what;
} words[] = {
#define WORD(literal, what)                                                    \
    {                                                                          \
        {literal, sizeof(literal) - 1}, what                                   \
    }
    WORD("HEADER", MIME_SECTION_HEADER),
    WORD("TEXT", MIME_SECTION_TEXT),
    WORD("MIME", MIME_SECTION_MIME),
    WORD("HEADER.FIELDS", MIME_SECTION_FIELDS),
    WORD("HEADER.FIELDS.NOT", MIME_SECTION_FIELDS_NOT),
#undef WORD
};

/* Takes a part number (nz-number of RFC 3501) off the front. */
static int
take_number(struct view *text, uint32_t *number)
{
    size_t n = 0;

    *number = 0;
    while (n < text->len && text->data[n] >= '0' && text->data[n] <= '9') {
        uint32_t digit = (uint32_t)(text->data[n++] - '0');

        if (__builtin_mul_overflow(*number, 10u, number) ||
            __builtin_add_overflow(*number, digit, number) || *number == 0)
            return -1;
    }
    *text = view_skip(*text, n);
    return 0;
}

static int
take_word(struct view text, struct mime_section *section)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!view_equal_nocase(words[i].text, text))
            continue;
        section->what = words[i].what;
        return section->what == MIME_SECTION_MIME && section->n_path == 0 ? -1
                                                                          : 0;
    }
    return -1;
}

int
mime_section_parse(struct view text, struct mime_section *section)
{
    section->what = MIME_SECTION_ALL;
    section->n_path = 0;
    if (text.len == 0)
        return 0;
    while (text.len > 0 && text.data[0] >= '0' && text.data[0] <= '9') {
        if (section->n_path == MIME_SECTION_DEPTH ||
            take_number(&text, &section->path[section->n_path++]) != 0)
            return -1;
        if (text.len == 0)
            return 0;
        if (text.data[0] != '.')
            return -1;
        text = view_skip(text, 1);
    }
    return take_word(text, section);
}

/* A part on the way to a section. */
struct place {
    struct mime_walk walk; /* behind it */
    struct mime_part part;
    bool named; /* by a number: as a part, not as a message */
    bool empty; /* it stands for the part a multipart does not have */
};

/* From a multipart to its child of that number. */
static int
enter_multipart(struct place *place, uint32_t number)
{
    uint32_t depth = place->part.depth + 1;
    int got;

    if (place->part.children == 0 && number == 1) {
        place->empty = true;
        return 1;
    }
    if (number > place->part.children)
        return 0;
    do
        got = mime_walk_next(&place->walk, &place->part);
    while (got == 1 &&
           (place->part.depth > depth || place->part.number != number));
    return got == 1 && place->part.depth == depth ? 1 : -1;
}

static int
enter(struct place *place, uint32_t number)
{
    if (place->empty)
        return 0;
    if (place->named && place->part.kind == MIME_MESSAGE) {
        if (mime_walk_next(&place->walk, &place->part) != 1)
            return -1;
        place->named = false;
    }
    if (place->part.kind == MIME_MULTIPART) {
        place->named = true;
        return enter_multipart(place, number);
    }
    if (place->named || number != 1)
        return 0;
    place->named = true; /* a message's only part is its body */
    return 1;
}

static void
set_range(const struct mime_part *part, enum mime_section_what what,
          struct mime_range *range)
{
    switch (what) {
    case MIME_SECTION_ALL:
    case MIME_SECTION_TEXT:
        range->at = part->body_at;
        range->len = part->body_len;
        break;
    case MIME_SECTION_HEADER:
    case MIME_SECTION_MIME:
    case MIME_SECTION_FIELDS:
    case MIME_SECTION_FIELDS_NOT:
        range->at = part->header_at;
        range->len = part->header_len;
        break;
    }
}

/* The range of what the place and what name. */
static int
find_range(struct place *place, enum mime_section_what what,
           struct mime_range *range)
{
    struct mime_part *part = &place->part;

    if (what != MIME_SECTION_ALL && what != MIME_SECTION_MIME && place->named) {
        if (part->kind != MIME_MESSAGE || place->empty)
            return 0;
        if (mime_walk_next(&place->walk, part) != 1)
            return -1;
    }
    if (place->empty) {
        *range =
            (struct mime_range){.at = part->body_at, .encoding_known = true};
        return 1;
    }
    *range = (struct mime_range){.kind = part->kind};
    range->encoding_known =
        part->encoding.data == NULL ||
        mime_decode_encoding(part->encoding, &range->encoding);
    set_range(part, what, range);
    if (what == MIME_SECTION_ALL && !place->named) {
        range->at = part->header_at;
        range->len += part->header_len;
    }
    return 1;
}

int
mime_section_find(struct view structure, const struct mime_section *section,
                  struct mime_range *range)
{
    struct place place = {0};

    if (mime_walk_begin(&place.walk, structure) != 0 ||
        mime_walk_next(&place.walk, &place.part) != 1)
        return -1;
    for (size_t i = 0; i < section->n_path; i++) {
        int got = enter(&place, section->path[i]);

        if (got != 1)
            return got;
    }
    return find_range(&place, section->what, range);
}
