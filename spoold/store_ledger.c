/* SPDX-License-Identifier: ISC */
/*
 * When the state of the ledger is signed, and when old entries go. A run:
 *
 *     count   entries since the last checkpoint, for its sums
 *     sign    the parent has the key
 *     write   the checkpoint
 *
 * and, where a checkpoint is older than keep-ledger and entries before it are
 * still there,
 *
 *     carry   acceptances among them whose messages are here are said again
 *     count, sign, write
 *     trim    the entries go
 *
 * Every phase is a chain of short steps. A run that fails changed nothing
 * that a later one minds.
 *
 * Before: store.c (timer, CHECK_POINT)   After: store_checkpoint.c
 */
#include "store.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "conf.h"
#include "db_read.h"
#include "event.h"
#include "key_file.h"
#include "ledger_balance.h"
#include "log.h"
#include "loop.h"
#include "peer.h"

#define LOOK_MS         2000 /* between two looks at how much has come */
#define CHECKPOINT_MS   (UINT64_C(24) * 3600 * 1000)
#define CHECKPOINT_EACH 50000 /* entries; more may come until it is written */
#define FAILED_PAUSE_MS 60000
#define COUNT_ENTRIES   4000 /* in one step */
#define CARRY_IDS       200  /* in one record */
#define CARRY_ENTRIES   4000 /* the same, by deliveries */
#define TRIM_ENTRIES    2000
#define ASKS_MAX        64

enum ledger_phase {
    LEDGER_IDLE,
    LEDGER_COUNTING,
    LEDGER_SIGNING,
    LEDGER_WRITING,
    LEDGER_CARRYING,
    LEDGER_TRIMMING,
};

struct ledger_ask {
    enum role from;
    uint64_t call;
};

static struct {
    enum ledger_phase phase;
    uint64_t keep_ms;
    struct loop_timer *look;
    struct loop_timer *turn;

    /* The last checkpoint. */
    uint64_t last_seq, last_ms, last_accepted, last_ended;

    /* The run. */
    struct checkpoint row; /* head points to head */
    char head[LEDGER_HASH];
    uint64_t walked;         /* entries up to this were looked at */
    uint64_t cut;            /* entries up to this are to go; 0: not decided */
    bool carried;            /* all of them */
    uint64_t ids[CARRY_IDS]; /* acceptances found, not looked at yet */
    size_t n_ids, next_id;
    uint64_t dropped;

    struct ledger_ask asks[ASKS_MAX];
    size_t n_asks;
    size_t n_served; /* by this run; the others came too late for it */
} ledger;

static void run_start(void);
static void retain_start(void);

/* --- the end of a run ---------------------------------------------------- */

static void
answer_asks(const char *failure)
{
    char text[120];
    struct proto_done answer = {.done = failure == NULL,
                                .count = ledger.dropped};

    snprintf(text, sizeof(text), "%" PRIu64, ledger.last_seq);
    answer.text = view_of(failure != NULL ? failure : text);
    for (size_t i = 0; i < ledger.n_served; i++)
        peer_answer(ledger.asks[i].from, ledger.asks[i].call, PROTO_CHECKED,
                    &answer);
    ledger.n_asks -= ledger.n_served;
    memmove(ledger.asks, ledger.asks + ledger.n_served,
            ledger.n_asks * sizeof(ledger.asks[0]));
    ledger.n_served = 0;
}

static void
run_end(const char *failure)
{
    ledger.phase = LEDGER_IDLE;
    loop_timer_cancel(ledger.turn);
    answer_asks(failure);
    if (failure != NULL)
        log_warn("the ledger was not signed or shortened: %s", failure);
    if (ledger.n_asks > 0)
        run_start();
    else
        loop_timer_set(ledger.look,
                       failure != NULL ? FAILED_PAUSE_MS : LOOK_MS);
}

static void
add_record(enum store_kind kind, const struct record_type *type,
           const void *payload, store_done_fn *done)
{
    struct buf bytes = {0};
    struct store_record record = {
        .kind = kind, .when_ms = (uint64_t)clock_wall_ms(), .fd = -1};

    record_encode(type, payload, &bytes);
    record.payload = buf_view(&bytes);
    store_batch_add(&record, ROLE_STORE, 0, 0, done);
    buf_free(&bytes);
}

