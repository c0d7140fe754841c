/* SPDX-License-Identifier: ISC */
/*
 * Mailboxes: the same however they are cut, and what was written is read
 * again byte for byte.
 */
#include <assert.h>
#include <stdlib.h>

#include "crlf.h"
#include "mbox.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

/* Content, and a mark for each "From " line. */
static void
read_all(struct view in, size_t cut, bool inside, struct buf *out)
{
    struct mbox mbox;

    mbox_init(&mbox, inside);
    while (in.len > 0) {
        struct view part = {in.data, cut < in.len ? cut : in.len};
        size_t before = out->len;

        in = view_skip(in, part.len);
        while (mbox_take(&mbox, &part, out) == MBOX_FROM) {
            assert(mbox.from_len <= MBOX_FROM_MAX);
            buf_add_byte(out, '\0');
            buf_add(out, mbox.from, mbox.from_len);
        }
        assert(out->len - before <= 2 * cut + 16 + MBOX_FROM_MAX);
    }
    mbox_end(&mbox, out);
}

static void
check_reading(struct view mailbox)
{
    struct buf once = {0}, again = {0};

    read_all(mailbox, SIZE_MAX / 4, false, &once);
    read_all(mailbox, 1, false, &again);
    assert(view_equal(buf_view(&once), buf_view(&again)));
    buf_free(&once);
    buf_free(&again);
}

static void
check_writing(struct view bytes)
{
    struct mbox_writer writer = {0};
    struct crlf crlf = {0};
    struct buf content = {0}, lines = {0}, back = {0}, whole = {0};

    crlf_add(&crlf, bytes, &content);
    crlf_end(&crlf, &content, NULL);
    assert(content.len <= 2 * bytes.len + 2);
    for (size_t i = 0; i < content.len; i++)
        mbox_write(&writer, (struct view){content.data + i, 1}, &lines);
    mbox_write_end(&writer, &lines);
    read_all(buf_view(&lines), 5, true, &back);
    for (size_t i = 0; i < back.len; i++) {
        if (back.data[i] == '\n')
            buf_add_byte(&whole, '\r');
        buf_add_byte(&whole, (uint8_t)back.data[i]);
    }
    assert(view_equal(buf_view(&whole), buf_view(&content)));
    /* Nobody takes a line of it for the beginning of another message. */
    buf_reset(&back);
    read_all(buf_view(&lines), 64, false, &back);
    assert(back.len == 0);
    buf_free(&content);
    buf_free(&lines);
    buf_free(&back);
    buf_free(&whole);
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
    struct view bytes = {(const char *)data, len};

    check_reading(bytes);
    check_writing(bytes);
    return 0;
}
