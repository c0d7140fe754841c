/* SPDX-License-Identifier: ISC */
/*
 * sieve: the bits are on disk, so some of them are written down here; and
 * whatever a query finds by looking at messages passes the query's mask.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clock.h"
#include "mem.h"
#include "query.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW          INT64_C(1795007200000)

/* --- what is on disk ------------------------------------------------------ */

static const struct {
    enum sieve_term term;
    const char *text;
    uint64_t bits[SIEVE_WORDS];
} on_disk[] = {
    {SIEVE_FROM,
     "anna@example.org",
     {UINT64_C(0x0), UINT64_C(0x1000000000000000), UINT64_C(0x800000000000)}},
    {SIEVE_FROM_LOCAL,
     "Anna",
     {UINT64_C(0x200000000200), UINT64_C(0x800000000800004),
      UINT64_C(0x10000000010000)}},
    {SIEVE_FROM_DOMAIN,
     "example.org",
     {UINT64_C(0x8000100), UINT64_C(0x1000020000000000),
      UINT64_C(0x20000400008000)}},
    {SIEVE_TO_LOCAL,
     "anna",
     {UINT64_C(0x1000010000000), UINT64_C(0x2000020000),
      UINT64_C(0x800008000000040)}},
    {SIEVE_CLIENT,
     "192.0.2.7",
     {UINT64_C(0x0), UINT64_C(0x1000000000000), UINT64_C(0x20000040000080)}},
    {SIEVE_CLIENT_NET,
     "2001:db8:1::",
     {UINT64_C(0x400000000), UINT64_C(0x1200000000240),
      UINT64_C(0x800000000100000)}},
    {SIEVE_MESSAGE_ID,
     "a@b",
     {UINT64_C(0x2000020), UINT64_C(0x800001000010), UINT64_C(0x400004000008)}},
    {SIEVE_SUBJECT,
     "inv",
     {UINT64_C(0x8000000000000), UINT64_C(0x0), UINT64_C(0x0)}},
    {SIEVE_IMPORTED,
     "import",
     {UINT64_C(0x20000100000800), UINT64_C(0x8000040000),
      UINT64_C(0x400002000010)}},
};

static void
test_bits_stay_what_they_are(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(on_disk); i++) {
        struct sieve sieve = {0};

        sieve_add(&sieve, on_disk[i].term, view_of(on_disk[i].text));
        for (size_t w = 0; w < SIEVE_WORDS; w++)
            assert_int_equal(sieve.bits[w], on_disk[i].bits[w]);
    }
}

static void
test_case_does_not_count_and_empty_adds_nothing(void **state)
{
    struct sieve a = {0}, b = {0}, none = {0};

    (void)state;
    sieve_add(&a, SIEVE_FROM, VIEW("Anna@Example.ORG"));
    sieve_add(&b, SIEVE_FROM, VIEW("anna@example.org"));
    assert_memory_equal(&a, &b, sizeof(a));
    sieve_add(&none, SIEVE_FROM, VIEW(""));
    sieve_add_runs(&none, SIEVE_SUBJECT, VIEW("ab"));
    assert_memory_equal(&none, &(struct sieve){0}, sizeof(none));
}

static void
test_parts(void **state)
{
    (void)state;
    assert_true(view_equal(sieve_local(VIEW("a@b@c")), VIEW("a")));
    assert_true(view_equal(sieve_domain(VIEW("a@b@c")), VIEW("c")));
    assert_true(view_equal(sieve_local(VIEW("root")), VIEW("root")));
    assert_int_equal(sieve_domain(VIEW("root")).len, 0);
    assert_true(view_equal(sieve_v4_net(VIEW("192.0.2.7")), VIEW("192.0.2")));
    assert_int_equal(sieve_v4_net(VIEW("192.0.2")).len, 0);
    assert_true(view_equal(sieve_message_id(VIEW("<x@y>")), VIEW("x@y")));
}

/* --- random messages, random queries -------------------------------------- */

static uint64_t seed;

static uint64_t
random_below(uint64_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % n;
}

#define PICK(array) view_of((array)[random_below(COUNT(array))])

static const char *const addresses[] = {
    "",
    "anna@example.org",
    "Bob@Example.org",
    "root",
    "\"a@b\"@example.net",
    "anna@mx.test",
    "example.org",
    "c@anna",
    "dora@xn--bcher-kva.example",
};
static const char *const clients[] = {
    "",
    "192.0.2.7",
    "192.0.2.77",
    "198.51.100.1",
    "::ffff:192.0.2.7",
    "2001:db8:1::25",
    "2001:db8:1:2::9",
    "2001:0DB8:2::1",
    "192.0.2.x",
    "192.0.2.7/24",
    "unknown",
};
static const char *const names[] = {"", "mx.test", "MX.test", "[192.0.2.7]"};
static const char *const subjects[] = {
    "", "ab", "Your invoice 17", "your INVOICE", "Hello * world", "in voice",
};
static const char *const message_ids[] = {"", "<a@b>", "a@b", "<A@B>", "<>"};
static const char *const targets[] = {"office", "annex"};

