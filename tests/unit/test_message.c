/* SPDX-License-Identifier: ISC */
/*
 * message: the rows survive the codec, their tags are those on disks, and
 * states have names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "message.h"
#include "record_walk.h"

static void
test_rows(void **state)
{
    (void)state;
    walk_type(&message_record);
    walk_type(&delivery_record);
    walk_type(&target_health_record);
    walk_type(&ledger_entry_record);
}

/* Tags are on disk: a table may grow at its end, and nothing else. */
static void
test_tags(void **state)
{
    static const struct {
        const struct record_type *type;
        const char *names[17];
    } rows[] = {
        {&message_record,
         {"arrived_ms", "origin", "flags", "sender", "flow", "size", "stored",
          "pieces", "digest", "client", "helo", "protocol", "tls", "subject",
          "message_id", "finished_ms"}},
        {&delivery_record,
         {"recipient", "target", "state", "attempts", "next_ms", "changed_ms",
          "reach_ms", "code", "reply"}},
        {&target_health_record,
         {"name", "state", "since_ms", "reach_ms", "reason"}},
        {&ledger_entry_record,
         {"when_ms", "event", "id", "n", "code", "text", "digest"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t k = 0; rows[i].names[k] != NULL; k++) {
            assert_true(k < rows[i].type->n_fields);
            assert_int_equal(rows[i].type->fields[k].tag, k + 1);
            assert_string_equal(rows[i].type->fields[k].name, rows[i].names[k]);
        }
}

static void
test_states(void **state)
{
    static const char *const names[] = {"ready",    "later",     "delivered",
                                        "returned", "expired",   "dropped",
                                        "on-hold",  "discarded", "unknown"};

    (void)state;
    for (uint64_t s = 1; s <= DELIVERY_STATE_MAX; s++) {
        assert_string_equal(delivery_state_name(s), names[s - 1]);
        assert_int_equal(delivery_state_by_name(view_of(names[s - 1])), s);
        assert_int_equal(delivery_is_open(s), s <= 2 || s == 7 || s == 9);
        assert_int_equal(delivery_waits(s), s == 2 || s == 9);
    }
    assert_int_equal(delivery_state_by_name(VIEW("Later")), DELIVERY_LATER);
    assert_int_equal(delivery_state_by_name(VIEW("")), 0);
    assert_int_equal(delivery_state_by_name(VIEW("lat")), 0);
    assert_string_equal(delivery_state_name(0), "invalid");
    assert_string_equal(delivery_state_name(DELIVERY_STATE_MAX + 1), "invalid");
    assert_string_equal(delivery_state_name(UINT64_MAX), "invalid");
    assert_string_equal(target_state_name(TARGET_UP), "up");
    assert_string_equal(target_state_name(TARGET_DOWN), "down");
    assert_string_equal(target_state_name(TARGET_RETURNING), "returning");
    assert_string_equal(target_state_name(0), "invalid");
    assert_string_equal(target_state_name(TARGET_PAUSED), "paused");
    assert_string_equal(target_state_name(5), "invalid");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_states),
    };

    return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
