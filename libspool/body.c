/* SPDX-License-Identifier: ISC */
/*
 * The only file that knows zstd. One compression and one decompression
 * context serve the whole process (half a megabyte each, set up once):
 * pieces are whole frames, so writers can take turns with them.
 */
#include "body.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "bytes.h"
#include "log.h"
#include "mem.h"

#define FORM_RAW     '0'
#define FORM_ZSTD    'z'
#define LENGTH_BYTES 4

_Static_assert(BODY_PIECE_RAW + 1 <= BODY_PIECE_MAX,
               "content that does not compress fits as it is");

struct body_writer {
    int level;
    size_t inline_max;
    struct buf raw;   /* content of the piece under way */
    struct buf file;  /* finished pieces, until they spill */
    int fd;           /* where they went, -1: still in memory */
    uint64_t spilled; /* bytes in fd */
    uint64_t written; /* content so far */
};

struct body_digest {
    crypto_generichash_state state;
};

/* --- writing ------------------------------------------------------------- */

struct body_writer *
body_writer_new(int level, size_t inline_max)
{
    struct body_writer *writer = mem_alloc(sizeof(*writer));

    writer->level = level;
    writer->inline_max = inline_max;
    writer->fd = -1;
    return writer;
}

static size_t
compress_piece(int level, struct view raw, char *out, size_t room)
{
    static ZSTD_CCtx *context;
    static int context_level;

    if (context == NULL) {
        context = ZSTD_createCCtx();
        if (context == NULL)
            fatal("out of memory for compression");
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    }
    if (context_level != level) {
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
        context_level = level;
    }
    return ZSTD_compress2(context, out, room, raw.data, raw.len);
}

/* Turns the content under way into a piece at the end of the file. */
static void
close_piece(struct body_writer *writer)
{
    size_t start = writer->file.len;
    char *piece;
    size_t packed;

    buf_reserve(&writer->file, LENGTH_BYTES + 1 + writer->raw.len);
    piece = writer->file.data + start + LENGTH_BYTES;
    /* Room for one byte less than the content: no gain counts as failure. */
    packed = compress_piece(writer->level, buf_view(&writer->raw), piece + 1,
                            writer->raw.len - 1);
    if (ZSTD_isError(packed)) {
        piece[0] = FORM_RAW;
        packed = writer->raw.len;
        memcpy(piece + 1, writer->raw.data, packed);
    } else {
        piece[0] = FORM_ZSTD;
    }
    bytes_put32(writer->file.data + start, (uint32_t)packed + 1);
    writer->file.len += LENGTH_BYTES + 1 + packed;
    buf_reset(&writer->raw);
}

/* A file without a name; where the file system has no O_TMPFILE, one whose
 * name is gone at once. */
