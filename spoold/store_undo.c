/* SPDX-License-Identifier: ISC */
/*
 * What the operator's commands of the last hour made of deliveries, so that
 * they can be taken back: before a command changes one, what it was goes to
 * the table undo; UNDO puts it there again, where the delivery still is as
 * the command left it. What has happened to it since is never undone. After
 * an hour the rows go.
 *
 * Before: store_steer.c   After: db_undo.c
 */
#include "store.h"

#include "event.h"

static const struct record_field store_undo_trim_fields[] = {
    RECORD_NEEDED_NUM(1, store_undo_trim, before_ms),
    RECORD_NEEDED_NUM(2, store_undo_trim, max),
};
RECORD_TYPE(store_undo_trim);

/* --- what is kept --------------------------------------------------------- */

/* The numbers of commands begin anew when the table was empty: the same one
 * must not mean two of them. */
enum apply_result
store_undo_begin(struct store_apply *apply, const struct proto_steer *steer)
{
    struct undo_row command;
    enum db_result got;

    if (steer->number == 0)
        return APPLY_OK;
    got = db_get_undo(apply->txn, steer->number, 0, 0, &command);
    if (got == DB_OK && command.began_ms != steer->began_ms) {
        why_text(&apply->why, "another command has this number: try again");
        return APPLY_REFUSED;
    }
    return got == DB_NONE ? APPLY_OK : store_apply_db(apply, got);
}

enum apply_result
store_undo_note(struct store_apply *apply, const struct proto_steer *steer,
                const struct store_open *open, uint64_t after)
{
    const struct delivery *row = &open->row;
    struct undo_row before = {
        .after_ms = steer->when_ms,
        .after = after,
        .state = row->state,
        .next_ms = row->next_ms,
        .changed_ms = row->changed_ms,
        .attempts = row->attempts,
        .untold = row->untold,
    };
    enum apply_result result;

    if (steer->number == 0)
        return APPLY_OK;
    if (steer->what == STEER_REDIRECT) {
        before.target = row->target;
        before.home = row->home;
    }
    result = store_open_spent(apply, row, &before.spent_ms);
    if (result != APPLY_OK)
        return result;
    return store_apply_db(apply, db_put_undo(apply->txn, steer->number,
                                             open->id, open->n, &before));
}

enum apply_result
store_undo_end(struct store_apply *apply, const struct proto_steer *steer)
{
    struct undo_row command;
    enum db_result got;

    if (steer->number == 0 || apply->count == 0)
        return APPLY_OK;
    got = db_get_undo(apply->txn, steer->number, 0, 0, &command);
    if (got == DB_NONE)
        command = (struct undo_row){.began_ms = steer->began_ms,
                                    .what = steer->what,
                                    .by = steer->by,
                                    .reason = steer->reason};
    else if (got != DB_OK)
        return store_apply_db(apply, got);
    command.count += apply->count;
    return store_apply_db(
        apply, db_put_undo(apply->txn, steer->number, 0, 0, &command));
}

/* --- what is taken back --------------------------------------------------- */

/* A row of undo, copied. */
struct before {
    struct undo_row row;
    char target[DB_TARGET_MAX];
    char home[DB_TARGET_MAX];
};

static void
keep_name(struct view *name, char *to)
{
    if (name->len > DB_TARGET_MAX)
        name->len = DB_TARGET_MAX;
    if (name->len > 0)
        memcpy(to, name->data, name->len);
    name->data = to;
}

/* Takes the row out of the table. APPLY_REFUSED: there is none. */
static enum apply_result
take(struct store_apply *apply, uint64_t number, uint64_t id, uint64_t n,
     struct before *before)
{
    enum db_result got = db_get_undo(apply->txn, number, id, n, &before->row);

    if (got == DB_NONE)
        return APPLY_REFUSED;
    if (got == DB_OK) {
        keep_name(&before->row.target, before->target);
        keep_name(&before->row.home, before->home);
        got = db_del_undo(apply->txn, number, id, n);
    }
    return store_apply_db(apply, got);
}

/* The entry that keeps the account right: of what was open and is not any
 * more, its end once more; of what is open again, that it is. */
static uint64_t
event_of(uint64_t from, uint64_t to)
{
    static const enum event_kind ends[] = {
        [DELIVERY_DELIVERED] = EVENT_DELIVERED,
        [DELIVERY_RETURNED] = EVENT_RETURNED,
        [DELIVERY_EXPIRED] = EVENT_EXPIRED,
        [DELIVERY_DROPPED] = EVENT_DROPPED,
        [DELIVERY_DISCARDED] = EVENT_DISCARDED,
    };

    if (!delivery_is_open(to))
        return ends[to];
    return delivery_is_open(from) ? EVENT_UNDONE : EVENT_AGAIN;
}

