/* SPDX-License-Identifier: ISC */
/*
 * OpenSSL contexts. TLS 1.2 and 1.3 only; the library's own choice of
 * ciphers. Only tls.c and io.c include OpenSSL.
 */
#ifndef SPOOLD_TLS_H
#define SPOOLD_TLS_H

#include "view.h"
#include "why.h"

struct tls;
struct ssl_st;

/* A server context from PEM texts; NULL and a reason when they do not fit. */
struct tls *tls_server_new(struct view certificate, struct view key,
                           struct why *why);
/* A client context. ca: the certificates that vouch for others, PEM; empty:
 * nobody does. NULL and a reason when there is none in it. */
struct tls *tls_client_new(struct view ca, struct why *why);
void tls_free(struct tls **tls); /* connections keep what they use */

/* A certificate or a key that will do (RFC 6698 2.1). */
struct tls_record {
    unsigned usage;    /* 2: it vouches, 3: it is the server's own */
    unsigned selector; /* 0: a certificate, 1: a public key */
    unsigned matching; /* 0: data is it, 1: its SHA-256, 2: its SHA-512 */
    struct view data;
};

/* What a server has to prove. All zero: nothing, it is encryption only. */
#define TLS_NAMES_MAX 3
struct tls_demand {
    struct view host; /* told to the server (SNI); empty: not told */
    /* The context's CAs vouch, or with records those do. */
    bool proof;
    /* One must stand in the certificate, but with a record of usage 3; ".a.b"
     * is any name below a.b. None: an address, in text form. */
    struct view names[TLS_NAMES_MAX];
    size_t n_names;
    struct view address;
    const struct tls_record *records;
    size_t n_records;
};

/* The session of the last connection to a server, for the next one to resume.
 * What it proved was proved for the demand of that connection: another demand
 * needs another memory. Counted: connections keep what they use. */
struct tls_memory;
struct tls_memory *tls_memory_new(void);
void tls_memory_free(struct tls_memory **memory);

/* --- for io.c only ------------------------------------------------------- */

struct ssl_st *tls_connection(struct tls *tls);
/* memory may be NULL. NULL and a reason: the demand cannot be met. */
struct ssl_st *tls_client_connection(struct tls *tls,
                                     const struct tls_demand *demand,
                                     struct tls_memory *memory,
                                     struct why *why);
/* Why the last call of OpenSSL failed, for people. */
const char *tls_reason(const struct ssl_st *ssl);

#endif
