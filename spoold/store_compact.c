/* SPDX-License-Identifier: ISC */
/*
 * Compaction: the store is copied without its free pages while it goes on,
 * and the copy takes its place.
 *
 *     COPYING    a thread copies the rows of one moment; the records that
 *                are committed from then on are kept (store_log.c)
 *     APPLYING   they are applied to the copy, a few milliseconds a turn;
 *                applying is deterministic, so its tables become the same
 *     SYNCING    a thread brings the copy to the disk; what comes meanwhile
 *                is applied after it
 *     the end    in one turn, with nothing left to apply: compare, sync what
 *                little is left, rename, tell the readers to open anew
 *
 * Until the rename the old file has everything that was answered, and from
 * it on the new one has: whenever all dies, nothing is lost. What is left of
 * a copy is removed at the next start.
 */
#include <sys/stat.h>

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "clock.h"
#include "db_copy.h"
#include "db_read.h"
#include "event.h"
#include "log.h"
#include "loop.h"
#include "peer.h"
#include "role.h"
#include "store.h"
#include "store_log.h"

#define COPY_DIR     "compact"
#define RECORDS_FILE COPY_DIR "/records"

/* Records kept in memory, and descriptors of large contents; more of both
 * goes to a file. */
#define KEPT_BYTES       (UINT64_C(8) << 20)
#define KEPT_DESCRIPTORS 256
/* How long one step applies, at first and when it falls behind. */
#define STEP_US      5000
#define STEP_SLOW_US 40000
#define STEP_RECORDS 2048
#define STEP_CONTENT (UINT64_C(4) << 20)
/* The last step syncs what this many records changed, not more. */
#define LAST_RECORDS    500
#define SYNC_ROUNDS_MAX 6

/* By itself: a file at least so long, more than half of it free. */
#define AUTO_BYTES    (UINT64_C(64) << 20)
#define AUTO_MS       5000
#define AUTO_CALM     250    /* records between two looks */
#define AUTO_PAUSE_MS 600000 /* after one that failed */
/* Room beside the copy, for the records and what the store grows by. */
#define ROOM_BYTES (UINT64_C(16) << 20)

#define WAITERS_MAX 8

enum compact_phase {
    COMPACT_IDLE,
    COMPACT_COPYING,
    COMPACT_APPLYING,
    COMPACT_SYNCING,
    COMPACT_STOPPING, /* until the thread has come to its end */
};

static struct {
    struct db *db;
    uint64_t reserve;
    bool automatic;
    enum compact_phase phase;
    struct db_copy *copy;
    struct loop_watch *watch;
    struct store_log *log;
    struct loop_timer *turn;
    struct loop_timer *look;
    int64_t step_us;
    size_t kept_before; /* at the end of the last step */
    size_t unsynced;    /* records applied since the last sync began */
    unsigned rounds;
    uint64_t before; /* bytes of the file */
    int64_t start_ms;
    int64_t not_before_ms; /* by itself */
    size_t seen;           /* records since the last look */
    uint64_t generation;
    struct why stopped; /* STOPPING: why */
    struct {
        enum role from;
        uint64_t call;
    } waiters[WAITERS_MAX];
    size_t n_waiters;
} compact;

/* --- the end, one way or the other ---------------------------------------- */

static void
answer_all(const struct proto_done *answer)
{
    for (size_t i = 0; i < compact.n_waiters; i++)
        peer_answer(compact.waiters[i].from, compact.waiters[i].call,
                    PROTO_COMPACTED, answer);
    compact.n_waiters = 0;
}

static void
remove_leftovers(void)
{
    unlink(RECORDS_FILE);
    unlink(COPY_DIR "/data.mdb");
    unlink(COPY_DIR "/lock.mdb");
    rmdir(COPY_DIR);
}

static void
compact_clear(void)
{
    loop_watch_free(&compact.watch);
    loop_timer_cancel(compact.turn);
    db_copy_free(&compact.copy);
    store_log_free(&compact.log);
    remove_leftovers();
    compact.phase = COMPACT_IDLE;
}

static void
compact_give_up(void)
{
    struct proto_done answer = {.text = view_of(compact.stopped.text)};

    log_warn("the store was not compacted: %s", compact.stopped.text);
    compact.not_before_ms = clock_mono_ms() + AUTO_PAUSE_MS;
    compact_clear();
    answer_all(&answer);
}

/* A thread that is under way is not waited for here. */
static void
compact_stop(const struct why *why)
{
    bool thread =
        compact.phase == COMPACT_COPYING || compact.phase == COMPACT_SYNCING;

    compact.stopped = *why;
    compact.phase = COMPACT_STOPPING;
    loop_timer_cancel(compact.turn);
    db_copy_stop(compact.copy);
    if (!thread)
        compact_give_up();
}

void
store_compact_cancel(const char *reason)
{
    struct why why;

    if (compact.phase == COMPACT_IDLE || compact.phase == COMPACT_STOPPING)
        return;
    why_text(&why, "%s", reason);
    compact_stop(&why);
}

