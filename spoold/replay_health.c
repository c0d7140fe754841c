/* SPDX-License-Identifier: ISC */
/*
 * What the store keeps of a target over restarts: its state, how long it was
 * reachable, its pause, guard, limits and pace.
 *
 * Before: replay_target.c   After: store.c (HEALTH), db_read.c
 */
#include "replay.h"

#include "log.h"
#include "peer.h"

void
replay_target_keep(struct replay_target *target,
                   void (*fn)(void *arg, struct peer_message *answer),
                   void *arg)
{
    struct buf limits = {0};
    struct target_health health = {
        .name = view_of(target->name),
        .state = target->sched.state,
        .since_ms = target->since_ms,
        .reach_ms = replay_target_reach_ms(target),
        .reason = view_of(target->sched.reason),
        .pause_until_ms = target->pause_until_ms,
        .paused_by = view_of(target->paused_by),
        .guard = target->guard.state,
    };
    struct replay_pace_memory memory = replay_pace_memory(&target->sched.pace);

    health.rate = memory.rate;
    health.hurt_rate = memory.hurt_rate;
    health.hurt_connections = memory.hurt_window;

    replay_limit_encode(target, &limits);
    health.limits = buf_view(&limits);
    if (fn != NULL)
        peer_call(ROLE_STORE, PROTO_HEALTH, &health, -1, fn, arg);
    else if (replay_store_is_ready())
        peer_send(ROLE_STORE, PROTO_HEALTH, &health, -1);
    buf_free(&limits);
}

/* The rows are asked for in order of name, from just before this one. */
struct target_health
replay_target_kept(const char *name, struct buf *memory)
{
    struct target_health health = {0};
    struct buf after = {0};
    struct why why;
    int found, order = -1;

    buf_add(&after, name, strlen(name) - 1);
    do {
        buf_add_byte(&after, 0);
        found = db_read_health_after(replay_db(), after.data, &health, memory,
                                     &why);
        if (found < 0)
            log_warn("%s", why.text);
        if (found != 1)
            break;
        buf_reset(&after);
        buf_add_view(&after, health.name);
        buf_add_byte(&after, 0);
        order = strcmp(after.data, name);
        after.len--;
    } while (order < 0);
    buf_free(&after);
    return order == 0 ? health : (struct target_health){0};
}
