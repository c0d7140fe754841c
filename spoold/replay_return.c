/* SPDX-License-Identifier: ISC */
/*
 * What the operator gives back to its senders ("spoolctl return"): message by
 * message a notice is written and goes to the store with what it tells of, in
 * one record. A delivery that is under way at this moment is left alone, and
 * none is begun while its return is being recorded: nobody gets a message and
 * its sender a notice that he did not.
 *
 * Before: control_steer.c (RETURN)
 * After:  replay_report.c, store_outcome.c (OUTCOME)
 */
#include "replay.h"

#include <stdlib.h>

#include "clock.h"
#include "db.h"
#include "dsn_param.h"
#include "event.h"
#include "log.h"
#include "mem.h"
#include "msgid.h"
#include "peer.h"
#include "sealing.h"
#include "stats.h"

#define RETURNS_MAX 8 /* requests at a time */

/* One request, and the message of it that is being recorded. */
struct returning {
    struct returning *next;
    enum role from;
    uint64_t call;
    bool dry_run;
    char *by;
    char *reason;
    struct proto_steer_item *items;
    size_t n_items;
    size_t at; /* the next one */
    uint64_t done;
    uint64_t left; /* that stay */
    struct why first_left;

    uint64_t id;    /* 0: none is being recorded */
    bool kept_back; /* a target wanted it meanwhile */
    struct db_message message;
    struct replay_notice notice;
};

static struct returning *returns;

bool
replay_return_keeps(uint64_t id)
{
    for (struct returning *r = returns; r != NULL; r = r->next)
        if (r->id == id) {
            r->kept_back = true;
            return true;
        }
    return false;
}

/* --- the end -------------------------------------------------------------- */

static void
end(struct returning *r, const char *failure)
{
    struct proto_done answer = {
        .done = failure == NULL,
        .count = r->done,
        .before = r->left,
        .text =
            view_of(failure != NULL ? failure
                                    : (r->left > 0 ? r->first_left.text : "")),
    };

    peer_answer(r->from, r->call, PROTO_GIVEN_BACK, &answer);
    for (struct returning **at = &returns; *at != NULL; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            break;
        }
    free(r->by);
    free(r->reason);
    free(r->items);
    free(r);
}

/* --- one message ---------------------------------------------------------- */

static void
leave(struct returning *r, const char *reason)
{
    char id[MSGID_TEXT_MAX];

    if (r->left++ == 0)
        why_text(&r->first_left, "%s: %s", msgid_print(r->message.id, id),
                 reason);
}

/* NULL: the sender can be told of it. That the configuration would not tell
 * him does not bind the operator. */
static const char *
obstacle(const struct returning *r, const struct delivery *row)
{
    const struct conf *conf = replay_conf();
    const struct message *message = &r->message.message;
    const struct replay_target *target = replay_target_find(row->target);
    uint64_t untold = replay_report_untold(conf, message, row, REPORT_FAILURE);

    if (target != NULL && replay_job_is_under_way(target, r->message.id))
        return "it is being delivered at this moment";
    if (untold == UNTOLD_POLICY)
        untold = replay_report_way_back(conf, message, row).len == 0
                     ? UNTOLD_NO_WAY
                     : 0;
    return untold != 0 ? untold_text(untold) : NULL;
}

static const struct delivery *
find_delivery(const struct db_message *message, uint64_t n)
{
    for (size_t i = 0; i < message->n_deliveries; i++)
        if (message->deliveries[i].n == n)
            return &message->deliveries[i].delivery;
    return NULL;
}

static void
write_notice(struct returning *r, const struct dsn_recipient *recipients,
             size_t n, struct view target)
{
    const struct message *message = &r->message.message;
    struct buf original = {0};
    struct replay_report report = {
        .conf = replay_conf(),
        .ids = replay_ids(),
        .now_ms = (uint64_t)clock_wall_ms(),
        .id = r->message.id,
        .message = message,
        .recipients = recipients,
        .n_recipients = n,
        .target = target,
    };
    struct why why;
    int whole = replay_content_original(
        r->message.id, message,
        message->ret == DSN_RET_FULL ? REPLAY_REPORT_CONTENT_MAX : 0, &original,
        &why);

    if (whole < 0)
        log_warn("the header for a notice: %s", why.text);
    report.original = buf_view(&original);
    report.whole = whole == 1;
    replay_report_write(&report, &r->notice);
    buf_free(&original);
}

static void
tell(const struct returning *r, uint64_t deliveries)
{
    struct event event;

    event_begin(&event, EVENT_RETURNED);
    event_id(&event, "id", r->id);
    event_num(&event, "deliveries", deliveries);
    event_text(&event, "by", r->by);
    event_id(&event, "dsn", r->notice.id);
    event_end(&event);
    stats_add(STAT_RETURNED, (int64_t)deliveries);
}

