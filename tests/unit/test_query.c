/* SPDX-License-Identifier: ISC */
/*
 * query: the operator's language, read, held against messages, and printed
 * so that it reads the same anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "msgid.h"
#include "query.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW          INT64_C(1795007200000) /* 2026-11-18T13:06:40Z */
#define HOUR         INT64_C(3600000)
#define ID           "0DKX1V3Q2W000"

#define TEXT(literal)                                                          \
    {                                                                          \
        literal, sizeof(literal) - 1                                           \
    }
#define DELIVERY(to, where, how)                                               \
    {                                                                          \
        .delivery = {                                                          \
            .recipient = TEXT(to),                                             \
            .target = TEXT(where),                                             \
            .state = how                                                       \
        }                                                                      \
    }

static struct db_delivery two[] = {
    DELIVERY("Bob@example.com", "office", DELIVERY_LATER),
    DELIVERY("dora@example.org", "annex", DELIVERY_DELIVERED),
};
static struct db_delivery done[] = {
    DELIVERY("eve@example.org", "annex", DELIVERY_RETURNED),
};

/* Held: one delivery waits, one has ended. */
static struct db_message
held_message(void)
{
    struct db_message message = {
        .message = {.arrived_ms = (uint64_t)(NOW - 2 * HOUR),
                    .origin = ORIGIN_SMTP,
                    .sender = TEXT("Anna@client.test"),
                    .size = 5000,
                    .client = TEXT("192.0.2.77"),
                    .helo = TEXT("mx.client.test"),
                    .subject = TEXT("Your Invoice 17 for May"),
                    .message_id = TEXT("<abc@client.test>")},
        .deliveries = two,
        .n_deliveries = 2,
    };

    assert_int_equal(msgid_parse(VIEW(ID), &message.id), 0);
    return message;
}

/* Finished; from the null sender, over IPv6. */
static struct db_message
finished_message(void)
{
    struct db_message message = {
        .id = 5,
        .message = {.arrived_ms = (uint64_t)(NOW - 50 * HOUR),
                    .origin = ORIGIN_SMTP,
                    .size = 2000000,
                    .client = TEXT("2001:db8:1::25"),
                    .helo = TEXT("[IPv6:2001:db8:1::25]"),
                    .finished_ms = (uint64_t)(NOW - HOUR)},
        .deliveries = done,
        .n_deliveries = 1,
    };

    return message;
}

