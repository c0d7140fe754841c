/* SPDX-License-Identifier: ISC */
/*
 * libunbound in thread mode: a thread of its library works, its answers come
 * over a descriptor of the loop. A question goes through: waiting (too many
 * are under way), asked (libunbound has it), over (its timer ran out or the
 * answer is there) and is freed with its only callback.
 *
 * Traps: a bogus answer has code 0 and data; a name server that is dead is
 * waited for 17 seconds, hence our own timer; the library answers for "test."
 * by itself.
 */
#include "resolve.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unbound.h>

#include "addr.h"
#include "conf.h"
#include "dns.h"
#include "hosts.h"
#include "log.h"
#include "loop.h"
#include "mem.h"

#define ASKED_MAX   512 /* with libunbound at a time; the others wait */
#define SERVERS_MAX 3   /* of resolv.conf(5), as the C library has it */
#define REASON_MAX  320
#define CLASS_IN    1
#define RCODE_NAME  3

struct resolve_question {
    struct resolve_question *next, *previous; /* of all, the oldest first */
    char *name;
    enum resolve_type type;
    resolve_fn *fn;
    void *arg;
    struct loop_timer *timer;
    bool asked;
    int id; /* libunbound's, while asked */
};

static struct {
    struct ub_ctx *context; /* NULL: it could not be set up */
    struct loop_watch *watch;
    uint64_t timeout_ms;
    unsigned generation;
    struct resolve_question *first, *last;
    size_t n_asked;
} resolver;

/* --- questions ----------------------------------------------------------- */

static void
question_free(struct resolve_question *question)
{
    if (question->previous != NULL)
        question->previous->next = question->next;
    else
        resolver.first = question->next;
    if (question->next != NULL)
        question->next->previous = question->previous;
    else
        resolver.last = question->previous;
    resolver.n_asked -= question->asked;
    loop_timer_free(&question->timer);
    free(question->name);
    free(question);
}

static void
fail(struct resolve_question *question, const char *why)
{
    char reason[REASON_MAX];
    struct resolve_answer answer = {.found = RESOLVE_FAILED, .reason = reason};
    resolve_fn *fn = question->fn;
    void *arg = question->arg;

    snprintf(reason, sizeof(reason), "%s: %s", question->name, why);
    question_free(question);
    fn(arg, &answer);
}

static void on_answer(void *arg, int error, struct ub_result *result);

/* Hands it to libunbound. -1: it did not take it. The first one starts the
 * thread, to which signals are none of its business. */
static int
ask(struct resolve_question *question)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error =
        ub_resolve_async(resolver.context, question->name, (int)question->type,
                         CLASS_IN, question, on_answer, &question->id);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return -1;
    question->asked = true;
    resolver.n_asked++;
    return 0;
}

static void
ask_waiting(void *arg)
{
    struct resolve_question *question, *next;

    (void)arg;
    for (question = resolver.first;
         question != NULL && resolver.n_asked < ASKED_MAX; question = next) {
        next = question->next;
        if (!question->asked && resolver.context != NULL)
            ask(question); /* or its timer ends it */
    }
}

static void
forget(struct resolve_question *question)
{
    if (question->asked)
        ub_cancel(resolver.context, question->id);
    if (resolver.n_asked == ASKED_MAX)
        loop_defer(ask_waiting, NULL);
}

static void
on_timeout(void *arg)
{
    struct resolve_question *question = arg;

    forget(question);
    fail(question, resolver.context != NULL
                       ? "the name server does not answer"
                       : "the resolver could not be set up");
}

struct resolve_question *
resolve_ask(const char *name, enum resolve_type type, resolve_fn *fn, void *arg)
{
    struct resolve_question *question = mem_alloc(sizeof(*question));

    *question = (struct resolve_question){
        .previous = resolver.last,
        .name = mem_copy_text(name),
        .type = type,
        .fn = fn,
        .arg = arg,
        .timer = loop_timer_new(on_timeout, question),
    };
    if (resolver.last != NULL)
        resolver.last->next = question;
    else
        resolver.first = question;
    resolver.last = question;
    loop_timer_set(question->timer,
                   resolver.context != NULL ? resolver.timeout_ms : 0);
    if (resolver.context != NULL && resolver.n_asked < ASKED_MAX &&
        ask(question) != 0)
        loop_timer_set(question->timer, 0);
    return question;
}

void
resolve_cancel(struct resolve_question **question_ptr)
{
    struct resolve_question *question = *question_ptr;

    if (question == NULL)
        return;
    *question_ptr = NULL;
    forget(question);
    question_free(question);
}

