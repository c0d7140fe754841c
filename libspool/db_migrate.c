/* SPDX-License-Identifier: ISC */
/*
 * A store of format 1 becomes one of format 2: a new store is made from its
 * rows in SPOOL/rebuild, synced, and renamed over the old one, lock file
 * first. Until the rename the old store is untouched, so whatever ends this
 * in the middle, the next start begins anew.
 *
 * Format 1 had no check bytes, whole pieces as rows (key id, n), no chain in
 * the ledger, the purge's time only in later, and none of the tables key,
 * dictionary, domain, sieve, checkpoint and aside.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "db_lmdb.h"
#include "domains.h"
#include "event.h"
#include "log.h"

#define WORK_DIR "rebuild"
/* One transaction's worth. */
#define ROWS_A_COMMIT  5000
#define BYTES_A_COMMIT (32u << 20)
#define TELL_EVERY     100000

/* The tables format 1 had, by their names. */
static const char *const old_names[] = {"message", "body",   "delivery",
                                        "ready",   "later",  "target",
                                        "ledger",  "setting"};
enum old_table {
    OLD_MESSAGE,
    OLD_BODY,
    OLD_DELIVERY,
    OLD_READY,
    OLD_LATER,
    OLD_TARGET,
    OLD_LEDGER,
    OLD_SETTING,
    OLD_COUNT
};

struct migrate {
    MDB_txn *old; /* of the old store: one for all */
    MDB_dbi tables[OLD_COUNT];
    struct db *fresh;
    struct db_txn *txn; /* of the new store */
    struct db_totals totals;
    size_t rows; /* in the transaction under way */
    size_t bytes;
    uint64_t messages;
    struct buf domains;
    struct why *why;
};

/* --- transactions ----------------------------------------------------------
 */

static int
failed(struct migrate *m, const char *what)
{
    return why_text(m->why, "migrating the store: %s: %s", what,
                    m->txn != NULL ? db_reason(m->txn) : "no transaction");
}

static int
begin(struct migrate *m)
{
    m->rows = 0;
    m->bytes = 0;
    return db_begin(m->fresh, &m->txn) == DB_OK ? 0 : failed(m, "begin");
}

static int
commit(struct migrate *m)
{
    if (db_put_totals(m->txn, &m->totals) != DB_OK)
        return failed(m, "totals");
    return db_commit(&m->txn, m->why) == DB_OK ? 0 : -1;
}

static int
row_done(struct migrate *m, size_t bytes)
{
    m->bytes += bytes;
    if (++m->rows < ROWS_A_COMMIT && m->bytes < BYTES_A_COMMIT)
        return 0;
    return commit(m) == 0 ? begin(m) : -1;
}

/* --- rows --------------------------------------------------------------------
 */

typedef int row_fn(struct migrate *m, struct view key, struct view value);

static int
damaged(struct migrate *m, enum old_table table, struct view key)
{
    return why_text(m->why,
                    "migrating the store: a damaged row in %s (key of %zu "
                    "bytes); nothing was changed",
                    old_names[table], key.len);
}

/* A message's signature and its share of its domains come from its
 * deliveries. */
static int
take_deliveries(struct migrate *m, uint64_t id, struct message *message)
{
    struct sieve all = {{0}};
    struct db_key start;
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(m->old, m->tables[OLD_DELIVERY], &cursor);

    if (rc != 0)
        return why_text(m->why, "migrating the store: %s", mdb_strerror(rc));
    buf_reset(&m->domains);
    db_key_id(&start, id);
    k = db_key_val(&start);
    sieve_of_message(&all, message, NULL, 0);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && k.mv_size == 12 &&
           memcmp(k.mv_data, start.bytes, 8) == 0) {
        struct delivery row;
        struct sieve one;

        if (record_decode(&delivery_record, db_view(v), &row, NULL) == 0) {
            domains_add(&m->domains, row.recipient);
            sieve_of_message(&one, message, &row, 1);
            for (int w = 0; w < SIEVE_WORDS; w++)
                all.bits[w] |= one.bits[w];
        }
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (db_sieve_add(m->txn, id, &all, &message->block) != DB_OK)
        return failed(m, "sieve");
    return 0;
}

static int
count_domains(struct migrate *m, uint64_t stored)
{
    struct view rest = buf_view(&m->domains), domain;

    while (domains_next(&rest, &domain)) {
        struct domain_share share;

        if (db_get_share(m->txn, domain, &share) != DB_OK)
            share = (struct domain_share){0};
        share.messages++;
        share.stored += stored;
        if (db_put_share(m->txn, domain, &share) != DB_OK)
            return failed(m, "domain");
    }
    return 0;
}

