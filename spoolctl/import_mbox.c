/* SPDX-License-Identifier: ISC */
/*
 * import of mailboxes that are one file. Each message is read twice: how long
 * it is must be known before it is sent, and where it ends shows only when
 * the next one begins.
 *
 * Lines end in LF there. In a mailbox that export wrote each LF was a CRLF; in
 * others a line may have its CR still.
 */
#include "import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "body.h"
#include "mbox.h"

#define READ_BYTES   (64 * 1024)
#define HEADER_BYTES (64 * 1024) /* kept for the envelope */

/* Reading one message, or the file up to its next "From " line. */
struct reading {
    int fd;
    uint64_t at;
    uint64_t end; /* of the message, or of the file */
    bool exact;   /* each LF was a CRLF */
    bool after_cr;
    bool ended;
    bool at_from; /* by the "From " line of the next message */
    struct mbox mbox;
    struct buf in;
    size_t taken; /* of in */
    struct buf lines;
};

static void
reading_begin(struct reading *reading, int fd, uint64_t at, uint64_t end)
{
    *reading = (struct reading){.fd = fd, .at = at, .end = end};
}

static void
reading_free(struct reading *reading)
{
    buf_free(&reading->in);
    buf_free(&reading->lines);
}

/* 1: there is some input, 0: the end. */
static int
reading_fill(struct reading *reading, struct why *why)
{
    uint64_t left = reading->end - reading->at;
    ssize_t n;

    if (reading->taken < reading->in.len)
        return 1;
    buf_reset(&reading->in);
    reading->taken = 0;
    buf_reserve(&reading->in, READ_BYTES);
    do
        n = pread(reading->fd, reading->in.data,
                  left < READ_BYTES ? (size_t)left : READ_BYTES,
                  (off_t)reading->at);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return why_text(why, "%s", strerror(errno));
    reading->at += (uint64_t)n;
    reading->in.len = (size_t)n;
    return n > 0;
}

/* Lines as they are in content. */
static void
add_lines(struct reading *reading, struct buf *out)
{
    const char *at = reading->lines.data;
    const char *end = at + reading->lines.len;

    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *stop = lf != NULL ? lf : end;

        if (stop > at)
            reading->after_cr = stop[-1] == '\r';
        buf_add(out, at, (size_t)(stop - at));
        if (lf == NULL)
            break;
        buf_add_text(out, reading->after_cr && !reading->exact ? "\n" : "\r\n");
        reading->after_cr = false;
        at = lf + 1;
    }
    buf_reset(&reading->lines);
}

/* Some of the message; as import_read_fn. */
static int
reading_next(void *arg, struct buf *out, struct why *why)
{
    struct reading *reading = arg;
    int more = reading->ended ? 0 : reading_fill(reading, why);

    if (more > 0) {
        struct view input = view_skip(buf_view(&reading->in), reading->taken);
        size_t len = input.len;

        reading->at_from = reading->ended =
            mbox_take(&reading->mbox, &input, &reading->lines) == MBOX_FROM;
        reading->taken += len - input.len;
    } else if (more == 0 && !reading->ended) {
        mbox_end(&reading->mbox, &reading->lines);
        reading->ended = true;
    }
    add_lines(reading, out);
    return more < 0 ? -1 : !reading->ended;
}

/* Where in the file the reading is. */
static uint64_t
reading_place(const struct reading *reading)
{
    return reading->at - (reading->in.len - reading->taken);
}

/* --- with a manifest ------------------------------------------------------ */

static void
inside(struct reading *reading, int fd, uint64_t at, uint64_t end, bool exact)
{
    reading_begin(reading, fd, at, end);
    reading->exact = exact;
    mbox_init(&reading->mbox, true);
}

int
import_mbox_message(int fd, json_t *message, uint64_t offset, uint64_t length)
{
    struct reading reading;
    int rc;

    inside(&reading, fd, offset, offset + length, true);
    rc = import_send(message, member_num(message, "size"), reading_next,
                     &reading);
    reading_free(&reading);
    return rc;
}

/* --- without -------------------------------------------------------------- */

/* What the first reading finds out. */
struct found {
    uint64_t begin; /* of the content, in the file */
    uint64_t end;
    uint64_t size;
    char digest[BODY_DIGEST_LEN];
    struct buf header;
    char from[MBOX_FROM_MAX];
    size_t from_len;
};

