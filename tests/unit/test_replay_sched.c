/* SPDX-License-Identifier: ISC */
/*
 * The scheduler of replay on a virtual clock: scripted scenes, then a
 * simulation of a thousand targets that come and go for three hours.
 */
#include "replay_sched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE 60000

static const struct replay_limits limits = {
    .connections = 4,
    .messages_per_connection = 10,
    .probe_min_ms = 30000,
    .probe_max_ms = 300000,
};

static const struct replay_pace_memory nothing;

/* --- scenes -------------------------------------------------------------- */

struct scene {
    struct replay_sched sched;
    int64_t now_ms;
    size_t waiting;
    char did[512]; /* the actions since the last look: "open0 give0 up" */
};

static void
note(struct scene *scene, const struct replay_action *action)
{
    static const char *const names[] = {
        [REPLAY_OPEN] = "open",
        [REPLAY_GIVE] = "give",
        [REPLAY_CLOSE] = "close",
    };
    char text[32];

    if (action->kind == REPLAY_CHANGED)
        snprintf(text, sizeof(text), "%s",
                 target_state_name(scene->sched.state));
    else if (action->kind == REPLAY_SAVE)
        snprintf(text, sizeof(text), "save");
    else
        snprintf(text, sizeof(text), "%s%zu", names[action->kind],
                 action->slot);
    if (scene->did[0] != 0)
        strcat(scene->did, " ");
    strcat(scene->did, text);
}

static void
run(struct scene *scene)
{
    struct replay_action action;

    for (int i = 0; replay_sched_next(&scene->sched, scene->waiting,
                                      scene->now_ms, &action);
         i++) {
        assert_true(i < 100);
        if (action.kind == REPLAY_GIVE)
            scene->waiting--;
        note(scene, &action);
    }
}

static void
expect(struct scene *scene, const char *did)
{
    run(scene);
    assert_string_equal(scene->did, did);
    scene->did[0] = 0;
}

static void
tell(struct scene *scene, enum replay_event_kind kind, size_t slot)
{
    struct replay_event event = {.kind = kind,
                                 .slot = slot,
                                 .accepted = kind == REPLAY_DONE,
                                 .reason = "reason"};

    replay_sched_event(&scene->sched, &event, scene->now_ms);
}

static void
tell_refused(struct scene *scene, size_t slot)
{
    struct replay_event event = {.kind = REPLAY_DONE, .slot = slot};

    replay_sched_event(&scene->sched, &event, scene->now_ms);
}

/* Lets time pass until the scheduler wants to be asked, at most max_ms. */
static int64_t
sleep_until_wake(struct scene *scene, int64_t max_ms)
{
    int64_t wake = replay_sched_wake(&scene->sched, scene->now_ms);
    int64_t slept = wake - scene->now_ms;

    if (slept > max_ms)
        slept = max_ms;
    if (slept > 0)
        scene->now_ms += slept;
    return slept;
}

static struct scene
begin(enum target_state state, size_t waiting)
{
    struct scene scene = {.now_ms = 1000000, .waiting = waiting};

    replay_sched_init(&scene.sched, &limits, &nothing, state, 0, 7,
                      scene.now_ms);
    scene.sched.pace.rate.now = PACE_FREE_RATE; /* test_replay_pace.c */
    return scene;
}

/* Up, with four sessions that have a message each. */
static struct scene
begin_busy(size_t waiting)
{
    struct scene scene = begin(TARGET_UP, waiting);

    expect(&scene, "open0");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "give0 open1");
    tell(&scene, REPLAY_READY, 1);
    expect(&scene, "give1 open2 open3");
    tell(&scene, REPLAY_READY, 2);
    tell(&scene, REPLAY_READY, 3);
    expect(&scene, "give2 give3");
    return scene;
}

static void
test_one_message(void **state)
{
    struct scene scene = begin(TARGET_UP, 0);

    (void)state;
    expect(&scene, "");
    assert_true(replay_sched_wake(&scene.sched, scene.now_ms) == INT64_MAX);
    scene.waiting = 1;
    expect(&scene, "open0");
    expect(&scene, "");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "give0");
    tell(&scene, REPLAY_DONE, 0);
    expect(&scene, "");
    /* Another one comes within the idle time and takes the same session. */
    scene.now_ms += REPLAY_IDLE_MS - 1;
    scene.waiting = 1;
    expect(&scene, "give0");
    tell(&scene, REPLAY_DONE, 0);
    expect(&scene, "");
    assert_int_equal(sleep_until_wake(&scene, MINUTE), REPLAY_IDLE_MS);
    expect(&scene, "close0");
    tell(&scene, REPLAY_CLOSED, 0);
    expect(&scene, "");
    replay_sched_free(&scene.sched);
}

