/* SPDX-License-Identifier: ISC */
/*
 * What readers see, broken behind the store's back: a check names it, repair
 * puts it right, and every message has the uid it had. A user's own messages
 * are nothing strange.
 */
#include "mend_fixture.h"

#include "account.h"
#include "db_mailbox_read.h"
#include "store_mailbox.h"

#define B VIEW("b@example.com")

static struct why why;

/* --- a store with readers ---------------------------------------------------
 */

static uint64_t
add_user(struct fixture *f, struct view name)
{
    struct account_text pattern = {B}, encoded;
    struct account account = {.name = name, .patterns = {&pattern, 1}}, row;
    struct proto_user change = {.what = USER_ADD,
                                .when_ms = T0,
                                .by = VIEW("root"),
                                .accounts = {&encoded, 1}};
    struct buf bytes = {0};
    uint64_t number;

    record_encode(&account_record, &account, &bytes);
    encoded.text = buf_view(&bytes);
    assert_int_equal(
        fixture_apply(f, STORE_USER, 0, &proto_user_record, &change), APPLY_OK);
    buf_reset(&bytes);
    assert_int_equal(db_read_account_named(f->db, name, &row, &bytes, &why), 1);
    number = row.number;
    record_clear(&account_record, &row);
    buf_free(&bytes);
    return number;
}

static void
move_to(struct fixture *f, uint64_t user, uint64_t box, uint64_t id)
{
    struct proto_mail mail = {id, 0};
    struct proto_place change = {user, box, {&mail, 1}};

    assert_int_equal(
        fixture_apply(f, STORE_PLACE, 0, &proto_place_record, &change),
        APPLY_OK);
}

static void
append(struct fixture *f, uint64_t user, uint64_t id)
{
    char content[4 + 6] = "\0\0\0\6"
                          "0hello";
    struct message message = {
        .arrived_ms = T0, .origin = ORIGIN_SMTP, .size = 5};
    struct proto_submit submit = {.id = id,
                                  .content = {content, sizeof(content)},
                                  .content_len = sizeof(content)};
    struct proto_append request = {
        .user = user, .box = BOX_DRAFTS, .quota_bytes = 1000};
    struct buf row = {0}, bytes = {0};

    record_encode(&message_record, &message, &row);
    submit.message = buf_view(&row);
    record_encode(&proto_submit_record, &submit, &bytes);
    request.submit = buf_view(&bytes);
    assert_int_equal(
        fixture_apply(f, STORE_APPEND, 0, &proto_append_record, &request),
        APPLY_OK);
    buf_free(&row);
    buf_free(&bytes);
}

/* All that a user sees, a line each: "box uid id". */
static void
see(struct fixture *f, uint64_t user, struct buf *out)
{
    struct account_text text = {B};
    struct record_list patterns = {&text, 1};
    struct db_numbers numbers = {0};
    struct buf words = {0};

    buf_reset(out);
    assert_int_equal(db_mailbox_numbers(f->db, user, &patterns, &numbers, &why),
                     1);
    for (uint64_t box = 1; box <= BOX_MAX; box++) {
        struct db_mail mails[10];
        uint64_t next;
        int n = db_mailbox_read(f->db, user, &numbers, box, 1, mails, 10, &next,
                                &words, NULL, &why);

        assert_true(n >= 0);
        for (int i = 0; i < n; i++)
            buf_addf(out, "%d %d %d\n", (int)box, (int)mails[i].uid,
                     (int)(mails[i].id - ID(0)));
    }
    buf_add_byte(out, '\0');
    buf_free(&words);
    db_numbers_free(&numbers);
}

/* Two users; three messages, one of them delivered, one in the first user's
 * Trash; and a draft of his. */
struct readers {
    uint64_t anna;
    uint64_t bob;
    struct buf before[2];
    struct buf after;
};

static void
readers_begin(struct fixture *f, struct readers *r)
{
    struct store_mailboxes on = {.uidvalidity = 1234567};

    *r = (struct readers){.anna = 0};
    assert_int_equal(
        fixture_apply(f, STORE_MAILBOXES, 0, &store_mailboxes_record, &on),
        APPLY_OK);
    r->anna = add_user(f, VIEW("anna"));
    r->bob = add_user(f, VIEW("bob"));
    for (int i = 1; i <= 3; i++)
        fixture_submit(f, ID(i), 1);
    fixture_deliver(f, ID(3), 0, KEEP_MS);
    move_to(f, r->anna, BOX_TRASH, ID(1));
    append(f, r->anna, ID(7));
    see(f, r->anna, &r->before[0]);
    see(f, r->bob, &r->before[1]);
    assert_sound(f);
}

/* Both see what they saw. */
static void
readers_end(struct fixture *f, struct readers *r)
{
    see(f, r->anna, &r->after);
    assert_string_equal(r->after.data, r->before[0].data);
    see(f, r->bob, &r->after);
    assert_string_equal(r->after.data, r->before[1].data);
    buf_free(&r->before[0]);
    buf_free(&r->before[1]);
    buf_free(&r->after);
}

