/* SPDX-License-Identifier: ISC */
/*
 * STATUS (RFC 9051 6.3.11, RFC 8438), by itself and in answers to LIST: a
 * mailbox is walked through some messages at a time. SUBSCRIBE, which asks
 * whether a name is one.
 *
 * Before: imap_run.c, imap_list.c
 */
#include "imap_status.h"

#include <inttypes.h>
#include <stdlib.h>

#include "mem.h"

/* --- the walk ------------------------------------------------------------- */

int
imap_status_begin(struct imap_status *status,
                  const struct imap_session *session,
                  const struct imap_place *place, unsigned items,
                  struct why *why)
{
    imap_status_free(status);
    status->place = *place;
    status->items = items;
    status->next = 1;
    if (imap_name_numbers(session, place, &status->numbers, why) < 0 ||
        db_mailbox_status_begin(imap.db, (items & IMAP_STATUS_SIZE) != 0,
                                &status->sums, why) < 0)
        return -1;
    return 0;
}

int
imap_status_step(struct imap_status *status, const struct imap_session *session,
                 struct why *why)
{
    static struct db_mail mails[IMAP_ROWS_MAX];
    static struct buf words;
    int n;

    if (status->next == 0)
        return db_mailbox_status_end(imap.db, &status->numbers,
                                     status->place.box, IMAP_ROWS_MAX,
                                     &status->sums, why);
    buf_reset(&words);
    n = db_mailbox_read(imap.db, session->user->number, &status->numbers,
                        status->place.box, status->next, mails, IMAP_ROWS_MAX,
                        &status->next, &words, &status->sums, why);
    return n < 0 ? -1 : 0;
}

void
imap_status_free(struct imap_status *status)
{
    db_numbers_free(&status->numbers);
    *status = (struct imap_status){0};
}

/* --- telling -------------------------------------------------------------- */

static void
put_number(struct buf *out, const char **blank, const char *word,
           uint64_t value)
{
    buf_addf(out, "%s%s %" PRIu64, *blank, word, value);
    *blank = " ";
}

int
imap_status_put(const struct imap_status *status,
                const struct imap_session *session, struct view name,
                struct why *why)
{
    const struct db_mailbox_status *sums = &status->sums;
    bool is_own =
        status->place.box == BOX_DRAFTS || status->place.box == BOX_SENT;
    struct db_mailbox_facts facts;
    struct buf *out = &imap.out;
    const char *blank = "";

    if (db_mailbox_facts(imap.db, &facts, why) < 0)
        return -1;
    const struct {
        unsigned item;
        const char *word;
        uint64_t value;
    } rows[] = {
        {IMAP_STATUS_MESSAGES, "MESSAGES", sums->messages},
        {IMAP_STATUS_UIDNEXT, "UIDNEXT", sums->uidnext},
        {IMAP_STATUS_UIDVALIDITY, "UIDVALIDITY", facts.uidvalidity},
        {IMAP_STATUS_UNSEEN, "UNSEEN", sums->unseen},
        {IMAP_STATUS_DELETED, "DELETED", sums->deleted},
        {IMAP_STATUS_SIZE, "SIZE", sums->size},
        {IMAP_STATUS_RECENT, "RECENT", 0},
        {IMAP_STATUS_HIGHESTMODSEQ, "HIGHESTMODSEQ", sums->highest_modseq},
        {IMAP_STATUS_APPENDLIMIT, "APPENDLIMIT",
         is_own ? imap.conf->message_size : 0},
    };

    buf_add_text(out, "* STATUS ");
    imap_name_put(session, name, out);
    buf_add_text(out, " (");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (status->items & rows[i].item)
            put_number(out, &blank, rows[i].word, rows[i].value);
    buf_add_text(out, ")\r\n");
    return 0;
}

/* --- the command ---------------------------------------------------------- */

struct status_job {
    struct imap_status status;
    struct buf name; /* UTF-8 */
};

static void
job_free(void *arg)
{
    struct status_job *job = arg;

    imap_status_free(&job->status);
    buf_free(&job->name);
    free(job);
}

static enum imap_step
status_step(struct imap_session *session)
{
    struct status_job *job = session->job;
    struct why why;
    int rc = imap_status_step(&job->status, session, &why);

    if (rc == 0)
        return IMAP_STEP_MORE;
    if (rc < 0 || imap_status_put(&job->status, session, buf_view(&job->name),
                                  &why) != 0) {
        imap_session_finishf(session, "NO", "[SERVERBUG] %s", why.text);
        return IMAP_STEP_DONE;
    }
    if (job->status.items & IMAP_STATUS_HIGHESTMODSEQ)
        session->enabled |= IMAP_CONDSTORE; /* RFC 7162 3.1 */
    imap_session_finish(session, "OK", "done");
    return IMAP_STEP_DONE;
}

static const struct imap_job_kind status_kind = {status_step, job_free, NULL};

void
imap_run_status(struct imap_session *session)
{
    const struct imap_command *command = session->command;
    struct status_job *job = mem_alloc(sizeof(*job));
    struct imap_place place;
    struct why why;

    if (imap_name_find(session, command->first, &place) != 0 ||
        imap_name_decode(session, command->first, &job->name) != 0)
        imap_session_finish(session, "NO",
                            "[NONEXISTENT] There is no such folder");
    else if (imap_status_begin(&job->status, session, &place,
                               command->status_items, &why) != 0)
        imap_session_finishf(session, "NO", "[SERVERBUG] %s", why.text);
    else {
        imap_session_begin(session, &status_kind, job);
        return;
    }
    job_free(job);
}

void
imap_run_subscribe(struct imap_session *session)
{
    struct imap_place place;

    if (imap_name_find(session, session->command->first, &place) != 0)
        imap_session_finish(session, "NO",
                            "[NONEXISTENT] There is no such folder");
    else
        imap_session_finish(session, "OK", "done");
}
