/* SPDX-License-Identifier: ISC */
/*
 * Small files read whole: configuration, recipient lists, certificates.
 * Regular files only (a FIFO would block, a device need not end), up to a
 * limit the caller sets.
 */
#ifndef SPOOL_FILE_H
#define SPOOL_FILE_H

#include "buf.h"
#include "why.h"

/* Appends the content to out. -1 and a reason without the file's name. */
int file_read(const char *path, size_t max_bytes, struct buf *out,
              struct why *why);
/* The same from the start of fd, whose offset is neither used nor moved (it
 * may be shared with another process); fd stays open. */
int file_read_fd(int fd, size_t max_bytes, struct buf *out, struct why *why);

#endif
