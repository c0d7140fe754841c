/* SPDX-License-Identifier: ISC */
/*
 * Mailboxes in the store: where deliveries stand, what users mark, hide and
 * put elsewhere for themselves, their own messages, what vanished, and that
 * numbers never come back. After each test no row is left that should not be.
 */
#include "user_fixture.h"

#include "store_mailbox.h"

#define ANNA VIEW("anna@example.com")
#define B    VIEW("b@example.com")

static struct why why;

/* --- the fixture ------------------------------------------------------------
 */

static void
switch_on(struct fixture *f)
{
    struct store_mailboxes on = {.uidvalidity = 1234567};

    assert_int_equal(
        fixture_apply(f, STORE_MAILBOXES, 0, &store_mailboxes_record, &on),
        APPLY_OK);
}

/* What a user sees of a box. */
struct seen {
    struct db_mail mails[50];
    int count;
    struct buf words;
};

static void
look(struct fixture *f, uint64_t user, struct view pattern, uint64_t box,
     struct seen *seen)
{
    struct account_text text = {pattern};
    struct record_list patterns = {&text, 1};
    struct db_numbers numbers = {0};
    uint64_t from = 1, next;

    buf_reset(&seen->words);
    seen->count = 0;
    assert_int_equal(db_mailbox_numbers(f->db, user, &patterns, &numbers, &why),
                     1);
    do { /* two at a time: the pieces must fit together */
        int n = db_mailbox_read(f->db, user, &numbers, box, from,
                                seen->mails + seen->count, 2, &next,
                                &seen->words, NULL, &why);

        assert_true(n >= 0);
        seen->count += n;
        from = next;
    } while (next != 0);
    for (int i = 1; i < seen->count; i++)
        assert_true(seen->mails[i - 1].uid < seen->mails[i].uid);
    db_numbers_free(&numbers);
}

static void
look_status(struct fixture *f, uint64_t user, struct view pattern, uint64_t box,
            struct db_mailbox_status *status)
{
    struct account_text text = {pattern};
    struct record_list patterns = {&text, 1};
    struct db_numbers numbers = {0};
    struct db_mail mails[2];
    struct buf words = {0};
    int rc;

    assert_int_equal(db_mailbox_numbers(f->db, user, &patterns, &numbers, &why),
                     1);
    assert_int_equal(db_mailbox_status_begin(f->db, true, status, &why), 1);
    for (uint64_t next = 1; next != 0;)
        assert_true(db_mailbox_read(f->db, user, &numbers, box, next, mails, 2,
                                    &next, &words, status, &why) >= 0);
    while ((rc = db_mailbox_status_end(f->db, &numbers, box, 1, status,
                                       &why)) == 0)
        ;
    assert_int_equal(rc, 1);
    buf_free(&words);
    db_numbers_free(&numbers);
}

static int
look_vanished(struct fixture *f, uint64_t user, struct view pattern,
              uint64_t box, uint64_t since, struct db_numbers *uids)
{
    struct account_text text = {pattern};
    struct record_list patterns = {&text, 1};
    struct db_numbers numbers = {0};
    int known;

    uids->count = 0;
    assert_int_equal(db_mailbox_numbers(f->db, user, &patterns, &numbers, &why),
                     1);
    known = db_mailbox_vanished(f->db, &numbers, box, since, uids, &why);
    db_numbers_free(&numbers);
    return known;
}

static void
purge(struct fixture *f, uint64_t id, uint64_t keep_ms)
{
    struct store_due_row row = {T0 + keep_ms, id, DB_LATER_PURGE};
    struct store_due due = {{&row, 1}};

    assert_int_equal(fixture_apply(f, STORE_DUE, 0, &store_due_record, &due),
                     APPLY_OK);
}

static uint64_t
flag(struct fixture *f, uint64_t user, uint64_t what, uint64_t flags,
     struct view keywords, uint64_t id)
{
    struct proto_mail mail = {id, 0};
    struct proto_flags change = {.user = user,
                                 .what = what,
                                 .flags = flags,
                                 .keywords = keywords,
                                 .items = {&mail, 1}};

    assert_int_equal(
        fixture_apply(f, STORE_FLAGS, 0, &proto_flags_record, &change),
        APPLY_OK);
    return f->count;
}

static void
place(struct fixture *f, uint64_t user, uint64_t box, uint64_t id)
{
    struct proto_mail mail = {id, 0};
    struct proto_place change = {user, box, {&mail, 1}};

    assert_int_equal(
        fixture_apply(f, STORE_PLACE, 0, &proto_place_record, &change),
        APPLY_OK);
}

