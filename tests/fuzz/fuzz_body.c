/* SPDX-License-Identifier: ISC */
/*
 * The input once as the body file of a listener that was taken over: pieces
 * are refused or decode to no more than a piece holds, sealed ones with the
 * right key too. And once as content: it comes back the same, and sealed it
 * does not once a byte is changed.
 */
#include "body.h"
#include "dictionary.h"

#include <assert.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct seal_key fuzz_key = {
    .bytes = "0123456789abcdef0123456789abcde", .data_key = 1};

/* A piece that is sealed as it must be, whatever is in it: replay opens what
 * a listener that was taken over sealed. */
static void
read_sealed(struct view plain)
{
    struct body_place place = {
        .key = fuzz_key.bytes, .id = 1, .n = 3, .last = true};
    struct buf piece = {0}, out = {0};
    struct why why = {0};

    if (plain.len > BODY_PIECE_MAX - SEAL_TAG - 1)
        return;
    buf_add_byte(&piece, 's');
    seal_piece(fuzz_key.bytes, 1, 3, true, plain, &piece);
    if (body_read_piece(buf_view(&piece), &place, &out, &why) == 0)
        assert(out.len < BODY_PIECE_MAX);
    else
        assert(why.text[0] != '\0' && out.len == 0);
    buf_reset(&out);
    assert(body_read_piece(buf_view(&piece), NULL, &out, &why) == -1);
    place.n = 4;
    assert(body_read_piece(buf_view(&piece), &place, &out, &why) == -1);
    assert(out.len == 0);
    buf_free(&piece);
    buf_free(&out);
}

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
        read_sealed(piece);
    }
    assert(rc == 0 || why.text[0] != '\0');
}

/* Reads all of file as what was written with key (NULL: in clear). -1: some
 * piece was refused. */
static int
read_back(struct view file, const char *key, struct buf *out)
{
    struct body_place place = {.key = key, .id = 1};
    struct view piece;
    struct why why;

    for (; body_next_piece(&file, &piece, &why) == 1; place.n++) {
        place.last = file.len == 0;
        if (body_read_piece(piece, &place, out, &why) != 0)
            return -1;
    }
    return file.len == 0 ? 0 : -1;
}

static void
round_trip(struct view content, size_t step, int level, bool sealed)
{
    struct body_writer *writer =
        body_writer_new(level, 1 << 20, sealed ? &fuzz_key : NULL, 1);
    const char *key = sealed ? fuzz_key.bytes : NULL;
    struct buf copy = {0}, out = {0};
    struct view file;
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
    assert(read_back(file, key, &out) == 0);
    assert(view_equal(buf_view(&out), content));
    if (sealed && file.len > 0) {
        size_t at = (unsigned char)content.data[0] * step % file.len;

        buf_add_view(&copy, file);
        copy.data[at] = (char)(copy.data[at] ^ 1);
        buf_reset(&out);
        assert(read_back(buf_view(&copy), key, &out) == -1);
    }
    buf_free(&copy);
    buf_free(&out);
    body_writer_free(&writer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    struct view bytes = {(const char *)data, size};
    struct why why;

    if (!begun) {
        seal_init();
        assert(body_use_dictionary(DICTIONARY_SHIPPED_ID, dictionary_shipped(),
                                   &why) == 0);
        begun = true;
    }
    read_file(bytes);
    if (size > 1)
        round_trip(view_skip(bytes, 1), 1 + data[0] % 97u, data[0] % 10,
                   data[0] & 1);
    return 0;
}
