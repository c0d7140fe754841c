/* SPDX-License-Identifier: ISC */
/*
 * body: content of every length around the limits of pieces comes back the
 * same, inline and by descriptor, written in pieces of any size, sealed or
 * not, with a dictionary or without; a piece that is damaged, moved or left
 * out is refused; and who wrote it keeps nothing of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "body.h"
#include "dictionary.h"
#include "mem.h"
#include "remains.h"

#define INLINE_MAX ((size_t)128 * 1024)

static char directory[] = "/tmp/test_body.XXXXXX";

/* The writer's file is made in the current directory. */
static int
set_up(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL || chdir(directory) != 0;
}

static int
tear_down(void **state)
{
    (void)state;
    return chdir("/") != 0 || rmdir(directory) != 0; /* nothing is left */
}

/* random: does not compress; otherwise text that does. */
static char *
make_content(size_t len, bool random)
{
    char *content = mem_alloc(len);
    uint64_t seed = len + 1;

    for (size_t i = 0; i < len; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1;
        content[i] = random ? (char)(seed >> 56) : "spool body\r\n"[i % 12];
    }
    return content;
}

/* The body file of the content, written step bytes at a time. */
static void
write_body(struct view content, size_t step, size_t inline_max,
           struct buf *file, bool *by_fd)
{
    struct body_writer *writer = body_writer_new(3, inline_max, NULL, 1);
    struct view rest = content, out;
    struct why why;
    uint64_t len;
    int fd;

    for (; rest.len > 0; rest = view_skip(rest, step)) {
        struct view part = {rest.data, rest.len < step ? rest.len : step};

        assert_int_equal(body_write(writer, part, &why), 0);
    }
    assert_int_equal(body_written(writer), content.len);
    assert_int_equal(body_finish(writer, &out, &fd, &len, &why), 0);
    *by_fd = fd >= 0;
    buf_reset(file);
    if (fd >= 0) {
        struct stat st;

        assert_int_equal(out.len, 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_nlink, 0);
        assert_int_equal(st.st_size, len);
        buf_reserve(file, len);
        assert_int_equal(pread(fd, file->data, len, 0), len);
        file->len = len;
        close(fd);
    } else {
        assert_int_equal(out.len, len);
        buf_add_view(file, out);
    }
    body_writer_free(&writer);
    assert_null(writer);
}

static void
assert_reads_back(struct view file, struct view content)
{
    struct buf out = {0};
    struct view piece;
    struct why why;
    size_t pieces = 0, n = 0;
    int rc;

    while ((rc = body_next_piece(&file, &piece, &why)) == 1) {
        assert_true(piece.len <= BODY_PIECE_MAX);
        assert_int_equal(body_read_piece(piece, NULL, &out, &why), 0);
        /* Any piece can be found by its number alone. */
        n = out.len - pieces * BODY_PIECE_RAW;
        assert_true(n > 0 && n <= BODY_PIECE_RAW);
        pieces++;
    }
    assert_int_equal(rc, 0);
    assert_true(view_equal(buf_view(&out), content));
    assert_int_equal(pieces,
                     (content.len + BODY_PIECE_RAW - 1) / BODY_PIECE_RAW);
    buf_free(&out);
}

static void
test_lengths(void **state)
{
    static const size_t lengths[] = {
        0,
        1,
        2,
        1000,
        BODY_PIECE_RAW - 1,
        BODY_PIECE_RAW,
        BODY_PIECE_RAW + 1,
        2 * BODY_PIECE_RAW - 1,
        2 * BODY_PIECE_RAW,
        5 * BODY_PIECE_RAW + 17,
    };
    struct buf file = {0};
    bool by_fd;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t len = lengths[i / 2];
        struct view content = {make_content(len, i % 2), len};

        write_body(content, 7777, INLINE_MAX, &file, &by_fd);
        assert_int_equal(by_fd, file.len > INLINE_MAX);
        assert_reads_back(buf_view(&file), content);
        if (i % 2 == 0)
            assert_true(file.len < 1000 + len / 10);
        else
            assert_true(file.len <= len + (len / BODY_PIECE_RAW + 1) * 5);
        free((void *)(uintptr_t)content.data);
    }
    buf_free(&file);
}

