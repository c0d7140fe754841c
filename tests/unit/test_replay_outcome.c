/* SPDX-License-Identifier: ISC */
/* What a target's words mean, and the notice to the sender. */
#include "replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "body.h"
#include "dsn_param.h"
#include "event.h"
#include "mem.h"
#include "msgid.h"

#define NOW_MS        1700000000000u
#define RETRY_MIN     60000u
#define RETRY_MAX     3600000u
#define UNKNOWN_RETRY 7200000u
#define HOLD_MS       86400000u

static struct conf_target targets[] = {
    {.name = {"office", 6}},
    {.name = {"out", 3}},
};
static struct conf_domain domains[] = {
    {.name = {"example.com", 11},
     .target = {"office", 6},
     .return_target = {"out", 3},
     .hold_for_ms = HOLD_MS},
    {.name = {"kept.example", 12},
     .target = {"office", 6},
     .expire = CONF_EXPIRE_KEEP,
     .hold_for_ms = HOLD_MS},
    {.name = {"lost.example", 12},
     .target = {"nowhere", 7},
     .hold_for_ms = HOLD_MS},
    {.name = {"plain.example", 13},
     .target = {"office", 6},
     .hold_for_ms = HOLD_MS},
    {.name = {"quiet.example", 13},
     .target = {"office", 6},
     .returns = CONF_RETURN_NEVER,
     .hold_for_ms = HOLD_MS},
};
static const struct conf conf = {
    .hostname = {"mx2.example.com", 15},
    .targets = {targets, 2},
    .domains = {domains, 5},
    .compression = 3,
};
static uint64_t seed = 1;
static struct msgid_source ids = {.writer = 2};

static struct replay_rules
rules(uint64_t reach_ms)
{
    return (struct replay_rules){
        .conf = &conf,
        .now_ms = NOW_MS,
        .reach_ms = reach_ms,
        .retry_min_ms = RETRY_MIN,
        .retry_max_ms = RETRY_MAX,
        .unknown_retry_ms = UNKNOWN_RETRY,
        .random = &seed,
        .ids = &ids,
    };
}

/* --- a job made by hand -------------------------------------------------- */

static struct replay_job *
job_new(const char *sender)
{
    struct replay_job *job = mem_alloc(sizeof(*job));

    job->key.id = UINT64_C(0x123456789abcdef);
    job->message.message = (struct message){
        .arrived_ms = NOW_MS - 5000,
        .origin = ORIGIN_SMTP,
        .sender = view_of(sender),
        .message_id = VIEW("<1@example.org>"),
    };
    job->tries = mem_alloc(8 * sizeof(*job->tries));
    job->remote = mem_copy_text("mail.example.com");
    return job;
}

static struct replay_try *
job_try(struct replay_job *job, const char *recipient, const char *target)
{
    struct delivery *row = mem_alloc(sizeof(*row));
    struct replay_try *attempt = &job->tries[job->n_tries];

    *row = (struct delivery){.recipient = view_of(recipient),
                             .target = view_of(target),
                             .state = DELIVERY_READY,
                             .alarmed_ms = NOW_MS - HOLD_MS};
    *attempt = (struct replay_try){.n = job->n_tries++, .row = row};
    return attempt;
}

static void
say(struct replay_try *attempt, enum replay_said said, uint64_t code,
    const char *reply)
{
    attempt->said = said;
    attempt->code = code;
    attempt->reply = mem_copy_text(reply);
}

static void
job_free(struct replay_job *job)
{
    for (size_t i = 0; i < job->n_tries; i++) {
        const struct delivery *row = job->tries[i].row;

        free(job->tries[i].reply);
        free((void *)(uintptr_t)row);
    }
    free(job->tries);
    free(job->results);
    free(job->remote);
    replay_notice_clear(&job->notice);
    free(job);
}

/* --- verdicts ------------------------------------------------------------ */