static enum apply_result
append(struct fixture *f, uint64_t user, uint64_t id, uint64_t box,
       uint64_t quota)
{
    char content[4 + 6] = "\0\0\0\6"
                          "0hello";
    struct message message = {
        .arrived_ms = T0, .origin = ORIGIN_SMTP, .size = 5};
    struct proto_submit submit = {.id = id,
                                  .content = {content, sizeof(content)},
                                  .content_len = sizeof(content)};
    struct proto_append request = {.user = user,
                                   .box = box,
                                   .flags = MARK_DRAFT | MARK_SEEN,
                                   .keywords = VIEW("later"),
                                   .quota_bytes = quota};
    struct buf row = {0}, bytes = {0};
    enum apply_result result;

    record_encode(&message_record, &message, &row);
    submit.message = buf_view(&row);
    record_encode(&proto_submit_record, &submit, &bytes);
    request.submit = buf_view(&bytes);
    result = fixture_apply(f, STORE_APPEND, 0, &proto_append_record, &request);
    buf_free(&row);
    buf_free(&bytes);
    return result;
}

/* No row of these tables is left. */
static void
assert_empty(struct fixture *f, const char *const *tables, size_t n)
{
    struct buf out = {0};

    assert_int_equal(db_dump(f->db, &out, &why), 0);
    buf_add_byte(&out, '\0');
    for (size_t i = 0; i < n; i++) {
        char start[32];

        snprintf(start, sizeof(start), "\n%s ", tables[i]);
        if (strstr(out.data, start) != NULL)
            fail_msg("a row is left in %s", tables[i]);
    }
    buf_free(&out);
}

static void
assert_gone(struct fixture *f)
{
    static const char *const tables[] = {"mailbox", "address", "mark",
                                         "own",     "body",    "structure"};

    assert_empty(f, tables, sizeof(tables) / sizeof(tables[0]));
}

/* --- deliveries --------------------------------------------------------------
 */

static void
test_off(void **state)
{
    struct fixture *f = *state;
    struct db_mailbox_facts facts;

    fixture_submit(f, ID(1), 2);
    assert_int_equal(db_mailbox_facts(f->db, &facts, &why), 1);
    assert_false(facts.on);
    assert_int_equal(facts.modseq, 0);
    fixture_deliver(f, ID(1), 0, 1000);
    fixture_deliver(f, ID(1), 1, 1000);
    purge(f, ID(1), 1000);
    assert_gone(f);
}

static void
test_moves(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.count = 0};
    struct db_numbers uids = {0};
    struct db_mailbox_status status;
    uint64_t user, first, second, modseq;

    switch_on(f);
    user = add_user(f, VIEW("b"), B);
    fixture_submit(f, ID(1), 1);
    fixture_submit(f, ID(2), 1);
    look(f, user, B, BOX_INBOX, &seen);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.mails[0].id, ID(1));
    assert_int_equal(seen.mails[0].modseq, seen.mails[0].uid);
    first = seen.mails[0].uid;
    second = seen.mails[1].uid;
    modseq = seen.mails[1].modseq;
    look_status(f, user, B, BOX_INBOX, &status);
    assert_int_equal(status.messages, 2);
    assert_int_equal(status.unseen, 2);
    assert_int_equal(status.size, 10);
    assert_int_equal(status.uidnext, second + 1);
    assert_int_equal(status.highest_modseq, modseq);

    fixture_deliver(f, ID(1), 0, 1000);
    look(f, user, B, BOX_INBOX, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.mails[0].uid, second);
    look(f, user, B, BOX_DELIVERED, &seen);
    assert_int_equal(seen.count, 1);
    assert_true(seen.mails[0].uid > second);
    assert_int_equal(look_vanished(f, user, B, BOX_INBOX, modseq, &uids), 1);
    assert_int_equal(uids.count, 1);
    assert_int_equal(uids.items[0], first);

    /* The newest goes: uidnext stays, highest_modseq rises. */
    fixture_deliver(f, ID(2), 0, 1000);
    look_status(f, user, B, BOX_INBOX, &status);
    assert_int_equal(status.messages, 0);
    assert_int_equal(status.uidnext, second + 1);
    assert_true(status.highest_modseq > modseq);
    assert_int_equal(
        look_vanished(f, user, B, BOX_INBOX, status.highest_modseq, &uids), 1);
    assert_int_equal(uids.count, 0);
    purge(f, ID(1), 1000);
    purge(f, ID(2), 1000);
    assert_gone(f);

    /* The address has a new number, its uids go on. */
    fixture_submit(f, ID(3), 1);
    look(f, user, B, BOX_INBOX, &seen);
    assert_int_equal(seen.count, 1);
    assert_true(seen.mails[0].uid > status.uidnext);
    db_numbers_free(&uids);
    buf_free(&seen.words);
}

