/* SPDX-License-Identifier: ISC */
/*
 * The name of a client's address, which some targets want to be told: the
 * first of its PTR records that leads back to it. What was found out is kept
 * for a while, since one client sends many messages.
 *
 * Before: whoever asks (replay_step.c)   After: resolve.c
 */
#include "replay.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "dns.h"
#include "loop.h"
#include "mem.h"
#include "resolve.h"

#define KEPT_MAX     1000 /* addresses; the oldest goes */
#define NAMES_MAX    4    /* PTR records looked at */
#define FRESH_MAX_MS 3600000
#define FRESH_MIN_MS 60000
#define TEMPORARY_MS 10000

struct asker {
    struct asker *next;
    replay_reverse_fn *fn;
    void *arg;
};

struct reverse {
    struct in6_addr address; /* IPv4 mapped */
    bool done;
    bool temporary;
    char name[DNS_NAME_MAX + 1]; /* "": none */
    int64_t fresh_until_ms;

    /* while it is not done */
    struct resolve_question *question;
    char names[NAMES_MAX][DNS_NAME_MAX + 1];
    size_t n_names, at;
    struct asker *askers;
    UT_hash_handle hh;
};

static struct reverse *known; /* the oldest first */

static void try_name(struct reverse *reverse);

/* --- the end ------------------------------------------------------------- */

static void
tell(struct reverse *reverse)
{
    struct asker *list = reverse->askers;

    reverse->askers = NULL;
    while (list != NULL) {
        struct asker *asker = list;

        list = asker->next;
        if (asker->fn != NULL)
            asker->fn(asker->arg,
                      reverse->name[0] != '\0' ? reverse->name : NULL,
                      reverse->temporary);
        free(asker);
    }
}

static void
finish(struct reverse *reverse, const char *name, bool temporary,
       uint64_t ttl_ms)
{
    if (ttl_ms > FRESH_MAX_MS)
        ttl_ms = FRESH_MAX_MS;
    if (ttl_ms < FRESH_MIN_MS)
        ttl_ms = FRESH_MIN_MS;
    if (temporary)
        ttl_ms = TEMPORARY_MS;
    reverse->done = true;
    reverse->temporary = temporary;
    reverse->fresh_until_ms = loop_now_ms() + (int64_t)ttl_ms;
    memcpy(reverse->name, name, strlen(name) + 1);
    tell(reverse);
}

/* --- there and back ------------------------------------------------------ */

static bool
leads_back(const struct reverse *reverse, const struct resolve_answer *answer)
{
    const unsigned char *bytes = reverse->address.s6_addr;
    bool v4 = IN6_IS_ADDR_V4MAPPED(&reverse->address);
    struct view mine = {(const char *)bytes + (v4 ? 12 : 0), v4 ? 4 : 16};

    for (size_t i = 0; i < answer->n_records; i++)
        if (view_equal(answer->records[i], mine))
            return true;
    return false;
}

static void
on_forward(void *arg, const struct resolve_answer *answer)
{
    struct reverse *reverse = arg;

    reverse->question = NULL;
    if (leads_back(reverse, answer)) {
        finish(reverse, reverse->names[reverse->at], false, answer->ttl_ms);
        return;
    }
    reverse->temporary |= answer->found == RESOLVE_FAILED;
    reverse->at++;
    try_name(reverse);
}

static void
try_name(struct reverse *reverse)
{
    bool v4 = IN6_IS_ADDR_V4MAPPED(&reverse->address);

    if (reverse->at == reverse->n_names)
        finish(reverse, "", reverse->temporary, FRESH_MAX_MS);
    else
        reverse->question =
            resolve_ask(reverse->names[reverse->at],
                        v4 ? RESOLVE_A : RESOLVE_AAAA, on_forward, reverse);
}

static void
on_names(void *arg, const struct resolve_answer *answer)
{
    struct reverse *reverse = arg;

    reverse->question = NULL;
    reverse->temporary = answer->found == RESOLVE_FAILED;
    for (size_t i = 0; i < answer->n_records; i++) {
        struct view data = answer->records[i];
        char *name = reverse->names[reverse->n_names];

        if (reverse->n_names < NAMES_MAX && dns_name_take(&data, name) == 0 &&
            data.len == 0 && name[0] != '\0')
            reverse->n_names++;
    }
    try_name(reverse);
}

/* --- questions ----------------------------------------------------------- */

/* false: neither IPv4 nor IPv6. */
static bool
key_of(const struct sockaddr *address, struct in6_addr *key)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

    *key = (struct in6_addr){0};
    if (address->sa_family == AF_INET6)
        *key = in6->sin6_addr;
    if (address->sa_family != AF_INET)
        return address->sa_family == AF_INET6;
    key->s6_addr[10] = key->s6_addr[11] = 0xff;
    memcpy(&key->s6_addr[12], &in->sin_addr, 4);
    return true;
}

static void
forget_oldest(void)
{
    struct reverse *old, *next;

    HASH_ITER (hh, known, old, next) {
        if (HASH_COUNT(known) < KEPT_MAX)
            return;
        if (!old->done)
            continue;
        HASH_DEL(known, old);
        free(old);
    }
}

static struct reverse *
begin(const struct in6_addr *key)
{
    struct reverse *reverse = mem_alloc(sizeof(*reverse));
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = *key};
    char name[DNS_NAME_MAX + 1];

    forget_oldest();
    memcpy(&in.sin_addr, &key->s6_addr[12], 4);
    dns_reverse_name(IN6_IS_ADDR_V4MAPPED(key) ? (struct sockaddr *)&in
                                               : (struct sockaddr *)&in6,
                     name);
    reverse->address = *key;
    HASH_ADD(hh, known, address, sizeof(reverse->address), reverse);
    reverse->question = resolve_ask(name, RESOLVE_PTR, on_names, reverse);
    return reverse;
}

void
replay_reverse(const struct sockaddr *address, replay_reverse_fn *fn, void *arg)
{
    struct reverse *reverse;
    struct asker *asker;
    struct in6_addr key;

    if (!key_of(address, &key)) {
        fn(arg, NULL, false);
        return;
    }
    HASH_FIND(hh, known, &key, sizeof(key), reverse);
    if (reverse != NULL && reverse->done &&
        reverse->fresh_until_ms <= loop_now_ms()) {
        HASH_DEL(known, reverse);
        free(reverse);
        reverse = NULL;
    }
    if (reverse != NULL && reverse->done) {
        fn(arg, reverse->name[0] != '\0' ? reverse->name : NULL,
           reverse->temporary);
        return;
    }
    if (reverse == NULL)
        reverse = begin(&key);
    asker = mem_alloc(sizeof(*asker));
    *asker = (struct asker){reverse->askers, fn, arg};
    reverse->askers = asker;
}

void
replay_reverse_forget(const void *arg)
{
    for (struct reverse *r = known; r != NULL; r = r->hh.next)
        for (struct asker *a = r->askers; a != NULL; a = a->next)
            if (a->arg == arg)
                a->fn = NULL;
}
