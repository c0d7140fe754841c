/* SPDX-License-Identifier: ISC */
/* Private to imap_command.c and imap_args_*.c: the readers of arguments. Each
 * begins at the byte after the verb and returns 0, or -1 and a reason. */
#ifndef SPOOL_IMAP_ARGS_H
#define SPOOL_IMAP_ARGS_H

#include "imap_command.h"
#include "imap_token.h"

typedef int imap_args_fn(struct imap_in *in, struct imap_command *command,
                         struct why *why);

imap_args_fn args_select, args_create, args_list, args_lsub, args_status,
    args_fetch, args_store, args_copy, args_set, args_append, args_search,
    args_sort;

/* " " and a set. */
int args_take_set(struct imap_in *in, struct imap_set *set, struct why *why);
/* " " and a mailbox; INBOX in any case becomes "INBOX". */
int args_take_mailbox(struct imap_in *in, struct view *name, struct why *why);
/* "(\Seen word)" or, where bare is allowed, the same without parentheses. */
int args_take_flags(struct imap_in *in, bool bare, struct imap_flags *flags,
                    struct why *why);

/* Words of a table, for lists of them in parentheses. */
struct args_word {
    const char *word;
    unsigned bit;
};
/* The word that stands next; -1: none of the n. */
int args_take_bit(struct imap_in *in, const struct args_word *words, size_t n,
                  unsigned *bit, struct why *why);
/* "(": 1: an item follows; 0: the list is "()"; -1. */
int args_begin(struct imap_in *in, struct why *why);
/* After an item of a list: 1: another follows, 0: the list is over (its ")"
 * was taken), -1. */
int args_more(struct imap_in *in, struct why *why);

#endif
