/* SPDX-License-Identifier: ISC */
/* The budget of all connections: shares, places of those on their way. */
#include "replay_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct replay_budget budget;
static struct replay_budget_member members[20];
static struct replay_budget_link links[20][20];

static int
set_up(void **state)
{
    (void)state;
    memset(&budget, 0, sizeof(budget));
    memset(members, 0, sizeof(members));
    replay_budget_set(&budget, 16, 8);
    return 0;
}

static void
work(size_t member, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        replay_budget_connect(&budget, &members[member],
                              &links[member][members[member].open], false, 0);
        replay_budget_ready(&budget, &links[member][members[member].open - 1]);
    }
}

static void
end(size_t member)
{
    replay_budget_end(&budget, &members[member],
                      &links[member][members[member].open - 1]);
}

static size_t
share(size_t member)
{
    return replay_budget_share(&budget, &members[member], 0);
}

static void
test_last_quarter(void **state)
{
    (void)state;
    assert_int_equal(share(0), 1);
    work(0, 1);
    assert_int_equal(share(0), 1 + 11);
    work(0, 11);
    assert_int_equal(share(0), 12); /* the rest is for others */
    for (size_t i = 1; i < 5; i++) {
        assert_int_equal(share(i), 1);
        work(i, 1);
        assert_int_equal(share(i), 1);
    }
    assert_int_equal(share(5), 0);
    assert_int_equal(share(0), 12);
    end(0);
    assert_int_equal(share(5), 1);
}

static void
test_even_share_while_one_waits(void **state)
{
    (void)state;
    work(0, 12);
    for (size_t i = 1; i < 5; i++)
        work(i, 1);
    replay_budget_wait(&budget, &members[5]);
    replay_budget_wait(&budget, &members[5]); /* once is enough */
    assert_int_equal(share(0), 16 / 6);
    assert_int_equal(share(1), 1);
    assert_null(replay_budget_next(&budget, 0)); /* there is no room yet */
    end(0);
    assert_ptr_equal(replay_budget_next(&budget, 0), &members[5]);
    assert_null(replay_budget_next(&budget, 0));
    work(5, 1);
    assert_int_equal(share(0), 11);
}

static void
test_first_come_first_served(void **state)
{
    (void)state;
    work(0, 16);
    for (size_t i = 5; i > 1; i--)
        replay_budget_wait(&budget, &members[i]);
    replay_budget_forget(&budget, &members[4]);
    end(0);
    end(0);
    assert_ptr_equal(replay_budget_next(&budget, 0), &members[5]);
    assert_ptr_equal(replay_budget_next(&budget, 0), &members[3]);
    replay_budget_forget(&budget, &members[2]);
    assert_null(replay_budget_next(&budget, 0));
    assert_int_equal(budget.none.n, 0);
}

/* What hangs has places of its own, and makes room for the next. */
static void
test_hanging(void **state)
{
    int64_t wait_ms;

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        assert_null(replay_budget_in_the_way(&budget, (int64_t)i, &wait_ms));
        replay_budget_connect(&budget, &members[i], &links[i][0], false,
                              (int64_t)i);
    }
    assert_int_equal(share(9), 1); /* none of them works */
    assert_ptr_equal(replay_budget_in_the_way(&budget, 100, &wait_ms),
                     &links[0][0]);
    assert_int_equal(wait_ms, REPLAY_HANGS_MS - 100);
    replay_budget_ready(&budget, &links[0][0]);
    assert_null(replay_budget_in_the_way(&budget, 100, &wait_ms));
    replay_budget_connect(&budget, &members[8], &links[8][0], false, 200);
    assert_ptr_equal(
        replay_budget_in_the_way(&budget, REPLAY_HANGS_MS + 1, &wait_ms),
        &links[1][0]);
    assert_int_equal(wait_ms, 0);
    replay_budget_end(&budget, &members[1], &links[1][0]);
    replay_budget_end(&budget, &members[8], &links[8][0]);
    replay_budget_end(&budget, &members[4], &links[4][0]);
    assert_int_equal(budget.connecting, 5);
    assert_int_equal(budget.working, 1);
    assert_int_equal(budget.members, 6);
}

/* Targets that are down are asked all the time: that takes nothing from those
 * that answer. */
