/* SPDX-License-Identifier: ISC */
/*
 * import: messages from files to the daemon, one behind the other, without
 * waiting for the answer to each. Nothing is removed from where they come
 * from; what was taken is here already the next time.
 *
 * After: spoold/control_import.c
 */
#include "import.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mem.h"
#include "utf8.h"

#define READ_BYTES (64 * 1024)

static struct {
    struct talk *talk;
    const struct request *request;
    bool dry_run;
    int pushed; /* the last answer of talk_push */
    struct why why;
    uint64_t imported;
    uint64_t already;
    uint64_t refused; /* by the daemon */
    uint64_t failed;  /* before it was asked */
} import;

json_t *
import_json_text(struct view text)
{
    return json_stringn(text.len > 0 ? text.data : "", text.len);
}

/* --- one message ---------------------------------------------------------- */

void
import_failed(const char *source, const char *format, ...)
{
    struct why why;
    struct buf clean = {0};
    json_t *row;
    va_list ap;

    va_start(ap, format);
    vsnprintf(why.text, sizeof(why.text), format, ap);
    va_end(ap);
    utf8_clean(view_of(source), &clean);
    row = json_pack("{s:o, s:s, s:s}", "source",
                    import_json_text(buf_view(&clean)), "id", "", "result",
                    "failed");
    buf_reset(&clean);
    utf8_clean(view_of(why.text), &clean);
    json_object_set_new(row, "reason", import_json_text(buf_view(&clean)));
    buf_free(&clean);
    import.failed++;
    talk_tell(import.talk, row);
    json_decref(row);
}

static int
push(struct view bytes)
{
    import.pushed = talk_push(import.talk, bytes, &import.why);
    return import.pushed;
}

static int
push_line(json_t *message, uint64_t raw)
{
    json_t *line =
        json_pack("{s:O, s:I}", "message", message, "raw", (json_int_t)raw);
    char *text = json_dumps(line, JSON_COMPACT);
    int rc = push(view_of(text));

    free(text);
    json_decref(line);
    return rc == 0 ? push(VIEW("\n")) : rc;
}

/* The size is promised, so a message cannot be ended in any way but with the
 * connection. */
static void
give_up(const char *source, const char *reason)
{
    complain("%s: %s; import again what is not here yet", source, reason);
    exit(CTL_EXIT_REFUSED);
}

static int
push_content(const json_t *message, uint64_t size, import_read_fn *read,
             void *arg)
{
    struct buf out = {0};
    int more = 1, rc = 0;

    while (rc == 0 && more == 1 && size > 0) {
        buf_reset(&out);
        more = read(arg, &out, &import.why);
        if (more < 0 || out.len > size || (more == 0 && out.len < size))
            break;
        rc = push(buf_view(&out));
        size -= out.len;
    }
    buf_free(&out);
    if (rc == 0 && size > 0)
        give_up(member_text(message, "source"),
                more < 0 ? import.why.text : "it changed while it was read");
    return rc;
}

int
import_send(json_t *message, uint64_t size, import_read_fn *read, void *arg)
{
    int rc = push_line(message, import.dry_run ? 0 : size);

    if (rc == 0 && !import.dry_run)
        rc = push_content(message, size, read, arg);
    json_decref(message);
    return rc == 0 ? 0 : -1;
}

