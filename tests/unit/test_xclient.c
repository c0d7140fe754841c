/* SPDX-License-Identifier: ISC */
/*
 * xclient: which attributes a server takes, and the lines it gets for them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "xclient.h"

#define TEXT(literal)                                                          \
    {                                                                          \
        literal, sizeof(literal) - 1                                           \
    }

#define ALL_XCLIENT                                                            \
    (XCLIENT_NAME | XCLIENT_ADDR | XCLIENT_PORT | XCLIENT_PROTO |              \
     XCLIENT_HELO | XCLIENT_LOGIN | XCLIENT_DESTADDR | XCLIENT_DESTPORT)
#define ALL_XFORWARD                                                           \
    (XCLIENT_NAME | XCLIENT_ADDR | XCLIENT_PORT | XCLIENT_PROTO |              \
     XCLIENT_HELO | XCLIENT_IDENT | XCLIENT_SOURCE)

static void
test_offers(void **state)
{
    (void)state;
    assert_int_equal(xclient_offer_parse(VIEW("NAME ADDR PORT PROTO HELO LOGIN "
                                              "DESTADDR DESTPORT")),
                     ALL_XCLIENT);
    assert_int_equal(
        xclient_offer_parse(VIEW("NAME ADDR PROTO HELO SOURCE PORT IDENT")),
        ALL_XFORWARD);
    assert_int_equal(xclient_offer_parse(VIEW("addr  TTL NAMES ADDRESS ")),
                     XCLIENT_ADDR);
    assert_int_equal(xclient_offer_parse(VIEW("")), 0);
}

static const struct {
    unsigned offered;
    struct xclient_facts facts;
    const char *line;
} lines[] = {
    {ALL_XCLIENT,
     {TEXT("mail.example.org"), false, TEXT("192.0.2.1"), 40000,
      TEXT("mail.example.org"), TEXT("ESMTPS"), TEXT("192.0.2.2"), 25, TEXT(""),
      false},
     "XCLIENT NAME=mail.example.org ADDR=192.0.2.1 PORT=40000 PROTO=ESMTP "
     "HELO=mail.example.org LOGIN=[UNAVAILABLE] DESTADDR=192.0.2.2 "
     "DESTPORT=25\r\n"},
    {XCLIENT_ADDR | XCLIENT_NAME | XCLIENT_DESTADDR,
     {.client = TEXT("2001:db8::1"), .server = TEXT("::1")},
     "XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 DESTADDR=IPV6:::1\r\n"},
    {XCLIENT_ADDR | XCLIENT_NAME | XCLIENT_PORT | XCLIENT_DESTPORT,
     {.name_unknown = true, .client = TEXT("192.0.2.1"), .server_port = 65536},
     "XCLIENT NAME=[TEMPUNAVAIL] ADDR=192.0.2.1 PORT=[UNAVAILABLE] "
     "DESTPORT=[UNAVAILABLE]\r\n"},
    {XCLIENT_ADDR | XCLIENT_PROTO | XCLIENT_HELO,
     {.client = TEXT("192.0.2.1"),
      .helo = TEXT("a+b=c \xc3\r\nX"),
      .protocol = TEXT("SMTP")},
     "XCLIENT ADDR=192.0.2.1 PROTO=SMTP HELO=a+2Bb+3Dc+20+C3+0D+0AX\r\n"},
    {XCLIENT_ADDR,
     {.client = TEXT("192.0.2.1\r\nQUIT")},
     "XCLIENT ADDR=[UNAVAILABLE]\r\n"},
    /* Without ADDR it would only hide who we are. */
    {XCLIENT_NAME | XCLIENT_HELO, {.client = TEXT("192.0.2.1")}, ""},
    {XCLIENT_ADDR | XCLIENT_IDENT | XCLIENT_SOURCE,
     {.client = TEXT("192.0.2.1")},
     "XCLIENT ADDR=192.0.2.1\r\n"},
};

