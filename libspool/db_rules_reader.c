/* SPDX-License-Identifier: ISC */
#include "db_rules_reader.h"

/* 0, with the reason. */
static int
wrong(struct why *why, const char *reason)
{
    why_text(why, "%s", reason);
    return 0;
}

/* A row decoded: 1, 0: there is none that can be read, -1. */
static int
get(const struct db_snapshot *in, enum db_table table, struct db_key *key,
    const struct record_type *type, void *row)
{
    struct view value;
    int rc = db_rules_get(in, table, key, &value);

    if (rc != 0)
        return rc == MDB_NOTFOUND ? 0 : -1;
    return db_row_decode(table, (struct view){key->bytes, key->len}, value,
                         type, row) == 0;
}

bool
db_rules_own(struct view key, struct view value, struct message *row,
             struct why *why)
{
    if (key.len != 8 ||
        db_row_decode(DB_own, key, value, &message_record, row) != 0)
        return wrong(why, "its check bytes do not fit");
    message_unpack(row);
    return row->digest.len == MESSAGE_DIGEST || wrong(why, "it has no digest");
}

/* --- places --------------------------------------------------------------- */

/* Is this place that of the delivery, by its own row? */
static int
is_place_of_delivery(const struct db_snapshot *in, const struct db_place *place,
                     const struct delivery *row)
{
    char text[MAILBOX_ADDRESS_MAX];
    struct view address = {text, mailbox_address(row->recipient, text)};
    struct address_row known;
    struct db_key key;
    int found;

    if (address.len == 0)
        return 0;
    db_key_address(&key, address);
    found = get(in, DB_address, &key, &address_row_record, &known);
    return found != 1
               ? found
               : known.number == place->number && row->uid == place->uid &&
                     place->box == (row->moved ? BOX_DELIVERED : BOX_INBOX);
}

static int
is_place_of_mark(const struct db_snapshot *in, const struct db_place *place,
                 uint64_t id, uint64_t n)
{
    struct account account;
    struct mark mark;
    struct db_key key;
    int found;

    db_key_id(&key, place->number);
    found = get(in, DB_user, &key, &account_record, &account);
    if (found != 1)
        return found;
    record_clear(&account_record, &account);
    db_key_mark(&key, id, n, place->number);
    found = get(in, DB_mark, &key, &mark_record, &mark);
    return found != 1 ? found
                      : mark.box == place->box && mark.uid == place->uid;
}

static int
mailbox_stands(const struct db_snapshot *in, struct view key, struct view value,
               struct why *why)
{
    struct delivery row;
    struct db_place place;
    uint64_t id, n;
    int found;

    if (db_place_decode(key, value, &place, &id, &n) != 0)
        return wrong(why, "it is none");
    found = db_rules_get_delivery(in, id, n, &row);
    if (found == 1)
        found = is_place_of_delivery(in, &place, &row);
    if (found == 0)
        found = is_place_of_mark(in, &place, id, n);
    return found == 0 ? wrong(why, "what it shows is not there, or elsewhere")
                      : found;
}

/* A row of mailbox under this number, or the first behind. */
static int
is_placed(const struct db_snapshot *in, const struct db_place *place,
          uint64_t id, uint64_t n)
{
    struct db_place other;
    struct db_key key;
    struct view value;
    uint64_t other_id, other_n;
    int rc;

    db_key_place(&key, place->number, place->box, place->uid);
    rc = db_rules_get(in, DB_mailbox, &key, &value);
    if (rc != 0)
        return rc == MDB_NOTFOUND ? 0 : -1;
    return db_place_decode((struct view){key.bytes, key.len}, value, &other,
                           &other_id, &other_n) == 0 &&
           other_id == id && other_n == n;
}

/* --- what stands for something ---------------------------------------------
 */

/* Is there any row that begins so? */
static int
has_prefix(const struct db_snapshot *in, enum db_table table,
           struct db_key *start, size_t len)
{
    MDB_val k = db_key_val(start), v;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(in->txn, in->tables[table], &cursor);

    if (rc != 0)
        return -1;
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    if (rc == 0)
        rc = k.mv_size >= len && memcmp(k.mv_data, start->bytes, len) == 0;
    else
        rc = rc == MDB_NOTFOUND ? 0 : -1;
    mdb_cursor_close(cursor);
    return rc;
}

