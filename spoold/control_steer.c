/* SPDX-License-Identifier: ISC */
/*
 * hold, release, discard, redirect, replay again, return, undo, erase: the
 * messages meant are found step by step, and the store (of return: replay) is
 * told of them in portions that hold up no mail; the next portion follows the
 * answer to the last. What was erased is written over at the end, also when
 * the client does not wait for it.
 *
 * Before: control_client.c (step by step)
 * After:  store.c (STEER), store_scrub.c (SCRUB), replay_return.c (RETURN)
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
    [STEER_REDIRECT] = {EVENT_REDIRECTED, "redirected", false,
                        "nothing to redirect"},
    [STEER_UNDO] = {EVENT_UNDONE, "undone", true, "nothing to undo"},
    [STEER_RETURN] = {EVENT_RETURNED, "returned", false, "nothing to return"},
    [STEER_PREFER] = {EVENT_PREFER, "preferred", false, "nothing to prefer"},
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

    struct view target;       /* redirect: where to; empty: home */
    uint64_t rule;            /* prefer */
    uint64_t began_ms;        /* of the command, */
    uint64_t number;          /* and its number; 0: it cannot be undone */
    struct control_undo undo; /* undo: the walk */

    uint64_t messages; /* meant */
    uint64_t meant;    /* deliveries, or messages to erase */
    uint64_t done;
    size_t missing; /* ids with nothing it applies to */
    char first_missing[MSGID_TEXT_MAX];
    size_t failed; /* that the store refused */
    struct why first_failed;
    uint64_t left; /* return: whose senders cannot be told */
    struct why first_left;
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
    control_undo_end(&steer->undo);
    if (steer->has_message)
        db_message_free(&steer->message);
    free(steer->receipts);
    free(steer);
}

/* --- which deliveries ----------------------------------------------------- */

/* Is a redirect nothing to it? */
static bool
is_there(const struct steer *steer, const struct delivery *delivery)
{
    return steer->target.len > 0 ? view_equal(delivery->target, steer->target)
                                 : delivery->home.len == 0;
}

