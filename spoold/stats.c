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
_Static_assert(STAT_COUNT * 8 <= PAGE_BYTES, "one page of counters");

/* Until the page is there (unit tests): a private one. */
static _Atomic uint64_t private_page[STAT_COUNT];
static _Atomic uint64_t *page = private_page;

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
