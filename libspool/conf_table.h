/* SPDX-License-Identifier: ISC */
/*
 * Every key of the configuration, once, in the order of spoold.conf.5:
 *
 *     X(SECTION, "key", KIND, struct, member, "default", "low", "high",
 *       "sentence")
 *
 * The kinds are explained in conf_key.h. Values are written as in the file.
 * NEEDED in place of a default: the key must be there; "": it may be absent.
 * low and high are the limits of numbers, sizes and times; where they are the
 * same, any other value comes with a later version, and the reason says so.
 * For words, low lists those that are taken and high those that come with a
 * later version. Included several times on purpose: no include guard.
 */
/* clang-format off */
X(ROOT,   "hostname",                NAME,      conf,        hostname,                "",                    "",         "",   "the name this server has in SMTP")
X(ROOT,   "spool",                   PATH,      conf,        spool,                   "/var/lib/spoold",     "",         "",   "the directory of the store")
X(ROOT,   "control",                 PATH,      conf,        control,                 "/run/spoold/control", "",         "",   "the socket spoolctl talks to")
X(ROOT,   "user",                    TEXT,      conf,        user,                    "spoold",              "",         "",   "the user the roles run as when spoold is started as root")
X(ROOT,   "auth-upstream",           TEXT,      conf,        auth_upstream,           "",                    "",         "",   "the IMAP server that is asked for passwords while it is up: imaps://host[:port] or imap://host[:port]")
X(ROOT,   "auth-upstream-ca",        PATH,      conf,        auth_upstream_ca,        "",                    "",         "",   "who signed its certificate, PEM; the system's authorities when absent")
X(ROOT,   "auth-learned-for",        TIME,      conf,        auth_learned_for_ms,     "30d",                 "1s",       "3650d", "how long a password that it took is good while it is down")

X(TLS,    "certificate",             PATH,      conf,        tls_certificate,         "",                    "",         "",   "the certificate chain, PEM")
X(TLS,    "key",                     PATH,      conf,        tls_key,                 "",                    "",         "",   "its private key, PEM")

X(LISTEN, "address",                 ADDRESSES, conf_listen, addresses,               NEEDED,                "",         "",   "where to listen: one or more of address:port")

X(TARGET, "hosts",                   HOSTS,     conf_target, hosts,                   "",                    "",         "",   "the target's hosts, tried in this order; after those of mx")
X(TARGET, "port",                    NUM,       conf_target, port,                    "25",                  "1",        "65535", "the port of hosts that name none")
X(TARGET, "mx",                      FLAG,      conf_target, mx,                      "false",               "true false", "",   "finding the hosts by the domain's MX records")
X(TARGET, "mx-domain",               NAME,      conf_target, mx_domain,               "",                    "",         "",   "the domain whose MX records count; the one that names the target when absent")
X(TARGET, "tls",                     CHOICE,    conf_target, tls,                     "opportunistic",       "none opportunistic require verify dane", "", "encryption towards the target")
X(TARGET, "tls-ca",                  PATH,      conf_target, tls_ca,                  "",                    "",         "",   "who may vouch for the target's certificate, PEM; the system's when absent")
X(TARGET, "tls-name",                TEXT,      conf_target, tls_name,                "",                    "",         "",   "the name in its certificate; the host's when absent")
X(TARGET, "tls-fingerprint",         TEXTS,     conf_target, tls_fingerprints,        "",                    "",         "",   "SHA-256 of its certificate or of the public key in it: in place of who vouches")
X(TARGET, "protocol",                CHOICE,    conf_target, protocol,                "smtp",                "smtp lmtp", "",   "what the target speaks")
X(TARGET, "client",                  CHOICE,    conf_target, client,                  "none",                "none xforward xclient", "", "telling the target who the first client was")
X(TARGET, "connections",             NUM,       conf_target, connections,             "20",                  "1",        "1000", "connections to the target at a time, at the most")
X(TARGET, "connection-rate",         NUM,       conf_target, connection_rate,         "0",                   "0",        "1000000", "new connections to the target a minute, at the most; 0: any")
X(TARGET, "message-rate",            NUM,       conf_target, message_rate,            "0",                   "0",        "100000000", "messages to the target a minute, at the most; 0: any")
X(TARGET, "byte-rate",               SIZE,      conf_target, byte_rate,               "0",                   "0",        "100G", "content to the target a second, at the most; 0: any")
X(TARGET, "messages-per-connection", NUM,       conf_target, messages_per_connection, "100",                 "1",        "100000", "messages sent over one connection, at the most")
X(TARGET, "probe-min",               TIME,      conf_target, probe_min_ms,            "30s",                 "100ms",    "1d", "first pause between two probes of a target that is down")
X(TARGET, "probe-max",               TIME,      conf_target, probe_max_ms,            "5m",                  "100ms",    "1d", "longest pause between two probes")
X(TARGET, "retry-min",               TIME,      conf_target, retry_min_ms,            "1m",                  "100ms",    "1d", "first pause before a delivery that was refused for now is tried again")
X(TARGET, "retry-max",               TIME,      conf_target, retry_max_ms,            "1h",                  "100ms",    "7d", "longest pause before it is tried again")
X(TARGET, "unknown-retry",           TIME,      conf_target, unknown_retry_ms,        "30m",                 "100ms",    "7d", "pause before a delivery is tried again that the target may have taken already")
X(TARGET, "guard",                   FLAG,      conf_target, guard,                   "true",                "true false", "",   "keeping back what a target that has just returned refuses for good")
X(TARGET, "guard-messages",          NUM,       conf_target, guard_messages,          "20",                  "1",        "1000", "how many messages after its return the guard looks at")
X(TARGET, "guard-share",             NUM,       conf_target, guard_share,             "50",                  "0",        "100", "percent of them that it may refuse for good")
X(TARGET, "guard-for",               TIME,      conf_target, guard_for_ms,            "10m",                 "1s",       "7d", "how long the guard looks, where there are fewer messages")
X(TARGET, "connect-timeout",         TIME,      conf_target, connect_timeout_ms,      "30s",                 "100ms",    "10m", "how long a connection may take to come about")
X(TARGET, "reply-timeout",           TIME,      conf_target, reply_timeout_ms,        "5m",                  "100ms",    "1h", "how long the target may take for a reply")
X(TARGET, "final-timeout",           TIME,      conf_target, final_timeout_ms,        "10m",                 "100ms",    "1h", "how long the target may take for the reply to the end of a message")

