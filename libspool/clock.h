/* SPDX-License-Identifier: ISC */
/*
 * The only place that asks what time it is. Wall time is milliseconds since
 * 1970 and is for people and for records; monotonic time is milliseconds
 * since some start and is for waiting. Policy takes "now" as an argument, so
 * that a test or a simulation can pass any.
 */
#ifndef SPOOL_CLOCK_H
#define SPOOL_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_wall_ms(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* Tests set the time; a negative value gives the system's clock back. */
void clock_set_for_test(int64_t wall_ms, int64_t mono_ms);

#define CLOCK_TEXT_MAX 40

/* "2026-11-25T03:22:01.123Z" into text; returns text. */
const char *clock_print_iso(int64_t wall_ms, char text[CLOCK_TEXT_MAX]);
/* RFC 5322 3.3: "Wed, 25 Nov 2026 03:22:01 +0000"; returns text. */
const char *clock_print_mail(int64_t wall_ms, char text[CLOCK_TEXT_MAX]);

#endif
