/* SPDX-License-Identifier: ISC */
/*
 * backup FILE: what the daemon sends goes to FILE.part, which becomes FILE
 * when all of it is there and on the disk. "-" is the standard output.
 */
#include "spoolctl.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mem.h"

static struct {
    int fd;
    char *path; /* NULL: the standard output */
    char *part;
} backup = {.fd = -1};

static int
backup_begin(const struct request *request, struct why *why)
{
    struct view file = request->words[request->first];
    struct buf part = {0};

    if (view_equal(file, VIEW("-"))) {
        backup.fd = STDOUT_FILENO;
        if (request->output != OUTPUT_TEXT)
            return why_text(why, "the backup and a document cannot both go to "
                                 "the standard output");
        if (isatty(STDOUT_FILENO))
            return why_text(why, "a backup is not for a terminal");
        return 0;
    }
    buf_add_view(&part, file);
    buf_add_text(&part, ".part");
    backup.path = mem_copy(file.data, file.len);
    backup.part = mem_copy(part.data, part.len);
    buf_free(&part);
    backup.fd =
        open(backup.part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
             0600);
    if (backup.fd < 0)
        return why_text(why, "%s: %s", backup.part, strerror(errno));
    return 0;
}

/* The daemon need not go on when nobody takes it. */
static void
backup_raw(struct view bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(backup.fd, bytes.data, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            complain("%s: %s", backup.part != NULL ? backup.part : "output",
                     strerror(errno));
            if (backup.part != NULL)
                unlink(backup.part);
            exit(CTL_EXIT_REFUSED);
        }
        bytes = view_skip(bytes, (size_t)n);
    }
}

/* The name is as durable as the bytes. */
static int
sync_directory(const char *path)
{
    char *copy = mem_copy_text(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 ? fsync(fd) : -1;

    if (fd >= 0)
        close(fd);
    free(copy);
    return rc;
}

static int
backup_finish(bool whole, struct why *why)
{
    int rc = 0;

    if (backup.path == NULL)
        return 0;
    if (!whole) {
        unlink(backup.part);
    } else if (fsync(backup.fd) != 0 || close(backup.fd) != 0 ||
               rename(backup.part, backup.path) != 0 ||
               sync_directory(backup.path) != 0) {
        rc = why_text(why, "%s: %s", backup.path, strerror(errno));
        unlink(backup.part);
    }
    free(backup.path);
    free(backup.part);
    return rc;
}

static void
backup_row(const json_t *row)
{
    char held[MEMBER_TEXT_MAX], size[MEMBER_TEXT_MAX];

    if (backup.path == NULL)
        return; /* the output is the backup */
    printf("%s held, %s: %s\n",
           member_count(member_num(row, "held"), "message", held),
           member_size(member_num(row, "bytes"), size), backup.path);
}

const struct show show_backup = {
    .begin = backup_begin,
    .row = backup_row,
    .raw = backup_raw,
    .finish = backup_finish,
};
