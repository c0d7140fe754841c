/* SPDX-License-Identifier: ISC */
/*
 * When what the operator did can be undone no more: now and then the oldest
 * command in the table undo is looked at, and one that began more than an
 * hour ago goes, in portions that hold up no mail.
 *
 * Before: store.c   After: store_undo.c (store_undo_trim)
 */
#include "store.h"

#include "clock.h"
#include "db_read.h"
#include "log.h"
#include "loop.h"

#define LOOK_MS  60000
#define TRIM_MAX 1000 /* rows in one record */

static struct loop_timer *trimmer;

static void
trim_done(enum role from, uint64_t call, uint64_t id, enum submit_result result,
          const char *reason, uint64_t count)
{
    (void)from;
    (void)call;
    (void)id;
    (void)reason;
    loop_timer_set(trimmer,
                   result == SUBMIT_DONE && count == TRIM_MAX ? 1 : LOOK_MS);
}

static void
trim(uint64_t before_ms)
{
    struct store_undo_trim payload = {before_ms, TRIM_MAX};
    struct store_record record = {.kind = STORE_UNDO_TRIM,
                                  .when_ms = (uint64_t)clock_wall_ms(),
                                  .fd = -1};
    struct buf bytes = {0};

    record_encode(&store_undo_trim_record, &payload, &bytes);
    record.payload = buf_view(&bytes);
    store_batch_add(&record, ROLE_STORE, 0, 0, trim_done);
    buf_free(&bytes);
}

static void
look(void *arg)
{
    uint64_t number = 0, id = 0, n = 0;
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    struct buf memory = {0};
    struct undo_row row;
    struct why why;
    int found = db_read_undo_after(store_batch_db(), &number, &id, &n, &row,
                                   &memory, &why);

    (void)arg;
    if (found < 0)
        log_debug("%s", why.text);
    if (found == 1 && now_ms > UNDO_MS &&
        (id != 0 || row.began_ms <= now_ms - UNDO_MS))
        trim(now_ms - UNDO_MS);
    else
        loop_timer_set(trimmer, LOOK_MS);
    buf_free(&memory);
}

void
store_undo_start(void)
{
    trimmer = loop_timer_new(look, NULL);
    loop_timer_set(trimmer, LOOK_MS);
}
