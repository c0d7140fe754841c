/* SPDX-License-Identifier: ISC */
/*
 * SEARCH and SORT (RFC 9051 6.4.4, RFC 5256; RETURN: RFC 4731, RFC 5182, RFC
 * 5267; MODSEQ: RFC 7162). Each message is looked at only as deep as it takes
 * to know whether it fits: its mark, its row, its envelope, its content.
 *
 * Before: imap_run.c   After: imap_sort.c
 */
#include "imap_search.h"

#include <inttypes.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "mime_search.h"
#include "mime_structure.h"

#define DAY_S 86400

/* How much of a message is known: each depth has what is above it. */
enum depth {
    DEPTH_MARK,     /* flags, UID, number, mod-sequence */
    DEPTH_ROW,      /* size, time of arrival */
    DEPTH_ENVELOPE, /* when it was sent; texts if the envelope decides all */
    DEPTH_CONTENT,  /* everything */
};

enum verdict { NO, YES, UNKNOWN };

struct search_job {
    struct imap_rows rows;
    size_t at;
    const struct db_mail *mail;
    enum depth depth;
    bool is_open;   /* a message is under way */
    bool has_texts; /* they are decided */
    uint64_t piece; /* the next one, in DEPTH_CONTENT */
    int64_t now_s;
    struct imap_content content;
    struct mime_search *texts; /* NULL: the program has none */
    uint16_t *text_of;         /* by key: its number there */
    size_t damaged;
    /* What was found: */
    struct imap_set found; /* numbers or UIDs */
    struct imap_set uids;  /* for SAVE */
    size_t count;
    uint32_t first, last;
    uint64_t modseq; /* the highest */
    struct imap_sort sort;
};

static void
job_free(void *arg)
{
    struct search_job *job = arg;

    imap_rows_free(&job->rows);
    imap_content_free(&job->content);
    mime_search_free(&job->texts);
    free(job->text_of);
    imap_set_free(&job->found);
    imap_set_free(&job->uids);
    imap_sort_free(&job->sort);
    free(job);
}

/* --- one message ---------------------------------------------------------- */

static enum verdict
verdict_of(bool yes)
{
    return yes ? YES : NO;
}

static int64_t
day_of(int64_t seconds)
{
    return seconds >= 0 ? seconds / DAY_S : (seconds - DAY_S + 1) / DAY_S;
}

/* Before, on or since a day. */
static enum verdict
compare_day(enum imap_key_kind kind, int64_t day, int64_t than)
{
    switch (kind) {
    case IMAP_KEY_BEFORE:
    case IMAP_KEY_SENTBEFORE:
        return verdict_of(day < than);
    case IMAP_KEY_ON:
    case IMAP_KEY_SENTON:
        return verdict_of(day == than);
    default:
        return verdict_of(day >= than);
    }
}

static enum verdict
judge_row(const struct search_job *job, const struct imap_key *key)
{
    int64_t arrived_s = (int64_t)(job->content.arrived_ms / 1000);

    if (job->depth < DEPTH_ROW)
        return UNKNOWN;
    switch (key->kind) {
    case IMAP_KEY_LARGER:
        return verdict_of(job->content.size > key->number);
    case IMAP_KEY_SMALLER:
        return verdict_of(job->content.size < key->number);
    case IMAP_KEY_OLDER:
        return verdict_of(job->now_s - arrived_s >= (int64_t)key->number);
    case IMAP_KEY_YOUNGER:
        return verdict_of(job->now_s - arrived_s <= (int64_t)key->number);
    default:
        return compare_day(key->kind, day_of(arrived_s), key->day);
    }
}

/* The date as it was written, in its own time zone. */
static enum verdict
judge_sent(const struct search_job *job, const struct imap_key *key)
{
    struct mime_sent sent;

    if (job->depth < DEPTH_ENVELOPE)
        return UNKNOWN;
    if (mime_structure_sent(buf_view(&job->content.structure), &sent) != 0 ||
        !sent.known)
        return NO;
    return compare_day(key->kind, day_of(sent.utc_s + sent.zone_minutes * 60),
                       key->day);
}

static enum verdict
judge_mark(const struct imap_session *session, const struct search_job *job,
           const struct imap_key *key)
{
    switch (key->kind) {
    case IMAP_KEY_ALL:
        return YES;
    case IMAP_KEY_NONE:
        return NO;
    case IMAP_KEY_FLAG:
        return verdict_of((job->mail->flags & key->number) != 0);
    case IMAP_KEY_KEYWORD:
        return verdict_of(mark_has_keyword(
            imap_rows_keywords(&job->rows, job->mail), key->text));
    case IMAP_KEY_SET:
        return verdict_of(imap_set_has(&key->set, (uint32_t)job->at + 1));
    case IMAP_KEY_UID:
        return verdict_of(
            imap_set_has(&key->set, session->view->uids[job->at]));
    default:
        return verdict_of(job->mail->modseq >= key->number);
    }
}

