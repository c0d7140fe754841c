/* SPDX-License-Identifier: ISC */
/*
 * log and mem: the form of the lines, what -d adds, how fatal and bug end a
 * process, and that running out of memory is fatal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "log.h"
#include "mem.h"

/* The sanitizer ends a process that asks for too much before we can. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* Runs fn in a child; what it wrote to standard error, and its status. */
static struct buf
run(void (*fn)(void), pid_t *pid, int *status)
{
    struct rlimit no_core = {0, 0};
    struct buf out = {0};
    int fds[2];
    ssize_t n;

    assert_int_equal(pipe(fds), 0);
    *pid = fork();
    if (*pid == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        signal(SIGABRT, SIG_DFL);
        log_init("child", false);
        fn();
        _exit(0);
    }
    close(fds[1]);
    do {
        buf_reserve(&out, 4096);
        n = read(fds[0], out.data + out.len, 4096);
        out.len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    close(fds[0]);
    assert_int_equal(waitpid(*pid, status, 0), *pid);
    return out;
}

/* One line: before, the process, after. */
static void
assert_line(void (*fn)(void), const char *before, const char *after,
            int want_status)
{
    char line[128];
    pid_t pid;
    int status;
    struct buf out = run(fn, &pid, &status);

    snprintf(line, sizeof(line), "%s[%d]: %s\n", before, (int)pid, after);
    buf_add_byte(&out, '\0');
    assert_string_equal(out.data, line);
    assert_int_equal(status, want_status);
    buf_free(&out);
}

static void
say_all(void)
{
    log_info("one %d", 1);
    log_debug("hidden");
    log_init("other", true);
    log_debug("shown");
}

static void
say_warn(void)
{
    log_warn("look: %s", "here");
}

static void
say_to_journal(void)
{
    setenv("JOURNAL_STREAM", "8:9", 1);
    log_init("child", false);
    log_warn("look");
}

static void
end_fatal(void)
{
    fatal("disk %s", "gone");
}

static void
end_fatal_exit(void)
{
    fatal_exit(78, "no");
}

static void
end_bug(void)
{
    bug("broken");
}

static void
end_no_memory(void)
{
    volatile size_t huge = SIZE_MAX / 2;

    mem_grow(NULL, huge, 16);
}

static void
test_lines(void **state)
{
    pid_t pid;
    int status;
    struct buf out = run(say_all, &pid, &status);
    char want[128];

    (void)state;
    unsetenv("JOURNAL_STREAM");
    snprintf(want, sizeof(want), "child[%d]: one 1\nother[%d]: debug: shown\n",
             (int)pid, (int)pid);
    assert_true(view_equal(buf_view(&out), view_of(want)));
    buf_free(&out);
    assert_line(say_warn, "child", "warning: look: here", 0);
    assert_line(say_to_journal, "<4>child", "warning: look", 0);
}

static void
test_ends(void **state)
{
    (void)state;
    assert_line(end_fatal, "child", "fatal: disk gone", 1 << 8);
    assert_line(end_fatal_exit, "child", "fatal: no", 78 << 8);
    assert_line(end_bug, "child", "bug: broken", SIGABRT);
    if (!SANITIZED)
        assert_line(end_no_memory, "child",
                    "fatal: out of memory (9223372036854775807 times 16 bytes)",
                    1 << 8);
}

static void
say_long(void)
{
    char *text = mem_alloc(10000);

    memset(text, 'x', 9999);
    log_info("%s", text);
    log_info("next");
    free(text);
}

static void
test_long_line(void **state)
{
    pid_t pid;
    int status;
    struct buf out = run(say_long, &pid, &status);
    const char *end = memchr(out.data, '\n', out.len);

    (void)state;
    assert_non_null(end);
    assert_true(end - out.data > 1000 && end - out.data < 4096);
    assert_memory_equal(out.data + out.len - 6, " next\n", 6);
    buf_free(&out);
}

static void
test_mem(void **state)
{
    char *zeroed = mem_alloc(100);
    char *empty = mem_alloc(0);
    char *copy = mem_copy("a\0b", 3);
    char *text = mem_copy_text("text");

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeroed[i], 0);
    assert_non_null(empty);
    assert_memory_equal(copy, "a\0b", 4);
    assert_string_equal(text, "text");
    copy = mem_grow(copy, 100, 10);
    assert_memory_equal(copy, "a\0b", 4);
    free(zeroed);
    free(empty);
    free(copy);
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_mem),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
