/* SPDX-License-Identifier: ISC */
/*
 * import: messages from elsewhere come in by the same SUBMIT as all others.
 * The client sends them one after the other; a few are under way to the store
 * at a time, and while that is so the client's bytes wait in its socket. Each
 * is answered after the commit, so a client that is killed has imported what
 * it was told of, and can begin again: an id that is here is not taken twice.
 *
 * Before: control_client.c
 * After:  store_submit.c (SUBMIT)
 */
#include <stdlib.h>

#include "addr.h"
#include "clock.h"
#include "dsn_param.h"
#include "control.h"
#include "db.h"
#include "header.h"
#include "mem.h"
#include "msgid.h"
#include "sealing.h"

#define WRITER_CONTROL 3 /* in message ids (msgid.h) */
#define UNDER_WAY_MAX  32
#define LINE_MAX_BYTES (4 * 1024 * 1024) /* 20,000 recipients */
#define CONTENT_MAX    (UINT64_C(2) << 30)
#define RECIPIENTS_MAX 20000
/* An id may be so much later than our clock and still be kept. */
#define ID_AHEAD_MS UINT64_C(86400000)

static struct msgid_source ids = {.writer = WRITER_CONTROL};

struct one;

struct import {
    struct control_client *client;
    struct buf line;       /* of the next message, until it is whole */
    struct one *taking;    /* its content is coming */
    struct one *under_way; /* submitted, not answered: a list */
    size_t n_under_way;
    bool paused;
    bool ended; /* the client has sent all */
    bool dry_run;
    char target[DB_TARGET_MAX + 1]; /* --target, or empty */
    uint64_t imported;
    uint64_t already;
    uint64_t refused;
};

/* One message that comes in. */
struct one {
    struct import *import;
    struct one *next;
    json_t *json;  /* what the views below point into */
    uint64_t left; /* of its content */
    uint64_t id;
    struct message message;
    struct delivery *deliveries;
    size_t n_deliveries;
    char flow[DB_FLOW_MAX];
    struct header header;
    struct body_writer *writer; /* NULL: refused, the content is skipped */
    struct seal_key key;
    const char *result; /* NULL: not known yet */
    struct why why;
};

static void one_free(struct one **one_ptr);

/* --- answers ----------------------------------------------------------------
 */

static void
import_free(void *work)
{
    struct import *import = work;

    buf_free(&import->line);
    one_free(&import->taking);
    while (import->under_way != NULL) {
        struct one *one = import->under_way;

        import->under_way = one->next;
        one_free(&one);
    }
    free(import);
}

static void
one_free(struct one **one_ptr)
{
    struct one *one = *one_ptr;

    if (one == NULL)
        return;
    peer_forget(one);
    body_writer_free(&one->writer);
    json_decref(one->json);
    free(one->deliveries);
    free(one);
    *one_ptr = NULL;
}

/* Tells what became of it, and frees it. */
static void
one_answer(struct one *one, const char *result)
{
    struct import *import = one->import;
    char id[MSGID_TEXT_MAX];
    const char *source =
        json_string_value(json_object_get(one->json, "source"));
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:o}", "source", source != NULL ? source : "", "id",
        one->id != 0 ? msgid_print(one->id, id) : "", "result", result,
        "reason", control_json_text(view_of(one->why.text)));

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
    control_note(client, "imported", import->imported);
    control_note(client, "already", import->already);
    control_note(client, "refused", import->refused);
    if (refused > 0)
        control_fail(client, "%llu messages were not imported",
                     (unsigned long long)refused);
    else
        control_done(client);
}

/* --- what the client says of a message ---------------------------------------
 */

static struct view
text_of(const json_t *json, const char *name)
{
    const json_t *text = json_object_get(json, name);

    if (!json_is_string(text))
        return (struct view){"", 0};
    return (struct view){json_string_value(text), json_string_length(text)};
}

static uint64_t
num_of(const json_t *json, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(json, name));

    return value > 0 ? (uint64_t)value : 0;
}

static const char *
target_for(const struct import *import, struct view address)
{
    const char *at =
        address.len > 0 ? memrchr(address.data, '@', address.len) : NULL;
    static char name[DB_TARGET_MAX + 1];
    const struct conf_domain *domain = NULL;

    if (import->target[0] != '\0')
        return import->target;
    if (at != NULL)
        domain = conf_domain_by_name(
            control_state.conf,
            view_skip(address, (size_t)(at - address.data) + 1));
    if (domain == NULL)
        return NULL;
    snprintf(name, sizeof(name), "%.*s", (int)domain->target.len,
             domain->target.data);
    return name;
}

