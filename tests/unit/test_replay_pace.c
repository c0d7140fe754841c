/* SPDX-License-Identifier: ISC */
/*
 * The pace of one target on a virtual clock: the real scheduler against
 * models of servers that are fragile, fast, slow, limited, or change.
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

#define SLOTS    40
#define IN_FIRST INT64_C(1000)

static const struct replay_pace_memory nothing;

/* --- a server ------------------------------------------------------------ */

/* What a server is like. */
struct model {
    const char *name;
    double base_ms;     /* the time of a message */
    double slow_from;   /* messages a second; 0: never slow */
    double slow_by;     /* times the base for each slow_from more */
    double falls_from;  /* messages a second; 0: never */
    int64_t window_ms;  /* it counts messages within this time */
    double most;        /* messages a second it can do at all; 0: any */
    size_t connections; /* more are refused; 0: any */
    double jitter;      /* share of the time of a message that is chance */
    unsigned hiccups;   /* one second of so many has a pause of 60 ms */
    uint64_t refuses;   /* every so many messages a 451; 0: none */
};

struct session {
    int64_t until_ms; /* what it does now ends */
    bool refused;     /* the connection */
};

struct world {
    struct replay_sched sched;
    const struct model *model;
    struct session sessions[SLOTS];
    int64_t now_ms;
    int64_t down_ms; /* fallen until then */
    uint32_t *taken; /* messages by millisecond */
    int64_t taken_ms;
    size_t in_window;
    double busy_ms; /* until then it works on what it has, where most is set */
    size_t waiting;
    size_t done;
    size_t attempts;
    size_t ends;
    size_t refusals;
    size_t falls;
    size_t peak;
    uint64_t random;
};

static struct world *
world_new(const struct model *model, size_t waiting)
{
    static const struct replay_limits limits = {.connections = 20,
                                                .messages_per_connection = 100,
                                                .probe_min_ms = 5000,
                                                .probe_max_ms = 60000};
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->model = model;
    world->waiting = waiting;
    world->now_ms = 1000000;
    world->taken = calloc((size_t)model->window_ms, sizeof(*world->taken));
    world->taken_ms = world->now_ms;
    world->random = 88172645463325252u;
    replay_sched_init(&world->sched, &limits, &nothing, TARGET_DOWN, 0, 7,
                      world->now_ms);
    return world;
}

static void
world_free(struct world **world)
{
    replay_sched_free(&(*world)->sched);
    free((*world)->taken);
    free(*world);
    *world = NULL;
}

static double
chance(struct world *world)
{
    return (double)(replay_sched_random(&world->random) >> 11) /
           (double)(UINT64_C(1) << 53);
}

/* The server's view of the last window. */
static void
window_move(struct world *world)
{
    int64_t size = world->model->window_ms;

    for (; world->taken_ms < world->now_ms; world->taken_ms++) {
        uint32_t *oldest = &world->taken[(world->taken_ms + 1) % size];

        world->in_window -= *oldest;
        *oldest = 0;
    }
}

static double
rate_seen(struct world *world)
{
    window_move(world);
    return (double)world->in_window * 1000 / (double)world->model->window_ms;
}

/* A message came: when its reply goes out. */
static int64_t
message_end(struct world *world)
{
    const struct model *model = world->model;
    double ms = model->base_ms, rate;

    window_move(world);
    world->taken[world->now_ms % model->window_ms]++;
    world->in_window++;
    world->attempts++;
    rate = rate_seen(world);
    if (world->in_window > world->peak)
        world->peak = world->in_window;
    if (model->falls_from > 0 && rate > model->falls_from) {
        world->falls++;
        world->down_ms = world->now_ms + 30000;
    }
    if (model->slow_from > 0 && rate > model->slow_from)
        ms *= 1 + model->slow_by * (rate - model->slow_from) / model->slow_from;
    ms *= 1 + model->jitter * (chance(world) - 0.5);
    if (model->most > 0) {
        if (world->busy_ms < (double)world->now_ms)
            world->busy_ms = (double)world->now_ms;
        world->busy_ms += 1000 / model->most;
        ms += world->busy_ms - (double)world->now_ms;
    }
    if (model->hiccups > 0 && world->now_ms % (1000 * model->hiccups) < 60)
        ms += (double)(60 - world->now_ms % (1000 * model->hiccups));
    return world->now_ms + (int64_t)(ms + 0.5);
}

