/* SPDX-License-Identifier: ISC */
/*
 * What format 2 adds to rows: check bytes, pieces in parts, the chain through
 * the ledger, signature blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "body.h"
#include "db_lmdb.h"
#include "db_read.h"

static char dir[64];
static struct db *db;

static int
setup(void **state)
{
    struct why why = {0};

    (void)state;
    strcpy(dir, "/tmp/spoold-test-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    db = db_open_writer(dir, &why);
    return db != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char path[128];

    (void)state;
    db_close(&db);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static struct db_txn *
begin(void)
{
    struct db_txn *txn;

    assert_int_equal(db_begin(db, &txn), DB_OK);
    return txn;
}

static void
commit(struct db_txn **txn)
{
    struct why why;

    assert_int_equal(db_commit(txn, &why), DB_OK);
}

/* --- pieces -----------------------------------------------------------------
 */

static void
test_pieces_of_every_length_come_back(void **state)
{
    static const size_t lengths[] = {1,    997,  998,  999,   1996,  2018,
                                     2019, 3500, 3501, 4079,  4080,  4081,
                                     5000, 8176, 8177, 12000, 65519, 65520};
    static char bytes[BODY_PIECE_MAX];
    struct buf out = {0};
    struct why why;
    struct db_txn *txn = begin();
    size_t n = sizeof(lengths) / sizeof(lengths[0]);

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 31 + i / 256);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(
            db_put_piece(txn, 7, i, (struct view){bytes, lengths[i]}), DB_OK);
    commit(&txn);
    for (size_t i = 0; i < n; i++) {
        buf_reset(&out);
        assert_int_equal(db_read_piece(db, 7, i, &out, &why), 1);
        assert_int_equal(out.len, lengths[i]);
        assert_memory_equal(out.data, bytes, out.len);
    }
    assert_int_equal(db_read_piece(db, 7, n, &out, &why), 0);
    assert_int_equal(db_read_piece(db, 8, 0, &out, &why), 0);
    txn = begin();
    assert_int_equal(db_del_pieces(txn, 7), DB_OK);
    commit(&txn);
    assert_int_equal(db_read_piece(db, 7, 0, &out, &why), 0);
    buf_free(&out);
}

/* Small pieces share pages: a thousand of 700 bytes take little more than
 * their bytes. */
static void
test_small_pieces_share_pages(void **state)
{
    char bytes[700] = {1};
    struct db_txn *txn = begin();
    MDB_stat stat;

    (void)state;
    for (uint64_t id = 1; id <= 1000; id++)
        assert_int_equal(
            db_put_piece(txn, id, 0, (struct view){bytes, sizeof(bytes)}),
            DB_OK);
    mdb_stat(txn->mdb, db->tables[DB_body], &stat);
    assert_int_equal(stat.ms_overflow_pages, 0);
    assert_in_range(stat.ms_leaf_pages, 700 * 1000 / 4096, 210);
    commit(&txn);
}

/* --- check bytes ------------------------------------------------------------
 */

static void
change_byte(enum db_table table, struct db_key *key, size_t at)
{
    struct db_txn *txn = begin();
    MDB_val k = db_key_val(key), v;
    char copy[512];

    assert_int_equal(mdb_get(txn->mdb, db->tables[table], &k, &v), 0);
    assert_true(v.mv_size < sizeof(copy) && at < v.mv_size);
    memcpy(copy, v.mv_data, v.mv_size);
    copy[at] ^= 1;
    v.mv_data = copy;
    assert_int_equal(mdb_put(txn->mdb, db->tables[table], &k, &v, 0), 0);
    commit(&txn);
}

static void
test_every_changed_byte_is_noticed(void **state)
{
    struct message row = {
        .arrived_ms = 5, .origin = ORIGIN_SMTP, .sender = VIEW("a@b.example")};
    struct message found;
    struct db_message whole;
    struct db_txn *txn = begin();
    struct db_key key;
    struct why why;
    struct buf value = {0};

    (void)state;
    assert_int_equal(db_add_message(txn, 9, &row), DB_OK);
    commit(&txn);
    db_key_id(&key, 9);
    db_row_encode(DB_message, (struct view){key.bytes, key.len},
                  &message_record, &row, &value);
    for (size_t at = 0; at < value.len; at++) {
        change_byte(DB_message, &key, at);
        txn = begin();
        assert_int_equal(db_get_message(txn, 9, &found), DB_DAMAGED);
        db_abort(&txn);
        assert_int_equal(db_read_message(db, 9, &whole, &why), -1);
        change_byte(DB_message, &key, at);
    }
    assert_int_equal(db_read_message(db, 9, &whole, &why), 1);
    db_message_free(&whole);
    buf_free(&value);
}

