/* SPDX-License-Identifier: ISC */
/* The recovery guard on a virtual clock. A script is a word a message. */
#include "replay_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "why.h"

#define FOR_MS 600000

static const struct replay_guard_limits limits = {
    .on = true, .messages = 20, .share = 50, .for_ms = FOR_MS};

struct scene {
    struct replay_guard guard;
    int64_t now_ms;
    uint64_t id;
    struct why why;
};

static struct scene
returned(const struct replay_guard_limits *with)
{
    struct scene scene = {.now_ms = 1000000, .id = 1000};

    replay_guard_set_limits(&scene.guard, with);
    replay_guard_begin(&scene.guard, scene.now_ms);
    return scene;
}

/* a: accepted; r: refused for good; k: one whom it took mail for before;
 * R: the one refused last, refused again; l: put off; t: the time is over.
 * What is said of the last one, none of those before may end it. */
static enum replay_guard_says
play(struct scene *scene, const char *script)
{
    enum replay_guard_says says = GUARD_GOES_ON;

    for (const char *s = script; *s != 0; s++) {
        struct replay_guard_verdict verdict = {
            .accepted = *s == 'a',
            .refused = *s == 'r' || *s == 'R' || *s == 'k',
            .known = *s == 'k',
            .reply = "550 no",
        };

        if (*s == 't') {
            scene->now_ms = scene->guard.until_ms;
            continue;
        }
        assert_int_equal(says, GUARD_GOES_ON);
        verdict.id = *s == 'R' ? scene->id : ++scene->id;
        says = replay_guard_verdict(&scene->guard, &verdict, scene->now_ms,
                                    &scene->why);
    }
    return says;
}

static void
test_scripts(void **state)
{
    static const struct {
        const char *script;
        enum replay_guard_says says;
    } cases[] = {
        {"aaaaaaaaaaaaaaaaaaa", GUARD_GOES_ON},
        {"aaaaaaaaaaaaaaaaaaaa", GUARD_ENDS},
        /* None was taken: five are enough. */
        {"rrrr", GUARD_GOES_ON},
        {"rrrrr", GUARD_STOPS},
        {"rrlllrlllr", GUARD_GOES_ON},
        /* The share of the first messages, once it is certain. */
        {"arrrrrrrrrr", GUARD_GOES_ON},
        {"arrrrrrrrrrr", GUARD_STOPS},
        {"arararararararararar", GUARD_ENDS},
        /* One that is kept back is no new evidence. */
        {"rRRRRRRRRRRRR", GUARD_GOES_ON},
        /* Whom it took mail for before. */
        {"k", GUARD_STOPS},
        {"aaaak", GUARD_STOPS},
        /* The time is over. */
        {"at", GUARD_GOES_ON},
        {"ata", GUARD_ENDS},
        {"rta", GUARD_ENDS},
        {"rrrta", GUARD_GOES_ON},
        {"arrrtr", GUARD_STOPS},
        {"aarrta", GUARD_ENDS},
        /* Too little was said: it is watched on, and then all counts. */
        {"tr", GUARD_GOES_ON},
        {"rtRRR", GUARD_GOES_ON},
        {"rtRRRR", GUARD_STOPS},
        {"rtRRRa", GUARD_GOES_ON},
        {"tllll", GUARD_GOES_ON},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scene scene = returned(&limits);
        enum replay_guard_says says = play(&scene, cases[i].script);

        if (says != cases[i].says)
            fail_msg("%s: %d", cases[i].script, (int)says);
        assert_int_equal(replay_guard_keeps(&scene.guard), says != GUARD_ENDS);
        replay_guard_free(&scene.guard);
    }
}

/* What comes after it was stopped changes nothing, until it returns. */
static void
test_stopped_and_back(void **state)
{
    struct scene scene = returned(&limits);

    (void)state;
    assert_int_equal(play(&scene, "rrrrr"), GUARD_STOPS);
    assert_non_null(strstr(scene.why.text, "5 of the first 5"));
    assert_non_null(strstr(scene.why.text, "550 no"));
    assert_true(replay_guard_keeps(&scene.guard));
    replay_guard_begin(&scene.guard, scene.now_ms);
    assert_int_equal(play(&scene, "rrrr"), GUARD_GOES_ON);
    assert_int_equal(play(&scene, "r"), GUARD_STOPS);
    replay_guard_trust(&scene.guard);
    assert_false(replay_guard_keeps(&scene.guard));
    assert_int_equal(play(&scene, "rrrrrrrrrrrrrrrrrrrrrrrrrrrr"),
                     GUARD_GOES_ON);
    replay_guard_begin(&scene.guard, scene.now_ms);
    assert_true(replay_guard_keeps(&scene.guard));
    replay_guard_free(&scene.guard);
}

static void
test_limits(void **state)
{
    struct replay_guard_limits strict = limits, lax = limits, off = limits;
    struct scene scene;

    (void)state;
    strict.messages = 1;
    strict.share = 0;
    scene = returned(&strict);
    assert_int_equal(play(&scene, "r"), GUARD_STOPS);
    replay_guard_free(&scene.guard);
    lax.share = 100;
    scene = returned(&lax);
    assert_int_equal(play(&scene, "rrrrrrrrrrrrrrrrrrr"), GUARD_GOES_ON);
    assert_int_equal(play(&scene, "r"), GUARD_ENDS);
    replay_guard_free(&scene.guard);
    off.on = false;
    scene = returned(&off);
    assert_false(replay_guard_keeps(&scene.guard));
    assert_int_equal(play(&scene, "kkk"), GUARD_GOES_ON);
    /* Switched off while it watches. */
    scene = returned(&limits);
    assert_int_equal(play(&scene, "rr"), GUARD_GOES_ON);
    replay_guard_set_limits(&scene.guard, &off);
    assert_false(replay_guard_keeps(&scene.guard));
    replay_guard_free(&scene.guard);
}

/* What the store kept: a process that died in the middle goes on watching. */
static void
test_load(void **state)
{
    struct scene scene = returned(&limits);

    (void)state;
    replay_guard_load(&scene.guard, GUARD_NONE, scene.now_ms);
    assert_false(replay_guard_keeps(&scene.guard));
    replay_guard_load(&scene.guard, GUARD_TRUSTS, scene.now_ms);
    assert_int_equal(scene.guard.state, GUARD_TRUSTS);
    replay_guard_load(&scene.guard, GUARD_WATCHES, scene.now_ms);
    assert_int_equal(play(&scene, "rrrr"), GUARD_GOES_ON);
    assert_int_equal(play(&scene, "r"), GUARD_STOPS);
    replay_guard_free(&scene.guard);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_stopped_and_back),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
