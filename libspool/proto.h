/* SPDX-License-Identifier: ISC */
/*
 * Roles and the messages between them. A message is a frame (frame.h) whose
 * payload is one record (record.h).
 */
#ifndef SPOOL_PROTO_H
#define SPOOL_PROTO_H

#include "message.h"
#include "proto_imap.h"
#include "record.h"

enum role {
    ROLE_PARENT,
    ROLE_LISTENER,
    ROLE_STORE,
    ROLE_REPLAY,
    ROLE_CONTROL,
    ROLE_IMAP,
    ROLE_AUTH,
    ROLE_COUNT
};

enum proto_fd { FD_NONE, FD_MAY, FD_MUST };

enum proto_kind {
    PROTO_INVALID, /* 0 is never sent */
#define X(NAME, from, to, descriptor, payload, sentence) PROTO_##NAME,
#include "proto_table.h"
#undef X
    PROTO_COUNT
};

struct proto_row {
    const char *name;
    unsigned from; /* bit (1 << enum role) */
    unsigned to;
    enum proto_fd descriptor;
    const struct record_type *payload;
};

/* NULL for a kind outside the table. */
const struct proto_row *proto_row(unsigned kind);
/* May from send this kind to to? */
bool proto_allowed(unsigned kind, enum role from, enum role to);
/* Is there any kind the two may exchange (so that they get a channel)? */
bool proto_meet(enum role a, enum role b);

/* Payloads. Views are valid as long as the frame they were decoded from. */

struct proto_none {
    uint64_t nothing; /* C has no empty structs; never encoded */
};
struct proto_blob {
    struct view bytes;
};
struct proto_name {
    struct view name;
};
struct proto_count {
    uint64_t count;
};
struct proto_peer {
    uint64_t role;
};
struct proto_listen {
    struct view service; /* "smtp", "imap", "imaps", "control" */
    struct view address; /* as configured, for the log */
};
struct proto_certificate {
    struct view certificate;
    struct view key;
};
struct proto_drain {
    uint64_t limit_ms;
};
struct proto_role_now {
    struct view name;
    uint64_t pid;
    uint64_t restarts;
    uint64_t since_ms;
};
struct proto_roles {
    struct record_list roles; /* struct proto_role_now */
};
struct proto_submit {
    uint64_t id;
    struct view message;           /* an encoded struct message */
    struct record_list deliveries; /* struct delivery: recipient, target */
    struct view content;  /* the body file's bytes (body.h) when inline */
    uint64_t content_len; /* length of the body file, inline or not */
    /* An encoded struct data_key: that of message.key, as long as the writer
     * has not seen it stored. */
    struct view data_key;
};

