/* SPDX-License-Identifier: ISC */
/*
 * Group commit without a timer: collect, apply, commit, answer. While a
 * commit waits for the disk, requests pile up in the sockets; the next turn
 * of the loop collects them all into one batch. A lone request waits for
 * nobody. This is the only file that commits.
 *
 * A record that cannot be applied must not cost the others their place: one
 * that breaks a rule half-way, or all new mail when room is short, is taken
 * out and the batch starts over without it.
 *
 * Before: store.c   After: listener_data.c, replay.c (the answers)
 */
#include <sys/types.h>

#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "peer.h"
#include "role.h"
#include "stats.h"
#include "store_mailbox.h"

/* One transaction's limits: LMDB keeps changed pages in memory. */
#define BATCH_RECORDS 4096
#define BATCH_BYTES   (UINT64_C(96) << 20)
/* Batches up to this size are worth a longer file (db_extend). */
#define EXTEND_RECORDS 8
/* News for replay waits this long, or until it is this much. */
#define ANNOUNCE_MS    2
#define ANNOUNCE_BYTES (256 * 1024)

struct pending {
    struct store_record record;
    char *bytes; /* what the record's views point into */
    enum role from;
    uint64_t call;
    uint64_t id;
    store_done_fn *done;
    enum submit_result result; /* 0: still in the batch */
    uint64_t count;
    char *reason;
};

static struct {
    struct db *db;
    struct pending *queue;
    size_t n;
    size_t cap;
    bool scheduled;
    uint64_t floor_ms;
    struct buf ready; /* encoded proto_queued, not yet told to replay */
    struct loop_timer *announce;
} batch;

static void batch_run(void *arg);
static void send_announced(void *arg);

void
store_batch_init(struct db *db, uint64_t floor_ms)
{
    batch.db = db;
    batch.floor_ms = floor_ms;
    batch.announce = loop_timer_new(send_announced, NULL);
}

struct db *
store_batch_db(void)
{
    return batch.db;
}

uint64_t
store_batch_floor_ms(void)
{
    return batch.floor_ms;
}

bool
store_batch_is_empty(void)
{
    return batch.n == 0;
}

static void
batch_schedule(void)
{
    if (batch.scheduled)
        return;
    batch.scheduled = true;
    loop_defer(batch_run, NULL);
}

void
store_batch_add(const struct store_record *record, enum role from,
                uint64_t call, uint64_t id, store_done_fn *done)
{
    struct pending *p;

    if (batch.n == batch.cap) {
        batch.cap = batch.cap > 0 ? batch.cap * 2 : 64;
        batch.queue = mem_grow(batch.queue, batch.cap, sizeof(*batch.queue));
    }
    p = &batch.queue[batch.n++];
    *p = (struct pending){
        .record = *record, .from = from, .call = call, .id = id, .done = done};
    p->bytes = mem_copy(record->payload.data, record->payload.len);
    p->record.payload.data = p->bytes;
    batch_schedule();
}

/* --- apply and commit ---------------------------------------------------- */

static uint64_t
cost_of(const struct pending *p)
{
    /* Content is read by position: where the descriptor stands is free. */
    off_t content = p->record.fd >= 0 ? lseek(p->record.fd, 0, SEEK_END) : 0;

    return p->record.payload.len + (content > 0 ? (uint64_t)content : 0);
}

/* How many from the front of the queue make this batch: at least one. */
static size_t
batch_size(void)
{
    uint64_t bytes = 0;
    size_t n;

    for (n = 0; n < batch.n && n < BATCH_RECORDS; n++) {
        bytes += cost_of(&batch.queue[n]);
        if (n > 0 && bytes > BATCH_BYTES)
            break;
    }
    return n;
}

static int
compare_ids(const void *a, const void *b)
{
    const struct pending *left = a, *right = b;

    return left->id < right->id ? -1 : left->id > right->id;
}

/* New messages come in the order in which their content ended, but have ids
 * in the order in which it began. In the order of ids they fill the pages of
 * the tables to the end, and they do not depend on each other. */
static void
batch_sort(size_t n)
{
    struct pending *submits = mem_alloc(n * sizeof(*submits));
    size_t count = 0, next = 0;

    for (size_t i = 0; i < n; i++)
        if (batch.queue[i].record.kind == STORE_SUBMIT)
            submits[count++] = batch.queue[i];
    if (count > 1) {
        qsort(submits, count, sizeof(*submits), compare_ids);
        for (size_t i = 0; i < n; i++)
            if (batch.queue[i].record.kind == STORE_SUBMIT)
                batch.queue[i] = submits[next++];
    }
    free(submits);
}

static void
give_up(struct pending *p, enum submit_result result, const char *reason)
{
    p->result = result;
    free(p->reason);
    p->reason = mem_copy_text(reason);
}

/* Room is short: new mail goes first, since finishing deliveries is what
 * makes room. false: there was no new mail to take out. */
static bool
give_up_for_room(size_t n, const char *reason)
{
    bool any = false;

    for (size_t i = 0; i < n; i++)
        if (batch.queue[i].result == 0 &&
            batch.queue[i].record.kind == STORE_SUBMIT) {
            give_up(&batch.queue[i], SUBMIT_FULL, reason);
            any = true;
        }
    if (any)
        return true;
    for (size_t i = 0; i < n; i++)
        if (batch.queue[i].result == 0)
            give_up(&batch.queue[i], SUBMIT_FULL, reason);
    return false;
}

