/* SPDX-License-Identifier: ISC */
/*
 * The operator's rules of what goes first, on their way: made and removed for
 * him, ended by themselves when their time is over, and replay is told of each
 * change.
 *
 * Before: control_prefer.c   After: store_prefer.c, replay_queue.c (RULES)
 */
#include "store.h"

#include <inttypes.h>

#include "clock.h"
#include "db_read.h"
#include "event.h"
#include "log.h"
#include "loop.h"
#include "peer.h"

#define LOOK_MS  60000 /* the system's clock may have been set */
#define AGAIN_MS 1000

static struct loop_timer *timer;

static void
add(const struct proto_prefer *prefer, enum role from, uint64_t call,
    store_done_fn *done)
{
    struct store_record record = {
        .kind = STORE_PREFER, .when_ms = (uint64_t)clock_wall_ms(), .fd = -1};
    struct buf bytes = {0};

    record_encode(&proto_prefer_record, prefer, &bytes);
    record.payload = buf_view(&bytes);
    store_batch_add(&record, from, call, 0, done);
    buf_free(&bytes);
}

static void
tell_replay(void)
{
    struct proto_none none = {0};

    peer_send(ROLE_REPLAY, PROTO_RULES, &none, -1);
}

/* --- their end ------------------------------------------------------------ */

static void
ended(enum role from, uint64_t call, uint64_t id, enum submit_result result,
      const char *reason, uint64_t count)
{
    struct event event;

    (void)from;
    (void)call;
    (void)id;
    (void)reason;
    loop_timer_set(timer, AGAIN_MS);
    if (result != SUBMIT_DONE)
        return;
    event_begin(&event, EVENT_PREFER_ENDED);
    event_num(&event, "rule", count);
    event_text(&event, "by", "its time is over");
    event_end(&event);
    tell_replay();
}

/* Ends the first one whose time is over; else waits for the next. */
static void
look(void *arg)
{
    uint64_t now_ms = (uint64_t)clock_wall_ms(), wait_ms = LOOK_MS;
    struct buf memory = {0};
    struct prefer_rule rule = {0};
    struct why why;
    int found;

    (void)arg;
    while ((found = db_read_prefer_after(store_batch_db(), rule.number, &rule,
                                         &memory, &why)) == 1) {
        if (rule.until_ms != 0 && rule.until_ms <= now_ms)
            break;
        if (rule.until_ms != 0 && rule.until_ms - now_ms < wait_ms)
            wait_ms = rule.until_ms - now_ms;
    }
    if (found < 0)
        log_debug("%s", why.text);
    if (found == 1) {
        struct proto_prefer over = {.number = rule.number,
                                    .when_ms = now_ms,
                                    .reason = VIEW("its time is over")};

        add(&over, ROLE_STORE, 0, ended);
    } else {
        loop_timer_set(timer, wait_ms);
    }
    buf_free(&memory);
}

void
store_prefer_start(void)
{
    timer = loop_timer_new(look, NULL);
    loop_timer_set(timer, AGAIN_MS);
}

/* --- the operator --------------------------------------------------------- */

static void
done(enum role from, uint64_t call, uint64_t id, enum submit_result result,
     const char *reason, uint64_t count)
{
    struct proto_done answer = {
        .done = result == SUBMIT_DONE, .count = count, .text = view_of(reason)};

    (void)id;
    if (result == SUBMIT_DONE) {
        loop_timer_set(timer, 0);
        tell_replay();
    }
    peer_answer(from, call, PROTO_PREFERRED, &answer);
}

void
store_on_prefer(struct peer_message *message)
{
    add(message->payload, message->from, message->call, done);
}