static bool
is_done(enum submit_result result, const char *reason)
{
    if (result != SUBMIT_DONE)
        run_end(*reason != '\0' ? reason : "the store had no room");
    return result == SUBMIT_DONE;
}

/* --- a checkpoint -------------------------------------------------------- */

static void
checkpoint_event(void)
{
    struct event event;

    event_begin(&event, EVENT_CHECKPOINT);
    event_num(&event, "entry", ledger.row.seq);
    event_num(&event, "accepted", ledger.row.accepted);
    event_num(&event, "ended", ledger.row.ended);
    event_end(&event);
}

static void
checkpoint_on_written(enum role from, uint64_t call, uint64_t id,
                      enum submit_result result, const char *reason,
                      uint64_t count)
{
    (void)from;
    (void)call;
    (void)id;
    (void)count;
    if (!is_done(result, reason))
        return;
    ledger.last_seq = ledger.row.seq;
    ledger.last_ms = ledger.row.when_ms;
    ledger.last_accepted = ledger.row.accepted;
    ledger.last_ended = ledger.row.ended;
    checkpoint_event();
    retain_start();
}

static void
checkpoint_on_signed(void *arg, struct peer_message *answer)
{
    const struct proto_signature *made;

    (void)arg;
    if (answer == NULL) {
        run_end("the parent does not answer");
        return;
    }
    made = answer->payload;
    if (made->public.len != KEY_SIGN_PUBLIC ||
        made->signature.len != KEY_SIGNATURE) {
        run_end("there is no key to sign with");
        return;
    }
    ledger.row.public = made->public;
    ledger.row.signature = made->signature;
    ledger.phase = LEDGER_WRITING;
    add_record(STORE_CHECKPOINT, &checkpoint_record, &ledger.row,
               checkpoint_on_written);
}

static void
checkpoint_sign(void)
{
    struct buf bytes = {0};
    struct proto_blob blob;

    ledger_signed_bytes(&ledger.row, &bytes);
    blob.bytes = buf_view(&bytes);
    ledger.phase = LEDGER_SIGNING;
    peer_call(ROLE_PARENT, PROTO_SIGN, &blob, -1, checkpoint_on_signed, NULL);
    buf_free(&bytes);
}

static bool
count_entry(void *arg, uint64_t seq, struct view value)
{
    struct ledger_entry entry;

    (void)arg;
    if (seq > ledger.row.seq)
        return false;
    ledger.walked = seq;
    /* What cannot be read adds nothing; the audit names it. */
    if (record_decode(&ledger_entry_record, view_skip(value, LEDGER_CHECK),
                      &entry, NULL) == 0)
        ledger_entry_count(&entry, &ledger.row.accepted, &ledger.row.ended);
    return true;
}

static void
count_step(void)
{
    uint64_t before = ledger.walked;
    struct why why;

    if (db_read_ledger(store_batch_db(), ledger.walked + 1, COUNT_ENTRIES,
                       count_entry, NULL, &why) < 0)
        run_end(why.text);
    else if (ledger.walked < ledger.row.seq && ledger.walked > before)
        loop_timer_set(ledger.turn, 0);
    else
        checkpoint_sign();
}

/* The state as it is on disk now, with the sums still to be counted. */
static void
checkpoint_start(void)
{
    struct buf memory = {0};
    struct db_totals totals;
    struct why why;
    int found = db_read_totals(store_batch_db(), &totals, &memory, &why);

    if (found < 0 || totals.head.len != LEDGER_HASH || totals.seq == 0) {
        run_end(found < 0 ? why.text : "the ledger is empty");
    } else {
        memcpy(ledger.head, totals.head.data, LEDGER_HASH);
        ledger.row = (struct checkpoint){
            .seq = totals.seq,
            .when_ms = (uint64_t)clock_wall_ms(),
            .head = {ledger.head, LEDGER_HASH},
            .accepted = ledger.last_accepted,
            .ended = ledger.last_ended,
        };
        ledger.walked = ledger.last_seq;
        ledger.phase = LEDGER_COUNTING;
        loop_timer_set(ledger.turn, 0);
    }
    buf_free(&memory);
}

/* --- old entries --------------------------------------------------------- */

static bool
first_entry(void *arg, uint64_t seq, struct view value)
{
    (void)value;
    *(uint64_t *)arg = seq;
    return false;
}

/* The newest checkpoint that is older than keep-ledger; 0: none is, or no
 * entry before it is left. */
