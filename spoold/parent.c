/* SPDX-License-Identifier: ISC */
/*
 * The parent: opens everything, starts the roles, then only listens to
 * signals and to its children. SIGTERM and SIGINT stop in order, SIGHUP
 * reads the configuration again: all of it is checked before any of it is
 * in force, and what cannot be used leaves the old one in place.
 */
#include "parent.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event.h"
#include "file.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "proto.h"
#include "stats.h"
#include "tls.h"

#define PEM_MAX (1024 * 1024)
/* Descriptors a role needs besides its connections. */
#define SPARE_DESCRIPTORS 100

static struct {
    struct parent_gifts gifts;
    struct parent_owner owner;
    const char *path;
} parent;

/* --- certificate --------------------------------------------------------- */

static int
read_pem(struct view path, char **text, size_t *len, struct why *why)
{
    char *name = mem_copy(path.data, path.len);
    struct buf bytes = {0};
    struct why inner;
    int failed = file_read(name, PEM_MAX, &bytes, &inner);

    if (failed != 0)
        why_text(why, "%s: %s", name, inner.text);
    free(name);
    if (failed != 0) {
        buf_free(&bytes);
        return -1;
    }
    *text = bytes.data;
    *len = bytes.len;
    return 0;
}

/* Reads and tries certificate and key; on 0 they are the gifts' new ones. */
static int
load_certificate(const struct conf *conf, struct why *why)
{
    struct parent_gifts fresh = {0};
    struct tls *tls;

    if (conf->tls_certificate.len > 0) {
        if (read_pem(conf->tls_certificate, &fresh.certificate,
                     &fresh.certificate_len, why) != 0)
            return -1;
        if (read_pem(conf->tls_key, &fresh.key, &fresh.key_len, why) != 0) {
            free(fresh.certificate);
            return -1;
        }
        tls = tls_server_new(
            (struct view){fresh.certificate, fresh.certificate_len},
            (struct view){fresh.key, fresh.key_len}, why);
        if (tls == NULL) {
            free(fresh.certificate);
            explicit_bzero(fresh.key, fresh.key_len);
            free(fresh.key);
            return -1;
        }
        tls_free(&tls);
    }
    free(parent.gifts.certificate);
    if (parent.gifts.key != NULL)
        explicit_bzero(parent.gifts.key, parent.gifts.key_len);
    free(parent.gifts.key);
    parent.gifts.certificate = fresh.certificate;
    parent.gifts.certificate_len = fresh.certificate_len;
    parent.gifts.key = fresh.key;
    parent.gifts.key_len = fresh.key_len;
    return 0;
}

/* --- reload -------------------------------------------------------------- */

/* What cannot change while the daemon runs. */
static int
check_fixed(const struct conf *old, const struct conf *fresh, struct why *why)
{
    const struct {
        const char *key;
        struct view before, after;
    } fixed[] = {
        {"spool", old->spool, fresh->spool},
        {"control", old->control, fresh->control},
        {"user", old->user, fresh->user},
    };

    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (!view_equal(fixed[i].before, fixed[i].after))
            return why_text(why, "%s: a change of \"%s\" needs a restart",
                            parent.path, fixed[i].key);
    return 0;
}

static void
on_reload(void *arg)
{
    struct why why;
    struct event event;
    struct conf *fresh = conf_load(parent.path, &why);

    (void)arg;
    if (fresh == NULL || check_fixed(parent.gifts.conf, fresh, &why) != 0 ||
        parent_lists_load(&parent.gifts.lists, fresh, &why) != 0 ||
        load_certificate(fresh, &why) != 0 ||
        parent_files_load(&parent.gifts.files, fresh, &why) != 0 ||
        parent_keys_load(&parent.gifts.keys, fresh, &why) != 0 ||
        parent_sockets_bind(&parent.gifts.sockets, fresh, &why) != 0) {
        log_warn("%s (the configuration read before stays in force)", why.text);
        conf_free(&fresh);
        return;
    }
    conf_free(&parent.gifts.conf);
    parent.gifts.conf = fresh;
    parent_roles_reload();
    event_begin(&event, EVENT_RELOADED);
    event_text(&event, "file", parent.path);
    event_end(&event);
}

static void
on_stop(void *arg)
{
    (void)arg;
    parent_roles_stop();
}

/* --- start --------------------------------------------------------------- */

static void
raise_descriptors(const struct conf *conf)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max != RLIM_INFINITY &&
        limit.rlim_max < conf->connections + SPARE_DESCRIPTORS)
        log_warn("this system allows %llu descriptors, less than the %llu "
                 "connections configured need",
                 (unsigned long long)limit.rlim_max,
                 (unsigned long long)conf->connections);
}

static int
open_everything(const struct conf *conf, struct why *why)
{
    if (parent_owner_of(conf, &parent.owner, why) != 0 ||
        parent_lists_load(&parent.gifts.lists, conf, why) != 0 ||
        load_certificate(conf, why) != 0 ||
        parent_files_load(&parent.gifts.files, conf, why) != 0)
        return -1;
    parent.gifts.lock_fd = parent_spool_open(conf, &parent.owner, why);
    if (parent.gifts.lock_fd < 0 ||
        parent_keys_load(&parent.gifts.keys, conf, why) != 0 ||
        parent_sockets_bind(&parent.gifts.sockets, conf, why) != 0)
        return -1;
    parent.gifts.control_fd = parent_control_bind(conf, &parent.owner, why);
    if (parent.gifts.control_fd < 0)
        return -1;
    return 0;
}

int
parent_run(struct conf *conf, const char *path, bool debug)
{
    struct why why;
    char *control;

    log_init(role_name(ROLE_PARENT), debug);
    parent.path = path;
    parent.gifts.conf = conf;
    parent.gifts.debug = debug;
    raise_descriptors(conf);
    if (geteuid() == 0) /* no core file with the secrets in it */
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (open_everything(conf, &why) != 0) {
        log_warn("%s", why.text);
        return 1;
    }
    parent.gifts.stats_fd = stats_create();
    signal(SIGPIPE, SIG_IGN);
    loop_init();
    loop_signal(SIGTERM, on_stop, NULL);
    loop_signal(SIGINT, on_stop, NULL);
    loop_signal(SIGHUP, on_reload, NULL);
    parent_roles_init(&parent.gifts);
    parent_roles_start();
    loop_run();
    control = mem_copy(parent.gifts.conf->control.data,
                       parent.gifts.conf->control.len);
    unlink(control);
    free(control);
    conf_free(&parent.gifts.conf);
    parent_lists_free(&parent.gifts.lists);
    parent_files_free(&parent.gifts.files);
    parent_keys_free(&parent.gifts.keys);
    free(parent.gifts.certificate);
    free(parent.gifts.key);
    free(parent.gifts.sockets.items);
    return parent_roles_status();
}
