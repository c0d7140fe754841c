/* SPDX-License-Identifier: ISC */
/*
 * The smallest parts of IMAP's grammar (RFC 3501 9, RFC 9051 9), taken off
 * the front of a command that is whole (imap_reader.h), and put into
 * responses. Strings are unescaped in place: views point into the command.
 */
#ifndef SPOOL_IMAP_TOKEN_H
#define SPOOL_IMAP_TOKEN_H

#include <stdint.h>

#include "buf.h"
#include "view.h"
#include "why.h"

#define IMAP_TAG_MAX  128
#define IMAP_ATOM_MAX 256

/* What is left of a command. */
struct imap_in {
    char *at;
    char *end;
};

static inline struct view
imap_rest(const struct imap_in *in)
{
    return (struct view){in->at, (size_t)(in->end - in->at)};
}
/* Is that the next byte? */
static inline bool
imap_sees(const struct imap_in *in, char c)
{
    return in->at < in->end && *in->at == c;
}

bool imap_is_atom_char(char c);

/* All answer 0, or -1 and the reason when something else is there. */
int imap_take_char(struct imap_in *in, char c, struct why *why);
int imap_take_tag(struct imap_in *in, struct view *tag, struct why *why);
int imap_take_atom(struct imap_in *in, struct view *atom, struct why *why);
int imap_take_string(struct imap_in *in, struct view *text, struct why *why);
int imap_take_astring(struct imap_in *in, struct view *text, struct why *why);
/* NIL is data NULL. */
int imap_take_nstring(struct imap_in *in, struct view *text, struct why *why);
/* list-mailbox: "*" and "%" are part of it. */
int imap_take_pattern(struct imap_in *in, struct view *text, struct why *why);
/* max: UINT32_MAX, or INT64_MAX for mod-sequences. */
int imap_take_number(struct imap_in *in, uint64_t max, uint64_t *number,
                     struct why *why);
int imap_take_end(const struct imap_in *in, struct why *why);
/* Takes word, in any case, where it stands next and ends there. */
bool imap_take_word(struct imap_in *in, const char *word);

/* --- into responses ------------------------------------------------------- */

/* A quoted string, or a literal where that cannot be one. */
void imap_put_string(struct view text, struct buf *out);
/* A mailbox name, given in UTF-8: as it is, quoted, for clients that take
 * UTF-8; in modified UTF-7 for others. */
void imap_put_mailbox(struct view name, bool utf8, struct buf *out);

/* --- dates ---------------------------------------------------------------- */

/* "1-Feb-1994", quoted or not: days since 1970 (before: negative). */
int imap_take_date(struct imap_in *in, int64_t *day, struct why *why);
/* "\"17-Jul-1996 02:44:25 -0700\"": milliseconds since 1970. */
int imap_take_date_time(struct imap_in *in, int64_t *ms, struct why *why);
/* INTERNALDATE: quoted, in UTC. */
void imap_put_date_time(uint64_t ms, struct buf *out);

#endif
