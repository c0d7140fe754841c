/* SPDX-License-Identifier: ISC */
/*
 * record: the bytes are those record.h promises, and bytes that are not are
 * refused with the field's name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "record_walk.h"

struct leaf {
    uint64_t n;
    struct view text;
};
static const struct record_field leaf_fields[] = {
    RECORD_NEEDED_NUM(1, leaf, n),
    RECORD_VIEW_FIELD(2, leaf, text),
};
static RECORD_TYPE(leaf);

struct tree {
    uint64_t a;
    struct view b;
    struct record_list leaves;
    uint64_t d;
    struct view e;
};
static const struct record_field tree_fields[] = {
    RECORD_NUM_FIELD(1, tree, a),
    RECORD_VIEW_FIELD(2, tree, b),
    RECORD_LIST_FIELD(3, tree, leaves, leaf_record),
    RECORD_NEEDED_NUM(200, tree, d),
    RECORD_NEEDED_VIEW(5, tree, e),
};
static RECORD_TYPE(tree);

static void
test_walk(void **state)
{
    (void)state;
    walk_type(&leaf_record);
    walk_type(&tree_record);
}

static void
test_bytes(void **state)
{
    struct leaf leaves[] = {{300, VIEW("x")}, {0, {NULL, 0}}};
    struct tree tree = {.a = 5, .b = VIEW("hi"), .leaves = {leaves, 2}};
    struct buf out = {0};

    (void)state;
    record_encode(&tree_record, &tree, &out);
    assert_true(view_equal(buf_view(&out),
                           VIEW("\x02\x05"                      /* a */
                                "\x05\x02hi"                    /* b */
                                "\x07\x06\x02\xac\x02\x05\x01x" /* leaf */
                                "\x07\x02\x02\x00"              /* leaf */
                                "\x90\x03\x00"                  /* d */
                                "\x0b\x00")));                  /* e */
    buf_reset(&out);
    record_print(&tree_record, &tree, &out);
    assert_true(view_equal(buf_view(&out),
                           VIEW("a=5 b=\"hi\" leaves=[n=300 text=\"x\"; n=0 "
                                "text=\"\"] d=0 e=\"\"")));
    buf_free(&out);
}

static void
test_varint(void **state)
{
    static const struct {
        uint64_t value;
        struct view bytes;
    } rows[] = {
        {0, VIEW("\x00")},
        {127, VIEW("\x7f")},
        {128, VIEW("\x80\x01")},
        {16384, VIEW("\x80\x80\x01")},
        {UINT64_MAX, VIEW("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")},
    };
    static const struct view bad[] = {
        VIEW(""), VIEW("\x80"), VIEW("\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        VIEW("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
        VIEW("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")};
    struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct view bytes = rows[i].bytes;
        uint64_t value;

        buf_reset(&out);
        record_put_varint(&out, rows[i].value);
        assert_true(view_equal(buf_view(&out), bytes));
        assert_int_equal(record_take_varint(&bytes, &value), 0);
        assert_true(value == rows[i].value);
        assert_int_equal(bytes.len, 0);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct view bytes = bad[i];
        uint64_t value;

        assert_int_equal(record_take_varint(&bytes, &value), -1);
    }
    buf_free(&out);
}

#define REST "\x90\x03\x00\x0b\x00" /* d and e */

static void
test_bad(void **state)
{
    static const struct {
        struct view bytes;
        const char *reason;
    } bad[] = {
        {VIEW(""), "tree: d is missing"},
        {VIEW("\x90\x03\x00"), "tree: e is missing"},
        {VIEW("\x0b\x00"), "tree: d is missing"},
        {VIEW("\x02"), "tree: cut in a number"},
        {VIEW("\x80"), "tree: cut in a number"},
        {VIEW("\x02\x80"), "tree: cut in a number"},
        {VIEW("\x05\x03hi"), "tree: 3 bytes announced, 2 there"},
        {VIEW("\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
         "tree: 18446744073709551615 bytes announced, 0 there"},
        {VIEW("\x04\x05" REST), "tree: b has the wrong form"},
        {VIEW("\x03\x01x" REST), "tree: a has the wrong form"},
        {VIEW("\x06\x05" REST), "tree: leaves has the wrong form"},
        {VIEW("\x07\x00" REST), "leaf: n is missing"},
        {VIEW("\x07\x02\x02\x05\x07\x01\x02" REST), "leaf: cut in a number"},
        {VIEW("\xcf\x0f\x05x"), "tree: 5 bytes announced, 1 there"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct tree tree;
        struct why why;

        assert_int_equal(record_decode(&tree_record, bad[i].bytes, &tree, &why),
                         -1);
        assert_string_equal(why.text, bad[i].reason);
        assert_null(tree.leaves.items);
    }
}

static void
test_order_and_repeats(void **state)
{
    struct tree tree;
    struct why why;

    (void)state;
    /* Any order; of a number or text given twice the last counts. */
    assert_int_equal(
        record_decode(&tree_record,
                      VIEW("\x0b\x01z\x07\x02\x02\x07\x02\x01\x90\x03\x09"
                           "\x02\x02\x07\x02\x02\x08"),
                      &tree, &why),
        0);
    assert_int_equal(tree.a, 2);
    assert_int_equal(tree.d, 9);
    assert_true(view_equal(tree.e, VIEW("z")));
    assert_int_equal(tree.leaves.count, 2);
    assert_int_equal(((struct leaf *)tree.leaves.items)[1].n, 8);
    record_clear(&tree_record, &tree);
    assert_null(tree.leaves.items);
    assert_int_equal(tree.d, 0);
}

static void
test_list_limit(void **state)
{
    struct buf bytes = {0};
    struct tree tree;
    struct why why;

    (void)state;
    buf_add(&bytes, REST, sizeof(REST) - 1);
    for (int i = 0; i < RECORD_LIST_MAX; i++)
        buf_add(&bytes, "\x07\x02\x02\x01", 4);
    assert_int_equal(record_decode(&tree_record, buf_view(&bytes), &tree, &why),
                     0);
    assert_int_equal(tree.leaves.count, RECORD_LIST_MAX);
    record_clear(&tree_record, &tree);
    buf_add(&bytes, "\x07\x02\x02\x01", 4);
    assert_int_equal(record_decode(&tree_record, buf_view(&bytes), &tree, &why),
                     -1);
    assert_string_equal(why.text, "leaves: more than 100000 items");
    buf_free(&bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_varint),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_order_and_repeats),
        cmocka_unit_test(test_list_limit),
    };

    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
