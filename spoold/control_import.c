/* SPDX-License-Identifier: ISC */
/*
 * import: messages from elsewhere come in by the same SUBMIT as all others.
 * The client sends them one after the other; some are under way to the store
 * at a time, and while that is so the client's bytes wait in its socket. Each
 * is answered after the commit, so a client that is killed has imported what
 * it was told of, and can begin again: what is here is not taken twice.
 *
 * Before: control_client.c
 * After:  store_submit.c (SUBMIT)
 */
#include "control_import.h"

#include <stdlib.h>

#include "clock.h"
#include "event.h"
#include "mem.h"
#include "msgid.h"
#include "sealing.h"

#define UNDER_WAY_MAX       128
#define UNDER_WAY_BYTES_MAX (8 * 1024 * 1024)
#define LINE_BYTES_MAX      (8 * 1024 * 1024) /* 20,000 recipients */
#define CONTENT_MAX         (UINT64_C(2) << 30)

static void one_free(struct import_one **one_ptr);

/* --- answers -------------------------------------------------------------- */

static void
import_free(void *work)
{
    struct import *import = work;

    buf_free(&import->line);
    one_free(&import->taking);
    while (import->under_way != NULL) {
        struct import_one *one = import->under_way;

        import->under_way = one->next;
        one_free(&one);
    }
    free(import);
}

static void
one_free(struct import_one **one_ptr)
{
    struct import_one *one = *one_ptr;
    char digest[BODY_DIGEST_LEN];

    if (one == NULL)
        return;
    peer_forget(one);
    if (one->digest != NULL)
        body_digest_end(&one->digest, digest);
    body_writer_free(&one->writer);
    json_decref(one->json);
    free(one->deliveries);
    free(one);
    *one_ptr = NULL;
}

/* Tells what became of it, and frees it. */
static void
one_answer(struct import_one *one, const char *result)
{
    struct import *import = one->import;
    char id[MSGID_TEXT_MAX];
    json_t *row = json_object();

    json_object_set_new(row, "source",
                        control_json_text(import_text(one->json, "source")));
    json_object_set_new(
        row, "id", json_string(one->id != 0 ? msgid_print(one->id, id) : ""));
    json_object_set_new(row, "result", json_string(result));
    json_object_set_new(row, "reason",
                        control_json_text(view_of(one->why.text)));
    if (strcmp(result, "refused") == 0)
        import->refused++;
    else if (strcmp(result, "already here") == 0)
        import->already++;
    else
        import->imported++;
    control_row(import->client, row);
    one_free(&one);
}

/* All has come and all is answered. */
static void
finish_if_done(struct import *import)
{
    struct control_client *client = import->client;
    uint64_t refused = import->refused;

    if (!import->ended || import->n_under_way > 0)
        return;
    control_note(client, import->dry_run ? "would_import" : "imported",
                 import->imported);
    control_note(client, "already_here", import->already);
    control_note(client, "refused", refused);
    if (refused > 0)
        control_fail(client, "%llu %s not imported",
                     (unsigned long long)refused,
                     refused == 1 ? "message was" : "messages were");
    else
        control_done(client);
}

/* --- flow control --------------------------------------------------------- */

static bool
answers_wait(const struct import *import)
{
    return control_pending(import->client) > CONTROL_PENDING_MAX;
}

static void
go_on(struct control_client *client)
{
    struct import *import = client->work;

    if (!import->paused || import->n_under_way > UNDER_WAY_MAX / 2 ||
        import->bytes_under_way > UNDER_WAY_BYTES_MAX / 2)
        return;
    if (answers_wait(import)) {
        control_continue(client, go_on);
        return;
    }
    import->paused = false;
    control_pause(client, false);
}

static void
pause_if_full(struct import *import)
{
    if (import->paused || (import->n_under_way < UNDER_WAY_MAX &&
                           import->bytes_under_way < UNDER_WAY_BYTES_MAX &&
                           !answers_wait(import)))
        return;
    import->paused = true;
    control_pause(import->client, true);
    control_continue(import->client, go_on);
}

/* --- one message ---------------------------------------------------------- */

/* From here on its content is only skipped. */
static void
one_end_early(struct import_one *one, const char *result)
{
    body_writer_free(&one->writer);
    one->result = result;
}