/* Those who wanted it meanwhile look at it again. */
static void
let_go(struct returning *r)
{
    uint64_t id = r->id;

    r->id = 0;
    for (size_t i = 0; r->kept_back && i < r->message.n_deliveries; i++) {
        const struct delivery *row = &r->message.deliveries[i].delivery;
        struct replay_target *target = replay_target_find(row->target);

        if (target == NULL || row->state != DELIVERY_READY)
            continue;
        replay_queue_put_back(target, id);
        replay_target_run(target);
    }
    r->kept_back = false;
    replay_notice_clear(&r->notice);
    db_message_free(&r->message);
}

static void step(struct returning *r);

static void
on_recorded(void *arg, struct peer_message *answer)
{
    struct returning *r = arg;
    const struct proto_recorded *recorded =
        answer != NULL && answer->kind == PROTO_RECORDED ? answer->payload
                                                         : NULL;
    bool done = recorded != NULL && recorded->result == SUBMIT_DONE;

    sealing_answered(&r->notice.key, done);
    if (done && recorded->count > 0) {
        tell(r, recorded->count);
        r->done += recorded->count;
    }
    let_go(r);
    if (done)
        step(r);
    else
        end(r, recorded == NULL ? "the store is not there"
                                : "the store had no room for a notice, or "
                                  "refused it");
}

static void
record(struct returning *r, struct proto_result *results, size_t n)
{
    struct proto_outcome outcome = {
        .id = r->message.id,
        .when_ms = (uint64_t)clock_wall_ms(),
        .results = {results, n},
        .dsn = buf_view(&r->notice.submit),
        .what = OUTCOME_RETURN,
        .by = view_of(r->by),
        .reason = view_of(r->reason),
    };

    r->id = r->message.id;
    peer_call(ROLE_STORE, PROTO_OUTCOME, &outcome, -1, on_recorded, r);
}

static struct dsn_recipient
recipient_of(const struct delivery *row)
{
    bool replied = row->code != 0;

    return (struct dsn_recipient){
        .address = row->recipient,
        .orcpt = row->orcpt,
        .cause = DSN_GIVEN_UP,
        .unknown = row->state == DELIVERY_UNKNOWN,
        .code = row->code,
        .reply = replied ? row->reply : (struct view){NULL, 0},
        .attempt_ms = row->attempts > 0 ? (int64_t)row->changed_ms : 0,
    };
}

/* The items of r->message from r->at on, as many as one notice has room for.
 * True: the store has been asked. */
static bool
give_back(struct returning *r)
{
    struct dsn_recipient recipients[REPLAY_TRIES_MAX];
    struct proto_result results[REPLAY_TRIES_MAX];
    struct view target = {NULL, 0};
    size_t n = 0;

    for (; r->at < r->n_items && r->items[r->at].id == r->message.id &&
           n < REPLAY_TRIES_MAX;
         r->at++) {
        const struct delivery *row =
            find_delivery(&r->message, r->items[r->at].n - 1);
        const char *no;

        if (row == NULL || !delivery_is_open(row->state))
            continue;
        if ((no = obstacle(r, row)) != NULL) {
            leave(r, no);
            continue;
        }
        target =
            replay_report_way_back(replay_conf(), &r->message.message, row);
        results[n] = (struct proto_result){.n = r->items[r->at].n - 1,
                                           .code = row->code};
        recipients[n++] = recipient_of(row);
    }
    if (r->dry_run)
        r->done += n;
    if (r->dry_run || n == 0)
        return false;
    write_notice(r, recipients, n, target);
    record(r, results, n);
    return true;
}

/* Goes on until the store has been asked, or to the end. */
static void
step(struct returning *r)
{
    struct why why;

    while (r->at < r->n_items) {
        int found = replay_read_message(r->items[r->at].id, &r->message, &why);

        if (found < 0)
            r->message = (struct db_message){.id = r->items[r->at].id};
        if (found < 0)
            leave(r, why.text);
        if (found != 1) {
            r->at++;
            continue;
        }
        if (give_back(r))
            return;
        db_message_free(&r->message);
    }
    end(r, NULL);
}

/* --- RETURN --------------------------------------------------------------- */

static size_t
count_returns(void)
{
    size_t n = 0;

    for (const struct returning *r = returns; r != NULL; r = r->next)
        n++;
    return n;
}

void
replay_return_on_return(struct peer_message *message)
{
    const struct proto_steer *steer = message->payload;
    size_t bytes = steer->items.count * sizeof(struct proto_steer_item);
    struct proto_done no = {.text = VIEW("too many ask at once")};
    struct returning *r;

    if (!replay_store_is_ready())
        no.text = VIEW("the store is not there");
    if (!replay_store_is_ready() || count_returns() == RETURNS_MAX) {
        peer_reply(message, PROTO_GIVEN_BACK, &no);
        return;
    }
    r = mem_alloc(sizeof(*r));
    *r = (struct returning){
        .next = returns,
        .from = message->from,
        .call = message->call,
        .dry_run = steer->dry_run != 0,
        .by = mem_copy(steer->by.data, steer->by.len),
        .reason = mem_copy(steer->reason.data, steer->reason.len),
        .items = mem_alloc(bytes > 0 ? bytes : 1),
        .n_items = steer->items.count,
    };
    if (bytes > 0)
        memcpy(r->items, steer->items.items, bytes);
    returns = r;
    step(r);
}
