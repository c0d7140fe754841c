/* SPDX-License-Identifier: ISC */
/*
 * audit: does everything that was accepted have an end, or is it here? One
 * walk over the ledger and one over the messages, in short steps; the store
 * goes on meanwhile. checkpoint: the state of the ledger is signed now.
 *
 * Before: control_client.c (step by step)
 * After:  control_audit_chain.c, control_audit_rows.c
 */
#include "control_audit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "mem.h"
#include "msgid.h"
#include "num.h"
#include "when.h"

#define RESTARTS_MAX 5
/* Dropping what is old may take long. */
#define CHECKPOINT_WAIT_MS (UINT64_C(600) * 1000)
#define SINCE_MAX_MS       (UINT64_C(36500) * 24 * 3600 * 1000)

static void audit_step(struct control_client *client);

/* --- findings --------------------------------------------------------------
 */

static json_t *
json_num(uint64_t value)
{
    return json_integer((json_int_t)value);
}

void
audit_find(struct audit *audit, const struct audit_about *about,
           const char *format, ...)
{
    char text[2 * WHY_TEXT_MAX], id[MSGID_TEXT_MAX];
    json_t *json;
    va_list ap;

    if (audit->n_findings++ >= AUDIT_FINDINGS_MAX)
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    json = json_object();
    json_object_set_new(json, "what", json_string(about->what));
    json_object_set_new(json, "text", control_json_text(view_of(text)));
    json_object_set_new(json, "message",
                        about->id != 0 ? json_string(msgid_print(about->id, id))
                                       : json_null());
    json_object_set_new(json, "n",
                        about->n != 0 ? json_num(about->n - 1) : json_null());
    json_object_set_new(json, "recipient",
                        about->recipient.len > 0
                            ? control_json_text(about->recipient)
                            : json_null());
    json_object_set_new(json, "entry",
                        about->entry != 0 ? json_num(about->entry)
                                          : json_null());
    json_object_set_new(json, "time", control_json_time(about->when_ms));
    json_array_append_new(audit->findings, json);
}

/* --- the answer ------------------------------------------------------------
 */

static json_t *
json_chain(const struct audit *audit)
{
    char text[48] = "whole";

    if (audit->broken != 0)
        snprintf(text, sizeof(text), "broken at %" PRIu64, audit->broken);
    return json_string(text);
}

static json_t *
json_hex(struct view bytes)
{
    struct buf text = {0};
    json_t *json;

    for (size_t i = 0; i < bytes.len; i++)
        buf_addf(&text, "%02x", (unsigned char)bytes.data[i]);
    json = json_stringn(text.len > 0 ? text.data : "", text.len);
    buf_free(&text);
    return json;
}

static json_t *
json_signer(const struct audit *audit)
{
    if (!audit->has_signer)
        return json_null();
    return json_hex((struct view){audit->signer, KEY_SIGN_PUBLIC});
}

static json_t *
json_result(const struct audit *audit)
{
    const struct ledger_counts *counts = ledger_balance_counts(audit->balance);
    const struct {
        const char *name;
        uint64_t value;
    } sums[] = {
        {"checkpoints", audit->checkpoints},
        {"accepted", counts->accepted},
        {"again", counts->again},
        {"held",
         counts->open > audit->n_aside ? counts->open - audit->n_aside : 0},
        {"delivered", counts->delivered},
        {"returned", counts->returned},
        {"expired", counts->expired},
        {"dropped", counts->dropped},
        {"discarded", counts->discarded},
        {"erased", counts->erased},
        {"aside", audit->n_aside},
        {"earlier", counts->earlier},
    };
    json_t *json = json_object();

    json_object_set_new(json, "from", json_num(audit->from));
    json_object_set_new(json, "to", json_num(audit->seq));
    json_object_set_new(json, "from_time", control_json_time(audit->from_ms));
    json_object_set_new(json, "to_time", control_json_time(audit->to_ms));
    json_object_set_new(json, "entries", json_num(counts->entries));
    json_object_set_new(json, "chain", json_chain(audit));
    json_object_set_new(json, "signer", json_signer(audit));
    for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
        json_object_set_new(json, sums[i].name, json_num(sums[i].value));
    json_object_set_new(json, "content", json_boolean(audit->content));
    json_object_set(json, "findings", audit->findings);
    json_object_set_new(
        json, "more_findings",
        json_num(audit->n_findings - json_array_size(audit->findings)));
    return json;
}

static void
audit_end(struct control_client *client)
{
    struct audit *audit = client->work;
    uint64_t n = audit->n_findings;

    control_row(client, json_result(audit));
    if (n > 0)
        control_fail(client, "%" PRIu64 " thing%s not balance", n,
                     n == 1 ? " does" : "s do");
    else
        control_done(client);
}

/* --- steps -----------------------------------------------------------------
 */

static void
audit_clear(struct audit *audit)
{
    char digest[BODY_DIGEST_LEN];

    ledger_balance_free(&audit->balance);
    if (audit->digest != NULL)
        body_digest_end(&audit->digest, digest);
    buf_free(&audit->suspects);
    buf_free(&audit->aside);
    json_decref(audit->findings);
}

static void
audit_free(void *work)
{
    audit_clear(work);
    free(work);
}

