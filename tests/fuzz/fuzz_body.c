/* SPDX-License-Identifier: ISC */
/*
 * The input once as the body file of a listener that was taken over: pieces
 * are refused or decode to no more than a piece holds. And once as content:
 * it comes back the same.
 */
#include "body.h"

#include <assert.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_file(struct view file)
{
    struct view piece;
    struct why why = {0};
    int rc;

    while ((rc = body_next_piece(&file, &piece, &why)) == 1) {
        struct buf out = {0};

        assert(piece.len > 0 && piece.len <= BODY_PIECE_MAX);
        if (body_read_piece(piece, NULL, &out, &why) == 0)
            assert(out.len < BODY_PIECE_MAX);
        else
            assert(why.text[0] != '\0' && out.len == 0);
        buf_free(&out);
    }
    assert(rc == 0 || why.text[0] != '\0');
}

static void
round_trip(struct view content, size_t step, int level)
{
    struct body_writer *writer = body_writer_new(level, 1 << 20, NULL, 1);
    struct buf out = {0};
    struct view file, piece;
    struct why why;
    uint64_t len;
    int fd;

    for (size_t at = 0; at < content.len; at += step) {
        struct view part = view_skip(content, at);

        if (part.len > step)
            part.len = step;
        assert(body_write(writer, part, &why) == 0);
    }
    assert(body_finish(writer, &file, &fd, &len, &why) == 0);
    assert(fd == -1 && file.len == len);
    while (body_next_piece(&file, &piece, &why) == 1)
        assert(body_read_piece(piece, NULL, &out, &why) == 0);
    assert(file.len == 0 && view_equal(buf_view(&out), content));
    buf_free(&out);
    body_writer_free(&writer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view bytes = {(const char *)data, size};

    read_file(bytes);
    if (size > 1)
        round_trip(view_skip(bytes, 1), 1 + data[0] % 97u, 1 + data[0] % 9);
    return 0;
}