static int
move_message(struct migrate *m, struct view key, struct view value)
{
    struct message message;
    uint64_t id;

    if (key.len != 8 ||
        record_decode(&message_record, value, &message, NULL) != 0)
        return damaged(m, OLD_MESSAGE, key);
    id = bytes_get64(key.data);
    if (message.digest.len > MESSAGE_DIGEST)
        message.digest.len = MESSAGE_DIGEST;
    if (take_deliveries(m, id, &message) != 0 ||
        count_domains(m, message.stored) != 0)
        return -1;
    if (db_add_message(m->txn, id, &message) != DB_OK)
        return failed(m, "message");
    if (++m->messages % TELL_EVERY == 0)
        log_info("migrating the store: %llu messages so far",
                 (unsigned long long)m->messages);
    return 0;
}

static int
move_body(struct migrate *m, struct view key, struct view value)
{
    if (key.len != 12)
        return damaged(m, OLD_BODY, key);
    if (db_put_piece(m->txn, bytes_get64(key.data), bytes_get32(key.data + 8),
                     value) != DB_OK)
        return failed(m, "body");
    return 0;
}

static int
move_delivery(struct migrate *m, struct view key, struct view value)
{
    struct delivery row;

    if (key.len != 12 ||
        record_decode(&delivery_record, value, &row, NULL) != 0)
        return damaged(m, OLD_DELIVERY, key);
    if (db_put_delivery(m->txn, bytes_get64(key.data),
                        bytes_get32(key.data + 8), &row) != DB_OK)
        return failed(m, "delivery");
    return 0;
}

static int
move_key(struct migrate *m, enum db_table table, struct view key)
{
    struct db_key copy;

    if (key.len > sizeof(copy.bytes))
        return damaged(m, OLD_READY, key);
    memcpy(copy.bytes, key.data, key.len);
    copy.len = key.len;
    return db_key_put(m->txn, table, &copy) == DB_OK ? 0 : failed(m, "keys");
}

static int
move_ready(struct migrate *m, struct view key, struct view value)
{
    (void)value;
    return move_key(m, DB_ready, key);
}

/* A purge's time goes into the message's row, too. */
static int
move_later(struct migrate *m, struct view key, struct view value)
{
    struct message message;
    uint64_t id;

    (void)value;
    if (key.len != 20)
        return damaged(m, OLD_LATER, key);
    if (bytes_get32(key.data + 16) == DB_LATER_PURGE) {
        id = bytes_get64(key.data + 8);
        if (db_get_message(m->txn, id, &message) != DB_OK)
            return 0; /* an orphan: nothing to purge */
        message.purge_ms = bytes_get64(key.data);
        if (db_put_message(m->txn, id, &message) != DB_OK)
            return failed(m, "message");
    }
    return move_key(m, DB_later, key);
}

static int
move_target(struct migrate *m, struct view key, struct view value)
{
    struct target_health row;

    if (record_decode(&target_health_record, value, &row, NULL) != 0)
        return damaged(m, OLD_TARGET, key);
    return db_put_health(m->txn, &row) == DB_OK ? 0 : failed(m, "target");
}

static int
move_ledger(struct migrate *m, struct view key, struct view value)
{
    struct ledger_entry row;

    if (record_decode(&ledger_entry_record, value, &row, NULL) != 0)
        return damaged(m, OLD_LEDGER, key);
    if (row.digest.len > MESSAGE_DIGEST)
        row.digest.len = MESSAGE_DIGEST;
    return db_add_ledger(m->txn, &row) == DB_OK ? 0 : failed(m, "ledger");
}

/* --- all of it
 * ------------------------------------------------------------------ */

/* Messages before later, whose purges are written into their rows. */
static const struct {
    enum old_table table;
    row_fn *move;
} moves[] = {
    {OLD_MESSAGE, move_message},   {OLD_BODY, move_body},
    {OLD_DELIVERY, move_delivery}, {OLD_READY, move_ready},
    {OLD_LATER, move_later},       {OLD_TARGET, move_target},
    {OLD_LEDGER, move_ledger},
};

