/* SPDX-License-Identifier: ISC */
/*
 * The command line, read by the table of commands: options, the words of a
 * command, its arguments. What can be found wrong without the daemon is found
 * here, queries included.
 */
#include "spoolctl.h"

#include <stdlib.h>

#include "mem.h"
#include "msgid.h"
#include "num.h"
#include "query.h"
#include "when.h"

void
request_init(struct request *request, size_t n_arguments)
{
    *request = (struct request){0};
    /* One more: make_help puts a word in front. */
    request->words = mem_alloc((n_arguments + 1) * sizeof(*request->words));
}

void
request_free(struct request *request)
{
    free(request->words);
    buf_free(&request->query);
}

/* --- options ------------------------------------------------------------- */

static const struct option {
    const char *name;
    enum {
        SETS_CONF,
        SETS_SOCKET,
        SETS_JSON,
        SETS_JSONL,
        SETS_FOLLOW,
        SETS_HELP
    } sets;
} options[] = {
    {"-c", SETS_CONF},       {"-s", SETS_SOCKET}, {"--json", SETS_JSON},
    {"--jsonl", SETS_JSONL}, {"-f", SETS_FOLLOW}, {"-h", SETS_HELP},
    {"--help", SETS_HELP},
};

static const struct option *
option_named(const char *name)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

/* value is the argument after it, or NULL. True when that was taken too. */
static bool
set_option(struct request *request, const struct option *option,
           const char *value)
{
    switch (option->sets) {
    case SETS_CONF:
        request->conf_path = value;
        return true;
    case SETS_SOCKET:
        request->socket_path = value;
        return true;
    case SETS_JSON:
        request->output = OUTPUT_JSON;
        break;
    case SETS_JSONL:
        request->output = OUTPUT_JSONL;
        break;
    case SETS_FOLLOW:
        request->follow = true;
        break;
    case SETS_HELP:
        request->help = true;
        break;
    }
    return false;
}

/* An option of commands (ctl_option_table.h): 1: it is one, *i goes on over
 * its value; 0: it is none; -1: the value is missing. */
static int
set_command_option(struct request *request, char **argv, size_t *i,
                   struct why *why)
{
    for (int o = 0; o < CTL_OPTION_COUNT; o++) {
        const struct ctl_option_row *row = ctl_option_row((enum ctl_option)o);
        size_t len = strlen(row->name);

        if (strncmp(argv[*i], row->name, len) != 0)
            continue;
        if (argv[*i][len] == '=' && row->takes_value) {
            request->options[o] = argv[*i] + len + 1;
            return 1;
        }
        if (argv[*i][len] != '\0')
            continue;
        request->options[o] = row->takes_value ? argv[++*i] : "";
        if (request->options[o] == NULL)
            return why_text(why, "%s needs a value after it", row->name);
        return 1;
    }
    return 0;
}

/* Options and words. A query may begin with "-", as in -from:x: those have a
 * colon. */
static int
parse_arguments(struct request *request, char **argv, struct why *why)
{
    bool options_end = false;

    for (size_t i = 1; argv[i] != NULL; i++) {
        const struct option *option = option_named(argv[i]);
        bool is_option =
            argv[i][0] == '-' && argv[i][1] != '\0' &&
            (strncmp(argv[i], "--", 2) == 0 || strchr(argv[i], ':') == NULL);
        int taken = 0;

        if (!options_end && is_option && option == NULL &&
            strcmp(argv[i], "--") != 0 &&
            (taken = set_command_option(request, argv, &i, why)) < 0)
            return -1;
        if (taken > 0)
            continue;

        if (!options_end && strcmp(argv[i], "--") == 0) {
            options_end = true;
        } else if (options_end || !is_option) {
            request->words[request->n_words++] = view_of(argv[i]);
        } else if (option == NULL) {
            return why_text(why, "there is no option \"%s\"", argv[i]);
        } else if (set_option(request, option, argv[i + 1])) {
            i++;
            if (argv[i] == NULL)
                return why_text(why, "%s needs a path after it", option->name);
        }
    }
    if (request->conf_path != NULL && request->socket_path != NULL)
        return why_text(why, "-c and -s exclude each other");
    return 0;
}

/* "--help" before, behind or without a command is "help COMMAND". */
static void
make_help(struct request *request)
{
    if (request->n_words > 0 && view_equal(request->words[0], VIEW("help")))
        return;
    memmove(request->words + 1, request->words,
            request->n_words * sizeof(*request->words));
    request->words[0] = VIEW("help");
    request->n_words++;
    /* Arguments of the command do not matter to its help. */
    if (request->n_words > 3)
        request->n_words = 3;
}

