/* SPDX-License-Identifier: ISC */
/*
 * FETCH (RFC 9051 6.4.5; CHANGEDSINCE and VANISHED, RFC 7162): message by
 * message, item by item. What stands in rows goes fast, many messages a step;
 * of content one piece is one step.
 *
 * A message's response is begun only when its row and structure were read and
 * its first piece, if it is wanted, is whole: so what is damaged is left out
 * and said. What breaks later breaks the connection: its literal was promised.
 *
 * Before: imap_run.c   After: imap_section.c
 */
#include <inttypes.h>
#include <stdlib.h>

#include "imap_content.h"
#include "imap_section.h"
#include "imap_token.h"
#include "imap_view.h"
#include "io.h"
#include "log.h"
#include "mem.h"
#include "mime_structure.h"

#define MESSAGES_A_STEP 32
#define OUT_A_STEP      (64 * 1024)
#define MARKS_A_REQUEST 1000

enum fetch_phase {
    FETCH_MARKING, /* messages get \Seen, as BODY[...] asks */
    FETCH_NEXT,    /* the next message is looked for */
    FETCH_OPENING, /* its structure is made */
    FETCH_ITEMS,   /* its items go out */
};

struct fetch_job {
    enum fetch_phase phase;
    struct imap_rows rows;
    size_t at;   /* of the message, in the view */
    size_t item; /* the next one of it */
    const struct db_mail *mail;
    bool needs_row, needs_structure, needs_content;
    bool has_section;    /* one is under way */
    uint64_t seen_after; /* marks above this modseq are of this command */
    size_t gone, damaged;
    struct why why; /* of the last that was damaged */
    struct imap_content content;
    struct imap_section section;
};

static void
job_free(void *arg)
{
    struct fetch_job *job = arg;

    imap_rows_free(&job->rows);
    imap_section_free(&job->section);
    imap_content_free(&job->content);
    free(job);
}

/* --- \Seen ---------------------------------------------------------------- */

static void
on_marked(void *arg, struct peer_message *answer)
{
    struct imap_session *session = arg;
    const struct proto_marked *marked = answer != NULL ? answer->payload : NULL;

    if (marked != NULL && marked->result == SUBMIT_DONE)
        imap_session_own(session, marked->modseq);
    /* Where the mark could not be made, the message is shown all the same. */
    imap_session_wake(session);
}

/* The next messages without it. False: there are none any more. */
static bool
mark_some(struct imap_session *session, struct fetch_job *job)
{
    struct proto_mail items[MARKS_A_REQUEST];
    struct proto_flags request = {.user = session->user->number,
                                  .what = FLAGS_ADD,
                                  .flags = MARK_SEEN,
                                  .items = {items, 0}};
    const struct imap_view *view = session->view;

    while (request.items.count < MARKS_A_REQUEST) {
        const struct db_mail *mail;

        job->at = imap_view_next(view, &session->command->set,
                                 session->command->uid, job->at);
        if (job->at == view->count)
            break;
        mail =
            imap_rows_get(&job->rows, session, view->uids[job->at], &job->why);
        job->at++;
        if (mail != NULL && !(mail->flags & MARK_SEEN))
            items[request.items.count++] =
                (struct proto_mail){mail->id, mail->n};
    }
    if (request.items.count == 0)
        return false;
    peer_call(ROLE_STORE, PROTO_FLAGS, &request, -1, on_marked, session);
    return true;
}

/* --- items ---------------------------------------------------------------- */

static bool
has_item(const struct imap_command *command, enum imap_item_kind kind)
{
    for (size_t i = 0; i < command->n_items; i++)
        if (command->items[i].kind == kind)
            return true;
    return false;
}

static void
put_blank(struct fetch_job *job)
{
    if (job->item > 0)
        buf_add_byte(&imap.out, ' ');
}

