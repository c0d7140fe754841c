/* SPDX-License-Identifier: ISC */
/*
 * The replay role: gives back what is held. It reads the store and speaks to
 * targets; whatever it finds out goes to the store as OUTCOME, HEALTH and
 * NOTE. Nothing begins before the store has said SPACE: until then there is
 * nobody to record an outcome and no floor for ids of notices.
 *
 * Before: store_batch.c (QUEUED, after the commit)   After: replay_target.c
 */
#include "replay.h"

#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "db_copy.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "msgid.h"
#include "peer.h"
#include "reading.h"
#include "replay_secure.h"
#include "resolve.h"
#include "role.h"
#include "sealing.h"
#include "stats.h"
#include "system_file.h"

#define WRITER_REPLAY 2 /* in message ids (msgid.h) */

static struct {
    const struct conf *conf;
    struct db *db;
    struct msgid_source ids;
    uint64_t random;
    bool store_ready;
    bool draining;
    bool drained;
    struct loop_timer *drain_timer;
} replay;

const struct conf *
replay_conf(void)
{
    return replay.conf;
}

struct db *
replay_db(void)
{
    return replay.db;
}

uint64_t *
replay_random(void)
{
    return &replay.random;
}

struct msgid_source *
replay_ids(void)
{
    return &replay.ids;
}

bool
replay_store_is_ready(void)
{
    return replay.store_ready;
}

/* --- the store ----------------------------------------------------------- */

static void
open_store(void)
{
    struct why why;

    stats_cells_of(ROLE_REPLAY);
    reading_start();
    replay.db = db_open_reader(".", &why);
    if (replay.db == NULL)
        fatal("%s", why.text);
    replay_target_configure(replay.conf);
    replay_delay_configure(replay.conf);
    replay_notices_configure(replay.conf);
}

static void
replay_on_space(struct peer_message *message)
{
    const struct proto_space *space = message->payload;
    bool again = replay.db != NULL;

    msgid_set_floor(&replay.ids, space->floor_ms);
    if (replay.store_ready || replay.conf == NULL)
        return;
    if (!again)
        open_store();
    replay.store_ready = true;
    replay_queue_rules(); /* before anything of the backlog is picked */
    replay_job_store_up();
    replay_target_store_up(again);
    replay_delay_store_up();
}

/* The store is in another file now. Nothing of the old one is kept between
 * two turns but the environment: every question is a transaction of its own,
 * and what is found is copied. */
static void
replay_on_reopen(struct peer_message *message)
{
    struct why why;

    (void)message;
    if (replay.db != NULL && db_is_replaced(replay.db) &&
        db_reopen(replay.db, &why) != 0)
        fatal("%s", why.text);
}

static void
replay_on_lost(enum role role)
{
    if (role == ROLE_STORE)
        replay.store_ready = false;
}

static void
replay_on_queued(struct peer_message *message)
{
    const struct proto_queued *queued = message->payload;
    const struct proto_ready_item *items = queued->items.items;

    for (size_t i = 0; i < queued->items.count; i++) {
        struct replay_target *target = replay_target_find(items[i].target);

        if (target == NULL)
            continue;
        eta_came(&target->eta, loop_now_ms());
        if (replay_queue_is_notice(items[i].flow))
            replay_queue_look(target);
        else
            replay_queue_add(target, items[i].id);
        replay_target_run(target);
    }
}

static void
replay_on_rules(struct peer_message *message)
{
    (void)message;
    if (replay.db != NULL)
        replay_queue_rules();
}

/* --- control ------------------------------------------------------------- */

static void
replay_on_probe(struct peer_message *message)
{
    const struct proto_name *name = message->payload;
    struct proto_count count = {0};

    for (struct replay_target *t = replay_target_next(NULL); t != NULL;
         t = replay_target_next(t)) {
        if (t->gone ||
            (name->name.len > 0 && !view_equal(name->name, view_of(t->name))))
            continue;
        replay_target_probe(t);
        count.count++;
    }
    peer_reply(message, PROTO_PROBED, &count);
}

/* A stranger said so: not more often than we would probe by ourselves. */
static void
replay_on_wake(struct peer_message *message)
{
    const struct proto_name *name = message->payload;
    struct replay_target *target = replay_target_find(name->name);

    if (target == NULL || target->gone || target->sched.state != TARGET_DOWN ||
        (target->woken_ms != 0 &&
         loop_now_ms() - target->woken_ms < (int64_t)target->probe_min_ms))
        return;
    target->woken_ms = loop_now_ms();
    replay_target_probe(target);
}

