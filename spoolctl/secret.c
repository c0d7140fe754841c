/* SPDX-License-Identifier: ISC */
/*
 * Passwords that the operator gives. They are hashed here and never leave
 * this process: neither the command line, nor the daemon, nor its store sees
 * one.
 */
#include "spoolctl.h"

#include <stdio.h>
#include <unistd.h>

#include "passphrase.h"

/* From a terminal. */
static int
ask_twice(struct view user, char password[PASSWORD_MAX + 2], size_t *len,
          struct why *why)
{
    char prompt[120];
    char *first, *second = NULL;
    int rc = -1;

    snprintf(prompt, sizeof(prompt), "Password for %.*s",
             (int)(user.len < 80 ? user.len : 80), user.data);
    first = passphrase_ask(prompt);
    if (first != NULL)
        second = passphrase_ask("Once more");
    if (first == NULL)
        why_text(why, "no password was given");
    else if (second == NULL || strcmp(first, second) != 0)
        why_text(why, "these are two different passwords");
    else if (strlen(first) > PASSWORD_MAX)
        why_text(why, "a password has at most %d bytes", PASSWORD_MAX);
    else
        rc = 0;
    if (rc == 0) {
        *len = strlen(first);
        memcpy(password, first, *len);
    }
    passphrase_free(&first);
    passphrase_free(&second);
    return rc;
}

/* The first line of standard input, without its end. */
static int
read_line(char password[PASSWORD_MAX + 2], size_t *len, struct why *why)
{
    ssize_t n;
    const char *end = NULL;

    *len = 0;
    while (end == NULL && *len < PASSWORD_MAX + 2 &&
           (n = read(STDIN_FILENO, password + *len, PASSWORD_MAX + 2 - *len)) >
               0) {
        end = memchr(password + *len, '\n', (size_t)n);
        *len += (size_t)n;
    }
    if (end != NULL)
        *len = (size_t)(end - password);
    if (*len > 0 && password[*len - 1] == '\r')
        (*len)--;
    if (*len == 0)
        return why_text(why, "standard input has no password: it is its first "
                             "line, or is asked for on a terminal");
    if (*len > PASSWORD_MAX)
        return why_text(why, "a password has at most %d bytes", PASSWORD_MAX);
    if (memchr(password, '\0', *len) != NULL)
        return why_text(why, "a password has no NUL");
    return 0;
}

int
secret_hash(struct view user, char hash[PASSWORD_HASH_MAX], struct why *why)
{
    char password[PASSWORD_MAX + 2];
    size_t len = 0;
    int rc = isatty(STDIN_FILENO) ? ask_twice(user, password, &len, why)
                                  : read_line(password, &len, why);

    if (rc == 0)
        rc = password_hash((struct view){password, len}, hash, why);
    password_wipe(password, sizeof(password));
    return rc;
}
