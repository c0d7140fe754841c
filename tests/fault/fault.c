/* SPDX-License-Identifier: ISC */
/*
 * Preloaded into spoold by the fault tests: fails the Nth call that matters
 * for durability in one role, once or from then on.
 *
 * Counted are writes to, syncs of and changes of length of regular files
 * (not the log on descriptors 1 and 2). The orders and the count are in a
 * file that the test and every process map (SPOOLD_FAULT_FILE), so that they
 * hold over restarts of the role and can be changed while it runs. The
 * struct below has its twin in tests/fault/fault.py.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum call {
    CALL_WRITE = 1, /* of any form */
    CALL_SYNC = 2,
    CALL_LENGTH = 3, /* ftruncate, fallocate */
};

enum how {
    HOW_ERROR = 1, /* -1 and the given errno */
    HOW_SHORT = 2, /* half of a write is done; others fail with the errno */
};

struct orders {
    uint64_t armed;   /* 0: nothing is counted */
    uint64_t fail_at; /* the number of the call that fails, from 1 */
    uint64_t forever; /* 1: all after it fail too */
    uint64_t how;
    uint64_t error;    /* errno */
    uint64_t count;    /* calls so far */
    uint64_t hits;     /* failed so far */
    uint64_t hit_call; /* the first that failed: what and where */
    uint64_t hit_pid;
    char role[16]; /* only in processes with "-x role" */
};

static struct orders *orders;
static bool meant; /* this process has a role */
static char role[16];

static void __attribute__((constructor)) fault_init(void)
{
    const char *path = getenv("SPOOLD_FAULT_FILE");
    char arguments[4096];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, arguments, sizeof(arguments) - 1) : 0;

    if (fd >= 0)
        close(fd);
    arguments[len > 0 ? len : 0] = '\0';
    for (char *word = arguments; word < arguments + len;
         word += strlen(word) + 1)
        if (strcmp(word, "-x") == 0) {
            snprintf(role, sizeof(role), "%s", word + 3);
            meant = true;
        }
    fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (!meant || fd < 0)
        return;
    orders =
        mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (orders == MAP_FAILED)
        orders = NULL;
    close(fd);
}

/* Is it this call's turn? */
static bool
fault_due(enum call call, int fd)
{
    struct stat st;
    uint64_t number;

    if (orders == NULL || orders->armed == 0 || fd <= 2 ||
        strcmp(orders->role, role) != 0 || fstat(fd, &st) != 0 ||
        !S_ISREG(st.st_mode))
        return false;
    number = __atomic_add_fetch(&orders->count, 1, __ATOMIC_SEQ_CST);
    if (number < orders->fail_at ||
        (number > orders->fail_at && orders->forever == 0))
        return false;
    if (__atomic_fetch_add(&orders->hits, 1, __ATOMIC_SEQ_CST) == 0) {
        orders->hit_call = call;
        orders->hit_pid = (uint64_t)getpid();
    }
    errno = (int)orders->error;
    return true;
}

static void *
fault_next(const char *name)
{
    void *next = dlsym(RTLD_NEXT, name);

    if (next == NULL)
        abort();
    return next;
}

/* Where half of a write is asked for and there is half of one. */
static bool
fault_is_short(size_t len)
{
    return orders->how == HOW_SHORT && len > 1;
}

#define NEXT(name)                                                             \
    static __typeof__(&name) next;                                             \
    if (next == NULL)                                                          \
    next = (__typeof__(&name))fault_next(#name)

ssize_t
write(int fd, const void *data, size_t len)
{
    NEXT(write);
    if (!fault_due(CALL_WRITE, fd))
        return next(fd, data, len);
    return fault_is_short(len) ? next(fd, data, len / 2) : -1;
}

ssize_t
pwrite(int fd, const void *data, size_t len, off_t at)
{
    NEXT(pwrite);
    if (!fault_due(CALL_WRITE, fd))
        return next(fd, data, len, at);
    return fault_is_short(len) ? next(fd, data, len / 2, at) : -1;
}

ssize_t
pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    NEXT(pwrite64);
    if (!fault_due(CALL_WRITE, fd))
        return next(fd, data, len, at);
    return fault_is_short(len) ? next(fd, data, len / 2, at) : -1;
}

/* Short: the first part only, halved where there is but one. */
static int
fault_cut(const struct iovec *parts, int n, struct iovec *cut)
{
    *cut = parts[0];
    if (n == 1)
        cut->iov_len /= 2;
    return 1;
}

ssize_t
writev(int fd, const struct iovec *parts, int n)
{
    struct iovec cut;

    NEXT(writev);
    if (!fault_due(CALL_WRITE, fd))
        return next(fd, parts, n);
    return fault_is_short(parts[0].iov_len)
               ? next(fd, &cut, fault_cut(parts, n, &cut))
               : -1;
}

ssize_t
pwritev(int fd, const struct iovec *parts, int n, off_t at)
{
    struct iovec cut;

    NEXT(pwritev);
    if (!fault_due(CALL_WRITE, fd))
        return next(fd, parts, n, at);
    return fault_is_short(parts[0].iov_len)
               ? next(fd, &cut, fault_cut(parts, n, &cut), at)
               : -1;
}

ssize_t
pwritev64(int fd, const struct iovec *parts, int n, off64_t at)
{
    struct iovec cut;

    NEXT(pwritev64);
    if (!fault_due(CALL_WRITE, fd))
        return next(fd, parts, n, at);
    return fault_is_short(parts[0].iov_len)
               ? next(fd, &cut, fault_cut(parts, n, &cut), at)
               : -1;
}

int
fsync(int fd)
{
    NEXT(fsync);
    return fault_due(CALL_SYNC, fd) ? -1 : next(fd);
}

int
fdatasync(int fd)
{
    NEXT(fdatasync);
    return fault_due(CALL_SYNC, fd) ? -1 : next(fd);
}

int
ftruncate(int fd, off_t len)
{
    NEXT(ftruncate);
    return fault_due(CALL_LENGTH, fd) ? -1 : next(fd, len);
}

int
ftruncate64(int fd, off64_t len)
{
    NEXT(ftruncate64);
    return fault_due(CALL_LENGTH, fd) ? -1 : next(fd, len);
}

int
fallocate(int fd, int mode, off_t at, off_t len)
{
    NEXT(fallocate);
    return fault_due(CALL_LENGTH, fd) ? -1 : next(fd, mode, at, len);
}
