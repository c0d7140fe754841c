/* SPDX-License-Identifier: ISC */
/*
 * hold, release, discard, redirect, return, undo, replay again, erase for
 * people. What was erased is
 * listed with its digests: the output is the receipt.
 */
#include "spoolctl.h"

#include <inttypes.h>
#include <stdio.h>

#include "table.h"
#include "text.h"

static void
say(const json_t *done, const char *name, const char *what, const char *would)
{
    char messages[MEMBER_TEXT_MAX], deliveries[MEMBER_TEXT_MAX];
    bool dry_run = member_num(done, "dry_run") != 0;

    if (member_num(done, "messages") == 0) /* the error says why */
        return;
    printf("%s of %s %s\n",
           member_count(member_num(done, name), "delivery", deliveries),
           member_count(member_num(done, "messages"), "message", messages),
           dry_run ? would : what);
    if (member_num(done, "undo") != 0)
        printf("To take it back within an hour: spoolctl undo %" PRIu64 "\n",
               member_num(done, "undo"));
}

static void
hold_end(const json_t *done, bool whole)
{
    (void)whole;
    say(done, "held", "held back", "would be held back");
}

static void
release_end(const json_t *done, bool whole)
{
    (void)whole;
    say(done, "released", "released", "would be released");
}

static void
discard_end(const json_t *done, bool whole)
{
    (void)whole;
    say(done, "discarded", "discarded; nobody was told", "would be discarded");
}

static void
again_end(const json_t *done, bool whole)
{
    (void)whole;
    say(done, "again", "made ready once more", "would be made once more");
}

static void
redirect_end(const json_t *done, bool whole)
{
    (void)whole;
    say(done, "redirected", "redirected", "would be redirected");
}

static void
return_end(const json_t *done, bool whole)
{
    (void)whole;
    say(done, "returned", "given back to their senders",
        "would be given back to their senders");
}

static void
undo_row(const json_t *row)
{
    char when[MEMBER_TEXT_MAX];

    printf("%s, %s, by %s:\n", member_text(row, "command"),
           member_when(member_time(row, "when"), when), member_text(row, "by"));
}

static void
undo_end(const json_t *done, bool whole)
{
    uint64_t left = member_num(done, "left");

    (void)whole;
    say(done, "undone", "as before", "would be as before");
    if (member_num(done, "messages") > 0 && left > 0)
        printf("%" PRIu64 " changed since, or gone: left as they are\n", left);
}

/* --- undo list ------------------------------------------------------------ */

static const struct table_column undo_columns[] = {
    {"NUMBER", true, 0, 0},     {"COMMAND", false, 0, 0},
    {"DELIVERIES", true, 0, 0}, {"WHEN", false, 0, 0},
    {"LEFT", false, 0, 60},     {"BY", false, 8, 0},
    {"REASON", false, 12, 0},
};
static struct table commands;
static bool begun;

static void
undo_list_row(const json_t *row)
{
    char when[MEMBER_TEXT_MAX], until[MEMBER_TEXT_MAX];

    if (!begun)
        table_begin(&commands, undo_columns,
                    sizeof(undo_columns) / sizeof(undo_columns[0]));
    begun = true;
    table_cell(&commands, TEXT_PLAIN, "%" PRIu64, member_num(row, "number"));
    table_cell(&commands, TEXT_PLAIN, "%s", member_text(row, "command"));
    table_cell(&commands, TEXT_PLAIN, "%" PRIu64,
               member_num(row, "deliveries"));
    table_cell(&commands, TEXT_PLAIN, "%s",
               member_when(member_time(row, "when"), when));
    table_cell(&commands, TEXT_PLAIN, "%s",
               member_until(member_time(row, "until"), until));
    table_cell(&commands, TEXT_PLAIN, "%s", member_text(row, "by"));
    table_cell(&commands, TEXT_PLAIN, "%s", member_text(row, "reason"));
    table_row_end(&commands);
}

static void
undo_list_end(const json_t *done, bool whole)
{
    (void)done;
    if (begun)
        table_end(&commands);
    else if (whole)
        printf("There is nothing to undo.\n");
}

const struct show show_undo_list = {.row = undo_list_row, .end = undo_list_end};

const struct show show_hold = {.end = hold_end};
const struct show show_release = {.end = release_end};
const struct show show_discard = {.end = discard_end};
const struct show show_redirect = {.end = redirect_end};
const struct show show_return = {.end = return_end};
const struct show show_undo = {.row = undo_row, .end = undo_end};
const struct show show_replay_again = {.end = again_end};

/* --- erase ---------------------------------------------------------------- */

static const struct table_column erase_columns[] = {
    {"ID", false, 0, 0},
    {"OPEN", true, 0, 0},
    {"STORED", true, 0, 0},
    {"DIGEST OF WHAT WAS STORED", false, 0, 0},
};
#define ERASE_COLUMNS (sizeof(erase_columns) / sizeof(erase_columns[0]))

static struct table table;
static bool begun;

static void
erase_row(const json_t *row)
{
    if (!begun)
        table_begin(&table, erase_columns, ERASE_COLUMNS);
    begun = true;
    table_cell(&table, TEXT_PLAIN, "%s", member_text(row, "id"));
    table_cell(&table, TEXT_PLAIN, "%" PRIu64, member_num(row, "open"));
    table_cell(&table, TEXT_PLAIN, "%" PRIu64, member_num(row, "stored"));
    table_cell(&table, TEXT_PLAIN, "%s", member_text(row, "digest"));
    table_row_end(&table);
}

static void
erase_end(const json_t *done, bool whole)
{
    char count[MEMBER_TEXT_MAX];
    uint64_t messages = member_num(done, "messages");

    (void)whole;
    if (begun)
        table_end(&table);
    if (messages == 0)
        return;
    if (member_num(done, "dry_run") != 0) {
        printf("%s would be erased\n",
               member_count(messages, "message", count));
        return;
    }
    printf("%s erased",
           member_count(member_num(done, "erased"), "message", count));
    if (json_object_get(done, "pages") != NULL)
        printf(": envelope, content and the key of each; %s written over",
               member_count(member_num(done, "pages"), "page", count));
    printf(
        ".\nThe ledger keeps when it came, from whom, and the digest. A "
        "backup made\nbefore still has it all until the key it was sealed to "
        "is rotated and its\nsecret destroyed.\n");
}

const struct show show_erase = {.row = erase_row, .end = erase_end};
