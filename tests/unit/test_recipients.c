/* SPDX-License-Identifier: ISC */
/*
 * recipients: what a list knows, what a bad line is answered, and that a list
 * of a few hundred thousand loads at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "recipients.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DOMAIN       VIEW("example.com")

/* On an exact copy, so that a sanitizer sees an overrun. */
static struct recipients *
parse(struct view text, struct why *why)
{
    struct buf copy = {0};
    struct recipients *recipients;

    buf_add_view(&copy, text);
    recipients = recipients_parse(buf_view(&copy), "list", DOMAIN, why);
    buf_free(&copy);
    return recipients;
}

static const struct view list =
    VIEW("\xef\xbb\xbf# people\r\n"
         "anna@example.com\r\n"
         "  Bob@EXAMPLE.com\t # the second\n"
         "\n"
         "\t\n"
         "carla\n"
         "dora+news\n"
         "x#1@example.com\n"
         "#y@example.com\n"
         "\"odd one # \\\" @\"@example.com # quoted\n"
         "\"plain\"\n"
         "ANNA\n"
         "j\xc3\xb6rg@example.com\n"
         "+plus\n"
         "last@example.com");

static void
test_has(void **state)
{
    static const char *const known[] = {
        "anna",
        "ANNA",
        "anna+tag",
        "anna+",
        "bob",
        "carla",
        "dora+news",
        "x#1",
        "x#1+a+b",
        "plain",
        "\"plain\"",
        "\"ANNA\"",
        "last",
        "J\xc3\xb6rg",
        "+plus",
        "PostMaster",
        "\"odd one # \\\" @\"",
        "Dora+NEWS",
        "\"odd\\ one # \\\" @+x\"",
    };
    static const char *const unknown[] = {
        "",
        "ann",
        "annaa",
        "dora",
        "dora+other",
        "y",
        "odd",
        "+",
        "+anna",
        "example.com",
        "anna@example.com",
        "list",
        "\"\"",
        "j\xc3\x96rg",
        "\"odd one\"",
    };
    struct why why = {0};
    struct recipients *recipients = parse(list, &why);
    char longest[300];

    (void)state;
    assert_string_equal(why.text, "");
    assert_non_null(recipients);
    assert_int_equal(recipients_count(recipients), 10);
    for (size_t i = 0; i < COUNT(known); i++)
        if (!recipients_has(recipients, view_of(known[i])))
            fail_msg("%s is not known", known[i]);
    for (size_t i = 0; i < COUNT(unknown); i++)
        if (recipients_has(recipients, view_of(unknown[i])))
            fail_msg("%s is known", unknown[i]);
    memset(longest, 'a', sizeof(longest));
    for (size_t n = 250; n < sizeof(longest); n++)
        assert_false(recipients_has(recipients, (struct view){longest, n}));
    recipients_free(&recipients);
    assert_null(recipients);
    recipients_free(&recipients);
}

static void
test_empty(void **state)
{
    struct why why;
    struct recipients *recipients = parse(VIEW(""), &why);

    (void)state;
    assert_non_null(recipients);
    assert_int_equal(recipients_count(recipients), 0);
    assert_false(recipients_has(recipients, VIEW("anna")));
    assert_true(recipients_has(recipients, VIEW("postmaster")));
    recipients_free(&recipients);
}

