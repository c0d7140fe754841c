/* SPDX-License-Identifier: ISC */
/*
 * Private to imap*.c: a message's content, piece by piece, and its structure,
 * from the store or from a scan that goes on a piece at a time. Nothing of it
 * is whole in memory but the structure.
 */
#ifndef SPOOLD_IMAP_CONTENT_H
#define SPOOLD_IMAP_CONTENT_H

#include "imap.h"
#include "imap_view.h"
#include "mime.h"
#include "seal.h"

/* Zero-initialised: no message. */
struct imap_content {
    struct db_mail mail;
    uint64_t user, box; /* whose, and where */
    uint64_t size;
    uint64_t arrived_ms;
    uint64_t pieces;
    bool has_row; /* else it is not needed yet */
    struct db_message row;
    int sealed; /* 1: key is what its pieces need */
    char key[SEAL_KEY];
    struct buf structure; /* empty: not known yet */
    struct mime_scan *scan;
    uint64_t scanned; /* pieces */
};

/* The message of a row of the session's view, in place of the one before: its
 * size, arrived_ms and pieces, and its pieces where they are wanted. 1; 0: it
 * is gone; -1: *why. */
int imap_content_open(struct imap_content *content,
                      const struct imap_session *session,
                      const struct db_mail *mail, bool wants_pieces,
                      struct why *why);
void imap_content_close(struct imap_content *content); /* memory is kept */
void imap_content_free(struct imap_content *content);

/* Piece number n in clear, valid until the next call for any content. -1: it
 * is damaged or not there. */
int imap_content_piece(struct imap_content *content, uint64_t n,
                       struct view *bytes, struct why *why);

/* Makes content->structure known. 1: it is; 0: call again, a piece was
 * looked at; -1: *why. */
int imap_content_structure(struct imap_content *content, struct why *why);

#endif
