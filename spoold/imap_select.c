/* SPDX-License-Identifier: ISC */
/*
 * SELECT and EXAMINE (RFC 9051 6.3.2; CONDSTORE and QRESYNC, RFC 7162): the
 * UIDs of a mailbox are read, some at a time, then it is told what is there.
 * A client that knows the mailbox already gets what changed since.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "imap_view.h"
#include "mem.h"

/* Keywords in use that are told with FLAGS. */
#define KEYWORDS_MAX 2000

struct select_job {
    struct imap_rows rows;
    uint64_t next; /* UID */
    uint64_t vanished_from;
    struct db_mailbox_status sums;
    size_t first_unseen; /* place + 1; 0: none */
    struct buf keywords;
    /* QRESYNC: */
    bool tells_changes; /* the mailbox is told, now its changes are */
    size_t at;
    struct imap_set known;
};

static void
job_free(void *arg)
{
    struct select_job *job = arg;

    imap_rows_free(&job->rows);
    buf_free(&job->keywords);
    imap_set_free(&job->known);
    free(job);
}

/* --- reading -------------------------------------------------------------- */

static void
keep_keywords(struct select_job *job, struct view words)
{
    struct view word;

    while (mark_keyword_next(&words, &word)) {
        if (job->keywords.len + word.len >= KEYWORDS_MAX ||
            mark_has_keyword(buf_view(&job->keywords), word))
            continue;
        if (job->keywords.len > 0)
            buf_add_byte(&job->keywords, ' ');
        buf_add_view(&job->keywords, word);
    }
}

static int
fail(struct imap_session *session, const struct why *why)
{
    imap_view_free(&session->view);
    imap_session_finishf(session, "NO", "[SERVERBUG] %s", why->text);
    return -1;
}

/* -1: the store failed; else how many. */
static int
read_some(struct imap_session *session, struct select_job *job)
{
    struct imap_view *view = session->view;
    struct imap_rows *rows = &job->rows;
    struct why why;
    int n;

    buf_reset(&rows->words);
    n = db_mailbox_read(imap.db, session->user->number, &view->numbers,
                        view->place.box, job->next, rows->items, IMAP_ROWS_MAX,
                        &job->next, &rows->words, &job->sums, &why);
    if (n < 0)
        return fail(session, &why);
    for (int i = 0; i < n; i++) {
        const struct db_mail *mail = &rows->items[i];

        imap_view_add(view, (uint32_t)mail->uid);
        if (job->first_unseen == 0 && !(mail->flags & MARK_SEEN))
            job->first_unseen = view->count;
        if (mail->keywords_len > 0)
            keep_keywords(job, imap_rows_keywords(rows, mail));
    }
    return n;
}

/* --- telling -------------------------------------------------------------- */

static const char system_flags[] =
    "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

static void
tell_mailbox(struct imap_session *session, const struct select_job *job)
{
    struct imap_view *view = session->view;
    struct buf *out = &imap.out;
    const char *blank = job->keywords.len > 0 ? " " : "";

    buf_addf(out, "* FLAGS (%s%s%.*s)\r\n", system_flags, blank,
             (int)job->keywords.len, job->keywords.data);
    buf_addf(out, "* OK [PERMANENTFLAGS (%s%s%.*s%s)] flags are yours\r\n",
             view->read_only ? "" : system_flags, view->read_only ? "" : blank,
             view->read_only ? 0 : (int)job->keywords.len, job->keywords.data,
             view->read_only ? "" : " \\*");
    buf_addf(out, "* %zu EXISTS\r\n", view->count);
    if (!(session->enabled & IMAP_REV2)) {
        buf_add_text(out, "* 0 RECENT\r\n");
        if (job->first_unseen > 0)
            buf_addf(out, "* OK [UNSEEN %zu] is the first\r\n",
                     job->first_unseen);
    }
    buf_addf(out, "* OK [UIDVALIDITY %" PRIu32 "] for ever\r\n",
             view->uidvalidity);
    buf_addf(out, "* OK [UIDNEXT %" PRIu64 "] or more\r\n", job->sums.uidnext);
    buf_addf(out, "* OK [HIGHESTMODSEQ %" PRIu64 "] here\r\n",
             job->sums.highest_modseq);
    if (session->enabled & IMAP_REV2) {
        buf_add_text(out, "* LIST () \"/\" ");
        imap_name_put(session, session->command->first, out);
        buf_add_text(out, "\r\n");
    }
}

/* The UIDs the client knows and this mailbox does not have (any more). */
static void
tell_vanished(struct imap_session *session, struct select_job *job)
{
    const struct imap_command *command = session->command;
    const struct imap_view *view = session->view;
    struct db_numbers uids = {0};
    struct imap_set set = {0};
    struct why why;
    int found =
        command->modseq >= job->vanished_from
            ? db_mailbox_vanished(imap.db, &view->numbers, view->place.box,
                                  command->modseq, &uids, &why)
            : 0;

    imap_view_vanished(view, found > 0 ? &uids : NULL,
                       command->known_uids.count > 0 ? &job->known : NULL,
                       &set);
    if (set.count > 0) {
        buf_add_text(&imap.out, "* VANISHED (EARLIER) ");
        imap_set_print(&set, &imap.out);
        buf_add_text(&imap.out, "\r\n");
    }
    imap_set_free(&set);
    db_numbers_free(&uids);
}

