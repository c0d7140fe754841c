/* SPDX-License-Identifier: ISC */
/*
 * From the hosts of a target to addresses to connect to. Hosts and their
 * addresses keep the order they have in the configuration and in the answer;
 * an address that failed goes behind the others for a minute.
 *
 * Names are looked up by the C library in threads of our own, because it
 * blocks: a thread sees one name, gives back one answer through a list and an
 * eventfd, and touches nothing else. What was found is used for a minute,
 * and longer where no newer answer comes.
 *
 * Before: replay_session.c   After: replay_session.c (connect)
 */
#include "replay.h"

#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"
#include "mem.h"

#define FRESH_MS    60000 /* an answer is not asked for again */
#define FAILED_MS   10000 /* the same for a failure */
#define BEHIND_MS   60000 /* an address that failed is tried last */
#define LOOKERS     4     /* threads: one slow name holds up no other */
#define STACK_BYTES (256 * 1024)

struct spot { /* an address of a host */
    struct replay_address address;
    int64_t behind_until_ms;
};

struct host {
    enum conf_host_kind kind;
    char *name;
    uint16_t port;
    struct spot *spots;
    size_t n_spots;
    bool answered; /* there was an answer once, if only a failure */
    bool looking;
    int64_t fresh_until_ms;
    char reason[128];
};

struct waiter {
    struct waiter *next;
    replay_route_fn *fn;
    void *arg; /* NULL: forgotten */
};

struct replay_route {
    struct host *hosts;
    size_t n_hosts;
    struct waiter *waiters;
    size_t lookups; /* under way */
    bool freed;     /* goes when the last of them is back */
};

struct lookup {
    struct lookup *next;
    struct replay_route *route;
    struct host *host;
    char *name; /* the thread's copy */
    int error;  /* of getaddrinfo */
    struct addrinfo *found;
};

/* --- the threads --------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    pthread_barrier_t ready; /* all threads have their own root directory */
    struct lookup *todo;
    struct lookup *done;
    int done_fd;
} lookers = {.lock = PTHREAD_MUTEX_INITIALIZER,
             .wanted = PTHREAD_COND_INITIALIZER};

static void *
look(void *arg)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    static const uint64_t one = 1;

    /* The role is about to move into the spool as its root directory; this
     * thread keeps the one where resolv.conf, hosts and nsswitch.conf are.
     * Some containers forbid that, which matters to root alone. */
    if (unshare(CLONE_FS) != 0 && geteuid() == 0)
        log_warn("targets must be given by address, names cannot be looked up "
                 "from within the spool: %s",
                 strerror(errno));
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    pthread_barrier_wait(&lookers.ready);
    pthread_mutex_lock(&lookers.lock);
    for (;;) {
        struct lookup *lookup = lookers.todo;
        ssize_t ignored;

        if (lookup == NULL) {
            pthread_cond_wait(&lookers.wanted, &lookers.lock);
            continue;
        }
        lookers.todo = lookup->next;
        pthread_mutex_unlock(&lookers.lock);
        lookup->error = getaddrinfo(lookup->name, NULL, &hints, &lookup->found);
        pthread_mutex_lock(&lookers.lock);
        lookup->next = lookers.done;
        lookers.done = lookup;
        ignored = write(lookers.done_fd, &one, sizeof(one));
        (void)ignored;
    }
    return arg;
}

static void looked_up(int fd, void *arg);

void
replay_route_prepare(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;

    lookers.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lookers.done_fd < 0)
        fatal("an eventfd for lookups: %s", strerror(errno));
    loop_watch_new(lookers.done_fd, looked_up, NULL);
    pthread_barrier_init(&lookers.ready, NULL, LOOKERS + 1);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    /* Signals are the loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < LOOKERS; i++)
        if (pthread_create(&thread, &attributes, look, NULL) != 0)
            fatal("a thread for lookups could not be started");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    pthread_barrier_wait(&lookers.ready);
}

static void
lookup_start(struct replay_route *route, struct host *host)
{
    struct lookup *lookup = mem_alloc(sizeof(*lookup)), **end;

    lookup->route = route;
    lookup->host = host;
    lookup->name = mem_copy_text(host->name);
    host->looking = true;
    route->lookups++;
    pthread_mutex_lock(&lookers.lock);
    for (end = &lookers.todo; *end != NULL; end = &(*end)->next)
        ;
    *end = lookup;
    pthread_cond_signal(&lookers.wanted);
    pthread_mutex_unlock(&lookers.lock);
}

/* --- addresses ----------------------------------------------------------- */

