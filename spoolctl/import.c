/* SPDX-License-Identifier: ISC */
/*
 * import PATH ...: directories that export made. Each line of a manifest goes
 * to the daemon with the content of its file; what was refused is named. An
 * import that was cut can be made again: what is here is not taken twice.
 */
#include "spoolctl.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "body.h"
#include "mem.h"

#define MANIFEST   "manifest.jsonl"
#define LINE_BYTES (4 * 1024 * 1024)
#define CHUNK      (64 * 1024)

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

static size_t failed_here;

static int
import_send(struct talk *talk, const struct request *request, struct why *why)
{
    int rc = 0;

    for (size_t i = request->first; i < request->n_words && rc == 0; i++) {
        char *path = mem_copy(request->words[i].data, request->words[i].len);

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
