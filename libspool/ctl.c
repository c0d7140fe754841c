/* SPDX-License-Identifier: ISC */
#include "ctl.h"

#include <stdio.h>

static const struct ctl_row rows[CTL_COUNT] = {
#define X(NAME, answers, words, arguments, min, max, shape, sentence, details) \
    [CTL_##NAME] = {words, arguments, min, max, shape, sentence, details},
#include "ctl_table.h"
#undef X
};

const struct ctl_row *
ctl_row(enum ctl_command command)
{
    return &rows[command];
}

/* How many of the command's words are at the front, and how many it has. */
static size_t
count_words(const char *command, const struct view *words, size_t n,
            size_t *has)
{
    size_t same = 0;

    *has = 0;
    while (*command != '\0') {
        size_t len = strcspn(command, " ");

        if (*has < n && same == *has &&
            view_equal((struct view){command, len}, words[*has]))
            same++;
        (*has)++;
        command += len;
        command += strspn(command, " ");
    }
    return same;
}

enum ctl_command
ctl_find(const struct view *words, size_t n, size_t *used, struct why *why)
{
    char wanted[80] = "";
    size_t len = 0;

    for (int command = 0; command < CTL_COUNT; command++) {
        size_t same = count_words(rows[command].words, words, n, used);

        if (same == *used)
            return (enum ctl_command)command;
        if (same > 0 && len < sizeof(wanted))
            len +=
                (size_t)snprintf(wanted + len, sizeof(wanted) - len, "%s\"%s\"",
                                 len > 0 ? " or " : "", rows[command].words);
    }
    *used = 0;
    if (len > 0)
        why_text(why, "the command is %s", wanted);
    else if (n > 0)
        why_text(why, "there is no command \"%.*s\"",
                 (int)(words[0].len < 40 ? words[0].len : 40), words[0].data);
    else
        why_text(why, "a command is missing");
    return CTL_COUNT;
}

int
ctl_check(enum ctl_command command, size_t n_arguments, struct why *why)
{
    const struct ctl_row *row = &rows[command];

    if (n_arguments >= row->min && n_arguments <= row->max)
        return 0;
    return why_text(why, "%s: write \"%s%s%s\"",
                    n_arguments < row->min ? "an argument is missing"
                                           : "too many arguments",
                    row->words, *row->arguments != '\0' ? " " : "",
                    row->arguments);
}

static const struct ctl_option_row options[CTL_OPTION_COUNT] = {
#define X(NAME, name, takes_value) [CTL_OPTION_##NAME] = {name, takes_value},
#include "ctl_option_table.h"
#undef X
};

const struct ctl_option_row *
ctl_option_row(enum ctl_option option)
{
    return &options[option];
}

bool
ctl_has_option(enum ctl_command command, enum ctl_option option)
{
    const char *name = options[option].name;
    const char *found = strstr(rows[command].arguments, name);
    char behind;

    if (found == NULL)
        return false;
    behind = found[strlen(name)];
    return behind == ' ' || behind == ']' || behind == '\0';
}
