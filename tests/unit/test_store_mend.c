/* SPDX-License-Identifier: ISC */
/*
 * Each illegal combination of rows is found and named, and what is done about
 * it leaves a store in which nothing is found: with the rest as it was. Rows
 * are broken here behind the store's back.
 */
#include "mend_fixture.h"

#include "body.h"
#include "event.h"

/* The row of a message or a delivery, changed by hand, with good check bytes.
 */
static void
change_message(struct fixture *f, uint64_t id,
               void (*change)(struct message *message))
{
    struct message message;
    struct db_txn *txn;
    struct why why;

    assert_int_equal(db_begin(f->db, &txn), DB_OK);
    assert_int_equal(db_get_message(txn, id, &message), DB_OK);
    change(&message);
    assert_int_equal(db_put_message(txn, id, &message), DB_OK);
    assert_int_equal(db_commit(&txn, &why), DB_OK);
}

static void
change_delivery(struct fixture *f, uint64_t id, uint64_t n, uint64_t state,
                uint64_t next_ms)
{
    struct delivery row;
    struct db_txn *txn;
    struct why why;

    assert_int_equal(db_begin(f->db, &txn), DB_OK);
    assert_int_equal(db_get_delivery(txn, id, n, &row), DB_OK);
    row.state = state;
    row.next_ms = next_ms;
    assert_int_equal(db_put_delivery(txn, id, n, &row), DB_OK);
    assert_int_equal(db_commit(&txn, &why), DB_OK);
}

/* Three messages: held by two recipients, held by one, finished. */
static void
three(struct fixture *f)
{
    fixture_submit(f, ID(1), 2);
    fixture_submit(f, ID(2), 1);
    fixture_submit(f, ID(3), 1);
    fixture_deliver(f, ID(3), 0, KEEP_MS);
    assert_sound(f);
}

static uint64_t
state_of(struct fixture *f, uint64_t id, uint64_t n)
{
    struct db_message message;
    struct why why;
    uint64_t state = 0;

    if (db_read_message(f->db, id, &message, &why) != 1)
        return 0;
    for (size_t i = 0; i < message.n_deliveries; i++)
        if (message.deliveries[i].n == n)
            state = message.deliveries[i].delivery.state;
    db_message_free(&message);
    return state;
}

/* --- messages and deliveries -----------------------------------------------
 */

static void
test_a_damaged_message_goes_aside_whole(void **state)
{
    struct fixture *f = *state;
    struct aside_row row;
    struct buf memory = {0};
    struct db_key key;
    struct why why;
    uint64_t number;
    size_t rows = 0;

    three(f);
    db_key_id(&key, ID(1));
    flip_row(f, DB_message, &key);
    assert_mended(f, "damaged message 0000000020000: its row cannot be used");
    assert_false(has_row(f, DB_message, &key));
    for (number = 0;
         db_read_aside_after(f->db, number, &number, &row, &memory, &why) == 1;
         rows++)
        assert_int_equal(row.id, ID(1));
    assert_int_equal(rows, 4); /* message, two deliveries, a part of content */
    assert_int_equal(n_rows(f, DB_ready), 1);
    assert_int_equal(state_of(f, ID(2), 0), DELIVERY_READY);
    buf_free(&memory);
}

static void
test_one_damaged_delivery_leaves_the_other(void **state)
{
    struct fixture *f = *state;
    struct db_key key;

    three(f);
    db_key_id_n(&key, ID(1), 0);
    flip_row(f, DB_delivery, &key);
    assert_mended(f, "recipient 1: its row cannot be used");
    assert_int_equal(n_rows(f, DB_aside), 1);
    assert_int_equal(state_of(f, ID(1), 1), DELIVERY_READY);
    assert_int_equal(n_rows(f, DB_ready), 2);
}

