/* SPDX-License-Identifier: ISC */
/*
 * STEER: what the operator makes of messages, and what becomes of a delivery
 * that was under way meanwhile. After each step the rows are legal, the sums
 * are right and the ledger balances.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "db_read.h"
#include "event.h"
#include "ledger_balance.h"
#include "store.h"

#define T0   UINT64_C(1750000000000)
#define HOUR UINT64_C(3600000)

static char dir[64];
static struct db *db;

static int
setup(void **state)
{
    struct why why = {0};

    (void)state;
    strcpy(dir, "/tmp/spoold-test-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    db = db_open_writer(dir, &why);
    return db != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char path[128];

    (void)state;
    db_close(&db);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

/* --- records -------------------------------------------------------------- */

/* Applies it in a transaction of its own; *count is what it counts. */
static enum apply_result
apply(uint64_t kind, uint64_t keep_ms, const struct record_type *type,
      const void *payload, uint64_t *count)
{
    struct buf bytes = {0};
    struct store_record record = {
        .kind = kind, .when_ms = T0, .keep_ms = keep_ms, .fd = -1};
    struct store_apply apply;
    enum apply_result result;
    struct db_txn *txn;
    struct why why;

    record_encode(type, payload, &bytes);
    record.payload = buf_view(&bytes);
    assert_int_equal(db_begin(db, &txn), DB_OK);
    assert_int_equal(store_apply_begin(&apply, txn), APPLY_OK);
    result = store_apply_record(&apply, &record);
    if (count != NULL)
        *count = apply.count;
    if (result == APPLY_OK) {
        assert_int_equal(store_apply_end(&apply), APPLY_OK);
        assert_int_equal(db_commit(&txn, &why), DB_OK);
    } else {
        db_abort(&txn);
    }
    store_apply_free(&apply);
    buf_free(&bytes);
    return result;
}

static void
bring(uint64_t id, size_t n_deliveries)
{
    struct message message = {.arrived_ms = T0,
                              .origin = ORIGIN_SMTP,
                              .sender = VIEW("bob@elsewhere.example"),
                              .flow = VIEW("elsewhere.example"),
                              .size = 3};
    struct delivery deliveries[4] = {0};
    struct proto_submit submit = {.id = id,
                                  .deliveries = {deliveries, n_deliveries},
                                  .content = {"\0\0\0\4"
                                              "0abc",
                                              8},
                                  .content_len = 8};
    struct buf row = {0};

    for (size_t i = 0; i < n_deliveries; i++) {
        deliveries[i].recipient = VIEW("anna@example.org");
        deliveries[i].target = VIEW("office");
    }
    record_encode(&message_record, &message, &row);
    submit.message = buf_view(&row);
    assert_int_equal(
        apply(STORE_SUBMIT, 0, &proto_submit_record, &submit, NULL), APPLY_OK);
    buf_free(&row);
}

static void
say(uint64_t id, uint64_t n, uint64_t to, uint64_t keep_ms)
{
    struct proto_result result = {.n = n,
                                  .state = to,
                                  .code = 250,
                                  .reply = VIEW("as you like"),
                                  .next_ms =
                                      to == DELIVERY_LATER ? T0 + HOUR : 0};
    struct proto_outcome outcome = {
        .id = id, .when_ms = T0, .results = {&result, 1}};

    assert_int_equal(
        apply(STORE_OUTCOME, keep_ms, &proto_outcome_record, &outcome, NULL),
        APPLY_OK);
}

/* n: delivery + 1, or 0. Returns what it counts. */
static uint64_t
steer(enum steer_what what, uint64_t id, uint64_t n)
{
    struct proto_steer_item item = {id, n};
    struct proto_steer steer = {.what = what,
                                .when_ms = T0 + 1,
                                .by = VIEW("root"),
                                .reason = VIEW("a test"),
                                .items = {&item, 1}};
    uint64_t count;

    assert_int_equal(
        apply(STORE_STEER, HOUR, &proto_steer_record, &steer, &count),
        APPLY_OK);
    return count;
}