/* The first row of the table whose key begins so. */
static void
find_row(struct fixture *f, enum db_table table, struct db_key *start,
         size_t len)
{
    struct breaking b = break_begin(f);
    MDB_val k = db_key_val(start), v;
    MDB_cursor *cursor;

    assert_int_equal(mdb_cursor_open(b.txn, f->db->tables[table], &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE), 0);
    assert_memory_equal(k.mv_data, start->bytes, len);
    memcpy(start->bytes, k.mv_data, k.mv_size);
    start->len = k.mv_size;
    mdb_cursor_close(cursor);
    mdb_txn_abort(b.txn);
}

/* --- tests ------------------------------------------------------------------
 */

static void
test_places_that_are_missing(void **state)
{
    struct fixture *f = *state;
    struct readers r;
    struct db_key key;

    readers_begin(f, &r);
    /* The user's Trash, then a recipient's INBOX and Delivered. */
    db_key_place(&key, r.anna, BOX_TRASH, 0);
    find_row(f, DB_mailbox, &key, 5);
    drop_row(f, DB_mailbox, &key);
    assert_mended(f, "a user's folder does not show it");
    db_key_address(&key, B);
    drop_row(f, DB_address, &key);
    assert_mended(f, "a recipient's mailbox does not show it");
    readers_end(f, &r);
}

static void
test_places_of_nothing(void **state)
{
    struct fixture *f = *state;
    struct readers r;
    struct db_key key;
    char id[8];

    readers_begin(f, &r);
    bytes_put64(id, ID(2));
    /* Once more, elsewhere; for a user who never did; of nothing at all. */
    db_key_place(&key, r.bob, BOX_TRASH, 900);
    put_row(f, DB_mailbox, &key, (struct view){id, 8});
    assert_mended(f, "what it shows is not there, or elsewhere");
    bytes_put64(id, ID(9));
    db_key_place(&key, 77, BOX_INBOX, 901);
    put_row(f, DB_mailbox, &key, (struct view){id, 8});
    assert_mended(f, "what it shows is not there, or elsewhere");
    readers_end(f, &r);
}

static void
test_rows_of_nobody(void **state)
{
    struct fixture *f = *state;
    struct readers r;
    struct structure_row structure = {VIEW("(nothing)")};
    struct mark mark = {.flags = MARK_SEEN, .modseq = 3};
    struct address_row row = {55};
    struct db_txn *txn;

    readers_begin(f, &r);
    assert_int_equal(db_begin(f->db, &txn), DB_OK);
    assert_int_equal(db_put_structure(txn, ID(9), structure.bytes), DB_OK);
    assert_int_equal(db_put_mark(txn, ID(9), 0, r.bob, &mark), DB_OK);
    assert_int_equal(db_put_address(txn, VIEW("x@example.com"), &row), DB_OK);
    assert_int_equal(db_put_login(txn, VIEW("nobody"), 56), DB_OK);
    assert_int_equal(db_commit(&txn, &why), DB_OK);
    assert_mended(f, "of structure: there is no such message");
    assert_int_equal(n_rows(f, DB_structure), 0);
    assert_int_equal(n_rows(f, DB_address), 1);
    assert_int_equal(n_rows(f, DB_login), 2);
    readers_end(f, &r);
}

static void
test_login(void **state)
{
    struct fixture *f = *state;
    struct readers r;
    struct account account;
    struct buf memory = {0};
    struct db_key key;

    readers_begin(f, &r);
    db_key_name(&key, VIEW("anna"));
    drop_row(f, DB_login, &key);
    assert_int_equal(
        db_read_account_named(f->db, VIEW("anna"), &account, &memory, &why), 0);
    assert_mended(f, "a user who cannot sign in");
    assert_int_equal(
        db_read_account_named(f->db, VIEW("anna"), &account, &memory, &why), 1);
    assert_int_equal(account.number, r.anna);
    record_clear(&account_record, &account);
    buf_free(&memory);
    readers_end(f, &r);
}

static void
test_own(void **state)
{
    struct fixture *f = *state;
    struct readers r;
    struct db_key key;

    readers_begin(f, &r);
    db_key_mark(&key, ID(7), 0, r.anna);
    drop_row(f, DB_mark, &key);
    assert_mended(f, "a message of a user's own that nobody has");
    assert_int_equal(n_rows(f, DB_own), 0);
    see(f, r.bob, &r.after);
    assert_string_equal(r.after.data, r.before[1].data);
    buf_free(&r.before[0]);
    buf_free(&r.before[1]);
    buf_free(&r.after);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_places_that_are_missing),
        TEST(test_places_of_nothing),
        TEST(test_rows_of_nobody),
        TEST(test_login),
        TEST(test_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
