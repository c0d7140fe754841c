/* SPDX-License-Identifier: ISC */
/*
 * What a query demands of signatures. A mask may demand less than the query
 * (the messages that pass are looked at), never more: whatever query.c lets
 * match has all of its bits. So each function here takes only those parts of
 * a pattern that a matching value has as a whole term.
 */
#include "query_term.h"

/* Fewer bits leave so many messages that looking at all costs no more. */
#define SELECTIVE_BITS 4

static bool
has_star(struct view text)
{
    return text.len > 0 && memchr(text.data, '*', text.len) != NULL;
}

static void
add_exact(struct sieve *mask, enum sieve_term term, struct view text)
{
    if (!has_star(text))
        sieve_add(mask, term, text);
}

/* "local@*", "*@domain", a whole address; without "@" it may be a local part
 * or a domain, which are the same bits (or an address that is only a local
 * part). */
static void
add_address(struct sieve *mask, enum sieve_term whole, enum sieve_term local,
            enum sieve_term domain, struct view pattern)
{
    if (pattern.len == 0)
        return;
    if (memchr(pattern.data, '@', pattern.len) != NULL)
        add_exact(mask, whole, pattern);
    add_exact(mask, local, sieve_local(pattern));
    add_exact(mask, domain, sieve_domain(pattern));
}

void
query_sieve_from(const struct query_term *term, struct sieve *mask)
{
    add_address(mask, SIEVE_FROM, SIEVE_FROM_LOCAL, SIEVE_FROM_DOMAIN,
                sieve_message_id(term->value));
}

void
query_sieve_to(const struct query_term *term, struct sieve *mask)
{
    add_address(mask, SIEVE_TO, SIEVE_TO_LOCAL, SIEVE_TO_DOMAIN,
                sieve_message_id(term->value));
}

void
query_sieve_client(const struct query_term *term, struct sieve *mask)
{
    if (!term->is_pattern)
        sieve_add_network(mask, &term->network);
    else
        add_exact(mask, SIEVE_CLIENT_NET, sieve_v4_net(term->value));
}

void
query_sieve_helo(const struct query_term *term, struct sieve *mask)
{
    add_exact(mask, SIEVE_HELO, term->value);
}

void
query_sieve_target(const struct query_term *term, struct sieve *mask)
{
    add_exact(mask, SIEVE_TARGET, term->value);
}

void
query_sieve_message_id(const struct query_term *term, struct sieve *mask)
{
    add_exact(mask, SIEVE_MESSAGE_ID, sieve_message_id(term->value));
}

/* What stands between two stars is in the subject as it is. */
void
query_sieve_subject(const struct query_term *term, struct sieve *mask)
{
    struct view rest = term->value;

    while (rest.len > 0) {
        const char *star = memchr(rest.data, '*', rest.len);
        size_t len = star != NULL ? (size_t)(star - rest.data) : rest.len;

        sieve_add_runs(mask, SIEVE_SUBJECT, (struct view){rest.data, len});
        rest = view_skip(rest, len + 1);
    }
}

bool
query_sieve(const struct query *query, struct sieve *mask)
{
    int bits = 0;

    *mask = (struct sieve){0};
    for (size_t i = 0; i < query->n_terms; i++) {
        const struct query_term *term = &query->terms[i];

        if (!term->negated && term->key->sieve != NULL)
            term->key->sieve(term, mask);
    }
    for (size_t i = 0; i < SIEVE_WORDS; i++)
        bits += __builtin_popcountll(mask->bits[i]);
    return bits >= SELECTIVE_BITS;
}
