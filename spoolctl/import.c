/* SPDX-License-Identifier: ISC */
/*
 * import PATH ...: directories that export made, and queue directories of
 * Postfix. Each message goes to the daemon with its content; what was refused
 * is named. An import of an export that was cut can be made again: an id that
 * is here is not taken twice.
 */
#include "spoolctl.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "body.h"
#include "file.h"
#include "import_postfix.h"
#include "mem.h"

#define MANIFEST       "manifest.jsonl"
#define LINE_BYTES     (4 * 1024 * 1024)
#define CHUNK          (64 * 1024)
#define QUEUE_FILE_MAX ((size_t)1 << 31)

/* --- what export made -------------------------------------------------------
 */

/* The file of a message, read once before it is sent: a digest that is not
 * the manifest's is found before the daemon has half of it. */
static int
file_is_whole(int fd, const char *want, struct why *why)
{
    static char chunk[CHUNK];
    char digest[BODY_DIGEST_LEN], hex[2 * BODY_DIGEST_LEN + 1];
    struct body_digest *sum = body_digest_new();
    off_t at = 0;
    ssize_t n;

    while ((n = pread(fd, chunk, sizeof(chunk), at)) > 0) {
        body_digest_add(sum, (struct view){chunk, (size_t)n});
        at += n;
    }
    body_digest_end(&sum, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)digest[i]);
    if (n < 0)
        return why_text(why, "%s", strerror(errno));
    if (*want != '\0' && strcmp(want, hex) != 0)
        return why_text(why, "its content is not what the manifest says");
    return 0;
}

static int
send_content(struct talk *talk, int fd, uint64_t size, struct why *why)
{
    static char chunk[CHUNK];
    uint64_t at = 0;

    while (at < size) {
        ssize_t n = pread(fd, chunk, sizeof(chunk), (off_t)at);

        if (n <= 0)
            return why_text(why, "a file became shorter while it was read");
        if ((uint64_t)n > size - at)
            n = (ssize_t)(size - at);
        if (talk_put(talk, (struct view){chunk, (size_t)n}, why) != 0)
            return -1;
        at += (uint64_t)n;
    }
    return 0;
}

/* One message. -1 ends the import; one that cannot be read is told of and
 * passed over, and counts in *failed. */
static int
send_message(struct talk *talk, int dir, const char *path, json_t *row,
             size_t *failed, struct why *why)
{
    const char *name = member_text(row, "file");
    int fd = *name != '\0' && strchr(name, '/') == NULL
                 ? openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
                 : -1;
    struct stat st = {0};
    struct why reason = {0};
    json_t *line;
    char *text;
    int rc;

    if (fd < 0 || fstat(fd, &st) != 0)
        why_text(&reason, "%s",
                 *name != '\0' ? strerror(errno) : "no file is named");
    else
        file_is_whole(fd, member_text(row, "blake2b"), &reason);
    if (reason.text[0] != '\0') {
        complain("%s/%s: %s", path, name, reason.text);
        ++*failed;
        if (fd >= 0)
            close(fd);
        return 0;
    }
    json_object_set_new(row, "source", json_sprintf("%s/%s", path, name));
    line =
        json_pack("{s:O, s:I}", "message", row, "raw", (json_int_t)st.st_size);
    text = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    rc = talk_put(talk, view_of(text), why);
    if (rc == 0)
        rc = talk_put(talk, VIEW("\n"), why);
    if (rc == 0)
        rc = send_content(talk, fd, (uint64_t)st.st_size, why);
    free(text);
    close(fd);
    return rc;
}

static int
send_directory(struct talk *talk, const char *path, size_t *failed,
               struct why *why)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dir >= 0 ? openat(dir, MANIFEST, O_RDONLY | O_CLOEXEC) : -1;
    FILE *manifest = fd >= 0 ? fdopen(fd, "r") : NULL;
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    unsigned long number = 0;
    int rc = 0;

    if (manifest == NULL) {
        rc = why_text(why, "%s/%s: %s", path, MANIFEST, strerror(errno));
        if (dir >= 0)
            close(dir);
        return rc;
    }
    while (rc == 0 && (len = getline(&line, &room, manifest)) > 0) {
        json_error_t error;
        json_t *row =
            len <= LINE_BYTES ? json_loadb(line, (size_t)len, 0, &error) : NULL;

        number++;
        if (!json_is_object(row)) {
            complain("%s/%s:%lu: not a line of a manifest", path, MANIFEST,
                     number);
            ++*failed;
        } else {
            rc = send_message(talk, dir, path, row, failed, why);
        }
        json_decref(row);
    }
    free(line);
    fclose(manifest);
    close(dir);
    return rc;
}

/* --- a queue directory of Postfix ------------------------------------------
 */

static json_t *
text_json(struct view text)
{
    return json_stringn_nocheck(text.data != NULL ? text.data : "", text.len);
}

