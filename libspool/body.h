/* SPDX-License-Identifier: ISC */
/*
 * Content: the bytes of a message as pieces that can be read alone. Each
 * piece holds BODY_PIECE_RAW bytes of content (the last one fewer). A piece
 * is never longer than BODY_PIECE_MAX, which fills whole database pages.
 *
 *     plain piece  one byte of form, then the bytes:
 *                  '0' content as it is
 *                  'Z' one zstd frame without its magic number; the id of a
 *                      dictionary is in its header
 *                  'z' one zstd frame, whole (format 1)
 *     piece        a plain piece, or 's' and a sealed plain piece (seal.h)
 *     body file    for each piece: length (4 bytes, big-endian), piece
 *
 * The store copies pieces without looking inside. Only body.c and
 * body_pack.c know zstd's compression (dictionary.c has the training).
 */
#ifndef SPOOL_BODY_H
#define SPOOL_BODY_H

#include <stdint.h>

#include "buf.h"
#include "seal.h"
#include "view.h"
#include "why.h"

#define BODY_PIECE_MAX 65520u /* 16 pages of 4096 less LMDB's page header */
#define BODY_PIECE_RAW 65408u

/* The dictionary writers use from now on (a copy is kept); of this process.
 * Empty: none. -1: not a dictionary. */
int body_use_dictionary(uint64_t id, struct view bytes, struct why *why);
/* How readers come by a dictionary a frame names: appends it to out, and
 * answers like db_read (1, 0, -1). The shipped one needs no lookup. */
typedef int body_find_dictionary_fn(uint64_t id, struct buf *out,
                                    struct why *why);
void body_find_dictionaries_by(body_find_dictionary_fn *find);

struct body_writer;

/* level is zstd's (1..9), 0: nothing is compressed. key and id: the content
 * is sealed for that message; key->data_key 0 or key NULL: it is not. Up to
 * inline_max bytes of body file stay in memory; more goes to an unlinked file
 * in the current directory. Content in memory is wiped when it ends. */
struct body_writer *body_writer_new(int level, size_t inline_max,
                                    const struct seal_key *key, uint64_t id);
/* Appends content. -1: the file could not be written (no space, ...). */
int body_write(struct body_writer *writer, struct view bytes, struct why *why);
/* After the last byte. On 0 either *content holds the whole body file (valid
 * until body_writer_free) and *fd is -1, or *fd is a descriptor of it, owned
 * by the caller from now on. *len is its length. */
int body_finish(struct body_writer *writer, struct view *content, int *fd,
                uint64_t *len, struct why *why);
/* The id the content is sealed for, where it was not known at first (0), and
 * len bytes of content at offset at in its place. Only while body_can_name:
 * the first piece is still open. */
bool body_can_name(const struct body_writer *writer, size_t more);
void body_name(struct body_writer *writer, uint64_t id, size_t at,
               struct view bytes);
uint64_t body_written(const struct body_writer *writer); /* content so far */
/* The dictionary its pieces need, 0: none. For message.dictionary. */
uint64_t body_dictionary(const struct body_writer *writer);
size_t body_memory(const struct body_writer *writer); /* bytes it holds */
void body_writer_free(struct body_writer **writer);

/* Which piece of which message; key: NULL where it is not sealed. */
struct body_place {
    const char *key; /* SEAL_KEY bytes */
    uint64_t id;
    uint64_t n;
    bool last; /* n + 1 == message.pieces */
};
/* Decodes one piece as stored and appends the content to out. place may be
 * NULL where the content is known not to be sealed. -1: damaged. */
int body_read_piece(struct view piece, const struct body_place *place,
                    struct buf *out, struct why *why);

/* Takes the next piece off the front of an inline body file. 1: *piece is
 * set; 0: the end; -1: damaged. */
int body_next_piece(struct view *content, struct view *piece, struct why *why);

/* BLAKE2b-256, in pieces. */
#define BODY_DIGEST_LEN 32
struct body_digest;
struct body_digest *body_digest_new(void);
void body_digest_add(struct body_digest *digest, struct view bytes);
/* Writes the digest and frees. */
void body_digest_end(struct body_digest **digest, char out[BODY_DIGEST_LEN]);

#endif
