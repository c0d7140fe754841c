/* SPDX-License-Identifier: ISC */
/* What "spoold -n" looks at besides the configuration itself. The parent
 * meets the same files at its start; here all of them are only read. */
#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "mem.h"
#include "recipients.h"

#define PEM_MAX_BYTES (1024 * 1024)

static int
check_recipients(const struct conf_domain *domain, struct why *why)
{
    char *path =
        mem_copy(domain->recipient_file.data, domain->recipient_file.len);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct recipients *recipients = NULL;
    int result = -1;

    if (fd < 0) {
        why_text(why, "%s: %s", path, strerror(errno));
    } else {
        recipients = recipients_load(fd, path, domain->name, why);
        result = recipients != NULL ? 0 : -1;
        recipients_free(&recipients);
        close(fd);
    }
    free(path);
    return result;
}

static int
check_pem(struct view file, const char *label, const char *what,
          struct why *why)
{
    char *path = mem_copy(file.data, file.len);
    struct buf bytes = {0};
    struct why bad = {0};
    int result = file_read(path, PEM_MAX_BYTES, &bytes, &bad);

    if (result == 0 && (bytes.len == 0 || memmem(bytes.data, bytes.len, label,
                                                 strlen(label)) == NULL))
        result = why_text(&bad, "holds no %s in PEM form", what);
    if (result != 0)
        why_text(why, "%s: %s", path, bad.text);
    buf_free(&bytes);
    free(path);
    return result;
}

static int
check_user(const struct conf *conf, struct why *why)
{
    char *user = mem_copy(conf->user.data, conf->user.len);
    bool known = geteuid() != 0 || getpwnam(user) != NULL;

    free(user);
    if (!known)
        return why_text(why, "user: there is no user \"%.*s\" on this machine",
                        (int)conf->user.len, conf->user.data);
    return 0;
}

int
conf_check(const struct conf *conf, struct why *why)
{
    const struct conf_domain *domains = conf->domains.items;
    const struct conf_target *targets = conf->targets.items;

    for (size_t i = 0; i < conf->domains.count; i++)
        if (domains[i].recipient_file.len > 0 &&
            check_recipients(&domains[i], why) != 0)
            return -1;
    if (conf->tls_certificate.len > 0 &&
        (check_pem(conf->tls_certificate, "-----BEGIN CERTIFICATE-----",
                   "certificate", why) != 0 ||
         check_pem(conf->tls_key, "PRIVATE KEY-----", "private key", why) != 0))
        return -1;
    for (size_t i = 0; i < conf->targets.count; i++)
        if (conf_tls_ca(&targets[i]).len > 0 &&
            check_pem(conf_tls_ca(&targets[i]), "-----BEGIN ", "certificate",
                      why) != 0)
            return -1;
    return check_user(conf, why);
}
