/* SPDX-License-Identifier: ISC */
/*
 * proto: every payload survives the codec; who may say what to whom is what
 * the table says, and what would matter most is forbidden.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto.h"
#include "record_walk.h"

static void
test_payloads(void **state)
{
    (void)state;
    for (unsigned kind = 1; kind < PROTO_COUNT; kind++) {
        const struct proto_row *row = proto_row(kind);

        assert_non_null(row);
        assert_non_null(row->name);
        walk_type(row->payload);
    }
    assert_null(proto_row(PROTO_INVALID));
    assert_null(proto_row(PROTO_COUNT));
    assert_null(proto_row(UINT32_MAX));
}

static void
test_directions(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < PROTO_COUNT + 2; kind++)
        for (enum role from = 0; from < ROLE_COUNT; from++)
            for (enum role to = 0; to < ROLE_COUNT; to++) {
                const struct proto_row *row = proto_row(kind);
                bool want = row != NULL && (row->from & 1u << from) != 0 &&
                            (row->to & 1u << to) != 0;

                assert_int_equal(proto_allowed(kind, from, to), want);
            }
    for (unsigned kind = 1; kind < PROTO_COUNT; kind++) {
        const struct proto_row *row = proto_row(kind);
        unsigned all = (1u << ROLE_COUNT) - 1;

        assert_true(row->from != 0 && (row->from & ~all) == 0);
        assert_true(row->to != 0 && (row->to & ~all) == 0);
    }
}

static void
test_rules(void **state)
{
    (void)state;
    /* The role that faces the network hands in mail, and asks for nothing. */
    assert_true(proto_allowed(PROTO_SUBMIT, ROLE_LISTENER, ROLE_STORE));
    assert_false(proto_allowed(PROTO_OUTCOME, ROLE_LISTENER, ROLE_STORE));
    assert_false(proto_allowed(PROTO_RETRY, ROLE_LISTENER, ROLE_STORE));
    assert_false(proto_allowed(PROTO_FETCH, ROLE_LISTENER, ROLE_REPLAY));
    assert_false(proto_meet(ROLE_LISTENER, ROLE_REPLAY));
    assert_false(proto_allowed(PROTO_WAKE, ROLE_LISTENER, ROLE_STORE));
    assert_false(proto_meet(ROLE_LISTENER, ROLE_IMAP));
    assert_false(proto_meet(ROLE_REPLAY, ROLE_IMAP));
    /* Who shows mail asks who it is, and who says so sees no mail. */
    assert_true(proto_allowed(PROTO_LOGIN, ROLE_IMAP, ROLE_AUTH));
    assert_false(proto_allowed(PROTO_USER, ROLE_IMAP, ROLE_STORE));
    assert_false(proto_allowed(PROTO_USER, ROLE_AUTH, ROLE_STORE));
    assert_false(proto_allowed(PROTO_PAIRS, ROLE_PARENT, ROLE_AUTH));
    assert_false(proto_meet(ROLE_LISTENER, ROLE_AUTH));
    /* Who shows mail brings none in and ends none. */
    assert_false(proto_allowed(PROTO_OUTCOME, ROLE_IMAP, ROLE_STORE));
    assert_false(proto_allowed(PROTO_STEER, ROLE_IMAP, ROLE_STORE));
    /* Keys and sockets come from the parent alone. */
    for (enum role from = 0; from < ROLE_COUNT; from++)
        for (enum role to = 0; to < ROLE_COUNT; to++) {
            assert_int_equal(proto_allowed(PROTO_CERTIFICATE, from, to),
                             from == ROLE_PARENT &&
                                 (to == ROLE_LISTENER || to == ROLE_IMAP));
            if (from != ROLE_PARENT) {
                assert_false(proto_allowed(PROTO_LISTEN, from, to));
                assert_false(proto_allowed(PROTO_PEER, from, to));
                assert_false(proto_allowed(PROTO_CONF, from, to));
            }
            assert_int_equal(proto_meet(from, to), proto_meet(to, from));
        }
    assert_true(proto_meet(ROLE_PARENT, ROLE_STORE));
    assert_false(proto_meet(ROLE_STORE, ROLE_STORE));
}

static void
test_names(void **state)
{
    static const char *const names[] = {
        "parent", "listener", "store", "replay", "control", "imap", "auth"};

    (void)state;
    for (enum role role = 0; role < ROLE_COUNT; role++)
        assert_string_equal(role_name(role), names[role]);
    assert_string_equal(role_name(ROLE_COUNT), "unknown");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_payloads),
        cmocka_unit_test(test_directions),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests_name("proto", tests, NULL, NULL);
}
