/* SPDX-License-Identifier: ISC */
#include <time.h>

#include "imap_token.h"

#define DAY_S 86400

static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* Days from 1970-01-01 in the proleptic Gregorian calendar. Years begin in
 * March here, so that the leap day is a year's last. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
           719469;
}

static int64_t
days_in_month(int64_t year, int64_t month)
{
    return month == 12 ? 31
                       : days_of(year, month + 1, 1) - days_of(year, month, 1);
}

static int
take_month(struct imap_in *in, int64_t *month, struct why *why)
{
    for (size_t i = 0; imap_rest(in).len >= 3 && i < 12; i++)
        if (strncasecmp(in->at, months[i], 3) == 0) {
            in->at += 3;
            *month = (int64_t)i + 1;
            return 0;
        }
    return why_text(why, "a month is missing");
}

/* Exactly as many digits. */
static int
take_digits(struct imap_in *in, int count, int64_t max, int64_t *value,
            struct why *why)
{
    *value = 0;
    for (int i = 0; i < count; i++) {
        if (in->at == in->end || *in->at < '0' || *in->at > '9')
            return why_text(why, "a date is not one");
        *value = *value * 10 + (*in->at++ - '0');
    }
    return *value <= max ? 0 : why_text(why, "a date is not one");
}

/* "1-Feb-1994" */
static int
take_day(struct imap_in *in, int64_t *days, struct why *why)
{
    bool two = imap_rest(in).len > 1 && in->at[1] >= '0' && in->at[1] <= '9';
    int64_t day = 0, month = 0, year = 0;

    if (take_digits(in, two ? 2 : 1, 31, &day, why) != 0 ||
        imap_take_char(in, '-', why) != 0 || take_month(in, &month, why) != 0 ||
        imap_take_char(in, '-', why) != 0 ||
        take_digits(in, 4, 9999, &year, why) != 0)
        return -1;
    if (day < 1 || day > days_in_month(year, month))
        return why_text(why, "a date is not one");
    *days = days_of(year, month, day);
    return 0;
}

int
imap_take_date(struct imap_in *in, int64_t *day, struct why *why)
{
    bool quoted = imap_sees(in, '"');

    if (quoted)
        in->at++;
    if (take_day(in, day, why) != 0)
        return -1;
    return quoted ? imap_take_char(in, '"', why) : 0;
}

/* "02:44:25", in seconds */
static int
take_time(struct imap_in *in, int64_t *seconds, struct why *why)
{
    int64_t hour = 0, minute = 0, second = 0;

    if (take_digits(in, 2, 23, &hour, why) != 0 ||
        imap_take_char(in, ':', why) != 0 ||
        take_digits(in, 2, 59, &minute, why) != 0 ||
        imap_take_char(in, ':', why) != 0 ||
        take_digits(in, 2, 60, &second, why) != 0)
        return -1;
    *seconds = hour * 3600 + minute * 60 + second;
    return 0;
}

/* "-0700", in seconds east of UTC */
static int
take_zone(struct imap_in *in, int64_t *seconds, struct why *why)
{
    bool west = imap_sees(in, '-');
    int64_t hour = 0, minute = 0;

    if (!west && !imap_sees(in, '+'))
        return why_text(why, "a time zone is missing");
    in->at++;
    if (take_digits(in, 2, 23, &hour, why) != 0 ||
        take_digits(in, 2, 59, &minute, why) != 0)
        return -1;
    *seconds = (hour * 3600 + minute * 60) * (west ? -1 : 1);
    return 0;
}

int
imap_take_date_time(struct imap_in *in, int64_t *ms, struct why *why)
{
    int64_t day = 0, time = 0, zone = 0;

    if (imap_take_char(in, '"', why) != 0)
        return -1;
    if (imap_sees(in, ' ')) /* date-day-fixed: " 7" */
        in->at++;
    if (take_day(in, &day, why) != 0 || imap_take_char(in, ' ', why) != 0 ||
        take_time(in, &time, why) != 0 || imap_take_char(in, ' ', why) != 0 ||
        take_zone(in, &zone, why) != 0)
        return -1;
    *ms = (day * DAY_S + time - zone) * 1000;
    return imap_take_char(in, '"', why);
}

void
imap_put_date_time(uint64_t ms, struct buf *out)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm = {0};

    gmtime_r(&seconds, &tm);
    buf_addf(out, "\"%2d-%s-%04d %02d:%02d:%02d +0000\"", tm.tm_mday,
             months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
             tm.tm_sec);
}
