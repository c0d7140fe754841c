/* SPDX-License-Identifier: ISC */
/*
 * hold, release, discard, replay again, erase: the messages meant are found
 * step by step, and the store is told of them in portions that hold up no
 * mail; the next portion follows the answer to the last. What was erased is
 * written over at the end, also when the client does not wait for it.
 *
 * Before: control_client.c (step by step)
 * After:  store.c (STEER), store_scrub.c (SCRUB)
 */
#include "control.h"

#include <inttypes.h>
#include <stdlib.h>

#include "clock.h"
#include "event.h"
#include "mem.h"
#include "msgid.h"
#include "query.h"

#define ITEMS_MAX  250 /* deliveries, or messages to erase, in one portion */
#define REASON_MAX 500
#define SCRUB_MS   600000
#define DIGEST_MAX MESSAGE_DIGEST

/* What each of them is about. */
static const struct steer_kind {
    enum event_kind event;
    const char *name; /* of what was done, in the answer */
    bool finished;    /* it is for messages that have ended, too */
    const char *none; /* where a message has nothing it applies to */
} kinds[] = {
    [STEER_HOLD] = {EVENT_HELD, "held", false, "nothing to hold"},
    [STEER_RELEASE] = {EVENT_RELEASED, "released", false, "nothing on hold"},
    [STEER_DISCARD] = {EVENT_DISCARDED, "discarded", false, "nothing open"},
    [STEER_AGAIN] = {EVENT_AGAIN, "again", true, "nothing to deliver again"},
    [STEER_ERASE] = {EVENT_ERASED, "erased", true, "not here"},
};

/* Of a message in this portion that is to be erased. */
struct receipt {
    uint64_t id;
    uint64_t stored;
    uint64_t open;
    char digest[DIGEST_MAX];
    size_t digest_len;
};

struct steer {
    enum steer_what what;
    bool dry_run;
    const char *reason;
    bool by_id; /* the arguments are ids, not a query */
    size_t next_argument;
    struct control_walk walk;
    bool has_message;
    struct db_message message;
    size_t next_delivery; /* of message */
    bool counted;         /* message is among the messages */

    struct proto_steer_item items[ITEMS_MAX];
    size_t n_items;
    struct receipt *receipts; /* erase: one an item */
    bool one_by_one;          /* of the items, since all at once were refused */
    size_t next_item;
    bool told;     /* the store has changed something */
    bool scrubbed; /* or nothing is to be written over */

    uint64_t messages; /* meant */
    uint64_t meant;    /* deliveries, or messages to erase */
    uint64_t done;
    size_t missing; /* ids with nothing it applies to */
    char first_missing[MSGID_TEXT_MAX];
    size_t failed; /* that the store refused */
    struct why first_failed;
};

static void steer_step(struct control_client *client);

static void
steer_free(void *work)
{
    struct steer *steer = work;
    struct proto_none none = {0};

    /* The client left in between: what was erased is written over all the
     * same. */
    if (steer->what == STEER_ERASE && steer->told && !steer->scrubbed)
        peer_send(ROLE_STORE, PROTO_SCRUB, &none, -1);
    control_walk_end(&steer->walk);
    if (steer->has_message)
        db_message_free(&steer->message);
    free(steer->receipts);
    free(steer);
}

/* --- which deliveries ----------------------------------------------------- */

static bool
is_meant(const struct steer *steer, const struct delivery *delivery)
{
    const struct control_walk *walk = &steer->walk;

    if (!steer_applies(steer->what, delivery->state))
        return false;
    /* What failed is made once more only where the query says so. */
    if (steer->what == STEER_AGAIN && delivery->state != DELIVERY_DELIVERED &&
        (steer->by_id || !query_names_state(walk->query)))
        return false;
    return steer->by_id ||
           query_means(walk->query, &steer->message, delivery, walk->now_ms);
}

static void
add_item(struct steer *steer, uint64_t n)
{
    steer->items[steer->n_items++] =
        (struct proto_steer_item){steer->message.id, n};
    steer->meant++;
    if (!steer->counted)
        steer->messages++;
    steer->counted = true;
}

static void
add_erasure(struct steer *steer)
{
    const struct message *message = &steer->message.message;
    struct receipt *receipt = &steer->receipts[steer->n_items];

    *receipt = (struct receipt){.id = steer->message.id,
                                .stored = message->stored,
                                .digest_len = message->digest.len};
    if (receipt->digest_len > DIGEST_MAX)
        receipt->digest_len = DIGEST_MAX;
    if (receipt->digest_len > 0)
        memcpy(receipt->digest, message->digest.data, receipt->digest_len);
    for (size_t i = 0; i < steer->message.n_deliveries; i++)
        receipt->open +=
            delivery_is_open(steer->message.deliveries[i].delivery.state);
    add_item(steer, 0);
}

