/* SPDX-License-Identifier: ISC */
/*
 * Signatures that make finding one message among millions a matter of
 * milliseconds (superimposed coding: Roberts, "Partial-match retrieval via
 * the method of superimposed codes", 1979). Each message has one of
 * SIEVE_BITS bits; each of its terms (addresses, domains, client, three
 * letters of the subject at a time, ...) sets a few. What a query demands
 * makes a mask; a message can only match when its signature has all of the
 * mask's bits. The few that pass are then looked at. Case does not count.
 *
 * The signature is a function of the rows only, so applying a record gives
 * the same tables everywhere. The hash is part of the format (spool.5).
 */
#ifndef SPOOL_SIEVE_H
#define SPOOL_SIEVE_H

#include "message.h"
#include "network.h"

#define SIEVE_WORDS 3
#define SIEVE_BITS  (SIEVE_WORDS * 64)

struct sieve {
    uint64_t bits[SIEVE_WORDS];
};

enum sieve_term {
    SIEVE_FROM = 1,    /* the whole sender address */
    SIEVE_FROM_LOCAL,  /* its local part */
    SIEVE_FROM_DOMAIN, /* its domain */
    SIEVE_TO,          /* the same for each recipient */
    SIEVE_TO_LOCAL,
    SIEVE_TO_DOMAIN,
    SIEVE_CLIENT,     /* the client's address as inet_ntop prints it */
    SIEVE_CLIENT_NET, /* its /24 ("192.0.2") or /48 ("2001:db8:1::") */
    SIEVE_HELO,
    SIEVE_MESSAGE_ID,
    SIEVE_SUBJECT, /* each run of three bytes */
    SIEVE_TARGET,
    SIEVE_IMPORTED, /* "import": its id may be later than its arrival */
};

/* Adds a term; an empty text adds nothing. */
void sieve_add(struct sieve *sieve, enum sieve_term term, struct view text);
/* Each run of three bytes of text, for SIEVE_SUBJECT. */
void sieve_add_runs(struct sieve *sieve, enum sieve_term term,
                    struct view text);
/* CLIENT where network is one address, and CLIENT_NET where it is within a
 * /24 or /48. */
void sieve_add_network(struct sieve *sieve, const struct network *network);

/* The parts of an address that are terms: up to the first "@", behind the
 * last one (empty: there is none). */
struct view sieve_local(struct view address);
struct view sieve_domain(struct view address);
/* Up to the third dot; empty where there is none. */
struct view sieve_v4_net(struct view text);
/* Without brackets around it. */
struct view sieve_message_id(struct view value);

/* All terms of a message. */
void sieve_of_message(struct sieve *sieve, const struct message *message,
                      const struct delivery *deliveries, size_t n);

static inline bool
sieve_passes(const struct sieve *sieve, const struct sieve *mask)
{
    for (int i = 0; i < SIEVE_WORDS; i++)
        if ((sieve->bits[i] & mask->bits[i]) != mask->bits[i])
            return false;
    return true;
}

#endif
