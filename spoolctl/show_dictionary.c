/* SPDX-License-Identifier: ISC */
/* dictionary list and dictionary train, for people. */
#include "spoolctl.h"

#include <stdio.h>

static void
list_row(const json_t *row)
{
    char when[MEMBER_TEXT_MAX], size[MEMBER_TEXT_MAX];
    int64_t made_ms = member_time(row, "made");

    printf("%-6llu  %-7s  ", (unsigned long long)member_num(row, "id"),
           member_is(row, "in_use") ? "in use" : "");
    if (made_ms == 0) {
        printf("%s, comes with spoold\n",
               member_size(member_num(row, "bytes"), size));
        return;
    }
    printf("%s, trained %s, needed by ",
           member_size(member_num(row, "bytes"), size),
           member_when(made_ms, when));
    printf("%s\n", member_count(member_num(row, "messages"), "message", size));
}

const struct show show_dictionary_list = {.row = list_row};

static void
train_row(const json_t *row)
{
    printf("Dictionary %llu is in use: new mail takes less room. What is held "
           "stays as it is.\n",
           (unsigned long long)member_num(row, "id"));
}

const struct show show_dictionary_train = {.row = train_row};
