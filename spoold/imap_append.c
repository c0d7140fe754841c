/* SPDX-License-Identifier: ISC */
/*
 * APPEND (RFC 9051 6.3.12): a user's own message, into Drafts and Sent alone:
 * what he writes during the outage, and what his program keeps of what he
 * sent. It is never delivered. The content is compressed and sealed as it
 * comes, like mail from the network.
 *
 * Before: imap_run.c   After: store.c (APPEND)
 */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "crlf.h"
#include "header.h"
#include "imap_view.h"
#include "io.h"
#include "mem.h"
#include "msgid.h"
#include "peer.h"
#include "sealing.h"

#define WRITER_IMAP 4 /* in message ids (msgid.h) */

static struct msgid_source ids = {.writer = WRITER_IMAP};

struct append_job {
    enum mailbox_box box;
    uint64_t id;
    uint64_t left;   /* bytes of the message still to come */
    struct buf text; /* the command, for its tag and flags */
    struct crlf crlf;
    struct header header;
    struct body_writer *writer; /* NULL: it failed */
    struct seal_key key;
    struct why why; /* of the failure */
};

static void
job_free(void *arg)
{
    struct append_job *job = arg;

    body_writer_free(&job->writer);
    buf_free(&job->text);
    free(job);
}

void
imap_append_floor(uint64_t floor_ms)
{
    msgid_set_floor(&ids, floor_ms);
}

/* --- to the store --------------------------------------------------------- */

static void
on_appended(void *arg, struct peer_message *answer)
{
    struct imap_session *session = arg;
    struct append_job *job = session->job;
    const struct proto_marked *done = answer != NULL ? answer->payload : NULL;
    struct db_mailbox_facts facts;
    struct why why;

    sealing_answered(&job->key, done != NULL && done->result == SUBMIT_DONE);
    /* It is told here, before its NEWS (RFC 9051 6.3.12). */
    if (session->view != NULL && session->view->place.box == job->box)
        session->view->came = true;
    buf_reset(&imap.out);
    if (done == NULL)
        imap_session_finish(session, "NO",
                            "[UNAVAILABLE] The store is away, try again");
    else if (done->result == SUBMIT_FULL)
        imap_session_finish(session, "NO",
                            "[OVERQUOTA] There is no more room for messages "
                            "of your own");
    else if (done->result != SUBMIT_DONE)
        imap_session_finishf(session, "NO", "[CANNOT] %.*s",
                             (int)done->reason.len, done->reason.data);
    else if (db_mailbox_facts(imap.db, &facts, &why) != 1)
        imap_session_finish(session, "OK", "kept");
    else
        imap_session_finishf(session, "OK",
                             "[APPENDUID %" PRIu64 " %" PRIu64 "] kept",
                             facts.uidvalidity, done->modseq - facts.uid_base);
}

static void
submit(struct imap_session *session, struct append_job *job)
{
    const struct imap_command *command = session->command;
    int64_t now_ms = clock_wall_ms();
    struct message message = {
        .arrived_ms = (uint64_t)now_ms,
        .origin = ORIGIN_OWN,
        .size = body_written(job->writer),
        .subject = {job->header.subject, job->header.subject_len},
        .message_id = {job->header.message_id, job->header.message_id_len},
    };
    struct proto_append request = {.user = session->user->number,
                                   .box = job->box,
                                   .flags = command->flags.bits,
                                   .keywords = command->flags.keywords};
    struct proto_submit inner = {.id = job->id};
    struct buf row = {0}, encoded = {0};
    int fd = -1;

    if (command->has_date && command->date_ms >= 0)
        message.arrived_ms = (uint64_t)command->date_ms;
    if (body_finish(job->writer, &inner.content, &fd, &inner.content_len,
                    &job->why) != 0) {
        buf_reset(&imap.out);
        imap_session_finishf(session, "NO", "[UNAVAILABLE] %s", job->why.text);
        return;
    }
    inner.data_key = sealing_describe(&message, job->writer, &job->key);
    record_encode(&message_record, &message, &row);
    inner.message = buf_view(&row);
    record_encode(&proto_submit_record, &inner, &encoded);
    request.submit = buf_view(&encoded);
    imap_session_mode(session, IMAP_MODE_BUSY);
    peer_call(ROLE_STORE, PROTO_APPEND, &request, fd, on_appended, session);
    buf_free(&row);
    buf_free(&encoded);
    body_writer_free(&job->writer);
}

/* --- the message comes ---------------------------------------------------- */

