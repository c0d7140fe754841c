/* SPDX-License-Identifier: ISC */
/*
 * LIST with its extensions (RFC 9051 6.3.9, RFC 5258, RFC 5819, RFC 6154),
 * LSUB, NAMESPACE. Everything is subscribed.
 *
 * Before: imap_run.c   After: imap_status.c
 */
#include <inttypes.h>
#include <stdlib.h>

#include "imap_status.h"
#include "mem.h"

/* Names in one step. */
#define NAMES_A_STEP 16

/* --- LIST ----------------------------------------------------------------- */

struct list_job {
    struct imap_names names;
    size_t at;           /* in names.text */
    struct buf patterns; /* reference and pattern, a NUL behind each */
    bool tells_status;   /* of the name told last */
    struct view name;
    struct imap_status status;
};

static void
job_free(void *arg)
{
    struct list_job *job = arg;

    buf_free(&job->names.text);
    buf_free(&job->patterns);
    imap_status_free(&job->status);
    free(job);
}

static bool
matches_any(const struct list_job *job, struct view name)
{
    struct view left = buf_view(&job->patterns);

    while (left.len > 0) {
        struct view pattern = view_of(left.data);

        if (imap_name_matches(pattern, name))
            return true;
        left = view_skip(left, pattern.len + 1);
    }
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

/* Below a level something is subscribed, as everything is (RFC 5258 4). */
static void
put_child_info(const struct imap_command *command, unsigned attributes)
{
    const unsigned both = IMAP_LIST_SUBSCRIBED | IMAP_LIST_RECURSIVEMATCH;

    if ((command->list_options & both) == both &&
        (attributes & IMAP_NAME_CHILDREN))
        buf_add_text(&imap.out, " (\"CHILDINFO\" (\"SUBSCRIBED\"))");
}

/* -1: the store failed. */
static int
list_name(struct imap_session *session, struct list_job *job, struct why *why)
{
    const struct imap_command *command = session->command;
    unsigned attributes = imap_name_attributes(session, job->name);
    struct imap_place place;

    if (!matches_any(job, job->name) ||
        ((command->list_options & IMAP_LIST_SPECIAL_USE) &&
         !(attributes & IMAP_NAME_SPECIAL)))
        return 0;
    buf_addf(&imap.out, "* %s (", imap_verb_name(command->verb));
    put_attributes(command, attributes);
    buf_add_text(&imap.out, ") \"/\" ");
    imap_name_put(session, job->name, &imap.out);
    put_child_info(command, attributes);
    buf_add_text(&imap.out, "\r\n");
    if (!(command->list_options & IMAP_LIST_RETURN_STATUS) ||
        (attributes & IMAP_NAME_NOSELECT) ||
        imap_name_find_utf8(session, job->name, &place) != 0)
        return 0;
    job->tells_status = true;
    return imap_status_begin(&job->status, session, &place,
                             command->status_items, why);
}

/* A step of the STATUS of the name told last. */
static int
tell_status(struct imap_session *session, struct list_job *job, struct why *why)
{
    int rc = imap_status_step(&job->status, session, why);

    if (rc <= 0)
        return rc;
    job->tells_status = false;
    return imap_status_put(&job->status, session, job->name, why);
}

static int
list_some(struct imap_session *session, struct list_job *job, struct why *why)
{
    for (int i = 0; i < NAMES_A_STEP && job->at < job->names.text.len; i++) {
        job->name = view_of(job->names.text.data + job->at);
        job->at += job->name.len + 1;
        if (list_name(session, job, why) != 0)
            return -1;
        if (job->tells_status)
            break;
    }
    return 0;
}

static enum imap_step
list_step(struct imap_session *session)
{
    struct list_job *job = session->job;
    struct why why;
    int rc = job->tells_status ? tell_status(session, job, &why)
                               : list_some(session, job, &why);

    if (rc != 0) {
        imap_session_finishf(session, "NO", "[SERVERBUG] %s", why.text);
        return IMAP_STEP_DONE;
    }
    if (job->tells_status || job->at < job->names.text.len) {
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
