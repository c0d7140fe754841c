/* SPDX-License-Identifier: ISC */
/*
 * The accounts: every end, every fault, what is carried over a cut, and the
 * table that holds it all against a plain model.
 */
#include <sys/resource.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clock.h"
#include "event.h"
#include "ledger_balance.h"

struct faults {
    unsigned count;
    enum ledger_fault last;
    uint64_t seq;
};

static void
on_fault(void *arg, enum ledger_fault fault, uint64_t seq,
         const struct ledger_entry *entry)
{
    struct faults *faults = arg;

    (void)entry;
    faults->count++;
    faults->last = fault;
    faults->seq = seq;
}

struct books {
    struct ledger_balance *balance;
    struct faults faults;
    uint64_t seq;
};

static void
begin(struct books *books, enum ledger_start start, uint64_t cut)
{
    *books = (struct books){.seq = cut};
    books->balance = ledger_balance_new(start, cut, on_fault, &books->faults);
}

/* n counts from 1, as in an entry. */
static void
add(struct books *books, uint64_t event, uint64_t id, uint64_t n, uint64_t code)
{
    struct ledger_entry entry = {
        .event = event, .id = id, .n = n, .code = code};

    ledger_balance_add(books->balance, ++books->seq, &entry);
}

static const struct ledger_counts *
counts_of(const struct books *books)
{
    return ledger_balance_counts(books->balance);
}

static void
assert_balanced(const struct books *books)
{
    const struct ledger_counts *c = counts_of(books);

    assert_int_equal(c->accepted + c->again,
                     c->open + c->delivered + c->returned + c->expired +
                         c->dropped + c->discarded + c->erased);
}

static void
assert_fault(struct books *books, enum ledger_fault fault)
{
    assert_int_equal(books->faults.count, 1);
    assert_int_equal(books->faults.last, fault);
    assert_int_equal(books->faults.seq, books->seq);
    books->faults.count = 0;
    assert_balanced(books);
}

static void
test_every_end(void **state)
{
    struct books books;

    (void)state;
    begin(&books, LEDGER_FROM_FIRST, 0);
    add(&books, EVENT_STARTED, 0, 0, 0);
    add(&books, EVENT_ACCEPTED, 7, 0, 6);
    add(&books, EVENT_DEFERRED, 7, 1, 451);
    add(&books, EVENT_DUE, 7, 1, 0);
    add(&books, EVENT_HELD, 7, 2, 0);
    add(&books, EVENT_RELEASED, 7, 2, 0);
    add(&books, EVENT_DELIVERED, 7, 1, 250);
    add(&books, EVENT_RETURNED, 7, 2, 550);
    add(&books, EVENT_EXPIRED, 7, 3, 451);
    add(&books, EVENT_DROPPED, 7, 4, 550);
    add(&books, EVENT_DISCARDED, 7, 5, 0);
    assert_int_equal(counts_of(&books)->open, 1);
    assert_int_equal(counts_of(&books)->messages, 1);
    add(&books, EVENT_ERASED, 7, 0, 1);
    assert_int_equal(counts_of(&books)->open, 0);
    assert_int_equal(counts_of(&books)->messages, 0);
    assert_int_equal(counts_of(&books)->erased, 1);
    assert_int_equal(counts_of(&books)->delivered, 1);
    assert_int_equal(counts_of(&books)->entries, books.seq);
    assert_int_equal(books.faults.count, 0);
    assert_balanced(&books);
    ledger_balance_free(&books.balance);
}

static void
test_again(void **state)
{
    struct books books;

    (void)state;
    begin(&books, LEDGER_FROM_FIRST, 0);
    add(&books, EVENT_ACCEPTED, 7, 0, 1);
    add(&books, EVENT_DELIVERED, 7, 1, 250);
    add(&books, EVENT_AGAIN, 7, 1, 0);
    assert_true(ledger_balance_is_open(books.balance, 7, 0));
    add(&books, EVENT_DELIVERED, 7, 1, 250);
    add(&books, EVENT_PURGED, 7, 0, 0);
    assert_int_equal(books.faults.count, 0);
    assert_int_equal(counts_of(&books)->delivered, 2);
    assert_balanced(&books);
    ledger_balance_free(&books.balance);
}

