/* SPDX-License-Identifier: ISC */
/*
 * The primary is asked whether it takes a password: an IMAP conversation over
 * TLS that ends with its answer to AUTHENTICATE or LOGIN. The certificate
 * must be valid for the host's name, and without TLS nothing is said. One
 * limit on the time holds for all of it; when the primary does not answer it
 * is not asked again for a few seconds, so that people need not wait each.
 *
 * Before: auth_login.c   After: auth_login.c
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth.h"
#include "auth_answer.h"
#include "hosts.h"
#include "io.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "resolve.h"
#include "system_file.h"
#include "tls.h"

#define GONE_MS       10000 /* not asked again */
#define LINES_MAX     200   /* in one conversation */
#define ADDRESSES_MAX 8
#define HOST_BYTES    256

enum step {
    STEP_CONNECT,    /* the connection, and TLS where that comes first */
    STEP_GREETING,   /* its greeting is awaited */
    STEP_CAPABILITY, /* what it can, before or after STARTTLS */
    STEP_STARTTLS,
    STEP_AUTH,    /* AUTHENTICATE was sent, "+" is awaited */
    STEP_VERDICT, /* all was sent */
};

struct talk {
    struct talk *next; /* waiting for its turn */
    enum step step;
    struct io *io;
    struct loop_timer *limit;
    struct resolve_question *questions[2];
    unsigned tag;
    unsigned lines;
    bool secure;
    struct sockaddr_storage addresses[ADDRESSES_MAX];
    size_t n_addresses;
    size_t address; /* the one under way */
    struct auth_abilities can;
    char *name;
    char *password;
    size_t name_len;
    size_t password_len;
    auth_upstream_fn *fn;
    void *arg;
    enum auth_upstream said;
    char reason[160];
};

static struct {
    bool is_set;
    struct conf_upstream at;
    char host[HOST_BYTES];
    struct tls *tls;
    /* By the configuration or hosts(5); none: the DNS is asked. */
    struct sockaddr_storage addresses[ADDRESSES_MAX];
    size_t n_addresses;
    int64_t gone_until_ms; /* not asked until then */
    bool is_gone;          /* and then only one asks, until it answers */
    char gone_reason[160];
    size_t talks;
    struct talk *waiting;
} upstream;

static void talk_connect(struct talk *talk);
static void talk_begin(struct talk *talk);

/* --- the end ----------------------------------------------------------------
 */

static void
tell(void *arg)
{
    struct talk *talk = arg;

    talk->fn(talk->arg, talk->said, talk->reason);
    explicit_bzero(talk->password, talk->password_len);
    free(talk->password);
    free(talk->name);
    free(talk);
}

static void
talk_end(struct talk *talk, enum auth_upstream said, const char *reason)
{
    struct talk *next = upstream.waiting;

    talk->said = said;
    snprintf(talk->reason, sizeof(talk->reason), "%s", reason);
    if (talk->io != NULL)
        io_free(&talk->io);
    loop_timer_free(&talk->limit);
    for (size_t i = 0; i < 2; i++)
        if (talk->questions[i] != NULL)
            resolve_cancel(&talk->questions[i]);
    upstream.talks--;
    upstream.is_gone = said == AUTH_UPSTREAM_GONE;
    if (upstream.is_gone) {
        upstream.gone_until_ms = loop_now_ms() + GONE_MS;
        snprintf(upstream.gone_reason, sizeof(upstream.gone_reason), "%s",
                 reason);
    }
    loop_defer(tell, talk);
    if (next != NULL) {
        upstream.waiting = next->next;
        talk_begin(next);
    }
}

static void
on_limit(void *arg)
{
    talk_end(arg, AUTH_UPSTREAM_GONE, "no answer in time");
}

/* --- what is said -----------------------------------------------------------
 */

static void
command(struct talk *talk, enum step step, const char *text)
{
    talk->step = step;
    io_printf(talk->io, "a%u %s\r\n", ++talk->tag, text);
}

