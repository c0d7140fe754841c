/* SPDX-License-Identifier: ISC */
/*
 * One table of keys: how the value is read, what it is compared with, and
 * whether that is a fact of the message or of each delivery. Parsing owns
 * the texts; matching allocates nothing.
 */
#include "query.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "glob.h"
#include "mem.h"
#include "msgid.h"
#include "num.h"
#include "query_term.h"
#include "when.h"

#define AGE_MAX_MS (UINT64_C(100) * 366 * 86400 * 1000)
/* An id is made when the content begins to come, so it may be older than the
 * arrival; never by as much as this. */
#define ID_SLACK_MS INT64_C(86400000)
#define SHOWN_MAX   60 /* of a term, in an error */

/* --- patterns ------------------------------------------------------------ */

static struct view
without_brackets(struct view value)
{
    if (value.len >= 2 && value.data[0] == '<' &&
        value.data[value.len - 1] == '>')
        return (struct view){value.data + 1, value.len - 2};
    return value;
}

/* A pattern without "@" may also stand for the local part or the domain. */
static bool
fits_address(struct view value, struct view address)
{
    struct view pattern = without_brackets(value);
    size_t at = address.len;

    if (glob_matches(pattern, address))
        return true;
    while (at > 0 && address.data[at - 1] != '@')
        at--;
    if (at == 0 || pattern.len == 0 ||
        memchr(pattern.data, '@', pattern.len) != NULL)
        return false;
    return glob_matches(pattern, (struct view){address.data, at - 1}) ||
           glob_matches(pattern, view_skip(address, at));
}

static bool
match_from(const struct query_term *term, const struct query_facts *facts)
{
    return fits_address(term->value, facts->message->message.sender);
}

static bool
match_to(const struct query_term *term, const struct query_facts *facts)
{
    return fits_address(term->value, facts->delivery->recipient);
}

static bool
match_target(const struct query_term *term, const struct query_facts *facts)
{
    return glob_matches(term->value, facts->delivery->target);
}

static bool
match_helo(const struct query_term *term, const struct query_facts *facts)
{
    return glob_matches(term->value, facts->message->message.helo);
}

static bool
match_message_id(const struct query_term *term, const struct query_facts *facts)
{
    return glob_matches(without_brackets(term->value),
                        without_brackets(facts->message->message.message_id));
}

static bool
match_subject(const struct query_term *term, const struct query_facts *facts)
{
    return glob_within(term->value, facts->message->message.subject);
}

/* --- client: addresses and networks -------------------------------------- */

static int
parse_client(struct query_term *term, struct why *why)
{
    term->is_pattern = memchr(term->value.data, '*', term->value.len) != NULL;
    if (term->is_pattern || network_parse(term->value, &term->network) == 0)
        return 0;
    return why_text(why, "needs an address, a network such as 192.0.2.0/24, "
                         "or a pattern such as 192.0.2.*");
}

static bool
match_client(const struct query_term *term, const struct query_facts *facts)
{
    struct view client = facts->message->message.client;

    return term->is_pattern ? glob_matches(term->value, client)
                            : network_has(&term->network, client);
}

/* --- numbers and times --------------------------------------------------- */

static int
parse_size(struct query_term *term, struct why *why)
{
    term->relation = term->value.data[0];
    if (term->relation != '<' && term->relation != '>')
        return why_text(why, "needs < or >, as in size:>1M");
    return num_parse_size(view_skip(term->value, 1), 0, UINT64_MAX,
                          &term->number, why);
}

static bool
match_size(const struct query_term *term, const struct query_facts *facts)
{
    uint64_t size = facts->message->message.size;

    return term->relation == '<' ? size < term->number : size > term->number;
}

static int
parse_when(struct query_term *term, struct why *why)
{
    int64_t date;

    term->is_age = memchr(term->value.data, '-', term->value.len) == NULL;
    if (term->is_age) {
        if (num_parse_duration(term->value, 0, AGE_MAX_MS, &term->number,
                               NULL) == 0)
            return 0;
        return why_text(why, "needs a duration such as 90s, 2h, 14d, or a date "
                             "such as 2026-11-25 or 2026-11-25T03:22");
    }
    if (when_parse(term->value, &date, why) != 0)
        return -1;
    term->number = (uint64_t)date;
    return 0;
}

static int64_t
moment_of(const struct query_term *term, int64_t now_ms)
{
    return term->is_age ? now_ms - (int64_t)term->number
                        : (int64_t)term->number;
}

static bool
match_since(const struct query_term *term, const struct query_facts *facts)
{
    return (int64_t)facts->message->message.arrived_ms >=
           moment_of(term, facts->now_ms);
}

