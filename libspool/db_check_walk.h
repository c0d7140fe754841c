/* SPDX-License-Identifier: ISC */
/*
 * Private to db_check*.c: a check under way.
 *
 *     db_check.c          the walk, rows without a message, indexes, content
 *     db_check_message.c  a message with all that belongs to it
 *     db_check_reader.c   what readers see
 *     db_check_sums.c     the sums, in a snapshot
 */
#ifndef SPOOL_DB_CHECK_WALK_H
#define SPOOL_DB_CHECK_WALK_H

#include "db_check.h"
#include "db_rules.h"

#define DB_CHECK_TEXT_MAX (2 * WHY_TEXT_MAX)

struct db_check {
    bool content;
    db_check_fn *fn;
    void *arg;
    size_t walk;        /* of walks */
    struct db_key next; /* the row to go on with; len 0: the first */
    size_t left;        /* rows of this step */
    struct db_check_counts counts;

    /* The deliveries of the message under way. */
    struct delivery *rows;
    uint64_t *numbers;
    size_t n_rows;
    size_t cap;
    /* Content: the message under way, its next part, the digest so far. */
    uint64_t content_id;
    uint64_t content_part;
    struct body_digest *digest;
    uint64_t ledger; /* the entry that was last */
};

/* A row that is looked at; next: where the walk goes on (len 0: nowhere).
 * Returns what it was worth in rows, -1: the store cannot be read. */
struct db_check_row {
    struct db_snapshot in;
    struct view key;
    struct view value;
};
typedef int db_check_look_fn(struct db_check *check,
                             const struct db_check_row *row,
                             struct db_key *next);
/* db_check_message.c */
db_check_look_fn db_check_message;
/* What the content of a message needs, and its pieces. */
int db_check_content_rows(struct db_check *check, const struct db_snapshot *in,
                          uint64_t id, const struct message *message);

/* db_check_reader.c: own; mailbox, address, mark, structure, login, user. */
db_check_look_fn db_check_own, db_check_reader;
int db_check_delivery_placed(struct db_check *check,
                             const struct db_snapshot *in, uint64_t id,
                             uint64_t n, const struct delivery *row);
/* The table that is walked. */
enum db_table db_check_table(const struct db_check *check);

/* Tells of a finding. */
void db_check_find(struct db_check *check, struct db_finding *finding,
                   const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* All of a message's rows have to go. */
void db_check_find_whole(struct db_check *check, const char *what, uint64_t id,
                         const char *text);
/* Something of a delivery (n + 1), or of a message as a whole (0). */
void db_check_find_mend(struct db_check *check, const char *what, uint64_t id,
                        uint64_t n, enum mend_what mend, const char *text);
void db_check_find_row(struct db_check *check, const char *what,
                       enum db_table table, struct view key,
                       enum mend_what mend, const char *text);
/* The key right behind this one. */
void db_check_key_after(struct db_key *next, struct view key);

#endif
