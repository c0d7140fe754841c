/* SPDX-License-Identifier: ISC */
/*
 * What a user did to messages: flags and keywords, hidden, put into his
 * Trash, taken back. All of it is in his own mark of the delivery; the mail
 * and other users' views of it stay as they are.
 *
 * Before: store_mailbox.c   After: db_mailbox.c
 */
#include <stdlib.h>

#include "store_mailbox.h"

/* One item under change. */
struct item {
    uint64_t user;
    uint64_t id;
    uint64_t n;
    bool is_own;      /* Drafts, Sent: no delivery */
    uint64_t box;     /* the address's, where it is a delivery */
    uint64_t uid;     /* there */
    struct mark mark; /* keywords point into text */
    struct buf text;  /* a copy of the keywords */
};

static enum apply_result
user_exists(struct store_apply *apply, uint64_t user)
{
    struct account account;
    enum db_result got = db_get_account(apply->txn, user, &account);

    if (got == DB_OK) {
        record_clear(&account_record, &account);
        return APPLY_OK;
    }
    if (got != DB_NONE)
        return store_apply_db(apply, got);
    why_text(&apply->why, "there is no such user");
    return APPLY_REFUSED;
}

/* Loads the item. APPLY_REFUSED: it is gone, or not the user's. */
static enum apply_result
item_get(struct store_apply *apply, struct item *item,
         const struct proto_mail *mail)
{
    struct delivery row;
    enum db_result got;

    item->id = mail->id;
    item->n = mail->n;
    item->mark = (struct mark){0};
    buf_reset(&item->text);
    got = db_get_mark(apply->txn, mail->id, mail->n, item->user, &item->mark);
    if (got == DB_OK) {
        buf_add_view(&item->text, item->mark.keywords);
        item->mark.keywords = buf_view(&item->text);
    } else if (got != DB_NONE) {
        return store_apply_db(apply, got);
    }
    item->is_own = false;
    if (db_get_delivery(apply->txn, mail->id, mail->n, &row) == DB_OK &&
        row.uid != 0) {
        item->box = row.moved ? BOX_DELIVERED : BOX_INBOX;
        item->uid = row.uid;
        return APPLY_OK;
    }
    item->is_own = got == DB_OK && item->mark.box != BOX_NONE;
    return item->is_own ? APPLY_OK : APPLY_REFUSED;
}

static enum apply_result
item_put(struct store_apply *apply, const struct item *item)
{
    struct proto_news_item news = {
        .what = NEWS_MARKED,
        .user = item->user,
        .box = item->is_own ? item->mark.box : item->box,
        .uid = item->is_own ? item->mark.uid : item->uid,
        .id = item->id,
        .n = item->n,
        .modseq = item->mark.modseq};

    store_news(apply, &news);
    return store_apply_db(apply, db_put_mark(apply->txn, item->id, item->n,
                                             item->user, &item->mark));
}

/* --- keywords ------------------------------------------------------------- */

/* Appends those of words that are (or are not) in others, each once. */
static void
add_words(struct buf *out, struct view words, struct view others, bool in)
{
    struct view word;

    while (mark_keyword_next(&words, &word)) {
        if (mark_has_keyword(others, word) != in ||
            mark_has_keyword(buf_view(out), word))
            continue;
        if (out->len > 0)
            buf_add_byte(out, ' ');
        buf_add_view(out, word);
    }
}

/* --- FLAGS ---------------------------------------------------------------- */

/* The new flags and keywords; false: they are what they were. */
static bool
change_flags(struct mark *mark, const struct proto_flags *change,
             struct buf *keywords)
{
    struct view nothing = {0};
    uint64_t flags = change->flags & MARK_ALL;