static bool
match_before(const struct query_term *term, const struct query_facts *facts)
{
    return !match_since(term, facts);
}

static int
parse_id(struct query_term *term, struct why *why)
{
    if (msgid_parse(term->value, &term->number) != 0)
        return why_text(why, "is not a message id (13 letters and digits)");
    return 0;
}

static bool
match_id(const struct query_term *term, const struct query_facts *facts)
{
    return facts->message->id == term->number;
}

/* --- state --------------------------------------------------------------- */

static int
parse_state(struct query_term *term, struct why *why)
{
    static const struct {
        const char *name;
        enum state_kind state;
        bool of_delivery;
    } names[] = {
        {"held", STATE_HELD, true},
        {"finished", STATE_FINISHED, false},
        {"any", STATE_ANY, false},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!view_equal_nocase(term->value, view_of(names[i].name)))
            continue;
        term->state = names[i].state;
        term->of_delivery = names[i].of_delivery;
        return 0;
    }
    term->state = STATE_ONE;
    term->number = delivery_state_by_name(term->value);
    if (term->number != 0)
        return 0;
    return why_text(why, "is none of held, ready, later, on-hold, finished, "
                         "delivered, returned, expired, dropped, discarded, "
                         "any");
}

static bool
is_held(const struct db_message *message)
{
    for (size_t i = 0; i < message->n_deliveries; i++)
        if (delivery_is_open(message->deliveries[i].delivery.state))
            return true;
    return false;
}

static bool
match_state(const struct query_term *term, const struct query_facts *facts)
{
    switch (term->state) {
    case STATE_ONE:
        return facts->delivery->state == term->number;
    case STATE_HELD:
        return delivery_is_open(facts->delivery->state);
    case STATE_FINISHED:
        return !is_held(facts->message);
    case STATE_ANY:
        break;
    }
    return true;
}

/* --- the language -------------------------------------------------------- */

static const struct query_key keys[] = {
    {"from", NULL, match_from, false, query_sieve_from},
    {"to", NULL, match_to, true, query_sieve_to},
    {"client", parse_client, match_client, false, query_sieve_client},
    {"helo", NULL, match_helo, false, query_sieve_helo},
    {"since", parse_when, match_since, false, NULL},
    {"before", parse_when, match_before, false, NULL},
    {"state", parse_state, match_state, true, NULL},
    {"target", NULL, match_target, true, query_sieve_target},
    {"size", parse_size, match_size, false, NULL},
    {"subject", NULL, match_subject, false, query_sieve_subject},
    {"message-id", NULL, match_message_id, false, query_sieve_message_id},
    {"id", parse_id, match_id, false, NULL},
};
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const struct query_key *
key_named(struct view name)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (view_equal_nocase(name, view_of(keys[i].name)))
            return &keys[i];
    return NULL;
}

/* The key at the front of a term, which moves past the colon; NULL: none. */
static const struct query_key *
take_key(struct view *text)
{
    const char *colon =
        text->len > 0 ? memchr(text->data, ':', text->len) : NULL;
    const struct query_key *key;

    if (colon == NULL)
        return NULL;
    key = key_named((struct view){text->data, (size_t)(colon - text->data)});
    if (key != NULL)
        *text = view_skip(*text, (size_t)(colon - text->data) + 1);
    return key;
}

static bool
take_minus(struct view *text)
{
    if (text->len == 0 || text->data[0] != '-')
        return false;
    *text = view_skip(*text, 1);
    return true;
}

/* Length of the term at the front: up to a blank outside quotes. On -1 it is
 * all that can be shown of it. */
static int
term_length(struct view text, size_t *len, struct why *why)
{
    bool quoted = false, escaped = false;

    for (*len = 0; *len < text.len; (*len)++) {
        char c = text.data[*len];

        if (c == '\0')
            return why_text(why, "a NUL in the query");
        if (!quoted && is_blank(c))
            return 0;
        if (c == '"' && !escaped)
            quoted = !quoted;
        escaped = quoted && c == '\\' && !escaped;
    }
    return quoted ? why_text(why, "a quote is not closed") : 0;
}

/* The value without its quotes, in place. */
static struct view
unquote(char *text, size_t len)
{
    bool quoted = false;
    size_t out = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"') {
            quoted = !quoted;
            continue;
        }
        if (quoted && text[i] == '\\')
            i++;
        text[out++] = text[i];
    }
    return (struct view){text, out};
}