static void
random_message(struct db_message *message, struct db_delivery deliveries[3])
{
    *message = (struct db_message){
        .id = 1 + random_below(1000),
        .message = {.arrived_ms = (uint64_t)NOW,
                    .origin = ORIGIN_SMTP,
                    .sender = PICK(addresses),
                    .client = PICK(clients),
                    .helo = PICK(names),
                    .subject = PICK(subjects),
                    .message_id = PICK(message_ids)},
        .deliveries = deliveries,
        .n_deliveries = 1 + random_below(3),
    };
    for (size_t i = 0; i < message->n_deliveries; i++)
        deliveries[i] = (struct db_delivery){
            .n = i,
            .delivery = {.recipient = PICK(addresses),
                         .target = PICK(targets),
                         .state = 1 + random_below(DELIVERY_STATE_MAX)}};
}

static const char *const terms[] = {
    "from:anna",
    "from:anna@*",
    "from:*@example.org",
    "from:<>",
    "from:root",
    "from:anna@example.org",
    "from:EXAMPLE.org",
    "from:\"\\\"a@*\"",
    "from:*nn*",
    "from:a@b*",
    "from:\"*@b\\\"@example.net\"",
    "from:<anna@example.org>",
    "to:anna",
    "to:*@example.org",
    "to:bob@example.org",
    "to:c@anna",
    "to:dora@*",
    "to:*@*",
    "to:example.net",
    "client:192.0.2.7",
    "client:192.0.2.0/24",
    "client:192.0.2.*",
    "client:192.0.2.64/26",
    "client:192.0.0.0/16",
    "client:::ffff:192.0.2.7",
    "client:2001:db8:1::25",
    "client:2001:db8:1::/48",
    "client:2001:db8:1:2::/64",
    "client:2001:*",
    "client:2001:db8::/32",
    "client:2001:db8:2::1",
    "client:*",
    "client:192.0.2.7*",
    "client:192.*.2.7",
    "helo:mx.test",
    "helo:*test",
    "helo:[192.0.2.7]",
    "subject:invoice",
    "subject:in*voice",
    "subject:*",
    "subject:\"invoice 17\"",
    "subject:ab",
    "subject:\"* w\"",
    "message-id:a@b",
    "message-id:<a@b>",
    "message-id:*b",
    "target:office",
    "target:an*",
    "state:held",
    "state:on-hold",
    "state:discarded",
    "state:finished",
};

static void
random_query(struct buf *text)
{
    size_t n = 1 + random_below(3);

    buf_reset(text);
    for (size_t i = 0; i < n; i++)
        buf_addf(text, "%s%s ", random_below(4) == 0 ? "-" : "",
                 terms[random_below(COUNT(terms))]);
}

/* The mask never keeps away what matches. */
static void
test_what_matches_passes(void **state)
{
    struct buf text = {0};
    size_t matched = 0, kept_away = 0;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        struct db_delivery deliveries[3];
        struct delivery plain[3];
        struct db_message message;
        struct sieve have, mask;
        struct query *query;
        struct why why;

        random_message(&message, deliveries);
        random_query(&text);
        for (size_t d = 0; d < message.n_deliveries; d++)
            plain[d] = deliveries[d].delivery;
        sieve_of_message(&have, &message.message, plain, message.n_deliveries);
        query = query_parse(buf_view(&text), &why);
        assert_non_null(query);
        query_sieve(query, &mask);
        if (query_matches(query, &message, NOW)) {
            matched++;
            if (!sieve_passes(&have, &mask))
                fail_msg("kept away: %.*s, client %.*s", (int)text.len,
                         text.data, (int)message.message.client.len,
                         message.message.client.data);
        } else if (!sieve_passes(&have, &mask)) {
            kept_away++;
        }
        query_free(&query);
    }
    assert_true(matched > 10000);
    assert_true(kept_away > 10000);
    buf_free(&text);
}

