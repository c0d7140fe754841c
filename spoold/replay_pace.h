/* SPDX-License-Identifier: ISC */
/*
 * How much a target can bear: a function of what it answered, how long it
 * took, and the time. No I/O, no clock.
 *
 * Two figures are steered for each target, messages a second (rate) and
 * connections at a time (window). Both grow while they are what holds work
 * back and replies come as fast as in good times; both are cut when the
 * target refuses, or when its reply times double. What hurt is remembered: a
 * figure that was cut comes back to just below it soon, stays there, and
 * probes beyond it in small steps and ever more rarely. Where nothing hurt yet
 * growth is fast, but each step waits for the replies to the one before it.
 *
 * Limits of the configuration stand above both.
 *
 * Before: replay_sched.c   After: replay_sched.c
 */
#ifndef SPOOLD_REPLAY_PACE_H
#define SPOOLD_REPLAY_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the configuration and the operator say; 0: no limit but for
 * connections and messages_per_connection. */
struct replay_limits {
    size_t connections;
    uint64_t messages_per_connection;
    uint64_t connection_rate; /* new connections a minute */
    uint64_t message_rate;    /* messages a minute */
    uint64_t byte_rate;       /* of content, a second */
    uint64_t probe_min_ms;
    uint64_t probe_max_ms;
};

#define PACE_BINS       40  /* of reply times, each 1.3 times the one before */
#define PACE_SECOND     10  /* parts of the second messages are counted in */
#define PACE_START_RATE 100 /* a second, for a target nothing is known of */
#define PACE_FREE_RATE  20000 /* from here on nothing is held back */

/* Tokens that come with time; below 0: owed. */
struct pace_bucket {
    double level;
    int64_t at_ms;
};

/* A figure under control. */
struct pace_control {
    double now;
    double hurt;      /* where it hurt last; 0: it never did */
    int64_t cut_ms;   /* when it was cut last */
    int64_t first_ms; /* when it was cut first, with no good round since */
    unsigned cuts;    /* since then */
    int64_t hold_ms;  /* no probing beyond hurt before that */
    int64_t pause_ms; /* length of the next hold */
    double stride;    /* steps taken at once, beyond hurt */
    bool recovering;  /* was cut, and no good reply came since */
    bool wanted;      /* work was held back by it in this round */
    bool whole;       /* it counts things: hurt less one is the most it bears */
};

struct replay_pace {
    struct replay_limits limits;
    struct pace_control rate;
    struct pace_control window;
    struct pace_bucket messages;
    struct pace_bucket capped; /* message_rate */
    struct pace_bucket connects;
    struct pace_bucket bytes;

    /* The round: replies since round_ms, to what began after step_ms, when
     * rate or window changed last. */
    int64_t round_ms;
    int64_t step_ms;
    unsigned replies;
    unsigned refusals;
    unsigned slow_rounds; /* one after the other */
    uint16_t bins[PACE_BINS];
    /* Reply times of good rounds, milliseconds. */
    unsigned base_rounds;
    double base_median;
    double base_p95;

    uint32_t second[PACE_SECOND]; /* replies in the parts of a second */
    int64_t second_ms;            /* when the newest part began */
};

/* What is remembered of a target over restarts: 0 where nothing is. */
struct replay_pace_memory {
    uint64_t rate; /* messages a second */
    uint64_t hurt_rate;
    uint64_t hurt_window; /* connections */
};

void replay_pace_init(struct replay_pace *pace,
                      const struct replay_limits *limits,
                      const struct replay_pace_memory *memory, int64_t now_ms);
void replay_pace_set_limits(struct replay_pace *pace,
                            const struct replay_limits *limits);
struct replay_pace_memory replay_pace_memory(const struct replay_pace *pace);
/* The target is back: begin gently. */
void replay_pace_restart(struct replay_pace *pace, int64_t now_ms);

/* Connections that may work at a time: at least 1. */
size_t replay_pace_window(const struct replay_pace *pace);
/* When the next message (connection) may begin; not after now_ms: now. */
int64_t replay_pace_message_at(const struct replay_pace *pace, int64_t now_ms);
int64_t replay_pace_connect_at(const struct replay_pace *pace, int64_t now_ms);
/* One begins; bytes of content are told when they are known. */
void replay_pace_message(struct replay_pace *pace, int64_t now_ms);
void replay_pace_bytes(struct replay_pace *pace, uint64_t bytes,
                       int64_t now_ms);
void replay_pace_connect(struct replay_pace *pace, int64_t now_ms);
/* A message that was begun was not there after all. */
void replay_pace_undo(struct replay_pace *pace);

/* Work waits, and it is the rate (the window) that holds it back. */
void replay_pace_want_rate(struct replay_pace *pace, int64_t now_ms);
void replay_pace_want_window(struct replay_pace *pace);

/* The target's last word on a message that began at began_ms; refused: it
 * said 421 or 4xx for reasons of its own, not of the recipient. */
void replay_pace_reply(struct replay_pace *pace, int64_t began_ms, bool refused,
                       int64_t now_ms);
/* A connection was refused or broke while open others worked. */
void replay_pace_connection_hurt(struct replay_pace *pace, size_t open,
                                 int64_t now_ms);
/* The target went down under what it was given. */
void replay_pace_fell(struct replay_pace *pace, int64_t now_ms);
/* Messages a second that were answered in the last second. */
double replay_pace_measured(const struct replay_pace *pace, int64_t now_ms);

#endif
