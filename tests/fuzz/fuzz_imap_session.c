/* SPDX-License-Identifier: ISC */
/*
 * A whole IMAP session: the imap role's own files over a connection, a loop
 * and a store made of this file. The first byte of the input says in which
 * pieces the client's bytes come, the second what the store and the auth role
 * think and what is switched on. Held:
 *
 *   - what is answered does not depend on the pieces;
 *   - it is made of responses: lines, and literals as long as they say, with
 *     no control in a line;
 *   - every command is answered, or the session is over;
 *   - at the end no memory is held.
 */
#include "imap.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "body.h"
#include "clock.h"
#include "db_mailbox_read.h"
#include "event.h"
#include "imap_view.h"
#include "io.h"
#include "loop.h"
#include "mime_decode.h"
#include "sealing.h"
#include "tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum mood {
    MOOD_SIGNED_IN = 1, /* the first command is a LOGIN already */
    MOOD_SELECTED = 2,  /* and the second a SELECT */
    MOOD_REV2 = 4,
    MOOD_TLS = 8,
    MOOD_STORE_SHIFT = 4, /* what the store thinks next */
};

static struct conf conf = {
    .hostname = {"mx.example.com", 14},
    .message_size = 2000,
    .errors = 5,
    .compression = 1,
    .imap_connections_per_user = 2,
    .imap_timeout_ms = 1000,
};

struct imap_role imap;

/* --- the mailbox ---------------------------------------------------------- */

#define BASE     100 /* UIDs are 11, 12, ...; modseqs 111, 112, ... */
#define FIRST    11
#define MESSAGES 4

static const char *const contents[MESSAGES] = {
    "From: a <a@b.c>\r\nTo: d@e.f\r\nSubject: =?utf-8?Q?s=C3=A4?=\r\n"
    "Date: Mon, 6 Jan 2025 10:00:00 +0000\r\n\r\nhello\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n"
    "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ntwo\r\n--b\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n--b--\r\n",
    "From: \xff (\r\nSubject: a \"b\r\n c\r\n\r\n\xfe\r\n",
    "no header at all\r\n",
};

static struct {
    struct mark mark;
    uint64_t size;
    struct buf file; /* pieces as body_finish gave them */
} mails[MESSAGES];
static uint64_t modseq;

int
db_mailbox_facts(struct db *db, struct db_mailbox_facts *out, struct why *why)
{
    (void)db, (void)why;
    *out = (struct db_mailbox_facts){.on = true,
                                     .filled = true,
                                     .uidvalidity = 7,
                                     .uid_base = BASE,
                                     .modseq = modseq,
                                     .modseq_floor = 1};
    return 1;
}

int
db_mailbox_numbers(struct db *db, uint64_t user,
                   const struct record_list *patterns, struct db_numbers *out,
                   struct why *why)
{
    (void)db, (void)user, (void)patterns, (void)why;
    db_numbers_free(out);
    imap_numbers_add(out, 3);
    return 1;
}

int
db_mailbox_numbers_of(struct db *db, struct view pattern,
                      struct db_numbers *out, struct why *why)
{
    (void)pattern;
    return db_mailbox_numbers(db, 0, NULL, out, why);
}

int
db_mailbox_addresses(struct db *db, struct view pattern, size_t max,
                     struct buf *out, struct why *why)
{
    (void)db, (void)pattern, (void)max, (void)why;
    buf_add(out, "a@example.com\0b@example.com", 28);
    return 1;
}

void
db_numbers_free(struct db_numbers *numbers)
{
    free(numbers->items);
    *numbers = (struct db_numbers){0};
}

int
db_mailbox_read(struct db *db, uint64_t user, const struct db_numbers *numbers,
                uint64_t box, uint64_t from_uid, struct db_mail *out,
                size_t max, uint64_t *next, struct buf *words,
                struct db_mailbox_status *status, struct why *why)
{
    int n = 0;

    (void)db, (void)user, (void)numbers, (void)words, (void)why;
    *next = 0;
    for (uint64_t i = 0; box == BOX_INBOX && i < MESSAGES; i++) {
        uint64_t uid = FIRST + i;

        if (uid < from_uid || mails[i].mark.hidden)
            continue;
        if ((size_t)n == max) {
            *next = uid;
            break;
        }
        out[n++] = (struct db_mail){.uid = uid,
                                    .id = i + 1,
                                    .number = 3,
                                    .flags = mails[i].mark.flags,
                                    .modseq = mails[i].mark.modseq > uid + BASE
                                                  ? mails[i].mark.modseq
                                                  : uid + BASE};
        if (status != NULL)
            status->messages++, status->uidnext = uid + 1;
    }
    return n;
}

