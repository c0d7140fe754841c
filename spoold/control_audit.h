/* SPDX-License-Identifier: ISC */
/*
 * Private to control_audit*.c: an audit under way.
 *
 *     control_audit_chain.c  walks the ledger: hashes, checkpoints, accounts
 *     control_audit_rows.c   compares the accounts with the rows, content
 *     control_audit.c        the command: phases, findings, the answer
 *
 * The store goes on meanwhile. What is compared with the accounts is read
 * first; then the ledger is walked to its end; if nothing of that message
 * came, both speak of the same moment.
 */
#ifndef SPOOLD_CONTROL_AUDIT_H
#define SPOOLD_CONTROL_AUDIT_H

#include "body.h"
#include "control.h"
#include "key_file.h"
#include "ledger_balance.h"
#include "ledger_chain.h"

#define AUDIT_FINDINGS_MAX 1000 /* told one by one; more are counted */
#define AUDIT_ENTRIES      2000 /* of the ledger, in one step */

enum audit_phase {
    AUDIT_CHAIN,   /* the ledger, from its start to its end as it was */
    AUDIT_ROWS,    /* each message's rows against the accounts */
    AUDIT_PARTS,   /* what is open but had no rows */
    AUDIT_CONTENT, /* --content: pieces against digests */
    AUDIT_TOTALS,  /* the sums kept by the store */
    AUDIT_DONE,
};

struct audit {
    bool content;
    uint64_t since_ms; /* 0: everything */
    enum audit_phase phase;
    unsigned restarts;

    /* The chain. head is the hash at seq, unless known is false. */
    struct ledger_balance *balance;
    enum ledger_start start;
    char head[LEDGER_HASH];
    bool known;
    bool shaky;      /* the entry at seq did not fit */
    uint64_t from;   /* the first entry that counts */
    uint64_t seq;    /* the last that was taken */
    uint64_t stop;   /* of this portion */
    uint64_t told;   /* the checkpoint the last entry tells of, 0: none */
    uint64_t gap;    /* an entry that came where another was due, 0 */
    uint64_t broken; /* the first entry that does not fit, 0: none */
    uint64_t from_ms, to_ms;
    uint64_t limit; /* the end, as the totals say */
    char limit_head[LEDGER_HASH];
    bool has_limit_head;
    uint64_t totals_held;
    bool totals_damaged;
    /* Checkpoints. */
    uint64_t checkpoints;
    uint64_t last_checkpoint; /* its entry */
    uint64_t accepted, ended; /* sums, as a checkpoint has them */
    bool sums_known;
    char signer[KEY_SIGN_PUBLIC];
    bool has_signer;
    /* Did anything of this message come? */
    uint64_t watch_id;
    bool watch_hit;

    /* Rows. */
    uint64_t after_id;
    unsigned part;
    struct buf suspects; /* ids to be looked at once more */
    size_t next_suspect;
    unsigned tries;   /* of that suspect */
    struct buf aside; /* sorted ids of what was set aside */
    uint64_t aside_read;
    uint64_t n_aside; /* open deliveries whose rows are set aside */

    /* Content. */
    struct body_digest *digest;
    uint64_t content_id; /* 0: none is under way */
    uint64_t content_piece;
    uint64_t content_pieces;

    json_t *findings;
    uint64_t n_findings;
};

/* --- control_audit.c -------------------------------------------------------
 */

struct audit_about {
    const char *what; /* a word for programs */
    uint64_t entry;   /* 0: none */
    uint64_t when_ms;
    uint64_t id;           /* 0: no message */
    uint64_t n;            /* delivery + 1; 0: the whole message */
    struct view recipient; /* empty: not known */
};
void audit_find(struct audit *audit, const struct audit_about *about,
                const char *format, ...) __attribute__((format(printf, 3, 4)));

/* --- control_audit_chain.c -------------------------------------------------
 */

/* Finds where to begin. -1: the store failed. */
int audit_chain_begin(struct audit *audit, struct db *db, struct why *why);
/* Reads where the ledger ends now. */
int audit_chain_limit(struct audit *audit, struct db *db, struct why *why);
/* Takes entries, AUDIT_ENTRIES at most. 0: the limit is reached, 1: there are
 * more, 2: old entries were dropped under it: begin anew, -1: failed. */
int audit_chain_step(struct audit *audit, struct db *db, struct why *why);
/* The chain has come to its first end. */
void audit_chain_end(struct audit *audit);

/* --- control_audit_rows.c --------------------------------------------------
 */

/* One step of the phase; as audit_chain_step: 0 the phase is over, 1 more. */
int audit_rows_step(struct audit *audit, struct db *db, struct why *why);
int audit_parts_step(struct audit *audit, struct db *db, struct why *why);
int audit_content_step(struct audit *audit, struct db *db, struct why *why);
int audit_totals_step(struct audit *audit, struct db *db, struct why *why);

#endif
