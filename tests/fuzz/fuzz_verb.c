/* SPDX-License-Identifier: ISC */
/*
 * Command lines of a stranger: a refusal has a proper reply, and what is
 * accepted has the parts its verb needs.
 */
#include "smtp_verb.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_refusal(const struct why *why)
{
    assert(why->code == 500 || why->code == 501 || why->code == 553 ||
           why->code == 555);
    assert(why->enhanced[0] == '5' && why->text[0] != '\0');
    for (const char *c = why->text; *c != '\0'; c++)
        assert(*c >= ' ' && *c <= '~');
}

static void
check_command(const struct smtp_command *command, struct view line)
{
    assert(command->verb > VERB_UNKNOWN && command->verb < VERB_COUNT);
    for (size_t i = 0; i < line.len; i++)
        assert((uint8_t)line.data[i] >= ' ' || line.data[i] == '\t');
    switch (command->verb) {
    case VERB_MAIL:
        assert(command->path.kind != ADDR_POSTMASTER);
        assert(!command->path.is_utf8 || command->smtputf8);
        break;
    case VERB_RCPT:
        assert(command->path.kind != ADDR_NULL);
        assert(!command->has_size && !command->smtputf8);
        break;
    case VERB_EHLO:
    case VERB_HELO:
        assert(command->argument.len > 0 &&
               command->argument.len <= ADDR_DOMAIN_MAX);
        break;
    default:
        assert(command->path.text.len == 0);
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view line = {(const char *)data, size};
    struct smtp_command command;
    struct why why = {0};

    if (smtp_verb_parse(line, &command, &why) != 0)
        check_refusal(&why);
    else
        check_command(&command, line);
    return 0;
}
