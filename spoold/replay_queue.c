/* SPDX-License-Identifier: ISC */
/*
 * What waits for a target, and in which order it goes.
 *
 * Live is what the store announced while the target took mail, in a ring of
 * bounded size; backlog is what the cursor finds in the table of ready
 * deliveries. While both wait, LIVE_TURNS of LIVE_ROUND messages are live
 * ones. Within the backlog senders' domains take turns, and within a domain
 * the buckets of its recipients: each turn is one message, found by seeking
 * in the table, so that no sender's flood is longer than a turn, and a backlog
 * of millions costs no memory. What the operator prefers goes before the rest
 * of the backlog, with turns of its own.
 *
 * The table of ready deliveries is the truth: whatever is forgotten here is
 * found again by the cursor.
 *
 * Before: replay.c (QUEUED), replay_target.c   After: replay_work.c
 */
#include "replay.h"

#include <stdlib.h>

#include "clock.h"
#include "log.h"
#include "loop.h"
#include "mem.h"

#define LIVE_FIRST 16
#define LIVE_TURNS 3
#define LIVE_ROUND 4
/* Rows looked at in one go; then others have their turn. */
#define LOOK_MAX 1000
/* Places in flows that are remembered, for all targets together. One that is
 * forgotten is found again by passing over what is under way. */
#define PLACES 4096

_Static_assert(REPLAY_LIVE_MAX % LIVE_FIRST == 0,
               "the ring doubles up to its full size");

/* Where the next message of a flow is to be looked for: behind this id. Of a
 * domain: the bucket that had the last turn. */
struct place {
    uint64_t hash; /* of target and flow; 0: none */
    uint64_t at;
};

struct rule {
    uint64_t number;
    int64_t until_ms; /* monotonic */
};

static struct {
    struct place places[PLACES];
    struct rule rules[PREFER_MAX];
    size_t n_rules;
} queues;

struct replay_queue *
replay_queue_new(void)
{
    struct replay_queue *q = mem_alloc(sizeof(*q));

    q->maybe_more = true; /* what was held before we started */
    return q;
}

void
replay_queue_free(struct replay_queue **q)
{
    if (*q != NULL) {
        free((*q)->live);
        free((*q)->preferred);
    }
    free(*q);
    *q = NULL;
}

/* --- live ---------------------------------------------------------------- */

/* Makes room for one more in the ring; false: it has its full size. Most
 * targets need little, and there may be ten thousand of them. */
static bool
grow_live(struct replay_queue *q)
{
    size_t cap = q->live_cap > 0 ? q->live_cap * 2 : LIVE_FIRST;
    uint64_t *live;

    if (q->live_n < q->live_cap)
        return true;
    if (cap > REPLAY_LIVE_MAX)
        return false;
    live = mem_alloc(cap * sizeof(*live));
    for (size_t i = 0; i < q->live_n; i++)
        live[i] = q->live[(q->live_first + i) % q->live_cap];
    free(q->live);
    q->live = live;
    q->live_cap = cap;
    q->live_first = 0;
    return true;
}

void
replay_queue_add(struct replay_target *target, uint64_t id)
{
    struct replay_queue *q = target->queue;

    /* What comes in while nothing goes out is backlog by the time it may. */
    if (target->sched.state != TARGET_UP || !grow_live(q)) {
        q->maybe_more = true; /* the cursor will find it */
        return;
    }
    q->live[(q->live_first + q->live_n) % q->live_cap] = id;
    q->live_n++;
}

void
replay_queue_put_back(struct replay_target *target, uint64_t id)
{
    struct replay_queue *q = target->queue;

    if (!grow_live(q)) {
        q->live_n--; /* the last one: the cursor will find it */
        q->maybe_more = true;
    }
    q->live_first = (q->live_first + q->live_cap - 1) % q->live_cap;
    q->live[q->live_first] = id;
    q->live_n++;
}

void
replay_queue_forget_live(struct replay_target *target)
{
    struct replay_queue *q = target->queue;

    free(q->live);
    q->live = NULL;
    q->live_cap = q->live_first = q->live_n = 0;
    q->maybe_more = true;
}

void
replay_queue_look(struct replay_target *target)
{
    target->queue->maybe_more = true;
}

