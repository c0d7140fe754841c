/* SPDX-License-Identifier: ISC */
/*
 * Mailboxes: which deliveries a reader sees, and what a user marked them
 * with. A delivery stands in the mailbox of its recipient's address, first in
 * INBOX, then in Delivered; a user's own folders stand under the user's
 * number. The rows are in spool.5.
 *
 * One counter of the store numbers every change: what comes into a mailbox
 * takes the next number, which is its modseq (RFC 7162) until a user marks
 * it, and less uid_base its uid. So uids of a mailbox rise, have gaps, and an
 * untouched message needs no row but its place.
 */
#ifndef SPOOL_MAILBOX_H
#define SPOOL_MAILBOX_H

#include "record.h"

enum mailbox_box {
    BOX_NONE = 0,
    BOX_INBOX = 1,     /* held: the delivery is open */
    BOX_DELIVERED = 2, /* the delivery ended; kept for keep-delivered */
    BOX_DRAFTS = 3,    /* a user's own, by APPEND */
    BOX_SENT = 4,
    BOX_TRASH = 5, /* put there by a user, and hidden elsewhere for him */
    BOX_MAX = BOX_TRASH,
};

/* System flags of RFC 3501 2.3.2, or-ed; \Recent is not kept. */
enum mark_flag {
    MARK_SEEN = 1,
    MARK_ANSWERED = 2,
    MARK_FLAGGED = 4,
    MARK_DELETED = 8,
    MARK_DRAFT = 16,
    MARK_ALL = 31,
};
/* Bytes of a message's keywords, with a space between. */
#define MARK_KEYWORDS_MAX 2000

/* Key: id, n, user. What one user did to one delivery; only when he did. */
struct mark {
    uint64_t flags;       /* enum mark_flag, or-ed */
    struct view keywords; /* atoms with a space between, as the user wrote */
    uint64_t modseq;      /* of the last change */
    uint64_t hidden;      /* 1: not shown where the address has it */
    /* Where the user has it himself: a row of mailbox under his number. */
    uint64_t box; /* enum mailbox_box, BOX_NONE: nowhere */
    uint64_t uid;
};
extern const struct record_type mark_record;

/* Takes one keyword off the front; false: there is none. */
bool mark_keyword_next(struct view *keywords, struct view *word);
/* Case does not count (RFC 3501 2.3.2). */
bool mark_has_keyword(struct view keywords, struct view wanted);

/* Key: an address, mailbox_address. Stands while the address has mail. */
struct address_row {
    uint64_t number; /* first part of its keys in mailbox */
};
extern const struct record_type address_row_record;

/* Key: id. What FETCH needs of a message's structure, as imap wrote it. */
struct structure_row {
    struct view bytes;
};
extern const struct record_type structure_row_record;

#define MAILBOX_ADDRESS_MAX 320

/* The one form of an address that is compared: the local part unquoted and,
 * as the domain, in lower case (ASCII). Into out, which holds at least
 * MAILBOX_ADDRESS_MAX bytes; its length, or 0: no address, or too long. */
size_t mailbox_address(struct view address, char *out);

#endif