static void
test_probes(void **state)
{
    int64_t wait_ms;

    (void)state;
    work(0, 15);
    for (size_t i = 1; i < 8; i++)
        replay_budget_connect(&budget, &members[i], &links[i][0], true, 5);
    assert_int_equal(budget.fresh, 0);
    assert_int_equal(share(9), 1);
    replay_budget_connect(&budget, &members[9], &links[9][0], false, 6);
    assert_int_equal(budget.fresh, 1);
    assert_int_equal(share(8), 0);
    assert_ptr_equal(replay_budget_in_the_way(&budget, 7, &wait_ms),
                     &links[1][0]); /* these are still counted */
    assert_true(replay_budget_ready(&budget, &links[9][0]));
    assert_int_equal(budget.fresh, 0);
    /* All 16 work: a target that is back has to wait for its turn. */
    assert_false(replay_budget_ready(&budget, &links[3][0]));
    replay_budget_end(&budget, &members[3], &links[3][0]);
    replay_budget_connect(&budget, &members[8], &links[8][0], false, 2000);
    assert_int_equal(budget.fresh, 1);
    assert_int_equal(replay_budget_share(&budget, &members[7], 9000), 1);
    assert_int_equal(budget.fresh, 0); /* and by now it hangs as well */
    assert_int_equal(budget.connecting, 7);
}

/* One that hangs has given its place to others; if it works after all where
 * none is left, it has to leave. */
static void
test_surplus(void **state)
{
    (void)state;
    replay_budget_connect(&budget, &members[9], &links[9][0], false, 0);
    work(0, 15);
    assert_int_equal(share(8), 0);
    assert_int_equal(replay_budget_share(&budget, &members[8], REPLAY_HANGS_MS),
                     1);
    work(8, 1);
    assert_false(replay_budget_ready(&budget, &links[9][0]));
    assert_int_equal(budget.working, 16);
    replay_budget_end(&budget, &members[9], &links[9][0]);
    assert_int_equal(budget.working, 16);
    assert_int_equal(budget.members, 2);
}

/* While one waits for its first connection the others keep theirs for a turn.
 */
static void
test_turns(void **state)
{
    (void)state;
    work(0, 4);
    work(1, 12);
    replay_budget_wait(&budget, &members[1]);
    assert_null(replay_budget_next(&budget, REPLAY_TURN_MS));
    assert_int_equal(replay_budget_share(&budget, &members[0], REPLAY_TURN_MS),
                     4);
    replay_budget_wait(&budget, &members[5]);
    assert_int_equal(replay_budget_share(&budget, &members[0], 4999), 4);
    assert_int_equal(replay_budget_share(&budget, &members[0], REPLAY_TURN_MS),
                     0);
    for (int i = 0; i < 4; i++)
        end(0);
    replay_budget_wait(&budget, &members[0]);
    /* First come first, and those with none before those with some. */
    assert_ptr_equal(replay_budget_next(&budget, 0), &members[5]);
    work(5, 1);
    assert_ptr_equal(replay_budget_next(&budget, 0), &members[0]);
    work(0, 1);
    assert_null(replay_budget_next(&budget, 0)); /* the last quarter */
    for (int i = 0; i < 3; i++)
        end(1);
    assert_ptr_equal(replay_budget_next(&budget, 0), &members[1]);
}

/* When to look again: what is on its way may hang by then. */
static void
test_wake(void **state)
{
    (void)state;
    replay_budget_connect(&budget, &members[1], &links[1][0], false, 100);
    replay_budget_connect(&budget, &members[2], &links[2][0], false, 300);
    work(0, 14);
    assert_true(replay_budget_wake(&budget, 400) == INT64_MAX);
    replay_budget_wait(&budget, &members[5]);
    assert_null(replay_budget_next(&budget, 400));
    assert_int_equal(replay_budget_wake(&budget, 400), 100 + REPLAY_HANGS_MS);
    assert_ptr_equal(replay_budget_next(&budget, 100 + REPLAY_HANGS_MS),
                     &members[5]);
    replay_budget_wait(&budget, &members[5]);
    replay_budget_end(&budget, &members[1], &links[1][0]);
    replay_budget_end(&budget, &members[2], &links[2][0]);
    assert_int_equal(budget.fresh, 0);
    assert_true(replay_budget_wake(&budget, 400) == INT64_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_last_quarter, set_up),
        cmocka_unit_test_setup(test_even_share_while_one_waits, set_up),
        cmocka_unit_test_setup(test_first_come_first_served, set_up),
        cmocka_unit_test_setup(test_hanging, set_up),
        cmocka_unit_test_setup(test_probes, set_up),
        cmocka_unit_test_setup(test_surplus, set_up),
        cmocka_unit_test_setup(test_turns, set_up),
        cmocka_unit_test_setup(test_wake, set_up),
    };

    return cmocka_run_group_tests_name("replay_budget", tests, NULL, NULL);
}
