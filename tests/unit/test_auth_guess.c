/* SPDX-License-Identifier: ISC */
/*
 * Guesses wait longer each time, by client and by name, up to a limit, and
 * quiet is forgiven; who was right is remembered for as long as the account
 * is the same. However many come, the tables stay as large as they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "auth_guess.h"
#include "password.h"

#define CLIENT VIEW("192.0.2.1")
#define OTHER  VIEW("192.0.2.2")
#define ANNA   VIEW("anna")
#define BOB    VIEW("bob")

static int
setup(void **state)
{
    *state = auth_guess_new();
    return 0;
}

static int
teardown(void **state)
{
    struct auth_guess *guess = *state;

    auth_guess_free(&guess);
    return 0;
}

static void
test_waits(void **state)
{
    struct auth_guess *guess = *state;
    uint64_t before = 0, wait;

    assert_int_equal(auth_guess_wait_ms(guess, CLIENT, ANNA, 0), 0);
    for (int i = 0; i < 12; i++) {
        auth_guess_wrong(guess, CLIENT, ANNA, 0);
        wait = auth_guess_wait_ms(guess, CLIENT, ANNA, 0);
        assert_true(wait > before || wait == AUTH_CLIENT_WAIT_MAX_MS);
        before = wait;
    }
    assert_int_equal(before, AUTH_CLIENT_WAIT_MAX_MS);
    /* The client's next name, and the name from elsewhere. */
    assert_int_equal(auth_guess_wait_ms(guess, CLIENT, BOB, 0),
                     AUTH_CLIENT_WAIT_MAX_MS);
    assert_int_equal(auth_guess_wait_ms(guess, OTHER, ANNA, 0),
                     AUTH_NAME_WAIT_MAX_MS);
    assert_int_equal(auth_guess_wait_ms(guess, OTHER, BOB, 0), 0);
    /* Quiet. */
    assert_int_equal(auth_guess_wait_ms(guess, CLIENT, BOB, AUTH_QUIET_MS),
                     AUTH_CLIENT_WAIT_MAX_MS / 2);
    assert_int_equal(
        auth_guess_wait_ms(guess, CLIENT, ANNA, 100 * AUTH_QUIET_MS), 0);
}

static void
test_networks(void **state)
{
    struct auth_guess *guess = *state;

    auth_guess_wrong(guess, VIEW("2001:db8:1:2::3"), ANNA, 0);
    assert_true(auth_guess_wait_ms(guess, VIEW("2001:db8:1:2:ffff::"), BOB, 0) >
                0);
    assert_int_equal(auth_guess_wait_ms(guess, VIEW("2001:db8:1:3::3"), BOB, 0),
                     0);
    auth_guess_wrong(guess, VIEW(""), ANNA, 0);
    assert_true(auth_guess_wait_ms(guess, VIEW(""), BOB, 0) > 0);
}

static void
test_flood(void **state)
{
    struct auth_guess *guess = *state;
    char client[32];

    for (int round = 0; round < 3; round++)
        auth_guess_wrong(guess, CLIENT, ANNA, 1000000);
    /* Others do not push out who guessed just now. */
    for (int i = 0; i < 50000; i++) {
        int len = snprintf(client, sizeof(client), "10.%d.%d.%d", i >> 16,
                           i >> 8 & 255, i & 255);

        auth_guess_wrong(guess, (struct view){client, (size_t)len},
                         (struct view){client, (size_t)len}, i);
    }
    assert_true(auth_guess_wait_ms(guess, CLIENT, BOB, 1000000) > 0);
}

static void
test_right(void **state)
{
    struct auth_guess *guess = *state;
    char one[PASSWORD_TOKEN], two[PASSWORD_TOKEN];

    password_token(ANNA, VIEW("secret"), one);
    password_token(ANNA, VIEW("Secret"), two);
    assert_false(auth_guess_is_right(guess, one, 7, 1, 0));
    auth_guess_right(guess, one, 7, 1, AUTH_RIGHT_HASH, 0);
    assert_int_equal(
        auth_guess_is_right(guess, one, 7, 1, AUTH_REMEMBER_MS - 1),
        AUTH_RIGHT_HASH);
    assert_false(auth_guess_is_right(guess, one, 7, 1, AUTH_REMEMBER_MS));
    assert_false(auth_guess_is_right(guess, two, 7, 1, 0));
    assert_false(auth_guess_is_right(guess, one, 8, 1, 0));
    /* Another password, or others' addresses, since. */
    assert_false(auth_guess_is_right(guess, one, 7, 2, 0));
    auth_guess_right(guess, one, 7, 2, AUTH_RIGHT_UPSTREAM, 10);
    assert_int_equal(auth_guess_is_right(guess, one, 7, 2, 10),
                     AUTH_RIGHT_UPSTREAM);
    assert_false(auth_guess_is_right(guess, one, 7, 1, 10));
    /* A code, for as long as its session may live. */
    auth_guess_right(guess, two, 7, 2, AUTH_RIGHT_CODE, 10);
    assert_int_equal(
        auth_guess_is_right(guess, two, 7, 2, AUTH_REMEMBER_CODE_MS),
        AUTH_RIGHT_CODE);
    /* Nobody is nobody. */
    memset(one, 0, sizeof(one));
    assert_false(auth_guess_is_right(guess, one, 0, 0, -1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_networks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_right, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
