/* SPDX-License-Identifier: ISC */
/*
 * Content: from the 354 to the reply that takes responsibility. Bytes go
 * through dot.h (the end, bare CR and LF), header.h (loops, subject) and
 * body.h (compression) as they come; then one SUBMIT carries envelope and
 * content to the store, and 250 is said only after its answer.
 *
 * A message found bad on the way is read to its end and dropped: RFC 5321
 * has no reply before the final dot.
 *
 * Before: listener_command.c   After: store.c (SUBMIT)
 */
#include "listener.h"

#include <stdlib.h>

#include "clock.h"
#include "event.h"
#include "io.h"
#include "mem.h"
#include "peer.h"
#include "sealing.h"
#include "stats.h"

/* A message that was here this often goes round in a circle, whatever the
 * limit of hops is. */
#define LOOPS_MAX 5

/* --- memory -------------------------------------------------------------- */

static void
set_memory(struct listener_content *content, uint64_t bytes)
{
    listener.policy.memory += bytes - content->memory;
    content->memory = bytes;
}

void
listener_data_drop(struct listener_session *session)
{
    struct listener_content *content = session->content;

    if (content == NULL)
        return;
    session->content = NULL;
    set_memory(content, 0);
    body_writer_free(&content->writer);
    explicit_bzero(content, sizeof(*content)); /* lines of the header */
    free(content);
}

/* From here on the rest is only read. */
static void
refuse(struct listener_content *content)
{
    body_writer_free(&content->writer);
    set_memory(content, 0);
}

/* --- the beginning ------------------------------------------------------- */

static const char *
protocol(const struct listener_session *session)
{
    return header_protocol(session->esmtp, session->tls,
                           session->transaction->flags & MESSAGE_UTF8);
}

static struct view
only_recipient(const struct listener_transaction *transaction)
{
    if (transaction->n_recipients != 1)
        return (struct view){0};
    return transaction->deliveries[0].recipient;
}

static void
write_received(struct listener_session *session)
{
    static struct buf field;
    struct listener_content *content = session->content;
    char id[MSGID_TEXT_MAX];
    const char *at;
    struct header_trace trace = {
        .helo = view_of(session->helo),
        .client = view_of(session->ends.client),
        .hostname = listener.policy.conf->hostname,
        .protocol = view_of(protocol(session)),
        .tls = view_of(io_tls_name(session->io)),
        .id = view_of(msgid_print(0, id)),
        .recipient = only_recipient(session->transaction),
        .when_ms = content->began_ms,
    };

    buf_reset(&field);
    header_received(&trace, &field);
    at = memmem(field.data, field.len, id, MSGID_TEXT_LEN);
    content->id_at = at != NULL ? (size_t)(at - field.data) : 0;
    if (body_write(content->writer, buf_view(&field), &content->refused) != 0)
        refuse(content);
}

void
listener_data_begin(struct listener_session *session)
{
    const struct conf *conf = listener.policy.conf;
    struct listener_content *content = mem_alloc(sizeof(*content));

    session->content = content;
    dot_decoder_init(&content->dot);
    header_init(&content->header, conf->hostname);
    content->began_ms = clock_wall_ms();
    content->writer =
        sealing_writer((int)conf->compression, PROTO_CONTENT_INLINE_MAX,
                       msgid_next(&listener.ids, content->began_ms),
                       (uint64_t)content->began_ms, &content->key);
    set_memory(content, listener_command_memory(session->transaction->size));
    write_received(session);
    io_set_timeout(session->io, conf->data_timeout_ms);
}

/* A message gets its id when its content has come, or the first piece of it:
 * so ids rise in the order in which messages reach the store, whose tables
 * fill their pages then. */
static void
give_id(struct listener_content *content)
{
    char id[MSGID_TEXT_MAX];

    content->arrived_ms = clock_wall_ms();
    content->id = msgid_next(&listener.ids, content->arrived_ms);
    body_name(content->writer, content->id, content->id_at,
              view_of(msgid_print(content->id, id)));
}

/* --- the stream ---------------------------------------------------------- */

/* Holds the limits that can be seen while content comes. */
static int
check_limits(struct listener_content *content)
{
    const struct conf *conf = listener.policy.conf;
    struct why *why = &content->refused;

    if (content->size > conf->message_size)
        return why_set(why, 552, "5.3.4", "message is too large");
    if (content->header.received > conf->hops)
        return why_set(why, 554, "5.4.6", "too many hops");
    if (content->header.loops > LOOPS_MAX)
        return why_set(why, 554, "5.4.6", "mail loops through this host");
    return 0;
}

static int
check_memory(struct listener_content *content)
{
    uint64_t held = body_memory(content->writer);

    if (held <= content->memory)
        return 0;
    if (listener.policy.memory + held - content->memory >
        listener.policy.conf->memory)
        return why_set(&content->refused, 452, "4.3.1",
                       "too much mail under way, try again later");
    set_memory(content, held);
    return 0;
}

static void
take(struct listener_content *content, struct view bytes)
{
    content->size += bytes.len;
    if (content->writer == NULL)
        return;
    header_scan(&content->header, bytes);
    if (content->id == 0 && !body_can_name(content->writer, bytes.len))
        give_id(content);
    if (check_limits(content) != 0 ||
        body_write(content->writer, bytes, &content->refused) != 0 ||
        check_memory(content) != 0)
        refuse(content);
}

static void data_end(struct listener_session *session, enum got got);