static void
test_without_a_recipient_left_it_goes_aside(void **state)
{
    struct fixture *f = *state;
    struct db_key key;

    three(f);
    db_key_id_n(&key, ID(2), 0);
    flip_row(f, DB_delivery, &key);
    assert_mended(f, "none is left to deliver to");
    db_key_id(&key, ID(2));
    assert_false(has_row(f, DB_message, &key));
    assert_int_equal(n_rows(f, DB_aside), 3);
}

static void
test_rows_without_a_message(void **state)
{
    struct fixture *f = *state;
    struct db_key key;

    three(f);
    db_key_id(&key, ID(1));
    drop_row(f, DB_message, &key);
    assert_mended(f, "it has rows of recipients, but none of its own");
    assert_int_equal(n_rows(f, DB_aside), 3);
    assert_int_equal(n_rows(f, DB_message), 2);
}

static void
test_content_without_a_message(void **state)
{
    struct fixture *f = *state;
    struct db_key key;

    three(f);
    db_key_part(&key, ID(9), 0, 0);
    put_row(f, DB_body, &key, VIEW("0lost"));
    assert_mended(f, "it has content, but no row of its own");
    assert_int_equal(n_rows(f, DB_aside), 1);
}

static void
test_a_state_there_is_not(void **state)
{
    struct fixture *f = *state;

    three(f);
    change_delivery(f, ID(1), 1, 77, 0);
    assert_mended(f, "it is in no state there is");
    assert_int_equal(state_of(f, ID(1), 0), DELIVERY_READY);
}

/* --- finished or not -------------------------------------------------------
 */

static void
finish_it(struct message *message)
{
    message->finished_ms = T0;
    message->purge_ms = T0 + 5;
}

static void
test_finished_with_an_open_delivery(void **state)
{
    struct fixture *f = *state;
    struct db_key key;

    three(f);
    change_message(f, ID(1), finish_it);
    db_key_later(&key, T0 + 5, ID(1), DB_LATER_PURGE);
    put_row(f, DB_later, &key, (struct view){NULL, 0});
    assert_mended(f, "it is finished, but has deliveries that are open");
    assert_false(has_row(f, DB_later, &key)); /* it would have gone */
    assert_int_equal(n_rows(f, DB_aside), 0);
}

static void
test_ended_and_not_finished(void **state)
{
    struct fixture *f = *state;
    struct db_key key;

    three(f);
    db_key_ready(&key, VIEW("office"), fixture_flow(), ID(2), 0);
    drop_row(f, DB_ready, &key);
    change_delivery(f, ID(2), 0, DELIVERY_DELIVERED, 0);
    assert_mended(f, "no delivery is open, but it is not finished");
    db_key_later(&key, T0 + KEEP_MS, ID(2), DB_LATER_PURGE);
    assert_true(has_row(f, DB_later, &key));
}

static void
test_finished_and_never_to_go(void **state)
{
    struct fixture *f = *state;
    struct db_key key;

    three(f);
    db_key_later(&key, T0 + KEEP_MS, ID(3), DB_LATER_PURGE);
    drop_row(f, DB_later, &key);
    assert_mended(f, "has no time at which it goes");
    assert_true(has_row(f, DB_later, &key));
}

/* --- indexes ---------------------------------------------------------------
 */

static void
test_ready_and_nowhere(void **state)
{
    struct fixture *f = *state;
    struct db_key key;

    three(f);
    db_key_ready(&key, VIEW("office"), fixture_flow(), ID(1), 1);
    drop_row(f, DB_ready, &key);
    assert_mended(f, "it is ready, but not in the table ready");
    assert_true(has_row(f, DB_ready, &key));
}

static void
test_waiting_and_nowhere(void **state)
{
    struct fixture *f = *state;
    struct db_key key;

    three(f);
    db_key_ready(&key, VIEW("office"), fixture_flow(), ID(2), 0);
    drop_row(f, DB_ready, &key);
    change_delivery(f, ID(2), 0, DELIVERY_LATER, T0 + 77);
    assert_mended(f, "it waits, but not in the table later");
    db_key_later(&key, T0 + 77, ID(2), 0);
    assert_true(has_row(f, DB_later, &key));
}

