/* SPDX-License-Identifier: ISC */
/*
 * body: content of every length around the limits of pieces comes back the
 * same, inline and by descriptor, written in pieces of any size; a damaged
 * piece is refused.
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
#include "mem.h"

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
            body_read_piece((struct view){piece.data, n}, NULL, &out, &why), -1);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),  cmocka_unit_test(test_trickle),
        cmocka_unit_test(test_memory),   cmocka_unit_test(test_damage),
        cmocka_unit_test(test_bad_file), cmocka_unit_test(test_digest),
    };

    return cmocka_run_group_tests_name("body", tests, set_up, tear_down);
}
