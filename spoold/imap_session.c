/* SPDX-License-Identifier: ISC */
/*
 * One connection of the imap role: commands come in through imap_reader.h,
 * one at a time; while one is under way input waits. Responses leave in the
 * order they were made, and a client that does not take them stops the work
 * that makes them (imap.c).
 *
 * TLS begins with the first byte (imaps) or with STARTTLS, where io.h refuses
 * what was sent before it; who was there before TLS counts for nothing.
 *
 * Before: imap.c   After: imap_run.c
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "imap.h"
#include "imap_view.h"
#include "io.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "stats.h"

#define SESSION_MAGIC    0x73696d61u
#define FRESH_TIMEOUT_MS 60000
/* After BYE: how long the client may take nothing of what is still to go. */
#define LINGER_MS 30000
/* Output that waits for the client; then no further command is read. */
#define OUTPUT_MAX (256 * 1024)
#define FINISH_MAX 512

static struct imap_session *
session_of(void *arg)
{
    struct imap_session *session = arg;

    if (session->magic != SESSION_MAGIC)
        bug("a callback for a session that is gone");
    return session;
}

/* --- output --------------------------------------------------------------- */

void
imap_session_send(struct imap_session *session)
{
    if (imap.out.len > 0)
        io_write(session->io, buf_view(&imap.out));
    buf_reset(&imap.out);
}

/* --- the end -------------------------------------------------------------- */

static void
job_end(struct imap_session *session)
{
    peer_forget(session);
    if (session->kind != NULL && session->kind->free != NULL)
        session->kind->free(session->job);
    session->kind = NULL;
    session->job = NULL;
    session->waits = false;
    if (session->command != NULL) {
        imap_command_free(session->command);
        free(session->command);
        session->command = NULL;
    }
}

static void
session_free_deferred(void *arg)
{
    struct imap_session *session = session_of(arg);

    session->magic = 0;
    free(session);
}

static void
log_session(const struct imap_session *session, const char *why)
{
    struct event event;

    event_begin(&event, EVENT_IMAP_SESSION);
    event_text(&event, "client", session->address);
    if (session->user != NULL)
        event_text(&event, "user", session->user->name);
    event_num(&event, "messages", session->sent);
    event_num(&event, "ms", (uint64_t)(loop_now_ms() - session->since_ms));
    event_text(&event, "reason", why);
    event_end(&event);
}

/* Nothing more is done for it. */
static void
session_over(struct imap_session *session, const char *why)
{
    if (session->state == IMAP_OVER)
        return;
    log_session(session, why);
    session->state = IMAP_OVER;
    job_end(session);
    imap_view_free(&session->view);
    imap_set_free(&session->saved);
    imap_reader_free(&session->reader);
    imap_user_leave(&session->user);
}

void
imap_session_close(struct imap_session *session, const char *why)
{
    session_over(session, why);
    io_free(&session->io);
    imap_closed(session);
    loop_defer(session_free_deferred, session);
}

void
imap_session_end(struct imap_session *session, const char *why)
{
    session_over(session, why);
    io_resume(session->io); /* or its end would not be seen */
    io_set_timeout(session->io, LINGER_MS);
    /* Else session_on_drained or session_on_end does it. */
    if (io_send_now(session->io) && session->io != NULL)
        imap_session_close(session, why);
}

void
imap_session_bye(struct imap_session *session, const char *text)
{
    if (session->state == IMAP_OVER)
        return;
    buf_reset(&imap.out);
    buf_addf(&imap.out, "* BYE %s\r\n", text);
    imap_session_send(session);
    imap_session_end(session, text);
}

/* --- the command under way ------------------------------------------------ */

static void
set_timeout(struct imap_session *session)
{
    io_set_timeout(session->io, session->state == IMAP_FRESH
                                    ? FRESH_TIMEOUT_MS
                                    : imap.conf->imap_timeout_ms);
}

void
imap_session_mode(struct imap_session *session, enum imap_mode mode)
{
    session->mode = mode;
    if (mode == IMAP_MODE_BUSY)
        io_pause(session->io);
    else
        io_resume(session->io);
}

void
imap_session_begin(struct imap_session *session,
                   const struct imap_job_kind *kind, void *job)
{
    session->kind = kind;
    session->job = job;
    session->waits = false;
    imap_session_mode(session, IMAP_MODE_BUSY);
    imap_turn(session);
}

