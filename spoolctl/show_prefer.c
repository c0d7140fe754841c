/* SPDX-License-Identifier: ISC */
/* prefer, prefer list and prefer remove for people. */
#include "spoolctl.h"

#include <inttypes.h>
#include <stdio.h>

#include "table.h"
#include "text.h"

static void
prefer_row(const json_t *row)
{
    char count[MEMBER_TEXT_MAX];
    bool dry_run = member_is(row, "dry_run");

    printf("%s %s first",
           member_count(member_num(row, "preferred"), "message", count),
           dry_run ? "would go" : "that wait now go");
    if (!dry_run)
        printf(", and new mail that fits; rule %" PRIu64,
               member_num(row, "rule"));
    printf(".\n");
}

const struct show show_prefer = {.row = prefer_row};

static void
remove_row(const json_t *row)
{
    printf("Rule %" PRIu64 " is removed.\n", member_num(row, "rule"));
}

const struct show show_prefer_remove = {.row = remove_row};

static const struct table_column columns[] = {
    {"RULE", true, 0, 0},   {"QUERY", false, 16, 0}, {"SINCE", false, 0, 0},
    {"LEFT", false, 0, 60}, {"BY", false, 8, 0},     {"REASON", false, 12, 0},
};
static struct table rules;
static bool begun;

static void
list_row(const json_t *row)
{
    char when[MEMBER_TEXT_MAX], until[MEMBER_TEXT_MAX];

    if (!begun)
        table_begin(&rules, columns, sizeof(columns) / sizeof(columns[0]));
    begun = true;
    table_cell(&rules, TEXT_PLAIN, "%" PRIu64, member_num(row, "rule"));
    table_cell(&rules, TEXT_PLAIN, "%s", member_text(row, "query"));
    table_cell(&rules, TEXT_PLAIN, "%s",
               member_when(member_time(row, "since"), when));
    table_cell(&rules, TEXT_PLAIN, "%s",
               member_until(member_time(row, "until"), until));
    table_cell(&rules, TEXT_PLAIN, "%s", member_text(row, "by"));
    table_cell(&rules, TEXT_PLAIN, "%s", member_text(row, "reason"));
    table_row_end(&rules);
}

static void
list_end(const json_t *done, bool whole)
{
    (void)done;
    if (begun)
        table_end(&rules);
    else if (whole && text_on_terminal())
        printf("No rules: backlog goes in turns.\n");
}

const struct show show_prefer_list = {.row = list_row, .end = list_end};