static void
test_as_many_as_needed(void **state)
{
    struct scene scene = begin(TARGET_UP, 2);

    (void)state;
    expect(&scene, "open0");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "give0 open1");
    tell(&scene, REPLAY_READY, 1);
    expect(&scene, "give1");
    replay_sched_free(&scene.sched);
    scene = begin_busy(50);
    /* After ten messages a session leaves and another one comes. */
    for (int i = 0; i < 9; i++) {
        tell(&scene, REPLAY_DONE, 2);
        expect(&scene, "give2");
    }
    tell(&scene, REPLAY_DONE, 2);
    expect(&scene, "close2");
    tell(&scene, REPLAY_CLOSED, 2);
    expect(&scene, "open2");
    replay_sched_free(&scene.sched);
}

static void
test_work_that_is_gone(void **state)
{
    struct scene scene = begin(TARGET_UP, 1);

    (void)state;
    expect(&scene, "open0");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "give0");
    tell(&scene, REPLAY_NO_WORK, 0);
    expect(&scene, "");
    assert_int_equal(scene.sched.slots[0].messages, 0);
    replay_sched_free(&scene.sched);
}

static void
test_down_and_back(void **state)
{
    struct scene scene = begin(TARGET_UP, 3);
    int64_t last = 0, slept;

    (void)state;
    expect(&scene, "open0");
    tell(&scene, REPLAY_FAILED, 0);
    expect(&scene, "down");
    assert_string_equal(scene.sched.reason, "reason");
    /* One probe at a time, further and further apart, within the limits. */
    for (int i = 0; i < 12; i++) {
        scene.waiting += 1000; /* mail that comes in changes nothing */
        expect(&scene, "");
        slept = sleep_until_wake(&scene, INT64_MAX / 4);
        assert_in_range(slept, limits.probe_min_ms, limits.probe_max_ms);
        if (i > 0 && i < 4)
            assert_true(slept >= last / 2);
        if (i > 4)
            assert_true(slept >= (int64_t)limits.probe_max_ms / 2);
        last = slept;
        expect(&scene, "open0");
        tell(&scene, REPLAY_FAILED, 0);
    }
    sleep_until_wake(&scene, INT64_MAX / 4);
    expect(&scene, "open0");
    /* The probe reaches it and takes the one message that may go. */
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "returning give0");
    expect(&scene, "");
    tell_refused(&scene, 0);
    expect(&scene, "give0");
    tell(&scene, REPLAY_DONE, 0);
    expect(&scene, "up give0 open1");
    assert_string_equal(scene.sched.reason, "");
    replay_sched_free(&scene.sched);
}

static void
test_probe_with_nothing_held(void **state)
{
    struct scene scene = begin(TARGET_DOWN, 0);

    (void)state;
    expect(&scene, "");
    assert_in_range(sleep_until_wake(&scene, INT64_MAX / 4), 0,
                    limits.probe_min_ms);
    expect(&scene, "open0");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "returning up");
    scene.now_ms += REPLAY_IDLE_MS;
    expect(&scene, "close0");
    replay_sched_free(&scene.sched);
}

static void
test_returning_breaks(void **state)
{
    struct scene scene = begin(TARGET_DOWN, 5);

    (void)state;
    tell(&scene, REPLAY_PROBE, 0);
    expect(&scene, "open0");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "returning give0");
    tell(&scene, REPLAY_BROKEN, 0);
    expect(&scene, "down");
    assert_in_range(sleep_until_wake(&scene, INT64_MAX / 4),
                    limits.probe_min_ms, limits.probe_max_ms);
    expect(&scene, "open0");
    replay_sched_free(&scene.sched);
}

