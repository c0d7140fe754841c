/* SPDX-License-Identifier: ISC */
/*
 * Points in time as people write and read them. Wall time is milliseconds
 * since 1970, as everywhere. A date without a zone means the reader's own
 * time zone (TZ), so these functions are for the operator's tool; roles
 * write ISO times with a Z (clock_print_iso).
 */
#ifndef SPOOL_WHEN_H
#define SPOOL_WHEN_H

#include <stdint.h>

#include "view.h"
#include "why.h"

/* "2026-11-25", "2026-11-25T03:22", "2026-11-25 03:22:01.123", each time of
 * day with an optional "Z" or "+01:00". Years 1970 to 9999. */
int when_parse(struct view text, int64_t *wall_ms, struct why *why);

#define WHEN_TEXT_MAX 32

/* "2026-11-25 03:22" in local time; returns text. */
const char *when_print(int64_t wall_ms, char text[WHEN_TEXT_MAX]);
/* "03:22:01" in local time; returns text. */
const char *when_print_time(int64_t wall_ms, char text[WHEN_TEXT_MAX]);
/* How long: "42s", "12m", "6h", "3d", "41w"; never longer than 5 characters
 * for what a daemon lives to see. Negative is 0; returns text. */
const char *when_print_age(int64_t ms, char text[WHEN_TEXT_MAX]);

#endif
