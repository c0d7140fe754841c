/* SPDX-License-Identifier: ISC */
/*
 * The accounts against the rows: each message has the open deliveries the
 * ledger says, and what the ledger says is open has its rows, or these were
 * set aside. A first look may compare two moments; whatever does not fit is a
 * suspect and is looked at until both sides are of the same moment.
 *
 * Before: control_audit.c   After: control_audit_chain.c, db_read.c
 */
#include "control_audit.h"

#include <inttypes.h>
#include <stdlib.h>

#include "msgid.h"

#define ROWS_MESSAGES   300 /* in one step */
#define ROWS_SUSPECTS   50
#define ROWS_ASIDE      500
#define TRIES_MAX       1000 /* a message that changes all the time */
#define CONTENT_BYTES   (UINT64_C(4) << 20)
#define CONTENT_LOOK_AT 2000 /* rows passed in search of held messages */

/* --- set aside -------------------------------------------------------------
 */

static int
compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static bool
is_aside(const struct audit *audit, uint64_t id)
{
    return audit->aside.len > 0 &&
           bsearch(&id, audit->aside.data, audit->aside.len / sizeof(id),
                   sizeof(id), compare_ids) != NULL;
}

/* Takes what was set aside since the last time. 0: all, 1: more, -1. */
static int
read_aside(struct audit *audit, struct db *db, struct why *why)
{
    struct buf memory = {0};
    size_t had = audit->aside.len;
    struct aside_row row;
    int found = 1;

    for (int i = 0; i < ROWS_ASIDE && found == 1; i++) {
        uint64_t number;

        found = db_read_aside_after(db, audit->aside_read, &number, &row,
                                    &memory, why);
        if (found != 1)
            break;
        audit->aside_read = number;
        if (row.id != 0)
            buf_add(&audit->aside, &row.id, sizeof(row.id));
    }
    buf_free(&memory);
    if (audit->aside.len > had)
        qsort(audit->aside.data, audit->aside.len / sizeof(uint64_t),
              sizeof(uint64_t), compare_ids);
    return found;
}

/* --- one message -----------------------------------------------------------
 */

/* What a comparison says, if it is to say anything. */
struct verdict {
    struct audit *audit; /* NULL: only ask */
    uint64_t id;
    bool differs;
};

static void
differ(struct verdict *verdict, const char *what, uint64_t n,
       struct view recipient, const char *text)
{
    struct ledger_open open;
    char id[MSGID_TEXT_MAX];
    struct audit_about about = {
        .what = what, .id = verdict->id, .n = n, .recipient = recipient};

    verdict->differs = true;
    if (verdict->audit == NULL)
        return;
    if (ledger_balance_find(verdict->audit->balance, verdict->id, &open))
        about.entry = open.seq;
    msgid_print(verdict->id, id);
    if (n == 0)
        audit_find(verdict->audit, &about, "message %s: %s", id, text);
    else if (recipient.len > 0)
        audit_find(verdict->audit, &about, "message %s, recipient <%.*s>: %s",
                   id, (int)(recipient.len < 200 ? recipient.len : 200),
                   recipient.data, text);
    else
        audit_find(verdict->audit, &about,
                   "message %s, recipient %" PRIu64 ": %s", id, n, text);
}

/* The rows that are there against the accounts. */
static void
compare_present(const struct audit *audit, const struct db_message *message,
                struct verdict *verdict)
{
    for (size_t i = 0; i < message->n_deliveries; i++) {
        const struct db_delivery *row = &message->deliveries[i];
        bool said = ledger_balance_is_open(audit->balance, message->id, row->n);
        bool is = delivery_is_open(row->delivery.state);

        if (said && !is)
            differ(verdict, "no-end", row->n + 1, row->delivery.recipient,
                   "it has ended, but the ledger has no end of it");
        else if (is && !said)
            differ(verdict, "not-accepted", row->n + 1, row->delivery.recipient,
                   "it is held, but by the ledger it was never accepted or "
                   "has ended");
    }
}

/* What the accounts have open and no row is there for; returns how many of
 * these were set aside. */
static uint64_t
compare_absent(const struct audit *audit, const struct db_message *message,
               struct verdict *verdict)
{
    bool aside = is_aside(audit, message->id);
    uint64_t n_aside = 0;
    size_t i = 0;

    for (uint64_t n = 0; ledger_balance_next(audit->balance, message->id, &n);
         n++) {
        while (i < message->n_deliveries && message->deliveries[i].n < n)
            i++;
        if (i < message->n_deliveries && message->deliveries[i].n == n)
            continue;
        if (aside)
            n_aside++;
        else
            differ(verdict, "lost", n + 1, (struct view){0},
                   "accepted and without an end, but its row is missing");
    }
    return n_aside;
}

static void
compare_digest(const struct audit *audit, const struct db_message *message,
               struct verdict *verdict)
{
    struct ledger_open open;
    struct view digest = message->message.digest;

