/* SPDX-License-Identifier: ISC */
/*
 * The recipient list of a domain, for recipients = "list": a file with one
 * local part or one address a line, "#" comments and blank lines. Opened by
 * the parent, read by the listener, asked at each RCPT.
 *
 * Local parts are compared without case (ASCII). "user+tag" is known when it
 * is listed itself or when "user" is. "postmaster" is always known (RFC 5321
 * 4.5.1). An address of another domain is an error: it would never be looked
 * up, so it is a mistake in the file. "#" starts a comment at the start of a
 * line or after a blank; elsewhere it is a letter of the local part.
 */
#ifndef SPOOL_RECIPIENTS_H
#define SPOOL_RECIPIENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "view.h"
#include "why.h"

#define RECIPIENTS_FILE_MAX (256 * 1024 * 1024) /* bytes; more is refused */

struct recipients;

/* Reads the whole file from fd, from its start, and leaves fd open. name is
 * what the reason calls the file: NULL and "NAME:LINE: reason" on the first
 * bad line, "NAME: reason" when it cannot be read. The caller keeps the list
 * it had. domain is that of the section ("example.com"). */
struct recipients *recipients_load(int fd, const char *name, struct view domain,
                                   struct why *why);
/* The same from bytes that are already there (nothing is borrowed). */
struct recipients *recipients_parse(struct view bytes, const char *name,
                                    struct view domain, struct why *why);
void recipients_free(struct recipients **recipients);

/* local_part is as it came: without the domain; a quoted string is compared
 * by its content, as RFC 5321 4.1.2 has it. */
bool recipients_has(const struct recipients *recipients,
                    struct view local_part);
size_t recipients_count(const struct recipients *recipients);

#endif