static void
health(uint64_t reach_ms)
{
    struct target_health row = {
        .name = VIEW("office"), .state = TARGET_UP, .reach_ms = reach_ms};

    assert_int_equal(apply(STORE_HEALTH, 0, &target_health_record, &row, NULL),
                     APPLY_OK);
}

/* --- what is there -------------------------------------------------------- */

static struct delivery
delivery_of(uint64_t id, uint64_t n)
{
    struct db_message message;
    struct delivery row;
    struct why why;

    assert_int_equal(db_read_message(db, id, &message, &why), 1);
    assert_true(n < message.n_deliveries);
    row = message.deliveries[n].delivery;
    row.recipient = row.target = row.reply = (struct view){0};
    db_message_free(&message);
    return row;
}

static void
assert_counts(uint64_t held, uint64_t ready, uint64_t later, uint64_t on_hold)
{
    struct db_counts counts;
    struct why why;

    assert_int_equal(db_read_counts(db, &counts, &why), 1);
    assert_int_equal(counts.held, held);
    assert_int_equal(counts.ready, ready);
    assert_int_equal(counts.later, later);
    assert_int_equal(counts.on_hold, on_hold);
    assert_int_equal(counts.held_stored, held * 4);
}

struct seen {
    struct ledger_balance *balance;
    uint64_t event; /* of the last entry */
    uint64_t id;
    uint64_t n;
    uint64_t code;
    char by[16];
    char text[32];
    size_t digest_len;
};

static void
copy_text(char *to, size_t size, struct view text)
{
    snprintf(to, size, "%.*s", (int)text.len, text.data);
}

static bool
see_entry(void *arg, uint64_t seq, struct view value)
{
    struct seen *seen = arg;
    struct ledger_entry entry;

    assert_int_equal(record_decode(&ledger_entry_record,
                                   view_skip(value, LEDGER_CHECK), &entry,
                                   NULL),
                     0);
    ledger_balance_add(seen->balance, seq, &entry);
    seen->event = entry.event;
    seen->id = entry.id;
    seen->n = entry.n;
    seen->code = entry.code;
    seen->digest_len = entry.digest.len;
    copy_text(seen->by, sizeof(seen->by), entry.by);
    copy_text(seen->text, sizeof(seen->text), entry.text);
    return true;
}

static void
on_fault(void *arg, enum ledger_fault fault, uint64_t seq,
         const struct ledger_entry *entry)
{
    (void)arg;
    fail_msg("fault %d in entry %d, event %d", (int)fault, (int)seq,
             (int)entry->event);
}

/* The whole ledger balances with so many open; returns its last entry. */
static struct seen
assert_ledger(uint64_t open)
{
    struct seen seen = {0};
    struct why why;

    seen.balance = ledger_balance_new(LEDGER_FROM_FIRST, 0, on_fault, NULL);
    assert_true(db_read_ledger(db, 1, 1000, see_entry, &seen, &why) >= 0);
    assert_int_equal(ledger_balance_counts(seen.balance)->open, open);
    ledger_balance_free(&seen.balance);
    return seen;
}

/* --- hold and release ----------------------------------------------------- */

static void
test_hold_takes_ready_and_later(void **state)
{
    struct seen seen;

    (void)state;
    bring(5, 2);
    say(5, 1, DELIVERY_LATER, HOUR);
    assert_counts(1, 1, 1, 0);
    assert_int_equal(steer(STEER_HOLD, 5, 0), 2);
    assert_counts(1, 0, 0, 2);
    assert_int_equal(delivery_of(5, 0).state, DELIVERY_HELD);
    assert_int_equal(delivery_of(5, 1).next_ms, 0);
    seen = assert_ledger(2);
    assert_int_equal(seen.event, EVENT_HELD);
    assert_int_equal(seen.n, 2);
    assert_string_equal(seen.by, "root");
    assert_string_equal(seen.text, "a test");

    assert_int_equal(steer(STEER_HOLD, 5, 0), 0); /* they are already */
    assert_int_equal(steer(STEER_RELEASE, 5, 1), 1);
    assert_counts(1, 1, 0, 1);
    assert_int_equal(assert_ledger(2).event, EVENT_RELEASED);
    assert_int_equal(steer(STEER_RELEASE, 5, 0), 1);
    assert_counts(1, 2, 0, 0);
}

