/* SPDX-License-Identifier: ISC */
/*
 * Message ids: 64 bits, ordered by time, never reused.
 *
 *     bits 63..21  milliseconds since 2020-01-01T00:00:00Z (278 years)
 *     bits 20..13  node (limits nothing yet: 0 on a single host)
 *     bits 12..8   writer: the process that makes ids (32 a node)
 *     bits  7..0   sequence within the millisecond
 *
 * Ids of one writer rise strictly: a busy millisecond borrows from the next,
 * and a clock that jumps back does not take the ids with it. Across a
 * restart the store's floor (the highest time it has seen) does the same.
 * Printed as 13 characters of Crockford's base 32 (no I, L, O, U).
 */
#ifndef SPOOL_MSGID_H
#define SPOOL_MSGID_H

#include <stdint.h>

#include "view.h"

#define MSGID_TEXT_LEN   13
#define MSGID_TEXT_MAX   (MSGID_TEXT_LEN + 1)
#define MSGID_WRITER_MAX 31
#define MSGID_NODE_MAX   255
#define MSGID_EPOCH_MS   UINT64_C(1577836800000) /* 2020-01-01T00:00:00Z */

struct msgid_source {
    uint64_t last; /* the id given last, its node and writer bits cleared */
    unsigned node;
    unsigned writer;
};

/* Ids from now on are later than floor_ms (wall time, 0: no floor). May be
 * called again: the floor only rises. A source that has made no id yet keeps
 * MSGID_MARGIN_MS from it: the process before it, which died, may have made
 * ids that are only on their way into the store. */
#define MSGID_MARGIN_MS 1000
void msgid_set_floor(struct msgid_source *source, uint64_t floor_ms);
uint64_t msgid_next(struct msgid_source *source, int64_t wall_ms);
/* Wall time at which the id was made. */
uint64_t msgid_ms(uint64_t id);
/* An id of that time whose other bits are the low ones of rest: for messages
 * that come from elsewhere and must get the same id each time. */
uint64_t msgid_make(uint64_t wall_ms, uint64_t rest);
/* The highest id of that time. */
uint64_t msgid_last(uint64_t wall_ms);

const char *msgid_print(uint64_t id, char text[MSGID_TEXT_MAX]);
/* Accepts lower case and the look-alikes i, l, o; -1 on anything else. */
int msgid_parse(struct view text, uint64_t *id);

#endif
