/* SPDX-License-Identifier: ISC */
/*
 * Lines of passwd-file and shadow with anything in them. What is imported is
 * a hash that is imported again as it is, fits its bound, and can be asked
 * for a password; hashes that would take long in the daemon are cheap here
 * because only those that are fast by their form are verified.
 */
#include "password.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_fast(const char *hash)
{
    return hash[0] == '{' || strncmp(hash, "$1$", 3) == 0;
}

static void
check_hash(struct view text)
{
    char hash[PASSWORD_HASH_MAX], again[PASSWORD_HASH_MAX];
    struct why why = {0};

    /* Hashing anew is not what is looked at. */
    if (text.len > 0 && text.data[0] == '{' && text.len > 2 &&
        (text.data[1] | 0x20) != 's')
        return;
    if (password_import(text, hash, &why) != 0) {
        assert(why.text[0] != '\0');
        return;
    }
    assert(memchr(hash, '\0', sizeof(hash)) != NULL);
    assert(password_import(view_of(hash), again, &why) == 0);
    assert(strcmp(hash, again) == 0);
    if (is_fast(hash))
        password_verify(view_of(hash), VIEW("secret"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view rest = {(const char *)data, size};
    char hash[PASSWORD_CODE_HASH];

    password_code_hash(rest, hash);
    while (rest.len > 0) {
        const char *end = memchr(rest.data, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.data) : rest.len;
        struct password_line line;
        struct why why = {0};

        switch (
            password_line_parse((struct view){rest.data, len}, &line, &why)) {
        case 1:
            assert(line.name.len > 0 && line.hash.len > 0);
            assert(line.hash.data + line.hash.len <= rest.data + len);
            check_hash(line.hash);
            break;
        case -1:
            assert(why.text[0] != '\0');
            break;
        default:
            break;
        }
        rest = view_skip(rest, len + 1);
    }
    return 0;
}
