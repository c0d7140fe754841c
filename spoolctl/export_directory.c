/* SPDX-License-Identifier: ISC */
/*
 * export to a directory: ID.eml for each message, or a Maildir, whose messages
 * are written in tmp and appear in new when they are whole. Contents stay byte
 * for byte what they are, line ends included.
 */
#include "export.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "msgid.h"

#define NAME_BYTES 64

static struct {
    bool maildir;
    int directory;
    int fd;                    /* of the message under way, -1: none */
    char written[NAME_BYTES];  /* where it is written */
    char finished[NAME_BYTES]; /* where it will be */
} files = {.directory = -1, .fd = -1};

static int
directory_make(const char *path, struct why *why)
{
    static const char *const parts[] = {"tmp", "new", "cur"};
    int fd;

    if (mkdir(path, 0700) != 0)
        return why_text(why, "%s: %s", path, strerror(errno));
    files.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (files.directory < 0)
        return why_text(why, "%s: %s", path, strerror(errno));
    for (size_t i = 0; files.maildir && i < 3; i++)
        if (mkdirat(files.directory, parts[i], 0700) != 0)
            return why_text(why, "%s/%s: %s", path, parts[i], strerror(errno));
    fd = openat(files.directory, "manifest.jsonl",
                O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return why_text(why, "%s/manifest.jsonl: %s", path, strerror(errno));
    return fd;
}

static int
eml_open(const char *path, struct why *why)
{
    return directory_make(path, why);
}

static int
maildir_open(const char *path, struct why *why)
{
    files.maildir = true;
    return directory_make(path, why);
}

static int
message_open(void)
{
    files.fd = openat(files.directory, files.written,
                      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return files.fd >= 0 ? 0 : -1;
}

static int
eml_begin(const char *id, const json_t *row)
{
    (void)row;
    snprintf(files.written, NAME_BYTES, "%s.eml", id);
    snprintf(files.finished, NAME_BYTES, "%s.eml", id);
    return message_open();
}

/* The name begins with the time of arrival, by which readers sort. */
static int
maildir_begin(const char *id, const json_t *row)
{
    unsigned long long s = member_num(row, "arrived_ms") / 1000;

    snprintf(files.written, NAME_BYTES, "tmp/%llu.%s.spoold", s, id);
    snprintf(files.finished, NAME_BYTES, "new/%llu.%s.spoold", s, id);
    return message_open();
}

static int
message_write(struct view bytes)
{
    return export_write(files.fd, bytes);
}

static int
message_close(void)
{
    int fd = files.fd;

    files.fd = -1;
    return close(fd);
}

static int
message_end(json_t *row)
{
    if (message_close() != 0)
        return -1;
    if (files.maildir && renameat(files.directory, files.written,
                                  files.directory, files.finished) != 0)
        return -1;
    json_object_set_new(row, "file", json_string(files.finished));
    return 0;
}

static int
message_drop(void)
{
    if (files.fd < 0)
        return 0;
    message_close();
    return unlinkat(files.directory, files.written, 0);
}

/* Thousands of files: all of them at once instead of one by one. The kernel
 * reports what could not be written since the directory was opened. */
static int
directory_sync(void)
{
    return syncfs(files.directory);
}

const struct export_format export_eml = {
    .name = "eml",
    .open = eml_open,
    .begin = eml_begin,
    .write = message_write,
    .end = message_end,
    .drop = message_drop,
    .sync = directory_sync,
};

const struct export_format export_maildir = {
    .name = "maildir",
    .open = maildir_open,
    .begin = maildir_begin,
    .write = message_write,
    .end = message_end,
    .drop = message_drop,
    .sync = directory_sync,
};
