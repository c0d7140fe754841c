/* SPDX-License-Identifier: ISC */
/*
 * The ledger's chain: each entry's check bytes against the hash that is
 * computed from the one before, each checkpoint against the computed hash,
 * its sums and its signature, and every entry into the accounts. After an
 * entry that does not fit, the next checkpoint is where the chain goes on.
 *
 * Before: control_audit.c   After: libspool/ledger_balance.c
 */
#include "control_audit.h"

#include <inttypes.h>
#include <stdio.h>

#include "bytes.h"
#include "db.h"
#include "event.h"
#include "msgid.h"

/* --- what is found ---------------------------------------------------------
 */

/* "entry 17 (delivered, message 0DK..., recipient 2)" */
static const char *
entry_text(uint64_t seq, const struct ledger_entry *entry, char text[160])
{
    char id[MSGID_TEXT_MAX];
    size_t len = (size_t)snprintf(text, 160, "entry %" PRIu64 " (%s", seq,
                                  event_verb(entry->event));

    if (entry->id != 0)
        len += (size_t)snprintf(text + len, 160 - len, ", message %s",
                                msgid_print(entry->id, id));
    if (entry->n != 0)
        len += (size_t)snprintf(text + len, 160 - len, ", recipient %" PRIu64,
                                entry->n);
    snprintf(text + len, 160 - len, ")");
    return text;
}

static struct audit_about
about_entry(const char *what, uint64_t seq, const struct ledger_entry *entry)
{
    return (struct audit_about){.what = what,
                                .entry = seq,
                                .when_ms = entry->when_ms,
                                .id = entry->id,
                                .n = entry->n};
}

static void
on_fault(void *arg, enum ledger_fault fault, uint64_t seq,
         const struct ledger_entry *entry)
{
    static const struct {
        const char *what;
        const char *text;
    } faults[] = {
        [LEDGER_ACCEPTED_TWICE] = {"accepted-twice",
                                   "the message was accepted before and is "
                                   "still open"},
        [LEDGER_NOT_OPEN] = {"not-open",
                             "that delivery was not open: it had ended before, "
                             "or was never accepted"},
        [LEDGER_STILL_OPEN] = {"still-open", "that delivery had not ended"},
        [LEDGER_GONE_OPEN] = {"gone-open",
                              "the message was removed while deliveries were "
                              "open"},
        [LEDGER_ERASED_OTHER] = {"erased-other",
                                 "another number of deliveries was open"},
        [LEDGER_NO_SENSE] = {"no-sense", "its numbers make no sense"},
    };
    struct audit_about about = about_entry(faults[fault].what, seq, entry);
    char text[160];

    audit_find(arg, &about, "%s: %s", entry_text(seq, entry, text),
               faults[fault].text);
}

static void
find_broken(struct audit *audit, uint64_t seq, const struct ledger_entry *entry)
{
    struct audit_about about = about_entry("chain", seq, entry);
    char text[160];

    if (audit->broken == 0)
        audit->broken = seq;
    audit_find(audit, &about,
               "%s is not what was written: its hash does not fit the chain",
               entry_text(seq, entry, text));
}

static void
find_missing(struct audit *audit, uint64_t first, uint64_t last)
{
    struct audit_about about = {.what = "missing", .entry = first};

    if (audit->broken == 0)
        audit->broken = first;
    if (first == last)
        audit_find(audit, &about, "entry %" PRIu64 " is missing", first);
    else
        audit_find(audit, &about,
                   "entries %" PRIu64 " to %" PRIu64 " are missing", first,
                   last);
    audit->known = false;
    audit->sums_known = false;
}

/* --- checkpoints -----------------------------------------------------------
 */

static bool
is_signed(const struct checkpoint *row)
{
    struct buf bytes = {0};
    bool good;

    if (row->public.len != KEY_SIGN_PUBLIC ||
        row->signature.len != KEY_SIGNATURE || row->head.len != LEDGER_HASH)
        return false;
    ledger_signed_bytes(row, &bytes);
    good = key_verify(row->public, buf_view(&bytes), row->signature);
    buf_free(&bytes);
    return good;
}