void
imap_session_wake(struct imap_session *session)
{
    session->waits = false;
    imap_turn(session);
}

bool
imap_session_step(struct imap_session *session)
{
    if (session->state == IMAP_OVER || session->kind == NULL || session->waits)
        return false;
    switch (session->kind->step(session)) {
    case IMAP_STEP_MORE:
        return session->state != IMAP_OVER;
    case IMAP_STEP_WAIT:
        session->waits = true;
        return false;
    case IMAP_STEP_DONE:
        break;
    }
    return false;
}

/* Whether the numbers of messages may change now: RFC 9051 7.5.1. */
static bool
may_expunge(const struct imap_command *command)
{
    switch (command->verb) {
    case IMAP_FETCH:
    case IMAP_STORE:
    case IMAP_SEARCH:
    case IMAP_SORT:
        return command->uid;
    default:
        return true;
    }
}

void
imap_session_finish(struct imap_session *session, const char *status,
                    const char *text)
{
    const struct imap_command *command = session->command;

    if (session->view != NULL)
        imap_view_tell(session, may_expunge(command), &imap.out);
    buf_add_view(&imap.out, command->tag);
    buf_addf(&imap.out, " %s %s\r\n", status, text);
    imap_session_send(session);
    job_end(session);
    if (imap.draining) {
        imap_session_bye(session, "going down, come back later");
        return;
    }
    set_timeout(session);
    imap_session_mode(session, IMAP_MODE_COMMAND);
}

