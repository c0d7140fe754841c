/* SPDX-License-Identifier: ISC */
/*
 * trace: every entry of the ledger about one message, also when the message
 * is gone. The ledger is in the order of its numbers; its times mostly rise,
 * and an id says when it was made, so the search begins near there, by
 * halving. What is found must begin with the acceptance; where it does not
 * (the clock jumped back, or the acceptance was carried), the search begins
 * anew with the first entry there is.
 *
 * Before: control_client.c (step by step)   After: db_ledger.c
 */
#include "control.h"

#include <stdlib.h>

#include "clock.h"
#include "db.h"
#include "event.h"
#include "mem.h"
#include "msgid.h"

#define TRAIL_ENTRIES 4000 /* looked at in one step */
/* An id is made when the content begins to come; and clocks jump. */
#define TRAIL_SLACK_MS (UINT64_C(3600) * 1000)

/* --- the trail -------------------------------------------------------------
 */

void
control_trail_begin(struct control_trail *trail, uint64_t id,
                    control_trail_fn *fn, void *arg)
{
    *trail = (struct control_trail){.id = id, .fn = fn, .arg = arg};
}

struct probe {
    uint64_t seq;
    uint64_t when_ms;
};

static bool
probe_entry(void *arg, uint64_t seq, struct view value)
{
    struct probe *probe = arg;
    struct ledger_entry entry;

    probe->seq = seq;
    if (record_decode(&ledger_entry_record, view_skip(value, LEDGER_CHECK),
                      &entry, NULL) == 0)
        probe->when_ms = entry.when_ms;
    return false;
}

static int
read_last(struct control_trail *trail, struct db *db, struct why *why)
{
    struct buf memory = {0};
    struct db_totals totals;
    int found = db_read_totals(db, &totals, &memory, why);

    trail->last = totals.seq;
    /* Without the totals: as far as there are entries. */
    if (found < 0 && memory.len > 0) {
        trail->last = UINT64_MAX;
        found = 0;
    }
    buf_free(&memory);
    return found < 0 ? -1 : 0;
}

/* Sets first, last, and start: an entry before which there is none of the
 * message, as far as times can be trusted. */
static int
trail_search(struct control_trail *trail, struct db *db, struct why *why)
{
    uint64_t from_ms = msgid_ms(trail->id);
    struct probe probe = {0};
    uint64_t high;

    from_ms = from_ms > TRAIL_SLACK_MS ? from_ms - TRAIL_SLACK_MS : 0;
    if (read_last(trail, db, why) != 0 ||
        db_read_ledger(db, 0, 1, probe_entry, &probe, why) < 0)
        return -1;
    trail->first = trail->start = probe.seq;
    high = trail->last != UINT64_MAX ? trail->last : probe.seq;
    while (trail->start < high) {
        uint64_t middle = trail->start + (high - trail->start) / 2;

        probe.seq = 0;
        if (db_read_ledger(db, middle, 1, probe_entry, &probe, why) < 0)
            return -1;
        if (probe.seq != 0 && probe.when_ms < from_ms)
            trail->start = middle + 1;
        else
            high = middle;
    }
    trail->at = trail->start;
    trail->phase = probe.seq != 0 || trail->first != 0 ? TRAIL_LOOK : TRAIL_END;
    return 1;
}

static bool
is_ours(const struct control_trail *trail, struct view value,
        struct ledger_entry *entry)
{
    return record_decode(&ledger_entry_record, view_skip(value, LEDGER_CHECK),
                         entry, NULL) == 0 &&
           entry->id == trail->id;
}

static bool
look_entry(void *arg, uint64_t seq, struct view value)
{
    struct control_trail *trail = arg;
    struct ledger_entry entry;

    if (seq > trail->last)
        return false;
    trail->at = seq + 1;
    if (!is_ours(trail, value, &entry))
        return true;
    trail->found = seq;
    trail->found_accepted = entry.event == EVENT_ACCEPTED;
    return false;
}

