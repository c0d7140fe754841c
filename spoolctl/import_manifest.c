/* SPDX-License-Identifier: ISC */
/*
 * import of what export wrote: the manifest's lines are the messages, and say
 * where their content is. A manifest may have come from anybody: it names
 * files of its own directory and no others.
 *
 * Before: export.c
 */
#include "import.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mem.h"

#define LINE_BYTES_MAX (8 * 1024 * 1024)

/* --- lines ---------------------------------------------------------------- */

/* "ID.eml", "new/NAME": no way out of the directory. */
static bool
is_safe(const char *file)
{
    if (file[0] == '\0' || file[0] == '/' || strlen(file) > 255)
        return false;
    for (const char *at = file; at != NULL; at = strchr(at, '/')) {
        at += *at == '/';
        if (*at == '.' || *at == '/' || *at == '\0')
            return false;
    }
    return true;
}

static int
take_place(const json_t *message, bool mailbox, struct manifest_place *place,
           struct why *why)
{
    const json_t *offset = json_object_get(message, "offset");
    const json_t *length = json_object_get(message, "length");

    *place = (struct manifest_place){0};
    if (!mailbox) {
        place->file = member_text(message, "file");
        if (!is_safe(place->file))
            return why_text(why, "\"%.100s\" is not a name of a file there",
                            place->file);
        return 0;
    }
    if (!json_is_integer(offset) || !json_is_integer(length) ||
        json_integer_value(offset) < 0 || json_integer_value(length) <= 0 ||
        json_integer_value(length) > INT64_MAX - json_integer_value(offset))
        return why_text(why, "it has no offset and length");
    place->offset = (uint64_t)json_integer_value(offset);
    place->length = (uint64_t)json_integer_value(length);
    return 0;
}

json_t *
manifest_parse(struct view line, bool mailbox, struct manifest_place *place,
               struct why *why)
{
    json_error_t error;
    json_t *message =
        json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES, &error);
    const char *problem = message == NULL ? error.text : NULL;

    if (message != NULL && !json_is_object(message))
        problem = "it is not an object";
    if (problem != NULL)
        why_text(why, "not a line of a manifest: %s", problem);
    if (problem != NULL || take_place(message, mailbox, place, why) != 0) {
        json_decref(message);
        return NULL;
    }
    return message;
}

/* --- content -------------------------------------------------------------- */

static int
send_file(int directory, const char *source, json_t *message, const char *file)
{
    struct why why;
    uint64_t size;
    int fd = import_open(directory, file, &size, &why);
    int rc;

    if (fd < 0) {
        import_failed(source, "%s: %s", file, why.text);
        json_decref(message);
        return 0;
    }
    rc = import_send(message, size, import_read_file, &fd);
    close(fd);
    return rc;
}

/* --- the manifest --------------------------------------------------------- */

struct manifest {
    const char *path;
    int directory; /* of the files, or */
    int mailbox;   /* the file, -1: none */
    size_t line;
};

static int
send_line(struct manifest *manifest, struct view line)
{
    struct manifest_place place;
    struct buf source = {0};
    struct why why;
    json_t *message;
    int rc = 0;

    manifest->line++;
    buf_addf(&source, "%s:%zu", manifest->path, manifest->line);
    buf_add_byte(&source, '\0');
    message = manifest_parse(line, manifest->mailbox >= 0, &place, &why);
    if (message == NULL) {
        import_failed(source.data, "%s", why.text);
    } else {
        json_object_set_new(
            message, "source",
            import_json_text((struct view){source.data, source.len - 1}));
        rc = manifest->mailbox >= 0
                 ? import_mbox_message(manifest->mailbox, message, place.offset,
                                       place.length)
                 : send_file(manifest->directory, source.data, message,
                             place.file);
    }
    buf_free(&source);
    return rc;
}

/* Lines, each taken when it is whole: the last one of an export that was cut
 * may not be. */
static int
send_lines(struct manifest *manifest, FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    int rc = 0;

    while (rc == 0 && (len = getline(&line, &room, file)) > 0) {
        if (len > LINE_BYTES_MAX || line[len - 1] != '\n') {
            import_failed(manifest->path, "line %zu is %s", manifest->line + 1,
                          len > LINE_BYTES_MAX ? "too long" : "cut");
            break;
        }
        rc = send_line(manifest, (struct view){line, (size_t)len - 1});
    }
    if (ferror(file))
        import_failed(manifest->path, "%s", strerror(errno));
    free(line);
    return rc;
}

static int
open_place(struct manifest *manifest, const char *file, struct why *why)
{
    char *copy = mem_copy_text(manifest->path);
    uint64_t size;

    if (file != NULL)
        manifest->mailbox = import_open(AT_FDCWD, file, &size, why);
    else
        manifest->directory =
            open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (file == NULL && manifest->directory < 0)
        return why_text(why, "%s", strerror(errno));
    return file != NULL && manifest->mailbox < 0 ? -1 : 0;
}

int
import_manifest(const char *path, const char *file)
{
    struct manifest manifest = {.path = path, .directory = -1, .mailbox = -1};
    FILE *lines = fopen(path, "re");
    struct why why;
    int rc = 0;

    if (lines == NULL)
        import_failed(path, "%s", strerror(errno));
    else if (open_place(&manifest, file, &why) != 0)
        import_failed(file != NULL ? file : path, "%s", why.text);
    else
        rc = send_lines(&manifest, lines);
    if (lines != NULL)
        fclose(lines);
    if (manifest.directory >= 0)
        close(manifest.directory);
    if (manifest.mailbox >= 0)
        close(manifest.mailbox);
    return rc;
}
