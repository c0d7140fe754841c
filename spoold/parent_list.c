/* SPDX-License-Identifier: ISC */
/*
 * The recipient files of domains with recipients = "list". Read here, as the
 * user the parent has, checked whole, and handed to the listener as a
 * descriptor of a sealed copy in memory: a file edited in place to something
 * bad does not reach a listener that is started again. A reload that finds a
 * bad line keeps the copy of the good file.
 */
#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "log.h"
#include "mem.h"
#include "parent.h"
#include "recipients.h"

struct list {
    char *domain;
    int fd;
};

struct parent_lists {
    struct list *items;
    size_t count;
};

static struct list *
find_list(const struct parent_lists *lists, struct view domain)
{
    for (size_t i = 0; lists != NULL && i < lists->count; i++)
        if (view_equal(view_of(lists->items[i].domain), domain))
            return &lists->items[i];
    return NULL;
}

/* A descriptor of bytes that nobody can change any more. */
static int
sealed_copy(struct view bytes)
{
    int fd = memfd_create("recipients", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -1;
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);

        if (n <= 0) {
            close(fd);
            return -1;
        }
        bytes = view_skip(bytes, (size_t)n);
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        log_debug("a recipient list could not be sealed: %s", strerror(errno));
    return fd;
}

/* A copy of the domain's file, checked. */
static int
open_list(const struct conf_domain *domain, struct why *why)
{
    char *path =
        mem_copy(domain->recipient_file.data, domain->recipient_file.len);
    struct recipients *recipients = NULL;
    struct buf bytes = {0};
    struct why inner;
    int fd = -1;

    if (file_read(path, RECIPIENTS_FILE_MAX, &bytes, &inner) != 0)
        why_text(why, "%s: %s", path, inner.text);
    else
        recipients =
            recipients_parse(buf_view(&bytes), path, domain->name, why);
    if (recipients != NULL && (fd = sealed_copy(buf_view(&bytes))) < 0)
        why_text(why, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        log_info("domain %.*s: %zu recipients in %s", (int)domain->name.len,
                 domain->name.data, recipients_count(recipients), path);
    recipients_free(&recipients);
    buf_free(&bytes);
    free(path);
    return fd;
}

static int
load_one(struct parent_lists *fresh, const struct parent_lists *old,
         const struct conf_domain *domain, struct why *why)
{
    const struct list *before = find_list(old, domain->name);
    int fd = open_list(domain, why);

    if (fd < 0 && before != NULL) {
        log_warn("%s (the list read before stays in force)", why->text);
        fd = fcntl(before->fd, F_DUPFD_CLOEXEC, 3);
    }
    if (fd < 0)
        return -1;
    fresh->items =
        mem_grow(fresh->items, fresh->count + 1, sizeof(*fresh->items));
    fresh->items[fresh->count++] =
        (struct list){mem_copy(domain->name.data, domain->name.len), fd};
    return 0;
}

int
parent_lists_load(struct parent_lists **lists, const struct conf *conf,
                  struct why *why)
{
    struct parent_lists *fresh = mem_alloc(sizeof(*fresh));
    const struct conf_domain *domains = conf->domains.items;

    for (size_t i = 0; i < conf->domains.count; i++)
        if (domains[i].recipients == CONF_RECIPIENTS_LIST &&
            load_one(fresh, *lists, &domains[i], why) != 0) {
            parent_lists_free(&fresh);
            return -1;
        }
    parent_lists_free(lists);
    *lists = fresh;
    return 0;
}

int
parent_list_fd(const struct parent_lists *lists, struct view domain)
{
    const struct list *list = find_list(lists, domain);

    return list != NULL ? list->fd : -1;
}

void
parent_lists_free(struct parent_lists **lists)
{
    if (*lists == NULL)
        return;
    for (size_t i = 0; i < (*lists)->count; i++) {
        close((*lists)->items[i].fd);
        free((*lists)->items[i].domain);
    }
    free((*lists)->items);
    free(*lists);
    *lists = NULL;
}
