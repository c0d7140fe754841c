/* SPDX-License-Identifier: ISC */
/*
 * Questions to the DNS: asynchronous, validated by DNSSEC, with a limit of
 * their own on the time and on how many are under way. Only resolve.c knows
 * libunbound.
 */
#ifndef SPOOLD_RESOLVE_H
#define SPOOLD_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "view.h"

struct conf;

/* Takes the configuration's resolver section and the content of the files it
 * names; again after a reload, where questions under way are asked anew. It
 * starts a thread, so a role has dropped its privileges before. */
void resolve_configure(const struct conf *conf, struct view trust_anchor,
                       struct view servers);
/* Counts the calls of resolve_configure. */
unsigned resolve_generation(void);

enum resolve_type { /* as in RFC 1035, 3596 and 6698 */
                    RESOLVE_A = 1,
                    RESOLVE_PTR = 12,
                    RESOLVE_MX = 15,
                    RESOLVE_AAAA = 28,
                    RESOLVE_TLSA = 52,
};

enum resolve_found {
    RESOLVE_RECORDS, /* there are some */
    RESOLVE_NOTHING, /* the name has none of this type */
    RESOLVE_NO_NAME, /* there is no such name */
    RESOLVE_FAILED,  /* no answer, or a bogus one: it means nothing */
};

#define RESOLVE_RECORDS_MAX 1000

struct resolve_answer {
    enum resolve_found found;
    bool secure; /* DNSSEC vouches for it, and for there being nothing */
    uint64_t ttl_ms;
    const struct view *records; /* the data of each; names not compressed */
    size_t n_records;           /* up to RESOLVE_RECORDS_MAX */
    const char *canonical;      /* where a CNAME led to; NULL: it did not */
    const char *reason;         /* why there is no record, for people */
};

/* The answer ends with the return. */
typedef void resolve_fn(void *arg, const struct resolve_answer *answer);

/* Calls back once, never from inside; the question is freed then. */
struct resolve_question;
struct resolve_question *resolve_ask(const char *name, enum resolve_type type,
                                     resolve_fn *fn, void *arg);
/* It is not called back. */
void resolve_cancel(struct resolve_question **question);

#endif
