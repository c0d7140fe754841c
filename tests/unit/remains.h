/* SPDX-License-Identifier: ISC */
/*
 * What somebody finds who takes a process over: a child does its work and
 * stays as it is, and all its writable memory is searched for what should be
 * gone.
 */
#ifndef SPOOL_TEST_REMAINS_H
#define SPOOL_TEST_REMAINS_H

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Mappings above this are the shadows of the sanitizers, but for the heap. */
#define REMAINS_MAP_MAX ((size_t)240 << 20)
#define REMAINS_MAX     ((size_t)512 << 20)

struct remains {
    pid_t pid;
    char *bytes; /* all that was writable, mapping after mapping; not of the
                  * heap, which the next child would have */
    size_t len;
};

/* Runs work(arg) in a child and takes its memory. What it wants to tell goes
 * through *arg, which must be of remains_shared. */
static inline void
remains_of(struct remains *remains, void (*work)(void *arg), void *arg)
{
    char path[64], line[512];
    FILE *maps;
    int status, mem;

    *remains = (struct remains){.pid = fork()};
    assert_true(remains->pid >= 0);
    if (remains->pid == 0) {
        work(arg);
        raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(remains->pid, &status, WUNTRACED), remains->pid);
    assert_true(WIFSTOPPED(status));
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)remains->pid);
    assert_non_null(maps = fopen(path, "re"));
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)remains->pid);
    remains->bytes = mmap(NULL, REMAINS_MAX, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(remains->bytes, MAP_FAILED);
    assert_true((mem = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
    while (fgets(line, sizeof(line), maps) != NULL) {
        unsigned long start, end;
        char access[5];
        ssize_t n;

        if (sscanf(line, "%lx-%lx %4s", &start, &end, access) != 3 ||
            access[0] != 'r' || access[1] != 'w' || access[3] == 's' ||
            (end - start > REMAINS_MAP_MAX && strstr(line, "[heap]") == NULL))
            continue;
        assert_true(remains->len + (end - start) <= REMAINS_MAX);
        n = pread(mem, remains->bytes + remains->len, end - start,
                  (off_t)start);
        remains->len += n > 0 ? (size_t)n : 0;
    }
    fclose(maps);
    close(mem);
    kill(remains->pid, SIGKILL);
    waitpid(remains->pid, &status, 0);
    assert_true(remains->len > 0);
}

static inline bool
remains_hold(const struct remains *remains, const char *bytes, size_t len)
{
    return memmem(remains->bytes, remains->len, bytes, len) != NULL;
}

static inline void
remains_free(struct remains *remains)
{
    munmap(remains->bytes, REMAINS_MAX);
    remains->bytes = NULL;
}

/* Memory that child and parent share; it is not searched. */
static inline void *
remains_shared(size_t len)
{
    void *shared = mmap(NULL, len, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(shared, MAP_FAILED);
    return shared;
}

#endif