int
db_mailbox_status_begin(struct db *db, bool with_size,
                        struct db_mailbox_status *status, struct why *why)
{
    (void)db, (void)with_size, (void)why;
    *status =
        (struct db_mailbox_status){.uidnext = 1, .highest_modseq = modseq};
    return 1;
}

int
db_mailbox_status_end(struct db *db, const struct db_numbers *numbers,
                      uint64_t box, size_t max,
                      struct db_mailbox_status *status, struct why *why)
{
    (void)db, (void)numbers, (void)box, (void)max, (void)status, (void)why;
    return 1;
}

int
db_mailbox_vanished(struct db *db, const struct db_numbers *numbers,
                    uint64_t box, uint64_t since_modseq,
                    struct db_numbers *uids, struct why *why)
{
    (void)db, (void)numbers, (void)box, (void)why;
    for (uint64_t uid = 1; since_modseq > 50 && uid < FIRST; uid += 3)
        imap_numbers_add(uids, uid);
    return since_modseq > 50;
}

int
db_read_mark(struct db *db, uint64_t id, uint64_t n, uint64_t user,
             struct mark *out, struct buf *memory, struct why *why)
{
    (void)db, (void)n, (void)user, (void)memory, (void)why;
    assert(id >= 1 && id <= MESSAGES);
    *out = mails[id - 1].mark;
    return 1;
}

int
db_read_mail(struct db *db, uint64_t user, const struct db_mail *mail,
             uint64_t box, struct db_message *out, struct why *why)
{
    (void)db, (void)user, (void)box, (void)why;
    assert(mail->id >= 1 && mail->id <= MESSAGES);
    *out = (struct db_message){.id = mail->id,
                               .message = {.arrived_ms = 1736157600000,
                                           .pieces = 1,
                                           .size = mails[mail->id - 1].size}};
    return 1;
}

void
db_message_free(struct db_message *message)
{
    *message = (struct db_message){0};
}

int
db_read_piece(struct db *db, uint64_t id, uint64_t n, struct buf *out,
              struct why *why)
{
    struct view file = buf_view(&mails[id - 1].file), piece;

    (void)db;
    assert(n == 0 && body_next_piece(&file, &piece, why) == 1);
    buf_add_view(out, piece);
    return 1;
}

int
db_read_structure(struct db *db, uint64_t id, struct buf *out, struct why *why)
{
    (void)db, (void)id, (void)out, (void)why;
    return 0;
}

int
db_read_account(struct db *db, uint64_t number, struct account *out,
                struct buf *memory, struct why *why)
{
    (void)db, (void)number, (void)memory, (void)why;
    *out = (struct account){.version = 1};
    return 1;
}

int
imap_key_of(const struct message *message, char key[SEAL_KEY], struct why *why)
{
    (void)message, (void)key, (void)why;
    return 0;
}

/* --- the connection ------------------------------------------------------- */

struct io {
    const struct io_handlers *handlers;
    void *arg;
    bool paused;
    bool dead;
    bool shakes_hands;
    struct view seen; /* what came and was not taken */
};

static struct {
    struct io io;
    struct imap_session *session;
    size_t left; /* bytes still to come */
    unsigned store_says;
    struct buf out;
    enum role asked;
    peer_answer_fn *answer;
    struct imap_session *answer_arg;
    struct proto_marked marked;
    bool is_right; /* the password */
    loop_fn *deferred[64];
    void *deferred_arg[64];
    size_t n_deferred;
    bool turn;
    bool closed;
} world;

