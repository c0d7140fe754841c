/* SPDX-License-Identifier: ISC */
/*
 * One host's addresses and what the DNS says of its certificate. A lookup
 * asks for A and AAAA at once and then, where DANE is wanted and DNSSEC
 * vouches for the way there, for TLSA at the name a CNAME led to and at the
 * name itself (RFC 7672 2.2.2, 2.2.3). Its result takes the place of the one
 * before as a whole; where there is none, the one before stays for a day.
 *
 * Before: replay_route.c   After: resolve.c
 */
#include "replay_route.h"

#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "hosts.h"
#include "loop.h"
#include "mem.h"
#include "system_file.h"

#define FAMILIES       2 /* AAAA, A */
#define TLSA_MAX       16
#define TLSA_DATA_MAX  4096 /* a whole certificate */
#define HOSTS_FRESH_MS 60000

struct family {
    struct resolve_question *question; /* NULL: answered */
    struct sockaddr_storage addresses[REPLAY_SPOTS_MAX];
    size_t n;
    bool secure;
    bool failed;
};

struct replay_look {
    struct replay_host *host;
    bool dane;
    replay_host_fn *fn;
    void *arg;
    struct family families[FAMILIES];
    struct resolve_question *tlsa;
    char canonical[DNS_NAME_MAX + 1]; /* "": the name is no alias */
    bool at_canonical;                /* the TLSA question is about that */
    uint64_t ttl_ms;                  /* the least of all answers */
    char reason[REPLAY_WHY_MAX];      /* of an answer without addresses */
};

/* --- addresses ----------------------------------------------------------- */

static bool
same_address(const struct replay_address *a, const struct replay_address *b)
{
    return a->to_len == b->to_len && memcmp(&a->to, &b->to, a->to_len) == 0;
}

struct replay_spot *
replay_host_spot(const struct replay_host *host,
                 const struct replay_address *address)
{
    for (size_t i = 0; i < host->n_spots; i++)
        if (same_address(&host->spots[i].address, address))
            return &host->spots[i];
    return NULL;
}

static void
fill_address(struct replay_address *address, const struct replay_host *host,
             const struct sockaddr_storage *to)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->to;
    struct sockaddr_in *in = (struct sockaddr_in *)&address->to;
    char text[INET6_ADDRSTRLEN] = "?";
    bool v6 = to->ss_family == AF_INET6;

    *address = (struct replay_address){.to = *to};
    if (v6) {
        address->to_len = sizeof(*in6);
        in6->sin6_port = htons(host->port);
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
    } else {
        address->to_len = sizeof(*in);
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

static void
spots_free(struct replay_spot *spots, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tls_memory_free(&spots[i].memory);
    free(spots);
}

/* Other addresses from now on; what is known of those that stay is kept. */
static void
set_spots(struct replay_host *host, const struct sockaddr_storage *addresses,
          size_t n)
{
    struct replay_spot *spots = mem_alloc((n + 1) * sizeof(*spots));

    for (size_t i = 0; i < n; i++) {
        struct replay_spot *old;

        fill_address(&spots[i].address, host, &addresses[i]);
        old = replay_host_spot(host, &spots[i].address);
        if (old == NULL)
            continue;
        spots[i].behind_until_ms = old->behind_until_ms;
        spots[i].plain_until_ms = old->plain_until_ms;
        spots[i].memory = old->memory;
        old->memory = NULL;
    }
    spots_free(host->spots, host->n_spots);
    host->spots = spots;
    host->n_spots = n;
}

/* IPv6 and IPv4 in turn, as long as there are both (RFC 8305 4). */
static void
set_found(struct replay_host *host, const struct replay_look *look)
{
    struct sockaddr_storage all[REPLAY_SPOTS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < REPLAY_SPOTS_MAX; i++)
        for (size_t f = 0; f < FAMILIES && n < REPLAY_SPOTS_MAX; f++)
            if (i < look->families[f].n)
                all[n++] = look->families[f].addresses[i];
    set_spots(host, all, n);
}

/* --- hosts --------------------------------------------------------------- */

static void
set_path(struct replay_host *host)
{
    struct replay_address *address;
    struct sockaddr_un *un;

    host->spots = mem_alloc(sizeof(*host->spots));
    host->n_spots = 1;
    address = &host->spots->address;
    un = (struct sockaddr_un *)&address->to;
    un->sun_family = AF_UNIX;
    snprintf(un->sun_path, sizeof(un->sun_path), "%s", host->name);
    address->to_len = sizeof(*un);
    snprintf(address->remote, sizeof(address->remote), "%s", host->name);
    snprintf(address->text, sizeof(address->text), "%s", host->name);
}

static void
set_literal(struct replay_host *host)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;

    if (host->kind == CONF_HOST_PATH) {
        set_path(host);
    } else if (host->kind == CONF_HOST_IPV4) {
        address.ss_family = AF_INET;
        inet_pton(AF_INET, host->name, &in->sin_addr);
        set_spots(host, &address, 1);
    } else {
        address.ss_family = AF_INET6;
        inet_pton(AF_INET6, host->name, &in6->sin6_addr);
        set_spots(host, &address, 1);
    }
    host->answered = true;
    host->fresh_until_ms = host->stale_until_ms = INT64_MAX;
}

