/* SPDX-License-Identifier: ISC */
/*
 * Questions about mailboxes. A user's mailbox is the places of a few numbers
 * (his addresses and himself) put together in the order of uids, less what he
 * hid; what he marked comes from his own rows, which most messages do not
 * have.
 */
#include "db_mailbox_read.h"

#include <stdlib.h>

#include "db_lmdb.h"
#include "db_mailbox.h"
#include "mem.h"

static int
answer(int rc, struct why *why)
{
    if (rc == 0)
        return 1;
    return rc == MDB_NOTFOUND
               ? 0
               : why_text(why, "reading the store: %s", mdb_strerror(rc));
}

/* --- facts ---------------------------------------------------------------- */

static int
read_totals(struct db *db, MDB_txn *txn, struct db_totals *totals)
{
    MDB_val k = db_val(VIEW("totals")), v;
    int rc = mdb_get(txn, db->tables[DB_setting], &k, &v);

    *totals = (struct db_totals){0};
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc == 0 && db_row_decode(DB_setting, db_view(k), db_view(v),
                                 &db_totals_record, totals) != 0)
        return MDB_CORRUPTED;
    return rc;
}

int
db_mailbox_facts(struct db *db, struct db_mailbox_facts *out, struct why *why)
{
    struct db_totals totals;
    MDB_txn *txn;
    int rc;

    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = read_totals(db, txn, &totals);
    *out = (struct db_mailbox_facts){
        .on = totals.mailboxes != 0,
        .filled = totals.filled_n == UINT64_MAX,
        .uidvalidity = totals.uidvalidity,
        .uid_base = totals.uid_base,
        .modseq = totals.modseq,
        .modseq_floor = totals.modseq_floor,
        .vanished_from = totals.vanished_from,
    };
    db_read_end(db);
    return answer(rc, why);
}

/* --- places and marks ----------------------------------------------------- */

/* One question under way. */
struct view_walk {
    struct db *db;
    MDB_txn *txn;
    uint64_t user;
    uint64_t box;
    uint64_t uid_base;
    uint64_t floor;
    bool any_marks;    /* else nobody marked anything */
    struct buf *words; /* NULL: keywords are not wanted */
};

static int
walk_begin(struct view_walk *walk)
{
    struct db_totals totals;
    MDB_stat stat;
    int rc = read_totals(walk->db, walk->txn, &totals);

    walk->uid_base = totals.uid_base;
    walk->floor = totals.modseq_floor;
    if (rc == 0)
        rc = mdb_stat(walk->txn, walk->db->tables[DB_mark], &stat);
    walk->any_marks = rc == 0 && stat.ms_entries > 0;
    return rc;
}

/* Flags and modseq of the mail for the user; *hidden: not for him. */
static int
add_mark(const struct view_walk *walk, struct db_mail *mail, bool *hidden)
{
    struct mark mark;
    struct db_key key;
    MDB_val k, v;
    int rc;

    *hidden = false;
    mail->flags = 0;
    mail->keywords_len = 0;
    mail->modseq = mail->uid + walk->uid_base;
    if (mail->modseq < walk->floor)
        mail->modseq = walk->floor;
    if (!walk->any_marks)
        return 0;
    db_key_mark(&key, mail->id, mail->n, walk->user);
    k = db_key_val(&key);
    rc = mdb_get(walk->txn, walk->db->tables[DB_mark], &k, &v);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0)
        return rc;
    if (db_row_decode(DB_mark, db_view(k), db_view(v), &mark_record, &mark) !=
        0)
        return 0; /* "spoolctl check" tells of it */
    /* His own place counts where it is, the address's unless he hid it. */
    *hidden = mail->number == walk->user
                  ? mark.box != walk->box || mark.uid != mail->uid
                  : mark.hidden != 0;
    mail->flags = mark.flags;
    if (mark.modseq > mail->modseq)
        mail->modseq = mark.modseq;
    if (walk->words != NULL && mark.keywords.len > 0) {
        mail->keywords = walk->words->len;
        mail->keywords_len = mark.keywords.len;
        buf_add_view(walk->words, mark.keywords);
    }
    return 0;
}

struct mails {
    struct db_mail *items;
    size_t count;
    size_t cap;
};

/* Places of one number from from_uid on, max of them. Where there are others,
 * *horizon becomes the last uid that was taken, if it is lower. */
