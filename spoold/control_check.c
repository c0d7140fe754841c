/* SPDX-License-Identifier: ISC */
/*
 * check: is every row of the store what it may be? A walk over all tables in
 * short steps (db_check.h), then the sums, while mail goes on. With --repair
 * what was found goes to the store step by step, and everything is looked at
 * again until nothing more can be done.
 *
 * Before: control_client.c   After: store_mend.c (MEND)
 */
#include <inttypes.h>
#include <stdlib.h>

#include "clock.h"
#include "control.h"
#include "db_check.h"
#include "mem.h"
#include "msgid.h"

#define ROWS_A_STEP 1000
#define PASSES_MAX  6
#define SUMS_MS     20 /* between two looks whether they are counted */

struct check {
    struct control_client *client;
    bool content;
    bool repair;
    unsigned pass; /* after the first one nothing is told twice */
    bool ended;    /* this pass: its last repairs are under way */
    struct db_check *rows;
    struct db_sums *sums; /* after the rows */
    struct loop_timer *wait;
    uint64_t found;    /* in the first pass */
    uint64_t left;     /* in this pass */
    uint64_t looked;   /* rows, in the first pass */
    uint64_t messages; /* the same */
    uint64_t aside;    /* rows that were set aside, in this pass */
    uint64_t mended;
    uint64_t mended_now; /* in this pass */
    struct buf items;    /* an encoded proto_mend, for the store */
};

static void check_step(struct control_client *client);

static void
check_free(void *work)
{
    struct check *check = work;

    db_check_free(&check->rows);
    db_sums_free(&check->sums);
    loop_timer_free(&check->wait);
    buf_free(&check->items);
    free(check);
}

/* --- findings --------------------------------------------------------------
 */

static void
tell(struct check *check, const struct db_finding *finding)
{
    char id[MSGID_TEXT_MAX];

    check->found++;
    control_row(
        check->client,
        json_pack("{s:s, s:o, s:o, s:o, s:b}", "what", finding->what, "message",
                  finding->id != 0 ? json_string(msgid_print(finding->id, id))
                                   : json_null(),
                  "n",
                  finding->n != 0 ? json_integer((json_int_t)finding->n - 1)
                                  : json_null(),
                  "text", control_json_text(view_of(finding->text)),
                  "repairable", finding->mend.what != MEND_NONE));
}

static void
on_finding(void *arg, const struct db_finding *finding)
{
    struct check *check = arg;
    struct proto_mend_item item = finding->mend;
    struct proto_mend one = {.items = {&item, 1}};

    check->left++;
    if (check->pass == 0)
        tell(check, finding);
    if (check->repair && item.what != MEND_NONE)
        record_encode(&proto_mend_record, &one, &check->items);
}

/* --- repairs ---------------------------------------------------------------
 */

static void
on_mended(struct control_client *client, struct peer_message *answer,
          const struct why *why)
{
    struct check *check = client->work;
    const struct proto_done *mended;

    if (answer == NULL) {
        control_fail(client, "%s", why->text);
        return;
    }
    mended = answer->payload;
    if (!mended->done) {
        control_fail(client, "the store did not take a repair: %.*s",
                     (int)mended->text.len, mended->text.data);
        return;
    }
    check->mended += mended->count;
    check->mended_now += mended->count;
    control_continue(client, check_step);
}

/* What was found in this step. false: nothing to repair. */
static bool
send_mends(struct check *check)
{
    struct proto_mend mend;

    if (check->items.len == 0 ||
        record_decode(&proto_mend_record, buf_view(&check->items), &mend,
                      NULL) != 0)
        return false;
    mend.when_ms = (uint64_t)clock_wall_ms();
    control_ask(check->client, ROLE_STORE, PROTO_MEND, &mend, CONTROL_COMMIT_MS,
                on_mended);
    record_clear(&proto_mend_record, &mend);
    buf_reset(&check->items);
    return true;
}

/* --- passes ----------------------------------------------------------------
 */

static void
pass_begin(struct check *check)
{
    check->left = 0;
    check->mended_now = 0;
    check->ended = false;
    db_check_free(&check->rows);
    db_sums_free(&check->sums);
    check->rows = db_check_new(check->content, on_finding, check);
}

static void
check_end(struct control_client *client)
{
    const struct check *check = client->work;

    control_note(client, "rows", check->looked);
    control_note(client, "messages", check->messages);
    control_note(client, "findings", check->found);
    control_note(client, "mended", check->mended);
    control_note(client, "left", check->left);
    control_note(client, "aside", check->aside);
    if (check->left > 0)
        control_fail(client, "%" PRIu64 " thing%s not as %s should be%s",
                     check->left, check->left == 1 ? " is" : "s are",
                     check->left == 1 ? "it" : "they",
                     check->repair ? ", and nothing more can be done" : "");
    else
        control_done(client);
}

static void
pass_end(struct control_client *client)
{
    struct check *check = client->work;

    if (check->mended_now == 0 || ++check->pass == PASSES_MAX) {
        check_end(client);
        return;
    }
    pass_begin(check);
    control_continue(client, check_step);
}

static void
rows_end(struct check *check)
{
    const struct db_check_counts *counts = db_check_counts(check->rows);

    check->aside = counts->aside;
    if (check->pass == 0) {
        check->looked = counts->rows;
        check->messages = counts->messages;
    }
}

static void
sums_wait(void *arg)
{
    struct check *check = arg;

    control_continue(check->client, check_step);
}

/* 1: go on, 2: they are being counted: not yet, 0: the end of the pass, -1. */
static int
sums_step(struct check *check, struct db *db, struct why *why)
{
    int more;

    if (check->sums == NULL && !db_sums_may_start(db)) { /* a backup, or so */
        loop_timer_set(check->wait, SUMS_MS);
        return 2;
    }
    if (check->sums == NULL) {
        check->sums = db_sums_start(db, why);
        if (check->sums == NULL)
            return -1;
    }
    more = db_sums_end(check->sums, on_finding, check, why);
    if (more != 1)
        return more;
    loop_timer_set(check->wait, SUMS_MS);
    return 2;
}

/* The rows first: sums of rows that are set aside are no sums. */
static int
next_step(struct check *check, struct db *db, struct why *why)
{
    int more;

    if (check->rows == NULL)
        return sums_step(check, db, why);
    more = db_check_step(check->rows, db, ROWS_A_STEP, why);
    if (more != 0)
        return more;
    rows_end(check);
    db_check_free(&check->rows);
    return 1;
}

static void
check_step(struct control_client *client)
{
    struct check *check = client->work;
    struct why why;
    struct db *db;
    int more;

    if (check->ended) {
        pass_end(client);
        return;
    }
    db = control_db(&why);
    more = db != NULL ? next_step(check, db, &why) : -1;
    check->ended = more == 0;
    if (more < 0)
        control_fail(client, "%s", why.text);
    else if (more == 2)
        return; /* sums_wait */
    else if (send_mends(check))
        return; /* on_mended */
    else if (more == 0)
        pass_end(client);
    else
        control_continue(client, check_step);
}

void
control_check(struct control_client *client)
{
    struct check *check = mem_alloc(sizeof(*check));

    check->client = client;
    check->content = control_option_text(client, CTL_OPTION_CONTENT) != NULL;
    check->repair = control_option_text(client, CTL_OPTION_REPAIR) != NULL;
    check->wait = loop_timer_new(sums_wait, check);
    client->work = check;
    client->work_free = check_free;
    pass_begin(check);
    check_step(client);
}
