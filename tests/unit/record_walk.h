/* SPDX-License-Identifier: ISC */
/*
 * For the tests of everything that has a record table: is the table sound,
 * and does a struct filled by it survive the codec? Every cmocka header must
 * have been included before.
 */
#ifndef TEST_RECORD_WALK_H
#define TEST_RECORD_WALK_H

#include <stdlib.h>

#include "mem.h"
#include "record.h"

static inline size_t
walk_size(enum record_kind kind)
{
    return kind == RECORD_NUM    ? sizeof(uint64_t)
           : kind == RECORD_VIEW ? sizeof(struct view)
                                 : sizeof(struct record_list);
}

/* Tags and names are unique, members lie inside the struct and apart. */
static inline void
walk_table(const struct record_type *type)
{
    assert_non_null(type->name);
    assert_true(type->n_fields > 0 && type->n_fields < 64);
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct record_field *a = &type->fields[i];

        assert_true(a->tag > 0 && a->since > 0);
        assert_true(a->offset + walk_size(a->kind) <= type->size);
        for (size_t k = 0; k < i; k++) {
            const struct record_field *b = &type->fields[k];

            assert_true(a->tag != b->tag);
            assert_string_not_equal(a->name, b->name);
            assert_true(a->offset + walk_size(a->kind) <= b->offset ||
                        b->offset + walk_size(b->kind) <= a->offset);
        }
        if (a->kind == RECORD_LIST)
            walk_table(a->of);
    }
}

/* A generator of our own: the same cases on every machine. */
static inline uint64_t
walk_random(uint64_t *seed)
{
    *seed =
        *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static const char walk_text[] = "some \"text\" with \0 and \xff in it";

/* Every member set, or left empty where nothing requires it. */
static inline void
walk_fill(const struct record_type *type, void *object, uint64_t *seed)
{
    memset(object, 0, type->size);
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct record_field *field = &type->fields[i];
        void *at = (char *)object + field->offset;
        uint64_t r = walk_random(seed);

        if (r % 4 == 0 && !field->required)
            continue;
        if (field->kind == RECORD_NUM) {
            *(uint64_t *)at = walk_random(seed) << (r % 34) | 1;
        } else if (field->kind == RECORD_VIEW) {
            *(struct view *)at =
                (struct view){walk_text, 1 + r % (sizeof(walk_text) - 1)};
        } else {
            struct record_list *list = at;

            list->items = mem_alloc(5 * field->of->size);
            for (; list->count < r % 6; list->count++)
                walk_fill(field->of,
                          (char *)list->items + list->count * field->of->size,
                          seed);
        }
    }
}

static inline void
walk_assert_equal(const struct record_type *type, const void *a, const void *b)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct record_field *field = &type->fields[i];
        const void *in_a = (const char *)a + field->offset;
        const void *in_b = (const char *)b + field->offset;

        if (field->kind == RECORD_NUM) {
            assert_true(*(const uint64_t *)in_a == *(const uint64_t *)in_b);
        } else if (field->kind == RECORD_VIEW) {
            assert_true(view_equal(*(const struct view *)in_a,
                                   *(const struct view *)in_b));
        } else {
            const struct record_list *list_a = in_a, *list_b = in_b;
            size_t size = field->of->size;

            assert_int_equal(list_a->count, list_b->count);
            for (size_t k = 0; k < list_a->count; k++)
                walk_assert_equal(field->of,
                                  (const char *)list_a->items + k * size,
                                  (const char *)list_b->items + k * size);
        }
    }
}

/* Filled, encoded, decoded: equal; and cut or with a stranger's tag in it,
 * refused or skipped, never a crash. */
static inline void
walk_codec(const struct record_type *type, uint64_t seed)
{
    void *object = mem_alloc(type->size), *copy = mem_alloc(type->size);
    struct buf bytes = {0}, print = {0};
    struct why why;

    walk_fill(type, object, &seed);
    record_encode(type, object, &bytes);
    assert_int_equal(record_decode(type, buf_view(&bytes), copy, &why), 0);
    walk_assert_equal(type, object, copy);
    record_print(type, copy, &print);
    for (size_t i = 0; i < print.len; i++)
        assert_true(print.data[i] >= ' ' && print.data[i] <= '~');
    record_clear(type, copy);
    for (size_t n = 0; n < bytes.len; n++)
        if (record_decode(type, (struct view){bytes.data, n}, copy, &why) == 0)
            record_clear(type, copy);
    record_put_varint(&bytes, 9999 << 1 | 1); /* a later version's field */
    record_put_varint(&bytes, 3);
    buf_add(&bytes, "abc", 3);
    record_put_varint(&bytes, 9998 << 1);
    record_put_varint(&bytes, UINT64_MAX);
    assert_int_equal(record_decode(type, buf_view(&bytes), copy, &why), 0);
    walk_assert_equal(type, object, copy);
    record_clear(type, copy);
    record_clear(type, object);
    free(object);
    free(copy);
    buf_free(&bytes);
    buf_free(&print);
}

static inline void
walk_type(const struct record_type *type)
{
    walk_table(type);
    for (uint64_t seed = 1; seed <= 20; seed++)
        walk_codec(type, seed);
}

#endif
