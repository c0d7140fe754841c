/* SPDX-License-Identifier: ISC */
/*
 * retry, target retry: what waits is made ready by the store, in portions
 * that do not hold up its other work, and then the targets concerned are
 * probed by replay if they are down.
 *
 * Before: control_client.c (step by step)
 * After:  store.c (RETRY), replay.c (PROBE)
 */
#include "control.h"

#include <inttypes.h>
#include <stdlib.h>

#include "clock.h"
#include "mem.h"
#include "msgid.h"

#define RETRY_IDS_MAX     500 /* in one request to the store */
#define RETRY_TARGETS_MAX 1000

struct retry {
    bool by_id; /* the arguments are ids, not a query */
    size_t next_argument;
    struct control_walk walk;
    bool walk_ended;

    struct proto_id ids[RETRY_IDS_MAX];
    size_t n_ids;
    char *targets[RETRY_TARGETS_MAX]; /* names of all that are concerned */
    size_t n_targets;
    size_t next_target;

    uint64_t messages; /* held and meant */
    uint64_t ready;    /* deliveries made ready */
    uint64_t probed;   /* targets */
    size_t missing;    /* ids that are not held */
    char first_missing[MSGID_TEXT_MAX];
};

static void retry_step(struct control_client *client);

static void
retry_free(void *work)
{
    struct retry *retry = work;

    control_walk_end(&retry->walk);
    for (size_t i = 0; i < retry->n_targets; i++)
        free(retry->targets[i]);
    free(retry);
}

/* --- which messages ------------------------------------------------------ */

static void
retry_add_target(struct retry *retry, struct view name)
{
    for (size_t i = 0; i < retry->n_targets; i++)
        if (view_equal(view_of(retry->targets[i]), name))
            return;
    if (retry->n_targets < RETRY_TARGETS_MAX)
        retry->targets[retry->n_targets++] = mem_copy(name.data, name.len);
}

/* True when some of the message is held. */
static bool
retry_add(struct retry *retry, const struct db_message *message)
{
    bool held = false;

    for (size_t i = 0; i < message->n_deliveries; i++) {
        const struct delivery *delivery = &message->deliveries[i].delivery;

        if (!delivery_is_open(delivery->state))
            continue;
        held = true;
        retry_add_target(retry, delivery->target);
    }
    if (!held)
        return false;
    retry->ids[retry->n_ids++].id = message->id;
    retry->messages++;
    return true;
}

/* As control_walk_next answers, for ids on the command line. */
static int
retry_collect_named(struct control_client *client, struct why *why)
{
    struct retry *retry = client->work;
    struct db *db = control_db(why);

    if (db == NULL)
        return -1;
    while (retry->next_argument < control_n_arguments(client)) {
        struct view text = control_argument(client, retry->next_argument);
        struct db_message message = {0};
        uint64_t id = 0;
        int found;

        if (retry->n_ids == RETRY_IDS_MAX)
            return 2;
        retry->next_argument++;
        msgid_parse(text, &id);
        found = db_read_message(db, id, &message, why);
        if (found < 0)
            return -1;
        if (found == 0 || !retry_add(retry, &message))
            if (retry->missing++ == 0)
                msgid_print(id, retry->first_missing);
        db_message_free(&message);
    }
    return 0;
}

static int
retry_collect_matching(struct retry *retry, struct why *why)
{
    int found = 1;

    retry->walk.rows = CONTROL_ROWS_MAX;
    while (retry->n_ids < RETRY_IDS_MAX) {
        struct db_message message;

        found = control_walk_next(&retry->walk, &message, why);
        if (found != 1)
            return found;
        retry_add(retry, &message);
        db_message_free(&message);
    }
    return 2;
}

/* --- what is asked of whom ----------------------------------------------- */

static void
retry_end(struct control_client *client)
{
    struct retry *retry = client->work;

    if (retry->messages > 0)
        control_row(client,
                    json_pack("{s:I}", "retried", (json_int_t)retry->ready));
    control_note(client, "messages", retry->messages);
    control_note(client, "probed", retry->probed);
    if (retry->missing > 0)
        control_fail(client, "%zu of the messages %s not held, first %s",
                     retry->missing, retry->missing == 1 ? "is" : "are",
                     retry->first_missing);
    else if (retry->walk.damaged > 0)
        control_fail(client, "%zu messages could not be read, first %s",
                     retry->walk.damaged, retry->walk.first_damage.text);
    else if (retry->messages == 0)
        control_fail(client, "nothing that is held matches");
    else
        control_done(client);
}

