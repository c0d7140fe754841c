/* SPDX-License-Identifier: ISC */
/*
 * An audit while the store goes on: changes come exactly where they would
 * deceive it, between reading a row and reading the ledger, and under the
 * walk of the ledger. Neither a false finding nor a missed one.
 */
#include "control_audit.h"
#include "event.h"
#include "store_fixture.h"

/* --- what stands between two reads -----------------------------------------
 */

/* The linker sends calls of db_read_message here. */
int __real_db_read_message(struct db *db, uint64_t id, struct db_message *out,
                           struct why *why);
int __wrap_db_read_message(struct db *db, uint64_t id, struct db_message *out,
                           struct why *why);

static struct {
    struct fixture *f;
    uint64_t id; /* a delivery ends before it is read the next time, and one */
    int times;   /* after each read, until none of these is left */
    bool before;
} meanwhile;

static void
end_one(uint64_t id)
{
    if (meanwhile.times == 0 || id != meanwhile.id)
        return;
    meanwhile.times--;
    fixture_deliver(meanwhile.f, id, (uint64_t)meanwhile.times, 0);
}

int
__wrap_db_read_message(struct db *db, uint64_t id, struct db_message *out,
                       struct why *why)
{
    int found;

    if (meanwhile.before && id == meanwhile.id)
        end_one(id);
    if (id == meanwhile.id)
        meanwhile.before = false;
    found = __real_db_read_message(db, id, out, why);
    end_one(id);
    return found;
}

/* --- an audit without a client ---------------------------------------------
 */

static unsigned n_found;
static char last_found[64];

void
audit_find(struct audit *audit, const struct audit_about *about,
           const char *format, ...)
{
    (void)format;
    audit->n_findings++;
    n_found++;
    snprintf(last_found, sizeof(last_found), "%s", about->what);
}

static void
audit_end(struct audit *audit)
{
    ledger_balance_free(&audit->balance);
    buf_free(&audit->suspects);
    buf_free(&audit->aside);
}

/* Steps until the phase is over; what it answered last. */
static int
run(struct audit *audit, struct fixture *f,
    int (*step)(struct audit *audit, struct db *db, struct why *why))
{
    struct why why;
    int more = 1;

    for (int i = 0; more == 1 && i < 10000; i++)
        more = step(audit, f->db, &why);
    return more;
}

static void
begin(struct audit *audit, struct fixture *f)
{
    struct why why;

    *audit = (struct audit){0};
    n_found = 0;
    meanwhile.times = 0;
    assert_int_equal(audit_chain_begin(audit, f->db, &why), 0);
}

static void
finish(struct audit *audit, struct fixture *f)
{
    assert_int_equal(run(audit, f, audit_rows_step), 0);
    assert_int_equal(run(audit, f, audit_parts_step), 0);
    assert_int_equal(run(audit, f, audit_totals_step), 0);
    audit_end(audit);
}

/* --- tests -----------------------------------------------------------------
 */

static void
test_clean(void **state)
{
    struct fixture *f = *state;
    struct audit audit;

    fixture_submit(f, ID(1), 2);
    fixture_submit(f, ID(2), 1);
    fixture_deliver(f, ID(2), 0, 1000);
    begin(&audit, f);
    assert_int_equal(run(&audit, f, audit_chain_step), 0);
    finish(&audit, f);
    assert_int_equal(n_found, 0);
}

/* A delivery ends after its row was read as open, at the first look and at
 * each of the next ones. */
static void
test_ends_under_the_look(void **state)
{
    struct fixture *f = *state;
    struct audit audit;

    fixture_submit(f, ID(1), 1);
    fixture_submit(f, ID(2), 5);
    fixture_deliver(f, ID(1), 0, 0);
    begin(&audit, f);
    assert_int_equal(run(&audit, f, audit_chain_step), 0);
    meanwhile.f = f;
    meanwhile.id = ID(2);
    meanwhile.times = 4;
    meanwhile.before = true;
    finish(&audit, f);
    assert_int_equal(meanwhile.times, 0);
    assert_int_equal(n_found, 0);
}

/* Messages that come while rows are read, behind where the walk is. */
static void
test_comes_behind_the_walk(void **state)
{
    struct fixture *f = *state;
    struct audit audit;

    fixture_submit(f, ID(5), 1);
    begin(&audit, f);
    assert_int_equal(run(&audit, f, audit_chain_step), 0);
    assert_int_equal(run(&audit, f, audit_rows_step), 0);
    fixture_submit(f, ID(3), 1);
    fixture_submit(f, ID(4), 1);
    fixture_deliver(f, ID(4), 0, 0);
    finish(&audit, f);
    assert_int_equal(n_found, 0);
}

static void
test_found_all_the_same(void **state)
{
    struct fixture *f = *state;
    struct db_txn *txn;
    struct audit audit;
    struct why why;

    fixture_submit(f, ID(1), 1);
    fixture_submit(f, ID(2), 1);
    assert_int_equal(db_begin(f->db, &txn), DB_OK);
    assert_int_equal(db_del_message(txn, ID(1)), DB_OK);
    assert_int_equal(db_commit(&txn, &why), DB_OK);
    begin(&audit, f);
    assert_int_equal(run(&audit, f, audit_chain_step), 0);
    finish(&audit, f);
    assert_int_equal(n_found, 1);
    assert_string_equal(last_found, "lost");
}

/* Old entries go under the walk: it says that it must begin anew, and is not
 * deceived into missing ones. */
static void
test_trimmed_under_the_walk(void **state)
{
    struct fixture *f = *state;
    static const char some[KEY_SIGNATURE];
    struct checkpoint row = {.seq = 5000,
                             .when_ms = T0,
                             .head = {some, LEDGER_HASH},
                             .public = {some, KEY_SIGN_PUBLIC},
                             .signature = {some, KEY_SIGNATURE}};
    struct store_trim trim = {5000, 10000};
    struct ledger_entry note = {.when_ms = T0, .event = EVENT_STARTED};
    struct audit audit;
    struct why why;

    for (int i = 0; i < 6000; i++)
        assert_int_equal(
            fixture_apply(f, STORE_NOTE, 0, &ledger_entry_record, &note),
            APPLY_OK);
    begin(&audit, f);
    assert_int_equal(audit_chain_step(&audit, f->db, &why), 1);
    assert_int_equal(
        fixture_apply(f, STORE_CHECKPOINT, 0, &checkpoint_record, &row),
        APPLY_OK);
    assert_int_equal(fixture_apply(f, STORE_TRIM, 0, &store_trim_record, &trim),
                     APPLY_OK);
    assert_int_equal(run(&audit, f, audit_chain_step), 2);
    assert_int_equal(n_found, 0);
    audit_end(&audit);
}

int
main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_clean),
        TEST(test_ends_under_the_look),
        TEST(test_comes_behind_the_walk),
        TEST(test_found_all_the_same),
        TEST(test_trimmed_under_the_walk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