static bool
same_address(const struct replay_address *a, const struct replay_address *b)
{
    return a->to_len == b->to_len && memcmp(&a->to, &b->to, a->to_len) == 0;
}

static void
fill_address(struct replay_address *address, const struct host *host,
             const struct sockaddr *to, socklen_t to_len)
{
    char text[INET6_ADDRSTRLEN] = "?";
    bool v6 = to->sa_family == AF_INET6;

    *address = (struct replay_address){.to_len = to_len};
    memcpy(&address->to, to, to_len);
    if (v6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->to;

        in6->sin6_port = htons(host->port);
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)&address->to;

        in->sin_port = htons(host->port);
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
    }
    if (host->kind == CONF_HOST_NAME) {
        snprintf(address->remote, sizeof(address->remote), "%s", host->name);
        snprintf(address->text, sizeof(address->text), "%.250s[%s]:%u",
                 host->name, text, host->port);
    } else {
        /* RFC 5321 4.1.3 */
        snprintf(address->remote, sizeof(address->remote), "[%s%s]",
                 v6 ? "IPv6:" : "", text);
        snprintf(address->text, sizeof(address->text), "[%s]:%u", text,
                 host->port);
    }
}

/* The mark of an address survives a new answer. */
static void
keep_mark(const struct host *host, struct spot *spot)
{
    for (size_t i = 0; i < host->n_spots; i++)
        if (same_address(&host->spots[i].address, &spot->address))
            spot->behind_until_ms = host->spots[i].behind_until_ms;
}

static void
take_answer(struct host *host, const struct addrinfo *found)
{
    struct spot *spots = mem_alloc(REPLAY_ADDRESSES_MAX * sizeof(*spots));
    size_t n = 0;

    for (; found != NULL && n < REPLAY_ADDRESSES_MAX; found = found->ai_next) {
        if (found->ai_family != AF_INET && found->ai_family != AF_INET6)
            continue;
        fill_address(&spots[n].address, host, found->ai_addr,
                     found->ai_addrlen);
        keep_mark(host, &spots[n]);
        n++;
    }
    free(host->spots);
    host->spots = spots;
    host->n_spots = n;
}

static void
set_path(struct host *host)
{
    struct replay_address *address = &host->spots->address;
    struct sockaddr_un *un = (struct sockaddr_un *)&address->to;

    un->sun_family = AF_UNIX;
    snprintf(un->sun_path, sizeof(un->sun_path), "%s", host->name);
    address->to_len = sizeof(*un);
    snprintf(address->remote, sizeof(address->remote), "%s", host->name);
    snprintf(address->text, sizeof(address->text), "%s", host->name);
}

static void
set_literal(struct host *host)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    host->spots = mem_alloc(sizeof(*host->spots));
    host->n_spots = 1;
    host->answered = true;
    if (host->kind == CONF_HOST_PATH) {
        set_path(host);
    } else if (host->kind == CONF_HOST_IPV4) {
        inet_pton(AF_INET, host->name, &in.sin_addr);
        fill_address(&host->spots->address, host, (struct sockaddr *)&in,
                     sizeof(in));
    } else {
        inet_pton(AF_INET6, host->name, &in6.sin6_addr);
        fill_address(&host->spots->address, host, (struct sockaddr *)&in6,
                     sizeof(in6));
    }
}

/* Appends those addresses that are, or are not, to be tried last. */
static size_t
collect(const struct replay_route *route, bool behind, int64_t now_ms,
        struct replay_address *out, size_t n)
{
    for (size_t h = 0; h < route->n_hosts; h++) {
        const struct host *host = &route->hosts[h];

        for (size_t i = 0; i < host->n_spots && n < REPLAY_ADDRESSES_MAX; i++)
            if ((host->spots[i].behind_until_ms > now_ms) == behind)
                out[n++] = host->spots[i].address;
    }
    return n;
}

static void
answer(const struct replay_route *route, replay_route_fn *fn, void *arg)
{
    struct replay_address addresses[REPLAY_ADDRESSES_MAX];
    const char *reason = "there is no address";
    int64_t now_ms = loop_now_ms();
    size_t n = collect(route, false, now_ms, addresses, 0);

    n = collect(route, true, now_ms, addresses, n);
    for (size_t h = 0; h < route->n_hosts; h++)
        if (route->hosts[h].reason[0] != 0)
            reason = route->hosts[h].reason;
    fn(arg, addresses, n, reason);
}