static void
test_what_is_gone_is_passed_over(void **state)
{
    (void)state;
    assert_int_equal(steer(STEER_HOLD, 99, 0), 0);
    assert_int_equal(steer(STEER_ERASE, 99, 0), 0);
    bring(5, 1);
    assert_int_equal(steer(STEER_HOLD, 5, 9), 0); /* no such delivery */
    assert_ledger(1);
}

static void
test_the_clock_stands_still_on_hold(void **state)
{
    struct delivery row;

    (void)state;
    health(1000);
    bring(5, 1);
    health(5000);
    steer(STEER_HOLD, 5, 0);
    health(900000);
    steer(STEER_RELEASE, 5, 0);
    row = delivery_of(5, 0);
    assert_int_equal(row.spent_ms, 4000);
    assert_int_equal(row.reach_ms, 900000);
}

/* --- discard -------------------------------------------------------------- */

static void
test_discard_ends_deliveries(void **state)
{
    (void)state;
    bring(5, 3);
    steer(STEER_HOLD, 5, 1);
    assert_int_equal(steer(STEER_DISCARD, 5, 1), 1);
    assert_counts(1, 2, 0, 0);
    assert_int_equal(steer(STEER_DISCARD, 5, 0), 2);
    assert_counts(0, 0, 1, 0); /* the purge */
    assert_int_equal(assert_ledger(0).event, EVENT_DISCARDED);
    assert_int_equal(steer(STEER_DISCARD, 5, 0), 0);
}

/* --- again ---------------------------------------------------------------- */

static void
test_again_opens_a_kept_message(void **state)
{
    struct delivery row;

    (void)state;
    health(1000);
    bring(5, 2);
    say(5, 0, DELIVERY_DELIVERED, HOUR);
    say(5, 1, DELIVERY_DROPPED, HOUR);
    assert_counts(0, 0, 1, 0);
    health(7000);
    assert_int_equal(steer(STEER_AGAIN, 5, 0), 1); /* the delivered one */
    assert_counts(1, 1, 0, 0);
    row = delivery_of(5, 0);
    assert_int_equal(row.state, DELIVERY_READY);
    assert_int_equal(row.attempts, 0);
    assert_int_equal(row.reach_ms, 7000);
    assert_int_equal(assert_ledger(1).event, EVENT_AGAIN);
    assert_int_equal(steer(STEER_AGAIN, 5, 2), 1); /* named */
    assert_counts(1, 2, 0, 0);
    say(5, 0, DELIVERY_DELIVERED, HOUR);
    say(5, 1, DELIVERY_DELIVERED, HOUR);
    assert_counts(0, 0, 1, 0);
    assert_ledger(0);
}

/* The former purge, found by the store before, does not take it away. */
static void
test_again_before_a_purge_that_was_seen(void **state)
{
    struct store_due_row row = {T0 + HOUR, 5, DB_LATER_PURGE};
    struct store_due due = {{&row, 1}};

    (void)state;
    bring(5, 1);
    say(5, 0, DELIVERY_DELIVERED, HOUR);
    steer(STEER_AGAIN, 5, 0);
    assert_int_equal(apply(STORE_DUE, 0, &store_due_record, &due, NULL),
                     APPLY_OK);
    assert_counts(1, 1, 0, 0);
    assert_ledger(1);
}

/* --- erase ---------------------------------------------------------------- */

