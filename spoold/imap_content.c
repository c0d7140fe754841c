/* SPDX-License-Identifier: ISC */
/*
 * Content on its way to a reader, and the structures (mime_structure.h) that
 * were made of it: those go to the store, to be found there the next time.
 *
 * A structure says who else got a message and what its attachments are
 * called, so it is sealed like the content: under the message's key, as a
 * piece with a random number that no piece of content has. In the row:
 *
 *     '0'          the structure as it is; of content that is not sealed
 *     's' number   8 bytes, and the sealed structure
 *
 * Before: imap_key.c   After: imap_fetch.c, imap_search.c
 */
#include "imap_content.h"

#include <sys/random.h>

#include <inttypes.h>
#include <stdlib.h>

#include "body.h"
#include "bytes.h"
#include "imap_cache.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "mime_structure.h"
#include "peer.h"
#include "stats.h"

/* Structures on their way to the store. What is more than that is not kept
 * this time. */
#define QUEUE_BYTES_MAX (8u * 1024 * 1024)
#define QUEUE_ITEMS     200 /* in one request */
#define QUEUE_WAIT_MS   50
#define QUEUE_FLIGHTS   2

/* --- pieces --------------------------------------------------------------- */

/* One piece is in clear at a time: items of one FETCH want the same. */
static struct {
    uint64_t id, n;
    bool is_there;
    struct buf stored, plain;
} piece;

/* The row of the message, and the key of its pieces. 1; 0: it is gone; -1. */
static int
read_row(struct imap_content *content, struct why *why)
{
    int found;

    if (content->has_row)
        return 1;
    found = db_read_mail(imap.db, content->user, &content->mail, content->box,
                         &content->row, why);
    if (found != 1)
        return found;
    content->has_row = true;
    content->sealed = imap_key_of(&content->row.message, content->key, why);
    return content->sealed >= 0 ? 1 : -1;
}

int
imap_content_piece(struct imap_content *content, uint64_t n, struct view *bytes,
                   struct why *why)
{
    uint64_t id = content->mail.id;
    int found = read_row(content, why);
    struct body_place place = {.key = content->sealed ? content->key : NULL,
                               .id = id,
                               .n = n,
                               .last = n + 1 == content->pieces};

    if (found == 0)
        why_text(why, "it is gone");
    if (found != 1)
        return -1;
    if (!piece.is_there || piece.id != id || piece.n != n) {
        piece.is_there = false;
        buf_reset(&piece.stored);
        buf_reset(&piece.plain);
        stats_add(STAT_IMAP_PIECES, 1);
        found = db_read_piece(imap.db, id, n, &piece.stored, why);
        if (found == 0)
            why_text(why, "piece %" PRIu64 " of the content is missing", n);
        if (found != 1 || body_read_piece(buf_view(&piece.stored), &place,
                                          &piece.plain, why) != 0)
            return -1;
        piece.id = id;
        piece.n = n;
        piece.is_there = true;
    }
    *bytes = buf_view(&piece.plain);
    return 0;
}

/* --- one message ---------------------------------------------------------- */

void
imap_content_close(struct imap_content *content)
{
    if (content->has_row)
        db_message_free(&content->row);
    content->has_row = false;
    mime_scan_free(&content->scan);
    buf_reset(&content->structure);
    explicit_bzero(content->key, sizeof(content->key));
}

void
imap_content_free(struct imap_content *content)
{
    imap_content_close(content);
    buf_free(&content->structure);
}

/* What is known of it, and its structure, from memory. */
static bool
find_cached(struct imap_content *content)
{
    struct imap_cached cached;

    if (!imap_cache_find(&content->mail, content->box, &cached))
        return false;
    content->size = cached.size;
    content->arrived_ms = cached.arrived_ms;
    content->pieces = cached.pieces;
    buf_add_view(&content->structure, cached.structure);
    return true;
}

int
imap_content_open(struct imap_content *content,
                  const struct imap_session *session,
                  const struct db_mail *mail, bool wants_pieces,
                  struct why *why)
{
    int found;

    imap_content_close(content);
    content->mail = *mail;
    content->user = session->user->number;
    content->box = session->view->place.box;
    content->scanned = 0;
    if (!wants_pieces && find_cached(content))
        return 1;
    found = read_row(content, why);
    if (found != 1) {
        imap_content_close(content);
        return found;
    }
    content->size = content->row.message.size;
    content->arrived_ms = content->row.message.arrived_ms;
    content->pieces = content->row.message.pieces;
    return 1;
}

/* --- structures on their way to the store --------------------------------- */

struct queued {
    uint64_t id;
    size_t at, len; /* in bytes */
};

static struct {
    struct buf bytes;
    struct queued *items;
    size_t count, cap;
    unsigned flights;
    struct loop_timer *timer;
} queue;

static void queue_send(void *arg);

static void
on_structured(void *arg, struct peer_message *answer)
{
    (void)arg;
    (void)answer; /* what was not kept is made again when it is needed */
    queue.flights--;
    if (queue.count > 0)
        queue_send(NULL);
}

