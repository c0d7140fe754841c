/* SPDX-License-Identifier: ISC */
/*
 * The event loop of a role: timers, signals, descriptors that became
 * readable, and work put off to the end of the turn. One loop a process.
 * Only loop.c, io.c and peer.c know libevent.
 */
#ifndef SPOOLD_LOOP_H
#define SPOOLD_LOOP_H

#include <stdint.h>

typedef void loop_fn(void *arg);
typedef void loop_fd_fn(int fd, void *arg);

void loop_init(void);
void loop_run(void);  /* until loop_stop */
void loop_stop(void); /* after the current turn */

/* Monotonic time, read once a turn; use it for deadlines. */
int64_t loop_now_ms(void);

struct loop_timer;
struct loop_timer *loop_timer_new(loop_fn *fn, void *arg);
void loop_timer_set(struct loop_timer *timer, uint64_t after_ms); /* once */
void loop_timer_cancel(struct loop_timer *timer);
void loop_timer_free(struct loop_timer **timer);

void loop_signal(int number, loop_fn *fn, void *arg);

/* Calls fn whenever fd is readable (a listening socket). */
struct loop_watch;
struct loop_watch *loop_watch_new(int fd, loop_fd_fn *fn, void *arg);
void loop_watch_pause(struct loop_watch *watch);
void loop_watch_resume(struct loop_watch *watch);
void loop_watch_free(struct loop_watch **watch); /* does not close fd */

/* Runs fn(arg) after the callbacks of this turn, once, in order. This is how
 * an object is freed that may be in use further up the stack. */
void loop_defer(loop_fn *fn, void *arg);

#endif