static void
send_login(struct talk *talk)
{
    struct view name = {talk->name, talk->name_len};
    struct view password = {talk->password, talk->password_len};
    struct buf line = {0};

    if (talk->can.plain) {
        command(talk, STEP_AUTH, "AUTHENTICATE PLAIN");
        return;
    }
    buf_add_text(&line, "LOGIN ");
    if (talk->can.login_disabled || !auth_answer_quote(name, &line)) {
        buf_free(&line);
        talk_end(talk, AUTH_UPSTREAM_GONE,
                 "it takes neither AUTH=PLAIN nor LOGIN for this user");
        return;
    }
    buf_add_byte(&line, ' ');
    if (auth_answer_quote(password, &line)) {
        buf_add_byte(&line, 0);
        command(talk, STEP_VERDICT, line.data);
    } else {
        talk_end(talk, AUTH_UPSTREAM_GONE,
                 "without AUTH=PLAIN it cannot be told this password");
    }
    explicit_bzero(line.data, line.len);
    buf_free(&line);
}

static void
send_plain(struct talk *talk)
{
    struct view name = {talk->name, talk->name_len};
    struct view password = {talk->password, talk->password_len};
    struct buf line = {0};

    auth_answer_plain(name, password, &line);
    buf_add_text(&line, "\r\n");
    talk->step = STEP_VERDICT;
    io_write(talk->io, buf_view(&line));
    explicit_bzero(line.data, line.len);
    buf_free(&line);
}

static int
start_tls(struct talk *talk)
{
    struct view host = view_of(upstream.host);
    struct tls_demand demand = {.proof = true};
    struct why why;

    if (upstream.at.host.kind == CONF_HOST_NAME) {
        demand.host = host;
        demand.names[demand.n_names++] = host;
    } else {
        demand.address = host;
    }
    if (io_start_tls_client(talk->io, upstream.tls, &demand, NULL, &why) == 0)
        return 0;
    talk_end(talk, AUTH_UPSTREAM_GONE, why.text);
    return -1;
}

/* --- what is heard ----------------------------------------------------------
 */

static void
next_step(struct talk *talk)
{
    switch (talk->step) {
    case STEP_GREETING:
        command(talk, STEP_CAPABILITY, "CAPABILITY");
        break;
    case STEP_CAPABILITY:
        if (talk->secure)
            send_login(talk);
        else if (talk->can.starttls)
            command(talk, STEP_STARTTLS, "STARTTLS");
        else
            talk_end(talk, AUTH_UPSTREAM_GONE, "it does not offer STARTTLS");
        break;
    case STEP_STARTTLS: /* what it can must be asked anew, RFC 9051 6.2.1 */
        talk->can = (struct auth_abilities){false};
        start_tls(talk);
        break;
    case STEP_VERDICT:
        talk_end(talk, AUTH_UPSTREAM_YES, "");
        break;
    default:
        talk_end(talk, AUTH_UPSTREAM_GONE, "it answers what was not asked");
    }
}

static void
on_line(struct talk *talk, struct view line)
{
    char tag[16];

    snprintf(tag, sizeof(tag), "a%u", talk->tag);
    switch (auth_answer_parse(line, view_of(tag))) {
    case AUTH_ANSWER_GREETING:
        if (talk->step == STEP_GREETING)
            next_step(talk);
        break;
    case AUTH_ANSWER_OTHER:
        if (talk->step == STEP_CAPABILITY)
            auth_answer_abilities(line, &talk->can);
        break;
    case AUTH_ANSWER_GO_ON:
        if (talk->step == STEP_AUTH)
            send_plain(talk);
        break;
    case AUTH_ANSWER_OK:
        next_step(talk);
        break;
    case AUTH_ANSWER_NO:
        if (talk->step == STEP_VERDICT)
            talk_end(talk, AUTH_UPSTREAM_NO, "the primary refused it");
        else
            talk_end(talk, AUTH_UPSTREAM_GONE, "it refuses to go on");
        break;
    case AUTH_ANSWER_LATER:
        talk_end(talk, AUTH_UPSTREAM_GONE, "it cannot tell now");
        break;
    case AUTH_ANSWER_BYE:
        talk_end(talk, AUTH_UPSTREAM_GONE, "it closed the conversation");
        break;
    case AUTH_ANSWER_NONSENSE:
        talk_end(talk, AUTH_UPSTREAM_GONE, "it is no IMAP server");
        break;
    }
}

