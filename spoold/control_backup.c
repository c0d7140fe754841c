/* SPDX-License-Identifier: ISC */
/*
 * backup: the store as it is at one moment, sent to the client. A thread
 * writes the copy into a pipe (db_copy.c); the loop takes from it what the
 * client has room for. Behind the copy goes one line, the trailer:
 *
 *     spoold-backup 1 BYTES BLAKE2B MADE HELD HOSTNAME
 *
 * with the length of the copy, its digest in hexadecimal, the time, the
 * number of messages held and where it was made. A backup without it, or with
 * another digest, is not whole.
 *
 * Before: control_client.c
 * After:  spoolctl/show_backup.c; spoolctl/tool_restore.c reads it
 */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "body.h"
#include "clock.h"
#include "db_copy.h"
#include "event.h"
#include "mem.h"

#define PIPE_BYTES (1024 * 1024)
#define TAKE_BYTES (256 * 1024) /* in one step */
/* A client that takes nothing keeps pages of the store from being used. */
#define STALL_MS 60000

struct backup {
    struct control_client *client;
    struct db_copy *copy;
    int fd; /* our end of the pipe */
    struct loop_watch *watch;
    struct loop_timer *stall;
    struct body_digest *digest;
    uint64_t bytes;
    uint64_t held;
    int64_t made_ms;
    char chunk[TAKE_BYTES];
};

static void
backup_free(void *work)
{
    struct backup *backup = work;
    char unused[BODY_DIGEST_LEN];

    loop_watch_free(&backup->watch);
    loop_timer_free(&backup->stall);
    if (backup->fd >= 0)
        close(backup->fd); /* the thread ends with its next write */
    db_copy_free(&backup->copy);
    if (backup->digest != NULL)
        body_digest_end(&backup->digest, unused);
    free(backup);
}

/* --- the end -------------------------------------------------------------- */

static void
add_hex(struct buf *out, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_addf(out, "%02x", (unsigned char)bytes[i]);
}

static void
backup_note(const struct backup *backup)
{
    struct buf text = {0};
    struct ledger_entry entry = {.when_ms = (uint64_t)clock_wall_ms(),
                                 .event = EVENT_BACKUP};
    struct event event;

    event_begin(&event, EVENT_BACKUP);
    event_num(&event, "bytes", backup->bytes);
    event_num(&event, "held", backup->held);
    event_end(&event);
    buf_addf(&text, "%" PRIu64 " bytes, %" PRIu64 " messages held",
             backup->bytes, backup->held);
    entry.text = buf_view(&text);
    peer_send(ROLE_STORE, PROTO_NOTE, &entry, -1);
    buf_free(&text);
}

static void
backup_trailer(struct control_client *client)
{
    struct backup *backup = client->work;
    const struct view hostname = control_state.conf->hostname;
    char digest[BODY_DIGEST_LEN];
    char made[CLOCK_TEXT_MAX];
    struct buf line = {0}, hex = {0};

    body_digest_end(&backup->digest, digest);
    add_hex(&hex, digest, sizeof(digest));
    clock_print_iso(backup->made_ms, made);
    buf_addf(&line, "spoold-backup 1 %" PRIu64 " %.*s %s %" PRIu64 " %.*s\n",
             backup->bytes, (int)hex.len, hex.data, made, backup->held,
             (int)hostname.len, hostname.data);
    control_raw(client, buf_view(&line));
    control_row(client, json_pack("{s:I, s:I, s:s, s:s%}", "bytes",
                                  (json_int_t)backup->bytes, "held",
                                  (json_int_t)backup->held, "made", made,
                                  "blake2b", hex.data, hex.len));
    buf_free(&line);
    buf_free(&hex);
    backup_note(backup);
    control_done(client);
}

/* The pipe is at its end, so the thread is. */
static void
backup_end(struct control_client *client)
{
    struct backup *backup = client->work;
    struct why why;

    switch (db_copy_state(backup->copy, &why)) {
    case DB_COPY_RUNS:
        control_continue(client, backup_end);
        break;
    case DB_COPY_FAILED:
        control_fail(client, "%s", why.text);
        break;
    case DB_COPY_DONE:
        backup_trailer(client);
        break;
    }
}

/* --- from the pipe to the client ------------------------------------------ */

/* Runs when the client has room. */
static void
backup_step(struct control_client *client)
{
    struct backup *backup = client->work;
    ssize_t n = read(backup->fd, backup->chunk, sizeof(backup->chunk));

    loop_timer_set(backup->stall, STALL_MS);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        loop_watch_resume(backup->watch);
    } else if (n < 0) {
        control_fail(client, "the copy of the store: %s", strerror(errno));
    } else if (n == 0) {
        backup_end(client);
    } else {
        struct view bytes = {backup->chunk, (size_t)n};

        body_digest_add(backup->digest, bytes);
        backup->bytes += bytes.len;
        control_raw(client, bytes);
        control_continue(client, backup_step);
    }
}

static void
backup_readable(int fd, void *arg)
{
    struct backup *backup = arg;

    (void)fd;
    loop_watch_pause(backup->watch);
    control_continue(backup->client, backup_step);
}

static void
backup_stalls(void *arg)
{
    struct backup *backup = arg;

    control_fail(backup->client,
                 "the backup did not go on for %d seconds: it is given up",
                 STALL_MS / 1000);
}

static int
backup_pipe(struct backup *backup, struct db *db, struct why *why)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return why_text(why, "a pipe: %s", strerror(errno));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
    backup->fd = ends[0];
    backup->copy = db_copy_to_fd(db, ends[1], why);
    return backup->copy != NULL ? 0 : -1;
}

void
control_backup(struct control_client *client)
{
    struct backup *backup = mem_alloc(sizeof(*backup));
    struct db_counts counts = {0};
    struct why why;
    struct db *db = control_db(&why);

    backup->client = client;
    backup->fd = -1;
    client->work = backup;
    client->work_free = backup_free;
    backup->made_ms = clock_wall_ms();
    if (db == NULL || db_read_counts(db, &counts, &why) < 0 ||
        backup_pipe(backup, db, &why) != 0) {
        control_fail(client, "%s", why.text);
        return;
    }
    backup->held = counts.held;
    backup->digest = body_digest_new();
    backup->stall = loop_timer_new(backup_stalls, backup);
    backup->watch = loop_watch_new(backup->fd, backup_readable, backup);
    loop_timer_set(backup->stall, STALL_MS);
}
