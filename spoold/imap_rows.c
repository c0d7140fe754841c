/* SPDX-License-Identifier: ISC */
/*
 * The rows of a view's messages, read some at a time: few where one message
 * is asked for here and there, more the longer it goes on in order. Each read
 * is a question of its own to the store, so what is there is as new as it.
 *
 * Before: imap_view.c, imap_fetch.c, imap_search.c, imap_store.c
 */
#include "imap_view.h"
#include "log.h"

static void
rows_fill(struct imap_rows *rows, const struct imap_session *session,
          uint32_t uid, struct why *why)
{
    const struct imap_view *view = session->view;
    int n;

    /* Asked for what follows: it goes on, so read more at a time. */
    rows->batch = rows->batch > 0 && uid >= rows->from ? rows->batch * 4 : 2;
    if (rows->batch > IMAP_ROWS_MAX)
        rows->batch = IMAP_ROWS_MAX;
    buf_reset(&rows->words);
    n = db_mailbox_read(imap.db, session->user->number, &view->numbers,
                        view->place.box, uid, rows->items, rows->batch,
                        &rows->next, &rows->words, NULL, why);
    if (n < 0) {
        log_warn("%s", why->text);
        rows->batch = 0; /* it is not known what is there */
    }
    rows->count = n > 0 ? (size_t)n : 0;
    rows->at = 0;
    rows->from = uid;
}

const struct db_mail *
imap_rows_get(struct imap_rows *rows, const struct imap_session *session,
              uint32_t uid, struct why *why)
{
    for (int tries = 0; tries < 2; tries++) {
        bool inside = rows->batch > 0 && uid >= rows->from &&
                      (rows->next == 0 || uid < rows->next);

        if (inside && rows->at > 0 && rows->at <= rows->count &&
            rows->items[rows->at - 1].uid >= uid)
            rows->at = 0;
        for (; inside && rows->at < rows->count; rows->at++)
            if (rows->items[rows->at].uid >= uid)
                return rows->items[rows->at].uid == uid ? &rows->items[rows->at]
                                                        : NULL;
        if (inside)
            return NULL;
        rows_fill(rows, session, uid, why);
    }
    return NULL;
}

struct view
imap_rows_keywords(const struct imap_rows *rows, const struct db_mail *mail)
{
    if (mail->keywords_len == 0)
        return (struct view){NULL, 0};
    return (struct view){rows->words.data + mail->keywords, mail->keywords_len};
}

void
imap_rows_free(struct imap_rows *rows)
{
    buf_free(&rows->words);
    *rows = (struct imap_rows){0};
}

/* --- flags ---------------------------------------------------------------- */

void
imap_put_flags(uint64_t flags, struct view keywords, struct buf *out)
{
    static const struct {
        uint64_t bit;
        const char *name;
    } names[] = {
        {MARK_ANSWERED, "\\Answered"}, {MARK_FLAGGED, "\\Flagged"},
        {MARK_DELETED, "\\Deleted"},   {MARK_SEEN, "\\Seen"},
        {MARK_DRAFT, "\\Draft"},
    };
    const char *blank = "";

    buf_add_text(out, "FLAGS (");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (flags & names[i].bit) {
            buf_addf(out, "%s%s", blank, names[i].name);
            blank = " ";
        }
    if (keywords.len > 0) {
        buf_add_text(out, blank);
        buf_add_view(out, keywords);
    }
    buf_add_byte(out, ')');
}
