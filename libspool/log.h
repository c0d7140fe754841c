/* SPDX-License-Identifier: ISC */
/*
 * Diagnostics. Four severities, each with one meaning:
 *
 *   log_info   something an operator may want to know; nothing to do
 *   log_warn   the operator should look; the daemon goes on
 *   fatal      the environment failed (disk, memory, a system call that
 *              cannot fail): the role ends, the parent starts it again
 *   bug        an invariant of ours is broken: abort with a core
 *
 * A misbehaving client or server is none of these: it is an event
 * (event.h) at the end of its session. log_debug prints only under -d.
 * No text of a stranger is printed raw: events quote, and callers of these
 * functions pass only what they have checked.
 */
#ifndef SPOOL_LOG_H
#define SPOOL_LOG_H

#include <stdbool.h>
#include <stddef.h>

/* Name is shown in each line ("store"); it is not copied. */
void log_init(const char *name, bool debug);
const char *log_name(void);
int log_pid(void); /* as it was at log_init */

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fatal(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));
/* The same with the exit status that tells the parent more than "failed"
 * (role.h names the ones it knows). */
void fatal_exit(int status, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
void bug(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* One line of len bytes that ends in '\n', written whole. */
void log_line(const char *line, size_t len);

/* From now on lines are collected and written by log_flush, at the end of a
 * turn of the loop: one system call for many, and after the replies went
 * out. Warnings and worse are written at once. */
void log_collect(void);
void log_flush(void);

#endif