static int
unknown_key(struct view term, struct why *why)
{
    char names[160] = "";
    size_t len = 0;

    if (memchr(term.data, ':', term.len) == NULL)
        return why_text(why, "a term is written key:value, as in "
                             "from:*@example.org");
    for (size_t i = 0; i < N_KEYS; i++)
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
                                i > 0 ? ", " : "", keys[i].name);
    return why_text(why, "there is no such key; the keys are %s", names);
}

static int
parse_term(struct query *query, char *text, size_t len, struct why *why)
{
    struct query_term *term = &query->terms[query->n_terms];
    struct view rest = {text, len};

    if (query->n_terms == QUERY_TERMS_MAX)
        return why_text(why, "more than %d terms", QUERY_TERMS_MAX);
    *term = (struct query_term){.negated = take_minus(&rest)};
    term->key = take_key(&rest);
    if (term->key == NULL)
        return unknown_key(rest, why);
    term->of_delivery = term->key->of_delivery;
    term->value = unquote(text + (len - rest.len), rest.len);
    if (term->value.len == 0)
        return why_text(why, "a value is missing%s",
                        term->key->matches == match_from
                            ? " (from:<> is the null sender)"
                            : "");
    if (term->key->parse != NULL && term->key->parse(term, why) != 0)
        return -1;
    if (!term->negated && term->of_delivery) {
        if (term->key->matches == match_to)
            query->n_to++;
        else
            query->n_of_delivery++;
    }
    query->n_terms++;
    return 0;
}

static int
parse_terms(struct query *query, size_t len, struct why *why)
{
    char *at = query->memory;
    char *end = at + len;

    for (;;) {
        char shown[SHOWN_MAX + 1];
        struct why reason;
        size_t term_len = 0;
        int bad;

        while (at < end && is_blank(*at))
            at++;
        if (at == end)
            return 0;
        bad = term_length((struct view){at, (size_t)(end - at)}, &term_len,
                          &reason);
        /* Before parse_term, which takes the quotes out. */
        snprintf(shown, sizeof(shown), "%.*s", (int)term_len, at);
        if (bad != 0 || parse_term(query, at, term_len, &reason) != 0)
            return why_text(why, "%s: %s", shown, reason.text);
        at += term_len;
    }
}

struct query *
query_parse(struct view text, struct why *why)
{
    struct query *query;

    if (text.len > QUERY_TEXT_MAX) {
        why_text(why, "the query is longer than %d bytes", QUERY_TEXT_MAX);
        return NULL;
    }
    query = mem_alloc(sizeof(*query));
    query->memory = mem_copy(text.data, text.len);
    if (parse_terms(query, text.len, why) != 0)
        query_free(&query);
    return query;
}

void
query_free(struct query **query)
{
    if (*query == NULL)
        return;
    free((*query)->memory);
    free(*query);
    *query = NULL;
}

bool
query_want_held(struct query *query)
{
    bool other = false;

    query->held_only = true;
    for (size_t i = 0; i < query->n_terms; i++) {
        const struct query_term *term = &query->terms[i];

        if (term->key->matches != match_state)
            continue;
        query->held_only = false;
        /* Terms that only something held can fit. */
        other = other || term->negated ||
                !(term->state == STATE_HELD ||
                  (term->state == STATE_ONE && delivery_is_open(term->number)));
    }
    return !other;
}

/* --- matching ------------------------------------------------------------ */

static bool
any_delivery(const struct query_term *term, struct query_facts *facts)
{
    for (size_t i = 0; i < facts->message->n_deliveries; i++) {
        facts->delivery = &facts->message->deliveries[i].delivery;
        if (term->key->matches(term, facts))
            return true;
    }
    return false;
}

/* Is there a delivery that fits the to: term (NULL: any) and all the other
 * terms about deliveries? */
static bool
has_delivery(const struct query *query, const struct query_term *to,
             struct query_facts *facts)
{
    for (size_t i = 0; i < facts->message->n_deliveries; i++) {
        bool good;

        facts->delivery = &facts->message->deliveries[i].delivery;
        good = to == NULL || match_to(to, facts);
        for (size_t t = 0; good && t < query->n_terms; t++) {
            const struct query_term *term = &query->terms[t];

            if (term->of_delivery && !term->negated &&
                term->key->matches != match_to)
                good = term->key->matches(term, facts);
        }
        if (good)
            return true;
    }
    return false;
}

