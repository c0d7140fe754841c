/* SPDX-License-Identifier: ISC */
/*
 * A whole SMTP session: the listener's own files over a connection, a loop
 * and a store made of this file. The first byte of the input says in which
 * pieces the client's bytes come, the second what the store thinks. Held:
 *
 *   - the reply does not depend on the pieces, nor does what is submitted;
 *   - replies are lines "NNN[ -]text", and a 250 "queued" is said exactly
 *     for each message the store took;
 *   - submitted content begins with our Received field, has CRLF line ends
 *     only, and a transaction has as many deliveries as RCPT allowed;
 *   - at the end no memory is counted or held.
 */
#include "gate.h"
#include "listener.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "clock.h"
#include "event.h"
#include "io.h"
#include "loop.h"
#include "peer.h"
#include "tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- what the session is told
 * ------------------------------------------------- */

static struct conf_domain domains[] = {
    {.name = {"example.com", 11},
     .target = {"office", 6},
     .recipients = CONF_RECIPIENTS_ANY},
    {.name = {"list.example", 12},
     .target = {"office", 6},
     .recipients = CONF_RECIPIENTS_LIST},
};
static const struct conf conf = {
    .hostname = {"mx.example.com", 14},
    .message_size = 2000,
    .recipients = 3,
    .memory = 1024 * 1024,
    .errors = 5,
    .hops = 4,
    .compression = 1,
    .domains = {domains, 2},
};
static struct listener_list lists[2];

struct listener listener = {.ids = {.writer = 1}};

/* --- the world
 * ------------------------------------------------------------------ */

struct io {
    const struct io_handlers *handlers;
    void *arg;
    bool paused;
    bool dead;
    struct view seen; /* what came and was not taken */
};

static struct {
    struct io io;
    size_t left; /* bytes still to come */
    unsigned store_says;
    struct buf out;       /* replies */
    struct buf submitted; /* a transcript of SUBMITs */
    size_t taken;         /* messages the store took */
    peer_answer_fn *answer;
    void *answer_arg;
    loop_fn *deferred[16];
    void *deferred_arg[16];
    size_t n_deferred;
    bool closed;
} world;

struct io *
io_new(int fd, const struct io_handlers *handlers, void *arg)
{
    (void)fd;
    world.io = (struct io){.handlers = handlers, .arg = arg};
    return &world.io;
}

void
io_free(struct io **io)
{
    assert(*io == &world.io && !world.io.dead);
    world.io.dead = true;
    *io = NULL;
}

struct view
io_input(const struct io *io)
{
    assert(!io->dead);
    return io->seen;
}

void
io_wipe_input(struct io *io)
{
    (void)io;
}

void
io_consume(struct io *io, size_t n)
{
    assert(!io->dead && n <= io->seen.len);
    io->seen = view_skip(io->seen, n);
}

void
io_pause(struct io *io)
{
    io->paused = true;
}

void
io_resume(struct io *io)
{
    io->paused = false;
}

void
io_write(struct io *io, struct view bytes)
{
    assert(!io->dead);
    buf_add_view(&world.out, bytes);
}

size_t
io_pending(const struct io *io)
{
    assert(!io->dead);
    return 0;
}

void
io_set_timeout(struct io *io, uint64_t ms)
{
    (void)ms;
    assert(!io->dead);
}

/* What is still to come counts as buffered, so that it does not depend on
 * the pieces. */
int
io_start_tls(struct io *io, struct tls *tls)
{
    (void)tls;
    return io->seen.len + world.left > 0 ? -1 : 0;
}

const char *
io_tls_name(const struct io *io)
{
    assert(!io->dead);
    return "";
}

const char *
io_reason(const struct io *io)
{
    (void)io;
    return "reset";
}

int64_t
loop_now_ms(void)
{
    return 0;
}

void
loop_defer(loop_fn *fn, void *arg)
{
    assert(world.n_deferred < 16);
    world.deferred[world.n_deferred] = fn;
    world.deferred_arg[world.n_deferred++] = arg;
}

void
listener_closed(struct listener_session *session)
{
    LIST_REMOVE(session, link);
    world.closed = true;
}

/* --- the store
 * ------------------------------------------------------------------ */

static void
check_content(struct view file)
{
    static const struct view start = {"Received: from ", 15};
    struct buf content = {0};
    struct view piece;
    struct why why;
    int more;

    while ((more = body_next_piece(&file, &piece, &why)) == 1)
        assert(body_read_piece(piece, NULL, &content, &why) == 0);
    assert(more == 0 && content.len > start.len);
    assert(memcmp(content.data, start.data, start.len) == 0);
    assert(content.data[content.len - 1] == '\n');
    for (size_t i = 0; i < content.len; i++)
        assert(content.data[i] != '\n' || content.data[i - 1] == '\r');
    buf_add_view(&world.submitted, buf_view(&content));
    buf_free(&content);
}

/* ETRN wakes targets of domains we take mail for, some at a time. */
void
peer_send(enum role to, unsigned kind, const void *payload, int fd)
{
    const struct proto_name *wake = payload;

    assert(to == ROLE_STORE && kind == PROTO_ETRN && fd < 0);
    assert(wake->name.len > 0);
}

