/* SPDX-License-Identifier: ISC */
/* What io.c and peer.c need of the loop's libevent; nobody else. */
#ifndef SPOOLD_LOOP_BASE_H
#define SPOOLD_LOOP_BASE_H

#include <event2/event.h>

#include <stdint.h>

struct event_base *loop_base(void);

/* A timeval for event_add that many events share at no cost of order
 * (event_base_init_common_timeout); NULL for 0: no timeout. */
const struct timeval *loop_timeout(uint64_t ms);

#endif
