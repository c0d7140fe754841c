/* SPDX-License-Identifier: ISC */
/*
 * check: are all rows what spool.5 says they may be? Message by message, then
 * the rows that should belong to one, then the sums; some rows a step, each
 * question in one transaction. With --repair what was found goes to the store
 * (MEND) and everything is looked at again, until nothing more can be done.
 *
 * Before: control_client.c
 * After:  store_mend.c (MEND)
 */
#include <stdlib.h>

#include "clock.h"
#include "control.h"
#include "db_inspect.h"
#include "mem.h"
#include "msgid.h"

#define MESSAGES_A_STEP 500
#define ROWS_A_STEP     2000
#define MENDS_MAX       500 /* in one MEND */
#define PASSES_MAX      4

struct check {
    enum { MESSAGES, ROWS, TOTALS, END } phase;
    enum db_inspect_table table;
    struct db_inspect_cursor cursor;
    uint64_t after_id;
    bool repair;
    bool quiet; /* a pass after repairs: it was told of before */
    unsigned pass;
    uint64_t messages;
    uint64_t found; /* in the first pass */
    uint64_t left;  /* in this pass */
    uint64_t mended;
    uint64_t mended_now; /* in this pass */
    struct buf items;    /* encoded proto_mend: one item each */
    size_t n_items;
    struct control_client *client;
};

static void check_step(struct control_client *client);

static void
check_free(void *work)
{
    struct check *check = work;

    buf_free(&check->items);
    free(check);
}

/* --- findings
 * ------------------------------------------------------------------ */

static void
on_finding(void *arg, const struct db_finding *finding)
{
    struct check *check = arg;
    char id[MSGID_TEXT_MAX] = "";
    struct proto_mend_item item = {.what = finding->mend,
                                   .table = view_of(finding->table),
                                   .key = finding->key,
                                   .reason = view_of(finding->text),
                                   .id = finding->id,
                                   .n = finding->n};
    struct proto_mend one = {.items = {&item, 1}};

    check->left++;
    if (finding->id != 0)
        msgid_print(finding->id, id);
    if (!check->quiet) {
        check->found++;
        control_row(check->client,
                    json_pack("{s:s, s:s, s:o, s:b}", "id", id, "table",
                              finding->table, "finding",
                              control_json_text(view_of(finding->text)),
                              "repairable", finding->mend != MEND_NONE));
    }
    if (check->repair && finding->mend != MEND_NONE) {
        record_encode(&proto_mend_record, &one, &check->items);
        check->n_items++;
    }
}

static void
on_mended(struct control_client *client, struct peer_message *answer,
          const struct why *why)
{
    struct check *check = client->work;
    const struct proto_done *done;

    if (answer == NULL) {
        control_fail(client, "%s", why->text);
        return;
    }
    done = answer->payload;
    if (!done->done) {
        control_fail(client, "the store did not take the repair: %.*s",
                     (int)done->text.len, done->text.data);
        return;
    }
    check->mended += done->count;
    check->mended_now += done->count;
    control_continue(client, check_step);
}

/* true: a repair is on its way, and the walk goes on after it. */
static bool
send_mends(struct control_client *client)
{
    struct check *check = client->work;
    struct proto_mend mend;

    if (check->n_items == 0 ||
        (check->n_items < MENDS_MAX && check->phase != END))
        return false;
    if (record_decode(&proto_mend_record, buf_view(&check->items), &mend,
                      NULL) != 0)
        return false;
    mend.when_ms = (uint64_t)clock_wall_ms();
    control_ask(client, ROLE_STORE, PROTO_MEND, &mend, CONTROL_COMMIT_MS,
                on_mended);
    record_clear(&proto_mend_record, &mend);
    buf_reset(&check->items);
    check->n_items = 0;
    return true;
}

/* --- the walk
 * -------------------------------------------------------------------- */

static int
check_messages(struct check *check, struct db *db, struct why *why)
{
    size_t rows = ROWS_A_STEP;

    for (size_t i = 0; i < MESSAGES_A_STEP; i++) {
        uint64_t id;
        int found =
            db_read_next_id(db, check->after_id, false, &rows, &id, why);

        if (found <= 0)
            return found;
        check->after_id = id;
        if (found == 2)
            return 1;
        check->messages += !check->quiet;
        if (db_inspect_message(db, id, on_finding, check, why) != 0)
            return -1;
    }
    return 1;
}

static int
check_rows(struct check *check, struct db *db, struct why *why)
{
    int more = db_inspect_rows(db, check->table, &check->cursor, ROWS_A_STEP,
                               on_finding, check, why);

    if (more != 0)
        return more;
    check->cursor = (struct db_inspect_cursor){.len = 0};
    check->table++;
    return check->table < DB_INSPECT_TABLES;
}

/* 1: more of this phase, 0: it is done, -1. */
static int
check_phase(struct check *check, struct db *db, struct why *why)
{
    switch (check->phase) {
    case MESSAGES:
        return check_messages(check, db, why);
    case ROWS:
        return check_rows(check, db, why);
    case TOTALS:
        return db_inspect_totals(db, on_finding, check, why);
    default:
        return 0;
    }
}

static uint64_t
count_aside(struct db *db)
{
    struct buf memory = {0};
    struct aside_row row;
    uint64_t number = 0, count = 0;

    while (db_read_aside_after(db, number, &number, &row, &memory, NULL) == 1)
        count++;
    buf_free(&memory);
    return count;
}

static void
check_finish(struct control_client *client, struct db *db)
{
    struct check *check = client->work;

    control_note(client, "messages", check->messages);
    control_note(client, "findings", check->found);
    control_note(client, "mended", check->mended);
    control_note(client, "left", check->left);
    control_note(client, "aside", count_aside(db));
    if (check->left > 0)
        control_fail(client, "%llu findings%s", (unsigned long long)check->left,
                     check->repair ? " are left" : "");
    else
        control_done(client);
}

/* Another pass shows what the repairs of this one made of it. */
static bool
check_again(struct check *check)
{
    if (!check->repair || check->mended_now == 0 || ++check->pass == PASSES_MAX)
        return false;
    check->phase = MESSAGES;
    check->table = 0;
    check->after_id = 0;
    check->left = 0;
    check->mended_now = 0;
    check->quiet = true;
    return true;
}

static void
check_step(struct control_client *client)
{
    struct check *check = client->work;
    struct why why;
    struct db *db = control_db(&why);
    int more = db != NULL ? check_phase(check, db, &why) : -1;

    if (more < 0) {
        control_fail(client, "%s", why.text);
        return;
    }
    if (more == 0 && check->phase < END)
        check->phase++;
    if (send_mends(client))
        return;
    if (check->phase == END && !check_again(check))
        check_finish(client, db);
    else
        control_continue(client, check_step);
}

void
control_check(struct control_client *client)
{
    struct check *check = mem_alloc(sizeof(*check));

    check->client = client;
    check->repair = control_option_text(client, CTL_OPTION_REPAIR) != NULL;
    client->work = check;
    client->work_free = check_free;
    check_step(client);
}
