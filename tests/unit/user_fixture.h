/* SPDX-License-Identifier: ISC */
/* For tests with accounts: the operator's changes of them. */
#ifndef SPOOL_TEST_USER_FIXTURE_H
#define SPOOL_TEST_USER_FIXTURE_H

#include "store_fixture.h"

#include "account.h"
#include "db_mailbox_read.h"

static inline enum apply_result
change_user(struct fixture *f, enum user_change_what what,
            const struct account *account)
{
    struct proto_user change = {
        .what = what, .when_ms = T0, .by = VIEW("root")};
    struct buf row = {0};
    struct account_text encoded;
    enum apply_result result;

    record_encode(&account_record, account, &row);
    encoded.text = buf_view(&row);
    change.accounts = (struct record_list){&encoded, 1};
    result = fixture_apply(f, STORE_USER, 0, &proto_user_record, &change);
    buf_free(&row);
    return result;
}

/* Adds a user who reads pattern; his number. */
static inline uint64_t
add_user(struct fixture *f, struct view name, struct view pattern)
{
    struct account_text text = {pattern};
    struct account account = {.name = name, .patterns = {&text, 1}}, row;
    struct buf memory = {0};
    struct why why;
    uint64_t number;

    assert_int_equal(change_user(f, USER_ADD, &account), APPLY_OK);
    assert_int_equal(db_read_account_named(f->db, name, &row, &memory, &why),
                     1);
    number = row.number;
    record_clear(&account_record, &row);
    buf_free(&memory);
    return number;
}

#endif