    buf_reset(keywords);
    switch (change->what) {
    case FLAGS_ADD:
        flags |= mark->flags;
        add_words(keywords, mark->keywords, nothing, false);
        add_words(keywords, change->keywords, nothing, false);
        break;
    case FLAGS_REMOVE:
        flags = mark->flags & ~flags;
        add_words(keywords, mark->keywords, change->keywords, false);
        break;
    default:
        add_words(keywords, change->keywords, nothing, false);
    }
    if (flags == mark->flags && view_equal(buf_view(keywords), mark->keywords))
        return false;
    mark->flags = flags;
    mark->keywords = buf_view(keywords);
    return true;
}

static uint64_t
modseq_of(const struct store_apply *apply, const struct item *item)
{
    uint64_t modseq = apply->totals.modseq_floor;
    uint64_t born =
        (item->is_own ? item->mark.uid : item->uid) + apply->totals.uid_base;

    if (born > modseq)
        modseq = born;
    return item->mark.modseq > modseq ? item->mark.modseq : modseq;
}

static enum apply_result
flag_item(struct store_apply *apply, const struct proto_flags *change,
          struct item *item, struct buf *keywords, uint64_t *modseq)
{
    uint64_t uid;

    if (change->conditional && modseq_of(apply, item) > change->unchanged_since)
        return APPLY_OK;
    if (!change_flags(&item->mark, change, keywords))
        return APPLY_OK;
    if (keywords->len > MARK_KEYWORDS_MAX) {
        why_text(&apply->why, "too many keywords");
        return APPLY_UNDO;
    }
    if (*modseq == 0)
        *modseq = store_mailbox_number(apply, &uid);
    item->mark.modseq = *modseq;
    return item_put(apply, item);
}

enum apply_result
store_apply_flags(struct store_apply *apply, const struct proto_flags *flags)
{
    const struct proto_mail *mails = flags->items.items;
    struct item item = {.user = flags->user};
    struct buf keywords = {0};
    uint64_t modseq = 0;
    enum apply_result result = user_exists(apply, flags->user);

    if (result == APPLY_OK &&
        (flags->what < FLAGS_ADD || flags->what > FLAGS_SET)) {
        why_text(&apply->why, "no such change of flags");
        result = APPLY_REFUSED;
    }
    for (size_t i = 0; i < flags->items.count && result == APPLY_OK; i++) {
        result = item_get(apply, &item, &mails[i]);
        if (result == APPLY_OK)
            result = flag_item(apply, flags, &item, &keywords, &modseq);
        else if (result == APPLY_REFUSED)
            result = APPLY_OK; /* gone meanwhile */
    }
    apply->count = modseq;
    buf_free(&keywords);
    buf_free(&item.text);
    return result;
}

/* --- PLACE ---------------------------------------------------------------- */

/* The place the user gave it, if any, is left. */
static enum apply_result
leave_own_place(struct store_apply *apply, struct item *item)
{
    struct db_place place = {item->user, item->mark.box, item->mark.uid};
    struct view nobody = {0};

    if (item->mark.box == BOX_NONE)
        return APPLY_OK;
    item->mark.box = BOX_NONE;
    item->mark.uid = 0;
    return store_place_leave(apply, &place, nobody, item->id, item->n);
}

/* For this user alone, the delivery leaves its address's mailbox. */
static enum apply_result
hide(struct store_apply *apply, struct item *item)
{
    struct db_place place = {item->user, item->box, item->uid};
    struct proto_news_item news = {.what = NEWS_GONE,
                                   .user = item->user,
                                   .box = item->box,
                                   .uid = item->uid,
                                   .id = item->id,
                                   .n = item->n};
    uint64_t uid, dropped;
    enum db_result result;

    if (item->mark.hidden || item->is_own)
        return APPLY_OK;
    item->mark.hidden = 1;
    news.modseq = store_mailbox_number(apply, &uid);
    result = db_add_vanished(apply->txn, news.modseq, &place, &dropped);
    if (dropped > apply->totals.vanished_from)
        apply->totals.vanished_from = dropped;
    store_news(apply, &news);
    return store_apply_db(apply, result);
}

