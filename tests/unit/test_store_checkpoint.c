/* SPDX-License-Identifier: ISC */
/*
 * Checkpoints, carried acceptances and the going of old entries: the rules
 * hold whatever is asked, and the accounts from the cut on are whole.
 */
#include "bytes.h"
#include "event.h"
#include "key_file.h"
#include "ledger_balance.h"
#include "seal.h"
#include "store_fixture.h"

static uint64_t
last_entry(struct fixture *f)
{
    struct buf memory = {0};
    struct db_totals totals;
    struct why why;

    db_read_totals(f->db, &totals, &memory, &why);
    buf_free(&memory);
    return totals.seq;
}

static const char some[KEY_SIGNATURE];

static enum apply_result
checkpoint(struct fixture *f, uint64_t seq)
{
    struct checkpoint row = {.seq = seq,
                             .when_ms = T0,
                             .head = {some, LEDGER_HASH},
                             .public = {some, KEY_SIGN_PUBLIC},
                             .signature = {some, KEY_SIGNATURE}};

    return fixture_apply(f, STORE_CHECKPOINT, 0, &checkpoint_record, &row);
}

static enum apply_result
carry(struct fixture *f, const uint64_t *ids, size_t n, uint64_t up_to)
{
    struct proto_id *items = calloc(n + 1, sizeof(*items));
    struct proto_ids payload = {
        .when_ms = T0, .ids = {items, n}, .up_to = up_to};
    enum apply_result result;

    for (size_t i = 0; i < n; i++)
        items[i].id = ids[i];
    result = fixture_apply(f, STORE_CARRY, 0, &proto_ids_record, &payload);
    free(items);
    return result;
}

static enum apply_result
trim(struct fixture *f, uint64_t seq, uint64_t max)
{
    struct store_trim payload = {seq, max};

    return fixture_apply(f, STORE_TRIM, 0, &store_trim_record, &payload);
}

static bool
note_seq(void *arg, uint64_t seq, struct view value)
{
    (void)value;
    *(uint64_t *)arg = seq;
    return false;
}

static uint64_t
first_entry(struct fixture *f)
{
    uint64_t seq = 0;
    struct why why;

    assert_true(db_read_ledger(f->db, 0, 1, note_seq, &seq, &why) >= 0);
    return seq;
}

static uint64_t
checkpoint_after(struct fixture *f, uint64_t seq)
{
    struct buf memory = {0};
    struct checkpoint row;
    struct why why;
    int found = db_read_checkpoint_after(f->db, seq, &row, &memory, &why);

    buf_free(&memory);
    return found == 1 ? row.seq : 0;
}

/* --- checkpoints -----------------------------------------------------------
 */

static void
test_checkpoint(void **state)
{
    struct fixture *f = *state;

    fixture_submit(f, ID(1), 1);
    assert_int_equal(checkpoint(f, 2), APPLY_REFUSED); /* not there yet */
    assert_int_equal(checkpoint(f, 0), APPLY_REFUSED);
    assert_int_equal(checkpoint(f, 1), APPLY_OK);
    assert_int_equal(checkpoint_after(f, 0), 1);
    assert_int_equal(last_entry(f), 2); /* it tells of itself */
}

static void
test_checkpoint_without_a_signature(void **state)
{
    struct fixture *f = *state;
    struct checkpoint row = {.seq = 1,
                             .when_ms = T0,
                             .head = {some, LEDGER_HASH},
                             .public = {some, KEY_SIGN_PUBLIC}};

    fixture_submit(f, ID(1), 1);
    assert_int_equal(
        fixture_apply(f, STORE_CHECKPOINT, 0, &checkpoint_record, &row),
        APPLY_REFUSED);
    assert_int_equal(checkpoint_after(f, 0), 0);
}

/* --- carried ---------------------------------------------------------------
 */

struct seen {
    struct ledger_balance *balance;
    uint64_t carried;
    char text[64];
};

static void
no_fault(void *arg, enum ledger_fault fault, uint64_t seq,
         const struct ledger_entry *entry)
{
    (void)arg;
    (void)entry;
    fail_msg("fault %d at entry %d", (int)fault, (int)seq);
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
    if (entry.event == EVENT_CARRIED) {
        seen->carried++;
        snprintf(seen->text, sizeof(seen->text), "%.*s", (int)entry.text.len,
                 entry.text.data);
        if (entry.id != 0 && entry.n == 0)
            assert_int_equal(entry.digest.len, MESSAGE_DIGEST);
    }
    ledger_balance_add(seen->balance, seq, &entry);
    return true;
}

static void
see(struct fixture *f, uint64_t cut, struct seen *seen)
{
    struct why why;

    *seen = (struct seen){
        .balance = ledger_balance_new(LEDGER_FROM_CUT, cut, no_fault, NULL)};
    assert_true(db_read_ledger(f->db, cut + 1, 1000, see_entry, seen, &why) >=
                0);
}

/* Open, kept, partly ended and gone ones before the cut; the accounts from
 * the cut on know them all. */
