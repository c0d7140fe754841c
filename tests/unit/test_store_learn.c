/* SPDX-License-Identifier: ISC */
/*
 * Dictionaries in the store: a new one retires the one before, which goes
 * when nothing needs it, and no message comes in without its dictionary.
 */
#include "store_fixture.h"

#include "dictionary.h"

#define FIRST  DICTIONARY_TRAINED_ID
#define SECOND (DICTIONARY_TRAINED_ID + 7)
#define THIRD  (DICTIONARY_TRAINED_ID + 9)

static enum apply_result
learn(struct fixture *f, uint64_t id, size_t len)
{
    static const char bytes[DICTIONARY_BYTES_MAX + 1] = {7};
    const struct dictionary_row row = {
        .id = id, .made_ms = T0, .bytes = {bytes, len}, .messages = 99};

    return fixture_apply(f, STORE_LEARN, 0, &dictionary_row_record, &row);
}

/* A message whose pieces need that dictionary. */
static enum apply_result
submit(struct fixture *f, uint64_t id, uint64_t dictionary)
{
    char content[4 + 6] = "\0\0\0\6"
                          "Zhello";
    struct message message = {.arrived_ms = T0,
                              .origin = ORIGIN_SMTP,
                              .size = 5,
                              .dictionary = dictionary};
    struct delivery delivery = {.recipient = VIEW("b@example.com"),
                                .target = VIEW("office")};
    struct proto_submit payload = {.id = id,
                                   .deliveries = {&delivery, 1},
                                   .content = {content, sizeof(content)},
                                   .content_len = sizeof(content)};
    struct buf row = {0};
    enum apply_result result;

    record_encode(&message_record, &message, &row);
    payload.message = buf_view(&row);
    result = fixture_apply(f, STORE_SUBMIT, 0, &proto_submit_record, &payload);
    buf_free(&row);
    return result;
}

/* "32768:2 32775:0*": messages of each, and which is in use. */
static const char *
table(struct fixture *f)
{
    static char text[256];
    struct dictionary_row row;
    struct buf memory = {0};
    struct why why;
    uint64_t id = 0;
    size_t at = 0;

    text[0] = '\0';
    while (db_read_dictionary_after(f->db, id, &row, &memory, &why) == 1) {
        id = row.id;
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%llu:%llu%s",
                               at > 0 ? " " : "", (unsigned long long)row.id,
                               (unsigned long long)row.messages,
                               row.retired ? "" : "*");
    }
    buf_free(&memory);
    return text;
}

static void
test_a_new_one_retires_the_last(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(learn(f, FIRST, 5000), APPLY_OK);
    assert_string_equal(table(f), "32768:0*");
    assert_int_equal(submit(f, ID(1), FIRST), APPLY_OK);
    assert_int_equal(submit(f, ID(2), FIRST), APPLY_OK);
    assert_int_equal(learn(f, SECOND, DICTIONARY_BYTES_MAX), APPLY_OK);
    assert_string_equal(table(f), "32768:2 32775:0*");
    /* What was on its way comes in. */
    assert_int_equal(submit(f, ID(3), FIRST), APPLY_OK);
    assert_int_equal(submit(f, ID(4), SECOND), APPLY_OK);
    assert_string_equal(table(f), "32768:3 32775:1*");
    for (uint64_t n = 1; n <= 3; n++)
        fixture_deliver(f, ID(n), 0, 0);
    assert_string_equal(table(f), "32775:1*");
    assert_int_equal(submit(f, ID(5), FIRST), APPLY_STALE);
    /* The one in use stays without a message. */
    fixture_deliver(f, ID(4), 0, 0);
    assert_string_equal(table(f), "32775:0*");
}

/* One nobody needs just now may be that of a message on its way. */
static void
test_an_unused_one_goes_at_the_next(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(learn(f, FIRST, 5000), APPLY_OK);
    assert_int_equal(learn(f, SECOND, 5000), APPLY_OK);
    assert_string_equal(table(f), "32768:0 32775:0*");
    assert_int_equal(submit(f, ID(1), FIRST), APPLY_OK);
    assert_int_equal(learn(f, THIRD, 5000), APPLY_OK);
    assert_string_equal(table(f), "32768:1 32775:0 32777:0*");
    fixture_deliver(f, ID(1), 0, 0);
    assert_string_equal(table(f), "32775:0 32777:0*");
    assert_int_equal(learn(f, FIRST, 5000), APPLY_OK);
    assert_string_equal(table(f), "32768:0* 32777:0");
}

static void
test_what_is_no_dictionary_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(learn(f, DICTIONARY_SHIPPED_ID, 5000), APPLY_REFUSED);
    assert_int_equal(learn(f, FIRST - 1, 5000), APPLY_REFUSED);
    assert_int_equal(learn(f, FIRST, 0), APPLY_REFUSED);
    assert_int_equal(learn(f, FIRST, DICTIONARY_BYTES_MAX + 1), APPLY_REFUSED);
    assert_int_equal(learn(f, FIRST, 5000), APPLY_OK);
    assert_int_equal(learn(f, FIRST, 5000), APPLY_REFUSED);
    assert_string_equal(table(f), "32768:0*");
    assert_int_equal(submit(f, ID(1), SECOND), APPLY_STALE);
    /* The shipped one is in no table. */
    assert_int_equal(submit(f, ID(1), DICTIONARY_SHIPPED_ID), APPLY_OK);
}

int
main(void)
{
#define T(test)                                                                \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_new_one_retires_the_last),
        T(test_an_unused_one_goes_at_the_next),
        T(test_what_is_no_dictionary_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