static bool
is_meant(const struct steer *steer, const struct delivery *delivery)
{
    const struct control_walk *walk = &steer->walk;
    const struct message *message = &steer->message.message;

    /* The notices that the command itself makes. */
    if (steer->what == STEER_RETURN && message->origin == ORIGIN_DSN &&
        message->arrived_ms >= steer->began_ms)
        return false;

    if (!steer_applies(steer->what, delivery->state))
        return false;
    /* What failed is made once more only where the query says so. */
    if (steer->what == STEER_AGAIN && delivery->state != DELIVERY_DELIVERED &&
        (steer->by_id || !query_names_state(walk->query)))
        return false;
    if (steer->what == STEER_REDIRECT && is_there(steer, delivery))
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

/* One for all its deliveries, where any of them is meant. */
static void
add_preferred(struct steer *steer)
{
    const struct db_message *message = &steer->message;

    for (size_t i = 0; i < message->n_deliveries; i++)
        if (is_meant(steer, &message->deliveries[i].delivery)) {
            add_item(steer, 0);
            return;
        }
}

/* What still fits of the message that was found; frees it at its end. */
static void
add_message(struct steer *steer)
{
    struct db_message *message = &steer->message;

    if (steer->what == STEER_ERASE) {
        add_erasure(steer);
        steer->next_delivery = message->n_deliveries;
    } else if (steer->what == STEER_PREFER) {
        add_preferred(steer);
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

/* The deliveries of the command that is undone. As collect. */
static int
collect_undo(struct steer *steer, struct why *why)
{
    for (size_t rows = CONTROL_ROWS_MAX / 10;
         rows > 0 && steer->n_items < ITEMS_MAX; rows--) {
        struct proto_steer_item *item = &steer->items[steer->n_items];
        uint64_t before = steer->undo.id;
        int found = control_undo_next(&steer->undo, steer->dry_run, item, why);

        if (found <= 0)
            return found;
        if (found == 2)
            continue;
        steer->messages += item->id != before;
        steer->meant++;
        steer->n_items++;
    }
    return 1;
}

/* Fills a portion. 1: it is full, or enough was looked at for this step; 0:
 * there are no more messages; -1: the store failed. */
static int
collect(struct control_client *client, struct why *why)
{
    struct steer *steer = client->work;

    if (steer->what == STEER_UNDO)
        return collect_undo(steer, why);
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
    if (steer->what == STEER_PREFER)
        event_num(&event, "rule", steer->rule);
    event_num(&event, "messages", steer->messages);
    event_num(&event, "done", steer->done);
    event_text(&event, "reason", steer->reason);
    event_end(&event);
}

static void
show_done(struct control_client *client, uint64_t done)
{
    struct steer *steer = client->work;
    const struct undo_row *undone = &steer->undo.command;
    json_t *json =
        json_pack("{s:I, s:I, s:b}", kinds[steer->what].name, (json_int_t)done,
                  "messages", (json_int_t)steer->messages, "dry_run",
                  (int)steer->dry_run);

    if (steer->number != 0 && steer->done > 0)
        json_object_set_new(json, "undo",
                            json_integer((json_int_t)steer->number));
    if (steer->what == STEER_REDIRECT && steer->target.len > 0)
        json_object_set_new(json, "target", control_json_text(steer->target));
    if (steer->what == STEER_RETURN)
        json_object_set_new(json, "left",
                            json_integer((json_int_t)steer->left));
    if (steer->what == STEER_PREFER)
        json_object_set_new(json, "rule",
                            json_integer((json_int_t)steer->rule));
    if (steer->what == STEER_UNDO)
        json_object_update_new(
            json, json_pack("{s:I, s:s, s:o, s:o, s:I}", "number",
                            (json_int_t)steer->undo.number, "command",
                            steer_name(undone->what), "by",
                            control_json_text(undone->by), "when",
                            control_json_time(undone->began_ms), "left",
                            (json_int_t)(undone->count - done)));
    control_row(client, json);
}

static void
steer_end(struct control_client *client)
{
    struct steer *steer = client->work;
    const struct steer_kind *kind = &kinds[steer->what];
    uint64_t done = steer->dry_run && steer->what != STEER_RETURN ? steer->meant
                                                                  : steer->done;

    if (steer->told && !steer->dry_run)
        log_event(client, steer);
    if (steer->rule != 0 || (steer->messages > 0 && steer->what != STEER_ERASE))
        show_done(client, done);
    control_note(client, kind->name, done);
    control_note(client, "messages", steer->messages);
    if (steer->number != 0 && steer->done > 0)
        control_note(client, "undo", steer->number);
    if (steer->what == STEER_UNDO)
        control_note(client, "left", steer->undo.command.count - done);
    control_note(client, "dry_run", steer->dry_run);
    if (steer->failed > 0)
        control_fail(client, "%zu could not be changed, first %s",
                     steer->failed, steer->first_failed.text);
    else if (steer->left > 0)
        control_fail(client,
                     "%" PRIu64 " cannot be returned and stay, first %s",
                     steer->left, steer->first_left.text);
    else if (steer->missing > 0)
        control_fail(client, "%zu of the messages: %s, first %s",
                     steer->missing, kind->none, steer->first_missing);
    else if (steer->walk.damaged > 0)
        control_fail(client, "%zu messages could not be read, first %s",
                     steer->walk.damaged, steer->walk.first_damage.text);
    else if (steer->messages == 0 && steer->rule == 0)
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
        if (answer->before > 0 && steer->left == 0)
            why_text(&steer->first_left, "%.*s", (int)answer->text.len,
                     answer->text.data);
        steer->left += answer->before;
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
        .target = steer->target,
        .number = steer->number,
        .began_ms = steer->began_ms,
        .undoes = steer->what == STEER_UNDO ? steer->undo.number : 0,
        .dry_run = steer->dry_run,
        .rule = steer->rule,
    };
    bool by_replay = steer->what == STEER_RETURN;

    if (steer->one_by_one)
        request.items =
            (struct record_list){&steer->items[steer->next_item], 1};
    control_ask(client, by_replay ? ROLE_REPLAY : ROLE_STORE,
                by_replay ? PROTO_RETURN : PROTO_STEER, &request,
                CONTROL_COMMIT_MS, on_steered);
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
    else if (steer->n_items > 0 && steer->dry_run &&
             steer->what != STEER_RETURN)
        show_dry(client);
    else if (steer->n_items > 0)
        tell_store(client);
    else if (more > 0)
        control_continue(client, steer_step);
    else
        finish(client);
}

/* --- the commands --------------------------------------------------------- */

/* The last argument is where to, the others are what. */
static int
begin_redirect(struct control_client *client, struct steer *steer,
               struct why *why)
{
    size_t n = control_n_arguments(client);

    if (control_option_text(client, CTL_OPTION_HOME) != NULL)
        return 0;
    if (n < 2)
        return why_text(why, "write \"redirect QUERY TARGET\", or "
                             "\"redirect --home QUERY\"");
    steer->target = control_argument(client, n - 1);
    if (conf_target_by_name(control_state.conf, steer->target) == NULL)
        return why_text(why, "there is no target \"%.*s\"",
                        (int)(steer->target.len < 80 ? steer->target.len : 80),
                        steer->target.data);
    client->behind = 1;
    return 0;
}

static bool
can_be_undone(enum steer_what what)
{
    return what != STEER_ERASE && what != STEER_UNDO && what != STEER_RETURN &&
           what != STEER_PREFER;
}

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
steer_init(struct control_client *client, struct steer *steer,
           enum steer_what what)
{
    const char *reason = control_option_text(client, CTL_OPTION_REASON);

    client->work = steer;
    client->work_free = steer_free;
    steer->what = what;
    steer->dry_run = control_option_text(client, CTL_OPTION_DRY_RUN) != NULL;
    steer->reason = reason != NULL ? reason : "";
    steer->began_ms = (uint64_t)clock_wall_ms();
}

static void
steer_begin(struct control_client *client, enum steer_what what)
{
    struct steer *steer = mem_alloc(sizeof(*steer));
    struct why why;

    steer_init(client, steer, what);
    if (what == STEER_ERASE)
        steer->receipts = mem_alloc(ITEMS_MAX * sizeof(*steer->receipts));
    if (strlen(steer->reason) > REASON_MAX)
        control_refuse(client, "a reason has %d bytes at the most", REASON_MAX);
    else if ((what == STEER_REDIRECT &&
              begin_redirect(client, steer, &why) != 0) ||
             begin_walk(client, steer, &why) != 0)
        control_refuse(client, "%s", why.text);
    else if (can_be_undone(what) && !steer->dry_run &&
             control_undo_number(&steer->number, &why) != 0)
        control_fail(client, "%s", why.text);
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

void
control_redirect(struct control_client *client)
{
    steer_begin(client, STEER_REDIRECT);
}

void
control_return(struct control_client *client)
{
    steer_begin(client, STEER_RETURN);
}

/* There is a rule now, whatever becomes of the rest. */
void
control_steer_prefer(struct control_client *client, uint64_t rule)
{
    struct steer *steer = mem_alloc(sizeof(*steer));
    struct why why;

    steer_init(client, steer, STEER_PREFER);
    steer->rule = rule;
    steer->told = rule != 0;
    if (control_walk_begin(&steer->walk, client, &why) != 0)
        control_refuse(client, "%s", why.text);
    else
        steer_step(client);
}

void
control_undo(struct control_client *client)
{
    struct steer *steer = mem_alloc(sizeof(*steer));
    struct why why;
    int found;

    steer_init(client, steer, STEER_UNDO);
    found = control_undo_begin(&steer->undo, client, &why);
    if (strlen(steer->reason) > REASON_MAX)
        control_refuse(client, "a reason has %d bytes at the most", REASON_MAX);
    else if (found != 1)
        control_fail(client, "%s", why.text);
    else
        steer_step(client);
}
