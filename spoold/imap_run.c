/* SPDX-License-Identifier: ISC */
/*
 * Which command is done by what: the table, the check of states, and the
 * commands that are answered at once. A feature that is refused is a row as
 * well, so that a reader sees what this server does not do.
 *
 * Before: imap_session.c
 */
#include <stdlib.h>

#include "imap.h"
#include "imap_view.h"
#include "io.h"

/* --- what is offered ------------------------------------------------------ */

void
imap_run_capability(const struct imap_session *session, struct buf *out)
{
    bool safe = session->tls || session->is_loopback;

    buf_add_text(out, "IMAP4rev1");
    if (imap.conf->imap_rev2)
        buf_add_text(out, " IMAP4rev2");
    buf_add_text(out, " LITERAL+ SASL-IR ID ENABLE");
    if (session->state == IMAP_FRESH) {
        if (!session->tls && imap.tls != NULL)
            buf_add_text(out, " STARTTLS");
        buf_add_text(out, safe ? " AUTH=PLAIN AUTH=LOGIN" : " LOGINDISABLED");
        return;
    }
    buf_add_text(out, " IDLE UIDPLUS NAMESPACE UNSELECT CHILDREN SPECIAL-USE"
                      " LIST-EXTENDED LIST-STATUS ESEARCH SEARCHRES SORT"
                      " ESORT WITHIN CONDSTORE QRESYNC MOVE BINARY"
                      " STATUS=SIZE APPENDLIMIT UTF8=ACCEPT");
}

static void
run_capability(struct imap_session *session)
{
    buf_add_text(&imap.out, "* CAPABILITY ");
    imap_run_capability(session, &imap.out);
    buf_add_text(&imap.out, "\r\n");
    imap_session_finish(session, "OK", "that is all");
}

/* --- at once -------------------------------------------------------------- */

/* Also CHECK: the client asks whether there is news, so the store is asked;
 * NEWS may be on its way yet. */
static void
run_noop(struct imap_session *session)
{
    if (session->view != NULL)
        session->view->came = true;
    imap_session_finish(session, "OK", "done");
}

static void
run_logout(struct imap_session *session)
{
    buf_add_text(&imap.out, "* BYE see you\r\n");
    buf_add_view(&imap.out, session->command->tag);
    buf_add_text(&imap.out, " OK done\r\n");
    imap_session_send(session);
    imap_session_end(session, "logout");
}

static void
run_id(struct imap_session *session)
{
    buf_add_text(&imap.out,
                 "* ID (\"name\" \"spoold\" \"version\" \"" SPOOLD_VERSION
                 "\")\r\n");
    imap_session_finish(session, "OK", "pleased to meet you");
}

static void
run_starttls(struct imap_session *session)
{
    struct buf text = {0};

    if (session->tls || imap.tls == NULL) {
        imap_session_finish(session, "BAD",
                            session->tls ? "TLS is there already"
                                         : "there is no certificate");
        return;
    }
    buf_add_view(&text, session->command->tag);
    buf_add_text(&text, " OK begin TLS\r\n");
    io_write(session->io, buf_view(&text));
    buf_free(&text);
    if (io_start_tls(session->io, imap.tls) != 0)
        imap_session_close(session, "plaintext after STARTTLS");
}

static const struct {
    const char *word;
    unsigned bits;
} extensions[] = {
    {"CONDSTORE", IMAP_CONDSTORE},
    {"QRESYNC", IMAP_QRESYNC | IMAP_CONDSTORE},
    {"UTF8=ACCEPT", IMAP_UTF8},
    {"IMAP4rev2", IMAP_REV2 | IMAP_UTF8},
};

static void
run_enable(struct imap_session *session)
{
    const struct imap_command *command = session->command;

    buf_add_text(&imap.out, "* ENABLED");
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
        for (size_t k = 0; k < command->n_words; k++) {
            unsigned bits = extensions[i].bits;

            if (!view_equal_nocase(command->words[k],
                                   view_of(extensions[i].word)) ||
                ((bits & IMAP_REV2) && !imap.conf->imap_rev2) ||
                (session->enabled & bits) == bits)
                continue;
            session->enabled |= bits;
            buf_addf(&imap.out, " %s", extensions[i].word);
        }
    buf_add_text(&imap.out, "\r\n");
    imap_session_finish(session, "OK", "done");
}

/* --- what cannot be ------------------------------------------------------- */

static void
run_create(struct imap_session *session)
{
    imap_session_finish(session, "NO",
                        "[NOPERM] This server shows mail that is held for "
                        "you; folders cannot be added here");
}

static void
run_delete(struct imap_session *session)
{
    imap_session_finish(session, "NO",
                        "[NOPERM] The folders of this server cannot be "
                        "removed");
}

