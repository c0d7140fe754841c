/* SPDX-License-Identifier: ISC */
/* Replies of servers, each case fed whole and in pieces of 1, 2, 3 bytes. */
#include "smtp_reply.h"
#include "xclient.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>

#include <cmocka.h>

struct reply_case {
    const char *name;
    const char *input;
    enum got got;
    int code;
    size_t n_lines;
    const char *print;
    const char *rest; /* not taken */
};

static const struct reply_case cases[] = {
    {"one line", "250 2.0.0 Ok\r\n", GOT_ONE, 250, 1, "2.0.0 Ok", ""},
    {"code alone", "354\r\n", GOT_ONE, 354, 1, "", ""},
    {"code and blank", "354 \r\n", GOT_ONE, 354, 1, "", ""},
    {"two replies", "250 a\r\n451 b\r\n", GOT_ONE, 250, 1, "a", "451 b\r\n"},
    {"lines", "250-mx\r\n250-SIZE 10\r\n250 HELP\r\n", GOT_ONE, 250, 3,
     "mx SIZE 10 HELP", ""},
    {"bare more", "250-\r\n250 end\r\n", GOT_ONE, 250, 2, "end", ""},
    {"same status on each line", "550-5.1.1 No such\r\n550 5.1.1 user\r\n",
     GOT_ONE, 550, 2, "5.1.1 No such user", ""},
    {"not its class", "550-4.1.1 No such\r\n550 4.1.1 user\r\n", GOT_ONE, 550,
     2, "4.1.1 No such 4.1.1 user", ""},
    {"odd bytes", "550 a\tb\033[2J\303\251\r\n", GOT_ONE, 550, 1, "a?b?[2J??",
     ""},
    {"bare CR is text", "250 a\rb\r\n", GOT_ONE, 250, 1, "a?b", ""},
    {"not yet", "250-a\r\n250", GOT_MORE, 250, 1, "", "250"},
    {"nothing", "", GOT_MORE, 0, 0, "", ""},
    {"bare LF", "250 a\n", GOT_BAD, 0, 0, "", ""},
    {"two codes", "250-a\r\n251 b\r\n", GOT_BAD, 0, 0, "", ""},
    {"no code", "hello\r\n", GOT_BAD, 0, 0, "", ""},
    {"too low", "150 a\r\n", GOT_BAD, 0, 0, "", ""},
    {"too high", "650 a\r\n", GOT_BAD, 0, 0, "", ""},
    {"four digits", "2500 a\r\n", GOT_BAD, 0, 0, "", ""},
    {"two digits", "25\r\n", GOT_BAD, 0, 0, "", ""},
    {"empty line", "\r\n", GOT_BAD, 0, 0, "", ""},
    {"a web server", "HTTP/1.1 400 Bad Request\r\n", GOT_BAD, 0, 0, "", ""},
};

/* Feeds input in steps; what is left at the end goes to *rest. */
static enum got
feed(struct smtp_reply *reply, struct view input, size_t step,
     struct view *rest)
{
    size_t from = 0, to = 0, taken;
    enum got got = GOT_MORE;
    struct why why;

    while (got == GOT_MORE && to < input.len) {
        to = to + step < input.len ? to + step : input.len;
        got = smtp_reply_take(
            reply, (struct view){input.data + from, to - from}, &taken, &why);
        from += taken;
        assert_true(from <= to);
    }
    *rest = view_skip(input, from);
    return got;
}

static void
check(const struct reply_case *c, size_t step)
{
    struct smtp_reply reply = {0};
    struct buf print = {0};
    struct view rest;
    enum got got = feed(&reply, view_of(c->input), step, &rest);

    if (got != c->got)
        fail_msg("%s, step %zu: got %d", c->name, step, (int)got);
    if (got == GOT_ONE || got == GOT_MORE) {
        assert_int_equal(reply.code, c->code);
        assert_int_equal(reply.n_lines, c->n_lines);
        assert_int_equal(rest.len, strlen(c->rest));
    }
    if (got == GOT_ONE) {
        smtp_reply_print(&reply, &print);
        buf_add_byte(&print, 0);
        assert_string_equal(print.data, c->print);
    }
    buf_free(&print);
    smtp_reply_free(&reply);
}

