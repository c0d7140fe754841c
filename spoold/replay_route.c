/* SPDX-License-Identifier: ISC */
/*
 * From a target to addresses to connect to. MX hosts come first, those of one
 * preference in a random order, then the hosts of the configuration, each in
 * a group of its own; an address that failed goes behind all others for a
 * minute. What was found is used until its TTL runs out, and while newer
 * answers are on their way.
 *
 * A question waits only for the first answer of each name. No answer, a bogus
 * one and a name that is not there all give a reason and no address, so the
 * target is down; only a null MX (RFC 7505) is a verdict on mail.
 *
 * Before: replay_session.c   After: replay_host.c, replay_connect.c
 */
#include "replay_route.h"

#include <stdio.h>
#include <stdlib.h>

#include "loop.h"
#include "mem.h"
#include "mx.h"

#define BEHIND_MS 60000 /* an address that failed is tried last */
#define PLAIN_MS                                                               \
    600000             /* where TLS failed and need not be, it is not tried    \
                        */
#define SELF_MS 600000 /* a host that turned out to be ourselves */

struct waiter {
    struct waiter *next;
    replay_route_fn *fn;
    void *arg; /* NULL: forgotten */
};

struct replay_mx {
    char *domain; /* NULL: the target has no MX hosts */
    struct resolve_question *question;
    bool answered;
    enum mx_verdict verdict; /* of the last answer */
    bool secure;
    struct replay_host **hosts; /* the best first */
    size_t n_hosts;
    int64_t fresh_until_ms;
    int64_t stale_until_ms;
    char reason[REPLAY_WHY_MAX];
    /* A host of this preference turned out to be ourselves. */
    uint16_t self;
    int64_t self_until_ms;
};

struct replay_route {
    struct replay_mx mx;
    struct replay_host **hosts; /* as configured */
    size_t n_hosts;
    uint16_t port;
    struct replay_secure *secure;
    struct waiter *waiters;
    unsigned generation; /* of the resolver the answers are from */
};

static void on_host(void *arg);

/* --- MX hosts ------------------------------------------------------------ */

static void
free_hosts(struct replay_host **hosts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        replay_host_free(&hosts[i]);
    free(hosts);
}

/* The host of this name, out of the old list. */
static struct replay_host *
take_host(struct replay_mx *mx, const char *name, uint16_t port)
{
    for (size_t i = 0; i < mx->n_hosts; i++) {
        struct replay_host *host = mx->hosts[i];

        if (host != NULL && strcmp(host->name, name) == 0) {
            mx->hosts[i] = NULL;
            return host;
        }
    }
    return replay_host_new(CONF_HOST_NAME, name, port);
}

static void
set_mx_hosts(struct replay_route *route, const struct dns_mx *found, size_t n)
{
    struct replay_mx *mx = &route->mx;
    struct replay_host **hosts =
        mem_alloc((n + 1) * sizeof(struct replay_host *));

    for (size_t i = 0; i < n; i++) {
        hosts[i] = take_host(mx, found[i].name, route->port);
        hosts[i]->of_mx = true;
        hosts[i]->preference = found[i].preference;
    }
    free_hosts(mx->hosts, mx->n_hosts);
    mx->hosts = hosts;
    mx->n_hosts = n;
}

/* Hosts or a reason why there is none. */
static void
mx_judge(struct replay_route *route, const struct resolve_answer *answer)
{
    struct replay_mx *mx = &route->mx;
    struct dns_mx found[MX_HOSTS_MAX];
    size_t n;

    mx->verdict = mx_choose(answer->records, answer->n_records,
                            replay_conf()->hostname, found, &n);
    mx->reason[0] = '\0';
    switch (mx->verdict) {
    case MX_FOUND:
        break;
    case MX_IMPLICIT:
        found[0] = (struct dns_mx){0};
        snprintf(found[0].name, sizeof(found[0].name), "%s", mx->domain);
        n = 1;
        break;
    case MX_NULL:
        snprintf(mx->reason, sizeof(mx->reason),
                 "%s accepts no mail: it has a null MX (RFC 7505)", mx->domain);
        break;
    case MX_SELF:
        snprintf(mx->reason, sizeof(mx->reason),
                 "%s: no MX host is better than this server itself",
                 mx->domain);
        break;
    case MX_BAD:
        snprintf(mx->reason, sizeof(mx->reason),
                 "%s: its MX records make no sense", mx->domain);
        break;
    }
    set_mx_hosts(route, found, n);
}

