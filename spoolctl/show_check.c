/* SPDX-License-Identifier: ISC */
/* check, for people: each finding is a sentence, then the sums. */
#include "spoolctl.h"

#include <inttypes.h>
#include <stdio.h>

#include "text.h"

static void
check_row(const json_t *row)
{
    text_paragraph("-", 2, TEXT_TROUBLE, "%s%s", member_text(row, "text"),
                   member_is(row, "repairable")
                       ? ""
                       : " (nothing can be done about it here)");
}

static void
check_end(const json_t *done, bool whole)
{
    char rows[MEMBER_TEXT_MAX], messages[MEMBER_TEXT_MAX];
    char count[MEMBER_TEXT_MAX];
    uint64_t found, mended, aside;

    (void)whole;
    if (done == NULL || json_object_get(done, "rows") == NULL)
        return;
    found = member_num(done, "findings");
    mended = member_num(done, "mended");
    aside = member_num(done, "aside");
    printf("%s looked at, of %s: %s.\n",
           member_count(member_num(done, "rows"), "row", rows),
           member_count(member_num(done, "messages"), "message", messages),
           found == 0 ? "all is as it should be"
                      : member_count(found, "finding", count));
    if (mended > 0)
        printf("%s made, %" PRIu64 " left.\n",
               member_count(mended, "repair", count), member_num(done, "left"));
    else if (found > 0)
        printf("\"spoolctl check --repair\" sets aside what is damaged and "
               "puts right what can be.\n");
    if (aside > 0)
        printf("%s set aside: damaged, kept as they were, in the table "
               "aside.\n",
               member_count(aside, "row", count));
}

const struct show show_check = {.row = check_row, .end = check_end};