static void
replay_on_targets(struct peer_message *message)
{
    struct proto_targets answer = {0};
    struct proto_target_now *rows;
    struct buf *limits;
    size_t n = 0;

    for (struct replay_target *t = replay_target_next(NULL); t != NULL;
         t = replay_target_next(t))
        n++;
    if (replay.db != NULL)
        replay_alarm_look();
    rows = mem_alloc(n * sizeof(*rows));
    limits = mem_alloc(n * sizeof(*limits));
    for (struct replay_target *t = replay_target_next(NULL); t != NULL;
         t = replay_target_next(t)) {
        size_t at = answer.targets.count;

        if (t->gone)
            continue;
        replay_target_describe(t, &rows[at]);
        replay_limit_encode(t, &limits[at]);
        rows[at].limits = buf_view(&limits[at]);
        answer.targets.count++;
    }
    answer.targets.items = rows;
    peer_reply(message, PROTO_TARGETS_NOW, &answer);
    for (size_t i = 0; i < n; i++)
        buf_free(&limits[i]);
    free(limits);
    free(rows);
}

static void
replay_on_fetch(struct peer_message *message)
{
    const struct proto_fetch *fetch = message->payload;
    struct proto_fetched answer = {0};
    struct db_message row;
    struct why why = {0};
    int found;

    if (replay.db == NULL) {
        answer.reason = VIEW("the store is not there yet");
        peer_reply(message, PROTO_FETCHED, &answer);
        return;
    }
    found = replay_read_message(fetch->id, &row, &why);
    if (found == 1) {
        answer.last = fetch->piece + 1 >= row.message.pieces;
        found = replay_content_piece(fetch->id, &row.message, fetch->piece,
                                     &answer.bytes, &why);
        db_message_free(&row);
    }
    answer.found = found == 1;
    if (found < 0)
        answer.reason = view_of(why.text);
    else if (found == 0)
        answer.reason = VIEW("there is no such message or piece");
    peer_reply(message, PROTO_FETCHED, &answer);
}

/* --- role ---------------------------------------------------------------- */

/* Names are looked up as the configuration says. */
static void
take_files(const struct conf *conf)
{
    system_file_adopt();
    replay_secure_files_came();
    resolve_configure(conf, system_file(conf->trust_anchor),
                      system_file(conf->servers_file));
}

static void
replay_start(const struct conf *conf)
{
    replay.conf = conf;
    replay.ids.writer = WRITER_REPLAY;
    replay.random = (uint64_t)clock_mono_us() ^ (uint64_t)getpid() << 32 ^
                    (uint64_t)clock_wall_ms() << 20;
    replay.random |= 1; /* never 0 */
    stats_set(STAT_TARGET_SESSIONS_NOW, 0);
    take_files(conf);
    role_ready();
}

static void
replay_reload(const struct conf *conf)
{
    replay.conf = conf;
    take_files(conf);
    if (replay.db == NULL)
        return;
    replay_target_configure(conf);
    replay_delay_configure(conf);
    replay_notices_configure(conf);
}

static void
done_if_drained(void *arg)
{
    (void)arg;
    if (!replay.draining || replay.drained || replay_job_count() > 0)
        return;
    for (struct replay_target *t = replay_target_next(NULL); t != NULL;
         t = replay_target_next(t))
        if (replay_sched_open(&t->sched) > 0)
            return;
    replay.drained = true;
    role_done();
}

void
replay_check_drained(void)
{
    if (replay.draining)
        loop_defer(done_if_drained, NULL);
}

static void
drain_is_over(void *arg)
{
    (void)arg;
    replay_target_abort_all();
    replay.drained = true;
    role_done();
}

static void
replay_drain(uint64_t limit_ms)
{
    replay.draining = true;
    replay.drain_timer = loop_timer_new(drain_is_over, NULL);
    loop_timer_set(replay.drain_timer, limit_ms);
    replay_target_stop_all();
    replay_check_drained();
}

static const struct peer_handler handlers[] = {
    {PROTO_SPACE, replay_on_space},
    {PROTO_QUEUED, replay_on_queued},
    {PROTO_PROBE, replay_on_probe},
    {PROTO_WAKE, replay_on_wake},
    {PROTO_TARGETS, replay_on_targets},
    {PROTO_LIMIT, replay_limit_on_limit},
    {PROTO_RETURN, replay_return_on_return},
    {PROTO_PAUSE, replay_pause_on_pause},
    {PROTO_RULES, replay_on_rules},
    {PROTO_FETCH, replay_on_fetch},
    {PROTO_REOPEN, replay_on_reopen},
    {PROTO_PAIRS, replay_key_on_pairs},
    {PROTO_DICTIONARY, sealing_on_dictionary},
    {PROTO_SYSTEM_FILE, system_file_on_file},
    {PROTO_TRAIN, replay_train_on_train},
};

const struct role_entry replay_role = {
    .role = ROLE_REPLAY,
    .directory = ".",
    .handlers = handlers,
    .n_handlers = sizeof(handlers) / sizeof(handlers[0]),
    .hooks = {.on_lost = replay_on_lost},
    .start = replay_start,
    .reload = replay_reload,
    .drain = replay_drain,
};
