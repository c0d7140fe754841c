/* SPDX-License-Identifier: ISC */
/*
 * LIST with its extensions (RFC 9051 6.3.9, RFC 5258, RFC 5819, RFC 6154),
 * LSUB, STATUS (RFC 8438), SUBSCRIBE, NAMESPACE. Everything is subscribed.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "imap_view.h"
#include "mem.h"

/* Names in one step. */
#define NAMES_A_STEP 16

/* --- STATUS --------------------------------------------------------------- */

static void
put_number(struct buf *out, const char **blank, const char *word,
           uint64_t value)
{
    buf_addf(out, "%s%s %" PRIu64, *blank, word, value);
    *blank = " ";
}

/* "* STATUS name (...)". -1: the store failed. */
static int
put_status(const struct imap_session *session, struct view name,
           const struct imap_place *place, unsigned items, struct why *why)
{
    struct db_mailbox_status status;
    struct db_mailbox_facts facts;
    struct db_numbers numbers = {0};
    struct buf *out = &imap.out;
    const char *blank = "";
    bool with_size = (items & IMAP_STATUS_SIZE) != 0;
    int rc = imap_name_numbers(session, place, &numbers, why);

    if (rc >= 0)
        rc = db_mailbox_status(imap.db, session->user->number, &numbers,
                               place->box, with_size, &status, why);
    db_numbers_free(&numbers);
    if (rc < 0 || db_mailbox_facts(imap.db, &facts, why) < 0)
        return -1;
    buf_add_text(out, "* STATUS ");
    imap_name_put(session, name, out);
    buf_add_text(out, " (");
    if (items & IMAP_STATUS_MESSAGES)
        put_number(out, &blank, "MESSAGES", status.messages);
    if (items & IMAP_STATUS_UIDNEXT)
        put_number(out, &blank, "UIDNEXT", status.uidnext);
    if (items & IMAP_STATUS_UIDVALIDITY)
        put_number(out, &blank, "UIDVALIDITY", facts.uidvalidity);
    if (items & IMAP_STATUS_UNSEEN)
        put_number(out, &blank, "UNSEEN", status.unseen);
    if (items & IMAP_STATUS_DELETED)
        put_number(out, &blank, "DELETED", status.deleted);
    if (items & IMAP_STATUS_SIZE)
        put_number(out, &blank, "SIZE", status.size);
    if (items & IMAP_STATUS_RECENT)
        put_number(out, &blank, "RECENT", 0);
    if (items & IMAP_STATUS_HIGHESTMODSEQ)
        put_number(out, &blank, "HIGHESTMODSEQ", status.highest_modseq);
    if (items & IMAP_STATUS_APPENDLIMIT)
        buf_addf(out, "%sAPPENDLIMIT %" PRIu64, blank,
                 place->box == BOX_DRAFTS || place->box == BOX_SENT
                     ? imap.conf->message_size
                     : 0);
    buf_add_text(out, ")\r\n");
    return 0;
}

/* STATUS, and SUBSCRIBE, which asks whether the name is one. */
void
imap_run_status(struct imap_session *session)
{
    const struct imap_command *command = session->command;
    struct imap_place place;
    struct buf name = {0};
    struct why why;

    if (imap_name_find(session, command->first, &place) != 0 ||
        imap_name_decode(session, command->first, &name) != 0) {
        imap_session_finish(session, "NO",
                            "[NONEXISTENT] There is no such folder");
    } else if (command->verb == IMAP_STATUS &&
               put_status(session, buf_view(&name), &place,
                          command->status_items, &why) != 0) {
        imap_session_finishf(session, "NO", "[SERVERBUG] %s", why.text);
    } else {
        if (command->status_items & IMAP_STATUS_HIGHESTMODSEQ)
            session->enabled |= IMAP_CONDSTORE; /* RFC 7162 3.1 */
        imap_session_finish(session, "OK", "done");
    }
    buf_free(&name);
}

/* --- LIST ----------------------------------------------------------------- */

struct list_job {
    struct imap_names names;
    size_t at;           /* in names.text */
    struct buf patterns; /* reference and pattern, a NUL behind each */
};

static void
job_free(void *arg)
{
    struct list_job *job = arg;

    buf_free(&job->names.text);
    buf_free(&job->patterns);
    free(job);
}

static bool
matches_any(const struct list_job *job, struct view name)
{
    const char *at = job->patterns.data;
    const char *end = at + job->patterns.len;

    for (; at < end; at += strlen(at) + 1)
        if (imap_name_matches(view_of(at), name))
            return true;
    return false;
}

