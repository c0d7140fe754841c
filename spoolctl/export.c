/* SPDX-License-Identifier: ISC */
/*
 * export: messages to files. Beside the mail there is a manifest with one line
 * of JSON for each message: what the daemon knows of it, where its content is
 * and the digest of that. The line comes after the content is there, so a
 * message that has one is whole; that all is on the disk is said at the end.
 *
 * Before: spoold/control_export.c
 * After:  import_manifest.c
 */
#include "export.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "body.h"
#include "mem.h"

static const struct export_format *const formats[] = {
    &export_eml,
    &export_maildir,
    &export_mbox,
};

static struct {
    const struct export_format *format;
    enum ctl_output output;
    const char *path;
    int manifest;
    json_t *row; /* of the message under way */
    struct body_digest *digest;
    uint64_t messages;
    uint64_t bytes;
    uint64_t failed;
} export = {.manifest = -1};

int
export_write(int fd, struct view bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);

        if (n < 0 && errno != EINTR)
            return -1;
        bytes = view_skip(bytes, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

/* The daemon need not go on when the files cannot be written. */
static void
must(int rc)
{
    if (rc == 0)
        return;
    complain("%s: %s: what is there is not all", export.path, strerror(errno));
    exit(CTL_EXIT_REFUSED);
}

static int
export_begin(const struct request *request, struct why *why)
{
    const char *name = request->options[CTL_OPTION_FORMAT];

    export.output = request->output;
    export.path = request->options[CTL_OPTION_TO];
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (strcmp(name != NULL ? name : "eml", formats[i]->name) == 0)
            export.format = formats[i];
    if (export.format == NULL)
        return why_text(why, "there is no format \"%s\": eml, maildir or mbox",
                        name);
    export.manifest = export.format->open(export.path, why);
    return export.manifest >= 0 ? 0 : -1;
}

/* --- one message ---------------------------------------------------------- */

static void
add_digest(json_t *row)
{
    char digest[BODY_DIGEST_LEN];
    char text[2 * BODY_DIGEST_LEN + 1];

    body_digest_end(&export.digest, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned char)digest[i]);
    json_object_set_new(row, "blake2b", json_string(text));
}

static void
write_line(const json_t *row)
{
    char *text = json_dumps(row, JSON_COMPACT);

    must(export_write(export.manifest, view_of(text)));
    must(export_write(export.manifest, VIEW("\n")));
    free(text);
}

static void
message_end(const char *error)
{
    const char *id = member_text(export.row, "id");

    if (error[0] != '\0') {
        complain("%s: %s", id, error);
        export.failed++;
        must(export.format->drop());
    } else {
        must(export.format->end(export.row));
        add_digest(export.row);
        write_line(export.row);
        export.messages++;
        export.bytes += member_num(export.row, "size");
    }
    json_decref(export.row);
    export.row = NULL;
}

/* The row of a message, or the one that ends it. */
static void
export_row(const json_t *row)
{
    char digest[BODY_DIGEST_LEN];

    if (json_object_get(row, "end") != NULL && export.row != NULL) {
        message_end(member_text(row, "error"));
        return;
    }
    export.row = json_deep_copy(row);
    if (export.digest != NULL)
        body_digest_end(&export.digest, digest);
    export.digest = body_digest_new();
    must(export.format->begin(member_text(row, "id"), row));
}

static void
export_raw(struct view bytes)
{
    body_digest_add(export.digest, bytes);
    must(export.format->write(bytes));
}

/* --- the end -------------------------------------------------------------- */

static void
print_summary(void)
{
    char count[MEMBER_TEXT_MAX], size[MEMBER_TEXT_MAX];

    if (export.output != OUTPUT_TEXT) {
        json_t *row = json_pack(
            "{s:I, s:I, s:I, s:s}", "messages", (json_int_t) export.messages,
            "bytes", (json_int_t) export.bytes, "failed",
            (json_int_t) export.failed, "path", export.path);

        json_dumpf(row, stdout,
                   export.output == OUTPUT_JSON ? JSON_INDENT(2)
                                                : JSON_COMPACT);
        printf("\n");
        json_decref(row);
        return;
    }
    printf("%s, %s: %s\n", member_count(export.messages, "message", count),
           member_size(export.bytes, size), export.path);
}

static int
export_finish(bool whole, struct why *why)
{
    int rc = 0;

    (void)whole; /* what could be read is to stay */
    if (export.row != NULL)
        export.format->drop();
    if (fsync(export.manifest) != 0 || export.format->sync() != 0)
        rc = why_text(why, "%s: %s", export.path, strerror(errno));
    else
        print_summary();
    json_decref(export.row);
    return rc;
}

const struct show show_export = {
    .begin = export_begin,
    .row = export_row,
    .raw = export_raw,
    .finish = export_finish,
    .keeps_rows = true,
};