bool
query_matches(const struct query *query, const struct db_message *message,
              int64_t now_ms)
{
    struct query_facts facts = {message, NULL, now_ms};

    if (query->held_only && !is_held(message))
        return false;
    for (size_t i = 0; i < query->n_terms; i++) {
        const struct query_term *term = &query->terms[i];

        if (!term->of_delivery) {
            if (term->key->matches(term, &facts) == term->negated)
                return false;
        } else if (term->negated) {
            if (any_delivery(term, &facts))
                return false;
        } else if (term->key->matches == match_to) {
            if (!has_delivery(query, term, &facts))
                return false;
        }
    }
    return query->n_to > 0 || query->n_of_delivery == 0 ||
           has_delivery(query, NULL, &facts);
}

bool
query_means(const struct query *query, const struct db_message *message,
            const struct delivery *delivery, int64_t now_ms)
{
    struct query_facts facts = {message, delivery, now_ms};
    bool to = query->n_to == 0;

    for (size_t i = 0; i < query->n_terms; i++) {
        const struct query_term *term = &query->terms[i];

        if (!term->of_delivery || term->negated)
            continue;
        if (term->key->matches == match_to)
            to = to || match_to(term, &facts);
        else if (!term->key->matches(term, &facts))
            return false;
    }
    return to;
}

bool
query_names_state(const struct query *query)
{
    for (size_t i = 0; i < query->n_terms; i++)
        if (query->terms[i].key->matches == match_state &&
            !query->terms[i].negated)
            return true;
    return false;
}

/* An id below all that are made in that millisecond or later. */
static uint64_t
id_before(int64_t wall_ms)
{
    return wall_ms > 1 ? msgid_last((uint64_t)wall_ms - 1) : 0;
}

void
query_range(const struct query *query, int64_t now_ms, uint64_t *after_id,
            uint64_t *last_id)
{
    *after_id = 0;
    *last_id = UINT64_MAX;
    for (size_t i = 0; i < query->n_terms; i++) {
        const struct query_term *term = &query->terms[i];
        uint64_t after = 0;

        if (term->negated)
            continue;
        if (term->key->matches == match_id) {
            after = term->number > 0 ? term->number - 1 : 0;
            if (*last_id > term->number)
                *last_id = term->number;
        } else if (term->key->matches == match_since) {
            after = id_before(moment_of(term, now_ms) - ID_SLACK_MS);
        }
        if (*after_id < after)
            *after_id = after;
    }
}

bool
query_range_before(const struct query *query, int64_t now_ms, uint64_t *last_id)
{
    bool any = false;

    *last_id = UINT64_MAX;
    for (size_t i = 0; i < query->n_terms; i++) {
        const struct query_term *term = &query->terms[i];
        uint64_t last;

        if (term->negated || term->key->matches != match_before)
            continue;
        any = true;
        last = id_before(moment_of(term, now_ms) + ID_SLACK_MS);
        if (*last_id > last)
            *last_id = last;
    }
    return any;
}

/* --- text ---------------------------------------------------------------- */

static void
print_value(struct view value, struct buf *out)
{
    bool plain = value.len > 0;

    for (size_t i = 0; i < value.len; i++)
        plain = plain && !is_blank(value.data[i]) && value.data[i] != '"';
    if (plain) {
        buf_add_view(out, value);
        return;
    }
    buf_add_byte(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] == '"' || value.data[i] == '\\')
            buf_add_byte(out, '\\');
        buf_add_byte(out, (uint8_t)value.data[i]);
    }
    buf_add_byte(out, '"');
}

void
query_print(const struct query *query, struct buf *out)
{
    for (size_t i = 0; i < query->n_terms; i++) {
        const struct query_term *term = &query->terms[i];
        char date[CLOCK_TEXT_MAX];
        bool is_date = term->key->parse == parse_when && !term->is_age;

        buf_addf(out, "%s%s%s:", i > 0 ? " " : "", term->negated ? "-" : "",
                 term->key->name);
        if (is_date)
            buf_add_text(out, clock_print_iso((int64_t)term->number, date));
        else
            print_value(term->value, out);
    }
}

static bool
starts_term(struct view text)
{
    take_minus(&text);
    return take_key(&text) != NULL;
}

void
query_add_word(struct buf *text, struct view word)
{
    struct view value = word;
    bool one_term, blanks = false;

    take_minus(&value);
    one_term =
        take_key(&value) != NULL && memchr(word.data, '"', word.len) == NULL;
    for (size_t i = 0; i + 1 < value.len; i++) {
        if (!is_blank(value.data[i]))
            continue;
        blanks = true;
        if (starts_term(view_skip(value, i + 1)))
            one_term = false;
    }
    if (text->len > 0 && word.len > 0)
        buf_add_byte(text, ' ');
    if (!one_term || !blanks) {
        buf_add_view(text, word);
        return;
    }
    buf_add(text, word.data, word.len - value.len);
    print_value(value, text);
}
