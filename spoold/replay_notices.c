/* SPDX-License-Identifier: ISC */
/*
 * Notices to senders go out at their pace (limit { notices }) whatever keeps
 * them back: each has a moment of its own from the store, but a target that
 * was down, or paused, comes back to many whose moment has passed. They stand
 * in a bucket of their own (message.h), and that is passed over as long as
 * there is no token.
 *
 * Before: replay_queue.c   After: replay_target.c
 */
#include "replay.h"

#include "loop.h"

#define MINUTE_MS 60000

/* --- tokens: pure ----------------------------------------------------------
 */

/* A second's worth, so that what comes late by little catches up. */
static double
depth(const struct replay_tokens *tokens)
{
    double second = (double)tokens->a_minute / 60;

    return second > 1 ? second : 1;
}

static double
level(const struct replay_tokens *tokens, int64_t now_ms)
{
    double have = tokens->level + (double)tokens->a_minute *
                                      (double)(now_ms - tokens->at_ms) /
                                      MINUTE_MS;

    return have < depth(tokens) ? have : depth(tokens);
}

void
replay_tokens_set(struct replay_tokens *tokens, uint64_t a_minute,
                  int64_t now_ms)
{
    double have = tokens->a_minute > 0 ? level(tokens, now_ms) : 1;

    *tokens = (struct replay_tokens){a_minute, have, now_ms};
}

int64_t
replay_tokens_wait_ms(const struct replay_tokens *tokens, int64_t now_ms)
{
    double missing = 1 - level(tokens, now_ms);

    return missing <= 0
               ? 0
               : (int64_t)(missing * MINUTE_MS / (double)tokens->a_minute) + 1;
}

void
replay_tokens_take(struct replay_tokens *tokens, int64_t now_ms)
{
    tokens->level = level(tokens, now_ms) - 1;
    tokens->at_ms = now_ms;
}

/* --- the role's ------------------------------------------------------------
 */

static struct {
    struct replay_tokens tokens;
    struct loop_timer *timer;
    bool waits;
} notices;

/* There is a token: whoever passed notices over looks again. */
static void
on_token(void *arg)
{
    (void)arg;
    notices.waits = false;
    for (struct replay_target *t = replay_target_next(NULL); t != NULL;
         t = replay_target_next(t)) {
        if (!replay_queue_passed_notices(t))
            continue;
        replay_queue_look(t);
        replay_target_run(t);
    }
}

void
replay_notices_configure(const struct conf *conf)
{
    replay_tokens_set(&notices.tokens, conf->notices, loop_now_ms());
    if (notices.timer == NULL)
        notices.timer = loop_timer_new(on_token, NULL);
    if (notices.waits) /* for longer, maybe, than it takes now */
        loop_timer_set(notices.timer, 0);
}

bool
replay_notices_may_go(void)
{
    int64_t wait_ms = replay_tokens_wait_ms(&notices.tokens, loop_now_ms());

    if (wait_ms > 0 && !notices.waits)
        loop_timer_set(notices.timer, (uint64_t)wait_ms);
    notices.waits = notices.waits || wait_ms > 0;
    return wait_ms == 0;
}

void
replay_notices_went(void)
{
    replay_tokens_take(&notices.tokens, loop_now_ms());
}
