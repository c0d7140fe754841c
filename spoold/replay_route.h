/* SPDX-License-Identifier: ISC */
/*
 * Hosts and their addresses, shared by replay_route.c (which hosts, in which
 * order) and replay_host.c (one host's addresses), and by nobody else.
 */
#ifndef SPOOLD_REPLAY_ROUTE_H
#define SPOOLD_REPLAY_ROUTE_H

#include "dns.h"
#include "replay_secure.h"
#include "resolve.h"

#define REPLAY_SPOTS_MAX  8     /* addresses of one host */
#define REPLAY_ASK_MIN    5000  /* nothing is asked for again sooner (ms) */
#define REPLAY_ASK_FAILED 10000 /* ... after no answer */
#define REPLAY_ASK_MAX    86400000
/* An old answer is used that long where no newer one comes. */
#define REPLAY_STALE_MS 86400000
#define REPLAY_WHY_MAX  320

struct replay_spot { /* an address of a host */
    struct replay_address address;
    int64_t behind_until_ms;   /* it failed: tried last */
    int64_t plain_until_ms;    /* its TLS failed: not tried where it may be */
    struct tls_memory *memory; /* NULL: there was no TLS yet */
};

enum replay_dane { /* what DNSSEC says of the host's TLS (RFC 7672 2.2) */
                   REPLAY_DANE_NONE,    /* nothing */
                   REPLAY_DANE_ENCRYPT, /* it has TLS; no record can be used to
                                           prove it */
                   REPLAY_DANE_PROVE,   /* one of the records must fit */
};

struct replay_host {
    enum conf_host_kind kind;
    char *name;
    uint16_t port;
    bool of_mx;
    uint16_t preference; /* of_mx */

    struct replay_spot *spots;
    size_t n_spots;
    enum replay_dane dane;
    char base[DNS_NAME_MAX + 1]; /* where the TLSA records were */
    struct tls_record *records;
    size_t n_records;
    struct buf record_bytes; /* what they point into */

    bool answered; /* there was an answer once, if only a failure */
    int64_t fresh_until_ms;
    int64_t stale_until_ms;
    char reason[REPLAY_WHY_MAX]; /* why there are no (newer) addresses */
    struct replay_look *look;    /* under way; NULL: none */
};

typedef void replay_host_fn(void *arg);

/* An address needs no lookup. name is copied. */
struct replay_host *replay_host_new(enum conf_host_kind kind, const char *name,
                                    uint16_t port);
void replay_host_free(struct replay_host **host);
/* Looks the name up, with TLSA records where dane says so. true: it is done
 * already; false: fn(arg) follows. Only where no lookup is under way. */
bool replay_host_look(struct replay_host *host, bool dane, replay_host_fn *fn,
                      void *arg);
/* Nothing that TLS did there before counts any more. */
void replay_host_forget_tls(struct replay_host *host);
/* The spot of this address; NULL: it has it no more. */
struct replay_spot *replay_host_spot(const struct replay_host *host,
                                     const struct replay_address *address);

#endif