/* Messages changed since the client's mod-sequence, a batch at a time. */
static enum imap_step
tell_changes(struct imap_session *session, struct select_job *job)
{
    struct imap_view *view = session->view;
    struct why why;

    for (int i = 0; i < IMAP_ROWS_MAX; i++) {
        const struct db_mail *mail;

        if (job->at == view->count)
            return IMAP_STEP_DONE;
        mail = imap_rows_get(&job->rows, session, view->uids[job->at], &why);
        if (mail != NULL && mail->modseq > session->command->modseq) {
            buf_addf(&imap.out, "* %zu FETCH (UID %" PRIu32 " ", job->at + 1,
                     view->uids[job->at]);
            imap_put_flags(mail->flags, imap_rows_keywords(&job->rows, mail),
                           &imap.out);
            buf_addf(&imap.out, " MODSEQ (%" PRIu64 "))\r\n", mail->modseq);
        }
        job->at++;
    }
    imap_session_send(session);
    return IMAP_STEP_MORE;
}

/* --- the job -------------------------------------------------------------- */

static enum imap_step
finish(struct imap_session *session)
{
    session->state = IMAP_SELECTED;
    imap_session_finishf(session, "OK", "[READ-%s] this is it",
                         session->view->read_only ? "ONLY" : "WRITE");
    return IMAP_STEP_DONE;
}

static enum imap_step
select_step(struct imap_session *session)
{
    struct select_job *job = session->job;
    const struct imap_command *command = session->command;
    struct why why;
    int rc;

    if (job->tells_changes)
        return tell_changes(session, job) == IMAP_STEP_DONE ? finish(session)
                                                            : IMAP_STEP_MORE;
    if (job->next != 0)
        return read_some(session, job) < 0 ? IMAP_STEP_DONE : IMAP_STEP_MORE;
    rc = db_mailbox_status_end(imap.db, &session->view->numbers,
                               session->view->place.box, IMAP_ROWS_MAX,
                               &job->sums, &why);
    if (rc == 0)
        return IMAP_STEP_MORE;
    if (rc < 0) {
        fail(session, &why);
        return IMAP_STEP_DONE;
    }
    tell_mailbox(session, job);
    imap_session_send(session);
    if (!command->qresync ||
        command->uid_validity != session->view->uidvalidity)
        return finish(session);
    tell_vanished(session, job);
    imap_rows_free(&job->rows);
    job->tells_changes = true;
    return IMAP_STEP_MORE;
}

static const struct imap_job_kind select_kind = {select_step, job_free, NULL};

/* The selection before is over, whether this one succeeds or not. */
static void
leave(struct imap_session *session)
{
    if (session->state == IMAP_SELECTED)
        buf_add_text(&imap.out, "* OK [CLOSED] the other one\r\n");
    imap_select_leave(session);
}

static int
open_view(struct imap_session *session, const struct imap_place *place,
          struct select_job *job, struct why *why)
{
    struct imap_view *view = imap_view_new(place);
    struct db_mailbox_facts facts;

    session->view = view;
    view->read_only = session->command->verb == IMAP_EXAMINE;
    if (db_mailbox_facts(imap.db, &facts, why) < 0 ||
        db_mailbox_status_begin(imap.db, false, &job->sums, why) < 0 ||
        imap_name_numbers(session, place, &view->numbers, why) < 0)
        return -1;
    view->uidvalidity = (uint32_t)facts.uidvalidity;
    view->uid_base = facts.uid_base;
    view->opened = view->modseq = facts.modseq;
    job->vanished_from = facts.vanished_from;
    job->next = 1;
    return 0;
}

void
imap_run_select(struct imap_session *session)
{
    struct imap_command *command = session->command;
    struct select_job *job;
    struct imap_place place;
    struct why why;

    if (command->qresync && !(session->enabled & IMAP_QRESYNC)) {
        imap_session_finish(session, "BAD", "QRESYNC needs ENABLE QRESYNC");
        return;
    }
    leave(session);
    if (imap_name_find(session, command->first, &place) != 0) {
        imap_session_finish(session, "NO",
                            "[NONEXISTENT] There is no such folder");
        return;
    }
    if (command->condstore)
        session->enabled |= IMAP_CONDSTORE;
    job = mem_alloc(sizeof(*job));
    if (open_view(session, &place, job, &why) != 0) {
        imap_view_free(&session->view);
        free(job);
        imap_session_finishf(session, "NO", "[SERVERBUG] %s", why.text);
        return;
    }
    job->known = command->known_uids;
    command->known_uids = (struct imap_set){.count = job->known.count};
    imap_set_resolve(&job->known, UINT32_MAX);
    imap_session_begin(session, &select_kind, job);
}

void
imap_select_leave(struct imap_session *session)
{
    imap_view_free(&session->view);
    imap_set_free(&session->saved);
    session->state = IMAP_AUTH;
}

void
imap_run_unselect(struct imap_session *session)
{
    imap_select_leave(session);
    imap_session_finish(session, "OK", "done");
}