static bool
tell_entry(void *arg, uint64_t seq, struct view value)
{
    struct control_trail *trail = arg;
    struct ledger_entry entry;

    if (seq > trail->last)
        return false;
    trail->at = seq + 1;
    if (!is_ours(trail, value, &entry))
        return true;
    trail->fn(trail->arg, seq, &entry);
    trail->told++;
    trail->gone = entry.event == EVENT_PURGED || entry.event == EVENT_ERASED;
    return !trail->gone;
}

/* Where to tell from, now that the first entry is known or there is none. */
static void
trail_looked(struct control_trail *trail)
{
    trail->phase = TRAIL_TELL;
    trail->at = trail->found_accepted ? trail->found : trail->first;
    if (trail->found == 0)
        trail->last = trail->start; /* what comes later was looked at */
}

int
control_trail_step(struct control_trail *trail, struct db *db, struct why *why)
{
    bool looking = trail->phase == TRAIL_LOOK;
    uint64_t before = trail->at;

    if (trail->phase == TRAIL_END)
        return 0;
    if (trail->phase == TRAIL_SEARCH)
        return trail_search(trail, db, why);
    if (db_read_ledger(db, trail->at, TRAIL_ENTRIES,
                       looking ? look_entry : tell_entry, trail, why) < 0)
        return -1;
    if (looking && (trail->found != 0 || trail->at == before))
        trail_looked(trail);
    else if (!looking && (trail->gone || trail->at == before))
        trail->phase = TRAIL_END;
    return 1;
}

/* --- trace -----------------------------------------------------------------
 */

struct trace {
    struct control_client *client;
    struct control_trail trail;
    struct db_message message;
    bool here; /* the message can be read */
};

static void
trace_free(void *work)
{
    struct trace *trace = work;

    if (trace->here)
        db_message_free(&trace->message);
    free(trace);
}

/* The ledger has no addresses: who it was is known while the row is here. */
static json_t *
json_address(const struct trace *trace, uint64_t n)
{
    for (size_t i = 0; trace->here && i < trace->message.n_deliveries; i++)
        if (trace->message.deliveries[i].n + 1 == n)
            return control_json_text(
                trace->message.deliveries[i].delivery.recipient);
    return json_null();
}

static void
trace_entry(void *arg, uint64_t seq, const struct ledger_entry *entry)
{
    struct trace *trace = arg;
    json_t *json = json_object();

    json_object_set_new(json, "entry", json_integer((json_int_t)seq));
    json_object_set_new(json, "time", control_json_time(entry->when_ms));
    json_object_set_new(json, "event", json_string(event_verb(entry->event)));
    json_object_set_new(json, "n",
                        entry->n != 0 ? json_integer((json_int_t)entry->n - 1)
                                      : json_null());
    json_object_set_new(json, "recipient", json_address(trace, entry->n));
    json_object_set_new(json, "code", json_integer((json_int_t)entry->code));
    json_object_set_new(json, "text", control_json_text(entry->text));
    json_object_set_new(json, "by", control_json_text(entry->by));
    control_row(trace->client, json);
}

static void
trace_step(struct control_client *client)
{
    struct trace *trace = client->work;
    char id[MSGID_TEXT_MAX];
    struct why why;
    struct db *db = control_db(&why);
    int more = db != NULL ? control_trail_step(&trace->trail, db, &why) : -1;

    if (more < 0)
        control_fail(client, "%s", why.text);
    else if (more > 0)
        control_continue(client, trace_step);
    else if (trace->trail.told == 0)
        control_fail(client, "the ledger has no entry of %s",
                     msgid_print(trace->trail.id, id));
    else
        control_done(client);
}

void
control_trace(struct control_client *client)
{
    struct trace *trace;
    struct why why;
    struct db *db;
    uint64_t id;

    if (control_read_id(client, &id) != 0)
        return;
    trace = mem_alloc(sizeof(*trace));
    trace->client = client;
    client->work = trace;
    client->work_free = trace_free;
    control_trail_begin(&trace->trail, id, trace_entry, trace);
    db = control_db(&why);
    trace->here =
        db != NULL && db_read_message(db, id, &trace->message, &why) == 1;
    trace_step(client);
}