/* Only refusals: one message at a time for as long as it takes. */
static void
test_returning_refuses(void **state)
{
    struct scene scene = begin(TARGET_RETURNING, 2);

    (void)state;
    expect(&scene, "open0");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "give0");
    tell_refused(&scene, 0);
    expect(&scene, "give0");
    tell_refused(&scene, 0);
    expect(&scene, "");
    scene.now_ms += REPLAY_IDLE_MS;
    expect(&scene, "close0");
    tell(&scene, REPLAY_CLOSED, 0);
    expect(&scene, "");
    assert_int_equal(scene.sched.state, TARGET_RETURNING);
    scene.waiting = 9;
    expect(&scene, "open0");
    replay_sched_free(&scene.sched);
}

static void
test_one_failure_of_many(void **state)
{
    struct scene scene = begin(TARGET_UP, 9);

    (void)state;
    expect(&scene, "open0");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "give0 open1");
    tell(&scene, REPLAY_READY, 1);
    expect(&scene, "give1 open2 open3");
    tell(&scene, REPLAY_FAILED, 2);
    expect(&scene, "");
    assert_int_equal(scene.sched.state, TARGET_UP);
    tell(&scene, REPLAY_FAILED, 3);
    /* Two were borne: it begins again with one. */
    assert_int_equal(replay_pace_window(&scene.sched.pace), 1);
    scene.sched.pace.window.now = 4;
    expect(&scene, "");
    assert_in_range(sleep_until_wake(&scene, INT64_MAX / 4), 1000, 4000);
    expect(&scene, "open2 open3");
    /* The same while an idle session is there, which then turns out dead. */
    scene.waiting = 0;
    tell(&scene, REPLAY_DONE, 0);
    tell(&scene, REPLAY_DONE, 1);
    tell(&scene, REPLAY_FAILED, 2);
    tell(&scene, REPLAY_FAILED, 3);
    expect(&scene, "");
    tell(&scene, REPLAY_CLOSED, 0);
    scene.waiting = 1;
    expect(&scene, "give1");
    tell(&scene, REPLAY_BROKEN, 1);
    expect(&scene, "");
    assert_int_equal(scene.sched.state, TARGET_UP);
    scene.waiting = 1;
    scene.now_ms += MINUTE;
    expect(&scene, "save open0");
    tell(&scene, REPLAY_FAILED, 0);
    expect(&scene, "down");
    replay_sched_free(&scene.sched);
}

/* The target goes away under several connections at once; when it is back,
 * that must not keep it to one. */
static void
test_failures_before_down_are_forgotten(void **state)
{
    struct scene scene = begin_busy(9);

    (void)state;
    scene.sched.limits.probe_min_ms = 100;
    for (size_t i = 0; i < 3; i++)
        tell(&scene, REPLAY_BROKEN, i);
    expect(&scene, "down");
    tell(&scene, REPLAY_BROKEN, 3);
    scene.now_ms += 200;
    expect(&scene, "open0");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "returning give0");
    tell(&scene, REPLAY_DONE, 0);
    expect(&scene, "up give0 open1");
    tell(&scene, REPLAY_READY, 1);
    expect(&scene, "give1 open2 open3");
    replay_sched_free(&scene.sched);
}

static void
test_all_break(void **state)
{
    struct scene scene = begin_busy(100);

    (void)state;
    tell(&scene, REPLAY_BROKEN, 0);
    tell(&scene, REPLAY_BROKEN, 1);
    tell(&scene, REPLAY_BROKEN, 2);
    expect(&scene, "down");
    /* The one that still works may show that it was not so bad. */
    tell(&scene, REPLAY_DONE, 3);
    expect(&scene, "up give3 open0");
    replay_sched_free(&scene.sched);
}

/* A session that hangs with its message does not keep probes away, and
 * failed probes are spaced all the same. */
static void
test_hanging_session(void **state)
{
    struct scene scene = begin_busy(100);

    (void)state;
    for (size_t i = 0; i < 3; i++)
        tell(&scene, REPLAY_BROKEN, i);
    expect(&scene, "down");
    for (int i = 0; i < 5; i++) {
        assert_in_range(sleep_until_wake(&scene, INT64_MAX / 4),
                        limits.probe_min_ms, limits.probe_max_ms);
        expect(&scene, "open0");
        tell(&scene, REPLAY_FAILED, 0);
        expect(&scene, "");
    }
    replay_sched_free(&scene.sched);
}

