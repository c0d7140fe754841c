/* SPDX-License-Identifier: ISC */
/*
 * The nodes of a structure (mime_structure.h), one after the other; without
 * recursion and without memory of their own. A node is packed as
 *
 *     flags        kind and which of the members below are there
 *     header_at    as the distance from the end of what is before it: the
 *                  last sibling's body, or the parent's header
 *     header_len, body_len, lines
 *     children     of a multipart; a message/rfc822 has one
 *     envelope     of a message: length and bytes (mime_envelope.h)
 *     the strings and lists, in the order of struct mime_part
 *
 * and its children follow. A list is its length in strings and the strings.
 */
#ifndef SPOOL_MIME_WALK_H
#define SPOOL_MIME_WALK_H

#include <stdint.h>

#include "mime.h"
#include "view.h"

/* A packed list of strings: names and values in turn for parameters. */
struct mime_strings {
    struct view packed;
    uint64_t count; /* of strings */
};

struct mime_part {
    enum mime_kind kind;
    uint32_t depth;
    uint32_t number; /* among its siblings, from 1 */
    uint64_t children;
    uint64_t header_at, header_len;
    uint64_t body_at, body_len, lines;
    bool is_message; /* the whole message or one in a message/rfc822 */
    struct view envelope;
    /* Absent ones have data NULL and count 0. */
    struct view type, subtype;
    struct mime_strings params;
    struct view id, description, encoding, md5;
    struct view disposition;
    struct mime_strings disposition_params;
    struct mime_strings languages;
    struct view location;
};

struct mime_walk {
    struct view rest;
    uint32_t depth; /* of the next node */
    struct {
        uint64_t left; /* children still to come */
        uint64_t end;  /* of the last child, or of the parent's header */
        uint32_t number;
    } open[MIME_DEPTH_MAX + 1];
};

/* Begins at the whole message. -1: not a structure of this version. */
int mime_walk_begin(struct mime_walk *walk, struct view structure);
/* 1: *part is the next node, its views borrowed from the structure; 0: that
 * was all; -1: damaged. */
int mime_walk_next(struct mime_walk *walk, struct mime_part *part);
/* Takes a string off the front of a list that has some left. -1: damaged. */
int mime_strings_take(struct mime_strings *strings, struct view *text);
/* The value of a parameter (any case) as it is there: 1, 0, or -1. */
int mime_strings_find(struct mime_strings params, struct view name,
                      struct view *value);

/* What follows is for packing (mime_structure.c). */
#define MIME_WALK_KIND        0x003u
#define MIME_WALK_ENVELOPE    0x004u
#define MIME_WALK_TYPE        0x008u
#define MIME_WALK_PARAMS      0x010u
#define MIME_WALK_ENCODING    0x020u
#define MIME_WALK_DISPOSITION 0x040u /* with its parameters */
#define MIME_WALK_ID          0x080u
#define MIME_WALK_DESCRIPTION 0x100u
#define MIME_WALK_MD5         0x200u
#define MIME_WALK_LANGUAGES   0x400u
#define MIME_WALK_LOCATION    0x800u

#endif