struct replay_host *
replay_host_new(enum conf_host_kind kind, const char *name, uint16_t port)
{
    struct replay_host *host = mem_alloc(sizeof(*host));

    host->kind = kind;
    host->name = mem_copy_text(name);
    host->port = port;
    if (kind != CONF_HOST_NAME)
        set_literal(host);
    return host;
}

static void
look_free(struct replay_host *host)
{
    if (host->look == NULL)
        return;
    for (size_t f = 0; f < FAMILIES; f++)
        resolve_cancel(&host->look->families[f].question);
    resolve_cancel(&host->look->tlsa);
    free(host->look);
    host->look = NULL;
}

static void
records_clear(struct replay_host *host)
{
    free(host->records);
    host->records = NULL;
    host->n_records = 0;
    buf_free(&host->record_bytes);
}

void
replay_host_free(struct replay_host **host_ptr)
{
    struct replay_host *host = *host_ptr;

    if (host == NULL)
        return;
    *host_ptr = NULL;
    look_free(host);
    spots_free(host->spots, host->n_spots);
    records_clear(host);
    free(host->name);
    free(host);
}

/* --- the end of a lookup ------------------------------------------------- */

static void
look_end(struct replay_host *host)
{
    replay_host_fn *fn = host->look->fn;
    void *arg = host->look->arg;

    look_free(host);
    host->answered = true;
    fn(arg);
}

/* There is a result. */
static void
look_succeeds(struct replay_host *host, bool whole)
{
    int64_t now_ms = loop_now_ms();
    uint64_t ttl_ms = host->look->ttl_ms;

    if (ttl_ms < REPLAY_ASK_MIN)
        ttl_ms = REPLAY_ASK_MIN;
    if (ttl_ms > REPLAY_ASK_MAX)
        ttl_ms = REPLAY_ASK_MAX;
    if (!whole && ttl_ms > REPLAY_ASK_FAILED)
        ttl_ms = REPLAY_ASK_FAILED;
    host->fresh_until_ms = now_ms + (int64_t)ttl_ms;
    host->stale_until_ms = host->fresh_until_ms + REPLAY_STALE_MS;
    host->reason[0] = '\0';
    if (host->n_spots == 0)
        snprintf(host->reason, sizeof(host->reason), "%s", host->look->reason);
    look_end(host);
}

