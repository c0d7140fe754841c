/* SPDX-License-Identifier: ISC */
/*
 * Patterns for people: "*" stands for any run of bytes, empty too; ASCII
 * letters are compared without case; nothing else is special. The cost is at
 * most the product of both lengths, whatever the pattern.
 */
#ifndef SPOOL_GLOB_H
#define SPOOL_GLOB_H

#include "view.h"

bool glob_matches(struct view pattern, struct view text); /* all of text */
bool glob_within(struct view pattern, struct view text);  /* any part of it */

#endif
