/* SPDX-License-Identifier: ISC */
/*
 * Rows that readers see: mailboxes, marks, own messages, accounts. They follow
 * from deliveries and from what users did; where one is wrong no mail is lost,
 * but somebody would not see his, or see it twice.
 */
#include "db_check_walk.h"
#include "db_rules_reader.h"
#include "msgid.h"

static void
find_place(struct db_check *check, enum db_table table, uint64_t id, uint64_t n,
           uint64_t by, const char *text)
{
    char name[MSGID_TEXT_MAX];
    struct db_finding finding = {
        .what = "mailbox",
        .id = id,
        .n = n,
        .mend = {.what = MEND_PLACE,
                 .table = view_of(db_table_names[table]),
                 .id = id,
                 .n = n > 0 ? n - 1 : 0,
                 .by = by}};

    if (id != 0)
        db_check_find(check, &finding, "message %s: %s", msgid_print(id, name),
                      text);
    else
        db_check_find(check, &finding, "%s", text);
}

int
db_check_delivery_placed(struct db_check *check, const struct db_snapshot *in,
                         uint64_t id, uint64_t n, const struct delivery *row)
{
    int placed = db_rules_delivery_placed(in, id, n, row);

    if (placed == 0)
        find_place(check, DB_delivery, id, n + 1, 0,
                   "a recipient's mailbox does not show it");
    return placed < 0 ? -1 : 0;
}

/* What the row names is where it says. -1: the store cannot be read. */
static int
look_at_named(struct db_check *check, const struct db_check_row *row,
              enum db_table table)
{
    struct account account;
    struct mark mark;
    int placed = 1;

    if (table == DB_mark && row->key.len == 16 &&
        db_row_decode(table, row->key, row->value, &mark_record, &mark) == 0) {
        placed = db_rules_mark_placed(&row->in, row->key, &mark);
        if (placed == 0)
            find_place(check, table, bytes_get64(row->key.data),
                       (uint64_t)bytes_get32(row->key.data + 8) + 1,
                       bytes_get32(row->key.data + 12),
                       "a user's folder does not show it");
    }
    if (table == DB_user && db_row_decode(table, row->key, row->value,
                                          &account_record, &account) == 0) {
        placed = db_rules_account_placed(&row->in, &account);
        if (placed == 0)
            find_place(check, table, 0, 0, account.number,
                       "a user who cannot sign in: his name is not in login");
        record_clear(&account_record, &account);
    }
    return placed < 0 ? -1 : 0;
}

int
db_check_reader(struct db_check *check, const struct db_check_row *row,
                struct db_key *next)
{
    enum db_table table = db_check_table(check);
    struct why why;
    int stands;

    db_check_key_after(next, row->key);
    check->counts.rows++;
    if (!db_rules_row(table, row->key, row->value, &why)) {
        db_check_find_row(check, "damaged", table, row->key, MEND_ASIDE,
                          why.text);
        return 1;
    }
    stands = db_rules_stands(&row->in, table, row->key, row->value, &why);
    if (stands == 0)
        db_check_find_row(check, "mailbox", table, row->key, MEND_DROP,
                          why.text);
    else if (stands < 0 || look_at_named(check, row, table) != 0)
        return -1;
    return 3;
}

int
db_check_own(struct db_check *check, const struct db_check_row *row,
             struct db_key *next)
{
    uint64_t before = check->counts.rows++;
    struct message message;
    struct why why;
    uint64_t id;
    int placed;

    db_check_key_after(next, row->key);
    if (!db_rules_own(row->key, row->value, &message, &why)) {
        db_check_find_row(check, "damaged", DB_own, row->key, MEND_ASIDE,
                          why.text);
        return 1;
    }
    id = bytes_get64(row->key.data);
    placed = db_rules_own_placed(&row->in, id);
    if (placed == 0)
        db_check_find_whole(check, "orphan", id,
                            "a message of a user's own that nobody has");
    if (placed < 0 || db_check_content_rows(check, &row->in, id, &message) != 0)
        return -1;
    return (int)(check->counts.rows - before);
}
