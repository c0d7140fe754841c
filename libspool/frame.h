/* SPDX-License-Identifier: ISC */
/*
 * Messages on a stream socket between roles, each with at most one passed
 * descriptor:
 *
 *      0       4      6      7      8            16
 *     +-------+------+------+------+------------+---------...
 *     | length| kind | fd?  | 0    | call       | payload
 *     +-------+------+------+------+------------+---------...
 *
 * big-endian; length counts the payload. The descriptor travels with the
 * first byte of its frame (unix(7), SCM_RIGHTS), so descriptors arrive in
 * the order of the frames that announce them.
 */
#ifndef SPOOL_FRAME_H
#define SPOOL_FRAME_H

#include "buf.h"
#include "got.h"
#include "record.h"
#include "why.h"

#define FRAME_HEADER      16
#define FRAME_PAYLOAD_MAX (16 * 1024 * 1024)

struct frame_fd {
    size_t at; /* offset in bytes of the frame it belongs to */
    int fd;
};

/* Frames on their way out. Zero-initialised it is empty. */
struct frame_out {
    struct buf bytes;
    size_t sent;
    struct frame_fd *fds;
    size_t n_fds;
};

/* Appends one frame; takes fd (-1: none). */
void frame_put(struct frame_out *out, unsigned kind, uint64_t call,
               const struct record_type *type, const void *payload, int fd);
/* 1: all is sent, 0: the socket is full, -1: errno. */
int frame_send(struct frame_out *out, int socket);
void frame_out_free(struct frame_out *out);

struct frame {
    unsigned kind;
    uint64_t call;
    struct view payload; /* until the next frame_receive or frame_next */
    int fd;              /* -1: none; the caller's from now on */
};

#define FRAME_FDS_MAX 64

struct frame_in {
    struct buf bytes;
    size_t taken; /* bytes given out by frame_next */
    int fds[FRAME_FDS_MAX];
    size_t n_fds;
};

/* Reads what is there, up to a bound. 1: some came, 0: nothing now, -1: the
 * peer closed (errno 0) or an error. */
int frame_receive(struct frame_in *in, int socket);
/* GOT_ONE: *frame is set. GOT_MORE: receive again. GOT_BAD: the stream is
 * not to be trusted any more. */
enum got frame_next(struct frame_in *in, struct frame *frame, struct why *why);
void frame_in_free(struct frame_in *in);

#endif
