/* SPDX-License-Identifier: ISC */
/*
 * Questions about mailboxes and accounts, for imap, auth and control; see
 * db_read.h for the rules: each function is one read transaction, what it
 * gives is a copy, and it answers 1: found, 0: there is none, -1: the store
 * failed (*why). Nothing here takes longer than the number of rows it is
 * allowed to look at.
 */
#ifndef SPOOL_DB_MAILBOX_READ_H
#define SPOOL_DB_MAILBOX_READ_H

#include "account.h"
#include "db_read.h"
#include "mailbox.h"

/* What holds for all mailboxes. */
struct db_mailbox_facts {
    bool on;              /* their rows are kept */
    bool filled;          /* also those of mail that came before */
    uint64_t uidvalidity; /* fits 32 bits */
    uint64_t uid_base;    /* number of the counter - uid_base = uid */
    uint64_t modseq;      /* the counter: nothing is above it */
    /* No message's modseq is below: the effective one for a user is the
     * largest of this, uid + uid_base and mark.modseq. */
    uint64_t modseq_floor;
    /* What vanished at or before this modseq may not be known any more. */
    uint64_t vanished_from;
};
int db_mailbox_facts(struct db *db, struct db_mailbox_facts *out,
                     struct why *why);

/* The numbers under which a user's mailboxes have rows, in order: his own and
 * those of the addresses his patterns name that have mail at the moment. An
 * address that gets its first mail later is told by NEWS (its name; then ask
 * again). At most DB_NUMBERS_MAX; more are left out. */
#define DB_NUMBERS_MAX 20000
struct db_numbers {
    uint64_t *items;
    size_t count;
    size_t cap;
};
int db_mailbox_numbers(struct db *db, uint64_t user,
                       const struct record_list *patterns,
                       struct db_numbers *out, struct why *why);
/* The same for one pattern, without the user's own. */
int db_mailbox_numbers_of(struct db *db, struct view pattern,
                          struct db_numbers *out, struct why *why);
/* Adds the addresses (mailbox_address) behind a pattern that have mail, each
 * with a NUL behind, at most max of them. */
int db_mailbox_addresses(struct db *db, struct view pattern, size_t max,
                         struct buf *out, struct why *why);
void db_numbers_free(struct db_numbers *numbers);

/* One message in a mailbox as a user sees it. */
struct db_mail {
    uint64_t uid;
    uint64_t id;
    uint64_t n;
    uint64_t number;     /* under which it stands; the user's: his own place */
    uint64_t flags;      /* enum mark_flag */
    uint64_t modseq;     /* the effective one */
    size_t keywords;     /* offset in the words buffer */
    size_t keywords_len; /* 0: none */
};
/* What STATUS and SELECT tell, summed up on the way through a mailbox.
 * uidnext and highest_modseq change only when the mailbox does (or the store
 * forgets what vanished long ago). */
struct db_mailbox_status {
    uint64_t messages;
    uint64_t unseen;
    uint64_t deleted; /* with \Deleted */
    uint64_t size;    /* of content; only with_size */
    uint64_t uidnext;
    uint64_t highest_modseq;
    bool with_size; /* asked for: each message's row is read */
    /* On the way: */
    uint64_t ceiling; /* what happened after the beginning does not count */
    uint64_t floor;   /* what vanished up to there is not known */
    uint64_t at;      /* modseqs of what vanished from here on were seen */
};

/* Messages of box with uids from from_uid on, in the order of uids, without
 * what the user hid: fills at most max. *next is the uid to go on with, 0: it
 * was the end. Keywords are appended to words. status: sums up what was
 * looked at, or NULL. Looks at some rows for each number, at max or a few more
 * in all. Returns how many, or -1. */
int db_mailbox_read(struct db *db, uint64_t user,
                    const struct db_numbers *numbers, uint64_t box,
                    uint64_t from_uid, struct db_mail *out, size_t max,
                    uint64_t *next, struct buf *words,
                    struct db_mailbox_status *status, struct why *why);

/* A status from the beginning: this, then db_mailbox_read through all of the
 * mailbox, then db_mailbox_status_end, which looks at max rows, until it says
 * 1 and not 0. */
int db_mailbox_status_begin(struct db *db, bool with_size,
                            struct db_mailbox_status *status, struct why *why);
int db_mailbox_status_end(struct db *db, const struct db_numbers *numbers,
                          uint64_t box, size_t max,
                          struct db_mailbox_status *status, struct why *why);

/* Uids that left box behind since_modseq, in the order in which they left,
 * appended to uids (struct db_numbers; at most DB_VANISHED_MAX). 0: the store
 * does not know all of them any more, the client must be told by what is
 * there. */
int db_mailbox_vanished(struct db *db, const struct db_numbers *numbers,
                        uint64_t box, uint64_t since_modseq,
                        struct db_numbers *uids, struct why *why);

/* A user's mark; 0: he never touched it. keywords point into memory. */
int db_read_mark(struct db *db, uint64_t id, uint64_t n, uint64_t user,
                 struct mark *out, struct buf *memory, struct why *why);

/* The message row of a place, and nothing else: out->n_deliveries is 1 for
 * mail and 0 for own messages. 0: the place is not that of this message any
 * more: it is gone, or the index does not fit; then it must not be shown.
 * Pieces are read with db_read_piece. */
int db_read_mail(struct db *db, uint64_t user, const struct db_mail *mail,
                 uint64_t box, struct db_message *out, struct why *why);

/* Appends the cached structure. */
int db_read_structure(struct db *db, uint64_t id, struct buf *out,
                      struct why *why);

/* Accounts: by number, by name (account_name), and the first with a name
 * behind after. Lists are allocated: record_clear(&account_record, ...); views
 * point into memory. */
int db_read_account(struct db *db, uint64_t number, struct account *out,
                    struct buf *memory, struct why *why);
int db_read_account_named(struct db *db, struct view name, struct account *out,
                          struct buf *memory, struct why *why);
int db_read_account_after(struct db *db, struct view after, struct account *out,
                          struct buf *memory, struct why *why);

#endif