/* --- arguments ----------------------------------------------------------- */

/* Arguments at the end that do not belong to the query: redirect's TARGET. */
static size_t
n_behind(const struct request *request)
{
    const char *arguments = ctl_row(request->command)->arguments;

    return strstr(arguments, "... [TARGET]") != NULL &&
                   request->options[CTL_OPTION_HOME] == NULL
               ? 1
               : 0;
}

static bool
all_are_ids(const struct request *request, size_t end)
{
    uint64_t id;

    for (size_t i = request->first; i < end; i++)
        if (msgid_parse(request->words[i], &id) != 0)
            return false;
    return true;
}

/* Arguments that are a query become one, in the form that means the same in
 * the daemon's time zone. */
static int
settle_query(struct request *request, struct why *why)
{
    const char *arguments = ctl_row(request->command)->arguments;
    size_t end = request->n_words - n_behind(request);
    struct query *query;

    if (strstr(arguments, "QUERY") == NULL || end <= request->first ||
        (strstr(arguments, "ID") != NULL && all_are_ids(request, end)))
        return 0;
    for (size_t i = request->first; i < end; i++)
        query_add_word(&request->query, request->words[i]);
    query = query_parse(buf_view(&request->query), why);
    if (query == NULL)
        return -1;
    buf_reset(&request->query);
    query_print(query, &request->query);
    query_free(&query);
    request->words[request->first] = buf_view(&request->query);
    memmove(&request->words[request->first + 1], &request->words[end],
            (request->n_words - end) * sizeof(request->words[0]));
    request->n_words = request->first + 1 + request->n_words - end;
    return 0;
}

/* -f is for the command that has it, which cannot do without. */
static int
check_follow(const struct request *request, struct why *why)
{
    const struct ctl_row *row = ctl_row(request->command);
    bool follows = strcmp(row->arguments, "-f") == 0;

    if (request->follow && !follows)
        return why_text(why, "%s has no option -f", row->words);
    if (!request->follow && follows)
        return why_text(
            why, "%s shows only what happens from now on: write \"%s -f\"",
            row->words, row->words);
    return 0;
}

/* An option that stands among the arguments without a bracket is needed. */
static bool
is_needed(enum ctl_command command, enum ctl_option option)
{
    const char *arguments = ctl_row(command)->arguments;
    const char *found = strstr(arguments, ctl_option_row(option)->name);

    return ctl_has_option(command, option) && found != NULL &&
           (found == arguments || found[-1] != '[');
}

static int
check_options(const struct request *request, struct why *why)
{
    for (int o = 0; o < CTL_OPTION_COUNT; o++)
        if (request->options[o] == NULL &&
            is_needed(request->command, (enum ctl_option)o))
            return why_text(why, "%s %s: %s must be given",
                            ctl_row(request->command)->words,
                            ctl_row(request->command)->arguments,
                            ctl_option_row((enum ctl_option)o)->name);
    for (int o = 0; o < CTL_OPTION_COUNT; o++)
        if (request->options[o] != NULL &&
            !ctl_has_option(request->command, (enum ctl_option)o))
            return why_text(why, "%s has no option %s",
                            ctl_row(request->command)->words,
                            ctl_option_row((enum ctl_option)o)->name);
    return 0;
}

/* A date is one of the operator's time zone; the daemon's may be another. */
static int
settle_since(struct request *request, struct why *why)
{
    const char *since = request->options[CTL_OPTION_SINCE];
    uint64_t age_ms;
    int64_t date_ms;

    if (since == NULL)
        return 0;
    if (strchr(since, '-') == NULL) {
        if (num_parse_duration(view_of(since), 0, INT64_MAX, &age_ms, NULL) ==
            0)
            return 0;
        return why_text(why, "--since needs a duration such as 90s, 2h, 14d, "
                             "or a date such as 2026-11-25");
    }
    if (when_parse(view_of(since), &date_ms, why) != 0)
        return -1;
    request->options[CTL_OPTION_SINCE] =
        clock_print_iso(date_ms, request->since);
    return 0;
}

int
request_parse(struct request *request, char **argv, struct why *why)
{
    if (parse_arguments(request, argv, why) != 0)
        return -1;
    if (request->help)
        make_help(request);
    request->command =
        ctl_find(request->words, request->n_words, &request->first, why);
    if (request->command == CTL_COUNT ||
        ctl_check(request->command, request->n_words - request->first, why) !=
            0 ||
        check_follow(request, why) != 0 || check_options(request, why) != 0 ||
        settle_since(request, why) != 0)
        return -1;
    return settle_query(request, why);
}
