/* SPDX-License-Identifier: ISC */
/*
 * Private to imap*.c: the numbers of a mailbox for STATUS, summed up in steps
 * of some messages each.
 */
#ifndef SPOOLD_IMAP_STATUS_H
#define SPOOLD_IMAP_STATUS_H

#include "imap_view.h"

/* Zero-initialised: none. */
struct imap_status {
    struct imap_place place;
    unsigned items; /* enum imap_status_item, or-ed */
    struct db_numbers numbers;
    uint64_t next; /* UID; 0: all messages were looked at */
    struct db_mailbox_status sums;
};

/* In place of the one before. -1: the store failed (*why). */
int imap_status_begin(struct imap_status *status,
                      const struct imap_session *session,
                      const struct imap_place *place, unsigned items,
                      struct why *why);
/* 1: it is there; 0: call again; -1. */
int imap_status_step(struct imap_status *status,
                     const struct imap_session *session, struct why *why);
/* Appends "* STATUS name (...)" to imap.out. name is UTF-8. */
int imap_status_put(const struct imap_status *status,
                    const struct imap_session *session, struct view name,
                    struct why *why);
void imap_status_free(struct imap_status *status);

#endif