static void
put_back(struct delivery *row, const struct undo_row *before, uint64_t when_ms)
{
    row->state = before->state;
    row->next_ms = before->next_ms;
    if (delivery_waits(row->state) && row->next_ms <= when_ms)
        row->state = DELIVERY_READY;
    if (!delivery_waits(row->state))
        row->next_ms = 0;
    /* As it was, so that the command before can be undone, too. */
    row->changed_ms =
        row->state == before->state ? before->changed_ms : when_ms;
    row->attempts = before->attempts;
    row->untold = before->untold;
    if (before->target.len > 0) {
        row->target = before->target;
        row->home = before->home;
    }
}

static enum apply_result
tell(struct store_apply *apply, const struct proto_steer *steer,
     const struct store_open *open, uint64_t what, uint64_t from)
{
    struct buf text = {0};
    enum apply_result result;

    buf_addf(&text, "%s was undone", steer_name(what));
    if (steer->reason.len > 0) {
        buf_add_text(&text, ": ");
        buf_add_view(&text, steer->reason);
    }
    result =
        store_open_entry(apply, steer->when_ms, event_of(from, open->row.state),
                         open, buf_view(&text), steer->by);
    buf_free(&text);
    return result;
}

static enum apply_result
undo_delivery(struct store_apply *apply, const struct proto_steer *steer,
              struct store_open *open, const struct undo_row *before,
              uint64_t what)
{
    uint64_t from = open->row.state;
    enum apply_result result = store_open_leave(apply, open);

    put_back(&open->row, before, steer->when_ms);
    if (result == APPLY_OK)
        result = store_open_clock(apply, &open->row, before->spent_ms);
    if (result == APPLY_OK && !delivery_is_open(from) &&
        delivery_is_open(open->row.state))
        result = store_reopen(apply, open->id);
    if (result == APPLY_OK)
        result = store_open_enter(apply, open);
    if (result == APPLY_OK)
        result = tell(apply, steer, open, what, from);
    apply->count += result == APPLY_OK;
    return result;
}

/* The command's row goes with the last of its deliveries. */
static enum apply_result
end_command(struct store_apply *apply, uint64_t number)
{
    uint64_t at = number, id = 1, n = 0;
    struct undo_row row;
    enum db_result got = db_next_undo(apply->txn, &at, &id, &n, &row);

    if (got == DB_NONE || (got == DB_OK && at != number))
        got = db_del_undo(apply->txn, number, 0, 0);
    return got == DB_NONE ? APPLY_OK : store_apply_db(apply, got);
}

static enum apply_result
undo_item(struct store_apply *apply, const struct store_record *record,
          const struct proto_steer *steer, const struct proto_steer_item *item,
          uint64_t what)
{
    struct store_open open = {.id = item->id};
    struct before before;
    struct message message;
    enum apply_result result;

    if (item->n == 0)
        return APPLY_OK; /* a command changes deliveries, one by one */
    result = take(apply, steer->undoes, item->id, item->n - 1, &before);
    if (result == APPLY_OK)
        result = store_open_message(apply, item->id, &open, &message);
    if (result == APPLY_OK)
        result = store_open_get(apply, &open, item->n - 1);
    if (result != APPLY_OK) /* undone already, or gone since */
        return result == APPLY_REFUSED ? APPLY_OK : result;
    if (open.row.state != before.row.after ||
        open.row.changed_ms != before.row.after_ms)
        return APPLY_OK; /* something happened to it since */
    result = undo_delivery(apply, steer, &open, &before.row, what);
    if (result == APPLY_OK && !delivery_is_open(before.row.state))
        result = store_finish(apply, item->id, steer->when_ms, record->keep_ms);
    return result;
}

enum apply_result
store_undo_apply(struct store_apply *apply, const struct store_record *record,
                 const struct proto_steer *steer)
{
    const struct proto_steer_item *items = steer->items.items;
    enum apply_result result = APPLY_OK;
    struct undo_row command;
    enum db_result got = db_get_undo(apply->txn, steer->undoes, 0, 0, &command);

    if (got != DB_OK)
        return got == DB_NONE ? APPLY_OK : store_apply_db(apply, got);
    for (size_t i = 0; i < steer->items.count && result == APPLY_OK; i++)
        result = undo_item(apply, record, steer, &items[i], command.what);
    return result == APPLY_OK ? end_command(apply, steer->undoes) : result;
}

/* --- after an hour -------------------------------------------------------- */

/* Rows of deliveries in front have lost their command: it went before them. */
enum apply_result
store_undo_trim(struct store_apply *apply, const struct store_undo_trim *trim)
{
    enum db_result result = DB_OK;

    while (result == DB_OK && apply->count < trim->max) {
        uint64_t number = 0, id = 0, n = 0;
        struct undo_row row;

        result = db_next_undo(apply->txn, &number, &id, &n, &row);
        if (result != DB_OK || (id == 0 && row.began_ms > trim->before_ms))
            break;
        result = db_del_undo(apply->txn, number, id, n);
        apply->count += result == DB_OK;
    }
    /* What is damaged waits for spoolctl check. */
    return result == DB_NONE || result == DB_DAMAGED
               ? APPLY_OK
               : store_apply_db(apply, result);
}
