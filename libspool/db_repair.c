/* SPDX-License-Identifier: ISC */
/*
 * Check and repair of a store nobody else has open, as one call. A repair may
 * bring to light what was hidden before (rows of an index that stood for a
 * row which went aside), so there are passes until one finds nothing, or can
 * do nothing about it.
 */
#include "db_mend.h"

#include <poll.h>

#include "db_lmdb.h"

#define PASSES_MAX  6
#define ROWS_A_STEP 20000
#define MENDS_A_TXN 500

struct repair {
    struct db *db;
    bool mend;
    unsigned pass;
    const struct db_mend_times *times;
    db_check_fn *told;
    void *arg;
    struct db_repair_counts *counts;
    struct buf items; /* an encoded proto_mend */
    size_t n_items;
    uint64_t changed; /* in this pass */
};

static void
on_finding(void *arg, const struct db_finding *finding)
{
    struct repair *repair = arg;
    struct proto_mend_item item = finding->mend;
    struct proto_mend one = {.items = {&item, 1}};

    repair->counts->left++;
    if (repair->pass == 0) {
        repair->counts->found++;
        if (repair->told != NULL)
            repair->told(repair->arg, finding);
    }
    if (repair->mend && item.what != MEND_NONE) {
        record_encode(&proto_mend_record, &one, &repair->items);
        repair->n_items++;
    }
}

/* --- transactions ----------------------------------------------------------
 */

static int
failed(struct db_txn **txn, struct why *why)
{
    why_text(why, "the repair: %s", db_reason(*txn));
    db_abort(txn);
    return -1;
}

static int
apply(struct repair *repair, const struct proto_mend_item *items, size_t n,
      struct why *why)
{
    struct db_totals totals;
    struct db_txn *txn;

    if (db_begin(repair->db, &txn) != DB_OK)
        return why_text(why, "the repair: a transaction could not begin");
    if (db_get_totals(txn, &totals) != DB_OK)
        return failed(&txn, why);
    for (size_t i = 0; i < n; i++)
        if (db_mend(txn, &totals, &items[i], repair->times, &repair->changed) !=
            DB_OK)
            return failed(&txn, why);
    if (db_put_totals(txn, &totals) != DB_OK)
        return failed(&txn, why);
    return db_commit(&txn, why) == DB_OK ? 0 : -1;
}

/* What was found in this step. */
static int
apply_items(struct repair *repair, struct why *why)
{
    struct proto_mend mend;
    int rc = 0;

    if (repair->n_items == 0)
        return 0;
    if (record_decode(&proto_mend_record, buf_view(&repair->items), &mend,
                      why) != 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < mend.items.count; i += MENDS_A_TXN) {
        size_t rest = mend.items.count - i;

        rc = apply(repair, (const struct proto_mend_item *)mend.items.items + i,
                   rest < MENDS_A_TXN ? rest : MENDS_A_TXN, why);
    }
    record_clear(&proto_mend_record, &mend);
    buf_reset(&repair->items);
    repair->n_items = 0;
    return rc;
}

/* --- passes ----------------------------------------------------------------
 */

static int
check_sums(struct repair *repair, struct why *why)
{
    struct db_sums *sums = db_sums_start(repair->db, why);
    int more = sums != NULL ? 1 : -1;

    while (more == 1) {
        struct pollfd end = {.fd = db_sums_event_fd(sums), .events = POLLIN};

        poll(&end, 1, -1);
        more = db_sums_end(sums, on_finding, repair, why);
    }
    db_sums_free(&sums);
    return more == 0 ? apply_items(repair, why) : -1;
}

static int
check_rows(struct repair *repair, bool content, struct why *why)
{
    struct db_check *check = db_check_new(content, on_finding, repair);
    int more = 1;

    while (more == 1) {
        more = db_check_step(check, repair->db, ROWS_A_STEP, why);
        if (more >= 0 && apply_items(repair, why) != 0)
            more = -1;
    }
    if (repair->pass == 0)
        repair->counts->checked = *db_check_counts(check);
    db_check_free(&check);
    return more;
}

int
db_repair(struct db *db, bool mend, bool content,
          const struct db_mend_times *times, db_check_fn *told, void *arg,
          struct db_repair_counts *counts, struct why *why)
{
    struct repair repair = {.db = db,
                            .mend = mend,
                            .times = times,
                            .told = told,
                            .arg = arg,
                            .counts = counts};
    int rc = 0;

    *counts = (struct db_repair_counts){.found = 0};
    for (; rc == 0 && repair.pass < PASSES_MAX; repair.pass++) {
        counts->left = 0;
        repair.changed = 0;
        rc = check_rows(&repair, content, why);
        if (rc == 0)
            rc = check_sums(&repair, why);
        counts->mended += repair.changed;
        if (repair.changed == 0)
            break;
    }
    buf_free(&repair.items);
    return rc;
}
