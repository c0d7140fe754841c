/* SPDX-License-Identifier: ISC */
/*
 * Live counters in one shared page that every role bumps and control reads.
 * The parent makes the page once; counters survive the restart of a role.
 * Gauges (names ending in -now) are written by one role only, which sets
 * them to 0 when it starts.
 */
#ifndef SPOOLD_STATS_H
#define SPOOLD_STATS_H

#include <stdint.h>

#include "proto.h"

enum stat {
#define X(NAME, name, sentence) STAT_##NAME,
#include "stats_table.h"
#undef X
    STAT_COUNT
};

int stats_create(void);    /* a descriptor of a new page */
void stats_attach(int fd); /* maps it; takes fd */
void stats_add(enum stat stat, int64_t n);
void stats_set(enum stat stat, uint64_t value);
void stats_raise(enum stat stat, uint64_t value); /* if it is lower */
uint64_t stats_get(enum stat stat);
const char *stats_name(enum stat stat);

/* Some words beside the counters, for one role each (reading.c), which
 * survive its restart in the same way. */
#define STATS_CELLS 32
void stats_cells_of(enum role role); /* whose they are from now on */
uint64_t stats_cell(unsigned n);
void stats_cell_set(unsigned n, uint64_t value);

#endif
