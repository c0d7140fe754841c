/* SPDX-License-Identifier: ISC */
/*
 * dsn_param and xtext: what a sender may ask for, and the forms it travels
 * in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsn_param.h"
#include "xtext.h"

static const struct {
    const char *text;
    uint64_t value; /* 0: refused */
    const char *print;
} notifies[] = {
    {"NEVER", DSN_NOTIFY_NEVER, "NEVER"},
    {"success", DSN_NOTIFY_SUCCESS, "SUCCESS"},
    {"DELAY,FAILURE", DSN_NOTIFY_FAILURE | DSN_NOTIFY_DELAY, "FAILURE,DELAY"},
    {"FAILURE,SUCCESS,DELAY",
     DSN_NOTIFY_SUCCESS | DSN_NOTIFY_FAILURE | DSN_NOTIFY_DELAY,
     "SUCCESS,FAILURE,DELAY"},
    {"", 0, ""},
    {",", 0, ""},
    {"SUCCESS,", 0, ""},
    {"SUCCESS, DELAY", 0, ""},
    {"DELAY,DELAY", 0, ""},
    {"NEVER,SUCCESS", 0, ""},
    {"SOON", 0, ""},
};

static void
test_notify(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(notifies) / sizeof(notifies[0]); i++) {
        struct buf out = {0};
        uint64_t value = 0;
        int rc = dsn_notify_parse(view_of(notifies[i].text), &value);

        assert_int_equal(rc, notifies[i].value != 0 ? 0 : -1);
        dsn_notify_print(value, &out);
        assert_true(view_equal(buf_view(&out), view_of(notifies[i].print)));
        buf_free(&out);
    }
}

static void
test_numbers(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 20; n++)
        assert_int_equal(dsn_notify_is_valid(n),
                         n <= 1 || (n < 16 && n % 2 == 0));
    assert_string_equal(dsn_ret_name(DSN_RET_FULL), "FULL");
    assert_string_equal(dsn_ret_name(0), "");
    assert_string_equal(dsn_ret_name(3), "");
}

static const struct {
    const char *text;
    bool envid;
    bool orcpt;
} values[] = {
    {"", false, false},
    {"QQ314159", true, false},
    {"a+2Bb+3D+20", true, false},
    {"a+2b", true, false},
    {"a+0D+0A", false, false},
    {"a+C3+A4", false, false},
    {"a+2", false, false},
    {"a+GG", false, false},
    {"a=b", false, false},
    {"a b", false, false},
    {"rfc822;anna@example.com", true, true},
    {"rfc822;an+2Bna@example.com", true, true},
    {"rfc822;an+0Ana@example.com", false, false},
    {"rfc822;", true, false},
    {";anna@example.com", true, false},
    {"rfc(822);anna@example.com", true, false},
    {"utf-8;\xc3\xa4@example.com", false, true},
    {"UTF-8;\\x{E4}@example.com", true, true},
    {"utf-8;\xc3@example.com", false, false},
    {"rfc822;\xc3\xa4@example.com", false, false},
};

static void
test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        if (dsn_envid_is_valid(view_of(values[i].text)) != values[i].envid)
            fail_msg("as ENVID: %s", values[i].text);
        if (dsn_orcpt_is_valid(view_of(values[i].text)) != values[i].orcpt)
            fail_msg("as ORCPT: %s", values[i].text);
    }
}

static void
test_lengths(void **state)
{
    char text[DSN_ORCPT_MAX + 2];

    (void)state;
    memset(text, 'a', sizeof(text));
    text[1] = ';';
    assert_true(dsn_envid_is_valid((struct view){text, DSN_ENVID_MAX}));
    assert_false(dsn_envid_is_valid((struct view){text, DSN_ENVID_MAX + 1}));
    assert_true(dsn_orcpt_is_valid((struct view){text, DSN_ORCPT_MAX}));
    assert_false(dsn_orcpt_is_valid((struct view){text, DSN_ORCPT_MAX + 1}));
}

static void
test_xtext(void **state)
{
    struct view bytes = VIEW("a+b=c d\r\n\xc3\xa4\0~");
    struct buf out = {0}, back = {0};

    (void)state;
    xtext_encode(bytes, &out);
    assert_true(
        view_equal(buf_view(&out), VIEW("a+2Bb+3Dc+20d+0D+0A+C3+A4+00~")));
    assert_int_equal(xtext_decode(buf_view(&out), &back), 0);
    assert_true(view_equal(buf_view(&back), bytes));
    assert_int_equal(xtext_decode(VIEW("x+4"), &back), -1);
    assert_true(view_equal(buf_view(&back), bytes));
    buf_free(&out);
    buf_free(&back);
}

static void
test_to_ascii(void **state)
{
    struct buf out = {0};

    (void)state;
    dsn_orcpt_to_ascii(VIEW("utf-8;\xc3\xa4+2B\xe2\x82\xac@x"), &out);
    assert_true(
        view_equal(buf_view(&out), VIEW("utf-8;\\x{E4}+2B\\x{20AC}@x")));
    assert_true(dsn_orcpt_is_valid(buf_view(&out)));
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notify), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_values), cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_xtext),  cmocka_unit_test(test_to_ascii),
    };

    return cmocka_run_group_tests_name("dsn_param", tests, NULL, NULL);
}
