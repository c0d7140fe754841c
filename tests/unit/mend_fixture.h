/* SPDX-License-Identifier: ISC */
/*
 * For tests that break rows of a store behind its back: what a check finds,
 * and that repairs leave nothing to find.
 */
#ifndef TESTS_MEND_FIXTURE_H
#define TESTS_MEND_FIXTURE_H

#include "store_fixture.h"

#include "db_lmdb.h"
#include "db_mend.h"

#define KEEP_MS 60000

/* --- what is found ---------------------------------------------------------
 */

struct found {
    char text[4096]; /* all findings, a line each: "what sentence" */
    size_t n;
    struct buf items; /* an encoded proto_mend */
};

static inline void
on_finding(void *arg, const struct db_finding *finding)
{
    struct found *found = arg;
    struct proto_mend_item item = finding->mend;
    struct proto_mend one = {.items = {&item, 1}};
    size_t len = strlen(found->text);

    found->n++;
    snprintf(found->text + len, sizeof(found->text) - len, "%s %s\n",
             finding->what, finding->text);
    if (item.what != MEND_NONE)
        record_encode(&proto_mend_record, &one, &found->items);
}

/* One row a step, so that each step goes on where the last one ended. */
static inline void
look(struct fixture *f, struct found *found, bool sums)
{
    struct db_check *check = db_check_new(true, on_finding, found);
    struct db_sums *counted;
    struct why why = {.text = ""};
    int more;

    found->text[0] = '\0';
    found->n = 0;
    buf_reset(&found->items);
    while ((more = db_check_step(check, f->db, 1, &why)) == 1)
        ;
    if (more != 0)
        fail_msg("%s", why.text);
    db_check_free(&check);
    if (!sums)
        return;
    counted = db_sums_start(f->db, &why);
    assert_non_null(counted);
    while ((more = db_sums_end(counted, on_finding, found, &why)) == 1)
        usleep(100);
    assert_int_equal(more, 0);
    db_sums_free(&counted);
}

static inline void
assert_sound(struct fixture *f)
{
    struct found found = {.n = 0};

    look(f, &found, true);
    if (found.n > 0)
        fail_msg("found: %s", found.text);
    buf_free(&found.items);
}

/* Applies what was found; returns how many items changed something. */
static inline uint64_t
mend(struct fixture *f, const struct found *found)
{
    struct proto_mend list;

    assert_int_equal(
        record_decode(&proto_mend_record, buf_view(&found->items), &list, NULL),
        0);
    list.when_ms = T0;
    assert_int_equal(
        fixture_apply(f, STORE_MEND, KEEP_MS, &proto_mend_record, &list),
        APPLY_OK);
    record_clear(&proto_mend_record, &list);
    return f->count;
}

/* Finds text, repairs until nothing is found, rows before sums; the same once
 * more changes nothing. */
static inline void
assert_mended(struct fixture *f, const char *text)
{
    struct found found = {.n = 0};

    look(f, &found, true);
    if (strstr(found.text, text) == NULL)
        fail_msg("no \"%s\" in: %s", text, found.text);
    look(f, &found, false);
    for (int pass = 0; pass < 4 && found.n > 0; pass++) {
        assert_true(mend(f, &found) > 0);
        assert_int_equal(mend(f, &found), 0);
        look(f, &found, false);
    }
    look(f, &found, true);
    if (found.n > 0)
        mend(f, &found);
    buf_free(&found.items);
    assert_sound(f);
}

/* --- breaking things -------------------------------------------------------
 */

/* As fixture_submit's messages stand in ready. */
static inline struct view
fixture_flow(void)
{
    static char key[MESSAGE_FLOW_KEY_MAX];
    const struct message message = {.flow = VIEW("client.example"),
                                    .bucket =
                                        message_bucket(VIEW("b@example.com"))};

    return (struct view){key, message_flow_key(&message, key)};
}

struct breaking {
    struct fixture *f;
    MDB_txn *txn;
};

static inline struct breaking
break_begin(struct fixture *f)
{
    struct breaking b = {.f = f};

    assert_int_equal(mdb_txn_begin(f->db->env, NULL, 0, &b.txn), 0);
    return b;
}

static inline void
break_end(struct breaking *b)
{
    assert_int_equal(mdb_txn_commit(b->txn), 0);
}

static inline void
drop_row(struct fixture *f, enum db_table table, struct db_key *key)
{
    struct breaking b = break_begin(f);
    MDB_val k = db_key_val(key);

    assert_int_equal(mdb_del(b.txn, f->db->tables[table], &k, NULL), 0);
    break_end(&b);
}

static inline void
put_row(struct fixture *f, enum db_table table, struct db_key *key,
        struct view value)
{
    struct breaking b = break_begin(f);
    MDB_val k = db_key_val(key), v = db_val(value);

    assert_int_equal(mdb_put(b.txn, f->db->tables[table], &k, &v, 0), 0);
    break_end(&b);
}

/* One bit of the row's last byte. */
static inline void
flip_row(struct fixture *f, enum db_table table, struct db_key *key)
{
    struct breaking b = break_begin(f);
    MDB_val k = db_key_val(key), v;
    struct buf copy = {0};

    assert_int_equal(mdb_get(b.txn, f->db->tables[table], &k, &v), 0);
    buf_add(&copy, v.mv_data, v.mv_size);
    copy.data[copy.len - 1] ^= 4;
    v = db_val(buf_view(&copy));
    assert_int_equal(mdb_put(b.txn, f->db->tables[table], &k, &v, 0), 0);
    break_end(&b);
    buf_free(&copy);
}

static inline bool
has_row(struct fixture *f, enum db_table table, struct db_key *key)
{
    struct breaking b = break_begin(f);
    MDB_val k = db_key_val(key), v;
    bool has = mdb_get(b.txn, f->db->tables[table], &k, &v) == 0;

    mdb_txn_abort(b.txn);
    return has;
}

static inline size_t
n_rows(struct fixture *f, enum db_table table)
{
    struct breaking b = break_begin(f);
    MDB_stat stat;

    assert_int_equal(mdb_stat(b.txn, f->db->tables[table], &stat), 0);
    mdb_txn_abort(b.txn);
    return stat.ms_entries;
}

#endif