/* There is none; the one before is used on, unless it could be a wrong one. */
static void
look_fails(struct replay_host *host, bool keep)
{
    int64_t now_ms = loop_now_ms();

    host->fresh_until_ms = now_ms + REPLAY_ASK_FAILED;
    snprintf(host->reason, sizeof(host->reason), "%s", host->look->reason);
    if (!keep || host->stale_until_ms <= now_ms)
        set_spots(host, NULL, 0);
    look_end(host);
}

/* --- TLSA ---------------------------------------------------------------- */

/* Another demand: what was proved before proves nothing now. */
void
replay_host_forget_tls(struct replay_host *host)
{
    for (size_t i = 0; i < host->n_spots; i++) {
        tls_memory_free(&host->spots[i].memory);
        host->spots[i].plain_until_ms = 0;
    }
}

static void
set_dane(struct replay_host *host, enum replay_dane dane,
         const struct resolve_answer *answer)
{
    struct buf bytes = {0};
    struct dns_tlsa all[TLSA_MAX];
    size_t n = 0, at = 0;

    for (size_t i = 0; answer != NULL && i < answer->n_records; i++)
        if (n < TLSA_MAX && dns_tlsa_read(answer->records[i], &all[n]) == 0 &&
            dns_tlsa_is_usable(&all[n]) && all[n].data.len <= TLSA_DATA_MAX) {
            buf_add_byte(&bytes, all[n].usage);
            buf_add_byte(&bytes, all[n].selector);
            buf_add_byte(&bytes, all[n].matching);
            buf_add_view(&bytes, all[n++].data);
        }
    if (dane == REPLAY_DANE_PROVE && n == 0)
        dane = REPLAY_DANE_ENCRYPT;
    if (dane != host->dane ||
        !view_equal(buf_view(&bytes), buf_view(&host->record_bytes)))
        replay_host_forget_tls(host);
    records_clear(host);
    host->dane = dane;
    host->record_bytes = bytes;
    host->n_records = n;
    host->records = mem_alloc((n + 1) * sizeof(*host->records));
    for (size_t i = 0; i < n; i++) {
        host->records[i] =
            (struct tls_record){all[i].usage,
                                all[i].selector,
                                all[i].matching,
                                {bytes.data + at + 3, all[i].data.len}};
        at += 3 + all[i].data.len;
    }
}

static bool
is_whole(const struct replay_look *look)
{
    for (size_t f = 0; f < FAMILIES; f++)
        if (look->families[f].failed)
            return false;
    return true;
}

static void
succeed(struct replay_host *host)
{
    set_found(host, host->look);
    look_succeeds(host, is_whole(host->look));
}

static void
note_ttl(struct replay_look *look, const struct resolve_answer *answer)
{
    if (answer->ttl_ms < look->ttl_ms)
        look->ttl_ms = answer->ttl_ms;
}

static void tlsa_ask(struct replay_look *look, bool at_canonical);

static void
on_tlsa(void *arg, const struct resolve_answer *answer)
{
    struct replay_look *look = arg;
    struct replay_host *host = look->host;

    look->tlsa = NULL;
    note_ttl(look, answer);
    if (answer->found == RESOLVE_FAILED) {
        snprintf(look->reason, sizeof(look->reason), "%s", answer->reason);
        look_fails(host, false);
    } else if (answer->found == RESOLVE_RECORDS && answer->secure) {
        snprintf(host->base, sizeof(host->base), "%s",
                 look->at_canonical ? look->canonical : host->name);
        set_dane(host, REPLAY_DANE_PROVE, answer);
        succeed(host);
    } else if (look->at_canonical) {
        tlsa_ask(look, false);
    } else {
        set_dane(host, REPLAY_DANE_NONE, NULL);
        succeed(host);
    }
}

static void
tlsa_ask(struct replay_look *look, bool at_canonical)
{
    const char *name = at_canonical ? look->canonical : look->host->name;
    char question[DNS_NAME_MAX + 16];

    look->at_canonical = at_canonical;
    snprintf(question, sizeof(question), "_%u._tcp.%s", look->host->port, name);
    look->tlsa = resolve_ask(question, RESOLVE_TLSA, on_tlsa, look);
}

