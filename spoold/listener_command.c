/* SPDX-License-Identifier: ISC */
/*
 * The command table. The dispatcher answers what is wrong with a line or its
 * place; a handler is called only when both are right, does not look at the
 * state before it and never writes to the connection: it sets the reply, the
 * state after it, and what comes next. Tested without sockets.
 *
 * Before: listener_session.c   After: listener_data.c
 */
#include "listener.h"

#include <inttypes.h>
#include <stdlib.h>

#include "mem.h"
#include "utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What content of an unknown size counts with before it comes. */
#define MEMORY_UNKNOWN (8 * 1024)
/* What one content holds at the most: two pieces and the inline part. */
#define MEMORY_MOST (2 * BODY_PIECE_MAX + PROTO_CONTENT_INLINE_MAX)

struct call {
    struct listener_session *session;
    struct listener_policy *policy;
    struct listener_reply *reply;
    const struct smtp_command *command;
    struct why *why; /* the reply; code 0: the handler wrote it to out */
    struct buf *out;
};

typedef enum listener_next call_fn(struct call *call);

static enum listener_next
answer(struct call *call, int code, const char *enhanced, const char *text)
{
    why_set(call->why, code, enhanced, "%s", text);
    return NEXT_COMMAND;
}

/* --- the transaction ----------------------------------------------------- */

void
listener_transaction_free(struct listener_transaction **transaction_ptr)
{
    struct listener_transaction *transaction = *transaction_ptr;

    if (transaction == NULL)
        return;
    *transaction_ptr = NULL;
    for (size_t i = 0; i < transaction->n_recipients; i++)
        free(transaction->recipients[i].text);
    free(transaction->recipients);
    free(transaction->deliveries);
    free(transaction->text);
    free(transaction);
}

static struct listener_transaction *
transaction_new(const struct smtp_command *mail)
{
    struct listener_transaction *transaction = mem_alloc(sizeof(*transaction));
    struct view text = mail->path.text, domain = mail->path.domain;
    size_t len = text.len + domain.len;
    char *copy = mem_alloc(len + mail->envid.len + 1);

    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    addr_lower(domain, copy + text.len);
    transaction->text = copy;
    transaction->sender = (struct view){copy, text.len};
    transaction->flow = (struct view){copy + text.len, domain.len};
    if (mail->body == SMTP_BODY_8BITMIME)
        transaction->flags |= MESSAGE_8BIT;
    if (mail->smtputf8)
        transaction->flags |= MESSAGE_UTF8;
    transaction->size = mail->size;
    transaction->ret = mail->ret;
    if (mail->envid.len > 0)
        memcpy(copy + len, mail->envid.data, mail->envid.len);
    transaction->envid = (struct view){copy + len, mail->envid.len};
    return transaction;
}

