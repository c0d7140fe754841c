/* SPDX-License-Identifier: ISC */
/*
 * import of files that are messages and have no manifest: Maildirs of other
 * programs, .eml files. Their headers have to say what the envelope was.
 */
#include "import.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "mem.h"

#define HEADER_BYTES (64 * 1024) /* looked at for the envelope */

/* A name of a Maildir begins with the seconds of its arrival, and behind a
 * ":" are flags, which change. */
static void
set_name(json_t *message, const char *name, int fd)
{
    char *end;
    unsigned long long s = strtoull(name, &end, 10);
    struct stat st;

    if ((*end != '.' && *end != '\0') || s == 0 || s > INT32_MAX)
        s = fstat(fd, &st) == 0 && st.st_mtime > 0
                ? (unsigned long long)st.st_mtime
                : 0;
    json_object_set_new(message, "arrived_ms",
                        json_integer((json_int_t)s * 1000));
    json_object_set_new(
        message, "key",
        import_json_text((struct view){name, strcspn(name, ":")}));
}

static json_t *
describe(int fd, const char *source, const char *name, struct why *why)
{
    json_t *message =
        json_pack("{s:o}", "source", import_json_text(view_of(source)));
    char *header = mem_alloc(HEADER_BYTES);
    ssize_t len = pread(fd, header, HEADER_BYTES, 0);
    int rc;

    if (message == NULL)
        rc = why_text(why, "its name is not UTF-8");
    else if (len < 0)
        rc = why_text(why, "%s", strerror(errno));
    else
        rc = import_envelope((struct view){header, (size_t)len},
                             (struct view){"", 0}, message, why);
    free(header);
    if (rc == 0) {
        set_name(message, name, fd);
        return message;
    }
    json_decref(message);
    return NULL;
}

static int
send_file(int directory, const char *file, const char *source, const char *name)
{
    struct why why;
    uint64_t size;
    int fd = import_open(directory, file, &size, &why);
    json_t *message = fd >= 0 ? describe(fd, source, name, &why) : NULL;
    int rc = 0;

    if (message != NULL)
        rc = import_send(message, size, import_read_file, &fd);
    else
        import_failed(source, "%s", why.text);
    if (fd >= 0)
        close(fd);
    return rc;
}

static bool
ends_in(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);

    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

/* All files of a directory whose names end so; counts them. */
static int
send_directory(const char *path, const char *end, size_t *n)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    int rc = 0;

    if (directory == NULL) {
        import_failed(path, "%s", strerror(errno));
        return 0;
    }
    while (rc == 0 && (entry = readdir(directory)) != NULL) {
        struct buf source = {0};

        if (entry->d_name[0] == '.' || !ends_in(entry->d_name, end))
            continue;
        buf_addf(&source, "%s/%s", path, entry->d_name);
        buf_add_byte(&source, '\0');
        rc = send_file(dirfd(directory), entry->d_name, source.data,
                       entry->d_name);
        buf_free(&source);
        ++*n;
    }
    closedir(directory);
    return rc;
}

int
import_eml_directory(const char *path)
{
    size_t n = 0;
    int rc = send_directory(path, ".eml", &n);

    if (rc == 0 && n == 0)
        import_failed(path, "there is no manifest.jsonl, no Maildir, no queue "
                            "of Postfix and no file that ends in .eml");
    return rc;
}

int
import_maildir(const char *path)
{
    static const char *const parts[] = {"/cur", "/new"};
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < 2; i++) {
        struct buf part = {0};

        buf_addf(&part, "%s%s", path, parts[i]);
        buf_add_byte(&part, '\0');
        rc = send_directory(part.data, "", &n);
        buf_free(&part);
    }
    return rc;
}

int
import_eml(const char *path)
{
    const char *name = strrchr(path, '/');

    return send_file(AT_FDCWD, path, path, name != NULL ? name + 1 : path);
}
