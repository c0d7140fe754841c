/* SPDX-License-Identifier: ISC */
/*
 * Private to store*.c. A request of another role becomes a record; a batch
 * is a list of records; applying one is deterministic: (record, tables) ->
 * tables, with no clock, no randomness and no other reads. So the same list
 * can be logged, carried elsewhere between collecting and committing, and
 * applied to an empty store to rebuild the tables.
 */
#ifndef SPOOLD_STORE_H
#define SPOOLD_STORE_H

#include "db.h"
#include "proto.h"

struct peer_message;
#include "seal.h"

enum store_kind {
    STORE_SUBMIT = 1,      /* payload: proto_submit */
    STORE_OUTCOME = 2,     /* proto_outcome */
    STORE_HEALTH = 3,      /* target_health */
    STORE_NOTE = 4,        /* ledger_entry */
    STORE_RETRY = 5,       /* proto_ids */
    STORE_DUE = 6,         /* store_due: rows of later whose time has come */
    STORE_STEER = 7,       /* proto_steer; store_steer.c */
    STORE_REKEY = 8,       /* proto_data_keys */
    STORE_LEARN = 9,       /* dictionary_row */
    STORE_CHECKPOINT = 10, /* checkpoint; store_checkpoint.c */
    STORE_CARRY = 11,     /* proto_ids: acceptances said again; the same file */
    STORE_TRIM = 12,      /* store_trim: old entries go; the same file */
    STORE_MEND = 13,      /* proto_mend; store_mend.c */
    STORE_UNDO_TRIM = 14, /* store_undo_trim; store_undo.c */
    STORE_PREFER = 15,    /* proto_prefer; store_prefer.c */
    /* Mailboxes and accounts: store_mailbox.c. */
    STORE_MAILBOXES = 30, /* store_mailboxes */
    STORE_FILL = 31,      /* store_fill */
    STORE_FLAGS = 32,     /* proto_flags */
    STORE_PLACE = 33,     /* proto_place */
    STORE_APPEND = 34,    /* proto_append, with content as SUBMIT */
    STORE_STRUCTURE = 35, /* proto_structure */
    STORE_SIGN_IN = 36,   /* proto_sign_in */
    STORE_USER = 37,      /* proto_user */
    STORE_KIND_MAX = STORE_PREFER,
};

struct store_record {
    uint64_t kind;
    uint64_t when_ms;       /* the record's now */
    uint64_t keep_ms;       /* OUTCOME: how long finished content is kept */
    uint64_t notice_gap_ms; /* OUTCOME, NOTICE: between two notices */
    struct view payload;
    struct view content; /* SUBMIT: the body file, where it is not inline */
    /* Not encoded: the body file as a descriptor, -1: none. */
    int fd;
};
extern const struct record_type store_record_record;

struct store_trim {
    uint64_t seq; /* up to here, at most max of them */
    uint64_t max;
};
extern const struct record_type store_trim_record;

struct store_undo_trim {
    uint64_t before_ms; /* commands that began before go, */
    uint64_t max;       /* at most so many rows */
};
extern const struct record_type store_undo_trim_record;

struct store_due_row {
    uint64_t when_ms;
    uint64_t id;
    uint64_t n;
};
struct store_due {
    struct record_list rows;
};
extern const struct record_type store_due_record, store_due_row_record;

/* --- store_apply.c ------------------------------------------------------- */

enum apply_result {
    APPLY_OK,
    APPLY_REFUSED, /* the record breaks a rule; nothing was changed */
    APPLY_STALE,   /* made with a key or dictionary that is gone: try again */
    APPLY_UNDO,    /* the same, found half-way: abort, go on without it */
    APPLY_FULL,    /* no room: abort */
    APPLY_FAILED,  /* the database failed: abort, do not go on */
};