static void
one_begin(struct import_one *one)
{
    int here;

    if (!control_state.has_space || control_state.space.full) {
        why_text(&one->why, "the store has no room, or is away");
        one_end_early(one, "refused");
    } else if (import_take_facts(one) != 0 ||
               (here = import_take_id(one)) < 0) {
        one_end_early(one, "refused");
    } else if (here == 1) {
        one_end_early(one, "already here");
    } else if (one->import->dry_run) {
        one_end_early(one, "would import");
    } else {
        header_init(&one->header, control_state.conf->hostname);
        one->digest = body_digest_new();
        one->writer = sealing_writer((int)control_state.conf->compression,
                                     PROTO_CONTENT_INLINE_MAX, one->id,
                                     (uint64_t)clock_wall_ms(), &one->key);
    }
}

static void
one_write(struct import_one *one, struct buf *content)
{
    header_scan(&one->header, buf_view(content));
    if (content->len > 0 &&
        body_write(one->writer, buf_view(content), &one->why) != 0)
        one_end_early(one, "refused");
}

static void
one_content(struct import_one *one, struct view bytes)
{
    static struct buf content;

    one->left -= bytes.len;
    if (one->writer == NULL)
        return;
    buf_reset(&content);
    body_digest_add(one->digest, bytes);
    crlf_add(&one->crlf, bytes, &content);
    one_write(one, &content);
}

/* Is the content what the source says it was? Hexadecimal BLAKE2b-256. */
static int
check_digest(struct import_one *one)
{
    static const char hex[] = "0123456789abcdef";
    struct view wanted = import_text(one->json, "blake2b");
    char digest[BODY_DIGEST_LEN];
    char text[2 * BODY_DIGEST_LEN];

    body_digest_end(&one->digest, digest);
    for (size_t i = 0; i < sizeof(digest); i++) {
        text[2 * i] = hex[(unsigned char)digest[i] >> 4];
        text[2 * i + 1] = hex[digest[i] & 15];
    }
    if (wanted.len > 0 &&
        !view_equal_nocase(wanted, (struct view){text, sizeof(text)}))
        return why_text(&one->why, "the content is not what its BLAKE2b says");
    return 0;
}

/* The last bytes are there. */
static int
one_finish(struct import_one *one, struct proto_submit *request, int *fd)
{
    struct message *message = &one->message;
    struct buf rest = {0};
    int rc;

    rc = check_digest(one) == 0 ? crlf_end(&one->crlf, &rest, &one->why) : -1;
    if (rc == 0 && body_written(one->writer) + rest.len == 0)
        rc = why_text(&one->why, "it has no content");
    if (rc == 0)
        one_write(one, &rest);
    buf_free(&rest);
    if (rc != 0 || one->result != NULL)
        return -1;
    header_end(&one->header);
    message->size = body_written(one->writer);
    message->subject =
        (struct view){one->header.subject, one->header.subject_len};
    message->message_id =
        (struct view){one->header.message_id, one->header.message_id_len};
    if (one->crlf.has_8bit && !one->has_flags)
        message->flags |= MESSAGE_8BIT;
    return body_finish(one->writer, &request->content, fd,
                       &request->content_len, &one->why);
}

static void
leave_list(struct import_one *one)
{
    struct import_one **at = &one->import->under_way;

    while (*at != one)
        at = &(*at)->next;
    *at = one->next;
    one->import->n_under_way--;
    one->import->bytes_under_way -= one->content_len;
}

static void
log_accepted(const struct import_one *one)
{
    struct event event;

    event_begin(&event, EVENT_ACCEPTED);
    event_id(&event, "id", one->id);
    event_view(&event, "from", one->message.sender);
    event_view(&event, "to", one->deliveries[0].recipient);
    event_num(&event, "nrcpt", one->n_deliveries);
    event_num(&event, "size", one->message.size);
    event_text(&event, "by", control_operator(one->import->client));
    event_end(&event);
}

static void
on_submitted(void *arg, struct peer_message *answer)
{
    struct import_one *one = arg;
    struct import *import = one->import;
    const struct proto_submitted *said =
        answer != NULL ? answer->payload : NULL;
    bool done = said != NULL && said->result == SUBMIT_DONE;

    sealing_answered(&one->key, done);
    leave_list(one);
    if (said == NULL)
        why_text(&one->why, "the store is away");
    else if (!done)
        why_text(&one->why, "%.*s", (int)said->reason.len, said->reason.data);
    if (done)
        log_accepted(one);
    /* Another import may have been quicker. */
    if (!done && said != NULL && import_is_here(one))
        one_answer(one, "already here");
    else
        one_answer(one, done ? "imported" : "refused");
    go_on(import->client);
    finish_if_done(import);
}