static void
test_bad(void **state)
{
    static const struct {
        struct view text;
        const char *reason;
    } bad[] = {
        {VIEW("a\n\nb c\n"), "list:3: unexpected characters after the address"},
        {VIEW("a\nb@example.org\nc d\n"),
         "list:2: \"b@example.org\" is not in the domain example.com"},
        {VIEW("@example.com"), "list:1: local part expected"},
        {VIEW("a@"), "list:1: domain expected"},
        {VIEW("a@b@c"), "list:1: unexpected characters after the address"},
        {VIEW("\"a"), "list:1: quoted local part has no end"},
        {VIEW("a\"b@example.com"), "list:1: \"@\" and a domain expected"},
        {VIEW("a\n\nx\0y\n"),
         "list:3: unexpected characters after the address"},
        {VIEW("j\xf6rg\n"), "list:1: address is not valid UTF-8"},
        {VIEW("user@example.com OK\n"),
         "list:1: unexpected characters after the address"},
        {VIEW("<user@example.com>\n"), "list:1: local part expected"},
        {VIEW("a\n*\n%\nuser,\n"), "list:4: \"@\" and a domain expected"},
    };
    struct buf text = {0};
    struct why why;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_null(parse(bad[i].text, &why));
        /* What addr says of the rest is its own; the place is ours. */
        assert_memory_equal(why.text, bad[i].reason,
                            strcspn(bad[i].reason, " ") + 1);
        if (strstr(bad[i].reason, "not in the domain") != NULL)
            assert_string_equal(why.text, bad[i].reason);
    }
    for (size_t i = 0; i < 255; i++)
        buf_add_byte(&text, 'a');
    assert_null(parse(buf_view(&text), &why));
    assert_string_equal(why.text, "list:1: a local part of 255 bytes");
    buf_free(&text);
}

static int
temporary(struct view text)
{
    char name[] = "/tmp/test_recipients.XXXXXX";
    int fd = mkstemp(name);

    assert_true(fd >= 0);
    unlink(name);
    assert_int_equal(write(fd, text.data, text.len), text.len);
    return fd;
}

/* The offset of the descriptor plays no role, before and after. */
static void
test_load(void **state)
{
    int fd = temporary(VIEW("anna\nbob\n"));
    struct why why;
    struct recipients *recipients;

    (void)state;
    for (int i = 0; i < 2; i++) {
        recipients = recipients_load(fd, "x", DOMAIN, &why);
        assert_non_null(recipients);
        assert_int_equal(recipients_count(recipients), 2);
        recipients_free(&recipients);
    }
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 9);
    assert_int_equal(write(fd, "a b\n", 4), 4);
    assert_null(recipients_load(fd, "x", DOMAIN, &why));
    assert_memory_equal(why.text, "x:3: ", 5);
    assert_int_equal(ftruncate(fd, RECIPIENTS_FILE_MAX + 1L), 0);
    assert_null(recipients_load(fd, "x", DOMAIN, &why));
    assert_string_equal(why.text, "x: larger than 256M");
    close(fd);
    assert_null(recipients_load(fd, "x", DOMAIN, &why));
    assert_string_equal(why.text, "x: Bad file descriptor");
}

static void
test_pipe(void **state)
{
    int fds[2];
    struct why why;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_null(recipients_load(fds[0], "x", DOMAIN, &why));
    assert_string_equal(why.text, "x: not a regular file");
    close(fds[0]);
    close(fds[1]);
}

static void
test_many(void **state)
{
    enum { MANY = 300000 };
    struct buf text = {0};
    struct recipients *recipients;
    struct why why;
    char name[32];

    (void)state;
    for (int i = 0; i < MANY; i++)
        buf_addf(&text, "user%d@example.com\n", i * 7);
    recipients = recipients_parse(buf_view(&text), "x", DOMAIN, &why);
    assert_non_null(recipients);
    assert_int_equal(recipients_count(recipients), MANY);
    for (int i = 0; i < MANY * 7; i += 1) {
        int n = snprintf(name, sizeof(name), "User%d", i);

        if (recipients_has(recipients, (struct view){name, (size_t)n}) !=
            (i % 7 == 0))
            fail_msg("%s", name);
    }
    recipients_free(&recipients);
    buf_free(&text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_has),  cmocka_unit_test(test_empty),
        cmocka_unit_test(test_bad),  cmocka_unit_test(test_load),
        cmocka_unit_test(test_pipe), cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests_name("recipients", tests, NULL, NULL);
}
