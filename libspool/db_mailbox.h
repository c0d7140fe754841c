/* SPDX-License-Identifier: ISC */
/*
 * The rows of mailboxes and accounts for the store's one writer: mailbox.h,
 * account.h and spool.5 say what they mean. db_mailbox_read.h is for readers.
 * All return DB_OK or another db_result, as in db.h; views of a row that was
 * read are valid until the next change in the transaction.
 */
#ifndef SPOOL_DB_MAILBOX_H
#define SPOOL_DB_MAILBOX_H

#include "account.h"
#include "db.h"
#include "mailbox.h"

/* address is in the form of mailbox_address. */
enum db_result db_get_address(struct db_txn *txn, struct view address,
                              struct address_row *row);
enum db_result db_put_address(struct db_txn *txn, struct view address,
                              const struct address_row *row);
enum db_result db_del_address(struct db_txn *txn, struct view address);

/* A place in a mailbox: number is that of an address or of a user. */
struct db_place {
    uint64_t number;
    uint64_t box; /* enum mailbox_box */
    uint64_t uid;
};
enum db_result db_put_mailbox(struct db_txn *txn, const struct db_place *place,
                              uint64_t id, uint64_t n);
enum db_result db_del_mailbox(struct db_txn *txn, const struct db_place *place);
/* The first place not behind *place with the same number; DB_NONE: none. */
enum db_result db_next_mailbox(struct db_txn *txn, struct db_place *place,
                               uint64_t *id, uint64_t *n);

/* At modseq the place was left. Of these rows DB_VANISHED_MAX are kept:
 * *dropped is the modseq of one that went for this, 0: none did. */
#define DB_VANISHED_MAX 100000
enum db_result db_add_vanished(struct db_txn *txn, uint64_t modseq,
                               const struct db_place *place, uint64_t *dropped);

enum db_result db_get_mark(struct db_txn *txn, uint64_t id, uint64_t n,
                           uint64_t user, struct mark *mark);
enum db_result db_put_mark(struct db_txn *txn, uint64_t id, uint64_t n,
                           uint64_t user, const struct mark *mark);
enum db_result db_del_mark(struct db_txn *txn, uint64_t id, uint64_t n,
                           uint64_t user);
/* The first mark of the message not before (*n, *user). */
enum db_result db_next_mark(struct db_txn *txn, uint64_t id, uint64_t *n,
                            uint64_t *user, struct mark *mark);

/* A user's own message (Drafts, Sent): a row as in message, elsewhere. */
enum db_result db_add_own(struct db_txn *txn, uint64_t id,
                          const struct message *message);
enum db_result db_get_own(struct db_txn *txn, uint64_t id,
                          struct message *message);
enum db_result db_del_own(struct db_txn *txn, uint64_t id);

enum db_result db_put_structure(struct db_txn *txn, uint64_t id,
                                struct view bytes);
enum db_result db_del_structure(struct db_txn *txn, uint64_t id);

/* Accounts, by number; login finds the number of a name (account_name). get
 * allocates the lists: record_clear(&account_record, ...). */
enum db_result db_get_login(struct db_txn *txn, struct view name,
                            uint64_t *number);
enum db_result db_put_login(struct db_txn *txn, struct view name,
                            uint64_t number);
enum db_result db_del_login(struct db_txn *txn, struct view name);
enum db_result db_get_account(struct db_txn *txn, uint64_t number,
                              struct account *account);
enum db_result db_put_account(struct db_txn *txn,
                              const struct account *account);
enum db_result db_del_account(struct db_txn *txn, uint64_t number);

/* The first delivery at or behind (*id, *n), of any message; both are set. */
enum db_result db_walk_delivery(struct db_txn *txn, uint64_t *id, uint64_t *n,
                                struct delivery *delivery);

#endif
