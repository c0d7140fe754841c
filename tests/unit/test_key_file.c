/* SPDX-License-Identifier: ISC */
/* The key file: printed, read, locked, changed, and what is wrong in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "key_file.h"

#define T0 UINT64_C(1750000000000)

static void
assert_same(const struct key_file *a, const struct key_file *b)
{
    assert_int_equal(a->n_pairs, b->n_pairs);
    for (size_t i = 0; i < a->n_pairs; i++) {
        assert_memory_equal(&a->pairs[i], &b->pairs[i], sizeof(a->pairs[i]));
        assert_int_equal(a->made_ms[i] / 1000, b->made_ms[i] / 1000);
    }
    assert_memory_equal(a->sign_seed, b->sign_seed, KEY_SIGN_SEED);
    assert_int_equal(a->n_lost, b->n_lost);
}

static void
test_printed_and_read_again(void **state)
{
    struct key_file *file = key_file_new(), *again;
    struct buf text = {0};
    struct why why;

    (void)state;
    assert_int_equal(key_file_rotate(file, T0, &why), 0);
    memcpy(file->lost[file->n_lost++], "\1\2\3\4\5\6\7\10", SEAL_PAIR_ID);
    key_file_print(file, &text);
    assert_false(key_file_is_locked(buf_view(&text)));
    again = key_file_parse(buf_view(&text), NULL, &why);
    assert_non_null(again);
    assert_same(file, again);
    assert_true(key_file_is_lost(again, VIEW("\1\2\3\4\5\6\7\10")));
    assert_int_equal(again->made_ms[0], T0);
    key_file_free(&file);
    key_file_free(&again);
    buf_free(&text);
}

static void
test_locked_by_a_passphrase(void **state)
{
    struct key_file *file = key_file_new(), *again;
    struct buf text = {0};
    struct why why;

    (void)state;
    file->locked = true;
    file->passphrase = strdup("open sesame");
    key_file_print(file, &text);
    assert_true(key_file_is_locked(buf_view(&text)));
    assert_null(key_file_parse(buf_view(&text), NULL, &why));
    assert_non_null(strstr(why.text, "no passphrase"));
    assert_null(key_file_parse(buf_view(&text), "open barley", &why));
    assert_non_null(strstr(why.text, "passphrase is wrong"));
    again = key_file_parse(buf_view(&text), "open sesame", &why);
    assert_non_null(again);
    assert_same(file, again);
    assert_true(again->locked);
    key_file_free(&file);
    key_file_free(&again);
    buf_free(&text);
}

static void
test_what_is_wrong_is_named_by_its_line(void **state)
{
#define SECRET "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    static const struct {
        const char *text;
        const char *reason;
    } wrong[] = {
        {"", "1: an empty"},
        {"# nothing\n", "1: an empty"},
        {"spoold-keys 2\n", "1: not a key file"},
        {"pair " SECRET "\n", "1: not a key file"},
        {"spoold-keys 1\n", "1: no key pair"},
        {"spoold-keys 1\npair " SECRET "\n", "2: the line \"sign\""},
        {"spoold-keys 1\npair AAEC\n", "2: not a secret"},
        {"spoold-keys 1\npair\n", "2: write: pair"},
        {"spoold-keys 1\npair " SECRET " yesterday?\n", "2: not a time"},
        {"spoold-keys 1\npair " SECRET "\npair " SECRET "\n",
         "3: the same key pair"},
        {"spoold-keys 1\nsign x\n", "2: write once"},
        {"spoold-keys 1\nsign " SECRET "\nsign " SECRET "\n", "3: write once"},
        {"spoold-keys 1\nlost 12\n", "2: write: lost"},
        {"spoold-keys 1\nkey x\n", "2: a line begins"},
        {"spoold-keys 1\na b c d e f g h\n", "2: too many words"},
        {"spoold-keys-locked 1 x\n", "1: a damaged locked"},
        {"spoold-keys-locked 1 AAAAAAAAAAAAAAAAAAAAAA== 99 67108864 AAAA\n",
         "1: a damaged locked"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct why why;

        assert_null(key_file_parse(view_of(wrong[i].text), "x", &why));
        if (strstr(why.text, wrong[i].reason) != why.text)
            fail_msg("%zu: \"%s\", not \"%s\"", i, why.text, wrong[i].reason);
        assert_null(strstr(why.text, SECRET));
    }
}

static void
test_pairs_come_and_go(void **state)
{
    struct key_file *file = key_file_new();
    struct seal_pair first = file->pairs[0], second;
    struct view id = {first.public.id, SEAL_PAIR_ID};
    struct why why;

    (void)state;
    assert_false(key_file_drop(file, id)); /* the current one stays */
    assert_int_equal(key_file_rotate(file, T0, &why), 0);
    second = file->pairs[0];
    assert_memory_equal(&file->pairs[1], &first, sizeof(first));
    assert_true(key_file_has(file, id));
    assert_true(key_file_drop(file, id));
    assert_false(key_file_has(file, id));
    assert_false(key_file_drop(file, id));
    assert_memory_equal(&file->pairs[0], &second, sizeof(second));
    for (size_t i = 1; i < KEY_PAIRS_MAX; i++)
        assert_int_equal(key_file_rotate(file, T0, &why), 0);
    assert_int_equal(key_file_rotate(file, T0, &why), -1);
    key_file_free(&file);
}

