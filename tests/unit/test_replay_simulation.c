/* SPDX-License-Identifier: ISC */
/*
 * Scheduler, pace and budget together, on a virtual clock: hundreds of targets
 * over a backlog, some of them failing in patterns (simulation.h). The great
 * one, a million messages, is a part of the benchmark.
 */
#include "simulation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replay_budget.h"

static void
run(const struct simulation_plan *plan, struct simulation_result *result)
{
    simulation_run(plan, result);
    if (result->fault != NULL)
        fail_msg("%s, with seed %lu", result->fault, (unsigned long)plan->seed);
    assert_int_equal(result->delivered, plan->messages);
}

/* Everything arrives, no budget is exceeded, and a target that works gets its
 * turn when all before it had theirs. */
static void
test_all_is_delivered(void **state)
{
    struct simulation_plan plan = {
        .targets = 1000, .messages = 60000, .total = 50, .starting = 20};
    struct simulation_result result;
    int64_t round_ms = (int64_t)(plan.targets / plan.total) * REPLAY_TURN_MS;

    (void)state;
    for (plan.seed = 1; plan.seed <= 3; plan.seed++) {
        for (plan.failing = 0; plan.failing <= 60; plan.failing += 30) {
            run(&plan, &result);
            assert_in_range(result.working_max, plan.total * 9 / 10,
                            plan.total);
            assert_in_range(result.starting_max, 1, plan.starting);
            assert_in_range(result.longest_ms, 0, 2 * round_ms);
            assert_in_range(result.probe_late_ms, 0, 2 * round_ms);
        }
    }
}

/* Where there is room, those that fail take next to nothing from the others. */
static void
test_failing_ones_cost_little(void **state)
{
    struct simulation_plan plan = {.targets = 1000,
                                   .messages = 60000,
                                   .total = 500,
                                   .starting = 200,
                                   .seed = 7};
    struct simulation_result all, most;

    (void)state;
    run(&plan, &all);
    plan.failing = 30;
    run(&plan, &most);
    assert_true(most.sound_ms * 10 < all.sound_ms * 11);
    assert_in_range(most.longest_ms, 0, 2 * REPLAY_TURN_MS);
}

static void
test_the_same_again(void **state)
{
    static const struct simulation_plan plan = {.targets = 100,
                                                .messages = 5000,
                                                .failing = 50,
                                                .total = 20,
                                                .starting = 10,
                                                .seed = 3};
    struct simulation_result once, again;

    (void)state;
    run(&plan, &once);
    run(&plan, &again);
    assert_int_equal(once.virtual_ms, again.virtual_ms);
    assert_int_equal(once.events, again.events);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_delivered),
        cmocka_unit_test(test_failing_ones_cost_little),
        cmocka_unit_test(test_the_same_again),
    };

    return cmocka_run_group_tests_name("replay_simulation", tests, NULL, NULL);
}
