/* SPDX-License-Identifier: ISC */
/*
 * A message with all that belongs to it, at one moment: its deliveries, their
 * rows in ready and later, its signature, its key, the parts of its content.
 *
 * Before: db_check.c
 */
#include <inttypes.h>
#include <stdio.h>

#include "db_check_walk.h"
#include "dictionary.h"
#include "mem.h"
#include "msgid.h"

/* --- the deliveries of a message -------------------------------------------
 */

static void
keep_delivery(struct db_check *check, const struct delivery *row, uint64_t n)
{
    if (check->n_rows == check->cap) {
        check->cap = check->cap > 0 ? check->cap * 2 : 64;
        check->rows = mem_grow(check->rows, check->cap, sizeof(*check->rows));
        check->numbers =
            mem_grow(check->numbers, check->cap, sizeof(*check->numbers));
    }
    check->rows[check->n_rows] = *row;
    check->numbers[check->n_rows++] = n;
}

/* Damaged rows of deliveries: each goes aside, the others flow. */
static void
find_delivery(struct db_check *check, uint64_t id, struct view key,
              const char *reason)
{
    char name[MSGID_TEXT_MAX];
    uint64_t n = key.len == 12 ? bytes_get32(key.data + 8) + UINT64_C(1) : 0;
    struct db_finding finding = {.what = "damaged",
                                 .id = id,
                                 .n = n,
                                 .mend = {.what = MEND_ASIDE,
                                          .table = VIEW("delivery"),
                                          .key = key,
                                          .id = id}};

    db_check_find(check, &finding,
                  "message %s, recipient %" PRIu64
                  ": its row cannot be used: %s",
                  msgid_print(id, name), n, reason);
}

/* Reads them all. tell: name those that are damaged. Returns how many are, or
 * -1. */
static int
read_deliveries(struct db_check *check, const struct db_snapshot *in,
                uint64_t id, bool tell)
{
    struct db_key start;
    MDB_cursor *cursor;
    MDB_val k, v;
    int damaged = 0;
    int rc = mdb_cursor_open(in->txn, in->tables[DB_delivery], &cursor);

    check->n_rows = 0;
    if (rc != 0)
        return -1;
    db_key_id(&start, id);
    k = db_key_val(&start);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && k.mv_size >= 8 &&
           memcmp(k.mv_data, start.bytes, 8) == 0) {
        struct delivery row;
        struct why why;

        check->counts.rows++;
        if (db_rules_delivery(db_view(k), db_view(v), &row, &why)) {
            keep_delivery(check, &row,
                          bytes_get32((const char *)k.mv_data + 8));
        } else {
            damaged++;
            if (tell)
                find_delivery(check, id, db_view(k), why.text);
        }
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND ? damaged : -1;
}

static size_t
count_open(const struct db_check *check)
{
    size_t n = 0;

    for (size_t i = 0; i < check->n_rows; i++)
        n += delivery_is_open(check->rows[i].state);
    return n;
}

/* Each delivery has its place in a mailbox, if it names one, and each that is
 * open its row in an index. */
static int
check_indexed(struct db_check *check, const struct db_snapshot *in, uint64_t id,
              const struct message *message)
{
    for (size_t i = 0; i < check->n_rows; i++) {
        const struct delivery *row = &check->rows[i];
        bool ready = row->state == DELIVERY_READY;
        struct db_key key;
        struct view value;
        int rc;

        if (db_check_delivery_placed(check, in, id, check->numbers[i], row) !=
            0)
            return -1;
        if (!ready && !delivery_waits(row->state))
            continue;
        if (ready) {
            db_rules_key_ready(&key, message, row, id, check->numbers[i]);
            rc = db_rules_get(in, DB_ready, &key, &value);
        } else {
            db_key_later(&key, row->next_ms, id, check->numbers[i]);
            rc = db_rules_get(in, DB_later, &key, &value);
        }
        if (rc == MDB_NOTFOUND)
            db_check_find_mend(check, "index", id, check->numbers[i] + 1,
                               ready ? MEND_READY : MEND_LATER,
                               ready
                                   ? "it is ready, but not in the table ready: "
                                     "nobody would try it"
                                   : "it waits, but not in the table later: "
                                     "nobody would try it again");
        else if (rc != 0)
            return -1;
    }
    return 0;
}

/* --- the message itself ----------------------------------------------------
 */

static int
check_finished(struct db_check *check, const struct db_snapshot *in,
               uint64_t id, const struct message *message)
{
    bool open = count_open(check) > 0;
    struct db_key key;
    struct view value;
    int rc;

    if (open && message->finished_ms != 0)
        db_check_find_mend(check, "state", id, 0, MEND_FINISH,
                           "it is finished, but has deliveries that are open");
    else if (!open && message->finished_ms == 0)
        db_check_find_mend(check, "state", id, 0, MEND_FINISH,
                           "no delivery is open, but it is not finished");
    if (open || message->finished_ms == 0)
        return 0;
    db_key_later(&key, message->purge_ms, id, DB_LATER_PURGE);
    rc = db_rules_get(in, DB_later, &key, &value);
    if (rc == MDB_NOTFOUND) {
        struct db_finding finding = {
            .what = "index",
            .id = id,
            .mend = {.what = MEND_LATER, .id = id, .n = DB_LATER_PURGE}};
        char name[MSGID_TEXT_MAX];

        db_check_find(
            check, &finding,
            "message %s: it is finished, but the table later has no time at "
            "which it goes",
            msgid_print(id, name));
        return 0;
    }
    return rc == 0 ? 0 : -1;
}