enum submit_result {
    SUBMIT_DONE = 1,
    SUBMIT_REFUSED = 2, /* the request breaks a rule */
    SUBMIT_FULL = 3,    /* no room */
    SUBMIT_FAILED = 4,  /* the store could not; nothing was kept */
};
struct proto_submitted {
    uint64_t id;
    uint64_t result; /* enum submit_result */
    struct view reason;
};
struct proto_space {
    uint64_t free_bytes;
    uint64_t full;     /* 1: answer 452 at MAIL */
    uint64_t floor_ms; /* new ids must be later (msgid_set_floor) */
    struct record_list full_domains; /* proto_name: over their share */
};
struct proto_ready_item {
    uint64_t id;
    struct view target;
    struct view flow;
};
struct proto_queued {
    struct record_list items; /* struct proto_ready_item, one a target */
};
struct proto_result {
    uint64_t n;     /* which delivery of the message */
    uint64_t state; /* enum delivery_state it goes to */
    uint64_t code;  /* the target's reply, 0: the session broke */
    struct view reply;
    uint64_t next_ms; /* LATER, UNKNOWN: when to try again */
    uint64_t untold;  /* DROPPED: enum untold */
    uint64_t alarmed; /* waits, 1: it is told now that it is about to expire */
};
enum outcome_what {
    OUTCOME_SAID = 0,   /* results are what a target said */
    OUTCOME_WARN = 1,   /* the sender is told that these are delayed */
    OUTCOME_RETURN = 2, /* the operator sends these back */
};
struct proto_outcome {
    uint64_t id;
    uint64_t when_ms;
    struct record_list results; /* struct proto_result */
    struct view dsn;    /* an encoded proto_submit, or empty: same commit */
    uint64_t what;      /* enum outcome_what */
    struct view by;     /* RETURN: the operator */
    struct view reason; /* in his words */
    struct view target; /* SAID: who said so */
};
struct proto_recorded {
    uint64_t id;
    uint64_t result; /* enum submit_result */
    uint64_t count;  /* deliveries that were changed */
};
struct proto_id {
    uint64_t id;
};
struct proto_ids {
    uint64_t when_ms;
    struct record_list ids; /* struct proto_id */
    uint64_t up_to; /* STORE_CARRY: with these, all up to this entry of the
                     * ledger are said; 0: more follow */
};
struct proto_target_now {
    struct view name;
    uint64_t state; /* enum target_state */
    uint64_t since_ms;
    uint64_t reach_ms;
    uint64_t probe_ms; /* wall time of the next probe, 0: none */
    uint64_t connections;
    uint64_t connections_max;
    uint64_t ready;     /* deliveries in the ready table, as far as known */
    uint64_t delivered; /* since the start of the daemon */
    uint64_t deferred;
    struct view reason;
    struct view hosts;
    struct view tls;         /* of the last connection; empty: there was none */
    struct view limits;      /* an encoded struct target_limits, or empty */
    uint64_t pause_until_ms; /* paused: wall time, 0: until it is resumed */
    struct view paused_by;
    uint64_t guard;       /* enum target_guard */
    uint64_t alarm;       /* 1: it is the guard that paused it */
    uint64_t expiring;    /* deliveries that are about to expire */
    uint64_t expiring_ms; /* since when there are such */
    uint64_t rate;        /* messages a second it is found to bear */
    uint64_t window;      /* connections at a time, the same */
    uint64_t out;         /* messages that go in 1000 s, lately; eta.h */
    uint64_t in;          /* and that come */
};
struct proto_pair {
    struct view id;     /* SEAL_PAIR_ID bytes */
    struct view public; /* X25519 */
    struct view secret; /* X25519; never sent but to those who read content */
    uint64_t lost;      /* 1: the operator knows that the secret is gone */
    uint64_t made_ms;
};
struct proto_pairs {
    struct record_list pairs; /* struct proto_pair, the current one first */
    struct view from;         /* the key file, for explanations */
    uint64_t seal;            /* 1: new content is sealed */
};
struct proto_signature {
    struct view public; /* Ed25519 */
    struct view signature;
};
struct proto_done {
    uint64_t done; /* 1: yes */
    uint64_t count;
    uint64_t before; /* bytes of the file, where that is meant */
    uint64_t after;
    struct view text; /* what was made, or why not */
};
struct proto_data_keys {
    struct record_list keys; /* struct data_key */
};
enum steer_what {
    STEER_HOLD = 1,
    STEER_RELEASE = 2,
    STEER_DISCARD = 3,
    STEER_AGAIN = 4, /* finished deliveries are made once more */
    STEER_ERASE = 5,
    STEER_REDIRECT = 6, /* to another target, or (none named) to its own */
    STEER_UNDO = 7,     /* what a command made of them */
    STEER_RETURN = 8,   /* to the sender, with a notice: replay_return.c */
    STEER_PREFER = 9,   /* they go first, by a rule; items are messages */
};
/* To which states of a delivery it can be applied; erase: all. */
bool steer_applies(uint64_t what, uint64_t state);
const char *steer_name(uint64_t what); /* the command: "hold", ... */
struct proto_steer_item {
    uint64_t id;
    uint64_t n; /* delivery + 1, 0: all of the message that it can apply to */
};
struct proto_steer {
    uint64_t what; /* enum steer_what */
    uint64_t when_ms;
    struct view by;           /* the operator */
    struct view reason;       /* in his words */
    struct record_list items; /* struct proto_steer_item */
    struct view target;       /* REDIRECT: where to; empty: each to its own */
    uint64_t number;   /* of the command in undo; 0: it cannot be undone */
    uint64_t began_ms; /* of the command, the same in all its portions */
    uint64_t undoes;   /* UNDO: the number of that command */
    uint64_t dry_run;  /* RETURN, 1: only count */
    uint64_t rule;     /* PREFER: its number */
};
/* PREFER: a rule of what goes first. */
struct proto_prefer {
    uint64_t number; /* of the one to be removed; 0: a new one is made */
    uint64_t when_ms;
    uint64_t until_ms; /* 0: until it is removed */
    struct view query;
    struct view by;
    struct view reason;
};
/* Each is done where it is still needed when it is applied. */
enum mend_what {
    MEND_NONE = 0,   /* nothing can be done: it is only told */
    MEND_ASIDE = 1,  /* the row goes to aside */
    MEND_DROP = 2,   /* the row (of an index) goes */
    MEND_READY = 3,  /* id, n (delivery + 1): its row in ready is written */
    MEND_LATER = 4,  /* id, n (or DB_LATER_PURGE): its row in later */
    MEND_TOTALS = 5, /* key: the sum of that name in totals is put right */
    MEND_FINISH = 6, /* id: it ends, or is held, as its deliveries say */
    MEND_COUNTS = 7, /* table, key: the counts of that row are put right */
    MEND_WHOLE = 8,  /* id: all rows of the message go to aside */
    MEND_SIEVE = 9,  /* id: its signature is written anew */
    MEND_BLOCK = 10, /* id: in that block of sieve what is nobody's goes */
    MEND_PLACE = 11, /* id, n, table: its place in a mailbox is written; by:
                      * the user, of marks and accounts */
};
struct proto_mend_item {
    uint64_t what; /* enum mend_what */
    struct view table;
    struct view key;
    struct view reason;
    uint64_t id;
    uint64_t n;
    /* TOTALS, COUNTS: what is missing, modulo 2^64. What is kept up by
     * differences stays wrong by the same, whatever happened since. */
    uint64_t by;
    uint64_t bytes; /* of what is stored, COUNTS of domain */
};
struct proto_mend {
    uint64_t when_ms;
    struct record_list items; /* struct proto_mend_item */
};
/* PAUSE */
struct proto_pause {
    struct view name;
    uint64_t resume;   /* 1: resume it */
    uint64_t until_ms; /* wall time, 0: until it is resumed */
    struct view by;
    uint64_t trust; /* resume, 1: what it refuses for good counts */
};
/* LIMIT: what the operator sets of a target's pace. */
struct proto_limit {
    struct view name;
    uint64_t key;  /* enum target_limit_key */
    uint64_t back; /* 1: what the configuration says, from now on */
    uint64_t value;
    uint64_t until_ms; /* 0: until it is taken back */
    struct view by;
};
struct proto_targets {
    struct record_list targets; /* struct proto_target_now */
};
struct proto_fetch {
    uint64_t id;
    uint64_t piece;
};
struct proto_fetched {
    uint64_t found; /* 0: no such message or piece */
    uint64_t last;  /* 1: there is none after this */
    struct view bytes;
    struct view reason;
};

extern const struct record_type proto_none_record, proto_blob_record,
    proto_name_record, proto_count_record, proto_peer_record,
    proto_listen_record, proto_certificate_record, proto_drain_record,
    proto_role_now_record, proto_roles_record, proto_submit_record,
    proto_submitted_record, proto_space_record, proto_ready_item_record,
    proto_queued_record, proto_result_record, proto_outcome_record,
    proto_recorded_record, proto_id_record, proto_ids_record,
    proto_target_now_record, proto_targets_record, proto_limit_record,
    proto_pause_record, proto_prefer_record, proto_fetch_record,
    proto_fetched_record, proto_pair_record, proto_pairs_record,
    proto_done_record, proto_signature_record, proto_data_keys_record,
    proto_steer_record, proto_steer_item_record, proto_mend_item_record,
    proto_mend_record;

/* Content up to this goes inline in SUBMIT; more goes by descriptor. */
#define PROTO_CONTENT_INLINE_MAX (128 * 1024)

const char *role_name(enum role role); /* "listener", ... */

#endif
