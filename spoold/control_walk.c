/* SPDX-License-Identifier: ISC */
/*
 * Going through the messages that match a query without holding a read
 * transaction: each call reads one message by its id, and after a bounded
 * number of rows the caller has to come back in a later turn. What arrives or
 * ends meanwhile is seen if the walk has not passed it.
 *
 * A query that demands enough of the signatures (sieve.h) is held against
 * them first, and only messages that pass are read; if those are many, all
 * rows in their order cost less. Both ways find the same.
 */
#include "control.h"

#include <stdlib.h>

#include "clock.h"
#include "msgid.h"
#include "query.h"

/* More than this pass: the signatures do not help. */
#define CANDIDATES_MAX  50000
#define CANDIDATES_ONCE 2048 /* in one transaction */
/* A block of signatures takes about as long as so many rows. */
#define ROWS_A_BLOCK 10

static void
walk_collect(struct control_walk *walk)
{
    walk->phase = WALK_COLLECT;
    walk->cursor = 0;
    walk->next_candidate = 0;
    buf_reset(&walk->candidates);
}

static int
walk_begin(struct control_walk *walk, const struct control_client *client,
           bool held, struct why *why)
{
    struct buf text = {0};
    uint64_t last_id;

    *walk = (struct control_walk){.now_ms = clock_wall_ms()};
    for (size_t i = 0; i < control_n_arguments(client); i++)
        query_add_word(&text, control_argument(client, i));
    walk->query = query_parse(buf_view(&text), why);
    buf_free(&text);
    if (walk->query == NULL)
        return -1;
    walk->held_only = held && query_want_held(walk->query);
    query_range(walk->query, walk->now_ms, &walk->after_id, &walk->last_id);
    if (query_sieve(walk->query, &walk->mask)) {
        walk_collect(walk);
    } else if (query_range_before(walk->query, walk->now_ms, &last_id) &&
               last_id < walk->last_id) {
        walk->imported_to = walk->last_id;
        walk->last_id = last_id;
    }
    return 0;
}

int
control_walk_begin(struct control_walk *walk,
                   const struct control_client *client, struct why *why)
{
    return walk_begin(walk, client, true, why);
}

int
control_walk_begin_any(struct control_walk *walk,
                       const struct control_client *client, struct why *why)
{
    return walk_begin(walk, client, false, why);
}

void
control_walk_end(struct control_walk *walk)
{
    query_free(&walk->query);
    buf_free(&walk->candidates);
}

/* A message that cannot be read is counted and passed over: the rest can. */
static void
walk_damaged(struct control_walk *walk, uint64_t id, const struct why *why)
{
    char text[MSGID_TEXT_MAX];

    if (walk->damaged++ == 0)
        why_text(&walk->first_damage, "%s: %s", msgid_print(id, text),
                 why->text);
}

static void
walk_pay(struct control_walk *walk, size_t rows)
{
    walk->rows = walk->rows > rows ? walk->rows - rows : 0;
}

/* --- signatures ----------------------------------------------------------- */

static int
compare_ids(const void *a, const void *b)
{
    uint64_t left, right;

    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return left < right ? -1 : left > right;
}

static size_t
n_candidates(const struct control_walk *walk)
{
    return walk->candidates.len / sizeof(uint64_t);
}

/* All signatures were seen: the candidates come next, in order. */
static void
walk_collected(struct control_walk *walk)
{
    if (walk->candidates.len > 0)
        qsort(walk->candidates.data, n_candidates(walk), sizeof(uint64_t),
              compare_ids);
    walk->phase = WALK_IDS;
}

/* One portion of signatures. 1: done, 2: enough for this step, -1: failed. */
static int
collect(struct control_walk *walk, struct db *db, struct why *why)
{
    uint64_t ids[CANDIDATES_ONCE];
    size_t allowed = walk->rows / ROWS_A_BLOCK, blocks = allowed;
    int n;

    if (blocks == 0)
        return 2;
    n = db_read_sieve(db, &walk->mask, &walk->cursor, &blocks, ids,
                      CANDIDATES_ONCE, why);
    if (n < 0)
        return -1;
    walk_pay(walk, (allowed - blocks) * ROWS_A_BLOCK);
    for (int i = 0; i < n; i++)
        if (ids[i] > walk->after_id && ids[i] <= walk->last_id)
            buf_add(&walk->candidates, (const char *)&ids[i], sizeof(ids[i]));
    if (n_candidates(walk) > CANDIDATES_MAX) {
        buf_free(&walk->candidates);
        walk->phase = WALK_ROWS;
    } else if (walk->cursor == UINT64_MAX) {
        walk_collected(walk);
    }
    return 1;
}

/* --- the next id ---------------------------------------------------------- */

/* As db_read_next_id answers, for each of the three phases. */
static int
next_row(struct control_walk *walk, struct db *db, uint64_t *id,
         struct why *why)
{
    int found = db_read_next_id(db, walk->after_id, walk->held_only,
                                &walk->rows, id, why);

    if (found < 0)
        return -1;
    if (found != 0 && *id <= walk->last_id) {
        walk->after_id = *id;
        return found;
    }
    if (walk->imported_to == 0)
        return 0;
    /* What is behind last_id arrived too late, but for what was imported. */
    walk->after_id = walk->last_id;
    walk->last_id = walk->imported_to;
    walk->imported_to = 0;
    walk->mask = (struct sieve){0};
    sieve_add(&walk->mask, SIEVE_IMPORTED, VIEW("import"));
    walk_collect(walk);
    return 2;
}

static int
next_candidate(struct control_walk *walk, uint64_t *id)
{
    if (walk->next_candidate == n_candidates(walk))
        return 0;
    if (walk->rows == 0)
        return 2;
    memcpy(id, walk->candidates.data + walk->next_candidate * sizeof(*id),
           sizeof(*id));
    walk->next_candidate++;
    walk->after_id = *id;
    return 1;
}

static int
next_id(struct control_walk *walk, struct db *db, uint64_t *id, struct why *why)
{
    while (walk->phase == WALK_COLLECT) {
        int done = collect(walk, db, why);

        if (done != 1)
            return done;
    }
    return walk->phase == WALK_ROWS ? next_row(walk, db, id, why)
                                    : next_candidate(walk, id);
}

int
control_walk_next(struct control_walk *walk, struct db_message *message,
                  struct why *why)
{
    struct db *db = control_db(why);

    if (db == NULL)
        return -1;
    for (;;) {
        struct why damage;
        uint64_t id;
        int found = next_id(walk, db, &id, why);

        if (found != 1)
            return found;
        walk_pay(walk, 1);
        found = db_read_message(db, id, message, &damage);
        if (found < 0)
            walk_damaged(walk, id, &damage);
        if (found <= 0) /* 0: it was purged since */
            continue;
        walk_pay(walk, message->n_deliveries);
        if (query_matches(walk->query, message, walk->now_ms))
            return 1;
        db_message_free(message);
    }
}