static uint64_t
find_cut(uint64_t *first, struct why *why)
{
    struct db *db = store_batch_db();
    uint64_t now_ms = (uint64_t)clock_wall_ms(), cut = 0;
    struct buf memory = {0};
    struct checkpoint row;

    while (db_read_checkpoint_after(db, cut, &row, &memory, why) == 1 &&
           row.when_ms + ledger.keep_ms <= now_ms)
        cut = row.seq;
    buf_free(&memory);
    *first = 0;
    db_read_ledger(db, 0, 1, first_entry, first, why);
    return *first > 0 && *first <= cut && cut < ledger.last_seq ? cut : 0;
}

static void
trim_on_done(enum role from, uint64_t call, uint64_t id,
             enum submit_result result, const char *reason, uint64_t count)
{
    (void)from;
    (void)call;
    (void)id;
    if (!is_done(result, reason))
        return;
    ledger.dropped += count;
    if (count < TRIM_ENTRIES)
        run_end(NULL);
    else
        loop_timer_set(ledger.turn, 0);
}

static void
trim_step(void)
{
    struct store_trim trim = {ledger.cut, TRIM_ENTRIES};

    add_record(STORE_TRIM, &store_trim_record, &trim, trim_on_done);
}

static void
carry_on_done(enum role from, uint64_t call, uint64_t id,
              enum submit_result result, const char *reason, uint64_t count)
{
    (void)from;
    (void)call;
    (void)id;
    (void)count;
    if (!is_done(result, reason))
        return;
    if (ledger.carried)
        checkpoint_start();
    else
        loop_timer_set(ledger.turn, 0);
}

/* Keeps the ids of acceptances, until there are enough for a record. */
static bool
carry_entry(void *arg, uint64_t seq, struct view value)
{
    struct ledger_entry entry;

    (void)arg;
    if (seq > ledger.cut || ledger.n_ids == CARRY_IDS)
        return false;
    ledger.walked = seq;
    if (record_decode(&ledger_entry_record, view_skip(value, LEDGER_CHECK),
                      &entry, NULL) == 0 &&
        (entry.event == EVENT_ACCEPTED || entry.event == EVENT_CARRIED) &&
        entry.id != 0 && entry.n == 0)
        ledger.ids[ledger.n_ids++] = entry.id;
    return true;
}

/* Those of the ids whose messages are still here, as far as one record may
 * have them. */
static size_t
carry_present(struct proto_id *ids)
{
    size_t entries = 0, n = 0;
    struct db_message message;
    struct why why;

    while (ledger.next_id < ledger.n_ids && entries < CARRY_ENTRIES) {
        uint64_t id = ledger.ids[ledger.next_id++];
        int found = db_read_message(store_batch_db(), id, &message, &why);

        if (found == 0)
            continue; /* gone */
        ids[n++].id = id;
        entries++;
        if (found == 1) {
            entries += message.n_deliveries;
            db_message_free(&message);
        }
    }
    return n;
}

static void
carry_step(void)
{
    struct proto_id ids[CARRY_IDS];
    struct proto_ids carry = {.when_ms = (uint64_t)clock_wall_ms(),
                              .ids = {ids, 0}};
    uint64_t before = ledger.walked;
    struct why why;

    if (ledger.next_id == ledger.n_ids) {
        ledger.next_id = ledger.n_ids = 0;
        if (db_read_ledger(store_batch_db(), ledger.walked + 1, COUNT_ENTRIES,
                           carry_entry, NULL, &why) < 0) {
            run_end(why.text);
            return;
        }
        if (ledger.walked == before) /* no more rows up to the cut */
            ledger.walked = ledger.cut;
    }
    carry.ids.count = carry_present(ids);
    ledger.carried =
        ledger.next_id == ledger.n_ids && ledger.walked >= ledger.cut;
    if (ledger.carried)
        carry.up_to = ledger.cut;
    if (carry.ids.count > 0 || ledger.carried)
        add_record(STORE_CARRY, &proto_ids_record, &carry, carry_on_done);
    else
        loop_timer_set(ledger.turn, 0);
}