static void
test_index_rows_of_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {"no such delivery", "is not ready",
                                        "another target", "no such message",
                                        "is not finished"};
    struct found found = {.n = 0};
    struct db_key key;

    three(f);
    db_key_ready(&key, VIEW("office"), VIEW("x.example"), ID(77), 0);
    put_row(f, DB_ready, &key, (struct view){NULL, 0});
    db_key_ready(&key, VIEW("office"), fixture_flow(), ID(3), 0);
    put_row(f, DB_ready, &key, (struct view){NULL, 0});
    db_key_ready(&key, VIEW("other"), fixture_flow(), ID(1), 0);
    put_row(f, DB_ready, &key, (struct view){NULL, 0});
    db_key_later(&key, T0, ID(77), DB_LATER_PURGE);
    put_row(f, DB_later, &key, (struct view){NULL, 0});
    db_key_later(&key, T0, ID(1), DB_LATER_PURGE);
    put_row(f, DB_later, &key, (struct view){NULL, 0});
    db_key_id(&key, 5);
    put_row(f, DB_later, &key, (struct view){NULL, 0});
    look(f, &found, true);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strstr(found.text, texts[i]) == NULL)
            fail_msg("no \"%s\" in %s", texts[i], found.text);
    assert_int_equal(found.n, 6);
    buf_free(&found.items);
    assert_mended(f, "its key is none");
    assert_int_equal(n_rows(f, DB_ready), 3);
    assert_int_equal(n_rows(f, DB_later), 1);
}

/* --- content ---------------------------------------------------------------
 */

static void
test_content_with_another_digest(void **state)
{
    struct fixture *f = *state;
    struct db_key key;

    three(f);
    db_key_part(&key, ID(2), 0, 0);
    flip_row(f, DB_body, &key);
    assert_mended(f, "its content is not what came in");
    assert_int_equal(n_rows(f, DB_message), 2);
}

static void
test_content_that_is_missing(void **state)
{
    struct fixture *f = *state;
    struct db_key key;

    three(f);
    db_key_part(&key, ID(2), 0, 0);
    drop_row(f, DB_body, &key);
    assert_mended(f, "parts of its content are missing");
    assert_int_equal(n_rows(f, DB_message), 2);
}

static void
test_content_that_is_too_much(void **state)
{
    struct fixture *f = *state;
    struct db_key key;

    three(f);
    db_key_part(&key, ID(2), 1, 0);
    put_row(f, DB_body, &key, VIEW("0more"));
    assert_mended(f, "a part of content it does not have");
    assert_int_equal(n_rows(f, DB_message), 3);
    assert_int_equal(n_rows(f, DB_aside), 1);
}

/* --- signatures ------------------------------------------------------------
 */

static void
test_signatures(void **state)
{
    struct fixture *f = *state;
    struct db_key key;
    char block[DB_SIEVE_BYTES] = {0};
    struct sieve mask = {{0}};
    uint64_t cursor = 0, ids[1000];
    size_t blocks = 100;
    struct why why;

    three(f);
    bytes_put32(block, 1);
    bytes_put32(block + 4, 1);
    bytes_put64(block + DB_SIEVE_HEADER, ID(55)); /* nobody */
    db_key_id(&key, 1);
    put_row(f, DB_sieve, &key, (struct view){block, sizeof(block)});
    assert_mended(f, "it has no right signature");
    sieve_add(&mask, SIEVE_FROM, VIEW("anna@client.example"));
    assert_int_equal(
        db_read_sieve(f->db, &mask, &cursor, &blocks, ids, 1000, &why), 3);
    put_row(f, DB_sieve, &key, VIEW("no block"));
    assert_mended(f, "it is no block");
}

/* --- sums ------------------------------------------------------------------
 */

