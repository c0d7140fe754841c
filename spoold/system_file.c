/* SPDX-License-Identifier: ISC */
/* Read when they come, in force when they are adopted. */
#include "system_file.h"

#include <stdlib.h>

#include "file.h"
#include "log.h"
#include "mem.h"
#include "peer.h"

#define FILE_BYTES_MAX (4 << 20)

struct file {
    struct file *next;
    char *path;
    struct buf bytes;
};

static struct file *in_force;
static struct file *coming;

static void
files_free(struct file **files)
{
    struct file *file;

    while ((file = *files) != NULL) {
        *files = file->next;
        buf_free(&file->bytes);
        free(file->path);
        free(file);
    }
}

void
system_file_on_file(struct peer_message *message)
{
    const struct proto_name *name = message->payload;
    struct file *file = mem_alloc(sizeof(*file));
    struct why why;

    file->path = mem_copy(name->name.data, name->name.len);
    if (file_read_fd(message->fd, FILE_BYTES_MAX, &file->bytes, &why) != 0) {
        log_warn("%s: %s", file->path, why.text);
        buf_reset(&file->bytes);
    }
    file->next = coming;
    coming = file;
}

void
system_file_adopt(void)
{
    files_free(&in_force);
    in_force = coming;
    coming = NULL;
}

struct view
system_file(struct view path)
{
    for (const struct file *f = in_force; f != NULL; f = f->next)
        if (view_equal(view_of(f->path), path))
            return buf_view(&f->bytes);
    return (struct view){NULL, 0};
}
