/* SPDX-License-Identifier: ISC */
/*
 * The store role: the only writer. Requests of the other roles become
 * records of the next batch; nothing is decided here but whether there is
 * room. It knows no message content and no key.
 *
 * Before: listener_data.c (SUBMIT), replay_outcome.c (OUTCOME)
 * After:  store_batch.c
 */
#include "store.h"

#include <stdlib.h>

#include "clock.h"
#include "conf.h"
#include "db_read.h"
#include "event.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "peer.h"
#include "role.h"
#include "store_mailbox.h"

#define SPACE_CHECK_MS 1000
#define PURGE_ROWS     1000 /* at once, when room is short */

static struct {
    struct db *db;
    uint64_t reserve;
    uint64_t keep_ms;
    uint64_t notice_gap_ms;
    struct proto_space space;
    bool space_known;
    struct loop_timer *space_timer;
    struct loop_timer *drain_timer;
} store;

/* --- room ---------------------------------------------------------------- */

static void
space_tell(enum role role)
{
    struct proto_name names[STORE_SHARE_MAX];
    struct proto_space space = store.space;

    space.full_domains.items = names;
    space.full_domains.count = store_share_list(names, STORE_SHARE_MAX);
    peer_send(role, PROTO_SPACE, &space, -1);
}

static void
space_tell_all(void)
{
    space_tell(ROLE_LISTENER);
    space_tell(ROLE_REPLAY);
    space_tell(ROLE_CONTROL);
    space_tell(ROLE_IMAP);
}

static void
share_changed(void)
{
    if (store.space_known)
        space_tell_all();
}

static void
space_event(bool full, uint64_t free_bytes)
{
    struct event event;
    struct buf payload = {0};
    struct ledger_entry entry = {.when_ms = (uint64_t)clock_wall_ms(),
                                 .event =
                                     full ? EVENT_SPACE_LOW : EVENT_SPACE_OK};
    struct store_record record = {
        .kind = STORE_NOTE, .when_ms = entry.when_ms, .fd = -1};

    event_begin(&event, (enum event_kind)entry.event);
    event_num(&event, "free", free_bytes);
    event_num(&event, "reserve", store.reserve);
    event_end(&event);
    record_encode(&ledger_entry_record, &entry, &payload);
    record.payload = buf_view(&payload);
    store_batch_add(&record, ROLE_STORE, 0, 0, NULL);
    buf_free(&payload);
}

/* Finished messages are kept for convenience only: room for new mail comes
 * first, oldest out first. */
static void
space_make_room(void)
{
    struct db_later *rows = mem_alloc(PURGE_ROWS * sizeof(*rows));

    store_due_add(rows, db_purges(store.db, rows, PURGE_ROWS));
    free(rows);
}

static void
space_check(void *arg)
{
    uint64_t free_bytes = db_free_bytes(store.db);
    bool full;

    (void)arg;
    store_due_watch_clock();
    if (free_bytes < store.reserve) /* pages inside the file count as well */
        free_bytes += db_free_in_file(store.db);
    full = free_bytes < store.reserve;
    if (full != (store.space.full != 0))
        space_event(full, free_bytes);
    store.space_known = true;
    store.space = (struct proto_space){.free_bytes = free_bytes,
                                       .full = full,
                                       .floor_ms = store_batch_floor_ms()};
    space_tell_all();
    if (full)
        space_make_room();
    loop_timer_set(store.space_timer, SPACE_CHECK_MS);
}

/* --- requests ------------------------------------------------------------ */

static void
submit_done(enum role from, uint64_t call, uint64_t id,
            enum submit_result result, const char *reason, uint64_t count)
{
    struct proto_submitted answer = {id, result, view_of(reason)};

    (void)count;
    peer_answer(from, call, PROTO_SUBMITTED, &answer);
}