static void
tell(struct world *world, enum replay_event_kind kind, size_t slot,
     bool refused)
{
    struct replay_event event = {.kind = kind,
                                 .slot = slot,
                                 .accepted = kind == REPLAY_DONE && !refused,
                                 .refused = refused,
                                 .reason = "model"};

    replay_sched_event(&world->sched, &event, world->now_ms);
}

/* What the session in the slot lives through in this millisecond. */
static void
session_step(struct world *world, size_t slot)
{
    struct session *session = &world->sessions[slot];
    const struct model *model = world->model;
    bool down = world->down_ms > world->now_ms, refused;

    switch (world->sched.slots[slot].phase) {
    case PHASE_CONNECTING:
        if (world->now_ms < session->until_ms)
            break;
        tell(world, down || session->refused ? REPLAY_FAILED : REPLAY_READY,
             slot, false);
        break;
    case PHASE_BUSY:
        if (down) {
            world->waiting++;
            tell(world, REPLAY_BROKEN, slot, false);
            break;
        }
        if (world->now_ms < session->until_ms)
            break;
        refused = model->refuses > 0 && ++world->ends % model->refuses == 0;
        world->refusals += refused;
        world->waiting += refused;
        world->done += !refused;
        tell(world, REPLAY_DONE, slot, refused);
        break;
    case PHASE_CLOSING:
        tell(world, REPLAY_CLOSED, slot, false);
        break;
    case PHASE_IDLE:
    case PHASE_FREE:
        break;
    }
}

static void
obey(struct world *world, const struct replay_action *action)
{
    struct session *session = &world->sessions[action->slot];
    size_t most = world->model->connections;

    if (action->kind == REPLAY_OPEN) {
        session->until_ms = world->now_ms + 1;
        session->refused = most > 0 && replay_sched_open(&world->sched) > most;
        world->attempts += session->refused;
        world->refusals += session->refused;
    } else if (action->kind == REPLAY_GIVE) {
        world->waiting--;
        session->until_ms = message_end(world);
    }
}

static void
step(struct world *world)
{
    struct replay_action action;

    world->now_ms++;
    for (size_t i = 0; i < world->sched.n_slots; i++)
        session_step(world, i);
    while (replay_sched_next(&world->sched, world->waiting, world->now_ms,
                             &action))
        obey(world, &action);
}

/* Until all are done, or for so long; the milliseconds it took. */
static int64_t
drain(struct world *world, int64_t longest_ms)
{
    int64_t begun_ms = world->now_ms;
    size_t before = world->done, all = world->waiting;

    while (world->waiting + replay_sched_open(&world->sched) > 0 &&
           world->done - before < all && world->now_ms < begun_ms + longest_ms)
        step(world);
    return world->now_ms - begun_ms;
}

/* --- fragile servers ----------------------------------------------------- */

#define MESSAGES 100000

static const struct model fragile[] = {
    {.name = "counts in seconds",
     .base_ms = 5,
     .slow_from = 200,
     .slow_by = 10,
     .falls_from = 400,
     .window_ms = 1000,
     .connections = 8,
     .jitter = 0.5},
    {.name = "quick, slows hard",
     .base_ms = 1,
     .slow_from = 200,
     .slow_by = 200,
     .falls_from = 400,
     .window_ms = 1000,
     .connections = 8,
     .jitter = 0.5},
    {.name = "slow itself",
     .base_ms = 30,
     .slow_from = 200,
     .slow_by = 5,
     .falls_from = 400,
     .window_ms = 1000,
     .connections = 8,
     .jitter = 0.5},
    {.name = "counts in tenths",
     .base_ms = 5,
     .slow_from = 200,
     .slow_by = 10,
     .falls_from = 400,
     .window_ms = 250,
     .connections = 8,
     .jitter = 0.5},
    {.name = "counts in five seconds",
     .base_ms = 5,
     .slow_from = 200,
     .slow_by = 10,
     .falls_from = 400,
     .window_ms = 5000,
     .connections = 8,
     .jitter = 0.5},
    {.name = "with hiccups",
     .base_ms = 5,
     .slow_from = 200,
     .slow_by = 10,
     .falls_from = 400,
     .window_ms = 1000,
     .connections = 8,
     .jitter = 1,
     .hiccups = 3},
};