static void
test_cases(void **state)
{
    static const size_t steps[] = {1, 2, 3, SIZE_MAX / 2};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++)
            check(&cases[i], steps[s]);
}

static void
test_one_after_the_other(void **state)
{
    struct smtp_reply reply = {0};
    struct view input = VIEW("250-a\r\n250 b\r\n550 c\r\n"), rest;

    (void)state;
    assert_int_equal(feed(&reply, input, 1000, &rest), GOT_ONE);
    assert_int_equal(reply.n_lines, 2);
    assert_int_equal(feed(&reply, rest, 1000, &rest), GOT_ONE);
    assert_int_equal(reply.code, 550);
    assert_int_equal(reply.n_lines, 1);
    assert_int_equal(rest.len, 0);
    smtp_reply_free(&reply);
}

static void
test_limits(void **state)
{
    struct smtp_reply reply = {0};
    struct buf input = {0};
    struct view rest;

    (void)state;
    /* The longest line that is taken, and one byte more. */
    buf_addf(&input, "250 %*s\r\n", SMTP_REPLY_LINE_MAX - 6, "x");
    assert_int_equal(feed(&reply, buf_view(&input), 100, &rest), GOT_ONE);
    smtp_reply_free(&reply);
    buf_reset(&input);
    buf_addf(&input, "250 %*s\r\n", SMTP_REPLY_LINE_MAX - 5, "x");
    assert_int_equal(feed(&reply, buf_view(&input), 100, &rest), GOT_TOOBIG);
    smtp_reply_free(&reply);

    buf_reset(&input);
    for (int i = 1; i < SMTP_REPLY_LINES_MAX; i++)
        buf_add_text(&input, "250-a\r\n");
    buf_add_text(&input, "250 a\r\n");
    assert_int_equal(feed(&reply, buf_view(&input), 100, &rest), GOT_ONE);
    assert_int_equal(reply.n_lines, SMTP_REPLY_LINES_MAX);
    smtp_reply_free(&reply);
    buf_reset(&input);
    for (int i = 0; i <= SMTP_REPLY_LINES_MAX; i++)
        buf_add_text(&input, "250-a\r\n");
    assert_int_equal(feed(&reply, buf_view(&input), 100, &rest), GOT_TOOBIG);
    smtp_reply_free(&reply);
    buf_free(&input);
}

static void
test_print_is_cut(void **state)
{
    struct smtp_reply reply = {0};
    struct buf input = {0}, print = {0};
    struct view rest;

    (void)state;
    for (int i = 0; i < 50; i++)
        buf_add_text(&input, "550-twenty bytes of text\r\n");
    buf_add_text(&input, "550 end\r\n");
    assert_int_equal(feed(&reply, buf_view(&input), 100, &rest), GOT_ONE);
    smtp_reply_print(&reply, &print);
    assert_int_equal(print.len, SMTP_REPLY_PRINT_MAX);
    smtp_reply_free(&reply);
    buf_free(&input);
    buf_free(&print);
}

