/* SPDX-License-Identifier: ISC */
/*
 * import from the queue of a Postfix that is stopped: what is in active,
 * incoming and deferred goes on, what is in hold stays on hold. Recipients
 * that had their mail are left out. Bounces and delay notices it has in mind
 * are not taken along, nor is the time messages have spent in its queue: that
 * was on another clock.
 */
#include "import.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "postfix_queue.h"

#define DEPTH_MAX 18 /* of hashed directories: one letter each */

static const struct queue {
    const char *name;
    const char *state;
} queues[] = {
    {"active", "ready"},
    {"incoming", "ready"},
    {"deferred", "later"},
    {"hold", "on-hold"},
};

/* --- one file ------------------------------------------------------------- */

struct file {
    const char *state; /* of its open deliveries */
    const char *path;
    const char *name; /* the queue id */
    int fd;
    struct stat st;
    struct postfix_reader reader;
    struct postfix_envelope envelope;
};

static int64_t
read_at(void *arg, uint64_t at, char *to, size_t len)
{
    const struct file *file = arg;
    ssize_t n;

    do
        n = pread(file->fd, to, len, (off_t)at);
    while (n < 0 && errno == EINTR);
    return n;
}

static int
read_content(void *arg, struct buf *out, struct why *why)
{
    struct file *file = arg;
    enum got got = postfix_content_next(&file->reader, out, why);

    if (got != GOT_ONE && got != GOT_MORE)
        return -1;
    return got == GOT_MORE;
}

/* Its queue manager sets the time of the next try as the file's. */
static json_t *
recipients(const struct file *file)
{
    struct view rest = buf_view(&file->envelope.recipients);
    json_t *list = json_array();

    while (rest.len > 0) {
        struct view address = {rest.data, strlen(rest.data)};
        json_t *text = import_json_text(address);

        if (text == NULL) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list,
                              json_pack("{s:o, s:s, s:I}", "address", text,
                                        "state", file->state, "next_ms",
                                        (json_int_t)file->st.st_mtime * 1000));
        rest = view_skip(rest, address.len + 1);
    }
    return list;
}

/* What is only told may be lost for not being UTF-8. */
static void
set_told(json_t *message, const char *name, const struct buf *text)
{
    json_t *json = import_json_text(buf_view(text));

    if (json != NULL)
        json_object_set_new(message, name, json);
}

static json_t *
describe(const struct file *file, struct why *why)
{
    const struct postfix_envelope *envelope = &file->envelope;
    json_t *message = json_object();
    json_t *list = recipients(file);
    json_t *sender = import_json_text(buf_view(&envelope->sender));

    json_object_set_new(message, "source",
                        import_json_text(view_of(file->path)));
    json_object_set_new(message, "key", json_string(file->name));
    json_object_set_new(message, "arrived_ms",
                        json_integer((json_int_t)envelope->arrived_ms));
    set_told(message, "client", &envelope->client);
    set_told(message, "helo", &envelope->helo);
    set_told(message, "protocol", &envelope->protocol);
    if (list != NULL && sender != NULL) {
        json_object_set_new(message, "recipients", list);
        json_object_set_new(message, "sender", sender);
        return message;
    }
    json_decref(list);
    json_decref(sender);
    json_decref(message);
    why_text(why, "an address in it is not UTF-8");
    return NULL;
}

/* Postfix makes a file executable when it is whole. */
static int
check_file(struct file *file, struct why *why)
{
    if (fstat(file->fd, &file->st) != 0)
        return why_text(why, "%s", strerror(errno));
    if ((file->st.st_mode & S_IXUSR) == 0)
        return why_text(why, "Postfix has not taken it yet: it is not whole");
    postfix_reader_init(&file->reader, read_at, file,
                        (uint64_t)file->st.st_size);
    return postfix_envelope_read(&file->reader, &file->envelope, why);
}

static int
send_envelope(struct file *file)
{
    struct why why;
    json_t *message;

    if (check_file(file, &why) != 0) {
        import_failed(file->path, "%s", why.text);
        return 0;
    }
    if (file->envelope.n_recipients == 0)
        return 0; /* all had it: Postfix would remove it */
    message = describe(file, &why);
    if (message == NULL) {
        import_failed(file->path, "%s", why.text);
        return 0;
    }
    postfix_content_begin(&file->reader, &file->envelope);
    return import_send(message, file->envelope.size, read_content, file);
}

static int
send_file(int directory, const char *name, const char *path, const char *state)
{
    struct file file = {.state = state, .path = path, .name = name};
    struct why why;
    uint64_t size;
    int rc = 0;

    file.fd = import_open(directory, name, &size, &why);
    if (file.fd < 0) {
        import_failed(path, "%s", why.text);
        return 0;
    }
    rc = send_envelope(&file);
    postfix_reader_free(&file.reader);
    postfix_envelope_free(&file.envelope);
    close(file.fd);
    return rc;
}

/* --- directories ---------------------------------------------------------- */

static int send_directory(const char *path, const char *state, int depth);

static int
send_entry(DIR *directory, const char *path, const struct dirent *entry,
           const char *state, int depth)
{
    struct buf whole = {0};
    struct stat st;
    int rc = 0;

    buf_addf(&whole, "%s/%s", path, entry->d_name);
    buf_add_byte(&whole, '\0');
    if (fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        import_failed(whole.data, "%s", strerror(errno));
    else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
        rc = send_directory(whole.data, state, depth + 1);
    else if (postfix_is_queue_id(view_of(entry->d_name)))
        rc = send_file(dirfd(directory), entry->d_name, whole.data, state);
    buf_free(&whole);
    return rc;
}

static int
send_directory(const char *path, const char *state, int depth)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    int rc = 0;

    if (directory == NULL) {
        import_failed(path, "%s", strerror(errno));
        return 0;
    }
    while (rc == 0 && (entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            rc = send_entry(directory, path, entry, state, depth);
    closedir(directory);
    return rc;
}

int
import_postfix(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    int rc = 0;

    for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
        if (strcmp(name, queues[i].name) == 0)
            return send_directory(path, queues[i].state, 0);
    for (size_t i = 0; rc == 0 && i < sizeof(queues) / sizeof(queues[0]); i++) {
        struct buf part = {0};

        buf_addf(&part, "%s/%s", path, queues[i].name);
        buf_add_byte(&part, '\0');
        if (access(part.data, F_OK) == 0)
            rc = send_directory(part.data, queues[i].state, 0);
        buf_free(&part);
    }
    return rc;
}