static enum apply_result
take_own_place(struct store_apply *apply, struct item *item, uint64_t box)
{
    struct db_place place = {item->user, box, 0};
    struct view nobody = {0};
    enum apply_result result =
        store_place_take(apply, &place, nobody, item->id, item->n);

    item->mark.box = place.uid != 0 ? box : BOX_NONE;
    item->mark.uid = place.uid;
    return result;
}

/* Where it goes when the user says box; BOX_NONE: nowhere. false: it cannot
 * go there. */
static bool
box_for(const struct item *item, uint64_t box, uint64_t *to)
{
    *to = box;
    if (box == BOX_NONE || box == BOX_TRASH)
        return true;
    if (item->is_own)
        return box == BOX_DRAFTS || box == BOX_SENT;
    *to = item->box;
    return box == BOX_INBOX;
}

static enum apply_result
place_item(struct store_apply *apply, struct item *item, uint64_t box)
{
    enum apply_result result;
    uint64_t to;

    if (!box_for(item, box, &to)) {
        why_text(&apply->why, "it cannot be put there");
        return APPLY_UNDO;
    }
    if (item->is_own && to == BOX_NONE)
        return store_own_remove(apply, item->user, item->id);
    if (item->mark.box == to && (to != BOX_NONE || item->mark.hidden))
        return APPLY_OK;
    result = leave_own_place(apply, item);
    if (result == APPLY_OK)
        result = hide(apply, item);
    if (result == APPLY_OK && to != BOX_NONE)
        result = take_own_place(apply, item, to);
    item->mark.modseq = apply->totals.modseq;
    return result == APPLY_OK ? item_put(apply, item) : result;
}

enum apply_result
store_apply_place(struct store_apply *apply, const struct proto_place *place)
{
    const struct proto_mail *mails = place->items.items;
    struct item item = {.user = place->user};
    enum apply_result result = user_exists(apply, place->user);

    for (size_t i = 0; i < place->items.count && result == APPLY_OK; i++) {
        result = item_get(apply, &item, &mails[i]);
        if (result == APPLY_OK)
            result = place_item(apply, &item, place->box);
        else if (result == APPLY_REFUSED)
            result = APPLY_OK;
    }
    apply->count = apply->totals.modseq;
    buf_free(&item.text);
    return result;
}

/* --- a delivery moves, a message goes ---------------------------------------
 */

enum apply_result
store_mark_follow(struct store_apply *apply, uint64_t id, uint64_t n,
                  uint64_t box)
{
    struct proto_mail mail = {id, n};
    struct item item = {.user = 0};
    struct mark mark;
    uint64_t at = n, user = 0;
    enum apply_result result = APPLY_OK;

    for (; result == APPLY_OK && user <= UINT32_MAX &&
           db_next_mark(apply->txn, id, &at, &user, &mark) == DB_OK && at == n;
         user++) {
        if (mark.box != BOX_INBOX && mark.box != BOX_DELIVERED)
            continue;
        item.user = user;
        result = item_get(apply, &item, &mail);
        if (result == APPLY_OK)
            result = leave_own_place(apply, &item);
        if (result == APPLY_OK)
            result = take_own_place(apply, &item, box);
        if (result == APPLY_OK)
            result = store_apply_db(
                apply, db_put_mark(apply->txn, id, n, user, &item.mark));
    }
    buf_free(&item.text);
    return result;
}

enum apply_result
store_mark_remove(struct store_apply *apply, uint64_t id)
{
    struct view nobody = {0};
    struct mark mark;
    uint64_t n = 0, user = 0;
    enum db_result got = DB_NONE;
    enum apply_result result = APPLY_OK;

    while (result == APPLY_OK &&
           (got = db_next_mark(apply->txn, id, &n, &user, &mark)) == DB_OK) {
        struct db_place place = {user, mark.box, mark.uid};

        if (mark.box != BOX_NONE)
            result = store_place_leave(apply, &place, nobody, id, n);
        if (result == APPLY_OK)
            result =
                store_apply_db(apply, db_del_mark(apply->txn, id, n, user));
    }
    return result == APPLY_OK && got != DB_NONE ? store_apply_db(apply, got)
                                                : result;
}
