/* SPDX-License-Identifier: ISC */
/*
 * Which message a role reads at this moment, kept outside the process. A
 * disk that cannot read a page of the file, or a page that misleads LMDB,
 * ends the process in the middle (role.c: SIGBUS, SIGSEGV); its successor then
 * knows which message that was and leaves it alone, so that all others flow.
 * It is forgotten when spoold is started again.
 */
#ifndef SPOOLD_READING_H
#define SPOOLD_READING_H

#include <stdbool.h>
#include <stdint.h>

#include "why.h"

/* Before anything is read. */
void reading_start(void);
/* false and a reason: reading that message ended a process before. */
bool reading_begin(uint64_t id, struct why *why);
void reading_end(void);

#endif