static void
test_a_row_in_anothers_place_is_noticed(void **state)
{
    struct delivery row = {.recipient = VIEW("a@b.example"),
                           .target = VIEW("office")};
    struct buf value = {0};
    struct db_key here, there;
    struct delivery out;

    (void)state;
    db_key_id_n(&here, 1, 0);
    db_key_id_n(&there, 2, 0);
    db_row_encode(DB_delivery, (struct view){here.bytes, here.len},
                  &delivery_record, &row, &value);
    assert_int_equal(db_row_decode(DB_delivery,
                                   (struct view){here.bytes, here.len},
                                   buf_view(&value), &delivery_record, &out),
                     0);
    assert_int_equal(db_row_decode(DB_delivery,
                                   (struct view){there.bytes, there.len},
                                   buf_view(&value), &delivery_record, &out),
                     -1);
    assert_int_equal(db_row_decode(DB_message,
                                   (struct view){here.bytes, here.len},
                                   buf_view(&value), &delivery_record, &out),
                     -1);
    assert_int_equal(
        db_row_decode(DB_delivery, (struct view){here.bytes, here.len},
                      (struct view){"abc", 3}, &delivery_record, &out),
        -1);
    buf_free(&value);
}

/* --- the chain
 * ---------------------------------------------------------------- */

struct walk {
    char head[LEDGER_HASH];
    uint64_t last;
    size_t wrong;
};

static bool
check_entry(void *arg, uint64_t seq, struct view value)
{
    struct walk *walk = arg;

    assert_int_equal(seq, walk->last + 1);
    walk->last = seq;
    ledger_chain_next(walk->head, seq, view_skip(value, LEDGER_CHECK));
    walk->wrong += memcmp(walk->head, value.data, LEDGER_CHECK) != 0;
    return true;
}

static void
add_entries(uint64_t from, size_t n)
{
    struct db_txn *txn = begin();
    struct db_totals totals;

    assert_int_equal(db_get_totals(txn, &totals), DB_OK);
    for (size_t i = 0; i < n; i++) {
        struct ledger_entry entry = {.when_ms = from + i, .event = 3, .id = 1};

        assert_int_equal(db_add_ledger(txn, &entry), DB_OK);
    }
    assert_int_equal(db_put_totals(txn, &totals), DB_OK);
    commit(&txn);
}

static void
test_the_chain_goes_through_transactions(void **state)
{
    struct walk walk = {.last = 0};
    struct db_totals totals;
    struct buf memory = {0};
    struct db_txn *txn;
    struct why why;
    uint64_t seq;
    size_t removed;

    (void)state;
    add_entries(100, 3);
    add_entries(200, 2);
    assert_int_equal(db_read_ledger(db, 1, 100, check_entry, &walk, &why), 0);
    assert_int_equal(walk.last, 5);
    assert_int_equal(walk.wrong, 0);
    assert_int_equal(db_read_totals(db, &totals, &memory, &why), 1);
    assert_int_equal(totals.seq, 5);
    assert_memory_equal(totals.head.data, walk.head, LEDGER_HASH);
    /* Old entries go, the chain goes on. */
    txn = begin();
    assert_int_equal(db_trim_ledger(txn, 4, 3, &removed), DB_OK);
    assert_int_equal(removed, 3);
    assert_int_equal(db_trim_ledger(txn, 4, 3, &removed), DB_OK);
    assert_int_equal(removed, 1);
    assert_int_equal(db_trim_ledger(txn, 4, 3, &removed), DB_OK);
    assert_int_equal(removed, 0);
    commit(&txn);
    add_entries(300, 1);
    assert_int_equal(db_read_ledger(db, 6, 100, check_entry, &walk, &why), 0);
    assert_int_equal(walk.wrong, 0);
    txn = begin();
    assert_int_equal(db_ledger_seq(txn, &seq), DB_OK);
    assert_int_equal(seq, 6);
    db_abort(&txn);
    buf_free(&memory);
}

static void
test_a_changed_entry_is_named(void **state)
{
    struct walk walk = {.last = 0};
    struct db_key key;
    struct why why;

    (void)state;
    add_entries(100, 3);
    db_key_id(&key, 2);
    change_byte(DB_ledger, &key, LEDGER_CHECK + 1);
    assert_int_equal(db_read_ledger(db, 1, 1, check_entry, &walk, &why), 1);
    assert_int_equal(walk.wrong, 0);
    assert_int_equal(db_read_ledger(db, 2, 1, check_entry, &walk, &why), 1);
    assert_int_equal(walk.wrong, 1);
}

/* --- signatures
 * ----------------------------------------------------------------- */

static size_t
candidates(const struct sieve *mask, uint64_t *ids, size_t max)
{
    uint64_t cursor = 0;
    size_t found = 0;
    struct why why;

    while (cursor != UINT64_MAX) {
        size_t blocks = 1;
        int n = db_read_sieve(db, mask, &cursor, &blocks, ids + found,
                              max - found, &why);

        assert_true(n >= 0);
        found += (size_t)n;
    }
    return found;
}

