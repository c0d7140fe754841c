/* SPDX-License-Identifier: ISC */
/*
 * undo, redirect, return as the store applies them: what is taken back is, row
 * by row, what it was; what changed since stays; the ledger balances.
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

static uint64_t
say(uint64_t id, uint64_t n, uint64_t to, const char *target)
{
    struct proto_result result = {.n = n,
                                  .state = to,
                                  .code = 250,
                                  .reply = VIEW("as you like"),
                                  .next_ms =
                                      delivery_waits(to) ? T0 + HOUR : 0};
    struct proto_outcome outcome = {.id = id,
                                    .when_ms = T0 + 500,
                                    .results = {&result, 1},
                                    .target = view_of(target)};
    uint64_t count;

    assert_int_equal(
        apply(STORE_OUTCOME, HOUR, &proto_outcome_record, &outcome, &count),
        APPLY_OK);
    return count;
}

/* A command with a number, on one delivery (n: delivery + 1) or all (0).
 * Returns what it counts. */
static uint64_t
steer(enum steer_what what, uint64_t number, uint64_t id, uint64_t n,
      const char *target)
{
    struct proto_steer_item item = {id, n};
    struct proto_steer steer = {.what = what,
                                .when_ms = T0 + number,
                                .by = VIEW("root"),
                                .reason = VIEW("a test"),
                                .items = {&item, 1},
                                .target = view_of(target),
                                .number = number,
                                .began_ms = T0 + number};
    uint64_t count;

    assert_int_equal(
        apply(STORE_STEER, HOUR, &proto_steer_record, &steer, &count),
        APPLY_OK);
    return count;
}

