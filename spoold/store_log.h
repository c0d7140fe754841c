/* SPDX-License-Identifier: ISC */
/*
 * Records in the order in which they were committed, kept until they have
 * been applied to a second store (store_compact.c). They carry their content:
 * large ones as descriptors of our own. Memory is bounded: what does not fit
 * goes to a file that has no name.
 */
#ifndef SPOOLD_STORE_LOG_H
#define SPOOLD_STORE_LOG_H

#include "store.h"

struct store_log;

/* path: where the file is made when it is needed; its name goes at once. */
struct store_log *store_log_new(const char *path, size_t memory_max,
                                size_t descriptors_max);
/* Appends a copy. -1: it could not be kept. */
int store_log_add(struct store_log *log, const struct store_record *record,
                  struct why *why);
/* Takes the oldest. 1: *record is it, with its views and its descriptor valid
 * until the next call; 0: there is none; -1: it could not be read. */
int store_log_next(struct store_log *log, struct store_record *record,
                   struct why *why);
size_t store_log_count(const struct store_log *log);
void store_log_free(struct store_log **log);

#endif