X(RESOLVER, "mode",                  CHOICE,    conf,        resolver_mode,           "system",              "system recurse forward", "", "where answers to questions for names come from")
X(RESOLVER, "forwarders",            HOSTS,     conf,        forwarders,              "",                    "",         "",   "the name servers of mode forward: address or address:port")
X(RESOLVER, "dnssec",                FLAG,      conf,        dnssec,                  "true",                "true false", "",   "whether answers are validated")
X(RESOLVER, "trust-anchor",          PATH,      conf,        trust_anchor,            "/usr/share/dns/root.key", "",     "",   "the keys validation begins with")
X(RESOLVER, "insecure",              NAMES,     conf,        insecure,                "",                    "",         "",   "domains that are not validated, such as internal ones")
X(RESOLVER, "hosts-file",            PATH,      conf,        hosts_file,              "/etc/hosts",          "",         "",   "names that are looked up here first")
X(RESOLVER, "servers-file",          PATH,      conf,        servers_file,            "/etc/resolv.conf",    "",         "",   "the name servers of mode system")
X(RESOLVER, "timeout",               TIME,      conf,        resolver_timeout_ms,     "10s",                 "100ms",    "1m", "how long an answer may take")

X(DOMAIN, "target",                  TEXT,      conf_domain, target,                  NEEDED,                "",         "",   "the target its mail goes to")
X(DOMAIN, "return-target",           TEXT,      conf_domain, return_target,           "",                    "",         "",   "the target that takes notices to senders elsewhere; target when absent")
X(DOMAIN, "recipients",              CHOICE,    conf_domain, recipients,              "any",                 "any list", "learned verify", "which recipients exist")
X(DOMAIN, "recipient-file",          PATH,      conf_domain, recipient_file,          "",                    "",         "",   "the list of recipients")
X(DOMAIN, "hold-for",                TIME,      conf_domain, hold_for_ms,             "30d",                 "1s",       "3650d", "how long a message is held while the target can be reached")
X(DOMAIN, "share",                   NUM,       conf_domain, share,                   "0",                   "0",        "100", "percent of the spool its mail may take; 0: domain-share")
X(DOMAIN, "warn-after",              TIME,      conf_domain, warn_after_ms,           "0",                   "0",        "365d", "when a sender is told of a delay; 0: not at all")
X(DOMAIN, "return",                  CHOICE,    conf_domain, returns,                 "always",              "always never", "authenticated", "whether senders are told what became of their mail")
X(DOMAIN, "expire",                  CHOICE,    conf_domain, expire,                  "return",              "return keep", "", "what becomes of a message when hold-for is over")

