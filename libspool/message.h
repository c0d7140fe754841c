/* SPDX-License-Identifier: ISC */
/*
 * What the store keeps of a message: the rows of the tables message,
 * delivery, target and ledger (spool.5). The same structs travel between
 * roles, so each fact has one name from the listener to spoolctl.
 */
#ifndef SPOOL_MESSAGE_H
#define SPOOL_MESSAGE_H

#include "record.h"

enum message_origin {
    ORIGIN_SMTP = 1,   /* taken by the listener */
    ORIGIN_DSN = 2,    /* written by replay: a delivery status notification */
    ORIGIN_IMPORT = 3, /* brought in by the operator */
    ORIGIN_OWN = 4,    /* a reader's own, by APPEND; never delivered */
};

enum message_flag {
    MESSAGE_8BIT = 1, /* BODY=8BITMIME (RFC 6152) was given at MAIL */
    MESSAGE_UTF8 = 2, /* SMTPUTF8 (RFC 6531) was given at MAIL */
    /* In rows only: flow is left out, it is the sender's domain as written. */
    MESSAGE_FLOW_IN_SENDER = 4,
};

/* How much of the digest of its stored content a message and the ledger keep:
 * the first bytes of BLAKE2b-256. */
#define MESSAGE_DIGEST 16

/* Key: id. The facts at arrival; never changed but for finished_ms. */
struct message {
    uint64_t arrived_ms;
    uint64_t origin;    /* enum message_origin */
    uint64_t flags;     /* enum message_flag, or-ed */
    struct view sender; /* reverse-path without brackets; empty: null */
    struct view flow;   /* the sender's domain in lower case */
    uint64_t size;      /* bytes of content with our Received field */
    uint64_t stored;    /* bytes in the body table; set by the store */
    uint64_t pieces;    /* set by the store */
    struct view digest; /* MESSAGE_DIGEST bytes, of the stored pieces, by the
                         * store */
    struct view client; /* "192.0.2.1"; empty for our own */
    struct view helo;
    struct view protocol; /* "SMTP", "ESMTP", "ESMTPS", ... (RFC 3848) */
    struct view tls;      /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty */
    struct view subject;  /* raw header values, cut at 200 bytes */
    struct view message_id;
    uint64_t finished_ms; /* the last delivery ended; 0: some are open */
    /* Sealing (seal.h): the data key's id, 0: the content is not sealed. */
    uint64_t key;
    uint64_t step;       /* the message's place in the key's chain */
    struct view salt;    /* SEAL_SALT bytes, this message's own */
    uint64_t dictionary; /* the zstd dictionary its pieces need, 0: none */
    uint64_t block;      /* where sieve has its signature; by the store */
    uint64_t purge_ms;   /* finished: time of its purge row in later */
    /* The first client's connection, for XCLIENT (xclient.h). */
    uint64_t port;        /* client's; 0: not known */
    struct view server;   /* the address it came to: "192.0.2.2" */
    uint64_t server_port; /* 0: not known */
    /* RFC 3461 (dsn_param.h). */
    uint64_t ret;      /* enum dsn_ret; 0: not given */
    struct view envid; /* as given, in xtext */
    /* Where it stands among what is ready (message_flow_key); by the store. */
    uint64_t bucket; /* of its first recipient, or that of notices; 0: none */
    uint64_t prefer; /* the number of the rule that prefers it; 0: none */
    uint64_t about;  /* a DSN: the id of the message it is about */
};
extern const struct record_type message_record;
/* What a row leaves out because the rest says it: pack before it is encoded,
 * unpack after it was decoded. */
void message_pack(struct message *message);
void message_unpack(struct message *message);

/* The order of what is ready for a target: what rules prefer, then the
 * senders' domains; within each, the recipients by 32 buckets. Turns are
 * taken by whoever walks there (replay_queue.c). As it stands in a key:
 *
 *     [0x01 rule, 8 hex digits]  domain ("-": none)  [0x02 bucket, a letter]
 */
#define MESSAGE_FLOW_KEY_MAX 255
#define MESSAGE_FLOW_PREFER  '\1'
#define MESSAGE_FLOW_BUCKET  '\2'
#define MESSAGE_PREFER_LEN   9 /* of the part in front */
#define MESSAGE_BUCKETS      32
/* Notices to senders have one of their own, since they go at another pace
 * (replay_notices.c). */
#define MESSAGE_BUCKET_NOTICE 33
/* Writes it to key and returns its length. */
size_t message_flow_key(const struct message *message,
                        char key[MESSAGE_FLOW_KEY_MAX]);
/* The first part alone. */
void message_prefer_key(uint64_t prefer, char key[MESSAGE_PREFER_LEN + 1]);
/* 1..MESSAGE_BUCKETS; case does not count. */
uint64_t message_bucket(struct view recipient);