static enum verdict judge(const struct imap_session *session,
                          const struct search_job *job, uint32_t at);

/* The first child that has the verdict for both decides. */
static enum verdict
judge_children(const struct imap_session *session, const struct search_job *job,
               const struct imap_key *key, enum verdict decides)
{
    enum verdict verdict = decides == NO ? YES : NO;

    for (uint32_t at = key->first; at != IMAP_KEY_END;
         at = session->command->search.keys[at].next) {
        enum verdict child = judge(session, job, at);

        if (child == decides)
            return decides;
        if (child == UNKNOWN)
            verdict = UNKNOWN;
    }
    return verdict;
}

/* Nesting is bounded by IMAP_NESTING_MAX. */
static enum verdict
judge(const struct imap_session *session, const struct search_job *job,
      uint32_t at)
{
    const struct imap_key *key = &session->command->search.keys[at];
    enum verdict child;

    switch (key->kind) {
    case IMAP_KEY_AND:
        return judge_children(session, job, key, NO);
    case IMAP_KEY_OR:
        return judge_children(session, job, key, YES);
    case IMAP_KEY_NOT:
        child = judge(session, job, key->first);
        return child == UNKNOWN ? UNKNOWN : verdict_of(child == NO);
    case IMAP_KEY_LARGER:
    case IMAP_KEY_SMALLER:
    case IMAP_KEY_OLDER:
    case IMAP_KEY_YOUNGER:
    case IMAP_KEY_BEFORE:
    case IMAP_KEY_ON:
    case IMAP_KEY_SINCE:
        return judge_row(job, key);
    case IMAP_KEY_SENTBEFORE:
    case IMAP_KEY_SENTON:
    case IMAP_KEY_SENTSINCE:
        return judge_sent(job, key);
    case IMAP_KEY_FIELD:
    case IMAP_KEY_BODY:
    case IMAP_KEY_TEXT:
        return job->has_texts
                   ? verdict_of(mime_search_found(job->texts, job->text_of[at]))
                   : UNKNOWN;
    default:
        return judge_mark(session, job, key);
    }
}

/* --- results -------------------------------------------------------------- */

/* -1: a SORT found too much. */
static int
keep(struct imap_session *session, struct search_job *job)
{
    const struct imap_command *command = session->command;
    uint32_t uid = session->view->uids[job->at];
    uint32_t number = command->uid ? uid : (uint32_t)job->at + 1;

    if (command->verb == IMAP_SORT) {
        if (job->sort.count == IMAP_SORT_MAX)
            return -1;
        if (imap_sort_add(&job->sort, command, (uint32_t)job->at,
                          &job->content) != 0)
            job->damaged++;
    } else {
        imap_set_add(&job->found, number);
    }
    if (command->search.returns & IMAP_RETURN_SAVE)
        imap_set_add(&job->uids, uid);
    if (job->count++ == 0)
        job->first = number;
    job->last = number;
    if (job->mail->modseq > job->modseq)
        job->modseq = job->mail->modseq;
    return 0;
}

/* RFC 5182 2.1: with MIN or MAX alone, these are what is saved. */
static void
save(struct imap_session *session, struct search_job *job)
{
    unsigned returns = session->command->search.returns;

    if (!(returns & IMAP_RETURN_SAVE))
        return;
    imap_set_free(&session->saved);
    if ((returns & (IMAP_RETURN_MIN | IMAP_RETURN_MAX)) != 0 &&
        (returns & (IMAP_RETURN_ALL | IMAP_RETURN_COUNT)) == 0) {
        size_t n = job->uids.count;

        if (n > 0 && (returns & IMAP_RETURN_MIN))
            imap_set_add(&session->saved, job->uids.ranges[0].first);
        if (n > 0 && (returns & IMAP_RETURN_MAX) &&
            (session->saved.count == 0 ||
             session->saved.ranges[0].last != job->uids.ranges[n - 1].last))
            imap_set_add(&session->saved, job->uids.ranges[n - 1].last);
        return;
    }
    session->saved = job->uids;
    job->uids = (struct imap_set){0};
}

static void
put_number(struct imap_session *session, uint32_t place, struct buf *out)
{
    buf_addf(out, "%" PRIu32,
             session->command->uid ? session->view->uids[place] : place + 1);
}

/* "1,3,2" in the order of SORT. */
static void
put_sorted_set(struct imap_session *session, const struct search_job *job,
               struct buf *out)
{
    for (size_t i = 0; i < job->sort.count; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        put_number(session, job->sort.items[i].place, out);
    }
}