/* An open delivery as it was elsewhere; false: it has ended there. */
static bool
is_open(struct view state, struct delivery *row, uint64_t next_ms)
{
    if (view_equal(state, VIEW("ready")) || state.len == 0)
        row->state = DELIVERY_READY;
    else if (view_equal(state, VIEW("later")))
        row->state = next_ms != 0 ? DELIVERY_LATER : DELIVERY_READY;
    else if (view_equal(state, VIEW("unknown")))
        row->state = next_ms != 0 ? DELIVERY_UNKNOWN : DELIVERY_READY;
    else if (view_equal(state, VIEW("on-hold")))
        row->state = DELIVERY_HELD;
    else
        return false;
    row->next_ms = delivery_waits(row->state) ? next_ms : 0;
    return true;
}

static int
take_recipient(struct one *one, json_t *json)
{
    struct delivery row = {.recipient = text_of(json, "address"),
                           .attempts = num_of(json, "attempts"),
                           .code = num_of(json, "code"),
                           .reply = text_of(json, "reply"),
                           .spent_ms = num_of(json, "spent_ms"),
                           .orcpt = text_of(json, "orcpt"),
                           .notify = num_of(json, "notify")};
    const char *target;

    if (row.recipient.len == 0 ||
        memchr(row.recipient.data, '\0', row.recipient.len) != NULL)
        return why_text(&one->why, "a recipient without an address");
    if ((row.orcpt.len > 0 && !dsn_orcpt_is_valid(row.orcpt)) ||
        !dsn_notify_is_valid(row.notify))
        return why_text(&one->why, "a recipient with a bad orcpt or notify");
    if (!is_open(text_of(json, "state"), &row, num_of(json, "next_ms")))
        return 0;
    target = target_for(one->import, row.recipient);
    if (target == NULL)
        return why_text(
            &one->why,
            "%.*s: its domain is not configured here (--target "
            "NAME sends it to a target)",
            (int)(row.recipient.len < 100 ? row.recipient.len : 100),
            row.recipient.data);
    json_object_set_new(json, "target", json_string(target));
    row.target = text_of(json, "target");
    one->deliveries[one->n_deliveries++] = row;
    return 0;
}

static int
take_recipients(struct one *one)
{
    json_t *list = json_object_get(one->json, "recipients");
    size_t n = json_array_size(list);

    if (n == 0 || n > RECIPIENTS_MAX)
        return why_text(&one->why, "%zu recipients", n);
    one->deliveries = mem_alloc(n * sizeof(*one->deliveries));
    for (size_t i = 0; i < n; i++)
        if (take_recipient(one, json_array_get(list, i)) != 0)
            return -1;
    if (one->n_deliveries == 0)
        return why_text(&one->why, "all of its deliveries have ended");
    return 0;
}

static void
take_facts(struct one *one)
{
    struct message *message = &one->message;
    struct view sender = text_of(one->json, "sender");
    const char *at =
        sender.len > 0 ? memrchr(sender.data, '@', sender.len) : NULL;
    size_t len = at != NULL ? sender.len - (size_t)(at - sender.data) - 1 : 0;

    *message = (struct message){
        .arrived_ms = num_of(one->json, "arrived_ms"),
        .origin = ORIGIN_IMPORT,
        .flags = num_of(one->json, "flags") & (MESSAGE_8BIT | MESSAGE_UTF8),
        .sender = sender,
        .client = text_of(one->json, "client"),
        .helo = text_of(one->json, "helo"),
        .protocol = text_of(one->json, "protocol"),
        .tls = text_of(one->json, "tls"),
        .port = num_of(one->json, "port"),
        .server = text_of(one->json, "server"),
        .server_port = num_of(one->json, "server_port"),
        .ret = num_of(one->json, "ret"),
        .envid = text_of(one->json, "envid"),
    };
    if (dsn_ret_name(message->ret)[0] == '\0')
        message->ret = 0;
    if (!dsn_envid_is_valid(message->envid))
        message->envid = (struct view){NULL, 0};
    if (message->arrived_ms == 0)
        message->arrived_ms = (uint64_t)clock_wall_ms();
    if (len > 0 && len <= sizeof(one->flow)) {
        addr_lower((struct view){at + 1, len}, one->flow);
        message->flow = (struct view){one->flow, len};
    }
}

