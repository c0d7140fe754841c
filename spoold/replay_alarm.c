/* SPDX-License-Identifier: ISC */
/*
 * Deliveries that are about to expire, for "spoolctl status": each that was
 * told of (event expiring) and is still open. In memory only: after a start
 * they come back with their next attempts. What left without an attempt, by
 * the operator's hand, is noticed by a look at the store.
 *
 * Before: replay_work.c (recorded)   After: replay.c (TARGETS)
 */
#include "replay.h"

#include <stdlib.h>

#include "clock.h"
#include "loop.h"
#include "mem.h"

#define ALARMS_MAX    4096 /* remembered, for all targets together */
#define LOOKS_MAX     50   /* into the store, in one go */
#define LOOK_AFTER_MS 60000

struct alarm_key {
    uint64_t id;
    uint64_t n;
};

struct alarm {
    struct alarm_key key;
    struct replay_target *target;
    int64_t look_ms; /* no attempt until then: perhaps it is gone */
    UT_hash_handle hh;
};

static struct alarm *alarms;

static struct alarm *
find(uint64_t id, uint64_t n)
{
    struct alarm_key key = {id, n};
    struct alarm *alarm;

    HASH_FIND(hh, alarms, &key, sizeof(key), alarm);
    return alarm;
}

static void
drop(struct alarm *alarm)
{
    alarm->target->expiring--;
    HASH_DEL(alarms, alarm);
    free(alarm);
}

static void
add(struct replay_target *target, uint64_t id, uint64_t n, int64_t wait_ms)
{
    struct alarm *alarm = find(id, n);

    if (alarm == NULL && HASH_COUNT(alarms) == ALARMS_MAX)
        return;
    if (alarm == NULL) {
        alarm = mem_alloc(sizeof(*alarm));
        alarm->key = (struct alarm_key){id, n};
        alarm->target = target;
        HASH_ADD(hh, alarms, key, sizeof(alarm->key), alarm);
        if (target->expiring++ == 0)
            target->expiring_ms = (uint64_t)clock_wall_ms();
    }
    alarm->look_ms = loop_now_ms() + wait_ms + LOOK_AFTER_MS;
}

void
replay_alarm_told(const struct replay_job *job)
{
    for (size_t i = 0; i < job->n_tries; i++) {
        const struct replay_try *attempt = &job->tries[i];
        struct alarm *alarm;

        if (attempt->state == DELIVERY_READY)
            continue; /* nothing was said of it */
        alarm = find(job->key.id, attempt->n);
        if (delivery_waits(attempt->state) &&
            (attempt->alarmed || attempt->row->alarmed_ms != 0))
            add(job->key.target, job->key.id, attempt->n,
                (int64_t)(attempt->next_ms - job->when_ms));
        else if (alarm != NULL)
            drop(alarm);
    }
}

void
replay_alarm_forget(const struct replay_target *target)
{
    struct alarm *alarm, *next;

    HASH_ITER (hh, alarms, alarm, next) {
        if (alarm->target == target)
            drop(alarm);
    }
}

/* Is it open still, and for the same target? */
static bool
is_there(const struct alarm *alarm)
{
    struct db_message message;
    bool there = false;

    if (db_read_message(replay_db(), alarm->key.id, &message, NULL) != 1)
        return false;
    for (size_t i = 0; i < message.n_deliveries; i++) {
        const struct delivery *row = &message.deliveries[i].delivery;

        there |= message.deliveries[i].n == alarm->key.n &&
                 row->alarmed_ms != 0 && delivery_is_open(row->state) &&
                 view_equal(row->target, view_of(alarm->target->name));
    }
    db_message_free(&message);
    return there;
}

void
replay_alarm_look(void)
{
    struct alarm *alarm, *next;
    int64_t now_ms = loop_now_ms();
    size_t looks = 0;

    HASH_ITER (hh, alarms, alarm, next) {
        if (alarm->look_ms > now_ms)
            continue;
        if (looks++ == LOOKS_MAX)
            return;
        if (is_there(alarm))
            alarm->look_ms = now_ms + LOOK_AFTER_MS;
        else
            drop(alarm);
    }
}
