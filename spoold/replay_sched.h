/* SPDX-License-Identifier: ISC */
/*
 * When to connect to a target, when to give it a message, when to leave it
 * alone: a function of what happened, the time and a seed. No I/O, no clock,
 * no memory of messages, so days of outage are tested in milliseconds.
 *
 * One struct replay_sched a target. The caller reports what happened with
 * replay_sched_event, then asks replay_sched_next for one action after the
 * other and carries each out before it asks again, then sleeps until
 * replay_sched_wake.
 *
 * Sessions are known by their slot, 0..connections-1. What a message is, in
 * which order messages go and what becomes of one that was refused is none of
 * this file's business.
 *
 * Before: replay.c   After: replay_session.c
 */
#ifndef SPOOLD_REPLAY_SCHED_H
#define SPOOLD_REPLAY_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"
#include "replay_pace.h"

#define REPLAY_IDLE_MS    5000  /* a session without work is closed */
#define REPLAY_SAVE_MS    60000 /* how often the sum of reachable time is kept */
#define REPLAY_BROKEN_MAX 3 /* sessions broken in a row: the target is down */
#define REPLAY_REASON_MAX 256

enum replay_phase {
    PHASE_FREE,       /* no session */
    PHASE_CONNECTING, /* on its way to the reply to EHLO */
    PHASE_IDLE,       /* may be given a message */
    PHASE_BUSY,       /* has one */
    PHASE_CLOSING,    /* was told to leave; PHASE_FREE when it has */
};

struct replay_slot {
    enum replay_phase phase;
    bool ahead;        /* busy, and has its next message already */
    uint64_t messages; /* given so far */
    int64_t since_ms;  /* when the phase began */
};

enum replay_event_kind {
    REPLAY_READY,   /* the session can take messages */
    REPLAY_DONE,    /* its message ended, the session is fine; accepted: the
                       target took it for at least one recipient */
    REPLAY_AHEAD,   /* it took one more message while busy with one */
    REPLAY_NO_WORK, /* REPLAY_GIVE could not be followed */
    REPLAY_CLOSED,  /* the session ended with no message under way */
    REPLAY_FAILED,  /* it ended before it was ready */
    REPLAY_BROKEN,  /* it ended with a message under way */
    REPLAY_PROBE,   /* the operator says: try now (no slot) */
    REPLAY_PAUSE,   /* no new work until until_ms, 0: until REPLAY_RESUME */
    REPLAY_RESUME,  /* go on, as with a target that returns (no slot) */
    REPLAY_STOP,    /* no new work from now on (no slot) */
};

struct replay_event {
    enum replay_event_kind kind;
    size_t slot;
    bool accepted;
    const char *reason; /* of FAILED, BROKEN and PAUSE */
    bool refused;       /* DONE, BROKEN: for reasons of the target's own (421,
                           451), not of the message or its recipients */
    bool unasked;       /* DONE: nothing was said to the target */
    int64_t until_ms;   /* PAUSE */
};

enum replay_action_kind {
    REPLAY_OPEN,    /* connect; the slot is PHASE_CONNECTING */
    REPLAY_GIVE,    /* give the session a message */
    REPLAY_CLOSE,   /* tell the idle session to leave */
    REPLAY_CHANGED, /* state is another one: announce and keep it */
    REPLAY_SAVE,    /* keep reach_ms */
};

struct replay_action {
    enum replay_action_kind kind;
    size_t slot;
};

struct replay_sched {
    struct replay_limits limits;
    struct replay_pace pace;
    enum target_state state;
    enum target_state told;         /* the state REPLAY_CHANGED has told */
    char reason[REPLAY_REASON_MAX]; /* of the last failure */
    bool stopped;
    bool tried; /* returning: a message was given and not accepted */
    uint64_t random;

    struct replay_slot *slots;
    size_t n_slots;                  /* allocated: the highest limit so far */
    size_t count[PHASE_CLOSING + 1]; /* slots by phase */

    unsigned failures;      /* probes failed since the target went down */
    unsigned open_failures; /* connects failed while other sessions worked */
    unsigned broken;        /* sessions broken with none done in between */
    int64_t probe_ms;       /* down: time of the next probe */
    int64_t open_ms;        /* no new connection before that */
    bool wants_open;        /* ... but there would be work for one */
    int64_t give_ms;        /* the rate allows the next message then, for
                               which a session is idle; INT64_MAX: none is */
    int64_t resume_ms;      /* paused: until then; INT64_MAX: until told */
    size_t share;           /* of all connections: the most it may have */
    bool starved;           /* wants a connection, and its share is used up */

    uint64_t reach_ms;       /* sum of the time it was reachable and had mail */
    uint64_t saved_reach_ms; /* as told by REPLAY_SAVE or REPLAY_CHANGED */
    int64_t counted_ms;      /* reach_ms is right up to here */
    int64_t hold_until_ms;   /* mail is held until then, as far as known */
    int64_t later_until_ms;  /* ... because of deliveries that wait */
    int64_t save_ms;         /* not before that */
};

/* state and reach_ms as kept by the store; a target never heard of is up. */
void replay_sched_init(struct replay_sched *sched,
                       const struct replay_limits *limits,
                       const struct replay_pace_memory *memory,
                       enum target_state state, uint64_t reach_ms,
                       uint64_t seed, int64_t now_ms);
void replay_sched_free(struct replay_sched *sched);
/* Why it is down, as kept by the store. */
void replay_sched_set_reason(struct replay_sched *sched, struct view reason);
/* Other limits from now on. Sessions over the new number end when idle. */
void replay_sched_set_limits(struct replay_sched *sched,
                             const struct replay_limits *limits);

/* The sessions there are now take no further message. */
void replay_sched_retire(struct replay_sched *sched);
void replay_sched_retire_slot(struct replay_sched *sched, size_t slot);

void replay_sched_event(struct replay_sched *sched,
                        const struct replay_event *event, int64_t now_ms);
/* The next thing to do, false: nothing now. waiting is the number of messages
 * that are known to wait for this target and that no session has. */
bool replay_sched_next(struct replay_sched *sched, size_t waiting,
                       int64_t now_ms, struct replay_action *action);
/* When to ask again if nothing happens; INT64_MAX: no need. */
int64_t replay_sched_wake(const struct replay_sched *sched, int64_t now_ms);

/* May the busy session of this slot take its next message already? Only when
 * every session has work: otherwise a message would wait for the reply to the
 * one before it while another session is idle. */
bool replay_sched_may_ahead(struct replay_sched *sched, size_t slot,
                            size_t waiting, int64_t now_ms);

/* A delivery was put off until then: mail is held at least that long. */
void replay_sched_held_until(struct replay_sched *sched, int64_t until_ms);
/* The content of the message that was begun has so many bytes. */
void replay_sched_bytes(struct replay_sched *sched, uint64_t bytes,
                        int64_t now_ms);
/* How many connections it may have, of all there may be; SIZE_MAX at first. */
void replay_sched_set_share(struct replay_sched *sched, size_t share);
/* The sum of reachable time now. */
uint64_t replay_sched_reach_ms(struct replay_sched *sched, int64_t now_ms);
/* Sessions in any phase. */
size_t replay_sched_open(const struct replay_sched *sched);

/* The nth wait (0..) of one that doubles from min to max: a random time in
 * the upper half of its step, never under min or over max. */
uint64_t replay_sched_backoff(unsigned n, uint64_t min_ms, uint64_t max_ms,
                              uint64_t random);
/* The next of a cheap sequence of random numbers; *state is never 0. */
uint64_t replay_sched_random(uint64_t *state);

#endif
