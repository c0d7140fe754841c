/* SPDX-License-Identifier: ISC */
#include "postfix_queue.h"

#include <stdlib.h>

#include "mem.h"
#include "num.h"

#define LENGTH_BYTES_MAX 4
#define HEAD_MAX         (1 + LENGTH_BYTES_MAX)
#define CONTENT_STEP     (64 * 1024)

/* --- records ------------------------------------------------------------- */

void
postfix_reader_init(struct postfix_reader *reader, postfix_read_fn *read,
                    void *arg, uint64_t size)
{
    *reader = (struct postfix_reader){
        .read = read,
        .arg = arg,
        .size = size,
        .bytes = mem_alloc(HEAD_MAX + POSTFIX_RECORD_MAX),
    };
}

void
postfix_reader_free(struct postfix_reader *reader)
{
    free(reader->bytes);
    reader->bytes = NULL;
}

/* Bytes of the file from at on, as many as the buffer has after reading on
 * where it has fewer than len. */
static int
look(struct postfix_reader *reader, uint64_t at, size_t len, struct view *out)
{
    size_t skip;

    if (at < reader->bytes_at ||
        at + len > reader->bytes_at + reader->bytes_len) {
        reader->bytes_at = at;
        reader->bytes_len = 0;
        while (reader->bytes_len < HEAD_MAX + POSTFIX_RECORD_MAX) {
            int64_t n =
                reader->read(reader->arg, at + reader->bytes_len,
                             reader->bytes + reader->bytes_len,
                             HEAD_MAX + POSTFIX_RECORD_MAX - reader->bytes_len);

            if (n < 0)
                return -1;
            if (n == 0)
                break;
            reader->bytes_len += (size_t)n;
        }
    }
    skip = (size_t)(at - reader->bytes_at);
    *out = (struct view){reader->bytes + skip, reader->bytes_len - skip};
    return 0;
}

/* Type and length; how many bytes they take, 0: they are cut or too long. */
static size_t
parse_head(struct view bytes, char *type, size_t *len)
{
    if (bytes.len == 0)
        return 0;
    *type = bytes.data[0];
    *len = 0;
    for (size_t i = 1; i < bytes.len && i <= LENGTH_BYTES_MAX; i++) {
        unsigned char c = (unsigned char)bytes.data[i];

        *len |= (size_t)(c & 0x7f) << 7 * (i - 1);
        if ((c & 0x80) == 0)
            return i + 1;
    }
    return 0;
}

/* Blanks in front, digits, no more. */
static int
parse_place(struct view text, uint64_t *value)
{
    while (text.len > 0 && text.data[0] == ' ')
        text = view_skip(text, 1);
    return num_parse(text, 0, INT64_MAX, value, NULL);
}

static enum got
bad(const struct postfix_reader *reader, const char *what, struct why *why)
{
    why_text(why, "%s at byte %llu: not a whole queue file of Postfix", what,
             (unsigned long long)reader->at);
    return GOT_BAD;
}

static enum got
one_record(struct postfix_reader *reader, struct postfix_record *record,
           struct why *why)
{
    struct view bytes;
    size_t head, len = 0;

    /* Each record has two bytes or more and is passed once. */
    if (++reader->records > reader->size / 2 + 1)
        return bad(reader, "records in a circle", why);
    if (reader->at >= reader->size ||
        look(reader, reader->at, HEAD_MAX, &bytes))
        return bad(reader, "the end", why);
    head = parse_head(bytes, &record->type, &len);
    if (head == 0 || len > POSTFIX_RECORD_MAX)
        return bad(reader, "a record that cannot be", why);
    if (look(reader, reader->at, head + len, &bytes) != 0 ||
        bytes.len < head + len)
        return bad(reader, "a record that is cut", why);
    record->data = (struct view){bytes.data + head, len};
    reader->at += head + len;
    return GOT_ONE;
}

enum got
postfix_record_next(struct postfix_reader *reader,
                    struct postfix_record *record, struct why *why)
{
    uint64_t place;

    for (;;) {
        if (one_record(reader, record, why) != GOT_ONE)
            return GOT_BAD;
        if (record->type != 'p')
            return GOT_ONE;
        if (parse_place(record->data, &place) != 0 || place >= reader->size)
            return bad(reader, "a pointer to nowhere", why);
        if (place > 0)
            reader->at = place;
    }
}

/* --- the envelope -------------------------------------------------------- */

void
postfix_envelope_free(struct postfix_envelope *envelope)
{
    buf_free(&envelope->sender);
    buf_free(&envelope->recipients);
    buf_free(&envelope->client);
    buf_free(&envelope->helo);
    buf_free(&envelope->protocol);
}

/* "1764062521 123456": seconds and, since some version, microseconds. */
static int
take_time(struct view text, uint64_t *ms)
{
    const char *blank;
    uint64_t s, us = 0;

    while (text.len > 0 && text.data[0] == ' ')
        text = view_skip(text, 1);
    blank = text.len > 0 ? memchr(text.data, ' ', text.len) : NULL;
    if (blank != NULL) {
        size_t len = (size_t)(blank - text.data);

        if (parse_place(view_skip(text, len), &us) != 0 || us > 999999)
            us = 0;
        text.len = len;
    }
    if (num_parse(text, 0, INT64_MAX / 1000, &s, NULL) != 0)
        return -1;
    *ms = s * 1000 + us / 1000;
    return 0;
}

