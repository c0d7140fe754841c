/* SPDX-License-Identifier: ISC */
#include "num.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Smallest first: printing walks up. */
static const struct unit sizes[] = {
    {"B", 1},
    {"K", UINT64_C(1) << 10},
    {"M", UINT64_C(1) << 20},
    {"G", UINT64_C(1) << 30},
    {"T", UINT64_C(1) << 40},
};
static const struct unit durations[] = {
    {"ms", 1},      {"s", 1000},     {"m", 60000},
    {"h", 3600000}, {"d", 86400000}, {"w", 604800000},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Digits at the front of *text, which moves past them. */
static int
num_take(struct view *text, uint64_t *value)
{
    size_t n = 0;

    *value = 0;
    for (; n < text->len && isdigit((unsigned char)text->data[n]); n++) {
        uint64_t digit = (uint64_t)(text->data[n] - '0');

        if (*value > (UINT64_MAX - digit) / 10)
            return -1;
        *value = *value * 10 + digit;
    }
    *text = view_skip(*text, n);
    return n > 0 ? 0 : -1;
}

static int
num_in_limits(uint64_t value, uint64_t min, uint64_t max, struct why *why)
{
    if (value < min || value > max)
        return why_text(why,
                        "%" PRIu64 " is out of range %" PRIu64 "..%" PRIu64,
                        value, min, max);
    return 0;
}

int
num_parse(struct view text, uint64_t min, uint64_t max, uint64_t *value,
          struct why *why)
{
    struct view rest = text;

    if (num_take(&rest, value) != 0 || rest.len != 0)
        return why_text(why, "\"%.*s\" is not a number", (int)text.len,
                        text.data);
    return num_in_limits(*value, min, max, why);
}

static int
num_parse_unit(struct view text, const struct unit *units, size_t n_units,
               uint64_t bare, uint64_t *value)
{
    struct view rest = text;
    uint64_t factor = bare;

    if (num_take(&rest, value) != 0)
        return -1;
    if (rest.len > 0) {
        factor = 0;
        for (size_t i = 0; i < n_units; i++)
            if (view_equal_nocase(rest, view_of(units[i].name)))
                factor = units[i].factor;
    } else if (*value == 0) {
        factor = 1;
    }
    if (factor == 0 || *value > UINT64_MAX / factor)
        return -1;
    *value *= factor;
    return 0;
}

int
num_parse_size(struct view text, uint64_t min, uint64_t max, uint64_t *value,
               struct why *why)
{
    char low[NUM_TEXT_MAX], high[NUM_TEXT_MAX];

    if (num_parse_unit(text, sizes, COUNT(sizes), 1, value) != 0)
        return why_text(why, "\"%.*s\" is not a size (use e.g. 512K, 25M, 2G)",
                        (int)text.len, text.data);
    if (*value < min || *value > max)
        return why_text(why, "size %.*s is out of range %s..%s", (int)text.len,
                        text.data, num_print_size(min, low),
                        num_print_size(max, high));
    return 0;
}

int
num_parse_duration(struct view text, uint64_t min, uint64_t max,
                   uint64_t *value, struct why *why)
{
    char low[NUM_TEXT_MAX], high[NUM_TEXT_MAX];

    if (num_parse_unit(text, durations, COUNT(durations), 0, value) != 0)
        return why_text(
            why, "\"%.*s\" is not a duration (use e.g. 90s, 5m, 4h, 14d)",
            (int)text.len, text.data);
    if (*value < min || *value > max)
        return why_text(why, "duration %.*s is out of range %s..%s",
                        (int)text.len, text.data, num_print_duration(min, low),
                        num_print_duration(max, high));
    return 0;
}

const char *
num_print_size(uint64_t bytes, char text[NUM_TEXT_MAX])
{
    size_t i = COUNT(sizes) - 1;

    while (i > 0 && bytes < sizes[i].factor)
        i--;
    if (bytes % sizes[i].factor == 0)
        snprintf(text, NUM_TEXT_MAX, "%" PRIu64 "%s", bytes / sizes[i].factor,
                 i == 0 ? "" : sizes[i].name);
    else
        snprintf(text, NUM_TEXT_MAX, "%.1f%s",
                 (double)bytes / (double)sizes[i].factor, sizes[i].name);
    return text;
}

const char *
num_print_duration(uint64_t ms, char text[NUM_TEXT_MAX])
{
    size_t i = COUNT(durations) - 1;

    if (ms == 0)
        return strcpy(text, "0");
    while (i > 0 && ms % durations[i].factor != 0)
        i--;
    snprintf(text, NUM_TEXT_MAX, "%" PRIu64 "%s", ms / durations[i].factor,
             durations[i].name);
    return text;
}