static const struct {
    const char *query;
    bool selective;
} selective[] = {
    {"from:anna@example.org", true},
    {"from:example.org", true},
    {"to:*@example.org", true},
    {"client:192.0.2.7", true},
    {"client:192.0.2.0/24", true},
    {"client:192.0.2.*", true},
    {"client:2001:db8:1::/48", true},
    {"helo:mx.test", true},
    {"message-id:<a@b>", true},
    {"subject:invoice", true},
    {"subject:two*words", true},
    {"client:192.0.0.0/16", false},
    {"subject:may", false},
    {"from:*@*", false},
    {"from:<>", false},
    {"state:held", false},
    {"-from:anna@b.test", false},
    {"target:office", false},
    {"size:>1M", false},
    {"", false},
};

static void
test_which_queries_are_selective(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(selective); i++) {
        struct why why;
        struct query *query = query_parse(view_of(selective[i].query), &why);
        struct sieve mask;

        assert_non_null(query);
        if (query_sieve(query, &mask) != selective[i].selective)
            fail_msg("%s", selective[i].query);
        query_free(&query);
    }
}

/* --- how much passes that is not meant ------------------------------------ */

#define MESSAGES 200000

/* Ordinary mail: two addresses, a client, a name, a subject of some words. */
static void
ordinary(uint64_t i, struct sieve *sieve)
{
    static const char *const words[] = {
        "report", "invoice",    "your",   "order",   "meeting",
        "re:",    "newsletter", "the",    "weekly",  "with",
        "status", "about",      "offer",  "confirm", "payment",
        "update", "travel",     "backup", "failed",  "alert",
    };
    char from[64], to[64], client[32], subject[128], id[64];
    struct message message = {.origin = ORIGIN_SMTP};
    struct delivery delivery = {.target = VIEW("office")};

    snprintf(from, sizeof(from), "user%d@host%d.example",
             (int)random_below(100000), (int)random_below(20000));
    snprintf(to, sizeof(to), "staff%d@example.org", (int)random_below(500));
    snprintf(client, sizeof(client), "10.%d.%d.%d", (int)random_below(256),
             (int)random_below(256), (int)random_below(256));
    snprintf(subject, sizeof(subject), "%s %s %s %s %d",
             words[random_below(COUNT(words))],
             words[random_below(COUNT(words))],
             words[random_below(COUNT(words))],
             words[random_below(COUNT(words))], (int)random_below(10000));
    snprintf(id, sizeof(id), "<%d.%d@host.example>", (int)i,
             (int)random_below(1000000));
    message.sender = view_of(from);
    message.client = view_of(client);
    message.helo = view_of(strchr(from, '@') + 1);
    message.subject = view_of(subject);
    message.message_id = view_of(id);
    delivery.recipient = view_of(to);
    sieve_of_message(sieve, &message, &delivery, 1);
}

static const struct {
    const char *query;
    unsigned one_in; /* at the most so many pass by chance */
} by_chance[] = {
    {"from:nobody@nowhere.test", 20000},
    {"from:*@nowhere.test", 200},
    {"to:nobody@*", 200},
    {"client:192.0.2.0/24", 200},
    {"client:192.0.2.7", 2000},
    {"message-id:<x@y>", 200},
    {"subject:extraordinary", 1000},
    {"subject:quixotic", 50},
};

static void
test_few_pass_by_chance(void **state)
{
    struct sieve *all = mem_alloc(MESSAGES * sizeof(*all));
    uint64_t set = 0;

    (void)state;
    for (uint64_t i = 0; i < MESSAGES; i++) {
        ordinary(i, &all[i]);
        for (size_t w = 0; w < SIEVE_WORDS; w++)
            set += (uint64_t)__builtin_popcountll(all[i].bits[w]);
    }
    print_message("%d of %d bits are set\n", (int)(set / MESSAGES), SIEVE_BITS);
    for (size_t q = 0; q < COUNT(by_chance); q++) {
        struct why why;
        struct query *query = query_parse(view_of(by_chance[q].query), &why);
        int64_t start_us = clock_mono_us();
        struct sieve mask;
        uint64_t passed = 0;

        assert_true(query_sieve(query, &mask));
        for (uint64_t i = 0; i < MESSAGES; i++)
            passed += sieve_passes(&all[i], &mask);
        print_message("%-26s %5d of %d, %d us\n", by_chance[q].query,
                      (int)passed, MESSAGES, (int)(clock_mono_us() - start_us));
        assert_true(passed <= MESSAGES / by_chance[q].one_in);
        query_free(&query);
    }
    free(all);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_stay_what_they_are),
        cmocka_unit_test(test_case_does_not_count_and_empty_adds_nothing),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_what_matches_passes),
        cmocka_unit_test(test_which_queries_are_selective),
        cmocka_unit_test(test_few_pass_by_chance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