/* What still fits of the message that was found; frees it at its end. */
static void
add_message(struct steer *steer)
{
    struct db_message *message = &steer->message;

    if (steer->what == STEER_ERASE) {
        add_erasure(steer);
        steer->next_delivery = message->n_deliveries;
    }
    for (; steer->next_delivery < message->n_deliveries &&
           steer->n_items < ITEMS_MAX;
         steer->next_delivery++) {
        const struct db_delivery *row =
            &message->deliveries[steer->next_delivery];

        if (is_meant(steer, &row->delivery))
            add_item(steer, row->n + 1);
    }
    if (steer->next_delivery < message->n_deliveries)
        return;
    if (steer->by_id && !steer->counted && steer->missing++ == 0)
        msgid_print(message->id, steer->first_missing);
    db_message_free(message);
    steer->has_message = false;
}

/* As control_walk_next answers, for ids on the command line. */
static int
next_named(struct control_client *client, struct why *why)
{
    struct steer *steer = client->work;
    struct db *db = control_db(why);
    uint64_t id = 0;
    int found;

    if (db == NULL)
        return -1;
    while (steer->next_argument < control_n_arguments(client)) {
        if (steer->walk.rows-- == 0)
            return 2;
        msgid_parse(control_argument(client, steer->next_argument++), &id);
        found = db_read_message(db, id, &steer->message, why);
        if (found != 0)
            return found;
        if (steer->missing++ == 0)
            msgid_print(id, steer->first_missing);
    }
    return 0;
}

/* Fills a portion. 1: it is full, or enough was looked at for this step; 0:
 * there are no more messages; -1: the store failed. */
static int
collect(struct control_client *client, struct why *why)
{
    struct steer *steer = client->work;

    steer->walk.rows = CONTROL_ROWS_MAX;
    while (steer->n_items < ITEMS_MAX) {
        int found = 1;

        if (!steer->has_message) {
            found = steer->by_id
                        ? next_named(client, why)
                        : control_walk_next(&steer->walk, &steer->message, why);
            steer->has_message = found == 1;
            steer->next_delivery = 0;
            steer->counted = false;
        }
        if (found != 1)
            return found == 2 ? 1 : found;
        add_message(steer);
    }
    return 1;
}

/* --- what is said --------------------------------------------------------- */

static void
show_receipt(struct control_client *client, const struct receipt *receipt)
{
    char id[MSGID_TEXT_MAX], digest[2 * DIGEST_MAX + 1] = "";

    for (size_t i = 0; i < receipt->digest_len; i++)
        snprintf(digest + 2 * i, 3, "%02x", (unsigned char)receipt->digest[i]);
    control_row(client, json_pack("{s:s, s:s, s:I, s:I}", "id",
                                  msgid_print(receipt->id, id), "digest",
                                  digest, "stored", (json_int_t)receipt->stored,
                                  "open", (json_int_t)receipt->open));
}

static void
log_event(const struct control_client *client, const struct steer *steer)
{
    struct event event;

    event_begin(&event, kinds[steer->what].event);
    event_text(&event, "by", control_operator(client));
    event_num(&event, "messages", steer->messages);
    event_num(&event, "done", steer->done);
    event_text(&event, "reason", steer->reason);
    event_end(&event);
}

static void
steer_end(struct control_client *client)
{
    struct steer *steer = client->work;
    const struct steer_kind *kind = &kinds[steer->what];
    uint64_t done = steer->dry_run ? steer->meant : steer->done;

    if (steer->told)
        log_event(client, steer);
    if (steer->messages > 0 && steer->what != STEER_ERASE)
        control_row(client,
                    json_pack("{s:I, s:I, s:b}", kind->name, (json_int_t)done,
                              "messages", (json_int_t)steer->messages,
                              "dry_run", (int)steer->dry_run));
    control_note(client, kind->name, done);
    control_note(client, "messages", steer->messages);
    control_note(client, "dry_run", steer->dry_run);
    if (steer->failed > 0)
        control_fail(client, "%zu could not be changed, first %s",
                     steer->failed, steer->first_failed.text);
    else if (steer->missing > 0)
        control_fail(client, "%zu of the messages: %s, first %s",
                     steer->missing, kind->none, steer->first_missing);
    else if (steer->walk.damaged > 0)
        control_fail(client, "%zu messages could not be read, first %s",
                     steer->walk.damaged, steer->walk.first_damage.text);
    else if (steer->messages == 0)
        control_fail(client, "nothing matches: %s", kind->none);
    else
        control_done(client);
}

/* --- what is asked of the store ------------------------------------------- */

static void
on_scrubbed(struct control_client *client, struct peer_message *answer,
            const struct why *why)
{
    struct steer *steer = client->work;
    const struct proto_done *done = answer != NULL ? answer->payload : NULL;

    steer->scrubbed = true;
    if (done != NULL && done->done) {
        control_note(client, "pages", done->count);
        steer_end(client);
        return;
    }
    log_event(client, steer);
    control_fail(client,
                 "%" PRIu64 " messages are erased, but their bytes may still "
                 "be in the file: %.*s",
                 steer->done, done != NULL ? (int)done->text.len : WHY_TEXT_MAX,
                 done != NULL ? done->text.data : why->text);
}