/* Items that need nothing but rows and structure. -1: damaged. */
static int
put_simple(struct imap_session *session, struct fetch_job *job,
           const struct imap_item *item)
{
    struct view structure = buf_view(&job->content.structure);
    struct buf *out = &imap.out;

    put_blank(job);
    switch (item->kind) {
    case IMAP_ITEM_FLAGS:
        imap_put_flags(job->mail->flags,
                       imap_rows_keywords(&job->rows, job->mail), out);
        return 0;
    case IMAP_ITEM_UID:
        buf_addf(out, "UID %" PRIu32, session->view->uids[job->at]);
        return 0;
    case IMAP_ITEM_MODSEQ:
        buf_addf(out, "MODSEQ (%" PRIu64 ")", job->mail->modseq);
        return 0;
    case IMAP_ITEM_INTERNALDATE:
        buf_add_text(out, "INTERNALDATE ");
        imap_put_date_time(job->content.arrived_ms, out);
        return 0;
    case IMAP_ITEM_SIZE:
        buf_addf(out, "RFC822.SIZE %" PRIu64, job->content.size);
        return 0;
    case IMAP_ITEM_ENVELOPE:
        buf_add_text(out, "ENVELOPE ");
        return mime_structure_print_envelope(structure, out);
    case IMAP_ITEM_BODY:
        buf_add_text(out, "BODY ");
        return mime_structure_print_body(structure, out);
    default:
        buf_add_text(out, "BODYSTRUCTURE ");
        return mime_structure_print_bodystructure(structure, out);
    }
}

/* 1: done; 0: more of it; -1: damaged. */
static int
put_section(struct imap_session *session, struct fetch_job *job,
            const struct imap_item *item)
{
    int rc;

    if (!job->has_section) {
        put_blank(job);
        rc = imap_section_begin(&job->section, item, &job->content);
        if (rc == 0) {
            imap_section_put_name(item, &imap.out);
            buf_add_text(&imap.out,
                         item->kind == IMAP_ITEM_BINARY_SIZE ? " 0" : " NIL");
            return 1;
        }
        if (rc < 0)
            return why_text(&job->why, "the structure is damaged");
        job->has_section = true;
        session->sent += !item->peek || item->section.n_path == 0;
    }
    rc = imap_section_step(&job->section, session, &job->content, &job->why);
    job->has_section = rc == 0;
    return rc;
}

/* Items of the message until one wants another step. 1: all are out. */
static int
put_items(struct imap_session *session, struct fetch_job *job)
{
    const struct imap_command *command = session->command;

    while (job->item < command->n_items) {
        const struct imap_item *item = &command->items[job->item];
        int rc;

        if (item->kind >= IMAP_ITEM_BINARY_SIZE) {
            rc = put_section(session, job, item);
            if (rc <= 0)
                return rc;
        } else if (put_simple(session, job, item) != 0) {
            return why_text(&job->why, "the structure is damaged");
        }
        job->item++;
    }
    if (job->seen_after != 0 && job->mail->modseq > job->seen_after &&
        !has_item(command, IMAP_ITEM_FLAGS)) {
        put_blank(job);
        imap_put_flags(job->mail->flags,
                       imap_rows_keywords(&job->rows, job->mail), &imap.out);
        if ((session->enabled & IMAP_CONDSTORE) &&
            !has_item(command, IMAP_ITEM_MODSEQ))
            buf_addf(&imap.out, " MODSEQ (%" PRIu64 ")", job->mail->modseq);
    }
    buf_add_text(&imap.out, ")\r\n");
    return 1;
}

/* --- messages ------------------------------------------------------------- */

static void
leave_out(struct fetch_job *job)
{
    job->damaged++;
    job->at++;
    job->phase = FETCH_NEXT;
}

static void
log_damage(const struct fetch_job *job)
{
    log_warn("message shown by IMAP is damaged: %s", job->why.text);
}