static const struct {
    const char *query;
    bool held;     /* matches held_message */
    bool finished; /* matches finished_message */
} matches[] = {
    {"", true, true},
    {"  \t ", true, true},
    {"from:anna@client.test", true, false},
    {"from:ANNA@CLIENT.TEST", true, false},
    {"FROM:<anna@client.test>", true, false},
    {"from:anna", true, false},
    {"from:client.test", true, false},
    {"from:*.test", true, false},
    {"from:*nn*cl*", true, false},
    {"from:ann", false, false},
    {"from:anna@", false, false},
    {"from:a*@*", true, false},
    {"from:<>", false, true},
    {"-from:<>", true, false},
    {"from:*", true, true},
    {"to:bob@*", true, false},
    {"to:example.org", true, true},
    {"to:bob to:dora", true, false},
    {"to:bob to:eve", false, false},
    {"-to:bob", false, true},
    {"-to:dora", false, true},
    {"-to:nobody", true, true},
    {"state:held", true, false},
    {"state:later", true, false},
    {"state:ready", false, false},
    {"state:delivered", true, false},
    {"state:returned", false, true},
    {"state:finished", false, true},
    {"-state:finished", true, false},
    {"-state:delivered", false, true},
    {"-state:held", false, true},
    {"state:any", true, true},
    {"state:on-hold", false, false},
    {"-state:on-hold", true, true},
    {"state:discarded", false, false},
    {"state:HELD", true, false},
    /* One delivery must fit them all ... */
    {"to:bob state:later", true, false},
    {"to:bob state:delivered", false, false},
    {"to:dora state:delivered target:annex", true, false},
    {"target:annex state:later", false, false},
    /* ... and each to: needs its own. */
    {"to:bob to:dora state:held", false, false},
    {"to:bob to:dora target:*", true, false},
    {"target:office", true, false},
    {"target:annex", true, true},
    {"-target:office", false, true},
    {"client:192.0.2.77", true, false},
    {"client:192.0.2.0/24", true, false},
    {"client:192.0.2.64/28", true, false},
    {"client:192.0.2.80/28", false, false},
    {"client:192.0.2.77/32", true, false},
    {"client:0.0.0.0/0", true, false},
    {"client:::/0", false, true},
    {"client:::ffff:192.0.2.77", true, false},
    {"client:2001:db8::/32", false, true},
    {"client:2001:db8:1::25", false, true},
    {"client:2001:DB8:1:0::25", false, true},
    {"client:2001:db8:2::/48", false, false},
    {"client:192.0.2.*", true, false},
    {"client:2001:*", false, true},
    {"-client:192.0.2.0/24", false, true},
    {"helo:mx.client.test", true, false},
    {"helo:*.client.*", true, false},
    {"helo:client.test", false, false},
    {"helo:[*", false, true},
    {"since:3h", true, false},
    {"since:1h", false, false},
    {"since:7d", true, true},
    {"before:3h", false, true},
    {"-before:3h", true, false},
    {"since:2026-11-18T11:00Z", true, false},
    {"since:2026-11-18T12:07:00+01:00", false, false},
    {"since:2026-11-18T12:06:40+01:00", true, false},
    {"before:2026-11-18", false, true},
    {"since:2026-11-16 before:2026-11-17", false, true},
    {"since:\"2026-11-18 11:00\"", true, false},
    {"size:>4999", true, true},
    {"size:>5000", false, true},
    {"size:<5001", true, false},
    {"size:<1M", true, false},
    {"size:>1M", false, true},
    {"subject:invoice", true, false},
    {"subject:\"invoice 17\"", true, false},
    {"subject:\"invoice*may\"", true, false},
    {"subject:your*17*y", true, false},
    {"subject:may*invoice", false, false},
    {"subject:18", false, false},
    {"subject:*", true, true},
    {"-subject:invoice", false, true},
    {"message-id:abc@client.test", true, false},
    {"message-id:<ABC@client.test>", true, false},
    {"message-id:abc*", true, false},
    {"message-id:abc", false, false},
    {"id:" ID, true, false},
    {"id:odkxlv3q2wooo", true, false},
    {"id:0000000000005", false, true},
    {"-id:" ID, false, true},
    {"from:anna size:>1K -to:eve since:1d", true, false},
    {"from:anna size:>1M", false, false},
};

static void
test_matches(void **state)
{
    struct db_message held = held_message(), finished = finished_message();

    (void)state;
    for (size_t i = 0; i < COUNT(matches); i++) {
        struct why why = {0};
        struct query *query = query_parse(view_of(matches[i].query), &why);

        if (query == NULL)
            fail_msg("%s: %s", matches[i].query, why.text);
        if (query_matches(query, &held, NOW) != matches[i].held)
            fail_msg("\"%s\" and the held message", matches[i].query);
        if (query_matches(query, &finished, NOW) != matches[i].finished)
            fail_msg("\"%s\" and the finished message", matches[i].query);
        query_free(&query);
        assert_null(query);
    }
}

