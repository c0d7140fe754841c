/* SPDX-License-Identifier: ISC */
/*
 * A store of format 1, written here as that version did, becomes one of the
 * present format: every message, delivery, piece and entry is there after it,
 * however often it was killed on the way.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "body.h"
#include "db_lmdb.h"
#include "db_read.h"
#include "event.h"
#include "msgid.h"

#define T0 UINT64_C(1750000000000)

static char dir[64];

static int
setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/spoold-test-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
    static const char *const names[] = {"rebuild/data.mdb", "rebuild/lock.mdb",
                                        "rebuild", "data.mdb", "lock.mdb"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        remove(path);
    }
    return rmdir(dir);
}

/* --- format 1 ----------------------------------------------------------------
 */

enum { MESSAGE, BODY, DELIVERY, READY, LATER, TARGET, LEDGER, SETTING, TABLES };

static const char *const names[TABLES] = {"message", "body",   "delivery",
                                          "ready",   "later",  "target",
                                          "ledger",  "setting"};

struct old {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi tables[TABLES];
    uint64_t seq;
};

static void
old_put(struct old *old, int table, const struct db_key *key, struct view value)
{
    MDB_val k = {key->len, (void *)(uintptr_t)key->bytes};
    MDB_val v = {value.len, (void *)(uintptr_t)value.data};

    assert_int_equal(mdb_put(old->txn, old->tables[table], &k, &v, 0), 0);
}

static void
old_record(struct old *old, int table, const struct db_key *key,
           const struct record_type *type, const void *object)
{
    struct buf bytes = {0};

    record_encode(type, object, &bytes);
    old_put(old, table, key, buf_view(&bytes));
    buf_free(&bytes);
}

static void
old_open(struct old *old)
{
    struct db_key key;
    char format[8];

    assert_int_equal(mdb_env_create(&old->env), 0);
    mdb_env_set_maxdbs(old->env, 32);
    mdb_env_set_mapsize(old->env, (size_t)1 << 32);
    assert_int_equal(mdb_env_open(old->env, dir, MDB_NOSYNC, 0600), 0);
    assert_int_equal(mdb_txn_begin(old->env, NULL, 0, &old->txn), 0);
    for (int t = 0; t < TABLES; t++)
        assert_int_equal(
            mdb_dbi_open(old->txn, names[t], MDB_CREATE, &old->tables[t]), 0);
    db_key_name(&key, VIEW("format"));
    bytes_put64(format, 1);
    old_put(old, SETTING, &key, (struct view){format, 8});
}

/* Message number i: every third is finished, every fifth has two recipients
 * of which one waits, every seventh has a second piece. */
static uint64_t
id_of(size_t i)
{
    return ((T0 + i - UINT64_C(1577836800000)) << 21) | 256;
}

static bool
is_finished(size_t i)
{
    return i % 3 == 0;
}

static size_t
pieces_of(size_t i)
{
    return i % 7 == 0 ? 2 : 1;
}

/* Form '0', and bytes that tell which piece it is. */
static struct view
piece_of(size_t i, size_t n, char bytes[BODY_PIECE_MAX])
{
    size_t len = n + 1 < pieces_of(i) ? BODY_PIECE_RAW : 200 + i % 5000;

    bytes[0] = '0';
    for (size_t at = 0; at < len; at++)
        bytes[1 + at] = (char)('a' + (at + i + n) % 26);
    return (struct view){bytes, len + 1};
}

static void
old_deliveries(struct old *old, size_t i)
{
    size_t n = i % 5 == 0 ? 2 : 1;
    uint64_t id = id_of(i);
    struct db_key key;

    for (size_t d = 0; d < n; d++) {
        struct delivery row = {.recipient = d == 0 ? VIEW("anna@example.com")
                                                   : VIEW("ben@Example.ORG"),
                               .target = VIEW("office"),
                               .changed_ms = T0,
                               .state = DELIVERY_READY,
                               .attempts = i};

        if (is_finished(i)) {
            row.state = DELIVERY_DELIVERED;
        } else if (d == 1) {
            row.state = DELIVERY_LATER;
            row.next_ms = T0 + 5000 + i;
            db_key_later(&key, row.next_ms, id, d);
            old_put(old, LATER, &key, (struct view){NULL, 0});
        } else {
            db_key_ready(&key, row.target, VIEW("elsewhere.example"), id, d);
            old_put(old, READY, &key, (struct view){NULL, 0});
        }
        db_key_id_n(&key, id, d);
        old_record(old, DELIVERY, &key, &delivery_record, &row);
    }
}