static void
test_fragile(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(fragile) / sizeof(fragile[0]); i++) {
        struct world *world = world_new(&fragile[i], MESSAGES);
        int64_t took_ms = drain(world, 2000000);
        double rate = (double)world->done * 1000 / (double)took_ms;

        assert_int_equal(world->done, MESSAGES);
        assert_true(rate >= 0.9 * fragile[i].slow_from);
        assert_true(world->refusals * 100 < world->attempts);
        assert_int_equal(world->falls, 0);
        world_free(&world);
    }
}

/* --- others --------------------------------------------------------------- */

/* Nothing is known of it, and it is fast: found out within a second. */
static void
test_fast(void **state)
{
    static const struct model fast = {
        .base_ms = 1, .most = 10000, .window_ms = 1000};
    struct world *world = world_new(&fast, 20000);
    int64_t took_ms;

    (void)state;
    while (world->done == 0)
        step(world);
    took_ms = drain(world, 60000);
    assert_int_equal(world->done, 20000);
    assert_true(took_ms < 2500);
    assert_int_equal(world->refusals, 0);
    world_free(&world);
}

/* Each message takes two seconds: then connections are what counts. */
static void
test_slow(void **state)
{
    static const struct model slow = {
        .base_ms = 2000, .window_ms = 1000, .jitter = 0.3};
    struct world *world = world_new(&slow, 3000);
    int64_t took_ms = drain(world, 3600000);

    (void)state;
    assert_int_equal(world->done, 3000);
    assert_int_equal(replay_pace_window(&world->sched.pace), 20);
    assert_true(took_ms < 2 * 3000 * 2000 / 20);
    world_free(&world);
}

/* It has a limit of its own for connections: found, and kept to. */
static void
test_connections(void **state)
{
    static const struct model few = {
        .base_ms = 100, .window_ms = 1000, .connections = 5, .jitter = 0.3};
    struct world *world = world_new(&few, 20000);
    int64_t took_ms = drain(world, 3600000);

    (void)state;
    assert_int_equal(world->done, 20000);
    assert_in_range(replay_pace_window(&world->sched.pace), 2, 5);
    assert_true(took_ms < 20000 * 100 / 5 * 12 / 10);
    assert_true(world->refusals < 40);
    world_free(&world);
}

/* Refusals in bursts halve the rate; a few now and then do not. */
static void
test_refusals(void **state)
{
    static const struct model burst = {
        .base_ms = 5, .window_ms = 1000, .refuses = 4};
    static const struct model few = {
        .base_ms = 5, .window_ms = 1000, .refuses = 50};
    struct world *world = world_new(&burst, 1000000);

    (void)state;
    for (int i = 0; i < 2000; i++)
        step(world);
    assert_true(world->sched.pace.rate.hurt > 0);
    assert_true(world->sched.pace.rate.now <= PACE_START_RATE);
    world_free(&world);
    world = world_new(&few, 1000000);
    for (int i = 0; i < 2000; i++)
        step(world);
    assert_true(world->sched.pace.rate.hurt == 0);
    assert_true(world->sched.pace.rate.now > 10 * PACE_START_RATE);
    world_free(&world);
}

/* It becomes slower for good, whatever it is given: that is the new normal,
 * after a while. */
static void
test_slower_for_good(void **state)
{
    struct model model = {.base_ms = 10, .window_ms = 1000, .jitter = 0.3};
    struct world *world = world_new(&model, 1000000);
    size_t before;

    (void)state;
    world->sched.limits.message_rate = 60 * 100;
    replay_sched_set_limits(&world->sched, &world->sched.limits);
    drain(world, 60000);
    assert_in_range(world->done, 90 * 60, 101 * 60);
    model.base_ms = 30;
    drain(world, 600000);
    before = world->done;
    drain(world, 60000);
    assert_in_range(world->done - before, 80 * 60, 101 * 60);
    world_free(&world);
}