/* --- answers ------------------------------------------------------------- */

static const char *
code_name(int code)
{
    static const char *const names[] = {
        [1] = "FORMERR", [2] = "SERVFAIL", [4] = "NOTIMP", [5] = "REFUSED"};

    if (code <= 0 || (size_t)code >= sizeof(names) / sizeof(names[0]) ||
        names[code] == NULL)
        return "no sense";
    return names[code];
}

static const char *
type_name(enum resolve_type type)
{
    switch (type) {
    case RESOLVE_A:
    case RESOLVE_AAAA:
        return "address";
    case RESOLVE_PTR:
        return "PTR record";
    case RESOLVE_MX:
        return "MX record";
    case RESOLVE_TLSA:
        return "TLSA record";
    }
    return "record";
}

/* What the answer means; the words go to reason where there is no record. */
static enum resolve_found
judge(const struct resolve_question *question, const struct ub_result *result,
      char reason[REASON_MAX])
{
    const char *name = question->name;

    if (result->bogus) {
        snprintf(reason, REASON_MAX,
                 "%.120s: DNSSEC says the answer is bogus: %.160s", name,
                 result->why_bogus != NULL ? result->why_bogus : "no reason");
        return RESOLVE_FAILED;
    }
    if (result->havedata)
        return RESOLVE_RECORDS;
    if (result->nxdomain || result->rcode == RCODE_NAME) {
        snprintf(reason, REASON_MAX, "%s: there is no such name in the DNS",
                 name);
        return RESOLVE_NO_NAME;
    }
    if (result->rcode != 0) {
        snprintf(reason, REASON_MAX, "%s: the name server answers %s", name,
                 code_name(result->rcode));
        return RESOLVE_FAILED;
    }
    snprintf(reason, REASON_MAX, "%s: the name has no %s", name,
             type_name(question->type));
    return RESOLVE_NOTHING;
}

static size_t
records_of(const struct ub_result *result, struct view *records)
{
    size_t n = 0;

    for (; n < RESOLVE_RECORDS_MAX && result->data[n] != NULL; n++)
        records[n] = (struct view){result->data[n], (size_t)result->len[n]};
    return n;
}

/* Where a CNAME led to, as other names are; NULL: it did not, or to something
 * that is no host name. */
static const char *
canonical_of(const struct ub_result *result, const char *asked)
{
    static char name[DNS_NAME_MAX + 1];
    size_t len = result->canonname != NULL ? strlen(result->canonname) : 0;

    if (len > 0 && result->canonname[len - 1] == '.')
        len--;
    if (len == 0 || len > DNS_NAME_MAX ||
        view_equal_nocase((struct view){result->canonname, len},
                          view_of(asked)) ||
        !addr_is_domain((struct view){result->canonname, len}))
        return NULL;
    addr_lower((struct view){result->canonname, len}, name);
    name[len] = '\0';
    return name;
}

static void
on_answer(void *arg, int error, struct ub_result *result)
{
    static struct view records[RESOLVE_RECORDS_MAX];
    struct resolve_question *question = arg;
    char reason[REASON_MAX] = "";
    struct resolve_answer answer = {.records = records, .reason = reason};
    resolve_fn *fn = question->fn;
    void *user = question->arg;

    if (error != 0 || result == NULL) {
        fail(question, ub_strerror(error));
        ub_resolve_free(result);
        return;
    }
    answer.found = judge(question, result, reason);
    answer.secure = result->secure && answer.found != RESOLVE_FAILED;
    answer.ttl_ms = result->ttl > 0 ? (uint64_t)result->ttl * 1000 : 0;
    if (answer.found == RESOLVE_RECORDS)
        answer.n_records = records_of(result, records);
    answer.canonical = canonical_of(result, question->name);
    question_free(question);
    fn(user, &answer);
    ub_resolve_free(result);
}

static void
on_readable(int fd, void *arg)
{
    (void)fd;
    (void)arg;
    ub_process(resolver.context);
    ask_waiting(NULL);
}

/* --- configuration ------------------------------------------------------- */

static void
set(struct ub_ctx *context, const char *option, const char *value)
{
    int error = ub_ctx_set_option(context, option, value);

    if (error != 0)
        log_warn("the resolver does not take %s %s: %s", option, value,
                 ub_strerror(error));
}

