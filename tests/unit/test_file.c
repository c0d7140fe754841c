/* SPDX-License-Identifier: ISC */
/*
 * file: files read whole, their limits, and what is not a file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

static char path[] = "/tmp/test_file.XXXXXX";

static int
set_up(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static int
tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static void
test_read(void **state)
{
    struct buf out = {0};
    struct why why;

    (void)state;
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(file_read(path, 0, &out, &why), 0);
    assert_int_equal(out.len, 0);
    assert_int_equal(truncate(path, 100000), 0);
    buf_add_text(&out, "before");
    assert_int_equal(file_read(path, 100000, &out, &why), 0);
    assert_int_equal(out.len, 100006);
    assert_memory_equal(out.data, "before\0\0", 8);
    assert_int_equal(file_read(path, 99999, &out, &why), -1);
    assert_string_equal(why.text, "larger than 97.7K");
    buf_free(&out);
}

static void
test_not_a_file(void **state)
{
    struct buf out = {0};
    struct why why;

    (void)state;
    assert_int_equal(file_read("/tmp", 10, &out, &why), -1);
    assert_string_equal(why.text, "not a regular file");
    assert_int_equal(file_read("/dev/zero", 10, &out, &why), -1);
    assert_string_equal(why.text, "not a regular file");
    assert_int_equal(file_read("/nowhere", 10, &out, &why), -1);
    assert_string_equal(why.text, "No such file or directory");
    assert_int_equal(file_read_fd(-1, 10, &out, &why), -1);
    assert_string_equal(why.text, "Bad file descriptor");
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(file_read(path, 10, &out, &why),
                     -1); /* nor does it wait */
    assert_string_equal(why.text, "not a regular file");
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_not_a_file),
    };

    return cmocka_run_group_tests_name("file", tests, set_up, tear_down);
}