/* The same bytes whatever the steps they come in. */
static void
test_trickle(void **state)
{
    size_t len = BODY_PIECE_RAW + 1000;
    struct view content = {make_content(len, true), len};
    struct buf whole = {0}, file = {0};
    bool by_fd;

    (void)state;
    write_body(content, len, INLINE_MAX, &whole, &by_fd);
    for (size_t step = 1; step <= 3; step++) {
        write_body(content, step, INLINE_MAX, &file, &by_fd);
        assert_true(view_equal(buf_view(&file), buf_view(&whole)));
    }
    free((void *)(uintptr_t)content.data);
    buf_free(&whole);
    buf_free(&file);
}

/* Memory is bounded by inline_max and a piece, however much comes. */
static void
test_memory(void **state)
{
    struct body_writer *writer = body_writer_new(1, 0, NULL, 1);
    char *content = make_content(BODY_PIECE_RAW, true);
    struct why why;

    (void)state;
    for (int i = 0; i < 40; i++) {
        assert_int_equal(
            body_write(writer, (struct view){content, BODY_PIECE_RAW}, &why),
            0);
        assert_true(body_memory(writer) < 8 * BODY_PIECE_RAW);
    }
    body_writer_free(&writer); /* abandoned: the file goes too */
    free(content);
}

/* Every single byte of a compressed piece changed: refused. */
static void
test_damage(void **state)
{
    struct view content = {make_content(3000, false), 3000};
    struct buf file = {0}, out = {0};
    struct view rest, piece;
    struct why why;
    bool by_fd;

    (void)state;
    write_body(content, 3000, INLINE_MAX, &file, &by_fd);
    for (size_t i = 4; i < file.len; i++) {
        file.data[i] ^= 0x10;
        rest = buf_view(&file);
        assert_int_equal(body_next_piece(&rest, &piece, &why), 1);
        if (body_read_piece(piece, NULL, &out, &why) == 0)
            assert_true(view_equal(buf_view(&out), content));
        buf_reset(&out);
        file.data[i] ^= 0x10;
    }
    rest = buf_view(&file);
    body_next_piece(&rest, &piece, &why);
    for (size_t n = 0; n < piece.len; n++) {
        buf_reset(&out);
        assert_int_equal(
            body_read_piece((struct view){piece.data, n}, NULL, &out, &why),
            -1);
    }
    free((void *)(uintptr_t)content.data);
    buf_free(&file);
    buf_free(&out);
}

static void
test_bad_file(void **state)
{
    static const struct view bad[] = {
        VIEW("\0"),
        VIEW("\0\0\0"),
        VIEW("\0\0\0\0"),
        VIEW("\0\0\0\1"),
        VIEW("\0\0\0\3ab"),
        VIEW("\xff\xff\xff\xff x"),
        VIEW("\0\0\xff\xf1x"),
    };
    struct view piece, rest;
    struct why why;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rest = bad[i];
        assert_int_equal(body_next_piece(&rest, &piece, &why), -1);
    }
    rest = VIEW("\0\0\0\2"
                "0a\0\0\0\1q");
    assert_int_equal(body_next_piece(&rest, &piece, &why), 1);
    assert_true(view_equal(piece, VIEW("0a")));
    assert_int_equal(body_next_piece(&rest, &piece, &why), 1);
    assert_int_equal(body_read_piece(piece, NULL, NULL, &why), -1);
    assert_string_equal(why.text, "piece of unknown form 0x71");
    assert_int_equal(body_next_piece(&rest, &piece, &why), 0);
}

static void
test_digest(void **state)
{
    /* BLAKE2b-256 of "abc" */
    static const unsigned char want[BODY_DIGEST_LEN] = {
        0xbd, 0xdd, 0x81, 0x3c, 0x63, 0x42, 0x39, 0x72, 0x31, 0x71, 0xef,
        0x3f, 0xee, 0x98, 0x57, 0x9b, 0x94, 0x96, 0x4e, 0x3b, 0xb1, 0xcb,
        0x3e, 0x42, 0x72, 0x62, 0xc8, 0xc0, 0x68, 0xd5, 0x23, 0x19};
    struct body_digest *digest = body_digest_new();
    char have[BODY_DIGEST_LEN];

    (void)state;
    body_digest_add(digest, VIEW("a"));
    body_digest_add(digest, VIEW(""));
    body_digest_add(digest, VIEW("bc"));
    body_digest_end(&digest, have);
    assert_null(digest);
    assert_memory_equal(have, want, sizeof(want));
}