static const struct {
    const char *query;
    const char *term; /* named in the reason */
    const char *reason;
} bad[] = {
    {"anna@client.test", "anna@client.test:", "key:value"},
    {"from", "from:", "key:value"},
    {"from:a frm:b", "frm:b:", "no such key; the keys are from, to,"},
    {"from:", "from::", "missing (from:<>"},
    {"to:\"\"", "to:\"\":", "missing"},
    {":x", ":x:", "no such key"},
    {"-", "-:", "key:value"},
    {"--from:x", "--from:x:", "no such key"},
    {"subject:\"x", "subject:\"x:", "not closed"},
    {"subject:\"x\\\"", "subject:", "not closed"},
    {"size:1M", "size:1M:", "< or >"},
    {"size:>", "size:>:", "not a size"},
    {"size:>1.5M", "size:>1.5M:", "not a size"},
    {"since:5", "since:5:", "duration"},
    {"since:soon", "since:soon:", "2026-11-25"},
    {"since:2026-13-01", "since:2026-13-01:", "not a date"},
    {"before:2026-02-29", "before:2026-02-29:", "not a date"},
    {"state:lost", "state:lost:", "held, ready, later"},
    {"client:192.0.2", "client:192.0.2:", "network"},
    {"client:192.0.2.0/33", "client:192.0.2.0/33:", "network"},
    {"client:2001:db8::/129", "client:", "network"},
    {"client:host.test", "client:host.test:", "network"},
    {"id:123", "id:123:", "message id"},
};

static void
test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct why why = {0};

        assert_null(query_parse(view_of(bad[i].query), &why));
        if (strncmp(why.text, bad[i].term, strlen(bad[i].term)) != 0 ||
            strstr(why.text, bad[i].reason) == NULL)
            fail_msg("\"%s\" gave \"%s\"", bad[i].query, why.text);
    }
}

static void
test_limits(void **state)
{
    char *text = malloc(QUERY_TEXT_MAX + 2);
    struct query *query;
    struct why why;
    size_t len = 0;

    (void)state;
    for (int i = 0; i < QUERY_TERMS_MAX; i++) {
        memcpy(text + len, "to:a ", 5);
        len += 5;
    }
    query = query_parse((struct view){text, len}, &why);
    assert_non_null(query);
    query_free(&query);
    memcpy(text + len, "to:b", 4);
    assert_null(query_parse((struct view){text, len + 4}, &why));
    assert_non_null(strstr(why.text, "more than 64"));

    memset(text, ' ', QUERY_TEXT_MAX + 1);
    query = query_parse((struct view){text, QUERY_TEXT_MAX}, &why);
    assert_non_null(query);
    query_free(&query);
    assert_null(query_parse((struct view){text, QUERY_TEXT_MAX + 1}, &why));
    assert_null(query_parse((struct view){"to:a\0b", 6}, &why));
    assert_non_null(strstr(why.text, "NUL"));
    assert_null(query_parse(VIEW("frm:x"), NULL));
    free(text);
}

/* A message of very many bytes against a pattern of very many stars. */
static void
test_hard_pattern(void **state)
{
    static char subject[200], text[900];
    struct db_message message = held_message();
    struct query *query;
    size_t len = 8;

    (void)state;
    memset(subject, 'a', sizeof(subject));
    memcpy(text, "subject:", len);
    while (len + 3 < sizeof(text)) {
        memcpy(text + len, "a*", 2);
        len += 2;
    }
    text[len++] = 'b';
    message.message.subject = (struct view){subject, sizeof(subject)};
    query = query_parse((struct view){text, len}, NULL);
    assert_non_null(query);
    for (int i = 0; i < 1000; i++)
        assert_false(query_matches(query, &message, NOW));
    query_free(&query);
}

static const struct {
    const char *query;
    bool only_held; /* is what query_want_held says */
    bool held;
    bool finished;
} wanted[] = {
    {"", true, true, false},
    {"to:dora", true, true, false},
    {"to:example.org", true, true, false},
    {"state:any", false, true, true},
    {"state:returned", false, false, true},
    {"state:later", true, true, false},
    {"state:held", true, true, false},
    {"-state:later", false, false, true},
    {"state:held state:delivered", false, false, false},
};

static void
test_want_held(void **state)
{
    struct db_message held = held_message(), finished = finished_message();

    (void)state;
    for (size_t i = 0; i < COUNT(wanted); i++) {
        struct query *query = query_parse(view_of(wanted[i].query), NULL);

        assert_non_null(query);
        if (query_want_held(query) != wanted[i].only_held ||
            query_matches(query, &held, NOW) != wanted[i].held ||
            query_matches(query, &finished, NOW) != wanted[i].finished)
            fail_msg("\"%s\"", wanted[i].query);
        query_free(&query);
    }
}

