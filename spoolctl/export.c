/* SPDX-License-Identifier: ISC */
/*
 * export --to PATH: one file a message, ID.eml with its exact bytes, and
 * manifest.jsonl with a line a message: everything the store knows of it, its
 * file, and the digest of the content. The manifest gets its name last, when
 * all is on the disk: where there is one, the export is whole.
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

#define MANIFEST "manifest.jsonl"
#define PART     "manifest.part"

static struct {
    const char *path;
    int dir;
    FILE *manifest;
    json_t *row; /* of the message whose content is coming */
    char name[64];
    int fd;
    struct body_digest *digest;
    unsigned long long messages;
} export = {.dir = -1, .fd = -1};

/* The disk is full, or gone: what was asked for cannot be had. */
static void __attribute__((noreturn)) export_give_up(const char *name)
{
    complain("%s/%s: %s (there is no %s: the export is not whole)", export.path,
             name, strerror(errno), MANIFEST);
    exit(CTL_EXIT_REFUSED);
}

static int
export_begin(const struct request *request, struct why *why)
{
    int fd;

    export.path = request->options[CTL_OPTION_TO];
    if (export.path == NULL)
        return why_text(why, "say where to: --to PATH");
    if (mkdir(export.path, 0700) != 0 && errno != EEXIST)
        return why_text(why, "%s: %s", export.path, strerror(errno));
    export.dir = open(export.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (export.dir < 0)
        return why_text(why, "%s: %s", export.path, strerror(errno));
    if (faccessat(export.dir, MANIFEST, F_OK, 0) == 0)
        return why_text(why, "%s: there is an export already", export.path);
    fd = openat(export.dir, PART, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                0600);
    if (fd < 0 || (export.manifest = fdopen(fd, "w")) == NULL)
        return why_text(why, "%s/%s: %s", export.path, PART, strerror(errno));
    return 0;
}

static void
export_start(const json_t *row)
{
    export.row = json_deep_copy(row);
    snprintf(export.name, sizeof(export.name), "%.40s.eml",
             member_text(row, "id"));
    export.fd =
        openat(export.dir, export.name,
               O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (export.fd < 0)
        export_give_up(export.name);
    export.digest = body_digest_new();
}

static void
export_raw(struct view bytes)
{
    if (export.fd < 0)
        return;
    body_digest_add(export.digest, bytes);
    while (bytes.len > 0) {
        ssize_t n = write(export.fd, bytes.data, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            export_give_up(export.name);
        bytes = view_skip(bytes, (size_t)n);
    }
}

static void
export_end_message(const json_t *row)
{
    const char *error = member_text(row, "error");
    char digest[BODY_DIGEST_LEN], hex[2 * BODY_DIGEST_LEN + 1];

    if (export.fd < 0)
        return;
    body_digest_end(&export.digest, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)digest[i]);
    if (fsync(export.fd) != 0)
        export_give_up(export.name);
    close(export.fd);
    export.fd = -1;
    if (*error != '\0') {
        complain("%s: %s", member_text(export.row, "id"), error);
        unlinkat(export.dir, export.name, 0);
    } else {
        json_object_set_new(export.row, "file", json_string(export.name));
        json_object_set_new(export.row, "blake2b", json_string(hex));
        if (json_dumpf(export.row, export.manifest, JSON_COMPACT) != 0 ||
            fputc('\n', export.manifest) == EOF)
            export_give_up(PART);
        export.messages++;
    }
    json_decref(export.row);
    export.row = NULL;
}

static void
export_row(const json_t *row)
{
    if (json_object_get(row, "end") != NULL)
        export_end_message(row);
    else
        export_start(row);
}

/* What could be read is exported, and the manifest says what that is; only
 * when the daemon went away it is not whole. */
static int
export_finish(bool whole, struct why *why)
{
    (void)whole;
    if (export.fd >= 0)
        return why_text(why,
                        "%s: the daemon went away: the export is not "
                        "whole",
                        export.path);
    if (fflush(export.manifest) != 0 || fsync(fileno(export.manifest)) != 0 ||
        renameat(export.dir, PART, export.dir, MANIFEST) != 0 ||
        fsync(export.dir) != 0)
        return why_text(why, "%s/%s: %s", export.path, MANIFEST,
                        strerror(errno));
    fclose(export.manifest);
    close(export.dir);
    return 0;
}

static void
export_end(const json_t *done, bool whole)
{
    char text[MEMBER_TEXT_MAX];

    (void)done;
    (void)whole;
    printf("%s exported to %s\n",
           member_count(export.messages, "message", text), export.path);
}

const struct show show_export = {
    .begin = export_begin,
    .file_row = export_row,
    .raw = export_raw,
    .end = export_end,
    .finish = export_finish,
};