static void
test_fill(void **state)
{
    struct fixture *f = *state;
    struct store_fill fill = {2};
    struct db_mailbox_facts facts;
    struct seen seen = {.count = 0};

    fixture_submit(f, ID(1), 2);
    fixture_submit(f, ID(2), 1);
    fixture_deliver(f, ID(2), 0, 1000);
    switch_on(f);
    fixture_submit(f, ID(3), 1);
    do {
        assert_int_equal(
            fixture_apply(f, STORE_FILL, 0, &store_fill_record, &fill),
            APPLY_OK);
    } while (f->count == fill.max);
    assert_int_equal(db_mailbox_facts(f->db, &facts, &why), 1);
    assert_true(facts.filled);
    look(f, 999, B, BOX_INBOX, &seen);
    assert_int_equal(seen.count, 3);
    look(f, 999, B, BOX_DELIVERED, &seen);
    assert_int_equal(seen.count, 1);
    buf_free(&seen.words);
}

static void
test_restored(void **state)
{
    struct fixture *f = *state;
    struct store_mailboxes skip = {.skip = 1000};
    struct seen seen = {.count = 0};
    struct db_numbers uids = {0};
    uint64_t uid;

    switch_on(f);
    fixture_submit(f, ID(1), 1);
    look(f, 999, B, BOX_INBOX, &seen);
    uid = seen.mails[0].uid;
    assert_int_equal(
        fixture_apply(f, STORE_MAILBOXES, 0, &store_mailboxes_record, &skip),
        APPLY_OK);
    fixture_submit(f, ID(2), 1);
    look(f, 999, B, BOX_INBOX, &seen);
    assert_int_equal(seen.mails[0].uid, uid);
    assert_true(seen.mails[0].modseq > 1000);
    assert_true(seen.mails[1].uid > 1000);
    assert_int_equal(look_vanished(f, 999, B, BOX_INBOX, 500, &uids), 0);
    buf_free(&seen.words);
    db_numbers_free(&uids);
}

/* --- marks -------------------------------------------------------------------
 */

static void
test_flags(void **state)
{
    struct fixture *f = *state;
    struct proto_mail mail = {ID(1), 0};
    struct proto_flags change = {.what = FLAGS_ADD,
                                 .flags = MARK_FLAGGED,
                                 .conditional = 1,
                                 .items = {&mail, 1}};
    struct seen seen = {.count = 0};
    uint64_t user, other, modseq;

    switch_on(f);
    user = add_user(f, VIEW("b"), B);
    other = add_user(f, VIEW("c"), B);
    fixture_submit(f, ID(1), 1);
    modseq =
        flag(f, user, FLAGS_ADD, MARK_SEEN, VIEW("Work  $Junk work"), ID(1));
    look(f, user, B, BOX_INBOX, &seen);
    assert_int_equal(seen.mails[0].flags, MARK_SEEN);
    assert_int_equal(seen.mails[0].modseq, modseq);
    assert_true(
        view_equal(view_skip(buf_view(&seen.words), 0), VIEW("Work $Junk")));
    look(f, other, B, BOX_INBOX, &seen);
    assert_int_equal(seen.mails[0].flags, 0);
    /* Nothing changes: the modseq stays. */
    flag(f, user, FLAGS_ADD, MARK_SEEN, VIEW("work"), ID(1));
    look(f, user, B, BOX_INBOX, &seen);
    assert_int_equal(seen.mails[0].modseq, modseq);
    flag(f, user, FLAGS_REMOVE, MARK_SEEN, VIEW("WORK"), ID(1));
    look(f, user, B, BOX_INBOX, &seen);
    assert_int_equal(seen.mails[0].flags, 0);
    assert_true(view_equal(buf_view(&seen.words), VIEW("$Junk")));
    /* UNCHANGEDSINCE. */
    change.user = user;
    change.unchanged_since = modseq;
    assert_int_equal(
        fixture_apply(f, STORE_FLAGS, 0, &proto_flags_record, &change),
        APPLY_OK);
    assert_int_equal(f->count, 0);
    look(f, user, B, BOX_INBOX, &seen);
    assert_int_equal(seen.mails[0].flags, 0);
    change.unchanged_since = seen.mails[0].modseq;
    assert_int_equal(
        fixture_apply(f, STORE_FLAGS, 0, &proto_flags_record, &change),
        APPLY_OK);
    look(f, user, B, BOX_INBOX, &seen);
    assert_int_equal(seen.mails[0].flags, MARK_FLAGGED);
    /* Flags go along to Delivered. */
    fixture_deliver(f, ID(1), 0, 1000);
    look(f, user, B, BOX_DELIVERED, &seen);
    assert_int_equal(seen.mails[0].flags, MARK_FLAGGED);
    change.user = 77;
    assert_int_equal(
        fixture_apply(f, STORE_FLAGS, 0, &proto_flags_record, &change),
        APPLY_REFUSED);
    purge(f, ID(1), 1000);
    assert_gone(f);
    buf_free(&seen.words);
}

