/* SPDX-License-Identifier: ISC */
/*
 * smtp_verb: command lines as a table; what is wrong names its reply.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsn_param.h"
#include "smtp_verb.h"

static void
assert_view(struct view have, const char *want)
{
    assert_int_equal(have.len, strlen(want));
    assert_memory_equal(have.data, want, have.len);
}

static const struct {
    const char *line;
    enum smtp_verb verb;
    const char *argument;
} words[] = {
    {"EHLO mx.example.org", VERB_EHLO, "mx.example.org"},
    {"ehlo [192.0.2.1]", VERB_EHLO, "[192.0.2.1]"},
    {"HeLo x  ", VERB_HELO, "x"},
    {"HELO\tx", VERB_HELO, "x"},
    {"DATA", VERB_DATA, ""},
    {"DATA ", VERB_DATA, ""},
    {"RSET", VERB_RSET, ""},
    {"QUIT", VERB_QUIT, ""},
    {"STARTTLS", VERB_STARTTLS, ""},
    {"NOOP", VERB_NOOP, ""},
    {"NOOP  are you there", VERB_NOOP, "are you there"},
    {"VRFY anna", VERB_VRFY, "anna"},
    {"EXPN list", VERB_EXPN, "list"},
    {"ETRN @example.com", VERB_ETRN, "@example.com"},
    {"HELP", VERB_HELP, ""},
    {"HELP MAIL", VERB_HELP, "MAIL"},
};

static void
test_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct smtp_command command;

        assert_int_equal(
            smtp_verb_parse(view_of(words[i].line), &command, NULL), 0);
        assert_int_equal(command.verb, words[i].verb);
        assert_view(command.argument, words[i].argument);
    }
}

static const struct {
    const char *line;
    enum smtp_verb verb;
    const char *path;
    uint64_t size;
    enum smtp_body body;
    bool has_size, smtputf8;
} paths[] = {
    {"MAIL FROM:<a@b>", VERB_MAIL, "a@b", 0, SMTP_BODY_7BIT, false, false},
    {"mail from:<>", VERB_MAIL, "", 0, SMTP_BODY_7BIT, false, false},
    {"MAIL FROM: <a@b> ", VERB_MAIL, "a@b", 0, SMTP_BODY_7BIT, false, false},
    {"MAIL   FROM:  <a@b>", VERB_MAIL, "a@b", 0, SMTP_BODY_7BIT, false, false},
    {"MAIL FROM:<a@b> SIZE=1000", VERB_MAIL, "a@b", 1000, SMTP_BODY_7BIT, true,
     false},
    {"MAIL FROM:<a@b> size=0  body=8bitmime smtputf8", VERB_MAIL, "a@b", 0,
     SMTP_BODY_8BITMIME, true, true},
    {"MAIL FROM:<a@b> BODY=7BIT", VERB_MAIL, "a@b", 0, SMTP_BODY_7BIT, false,
     false},
    {"MAIL FROM:<a@b> SIZE=99999999999999999999", VERB_MAIL, "a@b", UINT64_MAX,
     SMTP_BODY_7BIT, true, false},
    {"MAIL FROM:<\xc3\xa4@b> SMTPUTF8", VERB_MAIL, "\xc3\xa4@b", 0,
     SMTP_BODY_7BIT, false, true},
    {"RCPT TO:<a@b>", VERB_RCPT, "a@b", 0, SMTP_BODY_7BIT, false, false},
    {"rcpt to: <@x:a@b>", VERB_RCPT, "a@b", 0, SMTP_BODY_7BIT, false, false},
    {"RCPT TO:<\"a> b\"@c>", VERB_RCPT, "\"a> b\"@c", 0, SMTP_BODY_7BIT, false,
     false},
    {"RCPT TO:<Postmaster>", VERB_RCPT, "Postmaster", 0, SMTP_BODY_7BIT, false,
     false},
    {"RCPT TO:<\xc3\xa4@b>", VERB_RCPT, "\xc3\xa4@b", 0, SMTP_BODY_7BIT, false,
     false},
};

static void
test_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct smtp_command command;

        assert_int_equal(
            smtp_verb_parse(view_of(paths[i].line), &command, NULL), 0);
        assert_int_equal(command.verb, paths[i].verb);
        assert_view(command.path.text, paths[i].path);
        assert_int_equal(command.size, paths[i].size);
        assert_int_equal(command.has_size, paths[i].has_size);
        assert_int_equal(command.body, paths[i].body);
        assert_int_equal(command.smtputf8, paths[i].smtputf8);
    }
}

#define W(literal)                                                             \
    {                                                                          \
        literal, sizeof(literal) - 1                                           \
    }

static const struct {
    struct view line;
    enum smtp_verb verb;
    int code;
    const char *enhanced;
} bad[] = {
    {W(""), VERB_UNKNOWN, 500, "5.5.2"},
    {W(" NOOP"), VERB_UNKNOWN, 500, "5.5.2"},
    {W("FROB"), VERB_UNKNOWN, 500, "5.5.2"},
    {W("GET / HTTP/1.1"), VERB_UNKNOWN, 500, "5.5.2"},
    {W("MAILFROM:<a@b>"), VERB_UNKNOWN, 500, "5.5.2"},
    {W("NOOP\0"), VERB_UNKNOWN, 500, "5.5.2"},
    {W("NOOP\rRSET"), VERB_UNKNOWN, 500, "5.5.2"},
    {W("EHLO"), VERB_EHLO, 501, "5.5.4"},
    {W("EHLO a b"), VERB_EHLO, 501, "5.5.4"},
    {W("VRFY"), VERB_VRFY, 501, "5.5.4"},
    {W("DATA now"), VERB_DATA, 501, "5.5.4"},
    {W("RSET x"), VERB_RSET, 501, "5.5.4"},
    {W("QUIT x"), VERB_QUIT, 501, "5.5.4"},
    {W("STARTTLS x"), VERB_STARTTLS, 501, "5.5.4"},
    {W("MAIL"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL <a@b>"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL TO:<a@b>"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM :<a@b>"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:a@b"), VERB_MAIL, 501, "5.1.7"},
    {W("MAIL FROM:<a>"), VERB_MAIL, 501, "5.1.7"},
    {W("MAIL FROM:<postmaster>"), VERB_MAIL, 501, "5.1.7"},
    {W("MAIL FROM:<a@b>x"), VERB_MAIL, 501, "5.1.7"},
    {W("MAIL FROM:<a@b> SIZE="), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> SIZE"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> SIZE=-1"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> SIZE=1 SIZE=2"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> SIZE=999999999999999999999"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> BODY=BINARYMIME"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> BODY"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> SMTPUTF8=1"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> SMTPUTF8="), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> RET=ALL"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> RET=FULL RET=HDRS"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> ENVID="), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> ENVID=a=b"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> ENVID=a+0A"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> ENVID=a ENVID=a"), VERB_MAIL, 501, "5.5.4"},
    {W("MAIL FROM:<a@b> NOTIFY=NEVER"), VERB_MAIL, 555, "5.5.4"},
    {W("MAIL FROM:<a@b> x"), VERB_MAIL, 555, "5.5.4"},
    {W("MAIL FROM:<\xc3\xa4@b>"), VERB_MAIL, 553, "5.6.7"},
    {W("MAIL FROM:<\xc3@b> SMTPUTF8"), VERB_MAIL, 501, "5.1.7"},
    {W("RCPT TO:<>"), VERB_RCPT, 501, "5.1.3"},
    {W("RCPT TO:<a>"), VERB_RCPT, 501, "5.1.3"},
    {W("RCPT TO:a@b"), VERB_RCPT, 501, "5.1.3"},
    {W("RCPT TO:<a@b> SIZE=1"), VERB_RCPT, 555, "5.5.4"},
    {W("RCPT TO:<a@b> RET=FULL"), VERB_RCPT, 555, "5.5.4"},
    {W("RCPT TO:<a@b> NOTIFY=NEVER,DELAY"), VERB_RCPT, 501, "5.5.4"},
    {W("RCPT TO:<a@b> NOTIFY="), VERB_RCPT, 501, "5.5.4"},
    {W("RCPT TO:<a@b> NOTIFY"), VERB_RCPT, 501, "5.5.4"},
    {W("RCPT TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY"), VERB_RCPT, 501, "5.5.4"},
    {W("RCPT TO:<a@b> ORCPT=a@b"), VERB_RCPT, 501, "5.5.4"},
    {W("RCPT TO:<a@b> ORCPT=rfc822;a@b ORCPT=rfc822;a@b"), VERB_RCPT, 501,
     "5.5.4"},
};

static void
test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct smtp_command command;
        struct why why = {0};

        if (smtp_verb_parse(bad[i].line, &command, &why) == 0)
            fail_msg("accepted: %s", bad[i].line.data);
        assert_int_equal(command.verb, bad[i].verb);
        assert_int_equal(why.code, bad[i].code);
        assert_string_equal(why.enhanced, bad[i].enhanced);
        assert_true(why.text[0] != '\0');
    }
}

static void
test_dsn_parameters(void **state)
{
    struct smtp_command command;

    (void)state;
    assert_int_equal(
        smtp_verb_parse(VIEW("MAIL FROM:<a@b> ret=hdrs envid=QQ+3D1"), &command,
                        NULL),
        0);
    assert_int_equal(command.ret, DSN_RET_HDRS);
    assert_view(command.envid, "QQ+3D1");
    assert_int_equal(smtp_verb_parse(VIEW("RCPT TO:<a@b> ORCPT=rfc822;c@d "
                                          "NOTIFY=success,DELAY"),
                                     &command, NULL),
                     0);
    assert_int_equal(command.notify, DSN_NOTIFY_SUCCESS | DSN_NOTIFY_DELAY);
    assert_view(command.orcpt, "rfc822;c@d");
}

static void
test_names(void **state)
{
    (void)state;
    assert_string_equal(smtp_verb_name(VERB_STARTTLS), "STARTTLS");
    assert_string_equal(smtp_verb_name(VERB_UNKNOWN), "?");
    assert_string_equal(smtp_verb_name(VERB_COUNT), "?");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_bad),   cmocka_unit_test(test_dsn_parameters),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests_name("smtp_verb", tests, NULL, NULL);
}