static void
test_operator(void **state)
{
    struct scene scene = begin(TARGET_DOWN, 0);

    (void)state;
    for (int i = 0; i < 6; i++) {
        sleep_until_wake(&scene, INT64_MAX / 4);
        run(&scene);
        tell(&scene, REPLAY_FAILED, 0);
        run(&scene);
    }
    scene.did[0] = 0;
    tell(&scene, REPLAY_PROBE, 0);
    expect(&scene, "open0");
    tell(&scene, REPLAY_PROBE, 0); /* under way already */
    expect(&scene, "");
    replay_sched_free(&scene.sched);
}

static void
test_stop(void **state)
{
    struct scene scene = begin(TARGET_UP, 9);

    (void)state;
    expect(&scene, "open0");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "give0 open1");
    tell(&scene, REPLAY_READY, 1);
    expect(&scene, "give1 open2 open3");
    tell(&scene, REPLAY_DONE, 1);
    tell(&scene, REPLAY_STOP, 0);
    expect(&scene, "close1");
    tell(&scene, REPLAY_READY, 2);
    tell(&scene, REPLAY_FAILED, 3);
    expect(&scene, "close2");
    tell(&scene, REPLAY_DONE, 0);
    expect(&scene, "close0");
    replay_sched_free(&scene.sched);
}

static void
pause_until(struct scene *scene, int64_t until_ms)
{
    struct replay_event event = {
        .kind = REPLAY_PAUSE, .until_ms = until_ms, .reason = "for a while"};

    replay_sched_event(&scene->sched, &event, scene->now_ms);
}

/* What is under way ends; nothing else, no probes, no clock. */
static void
test_pause(void **state)
{
    struct scene scene = begin_busy(9);
    uint64_t reach_ms;

    (void)state;
    pause_until(&scene, 0);
    expect(&scene, "paused");
    assert_string_equal(scene.sched.reason, "for a while");
    reach_ms = replay_sched_reach_ms(&scene.sched, scene.now_ms);
    tell(&scene, REPLAY_DONE, 0);
    tell_refused(&scene, 1);
    tell(&scene, REPLAY_BROKEN, 2);
    tell(&scene, REPLAY_BROKEN, 3);
    expect(&scene, "close0 close1");
    assert_int_equal(scene.sched.state, TARGET_PAUSED);
    assert_string_equal(scene.sched.reason, "for a while");
    tell(&scene, REPLAY_CLOSED, 0);
    tell(&scene, REPLAY_CLOSED, 1);
    tell(&scene, REPLAY_PROBE, 0);
    expect(&scene, "");
    assert_true(replay_sched_wake(&scene.sched, scene.now_ms) == INT64_MAX);
    scene.now_ms += 1000 * MINUTE;
    expect(&scene, "");
    assert_int_equal(replay_sched_reach_ms(&scene.sched, scene.now_ms),
                     reach_ms);
    tell(&scene, REPLAY_RESUME, 0);
    expect(&scene, "returning open0");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "give0");
    tell(&scene, REPLAY_DONE, 0);
    expect(&scene, "up give0 open1");
    tell(&scene, REPLAY_RESUME, 0); /* it is not paused */
    expect(&scene, "");
    replay_sched_free(&scene.sched);
}

static void
test_pause_ends(void **state)
{
    struct scene scene = begin(TARGET_DOWN, 3);

    (void)state;
    pause_until(&scene, scene.now_ms + 10 * MINUTE);
    expect(&scene, "paused");
    assert_int_equal(sleep_until_wake(&scene, INT64_MAX / 4), 10 * MINUTE);
    expect(&scene, "returning open0");
    tell(&scene, REPLAY_FAILED, 0);
    expect(&scene, "down");
    /* One that is on its way when it is paused says nothing. */
    sleep_until_wake(&scene, INT64_MAX / 4);
    expect(&scene, "open0");
    pause_until(&scene, scene.now_ms + MINUTE);
    tell(&scene, REPLAY_FAILED, 0);
    expect(&scene, "paused");
    replay_sched_free(&scene.sched);
}

static void
test_reload(void **state)
{
    struct scene scene = begin_busy(100);
    struct replay_limits other = limits;

    (void)state;
    other.connections = 2;
    replay_sched_set_limits(&scene.sched, &other);
    tell(&scene, REPLAY_DONE, 0);
    expect(&scene, "close0");
    tell(&scene, REPLAY_CLOSED, 0);
    tell(&scene, REPLAY_DONE, 1);
    expect(&scene, "close1");
    tell(&scene, REPLAY_CLOSED, 1);
    tell(&scene, REPLAY_DONE, 2);
    expect(&scene, "give2");
    other.connections = 6;
    replay_sched_set_limits(&scene.sched, &other);
    expect(&scene, "");
    /* The window grows when the target bears it. */
    scene.sched.pace.window.now = 6;
    expect(&scene, "open0 open1");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "give0 open4 open5");
    replay_sched_free(&scene.sched);
}

