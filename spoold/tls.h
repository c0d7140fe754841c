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
void tls_free(struct tls **tls); /* connections keep what they use */
struct ssl_st *tls_connection(struct tls *tls); /* io.c only */

#endif