bool
store_compact_is_idle(void)
{
    return compact.phase == COMPACT_IDLE;
}

static void
compact_tell(uint64_t after)
{
    struct event event;
    struct buf payload = {0}, text = {0};
    struct ledger_entry entry = {.when_ms = (uint64_t)clock_wall_ms(),
                                 .event = EVENT_COMPACTED};
    struct store_record record = {
        .kind = STORE_NOTE, .when_ms = entry.when_ms, .fd = -1};

    event_begin(&event, EVENT_COMPACTED);
    event_num(&event, "before", compact.before);
    event_num(&event, "after", after);
    event_num(&event, "ms", (uint64_t)(clock_mono_ms() - compact.start_ms));
    event_end(&event);
    buf_addf(&text, "%" PRIu64 " bytes before, %" PRIu64 " after",
             compact.before, after);
    entry.text = buf_view(&text);
    record_encode(&ledger_entry_record, &entry, &payload);
    record.payload = buf_view(&payload);
    store_batch_add(&record, ROLE_STORE, 0, 0, NULL);
    buf_free(&payload);
    buf_free(&text);
}

void
store_compact_tell_generation(enum role role)
{
    struct proto_count generation = {compact.generation};

    peer_send(role, PROTO_REOPEN, &generation, -1);
}

/* Nothing is left to apply, and nothing is committed before this returns. */
static void
compact_finish(void)
{
    struct proto_done answer = {.done = 1, .before = compact.before};
    struct why why;

    if (!db_copy_is_equal(compact.db, compact.copy, &why)) {
        compact_stop(&why);
        return;
    }
    loop_watch_free(&compact.watch);
    if (db_copy_install(compact.db, &compact.copy, &why) != 0)
        fatal_exit(ROLE_EXIT_STORE, "%s", why.text);
    compact.generation++;
    store_compact_tell_generation(ROLE_REPLAY);
    store_compact_tell_generation(ROLE_CONTROL);
    store_compact_tell_generation(ROLE_IMAP);
    store_compact_tell_generation(ROLE_AUTH);
    compact_clear();
    answer.after = db_file_bytes(compact.db);
    compact_tell(answer.after);
    answer_all(&answer);
}

/* --- the records since the copy began ------------------------------------- */

void
store_compact_keep(const struct store_record *record)
{
    struct why why;

    compact.seen++;
    if (compact.phase == COMPACT_IDLE || compact.phase == COMPACT_STOPPING)
        return;
    if (store_log_add(compact.log, record, &why) != 0)
        compact_stop(&why);
}

/* Applies up to a step's worth in one transaction of the copy. The number of
 * records, -1: it cannot go on. */
static int
apply_some(struct store_apply *apply, struct why *why)
{
    int64_t until_us = clock_mono_us() + compact.step_us;
    struct store_record record;
    struct buf *ready = &apply->ready;
    uint64_t content = 0;
    int n = 0, more = 0;

    while (n < STEP_RECORDS && content < STEP_CONTENT &&
           (n == 0 || clock_mono_us() < until_us) &&
           (more = store_log_next(compact.log, &record, why)) == 1) {
        if (store_apply_record(apply, &record) != APPLY_OK)
            return why_text(why, "a record (kind %d) does not fit the copy: %s",
                            (int)record.kind, apply->why.text);
        content += record.payload.len + record.content.len;
        buf_reset(ready); /* replay was told by the first commit */
        n++;
    }
    return more < 0 ? -1 : n;
}

static int
apply_step(struct why *why)
{
    struct store_apply apply = {0};
    struct db_txn *txn;
    int n;

    if (db_begin(db_copy_store(compact.copy), &txn) != DB_OK)
        return why_text(why, "the copy takes no transaction");
    n = store_apply_begin(&apply, txn) == APPLY_OK ? apply_some(&apply, why)
                                                   : -1;
    if (n >= 0 && store_apply_end(&apply) != APPLY_OK)
        n = why_text(why, "%s", apply.why.text);
    if (n < 0)
        db_abort(&txn);
    else if (db_commit(&txn, why) != DB_OK)
        n = -1;
    store_apply_free(&apply);
    return n;
}

static void
compact_sync(void)
{
    struct why why;

    compact.unsynced = 0;
    compact.rounds++;
    if (db_copy_sync(compact.copy, &why) != 0)
        compact_stop(&why);
    else
        compact.phase = COMPACT_SYNCING;
}

static void
compact_turn(void *arg)
{
    struct why why = {0};
    size_t left;
    int n;

    (void)arg;
    if (store_log_count(compact.log) > 0) {
        if ((n = apply_step(&why)) < 0) {
            compact_stop(&why);
            return;
        }
        compact.unsynced += (size_t)n;
    }
    left = store_log_count(compact.log);
    compact.step_us = left > compact.kept_before ? STEP_SLOW_US : STEP_US;
    compact.kept_before = left;
    if (left > 0)
        loop_timer_set(compact.turn, 0);
    else if (compact.unsynced > LAST_RECORDS &&
             compact.rounds < SYNC_ROUNDS_MAX)
        compact_sync();
    else
        compact_finish();
}