static void
test_lines(void **state)
{
    struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        buf_reset(&out);
        xclient_print(lines[i].offered, &lines[i].facts, &out);
        buf_add_byte(&out, '\0');
        assert_string_equal(out.data, lines[i].line);
    }
    buf_free(&out);
}

static void
test_forward(void **state)
{
    const struct xclient_facts facts = {.name = TEXT("mail.example.org"),
                                        .client = TEXT("2001:db8::1"),
                                        .port = 40000,
                                        .helo = TEXT("x"),
                                        .protocol = TEXT("UTF8SMTPS"),
                                        .ident = TEXT("0123456789ABC")};
    struct xclient_facts ours = {.is_local = true};
    struct buf out = {0};

    (void)state;
    assert_int_equal(
        xclient_print_forward(ALL_XFORWARD | XCLIENT_LOGIN, &facts, &out), 1);
    assert_true(view_equal(
        buf_view(&out),
        VIEW("XFORWARD NAME=mail.example.org ADDR=IPV6:2001:db8::1 PORT=40000 "
             "PROTO=UTF8SMTPS HELO=x IDENT=0123456789ABC SOURCE=REMOTE\r\n")));
    buf_reset(&out);
    assert_int_equal(
        xclient_print_forward(XCLIENT_ADDR | XCLIENT_SOURCE, &ours, &out), 1);
    assert_true(view_equal(
        buf_view(&out), VIEW("XFORWARD ADDR=[UNAVAILABLE] SOURCE=LOCAL\r\n")));
    buf_reset(&out);
    assert_int_equal(xclient_print_forward(XCLIENT_LOGIN, &facts, &out), 0);
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

/* Every line of text is within the limit, and each attribute there once. */
static void
check_lines(struct view text, unsigned n)
{
    while (text.len > 0) {
        const char *end = memmem(text.data, text.len, "\r\n", 2);

        assert_non_null(end);
        assert_true((size_t)(end - text.data) + 2 <= XCLIENT_LINE_MAX);
        text = view_skip(text, (size_t)(end - text.data) + 2);
        n--;
    }
    assert_int_equal(n, 0);
}

static void
test_long_values(void **state)
{
    char name[255], helo[256];
    struct xclient_facts facts = {.name = {name, sizeof(name)},
                                  .client = TEXT("192.0.2.1"),
                                  .helo = {helo, 255}};
    struct buf out = {0};
    unsigned n;

    (void)state;
    memset(name, 'n', sizeof(name));
    memset(helo, 'h', sizeof(helo));
    n = xclient_print_forward(ALL_XFORWARD, &facts, &out);
    assert_int_equal(n, 2);
    check_lines(buf_view(&out), n);
    assert_non_null(memmem(out.data, out.len, "\r\nXFORWARD HELO=hhh", 19));
    buf_reset(&out);
    xclient_print(ALL_XCLIENT, &facts, &out);
    check_lines(buf_view(&out), 1);
    assert_non_null(memmem(out.data, out.len, "HELO=[UNAVAILABLE] ", 19));
    buf_reset(&out);
    facts.helo.len = 256;
    facts.name.len = 1;
    xclient_print(XCLIENT_ADDR | XCLIENT_HELO, &facts, &out);
    assert_true(view_equal(
        buf_view(&out), VIEW("XCLIENT ADDR=192.0.2.1 HELO=[UNAVAILABLE]\r\n")));
    buf_free(&out);
}

static void
test_addresses(void **state)
{
    (void)state;
    assert_true(xclient_is_address(VIEW("192.0.2.1")));
    assert_true(xclient_is_address(VIEW("2001:db8::1")));
    assert_false(xclient_is_address(VIEW("")));
    assert_false(xclient_is_address(VIEW("unknown")));
    assert_false(xclient_is_address(VIEW("192.0.2.1\0")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offers),    cmocka_unit_test(test_lines),
        cmocka_unit_test(test_forward),   cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_addresses),
    };

    return cmocka_run_group_tests_name("xclient", tests, NULL, NULL);
}
