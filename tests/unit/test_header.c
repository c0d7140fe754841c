/* SPDX-License-Identifier: ISC */
/*
 * header: the scan in pieces of every size, and our Received field.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "header.h"

static void
assert_text(const char *have, size_t len, const char *want)
{
    assert_int_equal(len, strlen(want));
    assert_memory_equal(have, want, len);
}

static void
scan(struct header *header, const char *content, size_t piece)
{
    struct view rest = view_of(content);

    header_init(header, VIEW("mx.example.com"));
    while (rest.len > 0) {
        size_t n = piece < rest.len ? piece : rest.len;

        header_scan(header, (struct view){rest.data, n});
        rest = view_skip(rest, n);
    }
    header_end(header);
}

static const struct {
    const char *content;
    const char *subject, *message_id;
    unsigned received, loops;
} cases[] = {
    {"", "", "", 0, 0},
    {"\r\n", "", "", 0, 0},
    {"Subject: hello\r\n\r\nSubject: no\r\n", "hello", "", 0, 0},
    {"Subject: hello", "hello", "", 0, 0},
    {"Subject: hello\r\n", "hello", "", 0, 0},
    {"SUBJECT :  a b \t\r\nMessage-Id: <1@x>\r\n\r\n", "a b", "<1@x>", 0, 0},
    {"Subject:\r\n\r\n", "", "", 0, 0},
    {"Subject: one\r\nSubject: two\r\n\r\n", "one", "", 0, 0},
    {"Subject: one\r\n two\r\n\tthree\r\nX: y\r\n four\r\n\r\n",
     "one two\tthree", "", 0, 0},
    {"Message-ID:\r\n <long@example>\r\n\r\n", "", "<long@example>", 0, 0},
    {"Subjects: x\r\nSubjec: y\r\n\r\n", "", "", 0, 0},
    {"From x Mon Jan 1\r\nSubject: s\r\n\r\n", "s", "", 0, 0},
    {"Subject: s\r\nFrom x Mon\r\nReceived: x\r\n", "s", "", 0, 0},
    {"No field\r\nSubject: s\r\n", "", "", 0, 0},
    {" blank first\r\nSubject: s\r\n", "", "", 0, 0},
    {": none\r\nSubject: s\r\n", "", "", 0, 0},
    {"Sub\xc3\xa4: x\r\nSubject: s\r\n", "", "", 0, 0},
    {"Received: from a by b\r\nReceived: from b by c\r\n\r\n", "", "", 2, 0},
    {"received: from a\r\n\tby mx.example.com (spoold)\r\n\twith SMTP\r\n"
     "Received: by MX.EXAMPLE.COM; x\r\n\r\n",
     "", "", 2, 2},
    {"Received: from mx.example.com by mx.example.comx\r\n"
     "Received: from x by  mx.example.com\r\n"
     "Received: from x (by mx.example.com)\r\n"
     "Received: from x standby mx.example.com\r\n"
     "Received: from x by mx.example.co\r\n\r\n",
     "", "", 5, 2},
};

static void
test_scan(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t piece = 1; piece <= strlen(cases[i].content) + 1; piece++) {
            struct header header;

            scan(&header, cases[i].content, piece);
            assert_true(header.done);
            assert_text(header.subject, header.subject_len, cases[i].subject);
            assert_text(header.message_id, header.message_id_len,
                        cases[i].message_id);
            assert_int_equal(header.received, cases[i].received);
            assert_int_equal(header.loops, cases[i].loops);
        }
}

static void
test_scan_ends(void **state)
{
    struct header header;

    (void)state;
    header_init(&header, (struct view){0});
    assert_true(header_scan(&header, VIEW("A: b\r\n")));
    assert_true(header_scan(&header, VIEW("\r")));
    assert_false(header_scan(&header, VIEW("\nSubject: x\r\n")));
    assert_false(header_scan(&header, VIEW("Subject: x\r\n")));
    header_end(&header);
    assert_int_equal(header.subject_len, 0);
}

static void
test_long_values_are_cut(void **state)
{
    struct buf content = {0};
    struct header header;

    (void)state;
    buf_add_text(&content, "Subject: ");
    for (size_t i = 0; i < 5000; i++)
        buf_add_byte(&content, 's');
    buf_add_text(&content, "\r\nReceived: ");
    for (size_t i = 0; i < 5000; i++)
        buf_add_text(&content, "r\r\n ");
    buf_add_text(&content, "by mx.example.com\r\nMessage-ID: <m@x>\r\n\r\n");
    buf_add_byte(&content, '\0');
    for (size_t piece = 1; piece < 4; piece++) {
        scan(&header, content.data, piece);
        assert_int_equal(header.subject_len, HEADER_VALUE_MAX);
        assert_int_equal(header.received, 1);
        assert_text(header.message_id, header.message_id_len, "<m@x>");
    }
    buf_free(&content);
}

static void
check_received(struct header_trace trace, const char *want)
{
    struct buf out = {0};
    struct header header;

    trace.when_ms = 1795576921123; /* Wed, 25 Nov 2026 03:22:01 */
    header_received(&trace, &out);
    assert_text(out.data, out.len, want);
    /* Our own scan must find our own mark. */
    header_init(&header, trace.hostname);
    header_scan(&header, buf_view(&out));
    header_end(&header);
    assert_int_equal(header.received, 1);
    assert_int_equal(header.loops, 1);
    buf_free(&out);
}

