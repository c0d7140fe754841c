/* SPDX-License-Identifier: ISC */
/*
 * Content into pieces and back; body_pack.c has the compressor. One context
 * for decompression serves the whole process.
 *
 * Content in clear is wiped where it ends: the process that faces the network
 * writes, and what it wrote must not be found in its memory later.
 */
#include "body.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "body_pack.h"
#include "bytes.h"
#include "dictionary.h"
#include "log.h"
#include "mem.h"

#define FORM_RAW     '0'
#define FORM_ZSTD    'z' /* written by format 1 */
#define FORM_SHORT   'Z' /* without the four bytes all frames begin with */
#define MAGIC_BYTES  4
#define FORM_SEALED  's'
#define LENGTH_BYTES 4
#define RAW_MIN      2048

_Static_assert(BODY_PIECE_RAW + 2 + SEAL_TAG <= BODY_PIECE_MAX,
               "content that does not compress fits as it is, sealed");

struct body_writer {
    int level;
    size_t inline_max;
    struct seal_key key;
    uint64_t id;
    uint64_t dictionary;
    uint64_t n;       /* of the piece under way */
    struct buf raw;   /* its content */
    struct buf file;  /* finished pieces, until they spill */
    int fd;           /* where they went, -1: still in memory */
    uint64_t spilled; /* bytes in fd */
    uint64_t written; /* content so far */
};

struct body_digest {
    crypto_generichash_state state;
};

/* --- clean memory --------------------------------------------------------- */

static void
wipe(struct buf *buf)
{
    if (buf->cap > 0)
        explicit_bzero(buf->data, buf->cap);
    buf_reset(buf);
}

/* Grows without leaving a copy behind, as realloc would. */
static void
raw_reserve(struct buf *raw, size_t more)
{
    struct buf grown = {0};
    size_t cap = raw->cap > 0 ? raw->cap : RAW_MIN;

    if (raw->cap - raw->len >= more)
        return;
    while (cap - raw->len < more)
        cap *= 2;
    buf_reserve(&grown, cap);
    buf_add_view(&grown, buf_view(raw));
    wipe(raw);
    buf_free(raw);
    *raw = grown;
}

/* --- writing -------------------------------------------------------------- */

/* Appends the plain piece of raw. Headers, which a dictionary knows best, are
 * in the first piece. */
static void
pack_piece(struct body_writer *writer, struct view raw, struct buf *out)
{
    struct body_pack how = {.level = writer->level,
                            .dictionary = writer->n == 0,
                            .sealed = writer->key.data_key != 0};
    uint64_t dictionary = 0;
    size_t packed = 0;
    char *piece;

    buf_reserve(out, 1 + MAGIC_BYTES + raw.len);
    piece = out->data + out->len;
    /* Room for one byte less than the content: no gain counts as failure. */
    if (writer->level > 0 && raw.len > 1)
        packed = body_pack(&how, raw, piece + 1, MAGIC_BYTES + raw.len - 1,
                           &dictionary);
    if (packed <= MAGIC_BYTES) {
        piece[0] = FORM_RAW;
        packed = raw.len;
        memcpy(piece + 1, raw.data, packed);
    } else {
        piece[0] = FORM_SHORT;
        packed -= MAGIC_BYTES;
        memmove(piece + 1, piece + 1 + MAGIC_BYTES, packed);
        if (dictionary != 0)
            writer->dictionary = dictionary;
    }
    out->len += 1 + packed;
}

struct body_writer *
body_writer_new(int level, size_t inline_max, const struct seal_key *key,
                uint64_t id)
{
    struct body_writer *writer = mem_alloc(sizeof(*writer));

    writer->level = level;
    writer->inline_max = inline_max;
    if (key != NULL)
        writer->key = *key;
    writer->id = id;
    writer->fd = -1;
    return writer;
}

/* Turns the content under way into a piece at the end of the file. */
static void
close_piece(struct body_writer *writer, bool last)
{
    static struct buf plain;
    size_t start = writer->file.len;

    buf_reserve(&writer->file, LENGTH_BYTES);
    writer->file.len += LENGTH_BYTES;
    if (writer->key.data_key == 0) {
        pack_piece(writer, buf_view(&writer->raw), &writer->file);
    } else {
        raw_reserve(&plain, BODY_PIECE_MAX);
        pack_piece(writer, buf_view(&writer->raw), &plain);
        buf_add_byte(&writer->file, FORM_SEALED);
        seal_piece(writer->key.bytes, writer->id, writer->n, last,
                   buf_view(&plain), &writer->file);
        /* The compressor may have been further than where it ended. */
        explicit_bzero(plain.data, 1 + MAGIC_BYTES + writer->raw.len);
        buf_reset(&plain);
    }
    bytes_put32(writer->file.data + start,
                (uint32_t)(writer->file.len - start - LENGTH_BYTES));
    explicit_bzero(writer->raw.data, writer->raw.len);
    buf_reset(&writer->raw);
    writer->n++;
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

        /* Only now is it known that the piece under way is not the last. */
        if (room == 0) {
            close_piece(writer, false);
            if ((writer->fd >= 0 || writer->file.len > writer->inline_max) &&
                spill(writer, why) != 0)
                return -1;
            continue;
        }
        raw_reserve(&writer->raw, take);
        buf_add(&writer->raw, bytes.data, take);
        writer->written += take;
        bytes = view_skip(bytes, take);
    }
    return 0;
}

