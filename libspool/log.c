/* SPDX-License-Identifier: ISC */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048
/* Processes share a log: what is written in one call up to this size is not
 * mixed with what others write (PIPE_BUF). */
#define COLLECT_BYTES 4096

static struct {
    const char *name;
    bool debug;
    int pid;
    bool collecting;
    size_t collected_len;
    char collected[COLLECT_BYTES];
    bool journal; /* under systemd: <N> gives the severity (sd-daemon(3)) */
} log_state = {.name = "spoold"};

void
log_init(const char *name, bool debug)
{
    log_state.name = name;
    log_state.debug = debug;
    log_state.pid = (int)getpid();
    log_state.journal = getenv("JOURNAL_STREAM") != NULL;
}

const char *
log_name(void)
{
    return log_state.name;
}

int
log_pid(void)
{
    return log_state.pid != 0 ? log_state.pid : (int)getpid();
}

static void
log_write(const char *line, size_t len)
{
    /* A log that cannot be written must not stop the mail. */
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, line, len);

        if (n <= 0)
            return;
        line += n;
        len -= (size_t)n;
    }
}

void
log_collect(void)
{
    log_state.collecting = true;
}

void
log_flush(void)
{
    if (log_state.collected_len > 0)
        log_write(log_state.collected, log_state.collected_len);
    log_state.collected_len = 0;
}

void
log_line(const char *line, size_t len)
{
    if (!log_state.collecting) {
        log_write(line, len);
        return;
    }
    if (log_state.collected_len + len > COLLECT_BYTES)
        log_flush();
    if (len > COLLECT_BYTES) {
        log_write(line, len);
        return;
    }
    memcpy(log_state.collected + log_state.collected_len, line, len);
    log_state.collected_len += len;
}

static void
log_va(int severity, const char *word, const char *format, va_list ap)
{
    char line[LINE_MAX_BYTES];
    int n = 0;

    if (log_state.journal)
        n = snprintf(line, sizeof(line), "<%d>", severity);
    n += snprintf(line + n, sizeof(line) - (size_t)n, "%s[%d]: %s%s",
                  log_state.name, log_pid(), word, *word ? ": " : "");
    n += vsnprintf(line + n, sizeof(line) - (size_t)n, format, ap);
    if (n > (int)sizeof(line) - 2)
        n = (int)sizeof(line) - 2;
    line[n++] = '\n';
    log_line(line, (size_t)n);
    if (severity <= 4)
        log_flush();
}

#define LOG_WITH(severity, word)                                               \
    do {                                                                       \
        va_list ap;                                                            \
        va_start(ap, format);                                                  \
        log_va(severity, word, format, ap);                                    \
        va_end(ap);                                                            \
    } while (0)

void
log_debug(const char *format, ...)
{
    if (log_state.debug)
        LOG_WITH(7, "debug");
}

void
log_info(const char *format, ...)
{
    LOG_WITH(6, "");
}

void
log_warn(const char *format, ...)
{
    LOG_WITH(4, "warning");
}

void
fatal(const char *format, ...)
{
    LOG_WITH(2, "fatal");
    _exit(EXIT_FAILURE);
}

void
fatal_exit(int status, const char *format, ...)
{
    LOG_WITH(2, "fatal");
    _exit(status);
}

void
bug(const char *format, ...)
{
    LOG_WITH(2, "bug");
    abort();
}
