/* SPDX-License-Identifier: ISC */
/*
 * A stream of frames of a role that was taken over: cut in two or whole the
 * answers are the same, and no frame reaches past the bytes that came.
 */
#include "frame.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
    uint64_t value;
    size_t frames;
    enum got end;
};

static void
take_all(struct frame_in *in, struct sum *sum)
{
    struct frame frame;
    struct why why = {0};

    while ((sum->end = frame_next(in, &frame, &why)) == GOT_ONE) {
        assert(in->taken <= in->bytes.len);
        assert(frame.payload.len <= FRAME_PAYLOAD_MAX && frame.fd == -1);
        sum->value = sum->value * 31 + frame.kind + frame.call;
        for (size_t i = 0; i < frame.payload.len; i++)
            sum->value = sum->value * 31 + (uint8_t)frame.payload.data[i];
        sum->frames++;
    }
    assert((sum->end == GOT_BAD) == (why.text[0] != '\0'));
}

static struct sum
run(struct view bytes, size_t cut)
{
    struct frame_in in = {0};
    struct sum sum = {0};

    buf_add(&in.bytes, bytes.data, cut);
    take_all(&in, &sum);
    if (sum.end != GOT_BAD) {
        buf_add_view(&in.bytes, view_skip(bytes, cut));
        take_all(&in, &sum);
    }
    frame_in_free(&in);
    return sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view bytes = {(const char *)data, size};
    struct sum whole = run(bytes, size);
    struct sum parts = run(bytes, size > 0 ? data[0] % (size + 1) : 0);

    assert(whole.value == parts.value && whole.frames == parts.frames);
    assert(whole.end == parts.end);
    return 0;
}
