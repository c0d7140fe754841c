/* SPDX-License-Identifier: ISC */
/*
 * Files of the system that replay and auth need and cannot reach from their
 * root directory: who vouches for certificates, where names are looked up, what
 * DNSSEC begins with. They are opened here, as the user the parent has, and
 * handed over open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "log.h"
#include "mem.h"
#include "parent.h"
#include "peer.h"
#include "tls.h"

#define CA_BYTES_MAX (4 << 20)

struct opened {
    char *path;
    int fd;
};

struct parent_files {
    struct opened *items;
    size_t count;
};

static void
add(struct parent_files *files, struct view path, int fd)
{
    files->items =
        mem_grow(files->items, files->count + 1, sizeof(*files->items));
    files->items[files->count++] =
        (struct opened){mem_copy(path.data, path.len), fd};
}

static bool
is_there(const struct parent_files *files, struct view path)
{
    for (size_t i = 0; i < files->count; i++)
        if (view_equal(view_of(files->items[i].path), path))
            return true;
    return false;
}

/* -1: it cannot be opened (errno). */
static int
open_file(struct parent_files *files, struct view path)
{
    char *name = mem_copy(path.data, path.len);
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    free(name);
    if (fd < 0)
        return -1;
    add(files, path, fd);
    return 0;
}

/* --- who vouches --------------------------------------------------------- */

static int
check_ca(int fd, struct why *why)
{
    struct buf bytes = {0};
    struct tls *tls = NULL;

    if (file_read_fd(fd, CA_BYTES_MAX, &bytes, why) != 0) {
        buf_free(&bytes);
        return -1;
    }
    if (bytes.len == 0)
        why_text(why, "the file is empty");
    else
        tls = tls_client_new(buf_view(&bytes), why);
    buf_free(&bytes);
    if (tls == NULL)
        return -1;
    tls_free(&tls);
    return 0;
}

static int
load_ca(struct parent_files *files, struct view path, struct why *why)
{
    struct why bad;

    if (path.len == 0 || is_there(files, path))
        return 0;
    if (open_file(files, path) != 0)
        why_text(&bad, "%s", strerror(errno));
    else if (check_ca(files->items[files->count - 1].fd, &bad) == 0)
        return 0;
    return why_text(why, "%.*s: %s", (int)path.len, path.data, bad.text);
}

static int
load_target_ca(struct parent_files *files, const struct conf_target *target,
               struct why *why)
{
    struct why bad;

    if (load_ca(files, conf_tls_ca(target), &bad) == 0)
        return 0;
    return why_text(why, "target %.*s: %s", (int)target->name.len,
                    target->name.data, bad.text);
}

static int
load_upstream_ca(struct parent_files *files, const struct conf *conf,
                 struct why *why)
{
    struct why bad;

    if (load_ca(files, conf_upstream_ca(conf), &bad) == 0)
        return 0;
    return why_text(why, "auth-upstream: %s", bad.text);
}

/* --- names --------------------------------------------------------------- */

static bool
has_names(const struct conf_target *target)
{
    const struct conf_text *hosts = target->hosts.items;
    struct conf_host host;

    for (size_t i = 0; i < target->hosts.count; i++)
        if (conf_host_parse(hosts[i].text, &host, NULL) == 0 &&
            host.kind == CONF_HOST_NAME)
            return true;
    return target->mx;
}

/* Without the package that has the root's keys nothing is validated, which
 * matters to those who ask for it. */
static int
load_anchor(struct parent_files *files, const struct conf *conf,
            struct why *why)
{
    const struct conf_target *targets = conf->targets.items;
    bool by_name = false, needed = false;
    struct view path = conf->trust_anchor;

    if (!conf->dnssec || open_file(files, path) == 0)
        return 0;
    for (size_t i = 0; i < conf->targets.count; i++) {
        needed |= targets[i].tls == CONF_TLS_DANE;
        by_name |= has_names(&targets[i]);
    }
    why_text(why, "resolver: trust-anchor %.*s: %s", (int)path.len, path.data,
             strerror(errno));
    if (needed)
        return -1;
    if (by_name)
        log_warn("%s; names are looked up without DNSSEC", why->text);
    return 0;
}

/* --- all ----------------------------------------------------------------- */

static int
load_all(struct parent_files *files, const struct conf *conf, struct why *why)
{
    const struct conf_target *targets = conf->targets.items;

    for (size_t i = 0; i < conf->targets.count; i++)
        if (load_target_ca(files, &targets[i], why) != 0)
            return -1;
    if (load_upstream_ca(files, conf, why) != 0)
        return -1;
    /* A host without these does without them. */
    open_file(files, conf->hosts_file);
    if (conf->resolver_mode == CONF_RESOLVER_SYSTEM)
        open_file(files, conf->servers_file);
    return load_anchor(files, conf, why);
}

int
parent_files_load(struct parent_files **files, const struct conf *conf,
                  struct why *why)
{
    struct parent_files *fresh = mem_alloc(sizeof(*fresh));

    if (load_all(fresh, conf, why) != 0) {
        parent_files_free(&fresh);
        return -1;
    }
    parent_files_free(files);
    *files = fresh;
    return 0;
}

void
parent_files_give(const struct parent_files *files, enum role to)
{
    for (size_t i = 0; i < files->count; i++) {
        struct proto_name name = {view_of(files->items[i].path)};
        int fd = fcntl(files->items[i].fd, F_DUPFD_CLOEXEC, 10);

        if (fd < 0)
            fatal("no descriptors left: %s", strerror(errno));
        peer_send(to, PROTO_SYSTEM_FILE, &name, fd);
    }
}

void
parent_files_free(struct parent_files **files)
{
    if (*files == NULL)
        return;
    for (size_t i = 0; i < (*files)->count; i++) {
        close((*files)->items[i].fd);
        free((*files)->items[i].path);
    }
    free((*files)->items);
    free(*files);
    *files = NULL;
}