/* What hurt is known after a restart: it does not hurt again. */
static void
test_memory(void **state)
{
    const struct model *model = &fragile[0];
    struct replay_pace_memory memory;
    struct world *world = world_new(model, 20000);
    struct replay_limits limits = world->sched.limits;

    (void)state;
    drain(world, 600000);
    memory = replay_pace_memory(&world->sched.pace);
    assert_in_range(memory.hurt_rate, 180, 320);
    assert_int_equal(memory.hurt_window, 9);
    world_free(&world);
    world = world_new(model, 2000);
    replay_sched_free(&world->sched);
    replay_sched_init(&world->sched, &limits, &memory, TARGET_UP, 0, 7,
                      world->now_ms);
    drain(world, 600000);
    assert_int_equal(world->refusals, 0);
    assert_true((double)world->peak <= (double)memory.hurt_rate);
    world_free(&world);
}

/* What hurt once, by chance, does not for long keep a target slow that bears
 * far more. */
static void
test_false_alarm(void **state)
{
    static const struct model fast = {
        .base_ms = 1, .most = 10000, .window_ms = 1000};
    static const struct replay_pace_memory memory = {.rate = 300,
                                                     .hurt_rate = 300};
    struct world *world = world_new(&fast, 40000);
    struct replay_limits limits = world->sched.limits;
    int64_t took_ms;

    (void)state;
    replay_sched_free(&world->sched);
    replay_sched_init(&world->sched, &limits, &memory, TARGET_UP, 0, 7,
                      world->now_ms);
    took_ms = drain(world, 600000);
    assert_int_equal(world->done, 40000);
    assert_in_range(took_ms, 0, 30000); /* 10 s of them at 300 */
    world_free(&world);
}

/* --- limits --------------------------------------------------------------- */

static const struct model easy = {.base_ms = 1, .window_ms = 1000};

static struct world *
world_limited(struct replay_limits limits)
{
    struct world *world = world_new(&easy, 1000000);

    limits.connections = 20;
    limits.probe_min_ms = limits.probe_max_ms = 1000;
    if (limits.messages_per_connection == 0)
        limits.messages_per_connection = 100;
    replay_sched_set_limits(&world->sched, &limits);
    return world;
}

static void
test_message_rate(void **state)
{
    struct world *world =
        world_limited((struct replay_limits){.message_rate = 30});

    (void)state;
    drain(world, 600000);
    assert_in_range(world->done, 295, 301);
    world_free(&world);
}

static void
test_connection_rate(void **state)
{
    struct world *world = world_limited((struct replay_limits){
        .connection_rate = 60, .messages_per_connection = 10});

    (void)state;
    drain(world, 600000);
    assert_in_range(world->done, 580 * 10, 605 * 10);
    world_free(&world);
}

static void
test_byte_rate(void **state)
{
    struct replay_pace pace;
    const struct replay_limits limits = {.connections = 20,
                                         .byte_rate = 100000};
    int64_t now_ms = 0, at_ms;

    (void)state;
    replay_pace_init(&pace, &limits, &nothing, now_ms);
    for (int i = 0; i < 100; i++) {
        at_ms = replay_pace_message_at(&pace, now_ms);
        now_ms = at_ms > now_ms ? at_ms : now_ms + 10;
        assert_true(replay_pace_message_at(&pace, now_ms) <= now_ms);
        replay_pace_message(&pace, now_ms);
        replay_pace_bytes(&pace, 50000, now_ms);
    }
    /* Two a second, whatever else it would bear. */
    assert_in_range(now_ms, 49000, 50500);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fragile),
        cmocka_unit_test(test_fast),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_slower_for_good),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_false_alarm),
        cmocka_unit_test(test_message_rate),
        cmocka_unit_test(test_connection_rate),
        cmocka_unit_test(test_byte_rate),
    };

    return cmocka_run_group_tests_name("replay_pace", tests, NULL, NULL);
}