static void
on_input(void *arg)
{
    struct talk *talk = arg;

    while (talk->io != NULL) {
        struct view input = io_input(talk->io);
        const char *end =
            input.len > 0 ? memchr(input.data, '\n', input.len) : NULL;
        size_t len = end != NULL ? (size_t)(end - input.data) : input.len;
        struct view line = {input.data, len};
        char *copy;

        if (len > AUTH_ANSWER_LINE_MAX || talk->lines > LINES_MAX) {
            talk_end(talk, AUTH_UPSTREAM_GONE, "it talks too much");
            return;
        }
        if (end == NULL)
            return;
        talk->lines++;
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        /* Consumed first: TLS is not started over what is unread. */
        copy = mem_copy(line.data, line.len);
        io_consume(talk->io, len + 1);
        on_line(talk, (struct view){copy, line.len});
        free(copy);
    }
}

static void
on_tls(void *arg)
{
    struct talk *talk = arg;

    talk->secure = true;
    if (upstream.at.starttls)
        command(talk, STEP_CAPABILITY, "CAPABILITY");
    else
        talk->step = STEP_GREETING;
}

static void
on_connected(void *arg)
{
    struct talk *talk = arg;

    talk->step = STEP_GREETING;
    if (!upstream.at.starttls) {
        talk->step = STEP_CONNECT;
        start_tls(talk);
    }
}

/* The next address, as long as nothing was said. */
static void
on_end(void *arg, enum io_end end)
{
    struct talk *talk = arg;
    char reason[160];

    snprintf(reason, sizeof(reason), "%s",
             end == IO_ERROR ? io_reason(talk->io)
                             : "it closed the connection");
    if (talk->step == STEP_CONNECT && !talk->secure &&
        ++talk->address < talk->n_addresses) {
        io_free(&talk->io);
        talk_connect(talk);
        return;
    }
    talk_end(talk, AUTH_UPSTREAM_GONE, reason);
}

static const struct io_handlers handlers = {
    .on_connected = on_connected,
    .on_input = on_input,
    .on_tls = on_tls,
    .on_end = on_end,
};

/* --- the way there ----------------------------------------------------------
 */

static void
add_address(struct sockaddr_storage addresses[ADDRESSES_MAX], size_t *n,
            int family, const void *bytes)
{
    struct sockaddr_storage *to = &addresses[*n];
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
    struct sockaddr_in *in = (struct sockaddr_in *)to;

    if (*n == ADDRESSES_MAX)
        return;
    ++*n;
    *to = (struct sockaddr_storage){.ss_family = (sa_family_t)family};
    if (family == AF_INET6)
        memcpy(&in6->sin6_addr, bytes, 16);
    else
        memcpy(&in->sin_addr, bytes, 4);
}

static void
set_port(struct sockaddr_storage *to)
{
    if (to->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)to)->sin6_port = htons(upstream.at.host.port);
    else
        ((struct sockaddr_in *)to)->sin_port = htons(upstream.at.host.port);
}

static void
talk_connect(struct talk *talk)
{
    struct sockaddr_storage *to = &talk->addresses[talk->address];

    set_port(to);
    talk->step = STEP_CONNECT;
    talk->io =
        io_connect((const struct sockaddr *)to,
                   to->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                             : sizeof(struct sockaddr_in),
                   &handlers, talk);
}

static void
found(struct talk *talk, int family, size_t len,
      const struct resolve_answer *answer)
{
    for (size_t i = 0; i < answer->n_records; i++)
        if (answer->records[i].len == len)
            add_address(talk->addresses, &talk->n_addresses, family,
                        answer->records[i].data);
    if (talk->questions[0] != NULL || talk->questions[1] != NULL)
        return;
    if (talk->n_addresses == 0)
        talk_end(talk, AUTH_UPSTREAM_GONE, "its name has no address");
    else
        talk_connect(talk);
}

