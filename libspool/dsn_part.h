/* SPDX-License-Identifier: ISC */
/*
 * Private to dsn*.c: dsn.c puts the parts together, dsn_people.c writes the
 * words, dsn_status.c the fields. Every text of a stranger goes through
 * dsn_add_clean or an encoding, so none can end a line, a part or the message.
 */
#ifndef SPOOL_DSN_PART_H
#define SPOOL_DSN_PART_H

#include "dsn.h"

enum dsn_action {
    DSN_FAILED,
    DSN_DELAYED,
    DSN_RELAYED,
    DSN_ACTION_COUNT,
};
enum dsn_action dsn_action_of(const struct dsn_recipient *recipient);
/* What the message as a whole is about: a failure, if there is one. */
enum dsn_action dsn_action_first(const struct dsn *dsn);

bool dsn_text_is_utf8(struct view text);
/* Appends text with what could break a line or a terminal as '?'. */
void dsn_add_clean(struct buf *out, struct view text, bool keep_utf8);
/* Appends text in lines of about 72 columns, broken at blanks. The first line
 * goes on after what is there at column; each further one begins with
 * indent. */
void dsn_add_wrapped(struct buf *out, size_t column, const char *indent,
                     struct view text);
void dsn_add_date(struct buf *out, const char *name, int64_t when_ms);
/* "550 5.1.1 No such user" */
void dsn_add_reply(struct buf *out, const struct dsn_recipient *recipient);

/* dsn_people.c: the part for people. */
void dsn_people_write(struct buf *out, const struct dsn *dsn);
/* dsn_status.c: the part for programs (RFC 3464 2.1). */
void dsn_status_write(struct buf *out, const struct dsn *dsn, bool utf8);

#endif