static uint64_t
clamp_ttl(uint64_t ttl_ms)
{
    if (ttl_ms < REPLAY_ASK_MIN)
        return REPLAY_ASK_MIN;
    return ttl_ms < REPLAY_ASK_MAX ? ttl_ms : REPLAY_ASK_MAX;
}

static void route_go_on(struct replay_route *route);

static void
on_mx(void *arg, const struct resolve_answer *answer)
{
    struct replay_route *route = arg;
    struct replay_mx *mx = &route->mx;
    int64_t now_ms = loop_now_ms();

    mx->question = NULL;
    mx->answered = true;
    if (answer->found == RESOLVE_FAILED || answer->found == RESOLVE_NO_NAME) {
        /* The hosts before are used on for a while. */
        snprintf(mx->reason, sizeof(mx->reason), "%s", answer->reason);
        mx->fresh_until_ms = now_ms + REPLAY_ASK_FAILED;
        if (mx->stale_until_ms <= now_ms)
            set_mx_hosts(route, NULL, 0);
    } else {
        mx->secure = answer->secure;
        mx_judge(route, answer);
        mx->fresh_until_ms = now_ms + (int64_t)clamp_ttl(answer->ttl_ms);
        mx->stale_until_ms = mx->fresh_until_ms + REPLAY_STALE_MS;
    }
    route_go_on(route);
}

/* --- which hosts count --------------------------------------------------- */

static bool
is_self(const struct replay_host *host)
{
    for (size_t i = 0; i < host->n_spots; i++)
        if (replay_self_is((const struct sockaddr *)&host->spots[i].address.to))
            return true;
    return false;
}

/* MX hosts from this preference on are left out (RFC 5321 5.1). */
static unsigned
self_preference(const struct replay_mx *mx, int64_t now_ms)
{
    unsigned least = mx->self_until_ms > now_ms ? mx->self : UINT16_MAX + 1;

    for (size_t i = 0; i < mx->n_hosts; i++)
        if (mx->hosts[i]->preference < least && is_self(mx->hosts[i]))
            least = mx->hosts[i]->preference;
    return least;
}

struct candidates {
    struct replay_host **hosts;
    unsigned *groups;
    size_t n;
    bool self; /* some were left out because of us */
};

/* In the order in which they are to be tried. */
static void
choose(const struct replay_route *route, int64_t now_ms,
       struct candidates *chosen)
{
    const struct replay_mx *mx = &route->mx;
    unsigned ranks[MX_HOSTS_MAX], least = self_preference(mx, now_ms);
    size_t order[MX_HOSTS_MAX], n = 0;

    while (n < mx->n_hosts && mx->hosts[n]->preference < least) {
        ranks[n] = mx->hosts[n]->preference;
        n++;
    }
    chosen->self = n < mx->n_hosts;
    mx_shuffle(ranks, n, replay_sched_random(replay_random()), order);
    for (size_t i = 0; i < n; i++) {
        chosen->groups[chosen->n] = ranks[order[i]];
        chosen->hosts[chosen->n++] = mx->hosts[order[i]];
    }
    for (size_t i = 0; i < route->n_hosts; i++) {
        if (is_self(route->hosts[i])) {
            chosen->self = true;
            continue;
        }
        chosen->groups[chosen->n] = UINT16_MAX + 1 + (unsigned)i;
        chosen->hosts[chosen->n++] = route->hosts[i];
    }
}

/* Appends those addresses that are, or are not, to be tried last. */
static size_t
collect(const struct candidates *chosen, bool behind, int64_t now_ms,
        struct replay_address *out, size_t n)
{
    for (size_t h = 0; h < chosen->n; h++) {
        const struct replay_host *host = chosen->hosts[h];

        for (size_t i = 0; i < host->n_spots && n < REPLAY_ADDRESSES_MAX; i++)
            if ((host->spots[i].behind_until_ms > now_ms) == behind) {
                out[n] = host->spots[i].address;
                out[n++].group = chosen->groups[h];
            }
    }
    return n;
}

/* Why there is no address: the MX records first, then the first host. */
static const char *
reason_of(const struct replay_route *route, const struct candidates *chosen)
{
    if (route->mx.reason[0] != '\0')
        return route->mx.reason;
    for (size_t i = 0; i < chosen->n; i++)
        if (chosen->hosts[i]->reason[0] != '\0')
            return chosen->hosts[i]->reason;
    if (chosen->self)
        return "no host is left but this server itself";
    return "there is no address";
}

