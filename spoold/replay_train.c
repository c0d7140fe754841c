/* SPDX-License-Identifier: ISC */
/*
 * Training a dictionary: replay can read what is held, so it takes samples,
 * some messages a turn, and has a thread of its own work on them, which knows
 * nothing but these samples. What comes out holds only what is common to many
 * (dictionary.h), and goes to the store.
 *
 * Before: control_dictionary.c (TRAIN)   After: store_learn.c (LEARN)
 */
#include <sys/resource.h>

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "db_read.h"
#include "dictionary.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "peer.h"
#include "replay.h"

#define MESSAGES_A_STEP 20
#define ROWS_A_STEP     2000
#define POLL_MS         50
#define TRAIN_NICE      10

static struct {
    bool running;
    enum role from; /* who asked */
    uint64_t call;
    struct dictionary_trainer *trainer;
    struct loop_timer *timer;
    uint64_t after_id;
    uint64_t every; /* one message of so many is a sample */
    uint64_t seen;
    uint32_t id;
    pthread_t thread;
    struct buf out;
    struct why why;
    int result;
    int done; /* atomic: the thread has ended its work */
} train;

static void train_step(void *arg);
static void train_wait(void *arg);

static void
train_end(const char *reason)
{
    struct proto_done answer = {.done = reason == NULL,
                                .count = train.id,
                                .text = view_of(reason != NULL ? reason : "")};

    peer_answer(train.from, train.call, PROTO_TRAINED, &answer);
    dictionary_trainer_free(&train.trainer);
    buf_free(&train.out);
    train.running = false;
    malloc_trim(0);
}

/* --- the dictionary --------------------------------------------------------
 */

static void
on_learned(void *arg, struct peer_message *answer)
{
    const struct proto_done *done = answer != NULL ? answer->payload : NULL;
    char reason[WHY_TEXT_MAX];

    (void)arg;
    if (done == NULL) {
        train_end("the store is away");
    } else if (!done->done) {
        snprintf(reason, sizeof(reason), "%.*s", (int)done->text.len,
                 done->text.data);
        train_end(reason);
    } else {
        train_end(NULL);
    }
}

/* Mail goes first: the loop has the processor before this. */
static void *
train_thread(void *arg)
{
    (void)arg;
    setpriority(PRIO_PROCESS, 0, TRAIN_NICE); /* of this thread alone */
    train.result = dictionary_trainer_finish(train.trainer, train.id,
                                             &train.out, &train.why);
    __atomic_store_n(&train.done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void
train_wait(void *arg)
{
    struct dictionary_row row = {.id = train.id,
                                 .made_ms = (uint64_t)clock_wall_ms()};

    (void)arg;
    if (!__atomic_load_n(&train.done, __ATOMIC_ACQUIRE)) {
        loop_timer_set(train.timer, POLL_MS);
        return;
    }
    pthread_join(train.thread, NULL);
    loop_timer_free(&train.timer);
    if (train.result != 0) {
        train_end(train.why.text);
        return;
    }
    row.bytes = buf_view(&train.out);
    peer_call(ROLE_STORE, PROTO_LEARN, &row, -1, on_learned, NULL);
}

/* An id no dictionary here has: those before count up. */
static int
choose_id(struct why *why)
{
    struct buf memory = {0};
    struct dictionary_row row;
    uint64_t id = DICTIONARY_TRAINED_ID - 1;
    int found;

    while ((found = db_read_dictionary_after(replay_db(), id, &row, &memory,
                                             why)) == 1)
        id = row.id;
    buf_free(&memory);
    /* Those that are gone may still be in a backup that comes back. */
    train.id = (uint32_t)id + 1 + (uint32_t)(clock_wall_ms() / 1000 % 1024);
    return found;
}

/* Signals stay with the loop. */
static int
start_thread(void)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&train.thread, NULL, train_thread, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : -1;
}

static void
train_begin_thread(void)
{
    loop_timer_free(&train.timer);
    if (choose_id(&train.why) < 0) {
        train_end(train.why.text);
        return;
    }
    train.done = 0;
    if (start_thread() != 0) {
        train_end("no thread can be started");
        return;
    }
    train.timer = loop_timer_new(train_wait, NULL);
    loop_timer_set(train.timer, POLL_MS);
}

/* --- samples ----------------------------------------------------------------
 */

/* One that cannot be read is no sample. Where there are more than there is
 * room for, they stay spread over all there is. */
static void
add_sample(uint64_t id)
{
    struct db_message row;
    struct view content, recipient = {0};
    struct why why;

    if (db_read_message(replay_db(), id, &row, &why) != 1)
        return;
    if (row.n_deliveries > 0)
        recipient = row.deliveries[0].delivery.recipient;
    if (replay_content_piece(id, &row.message, 0, &content, &why) == 1 &&
        !dictionary_trainer_add(train.trainer, content, row.message.flow,
                                recipient)) {
        dictionary_trainer_thin(train.trainer);
        train.every *= 2;
        dictionary_trainer_add(train.trainer, content, row.message.flow,
                               recipient);
    }
    db_message_free(&row);
}

static void
train_step(void *arg)
{
    size_t rows = ROWS_A_STEP, taken = 0;
    struct why why;

    (void)arg;
    while (taken < MESSAGES_A_STEP) {
        uint64_t id;
        int found = db_read_next_id(replay_db(), train.after_id, false, &rows,
                                    &id, &why);

        if (found < 0) {
            loop_timer_free(&train.timer);
            train_end(why.text);
            return;
        }
        train.after_id = id;
        if (found == 2)
            break;
        if (found == 1 && train.seen++ % train.every != 0)
            continue;
        if (found == 0) {
            train_begin_thread();
            return;
        }
        add_sample(id);
        taken++;
    }
    loop_timer_set(train.timer, 0);
}

void
replay_train_on_train(struct peer_message *message)
{
    struct db_counts counts;
    struct proto_done refused = {.text = VIEW("a training is under way")};

    if (train.running || replay_db() == NULL ||
        db_read_counts(replay_db(), &counts, &train.why) != 1) {
        if (!train.running)
            refused.text = VIEW("the store is not there yet");
        peer_reply(message, PROTO_TRAINED, &refused);
        return;
    }
    train.running = true;
    train.from = message->from;
    train.call = message->call;
    train.trainer = dictionary_trainer_new();
    train.after_id = 0;
    train.seen = 0;
    /* Were they a quarter of the longest: add_sample() knows better. */
    train.every =
        counts.messages * DICTIONARY_SAMPLE_MAX / 4 / DICTIONARY_SAMPLES_BYTES +
        1;
    train.timer = loop_timer_new(train_step, NULL);
    loop_timer_set(train.timer, 0);
}