static void
one_submit(struct import_one *one)
{
    static struct buf encoded;
    struct import *import = one->import;
    struct proto_submit request = {
        .id = one->id, .deliveries = {one->deliveries, one->n_deliveries}};
    int fd = -1;

    if (one_finish(one, &request, &fd) != 0) {
        one_answer(one, "refused");
        return;
    }
    request.data_key = sealing_describe(&one->message, one->writer, &one->key);
    buf_reset(&encoded);
    record_encode(&message_record, &one->message, &encoded);
    request.message = buf_view(&encoded);
    one->content_len = request.content_len;
    one->next = import->under_way;
    import->under_way = one;
    import->n_under_way++;
    import->bytes_under_way += one->content_len;
    peer_call(ROLE_STORE, PROTO_SUBMIT, &request, fd, on_submitted, one);
    body_writer_free(&one->writer);
}

/* All of it has come. */
static void
one_end(struct import_one *one)
{
    struct import *import = one->import;

    if (one->result != NULL)
        one_answer(one, one->result);
    else
        one_submit(one);
    pause_if_full(import);
}

/* --- the stream ----------------------------------------------------------- */

/* A line is whole: the next message, or the end. -1: it makes no sense. */
static int
import_line(struct control_client *client, struct import *import)
{
    json_t *line = json_loadb(import->line.data, import->line.len, 0, NULL);
    json_t *message = json_object_get(line, "message");
    json_int_t raw = json_integer_value(json_object_get(line, "raw"));
    struct import_one *one;

    buf_reset(&import->line);
    if (json_is_true(json_object_get(line, "end"))) {
        import->ended = true;
        json_decref(line);
        return 0;
    }
    if (!json_is_object(message) || raw < 0 || (uint64_t)raw > CONTENT_MAX) {
        json_decref(line);
        control_refuse(client, "what follows the request is not "
                               "{\"message\": {...}, \"raw\": N}");
        return -1;
    }
    one = mem_alloc(sizeof(*one));
    one->import = import;
    one->json = json_incref(message);
    one->left = (uint64_t)raw;
    json_decref(line);
    import->taking = one;
    one_begin(one);
    return 0;
}

/* Takes a line, or some content; how many bytes that was, 0: no more. */
static size_t
import_some(struct control_client *client, struct import *import)
{
    struct view input = control_input(client);
    const char *end;
    size_t len;

    if (import->taking != NULL) {
        len = input.len < import->taking->left ? input.len
                                               : (size_t)import->taking->left;
        one_content(import->taking, (struct view){input.data, len});
        return len;
    }
    if (input.len == 0)
        return 0;
    end = memchr(input.data, '\n', input.len);
    len = end != NULL ? (size_t)(end - input.data) : input.len;
    buf_add(&import->line, input.data, len);
    if (import->line.len > LINE_BYTES_MAX) {
        control_refuse(client, "a line of more than %d bytes", LINE_BYTES_MAX);
        return 0;
    }
    return end != NULL ? len + 1 : len;
}

static void
import_take(struct control_client *client)
{
    struct import *import = client->work;

    while (!import->ended && !import->paused) {
        bool in_line = import->taking == NULL;
        struct view input = control_input(client);
        size_t n = import_some(client, import);
        bool whole = n > 0 && in_line && input.data[n - 1] == '\n';

        if (client->work != import)
            return;
        control_consume(client, n);
        if (whole && import_line(client, import) != 0)
            return;
        if (import->taking != NULL && import->taking->left == 0) {
            struct import_one *one = import->taking;

            import->taking = NULL;
            one_end(one);
        } else if (n == 0) {
            break;
        }
    }
    finish_if_done(import);
}

void
control_import(struct control_client *client)
{
    struct import *import = mem_alloc(sizeof(*import));
    const char *target = control_option_text(client, CTL_OPTION_TARGET);

    import->client = client;
    import->dry_run = control_option_text(client, CTL_OPTION_DRY_RUN) != NULL;
    client->work = import;
    client->work_free = import_free;
    if (target != NULL) {
        if (conf_target_by_name(control_state.conf, view_of(target)) == NULL) {
            control_refuse(client, "there is no target \"%.100s\"", target);
            return;
        }
        snprintf(import->target, sizeof(import->target), "%s", target);
    }
    control_receive(client, import_take);
}