static void
test_faults(void **state)
{
    struct books books;

    (void)state;
    begin(&books, LEDGER_FROM_FIRST, 0);
    add(&books, EVENT_DELIVERED, 5, 1, 250); /* never accepted */
    assert_fault(&books, LEDGER_NOT_OPEN);
    add(&books, EVENT_ACCEPTED, 7, 0, 2);
    add(&books, EVENT_ACCEPTED, 7, 0, 2);
    assert_fault(&books, LEDGER_ACCEPTED_TWICE);
    add(&books, EVENT_DELIVERED, 7, 1, 250);
    add(&books, EVENT_DELIVERED, 7, 1, 250); /* twice, message open */
    assert_fault(&books, LEDGER_NOT_OPEN);
    add(&books, EVENT_DEFERRED, 7, 1, 451);
    assert_fault(&books, LEDGER_NOT_OPEN);
    add(&books, EVENT_DELIVERED, 7, 3, 250); /* there is no third */
    assert_fault(&books, LEDGER_NOT_OPEN);
    add(&books, EVENT_AGAIN, 7, 2, 0);
    assert_fault(&books, LEDGER_STILL_OPEN);
    add(&books, EVENT_PURGED, 7, 0, 0);
    assert_fault(&books, LEDGER_GONE_OPEN);
    add(&books, EVENT_ERASED, 7, 0, 2); /* one was open */
    assert_fault(&books, LEDGER_ERASED_OTHER);
    add(&books, EVENT_RETURNED, 7, 2, 550); /* all had ended */
    assert_fault(&books, LEDGER_NOT_OPEN);
    add(&books, EVENT_ACCEPTED, 8, 0, 0);
    assert_fault(&books, LEDGER_NO_SENSE);
    add(&books, EVENT_ACCEPTED, 8, 0, UINT64_C(1) << 40);
    assert_fault(&books, LEDGER_NO_SENSE);
    add(&books, EVENT_AGAIN, 8, UINT64_C(1) << 40, 0);
    assert_fault(&books, LEDGER_NO_SENSE);
    ledger_balance_free(&books.balance);
}

/* After a cut: what was open before comes as carried; what ended in between
 * is nobody's fault, and after the mark everything is known. */
static void
test_carried(void **state)
{
    struct books books;

    (void)state;
    begin(&books, LEDGER_FROM_CUT, 1000);
    add(&books, EVENT_DELIVERED, 5, 1, 250); /* accepted before the cut */
    add(&books, EVENT_ACCEPTED, 9, 0, 1);
    add(&books, EVENT_CARRIED, 7, 0, 3); /* the second had ended */
    add(&books, EVENT_CARRIED, 7, 2, 250);
    add(&books, EVENT_CARRIED, 9, 0, 1); /* known better */
    add(&books, EVENT_CARRIED, 9, 1, 250);
    assert_false(ledger_balance_is_whole(books.balance));
    add(&books, EVENT_CARRIED, 0, 0, 999); /* of an earlier cut */
    assert_false(ledger_balance_is_whole(books.balance));
    add(&books, EVENT_CARRIED, 0, 0, 1000);
    assert_true(ledger_balance_is_whole(books.balance));
    assert_int_equal(books.faults.count, 0);
    assert_int_equal(counts_of(&books)->earlier, 1);
    assert_int_equal(counts_of(&books)->accepted, 3);
    assert_true(ledger_balance_is_open(books.balance, 7, 0));
    assert_false(ledger_balance_is_open(books.balance, 7, 1));
    assert_true(ledger_balance_is_open(books.balance, 7, 2));
    assert_true(ledger_balance_is_open(books.balance, 9, 0));
    add(&books, EVENT_DELIVERED, 6, 1, 250);
    assert_fault(&books, LEDGER_NOT_OPEN);
    ledger_balance_free(&books.balance);
}