/* Its signature is where it says, and finds it. */
static int
check_signature(struct db_check *check, const struct db_snapshot *in,
                uint64_t id, const struct message *message)
{
    struct sieve want;
    int found;

    sieve_of_message(&want, message, check->rows, check->n_rows);
    found = db_rules_signed(in, id, message, &want);
    if (found == 0)
        db_check_find_mend(
            check, "signature", id, 0, MEND_SIEVE,
            "it has no right signature: searches would not find it");
    return found < 0 ? -1 : 0;
}

/* The rows its content needs. */
static int
check_needs(struct db_check *check, const struct db_snapshot *in, uint64_t id,
            const struct message *message)
{
    const struct {
        enum db_table table;
        uint64_t id;
        const char *text;
    } needs[] = {
        {DB_key, message->key,
         "its data key is missing: its content cannot be read"},
        {DB_dictionary,
         message->dictionary >= DICTIONARY_TRAINED_ID ? message->dictionary : 0,
         "the dictionary it needs is missing: its content cannot be read"},
    };

    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        struct db_key key;
        struct view value;
        int rc;

        if (needs[i].id == 0)
            continue;
        db_key_id(&key, needs[i].id);
        rc = db_rules_get(in, needs[i].table, &key, &value);
        if (rc == MDB_NOTFOUND)
            db_check_find_mend(check, "key", id, 0, 0, needs[i].text);
        else if (rc != 0)
            return -1;
    }
    return 0;
}

/* Where a message's parts are, while they are counted. */
struct parts {
    uint64_t bytes;
    uint64_t piece; /* of the last part */
    unsigned part;
    bool any;
    bool gap;
};

static void
parts_take(struct parts *parts, uint64_t number, size_t bytes)
{
    uint64_t piece = number >> 8;
    unsigned part = number & 0xff;
    bool follows = !parts->any ? number == 0
                   : part == 0
                       ? piece == parts->piece + 1
                       : piece == parts->piece && part == parts->part + 1;

    parts->gap |= !follows;
    parts->any = true;
    parts->piece = piece;
    parts->part = part;
    parts->bytes += bytes;
}

static void
find_extra(struct db_check *check, uint64_t id, struct view key)
{
    char name[MSGID_TEXT_MAX];
    struct db_finding finding = {
        .what = "content",
        .id = id,
        .mend = {
            .what = MEND_ASIDE, .table = VIEW("body"), .key = key, .id = id}};

    db_check_find(check, &finding,
                  "message %s: a part of content it does not have by its row",
                  msgid_print(id, name));
}

/* All pieces are there, one after the other, with the bytes there were. */
static int
check_pieces(struct db_check *check, const struct db_snapshot *in, uint64_t id,
             const struct message *message)
{
    struct parts parts = {0};
    struct db_key start;
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(in->txn, in->tables[DB_body], &cursor);

    if (rc != 0)
        return -1;
    db_key_id(&start, id);
    k = db_key_val(&start);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && k.mv_size >= 8 &&
           memcmp(k.mv_data, start.bytes, 8) == 0) {
        uint64_t number = k.mv_size == 12
                              ? bytes_get32((const char *)k.mv_data + 8)
                              : UINT64_MAX;

        check->counts.rows++;
        if (number >> 8 >= message->pieces)
            find_extra(check, id, db_view(k));
        else
            parts_take(&parts, number, v.mv_size);
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return -1;
    if (parts.gap || parts.bytes != message->stored ||
        (message->pieces > 0 && parts.piece + 1 != message->pieces))
        db_check_find_whole(
            check, "content", id,
            "parts of its content are missing: it cannot be delivered");
    return 0;
}

int
db_check_content_rows(struct db_check *check, const struct db_snapshot *in,
                      uint64_t id, const struct message *message)
{
    if (check_needs(check, in, id, message) != 0)
        return -1;
    return check_pieces(check, in, id, message);
}

int
db_check_message(struct db_check *check, const struct db_check_row *row,
                 struct db_key *next)
{
    uint64_t before = check->counts.rows++;
    struct message message;
    struct why why;
    uint64_t id;
    int damaged;

    db_check_key_after(next, row->key);
    if (row->key.len != 8) {
        db_check_find_row(check, "damaged", DB_message, row->key, MEND_ASIDE,
                          "its key is none");
        return 1;
    }
    id = bytes_get64(row->key.data);
    if (!db_rules_message(row->key, row->value, &message, &why)) {
        char text[DB_CHECK_TEXT_MAX];

        snprintf(text, sizeof(text), "its row cannot be used: %s", why.text);
        db_check_find_whole(check, "damaged", id, text);
        return 1;
    }
    check->counts.messages++;
    damaged = read_deliveries(check, &row->in, id, false);
    if (damaged < 0)
        return -1;
    if (check->n_rows == 0 || (damaged > 0 && count_open(check) == 0)) {
        db_check_find_whole(check, "damaged", id,
                            damaged > 0
                                ? "the rows of recipients cannot be used and "
                                  "none is left to deliver to"
                                : "it has no recipients");
        return 1;
    }
    if (damaged > 0)
        return read_deliveries(check, &row->in, id, true) < 0 ? -1 : 2;
    if (check_finished(check, &row->in, id, &message) != 0 ||
        check_indexed(check, &row->in, id, &message) != 0 ||
        check_signature(check, &row->in, id, &message) != 0 ||
        db_check_content_rows(check, &row->in, id, &message) != 0)
        return -1;
    return (int)(check->counts.rows - before);
}
