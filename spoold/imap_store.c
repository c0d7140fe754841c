/* SPDX-License-Identifier: ISC */
/*
 * What a user changes of his own: STORE (RFC 9051 6.4.6, RFC 7162), EXPUNGE
 * and CLOSE (which hide from him alone: nothing a client does removes mail
 * from the spool), MOVE and COPY. The store role does it; here it is asked, so
 * many messages a request, and what it did is told.
 *
 * Before: imap_run.c   After: store.c (FLAGS, PLACE)
 */
#include <inttypes.h>
#include <stdlib.h>

#include "imap_view.h"
#include "mem.h"
#include "peer.h"

#define A_REQUEST 1000

struct mark_job {
    struct imap_rows rows;
    size_t from, at; /* places in the view: of this request */
    bool asked;      /* its answer is awaited, or there */
    bool is_expunge; /* \Deleted ones only */
    bool is_silent;  /* CLOSE */
    struct proto_mail items[A_REQUEST];
    uint32_t uids[A_REQUEST];
    size_t count;
    uint64_t modseq; /* that the store gave */
    enum mailbox_box box;
    struct imap_set modified;  /* STORE: left alone */
    struct db_numbers removed; /* UIDs, in order */
    struct buf before, after;  /* COPYUID */
};

static void
job_free(void *arg)
{
    struct mark_job *job = arg;

    imap_rows_free(&job->rows);
    imap_set_free(&job->modified);
    db_numbers_free(&job->removed);
    buf_free(&job->before);
    buf_free(&job->after);
    free(job);
}

/* --- asking --------------------------------------------------------------- */

static void
on_answer(void *arg, struct peer_message *answer)
{
    struct imap_session *session = arg;
    struct mark_job *job = session->job;
    const struct proto_marked *done = answer != NULL ? answer->payload : NULL;

    buf_reset(&imap.out);
    if (done == NULL) {
        imap_session_finish(session, "NO",
                            "[UNAVAILABLE] The store is away, try again");
    } else if (done->result != SUBMIT_DONE) {
        imap_session_finishf(session, "NO", "[CANNOT] %.*s",
                             (int)done->reason.len, done->reason.data);
    } else {
        job->modseq = done->modseq;
        imap_session_own(session, done->modseq);
        imap_session_wake(session);
    }
}

/* The next messages of the set. False: there are none any more. */
static bool
gather(struct imap_session *session, struct mark_job *job)
{
    const struct imap_command *command = session->command;
    const struct imap_view *view = session->view;
    bool all = job->is_expunge && command->verb != IMAP_UID_EXPUNGE;
    struct why why;

    job->from = job->at;
    job->count = 0;
    while (job->count < A_REQUEST) {
        const struct db_mail *mail;

        if (!all)
            job->at =
                imap_view_next(view, &command->set, command->uid, job->at);
        if (job->at >= view->count)
            break;
        mail = imap_rows_get(&job->rows, session, view->uids[job->at], &why);
        if (mail != NULL &&
            (!job->is_expunge || (mail->flags & MARK_DELETED))) {
            job->items[job->count] = (struct proto_mail){mail->id, mail->n};
            job->uids[job->count++] = view->uids[job->at];
        }
        job->at++;
    }
    return job->count > 0;
}

static bool
is_refused(struct imap_session *session)
{
    if (!session->view->read_only)
        return false;
    imap_session_finish(session, "NO",
                        "[READ-ONLY] The folder was opened with EXAMINE");
    return true;
}

/* --- STORE ---------------------------------------------------------------- */

static void
ask_flags(struct imap_session *session, struct mark_job *job)
{
    const struct imap_command *command = session->command;
    struct proto_flags request = {
        .user = session->user->number,
        .what = command->store == '+'   ? FLAGS_ADD
                : command->store == '-' ? FLAGS_REMOVE
                                        : FLAGS_SET,
        .flags = command->flags.bits,
        .keywords = command->flags.keywords,
        .conditional = command->has_unchanged_since,
        .unchanged_since = command->modseq,
        .items = {job->items, job->count},
    };

    peer_call(ROLE_STORE, PROTO_FLAGS, &request, -1, on_answer, session);
}

static void
tell_flags(struct imap_session *session, size_t at, const struct db_mail *mail,
           struct view keywords)
{
    const struct imap_command *command = session->command;
    struct buf *out = &imap.out;
    bool with_modseq = (session->enabled & IMAP_CONDSTORE) != 0;

