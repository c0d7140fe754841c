/* SPDX-License-Identifier: ISC */
/*
 * hold, release, discard, replay again, erase for people. What was erased is
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

const struct show show_hold = {.end = hold_end};
const struct show show_release = {.end = release_end};
const struct show show_discard = {.end = discard_end};
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