X(LIMIT,  "message-size",            SIZE,      conf,        message_size,            "50M",                 "1K",       "2G", "content of one message")
X(LIMIT,  "recipients",              NUM,       conf,        recipients,              "1000",                "1",        "10000", "recipients of one message")
X(LIMIT,  "connections",             NUM,       conf,        connections,             "2000",                "1",        "100000", "clients at a time")
X(LIMIT,  "connections-per-client",  NUM,       conf,        connections_per_client,  "50",                  "1",        "100000", "connections at a time from one address")
X(LIMIT,  "target-connections",      NUM,       conf,        target_connections,      "500",                 "1",        "100000", "connections to all targets at a time")
X(LIMIT,  "target-connecting",       NUM,       conf,        target_connecting,       "200",                 "1",        "100000", "connections that may be on their way to targets at a time")
X(LIMIT,  "reserve",                 SIZE,      conf,        reserve,                 "1G",                  "1M",       "1T", "free space below which new mail is refused for now")
X(LIMIT,  "memory",                  SIZE,      conf,        memory,                  "64M",                 "1M",       "64G", "content under way that the listener may hold in memory")
X(LIMIT,  "domain-share",            NUM,       conf,        domain_share,            "75",                  "1",        "100", "percent of the spool the mail of one domain may take, where there are several")
X(LIMIT,  "notices",                 NUM,       conf,        notices,                 "300",                 "1",        "60000", "notices to senders that go out in a minute")
X(LIMIT,  "etrn",                    NUM,       conf,        etrn,                    "60",                  "0",        "60000", "ETRN commands that are obeyed in a minute; 0: not offered")
X(LIMIT,  "errors",                  NUM,       conf,        errors,                  "20",                  "1",        "1000", "bad commands before a session is ended")
X(LIMIT,  "hops",                    NUM,       conf,        hops,                    "100",                 "1",        "1000", "Received fields before a message counts as a loop")
X(LIMIT,  "command-timeout",         TIME,      conf,        command_timeout_ms,      "5m",                  "100ms",    "1h", "how long a client may take for its next command")
X(LIMIT,  "data-timeout",            TIME,      conf,        data_timeout_ms,         "5m",                  "100ms",    "1h", "how long a client may pause within a message")
X(LIMIT,  "user-quota",              SIZE,      conf,        user_quota,              "50M",                 "0",        "1T", "what one user may keep in Drafts and Sent")
X(LIMIT,  "drain",                   TIME,      conf,        drain_ms,                "30s",                 "0",        "1h", "how long an orderly stop may take")

X(STORE,  "compression",             NUM,       conf,        compression,             "3",                   "0",        "9",  "level of zstd: higher is smaller and slower; 0: none")
X(STORE,  "seal",                    FLAG,      conf,        seal,                    "true",                "true false", "",   "encryption of what is held")
X(STORE,  "key-file",                PATH,      conf,        key_file,                "",                    "",         "",   "the spool's secret keys; spool.key beside the configuration when absent")
X(STORE,  "keep-delivered",          TIME,      conf,        keep_delivered_ms,       "3d",                  "0",        "3650d", "how long a message is kept after its last delivery ended")
X(STORE,  "keep-ledger",             TIME,      conf,        keep_ledger_ms,          "400d",                "1s",       "36500d", "how long entries of the ledger are kept")
X(STORE,  "compact",                 FLAG,      conf,        compact,                 "true",                "true false", "",   "giving room back to the system after a large outage")

X(IMAP,   "connections",             NUM,       conf,        imap_connections,        "10000",               "1",        "100000", "IMAP clients at a time")
X(IMAP,   "connections-per-client",  NUM,       conf,        imap_connections_per_client, "1000",            "1",        "100000", "IMAP connections at a time from one address")
X(IMAP,   "connections-per-user",    NUM,       conf,        imap_connections_per_user, "50",                "1",        "100000", "IMAP connections at a time of one user")
X(IMAP,   "timeout",                 TIME,      conf,        imap_timeout_ms,         "30m",                 "100ms",    "1d", "how long a client that signed in may be silent")
X(IMAP,   "rev2",                    FLAG,      conf,        imap_rev2,               "false",               "true false", "",   "offering IMAP4rev2 beside IMAP4rev1")
/* clang-format on */
