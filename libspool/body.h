/* SPDX-License-Identifier: ISC */
/*
 * Content: the bytes of a message as pieces that can be read alone. Each
 * piece holds BODY_PIECE_RAW bytes of content (the last one fewer), as one
 * zstd frame, or as it is where compression does not help. A piece is never
 * longer than BODY_PIECE_MAX, which fills whole database pages (man spool.5).
 *
 *     piece      one byte of form ('0' raw, 'z' zstd frame), then the bytes
 *     body file  for each piece: length (4 bytes, big-endian), piece
 *
 * The store copies pieces without looking inside. Sealing will be one more
 * form in this file and nowhere else.
 */
#ifndef SPOOL_BODY_H
#define SPOOL_BODY_H

#include <stdint.h>

#include "buf.h"
#include "view.h"
#include "why.h"

#define BODY_PIECE_MAX 65520u /* 16 pages of 4096 less LMDB's page header */
#define BODY_PIECE_RAW 65408u

struct body_writer;

/* Level is zstd's (1..9). Up to inline_max bytes of body file stay in
 * memory; more goes to an unlinked file in the current directory. */
struct body_writer *body_writer_new(int level, size_t inline_max);
/* Appends content. -1: the file could not be written (no space, ...). */
int body_write(struct body_writer *writer, struct view bytes, struct why *why);
/* After the last byte. On 0 either *content holds the whole body file (valid
 * until body_writer_free) and *fd is -1, or *fd is a descriptor of it, owned
 * by the caller from now on. *len is its length. */
int body_finish(struct body_writer *writer, struct view *content, int *fd,
                uint64_t *len, struct why *why);
uint64_t body_written(const struct body_writer *writer); /* content so far */
size_t body_memory(const struct body_writer *writer);    /* bytes it holds */
void body_writer_free(struct body_writer **writer);

/* Decodes one piece as stored and appends the content to out. -1: damaged. */
int body_read_piece(struct view piece, struct buf *out, struct why *why);

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