/* store_refs.c: the row of each kind that is under change. */
struct store_key_ref {
    uint64_t id; /* 0: none */
    uint64_t made_ms;
    uint64_t messages;
    char pair[SEAL_PAIR_ID];
    char sealed[SEAL_SEALED];
    bool changed;
};
struct store_count_ref {
    uint64_t id; /* 0: none */
    int64_t by;  /* not counted yet */
};
struct store_share_ref {
    char domain[DB_FLOW_MAX];
    size_t len; /* 0: none */
    struct domain_share row;
    bool changed;
};

/* One transaction's worth of applying. */
struct store_apply {
    struct db_txn *txn;
    struct db_totals totals;
    struct buf ready;       /* encoded proto_queued: what became ready */
    struct buf news;        /* encoded proto_news: what readers would see */
    uint64_t last_ready_id; /* so that a target is announced once a message */
    struct buf last_ready_target;
    uint64_t count;         /* what the last record's answer counts */
    uint64_t notice_gap_ms; /* of the record */
    struct buf scratch;     /* copies of a row under change */
    struct store_key_ref key;
    struct store_count_ref dictionary;
    struct store_share_ref share;
    struct buf domains; /* of one message */
    struct why why;     /* the reason of a refusal */
};

/* Reads the totals; on APPLY_OK records can follow, then store_apply_end
 * writes the totals. The transaction stays the caller's. */
enum apply_result store_apply_begin(struct store_apply *apply,
                                    struct db_txn *txn);
enum apply_result store_apply_record(struct store_apply *apply,
                                     const struct store_record *record);
enum apply_result store_apply_end(struct store_apply *apply);
void store_apply_free(struct store_apply *apply);

/* store_delivery.c: a delivery changes its state, a message ends. */

/* A delivery under change, with the flow that is part of its ready key. */
struct store_open {
    uint64_t id;
    uint64_t n;
    uint64_t block;      /* of the message's signature */
    struct delivery row; /* views into apply->scratch after store_open_get */
    char flow[DB_FLOW_MAX + 1];
    size_t flow_len;
};
/* Sets id and flow, and *message (its views end with the next change).
 * APPLY_REFUSED: there is no such message. */
enum apply_result store_open_message(struct store_apply *apply, uint64_t id,
                                     struct store_open *open,
                                     struct message *message);
/* Loads delivery n, copied. APPLY_REFUSED: there is none. */
enum apply_result store_open_get(struct store_apply *apply,
                                 struct store_open *open, uint64_t n);
/* The first delivery with a number not below n. */
enum apply_result store_open_next(struct store_apply *apply,
                                  struct store_open *open, uint64_t n);
/* Takes the row out of ready or later, as its state says. */
enum apply_result store_open_leave(struct store_apply *apply,
                                   const struct store_open *open);
/* Writes the row, and its row in ready or later, as its state says now. */
enum apply_result store_open_enter(struct store_apply *apply,
                                   struct store_open *open);
/* The ledger entry of this delivery. by, text: may be empty. */
enum apply_result store_open_entry(struct store_apply *apply, uint64_t when_ms,
                                   uint64_t event,
                                   const struct store_open *open,
                                   struct view text, struct view by);
/* leave, state and times set, enter: all that a change of state is, but for
 * its entry. */
enum apply_result store_open_move(struct store_apply *apply,
                                  struct store_open *open, uint64_t state,
                                  uint64_t next_ms, uint64_t when_ms);
/* What of hold-for has gone by for it. */
enum apply_result store_open_spent(struct store_apply *apply,
                                   const struct delivery *row,
                                   uint64_t *spent_ms);
/* Its clock goes on from there, by the time its target can be reached. */
enum apply_result store_open_clock(struct store_apply *apply,
                                   struct delivery *row, uint64_t spent_ms);
/* The message is held once more: no purge waits for it. */
enum apply_result store_reopen(struct store_apply *apply, uint64_t id);
/* If no delivery of id is open any more: the message is finished, and kept
 * for keep_ms or removed. */
