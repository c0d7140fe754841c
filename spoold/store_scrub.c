/* SPDX-License-Identifier: ISC */
/*
 * SCRUB: what was erased is written over in the data file (db_scrub.c has the
 * reasons why that is safe), in steps between the commits. A compaction under
 * way would carry what is erased into another file: it is given up.
 *
 * Before: control_erase.c, after the erasure is durable
 * After:  control (SCRUBBED)
 */
#include <stdlib.h>

#include "clock.h"
#include "db_scrub.h"
#include "log.h"
#include "loop.h"
#include "peer.h"
#include "role.h"
#include "store.h"

#define STEP_PAGES  128 /* written over in one step, then synced */
#define STEP_MS     2   /* between two steps: commits come first */
#define WAIT_MS     200
#define WAIT_MAX_MS 60000 /* for a reader that hangs */
#define WAITERS_MAX 64

struct waiter {
    enum role from;
    uint64_t call;
};
struct waiters {
    struct waiter all[WAITERS_MAX];
    size_t n;
};

static struct {
    struct db *db;
    struct db_scrub *scrub; /* NULL: none is under way */
    struct loop_timer *timer;
    struct waiters now;     /* of the one under way */
    struct waiters next;    /* came after it began: they get another */
    int64_t waits_since_ms; /* 0: no reader is in the way */
} scrub;

bool
store_scrub_is_idle(void)
{
    return scrub.now.n == 0;
}

static void
scrub_end(bool done, const char *text)
{
    struct proto_done answer = {.done = done, .text = view_of(text)};

    if (scrub.scrub != NULL)
        answer.count = db_scrub_pages(scrub.scrub);
    db_scrub_free(&scrub.scrub);
    for (size_t i = 0; i < scrub.now.n; i++)
        peer_answer(scrub.now.all[i].from, scrub.now.all[i].call,
                    PROTO_SCRUBBED, &answer);
    scrub.now = scrub.next;
    scrub.next.n = 0;
    scrub.waits_since_ms = 0;
    if (scrub.now.n > 0)
        loop_timer_set(scrub.timer, 0);
}

static void
scrub_wait(const struct why *why)
{
    if (scrub.waits_since_ms == 0)
        scrub.waits_since_ms = clock_mono_ms();
    db_reap_readers(scrub.db);
    if (clock_mono_ms() - scrub.waits_since_ms > WAIT_MAX_MS)
        scrub_end(false, why->text);
    else
        loop_timer_set(scrub.timer, WAIT_MS);
}

static void
scrub_turn(void *arg)
{
    struct why why = {0};

    (void)arg;
    if (!store_compact_is_idle()) {
        store_compact_cancel("something was erased");
        loop_timer_set(scrub.timer, WAIT_MS);
        return;
    }
    if (scrub.scrub == NULL)
        scrub.scrub = db_scrub_new(scrub.db, &why);
    if (scrub.scrub == NULL)
        fatal_exit(ROLE_EXIT_STORE, "%s", why.text);
    switch (db_scrub_step(scrub.scrub, STEP_PAGES, &why)) {
    case DB_SCRUB_MORE:
        scrub.waits_since_ms = 0;
        loop_timer_set(scrub.timer, STEP_MS);
        break;
    case DB_SCRUB_WAITS:
        scrub_wait(&why);
        break;
    case DB_SCRUB_DONE:
        scrub_end(true, "");
        break;
    case DB_SCRUB_FAILED:
        log_warn("what was erased could not be written over: %s", why.text);
        scrub_end(false, why.text);
        break;
    }
}

void
store_on_scrub(struct peer_message *message)
{
    struct waiters *waiters = scrub.scrub == NULL ? &scrub.now : &scrub.next;
    struct proto_done full = {.text = VIEW("too many wait for it already")};

    if (waiters->n == WAITERS_MAX) {
        peer_reply(message, PROTO_SCRUBBED, &full);
        return;
    }
    waiters->all[waiters->n++] = (struct waiter){message->from, message->call};
    if (scrub.scrub == NULL)
        loop_timer_set(scrub.timer, 0);
}

void
store_scrub_init(struct db *db)
{
    scrub.db = db;
    scrub.timer = loop_timer_new(scrub_turn, NULL);
}