static void
run_rename(struct imap_session *session)
{
    imap_session_finish(session, "NO",
                        "[NOPERM] The folders of this server cannot be "
                        "renamed");
}

static void
run_unsubscribe(struct imap_session *session)
{
    imap_session_finish(session, "NO",
                        "[NOPERM] All folders of this server are always "
                        "subscribed");
}

/* --- IDLE ----------------------------------------------------------------- */

/* Woken by news. Numbers may change: nothing else is under way. */
static enum imap_step
idle_step(struct imap_session *session)
{
    if (session->view != NULL) {
        imap_view_tell(session, true, &imap.out);
        imap_session_send(session);
    }
    return IMAP_STEP_WAIT;
}

static size_t
idle_input(struct imap_session *session, struct view bytes)
{
    const char *lf = memchr(bytes.data, '\n', bytes.len);
    struct view line;

    if (lf == NULL && bytes.len < 64)
        return 0;
    line = (struct view){bytes.data,
                         lf != NULL ? (size_t)(lf - bytes.data) : bytes.len};
    if (lf == NULL || !view_equal_nocase(line, VIEW("DONE\r"))) {
        imap_session_bye(session, "IDLE ends with DONE");
        return 0;
    }
    imap_session_finish(session, "OK", "done");
    return line.len + 1;
}

static const struct imap_job_kind idle_kind = {idle_step, NULL, idle_input};

void
imap_run_idle(struct imap_session *session)
{
    buf_add_text(&imap.out, "+ waiting\r\n");
    imap_session_send(session);
    imap_session_begin(session, &idle_kind, NULL);
    imap_session_mode(session, IMAP_MODE_LINE);
}

/* --- the table ------------------------------------------------------------ */

static imap_run_fn *const handlers[IMAP_VERB_COUNT] = {
    [IMAP_CAPABILITY] = run_capability,
    [IMAP_NOOP] = run_noop,
    [IMAP_LOGOUT] = run_logout,
    [IMAP_ID] = run_id,
    [IMAP_STARTTLS] = run_starttls,
    [IMAP_AUTHENTICATE] = imap_run_authenticate,
    [IMAP_LOGIN] = imap_run_login,
    [IMAP_ENABLE] = run_enable,
    [IMAP_SELECT] = imap_run_select,
    [IMAP_EXAMINE] = imap_run_select,
    [IMAP_CREATE] = run_create,
    [IMAP_DELETE] = run_delete,
    [IMAP_RENAME] = run_rename,
    [IMAP_SUBSCRIBE] = imap_run_subscribe,
    [IMAP_UNSUBSCRIBE] = run_unsubscribe,
    [IMAP_LIST] = imap_run_list,
    [IMAP_LSUB] = imap_run_list,
    [IMAP_NAMESPACE] = imap_run_namespace,
    [IMAP_STATUS] = imap_run_status,
    [IMAP_APPEND] = imap_run_append,
    [IMAP_IDLE] = imap_run_idle,
    [IMAP_CHECK] = run_noop,
    [IMAP_CLOSE] = imap_run_close,
    [IMAP_UNSELECT] = imap_run_unselect,
    [IMAP_EXPUNGE] = imap_run_expunge,
    [IMAP_UID_EXPUNGE] = imap_run_expunge,
    [IMAP_SEARCH] = imap_run_search,
    [IMAP_SORT] = imap_run_search,
    [IMAP_FETCH] = imap_run_fetch,
    [IMAP_STORE] = imap_run_store,
    [IMAP_COPY] = imap_run_copy,
    [IMAP_MOVE] = imap_run_move,
};

static enum imap_where
where(const struct imap_session *session)
{
    switch (session->state) {
    case IMAP_AUTH:
        return IMAP_IN_ONLY_AUTH;
    case IMAP_SELECTED:
        return IMAP_IN_SELECTED;
    default:
        return IMAP_IN_FRESH;
    }
}

void
imap_run(struct imap_session *session)
{
    enum imap_verb verb = session->command->verb;

    buf_reset(&imap.out);
    if ((imap_verb_where(verb) & where(session)) == 0) {
        imap_session_finishf(
            session, "BAD", "%s is not possible %s", imap_verb_name(verb),
            session->state == IMAP_FRESH  ? "before you sign in"
            : session->state == IMAP_AUTH ? "before SELECT"
                                          : "after you signed in");
        return;
    }
    if (session->state != IMAP_FRESH && imap.db == NULL) {
        imap_session_finish(session, "NO",
                            "[UNAVAILABLE] The store is starting, try again");
        return;
    }
    handlers[verb](session);
}