    if (!ledger_balance_find(audit->balance, message->id, &open) ||
        !open.has_digest)
        return;
    if (digest.len < LEDGER_DIGEST ||
        memcmp(digest.data, open.digest, LEDGER_DIGEST) != 0)
        differ(verdict, "digest", 0, (struct view){0},
               "its row has another digest than was accepted");
}

/* found as of db_read_message. Tells the verdict what does not fit; returns
 * how many open deliveries are set aside. */
static uint64_t
compare(const struct audit *audit, int found, const struct db_message *message,
        const struct why *damage, struct verdict *verdict)
{
    struct ledger_open open;
    bool known = ledger_balance_find(audit->balance, verdict->id, &open);
    char text[WHY_TEXT_MAX + 40];

    if (!known && audit->start == LEDGER_FROM_MIDDLE)
        return 0;
    if (found < 0) {
        snprintf(text, sizeof(text), "it cannot be read: %s", damage->text);
        differ(verdict, "damaged", 0, (struct view){0}, text);
        return 0;
    }
    if (found == 0 && known && !is_aside(audit, verdict->id)) {
        snprintf(text, sizeof(text),
                 "accepted, %" PRIu64 " deliver%s without an end, but the "
                 "message is not there",
                 open.n, open.n == 1 ? "y" : "ies");
        differ(verdict, "lost", 0, (struct view){0}, text);
    }
    if (found == 0)
        return known && is_aside(audit, verdict->id) ? open.n : 0;
    compare_present(audit, message, verdict);
    compare_digest(audit, message, verdict);
    return compare_absent(audit, message, verdict);
}

/* Takes everything up to the end of the ledger. */
static int
catch_up(struct audit *audit, struct db *db, struct why *why)
{
    if (audit_chain_limit(audit, db, why) != 0)
        return -1;
    return audit_chain_step(audit, db, why);
}

/* --- suspects --------------------------------------------------------------
 */

static size_t
n_suspects(const struct audit *audit)
{
    return audit->suspects.len / sizeof(uint64_t) - audit->next_suspect;
}

/* The next suspect. 0: settled, 1: something of it came meanwhile. */
static int
settle(struct audit *audit, struct db *db, struct why *why)
{
    struct verdict verdict = {.audit = audit};
    struct db_message message = {0};
    struct why damage;
    uint64_t n_aside;
    int found, more;

    memcpy(&verdict.id,
           audit->suspects.data + audit->next_suspect * sizeof(uint64_t),
           sizeof(verdict.id));
    audit->watch_id = verdict.id;
    audit->watch_hit = false;
    found = db_read_message(db, verdict.id, &message, &damage);
    message.id = verdict.id;
    more = catch_up(audit, db, why);
    if (more == 0)
        more = read_aside(audit, db, why);
    if (more == 0 && audit->watch_hit && audit->tries++ < TRIES_MAX)
        more = 1;
    if (more == 0 && audit->tries < TRIES_MAX) {
        n_aside = compare(audit, found, &message, &damage, &verdict);
        audit->n_aside += n_aside;
    }
    if (more == 0) {
        ledger_balance_mark(audit->balance, verdict.id);
        audit->next_suspect++;
        audit->tries = 0;
    }
    if (found == 1)
        db_message_free(&message);
    return more;
}

static int
settle_some(struct audit *audit, struct db *db, struct why *why)
{
    for (int i = 0; i < ROWS_SUSPECTS && n_suspects(audit) > 0; i++) {
        int more = settle(audit, db, why);

        if (more != 0)
            return more;
    }
    if (n_suspects(audit) > 0)
        return 1;
    buf_reset(&audit->suspects);
    audit->next_suspect = 0;
    return 0;
}

/* --- phases ----------------------------------------------------------------
 */

static void
look_at(struct audit *audit, struct db *db, uint64_t id)
{
    struct verdict verdict = {.id = id};
    struct db_message message = {0};
    struct why damage;
    int found = db_read_message(db, id, &message, &damage);

    message.id = id;
    if (compare(audit, found, &message, &damage, &verdict) > 0 ||
        verdict.differs)
        buf_add(&audit->suspects, &id, sizeof(id));
    else
        ledger_balance_mark(audit->balance, id);
    if (found == 1)
        db_message_free(&message);
}

int
audit_rows_step(struct audit *audit, struct db *db, struct why *why)
{
    size_t rows = ROWS_MESSAGES;
    int more = n_suspects(audit) > 0 ? settle_some(audit, db, why)
                                     : catch_up(audit, db, why);

    if (more != 0)
        return more;
    more = read_aside(audit, db, why);
    if (more != 0)
        return more;
    for (int i = 0; i < ROWS_MESSAGES; i++) {
        uint64_t id;
        int found =
            db_read_next_id(db, audit->after_id, false, &rows, &id, why);

        if (found < 0)
            return -1;
        if (found == 0)
            return n_suspects(audit) > 0;
        audit->after_id = id;
        if (found == 2)
            return 1;
        look_at(audit, db, id);
    }
    return 1;
}

