/* SPDX-License-Identifier: ISC */
/*
 * An open mailbox. What changes in it comes with NEWS and is kept until the
 * protocol allows to tell it: numbers of messages change only where the
 * client expects that (RFC 9051 7.5.1).
 *
 * Before: store_batch.c (NEWS)
 */
#include "imap_view.h"

#include <inttypes.h>
#include <stdlib.h>

#include "log.h"
#include "mem.h"

/* News of one view that are kept one by one; past it it is read anew. */
#define NEWS_MAX 10000

void
imap_numbers_add(struct db_numbers *numbers, uint64_t number)
{
    if (numbers->count == numbers->cap) {
        numbers->cap = numbers->cap < 8 ? 8 : numbers->cap * 2;
        numbers->items =
            mem_grow(numbers->items, numbers->cap, sizeof(*numbers->items));
    }
    numbers->items[numbers->count++] = number;
}

/* --- the list of UIDs ----------------------------------------------------- */

struct imap_view *
imap_view_new(const struct imap_place *place)
{
    struct imap_view *view = mem_alloc(sizeof(*view));

    view->place = *place;
    view->uidnext = 1;
    return view;
}

void
imap_view_free(struct imap_view **view)
{
    if (*view == NULL)
        return;
    db_numbers_free(&(*view)->numbers);
    db_numbers_free(&(*view)->gone);
    db_numbers_free(&(*view)->marked);
    free((*view)->uids);
    free(*view);
    *view = NULL;
}

void
imap_view_add(struct imap_view *view, uint32_t uid)
{
    if (view->count == view->cap) {
        /* Many small mailboxes are open for long: no more than it takes. */
        view->cap = view->cap < 16 ? 16 : view->cap + view->cap / 4;
        view->uids = mem_grow(view->uids, view->cap, sizeof(*view->uids));
    }
    view->uids[view->count++] = uid;
    view->uidnext = uid + 1;
}

