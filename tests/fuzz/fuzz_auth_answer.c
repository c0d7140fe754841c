/* SPDX-License-Identifier: ISC */
/*
 * Lines of an IMAP server with anything in them: only a line that begins with
 * our tag says yes or no, whatever else it has.
 */
#include "auth_answer.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view rest = {(const char *)data, size};
    struct auth_abilities can = {false};
    struct buf out = {0};

    if (auth_answer_quote(rest, &out))
        for (size_t i = 0; i < out.len; i++)
            assert(out.data[i] >= ' ' || out.data[i] == '\t' ||
                   (out.data[i] != '\r' && out.data[i] != '\n' &&
                    out.data[i] != '\0'));
    buf_reset(&out);
    auth_answer_plain(rest, VIEW("secret"), &out);
    assert(out.len == (rest.len + 8 + 2) / 3 * 4);
    buf_free(&out);
    while (rest.len > 0) {
        const char *end = memchr(rest.data, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.data) : rest.len;
        struct view line = {rest.data, len};
        enum auth_answer answer = auth_answer_parse(line, VIEW("a7"));

        if (answer == AUTH_ANSWER_OK || answer == AUTH_ANSWER_NO)
            assert(len > 4 && memcmp(line.data, "a7 ", 3) == 0);
        auth_answer_abilities(line, &can);
        rest = view_skip(rest, len + 1);
    }
    return 0;
}