static void
test_retire(void **state)
{
    struct scene scene = begin(TARGET_UP, 100);

    (void)state;
    expect(&scene, "open0");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "give0 open1");
    tell(&scene, REPLAY_READY, 1);
    expect(&scene, "give1 open2 open3");
    tell(&scene, REPLAY_DONE, 1);
    replay_sched_retire(&scene.sched);
    expect(&scene, "close1");
    tell(&scene, REPLAY_READY, 2);
    expect(&scene, "close2");
    tell(&scene, REPLAY_READY, 3);
    expect(&scene, "close3");
    assert_false(replay_sched_may_ahead(&scene.sched, 0, 100, scene.now_ms));
    tell(&scene, REPLAY_DONE, 0);
    expect(&scene, "close0");
    tell(&scene, REPLAY_CLOSED, 0);
    expect(&scene, "open0");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "give0");
    replay_sched_free(&scene.sched);
}

static void
test_ahead(void **state)
{
    struct scene scene = begin_busy(100);

    (void)state;
    assert_true(replay_sched_may_ahead(&scene.sched, 0, 100, scene.now_ms));
    assert_false(replay_sched_may_ahead(&scene.sched, 0, 4, scene.now_ms));
    tell(&scene, REPLAY_AHEAD, 0);
    assert_false(replay_sched_may_ahead(&scene.sched, 0, 100, scene.now_ms));
    tell(&scene, REPLAY_DONE, 0);
    expect(&scene, ""); /* busy with the one it had taken */
    for (int i = 0; i < 8; i++) {
        assert_true(replay_sched_may_ahead(&scene.sched, 0, 100, scene.now_ms));
        tell(&scene, REPLAY_AHEAD, 0);
        tell(&scene, REPLAY_DONE, 0);
        expect(&scene, "");
    }
    /* Ten were given: no further one on this connection. */
    assert_false(replay_sched_may_ahead(&scene.sched, 0, 100, scene.now_ms));
    tell(&scene, REPLAY_DONE, 0);
    expect(&scene, "close0");
    replay_sched_free(&scene.sched);
}

/* --- reachable time ------------------------------------------------------ */

static void
test_reach(void **state)
{
    struct scene scene = begin(TARGET_UP, 0);
    struct replay_sched *sched = &scene.sched;

    (void)state;
    /* Nothing held: no time, no writes, no waking up. */
    expect(&scene, "");
    scene.now_ms += 60 * MINUTE;
    assert_int_equal(replay_sched_reach_ms(sched, scene.now_ms), 0);
    /* Then it is kept now and then, once a minute at the most. */
    scene.waiting = 1;
    expect(&scene, "open0");
    scene.now_ms += 10000;
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "save give0");
    assert_int_equal(sleep_until_wake(&scene, INT64_MAX / 4), MINUTE);
    expect(&scene, "save");
    scene.now_ms += 20000;
    tell_refused(&scene, 0);
    replay_sched_held_until(sched, scene.now_ms + 2 * MINUTE);
    expect(&scene, "");
    assert_int_equal(replay_sched_reach_ms(sched, scene.now_ms), 90000);
    /* What is put off is held until its time, and not longer. */
    scene.now_ms += 60 * MINUTE;
    assert_int_equal(replay_sched_reach_ms(sched, scene.now_ms), 210000);
    expect(&scene, "save close0");
    tell(&scene, REPLAY_CLOSED, 0);
    expect(&scene, "");
    assert_true(replay_sched_wake(sched, scene.now_ms) == INT64_MAX);
    replay_sched_free(sched);
}

