/* SPDX-License-Identifier: ISC */
#include "passphrase.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "mem.h"

#define PASSPHRASE_MAX 1024

char *
passphrase_ask(const char *prompt)
{
    char line[PASSPHRASE_MAX];
    struct termios before, silent;
    char *passphrase = NULL;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    ssize_t n;

    if (fd < 0)
        return NULL;
    if (tcgetattr(fd, &before) == 0) {
        silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(fd, TCSAFLUSH, &silent);
        dprintf(fd, "%s: ", prompt);
        n = read(fd, line, sizeof(line));
        tcsetattr(fd, TCSAFLUSH, &before);
        dprintf(fd, "\n");
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        if (n > 0)
            passphrase = mem_copy(line, (size_t)n);
        explicit_bzero(line, sizeof(line));
    }
    close(fd);
    return passphrase;
}

void
passphrase_free(char **passphrase)
{
    if (*passphrase == NULL)
        return;
    explicit_bzero(*passphrase, strlen(*passphrase));
    free(*passphrase);
    *passphrase = NULL;
}
