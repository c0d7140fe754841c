/* SPDX-License-Identifier: ISC */
#include "clock.h"

#include <stdio.h>
#include <time.h>

static int64_t test_wall = -1;
static int64_t test_mono = -1;

static int64_t
clock_read_us(clockid_t which)
{
    struct timespec ts;

    clock_gettime(which, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_wall_ms(void)
{
    return test_wall >= 0 ? test_wall : clock_read_us(CLOCK_REALTIME) / 1000;
}

int64_t
clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t
clock_mono_us(void)
{
    return test_mono >= 0 ? test_mono * 1000 : clock_read_us(CLOCK_MONOTONIC);
}

void
clock_set_for_test(int64_t wall_ms, int64_t mono_ms)
{
    test_wall = wall_ms;
    test_mono = mono_ms;
}

const char *
clock_print_iso(int64_t wall_ms, char text[CLOCK_TEXT_MAX])
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    size_t n;

    gmtime_r(&s, &tm);
    n = strftime(text, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, CLOCK_TEXT_MAX - n, ".%03dZ", (int)(wall_ms % 1000));
    return text;
}

const char *
clock_print_mail(int64_t wall_ms, char text[CLOCK_TEXT_MAX])
{
    /* Not strftime's %a and %b: they follow the locale, mail does not. */
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;

    gmtime_r(&s, &tm);
    snprintf(text, CLOCK_TEXT_MAX, "%.3s, %d %.3s %d %02d:%02d:%02d +0000",
             days + tm.tm_wday * 3, tm.tm_mday, months + tm.tm_mon * 3,
             tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return text;
}
