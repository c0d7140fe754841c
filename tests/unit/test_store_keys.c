/* SPDX-License-Identifier: ISC */
/*
 * Data keys that are sealed anew, and which new ones the store lets in: none
 * that is sealed to a former pair, whose secret is about to go.
 */
#include "store_fixture.h"

#include "peer.h"
#include "seal.h"

static const char old_sealed[SEAL_SEALED] = {1};
static const char new_sealed[SEAL_SEALED] = {2};

static struct data_key
a_key(uint64_t id, const char *pair, const char sealed[SEAL_SEALED])
{
    return (struct data_key){.id = id,
                             .made_ms = T0,
                             .pair = view_of(pair),
                             .sealed = {sealed, SEAL_SEALED}};
}

/* A message that brings its data key along. */
static enum apply_result
try_sealed(struct fixture *f, uint64_t id, const struct data_key *key)
{
    static const char salt[SEAL_SALT] = {3};
    struct message message = {.arrived_ms = T0,
                              .origin = ORIGIN_SMTP,
                              .size = 3,
                              .key = key->id,
                              .salt = {salt, SEAL_SALT}};
    struct delivery delivery = {.recipient = VIEW("b@example.com"),
                                .target = VIEW("office")};
    struct proto_submit submit = {.id = id,
                                  .deliveries = {&delivery, 1},
                                  .content = {"\0\0\0\4"
                                              "0abc",
                                              8},
                                  .content_len = 8};
    struct buf row = {0}, key_row = {0};
    enum apply_result result;

    record_encode(&message_record, &message, &row);
    record_encode(&data_key_record, key, &key_row);
    submit.message = buf_view(&row);
    submit.data_key = buf_view(&key_row);
    result = fixture_apply(f, STORE_SUBMIT, 0, &proto_submit_record, &submit);
    buf_free(&row);
    buf_free(&key_row);
    return result;
}

static void
submit_sealed(struct fixture *f, uint64_t id, const struct data_key *key)
{
    assert_int_equal(try_sealed(f, id, key), APPLY_OK);
}

static void
assert_key(struct fixture *f, uint64_t id, const char *pair, uint64_t messages)
{
    struct buf memory = {0};
    struct data_key row;
    struct why why;

    assert_int_equal(db_read_data_key(f->db, id, &row, &memory, &why), 1);
    assert_true(view_equal(row.pair, view_of(pair)));
    assert_int_equal(row.sealed.data[0], view_of(pair).data[0] == 'o' ? 1 : 2);
    assert_int_equal(row.made_ms, T0);
    assert_int_equal(row.messages, messages);
    buf_free(&memory);
}

static enum apply_result
rekey(struct fixture *f, struct data_key *keys, size_t n)
{
    struct proto_data_keys list = {{keys, n}};

    return fixture_apply(f, STORE_REKEY, 0, &proto_data_keys_record, &list);
}

static void
test_sealed_anew(void **state)
{
    struct fixture *f = *state;
    struct data_key one = a_key(ID(1), "old-pair", old_sealed);
    struct data_key two = a_key(ID(2), "old-pair", old_sealed);
    struct data_key anew[3] = {a_key(ID(1), "new-pair", new_sealed),
                               a_key(ID(9), "new-pair", new_sealed),
                               a_key(ID(2), "new-pair", new_sealed)};

    submit_sealed(f, ID(1), &one);
    submit_sealed(f, ID(2), &one);
    submit_sealed(f, ID(3), &two);
    assert_int_equal(rekey(f, anew, 3), APPLY_OK);
    assert_int_equal(f->count, 2); /* nobody needs the third */
    assert_key(f, ID(1), "new-pair", 2);
    assert_key(f, ID(2), "new-pair", 1);
    /* The counts go on from there. */
    submit_sealed(f, ID(4), &one);
    assert_key(f, ID(1), "new-pair", 3);
    assert_int_equal(rekey(f, NULL, 0), APPLY_OK);
}

