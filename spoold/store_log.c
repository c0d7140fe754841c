/* SPDX-License-Identifier: ISC */
/*
 * A queue in two parts: memory, which is older, and a file. An entry is a
 * head, the encoded record and, where no descriptor is kept, the body file.
 */
#include "store_log.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "mem.h"

#define CHUNK_BYTES (256 * 1024)
#define MAP_ALIGN   UINT64_C(4096)

struct entry_head {
    uint64_t record_len;
    uint64_t content_len; /* of the body file behind the record */
    uint64_t has_descriptor;
};

struct store_log {
    char *path;
    size_t count;

    struct buf memory;
    size_t memory_at; /* what is before it was taken */
    size_t memory_max;

    int file; /* -1: not made yet */
    uint64_t file_at;
    uint64_t file_end;

    int *descriptors; /* of the entries that have one, in their order */
    size_t n_descriptors;
    size_t descriptors_max;

    /* What the last store_log_next gave out. */
    struct buf current;
    int current_fd;
    void *map;
    size_t map_len;
};

struct store_log *
store_log_new(const char *path, size_t memory_max, size_t descriptors_max)
{
    struct store_log *log = mem_alloc(sizeof(*log));

    log->path = mem_copy_text(path);
    log->memory_max = memory_max;
    log->descriptors_max = descriptors_max;
    log->descriptors = mem_alloc((descriptors_max + 1) * sizeof(int));
    log->file = -1;
    log->current_fd = -1;
    return log;
}

static void
forget_current(struct store_log *log)
{
    if (log->current_fd >= 0)
        close(log->current_fd);
    if (log->map != NULL)
        munmap(log->map, log->map_len);
    log->current_fd = -1;
    log->map = NULL;
    buf_reset(&log->current);
}

void
store_log_free(struct store_log **log_ptr)
{
    struct store_log *log = *log_ptr;

    if (log == NULL)
        return;
    forget_current(log);
    for (size_t i = 0; i < log->n_descriptors; i++)
        close(log->descriptors[i]);
    if (log->file >= 0)
        close(log->file);
    free(log->descriptors);
    free(log->path);
    buf_free(&log->memory);
    buf_free(&log->current);
    free(log);
    *log_ptr = NULL;
}

size_t
store_log_count(const struct store_log *log)
{
    return log->count;
}

/* --- in ------------------------------------------------------------------ */

static int
file_open(struct store_log *log, struct why *why)
{
    if (log->file >= 0)
        return 0;
    log->file = open(log->path,
                     O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log->file < 0)
        return why_text(why, "%s: %s", log->path, strerror(errno));
    unlink(log->path);
    return 0;
}

static int
file_write(struct store_log *log, const void *bytes, size_t len,
           struct why *why)
{
    ssize_t n =
        len > 0 ? pwrite(log->file, bytes, len, (off_t)log->file_end) : 0;

    if (n != (ssize_t)len)
        return why_text(why, "keeping records: %s",
                        n < 0 ? strerror(errno) : "no room");
    log->file_end += len;
    return 0;
}

/* The body file behind the record. */
static int
file_write_content(struct store_log *log, int fd, uint64_t len, struct why *why)
{
    char *chunk = mem_alloc(CHUNK_BYTES);
    uint64_t at = 0;
    int rc = 0;

    while (rc == 0 && at < len) {
        ssize_t n = pread(fd, chunk, CHUNK_BYTES, (off_t)at);

        if (n <= 0)
            rc = why_text(why,
                          "keeping records: content of %llu bytes ends "
                          "after %llu",
                          (unsigned long long)len, (unsigned long long)at);
        else
            rc = file_write(log, chunk, (size_t)n, why);
        at += n > 0 ? (uint64_t)n : 0;
    }
    free(chunk);
    return rc;
}

static int
add_to_file(struct store_log *log, const struct entry_head *head,
            struct view bytes, int fd, struct why *why)
{
    uint64_t before = log->file_end;

    if (file_open(log, why) != 0)
        return -1;
    if (file_write(log, head, sizeof(*head), why) == 0 &&
        file_write(log, bytes.data, bytes.len, why) == 0 &&
        file_write_content(log, fd, head->content_len, why) == 0)
        return 0;
    log->file_end = before;
    return -1;
}

static int
keep_descriptor(struct store_log *log, int fd, struct why *why)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (own < 0)
        return why_text(why, "keeping content: %s", strerror(errno));
    log->descriptors[log->n_descriptors++] = own;
    return 0;
}