static void
check_signer(struct audit *audit, const struct checkpoint *row)
{
    struct audit_about about = {
        .what = "signer", .entry = row->seq, .when_ms = row->when_ms};

    if (audit->has_signer &&
        memcmp(audit->signer, row->public.data, KEY_SIGN_PUBLIC) != 0)
        audit_find(audit, &about,
                   "the checkpoint at entry %" PRIu64 " is signed by another "
                   "key than those before it: unless the key file was "
                   "replaced then, the ledger was written anew",
                   row->seq);
    memcpy(audit->signer, row->public.data, KEY_SIGN_PUBLIC);
    audit->has_signer = true;
}

/* The chain goes on from the checkpoint at audit->seq. */
static void
take_checkpoint(struct audit *audit, const struct checkpoint *row)
{
    struct audit_about about = {
        .what = "checkpoint", .entry = row->seq, .when_ms = row->when_ms};

    audit->last_checkpoint = row->seq;
    if (!is_signed(row)) {
        audit_find(audit, &about,
                   "the signature of the checkpoint at entry %" PRIu64
                   " is wrong",
                   row->seq);
        return;
    }
    check_signer(audit, row);
    audit->checkpoints++;
    if (audit->known && !audit->shaky &&
        memcmp(audit->head, row->head.data, LEDGER_HASH) != 0) {
        if (audit->broken == 0)
            audit->broken = row->seq;
        audit_find(audit, &about,
                   "the entries up to %" PRIu64 " are not those that the "
                   "checkpoint there was signed for",
                   row->seq);
    } else if (audit->sums_known && (audit->accepted != row->accepted ||
                                     audit->ended != row->ended)) {
        audit_find(audit, &about,
                   "the checkpoint at entry %" PRIu64 " counts %" PRIu64
                   " accepted and %" PRIu64 " ended, the ledger %" PRIu64
                   " and %" PRIu64,
                   row->seq, row->accepted, row->ended, audit->accepted,
                   audit->ended);
    }
    memcpy(audit->head, row->head.data, LEDGER_HASH);
    audit->known = true;
    audit->shaky = false;
    audit->accepted = row->accepted;
    audit->ended = row->ended;
    audit->sums_known = true;
}

/* --- entries ---------------------------------------------------------------
 */

static void
check_hash(struct audit *audit, uint64_t seq, struct view value,
           const struct ledger_entry *entry)
{
    bool fits;

    if (!audit->known)
        return;
    ledger_chain_next(audit->head, seq, view_skip(value, LEDGER_CHECK));
    fits = value.len >= LEDGER_CHECK &&
           memcmp(audit->head, value.data, LEDGER_CHECK) == 0;
    if (fits) {
        audit->shaky = false; /* only its check bytes had been changed */
    } else if (audit->shaky) {
        audit->known = false; /* nothing can be said up to a checkpoint */
        audit->sums_known = false;
    } else {
        find_broken(audit, seq, entry);
        audit->shaky = true;
    }
}

static bool
take_entry(void *arg, uint64_t seq, struct view value)
{
    struct audit *audit = arg;
    struct ledger_entry entry = {0};
    bool read;

    if (seq > audit->stop)
        return false;
    if (seq != audit->seq + 1) {
        audit->gap = seq;
        return false;
    }
    read = record_decode(&ledger_entry_record, view_skip(value, LEDGER_CHECK),
                         &entry, NULL) == 0;
    check_hash(audit, seq, value, &entry);
    audit->seq = seq;
    if (!read) {
        struct audit_about about = {.what = "chain", .entry = seq};

        audit_find(audit, &about, "entry %" PRIu64 " cannot be read", seq);
        return true;
    }
    if (audit->from_ms == 0)
        audit->from_ms = entry.when_ms;
    audit->to_ms = entry.when_ms;
    if (entry.id != 0 && entry.id == audit->watch_id)
        audit->watch_hit = true;
    ledger_entry_count(&entry, &audit->accepted, &audit->ended);
    ledger_balance_add(audit->balance, seq, &entry);
    if (entry.event != EVENT_CHECKPOINT || entry.code < audit->from)
        return true;
    audit->told = entry.code; /* looked at after this transaction */
    return false;
}

