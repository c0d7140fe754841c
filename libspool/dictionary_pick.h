/* SPDX-License-Identifier: ISC */
/*
 * Which of the common pieces make the best dictionary. Private to
 * dictionary.c.
 */
#ifndef SPOOL_DICTIONARY_PICK_H
#define SPOOL_DICTIONARY_PICK_H

#include "dictionary_common.h"

/* Writes up to room bytes of pieces to out, what is worth most last, and
 * answers how many. Where a piece stands says nothing of where it came from.
 * Deterministic. */
size_t dictionary_pick(struct view bytes,
                       const struct dictionary_pieces *pieces, char *out,
                       size_t room);

#endif