static void
answer(const struct replay_route *route, replay_route_fn *fn, void *arg)
{
    struct replay_address addresses[REPLAY_ADDRESSES_MAX];
    size_t room = route->mx.n_hosts + route->n_hosts + 1;
    struct candidates chosen = {0};
    struct replay_found found = {.addresses = addresses};
    int64_t now_ms = loop_now_ms();

    chosen.hosts = mem_alloc(room * sizeof(struct replay_host *));
    chosen.groups = mem_alloc(room * sizeof(*chosen.groups));
    found.refused = route->mx.domain != NULL && route->mx.answered &&
                    route->mx.verdict == MX_NULL;
    if (!found.refused) {
        choose(route, now_ms, &chosen);
        found.n = collect(&chosen, false, now_ms, addresses, 0);
        found.n = collect(&chosen, true, now_ms, addresses, found.n);
    }
    found.reason = reason_of(route, &chosen);
    free(chosen.hosts);
    free(chosen.groups);
    fn(arg, &found);
}

/* --- lookups ------------------------------------------------------------- */

static void
ask_host(struct replay_route *route, struct replay_host *host, int64_t now_ms)
{
    bool dane = replay_secure_wants_dane(route->secure) &&
                (!host->of_mx || route->mx.secure);

    if (host->look == NULL && host->fresh_until_ms <= now_ms)
        replay_host_look(host, dane, on_host, route);
}

/* Starts what is due. */
static void
ask(struct replay_route *route)
{
    int64_t now_ms = loop_now_ms();
    struct replay_mx *mx = &route->mx;

    if (mx->domain != NULL && mx->question == NULL &&
        mx->fresh_until_ms <= now_ms)
        mx->question = resolve_ask(mx->domain, RESOLVE_MX, on_mx, route);
    for (size_t i = 0; i < mx->n_hosts; i++)
        ask_host(route, mx->hosts[i], now_ms);
    for (size_t i = 0; i < route->n_hosts; i++)
        ask_host(route, route->hosts[i], now_ms);
}

static bool
any_host(struct replay_host *const *hosts, size_t n,
         bool is(const struct replay_host *))
{
    for (size_t i = 0; i < n; i++)
        if (is(hosts[i]))
            return true;
    return false;
}

static bool
is_unanswered(const struct replay_host *host)
{
    return !host->answered;
}

static bool
is_under_way(const struct replay_host *host)
{
    return host->look != NULL;
}

static bool
has_spots(const struct replay_host *host)
{
    return host->n_spots > 0;
}

static bool
any(const struct replay_route *route, bool is(const struct replay_host *))
{
    return any_host(route->mx.hosts, route->mx.n_hosts, is) ||
           any_host(route->hosts, route->n_hosts, is);
}

/* Must a question wait for a lookup? For the first answer of each name, and
 * for any answer where there is no address at all. */
static bool
must_wait(const struct replay_route *route)
{
    const struct replay_mx *mx = &route->mx;

    if (mx->domain != NULL && !mx->answered)
        return true;
    if (any(route, is_unanswered))
        return true;
    return !any(route, has_spots) &&
           (mx->question != NULL || any(route, is_under_way));
}

static void
tell_waiters(struct replay_route *route)
{
    struct waiter *list = route->waiters;

    route->waiters = NULL;
    while (list != NULL) {
        struct waiter *waiter = list;

        list = waiter->next;
        if (waiter->arg != NULL)
            answer(route, waiter->fn, waiter->arg);
        free(waiter);
    }
}

/* Something was answered. */
static void
route_go_on(struct replay_route *route)
{
    ask(route); /* MX hosts that are new */
    if (!must_wait(route))
        tell_waiters(route);
}

static void
on_host(void *arg)
{
    route_go_on(arg);
}

/* --- routes -------------------------------------------------------------- */

struct replay_route *
replay_route_new(const struct conf_target *target)
{
    struct replay_route *route = mem_alloc(sizeof(*route));
    const struct conf_text *texts = target->hosts.items;

    route->generation = resolve_generation();
    route->port = (uint16_t)target->port;
    route->secure = replay_secure_new(target);
    if (target->mx)
        route->mx.domain =
            mem_copy(target->mx_domain.data, target->mx_domain.len);
    route->hosts =
        mem_alloc((target->hosts.count + 1) * sizeof(struct replay_host *));
    for (size_t i = 0; i < target->hosts.count; i++) {
        struct conf_host parsed;
        char *name;

        if (conf_host_parse(texts[i].text, &parsed, NULL) != 0)
            continue;
        name = mem_copy(parsed.host.data, parsed.host.len);
        route->hosts[route->n_hosts++] = replay_host_new(
            parsed.kind, name, parsed.port != 0 ? parsed.port : route->port);
        free(name);
    }
    return route;
}