enum apply_result store_finish(struct store_apply *apply, uint64_t id,
                               uint64_t when_ms, uint64_t keep_ms);
/* Removes message, content, deliveries with their rows in ready and later,
 * the purge row, the signature, and what they count in key, dictionary and
 * domain; held says whether the totals count it as held. No entry. */
enum apply_result store_remove(struct store_apply *apply, uint64_t id);

/* store_refs.c: the counts in key, dictionary and domain. */
/* Key and dictionary of a message that comes in; the only part that can be
 * refused, before anything is changed. */
enum apply_result store_refs_need(struct store_apply *apply,
                                  const struct message *message,
                                  struct view data_key);
/* What it takes of its recipients' domains. */
enum apply_result store_refs_take(struct store_apply *apply, uint64_t stored,
                                  const struct delivery *deliveries, size_t n);
enum apply_result store_refs_drop(struct store_apply *apply, uint64_t id,
                                  const struct message *message);
/* Writes what is under change: before rows of key, dictionary or domain are
 * touched by other hands, and at the end. */
enum apply_result store_refs_flush(struct store_apply *apply);

/* store_learn.c */
enum apply_result store_apply_learn(struct store_apply *apply, uint64_t when_ms,
                                    const struct dictionary_row *learned);

/* store_keys.c */
struct peer_message;
void store_on_pairs(struct peer_message *message);
/* The id of the pair new data keys are to be sealed to; empty: none. */
struct view store_keys_current(void);
/* Ends the role with an explanation where the secret of a pair that is needed
 * is neither in the key file nor known to be lost. */
void store_keys_check(struct db *db);
/* May a message come in with this data key (encoded, or empty)? Not with a
 * new one that is sealed to a former pair: whoever seals anew would miss it. */
bool store_keys_welcome(struct db *db, struct view data_key);
enum apply_result store_apply_rekey(struct store_apply *apply,
                                    const struct proto_data_keys *list);

/* store_steer.c, store_checkpoint.c, store_mend.c */
enum apply_result store_apply_steer(struct store_apply *apply,
                                    const struct store_record *record,
                                    const struct proto_steer *steer);
enum apply_result store_apply_checkpoint(struct store_apply *apply,
                                         const struct checkpoint *row);
enum apply_result store_apply_carry(struct store_apply *apply,
                                    const struct proto_ids *ids);
enum apply_result store_apply_trim(struct store_apply *apply,
                                   const struct store_trim *trim);
enum apply_result store_apply_mend(struct store_apply *apply,
                                   const struct store_record *record,
                                   const struct proto_mend *mend);

/* store_undo.c: around a command of the operator that changes deliveries.
 * begin and end stand around the record, note before each change; after is
 * the state the delivery goes to. */
enum apply_result store_undo_begin(struct store_apply *apply,
                                   const struct proto_steer *steer);
enum apply_result store_undo_note(struct store_apply *apply,
                                  const struct proto_steer *steer,
                                  const struct store_open *open,
                                  uint64_t after);
enum apply_result store_undo_end(struct store_apply *apply,
                                 const struct proto_steer *steer);
/* UNDO. */
enum apply_result store_undo_apply(struct store_apply *apply,
                                   const struct store_record *record,
                                   const struct proto_steer *steer);
enum apply_result store_undo_trim(struct store_apply *apply,
                                  const struct store_undo_trim *trim);
/* Looks now and then for what is over. */
void store_undo_start(void);

/* store_prefer.c: what goes first. */
enum apply_result store_apply_prefer(struct store_apply *apply,
                                     const struct proto_prefer *prefer);
/* Sets prefer of a message that comes in. */
enum apply_result store_prefer_new(struct store_apply *apply,
                                   const struct proto_submit *submit,
                                   struct message *message);
/* A message that is held goes first by this rule; open is of the message. */
enum apply_result store_prefer_mark(struct store_apply *apply, uint64_t rule,
                                    struct store_open *open,
                                    struct message *message);

