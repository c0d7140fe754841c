/* SPDX-License-Identifier: ISC */
/*
 * One function a rule or group of rules, in the order of the sections. A
 * reason names the line of the key to be changed, found by the title of its
 * section; where the key is absent, the line where the section opens.
 */
#include "conf_rules.h"

#include <string.h>
#include <sys/un.h>

#include "num.h"

#define TARGET_NAME_MAX 64

struct rules {
    const struct conf_tree *tree;
    const struct conf *conf;
    struct why *why;
};

/* The section of this title; where titles differ by case only, the last. */
static size_t
index_of(const struct rules *rules, enum conf_section section,
         struct view title)
{
    size_t i = conf_tree_count(rules->tree, section);

    while (--i > 0)
        if (view_equal_nocase(
                title, view_of(conf_tree_title(rules->tree, section, i))))
            break;
    return i;
}

#define RULE_BROKEN(rules, section, title, key, ...)                           \
    conf_tree_why((rules)->tree, section, index_of(rules, section, title),     \
                  key, (rules)->why, __VA_ARGS__)

static int
rules_of_root(const struct rules *rules)
{
    const struct conf *conf = rules->conf;
    struct conf_upstream upstream;
    struct sockaddr_un un;
    struct why bad;

    if (conf->hostname.len == 0)
        return conf_tree_why(
            rules->tree, CONF_ROOT, 0, "hostname", rules->why,
            "hostname is missing, and this machine's own name "
            "is not a full one: hostname = \"mx.example.com\"");
    if (conf->control.len >= sizeof(un.sun_path))
        return conf_tree_why(rules->tree, CONF_ROOT, 0, "control", rules->why,
                             "control: a socket's path has at most %zu bytes",
                             sizeof(un.sun_path) - 1);
    if (conf->auth_upstream.len > 0 &&
        conf_upstream_parse(conf->auth_upstream, &upstream, &bad) != 0)
        return conf_tree_why(rules->tree, CONF_ROOT, 0, "auth-upstream",
                             rules->why, "auth-upstream: %s", bad.text);
    return 0;
}

static int
rules_of_tls(const struct rules *rules)
{
    const struct conf *conf = rules->conf;

    if (conf->tls_certificate.len > 0 && conf->tls_key.len == 0)
        return conf_tree_why(rules->tree, CONF_TLS, 0, "certificate",
                             rules->why, "certificate needs key beside it");
    if (conf->tls_key.len > 0 && conf->tls_certificate.len == 0)
        return conf_tree_why(rules->tree, CONF_TLS, 0, "key", rules->why,
                             "key needs certificate beside it");
    return 0;
}

static bool
is_named(struct view name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (view_equal(name, view_of(names[i])))
            return true;
    return false;
}

/* Addresses of two sections or twice in one: the second could not be bound. */
static int
rule_of_address(const struct rules *rules, const struct conf_listen *listen,
                size_t n)
{
    const struct conf_text *mine = listen->addresses.items;
    const struct conf_listen *other = rules->conf->listens.items;

    for (;; other++) {
        const struct conf_text *texts = other->addresses.items;
        size_t end = other == listen ? n : other->addresses.count;

        for (size_t i = 0; i < end; i++)
            if (view_equal(texts[i].text, mine[n].text))
                return RULE_BROKEN(rules, CONF_LISTEN, listen->service,
                                   "address", "%.*s is given twice",
                                   (int)mine[n].text.len, mine[n].text.data);
        if (other == listen)
            return 0;
    }
}

static int
rules_of_listen(const struct rules *rules)
{
    static const char *const known[] = {"smtp", "imap", "imaps"};
    static const char *const later[] = {"status"};
    const struct conf_listen *listens = rules->conf->listens.items;

    for (size_t i = 0; i < rules->conf->listens.count; i++) {
        struct view service = listens[i].service;

        if (is_named(service, later, sizeof(later) / sizeof(later[0])))
            return RULE_BROKEN(rules, CONF_LISTEN, service, NULL,
                               "listen %.*s comes with a later version; this "
                               "one serves smtp, imap and imaps",
                               (int)service.len, service.data);
        if (!is_named(service, known, sizeof(known) / sizeof(known[0])))
            return RULE_BROKEN(
                rules, CONF_LISTEN, service, NULL,
                "there is no service \"%.*s\"; use smtp, imap or imaps",
                (int)service.len, service.data);
        for (size_t k = 0; k < listens[i].addresses.count; k++)
            if (rule_of_address(rules, &listens[i], k) != 0)
                return -1;
    }
    if (rules->conf->listens.count == 0)
        return conf_tree_why(rules->tree, CONF_ROOT, 0, NULL, rules->why,
                             "nothing listens: listen smtp { address = "
                             "\"[::]:25\" } is missing");
    return 0;
}

static bool
is_target_name(struct view name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];

        if ((c < '0' || c > '9') && ((c | 0x20) < 'a' || (c | 0x20) > 'z') &&
            c != '-' && c != '_' && c != '.')
            return false;
    }
    return name.len > 0 && name.len <= TARGET_NAME_MAX;
}

