/* SPDX-License-Identifier: ISC */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "num.h"

#define STEP_BYTES 65536

static int
file_too_large(size_t max_bytes, struct why *why)
{
    char text[NUM_TEXT_MAX];

    return why_text(why, "larger than %s", num_print_size(max_bytes, text));
}

int
file_read_fd(int fd, size_t max_bytes, struct buf *out, struct why *why)
{
    size_t taken = 0;
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) != 0)
        return why_text(why, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return why_text(why, "not a regular file");
    if ((uint64_t)st.st_size > max_bytes)
        return file_too_large(max_bytes, why);
    buf_reserve(out, (size_t)st.st_size + 1); /* one read, and its end */
    for (;;) {
        if (out->cap == out->len)
            buf_reserve(out, STEP_BYTES); /* it grows while we read */
        n = pread(fd, out->data + out->len, out->cap - out->len, (off_t)taken);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return why_text(why, "%s", strerror(errno));
        out->len += (size_t)n;
        taken += (size_t)n;
        if (taken > max_bytes)
            return file_too_large(max_bytes, why);
    }
}

int
file_read(const char *path, size_t max_bytes, struct buf *out, struct why *why)
{
    /* O_NONBLOCK: opening a FIFO must not wait for its other end. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int result;

    if (fd < 0)
        return why_text(why, "%s", strerror(errno));
    result = file_read_fd(fd, max_bytes, out, why);
    close(fd);
    return result;
}
