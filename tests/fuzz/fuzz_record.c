/* SPDX-License-Identifier: ISC */
/*
 * Records of a stranger: payloads of every message between roles and the
 * configuration. What decodes encodes to something that decodes to the same;
 * what is printed is printable; what is refused holds no memory.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf_key.h"
#include "proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct record_type *
type_of(unsigned n)
{
    n %= PROTO_COUNT + 2;
    if (n == 0)
        return conf_record();
    if (n == PROTO_COUNT)
        return &message_record;
    if (n == PROTO_COUNT + 1)
        return &delivery_record;
    return proto_row(n)->payload;
}

static void
check_zero(const struct record_type *type, const char *object)
{
    for (size_t i = 0; i < type->size; i++)
        assert(object[i] == 0);
}

static void
check_stable(const struct record_type *type, const void *object)
{
    void *copy = malloc(type->size);
    struct buf first = {0}, second = {0};
    struct why why;

    record_encode(type, object, &first);
    assert(record_decode(type, buf_view(&first), copy, &why) == 0);
    record_encode(type, copy, &second);
    assert(view_equal(buf_view(&first), buf_view(&second)));
    buf_reset(&second);
    record_print(type, copy, &second);
    for (size_t i = 0; i < second.len; i++)
        assert(second.data[i] >= ' ' && second.data[i] <= '~');
    record_clear(type, copy);
    check_zero(type, copy);
    free(copy);
    buf_free(&first);
    buf_free(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct record_type *type;
    struct why why = {0};
    void *object;

    if (size == 0)
        return 0;
    type = type_of(data[0]);
    object = malloc(type->size);
    if (record_decode(type, (struct view){(const char *)data + 1, size - 1},
                      object, &why) == 0) {
        check_stable(type, object);
        record_clear(type, object);
    } else {
        assert(why.text[0] != '\0');
    }
    check_zero(type, object);
    free(object);
    return 0;
}