static void
test_enhanced(void **state)
{
    static const struct {
        int code;
        const char *text;
        const char *want;
    } rows[] = {
        {550, "5.1.1 no", "5.1.1"},
        {550, "5.1.1", "5.1.1"},
        {250, "2.123.456 a", "2.123.456"},
        {550, "4.1.1 no", ""},
        {550, "5.1.1x no", ""},
        {550, "5.1. no", ""},
        {550, "5..1 no", ""},
        {550, "5.1", ""},
        {550, "5.1234.1 no", ""},
        {550, "5.1.1234 no", ""},
        {550, "", ""},
        {550, "no such user", ""},
        {451, "4.7.1 Greylisted", "4.7.1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(
            view_equal(smtp_reply_enhanced(rows[i].code, view_of(rows[i].text)),
                       view_of(rows[i].want)));
}

static void
test_offers(void **state)
{
    static const struct {
        const char *input;
        unsigned flags;
        uint64_t size_max;
    } rows[] = {
        {"250 mx\r\n", 0, 0},
        {"250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8bitmime\r\n"
         "250-StartTLS\r\n250 SMTPUTF8\r\n",
         SMTP_OFFER_PIPELINING | SMTP_OFFER_SIZE | SMTP_OFFER_8BITMIME |
             SMTP_OFFER_STARTTLS | SMTP_OFFER_SMTPUTF8,
         1000},
        {"250-PIPELINING\r\n250 SIZE\r\n", SMTP_OFFER_SIZE, 0},
        {"250-mx\r\n250 SIZE much\r\n", SMTP_OFFER_SIZE, 0},
        {"250-mx\r\n250-SIZE 0\r\n250 PIPELININGX\r\n", SMTP_OFFER_SIZE, 0},
        {"250-mx\r\n250 SIZE 99999999999999999999\r\n", SMTP_OFFER_SIZE, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_reply reply = {0};
        struct smtp_offers offers;
        struct view rest;

        assert_int_equal(feed(&reply, view_of(rows[i].input), 1000, &rest),
                         GOT_ONE);
        smtp_offers_read(&reply, &offers);
        assert_int_equal(offers.flags, rows[i].flags);
        assert_int_equal(offers.size_max, rows[i].size_max);
        smtp_reply_free(&reply);
    }
}

/* Of stanzas that take words: the words, or none where they make no sense. */
static void
test_offers_with_words(void **state)
{
    static const struct {
        const char *line;
        unsigned xclient, xforward;
        uint64_t mail_max, rcpt_max, rcpt_domain_max;
    } rows[] = {
        {"LIMITS MAILMAX=5 RCPTMAX=20 RCPTDOMAINMAX=1", 0, 0, 5, 20, 1},
        {"limits  rcptmax=20 OTHER=7  mailmax=", 0, 0, 0, 20, 0},
        {"LIMITS RCPTMAX=0 MAILMAX=x RCPTDOMAINMAX=1000000", 0, 0, 0, 0, 0},
        {"LIMITS", 0, 0, 0, 0, 0},
        {"XCLIENT ADDR NAME", XCLIENT_ADDR | XCLIENT_NAME, 0, 0, 0, 0},
        {"XFORWARD ADDR IDENT", 0, XCLIENT_ADDR | XCLIENT_IDENT, 0, 0, 0},
        {"XCLIENTS ADDR", 0, 0, 0, 0, 0},
        {"XCLIENT", 0, 0, 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_reply reply = {0};
        struct smtp_offers offers;
        struct view rest;
        char text[200];

        snprintf(text, sizeof(text), "250-mx\r\n250 %s\r\n", rows[i].line);
        assert_int_equal(feed(&reply, view_of(text), 1000, &rest), GOT_ONE);
        smtp_offers_read(&reply, &offers);
        assert_int_equal(offers.xclient, rows[i].xclient);
        assert_int_equal(offers.xforward, rows[i].xforward);
        assert_int_equal(offers.mail_max, rows[i].mail_max);
        assert_int_equal(offers.rcpt_max, rows[i].rcpt_max);
        assert_int_equal(offers.rcpt_domain_max, rows[i].rcpt_domain_max);
        smtp_reply_free(&reply);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_print_is_cut),
        cmocka_unit_test(test_enhanced),
        cmocka_unit_test(test_offers),
        cmocka_unit_test(test_offers_with_words),
    };

    return cmocka_run_group_tests_name("smtp_reply", tests, NULL, NULL);
}