static void
store_failed(const char *reason)
{
    bool damaged = strncmp(reason, "MDB_", 4) == 0;

    /* Never pretend: after a failed write or sync nobody knows what is on
     * disk. The parent starts the role again, which reads it anew; until
     * then the listener answers 451. */
    fatal_exit(ROLE_EXIT_STORE, "the store failed: %s%s", reason,
               damaged ? ": stop spoold and run \"spoolctl check --offline\""
                       : "");
}

/* Applies what is left of the first n. true: all are in the transaction;
 * false: some were taken out, start over. */
static bool
batch_apply(struct store_apply *apply, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct pending *p = &batch.queue[i];

        if (p->result != 0)
            continue;
        switch (store_apply_record(apply, &p->record)) {
        case APPLY_OK:
            p->count = apply->count;
            break;
        case APPLY_REFUSED:
            give_up(p, SUBMIT_REFUSED, apply->why.text);
            break;
        case APPLY_STALE:
            give_up(p, SUBMIT_FAILED, apply->why.text);
            break;
        case APPLY_UNDO:
            give_up(p, SUBMIT_REFUSED, apply->why.text);
            return false;
        case APPLY_FULL:
            give_up_for_room(n, apply->why.text);
            return false;
        case APPLY_FAILED:
            store_failed(apply->why.text);
        }
    }
    return true;
}

/* One transaction over what is left of the first n. true: done. */
static bool
batch_commit(struct store_apply *apply, size_t n)
{
    struct db_txn *txn;
    struct why why;
    enum db_result result = db_begin(batch.db, &txn);

    if (result == DB_FAILED)
        store_failed("a transaction could not begin");
    if (result != DB_OK) {
        give_up_for_room(n, "no room");
        return false;
    }
    if (store_apply_begin(apply, txn) != APPLY_OK)
        store_failed(apply->why.text);
    if (!batch_apply(apply, n)) {
        db_abort(&txn);
        return false;
    }
    switch (store_apply_end(apply)) {
    case APPLY_OK:
        break;
    case APPLY_FULL:
        give_up_for_room(n, apply->why.text);
        db_abort(&txn);
        return false;
    default:
        store_failed(apply->why.text);
    }
    result = db_commit(&txn, &why);
    if (result == DB_FULL)
        give_up_for_room(n, why.text);
    else if (result != DB_OK)
        store_failed(why.text);
    return result == DB_OK;
}

static size_t
batch_left(size_t n)
{
    size_t left = 0;

    for (size_t i = 0; i < n; i++)
        left += batch.queue[i].result == 0;
    return left;
}

/* --- answers ------------------------------------------------------------- */

/* Before any of them is answered. */
static void
batch_keep(size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (batch.queue[i].result == 0)
            store_compact_keep(&batch.queue[i].record);
}

static void
batch_answer(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct pending *p = &batch.queue[i];

        if (p->result == 0)
            p->result = SUBMIT_DONE;
        if (p->result == SUBMIT_REFUSED)
            log_warn("a record of %s was refused: %s", role_name(p->from),
                     p->reason);
        if (p->done != NULL)
            p->done(p->from, p->call, p->id, p->result,
                    p->reason != NULL ? p->reason : "", p->count);
        if (p->record.fd >= 0)
            close(p->record.fd);
        free(p->bytes);
        free(p->reason);
    }
    batch.n -= n;
    memmove(batch.queue, batch.queue + n, batch.n * sizeof(*batch.queue));
}

static void
send_announced(void *arg)
{
    struct proto_queued queued;

    (void)arg;
    if (batch.ready.len == 0 ||
        record_decode(&proto_queued_record, buf_view(&batch.ready), &queued,
                      NULL) != 0)
        return;
    peer_send(ROLE_REPLAY, PROTO_QUEUED, &queued, -1);
    record_clear(&proto_queued_record, &queued);
    buf_reset(&batch.ready);
}

/* Replay learns of what became ready after it is durable, and a moment after
 * those who wait for an answer: waking it first would cost them its time
 * slice, and a few batches in one message cost it less. */
static void
batch_announce(const struct store_apply *apply)
{
    if (apply->ready.len == 0)
        return;
    if (batch.ready.len == 0)
        loop_timer_set(batch.announce, ANNOUNCE_MS);
    buf_add_view(&batch.ready, buf_view(&apply->ready));
    if (batch.ready.len > ANNOUNCE_BYTES)
        send_announced(NULL);
}

/* After the answers left. A large batch does not wait for bookkeeping. */
static void
extend(void *arg)
{
    (void)arg;
    db_extend(batch.db);
}

static void
batch_run(void *arg)
{
    size_t n = batch_size();
    struct store_apply apply = {0};
    int64_t start_us = clock_mono_us();
    bool done = false;

    (void)arg;
    batch.scheduled = false;
    batch_sort(n);
    while (!done && batch_left(n) > 0) {
        store_apply_free(&apply);
        done = batch_commit(&apply, n);
    }
    if (done) {
        stats_add(STAT_COMMITS, 1);
        stats_add(STAT_COMMIT_RECORDS, (int64_t)batch_left(n));
        stats_add(STAT_COMMIT_USEC, clock_mono_us() - start_us);
        stats_raise(STAT_COMMIT_USEC_MAX,
                    (uint64_t)(clock_mono_us() - start_us));
        if (apply.totals.floor_ms > batch.floor_ms)
            batch.floor_ms = apply.totals.floor_ms;
        batch_keep(n);
    }
    batch_answer(n);
    if (done) {
        batch_announce(&apply);
        store_news_add(buf_view(&apply.news));
    }
    store_apply_free(&apply);
    if (done && n <= EXTEND_RECORDS)
        loop_defer(extend, NULL);
    if (batch.n > 0)
        batch_schedule();
}
