/* SPDX-License-Identifier: ISC */
/*
 * Accounts in the store: what the operator changes of them, what signing in
 * leaves, and that an import is done whole or not at all.
 */
#include "user_fixture.h"

#include "store_mailbox.h"

#define ANNA VIEW("anna@example.com")
#define B    VIEW("b@example.com")

static struct why why;

static enum apply_result
sign_in(struct fixture *f, uint64_t what, struct view name, struct view hash,
        uint64_t when_ms)
{
    struct proto_sign_in request = {.what = what,
                                    .when_ms = when_ms,
                                    .name = name,
                                    .hash = hash,
                                    .pattern = ANNA};

    return fixture_apply(f, STORE_SIGN_IN, 0, &proto_sign_in_record, &request);
}

static void
test_accounts(void **state)
{
    struct fixture *f = *state;
    struct account_text hash = {VIEW("$argon2id$x")};
    struct account_code code = {VIEW("01234567890123456789012345678901"),
                                T0 + 1000};
    struct account account = {.name = ANNA, .hashes = {&hash, 1}}, row;
    struct buf memory = {0};

    add_user(f, ANNA, B);
    assert_int_equal(change_user(f, USER_ADD, &account), APPLY_REFUSED);
    assert_int_equal(change_user(f, USER_PASSWORD, &account), APPLY_OK);
    account.codes = (struct record_list){&code, 1};
    assert_int_equal(change_user(f, USER_INVITE, &account), APPLY_OK);
    assert_int_equal(db_read_account_named(f->db, ANNA, &row, &memory, &why),
                     1);
    assert_int_equal(row.patterns.count, 1);
    assert_int_equal(row.hashes.count, 1);
    assert_int_equal(row.codes.count, 1);
    assert_int_equal(row.version, 2);
    record_clear(&account_record, &row);
    /* Once, and not after its time. */
    assert_int_equal(sign_in(f, SIGN_CODE, ANNA, code.hash, T0 + 1000),
                     APPLY_OK);
    assert_int_equal(f->count, 0);
    assert_int_equal(sign_in(f, SIGN_CODE, ANNA, code.hash, T0), APPLY_OK);
    assert_int_equal(f->count, 1);
    assert_int_equal(sign_in(f, SIGN_CODE, ANNA, code.hash, T0), APPLY_OK);
    assert_int_equal(f->count, 0);
    account.name = VIEW("Nobody");
    assert_int_equal(change_user(f, USER_PASSWORD, &account), APPLY_REFUSED);
    account.name = VIEW("nobody");
    assert_int_equal(change_user(f, USER_REMOVE, &account), APPLY_REFUSED);
    buf_free(&memory);
}

/* As many codes as there may be; those whose time is over make room. */
static void
test_codes(void **state)
{
    struct fixture *f = *state;
    char text[ACCOUNT_CODE_HASH] = "";
    struct account_code code = {{text, sizeof(text)}, T0 + 1000};
    struct account account = {.name = ANNA, .codes = {&code, 1}};

    add_user(f, ANNA, B);
    for (int i = 0; i < ACCOUNT_CODES_MAX; i++) {
        text[0] = (char)i;
        code.until_ms = i == 3 ? T0 : T0 + 1000;
        assert_int_equal(change_user(f, USER_INVITE, &account), APPLY_OK);
    }
    text[0] = 77; /* in place of the fourth */
    assert_int_equal(change_user(f, USER_INVITE, &account), APPLY_OK);
    text[0] = 78;
    assert_int_equal(change_user(f, USER_INVITE, &account), APPLY_REFUSED);
    text[0] = 77;
    assert_int_equal(sign_in(f, SIGN_CODE, ANNA, code.hash, T0), APPLY_OK);
    assert_int_equal(f->count, 1);
}

/* All of an import, or nothing; who is there keeps what he reads. */
static void
test_import(void **state)
{
    struct fixture *f = *state;
    struct account_text pattern = {ANNA}, hash = {VIEW("$argon2id$new")};
    struct account accounts[] = {
        {.name = VIEW("new")}, {.name = ANNA}, {.name = VIEW("NOT A NAME")}};
    struct account_text encoded[3];
    struct proto_user import = {.what = USER_IMPORT,
                                .when_ms = T0,
                                .by = VIEW("root"),
                                .accounts = {encoded, 3}};
    struct buf bytes[3] = {{0}}, memory = {0};
    struct account row;

    add_user(f, ANNA, B);
    for (int i = 0; i < 3; i++) {
        accounts[i].patterns = (struct record_list){&pattern, 1};
        accounts[i].hashes = (struct record_list){&hash, 1};
        record_encode(&account_record, &accounts[i], &bytes[i]);
        encoded[i].text = buf_view(&bytes[i]);
    }
    assert_int_equal(
        fixture_apply(f, STORE_USER, 0, &proto_user_record, &import),
        APPLY_UNDO);
    assert_int_equal(
        db_read_account_named(f->db, VIEW("new"), &row, &memory, &why), 0);
    import.accounts.count = 2;
    assert_int_equal(
        fixture_apply(f, STORE_USER, 0, &proto_user_record, &import), APPLY_OK);
    assert_int_equal(f->count, 2);
    assert_int_equal(
        db_read_account_named(f->db, VIEW("new"), &row, &memory, &why), 1);
    record_clear(&account_record, &row);
    buf_reset(&memory);
    assert_int_equal(db_read_account_named(f->db, ANNA, &row, &memory, &why),
                     1);
    assert_true(view_equal(
        ((const struct account_text *)row.patterns.items)[0].text, B));
    assert_int_equal(row.hashes.count, 1);
    assert_int_equal(row.version, 2);
    record_clear(&account_record, &row);
    buf_free(&memory);
    /* One change, one account. */
    import.what = USER_PASSWORD;
    assert_int_equal(
        fixture_apply(f, STORE_USER, 0, &proto_user_record, &import),
        APPLY_REFUSED);
    for (int i = 0; i < 3; i++)
        buf_free(&bytes[i]);
}

static void
test_learned(void **state)
{
    struct fixture *f = *state;
    struct account row;
    struct buf memory = {0};

    assert_int_equal(sign_in(f, SIGN_FORGET, ANNA, VIEW(""), T0),
                     APPLY_REFUSED);
    assert_int_equal(sign_in(f, SIGN_LEARN, ANNA, VIEW("hash"), T0), APPLY_OK);
    assert_int_equal(
        db_read_account_after(f->db, VIEW(""), &row, &memory, &why), 1);
    assert_true(view_equal(row.learned, VIEW("hash")));
    assert_int_equal(row.learned_ms, T0);
    assert_int_equal(row.upstream, 1);
    assert_int_equal(row.patterns.count, 1);
    record_clear(&account_record, &row);
    assert_int_equal(sign_in(f, SIGN_FORGET, ANNA, VIEW(""), T0), APPLY_OK);
    assert_int_equal(db_read_account_named(f->db, ANNA, &row, &memory, &why),
                     1);
    assert_int_equal(row.learned.len, 0);
    record_clear(&account_record, &row);
    assert_int_equal(db_read_account_after(f->db, ANNA, &row, &memory, &why),
                     0);
    buf_free(&memory);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_accounts),
        TEST(test_codes),
        TEST(test_import),
        TEST(test_learned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
