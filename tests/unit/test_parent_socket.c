/* SPDX-License-Identifier: ISC */
/* The parent connects for the replay role: to the targets' sockets only. */
#include "parent.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/parent_socket.XXXXXX";
static char named[64], other[64];

static int
listen_at(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 0), 0);
    return fd;
}

/* Two targets; the second has the socket beside another host. */
static struct conf *
configuration(void)
{
    char path[64];
    struct why why;
    struct conf *conf;
    FILE *file;

    snprintf(path, sizeof(path), "%s/conf", directory);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "hostname = \"mx2.example.com\"\n"
            "listen smtp { address = \"127.0.0.1:25\" }\n"
            "target a { hosts = { \"127.0.0.1:26\" } }\n"
            "target b { protocol = \"lmtp\"\n"
            "    hosts = { \"127.0.0.1:24\", \"%s\" } }\n"
            "domain \"example.com\" { target = \"a\" }\n"
            "domain \"example.org\" { target = \"b\" }\n",
            named);
    assert_int_equal(fclose(file), 0);
    conf = conf_load(path, &why);
    if (conf == NULL)
        fail_msg("%s", why.text);
    unlink(path);
    return conf;
}

static void
test_only_what_is_named(void **state)
{
    struct conf *conf = configuration();
    struct why why = {0};
    int at_named = listen_at(named), at_other = listen_at(other), fd;

    (void)state;
    fd = parent_socket_connect(conf, view_of(named), &why);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(parent_socket_connect(conf, view_of(other), &why), -1);
    assert_non_null(strstr(why.text, "no target has this socket"));
    assert_int_equal(parent_socket_connect(conf, view_of(directory), &why), -1);
    assert_int_equal(parent_socket_connect(conf, view_of("127.0.0.1:24"), &why),
                     -1);
    close(at_named);
    close(at_other);
    conf_free(&conf);
}

/* It never waits: a full backlog is an answer, too. */
static void
test_failures(void **state)
{
    struct conf *conf = configuration();
    struct why why = {0};
    int fds[16], at_named, n = 0;

    (void)state;
    unlink(named);
    assert_int_equal(parent_socket_connect(conf, view_of(named), &why), -1);
    assert_string_equal(why.text, "No such file or directory");
    at_named = listen_at(named);
    while (n < 16 &&
           (fds[n] = parent_socket_connect(conf, view_of(named), &why)) >= 0)
        n++;
    assert_in_range(n, 1, 15);
    assert_string_equal(why.text, "it takes no more connections now");
    close(at_named);
    assert_int_equal(parent_socket_connect(conf, view_of(named), &why), -1);
    assert_string_equal(why.text, "Connection refused");
    while (n > 0)
        close(fds[--n]);
    conf_free(&conf);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_is_named),
        cmocka_unit_test(test_failures),
    };
    int failed;

    if (mkdtemp(directory) == NULL)
        return 1;
    snprintf(named, sizeof(named), "%s/named", directory);
    snprintf(other, sizeof(other), "%s/other", directory);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(named);
    unlink(other);
    rmdir(directory);
    return failed;
}