static void
test_trash(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.count = 0};
    struct db_numbers uids = {0};
    struct db_message mail;
    uint64_t user, other, uid;

    switch_on(f);
    user = add_user(f, VIEW("b"), B);
    other = add_user(f, VIEW("c"), B);
    fixture_submit(f, ID(1), 1);
    look(f, user, B, BOX_INBOX, &seen);
    uid = seen.mails[0].uid;
    place(f, user, BOX_TRASH, ID(1));
    look(f, user, B, BOX_INBOX, &seen);
    assert_int_equal(seen.count, 0);
    look(f, user, B, BOX_TRASH, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(
        db_read_mail(f->db, user, &seen.mails[0], BOX_TRASH, &mail, &why), 1);
    db_message_free(&mail);
    /* Another's place is not shown, whoever asks for it. */
    assert_int_equal(
        db_read_mail(f->db, other, &seen.mails[0], BOX_TRASH, &mail, &why), 0);
    assert_int_equal(look_vanished(f, user, B, BOX_INBOX, uid, &uids), 1);
    assert_int_equal(uids.count, 1);
    assert_int_equal(uids.items[0], uid);
    look(f, other, B, BOX_INBOX, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(look_vanished(f, other, B, BOX_INBOX, uid, &uids), 1);
    assert_int_equal(uids.count, 0);

    /* Back: a new uid, for him alone; then it is delivered. */
    place(f, user, BOX_INBOX, ID(1));
    look(f, user, B, BOX_INBOX, &seen);
    assert_int_equal(seen.count, 1);
    assert_true(seen.mails[0].uid > uid);
    look(f, user, B, BOX_TRASH, &seen);
    assert_int_equal(seen.count, 0);
    look(f, other, B, BOX_INBOX, &seen);
    assert_int_equal(seen.count, 1);
    fixture_deliver(f, ID(1), 0, 1000);
    look(f, user, B, BOX_INBOX, &seen);
    assert_int_equal(seen.count, 0);
    look(f, user, B, BOX_DELIVERED, &seen);
    assert_int_equal(seen.count, 1);
    /* Hidden for good; the mail stays. */
    place(f, user, BOX_NONE, ID(1));
    look(f, user, B, BOX_DELIVERED, &seen);
    assert_int_equal(seen.count, 0);
    look(f, other, B, BOX_DELIVERED, &seen);
    assert_int_equal(seen.count, 1);
    place(f, other, BOX_TRASH, ID(1));
    purge(f, ID(1), 1000);
    assert_gone(f);
    buf_free(&seen.words);
    db_numbers_free(&uids);
}

static void
test_own(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.count = 0};
    struct db_message mail;
    struct account account;
    struct buf memory = {0};
    uint64_t user, other, number;

    switch_on(f);
    user = add_user(f, VIEW("b"), B);
    other = add_user(f, VIEW("c"), B);
    assert_int_equal(append(f, user, ID(1), BOX_INBOX, 100), APPLY_UNDO);
    assert_int_equal(append(f, user, ID(1), BOX_DRAFTS, 5), APPLY_UNDO);
    assert_int_equal(append(f, user, ID(1), BOX_DRAFTS, 6), APPLY_OK);
    number = f->count;
    assert_int_equal(append(f, user, ID(1), BOX_DRAFTS, 100), APPLY_STALE);
    assert_int_equal(append(f, user, ID(2), BOX_DRAFTS, 11), APPLY_UNDO);
    assert_int_equal(append(f, user, ID(2), BOX_SENT, 12), APPLY_OK);
    look(f, user, B, BOX_DRAFTS, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.mails[0].uid, number);
    assert_int_equal(seen.mails[0].flags, MARK_DRAFT | MARK_SEEN);
    assert_true(view_equal(buf_view(&seen.words), VIEW("later")));
    assert_int_equal(
        db_read_mail(f->db, user, &seen.mails[0], BOX_DRAFTS, &mail, &why), 1);
    assert_int_equal(mail.n_deliveries, 0);
    assert_int_equal(mail.message.size, 5);
    db_message_free(&mail);
    look(f, other, B, BOX_DRAFTS, &seen);
    assert_int_equal(seen.count, 0);
    /* It is no mail: nothing else meets it. */
    assert_int_equal(db_read_message_after(f->db, 0, &mail, &why), 0);

    place(f, user, BOX_TRASH, ID(1));
    look(f, user, B, BOX_DRAFTS, &seen);
    assert_int_equal(seen.count, 0);
    place(f, user, BOX_NONE, ID(1));
    look(f, user, B, BOX_TRASH, &seen);
    assert_int_equal(seen.count, 0);
    assert_int_equal(db_read_account(f->db, user, &account, &memory, &why), 1);
    assert_int_equal(account.own_bytes, 6);
    assert_int_equal(account.own_count, 1);
    record_clear(&account_record, &account);
    account = (struct account){.name = VIEW("b")};
    assert_int_equal(change_user(f, USER_REMOVE, &account), APPLY_OK);
    assert_int_equal(
        db_read_account_named(f->db, VIEW("b"), &account, &memory, &why), 0);
    assert_gone(f);
    buf_free(&seen.words);
    buf_free(&memory);
}