struct io *
io_new(int fd, const struct io_handlers *handlers, void *arg)
{
    (void)fd;
    world.io = (struct io){.handlers = handlers, .arg = arg};
    world.session = arg;
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

bool
io_send_now(struct io *io)
{
    assert(!io->dead);
    return true;
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
    io->shakes_hands = io->seen.len + world.left == 0;
    return io->shakes_hands ? 0 : -1;
}

const char *
io_reason(const struct io *io)
{
    (void)io;
    return "reset";
}

/* --- the loop ------------------------------------------------------------- */

int64_t
loop_now_ms(void)
{
    return 0;
}

void
loop_defer(loop_fn *fn, void *arg)
{
    assert(world.n_deferred < 64);
    world.deferred[world.n_deferred] = fn;
    world.deferred_arg[world.n_deferred++] = arg;
}

struct loop_timer *
loop_timer_new(loop_fn *fn, void *arg)
{
    (void)fn, (void)arg;
    return NULL;
}

void
loop_timer_set(struct loop_timer *timer, uint64_t after_ms)
{
    (void)timer, (void)after_ms;
}

void
imap_turn(struct imap_session *session)
{
    (void)session;
    world.turn = true;
}

void
imap_turn_cancel(struct imap_session *session)
{
    (void)session;
    world.turn = false;
}

void
imap_closed(struct imap_session *session)
{
    imap_turn_cancel(session);
    LIST_REMOVE(session, link);
    world.closed = true;
}

/* --- the store and the auth role ------------------------------------------ */

static void
take_flags(const struct proto_flags *request)
{
    const struct proto_mail *items = request->items.items;

    world.marked.modseq = ++modseq;
    for (size_t i = 0; i < request->items.count; i++) {
        struct mark *mark = &mails[items[i].id - 1].mark;

        mark->modseq = modseq;
        mark->flags = request->what == FLAGS_ADD ? mark->flags | request->flags
                      : request->what == FLAGS_REMOVE
                          ? mark->flags & ~request->flags
                          : request->flags;
    }
}

static void
take_place(const struct proto_place *request)
{
    const struct proto_mail *items = request->items.items;

    world.marked.modseq = ++modseq;
    for (size_t i = 0; i < request->items.count; i++) {
        struct mark *mark = &mails[items[i].id - 1].mark;

        mark->hidden = 1;
        mark->modseq = modseq;
        mark->uid = request->box != BOX_NONE ? 50 + items[i].id : 0;
    }
}

void
peer_call(enum role to, unsigned kind, const void *payload, int fd,
          peer_answer_fn *fn, void *arg)
{
    const struct proto_login *login = payload;

    if (kind == PROTO_STRUCTURE)
        return;
    assert(world.answer == NULL);
    if (fd >= 0)
        close(fd);
    world.asked = to;
    world.answer = fn;
    world.answer_arg = arg;
    world.marked = (struct proto_marked){SUBMIT_DONE, modseq, {"reason", 6}};
    if (kind == PROTO_FLAGS)
        take_flags(payload);
    else if (kind == PROTO_PLACE)
        take_place(payload);
    else if (kind == PROTO_LOGIN)
        world.is_right = view_equal(login->password, VIEW("secret"));
    else
        assert(kind == PROTO_APPEND);
}

void
peer_forget(const void *arg)
{
    if (world.answer_arg == arg)
        world.answer = NULL;
}

void
peer_reply(const struct peer_message *to, unsigned kind, const void *payload)
{
    (void)to, (void)kind, (void)payload;
}

static void
answer(void)
{
    static const uint64_t results[] = {SUBMIT_DONE, SUBMIT_DONE, SUBMIT_FULL,
                                       SUBMIT_REFUSED};
    struct account_text pattern = {VIEW("*@example.com")};
    struct proto_login_result login = {.result = world.is_right ? LOGIN_OK
                                                                : LOGIN_WRONG,
                                       .user = 9,
                                       .name = VIEW("anna"),
                                       .version = 1,
                                       .patterns = {&pattern, 1}};
    struct peer_message message = {.from = world.asked, .fd = -1};
    peer_answer_fn *fn = world.answer;
    unsigned says = world.store_says++ % 5;

    world.answer = NULL;
    world.marked.result = says < 4 ? results[says] : 0;
    message.payload =
        world.asked == ROLE_AUTH ? (void *)&login : (void *)&world.marked;
    fn(world.answer_arg, says < 4 ? &message : NULL);
}

/* --- one run -------------------------------------------------------------- */

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
        while (world.turn && !world.io.dead) {
            world.turn = false;
            while (imap_session_step(world.session))
                ;
            before = SIZE_MAX;
        }
        if (world.answer != NULL && !world.io.dead) {
            answer();
            before = SIZE_MAX;
        }
        if (!world.io.dead && world.io.shakes_hands) {
            world.io.shakes_hands = false;
            world.io.handlers->on_tls(world.io.arg);
        }
        if (!world.io.dead && !world.io.paused && world.io.seen.len > 0)
            world.io.handlers->on_input(world.io.arg);
        end_turn();
    } while (!world.io.dead && world.io.seen.len != before);
}

static void
begin(uint8_t mood)
{
    static const struct gate_guest guest = {
        .address = "192.0.2.1", .service = "imap", .is_loopback = true};

    for (size_t i = 0; i < MESSAGES; i++)
        mails[i].mark = (struct mark){0};
    modseq = FIRST + BASE + MESSAGES;
    world.io.dead = false;
    world.left = 0;
    world.store_says = mood & MOOD_SIGNED_IN ? 0 : mood >> MOOD_STORE_SHIFT;
    world.answer = NULL;
    world.turn = false;
    world.closed = false;
    conf.imap_rev2 = (mood & MOOD_REV2) != 0;
    imap.tls = mood & MOOD_TLS ? (struct tls *)&world : NULL;
    buf_reset(&world.out);
    imap_session_new(0, &guest);
}