static void
store_on_submit(struct peer_message *message)
{
    const struct proto_submit *submit = message->payload;
    struct store_record record = {.kind = STORE_SUBMIT,
                                  .when_ms = (uint64_t)clock_wall_ms(),
                                  .payload = message->bytes,
                                  .fd = message->fd};

    if (store.space.full) {
        submit_done(message->from, message->call, submit->id, SUBMIT_FULL,
                    "free space is under the reserve", 0);
        return;
    }
    if (message->from != ROLE_REPLAY && !store_share_takes(submit)) {
        submit_done(message->from, message->call, submit->id, SUBMIT_FULL,
                    "a domain has used its share of the spool", 0);
        return;
    }
    if (!store_keys_welcome(store.db, submit->data_key)) {
        submit_done(message->from, message->call, submit->id, SUBMIT_FAILED,
                    "its data key is sealed to a former key pair", 0);
        return;
    }
    message->fd = -1;
    store_batch_add(&record, message->from, message->call, submit->id,
                    submit_done);
}

static void
outcome_done(enum role from, uint64_t call, uint64_t id,
             enum submit_result result, const char *reason, uint64_t count)
{
    struct proto_recorded answer = {id, result, count};

    (void)reason;
    peer_answer(from, call, PROTO_RECORDED, &answer);
}

/* The nearest retry may be nearer than what the timer waits for. */
static void
due_wake_for(const struct proto_outcome *outcome)
{
    const struct proto_result *results = outcome->results.items;

    for (size_t i = 0; i < outcome->results.count; i++)
        if (delivery_waits(results[i].state))
            store_due_by(results[i].next_ms);
    if (store.keep_ms > 0)
        store_due_by(outcome->when_ms + store.keep_ms);
    if (outcome->dsn.len > 0)
        /* It may have to wait for its moment: the table says then. */
        store_due_by(outcome->when_ms + store.notice_gap_ms);
}

static void
store_on_outcome(struct peer_message *message)
{
    const struct proto_outcome *outcome = message->payload;
    struct store_record record = {.kind = STORE_OUTCOME,
                                  .when_ms = outcome->when_ms,
                                  .keep_ms = store.keep_ms,
                                  .notice_gap_ms = store.notice_gap_ms,
                                  .payload = message->bytes,
                                  .fd = -1};

    due_wake_for(outcome);
    store_batch_add(&record, message->from, message->call, outcome->id,
                    outcome_done);
}

static void
add_plain(struct peer_message *message, enum store_kind kind,
          store_done_fn *done)
{
    struct store_record record = {.kind = kind,
                                  .when_ms = (uint64_t)clock_wall_ms(),
                                  .payload = message->bytes,
                                  .fd = -1};

    store_batch_add(&record, message->from, message->call, 0, done);
}

static void
health_done(enum role from, uint64_t call, uint64_t id,
            enum submit_result result, const char *reason, uint64_t count)
{
    struct proto_recorded answer = {id, result, 0};

    (void)reason;
    (void)count;
    peer_answer(from, call, PROTO_KEPT, &answer);
}

static void
store_on_health(struct peer_message *message)
{
    add_plain(message, STORE_HEALTH, message->call != 0 ? health_done : NULL);
}

static void
store_on_note(struct peer_message *message)
{
    add_plain(message, STORE_NOTE, NULL);
}

static void
retry_done(enum role from, uint64_t call, uint64_t id,
           enum submit_result result, const char *reason, uint64_t count)
{
    struct proto_count answer = {result == SUBMIT_DONE ? count : 0};

    (void)id;
    (void)reason;
    peer_answer(from, call, PROTO_RETRIED, &answer);
}

static void
store_on_retry(struct peer_message *message)
{
    add_plain(message, STORE_RETRY, retry_done);
}

static void
steer_done(enum role from, uint64_t call, uint64_t id,
           enum submit_result result, const char *reason, uint64_t count)
{
    struct proto_done answer = {.done = result == SUBMIT_DONE,
                                .count = result == SUBMIT_DONE ? count : 0,
                                .text = view_of(reason)};