static void
retry_on_probed(struct control_client *client, struct peer_message *answer,
                const struct why *why)
{
    struct retry *retry = client->work;

    if (answer == NULL) {
        control_fail(client,
                     "%" PRIu64 " deliveries are ready, but no target was "
                     "probed: %s",
                     retry->ready, why->text);
        return;
    }
    retry->probed += ((const struct proto_count *)answer->payload)->count;
    retry->next_target++;
    control_continue(client, retry_step);
}

static void
retry_on_ready(struct control_client *client, struct peer_message *answer,
               const struct why *why)
{
    struct retry *retry = client->work;

    if (answer == NULL) {
        control_fail(client, "%s (%" PRIu64 " deliveries are ready so far)",
                     why->text, retry->ready);
        return;
    }
    retry->ready += ((const struct proto_count *)answer->payload)->count;
    control_continue(client, retry_step);
}

static void
retry_tell_store(struct control_client *client)
{
    struct retry *retry = client->work;
    struct proto_ids ids = {.when_ms = (uint64_t)clock_wall_ms(),
                            .ids = {retry->ids, retry->n_ids}};

    control_ask(client, ROLE_STORE, PROTO_RETRY, &ids, CONTROL_COMMIT_MS,
                retry_on_ready);
    retry->n_ids = 0;
}

static void
retry_probe(struct control_client *client)
{
    struct retry *retry = client->work;
    struct proto_name name = {view_of(retry->targets[retry->next_target])};

    control_ask(client, ROLE_REPLAY, PROTO_PROBE, &name, CONTROL_ANSWER_MS,
                retry_on_probed);
}

/* Collects and tells the store until there is no more, then probes. */
static void
retry_step(struct control_client *client)
{
    struct retry *retry = client->work;
    struct why why;
    int more = 0;

    if (!retry->walk_ended) {
        more = retry->by_id ? retry_collect_named(client, &why)
                            : retry_collect_matching(retry, &why);
        retry->walk_ended = more == 0;
    }
    if (more < 0)
        control_fail(client, "%s", why.text);
    else if (retry->n_ids > 0)
        retry_tell_store(client);
    else if (!retry->walk_ended)
        control_continue(client, retry_step);
    else if (retry->next_target < retry->n_targets)
        retry_probe(client);
    else
        retry_end(client);
}

void
control_retry(struct control_client *client)
{
    struct retry *retry = mem_alloc(sizeof(*retry));
    struct why why;
    uint64_t id;

    client->work = retry;
    client->work_free = retry_free;
    retry->by_id = true;
    for (size_t i = 0; i < control_n_arguments(client); i++)
        if (msgid_parse(control_argument(client, i), &id) != 0)
            retry->by_id = false;
    if (!retry->by_id && control_walk_begin(&retry->walk, client, &why) != 0)
        control_refuse(client, "%s", why.text);
    else
        retry_step(client);
}

/* --- target retry -------------------------------------------------------- */

static void
target_on_probed(struct control_client *client, struct peer_message *answer,
                 const struct why *why)
{
    const struct proto_count *probed;
    struct view name = control_argument(client, 0);

    if (answer == NULL) {
        control_fail(client, "%s", why->text);
        return;
    }
    probed = answer->payload;
    if (probed->count == 0) {
        control_fail(client, "there is no target \"%.*s\"",
                     (int)(name.len < 80 ? name.len : 80), name.data);
        return;
    }
    control_row(client,
                json_pack("{s:I}", "probed", (json_int_t)probed->count));
    control_done(client);
}

void
control_target_retry(struct control_client *client)
{
    struct proto_name name = {control_argument(client, 0)};

    /* Without a name PROBE means all: that is not what was typed. */
    if (name.name.len == 0)
        control_refuse(client, "the name of a target is missing");
    else
        control_ask(client, ROLE_REPLAY, PROTO_PROBE, &name, CONTROL_ANSWER_MS,
                    target_on_probed);
}