void
peer_call(enum role to, unsigned kind, const void *payload, int fd,
          peer_answer_fn *fn, void *arg)
{
    const struct proto_submit *submit = payload;
    struct message message;
    struct why why;

    assert(to == ROLE_STORE && kind == PROTO_SUBMIT && fd < 0);
    assert(submit->deliveries.count >= 1 &&
           submit->deliveries.count <= conf.recipients);
    assert(record_decode(&message_record, submit->message, &message, &why) ==
           0);
    assert(message.arrived_ms > 0 && message.origin == ORIGIN_SMTP);
    check_content(submit->content);
    record_print(&message_record, &message, &world.submitted);
    for (size_t i = 0; i < submit->deliveries.count; i++)
        record_print(&delivery_record,
                     (struct delivery *)submit->deliveries.items + i,
                     &world.submitted);
    world.answer = fn;
    world.answer_arg = arg;
}

static void
answer_submit(void)
{
    static const uint64_t results[] = {SUBMIT_DONE, SUBMIT_DONE, SUBMIT_REFUSED,
                                       SUBMIT_FULL, SUBMIT_FAILED};
    unsigned says = world.store_says++ % 6;
    struct proto_submitted submitted = {.result = says < 5 ? results[says] : 0};
    struct peer_message message = {.from = ROLE_STORE,
                                   .kind = PROTO_SUBMITTED,
                                   .payload = &submitted,
                                   .fd = -1};
    peer_answer_fn *answer = world.answer;

    world.answer = NULL;
    world.taken += submitted.result == SUBMIT_DONE ? 1 : 0;
    answer(world.answer_arg, says < 5 ? &message : NULL);
}

/* --- one run
 * -------------------------------------------------------------------- */

static void
end_turn(void)
{
    for (size_t i = 0; i < world.n_deferred; i++)
        world.deferred[i](world.deferred_arg[i]);
    world.n_deferred = 0;
}

/* Lets the session work until it wants more bytes. */
static void
settle(void)
{
    size_t before;

    do {
        before = world.io.seen.len;
        if (!world.io.dead && !world.io.paused && before > 0)
            world.io.handlers->on_input(world.io.arg);
        end_turn();
        if (world.answer != NULL) {
            answer_submit();
            end_turn();
            before = SIZE_MAX;
        }
    } while (!world.io.dead && world.io.seen.len != before);
}

static void
run(struct view stream, size_t piece, uint8_t mood)
{
    static const struct gate_guest guest = {.address = "192.0.2.1",
                                            .server = "192.0.2.2"};

    world.io.dead = false;
    world.left = stream.len;
    world.store_says = mood;
    world.taken = 0;
    world.closed = false;
    listener.ids.last = 0;
    listener.policy.room = ROOM_THERE;
    listener.policy.offers_tls = mood & 1;
    buf_reset(&world.out);
    buf_reset(&world.submitted);
    listener_session_new(0, &guest);
    world.io.seen.data = stream.data;
    while (world.left > 0 && !world.io.dead) {
        size_t n = piece < world.left ? piece : world.left;

        world.io.seen.len += n;
        world.left -= n;
        settle();
    }
    if (!world.io.dead)
        world.io.handlers->on_end(world.io.arg, IO_EOF);
    end_turn();
    assert(world.closed && world.answer == NULL);
    assert(listener.policy.memory == 0);
}

static void
check_replies(struct view out)
{
    size_t queued = 0;

    while (out.len > 0) {
        const char *lf = memchr(out.data, '\n', out.len);
        size_t len = lf != NULL ? (size_t)(lf - out.data) : 0;

        assert(len >= 5 && lf[-1] == '\r' && out.data[0] >= '2' &&
               out.data[0] <= '5' &&
               (out.data[3] == ' ' || out.data[3] == '-'));
        for (size_t i = 0; i + 1 < len; i++)
            assert(out.data[i] >= ' ' && out.data[i] <= '~');
        if (len > 22 && memcmp(out.data, "250 2.0.0 Ok: queued as", 23) == 0)
            queued++;
        out = view_skip(out, len + 1);
    }
    assert(queued == world.taken);
}

static void
set_up(void)
{
    struct why why;

    if (listener.policy.conf != NULL)
        return;
    lists[1].list =
        recipients_parse(VIEW("anna\n"), "list", domains[1].name, &why);
    listener.policy.conf = &conf;
    listener.policy.lists = lists;
    LIST_INIT(&listener.sessions);
    clock_set_for_test(1795576921123, 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = {0}, submitted = {0};
    struct view stream;

    if (size < 2)
        return 0;
    set_up();
    stream = (struct view){(const char *)data + 2, size - 2};
    run(stream, SIZE_MAX, data[1]);
    check_replies(buf_view(&world.out));
    buf_add_view(&out, buf_view(&world.out));
    buf_add_view(&submitted, buf_view(&world.submitted));
    run(stream, data[0] % 16 + 1, data[1]);
    assert(view_equal(buf_view(&out), buf_view(&world.out)));
    assert(view_equal(buf_view(&submitted), buf_view(&world.submitted)));
    buf_free(&out);
    buf_free(&submitted);
    return 0;
}