static void
copy_on_event(int fd, void *arg)
{
    struct why why;

    (void)fd;
    (void)arg;
    switch (db_copy_state(compact.copy, &why)) {
    case DB_COPY_RUNS:
        return;
    case DB_COPY_FAILED:
        if (compact.phase != COMPACT_STOPPING)
            compact.stopped = why;
        compact_give_up();
        return;
    case DB_COPY_DONE:
        break;
    }
    if (compact.phase == COMPACT_STOPPING) {
        compact_give_up();
        return;
    }
    compact.phase = COMPACT_APPLYING;
    loop_timer_set(compact.turn, 0);
}

/* --- the beginning -------------------------------------------------------- */

static int
check_room(struct why *why)
{
    uint64_t used = db_used_bytes(compact.db);
    uint64_t need = used + used / 8 + ROOM_BYTES + compact.reserve;
    uint64_t room = db_free_bytes(compact.db);

    if (room >= need)
        return 0;
    return why_text(why,
                    "there is no room for a copy: it takes %" PRIu64
                    " bytes with the reserve, free are %" PRIu64,
                    need, room);
}

static int
compact_begin(struct why *why)
{
    if (!store_scrub_is_idle())
        return why_text(why, "erased bytes are being written over");
    if (check_room(why) != 0)
        return -1;
    remove_leftovers();
    if (mkdir(COPY_DIR, 0700) != 0)
        return why_text(why, "%s: %s", COPY_DIR, strerror(errno));
    compact.copy = db_copy_to_store(compact.db, COPY_DIR, why);
    if (compact.copy == NULL) {
        remove_leftovers();
        return -1;
    }
    compact.log = store_log_new(RECORDS_FILE, KEPT_BYTES, KEPT_DESCRIPTORS);
    compact.watch =
        loop_watch_new(db_copy_event_fd(compact.copy), copy_on_event, NULL);
    compact.phase = COMPACT_COPYING;
    compact.before = db_file_bytes(compact.db);
    compact.start_ms = clock_mono_ms();
    compact.step_us = STEP_US;
    compact.kept_before = 0;
    compact.rounds = 0;
    /* The copy itself is synced as it grows, but for its last portion. */
    compact.unsynced = LAST_RECORDS + 1;
    return 0;
}

void
store_on_compact(struct peer_message *message)
{
    struct proto_done answer = {0};
    struct why why;

    if (compact.n_waiters == WAITERS_MAX) {
        answer.text = VIEW("too many wait for it already");
        peer_reply(message, PROTO_COMPACTED, &answer);
        return;
    }
    if (compact.phase == COMPACT_IDLE && compact_begin(&why) != 0) {
        answer.text = view_of(why.text);
        peer_reply(message, PROTO_COMPACTED, &answer);
        return;
    }
    compact.waiters[compact.n_waiters].from = message->from;
    compact.waiters[compact.n_waiters].call = message->call;
    compact.n_waiters++;
}

/* The store is calm, or has nothing to do but wait. */
static bool
is_calm(void)
{
    struct db_counts counts;
    struct why why;

    return compact.seen <= AUTO_CALM ||
           (db_read_counts(compact.db, &counts, &why) == 1 &&
            counts.ready == 0);
}

static bool
is_worth_it(void)
{
    uint64_t file = db_file_bytes(compact.db);

    return file > AUTO_BYTES && db_used_bytes(compact.db) < file / 2;
}

static void
compact_look(void *arg)
{
    struct why why;

    (void)arg;
    if (compact.phase != COMPACT_IDLE) {
        if (db_free_bytes(compact.db) < compact.reserve)
            store_compact_cancel("free space came under the reserve");
    } else if (compact.automatic && clock_mono_ms() >= compact.not_before_ms &&
               is_calm() && store_scrub_is_idle() && is_worth_it() &&
               compact_begin(&why) != 0) {
        compact.not_before_ms = clock_mono_ms() + AUTO_PAUSE_MS;
        log_warn("much of the store is free, but: %s", why.text);
    }
    compact.seen = 0;
    loop_timer_set(compact.look, AUTO_MS);
}

void
store_compact_configure(uint64_t reserve, bool automatic)
{
    compact.reserve = reserve;
    compact.automatic = automatic;
}

void
store_compact_init(struct db *db)
{
    compact.db = db;
    compact.generation = (uint64_t)clock_wall_ms();
    compact.turn = loop_timer_new(compact_turn, NULL);
    compact.look = loop_timer_new(compact_look, NULL);
    loop_timer_set(compact.look, AUTO_MS);
    remove_leftovers();
    /* They were here before us, perhaps since before another file was. */
    store_compact_tell_generation(ROLE_REPLAY);
    store_compact_tell_generation(ROLE_CONTROL);
    store_compact_tell_generation(ROLE_IMAP);
    store_compact_tell_generation(ROLE_AUTH);
}