static int
rule_of_order(const struct rules *rules, const struct conf_target *target,
              const char *min_key, uint64_t min_ms, const char *max_key,
              uint64_t max_ms)
{
    char min[NUM_TEXT_MAX], max[NUM_TEXT_MAX];
    size_t i = index_of(rules, CONF_TARGET, target->name);
    bool has_max = conf_tree_has(rules->tree, CONF_TARGET, i, max_key);

    if (min_ms <= max_ms)
        return 0;
    return conf_tree_why(
        rules->tree, CONF_TARGET, i, has_max ? max_key : min_key, rules->why,
        "%s (%s) is above %s (%s)", min_key, num_print_duration(min_ms, min),
        max_key, num_print_duration(max_ms, max));
}

/* Where mail of a target goes: hosts, MX hosts, or both. */
static int
rule_of_hosts(const struct rules *rules, const struct conf_target *target)
{
    if (target->hosts.count == 0 && !target->mx)
        return RULE_BROKEN(rules, CONF_TARGET, target->name, NULL,
                           "target \"%.*s\": hosts is missing: name the hosts "
                           "it has, or set mx = true",
                           (int)target->name.len, target->name.data);
    if (!target->mx && target->mx_domain.len > 0)
        return RULE_BROKEN(rules, CONF_TARGET, target->name, "mx-domain",
                           "mx-domain needs mx = true");
    if (target->mx && target->mx_domain.len == 0)
        return RULE_BROKEN(rules, CONF_TARGET, target->name, "mx",
                           "mx: not exactly one domain names this target; say "
                           "in mx-domain whose MX records count");
    return 0;
}

/* RFC 2033 5: never on port 25; and MX records are for SMTP. */
static int
rule_of_protocol(const struct rules *rules, const struct conf_target *target)
{
    const struct conf_text *hosts = target->hosts.items;
    struct conf_host host;

    if (target->protocol != CONF_PROTOCOL_LMTP)
        return 0;
    if (target->mx)
        return RULE_BROKEN(rules, CONF_TARGET, target->name, "mx",
                           "mx: MX hosts speak SMTP, not LMTP");
    for (size_t i = 0; i < target->hosts.count; i++)
        if (conf_host_parse(hosts[i].text, &host, NULL) == 0 &&
            host.kind != CONF_HOST_PATH &&
            (host.port != 0 ? host.port : target->port) == 25)
            return RULE_BROKEN(rules, CONF_TARGET, target->name, "hosts",
                               "\"%.*s\": LMTP is never on port 25: name its "
                               "port, or the path of its socket",
                               (int)hosts[i].text.len, hosts[i].text.data);
    return 0;
}

static int
rule_of_fingerprints(const struct rules *rules,
                     const struct conf_target *target)
{
    const struct conf_text *texts = target->tls_fingerprints.items;
    char bytes[CONF_FINGERPRINT_BYTES];
    struct why bad;

    for (size_t i = 0; i < target->tls_fingerprints.count; i++)
        if (conf_fingerprint_parse(texts[i].text, bytes, &bad) != 0)
            return RULE_BROKEN(rules, CONF_TARGET, target->name,
                               "tls-fingerprint", "tls-fingerprint: %s",
                               bad.text);
    return 0;
}

static int
rule_of_tls_name(const struct rules *rules, const struct conf_target *target)
{
    struct view name = target->tls_name;
    struct why bad;

    if (name.len > 1 && name.data[0] == '.')
        name = view_skip(name, 1);
    if (name.len == 0 || conf_name_check(name, &bad) == 0)
        return 0;
    return RULE_BROKEN(rules, CONF_TARGET, target->name, "tls-name",
                       "tls-name: %s", bad.text);
}

/* There are no TLSA records for addresses. */
static int
rule_of_dane(const struct rules *rules, const struct conf_target *target)
{
    const struct conf_text *hosts = target->hosts.items;
    struct conf_host host;

    if (target->tls != CONF_TLS_DANE)
        return 0;
    if (!rules->conf->dnssec)
        return RULE_BROKEN(rules, CONF_TARGET, target->name, "tls",
                           "tls = dane needs dnssec = true in resolver");
    for (size_t i = 0; i < target->hosts.count; i++)
        if (conf_host_parse(hosts[i].text, &host, NULL) == 0 &&
            host.kind != CONF_HOST_NAME)
            return RULE_BROKEN(rules, CONF_TARGET, target->name, "hosts",
                               "tls = dane needs names in place of "
                               "\"%.*s\": TLSA records are found by name",
                               (int)hosts[i].text.len, hosts[i].text.data);
    return 0;
}

static int
rule_of_tls(const struct rules *rules, const struct conf_target *target)
{
    const struct {
        const char *key;
        bool given;
    } of_verify[] = {
        {"tls-ca", target->tls_ca.len > 0},
        {"tls-name", target->tls_name.len > 0},
        {"tls-fingerprint", target->tls_fingerprints.count > 0},
    };

    for (size_t i = 0; i < sizeof(of_verify) / sizeof(of_verify[0]); i++)
        if (of_verify[i].given && target->tls != CONF_TLS_VERIFY)
            return RULE_BROKEN(rules, CONF_TARGET, target->name,
                               of_verify[i].key, "%s needs tls = verify",
                               of_verify[i].key);
    if (target->tls_fingerprints.count > 0 &&
        (target->tls_ca.len > 0 || target->tls_name.len > 0))
        return RULE_BROKEN(rules, CONF_TARGET, target->name, "tls-fingerprint",
                           "tls-fingerprint takes the place of tls-ca and "
                           "tls-name");
    if (rule_of_fingerprints(rules, target) != 0 ||
        rule_of_tls_name(rules, target) != 0)
        return -1;
    return rule_of_dane(rules, target);
}