/* again before all is known: the message may have other open deliveries. */
static void
test_again_before_carried(void **state)
{
    struct books books;
    uint64_t n = 0;

    (void)state;
    begin(&books, LEDGER_FROM_CUT, 1000);
    add(&books, EVENT_AGAIN, 7, 2, 0);
    add(&books, EVENT_DELIVERED, 7, 1, 250); /* was open at the cut */
    add(&books, EVENT_AGAIN, 8, 1, 0);       /* accepted before, ended */
    add(&books, EVENT_CARRIED, 7, 0, 3);
    add(&books, EVENT_CARRIED, 7, 1, 250);
    add(&books, EVENT_CARRIED, 0, 0, 1000);
    assert_int_equal(books.faults.count, 0);
    assert_true(ledger_balance_next(books.balance, 7, &n));
    assert_int_equal(n, 1);
    assert_true(ledger_balance_is_open(books.balance, 7, 2));
    assert_true(ledger_balance_is_open(books.balance, 8, 0));
    assert_balanced(&books);
    add(&books, EVENT_DELIVERED, 8, 2, 250);
    assert_fault(&books, LEDGER_NOT_OPEN);
    ledger_balance_free(&books.balance);
}

static void
test_middle(void **state)
{
    struct books books;

    (void)state;
    begin(&books, LEDGER_FROM_MIDDLE, 1000);
    add(&books, EVENT_DELIVERED, 5, 1, 250);
    add(&books, EVENT_AGAIN, 5, 1, 0);
    add(&books, EVENT_CARRIED, 7, 0, 3);
    add(&books, EVENT_CARRIED, 0, 0, 1000);
    add(&books, EVENT_ACCEPTED, 9, 0, 2);
    add(&books, EVENT_DELIVERED, 9, 2, 250);
    assert_int_equal(books.faults.count, 0);
    assert_int_equal(counts_of(&books)->accepted, 2);
    assert_int_equal(counts_of(&books)->open, 1);
    assert_int_equal(counts_of(&books)->earlier, 2);
    add(&books, EVENT_DELIVERED, 9, 2, 250);
    assert_fault(&books, LEDGER_NOT_OPEN);
    ledger_balance_free(&books.balance);
}

static void
test_many_recipients(void **state)
{
    struct books books;
    struct ledger_open open;

    (void)state;
    begin(&books, LEDGER_FROM_FIRST, 0);
    add(&books, EVENT_ACCEPTED, 7, 0, 20000);
    assert_true(ledger_balance_find(books.balance, 7, &open));
    assert_int_equal(open.n, 20000);
    for (uint64_t n = 1; n < 20000; n++)
        add(&books, EVENT_DELIVERED, 7, n, 250);
    assert_true(ledger_balance_find(books.balance, 7, &open));
    assert_int_equal(open.n, 1);
    assert_int_equal(open.seq, 1);
    add(&books, EVENT_DELIVERED, 7, 20000, 250);
    assert_false(ledger_balance_find(books.balance, 7, &open));
    assert_int_equal(books.faults.count, 0);
    ledger_balance_free(&books.balance);
}

static void
test_digest(void **state)
{
    struct books books;
    struct ledger_open open;
    struct ledger_entry entry = {.event = EVENT_ACCEPTED,
                                 .id = 7,
                                 .code = 1,
                                 .digest = VIEW("0123456789abcdef")};

    (void)state;
    begin(&books, LEDGER_FROM_FIRST, 0);
    ledger_balance_add(books.balance, 1, &entry);
    assert_true(ledger_balance_find(books.balance, 7, &open));
    assert_true(open.has_digest);
    assert_memory_equal(open.digest, "01234567", LEDGER_DIGEST);
    ledger_balance_free(&books.balance);
}