static void
put_attributes(const struct imap_command *command, unsigned attributes)
{
    static const struct {
        unsigned bit;
        const char *word;
    } words[] = {
        {IMAP_NAME_NOSELECT, " \\Noselect"},
        {IMAP_NAME_DRAFTS, " \\Drafts"},
        {IMAP_NAME_SENT, " \\Sent"},
        {IMAP_NAME_TRASH, " \\Trash"},
    };

    buf_add_text(&imap.out, attributes & IMAP_NAME_CHILDREN
                                ? "\\HasChildren"
                                : "\\HasNoChildren");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (attributes & words[i].bit)
            buf_add_text(&imap.out, words[i].word);
    if (command->list_options &
        (IMAP_LIST_SUBSCRIBED | IMAP_LIST_RETURN_SUBSCRIBED))
        buf_add_text(&imap.out, " \\Subscribed");
}

static int
list_name(struct imap_session *session, const struct list_job *job,
          struct view name, struct why *why)
{
    const struct imap_command *command = session->command;
    unsigned attributes = imap_name_attributes(session, name);
    struct imap_place place;

    if (!matches_any(job, name) ||
        ((command->list_options & IMAP_LIST_SPECIAL_USE) &&
         !(attributes & IMAP_NAME_SPECIAL)))
        return 0;
    buf_addf(&imap.out, "* %s (", imap_verb_name(command->verb));
    put_attributes(command, attributes);
    buf_add_text(&imap.out, ") \"/\" ");
    imap_name_put(session, name, &imap.out);
    buf_add_text(&imap.out, "\r\n");
    if (!(command->list_options & IMAP_LIST_RETURN_STATUS) ||
        (attributes & IMAP_NAME_NOSELECT))
        return 0;
    if (imap_name_find_utf8(session, name, &place) != 0)
        return 0;
    return put_status(session, name, &place, command->status_items, why);
}

static enum imap_step
list_step(struct imap_session *session)
{
    struct list_job *job = session->job;
    struct why why;

    for (int i = 0; i < NAMES_A_STEP && job->at < job->names.text.len; i++) {
        struct view name = view_of(job->names.text.data + job->at);

        job->at += name.len + 1;
        if (list_name(session, job, name, &why) != 0) {
            imap_session_finishf(session, "NO", "[SERVERBUG] %s", why.text);
            return IMAP_STEP_DONE;
        }
        if (session->command->list_options & IMAP_LIST_RETURN_STATUS)
            break; /* one mailbox a step */
    }
    if (job->at < job->names.text.len) {
        imap_session_send(session);
        return IMAP_STEP_MORE;
    }
    imap_session_finish(session, "OK", "that is all");
    return IMAP_STEP_DONE;
}

static const struct imap_job_kind list_kind = {list_step, job_free, NULL};

static void
add_pattern(struct imap_session *session, struct list_job *job,
            struct view reference, struct view pattern)
{
    struct buf text = {0};
    size_t before = job->patterns.len;

    buf_add_view(&text, reference);
    buf_add_view(&text, pattern);
    if (imap_name_decode(session, buf_view(&text), &job->patterns) != 0 ||
        memchr(job->patterns.data + before, '\0', job->patterns.len - before) !=
            NULL)
        job->patterns.len = before; /* matches nothing */
    else
        buf_add_byte(&job->patterns, '\0');
    buf_free(&text);
    /* INBOX in any case, as a name is. */
    if (job->patterns.len > before &&
        strcasecmp(job->patterns.data + before, "INBOX") == 0)
        memcpy(job->patterns.data + before, "INBOX", 5);
}

void
imap_run_list(struct imap_session *session)
{
    const struct imap_command *command = session->command;
    struct list_job *job;
    struct why why;

    /* "": what is between two levels (RFC 9051 6.3.9). */
    if (!(command->list_options & IMAP_LIST_EXTENDED) &&
        command->words[0].len == 0) {
        buf_addf(&imap.out, "* %s (\\Noselect) \"/\" \"\"\r\n",
                 imap_verb_name(command->verb));
        imap_session_finish(session, "OK", "done");
        return;
    }
    job = mem_alloc(sizeof(*job));
    if (imap_names_all(session, &job->names, &why) != 0) {
        job_free(job);
        imap_session_finishf(session, "NO", "[SERVERBUG] %s", why.text);
        return;
    }
    for (size_t i = 0; i < command->n_words; i++)
        add_pattern(session, job, command->first, command->words[i]);
    imap_session_begin(session, &list_kind, job);
}

void
imap_run_namespace(struct imap_session *session)
{
    buf_add_text(&imap.out, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    imap_session_finish(session, "OK", "done");
}
