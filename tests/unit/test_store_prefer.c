/* SPDX-License-Identifier: ISC */
/*
 * Rules of what goes first: new mail, what is held, the end of a rule. The
 * rows stay right: spoolctl check's own look at the store finds nothing.
 */
#include "store_fixture.h"

/* --- records -------------------------------------------------------------- */

/* The number of the new rule. */
static uint64_t
make(struct fixture *f, const char *query, uint64_t until_ms)
{
    struct proto_prefer prefer = {
        .when_ms = T0, .until_ms = until_ms, .query = view_of(query)};

    assert_int_equal(
        fixture_apply(f, STORE_PREFER, 0, &proto_prefer_record, &prefer),
        APPLY_OK);
    return f->count;
}

static enum apply_result
end(struct fixture *f, uint64_t rule)
{
    struct proto_prefer prefer = {.number = rule, .when_ms = T0};

    return fixture_apply(f, STORE_PREFER, 0, &proto_prefer_record, &prefer);
}

/* How many messages it changed. */
static uint64_t
mark(struct fixture *f, uint64_t id, uint64_t rule)
{
    struct proto_steer_item item = {.id = id};
    struct proto_steer steer = {
        .what = STEER_PREFER, .when_ms = T0, .rule = rule, .items = {&item, 1}};

    assert_int_equal(
        fixture_apply(f, STORE_STEER, 0, &proto_steer_record, &steer),
        APPLY_OK);
    return f->count;
}

/* --- what is there -------------------------------------------------------- */

static uint64_t
rule_of(struct fixture *f, uint64_t id)
{
    struct db_message message;
    uint64_t rule;

    assert_int_equal(db_read_message(f->db, id, &message, NULL), 1);
    rule = message.message.prefer;
    db_message_free(&message);
    return rule;
}

/* The ids in the order of ready, and how many deliveries each has there. */
static void
expect_order(struct fixture *f, const uint64_t *ids, size_t n,
             uint64_t deliveries)
{
    struct db_ready_cursor cursor = {0};
    struct db_ready found;
    struct why why;

    for (size_t i = 0; i < n; i++) {
        assert_int_equal(
            db_read_ready(f->db, VIEW("office"), &cursor, &found, &why), 1);
        assert_int_equal(found.id, ids[i]);
        assert_int_equal(found.n_deliveries, deliveries);
    }
    assert_int_equal(
        db_read_ready(f->db, VIEW("office"), &cursor, &found, &why), 0);
}

/* --- tests ---------------------------------------------------------------- */

static void
test_new_mail(void **state)
{
    struct fixture *f = *state;
    const uint64_t order[] = {ID(2), ID(3), ID(1), ID(5)};

    fixture_submit(f, ID(1), 2);
    assert_int_equal(make(f, "from:anna@*", 0), 1);
    fixture_submit(f, ID(2), 2);
    fixture_submit(f, ID(3), 2);
    assert_int_equal(make(f, "to:*", 0), 2);
    assert_int_equal(rule_of(f, ID(1)), 0); /* it was here before */
    assert_int_equal(rule_of(f, ID(2)), 1);
    assert_int_equal(end(f, 1), APPLY_OK);
    assert_int_equal(end(f, 2), APPLY_OK);
    make(f, "from:nobody@*", 0);
    fixture_submit(f, ID(5), 2);
    assert_int_equal(rule_of(f, ID(5)), 0);
    /* The numbers of rules that ended stay. */
    assert_int_equal(rule_of(f, ID(3)), 1);
    expect_order(f, order, 4, 2);
}

static void
test_time_is_over(void **state)
{
    struct fixture *f = *state;

    make(f, "to:*", T0);
    fixture_submit(f, ID(1), 1);
    assert_int_equal(rule_of(f, ID(1)), 0);
    make(f, "to:*", T0 + 1);
    fixture_submit(f, ID(2), 1);
    assert_int_equal(rule_of(f, ID(2)), 2);
}

static void
test_held_mail(void **state)
{
    struct fixture *f = *state;
    const uint64_t before[] = {ID(1), ID(2), ID(3)};
    const uint64_t order[] = {ID(3), ID(2), ID(1)};

    for (uint64_t n = 1; n <= 3; n++)
        fixture_submit(f, ID(n), 3);
    expect_order(f, before, 3, 3);
    assert_int_equal(make(f, "subject:x", 0), 1);
    assert_int_equal(make(f, "subject:y", 0), 2);
    assert_int_equal(mark(f, ID(3), 1), 1);
    assert_int_equal(mark(f, ID(2), 2), 1);
    expect_order(f, order, 3, 3);
    /* Once more, by another rule, by one that is not there, no message. */
    assert_int_equal(mark(f, ID(3), 1), 0);
    assert_int_equal(mark(f, ID(3), 2), 0);
    assert_int_equal(mark(f, ID(1), 7), 0);
    assert_int_equal(mark(f, ID(9), 1), 0);
    expect_order(f, order, 3, 3);
    /* A delivery that waits comes back to the new place. */
    fixture_deliver(f, ID(3), 0, 0);
    assert_int_equal(end(f, 1), APPLY_OK);
    assert_int_equal(mark(f, ID(3), 2), 1);
    assert_int_equal(rule_of(f, ID(3)), 2);
}

static void
test_numbers(void **state)
{
    struct fixture *f = *state;
    struct proto_prefer more = {.when_ms = T0, .query = VIEW("to:*")};
    struct proto_prefer none = {.when_ms = T0, .query = VIEW("no:sense")};

    assert_int_equal(end(f, 1), APPLY_REFUSED);
    assert_int_equal(
        fixture_apply(f, STORE_PREFER, 0, &proto_prefer_record, &none),
        APPLY_REFUSED);
    for (uint64_t n = 1; n <= PREFER_MAX; n++)
        assert_int_equal(make(f, "to:*", 0), n);
    assert_int_equal(
        fixture_apply(f, STORE_PREFER, 0, &proto_prefer_record, &more),
        APPLY_REFUSED);
    assert_int_equal(end(f, PREFER_MAX), APPLY_OK);
    assert_int_equal(make(f, "to:*", 0), PREFER_MAX + 1);
}

int
main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_new_mail),
        TEST(test_time_is_over),
        TEST(test_held_mail),
        TEST(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