/* Finds the next message and reads its row. False: there is none. */
static bool
next_message(struct imap_session *session, struct fetch_job *job)
{
    const struct imap_command *command = session->command;
    const struct imap_view *view = session->view;
    int found;

    job->at = imap_view_next(view, &command->set, command->uid, job->at);
    if (job->at == view->count)
        return false;
    job->why.text[0] = '\0';
    job->mail =
        imap_rows_get(&job->rows, session, view->uids[job->at], &job->why);
    if (job->mail == NULL) {
        job->gone++;
        job->at++;
        return true;
    }
    if (command->has_changed_since && job->mail->modseq <= command->modseq) {
        job->at++;
        return true;
    }
    job->item = 0;
    job->phase = FETCH_OPENING;
    if (!job->needs_row)
        return true;
    found = imap_content_open(&job->content, session, job->mail,
                              job->needs_content, &job->why);
    if (found == 0) {
        job->gone++;
        job->at++;
        job->phase = FETCH_NEXT;
    } else if (found < 0) {
        log_damage(job);
        leave_out(job);
    }
    return true;
}

/* The first content that is asked for is not damaged. -1: it is. */
static int
check_content(const struct imap_command *command, struct fetch_job *job)
{
    const struct imap_item *item = command->items;
    struct view bytes;

    if (!job->needs_content || job->content.pieces == 0)
        return 0;
    while (item->kind < IMAP_ITEM_BINARY_SIZE)
        item++;
    return imap_content_piece(&job->content,
                              imap_section_first_piece(item, &job->content),
                              &bytes, &job->why);
}

/* 1: the response has begun; 0: more steps are needed; -1: it is left out. */
static int
open_message(const struct imap_session *session, struct fetch_job *job)
{
    int rc = 1;

    if (job->needs_structure)
        rc = imap_content_structure(&job->content, &job->why);
    if (rc == 1 && check_content(session->command, job) != 0)
        rc = -1;
    if (rc == 1) {
        buf_addf(&imap.out, "* %zu FETCH (", job->at + 1);
        job->phase = FETCH_ITEMS;
    }
    return rc;
}

/* --- the job -------------------------------------------------------------- */

static enum imap_step
fetch_done(struct imap_session *session, struct fetch_job *job)
{
    size_t gone = job->gone, damaged = job->damaged;

    if (damaged > 0)
        imap_session_finishf(session, "NO",
                             "[SERVERBUG] %zu messages are damaged", damaged);
    else if (gone > 0 && !session->command->uid)
        imap_session_finish(session, "NO",
                            "[EXPUNGEISSUED] Some messages are not here any "
                            "more");
    else
        imap_session_finish(session, "OK", "done");
    return IMAP_STEP_DONE;
}

/* One thing. False: this step is over. */
static bool
fetch_one(struct imap_session *session, struct fetch_job *job)
{
    int rc;

    switch (job->phase) {
    case FETCH_NEXT:
        return next_message(session, job);
    case FETCH_OPENING:
        rc = open_message(session, job);
        if (rc < 0) {
            log_damage(job);
            leave_out(job);
        }
        return rc != 0;
    case FETCH_ITEMS:
        rc = put_items(session, job);
        if (rc > 0) {
            job->at++;
            job->phase = FETCH_NEXT;
        } else if (rc < 0) {
            log_damage(job);
            imap_session_bye(session, "[SERVERBUG] a message is damaged");
        }
        return rc > 0;
    default:
        return false;
    }
}

static enum imap_step
fetch_step(struct imap_session *session)
{
    struct fetch_job *job = session->job;

    if (job->phase == FETCH_MARKING) {
        if (mark_some(session, job))
            return IMAP_STEP_WAIT;
        imap_rows_free(&job->rows);
        job->at = 0;
        job->phase = FETCH_NEXT;
        return IMAP_STEP_MORE;
    }
    for (int i = 0; i < MESSAGES_A_STEP && imap.out.len < OUT_A_STEP; i++) {
        do {
            if (job->phase == FETCH_NEXT && job->at >= session->view->count)
                return fetch_done(session, job);
            if (!fetch_one(session, job)) {
                if (session->state == IMAP_OVER)
                    return IMAP_STEP_DONE;
                if (job->phase == FETCH_NEXT)
                    return fetch_done(session, job);
                imap_session_send(session);
                return IMAP_STEP_MORE;
            }
        } while (job->phase != FETCH_NEXT);
    }
    imap_session_send(session);
    return IMAP_STEP_MORE;
}

