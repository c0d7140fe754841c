/* SPDX-License-Identifier: ISC */
/*
 * export to one file that mail readers know: a mailbox in the form of mbox.h.
 * The manifest beside it says where each message's content begins and how
 * many bytes of the file are its.
 */
#include "export.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "mbox.h"
#include "mem.h"

static struct {
    int fd;
    char *path;
    uint64_t size;    /* of the file */
    uint64_t begin;   /* of the message under way, with its "From " line */
    uint64_t content; /* of its content */
    struct mbox_writer writer;
    struct buf out;
} mailbox = {.fd = -1};

static int
mbox_open(const char *path, struct why *why)
{
    struct buf manifest = {0};
    int fd;

    mailbox.path = mem_copy_text(path);
    mailbox.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (mailbox.fd < 0)
        return why_text(why, "%s: %s", path, strerror(errno));
    buf_addf(&manifest, "%s.manifest.jsonl", path);
    buf_add_byte(&manifest, '\0');
    fd = open(manifest.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        why_text(why, "%s: %s", manifest.data, strerror(errno));
        unlink(path);
    }
    buf_free(&manifest);
    return fd;
}

static int
flush(void)
{
    int rc = export_write(mailbox.fd, buf_view(&mailbox.out));

    mailbox.size += mailbox.out.len;
    buf_reset(&mailbox.out);
    return rc;
}

/* A blank would end it: addresses may have some in quotes. */
static void
add_sender(struct view sender)
{
    if (sender.len == 0)
        buf_add_text(&mailbox.out, "MAILER-DAEMON");
    for (size_t i = 0; i < sender.len; i++)
        buf_add_byte(&mailbox.out,
                     (uint8_t)(sender.data[i] <= ' ' ? '_' : sender.data[i]));
}

static int
message_begin(const char *id, const json_t *row)
{
    time_t arrived = (time_t)(member_num(row, "arrived_ms") / 1000);
    char date[64];
    struct tm tm;

    (void)id;
    if (gmtime_r(&arrived, &tm) == NULL)
        tm = (struct tm){.tm_mday = 1};
    strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &tm);
    mailbox.begin = mailbox.size;
    mailbox.writer = (struct mbox_writer){0};
    buf_add_text(&mailbox.out, "From ");
    add_sender(view_of(member_text(row, "sender")));
    buf_addf(&mailbox.out, " %s\n", date);
    mailbox.content = mailbox.size + mailbox.out.len;
    return flush();
}

static int
message_write(struct view bytes)
{
    mbox_write(&mailbox.writer, bytes, &mailbox.out);
    return flush();
}

/* The empty line behind the content counts as its own: a reader that knows
 * where the message ends (mbox_init, inside) leaves it out again. */
static int
message_end(json_t *row)
{
    mbox_write_end(&mailbox.writer, &mailbox.out);
    if (flush() != 0)
        return -1;
    json_object_set_new(row, "offset",
                        json_integer((json_int_t)mailbox.content));
    json_object_set_new(
        row, "length",
        json_integer((json_int_t)(mailbox.size - mailbox.content)));
    return 0;
}

static int
message_drop(void)
{
    buf_reset(&mailbox.out);
    if (ftruncate(mailbox.fd, (off_t)mailbox.begin) != 0 ||
        lseek(mailbox.fd, (off_t)mailbox.begin, SEEK_SET) < 0)
        return -1;
    mailbox.size = mailbox.begin;
    return 0;
}

static int
mbox_sync(void)
{
    char *path = mem_copy_text(mailbox.path);
    int directory = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = -1;

    if (fsync(mailbox.fd) == 0 && directory >= 0)
        rc = fsync(directory);
    if (directory >= 0)
        close(directory);
    free(path);
    free(mailbox.path);
    buf_free(&mailbox.out);
    return rc;
}

const struct export_format export_mbox = {
    .name = "mbox",
    .open = mbox_open,
    .begin = message_begin,
    .write = message_write,
    .end = message_end,
    .drop = message_drop,
    .sync = mbox_sync,
};
