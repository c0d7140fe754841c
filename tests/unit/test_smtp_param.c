/* SPDX-License-Identifier: ISC */
/*
 * smtp_param: a parameter goes out where it is offered and the message has a
 * use for it, and nowhere else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsn_param.h"
#include "smtp_param.h"

#define ALL 0xffffu

static const struct {
    unsigned flags; /* of the offers */
    struct message message;
    const char *params;
} mails[] = {
    {0, {.flags = MESSAGE_8BIT | MESSAGE_UTF8, .size = 9, .ret = 1}, ""},
    {ALL, {.size = 9}, " SIZE=9"},
    {SMTP_OFFER_8BITMIME, {.flags = MESSAGE_8BIT}, " BODY=8BITMIME"},
    {SMTP_OFFER_8BITMIME, {.flags = MESSAGE_UTF8}, ""},
    {SMTP_OFFER_SMTPUTF8, {.flags = MESSAGE_UTF8}, " SMTPUTF8"},
    {SMTP_OFFER_SMTPUTF8, {.flags = MESSAGE_8BIT}, ""},
    {SMTP_OFFER_DSN, {.ret = DSN_RET_HDRS}, " RET=HDRS"},
    {SMTP_OFFER_DSN, {.envid = {"a+2Bb", 5}}, " ENVID=a+2Bb"},
    {ALL & ~(unsigned)SMTP_OFFER_DSN,
     {.ret = DSN_RET_HDRS, .envid = {"a", 1}},
     " SIZE=0"},
    {ALL,
     {.flags = MESSAGE_8BIT | MESSAGE_UTF8,
      .size = 12345,
      .ret = DSN_RET_FULL,
      .envid = {"x", 1}},
     " SIZE=12345 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=x"},
};

static void
test_mail(void **state)
{
    struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(mails) / sizeof(mails[0]); i++) {
        struct smtp_offers offers = {.flags = mails[i].flags};

        buf_reset(&out);
        smtp_param_mail(&mails[i].message, &offers, &out);
        buf_add_byte(&out, '\0');
        assert_string_equal(out.data, mails[i].params);
    }
    buf_free(&out);
}

static const struct {
    unsigned flags;
    struct delivery delivery;
    const char *params;
} rcpts[] = {
    {ALL, {.notify = 0}, ""},
    {SMTP_OFFER_DSN, {.notify = DSN_NOTIFY_NEVER}, " NOTIFY=NEVER"},
    {SMTP_OFFER_DSN,
     {.notify = DSN_NOTIFY_SUCCESS | DSN_NOTIFY_DELAY,
      .orcpt = {"rfc822;a@b", 10}},
     " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b"},
    {ALL, {.orcpt = {"utf-8;\xc3\xa4@b", 10}}, " ORCPT=utf-8;\xc3\xa4@b"},
    {SMTP_OFFER_DSN,
     {.orcpt = {"utf-8;\xc3\xa4@b", 10}},
     " ORCPT=utf-8;\\x{E4}@b"},
    {ALL & ~(unsigned)SMTP_OFFER_DSN,
     {.notify = DSN_NOTIFY_NEVER, .orcpt = {"rfc822;a@b", 10}},
     ""},
};

static void
test_rcpt(void **state)
{
    struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rcpts) / sizeof(rcpts[0]); i++) {
        struct smtp_offers offers = {.flags = rcpts[i].flags};

        buf_reset(&out);
        smtp_param_rcpt(&rcpts[i].delivery, &offers, &out);
        buf_add_byte(&out, '\0');
        assert_string_equal(out.data, rcpts[i].params);
    }
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail),
        cmocka_unit_test(test_rcpt),
    };

    return cmocka_run_group_tests_name("smtp_param", tests, NULL, NULL);
}
