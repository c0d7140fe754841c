/* SPDX-License-Identifier: ISC */
/*
 * Content on its way out: whole it goes out stuffed and with its end mark;
 * with anything missing or changed there is never an end mark.
 */
#include "replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "body.h"
#include "db.h"
#include "dot.h"

#define ID UINT64_C(4711)

static char dir[64];
static struct db *store;

struct db *
replay_db(void)
{
    return store;
}

static struct seal_key seal; /* data_key 0: not sealed */

int
replay_key_of(const struct message *message, char key[SEAL_KEY],
              struct why *why)
{
    (void)why;
    memcpy(key, seal.bytes, SEAL_KEY);
    return message->key != 0;
}

static int
setup(void **state)
{
    struct why why;

    (void)state;
    strcpy(dir, "/tmp/spoold-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    store = db_open_writer(dir, &why);
    assert_non_null(store);
    return 0;
}

static int
teardown(void **state)
{
    char path[128];

    (void)state;
    db_close(&store);
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/lock.mdb", dir);
    unlink(path);
    return rmdir(dir);
}

/* --- a message in the store ---------------------------------------------- */

static char digest[BODY_DIGEST_LEN];

/* Stores content as pieces; job is one for it. */
static void
keep(struct view content, struct replay_job *job)
{
    struct body_writer *writer = body_writer_new(3, SIZE_MAX, &seal, ID);
    struct body_digest *sum = body_digest_new();
    struct message *message = &job->message.message;
    struct view file, piece;
    struct db_txn *txn;
    struct why why;
    uint64_t len;
    int fd;

    *job = (struct replay_job){.key = {.id = ID}};
    assert_int_equal(body_write(writer, content, &why), 0);
    assert_int_equal(body_finish(writer, &file, &fd, &len, &why), 0);
    assert_int_equal(db_begin(store, &txn), DB_OK);
    while (body_next_piece(&file, &piece, &why) == 1) {
        body_digest_add(sum, piece);
        assert_int_equal(db_put_piece(txn, ID, message->pieces++, piece),
                         DB_OK);
    }
    assert_int_equal(db_commit(&txn, &why), DB_OK);
    body_digest_end(&sum, digest);
    message->digest = (struct view){digest, MESSAGE_DIGEST};
    message->key = seal.data_key;
    message->size = content.len;
    body_writer_free(&writer);
}

static void
put_piece(uint64_t n, struct view piece)
{
    struct db_txn *txn;
    struct why why;

    assert_int_equal(db_begin(store, &txn), DB_OK);
    assert_int_equal(db_put_piece(txn, ID, n, piece), DB_OK);
    assert_int_equal(db_commit(&txn, &why), DB_OK);
}

/* Lines with dots in places, so that pieces end anywhere in them. */
static void
make_content(struct buf *out, size_t lines)
{
    unsigned seed = 7;

    for (size_t i = 0; i < lines; i++) {
        seed = seed * 1103515245u + 12345u;
        buf_addf(out, "%s%08x%08x\r\n", i % 3 == 0 ? "." : "", seed, ~seed);
    }
}

/* All of it; how it ended. */
static int
send_all(const struct replay_job *job, struct buf *out)
{
    struct replay_content *content = replay_content_new(job, false);
    struct why why = {0};
    int more = 1;

    while (more == 1)
        more = replay_content_next(content, out, &why);
    if (more < 0)
        assert_true(strlen(why.text) > 0);
    replay_content_free(&content);
    assert_null(content);
    return more;
}

static bool
has_end_mark(const struct buf *out)
{
    return memmem(out->data, out->len, "\r\n.\r\n", 5) != NULL;
}

static void
check_goes_out(struct view content)
{
    struct replay_job job;
    struct buf out = {0}, back = {0};
    struct dot_decoder decoder;
    struct view rest, run;
    enum got got;

    keep(content, &job);
    assert_int_equal(send_all(&job, &out), 0);
    dot_decoder_init(&decoder);
    rest = buf_view(&out);
    do {
        got = dot_decode(&decoder, &rest, &run);
        buf_add_view(&back, run);
    } while (got == GOT_MORE && rest.len > 0);
    assert_int_equal(got, GOT_ONE);
    assert_int_equal(rest.len, 0);
    assert_true(view_equal(buf_view(&back), content));
    buf_free(&out);
    buf_free(&back);
}

static void
test_whole(void **state)
{
    struct buf content = {0};

    (void)state;
    check_goes_out(VIEW("Subject: a\r\n\r\n.\r\n..\r\n"));
    make_content(&content, 20000); /* several pieces */
    check_goes_out(buf_view(&content));
    buf_free(&content);
}

static void
test_broken(void **state)
{
    struct replay_job job, same;
    struct buf content = {0}, other = {0}, out = {0};
    struct replay_content *sending;
    struct db_txn *txn;
    struct why why;

    (void)state;
    make_content(&content, 20000);

    keep(buf_view(&content), &job);
    assert_true(job.message.message.pieces > 3);
    job.message.message.pieces++; /* one piece is not there */
    assert_int_equal(send_all(&job, &out), -1);
    assert_false(has_end_mark(&out));

    buf_reset(&out);
    keep(buf_view(&content), &job);
    job.message.message.pieces--; /* one is left out */
    assert_int_equal(send_all(&job, &out), -1);
    assert_false(has_end_mark(&out));

    buf_reset(&out);
    put_piece(1, VIEW("zgarbage"));
    assert_int_equal(send_all(&job, &out), -1);
    assert_false(has_end_mark(&out));

    /* A good piece, of the same length, of another message. */
    buf_reset(&out);
    keep(buf_view(&content), &job);
    assert_int_equal(db_read_piece(store, ID, 0, &other, &why), 1);
    put_piece(1, buf_view(&other));
    assert_int_equal(send_all(&job, &out), -1);
    assert_false(has_end_mark(&out));

    /* Gone in the middle of sending. */
    buf_reset(&out);
    keep(buf_view(&content), &same);
    sending = replay_content_new(&same, false);
    assert_int_equal(replay_content_next(sending, &out, &why), 1);
    assert_int_equal(db_begin(store, &txn), DB_OK);
    assert_int_equal(db_del_pieces(txn, ID), DB_OK);
    assert_int_equal(db_commit(&txn, &why), DB_OK);
    assert_int_equal(replay_content_next(sending, &out, &why), -1);
    assert_false(has_end_mark(&out));
    replay_content_free(&sending);
    buf_free(&content);
    buf_free(&other);
    buf_free(&out);
}

static void
test_header(void **state)
{
    struct replay_job job;
    struct buf header = {0};
    struct why why;

    (void)state;
    keep(VIEW("A: 1\r\nB: 2\r\n\r\nbody\r\n"), &job);
    assert_int_equal(replay_content_header(ID, &job.message.message, &header, &why), 0);
    assert_true(view_equal(buf_view(&header), VIEW("A: 1\r\nB: 2\r\n")));
    assert_int_equal(replay_content_header(ID + 1, &job.message.message, &header, &why), -1);
    buf_free(&header);
}

/* The same with every piece sealed. */
static void
test_sealed(void **state)
{
    seal = (struct seal_key){.data_key = 5, .bytes = {1, 2, 3}};
    test_whole(state);
    test_broken(state);
    seal = (struct seal_key){0};
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sealed, setup, teardown),
    };

    return cmocka_run_group_tests_name("replay_content", tests, NULL, NULL);
}