/* "SENDER Wed Nov 25 03:22:01 2026": the sender, and the rest. */
static struct view
from_sender(const struct found *found, struct view *date)
{
    struct view line = {found->from, found->from_len};
    const char *blank = line.len > 0 ? memchr(line.data, ' ', line.len) : NULL;
    size_t len = blank != NULL ? (size_t)(blank - line.data) : line.len;

    *date = view_skip(line, len);
    return (struct view){line.data, len};
}

static uint64_t
date_ms(struct view date)
{
    char text[64];
    struct tm tm = {0};
    time_t s;

    snprintf(text, sizeof(text), "%.*s", (int)(date.len < 60 ? date.len : 60),
             date.data);
    if (strptime(text, "%n%a %b %d %H:%M:%S %Y", &tm) == NULL)
        return 0;
    s = timegm(&tm);
    return s > 0 ? (uint64_t)s * 1000 : 0;
}

/* Two messages that are the same byte for byte are two where they stand at
 * different places. */
static json_t *
make_key(const struct found *found)
{
    struct buf key = {0};
    json_t *json;

    buf_addf(&key, "mbox %llu ", (unsigned long long)found->begin);
    for (size_t i = 0; i < sizeof(found->digest); i++)
        buf_addf(&key, "%02x", (unsigned char)found->digest[i]);
    json = json_stringn(key.data, key.len);
    buf_free(&key);
    return json;
}

static int
describe(const struct found *found, const char *source, json_t *message,
         struct why *why)
{
    struct view date, sender = from_sender(found, &date);

    if (memchr(sender.data, '@', sender.len) == NULL)
        sender.len = 0; /* MAILER-DAEMON and the like: Return-Path must say */
    json_object_set_new(message, "source", import_json_text(view_of(source)));
    json_object_set_new(message, "key", make_key(found));
    json_object_set_new(message, "arrived_ms",
                        json_integer((json_int_t)date_ms(date)));
    return import_envelope(buf_view(&found->header), sender, message, why);
}

static int
send_found(int fd, const char *path, const struct found *found)
{
    struct buf source = {0};
    struct reading reading;
    struct why why;
    json_t *message = json_object();
    int rc = 0;

    buf_addf(&source, "%s:%llu", path, (unsigned long long)found->begin);
    buf_add_byte(&source, '\0');
    if (describe(found, source.data, message, &why) != 0) {
        import_failed(source.data, "%s", why.text);
        json_decref(message);
    } else {
        inside(&reading, fd, found->begin, found->end, false);
        rc = import_send(message, found->size, reading_next, &reading);
        reading_free(&reading);
    }
    buf_free(&source);
    return rc;
}

/* Reads up to the next "From " line, or the end. */
static int
find_end(struct reading *reading, struct found *found, struct why *why)
{
    struct body_digest *digest = body_digest_new();
    struct buf content = {0};
    int more;

    found->begin = reading_place(reading);
    found->size = 0;
    buf_reset(&found->header);
    reading->ended = reading->at_from = reading->after_cr = false;
    do {
        size_t room = HEADER_BYTES - found->header.len;

        buf_reset(&content);
        more = reading_next(reading, &content, why);
        found->size += content.len;
        body_digest_add(digest, buf_view(&content));
        buf_add(&found->header, content.data,
                content.len < room ? content.len : room);
    } while (more > 0);
    body_digest_end(&digest, found->digest);
    buf_free(&content);
    found->end = reading_place(reading);
    return more;
}

/* What is before the first "From " line is no message. */
static int
send_all(struct reading *reading, struct found *found, const char *path)
{
    struct why why;
    int rc = 0, read = find_end(reading, found, &why);

    while (rc == 0 && read == 0 && reading->at_from) {
        found->from_len = reading->mbox.from_len;
        memcpy(found->from, reading->mbox.from, found->from_len);
        read = find_end(reading, found, &why);
        if (read == 0)
            rc = send_found(reading->fd, path, found);
    }
    if (read < 0)
        import_failed(path, "%s", why.text);
    return rc;
}

int
import_mbox(const char *path)
{
    struct reading reading;
    struct found found = {0};
    struct why why;
    uint64_t size;
    int fd = import_open(AT_FDCWD, path, &size, &why);
    int rc;

    if (fd < 0) {
        import_failed(path, "%s", why.text);
        return 0;
    }
    reading_begin(&reading, fd, 0, size);
    mbox_init(&reading.mbox, false);
    rc = send_all(&reading, &found, path);
    reading_free(&reading);
    buf_free(&found.header);
    close(fd);
    return rc;
}