static int
move_table(struct migrate *m, enum old_table table, row_fn *move)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(m->old, m->tables[table], &cursor);
    int result = 0;

    if (rc != 0)
        return why_text(m->why, "migrating the store: %s", mdb_strerror(rc));
    while (result == 0 &&
           (rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
        result = move(m, db_view(k), db_view(v));
        if (result == 0)
            result = row_done(m, v.mv_size);
    }
    mdb_cursor_close(cursor);
    if (result == 0 && rc != MDB_NOTFOUND)
        return why_text(m->why, "migrating the store: %s", mdb_strerror(rc));
    return result;
}

static int
take_totals(struct migrate *m)
{
    MDB_val k = db_val(VIEW("totals")), v;

    if (mdb_get(m->old, m->tables[OLD_SETTING], &k, &v) != 0)
        return 0; /* nothing ever came */
    if (record_decode(&db_totals_record, db_view(v), &m->totals, NULL) != 0)
        return damaged(m, OLD_SETTING, VIEW("totals"));
    return 0;
}

static int
open_old(struct migrate *m, struct db *old)
{
    int rc = mdb_txn_begin(old->env, NULL, MDB_RDONLY, &m->old);

    for (int t = 0; rc == 0 && t < OLD_COUNT; t++)
        rc = mdb_dbi_open(m->old, old_names[t], 0, &m->tables[t]);
    if (rc != 0)
        return why_text(m->why, "migrating the store: %s", mdb_strerror(rc));
    return 0;
}

static int
move_all(struct migrate *m, struct db *old)
{
    if (open_old(m, old) != 0 || take_totals(m) != 0 || begin(m) != 0)
        return -1;
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
        if (move_table(m, moves[i].table, moves[i].move) != 0)
            return -1;
    return commit(m);
}

/* --- in its place
 * ---------------------------------------------------------------- */

void
db_rebuild_clear(int dir)
{
    unlinkat(dir, WORK_DIR "/data.mdb", 0);
    unlinkat(dir, WORK_DIR "/lock.mdb", 0);
    unlinkat(dir, WORK_DIR, AT_REMOVEDIR);
}

struct db *
db_rebuild_open(int dir, const char *path, struct why *why)
{
    char work[4096];

    db_rebuild_clear(dir);
    if (mkdirat(dir, WORK_DIR, 0700) != 0) {
        why_text(why, "%s/%s: %s", path, WORK_DIR, strerror(errno));
        return NULL;
    }
    snprintf(work, sizeof(work), "%s/%s", path, WORK_DIR);
    return db_create(work, MDB_NOSYNC, why);
}

int
db_rebuild_install(int dir, struct db **fresh, struct why *why)
{
    int rc = mdb_env_sync((*fresh)->env, 1);

    db_close(fresh);
    if (rc != 0)
        return why_text(why, "syncing the new store: %s", mdb_strerror(rc));
    if (renameat(dir, WORK_DIR "/lock.mdb", dir, "lock.mdb") != 0 ||
        renameat(dir, WORK_DIR "/data.mdb", dir, "data.mdb") != 0 ||
        fsync(dir) != 0)
        return why_text(why, "putting the new store in place: %s",
                        strerror(errno));
    db_rebuild_clear(dir);
    return 0;
}

static void
tell(const struct migrate *m)
{
    struct event event;

    event_begin(&event, EVENT_MIGRATED);
    event_num(&event, "format", DB_FORMAT);
    event_num(&event, "messages", m->messages);
    event_end(&event);
}

int
db_migrate(struct db **old, const char *path, struct why *why)
{
    int dir = dup((*old)->dir);
    struct migrate m = {.fresh = db_rebuild_open(dir, path, why), .why = why};
    struct ledger_entry entry = {.when_ms = (uint64_t)clock_wall_ms(),
                                 .event = EVENT_MIGRATED};
    int rc = m.fresh != NULL ? move_all(&m, *old) : -1;

    if (m.old != NULL)
        mdb_txn_abort(m.old);
    if (rc == 0 && (rc = begin(&m)) == 0) {
        rc = db_add_ledger(m.txn, &entry) == DB_OK ? commit(&m)
                                                   : failed(&m, "ledger");
    }
    if (m.txn != NULL)
        db_abort(&m.txn);
    db_close(old);
    if (rc == 0)
        rc = db_rebuild_install(dir, &m.fresh, why);
    db_close(&m.fresh);
    if (rc == 0)
        tell(&m);
    else
        db_rebuild_clear(dir);
    buf_free(&m.domains);
    close(dir);
    return rc;
}
