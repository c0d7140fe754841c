/* SPDX-License-Identifier: ISC */
#include "mime_walk.h"

#include "mime_pack.h"
#include "mime_structure.h"
#include "record.h"

int
mime_walk_begin(struct mime_walk *walk, struct view structure)
{
    uint64_t skipped;

    if (!mime_structure_is_current(structure))
        return -1;
    *walk = (struct mime_walk){.rest = view_skip(structure, 1)};
    walk->open[0].left = 1;
    /* The sent date: mime_structure.c. */
    if (record_take_varint(&walk->rest, &skipped) != 0 ||
        record_take_varint(&walk->rest, &skipped) != 0)
        return -1;
    return 0;
}

int
mime_strings_take(struct mime_strings *strings, struct view *text)
{
    if (strings->count == 0 ||
        mime_pack_take_string(&strings->packed, text) != 0)
        return -1;
    strings->count--;
    return 0;
}

int
mime_strings_find(struct mime_strings params, struct view name,
                  struct view *value)
{
    struct view found;

    while (params.count > 0) {
        if (mime_strings_take(&params, &found) != 0 ||
            mime_strings_take(&params, value) != 0)
            return -1;
        if (view_equal_nocase(found, name))
            return 1;
    }
    return 0;
}

/* Sets *strings to the list at the front of walk and steps over it. */
static int
take_strings(struct mime_walk *walk, struct mime_strings *strings)
{
    struct view text;

    if (record_take_varint(&walk->rest, &strings->count) != 0)
        return -1;
    strings->packed = walk->rest;
    for (uint64_t i = 0; i < strings->count; i++)
        if (mime_pack_take_string(&walk->rest, &text) != 0)
            return -1;
    return 0;
}

static int
take_string(struct mime_walk *walk, struct view *text)
{
    return mime_pack_take_string(&walk->rest, text);
}

static int
take_envelope(struct mime_walk *walk, struct mime_part *part)
{
    uint64_t len;

    if (record_take_varint(&walk->rest, &len) != 0 || len > walk->rest.len)
        return -1;
    part->is_message = true;
    part->envelope = (struct view){walk->rest.data, (size_t)len};
    walk->rest = view_skip(walk->rest, (size_t)len);
    return 0;
}

static int
take_ranges(struct mime_walk *walk, struct mime_part *part)
{
    uint64_t end = walk->open[walk->depth].end, distance;

    part->children = part->kind == MIME_MESSAGE ? 1 : 0;
    if (record_take_varint(&walk->rest, &distance) != 0 ||
        record_take_varint(&walk->rest, &part->header_len) != 0 ||
        record_take_varint(&walk->rest, &part->body_len) != 0 ||
        record_take_varint(&walk->rest, &part->lines) != 0 ||
        (part->kind == MIME_MULTIPART &&
         record_take_varint(&walk->rest, &part->children) != 0) ||
        part->children > MIME_PARTS_MAX ||
        __builtin_add_overflow(end, distance, &part->header_at) ||
        __builtin_add_overflow(part->header_at, part->header_len,
                               &part->body_at) ||
        __builtin_add_overflow(part->body_at, part->body_len, &end))
        return -1;
    return 0;
}

static int
take_members(struct mime_walk *walk, uint64_t flags, struct mime_part *part)
{
#define HAS(flag) ((flags & MIME_WALK_##flag) != 0)
    if ((HAS(ENVELOPE) && take_envelope(walk, part) != 0) ||
        (HAS(TYPE) && (take_string(walk, &part->type) != 0 ||
                       take_string(walk, &part->subtype) != 0)) ||
        (HAS(PARAMS) && take_strings(walk, &part->params) != 0) ||
        (HAS(ID) && take_string(walk, &part->id) != 0) ||
        (HAS(DESCRIPTION) && take_string(walk, &part->description) != 0) ||
        (HAS(ENCODING) && take_string(walk, &part->encoding) != 0) ||
        (HAS(MD5) && take_string(walk, &part->md5) != 0) ||
        (HAS(DISPOSITION) &&
         (take_string(walk, &part->disposition) != 0 ||
          take_strings(walk, &part->disposition_params) != 0)) ||
        (HAS(LANGUAGES) && take_strings(walk, &part->languages) != 0) ||
        (HAS(LOCATION) && take_string(walk, &part->location) != 0))
        return -1;
#undef HAS
    return 0;
}

/* The place of the next node: behind this one, or in it. */
static int
step(struct mime_walk *walk, struct mime_part *part)
{
    uint32_t depth = walk->depth;

    part->depth = depth;
    part->number = ++walk->open[depth].number;
    walk->open[depth].left--;
    walk->open[depth].end = part->body_at + part->body_len;
    if (part->children > 0) {
        if (depth == MIME_DEPTH_MAX)
            return -1;
        depth = ++walk->depth;
        walk->open[depth].left = part->children;
        walk->open[depth].end = part->body_at;
        walk->open[depth].number = 0;
    }
    return 0;
}

int
mime_walk_next(struct mime_walk *walk, struct mime_part *part)
{
    uint64_t flags;

    *part = (struct mime_part){0};
    while (walk->open[walk->depth].left == 0) {
        if (walk->depth == 0)
            return walk->rest.len == 0 ? 0 : -1;
        walk->depth--;
    }
    if (record_take_varint(&walk->rest, &flags) != 0 ||
        (flags & MIME_WALK_KIND) > MIME_MESSAGE)
        return -1;
    part->kind = (enum mime_kind)(flags & MIME_WALK_KIND);
    if (take_ranges(walk, part) != 0 || take_members(walk, flags, part) != 0 ||
        step(walk, part) != 0)
        return -1;
    return 1;
}
