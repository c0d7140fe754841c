/* SPDX-License-Identifier: ISC */
/*
 * Commands that cannot be taken back ask first where somebody sits at a
 * terminal: what would be done is shown, then "y" does it. Scripts are not
 * asked; they mean what they say.
 */
#include "spoolctl.h"

#include <stdio.h>
#include <unistd.h>

bool
confirm_is_needed(const struct request *request)
{
    return ctl_has_option(request->command, CTL_OPTION_YES) &&
           request->options[CTL_OPTION_YES] == NULL &&
           request->options[CTL_OPTION_DRY_RUN] == NULL &&
           request->output == OUTPUT_TEXT && isatty(STDIN_FILENO) &&
           isatty(STDOUT_FILENO);
}

bool
confirm_ask(const char *question)
{
    char answer[16] = "";

    printf("%s [y/N] ", question);
    fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) != NULL &&
           (answer[0] == 'y' || answer[0] == 'Y');
}