static void
test_signatures_in_blocks(void **state)
{
    static uint64_t ids[1000], blocks[301];
    const struct sieve odd = {{1, 0, 2}}, even = {{2, 0, 2}};
    const struct sieve ask_odd = {{1, 0, 0}}, ask_all = {{0, 0, 2}},
                       ask_none = {{3, 0, 0}};
    struct db_txn *txn = begin();
    MDB_stat stat;

    (void)state;
    for (uint64_t id = 1; id <= 300; id++) {
        assert_int_equal(
            db_sieve_add(txn, id, id % 2 == 1 ? &odd : &even, &blocks[id]),
            DB_OK);
        if (id % 50 == 0) {
            commit(&txn);
            txn = begin();
        }
    }
    commit(&txn);
    assert_int_equal(blocks[1], 1);
    assert_int_equal(blocks[DB_SIEVE_SLOTS], 1);
    assert_int_equal(blocks[DB_SIEVE_SLOTS + 1], 2);
    assert_int_equal(candidates(&ask_all, ids, 1000), 300);
    assert_int_equal(ids[299], 300);
    assert_int_equal(candidates(&ask_odd, ids, 1000), 150);
    assert_int_equal(ids[1], 3);
    assert_int_equal(candidates(&ask_none, ids, 1000), 0);
    /* All of the first block go, and some of the second. */
    txn = begin();
    for (uint64_t id = 1; id <= 150; id++)
        assert_int_equal(db_sieve_drop(txn, blocks[id], id), DB_OK);
    assert_int_equal(db_sieve_drop(txn, blocks[150], 150), DB_NONE);
    commit(&txn);
    assert_int_equal(candidates(&ask_all, ids, 1000), 150);
    assert_int_equal(ids[0], 151);
    txn = begin();
    mdb_stat(txn->mdb, db->tables[DB_sieve], &stat);
    assert_int_equal(stat.ms_entries, 2);
    assert_int_equal(stat.ms_overflow_pages, 2);
    assert_int_equal(db_sieve_drop(txn, 1, 1), DB_NONE);
    db_abort(&txn);
}

/* --- rows with a number or a name
 * -------------------------------------------------- */

static void
test_small_rows(void **state)
{
    struct data_key key = {.id = 5,
                           .pair = VIEW("12345678"),
                           .sealed = VIEW("sealed"),
                           .messages = 3};
    struct domain_share share = {.messages = 1, .stored = 77};
    struct aside_row aside = {.table = VIEW("message"), .key = VIEW("k")};
    struct checkpoint point = {.seq = 9, .when_ms = 1, .head = VIEW("h")};
    struct buf memory = {0}, name = {0};
    struct db_txn *txn = begin();
    struct view raw;
    struct why why;
    uint64_t number = 0, id = 0;

    (void)state;
    assert_int_equal(db_put_data_key(txn, &key), DB_OK);
    assert_int_equal(db_put_share(txn, VIEW("b.example"), &share), DB_OK);
    assert_int_equal(db_put_share(txn, VIEW("a.example"), &share), DB_OK);
    assert_int_equal(db_add_aside(txn, &aside), DB_OK);
    assert_int_equal(db_add_aside(txn, &aside), DB_OK);
    assert_int_equal(db_put_checkpoint(txn, &point), DB_OK);
    assert_int_equal(db_next_data_key(txn, &id, &key), DB_OK);
    assert_int_equal(id, 5);
    id++;
    assert_int_equal(db_next_data_key(txn, &id, &key), DB_NONE);
    assert_int_equal(db_get_raw(txn, VIEW("domain"), VIEW("a.example"), &raw),
                     DB_OK);
    assert_int_equal(db_get_raw(txn, VIEW("nothing"), VIEW("a"), &raw),
                     DB_NONE);
    commit(&txn);
    assert_int_equal(db_read_data_key(db, 5, &key, &memory, &why), 1);
    assert_int_equal(key.messages, 3);
    assert_int_equal(db_read_data_key_after(db, 5, &key, &memory, &why), 0);
    assert_int_equal(db_read_share_after(db, VIEW(""), &name, &share, &why), 1);
    assert_true(view_equal(buf_view(&name), VIEW("a.example")));
    assert_int_equal(
        db_read_share_after(db, VIEW("a.example"), &name, &share, &why), 1);
    assert_int_equal(share.stored, 77);
    assert_true(view_equal(buf_view(&name), VIEW("b.example")));
    assert_int_equal(
        db_read_share_after(db, VIEW("b.example"), &name, &share, &why), 0);
    assert_int_equal(db_read_aside_after(db, 1, &number, &aside, &memory, &why),
                     1);
    assert_int_equal(number, 2);
    assert_int_equal(db_read_checkpoint_after(db, 0, &point, &memory, &why), 1);
    assert_int_equal(point.seq, 9);
    txn = begin();
    assert_int_equal(db_del_raw(txn, VIEW("domain"), VIEW("a.example")), DB_OK);
    assert_int_equal(db_del_share(txn, VIEW("a.example")), DB_NONE);
    commit(&txn);
    buf_free(&memory);
    buf_free(&name);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_pieces_of_every_length_come_back),
        T(test_small_pieces_share_pages),
        T(test_every_changed_byte_is_noticed),
        T(test_a_row_in_anothers_place_is_noticed),
        T(test_the_chain_goes_through_transactions),
        T(test_a_changed_entry_is_named),
        T(test_signatures_in_blocks),
        T(test_small_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
