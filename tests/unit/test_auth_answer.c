/* SPDX-License-Identifier: ISC */
/* What an IMAP server's lines mean for a password, and what is sent to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth_answer.h"

static void
test_lines(void **state)
{
    static const struct {
        const char *line;
        enum auth_answer means;
    } rows[] = {
        {"* OK [CAPABILITY IMAP4rev1] ready", AUTH_ANSWER_GREETING},
        {"* ok", AUTH_ANSWER_GREETING},
        {"* BYE too busy", AUTH_ANSWER_BYE},
        {"* CAPABILITY IMAP4rev1", AUTH_ANSWER_OTHER},
        {"+ ", AUTH_ANSWER_GO_ON},
        {"+", AUTH_ANSWER_GO_ON},
        {"a3 OK [CAPABILITY x] Logged in", AUTH_ANSWER_OK},
        {"a3 NO [AUTHENTICATIONFAILED] Authentication failed.", AUTH_ANSWER_NO},
        {"a3 no", AUTH_ANSWER_NO},
        {"a3 NO [UNAVAILABLE] Temporary failure", AUTH_ANSWER_LATER},
        {"a3 NO [unavailable]", AUTH_ANSWER_LATER},
        {"a3 NO [LIMIT] too many", AUTH_ANSWER_LATER},
        {"a3 NO UNAVAILABLE", AUTH_ANSWER_NO},
        {"a3 BAD what", AUTH_ANSWER_LATER},
        {"a3 YES", AUTH_ANSWER_NONSENSE},
        /* Somebody else's tag is no answer. */
        {"a4 OK", AUTH_ANSWER_NONSENSE},
        {"a33 OK", AUTH_ANSWER_NONSENSE},
        {"220 mail.example.com ESMTP", AUTH_ANSWER_NONSENSE},
        {"*", AUTH_ANSWER_NONSENSE},
        {"", AUTH_ANSWER_NONSENSE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (auth_answer_parse(view_of(rows[i].line), VIEW("a3")) !=
            rows[i].means)
            fail_msg("%s", rows[i].line);
}

static void
test_abilities(void **state)
{
    struct auth_abilities can = {false};

    (void)state;
    auth_answer_abilities(VIEW("* CAPABILITY IMAP4rev1 LOGINDISABLED"), &can);
    assert_true(can.login_disabled && !can.plain && !can.starttls);
    auth_answer_abilities(
        VIEW("* OK [CAPABILITY STARTTLS AUTH=XPLAIN auth=plain] hello"), &can);
    assert_true(can.plain && can.starttls);
}

static void
test_said(void **state)
{
    struct buf out = {0};

    (void)state;
    auth_answer_plain(VIEW("tim"), VIEW("tanstaaftanstaaf"), &out);
    /* The example of RFC 4616 4. */
    assert_true(
        view_equal(buf_view(&out), VIEW("AHRpbQB0YW5zdGFhZnRhbnN0YWFm")));
    buf_reset(&out);
    auth_answer_plain(VIEW("a"), VIEW("b"), &out);
    assert_true(view_equal(buf_view(&out), VIEW("AGEAYg==")));
    buf_reset(&out);
    auth_answer_plain(VIEW("a"), VIEW("bc"), &out);
    assert_true(view_equal(buf_view(&out), VIEW("AGEAYmM=")));
    buf_reset(&out);
    assert_true(auth_answer_quote(VIEW("a\"b\\c d"), &out));
    assert_true(view_equal(buf_view(&out), VIEW("\"a\\\"b\\\\c d\"")));
    assert_false(auth_answer_quote(VIEW("a\r\nb LOGOUT"), &out));
    assert_false(auth_answer_quote(VIEW("a\0b"), &out));
    assert_false(auth_answer_quote(VIEW("\xc3\xa9"), &out));
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_abilities),
        cmocka_unit_test(test_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
