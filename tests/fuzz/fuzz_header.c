/* SPDX-License-Identifier: ISC */
/*
 * Header blocks of a stranger: cut in pieces or whole the scan finds the
 * same, keeps within its limits, and our own field stays one field whatever
 * the client called itself.
 */
#include "header.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
scan(struct view content, size_t piece, struct header *header)
{
    header_init(header, VIEW("mx.example"));
    while (content.len > 0) {
        size_t n = piece < content.len ? piece : content.len;
        bool more = header_scan(header, (struct view){content.data, n});

        assert(more == !header->done);
        content = view_skip(content, n);
    }
    header_end(header);
    assert(header->done);
}

static void
check_same(const struct header *a, const struct header *b)
{
    assert(a->received == b->received && a->loops == b->loops);
    assert(a->loops <= a->received);
    assert(a->subject_len == b->subject_len &&
           a->subject_len <= HEADER_VALUE_MAX);
    assert(memcmp(a->subject, b->subject, a->subject_len) == 0);
    assert(memchr(a->subject, '\n', a->subject_len) == NULL);
    assert(a->message_id_len == b->message_id_len &&
           a->message_id_len <= HEADER_VALUE_MAX);
    assert(memcmp(a->message_id, b->message_id, a->message_id_len) == 0);
}

static void
check_received(struct view helo)
{
    struct header_trace trace = {.helo = helo,
                                 .client = VIEW("2001:db8::1"),
                                 .hostname = VIEW("mx.example"),
                                 .protocol = VIEW("ESMTP"),
                                 .id = VIEW("0ABCDEF123456")};
    struct header header;
    struct buf field = {0};
    size_t lines = 0;

    header_received(&trace, &field);
    for (size_t i = 0; i < field.len; i++) {
        uint8_t c = (uint8_t)field.data[i];

        assert((c >= ' ' && c <= '~') || c == '\t' || c == '\r' || c == '\n');
        lines += c == '\n' ? 1 : 0;
    }
    assert(lines == 4);
    buf_add_text(&field, "Subject: after\r\n\r\n");
    scan(buf_view(&field), SIZE_MAX, &header);
    assert(header.received == 1 && header.subject_len == 5);
    if (helo.len < 300)
        assert(header.loops == 1);
    buf_free(&field);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct header whole, parts;
    struct view content;

    if (size == 0)
        return 0;
    content = (struct view){(const char *)data + 1, size - 1};
    scan(content, SIZE_MAX, &whole);
    scan(content, data[0] % 16 + 1, &parts);
    check_same(&whole, &parts);
    check_received(content);
    return 0;
}