/* Must a question wait for a lookup? For the first answer of each name, and
 * for any answer where there is no address at all. */
static bool
must_wait(const struct replay_route *route)
{
    bool any = false;

    if (route->lookups == 0)
        return false;
    for (size_t h = 0; h < route->n_hosts; h++) {
        if (!route->hosts[h].answered)
            return true;
        any |= route->hosts[h].n_spots > 0;
    }
    return !any;
}

/* --- routes -------------------------------------------------------------- */

struct replay_route *
replay_route_new(const struct conf_target *target)
{
    struct replay_route *route = mem_alloc(sizeof(*route));
    const struct conf_text *texts = target->hosts.items;

    route->hosts = mem_alloc(target->hosts.count * sizeof(*route->hosts));
    for (size_t i = 0; i < target->hosts.count; i++) {
        struct host *host = &route->hosts[route->n_hosts];
        struct conf_host parsed;

        if (conf_host_parse(texts[i].text, &parsed, NULL) != 0)
            continue;
        route->n_hosts++;
        host->kind = parsed.kind;
        host->name = mem_copy(parsed.host.data, parsed.host.len);
        host->port = parsed.port != 0 ? parsed.port : (uint16_t)target->port;
        if (host->kind != CONF_HOST_NAME)
            set_literal(host);
    }
    return route;
}

static void
route_destroy(struct replay_route *route)
{
    struct waiter *waiter;

    while ((waiter = route->waiters) != NULL) {
        route->waiters = waiter->next;
        free(waiter);
    }
    for (size_t h = 0; h < route->n_hosts; h++) {
        free(route->hosts[h].name);
        free(route->hosts[h].spots);
    }
    free(route->hosts);
    free(route);
}

void
replay_route_free(struct replay_route **route_ptr)
{
    struct replay_route *route = *route_ptr;

    if (route == NULL)
        return;
    *route_ptr = NULL;
    route->freed = true;
    if (route->lookups == 0)
        route_destroy(route);
}

void
replay_route_get(struct replay_route *route, replay_route_fn *fn, void *arg)
{
    int64_t now_ms = loop_now_ms();
    struct waiter *waiter;

    for (size_t h = 0; h < route->n_hosts; h++) {
        struct host *host = &route->hosts[h];

        if (host->kind == CONF_HOST_NAME && !host->looking &&
            host->fresh_until_ms <= now_ms)
            lookup_start(route, host);
    }
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

void
replay_route_report(struct replay_route *route,
                    const struct replay_address *address, bool worked)
{
    for (size_t h = 0; h < route->n_hosts; h++)
        for (size_t i = 0; i < route->hosts[h].n_spots; i++) {
            struct spot *spot = &route->hosts[h].spots[i];

            if (same_address(&spot->address, address))
                spot->behind_until_ms = worked ? 0 : loop_now_ms() + BEHIND_MS;
        }
}

/* --- answers of the threads ---------------------------------------------- */

static void
lookup_end(struct lookup *lookup)
{
    struct host *host = lookup->host;

    host->looking = false;
    host->answered = true;
    host->reason[0] = 0;
    if (lookup->error == 0) {
        take_answer(host, lookup->found);
        freeaddrinfo(lookup->found);
    } else {
        snprintf(host->reason, sizeof(host->reason), "%.80s: %s", host->name,
                 gai_strerror(lookup->error));
    }
    host->fresh_until_ms =
        loop_now_ms() + (lookup->error == 0 ? FRESH_MS : FAILED_MS);
    free(lookup->name);
    free(lookup);
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

static void
looked_up(int fd, void *arg)
{
    struct lookup *list;
    uint64_t count;
    ssize_t ignored = read(fd, &count, sizeof(count));

    (void)ignored;
    (void)arg;
    pthread_mutex_lock(&lookers.lock);
    list = lookers.done;
    lookers.done = NULL;
    pthread_mutex_unlock(&lookers.lock);
    while (list != NULL) {
        struct lookup *lookup = list;
        struct replay_route *route = lookup->route;

        list = lookup->next;
        lookup_end(lookup);
        route->lookups--;
        if (route->freed && route->lookups == 0)
            route_destroy(route);
        else if (!route->freed && !must_wait(route))
            tell_waiters(route);
    }
}