/* store_prefer_due.c */
void store_prefer_start(void);
void store_on_prefer(struct peer_message *message);

/* store_outcome.c */
enum apply_result store_apply_outcome(struct store_apply *apply,
                                      const struct store_record *record,
                                      const struct proto_outcome *outcome);

/* store_submit.c: the record that brings a message in. */
enum apply_result store_apply_submit(struct store_apply *apply,
                                     struct view payload, struct view content,
                                     int fd);
/* Counts key and dictionary of *message and copies the content: its pieces,
 * stored and digest (BODY_DIGEST_LEN bytes at digest, which it points to). */
enum apply_result store_submit_content(struct store_apply *apply,
                                       const struct proto_submit *submit,
                                       struct message *message,
                                       struct view content, int fd,
                                       char *digest);
enum apply_result store_apply_db(struct store_apply *apply,
                                 enum db_result result);
void store_apply_announce(struct store_apply *apply, uint64_t id,
                          struct view target, struct view flow);

/* --- store_batch.c ------------------------------------------------------- */

/* How a record ended, after the commit or instead of it. */
typedef void store_done_fn(enum role from, uint64_t call, uint64_t id,
                           enum submit_result result, const char *reason,
                           uint64_t count);

/* Appends a copy of record to the batch (takes fd); done is called after the
 * commit at the end of this turn, in order, NULL: nobody asks. */
void store_batch_add(const struct store_record *record, enum role from,
                     uint64_t call, uint64_t id, store_done_fn *done);
void store_batch_init(struct db *db, uint64_t floor_ms);
/* The store as it is open now: ask each time, it may be another file. */
struct db *store_batch_db(void);
/* The latest time of an id that was used. */
uint64_t store_batch_floor_ms(void);
bool store_batch_is_empty(void);

/* --- store_compact.c, store_scrub.c ----------------------------------------
 */

void store_compact_init(struct db *db);
void store_compact_configure(uint64_t reserve, bool automatic);
/* Told of every record after its commit, before any answer. */
void store_compact_keep(const struct store_record *record);
bool store_compact_is_idle(void);
/* Gives up what is under way; idle comes a little later. */
void store_compact_cancel(const char *reason);
/* REOPEN: which file the store is in. A role that is new, or was there before
 * us, may have opened another. */
void store_compact_tell_generation(enum role role);
void store_on_compact(struct peer_message *message);

void store_scrub_init(struct db *db);
bool store_scrub_is_idle(void);
void store_on_scrub(struct peer_message *message);

/* --- store_share.c ------------------------------------------------------- */

struct conf;
void store_share_configure(const struct conf *conf);
/* After store_batch_init; changed is called when the list is another. */
void store_share_start(void (*changed)(void));
/* The domains that have used their share; borrowed until the next turn. */
#define STORE_SHARE_MAX 1000
size_t store_share_list(struct proto_name *names, size_t max);
/* Is there room for it in the shares of its recipients' domains? If so, it is
 * counted. */
bool store_share_takes(const struct proto_submit *submit);

/* store.c: free space is under the reserve. */
bool store_is_full(void);

/* --- store_due.c --------------------------------------------------------- */

void store_due_start(struct db *db);
/* Something waits for this wall time. */
void store_due_by(uint64_t at_ms);
/* Was the wall clock set back? To be asked every second or so. */
void store_due_watch_clock(void);
/* These rows of later are due now, whatever their time. */
struct db_later;
void store_due_add(const struct db_later *rows, int n);

/* --- store_readers.c ----------------------------------------------------- */

void store_readers_start(struct db *db);

/* --- store_ledger.c ------------------------------------------------------ */

struct conf;
struct peer_message;

/* After store_batch_init. */
void store_ledger_start(const struct conf *conf);
void store_ledger_configure(const struct conf *conf);
/* CHECK_POINT; CHECKED says how many entries went, and which is the last that
 * is signed. */
void store_on_check_point(struct peer_message *message);

#endif
