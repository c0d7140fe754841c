/* SPDX-License-Identifier: ISC */
/*
 * Numbers, sizes and durations as people write them. All parsers take the
 * whole text or nothing: 0 and *value on success, -1 and a reason otherwise
 * (out of limits included). No sign, no octal, no hexadecimal.
 */
#ifndef SPOOL_NUM_H
#define SPOOL_NUM_H

#include <stdint.h>

#include "view.h"
#include "why.h"

int num_parse(struct view text, uint64_t min, uint64_t max, uint64_t *value,
              struct why *why);
/* "25M": bytes; K, M, G and T are powers of 1024; "B" or nothing is 1. */
int num_parse_size(struct view text, uint64_t min, uint64_t max,
                   uint64_t *value, struct why *why);
/* "30d": milliseconds; units ms, s, m, h, d, w; a bare 0 needs none. */
int num_parse_duration(struct view text, uint64_t min, uint64_t max,
                       uint64_t *value, struct why *why);

#define NUM_TEXT_MAX 24

/* "1.5M", "30d": the shortest form with one decimal; returns text. */
const char *num_print_size(uint64_t bytes, char text[NUM_TEXT_MAX]);
/* The largest unit that divides evenly ("90s", "36h", "250ms"). */
const char *num_print_duration(uint64_t ms, char text[NUM_TEXT_MAX]);

#endif