static bool
note_first(void *arg, uint64_t seq, struct view value)
{
    (void)value;
    *(uint64_t *)arg = seq;
    return false;
}

static int
read_first(struct db *db, uint64_t *first, struct why *why)
{
    *first = 0;
    return db_read_ledger(db, 0, 1, note_first, first, why) < 0 ? -1 : 0;
}

/* --- portions --------------------------------------------------------------
 */

int
audit_chain_limit(struct audit *audit, struct db *db, struct why *why)
{
    struct buf memory = {0};
    struct db_totals totals;
    struct audit_about about = {.what = "totals"};
    int found = db_read_totals(db, &totals, &memory, why);

    if (found < 0 && memory.len > 0) {
        if (!audit->totals_damaged)
            audit_find(audit, &about, "%s", why->text);
        audit->totals_damaged = true;
        audit->limit = UINT64_MAX; /* as far as there are entries */
        audit->has_limit_head = false;
        found = 0;
    } else if (found >= 0) {
        audit->limit = totals.seq;
        audit->totals_held = totals.held;
        audit->has_limit_head = totals.head.len == LEDGER_HASH;
        if (audit->has_limit_head)
            memcpy(audit->limit_head, totals.head.data, LEDGER_HASH);
    }
    buf_free(&memory);
    return found < 0 ? -1 : 0;
}

static void
check_end(struct audit *audit)
{
    struct audit_about about = {
        .what = "chain", .entry = audit->seq, .when_ms = audit->to_ms};

    if (!audit->known || audit->shaky || !audit->has_limit_head ||
        audit->seq != audit->limit ||
        memcmp(audit->head, audit->limit_head, LEDGER_HASH) == 0)
        return;
    if (audit->broken == 0)
        audit->broken = audit->seq;
    audit_find(audit, &about,
               "the chain ends at entry %" PRIu64 " with another hash than the "
               "store noted",
               audit->seq);
    memcpy(audit->head, audit->limit_head, LEDGER_HASH);
}

/* An entry told of a checkpoint: the row must be there. One that was written
 * when the walk had passed its entry already is only checked for itself. */
static int
check_told(struct audit *audit, struct db *db, struct why *why)
{
    struct audit_about about = {.what = "checkpoint", .entry = audit->told};
    struct buf memory = {0};
    struct checkpoint row;
    int found;

    if (audit->told == 0 || audit->told == audit->last_checkpoint)
        return 0;
    found = db_read_checkpoint_after(db, audit->told - 1, &row, &memory, why);
    if (found == 1 && row.seq == audit->told && is_signed(&row)) {
        check_signer(audit, &row);
        audit->checkpoints++;
    } else if (found >= 0 || memory.len > 0) {
        audit_find(audit, &about,
                   "the checkpoint at entry %" PRIu64
                   ", of which entry %" PRIu64
                   " tells, is missing or was changed",
                   audit->told, audit->seq);
        found = 0;
    }
    buf_free(&memory);
    return found < 0 ? -1 : 0;
}

/* No entry follows where one should, or a later one does. */
static int
pass_gap(struct audit *audit, struct db *db, struct why *why)
{
    uint64_t first;

    if (audit->limit == UINT64_MAX && audit->gap == 0) {
        audit->limit = audit->seq;
        return 0;
    }
    if (read_first(db, &first, why) != 0)
        return -1;
    if (first > audit->seq + 1)
        return 2; /* dropped meanwhile */
    if (audit->gap != 0) {
        find_missing(audit, audit->seq + 1, audit->gap - 1);
        audit->seq = audit->gap - 1;
    } else {
        find_missing(audit, audit->seq + 1, audit->stop);
        audit->seq = audit->stop;
    }
    return 1;
}