static void
old_message(struct old *old, size_t i)
{
    static char bytes[BODY_PIECE_MAX];
    char digest[BODY_DIGEST_LEN];
    uint64_t id = id_of(i);
    struct body_digest *sum = body_digest_new();
    struct message row = {.arrived_ms = T0 + i,
                          .origin = ORIGIN_SMTP,
                          .sender = VIEW("bob@elsewhere.example"),
                          .flow = VIEW("elsewhere.example"),
                          .pieces = pieces_of(i),
                          .subject = VIEW("a letter")};
    struct ledger_entry entry = {
        .when_ms = T0 + i, .event = EVENT_ACCEPTED, .id = id, .code = 1};
    struct db_key key;

    for (size_t n = 0; n < row.pieces; n++) {
        struct view piece = piece_of(i, n, bytes);

        body_digest_add(sum, piece);
        row.stored += piece.len;
        row.size += piece.len - 1;
        db_key_id_n(&key, id, n);
        old_put(old, BODY, &key, piece);
    }
    body_digest_end(&sum, digest);
    row.digest = (struct view){digest, BODY_DIGEST_LEN};
    entry.digest = row.digest;
    if (is_finished(i)) {
        row.finished_ms = T0 + 9;
        db_key_later(&key, T0 + 100000 + i, id, DB_LATER_PURGE);
        old_put(old, LATER, &key, (struct view){NULL, 0});
    }
    db_key_id(&key, id);
    old_record(old, MESSAGE, &key, &message_record, &row);
    old_deliveries(old, i);
    db_key_id(&key, ++old->seq);
    old_record(old, LEDGER, &key, &ledger_entry_record, &entry);
}

static void
old_store(size_t n)
{
    struct old old = {.seq = 0};
    struct target_health health = {
        .name = VIEW("office"), .state = TARGET_DOWN, .reach_ms = 77};
    struct db_totals totals = {.floor_ms = T0 + n};
    struct db_key key;

    old_open(&old);
    for (size_t i = 0; i < n; i++) {
        old_message(&old, i);
        totals.held += !is_finished(i);
    }
    db_key_name(&key, VIEW("office"));
    old_record(&old, TARGET, &key, &target_health_record, &health);
    db_key_name(&key, VIEW("totals"));
    old_record(&old, SETTING, &key, &db_totals_record, &totals);
    assert_int_equal(mdb_txn_commit(old.txn), 0);
    mdb_env_sync(old.env, 1);
    mdb_env_close(old.env);
}

/* --- the present format
 * ----------------------------------------------------------- */

static void
check_message(struct db *db, size_t i)
{
    static char bytes[BODY_PIECE_MAX];
    struct db_message message;
    struct buf piece = {0};
    struct why why;

    assert_int_equal(db_read_message(db, id_of(i), &message, &why), 1);
    assert_int_equal(message.n_deliveries, i % 5 == 0 ? 2 : 1);
    assert_int_equal(message.deliveries[0].delivery.attempts, i);
    assert_true(view_equal(message.message.flow, VIEW("elsewhere.example")));
    assert_int_equal(message.message.digest.len, MESSAGE_DIGEST);
    assert_true(message.message.block > 0);
    assert_int_equal(message.message.purge_ms,
                     is_finished(i) ? T0 + 100000 + i : 0);
    for (size_t n = 0; n < pieces_of(i); n++) {
        buf_reset(&piece);
        assert_int_equal(db_read_piece(db, id_of(i), n, &piece, &why), 1);
        assert_true(view_equal(buf_view(&piece), piece_of(i, n, bytes)));
    }
    assert_int_equal(db_read_piece(db, id_of(i), pieces_of(i), &piece, &why),
                     0);
    db_message_free(&message);
    buf_free(&piece);
}

struct chain {
    char head[LEDGER_HASH];
    uint64_t last;
};

static bool
check_entry(void *arg, uint64_t seq, struct view value)
{
    struct chain *chain = arg;

    assert_int_equal(seq, chain->last + 1);
    chain->last = seq;
    ledger_chain_next(chain->head, seq, view_skip(value, LEDGER_CHECK));
    assert_memory_equal(chain->head, value.data, LEDGER_CHECK);
    return true;
}