int
import_read_file(void *arg, struct buf *out, struct why *why)
{
    int fd = *(int *)arg;
    ssize_t n;

    buf_reserve(out, READ_BYTES);
    do
        n = read(fd, out->data + out->len, READ_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return why_text(why, "%s", strerror(errno));
    out->len += (size_t)n;
    return n > 0;
}

int
import_open(int directory, const char *name, uint64_t *size, struct why *why)
{
    int fd =
        openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return why_text(why, "%s", strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return why_text(why, "it is not a regular file");
    }
    *size = (uint64_t)st.st_size;
    return fd;
}

/* --- what kind of source -------------------------------------------------- */

static bool
exists(const char *path, const char *name)
{
    struct buf whole = {0};
    bool there;

    buf_addf(&whole, "%s%s", path, name);
    buf_add_byte(&whole, '\0');
    there = access(whole.data, F_OK) == 0;
    buf_free(&whole);
    return there;
}

static int
with_manifest(const char *path, const char *name, const char *file)
{
    struct buf manifest = {0};
    int rc;

    buf_addf(&manifest, "%s%s", path, name);
    buf_add_byte(&manifest, '\0');
    rc = import_manifest(manifest.data, file);
    buf_free(&manifest);
    return rc;
}

static bool
is_mbox(const char *path)
{
    char start[5] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is;

    is = fd >= 0 && read(fd, start, sizeof(start)) == sizeof(start) &&
         memcmp(start, "From ", sizeof(start)) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

static int
import_directory(const char *path)
{
    const char *name = strrchr(path, '/');

    name = name != NULL ? name + 1 : path;
    if (exists(path, "/manifest.jsonl"))
        return with_manifest(path, "/manifest.jsonl", NULL);
    if (exists(path, "/new") && exists(path, "/cur"))
        return import_maildir(path);
    if (exists(path, "/deferred") || exists(path, "/active") ||
        strcmp(name, "active") == 0 || strcmp(name, "deferred") == 0 ||
        strcmp(name, "incoming") == 0 || strcmp(name, "hold") == 0)
        return import_postfix(path);
    return import_eml_directory(path);
}

static int
import_path(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        import_failed(path, "%s", strerror(errno));
        return 0;
    }
    if (S_ISDIR(st.st_mode))
        return import_directory(path);
    if (exists(path, ".manifest.jsonl"))
        return with_manifest(path, ".manifest.jsonl", path);
    return is_mbox(path) ? import_mbox(path) : import_eml(path);
}

/* --- the command ---------------------------------------------------------- */

static int
import_begin(const struct request *request, struct why *why)
{
    (void)why;
    import.request = request;
    import.dry_run = request->options[CTL_OPTION_DRY_RUN] != NULL;
    return 0;
}

static int
import_feed(struct talk *talk, struct why *why)
{
    const struct request *request = import.request;
    int rc = 0;

    import.talk = talk;
    for (size_t i = request->first; rc == 0 && i < request->n_words; i++) {
        struct view word = request->words[i];
        char *path = mem_copy(word.data, word.len);

        while (word.len > 1 && path[word.len - 1] == '/')
            path[--word.len] = '\0';
        rc = import_path(path);
        free(path);
    }
    if (rc == 0)
        import.pushed = talk_push_end(talk, &import.why);
    *why = import.why;
    return import.pushed;
}

static void
import_row(const json_t *row)
{
    const char *result = member_text(row, "result");

    if (strcmp(result, "imported") == 0 || strcmp(result, "would import") == 0)
        import.imported++;
    else if (strcmp(result, "already here") == 0)
        import.already++;
    else if (strcmp(result, "refused") == 0)
        import.refused++;
    if (strcmp(result, "refused") == 0 || strcmp(result, "failed") == 0)
        complain("%s: %s", member_text(row, "source"),
                 member_text(row, "reason"));
}

static void
import_end(const json_t *done, bool whole)
{
    char count[MEMBER_TEXT_MAX];

    (void)done;
    (void)whole;
    printf("%s %s", member_count(import.imported, "message", count),
           import.dry_run ? "would be imported" : "imported");
    if (import.already > 0)
        printf(", %llu already here", (unsigned long long)import.already);
    if (import.refused + import.failed > 0)
        printf(", %llu not imported",
               (unsigned long long)(import.refused + import.failed));
    printf("\n");
}

static int
import_finish(bool whole, struct why *why)
{
    (void)whole;
    if (import.failed == 0)
        return 0;
    return why_text(why, "%llu could not be read",
                    (unsigned long long)import.failed);
}

const struct show show_import = {
    .begin = import_begin,
    .row = import_row,
    .end = import_end,
    .finish = import_finish,
    .feed = import_feed,
};