static int
rules_of_resolver(const struct rules *rules)
{
    const struct conf_text *texts = rules->conf->forwarders.items;
    bool forward = rules->conf->resolver_mode == CONF_RESOLVER_FORWARD;
    struct conf_host host;

    if (forward && rules->conf->forwarders.count == 0)
        return conf_tree_why(rules->tree, CONF_RESOLVER, 0, "mode", rules->why,
                             "mode = forward needs forwarders");
    if (!forward && rules->conf->forwarders.count > 0)
        return conf_tree_why(rules->tree, CONF_RESOLVER, 0, "forwarders",
                             rules->why, "forwarders needs mode = forward");
    for (size_t i = 0; i < rules->conf->forwarders.count; i++)
        if (conf_host_parse(texts[i].text, &host, NULL) == 0 &&
            host.kind != CONF_HOST_IPV4 && host.kind != CONF_HOST_IPV6)
            return conf_tree_why(rules->tree, CONF_RESOLVER, 0, "forwarders",
                                 rules->why,
                                 "forwarders: \"%.*s\" is not an address",
                                 (int)texts[i].text.len, texts[i].text.data);
    return 0;
}

static int
rules_of_target(const struct rules *rules)
{
    const struct conf_target *target = rules->conf->targets.items;

    for (size_t i = 0; i < rules->conf->targets.count; i++, target++) {
        if (!is_target_name(target->name))
            return RULE_BROKEN(rules, CONF_TARGET, target->name, NULL,
                               "a target's name has up to %d letters, digits, "
                               "\"-\", \"_\" and \".\"",
                               TARGET_NAME_MAX);
        if (rule_of_order(rules, target, "probe-min", target->probe_min_ms,
                          "probe-max", target->probe_max_ms) != 0 ||
            rule_of_order(rules, target, "retry-min", target->retry_min_ms,
                          "retry-max", target->retry_max_ms) != 0 ||
            rule_of_hosts(rules, target) != 0 ||
            rule_of_protocol(rules, target) != 0 ||
            rule_of_tls(rules, target) != 0)
            return -1;
    }
    return 0;
}

static int
rule_of_reference(const struct rules *rules, const struct conf_domain *domain,
                  const char *key, struct view target)
{
    if (conf_target_by_name(rules->conf, target) != NULL)
        return 0;
    return RULE_BROKEN(rules, CONF_DOMAIN, domain->name, key,
                       "%s: there is no target \"%.*s\"", key, (int)target.len,
                       target.data);
}

static int
rule_of_list(const struct rules *rules, const struct conf_domain *domain)
{
    bool list = domain->recipients == CONF_RECIPIENTS_LIST;

    if (list && domain->recipient_file.len == 0)
        return RULE_BROKEN(rules, CONF_DOMAIN, domain->name, "recipients",
                           "recipients = list needs recipient-file");
    if (!list && domain->recipient_file.len > 0)
        return RULE_BROKEN(rules, CONF_DOMAIN, domain->name, "recipient-file",
                           "recipient-file needs recipients = list");
    return 0;
}

static int
rules_of_domain(const struct rules *rules)
{
    const struct conf_domain *domain = rules->conf->domains.items;

    for (size_t i = 0; i < rules->conf->domains.count; i++, domain++) {
        struct why bad;

        if (conf_name_check(domain->name, &bad) != 0)
            return RULE_BROKEN(rules, CONF_DOMAIN, domain->name, NULL, "%s",
                               bad.text);
        if (i > 0 && view_equal(domain[-1].name, domain->name))
            return RULE_BROKEN(rules, CONF_DOMAIN, domain->name, NULL,
                               "the domain %.*s is there already",
                               (int)domain->name.len, domain->name.data);
        if (rule_of_reference(rules, domain, "target", domain->target) != 0 ||
            rule_of_reference(rules, domain, "return-target",
                              domain->return_target) != 0 ||
            rule_of_list(rules, domain) != 0)
            return -1;
    }
    if (rules->conf->domains.count == 0)
        return conf_tree_why(rules->tree, CONF_ROOT, 0, NULL, rules->why,
                             "no mail would be taken: a domain section is "
                             "missing");
    return 0;
}

int
conf_rules_check(const struct conf_tree *tree, const struct conf *conf,
                 struct why *why)
{
    static int (*const all[])(const struct rules *) = {
        rules_of_root,   rules_of_tls,      rules_of_listen,
        rules_of_target, rules_of_resolver, rules_of_domain,
    };
    const struct rules rules = {tree, conf, why};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i](&rules) != 0)
            return -1;
    return 0;
}