static uint64_t
undo(uint64_t number, uint64_t when_ms, uint64_t id, uint64_t n)
{
    struct proto_steer_item item = {id, n};
    struct proto_steer steer = {.what = STEER_UNDO,
                                .when_ms = when_ms,
                                .by = VIEW("root"),
                                .items = {&item, 1},
                                .undoes = number};
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

/* The rows of messages as they are, but for the purge of a message. */
static void
dump(struct buf *out)
{
    struct buf all = {0};
    struct view rest;
    struct why why;

    assert_int_equal(db_dump(db, &all, &why), 0);
    for (rest = buf_view(&all); rest.len > 0;) {
        const char *end = memchr(rest.data, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.data) + 1 : rest.len;

        if (memcmp(rest.data, "delivery ", 9) == 0 ||
            memcmp(rest.data, "message ", 8) == 0 ||
            memcmp(rest.data, "ready ", 6) == 0 ||
            memcmp(rest.data, "later ", 6) == 0)
            buf_add(out, rest.data, len);
        rest = view_skip(rest, len);
    }
    buf_free(&all);
}

static void
assert_same(const struct buf *before)
{
    struct buf now = {0};

    dump(&now);
    buf_add_byte(&now, '\0');
    assert_string_equal(before->data, now.data);
    buf_free(&now);
}

/* The rows of undo. */
static size_t
count_undo(void)
{
    uint64_t number = 0, id = 0, n = 0;
    struct buf memory = {0};
    struct undo_row row;
    struct why why;
    size_t count = 0;

    while (db_read_undo_after(db, &number, &id, &n, &row, &memory, &why) == 1)
        count++;
    buf_free(&memory);
    return count;
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

/* --- undo ----------------------------------------------------------------- */

/* A message with a ready delivery, one that waits, one in doubt. */
static void
bring_three(struct buf *before)
{
    health(1000);
    bring(5, 3);
    say(5, 1, DELIVERY_LATER, "office");
    say(5, 2, DELIVERY_UNKNOWN, "office");
    dump(before);
    buf_add_byte(before, '\0');
}

static void
test_what_was_is_again(void **state)
{
    static const struct {
        enum steer_what what;
        const char *target;
    } commands[] = {
        {STEER_HOLD, ""}, {STEER_DISCARD, ""}, {STEER_REDIRECT, "spare"}};
    struct buf before = {0};

    (void)state;
    bring_three(&before);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(
            steer(commands[i].what, i + 1, 5, 0, commands[i].target), 3);
        assert_int_equal(count_undo(), 4);
        for (uint64_t n = 1; n <= 3; n++)
            assert_int_equal(undo(i + 1, T0 + 100, 5, n), 1);
        assert_same(&before);
        assert_int_equal(count_undo(), 0);
        assert_int_equal(undo(i + 1, T0 + 100, 5, 1), 0);
        assert_ledger(3);
    }
    buf_free(&before);
}

/* Commands one upon the other, taken back from the last. */
static void
test_one_after_the_other(void **state)
{
    struct buf before = {0};

    (void)state;
    bring_three(&before);
    assert_int_equal(steer(STEER_HOLD, 1, 5, 0, ""), 3);
    assert_int_equal(steer(STEER_REDIRECT, 2, 5, 2, "spare"), 1);
    assert_int_equal(steer(STEER_RELEASE, 3, 5, 0, ""), 3);
    assert_int_equal(steer(STEER_DISCARD, 4, 5, 0, ""), 3);
    for (uint64_t n = 1; n <= 3; n++)
        assert_int_equal(undo(4, T0 + 100, 5, n), 1);
    assert_int_equal(delivery_of(5, 0).state, DELIVERY_READY);
    for (uint64_t n = 1; n <= 3; n++)
        assert_int_equal(undo(3, T0 + 100, 5, n), 1);
    assert_int_equal(delivery_of(5, 1).state, DELIVERY_HELD);
    assert_int_equal(undo(2, T0 + 100, 5, 2), 1);
    for (uint64_t n = 1; n <= 3; n++)
        assert_int_equal(undo(1, T0 + 100, 5, n), 1);
    assert_same(&before);
    assert_ledger(3);
    buf_free(&before);
}

static void
test_what_changed_since_stays(void **state)
{
    (void)state;
    bring(5, 2);
    steer(STEER_HOLD, 1, 5, 0, "");
    steer(STEER_RELEASE, 2, 5, 1, "");
    say(5, 0, DELIVERY_DELIVERED, "office");
    assert_int_equal(undo(1, T0 + 600, 5, 1), 0);
    assert_int_equal(delivery_of(5, 0).state, DELIVERY_DELIVERED);
    assert_int_equal(undo(2, T0 + 600, 5, 1), 0);
    assert_int_equal(undo(1, T0 + 600, 5, 2), 1);
    assert_int_equal(delivery_of(5, 1).state, DELIVERY_READY);
    assert_int_equal(count_undo(), 0);
    assert_ledger(1);
}

static void
test_its_time_came_meanwhile(void **state)
{
    struct delivery row;

    (void)state;
    bring(5, 1);
    say(5, 0, DELIVERY_LATER, "office");
    steer(STEER_HOLD, 1, 5, 0, "");
    assert_int_equal(undo(1, T0 + 2 * HOUR, 5, 1), 1);
    row = delivery_of(5, 0);
    assert_int_equal(row.state, DELIVERY_READY);
    assert_int_equal(row.next_ms, 0);
    assert_int_equal(row.changed_ms, T0 + 2 * HOUR);
}

/* The clock of hold-for: what stood still stays so, what ran ran. */
static void
test_the_clock(void **state)
{
    (void)state;
    health(1000);
    bring(5, 1);
    health(5000);
    steer(STEER_DISCARD, 1, 5, 0, "");
    health(900000);
    assert_int_equal(undo(1, T0 + 100, 5, 1), 1);
    assert_int_equal(delivery_of(5, 0).spent_ms, 4000);
    assert_int_equal(delivery_of(5, 0).reach_ms, 900000);
}

static void
test_again_is_undone(void **state)
{
    struct seen seen;

    (void)state;
    bring(5, 2);
    say(5, 0, DELIVERY_DELIVERED, "office");
    say(5, 1, DELIVERY_DROPPED, "office");
    assert_int_equal(steer(STEER_AGAIN, 1, 5, 0, ""), 1);
    assert_ledger(1);
    assert_int_equal(undo(1, T0 + 700, 5, 1), 1);
    assert_int_equal(delivery_of(5, 0).state, DELIVERY_DELIVERED);
    assert_int_equal(delivery_of(5, 0).changed_ms, T0 + 500);
    assert_int_equal(delivery_of(5, 0).attempts, 1);
    seen = assert_ledger(0);
    assert_int_equal(seen.event, EVENT_DELIVERED);
    assert_string_equal(seen.text, "replay again was undone");
}

/* Kept for no time, a message goes as it is discarded. */
static void
test_what_is_gone_is_passed_over(void **state)
{
    struct proto_steer_item item = {5, 1};
    struct proto_steer steer = {.what = STEER_DISCARD,
                                .when_ms = T0,
                                .items = {&item, 1},
                                .number = 1,
                                .began_ms = T0};

    (void)state;
    bring(5, 1);
    assert_int_equal(apply(STORE_STEER, 0, &proto_steer_record, &steer, NULL),
                     APPLY_OK);
    assert_int_equal(count_undo(), 2);
    assert_int_equal(undo(1, T0 + 100, 5, 1), 0);
    assert_int_equal(count_undo(), 0);
    assert_ledger(0);
}

static void
test_one_number_means_one_command(void **state)
{
    struct proto_steer_item item = {5, 1};
    struct proto_steer steer = {.what = STEER_HOLD,
                                .when_ms = T0,
                                .items = {&item, 1},
                                .number = 7,
                                .began_ms = T0 + 1};
    struct proto_steer_item of_other = {6, 1};
    struct proto_steer other = steer;

    (void)state;
    other.items.items = &of_other;
    other.began_ms = T0;
    bring(5, 1);
    bring(6, 1);
    assert_int_equal(
        apply(STORE_STEER, HOUR, &proto_steer_record, &other, NULL), APPLY_OK);
    assert_int_equal(
        apply(STORE_STEER, HOUR, &proto_steer_record, &steer, NULL),
        APPLY_UNDO);
    assert_int_equal(delivery_of(5, 0).state, DELIVERY_READY);
}

static void
trim(uint64_t before_ms, uint64_t max, uint64_t want)
{
    struct store_undo_trim trim = {before_ms, max};
    uint64_t count;

    assert_int_equal(
        apply(STORE_UNDO_TRIM, 0, &store_undo_trim_record, &trim, &count),
        APPLY_OK);
    assert_int_equal(count, want);
}

static void
test_after_an_hour(void **state)
{
    (void)state;
    bring(5, 3);
    steer(STEER_HOLD, 1, 5, 0, "");
    steer(STEER_RELEASE, 20, 5, 0, "");
    trim(T0, 100, 0);
    trim(T0 + 1, 2, 2); /* the command's own row goes first */
    trim(T0 + 1, 100, 2);
    assert_int_equal(count_undo(), 4);
    assert_int_equal(undo(1, T0 + 100, 5, 1), 0);
    assert_int_equal(undo(20, T0 + 100, 5, 1), 1);
    trim(T0 + 20, 100, 3);
    assert_int_equal(count_undo(), 0);
}

/* --- redirect ------------------------------------------------------------- */

static void
assert_target(uint64_t id, uint64_t n, const char *target, const char *home)
{
    struct db_message message;
    const struct delivery *row;
    struct why why;

    assert_int_equal(db_read_message(db, id, &message, &why), 1);
    row = &message.deliveries[n].delivery;
    assert_true(view_equal(row->target, view_of(target)));
    assert_true(view_equal(row->home, view_of(home)));
    db_message_free(&message);
}

static void
test_redirect(void **state)
{
    (void)state;
    bring(5, 3);
    say(5, 1, DELIVERY_LATER, "office");
    say(5, 2, DELIVERY_UNKNOWN, "office");
    assert_int_equal(steer(STEER_REDIRECT, 1, 5, 0, "office"), 0);
    assert_int_equal(steer(STEER_REDIRECT, 2, 5, 0, ""), 0);
    assert_int_equal(steer(STEER_REDIRECT, 3, 5, 0, "spare"), 3);
    for (uint64_t n = 0; n < 3; n++)
        assert_target(5, n, "spare", "office");
    assert_int_equal(delivery_of(5, 1).state, DELIVERY_READY);
    assert_int_equal(delivery_of(5, 2).state, DELIVERY_UNKNOWN);
    assert_string_equal(assert_ledger(3).text, "spare: a test");
    assert_int_equal(steer(STEER_REDIRECT, 4, 5, 1, "third"), 1);
    assert_target(5, 0, "third", "office");
    assert_int_equal(steer(STEER_REDIRECT, 5, 5, 0, ""), 3);
    for (uint64_t n = 0; n < 3; n++)
        assert_target(5, n, "office", "");
    assert_ledger(3);
}

/* Found by its new target as well: the signature says so. */
static void
test_redirect_is_found(void **state)
{
    struct sieve mask = {0};
    uint64_t cursor = 0, ids[1000];
    size_t blocks = 10;
    struct why why;

    (void)state;
    bring(5, 1);
    sieve_add(&mask, SIEVE_TARGET, VIEW("spare"));
    assert_int_equal(
        db_read_sieve(db, &mask, &cursor, &blocks, ids, 1000, &why), 0);
    steer(STEER_REDIRECT, 1, 5, 0, "spare");
    cursor = 0;
    blocks = 10;
    assert_int_equal(
        db_read_sieve(db, &mask, &cursor, &blocks, ids, 1000, &why), 1);
    assert_int_equal(ids[0], 5);
}

static void
test_the_former_target(void **state)
{
    (void)state;
    bring(5, 4);
    steer(STEER_REDIRECT, 1, 5, 0, "spare");
    assert_int_equal(say(5, 0, DELIVERY_LATER, "office"), 0);
    assert_int_equal(say(5, 1, DELIVERY_RETURNED, "office"), 0);
    assert_int_equal(delivery_of(5, 0).state, DELIVERY_READY);
    assert_int_equal(delivery_of(5, 1).state, DELIVERY_READY);
    /* It may have these two. */
    assert_int_equal(say(5, 2, DELIVERY_DELIVERED, "office"), 1);
    assert_int_equal(say(5, 3, DELIVERY_UNKNOWN, "office"), 1);
    assert_int_equal(delivery_of(5, 2).state, DELIVERY_DELIVERED);
    assert_int_equal(delivery_of(5, 3).state, DELIVERY_UNKNOWN);
    assert_target(5, 3, "spare", "office");
    assert_int_equal(say(5, 0, DELIVERY_LATER, "spare"), 1);
    assert_ledger(3);
}

/* --- return --------------------------------------------------------------- */

static uint64_t
give_back(uint64_t id, uint64_t n)
{
    struct proto_result result = {.n = n};
    struct proto_outcome outcome = {.id = id,
                                    .when_ms = T0,
                                    .results = {&result, 1},
                                    .what = OUTCOME_RETURN,
                                    .by = VIEW("root"),
                                    .reason = VIEW("closed")};
    uint64_t count;

    assert_int_equal(
        apply(STORE_OUTCOME, HOUR, &proto_outcome_record, &outcome, &count),
        APPLY_OK);
    return count;
}

static void
test_return(void **state)
{
    struct seen seen;

    (void)state;
    bring(5, 2);
    assert_int_equal(give_back(5, 1), 1);
    seen = assert_ledger(1);
    assert_int_equal(seen.event, EVENT_RETURNED);
    assert_string_equal(seen.by, "root");
    assert_string_equal(seen.text, "closed");
    assert_int_equal(give_back(5, 1), 0);
    assert_int_equal(give_back(99, 0), 0); /* gone: nothing is late */
    assert_int_equal(give_back(5, 0), 1);
    assert_int_equal(delivery_of(5, 0).state, DELIVERY_RETURNED);
    assert_ledger(0);
}

#define TEST(function)                                                         \
    cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_is_again),
        TEST(test_one_after_the_other),
        TEST(test_what_changed_since_stays),
        TEST(test_its_time_came_meanwhile),
        TEST(test_the_clock),
        TEST(test_again_is_undone),
        TEST(test_what_is_gone_is_passed_over),
        TEST(test_one_number_means_one_command),
        TEST(test_after_an_hour),
        TEST(test_redirect),
        TEST(test_redirect_is_found),
        TEST(test_the_former_target),
        TEST(test_return),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
