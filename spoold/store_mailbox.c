/* SPDX-License-Identifier: ISC */
/*
 * Where deliveries stand in mailboxes: in INBOX while they are open, in
 * Delivered afterwards, each time with a number that was never used. An
 * address has a number of its own while it has mail. Nothing here decides
 * anything about the mail itself.
 *
 * Before: store_delivery.c, store_apply.c   After: db_mailbox.c
 */
#include "store_mailbox.h"

#define UID_MAX UINT32_MAX

static const struct record_field store_mailboxes_fields[] = {
    RECORD_NUM_FIELD(1, store_mailboxes, uidvalidity),
    RECORD_NUM_FIELD(2, store_mailboxes, skip),
};
RECORD_TYPE(store_mailboxes);

static const struct record_field store_fill_fields[] = {
    RECORD_NEEDED_NUM(1, store_fill, max),
};
RECORD_TYPE(store_fill);

/* --- news ----------------------------------------------------------------- */

void
store_news(struct store_apply *apply, const struct proto_news_item *item)
{
    struct proto_news one = {0, {(void *)(uintptr_t)item, 1}};

    record_encode(&proto_news_record, &one, &apply->news);
}

static void
news_of(struct store_apply *apply, enum news_what what,
        const struct db_place *place, struct view address, uint64_t id,
        uint64_t n)
{
    struct proto_news_item item = {.what = what,
                                   .address = address,
                                   .user = address.len > 0 ? 0 : place->number,
                                   .box = place->box,
                                   .uid = place->uid,
                                   .id = id,
                                   .n = n,
                                   .modseq = apply->totals.modseq};

    store_news(apply, &item);
}

/* --- places --------------------------------------------------------------- */

uint64_t
store_mailbox_number(struct store_apply *apply, uint64_t *uid)
{
    uint64_t number = ++apply->totals.modseq;

    *uid = number - apply->totals.uid_base;
    if (*uid > UID_MAX)
        *uid = 0;
    return number;
}

enum apply_result
store_place_take(struct store_apply *apply, struct db_place *place,
                 struct view address, uint64_t id, uint64_t n)
{
    enum db_result result;

    store_mailbox_number(apply, &place->uid);
    if (place->uid == 0)
        return APPLY_OK;
    result = db_put_mailbox(apply->txn, place, id, n);
    if (result == DB_OK)
        news_of(apply, NEWS_CAME, place, address, id, n);
    return store_apply_db(apply, result);
}

/* An address that has no mail any more is forgotten: its number is not used
 * again, and the next message brings it back with another. */
static enum apply_result
drop_address(struct store_apply *apply, uint64_t number, struct view address)
{
    struct db_place place = {.number = number};
    uint64_t id, n;
    enum db_result result = db_next_mailbox(apply->txn, &place, &id, &n);

    if (result == DB_NONE)
        result = db_del_address(apply->txn, address);
    return store_apply_db(apply, result == DB_NONE ? DB_OK : result);
}

enum apply_result
store_place_leave(struct store_apply *apply, const struct db_place *place,
                  struct view address, uint64_t id, uint64_t n)
{
    uint64_t uid, dropped = 0;
    enum db_result result = db_del_mailbox(apply->txn, place);

    if (result == DB_OK || result == DB_NONE)
        result = db_add_vanished(apply->txn, store_mailbox_number(apply, &uid),
                                 place, &dropped);
    if (dropped > apply->totals.vanished_from)
        apply->totals.vanished_from = dropped;
    if (result != DB_OK)
        return store_apply_db(apply, result);
    news_of(apply, NEWS_GONE, place, address, id, n);
    return APPLY_OK;
}

/* --- deliveries -------------------------------------------------------------
 */

static enum apply_result
address_number(struct store_apply *apply, struct view address, uint64_t *number)
{
    struct address_row row;
    enum db_result result = db_get_address(apply->txn, address, &row);

    if (result == DB_NONE) {
        row.number = ++apply->totals.number;
        result = db_put_address(apply->txn, address, &row);
    }
    *number = row.number;
    return store_apply_db(apply, result);
}

static uint64_t
box_of(const struct delivery *row)
{
    return row->moved ? BOX_DELIVERED : BOX_INBOX;
}

enum apply_result
store_mailbox_enter(struct store_apply *apply, struct store_open *open)
{
    struct delivery *row = &open->row;
    char text[MAILBOX_ADDRESS_MAX];
    struct view address = {text, mailbox_address(row->recipient, text)};
    bool moves = row->uid != 0;
    uint64_t moved = !delivery_is_open(row->state);
    struct db_place place = {.box = box_of(row), .uid = row->uid};
    enum apply_result result;

    if (!apply->totals.mailboxes || address.len == 0 ||
        (moves && row->moved == moved))
        return APPLY_OK;
    result = address_number(apply, address, &place.number);
    if (result == APPLY_OK && moves)
        result = store_place_leave(apply, &place, address, open->id, open->n);
    row->moved = moved;
    place.box = box_of(row);
    if (result == APPLY_OK)
        result = store_place_take(apply, &place, address, open->id, open->n);
    row->uid = place.uid;
    if (result == APPLY_OK && moves)
        result = store_mark_follow(apply, open->id, open->n, place.box);
    return result;
}

