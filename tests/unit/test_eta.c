/* SPDX-License-Identifier: ISC */
/*
 * When what waits will be gone: drains on a virtual clock, each asked from a
 * tenth of it on how long it still takes.
 */
#include "eta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Messages a second at this time of the drain. */
typedef double speed_fn(int64_t ms);

#define STEPS_MAX 10000000

struct drain {
    speed_fn *speed;
    double live; /* messages a second that come in and go before the rest */
    double held;
};

/* Lives through a drain in steps of 10 ms; calls fn at each, end_ms is 0 while
 * it is not known how long it takes. The length in milliseconds. */
static int64_t
live_through(const struct drain *drain, int64_t end_ms)
{
    struct eta eta;
    double left = drain->held, went = 0, came = 0;
    int64_t now_ms = 0;
    uint64_t out, in, ms;

    eta_begin(&eta, 0);
    for (int i = 0; left > 0; i++, now_ms += 10) {
        assert_true(i < STEPS_MAX);
        for (came += drain->live / 100; came >= 1; came--, left++)
            eta_came(&eta, now_ms);
        for (went += drain->speed(now_ms) / 100; went >= 1; went--, left--)
            eta_went(&eta, now_ms);
        if (end_ms == 0 || now_ms < end_ms / 10 || now_ms > end_ms * 95 / 100)
            continue;
        eta_rates(&eta, now_ms, &out, &in);
        assert_true(eta_ms((uint64_t)left, out, in, &ms));
        if ((double)ms < 0.75 * (double)(end_ms - now_ms) ||
            (double)ms > 1.25 * (double)(end_ms - now_ms))
            fail_msg("at %ld of %ld ms: %lu left", (long)now_ms, (long)end_ms,
                     (unsigned long)ms);
    }
    return now_ms;
}

static void
check(const struct drain *drain)
{
    int64_t end_ms = live_through(drain, 0);

    live_through(drain, end_ms);
}

static double
steady(int64_t ms)
{
    (void)ms;
    return 200;
}

/* The pace is found, up to what the target bears. */
static double
growing(int64_t ms)
{
    double speed = 50 + (double)ms / 5;

    return speed < 500 ? speed : 500;
}

/* Fits and starts. */
static double
uneven(int64_t ms)
{
    return ms / 500 % 3 == 0 ? 60 : 240;
}

static double
slow(int64_t ms)
{
    (void)ms;
    return 0.7;
}

static void
test_drains(void **state)
{
    static const struct drain drains[] = {
        {steady, 0, 100000}, {steady, 20, 100000}, {steady, 150, 20000},
        {growing, 0, 50000}, {growing, 20, 20000}, {uneven, 20, 20000},
        {slow, 0, 600},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(drains) / sizeof(drains[0]); i++)
        check(&drains[i]);
}

static void
test_never(void **state)
{
    struct eta eta;
    uint64_t out, in, ms;

    (void)state;
    eta_begin(&eta, 1000);
    eta_rates(&eta, 1000, &out, &in);
    assert_int_equal(out, 0);
    assert_false(eta_ms(1, out, in, &ms)); /* nothing is known */
    assert_false(eta_ms(1, 5, 5, &ms));    /* as much comes as goes */
    assert_false(eta_ms(UINT64_MAX, 1, 0, &ms));
    assert_true(eta_ms(100, 20000, 10000, &ms));
    assert_int_equal(ms, 10000);
}

/* A pause, then quicker: the time before it says nothing. */
static void
test_begins_anew(void **state)
{
    struct eta eta;
    uint64_t out, in;
    int64_t now_ms = 0;

    (void)state;
    eta_begin(&eta, now_ms);
    for (int i = 0; i < 600; i++)
        eta_went(&eta, now_ms += 1000);
    eta_rates(&eta, now_ms + 1000, &out, &in);
    assert_in_range(out, 950, 1050);
    now_ms += ETA_IDLE_MS;
    for (int i = 0; i < 300; i++)
        eta_went(&eta, now_ms += 10);
    eta_rates(&eta, now_ms + 10, &out, &in);
    assert_in_range(out, 95000, 105000);
    /* And where it stalls, the rate falls. */
    eta_rates(&eta, now_ms + 10000, &out, &in);
    assert_true(out < 50000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drains),
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
