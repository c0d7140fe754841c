/* SPDX-License-Identifier: ISC */
/*
 * Dictionaries: the shipped one is what it was, and a trained one holds what
 * is common to many and nothing that is one person's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "body.h"
#include "dictionary.h"

/* Text that looks like text and is different for each seed. */
static void
add_words(struct buf *out, unsigned seed, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        seed = seed * 1103515245u + 12345u;
        for (unsigned n = 3 + seed % 7, s = seed; n > 0; n--, s /= 5)
            buf_add_byte(out, (char)('a' + s % 26));
        buf_add_byte(out, i % 12 == 11 ? '\n' : ' ');
    }
}

/* Whose sample it is, and what is only in it. */
struct who {
    const char *sender;
    const char *recipient;
    const char *secret;
};

static void
add(struct dictionary_trainer *trainer, unsigned seed, const struct who *who)
{
    struct buf content = {0};

    buf_addf(&content,
             "MIME-Version: 1.0\r\nContent-Type: text/plain; "
             "charset=\"iso-8859-1\"\r\nContent-Transfer-Encoding: "
             "quoted-printable\r\nX-Mailer: Common Mailer of this house "
             "4.71.1712.3\r\n\r\n");
    /* Boilerplate of the house, from a shared stock. */
    add_words(&content, seed % 7, 150);
    buf_addf(&content, "\r\n%s\r\n", who->secret);
    add_words(&content, seed * 7919u + 1, 60);
    assert_true(dictionary_trainer_add(trainer, buf_view(&content),
                                       view_of(who->sender),
                                       view_of(who->recipient)));
    buf_free(&content);
}

static struct dictionary_trainer *
many_samples(const char *always)
{
    struct dictionary_trainer *trainer = dictionary_trainer_new();

    for (unsigned i = 0; i < 600; i++) {
        char sender[32], recipient[32], secret[80];
        struct who who = {sender, recipient, secret};

        snprintf(sender, sizeof(sender), "domain%u.example", i % 40);
        snprintf(recipient, sizeof(recipient), "user%u@example.com", i % 60);
        snprintf(secret, sizeof(secret), "%s PIN-%08u-%08u", always,
                 i * 2654435761u, ~i * 40503u);
        add(trainer, i, &who);
    }
    return trainer;
}

static bool
holds(const struct buf *dictionary, const char *text)
{
    return memmem(dictionary->data, dictionary->len, text, strlen(text)) !=
           NULL;
}

static void
test_the_shipped_one_never_changes(void **state)
{
    static const unsigned char want[BODY_DIGEST_LEN] = {
        0xd4, 0x4c, 0xdf, 0xbe, 0x84, 0xf3, 0xf4, 0x0c, 0xfe, 0x36, 0xc3,
        0x3f, 0x8d, 0x55, 0x16, 0x16, 0x95, 0xfc, 0xa1, 0x4c, 0x68, 0xa1,
        0x8d, 0x51, 0xfb, 0xf0, 0x8a, 0x8a, 0x8e, 0x17, 0xea, 0xe0};
    struct view shipped = dictionary_shipped();
    struct body_digest *digest = body_digest_new();
    char have[BODY_DIGEST_LEN];
    struct why why;

    (void)state;
    body_digest_add(digest, shipped);
    body_digest_end(&digest, have);
    assert_memory_equal(have, want, sizeof(want));
    assert_int_equal(body_use_dictionary(DICTIONARY_SHIPPED_ID, shipped, &why),
                     0);
    assert_int_equal(body_use_dictionary(2, shipped, &why), -1);
    assert_int_equal(body_use_dictionary(2, VIEW("no dictionary"), &why), -1);
}

static void
test_common_text_is_learned(void **state)
{
    struct dictionary_trainer *trainer = many_samples("");
    struct buf out = {0};
    struct why why = {0};

    (void)state;
    if (dictionary_trainer_finish(trainer, 40000, &out, &why) != 0)
        fail_msg("%s", why.text);
    assert_in_range(out.len, 1000, DICTIONARY_BYTES_MAX);
    assert_true(holds(&out, "Common Mailer of this house"));
    assert_int_equal(body_use_dictionary(40000, buf_view(&out), &why), 0);
    assert_int_equal(body_use_dictionary(40001, buf_view(&out), &why), -1);
    body_use_dictionary(0, (struct view){NULL, 0}, &why);
    dictionary_trainer_free(&trainer);
    buf_free(&out);
}

