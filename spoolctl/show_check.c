/* SPDX-License-Identifier: ISC */
/* check, for people. */
#include "spoolctl.h"

#include <stdio.h>

static void
check_row(const json_t *row)
{
    const char *id = member_text(row, "id");

    printf("%s%s%s%s\n", id, *id != '\0' ? ": " : "",
           member_text(row, "finding"),
           member_is(row, "repairable") ? "" : " (cannot be repaired)");
}

static void
check_end(const json_t *done, bool whole)
{
    char text[MEMBER_TEXT_MAX];
    unsigned long long mended, aside;

    (void)whole;
    if (done == NULL)
        return;
    mended = member_num(done, "mended");
    aside = member_num(done, "aside");
    printf("%s looked at, ",
           member_count(member_num(done, "messages"), "message", text));
    if (member_num(done, "findings") == 0)
        printf("all is as it should be.\n");
    else
        printf("%s.\n",
               member_count(member_num(done, "findings"), "finding", text));
    if (mended > 0)
        printf("%s made.\n", member_count(mended, "repair", text));
    if (aside > 0)
        printf("%s set aside: rows that could not be read, kept as they "
               "are.\n",
               member_count(aside, "row", text));
}

const struct show show_check = {.row = check_row, .end = check_end};