static bool
is_text(struct view data)
{
    return data.len <= POSTFIX_TEXT_MAX &&
           (data.len == 0 || memchr(data.data, '\0', data.len) == NULL);
}

static void
take_attribute(struct postfix_envelope *envelope, struct view data)
{
    const struct {
        struct view name;
        struct buf *value;
    } wanted[] = {
        {VIEW("client_address="), &envelope->client},
        {VIEW("helo_name="), &envelope->helo},
        {VIEW("protocol_name="), &envelope->protocol},
    };

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        struct view name = wanted[i].name;
        struct view value = view_skip(data, name.len);

        if (data.len < name.len || memcmp(data.data, name.data, name.len) != 0)
            continue;
        buf_reset(wanted[i].value);
        if (is_text(value) && !view_equal(value, VIEW("unknown")))
            buf_add_view(wanted[i].value, value);
    }
}

static enum got
take_recipient(const struct postfix_reader *reader,
               struct postfix_envelope *envelope, struct view data,
               struct why *why)
{
    if (data.len == 0 || !is_text(data))
        return bad(reader, "an odd recipient", why);
    if (envelope->n_recipients == POSTFIX_RECIPIENTS_MAX)
        return bad(reader, "too many recipients", why);
    buf_add_view(&envelope->recipients, data);
    buf_add_byte(&envelope->recipients, '\0');
    envelope->n_recipients++;
    return GOT_ONE;
}

/* One record outside of the content. */
static enum got
take_record(const struct postfix_reader *reader,
            struct postfix_envelope *envelope, bool *has_sender,
            const struct postfix_record *record, struct why *why)
{
    switch (record->type) {
    case 'T':
        if (take_time(record->data, &envelope->arrived_ms) != 0)
            return bad(reader, "an odd time", why);
        break;
    case 'S':
        if (!is_text(record->data))
            return bad(reader, "an odd sender", why);
        buf_reset(&envelope->sender);
        buf_add_view(&envelope->sender, record->data);
        *has_sender = true;
        break;
    case 'R':
        return take_recipient(reader, envelope, record->data, why);
    case 'D':
        envelope->n_finished++;
        break;
    case 'A':
        take_attribute(envelope, record->data);
        break;
    default:
        break; /* hints, notices, what was cancelled: nothing for us */
    }
    return GOT_ONE;
}

/* Records up to the one of type end. */
static enum got
read_part(struct postfix_reader *reader, struct postfix_envelope *envelope,
          bool *has_sender, char end, struct why *why)
{
    struct postfix_record record;

    for (;;) {
        if (postfix_record_next(reader, &record, why) != GOT_ONE)
            return GOT_BAD;
        if (record.type == end)
            return GOT_ONE;
        if (record.type == 'E')
            return bad(reader, "an end without content", why);
        if (take_record(reader, envelope, has_sender, &record, why) != GOT_ONE)
            return GOT_BAD;
    }
}

int
postfix_envelope_read(struct postfix_reader *reader,
                      struct postfix_envelope *envelope, struct why *why)
{
    struct buf content = {0};
    bool has_sender = false;
    enum got got;

    if (read_part(reader, envelope, &has_sender, 'M', why) != GOT_ONE)
        return -1;
    envelope->content_at = reader->at;
    do {
        got = postfix_content_next(reader, &content, why);
        envelope->size += content.len;
        buf_reset(&content);
    } while (got == GOT_MORE);
    buf_free(&content);
    if (got != GOT_ONE ||
        read_part(reader, envelope, &has_sender, 'E', why) != GOT_ONE)
        return -1;
    if (!has_sender || envelope->arrived_ms == 0) {
        bad(reader, has_sender ? "no time" : "no sender", why);
        return -1;
    }
    return 0;
}

/* --- the content --------------------------------------------------------- */

void
postfix_content_begin(struct postfix_reader *reader,
                      const struct postfix_envelope *envelope)
{
    reader->at = envelope->content_at;
    reader->records = 0;
}

enum got
postfix_content_next(struct postfix_reader *reader, struct buf *out,
                     struct why *why)
{
    size_t start = out->len;

    while (out->len - start < CONTENT_STEP) {
        struct postfix_record record;

        if (postfix_record_next(reader, &record, why) != GOT_ONE)
            return GOT_BAD;
        if (record.type == 'X')
            return GOT_ONE;
        if (record.type == 'E')
            return bad(reader, "an end inside of the content", why);
        if (record.type != 'N' && record.type != 'L')
            continue;
        buf_add_view(out, record.data);
        if (record.type == 'N')
            buf_add_text(out, "\r\n");
    }
    return GOT_MORE;
}

bool
postfix_is_queue_id(struct view name)
{
    if (name.len < 6 || name.len > 20)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];

        if ((c < '0' || c > '9') && (c < 'A' || c > 'Z') &&
            (c < 'a' || c > 'z'))
            return false;
    }
    return true;
}