enum delivery_state {
    DELIVERY_READY = 1,     /* may be tried now: a row in ready */
    DELIVERY_LATER = 2,     /* waits for next_ms: a row in later */
    DELIVERY_DELIVERED = 3, /* the target took it (2xx) */
    DELIVERY_RETURNED = 4,  /* refused (5xx); a DSN went to the sender */
    DELIVERY_EXPIRED = 5,   /* hold-for ran out; a DSN went to the sender */
    DELIVERY_DROPPED = 6,   /* failed, and nobody was told: untold says why */
    DELIVERY_HELD = 7,      /* the operator holds it: no row elsewhere */
    DELIVERY_DISCARDED = 8, /* the operator ended it, nobody was told */
    /* The target had the whole message and its answer never came: it may have
     * it. Waits as LATER does, and longer. */
    DELIVERY_UNKNOWN = 9,
    DELIVERY_STATE_MAX = DELIVERY_UNKNOWN,
};
const char *delivery_state_name(uint64_t state); /* "ready", ... */
/* 0 where there is no such state. */
uint64_t delivery_state_by_name(struct view name);
/* Waits for next_ms, with a row in later. */
static inline bool
delivery_waits(uint64_t state)
{
    return state == DELIVERY_LATER || state == DELIVERY_UNKNOWN;
}
static inline bool
delivery_is_open(uint64_t state)
{
    return state == DELIVERY_READY || state == DELIVERY_HELD ||
           delivery_waits(state);
}

/* Why no notice of a failure went to the sender. */
enum untold {
    UNTOLD_NULL_SENDER = 1, /* RFC 5321 4.5.5: never a notice of a notice */
    UNTOLD_NOTIFY = 2,      /* the sender asked not to be told (RFC 3461) */
    UNTOLD_POLICY = 3,      /* domain { return = never } */
    UNTOLD_NO_WAY = 4,      /* no target takes notices for the sender */
    UNTOLD_MAX = UNTOLD_NO_WAY,
};
/* "the sender is null", ... for people. */
const char *untold_text(uint64_t untold);

/* Key: id, n (0.. in the order of RCPT). One recipient. */
struct delivery {
    struct view recipient; /* forward-path without brackets, as given */
    struct view target;    /* name of a target section */
    uint64_t state;        /* enum delivery_state */
    uint64_t attempts;
    uint64_t next_ms;    /* LATER, UNKNOWN: when it is tried again */
    uint64_t changed_ms; /* last change of state, 0: none since arrival */
    uint64_t reach_ms;   /* the target's sum of reachable time at start */
    uint64_t code;       /* last reply of the target, 0: none yet */
    struct view reply;   /* its text, with enhanced status code */
    uint64_t spent_ms;   /* of hold-for, before it came here (import) */
    uint64_t notify;     /* enum dsn_notify, or-ed; 0: not given */
    struct view orcpt;   /* "rfc822;xtext" as given (RFC 3461 4.2) */
    struct view home;    /* its own target, while it is redirected */
    uint64_t warned_ms;  /* when the sender was told of a delay; 0: not yet */
    uint64_t untold;     /* enum untold: DROPPED, why nobody was told */
    uint64_t alarmed_ms; /* when it was told that it would expire; 0: not yet */
    uint64_t uid;        /* where it stands in a mailbox; 0: in none */
    uint64_t moved;      /* 1: in Delivered, 0: in INBOX */
};
extern const struct record_type delivery_record;

enum target_state {
    TARGET_UP = 1,
    TARGET_DOWN = 2,
    TARGET_RETURNING = 3,
    TARGET_PAUSED = 4, /* by the operator, or by the guard */
};

enum target_guard {
    GUARD_NONE = 0,    /* its verdicts count */
    GUARD_WATCHES = 1, /* it has returned: refusals for good are kept back */
    GUARD_TRUSTS = 2,  /* the operator said that its verdicts count */
};
const char *target_state_name(uint64_t state);
const char *target_guard_name(uint64_t guard); /* "none", "watches", ... */

/* What of a target's pace the operator may set for a time; the keys of the
 * configuration that say it otherwise have the same names. */
enum target_limit_key {
    TARGET_LIMIT_CONNECTIONS = 1,
    TARGET_LIMIT_CONNECTION_RATE = 2,
    TARGET_LIMIT_MESSAGE_RATE = 3,
    TARGET_LIMIT_BYTE_RATE = 4,
    TARGET_LIMIT_MAX = TARGET_LIMIT_BYTE_RATE,
};
const char *target_limit_name(uint64_t key); /* "connections", ... */
/* 0 where there is none of that name. */
uint64_t target_limit_by_name(struct view name);

