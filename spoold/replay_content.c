/* SPDX-License-Identifier: ISC */
/*
 * The content of a message on its way out: piece by piece from the store,
 * decompressed, stuffed. The end mark is written only after every piece was
 * there and the whole has the digest that was recorded when it came in: what
 * is damaged or gone breaks the connection, it is never sent as a shorter
 * message.
 *
 * Before: replay_session.c   After: replay_session.c
 */
#include "replay.h"

#include <inttypes.h>
#include <stdlib.h>

#include "body.h"
#include "dot.h"
#include "dsn.h"
#include "mem.h"
#include "reading.h"

struct replay_content {
    uint64_t id;
    const struct message *message; /* of the job, which outlives this */
    uint64_t next;                 /* piece */
    uint64_t size;                 /* content so far */
    bool chunked;
    struct dot_encoder encoder;
    struct body_digest *digest;
};

/* One message has its turn at a time, so all share these. */
static struct buf stored, plain;

struct replay_content *
replay_content_new(const struct replay_job *job, bool chunked)
{
    struct replay_content *content = mem_alloc(sizeof(*content));

    content->id = job->key.id;
    content->message = &job->message.message;
    content->chunked = chunked;
    content->digest = body_digest_new();
    dot_encoder_init(&content->encoder);
    return content;
}

void
replay_content_free(struct replay_content **content)
{
    char digest[BODY_DIGEST_LEN];

    if (*content == NULL)
        return;
    if ((*content)->digest != NULL)
        body_digest_end(&(*content)->digest, digest);
    free(*content);
    *content = NULL;
}

int
replay_read_message(uint64_t id, struct db_message *message, struct why *why)
{
    int found;

    if (!reading_begin(id, why))
        return -1;
    found = db_read_message(replay_db(), id, message, why);
    reading_end();
    return found;
}

static int
read_stored(uint64_t id, uint64_t n, struct why *why)
{
    int found;

    if (!reading_begin(id, why))
        return -1;
    found = db_read_piece(replay_db(), id, n, &stored, why);
    reading_end();
    return found;
}

int
replay_content_piece(uint64_t id, const struct message *message, uint64_t n,
                     struct view *bytes, struct why *why)
{
    char key[SEAL_KEY];
    int sealed = replay_key_of(message, key, why);
    struct body_place place = {.key = sealed > 0 ? key : NULL,
                               .id = id,
                               .n = n,
                               .last = n + 1 == message->pieces};
    int found;

    if (sealed < 0)
        return -1;

    buf_reset(&stored);
    buf_reset(&plain);
    found = read_stored(id, n, why);
    if (found == 1 &&
        body_read_piece(buf_view(&stored), &place, &plain, why) != 0)
        found = -1;
    explicit_bzero(key, sizeof(key));
    *bytes = buf_view(&plain);
    return found;
}

/* The same where the piece must be there. */
static int
read_piece(uint64_t id, const struct message *message, uint64_t n,
           struct why *why)
{
    struct view bytes;
    int found = replay_content_piece(id, message, n, &bytes, why);

    if (found == 0)
        return why_text(why, "piece %" PRIu64 " of the content is missing", n);
    return found < 0 ? -1 : 0;
}

static int
check_whole(struct replay_content *content, struct why *why)
{
    char digest[BODY_DIGEST_LEN];

    body_digest_end(&content->digest, digest);
    if (content->size != content->message->size)
        return why_text(why, "content of %" PRIu64 " bytes, not %" PRIu64,
                        content->size, content->message->size);
    if (!view_equal(content->message->digest,
                    (struct view){digest, MESSAGE_DIGEST}))
        return why_text(why, "content with another digest");
    return 0;
}

int
replay_content_next(struct replay_content *content, struct buf *out,
                    struct why *why)
{
    if (content->next < content->message->pieces) {
        if (read_piece(content->id, content->message, content->next++, why) !=
            0)
            return -1;
        body_digest_add(content->digest, buf_view(&stored));
        content->size += plain.len;
        if (content->chunked)
            buf_add_view(out, buf_view(&plain));
        else
            dot_encode(&content->encoder, buf_view(&plain), out);
    }
    if (content->next < content->message->pieces)
        return 1;
    if (check_whole(content, why) != 0)
        return -1;
    if (!content->chunked)
        dot_encode_end(&content->encoder, out);
    return 0;
}

int
replay_content_header(uint64_t id, const struct message *message,
                      struct buf *out, struct why *why)
{
    if (read_piece(id, message, 0, why) != 0)
        return -1;
    buf_add_view(out, dsn_header_of(buf_view(&plain)));
    return 0;
}

int
replay_content_original(uint64_t id, const struct message *message,
                        uint64_t max, struct buf *out, struct why *why)
{
    size_t start = out->len;

    if (message->size > max)
        return replay_content_header(id, message, out, why);
    for (uint64_t n = 0; n < message->pieces; n++) {
        if (read_piece(id, message, n, why) != 0) {
            out->len = start;
            return replay_content_header(id, message, out, why);
        }
        buf_add_view(out, buf_view(&plain));
    }
    return 1;
}