static const struct imap_job_kind fetch_kind = {fetch_step, job_free, NULL};

/* --- the beginning -------------------------------------------------------- */

/* What is said without being asked for comes first. */
static void
add_implied(struct imap_command *command, enum imap_item_kind kind)
{
    if (has_item(command, kind))
        return;
    command->items =
        mem_grow(command->items, command->n_items + 1, sizeof(*command->items));
    memmove(command->items + 1, command->items,
            command->n_items * sizeof(*command->items));
    command->items[0] = (struct imap_item){.kind = kind};
    command->n_items++;
}

static void
look_at_items(const struct imap_session *session, struct fetch_job *job)
{
    const struct imap_command *command = session->command;

    for (size_t i = 0; i < command->n_items; i++) {
        const struct imap_item *item = &command->items[i];

        if (item->kind >= IMAP_ITEM_INTERNALDATE)
            job->needs_row = true;
        if (item->kind == IMAP_ITEM_ENVELOPE || item->kind == IMAP_ITEM_BODY ||
            item->kind == IMAP_ITEM_BODYSTRUCTURE)
            job->needs_structure = true;
        if (item->kind < IMAP_ITEM_BINARY_SIZE)
            continue;
        job->needs_content = true;
        if (imap_section_needs_structure(item))
            job->needs_structure = true;
        if (!item->peek && !session->view->read_only)
            job->phase = FETCH_MARKING;
    }
}

/* "VANISHED (EARLIER)" of the messages asked for (RFC 7162 3.2.6). */
static void
put_vanished(struct imap_session *session, const struct imap_set *known)
{
    const struct imap_view *view = session->view;
    struct db_mailbox_facts facts;
    struct db_numbers left = {0};
    struct imap_set set = {0};
    struct why why;
    int found = db_mailbox_facts(imap.db, &facts, &why);

    if (found == 1)
        found =
            session->command->modseq >= facts.vanished_from
                ? db_mailbox_vanished(imap.db, &view->numbers, view->place.box,
                                      session->command->modseq, &left, &why)
                : 0;
    imap_view_vanished(view, found == 1 ? &left : NULL, known, &set);
    if (set.count > 0) {
        buf_add_text(&imap.out, "* VANISHED (EARLIER) ");
        imap_set_print(&set, &imap.out);
        buf_add_text(&imap.out, "\r\n");
    }
    imap_set_free(&set);
    db_numbers_free(&left);
}

void
imap_run_fetch(struct imap_session *session)
{
    struct imap_command *command = session->command;
    struct db_mailbox_facts facts;
    struct imap_set known = {0};
    struct fetch_job *job;
    struct why why;

    if (command->vanished && !(session->enabled & IMAP_QRESYNC)) {
        imap_session_finish(session, "BAD", "VANISHED needs ENABLE QRESYNC");
        return;
    }
    if (command->vanished) /* here "*" is every UID there can be */
        imap_set_copy(&known, &command->set);
    imap_set_resolve(&known, UINT32_MAX);
    if (imap_view_resolve(session, &command->set, command->uid, &why) != 0) {
        imap_set_free(&known);
        imap_session_finish(session, "BAD", why.text);
        return;
    }
    if (command->vanished)
        put_vanished(session, &known);
    imap_set_free(&known);
    if (command->has_changed_since || has_item(command, IMAP_ITEM_MODSEQ)) {
        session->enabled |= IMAP_CONDSTORE;
        add_implied(command, IMAP_ITEM_MODSEQ);
    }
    if (command->uid)
        add_implied(command, IMAP_ITEM_UID);
    job = mem_alloc(sizeof(*job));
    job->phase = FETCH_NEXT;
    look_at_items(session, job);
    if (job->phase == FETCH_MARKING &&
        db_mailbox_facts(imap.db, &facts, &why) == 1)
        job->seen_after = facts.modseq;
    imap_session_begin(session, &fetch_kind, job);
}