static void
test_sums(void **state)
{
    struct fixture *f = *state;
    struct db_totals totals;
    struct domain_share share;
    struct buf name = {0};
    struct db_txn *txn;
    struct found found = {.n = 0};
    struct why why;

    three(f);
    assert_int_equal(db_begin(f->db, &txn), DB_OK);
    assert_int_equal(db_get_totals(txn, &totals), DB_OK);
    totals.held += 7;
    totals.held_stored -= 1;
    totals.on_hold = 3;
    assert_int_equal(db_put_totals(txn, &totals), DB_OK);
    share = (struct domain_share){.messages = 9, .stored = 9};
    assert_int_equal(db_put_share(txn, VIEW("nobody.example"), &share), DB_OK);
    assert_int_equal(db_del_share(txn, VIEW("example.com")), DB_OK);
    assert_int_equal(db_commit(&txn, &why), DB_OK);
    look(f, &found, true);
    assert_int_equal(found.n, 5);
    /* What happens between the look and the repair does not matter. */
    fixture_submit(f, ID(4), 1);
    assert_int_equal(mend(f, &found), 5);
    buf_free(&found.items);
    assert_sound(f);
    assert_int_equal(db_read_share_after(f->db, VIEW(""), &name, &share, &why),
                     1);
    assert_true(view_equal(buf_view(&name), VIEW("example.com")));
    assert_int_equal(share.messages, 4);
    buf_free(&name);
}

static void
test_damaged_rows_of_the_small_tables(void **state)
{
    struct fixture *f = *state;
    struct target_health health = {.name = VIEW("office"), .state = TARGET_UP};
    struct db_key key;

    three(f);
    assert_int_equal(
        fixture_apply(f, STORE_HEALTH, 0, &target_health_record, &health),
        APPLY_OK);
    db_key_name(&key, VIEW("office"));
    flip_row(f, DB_target, &key);
    db_key_name(&key, VIEW("example.com"));
    flip_row(f, DB_domain, &key);
    assert_mended(f, "row \"office\" of target");
    assert_int_equal(n_rows(f, DB_aside), 2);
    assert_int_equal(n_rows(f, DB_domain), 1); /* counted anew */
}

/* --- while it is damaged ---------------------------------------------------
 */

/* Rows of later that are due, of which one cannot be read. */
static void
test_what_is_damaged_holds_up_nobody(void **state)
{
    struct fixture *f = *state;
    struct store_due_row rows[] = {{T0 + 1, ID(1), 0}, {T0 + 1, ID(2), 0}};
    struct store_due due = {.rows = {rows, 2}};
    struct db_key key;

    three(f);
    for (size_t i = 0; i < 2; i++) {
        struct proto_result result = {.state = DELIVERY_LATER,
                                      .code = 450,
                                      .reply = VIEW("later"),
                                      .next_ms = T0 + 1};
        struct proto_outcome outcome = {
            .id = rows[i].id, .when_ms = T0, .results = {&result, 1}};

        assert_int_equal(fixture_apply(f, STORE_OUTCOME, KEEP_MS,
                                       &proto_outcome_record, &outcome),
                         APPLY_OK);
    }
    db_key_id(&key, ID(1));
    flip_row(f, DB_message, &key);
    db_key_name(&key, VIEW("example.com"));
    flip_row(f, DB_domain, &key);
    assert_int_equal(
        fixture_apply(f, STORE_DUE, KEEP_MS, &store_due_record, &due),
        APPLY_OK);
    assert_int_equal(state_of(f, ID(2), 0), DELIVERY_READY);
    fixture_submit(f, ID(4), 1);
    fixture_deliver(f, ID(4), 0, 0);
    assert_mended(f, "its row cannot be used");
}

/* --- what must stay as it is -----------------------------------------------
 */

