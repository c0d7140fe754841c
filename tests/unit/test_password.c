/* SPDX-License-Identifier: ISC */
/*
 * Hashes that others made (by Dovecot's doveadm pw, mkpasswd and Python) are
 * taken and verified, ours too; what is none, or too much work, is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "password.h"

static void
test_foreign(void **state)
{
    /* All of "secret". */
    static const char *const hashes[] = {
        "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=",
        "{SHA512}"
        "vSsar3708Jvp9Szi2NWZZ02Bqp1qRCFpbcTZPdBhnWgs5WtNZKnvCXdhztmeD2cmW192CF"
        "5bDufKRpayrW/isg==",
        "{SSHA}tGdh4j/HMMAFuuY8IEul3TcPg4OmpvKQ",
        "{SSHA256}f9lshaMQcFVUqLJo/1W4UhWmSIuajBXbzn1akonYn3WlCGs7",
        "{SSHA512}"
        "PQ8t5LZA7y9CxKp3fmus6EmbPaDmXJDDADIVYsGyuyk7pQEMBcL1vsrgtBN5lxI90nQPdx"
        "wsoWBx7drK3/d+umN7Sj0=",
        "{SHA512-CRYPT}$6$du722xW0qRKscdAy$DfKRjIBs5D/"
        "Jy3xzsHzmB0.Vh9i3PU5FcS6Yomz1nw6eNO1EVjb58QrkLcvxMoT2/"
        "brXc7bvQRs6vX5xDkc4g1",
        "{SHA256-CRYPT}$5$fHrCSdWi3Ul0PCQz$tBqFS6fTvJYiRtWWRCRxmM4MFd3MpcIzBw/"
        "es98xSY1",
        "{BLF-CRYPT}$2y$05$OOlcmzAFd.gYBLIGp7kbQ.8vIi/"
        "Inju5p87qs6sm4n4XJUXEJiJpm",
        "{MD5-CRYPT}$1$EHITyznt$l89rcdIPbkgdBOYbfjiH9.",
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$gGB2W/s0rgjZ1DLn+lY/"
        "bQ$ma9uuoSxbrMgf5WVT88Z5qCPH0pE7N9161nPuuGmbWA",
        "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$Y7IyPX1zIWQIT3G0w/"
        "vokw$4oxUGiJHm5lbqBCKb4lj4ZTP4ClWaoczEfAwFjQuBsQ",
        "{CRYPT}$2y$05$mKundg5B2aqfs5cLgnWD8eb5wOpoPsCtFZItw9eXxNOmwFQ16GbLy",
        "$y$j9T$abcdefgh12345678$5sAznj4WEIGgyua2AXu2NRSCMeWB3V6LpE45tV7hHM8",
        "$2b$05$aaaaaaaaaaaaaaaaaaaaaOjOHCcGZ1ZydhnG2lX11qSmiRJbsbsA.",
        "$1$saltsalt$9xy1btjgzLYfb7hivXtC//",
    };
    char hash[PASSWORD_HASH_MAX];
    struct why why;

    (void)state;
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        if (password_import(view_of(hashes[i]), hash, &why) != 0)
            fail_msg("%s: %s", hashes[i], why.text);
        assert_true(password_verify(view_of(hash), VIEW("secret")));
        assert_false(password_verify(view_of(hash), VIEW("Secret")));
        assert_false(password_verify(view_of(hash), VIEW("")));
        /* What a NUL follows is not the same. */
        assert_false(password_verify(view_of(hash), VIEW("secret\0x")));
    }
}

static void
test_refused(void **state)
{
    static const char *const hashes[] = {
        "",
        "secret",
        "{CRAM-MD5}c3e2c4ffd4f0e0c5",
        "{SSHA",
        "{SSHA}",
        "{SSHA}aGVsbG8=",
        "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQx",
        "{SHA512}!!!!",
        "$6$rounds=100000000$saltsalt$x",
        "$6$saltsalt$tooshort",
        "$2y$05$abcdefghijklmnopqrstuuTooShort",
        "$2y$31$abcdefghijklmnopqrstuv",
        "$y$zzT$salt$x",
        "$argon2id$v=19$m=4194304,t=3,p=1$c2FsdHNhbHQ$eHh4",
        "$7$whatever",
    };
    char hash[PASSWORD_HASH_MAX], text[PASSWORD_HASH_MAX + 10];
    struct why why;

    (void)state;
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        why.text[0] = '\0';
        assert_int_equal(password_import(view_of(hashes[i]), hash, &why), -1);
        assert_true(why.text[0] != '\0');
        assert_false(password_verify(view_of(hashes[i]), VIEW("secret")));
    }
    memset(text, 'x', sizeof(text));
    memcpy(text, "$6$", 3);
    assert_int_equal(
        password_import((struct view){text, sizeof(text)}, hash, &why), -1);
}

