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
    ORIGIN_SMTP = 1, /* taken by the listener */
    ORIGIN_DSN = 2,  /* written by replay: a delivery status notification */
};

enum message_flag {
    MESSAGE_8BIT = 1, /* BODY=8BITMIME (RFC 6152) was given at MAIL */
    MESSAGE_UTF8 = 2, /* SMTPUTF8 (RFC 6531) was given at MAIL */
};

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
    struct view digest; /* BLAKE2b-256 of the stored pieces, by the store */
    struct view client; /* "192.0.2.1"; empty for our own */
    struct view helo;
    struct view protocol; /* "SMTP", "ESMTP", "ESMTPS", ... (RFC 3848) */
    struct view tls;      /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty */
    struct view subject;  /* raw header values, cut at 200 bytes */
    struct view message_id;
    uint64_t finished_ms; /* the last delivery ended; 0: some are open */
};
extern const struct record_type message_record;

enum delivery_state {
    DELIVERY_READY = 1,     /* may be tried now: a row in ready */
    DELIVERY_LATER = 2,     /* waits for next_ms: a row in later */
    DELIVERY_DELIVERED = 3, /* the target took it (2xx) */
    DELIVERY_RETURNED = 4,  /* refused (5xx); a DSN went to the sender */
    DELIVERY_EXPIRED = 5,   /* hold-for ran out; a DSN went to the sender */
    DELIVERY_DROPPED = 6,   /* refused, and the sender is null: no DSN */
};
const char *delivery_state_name(uint64_t state); /* "ready", ... */
/* 0 where there is no such state. */
uint64_t delivery_state_by_name(struct view name);
static inline bool
delivery_is_open(uint64_t state)
{
    return state == DELIVERY_READY || state == DELIVERY_LATER;
}

/* Key: id, n (0.. in the order of RCPT). One recipient. */
struct delivery {
    struct view recipient; /* forward-path without brackets, as given */
    struct view target;    /* name of a target section */
    uint64_t state;        /* enum delivery_state */
    uint64_t attempts;
    uint64_t next_ms;    /* LATER: when it is tried again */
    uint64_t changed_ms; /* last change of state */
    uint64_t reach_ms;   /* the target's sum of reachable time at start */
    uint64_t code;       /* last reply of the target, 0: none yet */
    struct view reply;   /* its text, with enhanced status code */
};
extern const struct record_type delivery_record;

enum target_state {
    TARGET_UP = 1,
    TARGET_DOWN = 2,
    TARGET_RETURNING = 3,
};
const char *target_state_name(uint64_t state);

/* Key: name. What is known of a target, kept over restarts. */
struct target_health {
    struct view name;
    uint64_t state; /* enum target_state */
    uint64_t since_ms;
    uint64_t reach_ms;  /* sum of the time it was reachable */
    struct view reason; /* why it is down */
};
extern const struct record_type target_health_record;

/* Key: seq. One change of state, in the transaction that makes it. */
struct ledger_entry {
    uint64_t when_ms;
    uint64_t event; /* enum event_kind (event_table.h) */
    uint64_t id;    /* message, 0: none */
    uint64_t n;     /* delivery + 1, 0: the whole message */
    uint64_t code;
    struct view text;   /* reply, target or reason */
    struct view digest; /* of what was accepted */
};
extern const struct record_type ledger_entry_record;

#endif