static void
queue_send(void *arg)
{
    struct proto_structure_item items[QUEUE_ITEMS];
    struct proto_structure request = {.items = {items, 0}};
    size_t n = queue.count < QUEUE_ITEMS ? queue.count : QUEUE_ITEMS;
    size_t taken;

    (void)arg;
    if (n == 0 || queue.flights >= QUEUE_FLIGHTS || !imap.store_is_up)
        return;
    for (size_t i = 0; i < n; i++)
        items[request.items.count++] = (struct proto_structure_item){
            queue.items[i].id,
            {queue.bytes.data + queue.items[i].at, queue.items[i].len}};
    taken = queue.items[n - 1].at + queue.items[n - 1].len;
    queue.flights++;
    peer_call(ROLE_STORE, PROTO_STRUCTURE, &request, -1, on_structured, &queue);
    buf_consume(&queue.bytes, taken);
    queue.count -= n;
    memmove(queue.items, queue.items + n, queue.count * sizeof(*queue.items));
    for (size_t i = 0; i < queue.count; i++)
        queue.items[i].at -= taken;
    if (queue.count == 0)
        buf_free(&queue.bytes);
}

static void
seal_structure(const struct imap_content *content, struct buf *out)
{
    uint64_t number = 0;
    char bytes[8];

    if (!content->sealed) {
        buf_add_byte(out, '0');
        buf_add_view(out, buf_view(&content->structure));
        return;
    }
    if (getrandom(&number, sizeof(number), 0) != sizeof(number))
        return;
    number |= UINT64_C(1) << 63; /* no piece of content has this */
    bytes_put64(bytes, number);
    buf_add_byte(out, 's');
    buf_add(out, bytes, sizeof(bytes));
    seal_piece(content->key, content->mail.id, number, true,
               buf_view(&content->structure), out);
}

static void
queue_add(const struct imap_content *content)
{
    size_t at = queue.bytes.len;

    if (queue.bytes.len > QUEUE_BYTES_MAX)
        return;
    seal_structure(content, &queue.bytes);
    if (queue.bytes.len == at || queue.bytes.len - at > STRUCTURE_MAX) {
        queue.bytes.len = at;
        return;
    }
    if (queue.count == queue.cap) {
        queue.cap = queue.cap == 0 ? QUEUE_ITEMS : queue.cap * 2;
        queue.items = mem_grow(queue.items, queue.cap, sizeof(*queue.items));
    }
    queue.items[queue.count++] =
        (struct queued){content->mail.id, at, queue.bytes.len - at};
    if (queue.timer == NULL)
        queue.timer = loop_timer_new(queue_send, NULL);
    if (queue.count >= QUEUE_ITEMS)
        queue_send(NULL);
    else if (queue.count == 1)
        loop_timer_set(queue.timer, QUEUE_WAIT_MS);
}

/* --- the structure of a message ------------------------------------------- */

/* Into content->structure, where the store has one that can be read. */
static bool
find_structure(struct imap_content *content)
{
    static struct buf row;
    struct view rest;
    struct why why;

    buf_reset(&row);
    if (db_read_structure(imap.db, content->mail.id, &row, &why) != 1 ||
        row.len == 0)
        return false;
    rest = view_skip(buf_view(&row), 1);
    if (row.data[0] == '0' && !content->sealed) {
        buf_add_view(&content->structure, rest);
    } else if (row.data[0] != 's' || !content->sealed || rest.len < 8 ||
               seal_open_piece(content->key, content->mail.id,
                               bytes_get64(rest.data), true, view_skip(rest, 8),
                               &content->structure, &why) != 0) {
        buf_reset(&content->structure);
        return false;
    }
    if (mime_structure_is_current(buf_view(&content->structure)))
        return true;
    buf_reset(&content->structure);
    return false;
}

static void
keep_in_cache(const struct imap_content *content)
{
    imap_cache_put(&content->mail, content->box,
                   &(struct imap_cached){content->size, content->arrived_ms,
                                         content->pieces,
                                         buf_view(&content->structure)});
}

int
imap_content_structure(struct imap_content *content, struct why *why)
{
    struct mime *mime;
    struct view bytes;

    if (content->structure.len > 0)
        return 1;
    if (content->scan == NULL) {
        if (find_cached(content))
            return 1;
        if (find_structure(content)) {
            keep_in_cache(content);
            return 1;
        }
        content->scan = mime_scan_new();
    }
    if (content->scanned < content->pieces) {
        if (imap_content_piece(content, content->scanned++, &bytes, why) != 0)
            return -1;
        mime_scan_feed(content->scan, bytes);
        if (content->scanned < content->pieces)
            return 0;
    }
    mime = mime_scan_end(&content->scan);
    mime_structure_encode(mime, &content->structure);
    mime_free(&mime);
    queue_add(content);
    keep_in_cache(content);
    return 1;
}
