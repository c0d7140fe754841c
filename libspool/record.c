/* SPDX-License-Identifier: ISC */
/*
 * Walks a table of fields; see record.h for the form on the wire. Decoding
 * trusts nothing: lengths are checked against what is there, lists against
 * RECORD_LIST_MAX, a number field must carry a number.
 */
#include "record.h"

#include <inttypes.h>
#include <stdlib.h>

#include "mem.h"

#define WIRE_BYTES 1

void
record_put_varint(struct buf *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;

    while (value >= 0x80) {
        bytes[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[n++] = (uint8_t)value;
    buf_add(out, bytes, n);
}

int
record_take_varint(struct view *bytes, uint64_t *value)
{
    *value = 0;
    for (size_t n = 0; n < bytes->len && n < 10; n++) {
        uint64_t part = (uint8_t)bytes->data[n] & 0x7f;

        if (n == 9 && part > 1)
            return -1;
        *value |= part << (7 * n);
        if (((uint8_t)bytes->data[n] & 0x80) == 0) {
            *bytes = view_skip(*bytes, n + 1);
            return 0;
        }
    }
    return -1;
}

static const void *
field_at(const struct record_field *field, const void *object)
{
    return (const char *)object + field->offset;
}

static void
put_bytes(unsigned tag, struct view bytes, struct buf *out)
{
    record_put_varint(out, (uint64_t)tag << 1 | WIRE_BYTES);
    record_put_varint(out, bytes.len);
    buf_add_view(out, bytes);
}

static void
put_list(const struct record_field *field, const struct record_list *list,
         struct buf *out)
{
    struct buf item = {0};

    for (size_t i = 0; i < list->count; i++) {
        buf_reset(&item);
        record_encode(field->of,
                      (const char *)list->items + i * field->of->size, &item);
        put_bytes(field->tag, buf_view(&item), out);
    }
    buf_free(&item);
}

void
record_encode(const struct record_type *type, const void *object,
              struct buf *out)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct record_field *field = &type->fields[i];
        const void *at = field_at(field, object);

        if (field->kind == RECORD_NUM) {
            uint64_t value = *(const uint64_t *)at;

            if (value == 0 && !field->required)
                continue;
            record_put_varint(out, (uint64_t)field->tag << 1);
            record_put_varint(out, value);
        } else if (field->kind == RECORD_VIEW) {
            const struct view *view = at;

            if (view->len > 0 || field->required)
                put_bytes(field->tag, *view, out);
        } else {
            put_list(field, at, out);
        }
    }
}

/* Tables are short and encoders keep their order: look from the last hit. */
static const struct record_field *
field_by_tag(const struct record_type *type, uint64_t tag, size_t *hint)
{
    for (size_t k = 0; k < type->n_fields; k++) {
        size_t i = (*hint + k) % type->n_fields;

        if (type->fields[i].tag == tag) {
            *hint = i;
            return &type->fields[i];
        }
    }
    return NULL;
}

static int
take_item(const struct record_field *field, struct view bytes, void *at,
          struct why *why)
{
    struct record_list *list = at;
    size_t size = field->of->size;

    if (list->count >= RECORD_LIST_MAX)
        return why_text(why, "%s: more than %d items", field->name,
                        RECORD_LIST_MAX);
    if ((list->count & (list->count - 1)) == 0) /* grows at powers of two */
        list->items =
            mem_grow(list->items, list->count > 0 ? list->count * 2 : 1, size);
    if (record_decode(field->of, bytes,
                      (char *)list->items + list->count * size, why) != 0)
        return -1;
    list->count++;
    return 0;
}

static int
take_field(const struct record_type *type, struct view *bytes, void *object,
           uint64_t *seen, size_t *hint, struct why *why)
{
    const struct record_field *field;
    struct view value = {0};
    uint64_t key, number;
    void *at;

    if (record_take_varint(bytes, &key) != 0 ||
        record_take_varint(bytes, &number) != 0)
        return why_text(why, "%s: cut in a number", type->name);
    if (key & WIRE_BYTES) {
        if (number > bytes->len)
            return why_text(why, "%s: %" PRIu64 " bytes announced, %zu there",
                            type->name, number, bytes->len);
        value = (struct view){bytes->data, (size_t)number};
        *bytes = view_skip(*bytes, (size_t)number);
    }
    field = field_by_tag(type, key >> 1, hint);
    if (field == NULL)
        return 0;
    if ((field->kind == RECORD_NUM) != ((key & WIRE_BYTES) == 0))
        return why_text(why, "%s: %s has the wrong form", type->name,
                        field->name);
    *seen |= UINT64_C(1) << (field - type->fields);
    at = (char *)object + field->offset;
    if (field->kind == RECORD_LIST)
        return take_item(field, value, at, why);
    if (field->kind == RECORD_NUM)
        *(uint64_t *)at = number;
    else
        *(struct view *)at = value;
    return 0;
}

int
record_decode(const struct record_type *type, struct view bytes, void *object,
              struct why *why)
{
    uint64_t seen = 0; /* fields by position; no table has 64 */
    size_t hint = 0;

    memset(object, 0, type->size);
    while (bytes.len > 0)
        if (take_field(type, &bytes, object, &seen, &hint, why) != 0)
            goto bad;
    for (size_t i = 0; i < type->n_fields; i++)
        if (type->fields[i].required && (seen >> i & 1) == 0) {
            why_text(why, "%s: %s is missing", type->name,
                     type->fields[i].name);
            goto bad;
        }
    return 0;
bad:
    record_clear(type, object);
    return -1;
}

void
record_clear(const struct record_type *type, void *object)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct record_field *field = &type->fields[i];
        struct record_list *list;

        if (field->kind != RECORD_LIST)
            continue;
        list = (struct record_list *)((char *)object + field->offset);
        for (size_t k = 0; k < list->count; k++)
            record_clear(field->of, (char *)list->items + k * field->of->size);
        free(list->items);
    }
    memset(object, 0, type->size);
}

static void
print_quoted(struct view v, struct buf *out)
{
    buf_add_byte(out, '"');
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = (uint8_t)v.data[i];

        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            buf_addf(out, "\\x%02x", c);
        else
            buf_add_byte(out, c);
    }
    buf_add_byte(out, '"');
}

static void
print_field(const struct record_field *field, const void *at, struct buf *out)
{
    const struct record_list *list = at;

    if (field->kind == RECORD_NUM) {
        buf_addf(out, "%s=%" PRIu64, field->name, *(const uint64_t *)at);
    } else if (field->kind == RECORD_VIEW) {
        buf_addf(out, "%s=", field->name);
        print_quoted(*(const struct view *)at, out);
    } else {
        buf_addf(out, "%s=[", field->name);
        for (size_t i = 0; i < list->count; i++) {
            buf_add_text(out, i > 0 ? "; " : "");
            record_print(field->of,
                         (const char *)list->items + i * field->of->size, out);
        }
        buf_add_text(out, "]");
    }
}

void
record_print(const struct record_type *type, const void *object,
             struct buf *out)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        if (i > 0)
            buf_add_byte(out, ' ');
        print_field(&type->fields[i], field_at(&type->fields[i], object), out);
    }
}