/* The first place whose UID is not under uid. */
static size_t
lower_bound(const struct imap_view *view, uint32_t uid)
{
    size_t low = 0, high = view->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (view->uids[middle] < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

ssize_t
imap_view_find(const struct imap_view *view, uint32_t uid)
{
    size_t at = lower_bound(view, uid);

    return at < view->count && view->uids[at] == uid ? (ssize_t)at : -1;
}

size_t
imap_view_next(const struct imap_view *view, const struct imap_set *set,
               bool by_uid, size_t from)
{
    while (from < view->count) {
        uint32_t number = by_uid ? view->uids[from] : (uint32_t)from + 1;
        uint32_t next = imap_set_next(set, number);

        if (next == number)
            return from;
        if (next == 0)
            break;
        from = by_uid ? lower_bound(view, next) : next - 1;
    }
    return view->count;
}

/* The saved UIDs that are still here. */
static void
take_saved(const struct imap_session *session, struct imap_set *set,
           bool by_uid)
{
    const struct imap_view *view = session->view;
    size_t at = 0;

    while ((at = imap_view_next(view, &session->saved, true, at)) <
           view->count) {
        imap_set_add(set, by_uid ? view->uids[at] : (uint32_t)at + 1);
        at++;
    }
    set->is_saved = false;
}

int
imap_view_resolve(const struct imap_session *session, struct imap_set *set,
                  bool by_uid, struct why *why)
{
    const struct imap_view *view = session->view;
    uint32_t last = view->count == 0 ? 0 : view->uids[view->count - 1];

    if (set->is_saved) {
        take_saved(session, set, by_uid);
        return 0;
    }
    if (by_uid) {
        imap_set_resolve(set, last);
        return 0;
    }
    imap_set_resolve(set, (uint32_t)view->count);
    if (set->count == 0 || set->ranges[set->count - 1].last > view->count)
        return why_text(why, "there are %zu messages", view->count);
    return 0;
}

/* Adds what is between two UIDs, both excluded. */
static void
add_gap(struct imap_set *out, uint32_t after, uint32_t before)
{
    if (before - after > 1) {
        imap_set_add(out, after + 1);
        out->ranges[out->count - 1].last = before - 1;
    }
}

static void
add_gaps(const struct imap_view *view, uint32_t first, uint32_t last,
         struct imap_set *out)
{
    uint32_t after = first - 1;

    for (size_t at = lower_bound(view, first);
         at < view->count && view->uids[at] <= last; at++) {
        add_gap(out, after, view->uids[at]);
        after = view->uids[at];
    }
    add_gap(out, after, last + 1);
}

void
imap_view_vanished(const struct imap_view *view, const struct db_numbers *left,
                   const struct imap_set *known, struct imap_set *out)
{
    if (left != NULL) {
        for (size_t i = 0; i < left->count; i++) {
            uint32_t uid = (uint32_t)left->items[i];

            if (imap_view_find(view, uid) < 0 &&
                (known == NULL || imap_set_has(known, uid)))
                imap_set_add(out, uid);
        }
    } else if (known != NULL) {
        for (size_t i = 0; i < known->count; i++) {
            uint32_t last = known->ranges[i].last;

            if (last >= view->uidnext)
                last = view->uidnext - 1;
            if (known->ranges[i].first <= last)
                add_gaps(view, known->ranges[i].first, last, out);
        }
    } else if (view->uidnext > 1) {
        add_gaps(view, 1, view->uidnext - 1, out);
    }
    imap_set_resolve(out, UINT32_MAX);
}

/* --- telling -------------------------------------------------------------- */

static int
by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void
sort_numbers(struct db_numbers *numbers)
{
    size_t n = 0;

    if (numbers->count == 0)
        return;
    qsort(numbers->items, numbers->count, sizeof(*numbers->items), by_number);
    for (size_t i = 0; i < numbers->count; i++)
        if (n == 0 || numbers->items[n - 1] != numbers->items[i])
            numbers->items[n++] = numbers->items[i];
    numbers->count = n;
}

static void
put_vanished(const struct imap_view *view, const struct db_numbers *uids,
             struct buf *out)
{
    struct imap_set set = {0};

    for (size_t i = 0; i < uids->count; i++)
        if (imap_view_find(view, (uint32_t)uids->items[i]) >= 0)
            imap_set_add(&set, (uint32_t)uids->items[i]);
    if (set.count > 0) {
        buf_add_text(out, "* VANISHED ");
        imap_set_print(&set, out);
        buf_add_text(out, "\r\n");
    }
    imap_set_free(&set);
}

void
imap_view_remove(struct imap_session *session, const struct db_numbers *uids,
                 struct buf *out)
{
    struct imap_view *view = session->view;
    size_t kept = 0, next = 0;

    if (out != NULL && (session->enabled & IMAP_QRESYNC))
        put_vanished(view, uids, out);
    /* From the last on, so that the numbers before stay what they were. */
    for (size_t i = uids->count; out != NULL && i > 0; i--) {
        ssize_t at = imap_view_find(view, (uint32_t)uids->items[i - 1]);

        if (at >= 0 && !(session->enabled & IMAP_QRESYNC))
            buf_addf(out, "* %zd EXPUNGE\r\n", at + 1);
    }
    for (size_t i = 0; i < view->count; i++) {
        while (next < uids->count && uids->items[next] < view->uids[i])
            next++;
        if (next == uids->count || uids->items[next] != view->uids[i])
            view->uids[kept++] = view->uids[i];
    }
    view->count = kept;
}

static void
put_exists(const struct imap_session *session, struct buf *out)
{
    buf_addf(out, "* %zu EXISTS\r\n", session->view->count);
    if (!(session->enabled & IMAP_REV2))
        buf_add_text(out, "* 0 RECENT\r\n");
}

/* Reads what is above uidnext. */
static void
tell_came(struct imap_session *session, struct buf *out)
{
    struct imap_view *view = session->view;
    struct db_mail mails[IMAP_ROWS_MAX];
    struct buf words = {0};
    size_t before = view->count;
    uint64_t next = view->uidnext;
    struct why why;

    while (next != 0) {
        int n = db_mailbox_read(imap.db, session->user->number, &view->numbers,
                                view->place.box, next, mails, IMAP_ROWS_MAX,
                                &next, &words, NULL, &why);

        if (n < 0) {
            log_warn("%s", why.text);
            break;
        }
        for (int i = 0; i < n; i++)
            imap_view_add(view, (uint32_t)mails[i].uid);
        buf_reset(&words);
    }
    buf_free(&words);
    if (view->count != before)
        put_exists(session, out);
}

static void
put_marked(const struct imap_session *session, size_t at,
           const struct db_mail *mail, struct view keywords, struct buf *out)
{
    buf_addf(out, "* %zu FETCH (", at + 1);
    if (session->enabled & (IMAP_QRESYNC | IMAP_REV2))
        buf_addf(out, "UID %" PRIu32 " ", session->view->uids[at]);
    imap_put_flags(mail->flags, keywords, out);
    if (session->enabled & IMAP_CONDSTORE)
        buf_addf(out, " MODSEQ (%" PRIu64 ")", mail->modseq);
    buf_add_text(out, ")\r\n");
}

static void
tell_marked(struct imap_session *session, struct buf *out)
{
    struct imap_view *view = session->view;
    struct imap_rows rows = {0};
    struct why why;

    sort_numbers(&view->marked);
    for (size_t i = 0; i < view->marked.count; i++) {
        uint32_t uid = (uint32_t)view->marked.items[i];
        ssize_t at = imap_view_find(view, uid);
        const struct db_mail *mail =
            at >= 0 ? imap_rows_get(&rows, session, uid, &why) : NULL;

        if (mail != NULL && !imap_session_is_own(session, mail->modseq))
            put_marked(session, (size_t)at, mail,
                       imap_rows_keywords(&rows, mail), out);
    }
    view->marked.count = 0;
    imap_rows_free(&rows);
}

/* More happened than was told: what is there now is compared. */
static void
find_all(struct imap_session *session)
{
    struct imap_view *view = session->view;
    struct imap_rows rows = {0};
    struct why why = {0};

    for (size_t i = 0; i < view->count; i++) {
        const struct db_mail *mail =
            imap_rows_get(&rows, session, view->uids[i], &why);

        if (mail == NULL && why.text[0] == '\0')
            imap_numbers_add(&view->gone, view->uids[i]);
        else if (mail != NULL && mail->modseq > view->modseq)
            imap_numbers_add(&view->marked, view->uids[i]);
    }
    imap_rows_free(&rows);
    view->anew = false;
    view->came = true;
}

/* Mod-sequences are told while VANISHED with lower ones is held back: who
 * loses the connection now must not believe to know it (RFC 7162 1). */
static void
put_held_back(const struct imap_session *session, struct buf *out)
{
    if (session->view->gone_from > 1 && (session->enabled & IMAP_QRESYNC))
        buf_addf(out, "* OK [HIGHESTMODSEQ %" PRIu64 "] for now\r\n",
                 session->view->gone_from - 1);
}

void
imap_view_tell(struct imap_session *session, bool may_expunge, struct buf *out)
{
    struct imap_view *view = session->view;
    struct db_mailbox_facts facts;
    struct why why;

    if (!view->anew && !view->came && view->gone.count == 0 &&
        view->marked.count == 0)
        return;
    if (db_mailbox_facts(imap.db, &facts, &why) != 1)
        return;
    if (view->anew)
        find_all(session);
    if (may_expunge && view->gone.count > 0) {
        sort_numbers(&view->gone);
        imap_view_remove(session, &view->gone, out);
        view->gone.count = 0;
        view->gone_from = 0;
    }
    put_held_back(session, out);
    if (view->came)
        tell_came(session, out);
    view->came = false;
    tell_marked(session, out);
    view->modseq = facts.modseq;
}

/* --- NEWS ----------------------------------------------------------------- */

void
imap_view_look_anew(struct imap_session *session)
{
    struct imap_view *view = session->view;
    struct why why;

    /* Addresses may have got their first mail. */
    db_numbers_free(&view->numbers);
    if (imap.db != NULL &&
        imap_name_numbers(session, &view->place, &view->numbers, &why) < 0)
        log_warn("%s", why.text);
    view->gone.count = 0;
    view->gone_from = 0;
    view->marked.count = 0;
    view->anew = true;
    imap_session_news(session);
}

static bool
has_number(const struct db_numbers *numbers, uint64_t number)
{
    return bsearch(&number, numbers->items, numbers->count,
                   sizeof(*numbers->items), by_number) != NULL;
}

/* Is it in the mailbox of the view? */
static bool
is_of_view(const struct imap_session *session,
           const struct proto_news_item *item)
{
    const struct imap_view *view = session->view;

    if (item->address.len == 0)
        return item->user == session->user->number &&
               view->place.address_len == 0;
    if (item->user != 0 && item->user != session->user->number)
        return false;
    if (view->place.address_len > 0)
        return view_equal(
            item->address,
            (struct view){view->place.address, view->place.address_len});
    return account_reads(&session->user->patterns, item->address);
}

/* Its number may be new: then what is read must know it. */
static void
take_came(struct imap_session *session, const struct proto_news_item *item)
{
    struct imap_view *view = session->view;
    struct db_numbers numbers = {0};
    struct why why;

    view->came = true;
    if (item->address.len == 0)
        return;
    if (db_mailbox_numbers_of(imap.db, item->address, &numbers, &why) == 1 &&
        numbers.count > 0 && !has_number(&view->numbers, numbers.items[0]) &&
        view->numbers.count < DB_NUMBERS_MAX) {
        imap_numbers_add(&view->numbers, numbers.items[0]);
        sort_numbers(&view->numbers);
    }
    db_numbers_free(&numbers);
}

static void
take_item(struct imap_session *session, const struct proto_news_item *item)
{
    struct imap_view *view = session->view;

    if (item->box != view->place.box || item->modseq <= view->opened ||
        !is_of_view(session, item))
        return;
    if (item->what != NEWS_CAME &&
        view->gone.count + view->marked.count >= NEWS_MAX) {
        imap_view_look_anew(session);
        return;
    }
    switch (item->what) {
    case NEWS_CAME:
        take_came(session, item);
        break;
    case NEWS_GONE:
        imap_numbers_add(&view->gone, item->uid);
        if (view->gone_from == 0)
            view->gone_from = item->modseq;
        break;
    case NEWS_MARKED:
        imap_numbers_add(&view->marked, item->uid);
        break;
    default:
        break;
    }
    imap_session_news(session);
}

void
imap_view_on_news(struct peer_message *message)
{
    const struct proto_news *news = message->payload;
    const struct proto_news_item *items = news->items.items;
    struct proto_none none = {0};
    struct imap_session *session;

    if (news->all)
        imap_users_check();
    for (size_t i = 0; i < news->items.count; i++)
        if (items[i].what == NEWS_USER)
            imap_user_changed(items[i].user);
    LIST_FOREACH (session, &imap.sessions, link) {
        if (session->view == NULL)
            continue;
        if (news->all)
            imap_view_look_anew(session);
        for (size_t i = 0; !news->all && i < news->items.count; i++)
            take_item(session, &items[i]);
    }
    peer_reply(message, PROTO_NEWS_SEEN, &none);
}