static int
collect(const struct view_walk *walk, MDB_cursor *cursor, uint64_t number,
        uint64_t from_uid, size_t max, struct mails *mails, uint64_t *horizon)
{
    struct db_key key;
    struct db_place place = {.uid = 0};
    uint64_t id, n, last = 0;
    MDB_val k, v;
    size_t count = 0;
    int rc;

    db_key_place(&key, number, walk->box, from_uid);
    k = db_key_val(&key);
    for (rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE); rc == 0;
         rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        if (db_place_decode(db_view(k), db_view(v), &place, &id, &n) != 0 ||
            place.number != number || place.box != walk->box)
            return 0;
        if (count++ == max) {
            *horizon = last < *horizon ? last : *horizon;
            return 0;
        }
        if (mails->count == mails->cap) {
            mails->cap = mails->cap > 0 ? mails->cap * 2 : 64;
            mails->items =
                mem_grow(mails->items, mails->cap, sizeof(*mails->items));
        }
        last = place.uid;
        mails->items[mails->count++] = (struct db_mail){
            .uid = place.uid, .id = id, .n = n, .number = number};
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
by_uid(const void *a, const void *b)
{
    const struct db_mail *left = a, *right = b;

    return left->uid < right->uid ? -1 : left->uid > right->uid;
}

/* Places of many numbers are read at least so many a number: else each would
 * be looked up anew for every message. */
#define OF_ONE_MIN 4

/* The first places of all numbers, in order, max of them. *next: the uid to go
 * on with, 0: there are no others. Above the horizon of one number what the
 * others have may not be all that comes next. */
static int
collect_all(const struct view_walk *walk, const struct db_numbers *numbers,
            uint64_t from_uid, size_t max, struct mails *mails, uint64_t *next)
{
    MDB_cursor *cursor;
    size_t of_one = numbers->count > 0 ? 2 * max / numbers->count : max;
    uint64_t horizon = UINT64_MAX;
    int rc = mdb_cursor_open(walk->txn, walk->db->tables[DB_mailbox], &cursor);

    *next = 0;
    if (rc != 0)
        return rc;
    of_one = of_one < OF_ONE_MIN ? OF_ONE_MIN : of_one;
    of_one = of_one < max ? of_one : max;
    for (size_t i = 0; i < numbers->count && rc == 0; i++)
        rc = collect(walk, cursor, numbers->items[i], from_uid, of_one, mails,
                     &horizon);
    mdb_cursor_close(cursor);
    if (rc == 0 && numbers->count > 1 && mails->count > 1)
        qsort(mails->items, mails->count, sizeof(*mails->items), by_uid);
    if (mails->count > max) {
        mails->count = max;
        *next = mails->items[max - 1].uid + 1;
    } else if (horizon != UINT64_MAX) {
        *next = horizon + 1;
    }
    while (mails->count > 0 && mails->items[mails->count - 1].uid > horizon) {
        mails->count--;
        *next = horizon + 1;
    }
    return rc;
}

static void
raise(struct db_mailbox_status *status, uint64_t modseq, uint64_t uid)
{
    if (modseq > status->highest_modseq)
        status->highest_modseq = modseq;
    if (uid >= status->uidnext)
        status->uidnext = uid + 1;
}

static uint64_t
size_of(const struct view_walk *walk, const struct db_mail *mail)
{
    struct message message;
    enum db_table tables[] = {DB_message, DB_own};
    struct db_key key;
    MDB_val k, v;

    db_key_id(&key, mail->id);
    for (size_t i = 0; i < 2; i++) {
        k = db_key_val(&key);
        if (mdb_get(walk->txn, walk->db->tables[tables[i]], &k, &v) == 0 &&
            db_row_decode(tables[i], db_view(k), db_view(v), &message_record,
                          &message) == 0)
            return message.size;
    }
    return 0;
}

static void
sum_up(const struct view_walk *walk, const struct db_mail *mail, bool hidden,
       struct db_mailbox_status *status)
{
    raise(status, mail->modseq, mail->uid);
    if (hidden)
        return;
    status->messages++;
    status->unseen += (mail->flags & MARK_SEEN) == 0;
    status->deleted += (mail->flags & MARK_DELETED) != 0;
    if (status->with_size)
        status->size += size_of(walk, mail);
}

int
db_mailbox_read(struct db *db, uint64_t user, const struct db_numbers *numbers,
                uint64_t box, uint64_t from_uid, struct db_mail *out,
                size_t max, uint64_t *next, struct buf *words,
                struct db_mailbox_status *status, struct why *why)
{
    struct view_walk walk = {
        .db = db, .user = user, .box = box, .words = words};
    struct mails mails = {0};
    size_t count = 0;
    int rc;

    *next = 0;
    if (db_read_begin(db, &walk.txn, why) != 0)
        return -1;
    rc = walk_begin(&walk);
    if (rc == 0)
        rc = collect_all(&walk, numbers, from_uid, max, &mails, next);
    for (size_t i = 0; i < mails.count && rc == 0; i++) {
        bool hidden;

        rc = add_mark(&walk, &mails.items[i], &hidden);
        if (rc == 0 && status != NULL)
            sum_up(&walk, &mails.items[i], hidden, status);
        if (rc == 0 && !hidden)
            out[count++] = mails.items[i];
    }
    db_read_end(db);
    free(mails.items);
    return answer(rc, why) < 0 ? -1 : (int)count;
}

/* --- STATUS --------------------------------------------------------------- */

static bool
has_number(const struct db_numbers *numbers, uint64_t number)
{
    size_t low = 0, high = numbers->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (numbers->items[middle] == number)
            return true;
        if (numbers->items[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

int
db_mailbox_status_begin(struct db *db, bool with_size,
                        struct db_mailbox_status *status, struct why *why)
{
    struct db_totals totals;
    uint64_t known;
    MDB_txn *txn;
    int rc;

    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = read_totals(db, txn, &totals);
    db_read_end(db);
    /* What vanished may be forgotten up to there: no value may be lower. */
    known = totals.vanished_from > totals.uid_base
                ? totals.vanished_from - totals.uid_base
                : 0;
    *status = (struct db_mailbox_status){
        .uidnext = known + 1,
        .highest_modseq =
            known > 0 ? totals.vanished_from : totals.modseq_floor,
        .with_size = with_size,
        .ceiling = totals.modseq,
        .floor = totals.vanished_from,
        .at = UINT64_MAX,
    };
    return answer(rc, why);
}

/* Is nothing before of interest? A uid is not above the modseq at which it
 * went. */
static bool
is_past(const struct db_mailbox_status *status, uint64_t modseq,
        uint64_t uid_base)
{
    return modseq <= status->floor || (modseq <= status->highest_modseq &&
                                       modseq < status->uidnext + uid_base);
}

/* From the last on: what counts comes soon. Rows of one modseq stay together;
 * there are no more of them than one request has messages. */
static int
raise_by_vanished(MDB_cursor *cursor, const struct db_numbers *numbers,
                  uint64_t box, uint64_t uid_base, size_t max,
                  struct db_mailbox_status *status)
{
    struct db_key key;
    MDB_val k, v;
    size_t looked = 0;
    int rc;

    db_key_vanished(&key, status->at, 0, 0, 0);
    k = db_key_val(&key);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    rc = mdb_cursor_get(cursor, &k, &v, rc == 0 ? MDB_PREV : MDB_LAST);
    for (; rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_PREV)) {
        const char *at = k.mv_data;
        uint64_t modseq = k.mv_size == 17 ? bytes_get64(at) : 0;

        if (is_past(status, modseq, uid_base))
            return MDB_NOTFOUND;
        if (modseq != status->at && looked >= max)
            return 0;
        status->at = modseq;
        looked++;
        if ((uint8_t)at[12] == box && has_number(numbers, bytes_get32(at + 8)))
            raise(status, modseq, bytes_get32(at + 13));
    }
    return rc;
}

int
db_mailbox_status_end(struct db *db, const struct db_numbers *numbers,
                      uint64_t box, size_t max,
                      struct db_mailbox_status *status, struct why *why)
{
    struct db_totals totals;
    MDB_cursor *cursor;
    MDB_txn *txn;
    int rc;

    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = read_totals(db, txn, &totals);
    if (rc == 0)
        rc = mdb_cursor_open(txn, db->tables[DB_vanished], &cursor);
    if (rc == 0) {
        rc = raise_by_vanished(cursor, numbers, box, totals.uid_base, max,
                               status);
        mdb_cursor_close(cursor);
    }
    db_read_end(db);
    if (rc == 0)
        return 0;
    if (rc != MDB_NOTFOUND)
        return answer(rc, why);
    if (status->highest_modseq > status->ceiling)
        status->highest_modseq = status->ceiling;
    if (status->highest_modseq == 0)
        status->highest_modseq = 1; /* RFC 7162 3.1.2.1: it is positive */
    return 1;
}

/* --- VANISHED ------------------------------------------------------------- */

typedef void vanished_fn(void *arg, uint64_t modseq, uint64_t uid);

/* What left box behind since_modseq. */
static int
walk_vanished(struct db *db, MDB_txn *txn, const struct db_numbers *numbers,
              uint64_t box, uint64_t since_modseq, vanished_fn *fn, void *arg)
{
    struct db_key key;
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(txn, db->tables[DB_vanished], &cursor);

    if (rc != 0)
        return rc;
    db_key_vanished(&key, since_modseq + 1, 0, 0, 0);
    k = db_key_val(&key);
    for (rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE); rc == 0;
         rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        const char *at = k.mv_data;

        if (k.mv_size == 17 && (uint8_t)at[12] == box &&
            has_number(numbers, bytes_get32(at + 8)))
            fn(arg, bytes_get64(at), bytes_get32(at + 13));
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static void
add_uid(void *arg, uint64_t modseq, uint64_t uid)
{
    struct db_numbers *uids = arg;

    (void)modseq;
    if (uids->count == uids->cap) {
        uids->cap = uids->cap > 0 ? uids->cap * 2 : 64;
        uids->items = mem_grow(uids->items, uids->cap, sizeof(*uids->items));
    }
    uids->items[uids->count++] = uid;
}

int
db_mailbox_vanished(struct db *db, const struct db_numbers *numbers,
                    uint64_t box, uint64_t since_modseq,
                    struct db_numbers *uids, struct why *why)
{
    struct db_totals totals;
    MDB_txn *txn;
    int rc;

    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = read_totals(db, txn, &totals);
    if (rc == 0 && since_modseq < totals.vanished_from)
        rc = MDB_NOTFOUND;
    if (rc == 0)
        rc = walk_vanished(db, txn, numbers, box, since_modseq, add_uid, uids);
    db_read_end(db);
    return answer(rc, why);
}

/* --- one message ---------------------------------------------------------- */

static int
copy_row(struct db *db, MDB_txn *txn, enum db_table table, struct db_key *key,
         struct buf *out)
{
    MDB_val k = db_key_val(key), v;
    int rc = mdb_get(txn, db->tables[table], &k, &v);

    if (rc == 0)
        buf_add_view(out, db_view(v));
    return rc;
}

int
db_read_mark(struct db *db, uint64_t id, uint64_t n, uint64_t user,
             struct mark *out, struct buf *memory, struct why *why)
{
    struct db_key key;
    MDB_txn *txn;
    int rc;

    *out = (struct mark){0};
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    db_key_mark(&key, id, n, user);
    buf_reset(memory);
    rc = copy_row(db, txn, DB_mark, &key, memory);
    db_read_end(db);
    if (rc != 0)
        return answer(rc, why);
    if (db_row_decode(DB_mark, (struct view){key.bytes, key.len},
                      buf_view(memory), &mark_record, out) != 0)
        return why_text(why, "damaged row in mark of message %llx",
                        (unsigned long long)id);
    return 1;
}

int
db_read_structure(struct db *db, uint64_t id, struct buf *out, struct why *why)
{
    struct structure_row row;
    struct db_key key;
    struct buf memory = {0};
    MDB_txn *txn;
    int rc;

    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    db_key_id(&key, id);
    rc = copy_row(db, txn, DB_structure, &key, &memory);
    db_read_end(db);
    if (rc == 0 &&
        db_row_decode(DB_structure, (struct view){key.bytes, key.len},
                      buf_view(&memory), &structure_row_record, &row) != 0)
        rc = MDB_NOTFOUND; /* a cache: it is made again */
    if (rc == 0)
        buf_add_view(out, row.bytes);
    buf_free(&memory);
    return answer(rc, why);
}

/* Is the delivery that of the place? The index has no check bytes, and nobody
 * may see another's mail by a bad row. */
static bool
is_delivery_of(struct db *db, MDB_txn *txn, const struct db_mail *mail,
               uint64_t box, const struct delivery *row)
{
    char text[MAILBOX_ADDRESS_MAX];
    struct view address = {text, mailbox_address(row->recipient, text)};
    struct address_row known;
    struct db_key key;
    MDB_val k, v;

    if (address.len == 0 || row->uid != mail->uid ||
        (row->moved ? BOX_DELIVERED : BOX_INBOX) != box)
        return false;
    db_key_address(&key, address);
    k = db_key_val(&key);
    return mdb_get(txn, db->tables[DB_address], &k, &v) == 0 &&
           db_row_decode(DB_address, db_view(k), db_view(v),
                         &address_row_record, &known) == 0 &&
           known.number == mail->number;
}

/* The user's own place: his mark says so. */
static bool
is_own_place(struct db *db, MDB_txn *txn, uint64_t user,
             const struct db_mail *mail, uint64_t box)
{
    struct mark mark;
    struct db_key key;
    MDB_val k, v;

    db_key_mark(&key, mail->id, mail->n, user);
    k = db_key_val(&key);
    return mdb_get(txn, db->tables[DB_mark], &k, &v) == 0 &&
           db_row_decode(DB_mark, db_view(k), db_view(v), &mark_record,
                         &mark) == 0 &&
           mark.box == box && mark.uid == mail->uid;
}

/* The rows of one message in one piece of memory. */
struct rows {
    struct buf memory;
    size_t message_len;
    bool is_own;
};

static int
read_rows(struct db *db, MDB_txn *txn, uint64_t user,
          const struct db_mail *mail, uint64_t box, struct rows *rows)
{
    struct delivery row;
    struct db_key key;
    bool is_users = mail->number == user;
    int rc;

    if (is_users && !is_own_place(db, txn, user, mail, box))
        return MDB_NOTFOUND;
    db_key_id(&key, mail->id);
    rc = copy_row(db, txn, DB_message, &key, &rows->memory);
    if (rc == MDB_NOTFOUND && is_users) {
        rows->is_own = true;
        rc = copy_row(db, txn, DB_own, &key, &rows->memory);
    }
    rows->message_len = rows->memory.len;
    if (rc != 0 || rows->is_own)
        return rc;
    db_key_id_n(&key, mail->id, mail->n);
    rc = copy_row(db, txn, DB_delivery, &key, &rows->memory);
    if (rc != 0 || is_users)
        return rc;
    if (db_row_decode(DB_delivery, (struct view){key.bytes, key.len},
                      view_skip(buf_view(&rows->memory), rows->message_len),
                      &delivery_record, &row) != 0 ||
        !is_delivery_of(db, txn, mail, box, &row))
        return MDB_NOTFOUND;
    return 0;
}

static int
decode_rows(const struct db_mail *mail, struct rows *rows,
            struct db_message *out, struct why *why)
{
    enum db_table table = rows->is_own ? DB_own : DB_message;
    struct view bytes = buf_view(&rows->memory);
    struct db_key key;

    out->id = mail->id;
    out->memory = rows->memory.data;
    db_key_id(&key, mail->id);
    if (db_row_decode(table, (struct view){key.bytes, key.len},
                      (struct view){bytes.data, rows->message_len},
                      &message_record, &out->message) != 0)
        return why_text(why, "damaged row in %s of message %llx",
                        db_table_names[table], (unsigned long long)mail->id);
    message_unpack(&out->message);
    if (rows->is_own)
        return 1;
    out->deliveries = mem_alloc(sizeof(*out->deliveries));
    out->n_deliveries = 1;
    out->deliveries[0].n = mail->n;
    db_key_id_n(&key, mail->id, mail->n);
    if (db_row_decode(DB_delivery, (struct view){key.bytes, key.len},
                      view_skip(bytes, rows->message_len), &delivery_record,
                      &out->deliveries[0].delivery) != 0)
        return why_text(why, "damaged row in delivery of message %llx",
                        (unsigned long long)mail->id);
    return 1;
}

int
db_read_mail(struct db *db, uint64_t user, const struct db_mail *mail,
             uint64_t box, struct db_message *out, struct why *why)
{
    struct rows rows = {.is_own = false};
    MDB_txn *txn;
    int rc;

    *out = (struct db_message){0};
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = read_rows(db, txn, user, mail, box, &rows);
    db_read_end(db);
    if (rc != 0) {
        buf_free(&rows.memory);
        return answer(rc, why);
    }
    rc = decode_rows(mail, &rows, out, why);
    if (rc < 0)
        db_message_free(out);
    return rc;
}