    if (command->silent && !with_modseq)
        return;
    buf_addf(out, "* %zu FETCH (", at + 1);
    if (command->uid || (session->enabled & (IMAP_QRESYNC | IMAP_REV2)))
        buf_addf(out, "UID %" PRIu32 "%s", session->view->uids[at],
                 command->silent ? "" : " ");
    if (!command->silent)
        imap_put_flags(mail->flags, keywords, out);
    if (with_modseq)
        buf_addf(out, "%sMODSEQ (%" PRIu64 ")",
                 out->data[out->len - 1] == '(' ? "" : " ", mail->modseq);
    buf_add_text(out, ")\r\n");
}

/* What became of the messages of this request. */
static void
tell_request(struct imap_session *session, struct mark_job *job)
{
    const struct imap_command *command = session->command;
    struct imap_rows rows = {0};
    struct why why;

    for (size_t i = 0; i < job->count; i++) {
        ssize_t at = imap_view_find(session->view, job->uids[i]);
        const struct db_mail *mail =
            imap_rows_get(&rows, session, job->uids[i], &why);

        if (mail == NULL || at < 0)
            continue;
        if (command->has_unchanged_since && mail->modseq != job->modseq &&
            mail->modseq > command->modseq)
            imap_set_add(&job->modified,
                         command->uid ? job->uids[i] : (uint32_t)at + 1);
        else
            tell_flags(session, (size_t)at, mail,
                       imap_rows_keywords(&rows, mail));
    }
    imap_rows_free(&rows);
}

static enum imap_step
store_done(struct imap_session *session, struct mark_job *job)
{
    struct buf set = {0};

    if (job->modified.count == 0) {
        imap_session_finish(session, "OK", "done");
        return IMAP_STEP_DONE;
    }
    buf_add_text(&set, "[MODIFIED ");
    imap_set_print(&job->modified, &set);
    buf_add_text(&set, "] the others were changed");
    buf_add_byte(&set, '\0');
    imap_session_finish(session, "OK", set.data);
    buf_free(&set);
    return IMAP_STEP_DONE;
}

static enum imap_step
store_step(struct imap_session *session)
{
    struct mark_job *job = session->job;

    if (job->asked) {
        tell_request(session, job);
        imap_session_send(session);
        job->asked = false;
        return IMAP_STEP_MORE;
    }
    if (!gather(session, job))
        return store_done(session, job);
    job->asked = true;
    ask_flags(session, job);
    return IMAP_STEP_WAIT;
}

static const struct imap_job_kind store_kind = {store_step, job_free, NULL};

void
imap_run_store(struct imap_session *session)
{
    struct imap_command *command = session->command;
    struct why why;

    if (is_refused(session))
        return;
    if (imap_view_resolve(session, &command->set, command->uid, &why) != 0) {
        imap_session_finish(session, "BAD", why.text);
        return;
    }
    if (command->has_unchanged_since)
        session->enabled |= IMAP_CONDSTORE;
    imap_session_begin(session, &store_kind,
                       mem_alloc(sizeof(struct mark_job)));
}

/* --- EXPUNGE, CLOSE, MOVE ------------------------------------------------- */

static void
ask_place(struct imap_session *session, struct mark_job *job)
{
    struct proto_place request = {
        .user = session->user->number,
        .box = job->box,
        .items = {job->items, job->count},
    };

    peer_call(ROLE_STORE, PROTO_PLACE, &request, -1, on_answer, session);
}

/* UIDs before and after the move, in the same order (RFC 4315). */
static void
note_moved(struct imap_session *session, struct mark_job *job, size_t i)
{
    static struct buf memory;
    struct mark mark;
    struct why why;
    const char *comma = job->before.len > 0 ? "," : "";

    buf_reset(&memory);
    if (db_read_mark(imap.db, job->items[i].id, job->items[i].n,
                     session->user->number, &mark, &memory, &why) != 1 ||
        mark.uid == 0)
        return;
    buf_addf(&job->before, "%s%" PRIu32, comma, job->uids[i]);
    buf_addf(&job->after, "%s%" PRIu64, comma, mark.uid);
}

/* RFC 7162 3.2.8: no VANISHED, but the mod-sequence after it. */
static void
close_done(struct imap_session *session, const struct mark_job *job)
{
    bool tells =
        job->removed.count > 0 && (session->enabled & IMAP_QRESYNC) != 0;
    uint64_t modseq = job->modseq;

    imap_select_leave(session);
    if (tells)
        imap_session_finishf(session, "OK", "[HIGHESTMODSEQ %" PRIu64 "] done",
                             modseq);
    else
        imap_session_finish(session, "OK", "done");
}

