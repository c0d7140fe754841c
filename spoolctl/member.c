/* SPDX-License-Identifier: ISC */
#include "spoolctl.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "num.h"
#include "when.h"

const char *
member_text(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));

    return text != NULL ? text : "";
}

uint64_t
member_num(const json_t *row, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(row, name));

    return value > 0 ? (uint64_t)value : 0;
}

bool
member_is(const json_t *row, const char *name)
{
    return json_is_true(json_object_get(row, name));
}

int64_t
member_time(const json_t *row, const char *name)
{
    int64_t wall_ms = 0;

    if (when_parse(view_of(member_text(row, name)), &wall_ms, NULL) != 0)
        return 0;
    return wall_ms;
}

const char *
member_when(int64_t wall_ms, char text[MEMBER_TEXT_MAX])
{
    char when[WHEN_TEXT_MAX], age[WHEN_TEXT_MAX];

    if (wall_ms == 0)
        return "-";
    snprintf(text, MEMBER_TEXT_MAX, "%s (%s ago)", when_print(wall_ms, when),
             when_print_age(clock_wall_ms() - wall_ms, age));
    return text;
}

const char *
member_until(int64_t wall_ms, char text[MEMBER_TEXT_MAX])
{
    int64_t left_ms = wall_ms - clock_wall_ms();
    char age[WHEN_TEXT_MAX];

    if (wall_ms == 0)
        return "-";
    if (left_ms < 1000)
        return "now";
    snprintf(text, MEMBER_TEXT_MAX, "in %s", when_print_age(left_ms, age));
    return text;
}

const char *
member_size(uint64_t bytes, char text[MEMBER_TEXT_MAX])
{
    char size[NUM_TEXT_MAX];

    snprintf(text, MEMBER_TEXT_MAX, "%s%s", num_print_size(bytes, size),
             bytes < 1024 ? " bytes" : "");
    return text;
}

const char *
member_count(uint64_t n, const char *one, char text[MEMBER_TEXT_MAX])
{
    size_t len = strlen(one);
    const char *end = n == 1 ? "" : "s";

    if (n != 1 && len > 0 && one[len - 1] == 'y') {
        len--;
        end = "ies";
    }
    snprintf(text, MEMBER_TEXT_MAX, "%" PRIu64 " %.*s%s", n, (int)len, one,
             end);
    return text;
}
