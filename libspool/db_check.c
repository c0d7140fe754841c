/* SPDX-License-Identifier: ISC */
/*
 * The walk of a check, one table after the other. First messages with all
 * that belongs to them; then what belongs to no message; then the indexes,
 * which follow from the rest, so that repairs have the right order; content
 * last.
 */
#include "db_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "body.h"
#include "db_check_walk.h"
#include "db_rules_reader.h"
#include "mem.h"
#include "msgid.h"

/* Content looked at counts as a row for so many bytes. */
#define BYTES_A_ROW 4096

/* --- findings --------------------------------------------------------------
 */

void
db_check_find(struct db_check *check, struct db_finding *finding,
              const char *format, ...)
{
    char text[DB_CHECK_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    finding->text = text;
    if (finding->mend.reason.len == 0)
        finding->mend.reason = view_of(text);
    check->counts.findings++;
    check->fn(check->arg, finding);
}

/* "row 17 of ledger", for tables that are not about one message. */
static const char *
row_name(enum db_table table, struct view key, char text[DB_CHECK_TEXT_MAX])
{
    if (key.len == 8)
        snprintf(text, DB_CHECK_TEXT_MAX, "row %" PRIu64 " of %s",
                 bytes_get64(key.data), db_table_names[table]);
    else
        snprintf(text, DB_CHECK_TEXT_MAX, "row \"%.*s\" of %s",
                 (int)(key.len < 100 ? key.len : 100), key.data,
                 db_table_names[table]);
    return text;
}

/* All of a message's rows have to go. */
void
db_check_find_whole(struct db_check *check, const char *what, uint64_t id,
                    const char *text)
{
    char name[MSGID_TEXT_MAX];
    struct db_finding finding = {
        .what = what, .id = id, .mend = {.what = MEND_WHOLE, .id = id}};

    db_check_find(check, &finding, "message %s: %s", msgid_print(id, name),
                  text);
}

/* Something of a delivery (n + 1), or of a message as a whole (0). */
void
db_check_find_mend(struct db_check *check, const char *what, uint64_t id,
                   uint64_t n, enum mend_what mend, const char *text)
{
    char name[MSGID_TEXT_MAX];
    struct db_finding finding = {
        .what = what,
        .id = id,
        .n = n,
        .mend = {.what = mend, .id = id, .n = n > 0 ? n - 1 : 0}};

    if (n > 0)
        db_check_find(check, &finding, "message %s, recipient %" PRIu64 ": %s",
                      msgid_print(id, name), n, text);
    else
        db_check_find(check, &finding, "message %s: %s", msgid_print(id, name),
                      text);
}

void
db_check_find_row(struct db_check *check, const char *what, enum db_table table,
                  struct view key, enum mend_what mend, const char *text)
{
    char name[DB_CHECK_TEXT_MAX];
    struct db_finding finding = {
        .what = what,
        .mend = {
            .what = mend, .table = view_of(db_table_names[table]), .key = key}};

    db_check_find(check, &finding, "%s: %s", row_name(table, key, name), text);
}

/* --- walking ---------------------------------------------------------------
 */

/* The first key behind those that start with id; len 0: none. */
static void
key_behind(struct db_key *next, uint64_t id)
{
    if (id < UINT64_MAX)
        db_key_id(next, id + 1);
    else
        next->len = 0;
}

/* The key right behind this one. */
void
db_check_key_after(struct db_key *next, struct view key)
{
    if (db_rules_key(next, key) && next->len < sizeof(next->bytes))
        next->bytes[next->len++] = '\0';
}

/* --- rows without a message ------------------------------------------------
 */

/* delivery and body: one row of each id is looked at. */
static int
look_for_owner(struct db_check *check, const struct db_check_row *row,
               struct db_key *next)
{
    struct view value;
    struct db_key key;
    uint64_t id;
    int rc;

    if (row->key.len != 12) {
        db_check_key_after(next, row->key);
        db_check_find_row(check, "damaged",
                          check->walk == 1 ? DB_delivery : DB_body, row->key,
                          MEND_ASIDE, "its key is none");
        return 1;
    }
    id = bytes_get64(row->key.data);
    key_behind(next, id);
    db_key_id(&key, id);
    rc = db_rules_get(&row->in, DB_message, &key, &value);
    if (rc == MDB_NOTFOUND && check->walk != 1)
        rc = db_rules_get(&row->in, DB_own, &key, &value);
    if (rc == MDB_NOTFOUND)
        db_check_find_whole(check, "orphan", id,
                            check->walk == 1
                                ? "it has rows of recipients, but none of "
                                  "its own: it cannot be delivered"
                                : "it has content, but no row of its own");
    else if (rc != 0)
        return -1;
    return 1;
}

/* --- indexes ---------------------------------------------------------------
 */

static int
look_at_index(struct db_check *check, const struct db_check_row *row,
              struct db_key *next, enum db_table table)
{
    struct db_finding finding = {
        .what = "index",
        .mend = {.what = MEND_DROP,
                 .table = view_of(db_table_names[table]),
                 .key = row->key}};
    char name[MSGID_TEXT_MAX];
    struct why why;
    uint64_t id = 0, n = 0;
    int right = table == DB_ready ? db_rules_ready(&row->in, row->key, &why)
                                  : db_rules_later(&row->in, row->key, &why);

    db_check_key_after(next, row->key);
    check->counts.rows++;
    if (right < 0)
        return -1;
    if (right == 1)
        return 2;
    if (db_rules_index(table, row->key, &id, &n)) {
        finding.id = id;
        finding.n = n != DB_LATER_PURGE ? n + 1 : 0;
    }
    db_check_find(check, &finding, "a row of %s about message %s: %s",
                  db_table_names[table],
                  id != 0 ? msgid_print(id, name) : "none", why.text);
    return 2;
}

static int
look_at_ready(struct db_check *check, const struct db_check_row *row,
              struct db_key *next)
{
    return look_at_index(check, row, next, DB_ready);
}

static int
look_at_later(struct db_check *check, const struct db_check_row *row,
              struct db_key *next)
{
    return look_at_index(check, row, next, DB_later);
}

static int
look_at_block(struct db_check *check, const struct db_check_row *row,
              struct db_key *next)
{
    struct sieve sieve;
    struct why why;
    uint64_t id, number;
    size_t strange = 0, live = 0, slots = db_rules_slots(row->value);

    db_check_key_after(next, row->key);
    check->counts.rows++;
    if (!db_rules_row(DB_sieve, row->key, row->value, &why)) {
        db_check_find_row(check, "signature", DB_sieve, row->key, MEND_ASIDE,
                          why.text);
        return 1;
    }
    number = bytes_get64(row->key.data);
    for (size_t i = 0; db_rules_slot(row->value, i, &id, &sieve); i++) {
        struct message message;
        int found;

        if (id == 0)
            continue;
        live++;
        found = db_rules_get_message(&row->in, id, &message);
        if (found < 0)
            return -1;
        strange += found == 0 || message.block != number;
    }
    if (strange > 0 || live != bytes_get32(row->value.data + 4) ||
        slots != bytes_get32(row->value.data)) {
        struct db_finding finding = {
            .what = "signature", .mend = {.what = MEND_BLOCK, .id = number}};

        db_check_find(check, &finding,
                      "block %" PRIu64
                      " of sieve: %zu signatures of messages that are "
                      "not there, or it counts wrong",
                      number, strange);
    }
    return (int)live + 1;
}

/* --- the other tables ------------------------------------------------------
 */

static int look_at_row(struct db_check *check, const struct db_check_row *row,
                       struct db_key *next);

static int
look_at_ledger(struct db_check *check, const struct db_check_row *row,
               struct db_key *next)
{
    struct why why;
    uint64_t seq = row->key.len == 8 ? bytes_get64(row->key.data) : 0;

    db_check_key_after(next, row->key);
    check->counts.rows++;
    /* What is removed from the middle breaks the chain for good: it stays. */
    if (!db_rules_row(DB_ledger, row->key, row->value, &why))
        db_check_find_row(check, "ledger", DB_ledger, row->key, 0, why.text);
    if (check->ledger != 0 && seq > check->ledger + 1) {
        struct db_finding finding = {.what = "ledger"};

        db_check_find(check, &finding,
                      "entries %" PRIu64 " to %" PRIu64
                      " of the ledger are missing",
                      check->ledger + 1, seq - 1);
    }
    check->ledger = seq;
    return 1;
}

/* --- content ---------------------------------------------------------------
 */

static void
content_clear(struct db_check *check)
{
    char digest[BODY_DIGEST_LEN];

    if (check->digest != NULL)
        body_digest_end(&check->digest, digest);
}

/* One part after the other, as long as this step has room. 1: all were read,
 * 2: go on here, -1. */
static int
read_content(struct db_check *check, const struct db_snapshot *in, uint64_t id,
             const struct message *message)
{
    struct db_key key;
    MDB_cursor *cursor;
    MDB_val k, v;
    size_t bytes = 0, room = check->left * BYTES_A_ROW;
    int rc = mdb_cursor_open(in->txn, in->tables[DB_body], &cursor);

    if (rc != 0)
        return -1;
    db_key_id_n(&key, id, check->content_part);
    k = db_key_val(&key);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && k.mv_size == 12 && memcmp(k.mv_data, key.bytes, 8) == 0 &&
           bytes_get32((const char *)k.mv_data + 8) >> 8 < message->pieces &&
           bytes < room) {
        body_digest_add(check->digest, db_view(v));
        bytes += v.mv_size;
        check->content_part = bytes_get32((const char *)k.mv_data + 8) + 1;
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return -1;
    return bytes < room ? 1 : 2;
}

static int
look_at_content(struct db_check *check, const struct db_check_row *row,
                struct db_key *next)
{
    char digest[BODY_DIGEST_LEN];
    struct message message;
    uint64_t id = row->key.len == 8 ? bytes_get64(row->key.data) : 0;
    int done;

    db_check_key_after(next, row->key);
    if (id == 0 ||
        !(db_check_table(check) == DB_own
              ? db_rules_own(row->key, row->value, &message, NULL)
              : db_rules_message(row->key, row->value, &message, NULL)))
        return 1; /* it was found before */
    if (check->content_id != id) {
        content_clear(check);
        check->digest = body_digest_new();
        check->content_id = id;
        check->content_part = 0;
    }
    done = read_content(check, &row->in, id, &message);
    if (done == 2) { /* the same message in the next step */
        db_rules_key(next, row->key);
        return (int)check->left;
    }
    if (done < 0)
        return -1;
    body_digest_end(&check->digest, digest);
    check->content_id = 0;
    if (memcmp(digest, message.digest.data, MESSAGE_DIGEST) != 0)
        db_check_find_whole(
            check, "content", id,
            "its content is not what came in: it cannot be delivered");
    return (int)(message.stored / BYTES_A_ROW) + 1;
}

/* --- steps -----------------------------------------------------------------
 */

static const struct {
    enum db_table table;
    db_check_look_fn *look;
} walks[] = {
    {DB_message, db_check_message},  {DB_delivery, look_for_owner},
    {DB_body, look_for_owner},       {DB_sieve, look_at_block},
    {DB_ready, look_at_ready},       {DB_later, look_at_later},
    {DB_target, look_at_row},        {DB_setting, look_at_row},
    {DB_key, look_at_row},           {DB_dictionary, look_at_row},
    {DB_domain, look_at_row},        {DB_checkpoint, look_at_row},
    {DB_aside, look_at_row},         {DB_undo, look_at_row},
    {DB_prefer, look_at_row},        {DB_ledger, look_at_ledger},
    {DB_own, db_check_own},          {DB_mailbox, db_check_reader},
    {DB_address, db_check_reader},   {DB_mark, db_check_reader},
    {DB_structure, db_check_reader}, {DB_login, db_check_reader},
    {DB_user, db_check_reader},      {DB_message, look_at_content},
    {DB_own, look_at_content},
};
#define WALKS         (sizeof(walks) / sizeof(walks[0]))
#define WALKS_CONTENT 2 /* the last */

enum db_table
db_check_table(const struct db_check *check)
{
    return walks[check->walk].table;
}

static int
look_at_row(struct db_check *check, const struct db_check_row *row,
            struct db_key *next)
{
    enum db_table table = walks[check->walk].table;
    struct why why;

    db_check_key_after(next, row->key);
    check->counts.rows++;
    check->counts.aside += table == DB_aside;
    if (db_rules_row(table, row->key, row->value, &why))
        return 1;
    if (table == DB_setting)
        db_check_find_row(check, "damaged", table, row->key, 0, why.text);
    else
        db_check_find_row(check, "damaged", table, row->key, MEND_ASIDE,
                          why.text);
    return 1;
}

struct db_check *
db_check_new(bool content, db_check_fn *fn, void *arg)
{
    struct db_check *check = mem_alloc(sizeof(*check));

    check->content = content;
    check->fn = fn;
    check->arg = arg;
    return check;
}

void
db_check_free(struct db_check **check)
{
    if (*check == NULL)
        return;
    content_clear(*check);
    free((*check)->rows);
    free((*check)->numbers);
    free(*check);
    *check = NULL;
}

const struct db_check_counts *
db_check_counts(const struct db_check *check)
{
    return &check->counts;
}

/* Rows of the table under way, until the step has no room. 0: it does not, 1:
 * that was the last, or LMDB's error. */
static int
walk_rows(struct db_check *check, const struct db_snapshot *in,
          MDB_cursor *cursor)
{
    while (check->left > 0) {
        struct db_check_row row = {.in = *in};
        struct db_key next = {0};
        MDB_val k = db_key_val(&check->next), v;
        int worth;
        int rc = mdb_cursor_get(
            cursor, &k, &v, check->next.len > 0 ? MDB_SET_RANGE : MDB_FIRST);

        if (rc != 0)
            return rc == MDB_NOTFOUND ? 1 : rc;
        if (k.mv_size >= sizeof(next.bytes)) /* none of ours is as long */
            return MDB_CORRUPTED;
        row.key = db_view(k);
        row.value = db_view(v);
        worth = walks[check->walk].look(check, &row, &next);
        if (worth < 0)
            return MDB_CORRUPTED;
        check->next = next;
        if (next.len == 0) /* it was the last there can be */
            return 1;
        check->left -=
            (size_t)worth < check->left ? (size_t)worth : check->left;
    }
    return 0;
}

static int
walk_table(struct db_check *check, struct db *db, MDB_txn *txn)
{
    const struct db_snapshot in = {txn, db->tables};
    MDB_cursor *cursor;
    int rc =
        mdb_cursor_open(txn, db->tables[walks[check->walk].table], &cursor);

    if (rc != 0)
        return rc;
    rc = walk_rows(check, &in, cursor);
    mdb_cursor_close(cursor);
    return rc;
}

int
db_check_step(struct db_check *check, struct db *db, size_t rows,
              struct why *why)
{
    size_t last = check->content ? WALKS : WALKS - WALKS_CONTENT;
    MDB_txn *txn;
    int rc;

    check->left = rows;
    if (check->walk == last)
        return 0;
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = walk_table(check, db, txn);
    db_read_end(db);
    if (rc == 0)
        return 1;
    if (rc == 1) {
        check->walk++;
        check->next.len = 0;
        return check->walk < last;
    }
    return why_text(why,
                    "the table %s cannot be read (%s): stop spoold and run "
                    "spoolctl check --offline",
                    db_table_names[walks[check->walk].table], mdb_strerror(rc));
}