static int
address_stands(const struct db_snapshot *in, struct view key, struct view value,
               struct why *why)
{
    struct address_row row;
    struct db_key start;
    int found;

    if (db_row_decode(DB_address, key, value, &address_row_record, &row) != 0)
        return 1; /* another finding */
    db_key_place(&start, row.number, 0, 0);
    found = has_prefix(in, DB_mailbox, &start, 4);
    return found == 0 ? wrong(why, "there is no mail for this address") : found;
}

/* mark, structure: of a message, or of somebody's own. */
static int
message_stands(const struct db_snapshot *in, struct view key, struct why *why)
{
    struct view value;
    struct db_key id;
    int rc;

    if (key.len < 8)
        return wrong(why, "its key is none");
    db_key_id(&id, bytes_get64(key.data));
    rc = db_rules_get(in, DB_message, &id, &value);
    if (rc == MDB_NOTFOUND)
        rc = db_rules_get(in, DB_own, &id, &value);
    if (rc == MDB_NOTFOUND)
        return wrong(why, "there is no such message");
    return rc == 0 ? 1 : -1;
}

static int
login_stands(const struct db_snapshot *in, struct view key, struct view value,
             struct why *why)
{
    struct address_row login;
    struct account account;
    struct db_key number;
    int found;
    bool same;

    if (db_row_decode(DB_login, key, value, &address_row_record, &login) != 0)
        return 1; /* another finding */
    db_key_id(&number, login.number);
    found = get(in, DB_user, &number, &account_record, &account);
    if (found != 1)
        return found == 0 ? wrong(why, "there is no such user") : found;
    same = view_equal(account.name, key);
    record_clear(&account_record, &account);
    return same || wrong(why, "the user has another name");
}

int
db_rules_stands(const struct db_snapshot *in, enum db_table table,
                struct view key, struct view value, struct why *why)
{
    switch (table) {
    case DB_mailbox:
        return mailbox_stands(in, key, value, why);
    case DB_address:
        return address_stands(in, key, value, why);
    case DB_mark:
    case DB_structure:
        return message_stands(in, key, why);
    case DB_login:
        return login_stands(in, key, value, why);
    default:
        return 1;
    }
}

/* --- what has its place -----------------------------------------------------
 */

int
db_rules_delivery_placed(const struct db_snapshot *in, uint64_t id, uint64_t n,
                         const struct delivery *row)
{
    char text[MAILBOX_ADDRESS_MAX];
    struct view address = {text, mailbox_address(row->recipient, text)};
    struct db_place place = {.box = row->moved ? BOX_DELIVERED : BOX_INBOX,
                             .uid = row->uid};
    struct address_row known;
    struct db_key key;
    int found;

    if (row->uid == 0 || address.len == 0)
        return 1;
    db_key_address(&key, address);
    found = get(in, DB_address, &key, &address_row_record, &known);
    if (found != 1)
        return found;
    place.number = known.number;
    return is_placed(in, &place, id, n);
}

int
db_rules_mark_placed(const struct db_snapshot *in, struct view key,
                     const struct mark *row)
{
    struct db_place place = {.box = row->box, .uid = row->uid};
    struct db_key user;
    struct view value;
    int rc;

    if (row->box == BOX_NONE || key.len != 16)
        return 1;
    place.number = bytes_get32(key.data + 12);
    db_key_id(&user, place.number);
    rc = db_rules_get(in, DB_user, &user, &value);
    if (rc != 0) /* his marks go with the mail */
        return rc == MDB_NOTFOUND ? 1 : -1;
    return is_placed(in, &place, bytes_get64(key.data),
                     bytes_get32(key.data + 8));
}

int
db_rules_account_placed(const struct db_snapshot *in, const struct account *row)
{
    struct address_row login;
    struct db_key key;
    int found;

    if (row->name.len == 0 || row->name.len > ACCOUNT_NAME_MAX)
        return 1;
    db_key_name(&key, row->name);
    found = get(in, DB_login, &key, &address_row_record, &login);
    return found != 1 ? found : login.number == row->number;
}

int
db_rules_own_placed(const struct db_snapshot *in, uint64_t id)
{
    struct db_key start;

    db_key_mark(&start, id, 0, 0);
    return has_prefix(in, DB_mark, &start, 12);
}
