/* SPDX-License-Identifier: ISC */
/*
 * All connections to targets, shared out so that no target starves another. A
 * pure function of what happened and the time.
 *
 * Connections that work are counted against the total; those on their way
 * have places of their own. A target that has none
 * may have the last ones; one that has some may not take the last quarter,
 * and while anybody waits for his first one nobody keeps more than an even
 * share. Where all places of those on their way are taken, the one
 * that has hung longest is given up for the next. So targets that do not answer
 * never stand in the way of those that do.
 *
 * Before: replay_target.c   After: replay_sched.c (share)
 */
#ifndef SPOOLD_REPLAY_BUDGET_H
#define SPOOLD_REPLAY_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From then on a connection that is on its way hangs. */
#define REPLAY_HANGS_MS 1000

/* A connection of somebody. */
struct replay_budget_link {
    struct replay_budget_link *before;
    struct replay_budget_link *after;
    int64_t since_ms;
    bool linked;
};

/* One for each target. */
struct replay_budget_member {
    size_t open; /* its connections that work or are on their way */
    struct replay_budget_member
        *next; /* of those that wait, first come first */
    bool waits;
    bool counted; /* in waiting */
};

struct replay_budget {
    size_t total;
    size_t connecting_max;
    size_t working;
    size_t connecting;
    size_t members;                    /* that have connections */
    size_t waiting;                    /* that have none and wait for one */
    struct replay_budget_link *oldest; /* on its way */
    struct replay_budget_link *newest;
    struct replay_budget_member *first; /* that waits */
    struct replay_budget_member *last;
};

void replay_budget_set(struct replay_budget *budget, size_t total,
                       size_t connecting_max);
/* How many connections the member may have now, counting those it has. */
size_t replay_budget_share(const struct replay_budget *budget,
                           const struct replay_budget_member *member);
/* The connection that is to be given up before the next one begins: the
 * oldest; NULL: there is a place. *wait_ms, where that one does not hang yet:
 * how long it still has, and then the next one has to wait. */
struct replay_budget_link *
replay_budget_in_the_way(const struct replay_budget *budget, int64_t now_ms,
                         int64_t *wait_ms);
/* One of the member's is on its way; then it works, and then it is gone. */
void replay_budget_connect(struct replay_budget *budget,
                           struct replay_budget_member *member,
                           struct replay_budget_link *link, int64_t now_ms);
void replay_budget_ready(struct replay_budget *budget,
                         struct replay_budget_link *link);
void replay_budget_end(struct replay_budget *budget,
                       struct replay_budget_member *member,
                       struct replay_budget_link *link);
/* The member would like another one and may not. */
void replay_budget_wait(struct replay_budget *budget,
                        struct replay_budget_member *member);
/* The one that waits longest, and it waits no more; NULL: nobody does, or
 * there is no room for him. */
struct replay_budget_member *replay_budget_next(struct replay_budget *budget);
/* It is about to be freed. */
void replay_budget_forget(struct replay_budget *budget,
                          struct replay_budget_member *member);

#endif
