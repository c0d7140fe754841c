/* SPDX-License-Identifier: ISC */
/*
 * A configuration with anything in it. Refused with a reason that names the
 * file, or whole: every name is found, every path absolute, the codec stable.
 * After each input a good file must still load: the parser library keeps
 * state between files.
 */
#include "conf.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfuse forgets the arguments of an include that breaks its grammar. */
const char *
__lsan_default_suppressions(void)
{
    return "leak:libconfuse.so\n";
}

static struct conf *
load(const void *data, size_t size, struct why *why)
{
    static int file = -1;
    static char path[64];

    if (file < 0) {
        file = memfd_create("conf", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    }
    assert(ftruncate(file, 0) == 0);
    assert(pwrite(file, data, size, 0) == (ssize_t)size);
    *why = (struct why){0};
    return conf_load(path, why);
}

static void
check_good(void)
{
    static const char good[] = "# all is well\n"
                               "hostname = \"mx.example.com\"\n"
                               "listen smtp { address = '127.0.0.1:25' }\n"
                               "target t { hosts = { a, b } }\n"
                               "domain d { target = t }\n";
    struct why why;
    struct conf *conf = load(good, sizeof(good) - 1, &why);

    assert(conf != NULL && why.text[0] == '\0');
    conf_free(&conf);
}

static void
check_names(const struct conf *conf)
{
    const struct conf_domain *domains = conf->domains.items;
    const struct conf_target *targets = conf->targets.items;

    assert(conf->listens.count > 0 && conf->domains.count > 0);
    for (size_t i = 0; i < conf->targets.count; i++) {
        assert(conf_target_by_name(conf, targets[i].name) == &targets[i]);
        assert(targets[i].hosts.count > 0);
        assert(targets[i].probe_min_ms <= targets[i].probe_max_ms);
        assert(targets[i].retry_min_ms <= targets[i].retry_max_ms);
    }
    for (size_t i = 0; i < conf->domains.count; i++) {
        assert(conf_domain_by_name(conf, domains[i].name) == &domains[i]);
        assert(conf_target_by_name(conf, domains[i].target) != NULL);
        assert(conf_target_by_name(conf, domains[i].return_target) != NULL);
    }
    assert(conf->spool.data[0] == '/' && conf->control.data[0] == '/');
}

static void
check_codec(const struct conf *conf)
{
    struct buf first = {0}, second = {0};
    struct why why;
    struct conf *copy;

    conf_encode(conf, &first);
    copy = conf_decode(buf_view(&first), &why);
    assert(copy != NULL);
    conf_encode(copy, &second);
    assert(view_equal(buf_view(&first), buf_view(&second)));
    conf_free(&copy);
    buf_free(&first);
    buf_free(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct why why;
    struct conf *conf = load(data, size, &why);

    if (conf != NULL) {
        assert(why.text[0] == '\0');
        check_names(conf);
        check_codec(conf);
        conf_free(&conf);
    } else {
        assert(why.text[0] == '/' && strstr(why.text, ": ") != NULL);
    }
    check_good();
    return 0;
}
