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
                              &links[member][members[member].open], 0);
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
    return replay_budget_share(&budget, &members[member]);
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
    assert_null(replay_budget_next(&budget)); /* there is no room yet */
    end(0);
    assert_ptr_equal(replay_budget_next(&budget), &members[5]);
    assert_null(replay_budget_next(&budget));
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
    assert_ptr_equal(replay_budget_next(&budget), &members[5]);
    assert_ptr_equal(replay_budget_next(&budget), &members[3]);
    replay_budget_forget(&budget, &members[2]);
    assert_null(replay_budget_next(&budget));
    assert_int_equal(budget.waiting, 0);
}

/* What hangs has places of its own, and makes room for the next. */
static void
test_hanging(void **state)
{
    int64_t wait_ms;

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        assert_null(replay_budget_in_the_way(&budget, (int64_t)i, &wait_ms));
        replay_budget_connect(&budget, &members[i], &links[i][0], (int64_t)i);
    }
    assert_int_equal(share(9), 1); /* none of them works */
    assert_ptr_equal(replay_budget_in_the_way(&budget, 100, &wait_ms),
                     &links[0][0]);
    assert_int_equal(wait_ms, REPLAY_HANGS_MS - 100);
    replay_budget_ready(&budget, &links[0][0]);
    assert_null(replay_budget_in_the_way(&budget, 100, &wait_ms));
    replay_budget_connect(&budget, &members[8], &links[8][0], 200);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_last_quarter, set_up),
        cmocka_unit_test_setup(test_even_share_while_one_waits, set_up),
        cmocka_unit_test_setup(test_first_come_first_served, set_up),
        cmocka_unit_test_setup(test_hanging, set_up),
    };

    return cmocka_run_group_tests_name("replay_budget", tests, NULL, NULL);
}