static void
on_v6(void *arg, const struct resolve_answer *answer)
{
    struct talk *talk = arg;

    talk->questions[0] = NULL;
    found(talk, AF_INET6, 16, answer);
}

static void
on_v4(void *arg, const struct resolve_answer *answer)
{
    struct talk *talk = arg;

    talk->questions[1] = NULL;
    found(talk, AF_INET, 4, answer);
}

/* Names are looked up for each conversation: the resolver has a cache. */
static void
talk_begin(struct talk *talk)
{
    upstream.talks++;
    talk->limit = loop_timer_new(on_limit, talk);
    loop_timer_set(talk->limit, AUTH_UPSTREAM_MS);
    memcpy(talk->addresses, upstream.addresses, sizeof(talk->addresses));
    talk->n_addresses = upstream.n_addresses;
    if (talk->n_addresses > 0) {
        talk_connect(talk);
        return;
    }
    talk->questions[0] = resolve_ask(upstream.host, RESOLVE_AAAA, on_v6, talk);
    talk->questions[1] = resolve_ask(upstream.host, RESOLVE_A, on_v4, talk);
}

void
auth_upstream_ask(struct view name, struct view password, auth_upstream_fn *fn,
                  void *arg)
{
    struct talk *talk = mem_alloc(sizeof(*talk)), **last = &upstream.waiting;

    talk->fn = fn;
    talk->arg = arg;
    talk->name = mem_copy(name.data, name.len);
    talk->name_len = name.len;
    talk->password = mem_copy(password.data, password.len);
    talk->password_len = password.len;
    if (upstream.gone_until_ms > loop_now_ms() ||
        (upstream.is_gone && upstream.talks > 0)) {
        talk->said = AUTH_UPSTREAM_GONE;
        snprintf(talk->reason, sizeof(talk->reason), "%s",
                 upstream.gone_reason);
        loop_defer(tell, talk);
    } else if (upstream.talks < AUTH_UPSTREAM_MAX) {
        talk_begin(talk);
    } else {
        while (*last != NULL)
            last = &(*last)->next;
        *last = talk;
    }
}

/* --- configuration ----------------------------------------------------------
 */

bool
auth_upstream_is_set(void)
{
    return upstream.is_set;
}

static void
find_now(const struct conf *conf)
{
    char binary[16];
    const struct conf_host *host = &upstream.at.host;

    upstream.n_addresses = 0;
    if (host->kind == CONF_HOST_NAME)
        upstream.n_addresses =
            hosts_find(system_file(conf->hosts_file), host->host,
                       upstream.addresses, ADDRESSES_MAX);
    else if (host->kind == CONF_HOST_IPV6 &&
             inet_pton(AF_INET6, upstream.host, binary) == 1)
        add_address(upstream.addresses, &upstream.n_addresses, AF_INET6,
                    binary);
    else if (inet_pton(AF_INET, upstream.host, binary) == 1)
        add_address(upstream.addresses, &upstream.n_addresses, AF_INET, binary);
}

void
auth_upstream_configure(const struct conf *conf)
{
    struct why why;

    upstream.is_set = false;
    upstream.gone_until_ms = 0;
    upstream.is_gone = false;
    tls_free(&upstream.tls);
    if (conf->auth_upstream.len == 0 ||
        conf_upstream_parse(conf->auth_upstream, &upstream.at, &why) != 0 ||
        upstream.at.host.host.len >= sizeof(upstream.host))
        return;
    memcpy(upstream.host, upstream.at.host.host.data,
           upstream.at.host.host.len);
    upstream.host[upstream.at.host.host.len] = '\0';
    upstream.tls = tls_client_new(system_file(conf_upstream_ca(conf)), &why);
    if (upstream.tls == NULL) {
        log_warn("auth-upstream: %s", why.text);
        return;
    }
    find_now(conf);
    resolve_configure(conf, system_file(conf->trust_anchor),
                      system_file(conf->servers_file));
    upstream.is_set = true;
}