static void
test_ours(void **state)
{
    char hash[PASSWORD_HASH_MAX], other[PASSWORD_HASH_MAX];
    static const char text[PASSWORD_MAX + 1] = "x";
    struct why why;

    (void)state;
    assert_int_equal(password_hash(VIEW("secret"), hash, &why), 0);
    assert_int_equal(password_hash(VIEW("secret"), other, &why), 0);
    assert_string_not_equal(hash, other);
    assert_true(password_verify(view_of(hash), VIEW("secret")));
    assert_true(password_is_current(view_of(hash)));
    assert_false(password_is_current(VIEW("$6$x$y")));
    assert_int_equal(password_import(VIEW("{PLAIN}secret"), other, &why), 0);
    assert_true(password_is_current(view_of(other)));
    assert_true(password_verify(view_of(other), VIEW("secret")));
    assert_int_equal(
        password_hash((struct view){text, sizeof(text)}, hash, &why), -1);
    assert_false(password_verify_nobody(VIEW("secret")));
}

static void
test_lines(void **state)
{
    static const struct {
        const char *line;
        int got;
        const char *name, *hash;
    } rows[] = {
        {"anna@example.com:{SSHA}abc:1000:1000::/home/anna::x=y", 1,
         "anna@example.com", "{SSHA}abc"},
        {"anna:$6$salt$hash:19000:0:99999:7:::", 1, "anna", "$6$salt$hash"},
        {"anna:{PLAIN}x\r", 1, "anna", "{PLAIN}x"},
        {"daemon:*:19000:0:99999:7:::", 0, NULL, NULL},
        {"anna:!$6$salt$hash:19000:0:99999:7:::", 0, NULL, NULL},
        {"anna::19000", 0, NULL, NULL},
        {"anna:x:1000:1000", 0, NULL, NULL},
        {"# nobody", 0, NULL, NULL},
        {"", 0, NULL, NULL},
        {"anna", -1, NULL, NULL},
        {":x", -1, NULL, NULL},
    };
    struct password_line line;
    struct why why;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(
            password_line_parse(view_of(rows[i].line), &line, &why),
            rows[i].got);
        if (rows[i].got != 1)
            continue;
        assert_true(view_equal(line.name, view_of(rows[i].name)));
        assert_true(view_equal(line.hash, view_of(rows[i].hash)));
    }
}

static void
test_codes(void **state)
{
    char one[PASSWORD_CODE_TEXT], two[PASSWORD_CODE_TEXT];
    char hash[PASSWORD_CODE_HASH], again[PASSWORD_CODE_HASH];
    char typed[PASSWORD_CODE_TEXT];
    size_t len = 0;

    (void)state;
    password_code_make(one);
    password_code_make(two);
    assert_int_equal(strlen(one), 19);
    assert_string_not_equal(one, two);
    assert_int_equal(password_code_hash(view_of(one), hash), 0);
    for (const char *c = one; *c != '\0'; c++)
        if (*c != '-')
            typed[len++] = *c >= 'a' ? (char)(*c - 'a' + 'A') : *c;
    assert_int_equal(password_code_hash((struct view){typed, len}, again), 0);
    assert_memory_equal(hash, again, sizeof(hash));
    assert_int_equal(password_code_hash(view_of(two), again), 0);
    assert_memory_not_equal(hash, again, sizeof(hash));
    assert_int_equal(password_code_hash(VIEW("secret"), again), -1);
    assert_int_equal(password_code_hash(VIEW("k7qd-m2xw-9f4h-c3rtx"), again),
                     -1);
    assert_int_equal(password_code_hash(VIEW("k7qd-m2xw-9f4h-c3r0"), again),
                     -1);
}

static void
test_tokens(void **state)
{
    char one[PASSWORD_TOKEN], two[PASSWORD_TOKEN];

    (void)state;
    password_token(VIEW("anna"), VIEW("secret"), one);
    password_token(VIEW("anna"), VIEW("secret"), two);
    assert_memory_equal(one, two, sizeof(one));
    password_token(VIEW("annas"), VIEW("ecret"), two);
    assert_memory_not_equal(one, two, sizeof(one));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_foreign), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_ours),    cmocka_unit_test(test_lines),
        cmocka_unit_test(test_codes),   cmocka_unit_test(test_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
