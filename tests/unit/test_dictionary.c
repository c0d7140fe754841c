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

/* A text with a number in it, and its NUL. */
static void
add_number(struct buf *out, const char *text, unsigned n)
{
    const char *mark = strstr(text, "%u");

    if (mark == NULL)
        buf_addf(out, "%s", text);
    else
        buf_addf(out, "%.*s%u%s", (int)(mark - text), text, n, mark + 2);
    buf_add_byte(out, '\0');
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
        0xa5, 0x6a, 0x19, 0xc0, 0x1e, 0x80, 0x84, 0x01, 0x5b, 0xb4, 0x1e,
        0xf2, 0x35, 0x0e, 0x7c, 0x40, 0x98, 0x53, 0x17, 0x32, 0xd7, 0x83,
        0x1f, 0x12, 0x1b, 0xa0, 0x88, 0xd1, 0x5e, 0x70, 0x2a, 0x58};
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

/* How many strings of 8 bytes of it the dictionary has. */
static size_t
count_parts(const struct buf *dictionary, const char *text)
{
    size_t n = 0;

    for (size_t at = 0; at + 8 <= strlen(text); at++)
        n += memmem(dictionary->data, dictionary->len, text + at, 8) != NULL;
    return n;
}

/* A text with a secret, of so many, among many ordinary samples. */
static void
check_is_left_out(const char *secret, const char *text, unsigned copies,
                  unsigned senders, unsigned recipients)
{
    struct dictionary_trainer *trainer = many_samples("");
    struct buf out = {0};
    struct why why = {0};

    for (unsigned i = 0; i < copies; i++) {
        char sender[32], recipient[32];
        struct who who = {sender, recipient, text};

        snprintf(sender, sizeof(sender), "other%u.example", i % senders);
        snprintf(recipient, sizeof(recipient), "box%u@example.com",
                 i % recipients);
        add(trainer, 10000 + i, &who);
    }
    assert_int_equal(dictionary_trainer_finish(trainer, 40000, &out, &why), 0);
    assert_int_equal(count_parts(&out, secret), 0);
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
        check_is_left_out(secret, secret, kinds[i].copies, kinds[i].senders,
                          kinds[i].recipients);
}

/* Ten times in a letter is once. */
static void
test_a_letter_counts_once(void **state)
{
    struct buf often = {0};

    (void)state;
    for (int i = 0; i < 10; i++)
        buf_addf(&often, "NMBV-7731-QQAZ-0PLK-%d\r\n", i);
    buf_add_byte(&often, '\0');
    check_is_left_out("NMBV-7731-QQAZ-0PLK", often.data, 7, 7, 7);
    buf_free(&often);
}

/* One person under four names is one. */
static void
test_one_by_many_names_is_one(void **state)
{
    static const char secret[] = "RSV4-77QX-MMNP-0Z2B-YTRE-81LK";
    static const char *const names[][2] = {
        {"news%u.owner.example", "box%u@example.com"},
        {"other%u.example", "me+%u@example.com"},
    };

    (void)state;
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        struct dictionary_trainer *trainer = many_samples("");
        struct buf out = {0};
        struct why why = {0};

        for (unsigned i = 0; i < 200; i++) {
            struct buf sender = {0}, recipient = {0};

            add_number(&sender, names[k][0], i % 50);
            add_number(&recipient, names[k][1], i % 60);
            add(trainer, 20000 + i,
                &(struct who){sender.data, recipient.data, secret});
            buf_free(&sender);
            buf_free(&recipient);
        }
        assert_int_equal(dictionary_trainer_finish(trainer, 40000, &out, &why),
                         0);
        assert_false(holds(&out, "MMNP-0Z2B"));
        dictionary_trainer_free(&trainer);
        buf_free(&out);
    }
}