static void
test_reach_stops_when_down(void **state)
{
    struct scene scene = begin(TARGET_UP, 1);
    struct replay_sched *sched = &scene.sched;

    (void)state;
    expect(&scene, "open0");
    scene.now_ms += 7000;
    tell(&scene, REPLAY_FAILED, 0);
    expect(&scene, "down");
    assert_int_equal(sched->saved_reach_ms, 7000);
    scene.now_ms += 1000 * MINUTE;
    assert_int_equal(replay_sched_reach_ms(sched, scene.now_ms), 7000);
    expect(&scene, "open0");
    tell(&scene, REPLAY_READY, 0);
    expect(&scene, "returning give0");
    scene.now_ms += 500;
    tell(&scene, REPLAY_DONE, 0);
    assert_int_equal(replay_sched_reach_ms(sched, scene.now_ms), 7500);
    replay_sched_free(sched);
}

static void
test_backoff(void **state)
{
    uint64_t random = 1, least = UINT64_MAX, most = 0;

    (void)state;
    for (unsigned n = 0; n < 100; n++) {
        for (int i = 0; i < 200; i++) {
            uint64_t ms = replay_sched_backoff(n, 100, 1600,
                                               replay_sched_random(&random));
            uint64_t top = n < 4 ? UINT64_C(200) << n : 1600;

            assert_in_range(ms, top / 2, top > 1600 ? 1600 : top);
            least = ms < least ? ms : least;
            most = ms > most ? ms : most;
        }
    }
    assert_in_range(least, 100, 105);
    assert_in_range(most, 1590, 1600);
    assert_int_equal(replay_sched_backoff(5, 100, 100, 99), 100);
    assert_int_equal(replay_sched_backoff(UINT32_MAX, 1, UINT64_MAX / 4, 0),
                     UINT64_MAX / 8);
}

/* --- the simulation ------------------------------------------------------ */

/* A thousand targets, three hours; each is away now and then, refuses, breaks
 * sessions. Time goes in steps of a second. */
#define SIM_TARGETS 1000
#define SIM_STEP_MS 1000
#define SIM_STEPS   (3 * 3600)

struct sim_target {
    struct replay_sched sched;
    bool alive;
    size_t waiting;
    size_t delivered;
    uint64_t random;
    int64_t down_since_ms; /* since when it is down and was not probed */
    size_t probes;
};

static uint64_t
chance(struct sim_target *target, uint64_t n)
{
    return replay_sched_random(&target->random) >> 20 < (1ull << 44) / n;
}

static void
sim_event(struct sim_target *target, enum replay_event_kind kind, size_t slot,
          bool accepted, int64_t now_ms)
{
    struct replay_event event = {.kind = kind,
                                 .slot = slot,
                                 .accepted = accepted,
                                 .reason = "simulated"};

    replay_sched_event(&target->sched, &event, now_ms);
}

/* What a session in this phase lives through in a second. */
static void
sim_slot(struct sim_target *target, size_t slot, int64_t now_ms)
{
    bool accepted;

    switch (target->sched.slots[slot].phase) {
    case PHASE_FREE:
        break;
    case PHASE_CONNECTING:
        sim_event(target, target->alive ? REPLAY_READY : REPLAY_FAILED, slot,
                  false, now_ms);
        break;
    case PHASE_IDLE:
        if (!target->alive)
            sim_event(target, REPLAY_CLOSED, slot, false, now_ms);
        break;
    case PHASE_BUSY:
        if (!target->alive || chance(target, 500)) {
            target->waiting++; /* as after the back-off */
            sim_event(target, REPLAY_BROKEN, slot, false, now_ms);
            break;
        }
        accepted = !chance(target, 10);
        if (accepted)
            target->delivered++;
        else
            target->waiting++;
        sim_event(target, REPLAY_DONE, slot, accepted, now_ms);
        break;
    case PHASE_CLOSING:
        sim_event(target, REPLAY_CLOSED, slot, false, now_ms);
        break;
    }
}

static void
sim_check(struct sim_target *target, int64_t now_ms)
{
    const struct replay_sched *sched = &target->sched;
    size_t open = 0, busy = 0;

    for (size_t i = 0; i < sched->n_slots; i++) {
        open += sched->slots[i].phase != PHASE_FREE;
        busy += sched->slots[i].phase == PHASE_BUSY;
        assert_true(sched->slots[i].messages <= limits.messages_per_connection);
    }
    assert_true(open <= limits.connections);
    assert_int_equal(open, replay_sched_open(sched));
    if (sched->state != TARGET_DOWN) {
        target->down_since_ms = now_ms;
        if (sched->state == TARGET_RETURNING)
            assert_true(sched->count[PHASE_CONNECTING] + busy <= 1);
    }
    /* Down: probed within the longest time (and a step to get there). */
    assert_true(now_ms - target->down_since_ms <=
                (int64_t)limits.probe_max_ms + SIM_STEP_MS);
    /* Up with work: something goes on. */
    if (sched->state == TARGET_UP && target->waiting > 0 && open == 0)
        assert_true(sched->open_ms > now_ms);
}