/* --- A and AAAA ---------------------------------------------------------- */

/* Does DNSSEC vouch for all addresses? */
static bool
is_secure(const struct replay_look *look)
{
    for (size_t f = 0; f < FAMILIES; f++)
        if (look->families[f].n > 0 && !look->families[f].secure)
            return false;
    return true;
}

static void
both_answered(struct replay_look *look)
{
    struct replay_host *host = look->host;
    bool alias = look->canonical[0] != '\0';

    if (look->families[0].n + look->families[1].n == 0) {
        if (!is_whole(look)) {
            look_fails(host, !look->dane);
            return;
        }
        succeed(host); /* it has none, for sure */
    } else if (look->dane && (is_secure(look) || alias)) {
        tlsa_ask(look, alias && is_secure(look));
    } else {
        set_dane(host, REPLAY_DANE_NONE, NULL);
        succeed(host);
    }
}

static void
add_record(struct family *family, int af, struct view data)
{
    struct sockaddr_storage *to = &family->addresses[family->n];
    struct sockaddr_in *in = (struct sockaddr_in *)to;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
    void *bytes = af == AF_INET ? (void *)&in->sin_addr : &in6->sin6_addr;

    if (family->n == REPLAY_SPOTS_MAX || data.len != (af == AF_INET ? 4 : 16))
        return;
    *to = (struct sockaddr_storage){.ss_family = (sa_family_t)af};
    memcpy(bytes, data.data, data.len);
    family->n++;
}

static void
on_addresses(struct replay_look *look, size_t f,
             const struct resolve_answer *answer)
{
    struct family *family = &look->families[f];

    family->question = NULL;
    family->secure = answer->secure;
    family->failed = answer->found == RESOLVE_FAILED;
    note_ttl(look, answer);
    for (size_t i = 0; i < answer->n_records; i++)
        add_record(family, f == 0 ? AF_INET6 : AF_INET, answer->records[i]);
    if (family->failed || look->reason[0] == '\0')
        snprintf(look->reason, sizeof(look->reason), "%s", answer->reason);
    if (answer->canonical != NULL)
        snprintf(look->canonical, sizeof(look->canonical), "%s",
                 answer->canonical);
    if (look->families[0].question == NULL &&
        look->families[1].question == NULL)
        both_answered(look);
}

static void
on_v6(void *arg, const struct resolve_answer *answer)
{
    on_addresses(arg, 0, answer);
}

static void
on_v4(void *arg, const struct resolve_answer *answer)
{
    on_addresses(arg, 1, answer);
}

/* In the file of hosts? Nobody vouches for what it says. */
static bool
look_in_file(struct replay_host *host)
{
    struct sockaddr_storage addresses[REPLAY_SPOTS_MAX];
    size_t n = hosts_find(system_file(replay_conf()->hosts_file),
                          view_of(host->name), addresses, REPLAY_SPOTS_MAX);

    if (n == 0)
        return false;
    set_dane(host, REPLAY_DANE_NONE, NULL);
    set_spots(host, addresses, n);
    host->answered = true;
    host->reason[0] = '\0';
    host->fresh_until_ms = host->stale_until_ms =
        loop_now_ms() + HOSTS_FRESH_MS;
    return true;
}

bool
replay_host_look(struct replay_host *host, bool dane, replay_host_fn *fn,
                 void *arg)
{
    struct replay_look *look;

    if (look_in_file(host))
        return true;
    look = mem_alloc(sizeof(*look));
    look->host = host;
    look->dane = dane;
    look->fn = fn;
    look->arg = arg;
    look->ttl_ms = REPLAY_ASK_MAX;
    host->look = look;
    look->families[0].question =
        resolve_ask(host->name, RESOLVE_AAAA, on_v6, look);
    look->families[1].question =
        resolve_ask(host->name, RESOLVE_A, on_v4, look);
    return false;
}
