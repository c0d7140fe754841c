/* SPDX-License-Identifier: ISC */
/*
 * All connections to targets, shared out so that no target starves another. A
 * pure function of what happened and the time.
 *
 * Connections that work, and those on their way that do not hang yet, are
 * counted against the total; those that hang have places of their own, and one
 * that works after all where the total is used up has to leave. A target that
 * has none may have the last ones; one that has some may not take the last
 * quarter, and while anybody waits for his first one nobody keeps more than an
 * even share, nor that for longer than a turn. Where all places of those on
 * their way are taken, the one that has hung longest is given up for the next.
 * So targets that do not answer never stand in the way of those that do.
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
/* So long a member may keep its connections while another has none: slow ones
 * would have them all in the end. */
#define REPLAY_TURN_MS 5000

/* A connection of somebody. */
struct replay_budget_link {
    struct replay_budget_link *before;
    struct replay_budget_link *after;
    int64_t since_ms;
    enum replay_link_state {
        LINK_NONE,
        LINK_FRESH, /* on its way */
        LINK_HANGS, /* the same, for longer than REPLAY_HANGS_MS */
        LINK_WORKS,
        LINK_SURPLUS, /* works, and has to leave */
    } state;
};

/* One for each target. */
struct replay_budget_member {
    size_t open;     /* its connections that work or are on their way */
    int64_t turn_ms; /* since then it has some */
    /* Of those that wait, first come first. */
    struct replay_budget_member *before;
    struct replay_budget_member *after;
    struct replay_budget_queue *queue; /* where it waits; NULL: it does not */
};

struct replay_budget_queue {
    struct replay_budget_member *first;
    struct replay_budget_member *last;
    size_t n;
};

struct replay_budget {
    size_t total;
    size_t connecting_max;
    size_t working;
    size_t connecting;                 /* on their way, */
    size_t fresh;                      /* and of these: do not hang yet */
    size_t members;                    /* that have connections */
    struct replay_budget_link *oldest; /* on its way */
    struct replay_budget_link *newest;
    struct replay_budget_link *oldest_fresh;
    struct replay_budget_queue none; /* members that have none and wait */
    struct replay_budget_queue more; /* those that would like another one */
};

void replay_budget_set(struct replay_budget *budget, size_t total,
                       size_t connecting_max);
/* How many connections the member may have now, counting those it has. */
size_t replay_budget_share(struct replay_budget *budget,
                           const struct replay_budget_member *member,
                           int64_t now_ms);
/* The connection that is to be given up before the next one begins: the
 * oldest; NULL: there is a place. *wait_ms, where that one does not hang yet:
 * how long it still has, and then the next one has to wait. */
struct replay_budget_link *
replay_budget_in_the_way(const struct replay_budget *budget, int64_t now_ms,
                         int64_t *wait_ms);
/* One of the member's is on its way; then it works (false: one too many, it
 * is to end at once), and then it is gone. A probe, of a target that did not
 * answer before, is taken for one that hangs from the beginning: thousands of
 * them take nothing from those that answer. */
void replay_budget_connect(struct replay_budget *budget,
                           struct replay_budget_member *member,
                           struct replay_budget_link *link, bool probe,
                           int64_t now_ms);
bool replay_budget_ready(struct replay_budget *budget,
                         struct replay_budget_link *link);
void replay_budget_end(struct replay_budget *budget,
                       struct replay_budget_member *member,
                       struct replay_budget_link *link);
/* The member would like another one and may not. */
void replay_budget_wait(struct replay_budget *budget,
                        struct replay_budget_member *member);
/* The next one for whom there is room, and it waits no more: those that have
 * none first, of these the one that waits longest. NULL: there is nobody, or
 * no room. */
struct replay_budget_member *replay_budget_next(struct replay_budget *budget,
                                                int64_t now_ms);
/* When to look for the next one again though nothing happened; INT64_MAX: no
 * need. */
int64_t replay_budget_wake(const struct replay_budget *budget, int64_t now_ms);
/* It is about to be freed. */
void replay_budget_forget(struct replay_budget *budget,
                          struct replay_budget_member *member);

#endif