/* The id it had, where it can be kept. 1: it is here already. */
static int
take_id(struct one *one)
{
    struct view text = text_of(one->json, "id");
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    struct db_message known;
    struct why why;
    struct db *db = control_db(&why);
    int found;

    if (text.len > 0 && msgid_parse(text, &one->id) != 0)
        return why_text(&one->why, "\"%.*s\" is not a message id",
                        (int)(text.len < 40 ? text.len : 40), text.data);
    if (one->id != 0 && msgid_ms(one->id) > now_ms + ID_AHEAD_MS)
        one->id = 0;
    if (one->id == 0) {
        msgid_set_floor(&ids, control_state.space.floor_ms);
        one->id = msgid_next(&ids, (int64_t)now_ms);
        return 0;
    }
    if (db == NULL)
        return why_text(&one->why, "%s", why.text);
    found = db_read_message(db, one->id, &known, &one->why);
    if (found == 1)
        db_message_free(&known);
    return found;
}

/* --- content
 * --------------------------------------------------------------------- */

/* From here on its content is only skipped. */
static void
one_refuse(struct one *one, const char *result)
{
    body_writer_free(&one->writer);
    one->result = result;
}

static void
one_begin(struct one *one)
{
    int here;

    if (!control_state.has_space || control_state.space.full) {
        why_text(&one->why, "the store has no room, or is away");
        one_refuse(one, "refused");
        return;
    }
    if (take_recipients(one) != 0 || (here = take_id(one)) < 0) {
        one_refuse(one, "refused");
        return;
    }
    if (here == 1) {
        one_refuse(one, "already here");
        return;
    }
    take_facts(one);
    if (one->import->dry_run) {
        one_refuse(one, "would import");
        return;
    }
    header_init(&one->header, control_state.conf->hostname);
    one->writer = sealing_writer((int)control_state.conf->compression,
                                 PROTO_CONTENT_INLINE_MAX, one->id,
                                 (uint64_t)clock_wall_ms(), &one->key);
}

static void
one_content(struct one *one, struct view bytes)
{
    one->left -= bytes.len;
    if (one->writer == NULL)
        return;
    header_scan(&one->header, bytes);
    if (body_write(one->writer, bytes, &one->why) != 0)
        one_refuse(one, "refused");
}

static void
leave_list(struct one *one)
{
    struct one **at = &one->import->under_way;

    while (*at != one)
        at = &(*at)->next;
    *at = one->next;
    one->import->n_under_way--;
}

static void import_take(struct control_client *client);

static void
on_submitted(void *arg, struct peer_message *answer)
{
    struct one *one = arg;
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
    one_answer(one, done ? "imported" : "refused");
    if (import->paused && import->n_under_way < UNDER_WAY_MAX / 2) {
        import->paused = false;
        control_pause(import->client, false);
    }
    finish_if_done(import);
}

static void
one_submit(struct one *one)
{
    static struct buf encoded;
    struct import *import = one->import;
    struct proto_submit request = {
        .id = one->id, .deliveries = {one->deliveries, one->n_deliveries}};
    struct message *message = &one->message;
    int fd = -1;

    header_end(&one->header);
    message->size = body_written(one->writer);
    message->subject =
        (struct view){one->header.subject, one->header.subject_len};
    message->message_id =
        (struct view){one->header.message_id, one->header.message_id_len};
    if (body_finish(one->writer, &request.content, &fd, &request.content_len,
                    &one->why) != 0) {
        one_answer(one, "refused");
        return;
    }
    request.data_key = sealing_describe(message, one->writer, &one->key);
    buf_reset(&encoded);
    record_encode(&message_record, message, &encoded);
    request.message = buf_view(&encoded);
    one->next = import->under_way;
    import->under_way = one;
    import->n_under_way++;
    peer_call(ROLE_STORE, PROTO_SUBMIT, &request, fd, on_submitted, one);
    body_writer_free(&one->writer);
    if (import->n_under_way >= UNDER_WAY_MAX && !import->paused) {
        import->paused = true;
        control_pause(import->client, true);
    }
}

static void
one_end(struct one *one)
{
    if (one->writer == NULL)
        one_answer(one, one->result);
    else
        one_submit(one);
}

/* --- the stream
 * -------------------------------------------------------------------- */

/* A line is whole: the next message, or the end. -1: it makes no sense. */
static int
import_line(struct control_client *client, struct import *import)
{
    json_t *line = json_loadb(import->line.data, import->line.len, 0, NULL);
    json_t *message = json_object_get(line, "message");
    json_int_t raw = json_integer_value(json_object_get(line, "raw"));
    struct one *one;

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
    if (import->line.len > LINE_MAX_BYTES) {
        control_refuse(client, "a line of more than %d bytes", LINE_MAX_BYTES);
        return 0;
    }
    return end != NULL ? len + 1 : len;
}

static void
import_take(struct control_client *client)
{
    struct import *import = client->work;

    while (client->work == import && !import->ended && !import->paused) {
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
            struct one *one = import->taking;

            import->taking = NULL;
            one_end(one);
        } else if (n == 0 && !whole) {
            break;
        }
    }
    if (client->work == import)
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