static void
test_a_cut(void **state)
{
    struct fixture *f = *state;
    uint64_t ids[] = {ID(1), ID(2), ID(3), ID(4)};
    struct ledger_open open;
    struct seen seen;
    uint64_t cut;

    fixture_submit(f, ID(1), 1);
    fixture_submit(f, ID(2), 3);
    fixture_submit(f, ID(3), 1);
    fixture_submit(f, ID(4), 1);
    fixture_deliver(f, ID(2), 1, 1000);
    fixture_deliver(f, ID(3), 0, 1000); /* kept */
    cut = last_entry(f);
    assert_int_equal(checkpoint(f, cut), APPLY_OK);
    fixture_deliver(f, ID(4), 0, 0); /* gone before it would be carried */
    fixture_submit(f, ID(5), 2);
    assert_int_equal(carry(f, ids, 2, 0), APPLY_OK);
    assert_int_equal(f->count, 2);
    assert_int_equal(carry(f, ids + 2, 2, cut), APPLY_OK);
    assert_int_equal(f->count, 1);
    assert_int_equal(checkpoint(f, last_entry(f)), APPLY_OK);
    assert_int_equal(trim(f, cut, 1000), APPLY_OK);
    assert_int_equal(f->count, cut);
    assert_int_equal(first_entry(f), cut + 1);

    see(f, cut, &seen);
    assert_true(ledger_balance_is_whole(seen.balance));
    assert_int_equal(seen.carried, 3 + 2 + 1);
    assert_int_equal(ledger_balance_counts(seen.balance)->messages, 3);
    assert_int_equal(ledger_balance_counts(seen.balance)->accepted, 1 + 2 + 2);
    assert_int_equal(ledger_balance_counts(seen.balance)->earlier, 1);
    assert_true(ledger_balance_is_open(seen.balance, ID(1), 0));
    assert_false(ledger_balance_is_open(seen.balance, ID(2), 1));
    assert_true(ledger_balance_is_open(seen.balance, ID(2), 2));
    assert_true(ledger_balance_find(seen.balance, ID(1), &open));
    assert_true(open.has_digest);
    ledger_balance_free(&seen.balance);
}

/* --- old entries -----------------------------------------------------------
 */

static void
test_trim_needs_a_checkpoint(void **state)
{
    struct fixture *f = *state;

    fixture_submit(f, ID(1), 1);
    fixture_submit(f, ID(2), 1);
    fixture_submit(f, ID(3), 1);
    assert_int_equal(trim(f, 2, 100), APPLY_REFUSED);
    assert_int_equal(checkpoint(f, 2), APPLY_OK);
    assert_int_equal(trim(f, 1, 100), APPLY_REFUSED);
    assert_int_equal(trim(f, 3, 100), APPLY_REFUSED);
    assert_int_equal(first_entry(f), 1);
    assert_int_equal(trim(f, 2, 100), APPLY_OK);
    assert_int_equal(first_entry(f), 3);
}

static void
test_trim_in_portions(void **state)
{
    struct fixture *f = *state;

    for (uint64_t i = 1; i <= 10; i++)
        fixture_submit(f, ID(i), 1);
    assert_int_equal(checkpoint(f, 3), APPLY_OK);
    assert_int_equal(checkpoint(f, 6), APPLY_OK);
    assert_int_equal(checkpoint(f, 9), APPLY_OK);
    assert_int_equal(trim(f, 6, 4), APPLY_OK);
    assert_int_equal(f->count, 4);
    assert_int_equal(first_entry(f), 5);
    assert_int_equal(trim(f, 6, 4), APPLY_OK);
    assert_int_equal(f->count, 2);
    assert_int_equal(first_entry(f), 7);
    /* Of the checkpoints the one at the cut stays. */
    assert_int_equal(checkpoint_after(f, 0), 6);
    assert_int_equal(checkpoint_after(f, 6), 9);
    assert_int_equal(trim(f, 6, 4), APPLY_OK);
    assert_int_equal(f->count, 0);
}

/* --- signatures ------------------------------------------------------------
 */

static void
test_signed_bytes(void **state)
{
    struct key_file *file;
    char public[KEY_SIGN_PUBLIC], signature[KEY_SIGNATURE];
    struct checkpoint row = {.seq = 7,
                             .when_ms = T0,
                             .head = {some, LEDGER_HASH},
                             .accepted = 3,
                             .ended = 2};
    struct buf bytes = {0}, same = {0};

    (void)state;
    seal_init();
    file = key_file_new();
    ledger_signed_bytes(&row, &bytes);
    key_file_sign(file, buf_view(&bytes), public, signature);
    row.public = (struct view){public, sizeof(public)};
    row.signature = (struct view){signature, sizeof(signature)};
    ledger_signed_bytes(&row, &same); /* neither is part of it */
    assert_true(view_equal(buf_view(&bytes), buf_view(&same)));
    assert_true(key_verify(row.public, buf_view(&same), row.signature));
    row.ended++;
    buf_reset(&same);
    ledger_signed_bytes(&row, &same);
    assert_false(key_verify(row.public, buf_view(&same), row.signature));
    buf_free(&bytes);
    buf_free(&same);
    key_file_free(&file);
}

int
main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_checkpoint),
        TEST(test_checkpoint_without_a_signature),
        TEST(test_a_cut),
        TEST(test_trim_needs_a_checkpoint),
        TEST(test_trim_in_portions),
        cmocka_unit_test(test_signed_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