static enum apply_result
delivery_leaves(struct store_apply *apply, uint64_t id, uint64_t n,
                const struct delivery *row)
{
    char text[MAILBOX_ADDRESS_MAX];
    struct view address = {text, mailbox_address(row->recipient, text)};
    struct db_place place = {.box = box_of(row), .uid = row->uid};
    struct address_row known;
    enum db_result got;
    enum apply_result result;

    if (row->uid == 0 || address.len == 0)
        return APPLY_OK;
    got = db_get_address(apply->txn, address, &known);
    if (got != DB_OK) /* lost; "spoolctl check" tells of its rows */
        return store_apply_db(apply, got == DB_NONE ? DB_OK : got);
    place.number = known.number;
    result = store_place_leave(apply, &place, address, id, n);
    return result == APPLY_OK ? drop_address(apply, known.number, address)
                              : result;
}

enum apply_result
store_mailbox_remove(struct store_apply *apply, uint64_t id)
{
    struct delivery row;
    uint64_t n = 0;
    enum db_result got = DB_NONE;
    enum apply_result result = APPLY_OK;

    if (!apply->totals.mailboxes)
        return APPLY_OK;
    while (result == APPLY_OK &&
           (got = db_next_delivery(apply->txn, id, &n, &row)) == DB_OK) {
        result = delivery_leaves(apply, id, n, &row);
        n++;
    }
    if (result == APPLY_OK && got != DB_NONE)
        result = store_apply_db(apply, got);
    if (result == APPLY_OK)
        result = store_mark_remove(apply, id);
    if (result == APPLY_OK) {
        got = db_del_structure(apply->txn, id);
        result = store_apply_db(apply, got == DB_NONE ? DB_OK : got);
    }
    return result;
}

/* --- switching on -----------------------------------------------------------
 */

static enum apply_result
apply_mailboxes(struct store_apply *apply, const struct store_mailboxes *on)
{
    struct db_totals *totals = &apply->totals;

    if (on->uidvalidity != 0 && !totals->mailboxes) {
        totals->mailboxes = 1;
        totals->uidvalidity = on->uidvalidity;
    }
    if (on->skip > 0 && totals->mailboxes) {
        /* Who was told of later changes must take all as changed. */
        totals->modseq += on->skip;
        totals->modseq_floor = totals->modseq;
        totals->vanished_from = totals->modseq;
    }
    return APPLY_OK;
}

static enum apply_result
fill_one(struct store_apply *apply, uint64_t id, uint64_t n)
{
    struct store_open open = {.id = id, .n = n};
    enum apply_result result = store_open_get(apply, &open, n);

    if (result != APPLY_OK || open.row.uid != 0)
        return result;
    result = store_mailbox_enter(apply, &open);
    if (result != APPLY_OK || open.row.uid == 0)
        return result;
    return store_apply_db(apply, db_put_delivery(apply->txn, id, n, &open.row));
}

/* count is how many it looked at: fewer than max, and all are filled. */
static enum apply_result
apply_fill(struct store_apply *apply, const struct store_fill *fill)
{
    struct db_totals *totals = &apply->totals;
    struct delivery row;
    enum db_result got = DB_OK;
    enum apply_result result = APPLY_OK;

    if (!totals->mailboxes || totals->filled_n == UINT64_MAX)
        return APPLY_OK;
    while (result == APPLY_OK && apply->count < fill->max) {
        got = db_walk_delivery(apply->txn, &totals->filled_id,
                               &totals->filled_n, &row);
        if (got != DB_OK && got != DB_DAMAGED)
            break;
        if (got == DB_OK)
            result = fill_one(apply, totals->filled_id, totals->filled_n);
        totals->filled_n++;
        apply->count++;
    }
    if (got == DB_NONE)
        totals->filled_n = UINT64_MAX;
    else if (got != DB_OK && got != DB_DAMAGED)
        return store_apply_db(apply, got);
    return result;
}

/* --- records ----------------------------------------------------------------
 */

static const struct record_type *
payload_of(uint64_t kind)
{
    switch (kind) {
    case STORE_MAILBOXES:
        return &store_mailboxes_record;
    case STORE_FILL:
        return &store_fill_record;
    case STORE_FLAGS:
        return &proto_flags_record;
    case STORE_PLACE:
        return &proto_place_record;
    case STORE_APPEND:
        return &proto_append_record;
    case STORE_STRUCTURE:
        return &proto_structure_record;
    case STORE_SIGN_IN:
        return &proto_sign_in_record;
    case STORE_USER:
        return &proto_user_record;
    default:
        return NULL;
    }
}

enum apply_result
store_apply_reader(struct store_apply *apply, const struct store_record *record)
{
    union {
        struct store_mailboxes mailboxes;
        struct store_fill fill;
        struct proto_flags flags;
        struct proto_place place;
        struct proto_append append;
        struct proto_structure structure;
        struct proto_sign_in sign_in;
        struct proto_user user;
    } payload;
    const struct record_type *type = payload_of(record->kind);
    enum apply_result result = APPLY_REFUSED;

    if (type == NULL ||
        record_decode(type, record->payload, &payload, &apply->why) != 0)
        return APPLY_REFUSED;
    switch (record->kind) {
    case STORE_MAILBOXES:
        result = apply_mailboxes(apply, &payload.mailboxes);
        break;
    case STORE_FILL:
        result = apply_fill(apply, &payload.fill);
        break;
    case STORE_FLAGS:
        result = store_apply_flags(apply, &payload.flags);
        break;
    case STORE_PLACE:
        result = store_apply_place(apply, &payload.place);
        break;
    case STORE_APPEND:
        result = store_apply_append(apply, record, &payload.append);
        break;
    case STORE_STRUCTURE:
        result = store_apply_structure(apply, &payload.structure);
        break;
    case STORE_SIGN_IN:
        result = store_apply_sign_in(apply, &payload.sign_in);
        break;
    case STORE_USER:
        result = store_apply_user(apply, &payload.user);
        break;
    }
    record_clear(type, &payload);
    return result;
}
