/* SPDX-License-Identifier: ISC */
/*
 * mbox: written and read again; mailboxes of others; cut at every place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mbox.h"

/* Reads a whole mailbox: messages as "[FROM LINE]content". */
static void
read_all(struct view in, size_t cut, bool inside, struct buf *out)
{
    struct mbox mbox;

    mbox_init(&mbox, inside);
    while (in.len > 0) {
        struct view part = {in.data, cut < in.len ? cut : in.len};

        in = view_skip(in, part.len);
        while (mbox_take(&mbox, &part, out) == MBOX_FROM) {
            buf_add_text(out, "[");
            buf_add(out, mbox.from, mbox.from_len);
            buf_add_text(out, "]");
        }
        assert_int_equal(part.len, 0);
    }
    mbox_end(&mbox, out);
}

static const struct {
    struct view mailbox, read;
} mailboxes[] = {
    {VIEW(""), VIEW("")},
    {VIEW("From a\n"), VIEW("[a]")},
    {VIEW("From a"), VIEW("")},
    {VIEW("From a\nx\n"), VIEW("[a]x\n")},
    {VIEW("From a\nx"), VIEW("[a]x")},
    {VIEW("From a\nx\n\nFrom b\ny\n\n"), VIEW("[a]x\n[b]y\n")},
    {VIEW("From a\r\nx\r\n\r\nFrom b\r\ny\r\n\r\n"), VIEW("[a]x\r\n[b]y\r\n")},
    /* Only behind an empty line. */
    {VIEW("From a\nx\nFrom b\ny\n"), VIEW("[a]x\nFrom b\ny\n")},
    {VIEW("From a\nFrom b\n"), VIEW("[a]From b\n")},
    {VIEW("From a\n\nFrom b\n"), VIEW("[a][b]")},
    {VIEW("From a\n\n\nFrom b\n"), VIEW("[a]\n[b]")},
    {VIEW("From a\n\n\n\n"), VIEW("[a]\n\n")},
    /* Quotes. */
    {VIEW("From a\n>From x\n>>From y\n>Fro\n> From\n"),
     VIEW("[a]From x\n>From y\n>Fro\n> From\n")},
    {VIEW("From a\n\n>From x\n\n>>>>From x"), VIEW("[a]\nFrom x\n\n>>>From x")},
    {VIEW("From a\n>"), VIEW("[a]>")},
    {VIEW("From a\n\nFro"), VIEW("[a]\nFro")},
    {VIEW("From a\n\nFro\n"), VIEW("[a]\nFro\n")},
    {VIEW("From a\n\r\r\n"), VIEW("[a]\r\r\n")},
    {VIEW("From a\n\r>From\n"), VIEW("[a]\r>From\n")},
    /* Outside of messages. */
    {VIEW("junk\n\nFrom a\nx\n"), VIEW("[a]x\n")},
    {VIEW("junk\nFrom a\nx\n"), VIEW("")},
    {VIEW("\nFrom a\nx\n"), VIEW("[a]x\n")},
};

static void
test_reading(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mailboxes) / sizeof(mailboxes[0]); i++)
        for (size_t cut = 1; cut < 20; cut++) {
            struct buf out = {0};

            read_all(mailboxes[i].mailbox, cut, false, &out);
            assert_int_equal(out.len, mailboxes[i].read.len);
            if (out.len > 0)
                assert_memory_equal(out.data, mailboxes[i].read.data, out.len);
            buf_free(&out);
        }
}

static const struct {
    struct view content, lines;
} contents[] = {
    {VIEW(""), VIEW("\n")},
    {VIEW("a\r\n"), VIEW("a\n\n")},
    {VIEW("\r\n"), VIEW("\n\n")},
    {VIEW("From \r\n"), VIEW(">From \n\n")},
    {VIEW("From\r\nFrom"), VIEW("From\nFrom\n\n")},
    {VIEW("Fr\r\n\r\nFrom x\r\n>>From y\r\n"),
     VIEW("Fr\n\n>From x\n>>>From y\n\n")},
    {VIEW("a\r\r\n\r\r\nb\rc\r\n"), VIEW("a\r\n\r\nb\rc\n\n")},
    {VIEW("> From\r\nxFrom \r\n"), VIEW("> From\nxFrom \n\n")},
    {VIEW("a\r"), VIEW("a\r\n\n")},
};

static void
test_writing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++)
        for (size_t cut = 1; cut < 20; cut++) {
            struct mbox_writer writer = {0};
            struct view in = contents[i].content;
            struct buf out = {0};

            while (in.len > 0) {
                size_t n = cut < in.len ? cut : in.len;

                mbox_write(&writer, (struct view){in.data, n}, &out);
                in = view_skip(in, n);
            }
            mbox_write_end(&writer, &out);
            assert_int_equal(out.len, contents[i].lines.len);
            assert_memory_equal(out.data, contents[i].lines.data, out.len);
            buf_free(&out);
        }
}

/* Whoever knows where a message is reads what was written, but for CRs. */
static void
test_there_and_back(void **state)
{
    static const char alphabet[] = "\r\n\n>>FrFrom \nx";
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct mbox_writer writer = {0};
        struct buf content = {0}, lines = {0}, back = {0}, again = {0};

        for (int i = 0; i < round % 40; i++) {
            char c = alphabet[(seed = seed * 1103515245u + 12345u) / 65536u %
                              (sizeof(alphabet) - 1)];

            buf_add_text(&content, c == '\n' ? "\r\n" : (char[]){c, '\0'});
        }
        buf_add_text(&content, "\r\n");
        mbox_write(&writer, buf_view(&content), &lines);
        mbox_write_end(&writer, &lines);
        read_all(buf_view(&lines), 1 + (size_t)round % 7, true, &back);
        for (size_t i = 0; i < back.len; i++)
            buf_add_text(&again, back.data[i] == '\n'
                                     ? "\r\n"
                                     : (char[]){back.data[i], '\0'});
        assert_true(view_equal(buf_view(&again), buf_view(&content)));
        buf_free(&content);
        buf_free(&lines);
        buf_free(&back);
        buf_free(&again);
    }
}

static void
test_a_long_from_line(void **state)
{
    struct buf mailbox = {0}, out = {0};
    struct mbox mbox;
    struct view in;

    (void)state;
    buf_add_text(&mailbox, "From ");
    for (int i = 0; i < 3 * MBOX_FROM_MAX; i++)
        buf_add_byte(&mailbox, 'x');
    buf_add_text(&mailbox, "\ny\n");
    in = buf_view(&mailbox);
    mbox_init(&mbox, false);
    assert_int_equal(mbox_take(&mbox, &in, &out), MBOX_FROM);
    assert_int_equal(mbox.from_len, MBOX_FROM_MAX);
    assert_int_equal(mbox_take(&mbox, &in, &out), MBOX_MORE);
    assert_true(view_equal(buf_view(&out), VIEW("y\n")));
    buf_free(&mailbox);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_a_long_from_line),
    };

    return cmocka_run_group_tests_name("mbox", tests, NULL, NULL);
}
