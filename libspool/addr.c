/* SPDX-License-Identifier: ISC */
/*
 * Recursive descent over a view: each take_x() moves past one x at the front
 * of *text or says why it cannot. The character classes are those of RFC 5321
 * 4.1.2 with the two liberties addr.h names.
 */
#include "addr.h"

#include <arpa/inet.h>

#include <stdint.h>

#include "utf8.h"

static bool
is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* RFC 5322 atext, the dot, and all of UTF-8 beyond ASCII (checked later). */
static bool
is_local_char(uint8_t c)
{
    return is_alnum(c) || c >= 0x80 ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~.", c) != NULL);
}

static bool
is_domain_char(uint8_t c)
{
    return is_alnum(c) || c >= 0x80 || c == '-' || c == '_' || c == '.';
}

static uint8_t
front(struct view text)
{
    return text.len > 0 ? (uint8_t)text.data[0] : 0;
}

static int
bad(struct why *why, const char *what)
{
    return why_set(why, 501, "", "%s", what);
}

static int
check_utf8(struct addr *addr, struct why *why)
{
    struct view rest = addr->text;

    while (rest.len > 0) {
        size_t before = rest.len;

        if (utf8_take(&rest) == UTF8_REPLACEMENT && before - rest.len == 1)
            return bad(why, "address is not valid UTF-8");
        if (before - rest.len > 1)
            addr->is_utf8 = true;
    }
    return 0;
}

/* RFC 5321 Quoted-string; *text moves past the closing quote. */
static int
take_quoted(struct view *text, struct why *why)
{
    for (size_t i = 1; i < text->len; i++) {
        uint8_t c = (uint8_t)text->data[i];

        if (c == '"') {
            *text = view_skip(*text, i + 1);
            return 0;
        }
        if (c == '\\') {
            i++;
            if (i == text->len)
                break;
            c = (uint8_t)text->data[i];
            if (c >= 0x80)
                return bad(why, "a backslash quotes ASCII only");
        }
        if (c < 0x20 || c == 0x7f)
            return bad(why, "control character in a quoted local part");
    }
    return bad(why, "quoted local part has no end");
}

static int
take_local(struct view *text, struct addr *addr, struct why *why)
{
    struct view start = *text;
    size_t n = 0;

    if (front(*text) == '"') {
        if (take_quoted(text, why) != 0)
            return -1;
    } else {
        while (n < text->len && is_local_char((uint8_t)text->data[n]))
            n++;
        *text = view_skip(*text, n);
    }
    addr->local = (struct view){start.data, start.len - text->len};
    if (addr->local.len == 0)
        return bad(why, "local part expected");
    if (addr->local.len > ADDR_LOCAL_MAX)
        return bad(why, "local part is too long");
    return 0;
}

static bool
is_literal(struct view inside)
{
    static const struct view v6 = {"IPv6:", 5};
    uint8_t binary[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];
    int family = AF_INET;

    if (inside.len > v6.len &&
        view_equal_nocase((struct view){inside.data, v6.len}, v6)) {
        inside = view_skip(inside, v6.len);
        family = AF_INET6;
    }
    if (inside.len >= sizeof(text) ||
        memchr(inside.data, '\0', inside.len) != NULL)
        return false;
    memcpy(text, inside.data, inside.len);
    text[inside.len] = '\0';
    return inet_pton(family, text, binary) == 1;
}

static bool
are_labels(struct view name)
{
    size_t len = 0;

    for (size_t i = 0; i <= name.len; i++) {
        if (i < name.len && name.data[i] != '.') {
            len++;
            continue;
        }
        if (len == 0 || len > ADDR_LABEL_MAX || name.data[i - len] == '-' ||
            name.data[i - 1] == '-')
            return false;
        len = 0;
    }
    return true;
}

/* A domain or an address literal. */
static int
take_domain(struct view *text, struct view *domain, bool *literal,
            struct why *why)
{
    size_t n = 0;

