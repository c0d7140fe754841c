/* SPDX-License-Identifier: ISC */
/*
 * Two running means over the same time. They begin at nothing, so each is
 * divided by how much of it was seen (weight): the first second is not taken
 * for a slow one.
 *
 * Before: replay_target.c (counts)   After: control_eta.c (tells)
 */
#include "eta.h"

#define STEP_MS    100
#define LATELY_MIN 1000
#define LATELY_MAX 30000
#define YEAR_MS    (INT64_C(365) * 86400000)

void
eta_begin(struct eta *eta, int64_t now_ms)
{
    *eta =
        (struct eta){.began_ms = now_ms, .at_ms = now_ms, .moved_ms = now_ms};
}

static double
lately_ms(const struct eta *eta, int64_t now_ms)
{
    double fifth = (double)(now_ms - eta->began_ms) / 5;

    if (fifth < LATELY_MIN)
        return LATELY_MIN;
    return fifth < LATELY_MAX ? fifth : LATELY_MAX;
}

static void
fold(struct eta *eta, int64_t now_ms)
{
    double passed_ms = (double)(now_ms - eta->at_ms), share;

    if (passed_ms < STEP_MS)
        return;
    share = passed_ms / (passed_ms + lately_ms(eta, now_ms));
    eta->out += ((double)eta->went * 1000 / passed_ms - eta->out) * share;
    eta->in += ((double)eta->came * 1000 / passed_ms - eta->in) * share;
    eta->weight += (1 - eta->weight) * share;
    eta->went = eta->came = 0;
    eta->at_ms = now_ms;
}

static void
move(struct eta *eta, int64_t now_ms)
{
    if (now_ms - eta->moved_ms >= ETA_IDLE_MS)
        eta_begin(eta, now_ms);
    fold(eta, now_ms);
    eta->moved_ms = now_ms;
}

void
eta_went(struct eta *eta, int64_t now_ms)
{
    move(eta, now_ms);
    eta->went++;
}

void
eta_came(struct eta *eta, int64_t now_ms)
{
    move(eta, now_ms);
    eta->came++;
}

void
eta_rates(struct eta *eta, int64_t now_ms, uint64_t *out, uint64_t *in)
{
    fold(eta, now_ms);
    *out = *in = 0;
    if (eta->weight > 0) {
        *out = (uint64_t)(eta->out / eta->weight * 1000 + 0.5);
        *in = (uint64_t)(eta->in / eta->weight * 1000 + 0.5);
    }
}

bool
eta_ms(uint64_t left, uint64_t out, uint64_t in, uint64_t *ms)
{
    double wait;

    if (out <= in)
        return false;
    wait = (double)left * 1000000 / (double)(out - in);
    if (wait > (double)YEAR_MS)
        return false;
    *ms = (uint64_t)wait;
    return true;
}
