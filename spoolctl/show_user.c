/* SPDX-License-Identifier: ISC */
/* user add, passwd, addresses, invite, list, remove for people. */
#include "spoolctl.h"

#include <inttypes.h>
#include <stdio.h>

#include "table.h"
#include "when.h"

static void
add_words(struct buf *out, const json_t *words)
{
    const json_t *word;
    size_t i;

    json_array_foreach (words, i, word)
        buf_addf(out, "%s%s", i > 0 ? ", " : "", json_string_value(word));
}

/* Of texts that came from the operator. */
static void
say(const char *before, const json_t *words, const char *behind)
{
    struct buf line = {0}, clean = {0};

    buf_addf(&line, "%s", before);
    add_words(&line, words);
    buf_addf(&line, "%s", behind);
    text_clean(buf_view(&line), &clean);
    printf("%.*s\n", (int)clean.len, clean.data);
    buf_free(&clean);
    buf_free(&line);
}

static void
say_user(const json_t *row, const char *behind)
{
    struct buf line = {0};

    buf_addf(&line, "User %s%s", member_text(row, "user"), behind);
    buf_add_byte(&line, '\0');
    say(line.data, NULL, "");
    buf_free(&line);
}

/* Whose mail he reads, and what of that cannot be right yet. */
static void
say_addresses(const json_t *row)
{
    const json_t *lacking = json_object_get(row, "not_served");

    say("He reads the held mail for ", json_object_get(row, "addresses"), ".");
    if (json_array_size(lacking) > 0)
        say("No mail is taken for ", lacking,
            ": there is no such domain in the configuration.");
}

static int
ask_password(const struct request *request, json_t *args, struct why *why)
{
    char hash[PASSWORD_HASH_MAX];

    if (request->options[CTL_OPTION_NO_PASSWORD] != NULL)
        return 0;
    if (secret_hash(request->words[request->first], hash, why) != 0)
        return -1;
    json_object_set_new(args, "hash", json_string(hash));
    return 0;
}

static void
add_row(const json_t *row)
{
    say_user(row, member_is(row, "password")
                      ? " is there."
                      : " is there, without a password.");
    say_addresses(row);
}

static void
passwd_row(const json_t *row)
{
    say_user(row, " has another password; his sessions have ended.");
}

static void
addresses_row(const json_t *row)
{
    say_user(row, " has other addresses; his sessions have ended.");
    say_addresses(row);
}

static void
remove_row(const json_t *row)
{
    say_user(row, " is removed; his sessions have ended. The mail stays.");
}

static void
invite_row(const json_t *row)
{
    char until[WHEN_TEXT_MAX];

    printf("%s\n\n", member_text(row, "code"));
    say_user(row, " signs in with this code in place of a password, once,");
    printf("until %s. It is not shown again.\n",
           when_print(member_time(row, "until"), until));
}

const struct show show_user_add = {.row = add_row, .ask = ask_password};
const struct show show_user_passwd = {.row = passwd_row, .ask = ask_password};
const struct show show_user_addresses = {.row = addresses_row};
const struct show show_user_remove = {.row = remove_row};
const struct show show_user_invite = {.row = invite_row};

/* --- user list ------------------------------------------------------------ */

static const struct table_column list_columns[] = {
    {"USER", false, 12, 0},
    {"SIGNS IN WITH", false, 0, 0},
    {"OWN MAIL", true, 0, 70},
    {"READS", false, 12, 0},
};
#define LIST_COLUMNS (sizeof(list_columns) / sizeof(list_columns[0]))

static struct table table;
static bool begun;

/* "password, 2 codes, learned". */
static void
add_ways(struct buf *out, const json_t *row)
{
    char count[MEMBER_TEXT_MAX];
    size_t codes = json_array_size(json_object_get(row, "codes"));

    if (json_array_size(json_object_get(row, "hashes")) > 0)
        buf_addf(out, "password");
    if (codes > 0)
        buf_addf(out, "%s%s", out->len > 0 ? ", " : "",
                 member_count(codes, "code", count));
    if (member_time(row, "learned") != 0)
        buf_addf(out, "%slearned", out->len > 0 ? ", " : "");
    if (out->len == 0)
        buf_addf(out, "nothing");
}

static void
list_row(const json_t *row)
{
    const json_t *addresses = json_object_get(row, "addresses");
    char size[MEMBER_TEXT_MAX];
    struct buf ways = {0};

    if (!begun)
        table_begin(&table, list_columns, LIST_COLUMNS);
    begun = true;
    add_ways(&ways, row);
    table_cell(&table, TEXT_PLAIN, "%s", member_text(row, "user"));
    table_cell(&table, TEXT_PLAIN, "%.*s", (int)ways.len, ways.data);
    table_cell(&table, TEXT_PLAIN, "%s",
               member_num(row, "own_messages") == 0
                   ? "-"
                   : member_size(member_num(row, "own_bytes"), size));
    table_cell(&table, TEXT_PLAIN, "%s",
               json_string_value(json_array_get(addresses, 0)));
    if (json_array_size(addresses) > 1)
        table_suffix(&table, " +%zu", json_array_size(addresses) - 1);
    table_row_end(&table);
    buf_free(&ways);
}

static void
list_end(const json_t *done, bool whole)
{
    (void)done;
    if (begun)
        table_end(&table);
    else if (whole)
        printf("There are no users: \"spoolctl user add\".\n");
}

const struct show show_user_list = {.row = list_row, .end = list_end};