/* That two common texts follow each other is one letter's own. */
static void
test_common_texts_are_not_joined(void **state)
{
    static const char *const firsts[] = {
        "To Mrs Abigail Fortescue of Bath,", "To Mr Bartholomew Quint, Leeds,",
        "To Dr Cornelia Vandermeer, York,", "To Ms Drusilla Pemberton, Ely,"};
    static const char *const seconds[] = {
        "malaria is what your test showed.", "debts of yours go to the court!",
        "auction of your house on Monday.", "school: your son has left it..."};
    struct dictionary_trainer *trainer = many_samples("");
    struct buf out = {0};
    struct why why = {0};

    (void)state;
    for (unsigned i = 0; i < 160; i++) {
        struct buf sender = {0}, recipient = {0}, own = {0};
        /* 0 with 0 in one message only. */
        unsigned first = i % 4, second = i == 0 ? 0 : (i + 1) % 4;

        add_number(&sender, "third%u.example", i % 50);
        add_number(&recipient, "box%u@example.com", i % 60);
        buf_addf(&own, "%s %s", firsts[first], seconds[second]);
        buf_add_byte(&own, '\0');
        add(trainer, 30000 + i,
            &(struct who){sender.data, recipient.data, own.data});
        buf_free(&sender);
        buf_free(&recipient);
        buf_free(&own);
    }
    assert_int_equal(dictionary_trainer_finish(trainer, 40000, &out, &why), 0);
    assert_true(holds(&out, "Abigail Fortescue"));
    assert_true(holds(&out, "malaria is what your"));
    assert_true(holds(&out, "th, debt"));
    assert_false(holds(&out, "th, mala"));
    dictionary_trainer_free(&trainer);
    buf_free(&out);
}

/* The same text is learned when it is everybody's: the test above can fail. */
static void
test_what_is_everybodys_is_learned(void **state)
{
    static const char text[] = "QXJ7-ZK99-WWV3-PLMT-0YHB-5512-KKQJ";
    struct dictionary_trainer *trainer = many_samples(text);
    struct buf out = {0};
    struct why why;

    (void)state;
    assert_int_equal(dictionary_trainer_finish(trainer, 40000, &out, &why), 0);
    assert_in_range(count_parts(&out, text), 15, strlen(text));
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
    dictionary_trainer_thin(trainer);
    for (uint64_t n = taken / DICTIONARY_SAMPLE_MAX / 2; n > 0; n--)
        assert_true(dictionary_trainer_add(
            trainer, (struct view){big, DICTIONARY_SAMPLE_MAX},
            VIEW("a.example"), VIEW("b@c.example")));
    assert_false(dictionary_trainer_add(
        trainer, (struct view){big, DICTIONARY_SAMPLE_MAX}, VIEW("a.example"),
        VIEW("b@c.example")));
    dictionary_trainer_free(&trainer);
    free(big);
}

/* What stays when every second one goes: the last eight of the first, third,
 * ... are as they were. */
static void
test_thinned_samples_are_whole(void **state)
{
    struct dictionary_trainer *trainer = many_samples("");
    struct buf out = {0};
    struct why why = {0};

    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        struct buf sender = {0}, recipient = {0};

        add_number(&sender, "last%u.example", i / 2);
        add_number(&recipient, "last%u@example.com", i / 2);
        add(trainer, 40000 + i,
            &(struct who){sender.data, recipient.data,
                          i % 2 == 0 ? "WVUT-SRQP-ONML-KJIH"
                                     : "0918-2736-4554-6372"});
        buf_free(&sender);
        buf_free(&recipient);
    }
    dictionary_trainer_thin(trainer);
    assert_int_equal(dictionary_trainer_finish(trainer, 40000, &out, &why), 0);
    assert_true(holds(&out, "SRQP-ONML"));
    assert_false(holds(&out, "2736-4554"));
    for (int i = 0; i < 3; i++)
        dictionary_trainer_thin(trainer);
    assert_int_equal(dictionary_trainer_finish(trainer, 40000, &out, &why), -1);
    assert_non_null(strstr(why.text, "too few to learn from"));
    dictionary_trainer_free(&trainer);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_shipped_one_never_changes),
        cmocka_unit_test(test_common_text_is_learned),
        cmocka_unit_test(test_nobodys_own_is_learned),
        cmocka_unit_test(test_a_letter_counts_once),
        cmocka_unit_test(test_one_by_many_names_is_one),
        cmocka_unit_test(test_common_texts_are_not_joined),
        cmocka_unit_test(test_what_is_everybodys_is_learned),
        cmocka_unit_test(test_too_little_is_refused),
        cmocka_unit_test(test_samples_are_bounded),
        cmocka_unit_test(test_thinned_samples_are_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
