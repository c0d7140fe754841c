/* SPDX-License-Identifier: ISC */
/*
 * Queries: what is read prints as something that reads and prints the same;
 * turned around, a term about the message says the opposite; the reason of
 * what is not read is not empty. The text is cut at a newline: before it the
 * query, behind it the fields of the message it is held against.
 */
#include "query.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#define NOW INT64_C(1795007200000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_print(const struct query *query)
{
    struct buf first = {0}, second = {0};
    struct query *again;
    struct why why;

    query_print(query, &first);
    /* Quotes and the full form of dates make it longer. */
    if (first.len <= QUERY_TEXT_MAX) {
        again = query_parse(buf_view(&first), &why);
        assert(again != NULL);
        query_print(again, &second);
        assert(view_equal(buf_view(&first), buf_view(&second)));
        query_free(&again);
    }
    buf_free(&first);
    buf_free(&second);
}

static void
check_words(struct view text)
{
    struct buf line = {0};
    struct query *query;

    query_add_word(&line, text);
    query_add_word(&line, VIEW("to:x"));
    query = query_parse(buf_view(&line), NULL);
    query_free(&query);
    buf_free(&line);
}

/* Fields of the message, all the same bytes. */
static struct db_message
message_of(struct view bytes, struct db_delivery deliveries[2])
{
    deliveries[0] = (struct db_delivery){
        0, {.recipient = bytes, .target = bytes, .state = DELIVERY_READY}};
    deliveries[1] = (struct db_delivery){
        1, {.recipient = bytes, .target = bytes, .state = DELIVERY_EXPIRED}};
    return (struct db_message){
        .id = 77,
        .message = {.arrived_ms = (uint64_t)NOW - 60000,
                    .size = bytes.len,
                    .sender = bytes,
                    .client = bytes,
                    .helo = bytes,
                    .subject = bytes,
                    .message_id = bytes},
        .deliveries = deliveries,
        .n_deliveries = 2,
    };
}

static void
check_opposite(struct view term, const struct db_message *message, bool matched)
{
    struct buf turned = {0};
    struct query *query;

    buf_add_byte(&turned, '-');
    buf_add_view(&turned, term);
    query = query_parse(buf_view(&turned), NULL);
    /* NULL: it began with a minus or a blank. A blank inside: two terms. */
    if (query != NULL && memchr(term.data, ' ', term.len) == NULL &&
        memchr(term.data, '\t', term.len) == NULL &&
        memchr(term.data, '\r', term.len) == NULL)
        assert(query_matches(query, message, NOW) != matched);
    query_free(&query);
    buf_free(&turned);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = {(const char *)data, size};
    struct view bytes = {"", 0};
    const char *cut = size > 0 ? memchr(data, '\n', size) : NULL;
    struct db_delivery deliveries[2];
    struct db_message message;
    struct query *query;
    struct why why = {0};
    uint64_t after, last;

    if (cut != NULL) {
        text.len = (size_t)(cut - text.data);
        bytes = view_skip((struct view){cut, size - text.len}, 1);
    }
    check_words(text);
    query = query_parse(text, &why);
    if (query == NULL) {
        assert(why.text[0] != '\0');
        return 0;
    }
    check_print(query);
    message = message_of(bytes, deliveries);
    query_range(query, NOW, &after, &last);
    if (query_matches(query, &message, NOW))
        assert(message.id <= last);
    if (text.len > 0 && text.len < QUERY_TEXT_MAX)
        check_opposite(text, &message, query_matches(query, &message, NOW));
    if (query_want_held(query) && query_matches(query, &message, NOW)) {
        deliveries[0].delivery.state = DELIVERY_DELIVERED;
        assert(!query_matches(query, &message, NOW));
    }
    query_free(&query);
    return 0;
}
