/* SPDX-License-Identifier: ISC */
/*
 * A recipient list with anything in it. Either a line of it is named, or it
 * loads, and then every plain line of it is known, alone, in capitals and
 * with a tag.
 */
#include "recipients.h"

#include <assert.h>
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_plain(struct view line)
{
    for (size_t i = 0; i < line.len; i++)
        if (!isalnum((unsigned char)line.data[i]))
            return false;
    return line.len > 0 && line.len < 100;
}

static void
check_line(const struct recipients *recipients, struct view line)
{
    char name[128];

    recipients_has(recipients, line); /* anything may be asked for */
    if (!is_plain(line))
        return;
    assert(recipients_has(recipients, line));
    memcpy(name, line.data, line.len);
    name[0] = (char)toupper((unsigned char)name[0]);
    assert(recipients_has(recipients, (struct view){name, line.len}));
    memcpy(name + line.len, "+t", 2);
    assert(recipients_has(recipients, (struct view){name, line.len + 2}));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct why why = {0};
    struct view rest = {(const char *)data, size};
    struct recipients *recipients =
        recipients_parse(rest, "x", VIEW("example.com"), &why);
    size_t lines = 0;

    if (recipients == NULL) {
        size_t line = strtoul(why.text + 2, NULL, 10);

        assert(memcmp(why.text, "x:", 2) == 0 && line > 0);
        return 0;
    }
    for (; rest.len > 0; lines++) {
        const char *end = memchr(rest.data, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.data) : rest.len;

        check_line(recipients, (struct view){rest.data, len});
        rest = view_skip(rest, len + 1);
    }
    assert(recipients_count(recipients) <= lines);
    recipients_free(&recipients);
    assert(recipients == NULL);
    return 0;
}
