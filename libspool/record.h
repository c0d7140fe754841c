/* SPDX-License-Identifier: ISC */
/*
 * The one codec for structs that leave a process: rows of the store,
 * messages between roles, batches. A struct is described by a table of
 * fields; encode, decode and print all walk that table.
 *
 * Encoded form: for each field that is not empty, in the table's order,
 *
 *     varint(tag << 1 | 0)  varint(value)            a number
 *     varint(tag << 1 | 1)  varint(length)  bytes    a view or one list item
 *
 * A list is its items one after the other under the same tag, each encoded
 * by its own table. varint is 7 bits a byte, lowest first, the high bit set
 * on all but the last (LEB128). Zero and empty are left out, so a decoder
 * sees them as such. A tag the table does not know is skipped: a later minor
 * version may add fields. Tags are for ever: never reuse one.
 */
#ifndef SPOOL_RECORD_H
#define SPOOL_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "view.h"
#include "why.h"

enum record_kind {
    RECORD_NUM,  /* uint64_t */
    RECORD_VIEW, /* struct view, borrowed from the decoded bytes */
    RECORD_LIST, /* struct record_list of the field's own record type */
};

struct record_list {
    void *items; /* count structs of the item type, one after the other */
    size_t count;
};

struct record_type;

struct record_field {
    unsigned tag; /* 1.., unique in its table, for ever */
    enum record_kind kind;
    size_t offset;
    const char *name;
    unsigned since;               /* format version that brought it */
    bool required;                /* decoding without it fails */
    const struct record_type *of; /* RECORD_LIST: the items' type */
};

struct record_type {
    const char *name;
    size_t size; /* of the struct */
    const struct record_field *fields;
    size_t n_fields;
};

#define RECORD_NUM_FIELD(tag, type, member)                                    \
    {                                                                          \
        tag, RECORD_NUM, offsetof(struct type, member), #member, 1, false,     \
            NULL                                                               \
    }
#define RECORD_VIEW_FIELD(tag, type, member)                                   \
    {                                                                          \
        tag, RECORD_VIEW, offsetof(struct type, member), #member, 1, false,    \
            NULL                                                               \
    }
#define RECORD_LIST_FIELD(tag, type, member, of)                               \
    {                                                                          \
        tag, RECORD_LIST, offsetof(struct type, member), #member, 1, false,    \
            &(of)                                                              \
    }
#define RECORD_NEEDED_NUM(tag, type, member)                                   \
    {                                                                          \
        tag, RECORD_NUM, offsetof(struct type, member), #member, 1, true, NULL \
    }
#define RECORD_NEEDED_VIEW(tag, type, member)                                  \
    {                                                                          \
        tag, RECORD_VIEW, offsetof(struct type, member), #member, 1, true,     \
            NULL                                                               \
    }

/* Defines "const struct record_type NAME_record" for struct NAME. */
#define RECORD_TYPE(type)                                                      \
    const struct record_type type##_record = {                                 \
        #type, sizeof(struct type), type##_fields,                             \
        sizeof(type##_fields) / sizeof(type##_fields[0])}

/* Items in one list at the most; more is refused (a list costs memory). */
#define RECORD_LIST_MAX 100000

/* Appends the struct at object to out. */
void record_encode(const struct record_type *type, const void *object,
                   struct buf *out);
/* Fills *object (all of it; nothing needs to be set before). Views borrow
 * from bytes, lists are allocated and given back by record_clear. On -1
 * nothing is held. */
int record_decode(const struct record_type *type, struct view bytes,
                  void *object, struct why *why);
/* Frees the lists of *object and zeroes it. */
void record_clear(const struct record_type *type, void *object);
/* "name=value name=value", for debug logs and dumps; views are quoted. */
void record_print(const struct record_type *type, const void *object,
                  struct buf *out);

void record_put_varint(struct buf *out, uint64_t value);
/* Takes one varint off the front of *bytes; -1 when it is cut or too long. */
int record_take_varint(struct view *bytes, uint64_t *value);

#endif
