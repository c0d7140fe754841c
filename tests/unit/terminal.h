/* SPDX-License-Identifier: ISC */
/*
 * For tests of what spoolctl prints: standard output looks like a terminal of
 * a given width (0: like a file), and what is printed is compared.
 */
#ifndef TESTS_TERMINAL_H
#define TESTS_TERMINAL_H

#include <sys/ioctl.h>

#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "text.h"

static struct {
    FILE *real; /* standard output outside of begin and end */
    int real_fd;
    int master;
    char *printed;
    size_t len;
} terminal;

static inline void
terminal_begin(unsigned short columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    int slave;

    fflush(stdout);
    terminal.real_fd = dup(STDOUT_FILENO);
    if (columns > 0) {
        assert_int_equal(openpty(&terminal.master, &slave, NULL, NULL, &size),
                         0);
    } else {
        terminal.master = -1;
        slave = open("/dev/null", O_WRONLY);
    }
    dup2(slave, STDOUT_FILENO);
    close(slave);
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    text_init();
    terminal.real = stdout;
    stdout = open_memstream(&terminal.printed, &terminal.len);
    assert_non_null(stdout);
}

static inline void
terminal_end(const char *expected)
{
    fclose(stdout);
    stdout = terminal.real;
    dup2(terminal.real_fd, STDOUT_FILENO);
    close(terminal.real_fd);
    if (terminal.master >= 0)
        close(terminal.master);
    assert_string_equal(terminal.printed, expected);
    free(terminal.printed);
}

#endif