static void
test_verdicts(void **state)
{
    static const struct {
        const char *name;
        enum replay_said said;
        bool at_rcpt;
        uint64_t code;
        uint64_t reach_ms;
        const char *sender;
        uint64_t want;
        bool dsn;
    } rows[] = {
        {"taken", SAID_REPLY, false, 250, 0, "a@example.org",
         DELIVERY_DELIVERED, false},
        {"taken late", SAID_REPLY, false, 250, HOLD_MS * 2, "a@example.org",
         DELIVERY_DELIVERED, false},
        {"later", SAID_REPLY, false, 451, 0, "a@example.org", DELIVERY_LATER,
         false},
        {"later at RCPT", SAID_REPLY, true, 450, 0, "a@example.org",
         DELIVERY_LATER, false},
        {"closing", SAID_REPLY, false, 421, 0, "a@example.org", DELIVERY_LATER,
         false},
        {"too many, alone", SAID_REPLY, true, 452, 0, "a@example.org",
         DELIVERY_LATER, false},
        {"refused", SAID_REPLY, false, 554, 0, "a@example.org",
         DELIVERY_RETURNED, true},
        {"refused at RCPT", SAID_REPLY, true, 550, 0, "a@example.org",
         DELIVERY_RETURNED, true},
        {"refused, null sender", SAID_REPLY, true, 550, 0, "", DELIVERY_DROPPED,
         false},
        {"not sendable", SAID_US, false, 552, 0, "a@example.org",
         DELIVERY_RETURNED, true},
        {"not sendable, null sender", SAID_US, false, 552, 0, "",
         DELIVERY_DROPPED, false},
        {"broken", SAID_BROKEN, false, 0, 0, "a@example.org", DELIVERY_LATER,
         false},
        {"just in time", SAID_REPLY, false, 451, HOLD_MS, "a@example.org",
         DELIVERY_LATER, false},
        {"over", SAID_REPLY, false, 451, HOLD_MS + 1, "a@example.org",
         DELIVERY_EXPIRED, true},
        {"over, broken", SAID_BROKEN, false, 0, HOLD_MS + 1, "a@example.org",
         DELIVERY_EXPIRED, true},
        {"over, null sender", SAID_REPLY, false, 451, HOLD_MS + 1, "",
         DELIVERY_DROPPED, false},
        {"lost reply", SAID_UNKNOWN, false, 0, 0, "a@example.org",
         DELIVERY_UNKNOWN, false},
        {"lost reply, null sender", SAID_UNKNOWN, false, 0, 0, "",
         DELIVERY_UNKNOWN, false},
        {"over, lost reply", SAID_UNKNOWN, false, 0, HOLD_MS + 1,
         "a@example.org", DELIVERY_EXPIRED, true},
        {"nothing said", SAID_NOTHING, false, 0, HOLD_MS * 2, "a@example.org",
         DELIVERY_READY, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct replay_rules r = rules(rows[i].reach_ms);
        struct replay_job *job = job_new(rows[i].sender);
        struct replay_try *attempt = job_try(job, "bob@example.com", "office");
        bool dsn;

        say(attempt, rows[i].said, rows[i].code, "words");
        attempt->at_rcpt = rows[i].at_rcpt;
        dsn = replay_outcome_judge(job, &r);
        if (attempt->state != rows[i].want || dsn != rows[i].dsn)
            fail_msg("%s: %s, dsn %d", rows[i].name,
                     delivery_state_name(attempt->state), dsn);
        if (attempt->state == DELIVERY_LATER)
            assert_in_range(attempt->next_ms, NOW_MS + RETRY_MIN,
                            NOW_MS + RETRY_MIN * 2);
        if (attempt->state == DELIVERY_UNKNOWN)
            assert_in_range(attempt->next_ms, NOW_MS + UNKNOWN_RETRY,
                            NOW_MS + UNKNOWN_RETRY * 5 / 4);
        job_free(job);
    }
}

/* What the target's guard keeps back: nothing ends, and it is soon again. */
static void
test_guarded(void **state)
{
    static const struct {
        enum replay_said said;
        uint64_t code;
        uint64_t want;
    } rows[] = {
        {SAID_REPLY, 550, DELIVERY_LATER},
        {SAID_US, 550, DELIVERY_LATER},
        {SAID_REPLY, 451, DELIVERY_LATER},
        {SAID_BROKEN, 0, DELIVERY_LATER},
        {SAID_UNKNOWN, 0, DELIVERY_UNKNOWN},
        {SAID_REPLY, 250, DELIVERY_DELIVERED},
    };
    struct replay_rules r = rules(HOLD_MS * 2);

    (void)state;
    r.guarded = true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct replay_job *job = job_new("a@example.org");
        struct replay_try *attempt = job_try(job, "bob@example.com", "office");

        ((struct delivery *)(uintptr_t)attempt->row)->attempts = 40;
        say(attempt, rows[i].said, rows[i].code, "words");
        assert_false(replay_outcome_judge(job, &r));
        assert_int_equal(attempt->state, rows[i].want);
        if (rows[i].said == SAID_REPLY && rows[i].code == 550)
            assert_in_range(attempt->next_ms, NOW_MS + RETRY_MIN,
                            NOW_MS + RETRY_MIN * 2);
        job_free(job);
    }
}