static void
test_structure(void **state)
{
    struct fixture *f = *state;
    struct proto_structure_item items[] = {{ID(1), VIEW("some bytes")},
                                           {ID(9), VIEW("of nobody")}};
    struct proto_structure list = {{items, 2}};
    struct buf out = {0};

    switch_on(f);
    fixture_submit(f, ID(1), 1);
    assert_int_equal(
        fixture_apply(f, STORE_STRUCTURE, 0, &proto_structure_record, &list),
        APPLY_OK);
    assert_int_equal(db_read_structure(f->db, ID(1), &out, &why), 1);
    assert_true(view_equal(buf_view(&out), VIEW("some bytes")));
    assert_int_equal(db_read_structure(f->db, ID(9), &out, &why), 0);
    fixture_deliver(f, ID(1), 0, 0);
    assert_gone(f);
    buf_free(&out);
}

static void
test_addresses(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *address;
        const char *form;
    } rows[] = {
        {"Anna@Example.COM", "anna@example.com"},
        {"\"Anna\"@example.com", "anna@example.com"},
        {"a@b@c", "a@b@c"},
        {"@example.com", ""},
        {"anna@", ""},
        {"anna", ""},
        {"", ""},
    };
    struct db_numbers numbers = {0};
    struct buf names = {0};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[MAILBOX_ADDRESS_MAX];
        size_t len = mailbox_address(view_of(rows[i].address), out);

        assert_true(view_equal((struct view){out, len}, view_of(rows[i].form)));
    }
    switch_on(f);
    fixture_submit(f, ID(1), 1);
    assert_int_equal(
        db_mailbox_numbers_of(f->db, VIEW("*@example.com"), &numbers, &why), 1);
    assert_int_equal(numbers.count, 1);
    assert_int_equal(
        db_mailbox_numbers_of(f->db, VIEW("a*@example.com"), &numbers, &why),
        1);
    assert_int_equal(numbers.count, 0);
    assert_int_equal(
        db_mailbox_numbers_of(f->db, VIEW("*@example.co"), &numbers, &why), 1);
    assert_int_equal(numbers.count, 0);
    assert_int_equal(
        db_mailbox_addresses(f->db, VIEW("*@example.com"), 10, &names, &why),
        1);
    assert_int_equal(names.len, B.len + 1);
    assert_memory_equal(names.data, B.data, B.len);
    db_numbers_free(&numbers);
    buf_free(&names);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_off),      TEST(test_moves),     TEST(test_fill),
        TEST(test_restored), TEST(test_flags),     TEST(test_trash),
        TEST(test_own),      TEST(test_addresses), TEST(test_structure),

#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
