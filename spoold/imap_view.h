/* SPDX-License-Identifier: ISC */
/*
 * Private to imap*.c. The names of mailboxes and what is behind them
 * (imap_name.c), and an open one as its session sees it (imap_view.c), with
 * the rows of its messages (imap_rows.c).
 *
 * A view is the list of UIDs: a message's number is its place in it. Of the
 * rest nothing is kept; it is read when it is asked for. So ten thousand
 * messages cost an idle connection 40 KB.
 */
#ifndef SPOOLD_IMAP_VIEW_H
#define SPOOLD_IMAP_VIEW_H

#include "db_mailbox_read.h"
#include "imap.h"

/* --- imap_name.c ---------------------------------------------------------- */

/* What a name stands for: a box of all addresses a user reads, or of one. */
struct imap_place {
    enum mailbox_box box;
    size_t address_len; /* 0: of all */
    char address[MAILBOX_ADDRESS_MAX];
};
/* A name as a client writes it. 0, or -1: there is no such mailbox. */
int imap_name_find(const struct imap_session *session, struct view name,
                   struct imap_place *place);
/* The same for a name in UTF-8. */
int imap_name_find_utf8(const struct imap_session *session, struct view name,
                        struct imap_place *place);
/* The numbers its rows stand under; for db_numbers_free. */
int imap_name_numbers(const struct imap_session *session,
                      const struct imap_place *place, struct db_numbers *out,
                      struct why *why);

/* All names, in the order LIST shows them. */
struct imap_names {
    struct buf text; /* UTF-8, a NUL behind each */
    size_t count;
};
int imap_names_all(const struct imap_session *session, struct imap_names *names,
                   struct why *why);
/* "\\HasNoChildren \\Drafts" and so on. */
enum imap_attribute {
    IMAP_NAME_NOSELECT = 1,
    IMAP_NAME_CHILDREN = 2,
    IMAP_NAME_DRAFTS = 4,
    IMAP_NAME_SENT = 8,
    IMAP_NAME_TRASH = 16,
    IMAP_NAME_SPECIAL = IMAP_NAME_DRAFTS | IMAP_NAME_SENT | IMAP_NAME_TRASH,
};
unsigned imap_name_attributes(const struct imap_session *session,
                              struct view name);
/* RFC 9051 6.3.9.1: "*" and "%" in pattern. */
bool imap_name_matches(struct view pattern, struct view name);
/* A name from a client in UTF-8, appended; -1: it is not a name. */
int imap_name_decode(const struct imap_session *session, struct view name,
                     struct buf *out);
void imap_name_put(const struct imap_session *session, struct view name,
                   struct buf *out);

/* --- imap_view.c ---------------------------------------------------------- */

struct imap_view {
    struct imap_place place;
    struct db_numbers numbers;
    bool read_only;
    uint32_t uidvalidity;
    uint64_t uid_base;
    uint64_t opened; /* modseq: what happened until then was seen by SELECT */
    uint64_t modseq; /* no change up to here is unknown */

    uint32_t *uids; /* in order */
    size_t count;
    size_t cap;
    uint32_t uidnext; /* all below were looked at */

    /* News that were not told yet. */
    bool came; /* something above uidnext */
    bool anew; /* more happened than is known */
    struct db_numbers gone;
    uint64_t gone_from; /* modseq of the first of them; 0: there is none */
    struct db_numbers marked;
};

struct imap_view *imap_view_new(const struct imap_place *place);
void imap_view_free(struct imap_view **view);
void imap_view_add(struct imap_view *view, uint32_t uid);
/* The place of a UID in the list; -1: it is not there. */
ssize_t imap_view_find(const struct imap_view *view, uint32_t uid);
/* The first place not before from whose message is in the set (resolved);
 * view->count: none. */
size_t imap_view_next(const struct imap_view *view, const struct imap_set *set,
                      bool by_uid, size_t from);
/* A set as it was written becomes one of numbers or UIDs of this view; "$" is
 * the saved result. -1: a message number that is not there. */
int imap_view_resolve(const struct imap_session *session, struct imap_set *set,
                      bool by_uid, struct why *why);

/* Appends the responses of what is not told yet. */
void imap_view_tell(struct imap_session *session, bool may_expunge,
                    struct buf *out);
/* Takes messages out, with EXPUNGE or VANISHED where out is not NULL. uids is
 * in order. */
void imap_view_remove(struct imap_session *session,
                      const struct db_numbers *uids, struct buf *out);
/* What vanished, as one set: of left, or where that is NULL of all UIDs, those
 * in known (NULL: any) that are not in the view. */
void imap_view_vanished(const struct imap_view *view,
                        const struct db_numbers *left,
                        const struct imap_set *known, struct imap_set *out);
/* The handler of NEWS. */
void imap_view_on_news(struct peer_message *message);
void imap_view_look_anew(struct imap_session *session);

void imap_numbers_add(struct db_numbers *numbers, uint64_t number);

/* --- imap_select.c -------------------------------------------------------- */

/* No mailbox is open any more. */
void imap_select_leave(struct imap_session *session);

/* --- imap_rows.c ---------------------------------------------------------- */

/* The rows of a view's messages, read some at a time. Zero-initialised it has
 * none. */
#define IMAP_ROWS_MAX 128
struct imap_rows {
    struct db_mail items[IMAP_ROWS_MAX];
    size_t count;
    size_t at;
    size_t batch; /* how many were read: the more the longer it goes on */
    uint64_t from, next; /* UIDs: what was read, and where it goes on */
    struct buf words;
};
/* The row of that UID; asked in rising order this is cheap. NULL: it is gone,
 * or (*why) the store failed. */
const struct db_mail *imap_rows_get(struct imap_rows *rows,
                                    const struct imap_session *session,
                                    uint32_t uid, struct why *why);
struct view imap_rows_keywords(const struct imap_rows *rows,
                               const struct db_mail *mail);
void imap_rows_free(struct imap_rows *rows);

/* Appends "FLAGS (...)". */
void imap_put_flags(uint64_t flags, struct view keywords, struct buf *out);

#endif