    (void)id;
    peer_answer(from, call, PROTO_STEERED, &answer);
}

static void
rekey_done(enum role from, uint64_t call, uint64_t id,
           enum submit_result result, const char *reason, uint64_t count)
{
    struct proto_done answer = {.done = result == SUBMIT_DONE,
                                .count = result == SUBMIT_DONE ? count : 0,
                                .text = store_keys_current()};

    (void)id;
    (void)reason;
    peer_answer(from, call, PROTO_REKEYED, &answer);
}

/* Sends the dictionary in use, where it is not the shipped one. */
static void
learn_tell(enum role role)
{
    struct buf memory = {0};
    struct dictionary_row row;
    struct why why;
    uint64_t id = 0;
    int found;

    while ((found = db_read_dictionary_after(store_batch_db(), id, &row,
                                             &memory, &why)) == 1) {
        id = row.id;
        if (!row.retired)
            peer_send(role, PROTO_DICTIONARY, &row, -1);
    }
    if (found < 0)
        log_warn("%s: see spoolctl check", why.text);
    buf_free(&memory);
}

static void
learn_done(enum role from, uint64_t call, uint64_t id,
           enum submit_result result, const char *reason, uint64_t count)
{
    struct proto_done answer = {.done = result == SUBMIT_DONE,
                                .text = view_of(reason)};

    (void)id;
    (void)count;
    if (result == SUBMIT_DONE) {
        learn_tell(ROLE_LISTENER);
        learn_tell(ROLE_REPLAY);
        learn_tell(ROLE_CONTROL);
        learn_tell(ROLE_IMAP);
    }
    peer_answer(from, call, PROTO_LEARNED, &answer);
}

static void
store_on_learn(struct peer_message *message)
{
    add_plain(message, STORE_LEARN, learn_done);
}

static void
mend_done(enum role from, uint64_t call, uint64_t id, enum submit_result result,
          const char *reason, uint64_t count)
{
    struct proto_done answer = {.done = result == SUBMIT_DONE,
                                .count = result == SUBMIT_DONE ? count : 0,
                                .text = view_of(reason)};

    (void)id;
    peer_answer(from, call, PROTO_MENDED, &answer);
}

static void
store_on_mend(struct peer_message *message)
{
    struct store_record record = {.kind = STORE_MEND,
                                  .when_ms = (uint64_t)clock_wall_ms(),
                                  .keep_ms = store.keep_ms,
                                  .payload = message->bytes,
                                  .fd = -1};

    store_batch_add(&record, message->from, message->call, 0, mend_done);
}

static void
store_on_rekey(struct peer_message *message)
{
    add_plain(message, STORE_REKEY, rekey_done);
}

/* ETRN: who faces the network never meets replay. */
static void
store_on_etrn(struct peer_message *message)
{
    peer_send(ROLE_REPLAY, PROTO_WAKE, message->payload, -1);
}

static void
store_on_steer(struct peer_message *message)
{
    struct store_record record = {.kind = STORE_STEER,
                                  .when_ms = (uint64_t)clock_wall_ms(),
                                  .keep_ms = store.keep_ms,
                                  .payload = message->bytes,
                                  .fd = -1};
    const struct proto_steer *steer = message->payload;

    if (steer->what == STEER_DISCARD && store.keep_ms > 0)
        store_due_by(steer->when_ms + store.keep_ms);
    store_batch_add(&record, message->from, message->call, 0, steer_done);
}

/* --- role ---------------------------------------------------------------- */

static void
store_configure(const struct conf *conf)
{
    store.reserve = conf->reserve;
    store.keep_ms = conf->keep_delivered_ms;
    store.notice_gap_ms = 60000 / conf->notices;
    store_share_configure(conf);
    store_compact_configure(conf->reserve, conf->compact != 0);
    store_ledger_configure(conf);
    store_imap_configure(conf);
}