static void
sim_step(struct sim_target *target, int64_t now_ms)
{
    struct replay_action action;

    if (chance(target, target->alive ? 20000 : 4000))
        target->alive = !target->alive;
    if (chance(target, 30))
        target->waiting++;
    for (size_t i = 0; i < target->sched.n_slots; i++)
        sim_slot(target, i, now_ms);
    for (int i = 0;
         replay_sched_next(&target->sched, target->waiting, now_ms, &action);
         i++) {
        assert_true(i < 100);
        if (action.kind == REPLAY_GIVE)
            target->waiting--;
        if (action.kind == REPLAY_OPEN && target->sched.state == TARGET_DOWN) {
            target->down_since_ms = now_ms;
            target->probes++;
        }
    }
    sim_check(target, now_ms);
}

static void
test_simulation(void **state)
{
    struct sim_target *targets = calloc(SIM_TARGETS, sizeof(*targets));
    size_t delivered = 0, waiting = 0, probes = 0;

    (void)state;
    assert_non_null(targets);
    for (size_t i = 0; i < SIM_TARGETS; i++) {
        targets[i].random = i + 1;
        targets[i].alive = i % 4 != 0;
        replay_sched_init(&targets[i].sched, &limits, &nothing, TARGET_UP, 0,
                          i + 1, 0);
    }
    for (int64_t step = 1; step <= SIM_STEPS; step++)
        for (size_t i = 0; i < SIM_TARGETS; i++)
            sim_step(&targets[i], step * SIM_STEP_MS);
    for (size_t i = 0; i < SIM_TARGETS; i++) {
        delivered += targets[i].delivered;
        if (targets[i].alive)
            waiting += targets[i].waiting;
        probes += targets[i].probes;
        replay_sched_free(&targets[i].sched);
    }
    /* Nearly all that came to targets that are there was delivered. */
    assert_true(delivered > 100 * waiting);
    assert_true(probes > SIM_TARGETS / 2);
    free(targets);
}

/* A thousand targets that went down in one moment are not probed in one. */
static void
test_jitter_spreads(void **state)
{
    size_t seconds[301] = {0};
    size_t used = 0, most = 0;

    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        struct scene scene = {.waiting = 1};

        replay_sched_init(&scene.sched, &limits, &nothing, TARGET_UP, 0,
                          i * 7919 + 1, 0);
        expect(&scene, "open0");
        tell(&scene, REPLAY_FAILED, 0);
        expect(&scene, "down");
        for (int n = 0; n < 6; n++) {
            sleep_until_wake(&scene, INT64_MAX / 4);
            expect(&scene, "open0");
            tell(&scene, REPLAY_FAILED, 0);
            run(&scene);
        }
        seconds[sleep_until_wake(&scene, INT64_MAX / 4) / 1000]++;
        replay_sched_free(&scene.sched);
    }
    for (size_t i = 0; i < 301; i++) {
        used += seconds[i] > 0;
        most = seconds[i] > most ? seconds[i] : most;
    }
    assert_true(used > 120); /* of the 150 between half of the maximum and it */
    assert_true(most < 40);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_message),
        cmocka_unit_test(test_as_many_as_needed),
        cmocka_unit_test(test_work_that_is_gone),
        cmocka_unit_test(test_down_and_back),
        cmocka_unit_test(test_probe_with_nothing_held),
        cmocka_unit_test(test_returning_breaks),
        cmocka_unit_test(test_returning_refuses),
        cmocka_unit_test(test_one_failure_of_many),
        cmocka_unit_test(test_failures_before_down_are_forgotten),
        cmocka_unit_test(test_all_break),
        cmocka_unit_test(test_hanging_session),
        cmocka_unit_test(test_operator),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_pause_ends),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_retire),
        cmocka_unit_test(test_ahead),
        cmocka_unit_test(test_reach),
        cmocka_unit_test(test_reach_stops_when_down),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_simulation),
        cmocka_unit_test(test_jitter_spreads),
    };

    return cmocka_run_group_tests_name("replay_sched", tests, NULL, NULL);
}
