/* SPDX-License-Identifier: ISC */
/* Domains, hosts, addresses and fingerprints as they stand in the
 * configuration. */
#include "conf_key.h"

#include <arpa/inet.h>
#include <string.h>

#include "addr.h"
#include "num.h"

int
conf_name_check(struct view text, struct why *why)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] >= 0x80)
            return why_text(why,
                            "\"%.*s\": write a domain in ASCII, as xn--...",
                            (int)text.len, text.data);
    if (!addr_is_domain(text) || text.data[0] == '[')
        return why_text(why, "\"%.*s\" is not a domain name", (int)text.len,
                        text.data);
    return 0;
}

int
conf_fingerprint_parse(struct view text, char bytes[CONF_FINGERPRINT_BYTES],
                       struct why *why)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        const char *digit;

        if (c == ':' && n > 0 && n % 2 == 0 && i + 1 < text.len &&
            text.data[i - 1] != ':')
            continue;
        if (c >= 'A' && c <= 'F')
            c = (char)(c | 0x20);
        digit = memchr(digits, c, sizeof(digits) - 1);
        if (digit == NULL || n == 2 * CONF_FINGERPRINT_BYTES)
            return why_text(why, "\"%.*s\" is not a SHA-256 in hex digits",
                            (int)text.len, text.data);
        if (n % 2 == 0)
            bytes[n / 2] = (char)((digit - digits) << 4);
        else
            bytes[n / 2] = (char)(bytes[n / 2] | (digit - digits));
        n++;
    }
    if (n != 2 * CONF_FINGERPRINT_BYTES)
        return why_text(why, "\"%.*s\" has %zu hex digits, SHA-256 has 64",
                        (int)text.len, text.data, n);
    return 0;
}

static bool
is_binary(int family, struct view text)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr binary;

    if (text.len >= sizeof(copy) || memchr(text.data, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, &binary) == 1;
}

static bool
is_dotted_number(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr("0123456789.", text.data[i]) == NULL)
            return false;
    return true;
}

/* The text is all host: no port, no brackets. */
static int
host_kind(struct conf_host *host, struct why *why)
{
    if (is_binary(AF_INET6, host->host))
        host->kind = CONF_HOST_IPV6;
    else if (is_binary(AF_INET, host->host))
        host->kind = CONF_HOST_IPV4;
    else if (!is_dotted_number(host->host) &&
             conf_name_check(host->host, NULL) == 0)
        host->kind = CONF_HOST_NAME;
    else
        return why_text(why, "\"%.*s\" is neither a host name nor an address",
                        (int)host->host.len, host->host.data);
    return 0;
}

static int
host_port(struct view text, struct conf_host *host, struct why *why)
{
    uint64_t port;

    if (num_parse(text, 1, UINT16_MAX, &port, why) != 0)
        return -1;
    host->port = (uint16_t)port;
    return 0;
}

static int
host_in_brackets(struct view text, struct conf_host *host, struct why *why)
{
    const char *close = memchr(text.data, ']', text.len);
    struct view rest;

    if (close == NULL)
        return why_text(why, "\"%.*s\": \"]\" is missing", (int)text.len,
                        text.data);
    host->host = (struct view){text.data + 1, (size_t)(close - text.data - 1)};
    host->kind = CONF_HOST_IPV6;
    if (!is_binary(AF_INET6, host->host))
        return why_text(why, "\"%.*s\" is not an IPv6 address",
                        (int)host->host.len, host->host.data);
    rest = view_skip(text, host->host.len + 2);
    if (rest.len == 0)
        return 0;
    if (rest.data[0] != ':')
        return why_text(why, "\"%.*s\": \":\" and a port expected after \"]\"",
                        (int)text.len, text.data);
    return host_port(view_skip(rest, 1), host, why);
}

static int
host_path(struct view text, struct conf_host *host, struct why *why)
{
    host->kind = CONF_HOST_PATH;
    if (text.len > CONF_HOST_PATH_MAX ||
        memchr(text.data, '\0', text.len) != NULL)
        return why_text(why,
                        "\"%.*s\": the path of a socket has up to %d bytes",
                        (int)(text.len < 200 ? text.len : 200), text.data,
                        CONF_HOST_PATH_MAX);
    return 0;
}

int
conf_host_parse(struct view text, struct conf_host *host, struct why *why)
{
    const char *colon;

    *host = (struct conf_host){.host = text};
    if (text.len == 0)
        return why_text(why, "a host is empty");
    if (text.data[0] == '/')
        return host_path(text, host, why);
    if (text.data[0] == '[')
        return host_in_brackets(text, host, why);
    colon = memchr(text.data, ':', text.len);
    /* Two colons: an IPv6 address, which has a port in brackets only. */
    if (colon != NULL && memrchr(text.data, ':', text.len) == colon) {
        host->host.len = (size_t)(colon - text.data);
        if (host_port(view_skip(text, host->host.len + 1), host, why) != 0)
            return -1;
    }
    return host_kind(host, why);
}

int
conf_upstream_parse(struct view text, struct conf_upstream *upstream,
                    struct why *why)
{
    static const struct {
        struct view scheme;
        bool starttls;
        uint16_t port;
    } schemes[] = {{VIEW("imaps://"), false, 993},
                   {VIEW("imap://"), true, 143}};

    for (size_t i = 0; i < 2; i++) {
        struct view scheme = schemes[i].scheme;

        if (text.len < scheme.len ||
            memcmp(text.data, scheme.data, scheme.len) != 0)
            continue;
        text = view_skip(text, scheme.len);
        if (text.len > 0 && text.data[text.len - 1] == '/')
            text.len--;
        if (conf_host_parse(text, &upstream->host, why) != 0)
            return -1;
        if (upstream->host.kind == CONF_HOST_PATH)
            return why_text(why, "a host is expected behind %s", scheme.data);
        upstream->starttls = schemes[i].starttls;
        if (upstream->host.port == 0)
            upstream->host.port = schemes[i].port;
        return 0;
    }
    return why_text(why, "\"%.*s\": write imaps://host or imap://host",
                    (int)text.len, text.data);
}