int
body_finish(struct body_writer *writer, struct view *content, int *fd,
            uint64_t *len, struct why *why)
{
    if (writer->raw.len > 0)
        close_piece(writer, true);
    wipe(&writer->raw);
    buf_free(&writer->raw);
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

bool
body_can_name(const struct body_writer *writer, size_t more)
{
    return writer->n == 0 && writer->raw.len + more <= BODY_PIECE_RAW;
}

void
body_name(struct body_writer *writer, uint64_t id, size_t at, struct view bytes)
{
    if (writer->n > 0 || at + bytes.len > writer->raw.len)
        bug("content that is named too late");
    writer->id = id;
    memcpy(writer->raw.data + at, bytes.data, bytes.len);
}

uint64_t
body_written(const struct body_writer *writer)
{
    return writer->written;
}

uint64_t
body_dictionary(const struct body_writer *writer)
{
    return writer->dictionary;
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
    wipe(&(*writer)->raw);
    buf_free(&(*writer)->raw);
    seal_key_wipe(&(*writer)->key);
    buf_free(&(*writer)->file);
    free(*writer);
    *writer = NULL;
}

/* --- reading -------------------------------------------------------------- */

/* Dictionaries a reader met lately. */
#define DICTIONARIES_MAX 4

static struct {
    ZSTD_DCtx *context;
    body_find_dictionary_fn *find;
    struct {
        unsigned id;
        uint64_t used;
        ZSTD_DDict *dictionary;
    } known[DICTIONARIES_MAX];
    uint64_t uses;
} unpacker;

void
body_find_dictionaries_by(body_find_dictionary_fn *find)
{
    unpacker.find = find;
}

static int
find_bytes(unsigned id, struct buf *bytes, struct why *why)
{
    int found = 0;

    if (id == DICTIONARY_SHIPPED_ID) {
        buf_add_view(bytes, dictionary_shipped());
        return 0;
    }
    if (unpacker.find != NULL)
        found = unpacker.find(id, bytes, why);
    if (found == 0)
        return why_text(why, "dictionary %u is not here", id);
    return found < 0 ? -1 : 0;
}

/* NULL and a reason where it cannot be had. */
static ZSTD_DDict *
dictionary_of(unsigned id, struct why *why)
{
    struct buf bytes = {0};
    size_t i, oldest = 0;

    for (i = 0; i < DICTIONARIES_MAX; i++) {
        if (unpacker.known[i].dictionary != NULL && unpacker.known[i].id == id)
            break;
        if (unpacker.known[i].used < unpacker.known[oldest].used)
            oldest = i;
    }
    if (i == DICTIONARIES_MAX) {
        i = oldest;
        if (find_bytes(id, &bytes, why) != 0) {
            buf_free(&bytes);
            return NULL;
        }
        ZSTD_freeDDict(unpacker.known[i].dictionary);
        unpacker.known[i].dictionary = ZSTD_createDDict(bytes.data, bytes.len);
        unpacker.known[i].id = id;
        buf_free(&bytes);
        if (unpacker.known[i].dictionary == NULL) {
            why_text(why, "dictionary %u is damaged", id);
            return NULL;
        }
    }
    unpacker.known[i].used = ++unpacker.uses;
    return unpacker.known[i].dictionary;
}

static int
unpack_piece(struct view packed, struct buf *out, struct why *why)
{
    unsigned long long size = ZSTD_getFrameContentSize(packed.data, packed.len);
    unsigned id = ZSTD_getDictID_fromFrame(packed.data, packed.len);
    ZSTD_DDict *dictionary = NULL;
    size_t n;

    /* The size is in the frame; a piece that claims more, or to be empty, is
     * damaged. */
    if (size == 0 || size > BODY_PIECE_RAW)
        return why_text(why, "damaged piece: wrong size");
    if (id != 0 && (dictionary = dictionary_of(id, why)) == NULL)
        return -1;
    if (unpacker.context == NULL &&
        (unpacker.context = ZSTD_createDCtx()) == NULL)
        fatal("out of memory for decompression");
    buf_reserve(out, (size_t)size);
    n = ZSTD_decompress_usingDDict(unpacker.context, out->data + out->len,
                                   (size_t)size, packed.data, packed.len,
                                   dictionary);
    if (ZSTD_isError(n))
        return why_text(why, "damaged piece: %s", ZSTD_getErrorName(n));
    if (n != size)
        return why_text(why, "damaged piece: cut");
    out->len += n;
    return 0;
}

static int
read_plain(struct view piece, struct buf *out, struct why *why)
{
    static struct buf frame;
    struct view rest = view_skip(piece, piece.len > 0);

    switch (piece.len > 0 ? piece.data[0] : '\0') {
    case FORM_RAW:
        buf_add_view(out, rest);
        return 0;
    case FORM_ZSTD:
        return unpack_piece(rest, out, why);
    case FORM_SHORT:
        buf_reset(&frame);
        buf_add(&frame, "\x28\xb5\x2f\xfd", MAGIC_BYTES);
        buf_add_view(&frame, rest);
        return unpack_piece(buf_view(&frame), out, why);
    default:
        return why_text(why, "piece of unknown form 0x%02x",
                        piece.len > 0 ? (unsigned char)piece.data[0] : 0);
    }
}

int
body_read_piece(struct view piece, const struct body_place *place,
                struct buf *out, struct why *why)
{
    static struct buf plain;
    bool sealed = piece.len > 0 && piece.data[0] == FORM_SEALED;
    int rc;

    if (piece.len < 1 || piece.len > BODY_PIECE_MAX)
        return why_text(why, "damaged piece: %zu bytes", piece.len);
    if (sealed != (place != NULL && place->key != NULL))
        return why_text(why, sealed
                                 ? "a sealed piece of a message without a key"
                                 : "a piece that was not sealed");
    if (!sealed)
        return read_plain(piece, out, why);
    rc = seal_open_piece(place->key, place->id, place->n, place->last,
                         view_skip(piece, 1), &plain, why);
    if (rc == 0)
        rc = read_plain(buf_view(&plain), out, why);
    wipe(&plain);
    return rc;
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
