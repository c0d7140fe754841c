/* SPDX-License-Identifier: ISC */
#include "frame.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "bytes.h"
#include "log.h"
#include "mem.h"

/* Bytes taken from the socket in one call of frame_receive. */
#define RECEIVE_STEP (256 * 1024)
#define RECEIVE_MAX  (2 * 1024 * 1024)

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int) * FRAME_FDS_MAX)];
};

void
frame_put(struct frame_out *out, unsigned kind, uint64_t call,
          const struct record_type *type, const void *payload, int fd)
{
    size_t start = out->bytes.len;
    char header[FRAME_HEADER] = {0};
    size_t length;

    if (fd >= 0) {
        out->fds = mem_grow(out->fds, out->n_fds + 1, sizeof(*out->fds));
        out->fds[out->n_fds++] = (struct frame_fd){start, fd};
    }
    buf_add(&out->bytes, header, sizeof(header));
    record_encode(type, payload, &out->bytes);
    length = out->bytes.len - start - FRAME_HEADER;
    if (length > FRAME_PAYLOAD_MAX)
        bug("frame of %zu bytes (%s)", length, type->name);
    bytes_put32(header, (uint32_t)length);
    header[4] = (char)(kind >> 8);
    header[5] = (char)kind;
    header[6] = fd >= 0;
    bytes_put64(header + 8, call);
    memcpy(out->bytes.data + start, header, sizeof(header));
}

static ssize_t
send_with_fd(int socket, const void *data, size_t len, int fd)
{
    union control control = {0};
    struct iovec iov = {(void *)(uintptr_t)data, len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *cmsg;

    if (fd < 0)
        return send(socket, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    message.msg_control = control.space;
    message.msg_controllen = CMSG_SPACE(sizeof(int));
    cmsg = CMSG_FIRSTHDR(&message);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The descriptor that must go with the byte at sent, and where the next
 * piece must end so that one call carries one descriptor. */
static size_t
piece_end(const struct frame_out *out, int *fd)
{
    size_t next = 0;

    *fd = -1;
    if (out->n_fds > 0 && out->fds[0].at == out->sent) {
        *fd = out->fds[0].fd;
        next = 1;
    }
    return next < out->n_fds ? out->fds[next].at : out->bytes.len;
}

int
frame_send(struct frame_out *out, int socket)
{
    while (out->sent < out->bytes.len) {
        int fd;
        size_t end = piece_end(out, &fd);
        ssize_t n = send_with_fd(socket, out->bytes.data + out->sent,
                                 end - out->sent, fd);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        out->sent += (size_t)n;
        if (fd >= 0 && n > 0) {
            close(fd);
            out->n_fds--;
            memmove(out->fds, out->fds + 1, out->n_fds * sizeof(*out->fds));
        }
    }
    if (out->bytes.cap > RECEIVE_STEP)
        buf_free(&out->bytes);
    buf_reset(&out->bytes);
    out->sent = 0;
    return 1;
}

void
frame_out_free(struct frame_out *out)
{
    for (size_t i = 0; i < out->n_fds; i++)
        close(out->fds[i].fd);
    free(out->fds);
    buf_free(&out->bytes);
    *out = (struct frame_out){0};
}

static int
keep_fds(struct frame_in *in, struct msghdr *message)
{
    int lost = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL;
         c = CMSG_NXTHDR(message, c)) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (in->n_fds < FRAME_FDS_MAX) {
                in->fds[in->n_fds++] = fd;
            } else {
                close(fd);
                lost++;
            }
        }
    }
    if (lost > 0 || (message->msg_flags & MSG_CTRUNC)) {
        errno = EPROTO;
        return -1;
    }
    return 0;
}

static void
drop_taken(struct frame_in *in)
{
    if (in->taken > 0)
        buf_consume(&in->bytes, in->taken);
    in->taken = 0;
    if (in->bytes.len == 0 && in->bytes.cap > 4 * RECEIVE_STEP)
        buf_free(&in->bytes);
}

int
frame_receive(struct frame_in *in, int socket)
{
    size_t got = 0;

    drop_taken(in);
    /* Descriptors that no frame claims: reading would never go on. */
    if (in->n_fds >= FRAME_FDS_MAX / 2) {
        errno = EPROTO;
        return -1;
    }
    while (got < RECEIVE_MAX && in->n_fds < FRAME_FDS_MAX / 2) {
        union control control;
        struct iovec iov;
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = control.space,
                                 .msg_controllen = sizeof(control.space)};
        ssize_t n;

        buf_reserve(&in->bytes, RECEIVE_STEP);
        iov = (struct iovec){in->bytes.data + in->bytes.len, RECEIVE_STEP};
        n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? got > 0 : -1;
        if (n == 0) {
            errno = 0;
            return got > 0 ? 1 : -1; /* the next call says so again */
        }
        in->bytes.len += (size_t)n;
        got += (size_t)n;
        if (keep_fds(in, &message) != 0)
            return -1;
        if (n < RECEIVE_STEP / 2 && message.msg_controllen == 0)
            break; /* the socket is most likely empty: save a call */
    }
    return 1;
}

enum got
frame_next(struct frame_in *in, struct frame *frame, struct why *why)
{
    struct view rest = view_skip(buf_view(&in->bytes), in->taken);
    uint32_t length;

    if (rest.len < FRAME_HEADER)
        return GOT_MORE;
    length = bytes_get32(rest.data);
    if (length > FRAME_PAYLOAD_MAX) {
        why_text(why, "frame of %u bytes", length);
        return GOT_BAD;
    }
    if (rest.len < FRAME_HEADER + (size_t)length)
        return GOT_MORE;
    frame->kind =
        (unsigned)((uint8_t)rest.data[4] << 8 | (uint8_t)rest.data[5]);
    frame->call = bytes_get64(rest.data + 8);
    frame->payload = (struct view){rest.data + FRAME_HEADER, length};
    frame->fd = -1;
    if (rest.data[6] != 0) {
        if (in->n_fds == 0) {
            why_text(why, "frame of kind %u without its descriptor",
                     frame->kind);
            return GOT_BAD;
        }
        frame->fd = in->fds[0];
        in->n_fds--;
        memmove(in->fds, in->fds + 1, in->n_fds * sizeof(in->fds[0]));
    }
    in->taken += FRAME_HEADER + length;
    return GOT_ONE;
}

void
frame_in_free(struct frame_in *in)
{
    for (size_t i = 0; i < in->n_fds; i++)
        close(in->fds[i]);
    buf_free(&in->bytes);
    *in = (struct frame_in){0};
}
