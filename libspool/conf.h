/* SPDX-License-Identifier: ISC */
/*
 * The configuration: read from a file by the parent and by spoolctl, sent to
 * the roles as one record. Every key is declared once, in conf_table.h, with
 * type, limits, default, unit and sentence; spoold.conf.5 follows the table.
 *
 * All texts are views into memory the conf owns. Times are milliseconds,
 * sizes are bytes.
 */
#ifndef SPOOL_CONF_H
#define SPOOL_CONF_H

#include "record.h"

struct conf_text { /* an item of a list of texts */
    struct view text;
};

struct conf_listen {
    struct view service;          /* "smtp", "imap", "imaps" */
    struct record_list addresses; /* conf_text: "127.0.0.1:25", "[::]:25" */
};

enum conf_tls {
    CONF_TLS_NONE = 1,
    CONF_TLS_OPPORTUNISTIC,
    CONF_TLS_REQUIRE,
    CONF_TLS_VERIFY,
    CONF_TLS_DANE,
};

enum conf_protocol { CONF_PROTOCOL_SMTP = 1, CONF_PROTOCOL_LMTP = 2 };

/* Each includes those before it, where it is not to be had. */
enum conf_client {
    CONF_CLIENT_NONE = 1,
    CONF_CLIENT_XFORWARD = 2,
    CONF_CLIENT_XCLIENT = 3,
};

struct conf_target {
    struct view name;
    struct record_list hosts; /* conf_text, see conf_host_parse */
    uint64_t port;            /* for hosts without one */
    uint64_t mx;              /* bool: the MX hosts of mx_domain come first */
    struct view mx_domain;    /* never empty where mx is set */
    uint64_t tls;             /* enum conf_tls */
    struct view tls_ca;       /* a file; empty: the system's, see conf_tls_ca */
    struct view tls_name;     /* with a dot in front: any name below */
    struct record_list tls_fingerprints; /* conf_text, conf_fingerprint_parse */
    uint64_t protocol;                   /* enum conf_protocol */
    uint64_t client;                     /* enum conf_client */
    uint64_t connections;                /* at the most at a time */
    uint64_t connection_rate;            /* new ones a minute; 0: any */
    uint64_t message_rate;               /* messages a minute; 0: any */
    uint64_t byte_rate;                  /* bytes of content a second; 0: any */
    uint64_t messages_per_connection;
    uint64_t probe_min_ms;
    uint64_t probe_max_ms;
    uint64_t retry_min_ms; /* back-off of one delivery after a 4xx */
    uint64_t retry_max_ms;
    uint64_t unknown_retry_ms; /* after a lost reply to the final dot */
    uint64_t guard;            /* bool */
    uint64_t guard_messages;
    uint64_t guard_share; /* percent */
    uint64_t guard_for_ms;
    uint64_t connect_timeout_ms;
    uint64_t reply_timeout_ms; /* any reply but the final one */
    uint64_t final_timeout_ms; /* the reply to the final dot (RFC 5321: 10m) */
};

enum conf_return { CONF_RETURN_ALWAYS = 1, CONF_RETURN_NEVER = 2 };

enum conf_expire { CONF_EXPIRE_RETURN = 1, CONF_EXPIRE_KEEP = 2 };

enum conf_recipients { CONF_RECIPIENTS_ANY = 1, CONF_RECIPIENTS_LIST = 2 };

struct conf_domain {
    struct view name; /* lower case; A-labels */
    struct view target;
    struct view return_target; /* takes DSNs to foreign senders; never empty */
    uint64_t recipients;       /* enum conf_recipients */
    struct view recipient_file;
    uint64_t hold_for_ms;
    uint64_t share;         /* percent of the spool, 0: domain_share */
    uint64_t warn_after_ms; /* 0: no delay notices */
    uint64_t returns;       /* enum conf_return */
    uint64_t expire;        /* enum conf_expire */
};

enum conf_resolver {
    CONF_RESOLVER_SYSTEM = 1, /* the servers of servers_file */
    CONF_RESOLVER_RECURSE,    /* from the root on, ourselves */
    CONF_RESOLVER_FORWARD,    /* the servers of forwarders */
};

struct conf {
    struct view hostname;
    struct view spool;
    struct view control;
    struct view user;
    struct view tls_certificate; /* tls { certificate } */
    struct view tls_key;
    struct record_list listens; /* struct conf_listen */
    struct record_list targets; /* struct conf_target */
    struct record_list domains; /* struct conf_domain */

    uint64_t resolver_mode;        /* enum conf_resolver */
    struct record_list forwarders; /* conf_text: addresses, conf_host_parse */
    uint64_t dnssec;               /* bool: answers are validated */
    struct view trust_anchor;      /* files; the parent opens them */
    struct record_list insecure;   /* conf_text: domains that are not */
    struct view hosts_file;
    struct view servers_file;
    uint64_t resolver_timeout_ms;

