/* SPDX-License-Identifier: ISC */
/*
 * Preloaded into spoold by tests about time: both clocks are the system's and
 * what the file SPOOLD_CLOCK_FILE says (two signed 64-bit numbers, in
 * milliseconds: of the wall clock, of the monotonic one), which every process
 * maps and the test changes while they run.
 */
#include <sys/mman.h>
#include <sys/time.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef int gettime_fn(clockid_t id, struct timespec *now);

static const volatile int64_t *offsets;
static gettime_fn *real;

static void __attribute__((constructor)) clock_init(void)
{
    const char *path = getenv("SPOOLD_CLOCK_FILE");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at =
        fd >= 0 ? mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (at != MAP_FAILED)
        offsets = at;
    if (fd >= 0)
        close(fd);
}

/* A pointer to a function, which dlsym() gives as one to an object. */
static gettime_fn *
gettime_find(void)
{
    union {
        void *object;
        gettime_fn *function;
    } found = {.object = dlsym(RTLD_NEXT, "clock_gettime")};

    return found.function;
}

int
clock_gettime(clockid_t id, struct timespec *now)
{
    int64_t ms = 0;
    int rc;

    if (real == NULL)
        real = gettime_find();
    rc = real(id, now);
    if (rc != 0 || offsets == NULL)
        return rc;
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
        ms = offsets[0];
    else if (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE)
        ms = offsets[1];
    now->tv_sec += ms / 1000;
    now->tv_nsec += ms % 1000 * 1000000;
    if (now->tv_nsec < 0) {
        now->tv_nsec += 1000000000;
        now->tv_sec--;
    } else if (now->tv_nsec >= 1000000000) {
        now->tv_nsec -= 1000000000;
        now->tv_sec++;
    }
    return 0;
}

int
gettimeofday(struct timeval *now, void *zone)
{
    struct timespec exact;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    *now = (struct timeval){exact.tv_sec, exact.tv_nsec / 1000};
    return 0;
}

time_t
time(time_t *now)
{
    struct timespec exact;

    clock_gettime(CLOCK_REALTIME, &exact);
    if (now != NULL)
        *now = exact.tv_sec;
    return exact.tv_sec;
}
