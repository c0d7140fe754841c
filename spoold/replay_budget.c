/* SPDX-License-Identifier: ISC */
/*
 * A list of the connections that are on their way, oldest first, whose older
 * part hangs; and two queues of members that wait. Everything else is
 * counting.
 *
 * Before: replay_target.c   After: replay_target.c
 */
#include "replay_budget.h"

#include "log.h"

void
replay_budget_set(struct replay_budget *budget, size_t total,
                  size_t connecting_max)
{
    budget->total = total;
    budget->connecting_max = connecting_max;
}

/* --- shares -------------------------------------------------------------- */

/* Those on their way that hang by now count no more. */
static void
let_age(struct replay_budget *budget, int64_t now_ms)
{
    struct replay_budget_link *link = budget->oldest_fresh;

    for (; link != NULL && link->since_ms + REPLAY_HANGS_MS <= now_ms;
         link = link->after) {
        budget->fresh -= link->state == LINK_FRESH;
        link->state = LINK_HANGS;
    }
    budget->oldest_fresh = link;
}

static size_t
room(struct replay_budget *budget, int64_t now_ms)
{
    size_t used;

    let_age(budget, now_ms);
    used = budget->working + budget->fresh;
    return used < budget->total ? budget->total - used : 0;
}

/* What those that have some may add to that. */
static size_t
room_for_more(struct replay_budget *budget, int64_t now_ms)
{
    size_t free = room(budget, now_ms), kept_back = budget->total / 4;

    return free > kept_back ? free - kept_back : 0;
}

size_t
replay_budget_share(struct replay_budget *budget,
                    const struct replay_budget_member *member, int64_t now_ms)
{
    size_t even;

    if (member->open == 0)
        return room(budget, now_ms) > 0 ? 1 : 0;
    if (budget->none.n == 0)
        return member->open + room_for_more(budget, now_ms);
    if (now_ms - member->turn_ms >= REPLAY_TURN_MS)
        return 0;
    even = budget->total / (budget->members + budget->none.n);
    if (even == 0)
        even = 1;
    return even < member->open ? even : member->open;
}

/* --- on their way -------------------------------------------------------- */

static void
unlink_one(struct replay_budget *budget, struct replay_budget_link *link)
{
    if (link->before != NULL)
        link->before->after = link->after;
    else
        budget->oldest = link->after;
    if (link->after != NULL)
        link->after->before = link->before;
    else
        budget->newest = link->before;
    if (budget->oldest_fresh == link)
        budget->oldest_fresh = link->after;
    budget->fresh -= link->state == LINK_FRESH;
    budget->connecting--;
}

struct replay_budget_link *
replay_budget_in_the_way(const struct replay_budget *budget, int64_t now_ms,
                         int64_t *wait_ms)
{
    int64_t end_ms;

    *wait_ms = 0;
    if (budget->connecting < budget->connecting_max)
        return NULL;
    end_ms = budget->oldest->since_ms + REPLAY_HANGS_MS;
    if (end_ms > now_ms)
        *wait_ms = end_ms - now_ms;
    return budget->oldest;
}

void
replay_budget_connect(struct replay_budget *budget,
                      struct replay_budget_member *member,
                      struct replay_budget_link *link, bool probe,
                      int64_t now_ms)
{
    *link =
        (struct replay_budget_link){.before = budget->newest,
                                    .since_ms = now_ms,
                                    .state = probe ? LINK_HANGS : LINK_FRESH};
    if (budget->newest != NULL)
        budget->newest->after = link;
    else
        budget->oldest = link;
    budget->newest = link;
    if (budget->oldest_fresh == NULL)
        budget->oldest_fresh = link;
    budget->fresh += link->state == LINK_FRESH;
    budget->connecting++;
    replay_budget_forget(budget, member);
    if (member->open++ == 0) {
        budget->members++;
        member->turn_ms = now_ms;
    }
}

bool
replay_budget_ready(struct replay_budget *budget,
                    struct replay_budget_link *link)
{
    if (link->state != LINK_FRESH && link->state != LINK_HANGS)
        bug("a connection that was not on its way is ready");
    unlink_one(budget, link);
    if (budget->working >= budget->total) {
        link->state = LINK_SURPLUS;
        return false;
    }
    link->state = LINK_WORKS;
    budget->working++;
    return true;
}

void
replay_budget_end(struct replay_budget *budget,
                  struct replay_budget_member *member,
                  struct replay_budget_link *link)
{
    if (link->state == LINK_WORKS)
        budget->working--;
    else if (link->state != LINK_SURPLUS)
        unlink_one(budget, link);
    link->state = LINK_NONE;
    if (--member->open == 0)
        budget->members--;
}

/* --- waiting ------------------------------------------------------------- */

void
replay_budget_wait(struct replay_budget *budget,
                   struct replay_budget_member *member)
{
    struct replay_budget_queue *queue =
        member->open == 0 ? &budget->none : &budget->more;

    if (member->queue == queue)
        return;
    replay_budget_forget(budget, member);
    member->queue = queue;
    member->before = queue->last;
    member->after = NULL;
    if (queue->last != NULL)
        queue->last->after = member;
    else
        queue->first = member;
    queue->last = member;
    queue->n++;
}

void
replay_budget_forget(struct replay_budget *budget,
                     struct replay_budget_member *member)
{
    struct replay_budget_queue *queue = member->queue;

    (void)budget;
    if (queue == NULL)
        return;
    if (member->before != NULL)
        member->before->after = member->after;
    else
        queue->first = member->after;
    if (member->after != NULL)
        member->after->before = member->before;
    else
        queue->last = member->before;
    queue->n--;
    member->queue = NULL;
}

int64_t
replay_budget_wake(const struct replay_budget *budget, int64_t now_ms)
{
    const struct replay_budget_link *link = budget->oldest_fresh;
    int64_t at_ms;

    if (budget->none.n + budget->more.n == 0 || link == NULL)
        return INT64_MAX;
    /* It makes room, and is the first that may be given up. */
    at_ms = link->since_ms + REPLAY_HANGS_MS;
    return at_ms > now_ms ? at_ms : now_ms + 1;
}

struct replay_budget_member *
replay_budget_next(struct replay_budget *budget, int64_t now_ms)
{
    struct replay_budget_member *member = NULL;
    int64_t wait_ms;

    replay_budget_in_the_way(budget, now_ms, &wait_ms);
    if (wait_ms > 0 || room(budget, now_ms) == 0)
        return NULL;
    if (budget->none.n > 0)
        member = budget->none.first;
    else if (room_for_more(budget, now_ms) > 0)
        member = budget->more.first;
    if (member != NULL)
        replay_budget_forget(budget, member);
    return member;
}