static void
put_esearch(struct imap_session *session, const struct search_job *job)
{
    const struct imap_command *command = session->command;
    bool sorts = command->verb == IMAP_SORT;
    unsigned returns = command->search.returns;
    struct buf *out = &imap.out;
    uint32_t first = job->first, last = job->last;

    if (sorts && job->count > 0) {
        uint32_t a = job->sort.items[0].place;
        uint32_t b = job->sort.items[job->sort.count - 1].place;

        first = command->uid ? session->view->uids[a] : a + 1;
        last = command->uid ? session->view->uids[b] : b + 1;
    }
    if ((returns & ~(unsigned)(IMAP_RETURN_GIVEN | IMAP_RETURN_SAVE)) == 0 &&
        (returns & IMAP_RETURN_SAVE))
        return; /* SAVE alone answers nothing */
    buf_add_text(out, "* ESEARCH (TAG \"");
    buf_add_view(out, command->tag);
    buf_add_text(out, command->uid ? "\") UID" : "\")");
    if ((returns & IMAP_RETURN_MIN) && job->count > 0)
        buf_addf(out, " MIN %" PRIu32, first);
    if ((returns & IMAP_RETURN_MAX) && job->count > 0)
        buf_addf(out, " MAX %" PRIu32, last);
    if (returns & IMAP_RETURN_COUNT)
        buf_addf(out, " COUNT %zu", job->count);
    if ((returns & IMAP_RETURN_ALL) && job->count > 0) {
        buf_add_text(out, " ALL ");
        if (sorts)
            put_sorted_set(session, job, out);
        else
            imap_set_print(&job->found, out);
    }
    if (command->search.has_modseq && job->count > 0)
        buf_addf(out, " MODSEQ %" PRIu64, job->modseq);
    buf_add_text(out, "\r\n");
}

static void
put_plain(struct imap_session *session, const struct search_job *job)
{
    const struct imap_command *command = session->command;
    struct buf *out = &imap.out;

    buf_addf(out, "* %s", imap_verb_name(command->verb));
    for (size_t i = 0; i < job->sort.count; i++) {
        buf_add_byte(out, ' ');
        put_number(session, job->sort.items[i].place, out);
    }
    for (size_t i = 0; i < job->found.count; i++)
        for (uint64_t n = job->found.ranges[i].first;
             n <= job->found.ranges[i].last; n++)
            buf_addf(out, " %" PRIu64, n);
    if (command->search.has_modseq && job->count > 0)
        buf_addf(out, " (MODSEQ %" PRIu64 ")", job->modseq);
    buf_add_text(out, "\r\n");
}

static enum imap_step
search_done(struct imap_session *session, struct search_job *job)
{
    struct imap_command *command = session->command;

    imap_sort_order(&job->sort);
    save(session, job);
    if (!(command->search.returns & IMAP_RETURN_GIVEN) &&
        command->verb == IMAP_SEARCH && (session->enabled & IMAP_REV2))
        command->search.returns = IMAP_RETURN_GIVEN | IMAP_RETURN_ALL;
    if (command->search.returns & IMAP_RETURN_GIVEN)
        put_esearch(session, job);
    else
        put_plain(session, job);
    if (job->damaged > 0)
        imap_session_finishf(session, "NO",
                             "[SERVERBUG] %zu messages are damaged",
                             job->damaged);
    else
        imap_session_finish(session, "OK", "done");
    return IMAP_STEP_DONE;
}

/* --- deeper --------------------------------------------------------------- */

/* The next message and its mark. False: there is none. */
static bool
next_message(struct imap_session *session, struct search_job *job)
{
    const struct imap_view *view = session->view;
    struct why why;

    for (int i = 0; i < IMAP_ROWS_MAX && job->at < view->count; i++) {
        job->mail =
            imap_rows_get(&job->rows, session, view->uids[job->at], &why);
        if (job->mail != NULL) {
            job->is_open = true;
            job->has_texts = job->texts == NULL;
            job->depth = DEPTH_MARK;
            return true;
        }
        job->at++; /* it is gone */
    }
    return job->at < view->count;
}

/* What it takes to know more of it. 1: more is known; 0: call again; -1: it
 * is gone or damaged. */