static void
test_signatures(void **state)
{
    struct key_file *file = key_file_new();
    char public[KEY_SIGN_PUBLIC], signature[KEY_SIGNATURE];
    struct view p = {public, sizeof(public)},
                s = {signature, sizeof(signature)};

    (void)state;
    key_file_sign(file, VIEW("the ledger"), public, signature);
    assert_true(key_verify(p, VIEW("the ledger"), s));
    assert_false(key_verify(p, VIEW("the ledges"), s));
    assert_false(
        key_verify(p, VIEW("the ledger"), (struct view){signature, 3}));
    signature[5] ^= 1;
    assert_false(key_verify(p, VIEW("the ledger"), s));
    key_file_free(&file);
}

static void
test_saved_whole_and_private(void **state)
{
    char dir[] = "/tmp/spoold-test-XXXXXX";
    char path[64], other[64], missing[64];
    struct key_file *file = key_file_new(), *again;
    struct stat st;
    struct why why;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/spool.key", dir);
    snprintf(other, sizeof(other), "%s/linked", dir);
    snprintf(missing, sizeof(missing), "%s/no/spool.key", dir);
    assert_int_equal(key_file_save(file, missing, &why), -1);
    assert_non_null(strstr(why.text, "No such file"));
    assert_int_equal(key_file_save(file, path, &why), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(link(path, other), 0);
    assert_int_equal(key_file_rotate(file, T0, &why), 0);
    assert_int_equal(key_file_save(file, path, &why), 0);
    again = key_file_load(path, NULL, &why);
    assert_non_null(again);
    assert_same(file, again);
    key_file_free(&again);
    /* Another name of the old file: its bytes are somebody's copy. */
    again = key_file_load(other, NULL, &why);
    assert_non_null(again);
    assert_int_equal(again->n_pairs, 1);
    key_file_free(&again);
    unlink(path);
    unlink(other);
    assert_null(key_file_load(path, NULL, &why));
    key_file_free(&file);
    assert_int_equal(rmdir(dir), 0); /* nothing was left behind */
}

/* A full disk, as well as a test can have it. */
static void
test_a_save_that_fails_leaves_the_old_file(void **state)
{
    char dir[] = "/tmp/spoold-test-XXXXXX";
    char path[64];
    struct key_file *file = key_file_new(), *again;
    struct rlimit limit, little;
    struct why why;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/spool.key", dir);
    assert_int_equal(key_file_save(file, path, &why), 0);
    assert_int_equal(key_file_rotate(file, T0, &why), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    little = (struct rlimit){100, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    assert_int_equal(key_file_save(file, path, &why), -1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_non_null(strstr(why.text, "File too large"));
    again = key_file_load(path, NULL, &why);
    assert_non_null(again);
    assert_int_equal(again->n_pairs, 1);
    assert_memory_equal(&again->pairs[0], &file->pairs[1],
                        sizeof(file->pairs[1]));
    key_file_free(&again);
    key_file_free(&file);
    unlink(path);
    assert_int_equal(rmdir(dir), 0); /* nothing half written beside it */
}

/* The spool may hold a link to the key file: saving does not cut it. */
static void
test_saved_where_a_link_points(void **state)
{
    char dir[] = "/tmp/spoold-test-XXXXXX";
    char path[64], linked[64];
    struct key_file *file = key_file_new(), *again;
    struct stat st;
    struct why why;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/spool.key", dir);
    snprintf(linked, sizeof(linked), "%s/link", dir);
    assert_int_equal(key_file_save(file, path, &why), 0);
    assert_int_equal(symlink(path, linked), 0);
    assert_int_equal(key_file_rotate(file, T0, &why), 0);
    assert_int_equal(key_file_save(file, linked, &why), 0);
    assert_int_equal(lstat(linked, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    again = key_file_load(path, NULL, &why);
    assert_non_null(again);
    assert_same(file, again);
    key_file_free(&again);
    key_file_free(&file);
    unlink(linked);
    unlink(path);
    assert_int_equal(rmdir(dir), 0);
}

static void
test_limits(void **state)
{
    struct key_file *file = key_file_new(), *again;
    struct buf text = {0};
    struct why why;

    (void)state;
    while (file->n_pairs < KEY_PAIRS_MAX)
        assert_int_equal(key_file_rotate(file, T0, &why), 0);
    key_file_print(file, &text);
    again = key_file_parse(buf_view(&text), NULL, &why);
    assert_non_null(again);
    assert_same(file, again);
    key_file_free(&again);
    /* One more is refused, by its line. */
    key_file_free(&file);
    buf_reset(&text);
    buf_add_text(&text, "spoold-keys 1\n");
    for (size_t i = 0; i <= KEY_PAIRS_MAX; i++)
        buf_addf(&text, "pair AA%cCAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
                 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                 "0123456789+/A"[i]);
    assert_null(key_file_parse(buf_view(&text), NULL, &why));
    assert_string_equal(why.text, "66: more than 64 key pairs");
    buf_reset(&text);
    for (size_t i = 0; i <= KEY_FILE_MAX; i++)
        buf_add_byte(&text, '#');
    assert_null(key_file_parse(buf_view(&text), NULL, &why));
    assert_string_equal(why.text, "1: longer than 65536 bytes");
    buf_free(&text);
}

static void
test_ids_in_words(void **state)
{
    char id[SEAL_PAIR_ID], text[KEY_PAIR_TEXT_MAX];

    (void)state;
    assert_int_equal(key_pair_parse(VIEW("0123456789abcdef"), id), 0);
    assert_string_equal(key_pair_print(id, text), "0123456789abcdef");
    assert_int_equal(key_pair_parse(VIEW("0123456789abcde"), id), -1);
    assert_int_equal(key_pair_parse(VIEW("0123456789abcdeg"), id), -1);
    assert_int_equal(key_pair_parse(VIEW("0123456789abcdef0"), id), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printed_and_read_again),
        cmocka_unit_test(test_locked_by_a_passphrase),
        cmocka_unit_test(test_what_is_wrong_is_named_by_its_line),
        cmocka_unit_test(test_pairs_come_and_go),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_saved_whole_and_private),
        cmocka_unit_test(test_a_save_that_fails_leaves_the_old_file),
        cmocka_unit_test(test_saved_where_a_link_points),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_ids_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
