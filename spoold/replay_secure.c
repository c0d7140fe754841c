/* SPDX-License-Identifier: ISC */
/*
 * What a target's hosts must prove before they get mail: the configuration's
 * tls keys and what the DNS says, made into one demand (tls.h) a host. The
 * decision knows no sockets.
 *
 *   opportunistic  encryption where it is offered
 *   require        encryption
 *   verify         a certificate by a fingerprint, or a name and who vouches
 *   dane           RFC 7672: what TLSA records ask for, else opportunistic
 *
 * Before: replay_route.c   After: replay_step.c
 */
#include "replay_secure.h"

#include <stdlib.h>

#include "log.h"
#include "mem.h"
#include "replay_route.h"
#include "system_file.h"

/* One context for all targets with the same CAs. */
struct context {
    struct context *next;
    char *ca; /* a path; "": nobody vouches */
    struct tls *tls;
    unsigned uses;
    bool old; /* the file was read anew since */
};

struct replay_secure {
    enum conf_tls mode;
    char *ca;
    char *name; /* NULL: the host's */
    struct context *context;
    char (*pins)[CONF_FINGERPRINT_BYTES];
    struct tls_record *records; /* two a pin */
    size_t n_records;
};

static struct context *contexts;

/* --- contexts ------------------------------------------------------------ */

static struct context *
context_take(const char *ca)
{
    struct context *context;
    struct why why;

    for (context = contexts; context != NULL; context = context->next)
        if (!context->old && strcmp(context->ca, ca) == 0) {
            context->uses++;
            return context;
        }
    context = mem_alloc(sizeof(*context));
    context->ca = mem_copy_text(ca);
    context->uses = 1;
    context->tls = tls_client_new(system_file(view_of(ca)), &why);
    /* The parent has seen it; without CAs nothing is proved, so nothing is
     * delivered that must be. */
    if (context->tls == NULL) {
        log_warn("%s: %s", ca, why.text);
        context->tls = tls_client_new((struct view){NULL, 0}, &why);
    }
    if (context->tls == NULL)
        fatal("%s", why.text);
    context->next = contexts;
    contexts = context;
    return context;
}

static void
context_drop(struct context *context)
{
    struct context **at;

    if (--context->uses > 0)
        return;
    for (at = &contexts; *at != context; at = &(*at)->next)
        ;
    *at = context->next;
    tls_free(&context->tls);
    free(context->ca);
    free(context);
}

void
replay_secure_files_came(void)
{
    for (struct context *c = contexts; c != NULL; c = c->next)
        c->old = true;
}

void
replay_secure_renew(struct replay_secure *secure)
{
    struct context *old = secure->context;

    secure->context = context_take(secure->ca);
    context_drop(old);
}

/* --- a target ------------------------------------------------------------ */

static void
add_pins(struct replay_secure *secure, const struct conf_target *target)
{
    const struct conf_text *texts = target->tls_fingerprints.items;
    size_t n = target->tls_fingerprints.count;

    secure->pins = mem_alloc((n + 1) * sizeof(*secure->pins));
    secure->records = mem_alloc((2 * n + 1) * sizeof(*secure->records));
    for (size_t i = 0; i < n; i++) {
        struct view pin = {secure->pins[i], CONF_FINGERPRINT_BYTES};

        if (conf_fingerprint_parse(texts[i].text, secure->pins[i], NULL) != 0)
            continue;
        /* The server's own certificate or its key, as SHA-256. */
        for (unsigned selector = 0; selector < 2; selector++)
            secure->records[secure->n_records++] =
                (struct tls_record){3, selector, 1, pin};
    }
}

struct replay_secure *
replay_secure_new(const struct conf_target *target)
{
    struct replay_secure *secure = mem_alloc(sizeof(*secure));
    struct view ca = conf_tls_ca(target);

    secure->mode = (enum conf_tls)target->tls;
    secure->ca = mem_copy(ca.data, ca.len);
    if (target->tls_name.len > 0)
        secure->name = mem_copy(target->tls_name.data, target->tls_name.len);
    add_pins(secure, target);
    secure->context = context_take(secure->ca);
    return secure;
}

void
replay_secure_free(struct replay_secure **secure_ptr)
{
    struct replay_secure *secure = *secure_ptr;

    if (secure == NULL)
        return;
    *secure_ptr = NULL;
    context_drop(secure->context);
    free(secure->ca);
    free(secure->name);
    free(secure->pins);
    free(secure->records);
    free(secure);
}

bool
replay_secure_wants_dane(const struct replay_secure *secure)
{
    return secure->mode == CONF_TLS_DANE;
}

/* --- a host -------------------------------------------------------------- */

static void
add_name(struct tls_demand *demand, struct view name)
{
    for (size_t i = 0; i < demand->n_names; i++)
        if (view_equal_nocase(demand->names[i], name))
            return;
    if (name.len > 0 && demand->n_names < TLS_NAMES_MAX)
        demand->names[demand->n_names++] = name;
}

/* The name of an MX host is worth something only where DNSSEC vouches for the
 * MX records: else whoever forges them would choose it. */
static void
demand_certificate(const struct replay_secure *secure,
                   const struct replay_host *host, struct view domain,
                   bool mx_secure, struct tls_demand *demand)
{
    demand->proof = true;
    demand->records = secure->records;
    demand->n_records = secure->n_records;
    if (secure->n_records > 0)
        return;
    if (secure->name != NULL) {
        add_name(demand, view_of(secure->name));
    } else if (host->kind == CONF_HOST_NAME) {
        if (!host->of_mx || mx_secure)
            add_name(demand, view_of(host->name));
        add_name(demand, domain);
    } else {
        demand->address = view_of(host->name);
    }
}

/* RFC 7672 2.2, 3.2.2: the base domain goes into SNI and counts as a name,
 * beside the host's own and the domain. */
static enum replay_tls_need
demand_dane(const struct replay_host *host, struct view domain,
            struct tls_demand *demand)
{
    switch (host->dane) {
    case REPLAY_DANE_NONE:
        break;
    case REPLAY_DANE_ENCRYPT:
        return REPLAY_TLS_NEEDED;
    case REPLAY_DANE_PROVE:
        demand->proof = true;
        demand->host = view_of(host->base);
        demand->records = host->records;
        demand->n_records = host->n_records;
        add_name(demand, view_of(host->base));
        add_name(demand, view_of(host->name));
        add_name(demand, domain);
        return REPLAY_TLS_NEEDED;
    }
    return REPLAY_TLS_OFFERED;
}

void
replay_secure_demand(const struct replay_secure *secure,
                     const struct replay_host *host, struct view domain,
                     bool mx_secure, struct replay_tls *tls)
{
    *tls = (struct replay_tls){.need = REPLAY_TLS_NONE,
                               .context = secure->context->tls};
    if (host->kind == CONF_HOST_NAME)
        tls->demand.host = view_of(host->name);
    switch (secure->mode) {
    case CONF_TLS_NONE:
        break;
    case CONF_TLS_OPPORTUNISTIC:
        tls->need = REPLAY_TLS_OFFERED;
        break;
    case CONF_TLS_REQUIRE:
        tls->need = REPLAY_TLS_NEEDED;
        break;
    case CONF_TLS_VERIFY:
        tls->need = REPLAY_TLS_NEEDED;
        demand_certificate(secure, host, domain, mx_secure, &tls->demand);
        break;
    case CONF_TLS_DANE:
        tls->need = demand_dane(host, domain, &tls->demand);
        break;
    }
}