static int
go_deeper(struct imap_session *session, struct search_job *job, struct why *why)
{
    struct view bytes;
    int rc;

    switch (job->depth) {
    case DEPTH_MARK:
        rc = imap_content_open(&job->content, session, job->mail, false, why);
        job->depth = DEPTH_ROW;
        return rc == 1 ? 1 : -1;
    case DEPTH_ROW:
        rc = imap_content_structure(&job->content, why);
        if (rc <= 0)
            return rc;
        job->depth = DEPTH_ENVELOPE;
        job->piece = 0;
        if (job->texts == NULL)
            return 1;
        rc = mime_search_begin(job->texts, buf_view(&job->content.structure));
        job->has_texts = rc == 1;
        return rc < 0 ? -1 : 1;
    case DEPTH_ENVELOPE:
        if (job->piece < job->content.pieces) {
            if (imap_content_piece(&job->content, job->piece++, &bytes, why) !=
                0)
                return -1;
            if (mime_search_feed(job->texts, bytes) &&
                job->piece < job->content.pieces)
                return 0;
        }
        mime_search_end(job->texts);
        job->has_texts = true;
        job->depth = DEPTH_CONTENT;
        return 1;
    case DEPTH_CONTENT:
        break;
    }
    return -1;
}

static enum depth
depth_for_sort(const struct imap_command *command)
{
    if (command->verb != IMAP_SORT)
        return DEPTH_MARK;
    return imap_sort_needs_structure(command) ? DEPTH_ENVELOPE
           : imap_sort_needs_row(command)     ? DEPTH_ROW
                                              : DEPTH_MARK;
}

static enum imap_step
search_step(struct imap_session *session)
{
    struct search_job *job = session->job;
    struct why why = {0};
    enum verdict verdict;
    int rc = 1;

    if (!job->is_open) {
        if (!next_message(session, job))
            return search_done(session, job);
        return IMAP_STEP_MORE;
    }
    verdict = judge(session, job, 0);
    if (verdict == UNKNOWN ||
        (verdict == YES && job->depth < depth_for_sort(session->command))) {
        rc = go_deeper(session, job, &why);
        if (rc >= 0)
            return IMAP_STEP_MORE;
        if (why.text[0] != '\0') {
            log_warn("message searched by IMAP is damaged: %s", why.text);
            job->damaged++;
        }
    } else if (verdict == YES && keep(session, job) != 0) {
        imap_session_finishf(session, "NO",
                             "[LIMIT] More than %d messages to sort",
                             IMAP_SORT_MAX);
        return IMAP_STEP_DONE;
    }
    job->is_open = false;
    job->at++;
    return IMAP_STEP_MORE;
}

static const struct imap_job_kind search_kind = {search_step, job_free, NULL};

/* --- the beginning -------------------------------------------------------- */

/* The texts sought, all at once. -1: there are too many, or one is too long. */
static int
take_texts(const struct imap_search *search, struct search_job *job,
           struct why *why)
{
    struct mime_search_key keys[MIME_SEARCH_KEYS_MAX];
    size_t n = 0;

    job->text_of = mem_alloc(search->n_keys * sizeof(*job->text_of));
    for (size_t i = 0; i < search->n_keys; i++) {
        const struct imap_key *key = &search->keys[i];

        if (key->kind != IMAP_KEY_FIELD && key->kind != IMAP_KEY_BODY &&
            key->kind != IMAP_KEY_TEXT)
            continue;
        if (n == MIME_SEARCH_KEYS_MAX)
            return why_text(why, "more than %d texts", MIME_SEARCH_KEYS_MAX);
        job->text_of[i] = (uint16_t)n;
        keys[n++] = (struct mime_search_key){
            key->kind == IMAP_KEY_FIELD  ? MIME_SEARCH_FIELD
            : key->kind == IMAP_KEY_BODY ? MIME_SEARCH_BODY
                                         : MIME_SEARCH_TEXT,
            key->field, key->text};
    }
    return n == 0 ? 0 : mime_search_new(keys, n, &job->texts, why);
}

void
imap_run_search(struct imap_session *session)
{
    struct imap_search *search = &session->command->search;
    struct search_job *job;
    struct why why;

    /* RFC 6855 3: all strings are in UTF-8 already. */
    if (session->command->has_charset && (session->enabled & IMAP_UTF8) &&
        !(session->enabled & IMAP_REV2)) {
        imap_session_finish(session, "BAD",
                            "CHARSET is not possible after ENABLE UTF8=ACCEPT");
        return;
    }
    job = mem_alloc(sizeof(*job));
    job->now_s = clock_wall_ms() / 1000;
    if (take_texts(search, job, &why) != 0) {
        job_free(job);
        imap_session_finishf(session, "NO", "[LIMIT] %s", why.text);
        return;
    }
    /* A number that is not there matches nothing. */
    for (size_t i = 0; i < search->n_keys; i++)
        if (search->keys[i].kind == IMAP_KEY_SET ||
            search->keys[i].kind == IMAP_KEY_UID)
            imap_view_resolve(session, &search->keys[i].set,
                              search->keys[i].kind == IMAP_KEY_UID, &why);
    if (search->has_modseq)
        session->enabled |= IMAP_CONDSTORE;
    imap_session_begin(session, &search_kind, job);
}
