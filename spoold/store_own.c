/* SPDX-License-Identifier: ISC */
/*
 * A user's own messages: what his program puts into Drafts and Sent. Stored
 * and sealed as mail is, with a row of their own kind, so that nothing which
 * deals with mail (audit, replay, export) meets them: they were never
 * accepted for anybody and go nowhere. And the cached structure of messages.
 *
 * Before: store_mailbox.c   After: db_mailbox.c
 */
#include "body.h"
#include "msgid.h"
#include "store_mailbox.h"

#define OWN_MAX 10000 /* messages of one user */

/* --- APPEND --------------------------------------------------------------- */

static enum apply_result
check(struct store_apply *apply, const struct proto_append *append,
      const struct account *account, const struct message *message)
{
    if (append->box != BOX_DRAFTS && append->box != BOX_SENT)
        why_text(&apply->why, "nothing is put there");
    else if (account->own_count >= OWN_MAX)
        why_text(&apply->why, "%d messages of the user's own", OWN_MAX);
    else if (account->own_bytes + message->stored > append->quota_bytes)
        why_text(&apply->why, "the user's quota is used up");
    else if (append->keywords.len > MARK_KEYWORDS_MAX)
        why_text(&apply->why, "too many keywords");
    else
        return APPLY_OK;
    return APPLY_UNDO;
}

static enum apply_result
own_rows(struct store_apply *apply, const struct proto_append *append,
         uint64_t id, const struct message *message)
{
    struct db_place place = {append->user, append->box, 0};
    struct mark mark = {.flags = append->flags & MARK_ALL,
                        .keywords = append->keywords,
                        .box = append->box};
    struct view nobody = {0};
    enum apply_result result =
        store_apply_db(apply, db_add_own(apply->txn, id, message));

    if (msgid_ms(id) > apply->totals.floor_ms)
        apply->totals.floor_ms = msgid_ms(id);
    if (result == APPLY_OK)
        result = store_place_take(apply, &place, nobody, id, 0);
    if (result == APPLY_OK && place.uid == 0) {
        why_text(&apply->why, "no number is left");
        return APPLY_UNDO;
    }
    mark.uid = place.uid;
    mark.modseq = apply->totals.modseq;
    if (result == APPLY_OK)
        result = store_apply_db(
            apply, db_put_mark(apply->txn, id, 0, append->user, &mark));
    apply->count = mark.modseq;
    return result;
}

static enum apply_result
append_to(struct store_apply *apply, const struct store_record *record,
          const struct proto_append *append, const struct proto_submit *submit,
          struct message *message)
{
    struct account account;
    char digest[BODY_DIGEST_LEN];
    enum db_result got = db_get_account(apply->txn, append->user, &account);
    enum apply_result result;

    if (got != DB_OK) {
        why_text(&apply->why, "there is no such user");
        return got == DB_NONE ? APPLY_REFUSED : store_apply_db(apply, got);
    }
    result = store_submit_content(apply, submit, message, record->content,
                                  record->fd, digest);
    if (result == APPLY_OK)
        result = check(apply, append, &account, message);
    if (result == APPLY_OK)
        result = own_rows(apply, append, submit->id, message);
    /* The account's views ended with the first change. */
    record_clear(&account_record, &account);
    if (result == APPLY_OK)
        result = store_own_count(apply, append->user, 1, message->stored);
    return result;
}

enum apply_result
store_apply_append(struct store_apply *apply, const struct store_record *record,
                   const struct proto_append *append)
{
    struct proto_submit submit;
    struct message message, other;
    enum apply_result result = APPLY_REFUSED;

    if (record_decode(&proto_submit_record, append->submit, &submit,
                      &apply->why) != 0)
        return APPLY_REFUSED;
    if (record_decode(&message_record, submit.message, &message, &apply->why) ==
        0) {
        message.finished_ms = message.arrived_ms;
        message.purge_ms = 0;
        message.block = 0;
        if (db_get_message(apply->txn, submit.id, &other) != DB_NONE ||
            db_get_own(apply->txn, submit.id, &other) != DB_NONE) {
            why_text(&apply->why, "the id is in use");
            result = APPLY_STALE; /* its client tries again, with another */
        } else
            result = append_to(apply, record, append, &submit, &message);
    }
    record_clear(&proto_submit_record, &submit);
    return result;
}

/* --- and away ---------------------------------------------------------------
 */

enum apply_result
store_own_count(struct store_apply *apply, uint64_t user, int by,
                uint64_t stored)
{
    struct account account;
    struct buf copy = {0};
    enum db_result got = db_get_account(apply->txn, user, &account);

    if (got != DB_OK)
        return store_apply_db(apply, got == DB_NONE ? DB_OK : got);
    if (by > 0) {
        account.own_bytes += stored;
        account.own_count++;
    } else {
        account.own_bytes -=
            stored < account.own_bytes ? stored : account.own_bytes;
        account.own_count -= account.own_count > 0;
    }
    /* Written from a copy: its views are of the row that is replaced. */
    record_encode(&account_record, &account, &copy);
    record_clear(&account_record, &account);
    if (record_decode(&account_record, buf_view(&copy), &account, NULL) == 0) {
        got = db_put_account(apply->txn, &account);
        record_clear(&account_record, &account);
    }
    buf_free(&copy);
    return store_apply_db(apply, got);
}

enum apply_result
store_own_remove(struct store_apply *apply, uint64_t user, uint64_t id)
{
    struct message message;
    struct mark mark;
    struct view nobody = {0};
    struct db_place place = {.number = user};
    uint64_t stored = 0;
    enum apply_result result = APPLY_OK;
    enum db_result got = db_get_mark(apply->txn, id, 0, user, &mark);

    if (got == DB_OK) {
        place.box = mark.box;
        place.uid = mark.uid;
        result = store_place_leave(apply, &place, nobody, id, 0);
    } else if (got != DB_NONE) {
        return store_apply_db(apply, got);
    }
    if (result == APPLY_OK && db_get_own(apply->txn, id, &message) == DB_OK) {
        stored = message.stored;
        result = store_refs_drop(apply, id, &message);
    }
    if (result == APPLY_OK)
        result = store_apply_db(apply, db_del_pieces(apply->txn, id));
    for (int step = 0; step < 3 && result == APPLY_OK; step++) {
        got = step == 0   ? db_del_own(apply->txn, id)
              : step == 1 ? db_del_structure(apply->txn, id)
                          : db_del_mark(apply->txn, id, 0, user);
        result = store_apply_db(apply, got == DB_NONE ? DB_OK : got);
    }
    return result == APPLY_OK ? store_own_count(apply, user, -1, stored)
                              : result;
}

/* --- STRUCTURE --------------------------------------------------------------
 */

/* Of messages that are still here. */
enum apply_result
store_apply_structure(struct store_apply *apply,
                      const struct proto_structure *list)
{
    const struct proto_structure_item *items = list->items.items;
    struct message message;
    enum apply_result result = APPLY_OK;

    for (size_t i = 0; i < list->items.count && result == APPLY_OK; i++) {
        if (items[i].bytes.len == 0 || items[i].bytes.len > STRUCTURE_MAX ||
            (db_get_message(apply->txn, items[i].id, &message) != DB_OK &&
             db_get_own(apply->txn, items[i].id, &message) != DB_OK))
            continue;
        result = store_apply_db(
            apply, db_put_structure(apply->txn, items[i].id, items[i].bytes));
    }
    apply->count = apply->totals.modseq;
    return result;
}