/* One of each kind of secret among many ordinary samples. */
static void
check_is_left_out(const char *secret, unsigned copies, unsigned senders,
                  unsigned recipients)
{
    struct dictionary_trainer *trainer = many_samples("");
    struct buf out = {0};
    struct why why = {0};

    for (unsigned i = 0; i < copies; i++) {
        char sender[32], recipient[32];
        struct who who = {sender, recipient, secret};

        snprintf(sender, sizeof(sender), "other%u.example", i % senders);
        snprintf(recipient, sizeof(recipient), "box%u@example.com",
                 i % recipients);
        add(trainer, 10000 + i, &who);
    }
    assert_int_equal(dictionary_trainer_finish(trainer, 40000, &out, &why), 0);
    for (size_t at = 0; at + 8 <= strlen(secret); at++) {
        char part[9];

        memcpy(part, secret + at, 8);
        part[8] = '\0';
        if (holds(&out, part))
            fail_msg("\"%s\" of a secret is in the dictionary", part);
    }
    dictionary_trainer_free(&trainer);
    buf_free(&out);
}

static void
test_nobodys_own_is_learned(void **state)
{
    static const char secret[] =
        "QXJ7-ZK99-WWV3-PLMT-0YHB-5512-KKQJ-9XZV-TTGH-1O0P";
    static const struct {
        unsigned copies, senders, recipients;
    } kinds[] = {
        {1, 1, 1},     /* a letter */
        {300, 1, 1},   /* the same again and again */
        {300, 1, 100}, /* a mailing of one sender */
        {300, 3, 100}, /* of three */
        {300, 100, 1}, /* one recipient's own, quoted by all who answer */
        {300, 100, 3}, {7, 7, 7}, /* fewer than it takes */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        check_is_left_out(secret, kinds[i].copies, kinds[i].senders,
                          kinds[i].recipients);
}

/* The same text is learned when it is everybody's: the test above can fail. */
static void
test_what_is_everybodys_is_learned(void **state)
{
    struct dictionary_trainer *trainer =
        many_samples("QXJ7-ZK99-WWV3-PLMT-0YHB-5512-KKQJ");
    struct buf out = {0};
    struct why why;

    (void)state;
    assert_int_equal(dictionary_trainer_finish(trainer, 40000, &out, &why), 0);
    assert_true(holds(&out, "WWV3-PLMT-0YHB"));
    assert_false(holds(&out, "PIN-2654435761"));
    dictionary_trainer_free(&trainer);
    buf_free(&out);
}

static void
test_too_little_is_refused(void **state)
{
    struct dictionary_trainer *trainer = dictionary_trainer_new();
    struct who who = {"one.example", "a@example.com", "x"};
    struct buf out = {0};
    struct why why;

    (void)state;
    assert_int_equal(dictionary_trainer_finish(trainer, 40000, &out, &why), -1);
    assert_non_null(strstr(why.text, "too few to learn from"));
    for (unsigned i = 0; i < 200; i++)
        add(trainer, i, &who);
    assert_int_equal(dictionary_trainer_finish(trainer, 40000, &out, &why), -1);
    assert_non_null(strstr(why.text, "too few senders"));
    assert_int_equal(out.len, 0);
    dictionary_trainer_free(&trainer);
}

static void
test_samples_are_bounded(void **state)
{
    struct dictionary_trainer *trainer = dictionary_trainer_new();
    char *big = calloc(1, 2 * DICTIONARY_SAMPLE_MAX);
    uint64_t taken = 0;

    (void)state;
    while (dictionary_trainer_add(trainer,
                                  (struct view){big, 2 * DICTIONARY_SAMPLE_MAX},
                                  VIEW("a.example"), VIEW("b@c.example")))
        taken += DICTIONARY_SAMPLE_MAX;
    assert_true(taken <= DICTIONARY_SAMPLES_BYTES);
    assert_true(taken > DICTIONARY_SAMPLES_BYTES - 2 * DICTIONARY_SAMPLE_MAX);
    dictionary_trainer_free(&trainer);
    free(big);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_shipped_one_never_changes),
        cmocka_unit_test(test_common_text_is_learned),
        cmocka_unit_test(test_nobodys_own_is_learned),
        cmocka_unit_test(test_what_is_everybodys_is_learned),
        cmocka_unit_test(test_too_little_is_refused),
        cmocka_unit_test(test_samples_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