static enum imap_step
place_done(struct imap_session *session, struct mark_job *job)
{
    const struct imap_view *view = session->view;

    if (job->is_silent) {
        close_done(session, job);
        return IMAP_STEP_DONE;
    }
    if (job->before.len > 0) {
        buf_addf(&imap.out, "* OK [COPYUID %" PRIu32 " ", view->uidvalidity);
        buf_add_view(&imap.out, buf_view(&job->before));
        buf_add_byte(&imap.out, ' ');
        buf_add_view(&imap.out, buf_view(&job->after));
        buf_add_text(&imap.out, "] moved\r\n");
    }
    imap_view_remove(session, &job->removed, &imap.out);
    if (job->removed.count > 0 && (session->enabled & IMAP_CONDSTORE))
        imap_session_finishf(session, "OK", "[HIGHESTMODSEQ %" PRIu64 "] done",
                             job->modseq);
    else
        imap_session_finish(session, "OK", "done");
    return IMAP_STEP_DONE;
}

static enum imap_step
place_step(struct imap_session *session)
{
    struct mark_job *job = session->job;

    if (job->asked) {
        for (size_t i = 0; i < job->count; i++) {
            imap_numbers_add(&job->removed, job->uids[i]);
            if (job->box != BOX_NONE)
                note_moved(session, job, i);
        }
        job->asked = false;
        return IMAP_STEP_MORE;
    }
    if (!gather(session, job))
        return place_done(session, job);
    job->asked = true;
    ask_place(session, job);
    return IMAP_STEP_WAIT;
}

static const struct imap_job_kind place_kind = {place_step, job_free, NULL};

static void
begin_place(struct imap_session *session, enum mailbox_box box, bool is_expunge,
            bool is_silent)
{
    struct mark_job *job = mem_alloc(sizeof(*job));

    job->box = box;
    job->is_expunge = is_expunge;
    job->is_silent = is_silent;
    imap_session_begin(session, &place_kind, job);
}

void
imap_run_expunge(struct imap_session *session)
{
    struct imap_command *command = session->command;
    struct why why;

    if (is_refused(session))
        return;
    if (command->verb == IMAP_UID_EXPUNGE &&
        imap_view_resolve(session, &command->set, true, &why) != 0) {
        imap_session_finish(session, "BAD", why.text);
        return;
    }
    begin_place(session, BOX_NONE, true, false);
}

void
imap_run_close(struct imap_session *session)
{
    if (session->view->read_only)
        imap_run_unselect(session);
    else
        begin_place(session, BOX_NONE, true, true);
}

/* Where messages of one box may go to. NULL: there. */
static const char *
refuse_move(enum mailbox_box from, enum mailbox_box to)
{
    bool own = from == BOX_DRAFTS || from == BOX_SENT;
    bool to_own = to == BOX_DRAFTS || to == BOX_SENT;

    if (from == to)
        return "[CANNOT] The messages are in that folder already";
    if (to == BOX_TRASH || (own && to_own) || from == BOX_TRASH)
        return NULL;
    return "[NOPERM] Held mail can be moved to Trash, which hides it from "
           "you, and back, but to no other folder";
}

void
imap_run_move(struct imap_session *session)
{
    struct imap_command *command = session->command;
    struct imap_place place;
    const char *refused;
    struct why why;

    if (is_refused(session))
        return;
    if (imap_view_resolve(session, &command->set, command->uid, &why) != 0) {
        imap_session_finish(session, "BAD", why.text);
        return;
    }
    if (imap_name_find(session, command->first, &place) != 0) {
        imap_session_finish(session, "NO",
                            "[NONEXISTENT] There is no such folder");
        return;
    }
    refused = refuse_move(session->view->place.box, place.box);
    if (refused != NULL) {
        imap_session_finish(session, "NO", refused);
        return;
    }
    if (place.box == BOX_DELIVERED)
        place.box = BOX_INBOX; /* it goes where the delivery is */
    begin_place(session, place.box, false, false);
}

void
imap_run_copy(struct imap_session *session)
{
    struct imap_command *command = session->command;
    struct imap_place place;
    struct why why;

    if (imap_view_resolve(session, &command->set, command->uid, &why) != 0)
        imap_session_finish(session, "BAD", why.text);
    else if (imap_name_find(session, command->first, &place) != 0)
        imap_session_finish(session, "NO",
                            "[NONEXISTENT] There is no such folder");
    else
        imap_session_finish(session, "NO",
                            "[NOPERM] Held mail cannot be copied here; move "
                            "it to Trash to hide it, or copy it to a folder "
                            "of your own computer");
}