static json_t *
postfix_json(const struct postfix_message *message, const char *source,
             bool on_hold)
{
    json_t *recipients = json_array();

    for (size_t i = 0; i < message->n_recipients; i++)
        json_array_append_new(
            recipients, json_pack("{s:o, s:s}", "address",
                                  text_json(message->recipients[i]), "state",
                                  on_hold ? "on-hold" : "ready"));
    return json_pack("{s:s, s:I, s:o, s:i, s:o, s:o, s:o, s:o}", "source",
                     source, "arrived_ms", (json_int_t)message->arrived_ms,
                     "sender", text_json(message->sender), "flags",
                     message->is_8bit + 2 * message->is_utf8, "client",
                     text_json(message->client), "helo",
                     text_json(message->helo), "protocol",
                     text_json(message->protocol), "recipients", recipients);
}

static int
send_memory(struct talk *talk, json_t *message, struct view content,
            struct why *why)
{
    json_t *line = json_pack("{s:o, s:I}", "message", message, "raw",
                             (json_int_t)content.len);
    char *text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
    int rc = 0;

    json_decref(line);
    if (text == NULL)
        return why_text(why, "an address that is not UTF-8");
    if (talk_put(talk, view_of(text), why) != 0 ||
        talk_put(talk, VIEW("\n"), why) != 0 ||
        talk_put(talk, content, why) != 0)
        rc = -1;
    free(text);
    return rc;
}

/* Postfix makes a file executable when all of it is there. */
static int
send_queue_file(struct talk *talk, const char *path, bool on_hold,
                size_t *failed, struct why *why)
{
    struct postfix_message message = {.arrived_ms = 0};
    struct buf bytes = {0};
    struct why reason;
    struct stat st;
    int rc = 0;

    if (stat(path, &st) != 0 || (st.st_mode & S_IXUSR) == 0) {
        complain("%s: not complete, passed over", path);
        return 0;
    }
    if (file_read(path, QUEUE_FILE_MAX, &bytes, &reason) != 0 ||
        postfix_parse(buf_view(&bytes), &message, &reason) != 0) {
        complain("%s: %s", path, reason.text);
        ++*failed;
    } else {
        rc = send_memory(talk, postfix_json(&message, path, on_hold),
                         buf_view(&message.content), why);
    }
    postfix_free(&message);
    buf_free(&bytes);
    return rc;
}

/* Files of a queue, which may lie in directories named by a first letter. */
static int
send_queue(struct talk *talk, const char *path, bool on_hold, size_t *failed,
           struct why *why)
{
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort);
    int rc = 0;

    for (int i = 0; i < n; i++) {
        char *below = NULL;
        struct stat st;

        if (names[i]->d_name[0] != '.' && rc == 0 &&
            asprintf(&below, "%s/%s", path, names[i]->d_name) > 0 &&
            lstat(below, &st) == 0) {
            if (S_ISDIR(st.st_mode))
                rc = send_queue(talk, below, on_hold, failed, why);
            else if (S_ISREG(st.st_mode))
                rc = send_queue_file(talk, below, on_hold, failed, why);
        }
        free(below);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return rc;
}

static bool
has(const char *path, const char *name)
{
    char *whole;
    bool there =
        asprintf(&whole, "%s/%s", path, name) > 0 && access(whole, F_OK) == 0;

    free(whole);
    return there;
}

static int
send_postfix(struct talk *talk, const char *path, size_t *failed,
             struct why *why)
{
    static const char *const queues[] = {"incoming", "active", "deferred",
                                         "hold"};
    int rc = 0;

    for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]) && rc == 0; i++) {
        char *queue;

        if (asprintf(&queue, "%s/%s", path, queues[i]) < 0)
            return why_text(why, "out of memory");
        rc = send_queue(talk, queue, strcmp(queues[i], "hold") == 0, failed,
                        why);
        free(queue);
    }
    return rc;
}

/* --- all of them -------------------------------------------------------------
 */

static size_t failed_here;

static int
import_send(struct talk *talk, const struct request *request, struct why *why)
{
    int rc = 0;

    for (size_t i = request->first; i < request->n_words && rc == 0; i++) {
        char *path = mem_copy(request->words[i].data, request->words[i].len);

        if (!has(path, MANIFEST) && has(path, "deferred") &&
            has(path, "active"))
            rc = send_postfix(talk, path, &failed_here, why);
        else
            rc = send_directory(talk, path, &failed_here, why);
        free(path);
    }
    return rc == 0 ? talk_put(talk, VIEW("{\"end\":true}\n"), why) : rc;
}

static void
import_row(const json_t *row)
{
    const char *result = member_text(row, "result");

    if (strcmp(result, "refused") == 0 || strcmp(result, "would import") == 0)
        printf("%s: %s%s%s\n", member_text(row, "source"), result,
               *member_text(row, "reason") != '\0' ? ": " : "",
               member_text(row, "reason"));
}

static void
import_end(const json_t *done, bool whole)
{
    (void)whole;
    if (done == NULL)
        return;
    printf("%llu imported, %llu here already, %llu refused\n",
           (unsigned long long)member_num(done, "imported"),
           (unsigned long long)member_num(done, "already"),
           (unsigned long long)member_num(done, "refused") + failed_here);
}

static int
import_finish(bool whole, struct why *why)
{
    if (whole && failed_here > 0)
        return why_text(why, "%zu files could not be read", failed_here);
    return 0;
}

const struct show show_import = {
    .send = import_send,
    .row = import_row,
    .end = import_end,
    .finish = import_finish,
};
