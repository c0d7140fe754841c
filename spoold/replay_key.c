/* SPDX-License-Identifier: ISC */
/*
 * Reading what is sealed. Replay has the secret halves of the spool's key
 * pairs; with a message's row and its data key's row they give the key of its
 * pieces. After a rotation the data keys that are sealed to a former pair are
 * sealed anew, a few at a time; when none is left the parent is told and
 * forgets that pair's secret.
 *
 * Before: parent_key.c (PAIRS)   After: replay_content.c
 */
#include <stdlib.h>

#include "db_read.h"
#include "key_file.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "peer.h"
#include "replay.h"
#include "sealing.h"

#define STEP_KEYS 100
#define STEP_MS   5
#define SETTLE_MS 200
#define AGAIN_MS  60000

static struct {
    struct seal_reader *reader;
    struct seal_pair *pairs; /* of the reader, the current one first */
    size_t n_pairs;
    struct buf lost; /* ids of pairs that are known to be lost */
    struct loop_timer *step;
    bool agreed; /* the store lets in none that is sealed to a former pair */
    uint64_t cursor; /* data keys up to here are done */
    bool found;      /* one was sealed to a former pair, in this pass */
    bool stuck;      /* one could not be sealed anew */
    struct buf row;
} keys;

static void reseal_step(void *arg);

static void pass_again(uint64_t in_ms);

/* --- PAIRS ---------------------------------------------------------------- */

static int
find_dictionary(uint64_t id, struct buf *out, struct why *why)
{
    struct buf memory = {0};
    struct dictionary_row row;
    int found = replay_db() != NULL
                    ? db_read_dictionary(replay_db(), id, &row, &memory, why)
                    : 0;

    if (found == 1)
        buf_add_view(out, row.bytes);
    buf_free(&memory);
    return found;
}

/* False: each of them was here before. */
static bool
keep_pairs(const struct proto_pairs *list)
{
    const struct proto_pair *items = list->pairs.items;
    bool fresh = false;
    size_t n = 0;

    buf_reset(&keys.lost);
    for (size_t i = 0; i < list->pairs.count; i++) {
        if (items[i].lost)
            buf_add_view(&keys.lost, items[i].id);
        else if (!seal_reader_has(keys.reader, items[i].id))
            fresh = true;
    }
    if (keys.pairs != NULL)
        explicit_bzero(keys.pairs, keys.n_pairs * sizeof(*keys.pairs));
    free(keys.pairs);
    keys.pairs = mem_alloc((list->pairs.count + 1) * sizeof(*keys.pairs));
    for (size_t i = 0; i < list->pairs.count; i++)
        if (items[i].secret.len == SEAL_SECRET)
            seal_pair_of(&keys.pairs[n++], items[i].secret.data);
    keys.n_pairs = n;
    seal_reader_use(keys.reader, keys.pairs, n);
    return fresh;
}

void
replay_key_on_pairs(struct peer_message *message)
{
    if (keys.reader == NULL) {
        keys.reader = seal_reader_new();
        keys.step = loop_timer_new(reseal_step, NULL);
        body_find_dictionaries_by(find_dictionary);
    }
    sealing_on_pairs(message);
    if (keep_pairs(message->payload) && replay_db() != NULL)
        replay_job_keys_came();
    pass_again(STEP_MS);
}

/* --- reading -------------------------------------------------------------- */

int
replay_key_of(const struct message *message, char key[SEAL_KEY],
              struct why *why)
{
    struct data_key row;
    int found;

    if (message->key == 0)
        return 0;
    if (keys.reader == NULL)
        return why_text(why, "the secret keys are not there yet");
    found = db_read_data_key(replay_db(), message->key, &row, &keys.row, why);
    if (found == 0)
        return why_text(why, "its data key is missing");
    if (found < 0 || seal_reader_key(keys.reader, message, &row, key, why) != 0)
        return -1;
    return 1;
}

static bool
is_lost(struct view pair)
{
    for (size_t at = 0; at + SEAL_PAIR_ID <= keys.lost.len; at += SEAL_PAIR_ID)
        if (view_equal(pair, (struct view){keys.lost.data + at, SEAL_PAIR_ID}))
            return true;
    return false;
}