static void
take_content(struct append_job *job, struct view bytes, bool is_last)
{
    static struct buf content;

    if (job->writer == NULL)
        return;
    buf_reset(&content);
    if (bytes.len > 0)
        crlf_add(&job->crlf, bytes, &content);
    if ((is_last && crlf_end(&job->crlf, &content, &job->why) != 0) ||
        (content.len > 0 &&
         body_write(job->writer, buf_view(&content), &job->why) != 0)) {
        body_writer_free(&job->writer);
        return;
    }
    header_scan(&job->header, buf_view(&content));
    if (is_last)
        header_end(&job->header);
}

/* What follows the message: the end of the line, after ")" with UTF8. */
static void
end_command(struct imap_session *session, struct append_job *job,
            enum imap_read read, const struct why *why)
{
    const struct buf *rest = &session->reader.command;
    struct view wanted = session->command->utf8 ? VIEW(")") : VIEW("");

    buf_reset(&imap.out);
    if (read != IMAP_READ_ONE || !view_equal(buf_view(rest), wanted)) {
        if (read == IMAP_READ_APPEND)
            imap_reader_refuse(&session->reader);
        imap_session_finish(session, "BAD",
                            read == IMAP_READ_BAD ? why->text
                                                  : "one message a command");
    } else if (job->writer == NULL) {
        imap_session_finishf(session, "NO", "[CANNOT] %s", job->why.text);
    } else if (body_written(job->writer) == 0) {
        imap_session_finish(session, "NO", "[CANNOT] The message is empty");
    } else {
        submit(session, job);
    }
}

static size_t
append_input(struct imap_session *session, struct view bytes)
{
    struct append_job *job = session->job;
    enum imap_read read;
    struct why why;
    size_t taken;

    if (job->left > 0) {
        if (bytes.len > job->left)
            bytes.len = (size_t)job->left;
        job->left -= bytes.len;
        take_content(job, bytes, job->left == 0);
        return bytes.len;
    }
    read = imap_reader_feed(&session->reader, bytes, &taken, &why);
    if (read == IMAP_READ_CONTINUE || read == IMAP_READ_END) {
        imap_session_bye(session, "one message a command");
        return 0;
    }
    if (read != IMAP_READ_MORE)
        end_command(session, job, read, &why);
    return taken;
}

static enum imap_step
append_step(struct imap_session *session)
{
    (void)session;
    return IMAP_STEP_WAIT;
}

static const struct imap_job_kind append_kind = {append_step, job_free,
                                                 append_input};

/* --- the beginning -------------------------------------------------------- */

/* NULL: it may come. */
static const char *
refusal(struct imap_session *session, struct imap_place *place)
{
    const struct imap_command *command = session->command;

    if (imap_name_find(session, command->first, place) != 0)
        return "[NONEXISTENT] There is no such folder";
    if (place->box != BOX_DRAFTS && place->box != BOX_SENT)
        return "[NOPERM] Messages can be put into Drafts and Sent only: the "
               "other folders show mail that is held for you";
    if (command->length > imap.conf->message_size)
        return "[TOOBIG] The message is larger than this server takes";
    if (!imap.store_is_up)
        return "[UNAVAILABLE] The store is away, try again";
    return NULL;
}

void
imap_run_append(struct imap_session *session)
{
    const struct imap_command *command = session->command;
    bool unasked = session->reader.unasked;
    struct imap_place place;
    const char *why = refusal(session, &place);
    struct append_job *job;

    if (why != NULL) {
        if (imap_reader_refuse(&session->reader) != 0)
            imap_session_bye(session, "a message that is too large");
        else
            imap_session_finish(session, "NO", why);
        return;
    }
    job = mem_alloc(sizeof(*job));
    job->box = place.box;
    job->left = command->length;
    /* The command points into this; the reader gets a new one. */
    job->text = session->reader.command;
    session->reader.command = (struct buf){0};
    imap_reader_go_on(&session->reader);
    header_init(&job->header, imap.conf->hostname);
    job->id = msgid_next(&ids, (uint64_t)clock_wall_ms());
    job->writer =
        sealing_writer((int)imap.conf->compression, PROTO_CONTENT_INLINE_MAX,
                       job->id, (uint64_t)clock_wall_ms(), &job->key);
    if (!unasked)
        io_write(session->io, VIEW("+ go on\r\n"));
    imap_session_begin(session, &append_kind, job);
    imap_session_mode(session, IMAP_MODE_LITERAL);
    if (job->left == 0)
        take_content(job, (struct view){NULL, 0}, true);
}
