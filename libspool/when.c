/* SPDX-License-Identifier: ISC */
#include "when.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#define DAY_MS  INT64_C(86400000)
#define LAST_MS INT64_C(253402300799999) /* the end of 9999 */

/* Exactly n digits off the front of *text, as a number within the limits. */
static int
take_digits(struct view *text, size_t n, int min, int max, int *value)
{
    *value = 0;
    if (text->len < n)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (text->data[i] < '0' || text->data[i] > '9')
            return -1;
        *value = *value * 10 + (text->data[i] - '0');
    }
    *text = view_skip(*text, n);
    return *value >= min && *value <= max ? 0 : -1;
}

static bool
take_char(struct view *text, char c)
{
    if (text->len == 0 || text->data[0] != c)
        return false;
    *text = view_skip(*text, 1);
    return true;
}

static int
take_date(struct view *text, struct tm *tm)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, last;

    if (take_digits(text, 4, 1970, 9999, &year) != 0 || !take_char(text, '-') ||
        take_digits(text, 2, 1, 12, &month) != 0 || !take_char(text, '-'))
        return -1;
    last = days[month - 1];
    if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
        last = 29;
    if (take_digits(text, 2, 1, last, &day) != 0)
        return -1;
    tm->tm_year = year - 1900;
    tm->tm_mon = month - 1;
    tm->tm_mday = day;
    return 0;
}

/* "03:22", "03:22:01", "03:22:01.123". */
static int
take_time(struct view *text, struct tm *tm, int *ms)
{
    int scale = 100;

    if (take_digits(text, 2, 0, 23, &tm->tm_hour) != 0 ||
        !take_char(text, ':') || take_digits(text, 2, 0, 59, &tm->tm_min) != 0)
        return -1;
    if (!take_char(text, ':'))
        return 0;
    if (take_digits(text, 2, 0, 60, &tm->tm_sec) != 0)
        return -1;
    if (!take_char(text, '.'))
        return 0;
    for (int digit; scale > 0; scale /= 10) {
        if (text->len == 0 || take_digits(text, 1, 0, 9, &digit) != 0)
            break;
        *ms += digit * scale;
    }
    return scale < 100 ? 0 : -1;
}

/* "Z", "+01:00", "+0100" or nothing: *has_zone tells. */
static int
take_zone(struct view *text, bool *has_zone, int *offset_minutes)
{
    int sign, hours, minutes;

    *has_zone = text->len > 0;
    *offset_minutes = 0;
    if (text->len == 0 || take_char(text, 'Z') || take_char(text, 'z'))
        return 0;
    if (take_char(text, '+'))
        sign = 1;
    else if (take_char(text, '-'))
        sign = -1;
    else
        return -1;
    if (take_digits(text, 2, 0, 14, &hours) != 0)
        return -1;
    take_char(text, ':');
    if (take_digits(text, 2, 0, 59, &minutes) != 0)
        return -1;
    *offset_minutes = sign * (hours * 60 + minutes);
    return 0;
}

int
when_parse(struct view text, int64_t *wall_ms, struct why *why)
{
    struct view rest = text;
    struct tm tm = {.tm_isdst = -1};
    bool has_zone = false;
    int ms = 0, offset_minutes = 0;
    int bad = take_date(&rest, &tm);

    if (bad == 0 && (take_char(&rest, 'T') || take_char(&rest, ' ')))
        bad = take_time(&rest, &tm, &ms) != 0 ||
              take_zone(&rest, &has_zone, &offset_minutes) != 0;
    if (bad == 0)
        *wall_ms = (int64_t)(has_zone ? timegm(&tm) : mktime(&tm)) * 1000 + ms -
                   (int64_t)offset_minutes * 60000;
    if (bad != 0 || rest.len > 0 || *wall_ms < 0 || *wall_ms > LAST_MS)
        return why_text(why,
                        "\"%.*s\" is not a date (use e.g. 2026-11-25 or "
                        "2026-11-25T03:22)",
                        (int)(text.len < 60 ? text.len : 60), text.data);
    return 0;
}

static bool
local_time(int64_t wall_ms, struct tm *tm)
{
    time_t s = (time_t)(wall_ms / 1000);

    return localtime_r(&s, tm) != NULL;
}

const char *
when_print(int64_t wall_ms, char text[WHEN_TEXT_MAX])
{
    struct tm tm;

    if (!local_time(wall_ms, &tm) ||
        strftime(text, WHEN_TEXT_MAX, "%Y-%m-%d %H:%M", &tm) == 0)
        snprintf(text, WHEN_TEXT_MAX, "?");
    return text;
}

const char *
when_print_time(int64_t wall_ms, char text[WHEN_TEXT_MAX])
{
    struct tm tm;

    if (!local_time(wall_ms, &tm) ||
        strftime(text, WHEN_TEXT_MAX, "%H:%M:%S", &tm) == 0)
        snprintf(text, WHEN_TEXT_MAX, "?");
    return text;
}

const char *
when_print_age(int64_t ms, char text[WHEN_TEXT_MAX])
{
    /* Each unit is used up to where the next one says enough. */
    static const struct {
        const char *unit;
        int64_t ms;
        int64_t below;
    } units[] = {
        {"s", 1000, 100 * 1000},
        {"m", 60000, 100 * INT64_C(60000)},
        {"h", 3600000, 48 * INT64_C(3600000)},
        {"d", DAY_MS, 100 * DAY_MS},
        {"w", 7 * DAY_MS, INT64_MAX},
    };
    size_t i = 0;

    if (ms < 0)
        ms = 0;
    while (ms >= units[i].below && i + 1 < sizeof(units) / sizeof(units[0]))
        i++;
    snprintf(text, WHEN_TEXT_MAX, "%" PRId64 "%s", ms / units[i].ms,
             units[i].unit);
    return text;
}
