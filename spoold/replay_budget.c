/* SPDX-License-Identifier: ISC */
/*
 * Two lists: connections that are on their way, oldest first, and members
 * that wait, in the order in which they came. Everything else is counting.
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

static size_t
room(const struct replay_budget *budget)
{
    return budget->working < budget->total ? budget->total - budget->working
                                           : 0;
}

size_t
replay_budget_share(const struct replay_budget *budget,
                    const struct replay_budget_member *member)
{
    size_t free = room(budget), kept_back = budget->total / 4, most;

    if (member->open == 0)
        return free > 0 ? 1 : 0;
    if (budget->waiting > 0) {
        size_t even = budget->total / (budget->members + budget->waiting);

        most = even > 1 ? even : 1;
        return most < member->open ? most : member->open;
    }
    return member->open + (free > kept_back ? free - kept_back : 0);
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
    link->linked = false;
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
                      struct replay_budget_link *link, int64_t now_ms)
{
    *link = (struct replay_budget_link){
        .before = budget->newest, .since_ms = now_ms, .linked = true};
    if (budget->newest != NULL)
        budget->newest->after = link;
    else
        budget->oldest = link;
    budget->newest = link;
    budget->connecting++;
    replay_budget_forget(budget, member);
    if (member->open++ == 0)
        budget->members++;
}

void
replay_budget_ready(struct replay_budget *budget,
                    struct replay_budget_link *link)
{
    if (!link->linked)
        bug("a connection that was not on its way is ready");
    unlink_one(budget, link);
    budget->working++;
}

void
replay_budget_end(struct replay_budget *budget,
                  struct replay_budget_member *member,
                  struct replay_budget_link *link)
{
    if (link->linked)
        unlink_one(budget, link);
    else
        budget->working--;
    if (--member->open == 0)
        budget->members--;
}

/* --- waiting ------------------------------------------------------------- */

void
replay_budget_wait(struct replay_budget *budget,
                   struct replay_budget_member *member)
{
    if (member->waits)
        return;
    member->waits = true;
    member->next = NULL;
    if (budget->last != NULL)
        budget->last->next = member;
    else
        budget->first = member;
    budget->last = member;
    member->counted = member->open == 0;
    budget->waiting += member->counted;
}

void
replay_budget_forget(struct replay_budget *budget,
                     struct replay_budget_member *member)
{
    struct replay_budget_member **at = &budget->first, *before = NULL;

    if (!member->waits)
        return;
    while (*at != member) {
        before = *at;
        at = &before->next;
    }
    *at = member->next;
    if (budget->last == member)
        budget->last = before;
    budget->waiting -= member->counted;
    member->waits = member->counted = false;
}

struct replay_budget_member *
replay_budget_next(struct replay_budget *budget)
{
    struct replay_budget_member *member = budget->first;

    if (member == NULL || room(budget) == 0)
        return NULL;
    replay_budget_forget(budget, member);
    return member;
}
