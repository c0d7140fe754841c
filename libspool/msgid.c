/* SPDX-License-Identifier: ISC */
#include "msgid.h"

#define MS_SHIFT      21
#define NODE_SHIFT    13
#define WRITER_SHIFT  8
#define SEQUENCE_MASK UINT64_C(0xff)

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static uint64_t
ms_bits(uint64_t wall_ms)
{
    return (wall_ms > MSGID_EPOCH_MS ? wall_ms - MSGID_EPOCH_MS : 0)
           << MS_SHIFT;
}

void
msgid_set_floor(struct msgid_source *source, uint64_t floor_ms)
{
    uint64_t floor;

    if (floor_ms == 0)
        return;
    if (source->last == 0)
        floor_ms += MSGID_MARGIN_MS;
    /* The last sequence of that millisecond: the next id starts the next. */
    floor = ms_bits(floor_ms) | SEQUENCE_MASK;
    if (floor > source->last)
        source->last = floor;
}

uint64_t
msgid_next(struct msgid_source *source, int64_t wall_ms)
{
    uint64_t now = ms_bits(wall_ms > 0 ? (uint64_t)wall_ms : 0);

    if (now > source->last)
        source->last = now;
    else if ((source->last & SEQUENCE_MASK) < SEQUENCE_MASK)
        source->last++;
    else
        source->last = ((source->last >> MS_SHIFT) + 1) << MS_SHIFT;
    return source->last | (uint64_t)source->node << NODE_SHIFT |
           (uint64_t)source->writer << WRITER_SHIFT;
}

uint64_t
msgid_ms(uint64_t id)
{
    return (id >> MS_SHIFT) + MSGID_EPOCH_MS;
}

uint64_t
msgid_make(uint64_t wall_ms, uint64_t rest)
{
    return ms_bits(wall_ms) | (rest & ((UINT64_C(1) << MS_SHIFT) - 1));
}

uint64_t
msgid_last(uint64_t wall_ms)
{
    return msgid_make(wall_ms, UINT64_MAX);
}

const char *
msgid_print(uint64_t id, char text[MSGID_TEXT_MAX])
{
    for (int i = MSGID_TEXT_LEN - 1; i >= 0; i--) {
        text[i] = alphabet[id & 31];
        id >>= 5;
    }
    text[MSGID_TEXT_LEN] = '\0';
    return text;
}

static int
digit_of(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    if (c == 'O')
        c = '0';
    if (c == 'I' || c == 'L')
        c = '1';
    for (int i = 0; i < 32; i++)
        if (alphabet[i] == c)
            return i;
    return -1;
}

int
msgid_parse(struct view text, uint64_t *id)
{
    uint64_t value = 0;

    if (text.len != MSGID_TEXT_LEN)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.data[i]);

        if (digit < 0 || (i == 0 && digit > 15)) /* 13 * 5 = 65 bits */
            return -1;
        value = value << 5 | (uint64_t)digit;
    }
    *id = value;
    return 0;
}