static void
test_erase_leaves_a_digest(void **state)
{
    struct db_message message;
    struct seen seen;
    struct why why;

    (void)state;
    bring(5, 3);
    bring(6, 1);
    say(5, 0, DELIVERY_DELIVERED, HOUR);
    steer(STEER_HOLD, 5, 2);
    assert_int_equal(steer(STEER_ERASE, 5, 0), 1);
    assert_int_equal(db_read_message(db, 5, &message, &why), 0);
    assert_counts(1, 1, 0, 0);
    seen = assert_ledger(1);
    assert_int_equal(seen.event, EVENT_ERASED);
    assert_int_equal(seen.id, 5);
    assert_int_equal(seen.code, 2); /* were open */
    assert_int_equal(seen.digest_len, MESSAGE_DIGEST);
    assert_string_equal(seen.by, "root");
}

static void
test_erase_of_what_has_ended(void **state)
{
    (void)state;
    bring(5, 1);
    say(5, 0, DELIVERY_DELIVERED, HOUR);
    assert_int_equal(steer(STEER_ERASE, 5, 0), 1);
    assert_counts(0, 0, 0, 0);
    assert_int_equal(assert_ledger(0).code, 0);
}

/* --- a delivery that is under way ----------------------------------------- */

static void
test_delivered_while_on_hold_or_discarded(void **state)
{
    (void)state;
    bring(5, 1);
    steer(STEER_HOLD, 5, 0);
    say(5, 0, DELIVERY_DELIVERED, HOUR);
    assert_counts(0, 0, 1, 0);
    assert_ledger(0);

    bring(6, 1);
    steer(STEER_DISCARD, 6, 0);
    say(6, 0, DELIVERY_DELIVERED, HOUR);
    assert_int_equal(delivery_of(6, 0).state, DELIVERY_DELIVERED);
    assert_counts(0, 0, 2, 0);
    assert_int_equal(assert_ledger(0).event, EVENT_DELIVERED);
}

static void
test_put_off_while_on_hold(void **state)
{
    (void)state;
    bring(5, 1);
    steer(STEER_HOLD, 5, 0);
    say(5, 0, DELIVERY_LATER, HOUR);
    assert_int_equal(delivery_of(5, 0).state, DELIVERY_HELD);
    assert_counts(1, 0, 0, 1);
    assert_ledger(1);
}

static void
test_refused_while_discarded_stays_discarded(void **state)
{
    (void)state;
    bring(5, 2);
    steer(STEER_DISCARD, 5, 1);
    say(5, 0, DELIVERY_DROPPED, HOUR);
    assert_int_equal(delivery_of(5, 0).state, DELIVERY_DISCARDED);
    assert_int_equal(assert_ledger(1).event, EVENT_DISCARDED);
}

static void
test_delivered_after_it_was_erased(void **state)
{
    struct seen seen;

    (void)state;
    bring(5, 1);
    steer(STEER_ERASE, 5, 0);
    say(5, 0, DELIVERY_DELIVERED, HOUR);
    seen = assert_ledger(0);
    assert_int_equal(seen.event, EVENT_LATE);
    assert_int_equal(seen.id, 5);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.code, 250);
}

/* --- records that make no sense ------------------------------------------- */

static void
test_no_such_wish(void **state)
{
    struct proto_steer steer = {.what = 77, .when_ms = T0};

    (void)state;
    assert_int_equal(apply(STORE_STEER, 0, &proto_steer_record, &steer, NULL),
                     APPLY_REFUSED);
}

#define TEST(function)                                                         \
    cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_hold_takes_ready_and_later),
        TEST(test_what_is_gone_is_passed_over),
        TEST(test_the_clock_stands_still_on_hold),
        TEST(test_discard_ends_deliveries),
        TEST(test_again_opens_a_kept_message),
        TEST(test_again_before_a_purge_that_was_seen),
        TEST(test_erase_leaves_a_digest),
        TEST(test_erase_of_what_has_ended),
        TEST(test_delivered_while_on_hold_or_discarded),
        TEST(test_put_off_while_on_hold),
        TEST(test_refused_while_discarded_stays_discarded),
        TEST(test_delivered_after_it_was_erased),
        TEST(test_no_such_wish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
