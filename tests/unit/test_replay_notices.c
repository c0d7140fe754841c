/* SPDX-License-Identifier: ISC */
/*
 * The pace of notices, on a clock of our own: however many wait, no second
 * has more than its worth, and none is lost to the average.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "replay.h"

/* The role around it, which these tests do without. */
struct replay_target *
replay_target_next(const struct replay_target *after)
{
    (void)after;
    return NULL;
}
bool
replay_queue_passed_notices(struct replay_target *target)
{
    (void)target;
    return false;
}
void
replay_queue_look(struct replay_target *target)
{
    (void)target;
}
void
replay_target_run(struct replay_target *target)
{
    (void)target;
}

/* Takes all that wait; returns the time when the last one went, and in
 * *most the most that went in any one second. */
static int64_t
drain(struct replay_tokens *tokens, size_t waiting, int64_t now_ms,
      size_t *most)
{
    int64_t *times = calloc(waiting, sizeof(*times));
    size_t first = 0;

    assert_non_null(times);
    *most = 0;
    for (size_t i = 0; i < waiting; i++) {
        now_ms += replay_tokens_wait_ms(tokens, now_ms);
        assert_int_equal(replay_tokens_wait_ms(tokens, now_ms), 0);
        replay_tokens_take(tokens, now_ms);
        times[i] = now_ms;
        while (times[i] - times[first] >= 1000)
            first++;
        if (i - first + 1 > *most)
            *most = i - first + 1;
    }
    free(times);
    return now_ms;
}

static void
test_a_recovery(void **state)
{
    static const uint64_t rates[] = {1, 7, 60, 300, 6000, 60000};

    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct replay_tokens tokens = {0};
        size_t waiting = 20000, most;
        uint64_t second = rates[i] / 60 > 1 ? rates[i] / 60 : 1;
        int64_t begin_ms = 5000, end_ms, minutes;

        /* An outage of days saves nothing up. */
        replay_tokens_set(&tokens, rates[i], begin_ms);
        begin_ms += INT64_C(5) * 86400000;
        end_ms = drain(&tokens, waiting, begin_ms, &most);
        assert_true(most <= 2 * second + 1);
        minutes = (end_ms - begin_ms) / 60000;
        assert_true((uint64_t)(minutes + 1) * rates[i] + 2 * second >= waiting);
        /* Rounding to milliseconds costs little. */
        assert_true((uint64_t)minutes * rates[i] <= waiting + waiting / 5);
    }
}

static void
test_another_configuration(void **state)
{
    struct replay_tokens tokens = {0};
    size_t most;
    int64_t now_ms = 1000;

    (void)state;
    replay_tokens_set(&tokens, 600, now_ms);
    now_ms = drain(&tokens, 100, now_ms, &most);
    replay_tokens_set(&tokens, 1, now_ms); /* a reload gives none away */
    assert_true(replay_tokens_wait_ms(&tokens, now_ms) > 0);
    assert_true(replay_tokens_wait_ms(&tokens, now_ms) <= 60001);
    replay_tokens_set(&tokens, 60000, now_ms);
    assert_true(replay_tokens_wait_ms(&tokens, now_ms) <= 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_recovery),
        cmocka_unit_test(test_another_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