/* A checkpoint was written: the first or the second of a run. */
static void
retain_start(void)
{
    struct why why;
    uint64_t first;

    if (ledger.carried) {
        ledger.phase = LEDGER_TRIMMING;
        loop_timer_set(ledger.turn, 0);
        return;
    }
    ledger.cut = find_cut(&first, &why);
    if (ledger.cut == 0) {
        run_end(NULL);
        return;
    }
    ledger.phase = LEDGER_CARRYING;
    ledger.walked = first - 1;
    ledger.n_ids = ledger.next_id = 0;
    loop_timer_set(ledger.turn, 0);
}

/* --- when ---------------------------------------------------------------- */

static void
run_step(void *arg)
{
    (void)arg;
    switch (ledger.phase) {
    case LEDGER_COUNTING:
        count_step();
        break;
    case LEDGER_CARRYING:
        carry_step();
        break;
    case LEDGER_TRIMMING:
        trim_step();
        break;
    case LEDGER_IDLE:
    case LEDGER_SIGNING:
    case LEDGER_WRITING:
        break; /* an answer goes on */
    }
}

static void
run_start(void)
{
    loop_timer_cancel(ledger.look);
    ledger.n_served = ledger.n_asks;
    ledger.dropped = 0;
    ledger.cut = 0;
    ledger.carried = false;
    checkpoint_start();
}

/* A clock that was a day ahead must not keep the next one waiting. */
static bool
is_day_over(uint64_t now_ms)
{
    return now_ms >= ledger.last_ms + CHECKPOINT_MS ||
           now_ms + CHECKPOINT_MS <= ledger.last_ms;
}

static void
run_look(void *arg)
{
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    struct buf memory = {0};
    struct db_totals totals;
    struct why why;
    bool due = false;

    (void)arg;
    if (db_read_totals(store_batch_db(), &totals, &memory, &why) == 1)
        due = totals.seq >= ledger.last_seq + CHECKPOINT_EACH ||
              (totals.seq > 0 && is_day_over(now_ms));
    buf_free(&memory);
    if (due)
        run_start();
    else
        loop_timer_set(ledger.look, LOOK_MS);
}

void
store_on_check_point(struct peer_message *message)
{
    struct proto_done refused = {.text = VIEW("too many ask at once")};

    if (ledger.n_asks == ASKS_MAX) {
        peer_reply(message, PROTO_CHECKED, &refused);
        return;
    }
    ledger.asks[ledger.n_asks++] =
        (struct ledger_ask){message->from, message->call};
    if (ledger.phase == LEDGER_IDLE)
        run_start();
}

/* The last checkpoint, by halving: there may be many. */
static void
find_last(uint64_t seq)
{
    uint64_t low = 0, high = seq; /* none is known above low; none at high */
    struct buf memory = {0};
    struct checkpoint row;
    struct why why;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (db_read_checkpoint_after(store_batch_db(), middle, &row, &memory,
                                     &why) == 1 &&
            row.seq <= seq) {
            low = row.seq;
            ledger.last_seq = row.seq;
            ledger.last_ms = row.when_ms;
            ledger.last_accepted = row.accepted;
            ledger.last_ended = row.ended;
        } else {
            high = middle;
        }
    }
    buf_free(&memory);
}

static bool
note_time(void *arg, uint64_t seq, struct view value)
{
    struct ledger_entry entry;

    (void)seq;
    if (record_decode(&ledger_entry_record, view_skip(value, LEDGER_CHECK),
                      &entry, NULL) == 0)
        *(uint64_t *)arg = entry.when_ms;
    return false;
}

/* The first checkpoint comes a day after the first entry. */
static void
find_first(void)
{
    struct why why;

    ledger.last_ms = (uint64_t)clock_wall_ms();
    if (db_read_ledger(store_batch_db(), 0, 1, note_time, &ledger.last_ms,
                       &why) < 0)
        log_warn("%s", why.text);
}

void
store_ledger_configure(const struct conf *conf)
{
    ledger.keep_ms = conf->keep_ledger_ms;
}

void
store_ledger_start(const struct conf *conf)
{
    struct buf memory = {0};
    struct db_totals totals;
    struct why why;

    store_ledger_configure(conf);
    ledger.look = loop_timer_new(run_look, NULL);
    ledger.turn = loop_timer_new(run_step, NULL);
    if (db_read_totals(store_batch_db(), &totals, &memory, &why) == 1)
        find_last(totals.seq);
    buf_free(&memory);
    if (ledger.last_seq == 0)
        find_first();
    loop_timer_set(ledger.look, LOOK_MS);
}