/* --- sealed, compressed, with a dictionary -------------------------------- */

/* Of message 77. */
static const struct seal_key the_key = {
    .bytes = "0123456789abcdef0123456789abcde", .data_key = 9, .step = 3};

/* How content is written. */
struct how {
    int level;
    bool sealed;
    bool dictionary;
    bool random;
};

static void
use_shipped(bool used)
{
    struct view none = {NULL, 0};
    struct why why;

    assert_int_equal(body_use_dictionary(used ? DICTIONARY_SHIPPED_ID : 0,
                                         used ? dictionary_shipped() : none,
                                         &why),
                     0);
}

/* The body file, and the dictionary its pieces need. */
static uint64_t
write_as(const struct how *how, struct view content, struct buf *file)
{
    struct body_writer *writer = body_writer_new(
        how->level, SIZE_MAX, how->sealed ? &the_key : NULL, 77);
    uint64_t len, dictionary;
    struct view out;
    struct why why;
    int fd;

    use_shipped(how->dictionary);
    assert_int_equal(body_write(writer, content, &why), 0);
    assert_int_equal(body_finish(writer, &out, &fd, &len, &why), 0);
    assert_int_equal(fd, -1);
    buf_reset(file);
    buf_add_view(file, out);
    dictionary = body_dictionary(writer);
    body_writer_free(&writer);
    return dictionary;
}

static size_t
split(const struct buf *file, struct view *pieces, size_t room)
{
    struct view rest = buf_view(file);
    struct why why;
    size_t n = 0;

    while (n < room && body_next_piece(&rest, &pieces[n], &why) == 1)
        n++;
    assert_int_equal(rest.len, 0);
    return n;
}

static int
read_at(const struct view *piece, bool sealed, uint64_t n, bool last,
        struct buf *out)
{
    struct body_place place = {
        .key = sealed ? the_key.bytes : NULL, .id = 77, .n = n, .last = last};
    struct why why;

    return body_read_piece(*piece, &place, out, &why);
}

static void
assert_round_trip(const struct how *how, struct view content)
{
    struct buf file = {0}, out = {0};
    struct view pieces[32];
    uint64_t dictionary = write_as(how, content, &file);
    size_t n = split(&file, pieces, 32);

    for (size_t i = 0; i < n; i++) {
        assert_true(pieces[i].len <= BODY_PIECE_MAX);
        assert_int_equal(pieces[i].data[0] == 's', how->sealed);
        assert_int_equal(read_at(&pieces[i], how->sealed, i, i + 1 == n, &out),
                         0);
    }
    assert_int_equal(n, (content.len + BODY_PIECE_RAW - 1) / BODY_PIECE_RAW);
    assert_true(view_equal(buf_view(&out), content));
    if (how->level == 0 || !how->dictionary || content.len < 2 || how->random)
        assert_int_equal(dictionary, 0);
    else
        assert_int_equal(dictionary, DICTIONARY_SHIPPED_ID);
    if (how->sealed && content.len > 16)
        assert_null(memmem(file.data, file.len, content.data, 16));
    buf_free(&file);
    buf_free(&out);
}

static void
test_every_way(void **state)
{
    static const size_t lengths[] = {0,          1,
                                     2000,       BODY_PIECE_RAW - 1,
                                     65408,      BODY_PIECE_RAW + 1,
                                     131 * 1024, 1024 * 1024};

    (void)state;
    for (unsigned i = 0; i < 16 * sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct how how = {i & 1 ? 3 : 0, i & 2, i & 4, i & 8};
        size_t len = lengths[i / 16];
        char *bytes = make_content(len, how.random);

        assert_round_trip(&how, (struct view){bytes, len});
        free(bytes);
    }
    use_shipped(false);
}