/* FNV-1a of local@domain, the domain in lower case. */
static uint64_t
address_hash(struct view local, struct view domain)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < local.len; i++)
        hash = (hash ^ (uint8_t)local.data[i]) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < domain.len; i++) {
        uint8_t c = (uint8_t)domain.data[i];

        c = (uint8_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        hash = (hash ^ c) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static bool
transaction_has(const struct listener_transaction *transaction,
                struct view local, struct view domain, uint64_t hash)
{
    for (size_t i = 0; i < transaction->n_recipients; i++) {
        struct view have = transaction->deliveries[i].recipient;

        if (transaction->recipients[i].hash == hash &&
            have.len == local.len + 1 + domain.len &&
            memcmp(have.data, local.data, local.len) == 0 &&
            view_equal_nocase(view_skip(have, local.len + 1), domain))
            return true;
    }
    return false;
}

static void
transaction_add(struct listener_transaction *transaction,
                const struct smtp_command *rcpt, struct view domain,
                struct view target, uint64_t hash)
{
    size_t n = transaction->n_recipients;
    struct view local = rcpt->path.local, orcpt = rcpt->orcpt;
    size_t len = local.len + 1 + domain.len;
    char *text = mem_alloc(len + target.len + orcpt.len + 1);

    memcpy(text, local.data, local.len);
    text[local.len] = '@';
    memcpy(text + local.len + 1, domain.data, domain.len);
    memcpy(text + len, target.data, target.len);
    if (orcpt.len > 0)
        memcpy(text + len + target.len, orcpt.data, orcpt.len);
    if ((n & (n - 1)) == 0) { /* grows at powers of two */
        size_t room = n > 0 ? 2 * n : 1;

        transaction->recipients = mem_grow(transaction->recipients, room,
                                           sizeof(*transaction->recipients));
        transaction->deliveries = mem_grow(transaction->deliveries, room,
                                           sizeof(*transaction->deliveries));
    }
    transaction->recipients[n] = (struct listener_recipient){text, hash};
    transaction->deliveries[n] =
        (struct delivery){.recipient = {text, len},
                          .target = {text + len, target.len},
                          .notify = rcpt->notify,
                          .orcpt = {text + len + target.len, orcpt.len}};
    transaction->n_recipients++;
}

static void
reset(struct listener_session *session)
{
    listener_transaction_free(&session->transaction);
    if (session->state & (STATE_MAIL | STATE_RCPT))
        session->state = STATE_READY;
}

/* --- EHLO, HELO, STARTTLS ------------------------------------------------ */

static void
greet(struct call *call, bool esmtp)
{
    struct listener_session *session = call->session;
    struct view name = call->command->argument;

    reset(session);
    free(session->helo);
    session->helo = mem_copy(name.data, name.len);
    session->esmtp = esmtp;
    session->state = STATE_READY;
}

static enum listener_next
on_helo(struct call *call)
{
    struct view host = call->policy->conf->hostname;

    greet(call, false);
    why_set(call->why, 250, "", "%.*s", (int)host.len, host.data);
    return NEXT_COMMAND;
}

static enum listener_next
on_ehlo(struct call *call)
{
    struct buf *out = call->out;

    greet(call, true);
    buf_add_text(out, "250-");
    buf_add_view(out, call->policy->conf->hostname);
    buf_addf(out, "\r\n250-PIPELINING\r\n250-SIZE %" PRIu64 "\r\n",
             call->policy->conf->message_size);
    if (call->policy->offers_tls && !call->session->tls)
        buf_add_text(out, "250-STARTTLS\r\n");
    if (call->policy->conf->etrn > 0)
        buf_add_text(out, "250-ETRN\r\n");
    buf_add_text(out, "250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
                      "250 ENHANCEDSTATUSCODES\r\n");
    return NEXT_COMMAND;
}

static enum listener_next
on_starttls(struct call *call)
{
    if (call->session->tls)
        return answer(call, 503, "5.5.1", "TLS is already on");
    if (!call->policy->offers_tls)
        return answer(call, 502, "5.5.1", "TLS is not offered here");
    call->session->state = STATE_WAIT_TLS;
    answer(call, 220, "2.0.0", "ready to start TLS");
    return NEXT_TLS;
}

/* --- MAIL ---------------------------------------------------------------- */

uint64_t
listener_command_memory(uint64_t size)
{
    if (size == 0)
        return MEMORY_UNKNOWN;
    return size < MEMORY_MOST ? size : MEMORY_MOST;
}

static bool
is_memory_left(const struct listener_policy *policy, uint64_t size)
{
    return policy->memory + listener_command_memory(size) <=
           policy->conf->memory;
}

static enum listener_next
on_mail(struct call *call)
{
    const struct listener_policy *policy = call->policy;
    uint64_t size = call->command->size;

    if (policy->room == ROOM_UNKNOWN)
        return answer(call, 451, "4.3.0", "storage is away, try again later");
    if (policy->room == ROOM_FULL)
        return answer(call, 452, "4.3.1", "storage is full, try again later");
    if (size > policy->conf->message_size)
        return answer(call, 552, "5.3.4", "message is larger than SIZE allows");
    if (!is_memory_left(policy, size))
        return answer(call, 452, "4.3.1",
                      "too much mail under way, "
                      "try again later");
    call->session->transaction = transaction_new(call->command);
    call->session->state = STATE_MAIL;
    return answer(call, 250, "2.1.0", "Ok");
}

/* --- RCPT ---------------------------------------------------------------- */

/* Where mail for <Postmaster> without a domain goes: the domain the host's
 * name is in, else the first. NULL: there is no domain at all. */
static const struct conf_domain *
postmaster_domain(const struct conf *conf)
{
    struct view name = conf->hostname;

    while (name.len > 0) {
        const struct conf_domain *domain = conf_domain_by_name(conf, name);
        const char *dot = memchr(name.data, '.', name.len);

        if (domain != NULL)
            return domain;
        if (dot == NULL)
            break;
        name = view_skip(name, (size_t)(dot - name.data) + 1);
    }
    return conf->domains.count > 0 ? conf->domains.items : NULL;
}

/* RFC 5321 4.5.1: postmaster is there whatever the list says. */
static bool
is_postmaster(struct view local)
{
    char plain[ADDR_LOCAL_MAX];
    size_t len = addr_unquote(local, plain);

    return view_equal_nocase((struct view){plain, len}, VIEW("postmaster"));
}

static bool
is_listed(struct call *call, const struct conf_domain *domain,
          const struct addr *path)
{
    const struct conf_domain *domains = call->policy->conf->domains.items;
    const struct listener_list *known = &call->policy->lists[domain - domains];

    if ((known->list == NULL && !known->is_unknown) ||
        is_postmaster(path->local))
        return true;
    if (known->is_unknown) {
        answer(call, 451, "4.3.0", "recipients cannot be told now");
        return false;
    }
    if (recipients_has(known->list, path->local))
        return true;
    answer(call, 550, "5.1.1", "no such recipient here");
    return false;
}

/* NULL, with the reply set, for a path that is no recipient here. */
static const struct conf_domain *
find_domain(struct call *call, const struct addr *path)
{
    const struct conf *conf = call->policy->conf;
    const struct conf_domain *domain = NULL;

    if (path->kind == ADDR_POSTMASTER)
        domain = postmaster_domain(conf);
    else if (!path->is_literal && !addr_is_routed(path))
        domain = conf_domain_by_name(conf, path->domain);
    if (domain == NULL) {
        answer(call, 550, "5.7.1", "relaying denied");
        return NULL;
    }
    return is_listed(call, domain, path) ? domain : NULL;
}

/* Has the domain used its share of the spool? */
static bool
is_full(const struct listener_policy *policy, struct view domain)
{
    struct view rest = buf_view(&policy->full_domains);

    while (rest.len > 0) {
        size_t len = strlen(rest.data);

        if (view_equal_nocase(domain, (struct view){rest.data, len}))
            return true;
        rest = view_skip(rest, len + 1);
    }
    return false;
}

static enum listener_next
answer_full(struct call *call, struct view domain)
{
    why_set(call->why, 452, "4.3.1",
            "the share of %.*s in the spool is used up, try again later",
            (int)domain.len, domain.data);
    return NEXT_COMMAND;
}

static enum listener_next
on_rcpt(struct call *call)
{
    struct listener_transaction *transaction = call->session->transaction;
    const struct addr *path = &call->command->path;
    const struct conf_domain *domain;
    struct view at;
    uint64_t hash;

    if ((path->is_utf8 || !utf8_is_ascii(call->command->orcpt)) &&
        (transaction->flags & MESSAGE_UTF8) == 0)
        return answer(call, 553, "5.6.7",
                      "an address beyond ASCII needs SMTPUTF8 at MAIL");
    domain = find_domain(call, path);
    if (domain == NULL)
        return NEXT_COMMAND;
    at = path->kind == ADDR_MAILBOX ? path->domain : domain->name;
    if (is_full(call->policy, at))
        return answer_full(call, domain->name);
    hash = address_hash(path->local, at);
    if (!transaction_has(transaction, path->local, at, hash)) {
        if (transaction->n_recipients >= call->policy->conf->recipients)
            return answer(call, 452, "4.5.3", "too many recipients");
        transaction_add(transaction, call->command, at, domain->target, hash);
    }
    call->session->state = STATE_RCPT;
    return answer(call, 250, "2.1.5", "Ok");
}

/* --- the rest ------------------------------------------------------------ */

static enum listener_next
on_data(struct call *call)
{
    /* After refused recipients a pipelining client sends DATA all the same:
     * no mistake, RFC 5321 3.3 has this reply for it. */
    if (call->session->transaction->n_recipients == 0)
        return answer(call, 554, "5.5.1", "no valid recipients");
    if (!is_memory_left(call->policy, call->session->transaction->size)) {
        reset(call->session);
        return answer(call, 452, "4.3.1",
                      "too much mail under way, "
                      "try again later");
    }
    call->session->state = STATE_DATA;
    answer(call, 354, "", "End data with <CR><LF>.<CR><LF>");
    return NEXT_DATA;
}

static enum listener_next
on_rset(struct call *call)
{
    reset(call->session);
    return answer(call, 250, "2.0.0", "Ok");
}

static enum listener_next
on_noop(struct call *call)
{
    return answer(call, 250, "2.0.0", "Ok");
}

static enum listener_next
on_vrfy(struct call *call)
{
    return answer(call, 252, "2.0.0", "send mail to find out");
}

static enum listener_next
on_expn(struct call *call)
{
    return answer(call, 502, "5.5.1", "lists are not expanded");
}

static enum listener_next
on_help(struct call *call)
{
    return answer(call, 214, "2.0.0",
                  "EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT STARTTLS "
                  "ETRN");
}

static enum listener_next
on_etrn(struct call *call)
{
    listener_etrn(call->policy, call->command->argument, call->reply);
    return NEXT_COMMAND;
}

static enum listener_next
on_quit(struct call *call)
{
    answer(call, 221, "2.0.0", "Bye");
    return NEXT_CLOSE;
}

static const struct command_row {
    unsigned states; /* enum listener_state, or-ed */
    call_fn *handler;
    const char *elsewhere; /* the 503 in any other state */
} rows[VERB_COUNT] = {
    [VERB_HELO] = {STATE_ANY_COMMAND, on_helo, ""},
    [VERB_EHLO] = {STATE_ANY_COMMAND, on_ehlo, ""},
    [VERB_STARTTLS] = {STATE_FRESH | STATE_READY, on_starttls,
                       "not within a transaction"},
    [VERB_MAIL] = {STATE_READY, on_mail, "EHLO first, and one MAIL at a time"},
    [VERB_RCPT] = {STATE_MAIL | STATE_RCPT, on_rcpt, "MAIL first"},
    [VERB_DATA] = {STATE_MAIL | STATE_RCPT, on_data, "MAIL and RCPT first"},
    [VERB_RSET] = {STATE_ANY_COMMAND, on_rset, ""},
    [VERB_NOOP] = {STATE_ANY_COMMAND, on_noop, ""},
    [VERB_VRFY] = {STATE_ANY_COMMAND, on_vrfy, ""},
    [VERB_EXPN] = {STATE_ANY_COMMAND, on_expn, ""}, /* refused, RFC 5321 7.3 */
    [VERB_HELP] = {STATE_ANY_COMMAND, on_help, ""},
    [VERB_QUIT] = {STATE_ANY_COMMAND, on_quit, ""},
    [VERB_ETRN] = {STATE_READY, on_etrn,
                   "EHLO first, and not within a transaction"},
};

/* --- the dispatcher ------------------------------------------------------ */

bool
listener_command_is_error(const struct why *reply)
{
    return reply->code / 10 == 50 || reply->code == 555;
}

void
listener_command_print(const struct why *reply, struct buf *out)
{
    char code[4] = {(char)('0' + reply->code / 100 % 10),
                    (char)('0' + reply->code / 10 % 10),
                    (char)('0' + reply->code % 10), ' '};

    buf_add(out, code, sizeof(code));
    if (reply->enhanced[0] != '\0') {
        buf_add_text(out, reply->enhanced);
        buf_add_byte(out, ' ');
    }
    buf_add_text(out, reply->text);
    buf_add_text(out, "\r\n");
}

/* Counts mistakes and prints the reply. */
static void
finish(struct call *call, struct listener_reply *reply)
{
    if (listener_command_is_error(&reply->why) &&
        ++call->session->errors >= call->policy->conf->errors) {
        answer(call, 421, "4.7.0", "too many errors");
        reply->next = NEXT_CLOSE;
    }
    if (reply->why.code != 0)
        listener_command_print(&reply->why, call->out);
}

void
listener_command(struct listener_session *session,
                 struct listener_policy *policy, struct view line,
                 struct listener_reply *reply, struct buf *out)
{
    struct call call = {session,         policy,      reply,
                        &reply->command, &reply->why, out};
    const struct command_row *row;
    int parsed;

    reply->next = NEXT_COMMAND;
    reply->n_wake = 0;
    reply->why.code = 0;
    parsed = smtp_verb_parse(line, &reply->command, &reply->why);
    row = &rows[reply->command.verb];
    if (row->handler != NULL && (row->states & session->state) == 0)
        answer(&call, 503, "5.5.1", row->elsewhere);
    else if (parsed == 0)
        reply->next = row->handler(&call);
    finish(&call, reply);
}

void
listener_command_bad(struct listener_session *session,
                     struct listener_policy *policy, enum got got,
                     struct listener_reply *reply, struct buf *out)
{
    struct call call = {session,         policy,      reply,
                        &reply->command, &reply->why, out};

    reply->n_wake = 0;
    reply->command = (struct smtp_command){0};
    reply->next = NEXT_COMMAND;
    answer(&call, 500, "5.5.2",
           got == GOT_TOOBIG ? "line too long"
                             : "a line ends in CRLF, not in LF alone");
    finish(&call, reply);
}
