/* SPDX-License-Identifier: ISC */
/*
 * msgid: ids rise whatever the clock does, writers and nodes never meet, and
 * the text form is read back as people write it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "msgid.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW          INT64_C(1795576921007)

static void
test_rises(void **state)
{
    struct msgid_source source = {.node = 3, .writer = 31};
    /* Busy milliseconds, jumps ahead and back, before 2020, before 1970. */
    static const int64_t times[] = {NOW,     NOW,           NOW + 1, NOW - 5,
                                    NOW + 9, NOW - 3600000, 0,       -1,
                                    NOW,     NOW + 3600000, 7,       NOW};
    uint64_t last = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(times); i++)
        for (int k = 0; k < 1000; k++) {
            uint64_t id = msgid_next(&source, times[i]);

            assert_true(id > last);
            assert_int_equal(id >> 13 & 0xff, 3);
            assert_int_equal(id >> 8 & 0x1f, 31);
            last = id;
        }
    assert_int_equal(msgid_ms(last) / 1000000, (NOW + 3600000) / 1000000);
}

static void
test_time(void **state)
{
    struct msgid_source source = {0};

    (void)state;
    assert_int_equal(msgid_ms(msgid_next(&source, NOW)), NOW);
    assert_int_equal(msgid_ms(msgid_next(&source, NOW)), NOW);
    assert_int_equal(msgid_ms(msgid_next(&source, NOW + 7)), NOW + 7);
}

/* Two writers, and two nodes, within the same milliseconds. */
static void
test_never_meet(void **state)
{
    struct msgid_source sources[] = {
        {.writer = 1},
        {.writer = 2},
        {.node = 1, .writer = 1},
        {.node = MSGID_NODE_MAX, .writer = MSGID_WRITER_MAX}};
    uint64_t ids[COUNT(sources)][600];

    (void)state;
    for (size_t s = 0; s < COUNT(sources); s++)
        for (size_t i = 0; i < COUNT(ids[0]); i++)
            ids[s][i] = msgid_next(&sources[s], NOW + (int64_t)(i / 300));
    for (size_t s = 0; s < COUNT(sources); s++)
        for (size_t t = 0; t < s; t++)
            for (size_t i = 0; i < COUNT(ids[0]); i++)
                for (size_t k = 0; k < COUNT(ids[0]); k++)
                    assert_true(ids[s][i] != ids[t][k]);
}

static void
test_floor(void **state)
{
    struct msgid_source source = {.writer = 1};
    uint64_t id;

    (void)state;
    msgid_set_floor(&source, 0);
    assert_int_equal(msgid_ms(msgid_next(&source, NOW)), NOW);
    msgid_set_floor(&source, (uint64_t)NOW + 5000);
    id = msgid_next(&source, NOW);
    assert_true(msgid_ms(id) > (uint64_t)NOW + 5000);
    msgid_set_floor(&source, (uint64_t)NOW); /* only rises */
    assert_true(msgid_next(&source, NOW) > id);
    assert_true(msgid_ms(msgid_next(&source, NOW)) > (uint64_t)NOW + 5000);
}

/* One that died had made ids the store has not seen yet. */
static void
test_floor_of_a_new_process(void **state)
{
    struct msgid_source dead = {.writer = 1}, next = {.writer = 1};
    uint64_t id, last = 0;

    (void)state;
    msgid_set_floor(&dead, (uint64_t)NOW + 5000);
    for (int i = 0; i < 10000; i++)
        last = msgid_next(&dead, NOW);
    msgid_set_floor(&next, msgid_ms(last) - 39); /* of 10,000 in flight */
    id = msgid_next(&next, NOW);
    assert_true(id > last);
    assert_true(msgid_ms(id) < msgid_ms(last) + 2 * MSGID_MARGIN_MS);
    assert_true(msgid_last(NOW) > msgid_next(&(struct msgid_source){0}, NOW));
    assert_int_equal(msgid_ms(msgid_last(NOW)), NOW);
}

static void
test_text(void **state)
{
    static const struct {
        uint64_t id;
        const char *text;
    } rows[] = {
        {0, "0000000000000"},
        {1, "0000000000001"},
        {31, "000000000000Z"},
        {32, "0000000000010"},
        {UINT64_C(0x0123456789abcdef), "028T5CY4TQKFF"},
        {UINT64_MAX, "FZZZZZZZZZZZZ"},
    };
    char text[MSGID_TEXT_MAX];
    uint64_t id;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_string_equal(msgid_print(rows[i].id, text), rows[i].text);
        assert_int_equal(msgid_parse(view_of(rows[i].text), &id), 0);
        assert_int_equal(id, rows[i].id);
    }
    assert_int_equal(msgid_parse(VIEW("o28t5cy4tqkff"), &id), 0);
    assert_int_equal(id, UINT64_C(0x0123456789abcdef));
    assert_int_equal(msgid_parse(VIEW("00000000000iL"), &id), 0);
    assert_int_equal(id, 33);
}

static void
test_bad_text(void **state)
{
    static const char *const bad[] = {
        "",
        "000000000000",
        "00000000000000",
        "000000000000U", /* no U: it is left out of the alphabet */
        "000000000000-",
        "00000 0000000",
        "G000000000000", /* 65 bits */
        "000000000000\xc3",
    };
    uint64_t id;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(msgid_parse(view_of(bad[i]), &id), -1);
}

/* The order of ids is the order of their texts. */
static void
test_order(void **state)
{
    char small[MSGID_TEXT_MAX], large[MSGID_TEXT_MAX];

    (void)state;
    for (uint64_t id = 1; id < UINT64_MAX / 5; id = id * 5 + 3) {
        msgid_print(id, small);
        msgid_print(id + 1, large);
        assert_true(strcmp(small, large) < 0);
    }
}

/* Ids for what comes from elsewhere: of that time, the rest as given. */
static void
test_made(void **state)
{
    uint64_t ms = MSGID_EPOCH_MS + 12345;

    (void)state;
    assert_int_equal(msgid_ms(msgid_make(ms, 0)), ms);
    assert_int_equal(msgid_ms(msgid_make(ms, UINT64_MAX)), ms);
    assert_int_equal(msgid_make(ms, 0) + 77, msgid_make(ms, 77));
    assert_int_equal(msgid_make(ms, UINT64_MAX) + 1, msgid_make(ms + 1, 0));
    assert_int_equal(msgid_ms(msgid_make(5, 1)), MSGID_EPOCH_MS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rises),      cmocka_unit_test(test_time),
        cmocka_unit_test(test_never_meet), cmocka_unit_test(test_floor),
        cmocka_unit_test(test_floor_of_a_new_process),
        cmocka_unit_test(test_text),       cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_order),      cmocka_unit_test(test_made),
    };

    return cmocka_run_group_tests_name("msgid", tests, NULL, NULL);
}
