/* SPDX-License-Identifier: ISC */
/*
 * What waits for its time (the table later): retries, and the purges of
 * messages that have ended. Its times are those of the wall clock, since they
 * outlive the process; a clock that is set back must not make mail wait for
 * as long again. So steps back are noticed by comparing both clocks, and rows
 * written before a step go by the time that would be without it, until the
 * wall clock is there again.
 *
 * Before: replay_outcome.c (OUTCOME with a next try)   After: store_apply.c
 */
#include "store.h"

#include <stdlib.h>

#include "clock.h"
#include "db_read.h"
#include "event.h"
#include "log.h"
#include "loop.h"
#include "mem.h"

#define ROWS        1000  /* of later, in one record */
#define WAIT_MAX_MS 60000 /* the wall clock may jump: looked at so often */
#define AGAIN_MS    1000  /* after a batch that could not be committed */
#define STEP_MIN_MS 2000  /* less is a clock that is corrected as it should be \
                           */

static struct {
    struct db *db;
    struct loop_timer *timer;
    uint64_t at_ms; /* wall time the timer is set for */
    /* Both clocks as they were last. */
    int64_t wall_ms;
    int64_t mono_ms;
    /* After a step back: what the wall clock said before, and by how much it
     * is behind since. 0: not behind. */
    uint64_t before_ms;
    uint64_t behind_ms;
} due;

static void
set_timer(uint64_t at_ms)
{
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    uint64_t after_ms = at_ms > now_ms ? at_ms - now_ms : 0;

    if (after_ms > WAIT_MAX_MS)
        after_ms = WAIT_MAX_MS;
    due.at_ms = now_ms + after_ms;
    loop_timer_set(due.timer, after_ms);
}

void
store_due_by(uint64_t at_ms)
{
    if (at_ms < due.at_ms)
        set_timer(at_ms);
}

/* --- the clock ------------------------------------------------------------ */

static void
tell_step(uint64_t by_ms)
{
    struct event event;

    event_begin(&event, EVENT_CLOCK_BACK);
    event_num(&event, "ms", by_ms);
    event_end(&event);
}

void
store_due_watch_clock(void)
{
    int64_t wall_ms = clock_wall_ms(), mono_ms = clock_mono_ms();
    int64_t right_ms = due.wall_ms + (mono_ms - due.mono_ms);

    if (wall_ms < right_ms - STEP_MIN_MS) {
        tell_step((uint64_t)(right_ms - wall_ms));
        if (due.behind_ms == 0)
            due.before_ms = (uint64_t)right_ms;
        due.behind_ms += (uint64_t)(right_ms - wall_ms);
        set_timer(0);
    } else if (due.behind_ms > 0 && (uint64_t)wall_ms >= due.before_ms) {
        due.behind_ms = 0; /* rows of both times are told apart no more */
    }
    due.wall_ms = wall_ms;
    due.mono_ms = mono_ms;
}

/* --- rows ----------------------------------------------------------------- */

/* Without room (or worse) the rows are still there: not at once again. */
static void
due_done(enum role from, uint64_t call, uint64_t id, enum submit_result result,
         const char *reason, uint64_t count)
{
    (void)from;
    (void)call;
    (void)id;
    (void)reason;
    (void)count;
    if (result != SUBMIT_DONE)
        set_timer((uint64_t)clock_wall_ms() + AGAIN_MS);
}

void
store_due_add(const struct db_later *rows, int n)
{
    struct buf payload = {0};
    struct store_record record = {
        .kind = STORE_DUE, .when_ms = (uint64_t)clock_wall_ms(), .fd = -1};

    if (n <= 0)
        return;
    for (int i = 0; i < n; i++) {
        struct store_due_row row = {rows[i].when_ms, rows[i].id, rows[i].n};
        struct store_due one = {{&row, 1}};

        record_encode(&store_due_record, &one, &payload);
    }
    record.payload = buf_view(&payload);
    store_batch_add(&record, ROLE_STORE, 0, 0, due_done);
    buf_free(&payload);
}

/* Rows from from_ms on that are due at now_ms. The wall time of the next one
 * that is not goes to *next_ms if it is nearer. False: there are more. */
static bool
take_rows(uint64_t from_ms, uint64_t now_ms, uint64_t behind_ms,
          uint64_t *next_ms)
{
    struct db_later *rows = mem_alloc(ROWS * sizeof(*rows));
    uint64_t next;
    int n = db_due(due.db, from_ms, now_ms + behind_ms, rows, ROWS, &next);

    if (n < 0)
        log_warn("the table of what waits could not be read");
    store_due_add(rows, n);
    free(rows);
    if (next > 0 && next - behind_ms < *next_ms)
        *next_ms = next - behind_ms;
    return n != ROWS;
}

static void
due_check(void *arg)
{
    uint64_t now_ms, next_ms;
    bool all;

    (void)arg;
    store_due_watch_clock();
    now_ms = (uint64_t)clock_wall_ms();
    next_ms = now_ms + WAIT_MAX_MS;
    all = take_rows(0, now_ms, 0, &next_ms);
    if (due.behind_ms > 0)
        all = take_rows(due.before_ms, now_ms, due.behind_ms, &next_ms) && all;
    set_timer(all ? next_ms : now_ms + 1); /* the rest after this batch */
}

void
store_due_start(struct db *db)
{
    due.db = db;
    due.wall_ms = clock_wall_ms();
    due.mono_ms = clock_mono_ms();
    due.timer = loop_timer_new(due_check, NULL);
    due_check(NULL);
}
