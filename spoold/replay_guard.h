/* SPDX-License-Identifier: ISC */
/*
 * The recovery guard of one target: while a target that has just returned is
 * watched, what it refuses for good is kept back, and whether that is too
 * much is decided here. A function of its verdicts and the time; no I/O, no
 * clock.
 *
 * The target is stopped
 *   - when it refuses a recipient it took mail for before;
 *   - when it is certain that more than the share of the first messages is
 *     refused;
 *   - when the first GUARD_LEAST are refused, all of them;
 *   - when the time is over, GUARD_LEAST verdicts are there, and the share of
 *     them is too much.
 * It is trusted once the first messages are through, or the time is over,
 * with no more refused than the share. Nothing else ends the watch: a target
 * that has said too little is watched on.
 *
 * Before: replay_recovery.c   After: replay_recovery.c
 */
#ifndef SPOOLD_REPLAY_GUARD_H
#define SPOOLD_REPLAY_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

#define GUARD_LEAST 5

struct replay_guard_limits {
    bool on;
    size_t messages;
    uint64_t share; /* percent */
    uint64_t for_ms;
};

struct replay_guard {
    struct replay_guard_limits limits;
    enum target_guard state;
    int64_t until_ms;
    size_t accepted; /* messages, since it returned */
    size_t refused;  /* ... once each, while the time is not over */
    uint64_t *ids;   /* of those that were refused */
    size_t n_ids;
    size_t cap_ids;
};

/* What a target said of one message. */
struct replay_guard_verdict {
    uint64_t id;
    bool accepted;     /* for a recipient at least */
    bool refused;      /* for good, for a recipient at least */
    bool known;        /* ... for whom it took mail before */
    const char *reply; /* with refused: the words */
};

enum replay_guard_says {
    GUARD_GOES_ON,
    GUARD_ENDS,  /* from now on its verdicts count */
    GUARD_STOPS, /* *why says why; it stays on the watch */
};

void replay_guard_set_limits(struct replay_guard *guard,
                             const struct replay_guard_limits *limits);
void replay_guard_free(struct replay_guard *guard);
/* The target has returned: watches, where the limits say so. */
void replay_guard_begin(struct replay_guard *guard, int64_t now_ms);
/* As kept by the store; a watch begins anew. */
void replay_guard_load(struct replay_guard *guard, enum target_guard state,
                       int64_t now_ms);
/* The operator says that its verdicts count, until it returns once more. */
void replay_guard_trust(struct replay_guard *guard);
/* Is what it refuses for good kept back? */
bool replay_guard_keeps(const struct replay_guard *guard);
/* After GUARD_STOPS, what is refused still is still kept back. */
enum replay_guard_says
replay_guard_verdict(struct replay_guard *guard,
                     const struct replay_guard_verdict *verdict, int64_t now_ms,
                     struct why *why);

#endif
