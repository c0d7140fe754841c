/* SPDX-License-Identifier: ISC */
/*
 * Private to import*.c: where messages come from, and how one is sent.
 */
#ifndef SPOOLCTL_IMPORT_H
#define SPOOLCTL_IMPORT_H

#include "spoolctl.h"

/* --- import.c ------------------------------------------------------------- */

/* Some of the content: appends to out. 1: there is more, 0: that was all, -1:
 * it cannot be read. */
typedef int import_read_fn(void *arg, struct buf *out, struct why *why);

/* Sends a message (taken over; members as in spoolctl.8, "source" among them)
 * and its content of size bytes. -1: nothing more can be sent. */
int import_send(json_t *message, uint64_t size, import_read_fn *read,
                void *arg);
/* A message that cannot be sent: told, and counted. */
void import_failed(const char *source, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A regular file, for reading; -1 and a reason. */
int import_open(int directory, const char *name, uint64_t *size,
                struct why *why);
/* An import_read_fn; arg points to the descriptor, read from where it is. */
int import_read_file(void *arg, struct buf *out, struct why *why);
/* Text for a member; NULL where it is not UTF-8. */
json_t *import_json_text(struct view text);

/* --- sources: 0, or -1 when nothing more can be sent ---------------------- */

/* import_manifest.c: what export wrote. file is the mailbox beside the
 * manifest, NULL where each message has a file in the directory. */
int import_manifest(const char *manifest, const char *file);

/* Where a manifest says the content is. */
struct manifest_place {
    const char *file; /* NULL: in the mailbox, */
    uint64_t offset;  /* so many bytes from its start, */
    uint64_t length;  /* so long */
};
/* Reads one line; NULL and a reason. The place borrows from the result. */
json_t *manifest_parse(struct view line, bool mailbox,
                       struct manifest_place *place, struct why *why);

/* import_maildir.c: files that are messages, in a Maildir, a directory with
 * .eml files, or one. */
int import_maildir(const char *path);
int import_eml_directory(const char *path);
int import_eml(const char *path);

/* import_mbox.c */
int import_mbox(const char *path);
/* A message of a mailbox, whose manifest knows where it is. */
int import_mbox_message(int fd, json_t *message, uint64_t offset,
                        uint64_t length);

/* import_postfix.c: a queue directory, or active, deferred, ... of one. */
int import_postfix(const char *path);

/* import_envelope.c: what the header of a delivered message says of its
 * envelope. Sets sender and recipients of *message; -1 and a reason where it
 * does not say. from: the sender by the "From " line, or empty. */
int import_envelope(struct view header, struct view from, json_t *message,
                    struct why *why);

#endif