    *literal = front(*text) == '[';
    if (*literal) {
        const char *close = memchr(text->data, ']', text->len);

        if (close == NULL)
            return bad(why, "address literal has no end");
        n = (size_t)(close - text->data) + 1;
    } else {
        while (n < text->len && is_domain_char((uint8_t)text->data[n]))
            n++;
    }
    *domain = (struct view){text->data, n};
    *text = view_skip(*text, n);
    if (n == 0)
        return bad(why, "domain expected");
    if (n > ADDR_DOMAIN_MAX)
        return bad(why, "domain is too long");
    if (*literal && !is_literal((struct view){domain->data + 1, n - 2}))
        return bad(why, "address literal is not valid");
    if (!*literal && !are_labels(*domain))
        return bad(why, "domain is not valid");
    return 0;
}

static int
take_mailbox(struct view *text, struct addr *addr, struct why *why)
{
    struct view start = *text;

    addr->kind = ADDR_MAILBOX;
    if (take_local(text, addr, why) != 0)
        return -1;
    if (front(*text) != '@')
        return bad(why, "\"@\" and a domain expected");
    *text = view_skip(*text, 1);
    if (take_domain(text, &addr->domain, &addr->is_literal, why) != 0)
        return -1;
    addr->text = (struct view){start.data, start.len - text->len};
    return check_utf8(addr, why);
}

/* "@a,@b:", which RFC 5321 (appendix C) has us accept and ignore. */
static int
take_route(struct view *text, struct why *why)
{
    struct view domain;
    bool literal;

    while (front(*text) == '@') {
        *text = view_skip(*text, 1);
        if (take_domain(text, &domain, &literal, why) != 0)
            return -1;
        if (front(*text) == ':') {
            *text = view_skip(*text, 1);
            return 0;
        }
        if (front(*text) != ',')
            break;
        *text = view_skip(*text, 1);
    }
    return bad(why, "source route is not valid");
}

int
addr_parse_path(struct view *text, struct addr *addr, struct why *why)
{
    static const struct view postmaster = {"Postmaster>", 11};

    *addr = (struct addr){.kind = ADDR_NULL};
    if (front(*text) != '<')
        return bad(why, "address in <> expected");
    *text = view_skip(*text, 1);
    if (front(*text) == '>') {
        *text = view_skip(*text, 1);
        return 0;
    }
    if (text->len >= postmaster.len &&
        view_equal_nocase((struct view){text->data, postmaster.len},
                          postmaster)) {
        addr->kind = ADDR_POSTMASTER;
        addr->local = (struct view){text->data, postmaster.len - 1};
        addr->text = addr->local;
        *text = view_skip(*text, postmaster.len);
        return 0;
    }
    if (front(*text) == '@' && take_route(text, why) != 0)
        return -1;
    if (take_mailbox(text, addr, why) != 0)
        return -1;
    if (front(*text) != '>')
        return bad(why, "\">\" expected after the address");
    *text = view_skip(*text, 1);
    return 0;
}

int
addr_parse_mailbox(struct view text, struct addr *addr, struct why *why)
{
    *addr = (struct addr){.kind = ADDR_NULL};
    if (take_mailbox(&text, addr, why) != 0)
        return -1;
    if (text.len != 0)
        return bad(why, "unexpected characters after the address");
    return 0;
}

bool
addr_is_domain(struct view text)
{
    struct view domain;
    bool literal;

    return take_domain(&text, &domain, &literal, NULL) == 0 && text.len == 0;
}

size_t
addr_unquote(struct view local, char *out)
{
    size_t len = 0;

    if (front(local) != '"') {
        memcpy(out, local.data, local.len);
        return local.len;
    }
    for (size_t i = 1; i + 1 < local.len; i++) {
        if (local.data[i] == '\\')
            i++;
        out[len++] = local.data[i];
    }
    return len;
}

bool
addr_is_routed(const struct addr *addr)
{
    char local[ADDR_LOCAL_MAX];
    size_t len;

    if (addr->local.len == 0)
        return false;
    len = addr_unquote(addr->local, local);
    return memchr(local, '%', len) != NULL || memchr(local, '!', len) != NULL ||
           memchr(local, '@', len) != NULL;
}

void
addr_lower(struct view text, char *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.data[i];

        out[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
}
