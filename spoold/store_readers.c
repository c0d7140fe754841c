/* SPDX-License-Identifier: ISC */
/*
 * Who reads the store, and since when: LMDB cannot use pages again that an
 * open read transaction may still see, so one that never ends makes the file
 * grow with every commit. Slots of processes that died are freed; a process
 * that stays in one transaction is told of once, by its number, which is that
 * of a role in the log, or of a program of somebody's. Room is safe meanwhile:
 * at the reserve new mail is answered 452.
 */
#include "store.h"

#include "clock.h"
#include "event.h"
#include "log.h"
#include "loop.h"

#define LOOK_MS  10000
#define HANGS_MS 60000 /* a copy of a large store takes its time, too */

static struct {
    struct db *db;
    struct loop_timer *timer;
    struct db_reader oldest; /* as it was at the last look; process 0: none */
    int64_t since_ms;        /* monotonic: it is in that transaction */
    bool told;
} readers;

static void
tell(uint64_t behind)
{
    struct event event;

    event_begin(&event, EVENT_READER_HANGS);
    event_num(&event, "process", readers.oldest.process);
    event_num(&event, "seconds",
              (uint64_t)(clock_mono_ms() - readers.since_ms) / 1000);
    event_num(&event, "commits", behind);
    event_end(&event);
    readers.told = true;
}

static void
look(void *arg)
{
    struct db_reader oldest;
    uint64_t behind;

    (void)arg;
    db_reap_readers(readers.db);
    behind = db_oldest_reader(readers.db, &oldest);
    if (behind == 0 || oldest.process != readers.oldest.process ||
        oldest.commit != readers.oldest.commit) {
        if (readers.told)
            log_info("process %llu reads on, or has ended",
                     (unsigned long long)readers.oldest.process);
        readers.oldest = behind == 0 ? (struct db_reader){0} : oldest;
        readers.since_ms = clock_mono_ms();
        readers.told = false;
    } else if (!readers.told &&
               clock_mono_ms() - readers.since_ms >= HANGS_MS) {
        tell(behind);
    }
    loop_timer_set(readers.timer, LOOK_MS);
}

void
store_readers_start(struct db *db)
{
    readers.db = db;
    readers.timer = loop_timer_new(look, NULL);
    look(NULL);
}
