/* SPDX-License-Identifier: ISC */
/*
 * Private to query*.c: a query that was read, term by term. query.c reads
 * and matches, query_sieve.c says what the signatures of matching messages
 * (sieve.h) must have.
 */
#ifndef SPOOL_QUERY_TERM_H
#define SPOOL_QUERY_TERM_H

#include "network.h"
#include "query.h"

struct query_key;

enum state_kind { STATE_ONE, STATE_HELD, STATE_FINISHED, STATE_ANY };

struct query_term {
    const struct query_key *key;
    bool negated;
    bool of_delivery;  /* asks each delivery, not the message */
    struct view value; /* without quotes */
    char relation;     /* size: '<' or '>' */
    bool is_age;       /* since, before: number is an age, not a date */
    uint64_t number;   /* size, age, date, id, delivery state */
    enum state_kind state;
    bool is_pattern; /* client: "192.0.2.*", not a network */
    struct network network;
};

struct query {
    char *memory; /* what the values point into */
    bool held_only;
    size_t n_terms;
    size_t n_to;          /* terms to:, not negated */
    size_t n_of_delivery; /* the other terms about deliveries, not negated */
    struct query_term terms[QUERY_TERMS_MAX];
};

/* What a term is held against. */
struct query_facts {
    const struct db_message *message;
    const struct delivery *delivery; /* NULL: a term about the message */
    int64_t now_ms;
};

/* Adds what each message that fits the term has in its signature. */
typedef void query_sieve_fn(const struct query_term *term, struct sieve *mask);

struct query_key {
    const char *name;
    /* Reads the value into the term; NULL: the value is a pattern. */
    int (*parse)(struct query_term *term, struct why *why);
    bool (*matches)(const struct query_term *term,
                    const struct query_facts *facts);
    bool of_delivery;
    query_sieve_fn *sieve; /* NULL: nothing */
};

/* --- query_sieve.c ------------------------------------------------------- */

query_sieve_fn query_sieve_from;
query_sieve_fn query_sieve_to;
query_sieve_fn query_sieve_client;
query_sieve_fn query_sieve_helo;
query_sieve_fn query_sieve_target;
query_sieve_fn query_sieve_subject;
query_sieve_fn query_sieve_message_id;

#endif