/* What it sealed could not be opened with the one that is here. */
static void
test_another_key_of_that_number(void **state)
{
    struct fixture *f = *state;
    struct data_key one = a_key(ID(1), "old-pair", old_sealed);
    struct data_key two = a_key(ID(2), "old-pair", old_sealed);
    struct data_key other = a_key(ID(1), "old-pair", new_sealed);
    struct data_key anew = a_key(ID(1), "new-pair", new_sealed);

    submit_sealed(f, ID(1), &one);
    assert_int_equal(try_sealed(f, ID(2), &other), APPLY_STALE);
    submit_sealed(f, ID(3), &two);
    assert_int_equal(try_sealed(f, ID(4), &other), APPLY_STALE);
    other = a_key(ID(1), "new-pair", new_sealed);
    other.made_ms++;
    assert_int_equal(try_sealed(f, ID(5), &other), APPLY_STALE);
    submit_sealed(f, ID(6), &one);
    assert_key(f, ID(1), "old-pair", 2);
    assert_int_equal(rekey(f, &anew, 1), APPLY_OK);
    submit_sealed(f, ID(7), &one); /* it was under way */
    assert_key(f, ID(1), "new-pair", 3);
    assert_int_equal(try_sealed(f, ID(7), &one), APPLY_STALE); /* the id */
}

static void
test_what_is_no_key_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct data_key one = a_key(ID(1), "old-pair", old_sealed);
    struct data_key anew[2] = {a_key(ID(1), "new-pair", new_sealed),
                               a_key(ID(1), "short", new_sealed)};

    submit_sealed(f, ID(1), &one);
    assert_int_equal(rekey(f, anew, 2), APPLY_UNDO);
    assert_key(f, ID(1), "old-pair", 1);
    anew[1] = a_key(ID(1), "new-pair", new_sealed);
    anew[1].sealed.len--;
    assert_int_equal(rekey(f, anew, 2), APPLY_UNDO);
    assert_key(f, ID(1), "old-pair", 1);
}

static void
tell_pairs(const char *current, const char *former)
{
    struct proto_pair items[2] = {{.id = view_of(current)},
                                  {.id = view_of(former)}};
    struct proto_pairs pairs = {.pairs = {items, 2}, .seal = 1};
    struct buf bytes = {0};
    struct peer_message message = {.payload = &pairs, .fd = -1};

    record_encode(&proto_pairs_record, &pairs, &bytes);
    message.bytes = buf_view(&bytes);
    store_on_pairs(&message);
    buf_free(&bytes);
}

static bool
welcome(struct fixture *f, const struct data_key *key)
{
    struct buf bytes = {0};
    bool is;

    record_encode(&data_key_record, key, &bytes);
    is = store_keys_welcome(f->db, buf_view(&bytes));
    buf_free(&bytes);
    return is;
}

static void
test_former_pairs_are_not_welcome(void **state)
{
    struct fixture *f = *state;
    struct data_key known = a_key(ID(1), "old-pair", old_sealed);
    struct data_key late = a_key(ID(2), "old-pair", old_sealed);
    struct data_key fresh = a_key(ID(3), "new-pair", new_sealed);

    submit_sealed(f, ID(1), &known);
    tell_pairs("old-pair", "older-pr");
    assert_true(view_equal(store_keys_current(), VIEW("old-pair")));
    assert_true(welcome(f, &late));
    tell_pairs("new-pair", "old-pair");
    assert_true(view_equal(store_keys_current(), VIEW("new-pair")));
    assert_false(welcome(f, &late));
    assert_true(welcome(f, &known)); /* it is here, and is sealed anew */
    assert_true(welcome(f, &fresh));
    assert_true(store_keys_welcome(f->db, VIEW("")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sealed_anew, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_another_key_of_that_number,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_key_changes_nothing,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_former_pairs_are_not_welcome,
                                        fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