int
audit_chain_step(struct audit *audit, struct db *db, struct why *why)
{
    struct buf memory = {0};
    struct checkpoint row;
    uint64_t before = audit->seq;
    int found, more = 1;

    if (audit->seq >= audit->limit)
        return 0;
    audit->stop = audit->limit;
    audit->gap = 0;
    audit->told = 0;
    found = db_read_checkpoint_after(db, audit->seq, &row, &memory, why);
    if (found == 1 && row.seq < audit->stop)
        audit->stop = row.seq;
    if (db_read_ledger(db, audit->seq + 1, AUDIT_ENTRIES, take_entry, audit,
                       why) < 0)
        more = -1;
    else if (audit->gap != 0 || audit->seq == before)
        more = pass_gap(audit, db, why);
    else if (check_told(audit, db, why) != 0)
        more = -1;
    if (more == 1 && found == 1 && audit->seq == row.seq)
        take_checkpoint(audit, &row);
    buf_free(&memory);
    if (more != 1 || audit->seq < audit->limit)
        return more;
    check_end(audit);
    return 0;
}

/* --- where to begin --------------------------------------------------------
 */

/* The newest checkpoint not later than since_ms, by halving. */
static bool
find_since(struct audit *audit, struct db *db, struct checkpoint *row,
           struct buf *memory, struct why *why)
{
    uint64_t low = 0, high = audit->limit;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (db_read_checkpoint_after(db, middle, row, memory, why) == 1 &&
            row->when_ms <= audit->since_ms)
            low = row->seq;
        else
            high = middle;
    }
    return low > 0 &&
           db_read_checkpoint_after(db, low - 1, row, memory, why) == 1;
}

static void
begin_at(struct audit *audit, enum ledger_start start,
         const struct checkpoint *row)
{
    audit->start = start;
    audit->seq = row->seq;
    audit->from = row->seq + 1;
    take_checkpoint(audit, row);
}

static void
begin_without(struct audit *audit, uint64_t first)
{
    struct audit_about about = {.what = "missing", .entry = first};

    audit->start = LEDGER_FROM_MIDDLE;
    audit->seq = first - 1;
    audit->from = first;
    audit->broken = first;
    audit_find(audit, &about,
               "the ledger begins with entry %" PRIu64
               " and no checkpoint stands for those before it",
               first);
}

int
audit_chain_begin(struct audit *audit, struct db *db, struct why *why)
{
    struct buf memory = {0};
    struct checkpoint row;
    uint64_t first;

    if (audit_chain_limit(audit, db, why) != 0 ||
        read_first(db, &first, why) != 0)
        return -1;
    if (audit->since_ms != 0 && find_since(audit, db, &row, &memory, why)) {
        begin_at(audit, LEDGER_FROM_MIDDLE, &row);
    } else if (first <= 1) {
        audit->start = LEDGER_FROM_FIRST;
        audit->from = 1;
        audit->known = true;
        audit->sums_known = true;
    } else if (db_read_checkpoint_after(db, first - 2, &row, &memory, why) ==
               1) {
        begin_at(audit, LEDGER_FROM_CUT, &row);
    } else {
        begin_without(audit, first);
    }
    buf_free(&memory);
    audit->balance =
        ledger_balance_new(audit->start, audit->from - 1, on_fault, audit);
    return 0;
}

void
audit_chain_end(struct audit *audit)
{
    struct audit_about about = {.what = "missing", .entry = audit->from};

    if (audit->start == LEDGER_FROM_CUT &&
        !ledger_balance_is_whole(audit->balance))
        audit_find(audit, &about,
                   "entries before %" PRIu64 " are gone, but what was open "
                   "then was not said again",
                   audit->from);
}
