/* SPDX-License-Identifier: ISC */
/*
 * What TLS must prove towards a target, shared by replay_secure.c (what is
 * asked for), replay_route.c (of which host) and replay_starttls.c (does it),
 * and replay.c, which knows of new files.
 */
#ifndef SPOOLD_REPLAY_SECURE_H
#define SPOOLD_REPLAY_SECURE_H

#include "replay.h"
#include "tls.h"

enum replay_tls_need {
    REPLAY_TLS_NONE,
    REPLAY_TLS_OFFERED, /* where it is offered and works */
    REPLAY_TLS_NEEDED,  /* else no mail */
};
struct replay_tls {
    enum replay_tls_need need;
    struct tls *context;
    struct tls_demand demand;
    struct tls_memory *memory;
};
/* What goes for an address, until the return to the loop; false: the target
 * has it no more. */
bool replay_route_tls(struct replay_route *route,
                      const struct replay_address *address,
                      struct replay_tls *tls);
struct replay_host;
struct replay_secure;
struct replay_secure *replay_secure_new(const struct conf_target *target);
void replay_secure_free(struct replay_secure **secure);
bool replay_secure_wants_dane(const struct replay_secure *secure);
/* domain: the host is an MX host of it; else empty. mx_secure: DNSSEC vouches
 * for that. Fills all but tls->memory. */
void replay_secure_demand(const struct replay_secure *secure,
                          const struct replay_host *host, struct view domain,
                          bool mx_secure, struct replay_tls *tls);
/* The files of CAs are other ones; each target then renews. */
void replay_secure_files_came(void);
void replay_secure_renew(struct replay_secure *secure);

#endif