static void
test_received(void **state)
{
    (void)state;
    check_received(
        (struct header_trace){.helo = VIEW("a.example"),
                              .client = VIEW("192.0.2.1"),
                              .hostname = VIEW("mx.example.com"),
                              .protocol = VIEW("ESMTPS"),
                              .tls = VIEW("TLSv1.3 TLS_AES_256_GCM_SHA384"),
                              .id = VIEW("0ABCDEF123456"),
                              .recipient = VIEW("u@example.com")},
        "Received: from a.example ([192.0.2.1])\r\n"
        "\tby mx.example.com (spoold)\r\n"
        "\twith ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384) id 0ABCDEF123456\r\n"
        "\tfor <u@example.com>;\r\n"
        "\tWed, 25 Nov 2026 03:22:01 +0000\r\n");
    check_received((struct header_trace){.helo = VIEW("[IPv6:::1]"),
                                         .client = VIEW("::1"),
                                         .hostname = VIEW("mx.example.com"),
                                         .protocol = VIEW("SMTP"),
                                         .id = VIEW("0ABCDEF123456")},
                   "Received: from [IPv6:::1] ([IPv6:::1])\r\n"
                   "\tby mx.example.com (spoold)\r\n"
                   "\twith SMTP id 0ABCDEF123456;\r\n"
                   "\tWed, 25 Nov 2026 03:22:01 +0000\r\n");
    check_received((struct header_trace){.helo = VIEW("a b(\r\n)\xc3<"),
                                         .client = VIEW("192.0.2.1"),
                                         .hostname = VIEW("mx.example.com"),
                                         .protocol = VIEW("ESMTP"),
                                         .id = VIEW("0ABCDEF123456")},
                   "Received: from a?b??????"
                   " ([192.0.2.1])\r\n"
                   "\tby mx.example.com (spoold)\r\n"
                   "\twith ESMTP id 0ABCDEF123456;\r\n"
                   "\tWed, 25 Nov 2026 03:22:01 +0000\r\n");
}

static void
test_protocol(void **state)
{
    (void)state;
    assert_string_equal(header_protocol(false, false, false), "SMTP");
    assert_string_equal(header_protocol(false, true, false), "SMTP");
    assert_string_equal(header_protocol(true, false, false), "ESMTP");
    assert_string_equal(header_protocol(true, true, false), "ESMTPS");
    assert_string_equal(header_protocol(true, false, true), "UTF8SMTP");
    assert_string_equal(header_protocol(true, true, true), "UTF8SMTPS");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_scan_ends),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_received),
        cmocka_unit_test(test_protocol),
    };

    return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