int
audit_parts_step(struct audit *audit, struct db *db, struct why *why)
{
    if (n_suspects(audit) > 0)
        return settle_some(audit, db, why) < 0 ? -1 : 1;
    if (audit->part == LEDGER_PARTS)
        return 0;
    ledger_balance_unmarked(audit->balance, audit->part++, &audit->suspects);
    return 1;
}

/* --- content ---------------------------------------------------------------
 */

static void
content_stop(struct audit *audit)
{
    char digest[BODY_DIGEST_LEN];

    if (audit->digest != NULL)
        body_digest_end(&audit->digest, digest);
    audit->content_id = 0;
}

/* 1: the next held message's content is under way; 0: there is none, 2: look
 * on in another step. */
static int
content_next(struct audit *audit, struct db *db, struct why *why)
{
    size_t rows = CONTENT_LOOK_AT;
    struct db_message message;
    struct why damage;
    uint64_t id;
    int found = db_read_next_id(db, audit->after_id, true, &rows, &id, why);

    if (found == 1 || found == 2)
        audit->after_id = id;
    if (found != 1)
        return found;
    /* One that cannot be read was told of. */
    if (db_read_message(db, id, &message, &damage) != 1)
        return 2;
    audit->content_id = id;
    audit->content_piece = 0;
    audit->content_pieces = message.message.pieces;
    audit->digest = body_digest_new();
    db_message_free(&message);
    return 1;
}

/* The content is read: is it what was accepted? */
static void
content_compare(struct audit *audit, struct db *db, bool whole)
{
    struct verdict verdict = {.audit = audit, .id = audit->content_id};
    char digest[BODY_DIGEST_LEN], text[100];
    struct db_message message;
    struct ledger_open open;
    struct why damage;
    struct view row;
    bool same;

    body_digest_end(&audit->digest, digest);
    audit->content_id = 0;
    if (db_read_message(db, verdict.id, &message, &damage) != 1)
        return; /* it ended meanwhile */
    row = message.message.digest;
    same = view_equal(row, (struct view){digest, MESSAGE_DIGEST});
    if (same && ledger_balance_find(audit->balance, verdict.id, &open) &&
        open.has_digest)
        same = memcmp(open.digest, digest, LEDGER_DIGEST) == 0;
    snprintf(text, sizeof(text),
             "piece %" PRIu64 " of %" PRIu64 " of its content is missing",
             audit->content_piece + 1, audit->content_pieces);
    if (!whole)
        differ(&verdict, "content", 0, (struct view){0}, text);
    else if (!same)
        differ(&verdict, "content", 0, (struct view){0},
               "its content is not what was accepted");
    db_message_free(&message);
}

static int
content_pieces(struct audit *audit, struct db *db, struct why *why)
{
    struct buf piece = {0};
    uint64_t bytes = 0;
    int found = 1;

    while (found == 1 && audit->content_piece < audit->content_pieces &&
           bytes < CONTENT_BYTES) {
        buf_reset(&piece);
        found = db_read_piece(db, audit->content_id, audit->content_piece,
                              &piece, why);
        if (found != 1)
            break;
        audit->content_piece++;
        bytes += piece.len;
        body_digest_add(audit->digest, buf_view(&piece));
    }
    buf_free(&piece);
    if (found == 1 && audit->content_piece < audit->content_pieces)
        return 1;
    content_compare(audit, db, found == 1);
    return 1;
}

int
audit_content_step(struct audit *audit, struct db *db, struct why *why)
{
    int more = 1;

    if (!audit->content)
        return 0;
    for (int i = 0; i < ROWS_MESSAGES && more == 1; i++) {
        uint64_t before = audit->content_piece;

        if (audit->content_id == 0)
            more = content_next(audit, db, why);
        if (more == 1)
            more = content_pieces(audit, db, why);
        if (more == 1 && audit->content_id != 0 &&
            audit->content_piece > before)
            break; /* a large one: enough for a step */
    }
    if (more <= 0)
        content_stop(audit);
    return more == 2 ? 1 : more;
}

/* --- totals ----------------------------------------------------------------
 */

int
audit_totals_step(struct audit *audit, struct db *db, struct why *why)
{
    struct audit_about about = {.what = "totals"};
    uint64_t messages;
    int more = catch_up(audit, db, why);

    if (more != 0)
        return more;
    messages = ledger_balance_counts(audit->balance)->messages;
    /* Where something is wrong already, this follows from it. */
    if (audit->start != LEDGER_FROM_MIDDLE && audit->n_findings == 0 &&
        audit->aside.len == 0 && messages != audit->totals_held)
        audit_find(audit, &about,
                   "the store counts %" PRIu64 " held messages, the ledger "
                   "%" PRIu64,
                   audit->totals_held, messages);
    return 0;
}