    uint64_t message_size; /* limit { message-size } and so on */
    uint64_t recipients;
    uint64_t connections;
    uint64_t connections_per_client;
    uint64_t target_connections; /* to all targets together */
    uint64_t target_connecting;  /* on their way to them */
    uint64_t reserve;
    uint64_t memory;       /* content under way in the listener */
    uint64_t domain_share; /* percent of the spool for one domain */
    uint64_t errors;       /* bad commands before a session is ended */
    uint64_t notices;      /* to senders, a minute */
    uint64_t etrn;         /* commands, a minute; 0: not offered */
    uint64_t hops;         /* Received fields before it is a loop */
    uint64_t command_timeout_ms;
    uint64_t data_timeout_ms;
    uint64_t drain_ms; /* how long an orderly stop may take */

    struct view auth_upstream;    /* empty: none */
    struct view auth_upstream_ca; /* empty: the system's */
    uint64_t auth_learned_for_ms;
    uint64_t user_quota; /* limit { user-quota } */

    uint64_t imap_connections; /* imap { connections } and so on */
    uint64_t imap_connections_per_client;
    uint64_t imap_connections_per_user;
    uint64_t imap_timeout_ms;
    uint64_t imap_rev2; /* IMAP4rev2 (RFC 9051) is offered */

    uint64_t compression; /* store { compression } and so on */
    uint64_t seal;
    struct view key_file; /* never empty: a default was put in its place */
    uint64_t keep_delivered_ms;
    uint64_t keep_ledger_ms;
    uint64_t compact; /* by itself, when much of the file is free */

    char *memory_block; /* what the views point into */
};

/* Reads and checks FILE with its includes. NULL and "FILE:LINE: reason" in
 * *why when anything is wrong; the reason alone where there is no line. */
struct conf *conf_load(const char *path, struct why *why);
void conf_free(struct conf **conf);

/* The keys of a target's section, one after the other from 0: the name, and
 * the value as it could stand in the file. False: there are no more. */
bool conf_target_key(const struct conf_target *target, size_t i,
                     const char **name, struct buf *value);
/* The value of a number, size or time of that name; 0: there is none. */
uint64_t conf_target_number(const struct conf_target *target, struct view name);
/* Reads text as the value of a number, size or time of that name in a target's
 * section, within its limits. */
int conf_parse_target_number(struct view name, struct view text,
                             uint64_t *value, struct why *why);

/* For the CONF message (proto_table.h). conf_decode takes a copy. */
void conf_encode(const struct conf *conf, struct buf *out);
struct conf *conf_decode(struct view bytes, struct why *why);

/* Looks at the files the configuration names: recipient lists parse, the
 * certificate and its key can be read and look like PEM, the user exists when
 * we are root. -1 and "NAME:LINE: reason" or "NAME: reason". */
int conf_check(const struct conf *conf, struct why *why);

/* A host as configured: "mail.example.com", "mail.example.com:2525",
 * "192.0.2.1", "192.0.2.1:25", "[2001:db8::1]", "[2001:db8::1]:25" or
 * "2001:db8::1"; or a unix socket: "/run/dovecot/lmtp". */
#define CONF_HOST_PATH_MAX 107 /* of struct sockaddr_un, less the NUL */
enum conf_host_kind {
    CONF_HOST_NAME,
    CONF_HOST_IPV4,
    CONF_HOST_IPV6,
    CONF_HOST_PATH,
};
struct conf_host {
    enum conf_host_kind kind;
    struct view host; /* without brackets; points into the text */
    uint16_t port;    /* 0: none given */
};
int conf_host_parse(struct view text, struct conf_host *host, struct why *why);

/* SHA-256 as 64 hex digits, with or without colons between the bytes. */
#define CONF_FINGERPRINT_BYTES 32
int conf_fingerprint_parse(struct view text, char bytes[CONF_FINGERPRINT_BYTES],
                           struct why *why);

/* auth-upstream: imaps://host[:port] or imap://host[:port]. */
struct conf_upstream {
    struct conf_host host; /* a name or an address; port is always set */
    bool starttls;         /* imap: */
};
int conf_upstream_parse(struct view text, struct conf_upstream *upstream,
                        struct why *why);
/* The file with those who vouch for its certificate. */
struct conf;
struct view conf_upstream_ca(const struct conf *conf);

/* The file with those who vouch for a target's certificate; empty: nobody
 * needs to. */
struct view conf_tls_ca(const struct conf_target *target);

/* Targets and domains are sorted by name; both questions search halves. */
const struct conf_target *conf_target_by_name(const struct conf *conf,
                                              struct view name);
/* The domain of "local@domain", compared without case; NULL: not ours. */
const struct conf_domain *conf_domain_by_name(const struct conf *conf,
                                              struct view name);
/* The domain a delivery belongs to. Where the configuration does not know it
 * (any more), another one of the same target speaks for it. NULL: none. */
const struct conf_domain *conf_domain_for(const struct conf *conf,
                                          struct view recipient,
                                          struct view target);

#endif