bool
listener_data_input(struct listener_session *session)
{
    struct listener_content *content = session->content;
    struct view input = io_input(session->io);
    enum got got = GOT_MORE;

    while (input.len > 0 && got == GOT_MORE) {
        struct view bytes;

        got = dot_decode(&content->dot, &input, &bytes);
        if (bytes.len > 0)
            take(content, bytes);
    }
    io_consume(session->io, io_input(session->io).len - input.len);
    if (got == GOT_MORE)
        return false;
    data_end(session, got);
    return true;
}

/* --- the end ------------------------------------------------------------- */

static void
reply_refusal(struct listener_session *session, const struct why *reply)
{
    listener_session_refused(session, "message", session->transaction->sender,
                             only_recipient(session->transaction), reply);
    listener_session_reply(session, reply);
    listener_data_drop(session);
    listener_session_next(session);
}

static void
log_accepted(const struct listener_session *session)
{
    const struct listener_transaction *transaction = session->transaction;
    const struct listener_content *content = session->content;
    struct event event;

    stats_add(STAT_ACCEPTED, 1);
    stats_add(STAT_ACCEPTED_BYTES, (int64_t)content->size);
    event_begin(&event, EVENT_ACCEPTED);
    event_id(&event, "id", content->id);
    event_view(&event, "from", transaction->sender);
    event_view(&event, "to", transaction->deliveries[0].recipient);
    event_num(&event, "nrcpt", transaction->n_recipients);
    event_num(&event, "size", content->size);
    event_text(&event, "client", session->ends.client);
    event_text(&event, "helo", session->helo);
    event_text(&event, "proto", protocol(session));
    if (session->io == NULL)
        event_text(&event, "client-gone", "yes");
    else if (session->tls)
        event_text(&event, "tls", io_tls_name(session->io));
    event_end(&event);
}

/* The store's word as a reply; answer is NULL where it got lost. */
static void
judge(const struct proto_submitted *submitted, uint64_t id, struct why *reply)
{
    char text[MSGID_TEXT_MAX];

    switch (submitted != NULL ? submitted->result : 0) {
    case SUBMIT_DONE:
        why_set(reply, 250, "2.0.0", "Ok: queued as %s", msgid_print(id, text));
        break;
    case SUBMIT_REFUSED:
        why_set(reply, 550, "5.3.0", "storage refused the message");
        break;
    case SUBMIT_FULL:
        why_set(reply, 452, "4.3.1", "storage is full, try again later");
        break;
    default:
        why_set(reply, 451, "4.3.0", "storage failed, try again later");
        break;
    }
}

static void
on_submitted(void *arg, struct peer_message *answer)
{
    struct listener_session *session = arg;
    struct why reply;

    sealing_answered(
        &session->content->key,
        answer != NULL &&
            ((const struct proto_submitted *)answer->payload)->result ==
                SUBMIT_DONE);
    judge(answer != NULL ? answer->payload : NULL, session->content->id,
          &reply);
    if (reply.code != 250 && session->io != NULL) {
        reply_refusal(session, &reply);
        return;
    }
    if (reply.code == 250)
        log_accepted(session);
    if (session->io == NULL) {
        listener_session_free(session);
        return;
    }
    session->accepted++;
    session->errors = 0;
    listener_session_reply(session, &reply);
    listener_data_drop(session);
    listener_session_next(session);
}

static void
submit(struct listener_session *session)
{
    static struct buf encoded;
    const struct listener_transaction *transaction = session->transaction;
    struct listener_content *content = session->content;
    const struct header *header = &content->header;
    struct proto_submit request = {.id = content->id};
    struct message message = {
        .arrived_ms = (uint64_t)content->arrived_ms,
        .origin = ORIGIN_SMTP,
        .flags = transaction->flags,
        .sender = transaction->sender,
        .flow = transaction->flow,
        .size = body_written(content->writer),
        .client = view_of(session->ends.client),
        .port = session->ends.client_port,
        .server = view_of(session->ends.server),
        .server_port = session->ends.server_port,
        .helo = view_of(session->helo),
        .protocol = view_of(protocol(session)),
        .tls = view_of(io_tls_name(session->io)),
        .ret = transaction->ret,
        .envid = transaction->envid,
        .subject = {header->subject, header->subject_len},
        .message_id = {header->message_id, header->message_id_len},
    };
    int fd = -1;

    if (body_finish(content->writer, &request.content, &fd,
                    &request.content_len, &content->refused) != 0) {
        reply_refusal(session, &content->refused);
        return;
    }
    request.data_key =
        sealing_describe(&message, content->writer, &content->key);
    buf_reset(&encoded);
    record_encode(&message_record, &message, &encoded);
    request.message = buf_view(&encoded);
    request.deliveries = (struct record_list){transaction->deliveries,
                                              transaction->n_recipients};
    session->state = STATE_WAIT_STORE;
    io_pause(session->io);
    peer_call(ROLE_STORE, PROTO_SUBMIT, &request, fd, on_submitted, session);
    body_writer_free(&content->writer);
}

static void
data_end(struct listener_session *session, enum got got)
{
    struct listener_content *content = session->content;

    header_end(&content->header);
    if (content->writer != NULL && check_limits(content) != 0)
        refuse(content);
    if (content->writer != NULL && got == GOT_BAD) {
        why_set(&content->refused, 550, "5.6.0",
                "a dot after a bare CR: its end would be in doubt");
        refuse(content);
    }
    if (content->writer == NULL) {
        reply_refusal(session, &content->refused);
        return;
    }
    if (content->id == 0)
        give_id(content);
    submit(session);
}