/* An item about a row that is right by the time it is applied. */
static void
test_what_is_right_stays(void **state)
{
    struct fixture *f = *state;
    struct proto_mend_item items[6] = {{0}};
    struct proto_mend list = {.when_ms = T0, .items = {items, 6}};
    struct db_key ready, message, delivery, part;
    struct buf before = {0}, after = {0};
    struct why why;

    three(f);
    db_key_ready(&ready, VIEW("office"), fixture_flow(), ID(1), 0);
    db_key_id(&message, ID(1));
    db_key_id_n(&delivery, ID(1), 1);
    db_key_part(&part, ID(1), 0, 0);
    items[0] = (struct proto_mend_item){.what = MEND_DROP,
                                        .table = VIEW("ready"),
                                        .key = {ready.bytes, ready.len}};
    items[1] = (struct proto_mend_item){.what = MEND_ASIDE,
                                        .table = VIEW("message"),
                                        .key = {message.bytes, message.len},
                                        .id = ID(1)};
    items[2] = (struct proto_mend_item){.what = MEND_ASIDE,
                                        .table = VIEW("delivery"),
                                        .key = {delivery.bytes, delivery.len},
                                        .id = ID(1)};
    items[3] = (struct proto_mend_item){.what = MEND_ASIDE,
                                        .table = VIEW("body"),
                                        .key = {part.bytes, part.len},
                                        .id = ID(1)};
    items[4] = (struct proto_mend_item){.what = MEND_FINISH, .id = ID(1)};
    items[5] = (struct proto_mend_item){
        .what = MEND_ASIDE, .table = VIEW("setting"), .key = VIEW("totals")};
    assert_int_equal(db_dump(f->db, &before, &why), 0);
    assert_int_equal(
        fixture_apply(f, STORE_MEND, KEEP_MS, &proto_mend_record, &list),
        APPLY_OK);
    assert_int_equal(f->count, 0);
    assert_int_equal(db_dump(f->db, &after, &why), 0);
    assert_true(view_equal(buf_view(&before), buf_view(&after)));
    buf_free(&before);
    buf_free(&after);
}

/* db_repair is the same without the store role. */
static void
test_repair_in_one_go(void **state)
{
    struct fixture *f = *state;
    const struct db_mend_times times = {T0, KEEP_MS};
    struct db_repair_counts counts;
    struct found found = {.n = 0};
    struct db_key key;
    struct why why;

    three(f);
    db_key_id(&key, ID(1));
    flip_row(f, DB_message, &key);
    db_key_ready(&key, VIEW("office"), fixture_flow(), ID(2), 0);
    drop_row(f, DB_ready, &key);
    assert_int_equal(db_repair(f->db, false, true, &times, on_finding, &found,
                               &counts, &why),
                     0);
    /* And what follows from the first: a signature, two rows in ready. */
    assert_int_equal(counts.found, 5);
    assert_int_equal(counts.left, 5);
    assert_int_equal(counts.mended, 0);
    assert_int_equal(
        db_repair(f->db, true, true, &times, NULL, NULL, &counts, &why), 0);
    assert_int_equal(counts.left, 0);
    assert_true(counts.mended >= 2);
    assert_sound(f);
    buf_free(&found.items);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_damaged_message_goes_aside_whole),
        TEST(test_one_damaged_delivery_leaves_the_other),
        TEST(test_without_a_recipient_left_it_goes_aside),
        TEST(test_rows_without_a_message),
        TEST(test_content_without_a_message),
        TEST(test_a_state_there_is_not),
        TEST(test_finished_with_an_open_delivery),
        TEST(test_ended_and_not_finished),
        TEST(test_finished_and_never_to_go),
        TEST(test_ready_and_nowhere),
        TEST(test_waiting_and_nowhere),
        TEST(test_index_rows_of_nothing),
        TEST(test_content_with_another_digest),
        TEST(test_content_that_is_missing),
        TEST(test_content_that_is_too_much),
        TEST(test_signatures),
        TEST(test_sums),
        TEST(test_damaged_rows_of_the_small_tables),
        TEST(test_what_is_damaged_holds_up_nobody),
        TEST(test_what_is_right_stays),
        TEST(test_repair_in_one_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