int
store_log_add(struct store_log *log, const struct store_record *record,
              struct why *why)
{
    struct entry_head head = {0};
    struct buf bytes = {0};
    struct stat st = {0};
    size_t len;
    int rc = 0;

    if (record->fd >= 0 && fstat(record->fd, &st) != 0)
        return why_text(why, "keeping content: %s", strerror(errno));
    record_encode(&store_record_record, record, &bytes);
    head.record_len = bytes.len;
    head.has_descriptor =
        record->fd >= 0 && log->n_descriptors < log->descriptors_max;
    if (record->fd >= 0 && !head.has_descriptor)
        head.content_len = (uint64_t)st.st_size;
    len = sizeof(head) + bytes.len;
    if (log->file_end == log->file_at && head.content_len == 0 &&
        log->memory.len - log->memory_at + len <= log->memory_max) {
        buf_add(&log->memory, &head, sizeof(head));
        buf_add_view(&log->memory, buf_view(&bytes));
    } else {
        rc = add_to_file(log, &head, buf_view(&bytes), record->fd, why);
    }
    buf_free(&bytes);
    if (rc == 0 && head.has_descriptor)
        rc = keep_descriptor(log, record->fd, why);
    if (rc == 0)
        log->count++;
    return rc;
}

/* --- out ----------------------------------------------------------------- */

static void
take_from_memory(struct store_log *log, struct entry_head *head)
{
    const char *at = log->memory.data + log->memory_at;

    memcpy(head, at, sizeof(*head));
    buf_add(&log->current, at + sizeof(*head), head->record_len);
    log->memory_at += sizeof(*head) + head->record_len;
    if (log->memory_at > log->memory.len / 2) {
        buf_consume(&log->memory, log->memory_at);
        log->memory_at = 0;
    }
}

static int
file_read(struct store_log *log, void *to, size_t len, struct why *why)
{
    if (pread(log->file, to, len, (off_t)log->file_at) != (ssize_t)len)
        return why_text(why, "records that were kept cannot be read");
    log->file_at += len;
    return 0;
}

static int
map_content(struct store_log *log, uint64_t len, struct view *content,
            struct why *why)
{
    uint64_t from = log->file_at / MAP_ALIGN * MAP_ALIGN;

    log->map_len = (size_t)(log->file_at - from + len);
    log->map = mmap(NULL, log->map_len, PROT_READ, MAP_PRIVATE, log->file,
                    (off_t)from);
    if (log->map == MAP_FAILED) {
        log->map = NULL;
        return why_text(why, "content that was kept: %s", strerror(errno));
    }
    *content = (struct view){(const char *)log->map + (log->file_at - from),
                             (size_t)len};
    log->file_at += len;
    return 0;
}

static int
take_from_file(struct store_log *log, struct entry_head *head,
               struct view *content, struct why *why)
{
    if (file_read(log, head, sizeof(*head), why) != 0)
        return -1;
    buf_reserve(&log->current, head->record_len);
    if (file_read(log, log->current.data, head->record_len, why) != 0)
        return -1;
    log->current.len = head->record_len;
    if (head->content_len > 0 &&
        map_content(log, head->content_len, content, why) != 0)
        return -1;
    return 0;
}

static void
take_descriptor(struct store_log *log)
{
    log->current_fd = log->descriptors[0];
    log->n_descriptors--;
    memmove(log->descriptors, log->descriptors + 1,
            log->n_descriptors * sizeof(int));
}

/* All of the file was given out: its room is given back. */
static void
file_rewind(struct store_log *log)
{
    if (log->file_end == 0 || log->file_at < log->file_end ||
        log->map != NULL || ftruncate(log->file, 0) != 0)
        return;
    log->file_at = 0;
    log->file_end = 0;
}

int
store_log_next(struct store_log *log, struct store_record *record,
               struct why *why)
{
    struct entry_head head;
    struct view content = {0};

    forget_current(log);
    file_rewind(log);
    if (log->count == 0)
        return 0;
    if (log->memory.len > log->memory_at)
        take_from_memory(log, &head);
    else if (take_from_file(log, &head, &content, why) != 0)
        return -1;
    if (head.has_descriptor)
        take_descriptor(log);
    log->count--;
    if (record_decode(&store_record_record, buf_view(&log->current), record,
                      why) != 0)
        return -1;
    record->fd = log->current_fd;
    if (head.content_len > 0)
        record->content = content;
    return 1;
}