/* Random messages come and go; a plain array says what must be open. */
static void
test_against_a_model(void **state)
{
    enum { IDS = 3000, STEPS = 200000 };
    static uint64_t open[IDS]; /* bits */
    struct buf ids = {0};
    struct books books;
    uint64_t want = 0, random = 42;
    size_t unmarked = 0;

    (void)state;
    begin(&books, LEDGER_FROM_FIRST, 0);
    for (int i = 0; i < STEPS; i++) {
        uint64_t k, n;

        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        k = (random >> 33) % IDS;
        n = random >> 60;
        if (open[k] == 0) {
            add(&books, EVENT_ACCEPTED, (k + 1) << 21, 0, n + 1);
            open[k] = (UINT64_C(2) << n) - 1;
        } else if (open[k] >> n & 1) {
            add(&books, EVENT_DELIVERED, (k + 1) << 21, n + 1, 250);
            open[k] &= ~(UINT64_C(1) << n);
        }
    }
    assert_int_equal(books.faults.count, 0);
    assert_balanced(&books);
    for (uint64_t k = 0; k < IDS; k++) {
        want += open[k] != 0;
        for (uint64_t n = 0; n < 16; n++)
            assert_int_equal(
                ledger_balance_is_open(books.balance, (k + 1) << 21, n),
                open[k] >> n & 1);
        if (k % 2 == 0)
            ledger_balance_mark(books.balance, (k + 1) << 21);
        else
            unmarked += open[k] != 0;
    }
    assert_int_equal(counts_of(&books)->messages, want);
    for (unsigned part = 0; part < LEDGER_PARTS; part++)
        ledger_balance_unmarked(books.balance, part, &ids);
    assert_int_equal(ids.len / sizeof(uint64_t), unmarked);
    buf_free(&ids);
    ledger_balance_free(&books.balance);
}

static long
peak_kb(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* The promise of the header. The sanitizer's own memory is not ours. */
static void
test_a_million(void **state)
{
    struct books books;
    long before = peak_kb();
    int64_t start_ms = clock_mono_ms();

    (void)state;
    begin(&books, LEDGER_FROM_FIRST, 0);
    for (uint64_t i = 1; i <= 1000000; i++)
        add(&books, EVENT_ACCEPTED, i << 21 | (i & 3) << 8, 0, 1);
    assert_int_equal(counts_of(&books)->messages, 1000000);
    print_message("a million: %ld KB, %d ms\n", peak_kb() - before,
                  (int)(clock_mono_ms() - start_ms));
#ifndef __SANITIZE_ADDRESS__
    assert_true(peak_kb() - before < 64 * 1024);
#endif
    ledger_balance_free(&books.balance);
}

static void
test_sums(void **state)
{
    static const struct {
        uint64_t event, code, accepted, ended;
    } rows[] = {
        {EVENT_ACCEPTED, 3, 3, 0},   {EVENT_CARRIED, 3, 0, 0},
        {EVENT_AGAIN, 250, 1, 0},    {EVENT_DELIVERED, 250, 0, 1},
        {EVENT_RETURNED, 550, 0, 1}, {EVENT_EXPIRED, 0, 0, 1},
        {EVENT_DROPPED, 550, 0, 1},  {EVENT_DISCARDED, 0, 0, 1},
        {EVENT_ERASED, 2, 0, 2},     {EVENT_DEFERRED, 451, 0, 0},
        {EVENT_PURGED, 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ledger_entry entry = {.event = rows[i].event,
                                     .code = rows[i].code};
        uint64_t accepted = 0, ended = 0;

        ledger_entry_count(&entry, &accepted, &ended);
        assert_int_equal(accepted, rows[i].accepted);
        assert_int_equal(ended, rows[i].ended);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_million), /* first: it looks at the peak */
        cmocka_unit_test(test_every_end),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_carried),
        cmocka_unit_test(test_again_before_carried),
        cmocka_unit_test(test_middle),
        cmocka_unit_test(test_many_recipients),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_against_a_model),
        cmocka_unit_test(test_sums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