/* Content that does not compress is kept as it is, whatever is asked. */
static void
test_as_it_is(void **state)
{
    struct how how = {.level = 9, .random = true};
    char *bytes = make_content(3000, true);
    struct buf file = {0};

    (void)state;
    write_as(&how, (struct view){bytes, 3000}, &file);
    assert_int_equal(file.len, 4 + 1 + 3000);
    assert_int_equal(file.data[4], '0');
    assert_memory_equal(file.data + 5, bytes, 3000);
    how.level = 0; /* though it would */
    write_as(&how, VIEW("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), &file);
    assert_int_equal(file.len, 4 + 1 + 40);
    buf_free(&file);
    free(bytes);
}

static void
test_a_sealed_piece_has_one_place(void **state)
{
    struct how how = {.level = 3, .sealed = true};
    size_t len = 2 * BODY_PIECE_RAW + 100;
    char *bytes = make_content(len, true), other[SEAL_KEY] = {1};
    struct buf file = {0}, out = {0};
    struct body_place place = {.key = other, .id = 77, .n = 0};
    struct view pieces[3];
    struct why why;

    (void)state;
    write_as(&how, (struct view){bytes, len}, &file);
    assert_int_equal(split(&file, pieces, 3), 3);
    /* Swapped. */
    assert_int_equal(read_at(&pieces[0], true, 1, false, &out), -1);
    assert_int_equal(read_at(&pieces[1], true, 0, false, &out), -1);
    /* The last one cut off, and more put behind it. */
    assert_int_equal(read_at(&pieces[1], true, 1, true, &out), -1);
    assert_int_equal(read_at(&pieces[2], true, 2, false, &out), -1);
    /* Another key; another message; the key kept back, or none needed. */
    assert_int_equal(body_read_piece(pieces[0], &place, &out, &why), -1);
    place = (struct body_place){.key = the_key.bytes, .id = 78};
    assert_int_equal(body_read_piece(pieces[0], &place, &out, &why), -1);
    assert_non_null(strstr(why.text, "not what was sealed"));
    assert_int_equal(read_at(&pieces[0], false, 0, false, &out), -1);
    assert_int_equal(body_read_piece(pieces[0], NULL, &out, &why), -1);
    assert_non_null(strstr(why.text, "without a key"));
    assert_int_equal(body_read_piece(VIEW("0clear"), &place, &out, &why), -1);
    assert_non_null(strstr(why.text, "not sealed"));
    assert_int_equal(out.len, 0);
    assert_int_equal(read_at(&pieces[2], true, 2, true, &out), 0);
    buf_free(&file);
    buf_free(&out);
    free(bytes);
}

static void
test_a_sealed_piece_with_a_bit_flipped(void **state)
{
    struct how how = {.level = 3, .sealed = true, .dictionary = true};
    char *bytes = make_content(3000, false);
    struct buf file = {0}, out = {0};
    struct view piece;

    (void)state;
    write_as(&how, (struct view){bytes, 3000}, &file);
    assert_int_equal(split(&file, &piece, 1), 1);
    for (size_t bit = 0; bit < 8 * piece.len; bit++) {
        char *byte = file.data + 4 + bit / 8;

        *byte = (char)(*byte ^ 1 << bit % 8);
        assert_int_equal(read_at(&piece, true, 0, true, &out), -1);
        *byte = (char)(*byte ^ 1 << bit % 8);
    }
    for (size_t len = 0; len < piece.len; len++) {
        struct view cut = {piece.data, len};

        assert_int_equal(read_at(&cut, true, 0, true, &out), -1);
    }
    assert_int_equal(out.len, 0);
    use_shipped(false);
    buf_free(&file);
    buf_free(&out);
    free(bytes);
}

static int lookups;

static int
find_nothing(uint64_t id, struct buf *out, struct why *why)
{
    (void)out;
    (void)why;
    lookups++;
    return id == 4711 ? 1 : 0;
}

/* A frame that names a dictionary: single segment, a byte of size, two of the
 * dictionary's id, then one raw block. */
static void
test_a_dictionary_that_is_not_here(void **state)
{
    static const struct view frame = VIEW("Z\x22\x39\x30\x05\x29\0\0hello");
    struct buf out = {0};
    struct why why;

    (void)state;
    assert_int_equal(body_use_dictionary(5, VIEW("no dictionary"), &why), -1);
    assert_int_equal(body_use_dictionary(5, dictionary_shipped(), &why), -1);
    assert_int_equal(body_read_piece(frame, NULL, &out, &why), -1);
    assert_string_equal(why.text, "dictionary 12345 is not here");
    body_find_dictionaries_by(find_nothing);
    assert_int_equal(body_read_piece(frame, NULL, &out, &why), -1);
    assert_string_equal(why.text, "dictionary 12345 is not here");
    assert_int_equal(lookups, 1);
    assert_int_equal(out.len, 0);
    body_find_dictionaries_by(NULL);
    buf_free(&out);
}

/* --- what is left behind -------------------------------------------------- */

struct left {
    struct how how;
    size_t len;
    bool keeps; /* does not free the writer: the search finds it */
    uint64_t seed;
};

/* Letters at random: half of it compresses, half is copied as it is. */
static void
fill_letters(uint64_t seed, struct view out)
{
    char *at = (char *)(uintptr_t)out.data;

    for (size_t i = 0; i < out.len; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1;
        at[i] = i % 64 < 32 ? (char)('!' + (seed >> 33) % 90) : '-';
    }
}

static void
write_and_end(void *arg)
{
    struct left *left = arg;
    struct body_writer *writer = body_writer_new(
        left->how.level, SIZE_MAX, left->how.sealed ? &the_key : NULL, 77);
    struct view bytes, out;
    struct why why;
    uint64_t len;
    int fd;

    bytes = (struct view){mem_alloc(left->len), left->len};
    fill_letters(left->seed, bytes);
    use_shipped(left->how.dictionary);
    for (size_t at = 0; at < bytes.len; at += 1000) {
        struct view part = view_skip(bytes, at);

        part.len = part.len < 1000 ? part.len : 1000;
        body_write(writer, part, &why);
    }
    explicit_bzero((char *)(uintptr_t)bytes.data, bytes.len);
    free((char *)(uintptr_t)bytes.data);
    if (left->keeps)
        return;
    body_finish(writer, &out, &fd, &len, &why);
    body_writer_free(&writer);
}

/* How many places of the content are found in the memory of who wrote it. */
static size_t
left_of(const struct left *how)
{
    struct left *left = remains_shared(sizeof(*left));
    struct view bytes = {mem_alloc(how->len), how->len};
    struct remains remains;
    size_t found = 0;

    *left = *how;
    remains_of(&remains, write_and_end, left);
    fill_letters(left->seed, bytes);
    for (size_t at = 0; at + 32 <= bytes.len; at += 64 * 31)
        found += remains_hold(&remains, bytes.data + at, 16);
    remains_free(&remains);
    explicit_bzero((char *)(uintptr_t)bytes.data, bytes.len);
    free((char *)(uintptr_t)bytes.data);
    munmap(left, sizeof(*left));
    return found;
}

static void
test_nothing_is_left_behind(void **state)
{
    static const size_t lengths[] = {900, 9000, 65408, 150000};
    struct left left = {.how = {.level = 3, .sealed = true}, .seed = 5};

    (void)state;
    for (size_t i = 0; i < 3 * sizeof(lengths) / sizeof(lengths[0]); i++) {
        left.len = lengths[i / 3];
        left.how.level = i % 3 == 0 ? 0 : 3;
        left.how.dictionary = i % 3 == 2;
        left.seed++;
        left.keeps = false;
        assert_int_equal(left_of(&left), 0);
        left.keeps = true;
        assert_true(left_of(&left) > 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_trickle),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_bad_file),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_every_way),
        cmocka_unit_test(test_as_it_is),
        cmocka_unit_test(test_a_sealed_piece_has_one_place),
        cmocka_unit_test(test_a_sealed_piece_with_a_bit_flipped),
        cmocka_unit_test(test_a_dictionary_that_is_not_here),
        cmocka_unit_test(test_nothing_is_left_behind),
    };

    return cmocka_run_group_tests_name("body", tests, set_up, tear_down);
}