void
replay_route_free(struct replay_route **route_ptr)
{
    struct replay_route *route = *route_ptr;
    struct waiter *waiter;

    if (route == NULL)
        return;
    *route_ptr = NULL;
    while ((waiter = route->waiters) != NULL) {
        route->waiters = waiter->next;
        free(waiter);
    }
    resolve_cancel(&route->mx.question);
    free_hosts(route->mx.hosts, route->mx.n_hosts);
    free_hosts(route->hosts, route->n_hosts);
    free(route->mx.domain);
    replay_secure_free(&route->secure);
    free(route);
}

static void
forget_host(struct replay_host *host)
{
    replay_host_forget_tls(host);
    if (host->kind == CONF_HOST_NAME)
        host->fresh_until_ms = 0;
}

void
replay_route_retry(struct replay_route *route)
{
    route->mx.fresh_until_ms = 0;
    for (size_t i = 0; i < route->mx.n_hosts; i++)
        forget_host(route->mx.hosts[i]);
    for (size_t i = 0; i < route->n_hosts; i++)
        forget_host(route->hosts[i]);
}

/* After a reload: other name servers and CAs perhaps, whose answers count at
 * once. */
static void
forget_answers(struct replay_route *route)
{
    if (route->generation == resolve_generation())
        return;
    route->generation = resolve_generation();
    replay_secure_renew(route->secure);
    replay_route_retry(route);
}

void
replay_route_get(struct replay_route *route, replay_route_fn *fn, void *arg)
{
    struct waiter *waiter;

    forget_answers(route);
    ask(route);
    if (!must_wait(route)) {
        answer(route, fn, arg);
        return;
    }
    waiter = mem_alloc(sizeof(*waiter));
    *waiter = (struct waiter){route->waiters, fn, arg};
    route->waiters = waiter;
}

void
replay_route_forget(struct replay_route *route, const void *arg)
{
    for (struct waiter *w = route->waiters; w != NULL; w = w->next)
        if (w->arg == arg)
            w->arg = NULL;
}

/* --- what became of an address ------------------------------------------- */

static struct replay_spot *
find_spot(struct replay_host *const *hosts, size_t n,
          const struct replay_address *address, struct replay_host **host)
{
    for (size_t i = 0; i < n; i++) {
        struct replay_spot *spot = replay_host_spot(hosts[i], address);

        if (spot != NULL && strcmp(spot->address.text, address->text) == 0) {
            *host = hosts[i];
            return spot;
        }
    }
    return NULL;
}

static struct replay_spot *
spot_of(const struct replay_route *route, const struct replay_address *address,
        struct replay_host **host)
{
    struct replay_spot *spot =
        find_spot(route->mx.hosts, route->mx.n_hosts, address, host);

    return spot != NULL
               ? spot
               : find_spot(route->hosts, route->n_hosts, address, host);
}

void
replay_route_report(struct replay_route *route,
                    const struct replay_address *address, bool worked)
{
    struct replay_host *host;
    struct replay_spot *spot = spot_of(route, address, &host);

    if (spot != NULL)
        spot->behind_until_ms = worked ? 0 : loop_now_ms() + BEHIND_MS;
}

bool
replay_route_is_self(struct replay_route *route,
                     const struct replay_address *address)
{
    struct replay_host *host;

    if (spot_of(route, address, &host) == NULL || !host->of_mx)
        return false;
    route->mx.self = host->preference;
    route->mx.self_until_ms = loop_now_ms() + SELF_MS;
    return true;
}

void
replay_route_no_tls(struct replay_route *route,
                    const struct replay_address *address)
{
    struct replay_host *host;
    struct replay_spot *spot = spot_of(route, address, &host);

    if (spot != NULL)
        spot->plain_until_ms = loop_now_ms() + PLAIN_MS;
}

bool
replay_route_tls(struct replay_route *route,
                 const struct replay_address *address, struct replay_tls *tls)
{
    struct replay_host *host;
    struct replay_spot *spot = spot_of(route, address, &host);
    struct view domain = view_of(route->mx.domain);

    if (spot == NULL)
        return false;
    if (!host->of_mx)
        domain.len = 0;
    replay_secure_demand(route->secure, host, domain, route->mx.secure, tls);
    if (tls->need == REPLAY_TLS_NONE)
        return true;
    if (spot->memory == NULL)
        spot->memory = tls_memory_new();
    tls->memory = spot->memory;
    if (tls->need == REPLAY_TLS_OFFERED && spot->plain_until_ms > loop_now_ms())
        tls->need = REPLAY_TLS_NONE;
    return true;
}
