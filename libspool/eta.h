/* SPDX-License-Identifier: ISC */
/*
 * When what waits will be gone, told from how many went and came lately. No
 * clock, no I/O: times are the caller's.
 *
 * Lately is a fifth of the time since the drain began, one to thirty seconds:
 * so the rates follow a target whose pace still grows, and are calm in a drain
 * of hours. Where nothing moved for ETA_IDLE_MS a new drain begins.
 *
 * Before: replay_target.c (counts)   After: control_eta.c (tells)
 */
#ifndef SPOOL_ETA_H
#define SPOOL_ETA_H

#include <stdbool.h>
#include <stdint.h>

#define ETA_IDLE_MS 60000

struct eta {
    int64_t began_ms;
    int64_t at_ms;    /* up to there it is folded into the means */
    int64_t moved_ms; /* when the last one went or came */
    double weight;    /* of the means; 1 in the long run */
    double out;       /* messages a second, times weight */
    double in;
    uint64_t went; /* since at_ms */
    uint64_t came;
};

/* A drain begins. */
void eta_begin(struct eta *eta, int64_t now_ms);
void eta_went(struct eta *eta, int64_t now_ms);
void eta_came(struct eta *eta, int64_t now_ms);
/* Messages in 1000 s; 0 where nothing is known yet. */
void eta_rates(struct eta *eta, int64_t now_ms, uint64_t *out, uint64_t *in);
/* In how many milliseconds left messages are gone at these rates. false: they
 * are not, or not within a year. */
bool eta_ms(uint64_t left, uint64_t out, uint64_t in, uint64_t *ms);

#endif
