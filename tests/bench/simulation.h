/* SPDX-License-Identifier: ISC */
/*
 * Replay's scheduler on a virtual clock: replay_sched.c, replay_pace.c and
 * replay_budget.c as they are, asked and obeyed as replay_target.c and
 * replay_place.c do it, with targets that are made up. No I/O, and the same run
 * for the same seed.
 *
 * Messages are numbers only. What must hold at every moment is checked as time
 * goes by, and what does not is counted: see faults.
 */
#ifndef SIMULATION_H
#define SIMULATION_H

#include <stddef.h>
#include <stdint.h>

struct simulation_plan {
    size_t targets;
    size_t messages;
    size_t failing;  /* of 100 targets, in patterns; the others just work */
    size_t total;    /* connections to all targets, */
    size_t starting; /* and those on their way */
    uint64_t seed;
};

struct simulation_result {
    uint64_t delivered;
    uint64_t events;       /* that were lived through */
    uint64_t faults;       /* what must never be */
    const char *fault;     /* the first of them; NULL: none */
    size_t working_max;    /* connections, at the most */
    size_t starting_max;   /* of them on their way */
    int64_t virtual_ms;    /* until the last message was delivered */
    int64_t sound_ms;      /* until that of the targets that just work */
    int64_t longest_ms;    /* one of these was up, had mail, and got nothing */
    int64_t probe_late_ms; /* a target that was down waited for its probe
                              longer than it may */
};

/* Runs until everything is delivered; 30 virtual days are a fault. */
void simulation_run(const struct simulation_plan *plan,
                    struct simulation_result *result);

#endif
