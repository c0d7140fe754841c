/* SPDX-License-Identifier: ISC */
/*
 * Private to store*.c: mailboxes, users' marks and own messages, accounts.
 * Records of these kinds are applied by store_apply_reader (store_mailbox.c);
 * the rest are steps of other records.
 */
#ifndef SPOOLD_STORE_MAILBOX_H
#define SPOOLD_STORE_MAILBOX_H

#include "db_mailbox.h"
#include "store.h"

/* Switch the rows of mailboxes on, for good; or skip numbers that a store
 * before a restore may have given out. */
struct store_mailboxes {
    uint64_t uidvalidity; /* 0: they are on already */
    uint64_t skip;
};
/* Up to max deliveries that came before get their place. */
struct store_fill {
    uint64_t max;
};
extern const struct record_type store_mailboxes_record, store_fill_record;

/* Numbers skipped after a restore: more changes than that since the backup
 * would give a uid twice. */
#define STORE_SKIP (UINT64_C(1) << 24)

/* --- store_mailbox.c ------------------------------------------------------ */

enum apply_result store_apply_reader(struct store_apply *apply,
                                     const struct store_record *record);

/* The delivery stands where its state says: INBOX or Delivered. Sets uid and
 * moved in open->row, which the caller writes. Before the mailboxes are
 * switched on, nothing. */
enum apply_result store_mailbox_enter(struct store_apply *apply,
                                      struct store_open *open);
/* The message goes: its places, marks and structure. Deliveries are still
 * there. */
enum apply_result store_mailbox_remove(struct store_apply *apply, uint64_t id);

/* The counter's next number; *uid is the uid it stands for, 0: all are used,
 * and nothing more gets a place. */
uint64_t store_mailbox_number(struct store_apply *apply, uint64_t *uid);
/* A new place under number, with its news. */
enum apply_result store_place_take(struct store_apply *apply,
                                   struct db_place *place, struct view address,
                                   uint64_t id, uint64_t n);
/* The place is left; news go to address, or to the user of that number. A
 * place that was lost is none. */
enum apply_result store_place_leave(struct store_apply *apply,
                                    const struct db_place *place,
                                    struct view address, uint64_t id,
                                    uint64_t n);
/* What imap is told after the commit. */
void store_news(struct store_apply *apply, const struct proto_news_item *item);

/* --- store_mark.c --------------------------------------------------------- */

enum apply_result store_apply_flags(struct store_apply *apply,
                                    const struct proto_flags *flags);
enum apply_result store_apply_place(struct store_apply *apply,
                                    const struct proto_place *place);
/* The delivery moved to box: so does what users took back from Trash. */
enum apply_result store_mark_follow(struct store_apply *apply, uint64_t id,
                                    uint64_t n, uint64_t box);
/* All marks of the message, with the places users gave it. */
enum apply_result store_mark_remove(struct store_apply *apply, uint64_t id);

/* --- store_own.c ---------------------------------------------------------- */

enum apply_result store_apply_append(struct store_apply *apply,
                                     const struct store_record *record,
                                     const struct proto_append *append);
enum apply_result store_apply_structure(struct store_apply *apply,
                                        const struct proto_structure *list);
/* The user has one more (or, by -1, one less) of his own. */
enum apply_result store_own_count(struct store_apply *apply, uint64_t user,
                                  int by, uint64_t stored);
/* A user's own message goes, with its mark and place. */
enum apply_result store_own_remove(struct store_apply *apply, uint64_t user,
                                   uint64_t id);

/* --- store_user.c --------------------------------------------------------- */

enum apply_result store_apply_user(struct store_apply *apply,
                                   const struct proto_user *change);
enum apply_result store_apply_sign_in(struct store_apply *apply,
                                      const struct proto_sign_in *sign_in);

/* --- store_news.c: the role's side ---------------------------------------- */

/* After the commit: tells imap what happened, a bounded amount at a time. */
void store_news_add(struct view news);
void store_news_seen(void);
void store_news_lost(void); /* imap is gone: nobody waits */

/* --- store_imap.c: requests of imap, auth and control --------------------
 */

struct conf;
struct peer_message;
void store_imap_configure(const struct conf *conf);
/* Switches the mailboxes on where somebody may read, and fills them. */
void store_imap_start(void);
void store_on_flags(struct peer_message *message);
void store_on_place(struct peer_message *message);
void store_on_append(struct peer_message *message);
void store_on_structure(struct peer_message *message);
void store_on_sign_in(struct peer_message *message);
void store_on_user(struct peer_message *message);
void store_on_news_seen(struct peer_message *message);

#endif
