/* SPDX-License-Identifier: ISC */
/*
 * compact, for people.
 */
#include "spoolctl.h"

#include <stdio.h>

static void
compact_row(const json_t *row)
{
    char before[MEMBER_TEXT_MAX], after[MEMBER_TEXT_MAX];

    printf("The store is compacted: %s before, %s now.\n",
           member_size(member_num(row, "before"), before),
           member_size(member_num(row, "after"), after));
}

const struct show show_compact = {.row = compact_row};
