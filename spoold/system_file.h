/* SPDX-License-Identifier: ISC */
/*
 * Files of the system that a role cannot reach from its root directory, as
 * the parent handed them over (SYSTEM_FILE): replay's and auth's.
 */
#ifndef SPOOLD_SYSTEM_FILE_H
#define SPOOLD_SYSTEM_FILE_H

#include "view.h"

struct peer_message;
void system_file_on_file(struct peer_message *message);
/* Those that came since are in force, the others gone. */
void system_file_adopt(void);
/* The content of a file of the configuration; empty: it is not there. */
struct view system_file(struct view path);

#endif