static void
range_of(const char *text, uint64_t *after_id, uint64_t *last_id)
{
    struct query *query = query_parse(view_of(text), NULL);

    assert_non_null(query);
    query_range(query, NOW, after_id, last_id);
    query_free(&query);
}

static void
test_range(void **state)
{
    uint64_t after, last, id;

    (void)state;
    range_of("from:x before:1h -since:1h", &after, &last);
    assert_int_equal(after, 0);
    assert_int_equal(last, UINT64_MAX);
    msgid_parse(VIEW(ID), &id);
    range_of("id:" ID, &after, &last);
    assert_int_equal(after, id - 1);
    assert_int_equal(last, id);
    range_of("id:0000000000000", &after, &last);
    assert_int_equal(after, 0);
    assert_int_equal(last, 0);
    /* A day of slack between the id's time and the arrival. */
    range_of("since:1h since:2h", &after, &last);
    assert_true(msgid_ms(after) < (uint64_t)(NOW - 25 * HOUR));
    assert_true(msgid_ms(after) >= (uint64_t)(NOW - 25 * HOUR - 2));
    assert_int_equal(last, UINT64_MAX);
    range_of("since:100w since:1970-01-01T00:00Z", &after, &last);
    assert_true(after > 0);
}

static const struct {
    const char *text;
    const char *printed;
} prints[] = {
    {"", ""},
    {"  FROM:a@b   -To:c  ", "from:a@b -to:c"},
    {"from:<>", "from:<>"},
    {"subject:\"a b\"", "subject:\"a b\""},
    {"subject:a\" \"b", "subject:\"a b\""},
    {"subject:\"a\\\"b\\\\c\"", "subject:\"a\\\"b\\\\c\""},
    {"subject:a\\b", "subject:a\\b"},
    {"since:2h", "since:2h"},
    {"since:2026-11-18T12:00+01:00", "since:2026-11-18T11:00:00.000Z"},
    {"before:2026-11-18T11:00:01.5Z", "before:2026-11-18T11:00:01.500Z"},
    {"size:>1m", "size:>1m"},
};

static void
test_print(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(prints); i++) {
        struct query *query = query_parse(view_of(prints[i].text), NULL);
        struct buf out = {0};

        assert_non_null(query);
        query_print(query, &out);
        buf_add_byte(&out, '\0');
        assert_string_equal(out.data, prints[i].printed);
        query_free(&query);
        buf_free(&out);
    }
}

/* A date without a zone is the operator's; printed it is everybody's. */
static void
test_zones(void **state)
{
    struct query *query;
    struct buf out = {0};

    (void)state;
    setenv("TZ", "XYZ-5:30", 1);
    query = query_parse(VIEW("since:2026-11-18T12:00"), NULL);
    setenv("TZ", "UTC", 1);
    assert_non_null(query);
    query_print(query, &out);
    buf_add_byte(&out, '\0');
    assert_string_equal(out.data, "since:2026-11-18T06:30:00.000Z");
    query_free(&query);
    buf_free(&out);
}

static const struct {
    const char *words[4];
    const char *text;
} lines[] = {
    {{"from:a", "to:b"}, "from:a to:b"},
    {{"from:a to:b"}, "from:a to:b"},
    {{"subject:two words"}, "subject:\"two words\""},
    {{"-subject:two words", "to:b"}, "-subject:\"two words\" to:b"},
    {{"since:2026-11-18 12:00"}, "since:\"2026-11-18 12:00\""},
    {{"subject:two words -to:b"}, "subject:two words -to:b"},
    {{"subject:\"two words\""}, "subject:\"two words\""},
    {{"subject:a: b"}, "subject:\"a: b\""},
    {{"subject:back\\slash \\"}, "subject:\"back\\\\slash \\\\\""},
    {{"", "to:b", ""}, "to:b"},
    {{"nonsense here"}, "nonsense here"},
    {{"subject:blank ", "to:b"}, "subject:blank  to:b"},
};

