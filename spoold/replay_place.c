/* SPDX-License-Identifier: ISC */
/*
 * The connections of all targets, shared out by replay_budget.c: targets wait
 * for a place here, and are run when one is theirs.
 *
 * Before: replay_target.c   After: replay_session.c
 */
#include "replay.h"

#include <stdlib.h>

#include "loop.h"
#include "mem.h"

static struct replay_budget budget;
static struct loop_timer *budget_timer;

struct replay_link {
    struct replay_budget_link link; /* first */
    struct replay_target *target;
    size_t slot;
};

static struct replay_target *
target_of(struct replay_budget_member *member)
{
    return (
        struct replay_target *)(void *)((char *)member -
                                        offsetof(struct replay_target, budget));
}

void
replay_place_serve(void)
{
    int64_t now_ms = loop_now_ms(), wake_ms;
    struct replay_budget_member *member = replay_budget_next(&budget, now_ms);

    if (member != NULL) {
        target_of(member)->served = true;
        replay_target_run(target_of(member));
        return;
    }
    wake_ms = replay_budget_wake(&budget, now_ms);
    if (wake_ms != INT64_MAX)
        loop_timer_set(budget_timer, (uint64_t)(wake_ms - now_ms));
}

void
replay_place_asked(struct replay_target *target)
{
    bool served = target->served;

    target->served = false;
    if (target->sched.starved)
        replay_budget_wait(&budget, &target->budget);
    if (served || target->sched.starved)
        replay_place_serve();
}

static void
on_wake(void *arg)
{
    (void)arg;
    replay_place_serve();
}

void
replay_place_set(size_t total, size_t connecting)
{
    if (budget_timer == NULL)
        budget_timer = loop_timer_new(on_wake, NULL);
    replay_budget_set(&budget, total, connecting);
    replay_place_serve();
}

size_t
replay_place_share(const struct replay_target *target, int64_t now_ms)
{
    size_t share = replay_budget_share(&budget, &target->budget, now_ms);
    int64_t wait_ms;

    replay_budget_in_the_way(&budget, now_ms, &wait_ms);
    if (wait_ms > 0 && target->budget.open < share)
        return target->budget.open;
    return share;
}

void
replay_place_open(struct replay_target *target, size_t slot)
{
    int64_t now_ms = loop_now_ms(), wait_ms;
    struct replay_link *link = mem_alloc(sizeof(*link));
    struct replay_link *hangs = (struct replay_link *)replay_budget_in_the_way(
        &budget, now_ms, &wait_ms);

    if (hangs != NULL)
        replay_session_give_up(hangs->target->sessions[hangs->slot],
                               "no answer, and others wait for its place");
    link->target = target;
    link->slot = slot;
    target->links[slot] = link;
    replay_budget_connect(&budget, &target->budget, &link->link,
                          target->sched.state != TARGET_UP, now_ms);
    replay_session_open(target, slot);
}

bool
replay_place_ready(struct replay_target *target, size_t slot)
{
    return replay_budget_ready(&budget, &target->links[slot]->link);
}

void
replay_place_ended(struct replay_target *target, size_t slot)
{
    target->sessions[slot] = NULL;
    replay_budget_end(&budget, &target->budget, &target->links[slot]->link);
    free(target->links[slot]);
    target->links[slot] = NULL;
}

void
replay_place_forget(struct replay_target *target)
{
    replay_budget_forget(&budget, &target->budget);
}