void
imap_session_finishf(struct imap_session *session, const char *status,
                     const char *format, ...)
{
    char text[FINISH_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    imap_session_finish(session, status, text);
}

/* --- input ---------------------------------------------------------------- */

/* What cannot be a command: answered with the tag it has, if any. */
static void
refuse(struct imap_session *session, const char *text)
{
    const struct imap_command *command = session->command;

    buf_reset(&imap.out);
    if (command->tag.len > 0)
        buf_add_view(&imap.out, command->tag);
    else
        buf_add_byte(&imap.out, '*');
    buf_addf(&imap.out, " BAD %s\r\n", text);
    imap_session_send(session);
    job_end(session);
    if (++session->errors > imap.conf->errors)
        imap_session_bye(session, "too many bad commands");
}

static void
parse_and_run(struct imap_session *session)
{
    struct imap_command *command = session->command;
    struct why why;

    if (imap_command_parse(&session->reader.command, command, &why) == 0) {
        imap_session_mode(session, IMAP_MODE_BUSY);
        imap_run(session);
        return;
    }
    if (session->reader.big > 0 && imap_reader_refuse(&session->reader) != 0) {
        imap_session_bye(session, "a message that is too large");
        return;
    }
    if (command->bad_charset) {
        imap_session_finishf(session, "NO", "[BADCHARSET (UTF-8 US-ASCII)] %s",
                             why.text);
        return;
    }
    refuse(session, why.text);
}

/* The command was too long, or no line: only its tag is of use. */
static void
refuse_unread(struct imap_session *session, enum imap_read read,
              const struct why *why)
{
    struct buf *text = &session->reader.command;
    struct why ignored;

    imap_command_parse(text, session->command, &ignored);
    if (read == IMAP_READ_END)
        imap_session_bye(session, why->text);
    else
        refuse(session, why->text);
}

/* One command. False: there is none, or the session is over. */
static bool
read_command(struct imap_session *session)
{
    size_t taken;
    struct why why;
    enum imap_read read;

    session->reader.small = session->state == IMAP_FRESH;
    read =
        imap_reader_feed(&session->reader, io_input(session->io), &taken, &why);
    io_consume(session->io, taken);
    if (read == IMAP_READ_MORE) {
        imap_reader_idle(&session->reader);
        return false;
    }
    if (read == IMAP_READ_CONTINUE) {
        io_write(session->io, VIEW("+ go on\r\n"));
        return true;
    }
    session->command = mem_alloc(sizeof(*session->command));
    if (read == IMAP_READ_ONE || read == IMAP_READ_APPEND)
        parse_and_run(session);
    else
        refuse_unread(session, read, &why);
    return session->state != IMAP_OVER;
}

/* Does the client leave what it was sent? Then its next command waits until
 * it has taken that: session_on_drained. */
static bool
is_choked(struct imap_session *session)
{
    if (io_pending(session->io) <= OUTPUT_MAX || io_send_now(session->io))
        return false;
    session->choked = true;
    if (session->io != NULL)
        io_pause(session->io);
    return true;
}

static void
session_on_input(void *arg)
{
    struct imap_session *session = session_of(arg);
    bool more = true;

    while (more && session->io != NULL && io_input(session->io).len > 0) {
        if (session->state == IMAP_OVER) {
            io_consume(session->io, io_input(session->io).len);
            return;
        }
        switch (session->mode) {
        case IMAP_MODE_COMMAND:
            more = !is_choked(session) && read_command(session);
            break;
        case IMAP_MODE_BUSY:
            more = false;
            break;
        case IMAP_MODE_LINE:
        case IMAP_MODE_LITERAL: {
            size_t taken = session->kind->input(session, io_input(session->io));

            /* The session may be gone: then nothing is consumed. */
            if (session->io == NULL)
                return;
            io_consume(session->io, taken);
            more = taken > 0;
            break;
        }
        }
    }
}

static void
session_on_drained(void *arg)
{
    struct imap_session *session = session_of(arg);

    if (session->state == IMAP_OVER) {
        imap_session_close(session, "");
        return;
    }
    if (session->choked && session->mode != IMAP_MODE_BUSY)
        io_resume(session->io);
    session->choked = false;
    imap_turn(session);
}

static void
greet(struct imap_session *session)
{
    buf_reset(&imap.out);
    buf_add_text(&imap.out, "* OK [CAPABILITY ");
    imap_run_capability(session, &imap.out);
    buf_addf(&imap.out, "] %.*s: held mail\r\n", (int)imap.conf->hostname.len,
             imap.conf->hostname.data);
    imap_session_send(session);
}

static void
session_on_tls(void *arg)
{
    struct imap_session *session = session_of(arg);
    bool is_new = !session->tls && session->command == NULL;

    if (session->state == IMAP_OVER)
        return;
    session->tls = true;
    stats_add(STAT_TLS_SESSIONS, 1);
    if (session->command != NULL) { /* STARTTLS */
        job_end(session);
        imap_session_mode(session, IMAP_MODE_COMMAND);
    }
    if (is_new)
        greet(session);
}

static void
session_on_end(void *arg, enum io_end end)
{
    struct imap_session *session = session_of(arg);

    switch (end) {
    case IO_EOF:
        imap_session_close(session, "closed by client");
        break;
    case IO_ERROR:
        imap_session_close(session, io_reason(session->io));
        break;
    case IO_TIMEOUT:
        if (session->state != IMAP_OVER)
            io_write(session->io, VIEW("* BYE timeout\r\n"));
        imap_session_close(session, "timeout");
        break;
    }
}

static const struct io_handlers session_handlers = {
    .on_input = session_on_input,
    .on_drained = session_on_drained,
    .on_tls = session_on_tls,
    .on_end = session_on_end,
};

/* --- news ----------------------------------------------------------------- */

void
imap_session_own(struct imap_session *session, uint64_t modseq)
{
    session->own_seqs[session->n_own_seqs++ % IMAP_OWN_SEQS] = modseq;
}

bool
imap_session_is_own(const struct imap_session *session, uint64_t modseq)
{
    for (size_t i = 0; i < IMAP_OWN_SEQS; i++)
        if (session->own_seqs[i] == modseq)
            return true;
    return false;
}

bool
imap_session_is_idling(const struct imap_session *session)
{
    return session->command != NULL && session->command->verb == IMAP_IDLE;
}

void
imap_session_news(struct imap_session *session)
{
    if (imap_session_is_idling(session))
        imap_session_wake(session);
}

/* --- the beginning -------------------------------------------------------- */

void
imap_session_new(int fd, const struct gate_guest *guest)
{
    struct imap_session *session = mem_alloc(sizeof(*session));

    session->magic = SESSION_MAGIC;
    session->is_loopback = guest->is_loopback;
    session->client = guest->client;
    session->since_ms = loop_now_ms();
    memcpy(session->address, guest->address, sizeof(session->address));
    LIST_INSERT_HEAD(&imap.sessions, session, link);
    session->io = io_new(fd, &session_handlers, session);
    io_wipe_input(session->io);
    set_timeout(session);
    if (strcmp(guest->service, "imaps") != 0)
        greet(session);
    else if (imap.tls == NULL || io_start_tls(session->io, imap.tls) != 0)
        imap_session_close(session, "there is no certificate");
}