static void
test_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct buf text = {0};

        for (size_t w = 0; w < 4 && lines[i].words[w] != NULL; w++)
            query_add_word(&text, view_of(lines[i].words[w]));
        buf_add_byte(&text, '\0');
        assert_string_equal(text.data, lines[i].text);
        buf_free(&text);
    }
}

/* What the operator holds is held, and has a word of its own. */
static void
test_on_hold(void **state)
{
    static struct db_delivery rows[] = {
        DELIVERY("bob@example.com", "office", DELIVERY_HELD),
        DELIVERY("eve@example.com", "office", DELIVERY_DISCARDED)};
    struct db_message message = held_message();
    static const struct {
        const char *query;
        bool matches;
    } cases[] = {{"state:held", true},          {"state:on-hold", true},
                 {"state:ready", false},        {"state:finished", false},
                 {"state:discarded", true},     {"to:eve state:held", false},
                 {"to:bob state:on-hold", true}};

    (void)state;
    message.deliveries = rows;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct why why;
        struct query *query = query_parse(view_of(cases[i].query), &why);

        assert_non_null(query);
        if (query_matches(query, &message, NOW) != cases[i].matches)
            fail_msg("%s", cases[i].query);
        query_free(&query);
    }
}

/* Of two deliveries, which are meant? held_message: bob waits at office,
 * dora was delivered by annex. */
static void
test_means(void **state)
{
    struct db_message message = held_message();
    static const struct {
        const char *query;
        bool bob, dora, names_state;
    } cases[] = {{"from:anna", true, true, false},
                 {"to:bob", true, false, false},
                 {"to:bob to:dora", true, true, false},
                 {"target:annex", false, true, false},
                 {"state:later", true, false, true},
                 {"state:any", true, true, true},
                 {"-to:eve state:delivered", false, true, true},
                 {"-state:returned", true, true, false}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct why why;
        struct query *query = query_parse(view_of(cases[i].query), &why);

        assert_non_null(query);
        assert_true(query_matches(query, &message, NOW));
        if (query_means(query, &message, &two[0].delivery, NOW) !=
                cases[i].bob ||
            query_means(query, &message, &two[1].delivery, NOW) !=
                cases[i].dora ||
            query_names_state(query) != cases[i].names_state)
            fail_msg("%s", cases[i].query);
        query_free(&query);
    }
}

static void
test_range_before(void **state)
{
    static const struct {
        const char *query;
        bool bounded;
        int64_t before_ms; /* what is 2 days after this is outside */
    } cases[] = {{"before:2h", true, NOW - 2 * HOUR},
                 {"before:2h before:9h", true, NOW - 9 * HOUR},
                 {"-before:2h", false, 0},
                 {"from:anna", false, 0}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct msgid_source late = {0};
        struct why why;
        struct query *query = query_parse(view_of(cases[i].query), &why);
        uint64_t last_id;

        assert_non_null(query);
        assert_int_equal(query_range_before(query, NOW, &last_id),
                         cases[i].bounded);
        if (cases[i].bounded) {
            assert_true(last_id > msgid_next(&late, cases[i].before_ms));
            assert_true(last_id <
                        msgid_next(&late, cases[i].before_ms + 48 * HOUR));
        } else {
            assert_int_equal(last_id, UINT64_MAX);
        }
        query_free(&query);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),   cmocka_unit_test(test_bad),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_hard_pattern),
        cmocka_unit_test(test_want_held), cmocka_unit_test(test_range),
        cmocka_unit_test(test_print),     cmocka_unit_test(test_zones),
        cmocka_unit_test(test_words),     cmocka_unit_test(test_on_hold),
        cmocka_unit_test(test_means),     cmocka_unit_test(test_range_before),
    };

    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
