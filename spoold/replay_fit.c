/* SPDX-License-Identifier: ISC */
/*
 * Which recipients of a message this server can be given, and which of them
 * now: what its reply to EHLO tells beforehand need not be found out by
 * sending. What can never go there gets our own word (SAID_US); what is only
 * too many for one transaction (RFC 9422) is left out and stays ready.
 *
 * Before: replay_step.c (a job begins)   After: replay_step.c
 */
#include "replay_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dsn_param.h"
#include "utf8.h"

/* Domains of one transaction that are looked at; RCPTDOMAINMAX beyond it
 * counts as this. */
#define DOMAINS_MAX 16

/* Our own rows; but a line end in an address would be a command. */
static bool
is_one_word(struct view address)
{
    for (size_t i = 0; i < address.len; i++)
        if ((unsigned char)address.data[i] < ' ' || address.data[i] == 127)
            return false;
    return true;
}

/* Does the message need SMTPUTF8 whoever the recipient is? Senders that only
 * ask for it because we offer it must not get their mail back. */
static bool
needs_utf8(const struct replay_job *job)
{
    const struct message *message = &job->message.message;
    struct buf header = {0};
    bool ascii;

    if (!(message->flags & MESSAGE_UTF8))
        return false;
    if (!utf8_is_ascii(message->sender) ||
        replay_content_header(job->key.id, &job->message.message, &header,
                              NULL) != 0)
        return true;
    ascii = utf8_is_ascii(buf_view(&header));
    buf_free(&header);
    return !ascii;
}

/* What can never go there. */
static void
rule_out(const struct smtp_offers *offers, struct replay_job *job)
{
    const struct message *message = &job->message.message;
    uint64_t size_max = offers->size_max;
    bool no_utf8 = (offers->flags & SMTP_OFFER_SMTPUTF8) == 0;
    bool all_utf8 = no_utf8 && needs_utf8(job);
    char text[160];

    for (size_t i = 0; i < job->n_tries; i++) {
        struct replay_try *attempt = &job->tries[i];
        struct view recipient = attempt->row->recipient;

        if (!is_one_word(recipient) || !is_one_word(message->sender)) {
            replay_try_say(attempt, SAID_US, 553,
                           VIEW("5.1.3 an address that cannot be sent"));
        } else if (size_max > 0 && message->size > size_max) {
            snprintf(text, sizeof(text),
                     "5.3.4 the message has %" PRIu64
                     " bytes, the server takes %" PRIu64,
                     message->size, size_max);
            replay_try_say(attempt, SAID_US, 552, view_of(text));
        } else if (all_utf8 || (no_utf8 && !utf8_is_ascii(recipient))) {
            replay_try_say(attempt, SAID_US, 553,
                           VIEW("5.6.7 the message or its addresses need "
                                "SMTPUTF8, which the server does not offer"));
        }
    }
}

struct domains {
    struct view names[DOMAINS_MAX];
    size_t n;
};

/* Is there room for the domain of this recipient? */
static bool
take_domain(struct domains *domains, struct view recipient, uint64_t max)
{
    const char *at = memrchr(recipient.data, '@', recipient.len);
    struct view domain =
        at == NULL ? recipient
                   : view_skip(recipient, (size_t)(at - recipient.data) + 1);

    for (size_t i = 0; i < domains->n; i++)
        if (view_equal_nocase(domains->names[i], domain))
            return true;
    if (domains->n >= max || domains->n == DOMAINS_MAX)
        return false;
    domains->names[domains->n++] = domain;
    return true;
}

/* NOTIFY=NEVER goes apart from the others: OpenSMTPD (seen in 6.8) adds up what
 * was asked for one recipient after the other, and refuses for good whom NEVER
 * and something else would be said of. */
static bool
is_never(const struct replay_try *attempt)
{
    return attempt->row->notify & DSN_NOTIFY_NEVER;
}

size_t
replay_fit_tries(const struct smtp_offers *offers, struct replay_job *job)
{
    uint64_t rcpt_max = offers->rcpt_max;
    uint64_t domain_max = offers->rcpt_domain_max;
    struct domains domains = {.n = 0};
    size_t left = 0;
    bool never = false; /* those that are left */

    rule_out(offers, job);
    for (size_t i = 0; i < job->n_tries; i++) {
        struct replay_try *attempt = &job->tries[i];

        attempt->left_out = false;
        if (attempt->said == SAID_US)
            continue;
        if (left == 0)
            never = is_never(attempt);
        attempt->left_out =
            ((offers->flags & SMTP_OFFER_DSN) && is_never(attempt) != never) ||
            (rcpt_max > 0 && left >= rcpt_max) ||
            (domain_max > 0 &&
             !take_domain(&domains, attempt->row->recipient, domain_max));
        left += !attempt->left_out;
    }
    return left;
}
