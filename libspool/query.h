/* SPDX-License-Identifier: ISC */
/*
 * The small language in which an operator says which messages are meant:
 *
 *     from:*@example.org to:anna@* since:2h -state:later size:>1M
 *
 * Terms key:value, all of which must hold; a leading "-" turns one around.
 * Values end at a blank; quotes keep blanks, and in quotes a backslash keeps
 * the next character. A "*" in a pattern stands for anything; case does not
 * count. spoolctl(8) describes the keys, in the order of the table in query.c.
 *
 * to:, target: and state: speak of deliveries: a message is meant when one
 * of its deliveries fits all of them at once; with several to: terms each of
 * them needs such a delivery. Turned around, no delivery may fit.
 * state:held is all that is open: ready, later, and what the operator holds,
 * which alone is state:on-hold.
 */
#ifndef SPOOL_QUERY_H
#define SPOOL_QUERY_H

#include "db_read.h"

#define QUERY_TEXT_MAX  4096
#define QUERY_TERMS_MAX 64

struct query;

/* NULL and a reason that names the term when text is not a query. The empty
 * text is the query that every message matches. Dates without a zone are
 * taken in the zone of the process (when.h). */
struct query *query_parse(struct view text, struct why *why);
void query_free(struct query **query);

/* If no term says which states are meant: only messages that are held. True
 * when nothing else can match from now on. */
bool query_want_held(struct query *query);

bool query_matches(const struct query *query, const struct db_message *message,
                   int64_t now_ms);
/* Of a message that matches: is this delivery one that is meant? All are
 * where no term says which. */
bool query_means(const struct query *query, const struct db_message *message,
                 const struct delivery *delivery, int64_t now_ms);
/* Does a term say which states are meant? */
bool query_names_state(const struct query *query);
/* Ids of all that can match lie in after_id < id <= last_id. */
void query_range(const struct query *query, int64_t now_ms, uint64_t *after_id,
                 uint64_t *last_id);

/* Is there a bound at the other end, by before:? *last_id is it; messages
 * that were imported may have later ids all the same. */
bool query_range_before(const struct query *query, int64_t now_ms,
                        uint64_t *last_id);
/* What the signature of each message that matches has (sieve.h). False when
 * that is too little to be worth a look at the signatures. */
bool query_sieve(const struct query *query, struct sieve *mask);

/* Appends the query in its plain form: dates in UTC, quotes where needed.
 * Parsing that gives the same query in any time zone. */
void query_print(const struct query *query, struct buf *out);

/* Appends one argument of a command line to the text of a query. The shell
 * took the quotes of subject:"two words"; they are put back where the
 * argument is one term with blanks in its value. */
void query_add_word(struct buf *text, struct view word);

#endif