static void
check_rest(struct db *db, size_t n)
{
    struct chain chain = {.last = 0};
    struct db_counts counts;
    struct domain_share share;
    struct target_health health;
    struct buf name = {0};
    struct sieve mask = {{0}};
    struct why why;
    uint64_t *ids = calloc(n + 1000, sizeof(*ids)), cursor = 0;
    size_t blocks = SIZE_MAX, held = 0, twice = 0;

    for (size_t i = 0; i < n; i++) {
        held += !is_finished(i);
        twice += i % 5 == 0;
    }
    assert_int_equal(db_read_counts(db, &counts, &why), 1);
    assert_int_equal(counts.messages, n);
    assert_int_equal(counts.held, held);
    assert_int_equal(counts.deliveries, n + twice);
    assert_int_equal(counts.ready, held);
    assert_int_equal(counts.floor_ms, T0 + n);
    assert_int_equal(db_read_ledger(db, 1, SIZE_MAX, check_entry, &chain, &why),
                     0);
    assert_int_equal(chain.last, n + 1); /* and that of the migration */
    assert_int_equal(db_read_health_after(db, "", &health, &name, &why), 1);
    assert_int_equal(health.reach_ms, 77);
    assert_int_equal(db_read_share_after(db, VIEW(""), &name, &share, &why), 1);
    assert_true(view_equal(buf_view(&name), VIEW("example.com")));
    assert_int_equal(share.messages, n);
    assert_int_equal(
        db_read_share_after(db, VIEW("example.com"), &name, &share, &why), 1);
    assert_true(view_equal(buf_view(&name), VIEW("example.org")));
    assert_int_equal(share.messages, twice);
    sieve_add(&mask, SIEVE_TO_DOMAIN, VIEW("example.org"));
    assert_true((size_t)db_read_sieve(db, &mask, &cursor, &blocks, ids,
                                      n + 1000, &why) >= twice);
    buf_free(&name);
    free(ids);
}

static void
check_all(size_t n)
{
    struct why why = {0};
    struct db *db = db_open_writer(dir, &why);
    char path[128];

    if (db == NULL)
        fail_msg("%s", why.text);
    for (size_t i = 0; i < n; i++)
        check_message(db, i);
    check_rest(db, n);
    db_close(&db);
    snprintf(path, sizeof(path), "%s/rebuild", dir);
    assert_int_equal(access(path, F_OK), -1); /* nothing is left of it */
}

static void
test_everything_is_there_after_it(void **state)
{
    (void)state;
    old_store(500);
    check_all(500);
    check_all(500); /* and it was done once */
}

static void
test_an_empty_store(void **state)
{
    struct why why;
    struct db *db;

    (void)state;
    old_store(0);
    db = db_open_writer(dir, &why);
    assert_non_null(db);
    db_close(&db);
}

/* Killed later and later, until it comes through. */
static void
test_killed_on_the_way(void **state)
{
    size_t kills = 0;
    int status = -1;

    (void)state;
    old_store(3000);
    for (long wait_us = 300; status != 0; wait_us += 1500) {
        struct timespec pause = {0, wait_us * 1000};
        pid_t pid = fork();

        if (pid == 0) {
            struct why why;
            struct db *db = db_open_writer(dir, &why);

            if (db == NULL)
                _exit(1);
            db_close(&db);
            _exit(0);
        }
        assert_true(pid > 0);
        nanosleep(&pause, NULL); /* the moment is what differs */
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        kills += status != 0;
    }
    assert_true(kills > 3);
    check_all(3000);
}

static void
test_a_damaged_row_stops_it(void **state)
{
    struct old old = {.seq = 0};
    struct db_key key;
    struct why why = {0};

    (void)state;
    old_open(&old);
    old_message(&old, 1);
    db_key_id(&key, id_of(2));
    old_put(&old, MESSAGE, &key, VIEW("\x01"));
    assert_int_equal(mdb_txn_commit(old.txn), 0);
    mdb_env_close(old.env);
    assert_null(db_open_writer(dir, &why));
    assert_non_null(strstr(why.text, "damaged row in message"));
    assert_null(db_open_writer(dir, &why)); /* still format 1 */
    assert_non_null(strstr(why.text, "damaged row in message"));
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_everything_is_there_after_it),
        T(test_an_empty_store),
        T(test_killed_on_the_way),
        T(test_a_damaged_row_stops_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
