/* SPDX-License-Identifier: ISC */
#include "stats.h"

#include <sys/mman.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

_Static_assert(sizeof(_Atomic uint64_t) == 8,
               "counters are shared as they are");

#define PAGE_BYTES 4096
#define CELLS_AT   (PAGE_BYTES / 16) /* the second half */
_Static_assert(STAT_COUNT <= CELLS_AT, "half a page of counters");
_Static_assert(ROLE_COUNT *STATS_CELLS <= CELLS_AT, "cells for each role");

/* Until the page is there (unit tests): a private one. */
static _Atomic uint64_t private_page[PAGE_BYTES / 8];
static _Atomic uint64_t *page = private_page;
static unsigned cells_at = CELLS_AT;

static const char *const names[STAT_COUNT] = {
#define X(NAME, name, sentence) [STAT_##NAME] = name,
#include "stats_table.h"
#undef X
};

int
stats_create(void)
{
    int fd = memfd_create("spoold-stats", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, PAGE_BYTES) != 0)
        fatal("the page of counters: %s", strerror(errno));
    return fd;
}

void
stats_attach(int fd)
{
    void *map =
        mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (map == MAP_FAILED)
        fatal("the page of counters: %s", strerror(errno));
    close(fd);
    page = map;
}

void
stats_add(enum stat stat, int64_t n)
{
    atomic_fetch_add_explicit(&page[stat], (uint64_t)n, memory_order_relaxed);
}

void
stats_set(enum stat stat, uint64_t value)
{
    atomic_store_explicit(&page[stat], value, memory_order_relaxed);
}

void
stats_raise(enum stat stat, uint64_t value)
{
    /* One role raises, another may set it to 0 in between: either is right. */
    if (stats_get(stat) < value)
        stats_set(stat, value);
}

uint64_t
stats_get(enum stat stat)
{
    return atomic_load_explicit(&page[stat], memory_order_relaxed);
}

const char *
stats_name(enum stat stat)
{
    return names[stat];
}

void
stats_cells_of(enum role role)
{
    cells_at = CELLS_AT + (unsigned)role * STATS_CELLS;
}

uint64_t
stats_cell(unsigned n)
{
    return atomic_load_explicit(&page[cells_at + n], memory_order_relaxed);
}

void
stats_cell_set(unsigned n, uint64_t value)
{
    atomic_store_explicit(&page[cells_at + n], value, memory_order_relaxed);
}