static void
store_start(const struct conf *conf)
{
    struct db_counts counts;
    struct why why;

    store_configure(conf);
    store.db = db_open_writer(".", &why);
    if (store.db == NULL)
        fatal_exit(ROLE_EXIT_CONFIG, "%s", why.text);
    store_keys_check(store.db);
    db_reap_readers(store.db);
    if (db_read_counts(store.db, &counts, &why) != 1)
        fatal_exit(ROLE_EXIT_STORE,
                   "%s: stop spoold and run \"spoolctl check --offline\"",
                   why.text);
    store_batch_init(store.db, counts.floor_ms);
    store_compact_init(store.db);
    store_scrub_init(store.db);
    store_ledger_start(conf);
    store_imap_start();
    store.space_timer = loop_timer_new(space_check, NULL);
    space_check(NULL);
    store_share_start(share_changed);
    store_due_start(store.db);
    store_readers_start(store.db);
    store_undo_start();
    store_prefer_start();
    role_ready();
}

static void
store_on_up(enum role role)
{
    if (role == ROLE_REPLAY || role == ROLE_CONTROL || role == ROLE_IMAP ||
        role == ROLE_AUTH)
        store_compact_tell_generation(role);
    if (store.db != NULL && (role == ROLE_LISTENER || role == ROLE_REPLAY ||
                             role == ROLE_CONTROL || role == ROLE_IMAP))
        learn_tell(role);
    if (store.space_known && (role == ROLE_LISTENER || role == ROLE_REPLAY ||
                              role == ROLE_CONTROL || role == ROLE_IMAP))
        space_tell(role);
}

static void
store_on_lost(enum role role)
{
    if (role == ROLE_IMAP)
        store_news_lost();
}

bool
store_is_full(void)
{
    return store.space.full != 0;
}

static void
drain_when_empty(void *arg)
{
    (void)arg;
    if (store_batch_is_empty())
        role_done();
    else
        loop_timer_set(store.drain_timer, 0);
}

/* By now the listener and replay are gone: what they sent is in the sockets
 * or in the batch. The turn of a timer that is due reads the sockets too. */
static void
store_drain(uint64_t limit_ms)
{
    (void)limit_ms;
    store.drain_timer = loop_timer_new(drain_when_empty, NULL);
    loop_timer_set(store.drain_timer, 1);
}

static const struct peer_handler handlers[] = {
    {PROTO_SUBMIT, store_on_submit},
    {PROTO_OUTCOME, store_on_outcome},
    {PROTO_HEALTH, store_on_health},
    {PROTO_NOTE, store_on_note},
    {PROTO_RETRY, store_on_retry},
    {PROTO_ETRN, store_on_etrn},
    {PROTO_COMPACT, store_on_compact},
    {PROTO_SCRUB, store_on_scrub},
    {PROTO_CHECK_POINT, store_on_check_point},
    {PROTO_STEER, store_on_steer},
    {PROTO_PREFER, store_on_prefer},
    {PROTO_PAIRS, store_on_pairs},
    {PROTO_REKEY, store_on_rekey},
    {PROTO_LEARN, store_on_learn},
    {PROTO_MEND, store_on_mend},
    {PROTO_FLAGS, store_on_flags},
    {PROTO_PLACE, store_on_place},
    {PROTO_APPEND, store_on_append},
    {PROTO_STRUCTURE, store_on_structure},
    {PROTO_SIGN_IN, store_on_sign_in},
    {PROTO_USER, store_on_user},
    {PROTO_NEWS_SEEN, store_on_news_seen},
};

const struct role_entry store_role = {
    .role = ROLE_STORE,
    .directory = ".",
    .handlers = handlers,
    .n_handlers = sizeof(handlers) / sizeof(handlers[0]),
    .hooks = {.on_up = store_on_up, .on_lost = store_on_lost},
    .start = store_start,
    .reload = store_configure,
    .drain = store_drain,
};