int
replay_key_check(const struct message *message, struct why *why)
{
    char pair[KEY_PAIR_TEXT_MAX];
    struct data_key row;
    int found;

    if (message->key == 0)
        return 1;
    found = db_read_data_key(replay_db(), message->key, &row, &keys.row, why);
    if (found < 0)
        return 1; /* reading it will say so in its own way */
    if (found == 0) {
        why_text(why, "its data key is missing");
        return -1;
    }
    if (row.pair.len != SEAL_PAIR_ID || seal_reader_has(keys.reader, row.pair))
        return 1;
    why_text(why, "the secret of key pair %s is lost",
             key_pair_print(row.pair.data, pair));
    return is_lost(row.pair) ? -1 : 0;
}

/* --- sealing anew --------------------------------------------------------- */

static struct view
current_id(void)
{
    return (struct view){keys.pairs[0].public.id, SEAL_PAIR_ID};
}

/* From the first data key on, in a while. */
static void
pass_again(uint64_t in_ms)
{
    keys.cursor = 0;
    keys.found = keys.stuck = keys.agreed = false;
    loop_timer_set(keys.step, in_ms);
}

static void
on_rekeyed(void *arg, struct peer_message *answer)
{
    const struct proto_done *done = answer != NULL ? answer->payload : NULL;

    (void)arg;
    if (done == NULL || !done->done || !view_equal(done->text, current_id())) {
        pass_again(SETTLE_MS); /* it is away, or has not heard of it yet */
        return;
    }
    keys.agreed = true;
    loop_timer_set(keys.step, STEP_MS);
}

/* A whole pass found nothing: the former pairs have done their duty. */
static void
tell_parent(void)
{
    for (size_t i = 1; i < keys.n_pairs; i++) {
        struct proto_pair pair = {
            .id = {keys.pairs[i].public.id, SEAL_PAIR_ID}};

        peer_send(ROLE_PARENT, PROTO_RESEALED, &pair, -1);
    }
}

static void
end_of_pass(void)
{
    if (keys.found) {
        pass_again(STEP_MS);
        return;
    }
    if (!keys.stuck)
        tell_parent();
    pass_again(AGAIN_MS); /* if the file could not be written */
}

/* Rows of one step, with what their views point into. */
struct step {
    struct data_key rows[STEP_KEYS];
    char sealed[STEP_KEYS][SEAL_SEALED];
    size_t n;
};

/* 1: there are more, 0: the end, -1: the store failed. */
static int
collect(struct step *step)
{
    struct data_key row;
    struct why why;
    int found = 1;

    for (size_t looked = 0; looked < 10 * STEP_KEYS && step->n < STEP_KEYS;
         looked++) {
        found = db_read_data_key_after(replay_db(), keys.cursor, &row,
                                       &keys.row, &why);
        if (found < 0)
            log_warn("data keys are not sealed anew: %s", why.text);
        if (found != 1)
            return found;
        keys.cursor = row.id;
        if (view_equal(row.pair, current_id()) ||
            !seal_reader_has(keys.reader, row.pair))
            continue;
        if (seal_reader_reseal(keys.reader, &row, &keys.pairs[0].public,
                               step->sealed[step->n], &why) != 0) {
            if (!keys.stuck)
                log_warn("a data key cannot be sealed anew: %s", why.text);
            keys.stuck = true; /* the former pairs stay */
            continue;
        }
        step->rows[step->n] =
            (struct data_key){.id = row.id,
                              .made_ms = row.made_ms,
                              .pair = {keys.pairs[0].public.id, SEAL_PAIR_ID},
                              .sealed = {step->sealed[step->n], SEAL_SEALED}};
        step->n++;
    }
    return 1;
}

static void
reseal(struct step *step)
{
    struct proto_data_keys list;
    int more = keys.agreed ? collect(step) : 1;

    /* The first list is empty: its answer says that what comes to the store
     * from then on is not sealed to a former pair. */
    if (step->n > 0 || !keys.agreed) {
        keys.found = keys.found || step->n > 0;
        list.keys = (struct record_list){step->rows, step->n};
        peer_call(ROLE_STORE, PROTO_REKEY, &list, -1, on_rekeyed, NULL);
    } else if (more == 1) {
        loop_timer_set(keys.step, STEP_MS);
    } else if (more == 0) {
        end_of_pass();
    } else {
        pass_again(AGAIN_MS);
    }
}

static void
reseal_step(void *arg)
{
    struct step *step;

    (void)arg;
    if (keys.n_pairs < 2)
        return;
    if (replay_db() == NULL) {
        loop_timer_set(keys.step, SETTLE_MS);
        return;
    }
    step = mem_alloc(sizeof(*step));
    reseal(step);
    free(step);
}
