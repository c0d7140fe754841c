/* SPDX-License-Identifier: ISC */
/*
 * One table: an attribute, its name, who takes it, and how its value is
 * written.
 */
#include "xclient.h"

#include <arpa/inet.h>
#include <inttypes.h>

#include "xtext.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define UNAVAILABLE VIEW("[UNAVAILABLE]")
/* Of a value before it is encoded; longer ones are not told. */
#define VALUE_MAX 255

typedef void value_fn(const struct xclient_facts *facts, struct buf *out);

static void
add_text(struct view text, struct buf *out)
{
    if (text.len == 0 || text.len > VALUE_MAX)
        buf_add_view(out, UNAVAILABLE);
    else
        xtext_encode(text, out);
}

static int
family_of(struct view text)
{
    char copy[INET6_ADDRSTRLEN], binary[16];

    if (text.len == 0 || text.len >= sizeof(copy) ||
        memchr(text.data, '\0', text.len) != NULL)
        return AF_UNSPEC;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, binary) == 1)
        return AF_INET;
    return inet_pton(AF_INET6, copy, binary) == 1 ? AF_INET6 : AF_UNSPEC;
}

static void
add_address(struct view text, struct buf *out)
{
    int family = family_of(text);

    if (family == AF_INET6)
        buf_add_text(out, "IPV6:");
    add_text(family != AF_UNSPEC ? text : VIEW(""), out);
}

static void
add_port(uint64_t port, struct buf *out)
{
    if (port == 0 || port > UINT16_MAX)
        buf_add_view(out, UNAVAILABLE);
    else
        buf_addf(out, "%" PRIu64, port);
}

static void
value_name(const struct xclient_facts *facts, struct buf *out)
{
    if (facts->name.len == 0 && facts->name_unknown)
        buf_add_text(out, "[TEMPUNAVAIL]");
    else
        add_text(facts->name, out);
}

static void
value_addr(const struct xclient_facts *facts, struct buf *out)
{
    add_address(facts->client, out);
}

static void
value_port(const struct xclient_facts *facts, struct buf *out)
{
    add_port(facts->port, out);
}

/* XCLIENT knows SMTP and ESMTP alone. */
static void
value_proto(const struct xclient_facts *facts, struct buf *out)
{
    buf_add_text(out,
                 view_equal(facts->protocol, VIEW("SMTP")) ? "SMTP" : "ESMTP");
}

static void
value_forward_proto(const struct xclient_facts *facts, struct buf *out)
{
    add_text(facts->protocol, out);
}

static void
value_helo(const struct xclient_facts *facts, struct buf *out)
{
    add_text(facts->helo, out);
}

/* Nobody signs in here to send mail. */
static void
value_login(const struct xclient_facts *facts, struct buf *out)
{
    (void)facts;
    buf_add_view(out, UNAVAILABLE);
}

static void
value_destaddr(const struct xclient_facts *facts, struct buf *out)
{
    add_address(facts->server, out);
}

static void
value_destport(const struct xclient_facts *facts, struct buf *out)
{
    add_port(facts->server_port, out);
}

static void
value_ident(const struct xclient_facts *facts, struct buf *out)
{
    add_text(facts->ident, out);
}

static void
value_source(const struct xclient_facts *facts, struct buf *out)
{
    buf_add_text(out, facts->is_local ? "LOCAL" : "REMOTE");
}

static const struct attribute_row {
    const char *name;
    enum xclient_attribute attribute;
    value_fn *client;  /* of XCLIENT, NULL: it has none such */
    value_fn *forward; /* of XFORWARD */
} rows[] = {
    {"NAME", XCLIENT_NAME, value_name, value_name},
    {"ADDR", XCLIENT_ADDR, value_addr, value_addr},
    {"PORT", XCLIENT_PORT, value_port, value_port},
    {"PROTO", XCLIENT_PROTO, value_proto, value_forward_proto},
    {"HELO", XCLIENT_HELO, value_helo, value_helo},
    {"LOGIN", XCLIENT_LOGIN, value_login, NULL},
    {"DESTADDR", XCLIENT_DESTADDR, value_destaddr, NULL},
    {"DESTPORT", XCLIENT_DESTPORT, value_destport, NULL},
    {"IDENT", XCLIENT_IDENT, NULL, value_ident},
    {"SOURCE", XCLIENT_SOURCE, NULL, value_source},
};

bool
xclient_is_address(struct view text)
{
    return family_of(text) != AF_UNSPEC;
}

unsigned
xclient_offer_parse(struct view text)
{
    unsigned offered = 0;

    while (text.len > 0) {
        struct view word = {text.data, 0};

        while (word.len < text.len && text.data[word.len] != ' ')
            word.len++;
        text = view_skip(text, word.len + 1);
        for (size_t i = 0; i < COUNT(rows); i++)
            if (view_equal_nocase(word, view_of(rows[i].name)))
                offered |= rows[i].attribute;
    }
    return offered;
}

static void
add_attribute(const struct attribute_row *row, value_fn *value,
              const struct xclient_facts *facts, struct buf *out)
{
    buf_addf(out, " %s=", row->name);
    value(facts, out);
}

void
xclient_print(unsigned offered, const struct xclient_facts *facts,
              struct buf *out)
{
    struct xclient_facts shorter = *facts;
    size_t start = out->len;

    if ((offered & XCLIENT_ADDR) == 0)
        return;
    buf_add_text(out, "XCLIENT");
    for (size_t i = 0; i < COUNT(rows); i++)
        if ((offered & rows[i].attribute) != 0 && rows[i].client != NULL)
            add_attribute(&rows[i], rows[i].client, facts, out);
    buf_add_text(out, "\r\n");
    if (out->len - start <= XCLIENT_LINE_MAX || facts->helo.len == 0)
        return;
    /* EHLO says it again. */
    out->len = start;
    shorter.helo = (struct view){NULL, 0};
    xclient_print(offered, &shorter, out);
}

unsigned
xclient_print_forward(unsigned offered, const struct xclient_facts *facts,
                      struct buf *out)
{
    struct buf one = {0};
    size_t line = 0;
    unsigned n = 0;

    for (size_t i = 0; i < COUNT(rows); i++) {
        if ((offered & rows[i].attribute) == 0 || rows[i].forward == NULL)
            continue;
        buf_reset(&one);
        add_attribute(&rows[i], rows[i].forward, facts, &one);
        if (n == 0 || out->len - line + one.len + 2 > XCLIENT_LINE_MAX) {
            if (n > 0)
                buf_add_text(out, "\r\n");
            line = out->len;
            buf_add_text(out, "XFORWARD");
            n++;
        }
        buf_add_view(out, buf_view(&one));
    }
    if (n > 0)
        buf_add_text(out, "\r\n");
    buf_free(&one);
    return n;
}