static int
open_unnamed(void)
{
    char name[] = "content-XXXXXX";
    int fd = open(".", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    return fd;
}

static int
spill(struct body_writer *writer, struct why *why)
{
    size_t done = 0;

    if (writer->fd < 0)
        writer->fd = open_unnamed();
    while (writer->fd >= 0 && done < writer->file.len) {
        ssize_t n = write(writer->fd, writer->file.data + done,
                          writer->file.len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (done < writer->file.len)
        return why_set(why, 452, "4.3.1", "no room for the content: %s",
                       strerror(errno));
    writer->spilled += done;
    buf_reset(&writer->file);
    return 0;
}

int
body_write(struct body_writer *writer, struct view bytes, struct why *why)
{
    while (bytes.len > 0) {
        size_t room = BODY_PIECE_RAW - writer->raw.len;
        size_t take = bytes.len < room ? bytes.len : room;

        buf_add(&writer->raw, bytes.data, take);
        writer->written += take;
        bytes = view_skip(bytes, take);
        if (writer->raw.len < BODY_PIECE_RAW)
            break;
        close_piece(writer);
        if ((writer->fd >= 0 || writer->file.len > writer->inline_max) &&
            spill(writer, why) != 0)
            return -1;
    }
    return 0;
}

int
body_finish(struct body_writer *writer, struct view *content, int *fd,
            uint64_t *len, struct why *why)
{
    if (writer->raw.len > 0)
        close_piece(writer);
    *content = (struct view){NULL, 0};
    *fd = -1;
    if (writer->fd < 0 && writer->file.len <= writer->inline_max) {
        *content = buf_view(&writer->file);
        *len = content->len;
        return 0;
    }
    if (spill(writer, why) != 0)
        return -1;
    *fd = writer->fd;
    *len = writer->spilled;
    writer->fd = -1;
    return 0;
}

uint64_t
body_written(const struct body_writer *writer)
{
    return writer->written;
}

size_t
body_memory(const struct body_writer *writer)
{
    return writer->raw.cap + writer->file.cap;
}

void
body_writer_free(struct body_writer **writer)
{
    if (*writer == NULL)
        return;
    if ((*writer)->fd >= 0)
        close((*writer)->fd);
    buf_free(&(*writer)->raw);
    buf_free(&(*writer)->file);
    free(*writer);
    *writer = NULL;
}

/* --- reading ------------------------------------------------------------- */

static int
unpack_piece(struct view packed, struct buf *out, struct why *why)
{
    static ZSTD_DCtx *context;
    unsigned long long size = ZSTD_getFrameContentSize(packed.data, packed.len);
    size_t n;

    /* The size is in the frame; a piece that claims more, or to be empty, is
     * damaged. */
    if (size == 0 || size > BODY_PIECE_RAW)
        return why_text(why, "damaged piece: wrong size");
    if (context == NULL && (context = ZSTD_createDCtx()) == NULL)
        fatal("out of memory for decompression");
    buf_reserve(out, (size_t)size);
    n = ZSTD_decompressDCtx(context, out->data + out->len, (size_t)size,
                            packed.data, packed.len);
    if (ZSTD_isError(n))
        return why_text(why, "damaged piece: %s", ZSTD_getErrorName(n));
    if (n != size)
        return why_text(why, "damaged piece: cut");
    out->len += n;
    return 0;
}

int
body_read_piece(struct view piece, struct buf *out, struct why *why)
{
    struct view rest = view_skip(piece, 1);

    if (piece.len < 1 || piece.len > BODY_PIECE_MAX)
        return why_text(why, "damaged piece: %zu bytes", piece.len);
    switch (piece.data[0]) {
    case FORM_RAW:
        buf_add_view(out, rest);
        return 0;
    case FORM_ZSTD:
        return unpack_piece(rest, out, why);
    default:
        return why_text(why, "piece of unknown form 0x%02x",
                        (unsigned char)piece.data[0]);
    }
}

int
body_next_piece(struct view *content, struct view *piece, struct why *why)
{
    uint32_t len;

    if (content->len == 0)
        return 0;
    if (content->len < LENGTH_BYTES)
        return why_text(why, "body file cut in a length");
    len = bytes_get32(content->data);
    if (len == 0 || len > BODY_PIECE_MAX || len > content->len - LENGTH_BYTES)
        return why_text(why, "body file with a piece of %u bytes", len);
    *piece = (struct view){content->data + LENGTH_BYTES, len};
    *content = view_skip(*content, LENGTH_BYTES + len);
    return 1;
}

/* --- digest -------------------------------------------------------------- */

struct body_digest *
body_digest_new(void)
{
    struct body_digest *digest =
        aligned_alloc(64, (sizeof(*digest) + 63) / 64 * 64);

    if (digest == NULL)
        fatal("out of memory for a digest");
    crypto_generichash_init(&digest->state, NULL, 0, BODY_DIGEST_LEN);
    return digest;
}

void
body_digest_add(struct body_digest *digest, struct view bytes)
{
    crypto_generichash_update(&digest->state, (const unsigned char *)bytes.data,
                              bytes.len);
}

void
body_digest_end(struct body_digest **digest, char out[BODY_DIGEST_LEN])
{
    crypto_generichash_final(&(*digest)->state, (unsigned char *)out,
                             BODY_DIGEST_LEN);
    free(*digest);
    *digest = NULL;
}
