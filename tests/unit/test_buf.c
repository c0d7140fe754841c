/* SPDX-License-Identifier: ISC */
/*
 * buf: appending in all ways, growing from nothing, taking from the front;
 * and the small questions of view.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "buf.h"

static void
assert_bytes(const struct buf *buf, const char *want)
{
    assert_int_equal(buf->len, strlen(want));
    assert_true(buf->len <= buf->cap);
    if (buf->len > 0)
        assert_memory_equal(buf->data, want, buf->len);
}

static void
test_add(void **state)
{
    struct buf buf = {0};

    (void)state;
    buf_add(&buf, NULL, 0);
    assert_null(buf.data);
    buf_add(&buf, "ab", 2);
    buf_add_view(&buf, VIEW("cd"));
    buf_add_view(&buf, (struct view){NULL, 0});
    buf_add_text(&buf, "ef");
    buf_add_byte(&buf, 'g');
    buf_addf(&buf, "%s%d%c", "h", 7, 'i');
    buf_addf(&buf, "%s", "");
    assert_bytes(&buf, "abcdefgh7i");
    assert_true(view_equal(buf_view(&buf), VIEW("abcdefgh7i")));
    buf_free(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.len + buf.cap, 0);
    buf_free(&buf);
}

static void
test_grow(void **state)
{
    struct buf buf = {0};

    (void)state;
    for (int i = 0; i < 100000; i++)
        buf_add_byte(&buf, (uint8_t)i);
    assert_int_equal(buf.len, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal((uint8_t)buf.data[i], (uint8_t)i);
    buf_reserve(&buf, 1000000);
    assert_true(buf.cap - buf.len >= 1000000);
    assert_int_equal((uint8_t)buf.data[99999], (uint8_t)99999);
    buf_addf(&buf, "%*d", 5000, 1); /* longer than any buffer on a stack */
    assert_int_equal(buf.len, 105000);
    assert_int_equal(buf.data[buf.len - 1], '1');
    buf_free(&buf);
}

static void
test_consume(void **state)
{
    struct buf buf = {0};
    size_t cap;

    (void)state;
    buf_add_text(&buf, "abcdef");
    cap = buf.cap;
    buf_consume(&buf, 0);
    assert_bytes(&buf, "abcdef");
    buf_consume(&buf, 4);
    assert_bytes(&buf, "ef");
    buf_consume(&buf, 2);
    assert_bytes(&buf, "");
    buf_add_text(&buf, "x");
    buf_reset(&buf);
    assert_bytes(&buf, "");
    assert_int_equal(buf.cap, cap);
    buf_free(&buf);
}

static void
test_view(void **state)
{
    (void)state;
    assert_true(view_equal(VIEW("ab"), view_of("ab")));
    assert_false(view_equal(VIEW("ab"), VIEW("aB")));
    assert_false(view_equal(VIEW("ab"), VIEW("abc")));
    assert_true(view_equal(VIEW(""), view_of(NULL)));
    assert_true(view_equal_nocase(VIEW("aB.C"), VIEW("Ab.c")));
    assert_false(view_equal_nocase(VIEW("ab"), VIEW("ac")));
    assert_false(view_equal_nocase(VIEW("ab"), VIEW("a")));
    assert_true(view_equal(view_skip(VIEW("abc"), 1), VIEW("bc")));
    assert_int_equal(view_skip(VIEW("abc"), 3).len, 0);
    assert_int_equal(view_skip(VIEW("abc"), 4).len, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_consume),
        cmocka_unit_test(test_view),
    };

    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