struct target_limit {
    uint64_t key; /* enum target_limit_key */
    uint64_t value;
    uint64_t until_ms; /* 0: until it is taken back */
    struct view by;    /* the operator */
};
struct target_limits {
    struct record_list limits; /* struct target_limit */
};
extern const struct record_type target_limit_record, target_limits_record;

/* Key: name. What is known of a target, kept over restarts. */
struct target_health {
    struct view name;
    uint64_t state; /* enum target_state */
    uint64_t since_ms;
    uint64_t reach_ms;       /* sum of the time it was reachable */
    struct view reason;      /* why it is down */
    struct view limits;      /* an encoded struct target_limits, or empty */
    uint64_t pause_until_ms; /* paused: until then, 0: until it is resumed */
    struct view paused_by;   /* the operator; "guard" */
    uint64_t guard;          /* enum target_guard */
    /* What its pace was, for a start that does not hurt (replay_pace.h). */
    uint64_t rate;
    uint64_t hurt_rate;
    uint64_t hurt_connections;
};
extern const struct record_type target_health_record;

/* Key: id. A data key, sealed to the public half of a key pair (seal.h). */
struct data_key {
    uint64_t id;
    uint64_t made_ms;
    struct view pair;   /* SEAL_PAIR_ID bytes: which pair it is sealed to */
    struct view sealed; /* SEAL_SEALED bytes */
    uint64_t messages;  /* that need it; the store's count */
};
extern const struct record_type data_key_record;

/* Key: id. A dictionary for zstd (dictionary.h). */
struct dictionary_row {
    uint64_t id;
    uint64_t made_ms;
    struct view bytes;
    uint64_t messages; /* that need it; the store's count */
    uint64_t retired;  /* 1: new content does not use it */
};
extern const struct record_type dictionary_row_record;

/* Key: a recipient's domain in lower case. What it takes of the spool. */
struct domain_share {
    uint64_t messages; /* with content here, held or kept */
    uint64_t stored;   /* their bytes in the body table */
};
extern const struct record_type domain_share_record;

/* Key: seq, of the last entry it covers. A signed state of the ledger. */
struct checkpoint {
    uint64_t seq;
    uint64_t when_ms;
    struct view head;      /* the chain's hash at seq */
    uint64_t accepted;     /* deliveries that came in, up to seq */
    uint64_t ended;        /* deliveries that ended, up to seq */
    struct view public;    /* Ed25519, the spool's signing key */
    struct view signature; /* of the record without this and public */
};
extern const struct record_type checkpoint_record;

/* Key: a number. A row that could not be read or broke a rule, as it was. */
struct aside_row {
    uint64_t when_ms;
    struct view table; /* its name */
    struct view key;
    struct view value;
    struct view reason;
    uint64_t id; /* the message it belonged to, 0: none */
};
extern const struct record_type aside_row_record;

/* Key: number, id, n. With id 0: a command of the operator; otherwise what
 * one delivery was before it. Both go after an hour, or when it is undone. */
struct undo_row {
    /* The command: */
    uint64_t began_ms;
    uint64_t what;      /* enum steer_what (proto.h) */
    uint64_t count;     /* deliveries it changed */
    struct view by;     /* the operator */
    struct view reason; /* in his words */
    /* The delivery, as it is after the command: */
    uint64_t after_ms; /* its changed_ms; another now: leave it alone */
    uint64_t after;    /* its state */
    /* and as it was before: */
    uint64_t state;
    uint64_t next_ms;
    uint64_t changed_ms;
    uint64_t attempts;
    uint64_t spent_ms; /* of hold-for, up to the command */
    uint64_t untold;
    struct view target; /* empty: the same */
    struct view home;
};
extern const struct record_type undo_row_record;
/* How long a command can be undone. */
#define UNDO_MS UINT64_C(3600000)

/* Key: number. What of the backlog goes first: a rule of the operator's. */
struct prefer_rule {
    uint64_t number; /* the lowest goes first; never used again */
    uint64_t made_ms;
    uint64_t until_ms; /* 0: until it is removed */
    struct view query; /* in its plain form (query.h) */
    struct view by;    /* the operator */
    struct view reason;
};
extern const struct record_type prefer_rule_record;
#define PREFER_MAX 16 /* at a time */

/* Key: seq. One change of state, in the transaction that makes it. */
struct ledger_entry {
    uint64_t when_ms;
    uint64_t event; /* enum event_kind (event_table.h) */
    uint64_t id;    /* message, 0: none */
    uint64_t n;     /* delivery + 1, 0: the whole message */
    uint64_t code;
    struct view text;   /* reply, target or reason */
    struct view digest; /* of what was accepted */
    struct view by;     /* the operator who did it, empty: spoold itself */
};
extern const struct record_type ledger_entry_record;

#endif