static void
feed(struct view stream, size_t piece)
{
    world.io.seen.data = stream.data;
    world.left = stream.len;
    while (world.left > 0 && !world.io.dead) {
        size_t n = piece < world.left ? piece : world.left;

        world.io.seen.len += n;
        world.left -= n;
        settle();
    }
}

static void
run(struct view stream, size_t piece, uint8_t mood)
{
    struct buf all = {0};

    begin(mood);
    if (mood & MOOD_SIGNED_IN)
        buf_add_text(&all, "a LOGIN anna secret\r\n");
    if (mood & MOOD_SELECTED)
        buf_add_text(&all, "b SELECT INBOX\r\n");
    buf_add_view(&all, stream);
    feed(buf_view(&all), piece);
    if (!world.io.dead) {
        assert(world.session->mode != IMAP_MODE_BUSY);
        world.io.handlers->on_end(world.io.arg, IO_EOF);
    }
    end_turn();
    assert(world.closed && imap.users == NULL);
    buf_free(&all);
}

/* --- what was answered ---------------------------------------------------- */

/* Has it text for people, in which "{3}" is no literal? */
static bool
is_status(struct view line)
{
    static const char *const words[] = {"OK ", "NO ", "BAD ", "BYE "};
    const char *blank = memchr(line.data, ' ', line.len);
    struct view rest;

    assert(blank != NULL && blank != line.data);
    rest = view_skip(line, (size_t)(blank + 1 - line.data));
    for (size_t i = 0; i < 4; i++)
        if (rest.len > strlen(words[i]) &&
            memcmp(rest.data, words[i], strlen(words[i])) == 0)
            return true;
    return line.data[0] == '+';
}

/* Takes a line with its end; gives it without. */
static struct view
take_line(struct view *out)
{
    const char *cr = memchr(out->data, '\r', out->len);
    struct view line;

    assert(cr != NULL);
    line = (struct view){out->data, (size_t)(cr - out->data)};
    for (size_t i = 0; i < line.len; i++)
        assert((uint8_t)line.data[i] >= ' ' || line.data[i] == '\t');
    assert(out->len >= line.len + 2 && cr[1] == '\n');
    *out = view_skip(*out, line.len + 2);
    return line;
}

static bool
ends_in_literal(struct view line, uint64_t *length)
{
    size_t at = line.len;
    uint64_t unit = 1;

    *length = 0;
    if (at < 3 || line.data[--at] != '}')
        return false;
    for (; at > 0 && line.data[at - 1] >= '0' && line.data[at - 1] <= '9'; at--)
        *length += (uint64_t)(line.data[at - 1] - '0') * unit, unit *= 10;
    return at > 0 && line.data[at - 1] == '{' && at + 1 < line.len;
}

static void
check_out(struct view out)
{
    while (out.len > 0) {
        struct view line = take_line(&out);
        bool status = is_status(line);
        uint64_t length;

        while (!status && ends_in_literal(line, &length)) {
            assert(length <= out.len);
            out = view_skip(out, (size_t)length);
            line = take_line(&out);
        }
    }
}

static void
set_up(void)
{
    struct seal_key key;
    struct why why;
    uint64_t len;
    int fd;

    if (imap.conf != NULL)
        return;
    clock_set_for_test(1795576921123, 1);
    mime_decode_init();
    imap.conf = &conf;
    imap.db = (struct db *)&world;
    imap.store_is_up = true;
    LIST_INIT(&imap.sessions);
    for (size_t i = 0; i < MESSAGES; i++) {
        struct body_writer *writer =
            sealing_writer(1, 1 << 20, i + 1, 1795576921123, &key);
        struct view file;

        mails[i].size = strlen(contents[i]);
        assert(body_write(writer, view_of(contents[i]), &why) == 0 &&
               body_finish(writer, &file, &fd, &len, &why) == 0);
        buf_add_view(&mails[i].file, file);
        body_writer_free(&writer);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = {0};
    struct view stream;

    if (size < 2)
        return 0;
    set_up();
    stream = (struct view){(const char *)data + 2, size - 2};
    run(stream, SIZE_MAX, data[1]);
    check_out(buf_view(&world.out));
    buf_add_view(&out, buf_view(&world.out));
    run(stream, data[0] % 16 + 1, data[1]);
    assert(view_equal(buf_view(&out), buf_view(&world.out)));
    buf_free(&out);
    return 0;
}