/* Old entries were dropped under the walk. */
static int
audit_again(struct audit *audit, struct db *db, struct why *why)
{
    struct audit fresh = {.content = audit->content,
                          .since_ms = audit->since_ms,
                          .restarts = audit->restarts + 1,
                          .findings = json_array()};

    audit_clear(audit);
    *audit = fresh;
    if (audit->restarts > RESTARTS_MAX)
        return why_text(why, "old entries of the ledger are being dropped: "
                             "try again later");
    return audit_chain_begin(audit, db, why) != 0 ? -1 : 1;
}

static int
audit_phase_step(struct audit *audit, struct db *db, struct why *why)
{
    switch (audit->phase) {
    case AUDIT_CHAIN:
        return audit_chain_step(audit, db, why);
    case AUDIT_ROWS:
        return audit_rows_step(audit, db, why);
    case AUDIT_PARTS:
        return audit_parts_step(audit, db, why);
    case AUDIT_CONTENT:
        return audit_content_step(audit, db, why);
    case AUDIT_TOTALS:
        return audit_totals_step(audit, db, why);
    case AUDIT_DONE:
        break;
    }
    return 0;
}

static void
audit_next_phase(struct audit *audit)
{
    if (audit->phase == AUDIT_CHAIN)
        audit_chain_end(audit);
    audit->phase++;
    audit->after_id = 0;
}

static void
audit_step(struct control_client *client)
{
    struct audit *audit = client->work;
    struct why why;
    struct db *db = control_db(&why);
    int more = db != NULL ? audit_phase_step(audit, db, &why) : -1;

    if (more == 2)
        more = audit_again(audit, db, &why);
    if (more == 0)
        audit_next_phase(audit);
    if (more < 0)
        control_fail(client, "%s", why.text);
    else if (audit->phase == AUDIT_DONE)
        audit_end(client);
    else
        control_continue(client, audit_step);
}

/* --- the beginning ---------------------------------------------------------
 */

/* "2h" or a date; spoolctl makes dates UTC. */
static int
since_parse(const char *text, uint64_t *since_ms, struct why *why)
{
    uint64_t age_ms;
    int64_t date_ms, now_ms = clock_wall_ms();

    if (strchr(text, '-') != NULL) {
        if (when_parse(view_of(text), &date_ms, why) != 0)
            return -1;
        *since_ms = date_ms > 0 ? (uint64_t)date_ms : 1;
        return 0;
    }
    if (num_parse_duration(view_of(text), 0, SINCE_MAX_MS, &age_ms, why) != 0)
        return -1;
    *since_ms = (int64_t)age_ms < now_ms ? (uint64_t)now_ms - age_ms : 1;
    return 0;
}

void
control_audit(struct control_client *client)
{
    const char *since = control_option_text(client, CTL_OPTION_SINCE);
    struct audit *audit = mem_alloc(sizeof(*audit));
    struct why why;
    struct db *db;

    audit->content = control_option_text(client, CTL_OPTION_CONTENT) != NULL;
    audit->findings = json_array();
    client->work = audit;
    client->work_free = audit_free;
    if (since != NULL && since_parse(since, &audit->since_ms, &why) != 0) {
        control_refuse(client, "--since: %s", why.text);
        return;
    }
    db = control_db(&why);
    if (db == NULL || audit_chain_begin(audit, db, &why) != 0)
        control_fail(client, "%s", why.text);
    else
        audit_step(client);
}

/* --- checkpoint ------------------------------------------------------------
 */

static json_t *
json_checkpoint(const struct checkpoint *row, uint64_t dropped)
{
    json_t *json = json_object();

    json_object_set_new(json, "entry", json_num(row->seq));
    json_object_set_new(json, "time", control_json_time(row->when_ms));
    json_object_set_new(json, "accepted", json_num(row->accepted));
    json_object_set_new(json, "ended", json_num(row->ended));
    json_object_set_new(json, "hash", json_hex(row->head));
    json_object_set_new(json, "signer", json_hex(row->public));
    json_object_set_new(json, "signature", json_hex(row->signature));
    json_object_set_new(json, "dropped", json_num(dropped));
    return json;
}

static void
checkpoint_on_checked(struct control_client *client,
                      struct peer_message *answer, const struct why *why)
{
    const struct proto_done *checked;
    struct checkpoint row;
    struct buf memory = {0};
    struct why failure;
    uint64_t seq;
    struct db *db;

    if (answer == NULL) {
        control_fail(client, "%s", why->text);
        return;
    }
    checked = answer->payload;
    if (!checked->done) {
        control_fail(client, "%.*s", (int)checked->text.len,
                     checked->text.data);
        return;
    }
    db = control_db(&failure);
    if (db == NULL ||
        num_parse(checked->text, 1, UINT64_MAX, &seq, &failure) != 0 ||
        db_read_checkpoint_after(db, seq - 1, &row, &memory, &failure) != 1) {
        control_fail(client, "it is signed, but cannot be read");
    } else {
        control_row(client, json_checkpoint(&row, checked->count));
        control_done(client);
    }
    buf_free(&memory);
}

void
control_checkpoint(struct control_client *client)
{
    struct proto_none none = {0};

    control_ask(client, ROLE_STORE, PROTO_CHECK_POINT, &none,
                CHECKPOINT_WAIT_MS, checkpoint_on_checked);
}
