/* SPDX-License-Identifier: ISC */
/*
 * One turn is: wait for events, run their callbacks, then run what was put
 * off with loop_defer, in order, until none is left. Sending, freeing and
 * committing all happen in that second half, so a turn that reads from
 * twenty connections writes, answers and commits once.
 */
#include "loop.h"

#include <stdlib.h>

#include "buf.h"
#include "clock.h"
#include "log.h"
#include "loop_base.h"
#include "mem.h"

struct deferred {
    loop_fn *fn;
    void *arg;
};

#define TIMEOUT_KINDS 16

static struct {
    struct event_base *base;
    bool stopping;
    struct deferred *deferred;
    size_t n_deferred;
    size_t cap_deferred;
    struct {
        uint64_t ms;
        const struct timeval *common;
        struct timeval plain;
    } timeouts[TIMEOUT_KINDS];
    size_t n_timeouts;
} loop;

struct loop_timer {
    struct event *event;
    loop_fn *fn;
    void *arg;
};

struct loop_watch {
    struct event *event;
    loop_fd_fn *fn;
    void *arg;
};

void
loop_init(void)
{
    loop.base = event_base_new();
    if (loop.base == NULL)
        fatal("the event loop could not be set up");
    log_collect();
}

struct event_base *
loop_base(void)
{
    return loop.base;
}

static void
loop_run_deferred(void)
{
    /* The list may grow while it is worked off. */
    for (size_t i = 0; i < loop.n_deferred; i++)
        loop.deferred[i].fn(loop.deferred[i].arg);
    loop.n_deferred = 0;
}

void
loop_run(void)
{
    loop_run_deferred();
    log_flush();
    while (!loop.stopping) {
        if (event_base_loop(loop.base, EVLOOP_ONCE) < 0)
            fatal("the event loop failed");
        loop_run_deferred();
        log_flush();
    }
}

void
loop_stop(void)
{
    loop.stopping = true;
    event_base_loopbreak(loop.base);
}

int64_t
loop_now_ms(void)
{
    return clock_mono_ms();
}

void
loop_defer(loop_fn *fn, void *arg)
{
    if (loop.n_deferred == loop.cap_deferred) {
        loop.cap_deferred = loop.cap_deferred > 0 ? loop.cap_deferred * 2 : 64;
        loop.deferred =
            mem_grow(loop.deferred, loop.cap_deferred, sizeof(*loop.deferred));
    }
    loop.deferred[loop.n_deferred++] = (struct deferred){fn, arg};
}

const struct timeval *
loop_timeout(uint64_t ms)
{
    struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    size_t i;

    if (ms == 0)
        return NULL;
    for (i = 0; i < loop.n_timeouts; i++)
        if (loop.timeouts[i].ms == ms)
            return loop.timeouts[i].common;
    if (i == TIMEOUT_KINDS) /* reloads with ever new values: reuse the last */
        i--;
    else
        loop.n_timeouts++;
    loop.timeouts[i].ms = ms;
    loop.timeouts[i].plain = tv;
    loop.timeouts[i].common = event_base_init_common_timeout(loop.base, &tv);
    if (loop.timeouts[i].common == NULL)
        loop.timeouts[i].common = &loop.timeouts[i].plain;
    return loop.timeouts[i].common;
}

static void
loop_on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct loop_timer *timer = arg;

    (void)fd;
    (void)what;
    timer->fn(timer->arg);
}

struct loop_timer *
loop_timer_new(loop_fn *fn, void *arg)
{
    struct loop_timer *timer = mem_alloc(sizeof(*timer));

    timer->fn = fn;
    timer->arg = arg;
    timer->event = evtimer_new(loop.base, loop_on_timer, timer);
    if (timer->event == NULL)
        fatal("out of memory for a timer");
    return timer;
}

void
loop_timer_set(struct loop_timer *timer, uint64_t after_ms)
{
    struct timeval tv = {(time_t)(after_ms / 1000),
                         (suseconds_t)(after_ms % 1000 * 1000)};

    event_add(timer->event, &tv);
}

void
loop_timer_cancel(struct loop_timer *timer)
{
    event_del(timer->event);
}

void
loop_timer_free(struct loop_timer **timer)
{
    if (*timer == NULL)
        return;
    event_free((*timer)->event);
    free(*timer);
    *timer = NULL;
}

void
loop_signal(int number, loop_fn *fn, void *arg)
{
    /* Lives as long as the process; the timer's trampoline fits. */
    struct loop_timer *signal = mem_alloc(sizeof(*signal));

    signal->fn = fn;
    signal->arg = arg;
    signal->event = evsignal_new(loop.base, number, loop_on_timer, signal);
    if (signal->event == NULL || event_add(signal->event, NULL) != 0)
        fatal("signal %d could not be watched", number);
}

static void
loop_on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct loop_watch *watch = arg;

    (void)what;
    watch->fn(fd, watch->arg);
}

struct loop_watch *
loop_watch_new(int fd, loop_fd_fn *fn, void *arg)
{
    struct loop_watch *watch = mem_alloc(sizeof(*watch));

    watch->fn = fn;
    watch->arg = arg;
    watch->event =
        event_new(loop.base, fd, EV_READ | EV_PERSIST, loop_on_watch, watch);
    if (watch->event == NULL)
        fatal("out of memory for a descriptor's event");
    loop_watch_resume(watch);
    return watch;
}

void
loop_watch_pause(struct loop_watch *watch)
{
    event_del(watch->event);
}

void
loop_watch_resume(struct loop_watch *watch)
{
    event_add(watch->event, NULL);
}

void
loop_watch_free(struct loop_watch **watch)
{
    if (*watch == NULL)
        return;
    event_free((*watch)->event);
    free(*watch);
    *watch = NULL;
}