static void
finish(struct control_client *client)
{
    struct steer *steer = client->work;
    struct proto_none none = {0};

    if (steer->what == STEER_ERASE && steer->told)
        control_ask(client, ROLE_STORE, PROTO_SCRUB, &none, SCRUB_MS,
                    on_scrubbed);
    else
        steer_end(client);
}

/* The portion, or the one item of it that is next, is done or was refused. */
static void
portion_done(struct steer *steer, const struct proto_done *answer)
{
    char id[MSGID_TEXT_MAX];

    if (answer->done) {
        steer->done += answer->count;
        steer->told = steer->told || answer->count > 0;
    } else if (!steer->one_by_one) {
        /* One of them is damaged: the others are not to suffer. */
        steer->one_by_one = true;
        steer->next_item = 0;
        return;
    } else if (steer->failed++ == 0) {
        why_text(&steer->first_failed, "%s: %.*s",
                 msgid_print(steer->items[steer->next_item].id, id),
                 (int)answer->text.len, answer->text.data);
    }
    if (steer->one_by_one && ++steer->next_item < steer->n_items)
        return;
    steer->one_by_one = false;
    steer->n_items = 0;
}

static void
on_steered(struct control_client *client, struct peer_message *answer,
           const struct why *why)
{
    struct steer *steer = client->work;
    const struct proto_done *done;

    if (answer == NULL) {
        /* It may have happened all the same. */
        steer->told = true;
        control_fail(client, "%s (%" PRIu64 " %s so far)", why->text,
                     steer->done, kinds[steer->what].name);
        return;
    }
    done = answer->payload;
    if (steer->what == STEER_ERASE && done->done)
        for (size_t i = steer->one_by_one ? steer->next_item : 0;
             i < (steer->one_by_one ? steer->next_item + 1 : steer->n_items);
             i++)
            show_receipt(client, &steer->receipts[i]);
    portion_done(steer, done);
    control_continue(client, steer_step);
}

static void
tell_store(struct control_client *client)
{
    struct steer *steer = client->work;
    struct proto_steer request = {
        .what = steer->what,
        .when_ms = (uint64_t)clock_wall_ms(),
        .by = view_of(control_operator(client)),
        .reason = view_of(steer->reason),
        .items = {steer->items, steer->n_items},
    };

    if (steer->one_by_one)
        request.items =
            (struct record_list){&steer->items[steer->next_item], 1};
    control_ask(client, ROLE_STORE, PROTO_STEER, &request, CONTROL_COMMIT_MS,
                on_steered);
}

static void
show_dry(struct control_client *client)
{
    struct steer *steer = client->work;

    for (size_t i = 0; steer->what == STEER_ERASE && i < steer->n_items; i++)
        show_receipt(client, &steer->receipts[i]);
    steer->n_items = 0;
    control_continue(client, steer_step);
}

static void
steer_step(struct control_client *client)
{
    struct steer *steer = client->work;
    struct why why;
    int more = 1;

    if (steer->n_items == 0) /* else: one by one, where it was refused */
        more = collect(client, &why);
    if (more < 0)
        control_fail(client, "%s", why.text);
    else if (steer->n_items > 0 && steer->dry_run)
        show_dry(client);
    else if (steer->n_items > 0)
        tell_store(client);
    else if (more > 0)
        control_continue(client, steer_step);
    else
        finish(client);
}

/* --- the commands --------------------------------------------------------- */

static int
begin_walk(struct control_client *client, struct steer *steer, struct why *why)
{
    uint64_t id;

    steer->by_id = true;
    for (size_t i = 0; i < control_n_arguments(client); i++)
        if (msgid_parse(control_argument(client, i), &id) != 0)
            steer->by_id = false;
    if (steer->by_id)
        return 0;
    return kinds[steer->what].finished
               ? control_walk_begin_any(&steer->walk, client, why)
               : control_walk_begin(&steer->walk, client, why);
}

static void
steer_begin(struct control_client *client, enum steer_what what)
{
    struct steer *steer = mem_alloc(sizeof(*steer));
    const char *reason = control_option_text(client, CTL_OPTION_REASON);
    struct why why;

    client->work = steer;
    client->work_free = steer_free;
    steer->what = what;
    steer->dry_run = control_option_text(client, CTL_OPTION_DRY_RUN) != NULL;
    steer->reason = reason != NULL ? reason : "";
    if (what == STEER_ERASE)
        steer->receipts = mem_alloc(ITEMS_MAX * sizeof(*steer->receipts));
    if (strlen(steer->reason) > REASON_MAX)
        control_refuse(client, "a reason has %d bytes at the most", REASON_MAX);
    else if (begin_walk(client, steer, &why) != 0)
        control_refuse(client, "%s", why.text);
    else
        steer_step(client);
}

void
control_hold(struct control_client *client)
{
    steer_begin(client, STEER_HOLD);
}

void
control_release(struct control_client *client)
{
    steer_begin(client, STEER_RELEASE);
}

void
control_discard(struct control_client *client)
{
    steer_begin(client, STEER_DISCARD);
}

void
control_replay_again(struct control_client *client)
{
    steer_begin(client, STEER_AGAIN);
}

void
control_erase(struct control_client *client)
{
    steer_begin(client, STEER_ERASE);
}
