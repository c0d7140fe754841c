/* SPDX-License-Identifier: ISC */
/*
 * What spoolctl answers by itself: help, which is the table of commands, and
 * version.
 */
#include "spoolctl.h"

#include <stdio.h>

#include "text.h"

#define COMMAND_WIDTH 22

static const char synopsis[] =
    "usage: spoolctl [-c FILE | -s SOCKET] [--json | --jsonl] COMMAND ...\n";

static const char options[] =
    "  -c FILE     read the socket's path from this configuration\n"
    "              (default: /etc/spoold/spoold.conf)\n"
    "  -s SOCKET   the daemon's control socket (default: /run/spoold/control)\n"
    "  --json      one JSON document instead of text\n"
    "  --jsonl     lists: one JSON object a line\n"
    "  -h, --help  help, on a command when there is one\n"
    "\n"
    "Exit status: 0 done, 1 refused or not found, 2 usage, 3 the daemon "
    "cannot\n"
    "be reached. All there is to know: man spoolctl\n";

static void
full_name(const struct ctl_row *row, struct buf *out)
{
    buf_addf(out, "%s%s%s", row->words, *row->arguments != '\0' ? " " : "",
             row->arguments);
    buf_add_byte(out, '\0');
}

/* The same without its options, "[--dry-run] [--for TIME]": help on the
 * command has them. */
static void
short_name(const struct ctl_row *row, struct buf *out)
{
    const char *rest = row->arguments;

    buf_addf(out, "%s", row->words);
    while (*rest != '\0') {
        bool is_option = strncmp(rest, "[--", 3) == 0;
        size_t len = strcspn(rest, is_option ? "]" : " ");

        len += is_option && rest[len] == ']';
        if (!is_option)
            buf_addf(out, " %.*s", (int)len, rest);
        rest += len + strspn(rest + len, " ");
    }
    buf_add_byte(out, '\0');
}

static void
help_all(void)
{
    printf("%s\n", synopsis);
    for (int command = 0; command < CTL_COUNT; command++) {
        const struct ctl_row *row = ctl_row((enum ctl_command)command);
        struct buf name = {0}, prefix = {0};

        short_name(row, &name);
        if (name.len > COMMAND_WIDTH - 2) { /* with its NUL */
            printf("  %s\n", name.data);
            buf_reset(&name);
            buf_add_byte(&name, '\0');
        }
        buf_addf(&prefix, "  %-*s", COMMAND_WIDTH - 2, name.data);
        buf_add_byte(&prefix, '\0');
        text_paragraph(prefix.data, COMMAND_WIDTH, TEXT_PLAIN, "%s",
                       row->sentence);
        buf_free(&name);
        buf_free(&prefix);
    }
    printf("\n%s", options);
}

static void
help_one(const struct ctl_row *row)
{
    struct buf name = {0};

    full_name(row, &name);
    printf("spoolctl %s\n", name.data);
    text_paragraph("  ", 2, TEXT_PLAIN, "%s", row->sentence);
    if (*row->details != '\0')
        printf("\n%s", row->details);
    buf_free(&name);
}

static void
help_json(enum ctl_output output)
{
    json_t *all = json_array();

    for (int command = 0; command < CTL_COUNT; command++) {
        const struct ctl_row *row = ctl_row((enum ctl_command)command);

        json_array_append_new(
            all, json_pack("{s:s, s:s, s:s}", "command", row->words,
                           "arguments", row->arguments, "help", row->sentence));
    }
    json_rows_print(all, output);
    json_decref(all);
}

/* "help target": the group, one after the other. */
static int
help_group(const struct request *request, struct why *why)
{
    struct view word = request->words[request->first];
    bool any = false;

    for (int command = 0; command < CTL_COUNT; command++) {
        const struct ctl_row *row = ctl_row((enum ctl_command)command);
        struct view first = {row->words, strcspn(row->words, " ")};

        if (!view_equal(first, word))
            continue;
        if (any)
            printf("\n");
        help_one(row);
        any = true;
    }
    if (any)
        return CTL_EXIT_DONE;
    complain("%s", why->text);
    return CTL_EXIT_USAGE;
}

int
tool_help(const struct request *request)
{
    size_t n = request->n_words - request->first;
    enum ctl_command command;
    struct why why;
    size_t used;

    if (request->output != OUTPUT_TEXT) {
        help_json(request->output);
        return CTL_EXIT_DONE;
    }
    if (n == 0) {
        help_all();
        return CTL_EXIT_DONE;
    }
    command = ctl_find(request->words + request->first, n, &used, &why);
    if (command == CTL_COUNT)
        return help_group(request, &why);
    help_one(ctl_row(command));
    return CTL_EXIT_DONE;
}

int
tool_version(const struct request *request)
{
    if (request->output == OUTPUT_TEXT)
        printf("spoolctl %s\n", SPOOLD_VERSION);
    else
        printf("{\"version\": \"%s\"}\n", SPOOLD_VERSION);
    return CTL_EXIT_DONE;
}