/* --- places -------------------------------------------------------------- */

static struct place *
place_of(const struct replay_target *target, struct view flow)
{
    uint64_t hash = (uint64_t)(uintptr_t)target ^ UINT64_C(0xcbf29ce484222325);
    struct place *place;

    for (size_t i = 0; i < flow.len; i++)
        hash = (hash ^ (uint8_t)flow.data[i]) * UINT64_C(0x100000001b3);
    hash = (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    place = &queues.places[hash >> 52];
    if (place->hash != hash)
        *place = (struct place){.hash = hash};
    return place;
}
_Static_assert(PLACES == 1 << (64 - 52), "the high bits of the hash");

/* --- turns --------------------------------------------------------------- */

/* One look into the table. 1: found, 0: the end of the target's rows. */
static int
look(struct replay_target *target, struct db_ready_cursor *cursor,
     struct db_ready *found)
{
    struct why why;
    int got =
        db_read_ready(replay_db(), view_of(target->name), cursor, found, &why);

    target->queue->looked++;
    if (got < 0)
        log_warn("what is ready for %s: %s", target->name, why.text);
    return got;
}

static bool
begins_with(struct view text, struct view prefix)
{
    return text.len >= prefix.len &&
           (prefix.len == 0 || memcmp(text.data, prefix.data, prefix.len) == 0);
}

static struct view
flow_of(const struct db_ready *found)
{
    return (struct view){found->flow, found->flow_len};
}

/* The part of a flow that is before its bucket. */
static struct view
domain_of(struct view flow)
{
    const char *end =
        flow.len > 0 ? memchr(flow.data, MESSAGE_FLOW_BUCKET, flow.len) : NULL;

    if (end != NULL)
        flow.len = (size_t)(end - flow.data);
    return flow;
}

/* The first row of a flow that is not before these texts, one behind the
 * other, and with an id above after_id where it is just this flow. */
static int
look_from(struct replay_target *target, struct view text, const char *more,
          uint64_t after_id, struct db_ready *found)
{
    struct db_ready_cursor cursor = {.id = after_id, .started = true};

    cursor.flow_len = text.len;
    if (text.len > 0)
        memcpy(cursor.flow, text.data, text.len);
    for (; *more != 0 && cursor.flow_len < sizeof(cursor.flow) - 1; more++)
        cursor.flow[cursor.flow_len++] = *more;
    return look(target, &cursor, found);
}

/* The first row behind all flows of this domain. */
static int
look_behind(struct replay_target *target, struct view domain,
            struct db_ready *found)
{
    static const char behind[] = {MESSAGE_FLOW_BUCKET + 1, 0};
    static const char prefer[] = {MESSAGE_FLOW_PREFER, 0};

    /* Mail with no domain at all, of stores from before there were buckets. */
    return look_from(target, domain, domain.len > 0 ? behind : prefer, 0,
                     found);
}

/* Is it under way, or about to be? */
static bool
is_taken(struct replay_target *target, uint64_t id)
{
    const struct replay_queue *q = target->queue;

    for (size_t i = 0; i < q->batch_n; i++)
        if (q->batch[q->batch_first + i] == id)
            return true;
    for (size_t i = 0; i < q->live_n; i++)
        if (q->live[(q->live_first + i) % q->live_cap] == id)
            return true;
    return replay_job_is_known(target, id);
}

/* Goes on behind the last message of the found flow that was taken; false:
 * nothing new in it for now. */
static bool
turn_message(struct replay_target *target, struct db_ready *found)
{
    struct replay_queue *q = target->queue;
    char flow_text[MESSAGE_FLOW_KEY_MAX + 1];
    struct view flow = {flow_text, found->flow_len};
    struct place *place = place_of(target, flow_of(found));
    /* What is in the batch is not under way yet: it would be found again. */
    bool again = place->at != 0 && q->batch_n == 0;
    uint64_t after = place->at;
    int got = 1;

    memcpy(flow_text, found->flow, found->flow_len);
    if (after != 0)
        got = look_from(target, flow, "", after, found);
    for (;;) {
        bool in_flow = got == 1 && view_equal(flow_of(found), flow);

        if (in_flow && !is_taken(target, found->id)) {
            place->at = found->id;
            return true;
        }
        if ((!in_flow && !again) || q->looked >= LOOK_MAX)
            return false;
        if (!in_flow)
            again = false; /* from its start, once */
        after = place->at = in_flow ? found->id : 0;
        got = look_from(target, flow, "", after, found);
    }
}

/* The bucket of a flow; 0: it has none. */
static unsigned
bucket_of(struct view flow)
{
    return domain_of(flow).len < flow.len ? (uint8_t)flow.data[flow.len - 1]
                                          : 0;
}

/* The first row of the domain in a bucket after this one. */
static bool
look_bucket(struct replay_target *target, struct view domain, unsigned after,
            struct db_ready *found)
{
    char from[] = {MESSAGE_FLOW_BUCKET, (char)(after > 0 ? after + 1 : 0), 0};

    return look_from(target, domain, from, 0, found) == 1 &&
           view_equal(domain_of(flow_of(found)), domain);
}

#define NOTICES ('A' + MESSAGE_BUCKET_NOTICE - 1)

bool
replay_queue_is_notice(struct view flow)
{
    return bucket_of(flow) == NOTICES;
}

bool
replay_queue_passed_notices(struct replay_target *target)
{
    bool passed = target->queue->passed_notices;

    target->queue->passed_notices = false;
    return passed;
}

/* A message of this bucket, in its turn. */
static bool
turn_bucket(struct replay_target *target, unsigned bucket,
            struct db_ready *found)
{
    if (bucket != NOTICES)
        return turn_message(target, found);
    if (!replay_notices_may_go()) {
        target->queue->passed_notices = true;
        return false;
    }
    if (!turn_message(target, found))
        return false;
    replay_notices_went();
    return true;
}

/* A message of the domain whose first row this is: of the bucket after the
 * one that had the last turn, or else of the next one that has something. */
static bool
turn_domain(struct replay_target *target, const struct db_ready *first,
            uint64_t *id)
{
    struct view domain = domain_of(flow_of(first));
    unsigned last = (unsigned)place_of(target, domain)->at, bucket;
    struct db_ready found = *first, at;
    bool wrapped = last == 0 || !look_bucket(target, domain, last, &found);

    if (wrapped)
        found = *first;
    for (;;) {
        at = found;
        bucket = bucket_of(flow_of(&found));
        if (turn_bucket(target, bucket, &found)) {
            place_of(target, domain)->at = bucket;
            *id = found.id;
            return true;
        }
        if (target->queue->looked >= LOOK_MAX)
            return false;
        found = at;
        if (!look_bucket(target, domain, bucket, &found)) {
            if (wrapped)
                return false;
            wrapped = true;
            found = *first;
        }
        if (wrapped && last != 0 && bucket_of(flow_of(&found)) > last)
            return false; /* it was the first of this turn */
    }
}

static void
keep_turn(struct replay_turn *turn, struct view domain)
{
    memcpy(turn->domain, domain.data, domain.len);
    turn->len = domain.len;
    turn->began = true;
}

/* One turn among the domains whose flows begin with prefix. 1: *id is a
 * message; 0: the domain had nothing new; -1: that was the last domain. */
static int
take_turn(struct replay_target *target, struct replay_turn *turn,
          struct view prefix, uint64_t *id)
{
    struct db_ready found;
    char domain[MESSAGE_FLOW_KEY_MAX + 1];
    struct view begun = {domain, 0};
    int got;

    if (turn->began)
        got =
            look_behind(target, (struct view){turn->domain, turn->len}, &found);
    else
        got = look_from(target, prefix, "", 0, &found);
    if (got != 1 || !begins_with(flow_of(&found), prefix)) {
        turn->began = false;
        return -1;
    }
    begun.len = domain_of(flow_of(&found)).len;
    memcpy(domain, found.flow, begun.len);
    keep_turn(turn, begun);
    return turn_domain(target, &found, id) ? 1 : 0;
}

/* --- filling ------------------------------------------------------------- */

/* Turns until the batch is full, or everything was looked at for now. True: a
 * whole pass through the domains of the region found nothing new. */
static bool
fill_region(struct replay_target *target, struct replay_turn *turn,
            struct view prefix)
{
    struct replay_queue *q = target->queue;
    bool whole = !turn->began, any = false;

    while (q->batch_n < REPLAY_BATCH_MAX && q->looked < LOOK_MAX) {
        int got = take_turn(target, turn, prefix, &q->batch[q->batch_n]);

        q->batch_n += got == 1;
        any |= got == 1;
        if (got >= 0)
            continue;
        if (whole && !any)
            return true;
        whole = true;
        any = false;
    }
    return false;
}

/* A rule that is over at a time of the system's clock. */
static void
add_rule(const struct prefer_rule *row)
{
    int64_t left_ms = (int64_t)row->until_ms - clock_wall_ms();

    queues.rules[queues.n_rules++] = (struct rule){
        .number = row->number,
        .until_ms = row->until_ms == 0 ? INT64_MAX : loop_now_ms() + left_ms,
    };
}

void
replay_queue_rules(void)
{
    struct buf memory = {0};
    struct prefer_rule row = {0};
    struct why why;
    int found = 0;

    queues.n_rules = 0;
    while (queues.n_rules < PREFER_MAX &&
           (found = db_read_prefer_after(replay_db(), row.number, &row, &memory,
                                         &why)) == 1)
        add_rule(&row);
    if (found < 0)
        log_warn("what goes first: %s", why.text);
    buf_free(&memory);
}

/* What rules prefer, with turns of its own. */
static void
fill_preferred(struct replay_target *target)
{
    struct replay_queue *q = target->queue;
    char text[MESSAGE_PREFER_LEN + 1];
    int64_t now_ms = loop_now_ms();

    if (queues.n_rules > 0 && q->preferred == NULL)
        q->preferred = mem_alloc(sizeof(*q->preferred));
    for (size_t i = 0; i < queues.n_rules && q->batch_n == 0; i++) {
        if (queues.rules[i].until_ms <= now_ms)
            continue;
        message_prefer_key(queues.rules[i].number, text);
        fill_region(target, q->preferred, view_of(text));
    }
}

/* Everything was looked at. Once more, unless nothing was begun meanwhile:
 * there is only what is under way, or rows that stand for nothing. */
static void
end_round(struct replay_queue *q)
{
    q->maybe_more = q->round_began;
    q->round_began = false;
    q->round_ended = false;
}

static void
fill(struct replay_target *target)
{
    struct replay_queue *q = target->queue;

    q->batch_first = 0;
    q->looked = 0;
    if (q->round_ended)
        end_round(q);
    if (!q->maybe_more)
        return;
    fill_preferred(target);
    if (q->batch_n > 0)
        return;
    if (fill_region(target, &q->turn, (struct view){"", 0})) {
        q->round_ended = q->batch_n > 0; /* judged when these were tried */
        if (!q->round_ended)
            end_round(q);
    }
    if (q->batch_n == 0 && q->maybe_more)
        replay_target_run(target); /* after others had their turn */
}

size_t
replay_queue_known(const struct replay_target *target)
{
    return target->queue->live_n + target->queue->batch_n;
}

size_t
replay_queue_waiting(struct replay_target *target)
{
    struct replay_queue *q = target->queue;

    if (q->live_n + q->batch_n == 0)
        fill(target);
    return q->live_n + q->batch_n;
}

bool
replay_queue_next(struct replay_target *target, uint64_t *id)
{
    struct replay_queue *q = target->queue;

    if (q->batch_n == 0 && (q->live_n == 0 || q->turns >= LIVE_TURNS))
        fill(target);
    if (q->live_n > 0 && (q->batch_n == 0 || q->turns < LIVE_TURNS)) {
        *id = q->live[q->live_first];
        q->live_first = (q->live_first + 1) % q->live_cap;
        q->live_n--;
    } else if (q->batch_n > 0) {
        *id = q->batch[q->batch_first++];
        q->batch_n--;
    } else {
        return false;
    }
    q->turns = (q->turns + 1) % LIVE_ROUND;
    return true;
}

void
replay_queue_began(struct replay_target *target)
{
    target->queue->round_began = true;
}

void
replay_queue_again(struct replay_target *target)
{
    target->queue->turn.began = false;
    memset(queues.places, 0, sizeof(queues.places));
    replay_queue_look(target);
}