/* The last tenth of hold-for is told of, once; and nothing expires before a
 * tenth has gone by since then, nor ever where it is to be kept. */
static void
test_alarm(void **state)
{
    static const struct {
        const char *name;
        const char *to;
        uint64_t reach_ms;
        uint64_t alarmed_ms; /* before now; 0: never */
        uint64_t want;
        bool alarmed;
    } rows[] = {
        {"far", "a@example.com", HOLD_MS / 10 * 9, 0, DELIVERY_LATER, false},
        {"near", "a@example.com", HOLD_MS / 10 * 9 + 1, 0, DELIVERY_LATER,
         true},
        {"told", "a@example.com", HOLD_MS, 1, DELIVERY_LATER, false},
        {"over, untold", "a@example.com", HOLD_MS * 3, 0, DELIVERY_LATER, true},
        {"over, just told", "a@example.com", HOLD_MS * 3, HOLD_MS / 10 - 1,
         DELIVERY_LATER, false},
        {"over", "a@example.com", HOLD_MS + 1, HOLD_MS / 10, DELIVERY_EXPIRED,
         false},
        {"kept, near", "a@kept.example", HOLD_MS, 0, DELIVERY_LATER, true},
        {"kept, over", "a@kept.example", HOLD_MS * 9, HOLD_MS, DELIVERY_LATER,
         false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct replay_rules r = rules(rows[i].reach_ms);
        struct replay_job *job = job_new("a@example.org");
        struct replay_try *attempt = job_try(job, rows[i].to, "office");
        uint64_t alarmed_ms =
            rows[i].alarmed_ms > 0 ? NOW_MS - rows[i].alarmed_ms : 0;

        ((struct delivery *)(uintptr_t)attempt->row)->alarmed_ms = alarmed_ms;
        say(attempt, SAID_REPLY, 451, "words");
        replay_outcome_judge(job, &r);
        replay_outcome_results(job);
        if (attempt->state != rows[i].want ||
            attempt->alarmed != rows[i].alarmed ||
            job->results[0].alarmed != rows[i].alarmed)
            fail_msg("%s: %s", rows[i].name,
                     delivery_state_name(attempt->state));
        job_free(job);
    }
}

/* The reachable time before the delivery began does not count. */
static void
test_reach_is_a_difference(void **state)
{
    struct replay_rules r = rules(HOLD_MS * 10);
    struct replay_job *job = job_new("a@example.org");
    struct replay_try *attempt = job_try(job, "bob@example.com", "office");
    struct delivery row = *attempt->row;
    const struct delivery *made = attempt->row;

    (void)state;
    say(attempt, SAID_REPLY, 451, "words");
    row.reach_ms = HOLD_MS * 9;
    attempt->row = &row;
    replay_outcome_judge(job, &r);
    assert_int_equal(attempt->state, DELIVERY_LATER);
    row.reach_ms = HOLD_MS * 9 - 1;
    replay_outcome_judge(job, &r);
    assert_int_equal(attempt->state, DELIVERY_EXPIRED);
    /* A sum that went back (a lost row) expires nothing. */
    row.reach_ms = HOLD_MS * 11;
    replay_outcome_judge(job, &r);
    assert_int_equal(attempt->state, DELIVERY_LATER);
    attempt->row = made;
    job_free(job);
}

static void
test_back_off_grows(void **state)
{
    struct replay_rules r = rules(0);
    struct replay_job *job = job_new("a@example.org");
    struct replay_try *attempt = job_try(job, "bob@example.com", "office");
    struct delivery row = *attempt->row;
    const struct delivery *made = attempt->row;

    (void)state;
    say(attempt, SAID_REPLY, 451, "words");
    attempt->row = &row;
    for (row.attempts = 0; row.attempts < 100; row.attempts++) {
        uint64_t top =
            row.attempts < 5 ? UINT64_C(120000) << row.attempts : RETRY_MAX;

        replay_outcome_judge(job, &r);
        assert_in_range(attempt->next_ms, NOW_MS + top / 2, NOW_MS + top);
    }
    attempt->row = made;
    job_free(job);
}

/* "Too many recipients" for some of those that share a transaction. */
static void
test_too_many_recipients(void **state)
{
    struct replay_rules r = rules(0);
    struct replay_job *job = job_new("a@example.org");

    (void)state;
    say(job_try(job, "a@example.com", "office"), SAID_REPLY, 250, "2.0.0 Ok");
    say(job_try(job, "b@example.com", "office"), SAID_REPLY, 452, "Too many");
    job->tries[1].at_rcpt = true;
    say(job_try(job, "c@example.com", "office"), SAID_REPLY, 452,
        "4.2.2 Mailbox full");
    job->tries[2].at_rcpt = true;
    say(job_try(job, "d@example.com", "office"), SAID_REPLY, 452,
        "4.5.3 Too many");
    job->tries[3].at_rcpt = true;
    assert_false(replay_outcome_judge(job, &r));
    assert_int_equal(job->tries[0].state, DELIVERY_DELIVERED);
    assert_int_equal(job->tries[1].state, DELIVERY_READY);
    assert_int_equal(job->tries[2].state, DELIVERY_LATER);
    assert_int_equal(job->tries[3].state, DELIVERY_READY);
    replay_outcome_results(job);
    assert_int_equal(job->n_results, 2);
    assert_int_equal(job->results[0].n, 0);
    assert_int_equal(job->results[1].n, 2);
    assert_int_equal(job->results[1].next_ms, job->tries[2].next_ms);
    job_free(job);
}

/* --- the notice ---------------------------------------------------------- */

/* Decodes job->dsn; its text goes to *text. */
static void
open_dsn(const struct replay_job *job, struct proto_submit *submit,
         struct message *message, struct buf *text)
{
    struct view content, piece;
    struct why why;

    assert_int_equal(record_decode(&proto_submit_record,
                                   buf_view(&job->notice.submit), submit, &why),
                     0);
    assert_int_equal(
        record_decode(&message_record, submit->message, message, &why), 0);
    assert_int_equal(submit->content_len, submit->content.len);
    content = submit->content;
    while (body_next_piece(&content, &piece, &why) == 1)
        assert_int_equal(body_read_piece(piece, NULL, text, &why), 0);
    assert_int_equal(content.len, 0);
    assert_int_equal(text->len, message->size);
}

static bool
has(const struct buf *text, const char *what)
{
    return memmem(text->data, text->len, what, strlen(what)) != NULL;
}

static void
test_one_dsn_for_all(void **state)
{
    struct replay_rules r = rules(HOLD_MS * 2);
    struct replay_job *job = job_new("ann@example.org");
    struct proto_submit submit;
    struct message message;
    struct buf text = {0};
    const struct delivery *delivery;

    (void)state;
    say(job_try(job, "a@example.com", "office"), SAID_REPLY, 250, "2.0.0 Ok");
    say(job_try(job, "b@example.com", "office"), SAID_REPLY, 550, "5.1.1 No");
    say(job_try(job, "c@example.com", "office"), SAID_REPLY, 451, "4.2.1 No");
    say(job_try(job, "d@example.com", "office"), SAID_US, 552, "5.3.4 Big");
    assert_true(replay_outcome_judge(job, &r));
    replay_outcome_return(job, &r, VIEW("Subject: original\r\n\r\nbody\r\n"),
                          false);
    replay_outcome_results(job);
    assert_int_equal(job->n_results, 4);

    open_dsn(job, &submit, &message, &text);
    assert_int_equal(submit.id, job->notice.id);
    assert_int_equal(message.origin, ORIGIN_DSN);
    assert_int_equal(message.sender.len, 0);
    assert_int_equal(message.flags, 0);
    assert_true(view_equal(message.subject,
                           VIEW("Your message could not be delivered")));
    assert_true(message.message_id.len > 20);
    assert_int_equal(submit.deliveries.count, 1);
    delivery = submit.deliveries.items;
    assert_true(view_equal(delivery->recipient, VIEW("ann@example.org")));
    assert_true(view_equal(delivery->target, VIEW("out")));
    assert_false(has(&text, "a@example.com"));
    assert_true(has(&text, "Final-Recipient: rfc822; b@example.com\r\n"
                           "Action: failed\r\nStatus: 5.1.1\r\n"
                           "Remote-MTA: dns; mail.example.com\r\n"
                           "Diagnostic-Code: smtp; 550 5.1.1 No\r\n"));
    assert_true(has(&text, "rfc822; c@example.com\r\n"
                           "Action: failed\r\nStatus: 4.4.7\r\n"));
    assert_true(has(&text, "rfc822; d@example.com\r\n"
                           "Action: failed\r\nStatus: 5.3.4\r\n"));
    assert_true(has(&text, "Subject: original\r\n"));
    assert_false(has(&text, "body"));
    assert_int_equal(message.about, job->key.id);
    record_clear(&proto_submit_record, &submit);
    buf_free(&text);
    job_free(job);
}

static void
test_way_back(void **state)
{
    static const struct {
        const char *sender;
        const char *recipient;
        const char *want; /* target of the DSN, NULL: dropped */
    } rows[] = {
        {"x@elsewhere.org", "a@example.com", "out"},
        {"x@plain.example", "a@example.com", "office"},
        {"x@PLAIN.example", "a@example.com", "office"},
        {"x@elsewhere.org", "a@plain.example", "office"},
        /* No longer a domain of ours: another one of the target speaks. */
        {"x@elsewhere.org", "a@former.example", "out"},
        {"x@elsewhere.org", "Postmaster", "out"},
        {"x@lost.example", "a@example.com", NULL},
        {"x@elsewhere.org", "a@lost.example", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct replay_rules r = rules(0);
        struct replay_job *job = job_new(rows[i].sender);
        struct replay_try *attempt = job_try(job, rows[i].recipient, "office");

        say(attempt, SAID_REPLY, 550, "5.1.1 No");
        assert_int_equal(replay_outcome_judge(job, &r), rows[i].want != NULL);
        if (rows[i].want == NULL) {
            assert_int_equal(attempt->state, DELIVERY_DROPPED);
            assert_int_equal(attempt->untold, UNTOLD_NO_WAY);
            assert_string_equal(attempt->reply, "5.1.1 No");
        } else {
            struct proto_submit submit;
            struct message message;
            struct buf text = {0};
            const struct delivery *delivery;

            replay_outcome_return(job, &r, VIEW(""), false);
            assert_int_equal(attempt->state, DELIVERY_RETURNED);
            open_dsn(job, &submit, &message, &text);
            delivery = submit.deliveries.items;
            assert_true(view_equal(delivery->target, view_of(rows[i].want)));
            record_clear(&proto_submit_record, &submit);
            buf_free(&text);
        }
        job_free(job);
    }
}

/* RFC 3461 4.1, 5.2: what the sender asked for, and what the domain says. */
static void
test_who_is_told(void **state)
{
    enum { OK = 250, NO = 550 };
    static const struct {
        const char *name;
        const char *sender;
        const char *recipient;
        uint64_t notify;
        uint64_t code;
        bool passed;
        uint64_t want;
        uint64_t untold;
        bool told;
    } rows[] = {
        {"not asked, failed", "a@x.org", "b@example.com", 0, NO, false,
         DELIVERY_RETURNED, 0, true},
        {"not asked, delivered", "a@x.org", "b@example.com", 0, OK, false,
         DELIVERY_DELIVERED, 0, false},
        {"never, failed", "a@x.org", "b@example.com", DSN_NOTIFY_NEVER, NO,
         false, DELIVERY_DROPPED, UNTOLD_NOTIFY, false},
        {"success, failed", "a@x.org", "b@example.com", DSN_NOTIFY_SUCCESS, NO,
         false, DELIVERY_DROPPED, UNTOLD_NOTIFY, false},
        {"delay, failed", "a@x.org", "b@example.com", DSN_NOTIFY_DELAY, NO,
         false, DELIVERY_DROPPED, UNTOLD_NOTIFY, false},
        {"failure, failed", "a@x.org", "b@example.com",
         DSN_NOTIFY_FAILURE | DSN_NOTIFY_DELAY, NO, false, DELIVERY_RETURNED, 0,
         true},
        {"success, relayed", "a@x.org", "b@example.com", DSN_NOTIFY_SUCCESS, OK,
         false, DELIVERY_DELIVERED, 0, true},
        {"success, the target tells", "a@x.org", "b@example.com",
         DSN_NOTIFY_SUCCESS, OK, true, DELIVERY_DELIVERED, 0, false},
        {"failure, delivered", "a@x.org", "b@example.com", DSN_NOTIFY_FAILURE,
         OK, false, DELIVERY_DELIVERED, 0, false},
        {"null sender", "", "b@example.com", DSN_NOTIFY_SUCCESS, OK, false,
         DELIVERY_DELIVERED, 0, false},
        {"policy, failed", "a@x.org", "b@quiet.example", 0, NO, false,
         DELIVERY_DROPPED, UNTOLD_POLICY, false},
        {"policy, relayed", "a@x.org", "b@quiet.example", DSN_NOTIFY_SUCCESS,
         OK, false, DELIVERY_DELIVERED, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct replay_rules r = rules(0);
        struct replay_job *job = job_new(rows[i].sender);
        struct replay_try *attempt = job_try(job, rows[i].recipient, "office");

        ((struct delivery *)(uintptr_t)attempt->row)->notify = rows[i].notify;
        attempt->dsn_passed = rows[i].passed;
        say(attempt, SAID_REPLY, rows[i].code, "words");
        if (replay_outcome_judge(job, &r) != rows[i].told ||
            attempt->state != rows[i].want || attempt->untold != rows[i].untold)
            fail_msg("%s: %s, untold %u", rows[i].name,
                     delivery_state_name(attempt->state),
                     (unsigned)attempt->untold);
        job_free(job);
    }
}

/* One notice for a failure and a success; the whole message only for a
 * failure, and only where it was asked for. */
static void
test_mixed_and_whole(void **state)
{
    struct replay_rules r = rules(0);
    struct replay_job *job = job_new("ann@example.org");
    struct proto_submit submit;
    struct message message;
    struct buf text = {0};
    struct delivery *row;

    (void)state;
    job->message.message.ret = DSN_RET_FULL;
    job->message.message.envid = VIEW("id+2B1");
    say(job_try(job, "a@example.com", "office"), SAID_REPLY, 250, "2.6.0 Ok");
    row = (struct delivery *)(uintptr_t)job->tries[0].row;
    row->notify = DSN_NOTIFY_SUCCESS;
    row->orcpt = VIEW("rfc822;list+2Ba@example.net");
    assert_true(replay_outcome_judge(job, &r));
    assert_false(replay_outcome_wants_whole(job));
    say(job_try(job, "b@example.com", "office"), SAID_REPLY, 550, "5.1.1 No");
    assert_true(replay_outcome_judge(job, &r));
    assert_true(replay_outcome_wants_whole(job));
    replay_outcome_return(job, &r, VIEW("S: x\r\n\r\nb\303\266dy\r\n"), true);
    open_dsn(job, &submit, &message, &text);
    assert_int_equal(message.flags, MESSAGE_8BIT);
    assert_true(has(&text, "Original-Envelope-Id: id+1\r\n"));
    assert_true(has(&text, "Original-Recipient: rfc822; list+a@example.net\r\n"
                           "Final-Recipient: rfc822; a@example.com\r\n"
                           "Action: relayed\r\nStatus: 2.6.0\r\n"));
    assert_true(has(&text, "Final-Recipient: rfc822; b@example.com\r\n"
                           "Action: failed\r\nStatus: 5.1.1\r\n"));
    assert_true(has(&text, "Content-Type: message/rfc822\r\n"
                           "Content-Transfer-Encoding: 8bit\r\n\r\n"
                           "S: x\r\n\r\nb\303\266dy\r\n"));
    assert_true(view_equal(message.subject,
                           VIEW("Your message could not be delivered")));
    record_clear(&proto_submit_record, &submit);
    buf_free(&text);
    job_free(job);
}

static void
test_utf8_sender(void **state)
{
    struct replay_rules r = rules(0);
    struct replay_job *job = job_new("\303\244nn@example.org");
    struct proto_submit submit;
    struct message message;
    struct buf text = {0};

    (void)state;
    say(job_try(job, "a@example.com", "office"), SAID_REPLY, 550, "5.1.1 No");
    assert_true(replay_outcome_judge(job, &r));
    replay_outcome_return(job, &r, VIEW(""), false);
    open_dsn(job, &submit, &message, &text);
    assert_int_equal(message.flags, MESSAGE_8BIT | MESSAGE_UTF8);
    record_clear(&proto_submit_record, &submit);
    buf_free(&text);
    job_free(job);
}

/* --- what is told -------------------------------------------------------- */

static char told[4096];

static void
watch(struct view line)
{
    size_t len = strlen(told);

    /* Without the time. */
    snprintf(told + len, sizeof(told) - len, "%.*s\n", (int)line.len - 25,
             line.data + 25);
}

static void
test_events(void **state)
{
    struct replay_rules r = rules(0);
    struct replay_job *job = job_new("");

    (void)state;
    say(job_try(job, "a@example.com", "office"), SAID_REPLY, 250, "2.0.0 Ok");
    say(job_try(job, "b@example.com", "office"), SAID_REPLY, 550, "5.1.1 No");
    job_try(job, "c@example.com", "office");
    replay_outcome_judge(job, &r);
    event_watch(watch);
    replay_outcome_tell(job);
    event_watch(NULL);
    assert_string_equal(
        told, "delivered id=028T5CY4TQKFF to=a@example.com target=office "
              "host=mail.example.com code=250 reply=\"2.0.0 Ok\" attempts=1 "
              "age=5\n"
              "dropped id=028T5CY4TQKFF to=b@example.com target=office "
              "host=mail.example.com code=550 reply=\"5.1.1 No\" attempts=1 "
              "age=5 untold=\"the sender is null\"\n");
    job_free(job);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_guarded),
        cmocka_unit_test(test_alarm),
        cmocka_unit_test(test_reach_is_a_difference),
        cmocka_unit_test(test_back_off_grows),
        cmocka_unit_test(test_too_many_recipients),
        cmocka_unit_test(test_one_dsn_for_all),
        cmocka_unit_test(test_way_back),
        cmocka_unit_test(test_who_is_told),
        cmocka_unit_test(test_mixed_and_whole),
        cmocka_unit_test(test_utf8_sender),
        cmocka_unit_test(test_events),
    };

    return cmocka_run_group_tests_name("replay_outcome", tests, NULL, NULL);
}