static void
set_options(struct ub_ctx *context)
{
    static const char *const options[][2] = {
        /* Clients' names inside of private networks are asked for too. */
        {"unblock-lan-zones:", "yes"},
        {"local-zone:", "127.in-addr.arpa. transparent"},
        /* The name server of a configuration may be this machine's. */
        {"do-not-query-localhost:", "no"},
        /* Small: what replay asks for is a few thousand names at most. */
        {"msg-cache-size:", "2m"},
        {"rrset-cache-size:", "4m"},
        {"key-cache-size:", "1m"},
        {"neg-cache-size:", "512k"},
        {"infra-cache-numhosts:", "2000"},
        /* A mistake that was put right is soon forgotten. */
        {"cache-max-ttl:", "86400"},
        {"cache-max-negative-ttl:", "60"},
        {"val-bogus-ttl:", "10"},
    };

    ub_ctx_debugout(context, NULL); /* its complaints are in our reasons */
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        set(context, options[i][0], options[i][1]);
}

/* "192.0.2.1:5353" as libunbound writes it: 192.0.2.1@5353. */
static void
add_server(struct ub_ctx *context, struct view text)
{
    struct conf_host host;
    char server[80];
    int error;

    if (conf_host_parse(text, &host, NULL) != 0)
        return;
    snprintf(server, sizeof(server), "%.*s@%u", (int)host.host.len,
             host.host.data, host.port != 0 ? host.port : 53);
    error = ub_ctx_set_fwd(context, server);
    if (error != 0)
        log_warn("the resolver does not take the name server %s: %s", server,
                 ub_strerror(error));
}

static void
set_servers(struct ub_ctx *context, const struct conf *conf, struct view text)
{
    const struct conf_text *forwarders = conf->forwarders.items;
    struct view servers[SERVERS_MAX];
    size_t n;

    for (size_t i = 0; i < conf->forwarders.count; i++)
        add_server(context, forwarders[i].text);
    if (conf->resolver_mode != CONF_RESOLVER_SYSTEM)
        return;
    n = hosts_servers(text, servers, SERVERS_MAX);
    for (size_t i = 0; i < n; i++)
        add_server(context, servers[i]);
    if (n == 0) /* resolv.conf(5): the one of this machine */
        add_server(context, VIEW("127.0.0.1"));
}

/* Records, one a line; what follows a ";" is a comment. */
static void
set_anchors(struct ub_ctx *context, struct view text)
{
    while (text.len > 0) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.data) : text.len;
        const char *comment = memchr(text.data, ';', len);
        char *line = mem_copy(
            text.data, comment != NULL ? (size_t)(comment - text.data) : len);
        int error = strspn(line, " \t\r") < strlen(line)
                        ? ub_ctx_add_ta(context, line)
                        : 0;

        if (error != 0)
            log_warn("the resolver does not take the trust anchor \"%.60s\": "
                     "%s",
                     line, ub_strerror(error));
        free(line);
        text = view_skip(text, len + 1);
    }
}

static struct ub_ctx *
context_new(const struct conf *conf, struct view trust_anchor,
            struct view servers)
{
    const struct conf_text *insecure = conf->insecure.items;
    struct ub_ctx *context = ub_ctx_create();

    if (context == NULL)
        return NULL;
    ub_ctx_async(context, 1); /* a thread, no process */
    set_options(context);
    set_servers(context, conf, servers);
    if (conf->dnssec)
        set_anchors(context, trust_anchor);
    for (size_t i = 0; i < conf->insecure.count; i++) {
        char *name = mem_copy(insecure[i].text.data, insecure[i].text.len);

        set(context, "domain-insecure:", name);
        free(name);
    }
    /* The name servers decide what these are (RFC 6761 6.2); from here on
     * the options are fixed. */
    ub_ctx_zone_remove(context, "test.");
    return context;
}

/* Takes those who asked the old context along. */
static void
context_end(void)
{
    for (struct resolve_question *q = resolver.first; q != NULL; q = q->next) {
        if (q->asked)
            ub_cancel(resolver.context, q->id);
        q->asked = false;
    }
    resolver.n_asked = 0;
    loop_watch_free(&resolver.watch);
    if (resolver.context != NULL)
        ub_ctx_delete(resolver.context);
    resolver.context = NULL;
}

void
resolve_configure(const struct conf *conf, struct view trust_anchor,
                  struct view servers)
{
    context_end();
    resolver.generation++;
    resolver.timeout_ms = conf->resolver_timeout_ms;
    resolver.context = context_new(conf, trust_anchor, servers);
    if (resolver.context == NULL)
        log_warn("the resolver could not be set up: no name can be looked up");
    else
        resolver.watch =
            loop_watch_new(ub_fd(resolver.context), on_readable, NULL);
    ask_waiting(NULL);
}

unsigned
resolve_generation(void)
{
    return resolver.generation;
}
