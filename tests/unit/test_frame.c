/* SPDX-License-Identifier: ISC */
/*
 * frame: what goes in comes out, in order, with its descriptors, however the
 * socket cuts it; a stream that lies about itself is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "frame.h"
#include "proto.h"

static void
pair(int sockets[2])
{
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
}

/* A file whose content tells which it is. */
static int
numbered_file(int n)
{
    int fd = memfd_create("numbered", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &n, sizeof(n), 0), sizeof(n));
    return fd;
}

static void
assert_numbered(int fd, int n)
{
    int have;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &have, sizeof(have), 0), sizeof(have));
    assert_int_equal(have, n);
    close(fd);
}

static void
put_count(struct frame_out *out, unsigned kind, uint64_t count, int fd)
{
    const struct proto_count payload = {count};

    frame_put(out, kind, count * 10, &proto_count_record, &payload, fd);
}

static void
assert_count(const struct frame *frame, unsigned kind, uint64_t count)
{
    struct proto_count payload;
    struct why why;

    assert_int_equal(frame->kind, kind);
    assert_int_equal(frame->call, count * 10);
    assert_int_equal(
        record_decode(&proto_count_record, frame->payload, &payload, &why), 0);
    assert_int_equal(payload.count, count);
}

static void
test_bytes(void **state)
{
    const struct proto_blob blob = {VIEW("hello")};
    struct frame_out out = {0};

    (void)state;
    frame_put(&out, 0x0102, UINT64_C(0x1122334455667788), &proto_blob_record,
              &blob, -1);
    assert_true(view_equal(
        buf_view(&out.bytes),
        VIEW("\0\0\0\7\1\2\0\0\x11\x22\x33\x44\x55\x66\x77\x88\x03\x05hello")));
    frame_out_free(&out);
}

/* Without descriptors, written n bytes at a time. */
static void
trickle(size_t step)
{
    struct frame_out out = {0};
    struct frame_in in = {0};
    struct frame frame;
    struct why why;
    uint64_t taken = 0;
    int sockets[2];

    pair(sockets);
    for (uint64_t i = 0; i < 50; i++)
        put_count(&out, (unsigned)i + 1, i * i * i, -1);
    for (size_t at = 0; at < out.bytes.len; at += step) {
        size_t n = out.bytes.len - at < step ? out.bytes.len - at : step;

        assert_int_equal(write(sockets[0], out.bytes.data + at, n), n);
        assert_int_equal(frame_receive(&in, sockets[1]), 1);
        while (frame_next(&in, &frame, &why) == GOT_ONE) {
            assert_count(&frame, (unsigned)taken + 1, taken * taken * taken);
            assert_int_equal(frame.fd, -1);
            taken++;
        }
        assert_int_equal(frame_receive(&in, sockets[1]), 0);
    }
    assert_int_equal(taken, 50);
    close(sockets[0]);
    assert_int_equal(frame_receive(&in, sockets[1]), -1);
    assert_int_equal(errno, 0);
    close(sockets[1]);
    frame_in_free(&in);
    frame_out_free(&out);
}

static void
test_trickle(void **state)
{
    (void)state;
    for (size_t step = 1; step <= 3; step++)
        trickle(step);
    trickle(1 << 20);
}

/* Descriptors on some frames, more frames than the socket holds. */
static void
test_descriptors(void **state)
{
    enum { FRAMES = 300 };
    char padding[5000] = {0};
    struct frame_out out = {0};
    struct frame_in in = {0};
    struct frame frame;
    struct why why;
    int sockets[2], sent = 0, small = 4096;

    (void)state;
    pair(sockets);
    setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    for (int i = 0; i < FRAMES; i++) {
        struct proto_blob blob = {{padding, (size_t)(i * 37 % 5000)}};

        frame_put(&out, 7, (uint64_t)i, &proto_blob_record, &blob,
                  i % 3 == 0 ? numbered_file(i) : -1);
    }
    for (int next = 0; next < FRAMES;) {
        if (sent == 0)
            sent = frame_send(&out, sockets[0]);
        assert_int_not_equal(sent, -1);
        assert_int_equal(frame_receive(&in, sockets[1]), 1);
        while (frame_next(&in, &frame, &why) == GOT_ONE) {
            assert_int_equal(frame.call, next);
            if (next % 3 == 0)
                assert_numbered(frame.fd, next);
            else
                assert_int_equal(frame.fd, -1);
            next++;
        }
    }
    assert_int_equal(sent, 1);
    assert_int_equal(out.n_fds, 0);
    close(sockets[0]);
    close(sockets[1]);
    frame_in_free(&in);
    frame_out_free(&out);
}

/* What was taken on and not sent, or received and not taken, is closed. */
static void
test_no_leak(void **state)
{
    struct frame_out out = {0};
    struct frame_in in = {0};
    int sockets[2], first = dup(0), probe;

    (void)state;
    close(first);
    pair(sockets);
    put_count(&out, 1, 1, numbered_file(1));
    put_count(&out, 1, 2, numbered_file(2));
    assert_int_equal(frame_send(&out, sockets[0]), 1);
    put_count(&out, 1, 3, numbered_file(3));
    assert_int_equal(frame_receive(&in, sockets[1]), 1);
    frame_in_free(&in);
    frame_out_free(&out);
    close(sockets[0]);
    close(sockets[1]);
    probe = dup(0);
    assert_int_equal(probe, first); /* the lowest free number is as before */
    close(probe);
}

static enum got
receive_raw(struct view bytes, struct why *why)
{
    struct frame_in in = {0};
    struct frame frame;
    int sockets[2];
    enum got got;

    pair(sockets);
    assert_int_equal(write(sockets[0], bytes.data, bytes.len), bytes.len);
    assert_int_equal(frame_receive(&in, sockets[1]), 1);
    got = frame_next(&in, &frame, why);
    frame_in_free(&in);
    close(sockets[0]);
    close(sockets[1]);
    return got;
}

static void
test_bad(void **state)
{
    char header[FRAME_HEADER] = {0};
    struct view bytes = {header, sizeof(header)};
    struct why why;

    (void)state;
    assert_int_equal(receive_raw(bytes, &why), GOT_ONE); /* an empty payload */
    bytes_put32(header, FRAME_PAYLOAD_MAX);
    assert_int_equal(receive_raw(bytes, &why), GOT_MORE);
    bytes_put32(header, FRAME_PAYLOAD_MAX + 1);
    assert_int_equal(receive_raw(bytes, &why), GOT_BAD);
    bytes_put32(header, UINT32_MAX);
    assert_int_equal(receive_raw(bytes, &why), GOT_BAD);
    bytes_put32(header, 0);
    header[6] = 1;
    assert_int_equal(receive_raw(bytes, &why), GOT_BAD);
    assert_string_equal(why.text, "frame of kind 0 without its descriptor");
}

static void
test_broken_pipe(void **state)
{
    struct frame_out out = {0};
    int sockets[2];

    (void)state;
    pair(sockets);
    close(sockets[1]);
    put_count(&out, 1, 1, numbered_file(1));
    assert_int_equal(frame_send(&out, sockets[0]), -1); /* and no SIGPIPE */
    assert_int_equal(errno, EPIPE);
    frame_out_free(&out);
    close(sockets[0]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),       cmocka_unit_test(test_trickle),
        cmocka_unit_test(test_descriptors), cmocka_unit_test(test_no_leak),
        cmocka_unit_test(test_bad),         cmocka_unit_test(test_broken_pipe),
    };

    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
