/* SPDX-License-Identifier: ISC */
/*
 * The accounts for people: audit says what was verified, the sums, and each
 * thing that does not fit; checkpoint what was signed.
 */
#include "spoolctl.h"

#include <inttypes.h>
#include <stdio.h>

#include "text.h"
#include "when.h"

#define LABEL 13

static void
audit_ledger(const json_t *row)
{
    char from[WHEN_TEXT_MAX], to[WHEN_TEXT_MAX], count[MEMBER_TEXT_MAX];
    const char *chain = member_text(row, "chain");
    bool whole = strcmp(chain, "whole") == 0;
    uint64_t checkpoints = member_num(row, "checkpoints");

    if (member_num(row, "entries") == 0) {
        text_paragraph("Ledger", LABEL, TEXT_PLAIN, "no entries");
        return;
    }
    text_paragraph("Ledger", LABEL, TEXT_PLAIN,
                   "entries %" PRIu64 " to %" PRIu64 ", %s to %s",
                   member_num(row, "from"), member_num(row, "to"),
                   when_print(member_time(row, "from_time"), from),
                   when_print(member_time(row, "to_time"), to));
    text_paragraph("Chain", LABEL, whole ? TEXT_PLAIN : TEXT_TROUBLE, "%s",
                   chain);
    if (checkpoints > 0)
        text_paragraph("Checkpoints", LABEL, TEXT_PLAIN, "%s, signed by %s",
                       member_count(checkpoints, "checkpoint", count),
                       member_text(row, "signer"));
    else
        text_paragraph("Checkpoints", LABEL, TEXT_PLAIN, "none yet");
}

/* "1200 delivered, 3 returned": what is not zero. */
static void
audit_ends(const json_t *row)
{
    static const char *const ends[] = {"delivered", "returned",  "expired",
                                       "dropped",   "discarded", "erased",
                                       "aside"};
    struct buf text = {0};

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        uint64_t n = member_num(row, ends[i]);

        if (n > 0)
            buf_addf(&text, "%s%" PRIu64 " %s", text.len > 0 ? ", " : "", n,
                     strcmp(ends[i], "aside") == 0 ? "set aside" : ends[i]);
    }
    if (text.len == 0)
        buf_add_text(&text, "none");
    text_paragraph("Ended", LABEL, TEXT_PLAIN, "%.*s", (int)text.len,
                   text.data);
    buf_free(&text);
}

static void
audit_accounts(const json_t *row)
{
    char count[MEMBER_TEXT_MAX];
    uint64_t again = member_num(row, "again");
    uint64_t earlier = member_num(row, "earlier");

    member_count(member_num(row, "accepted"), "delivery", count);
    if (again > 0)
        text_paragraph("Accepted", LABEL, TEXT_PLAIN,
                       "%s, and %" PRIu64 " made once more", count, again);
    else
        text_paragraph("Accepted", LABEL, TEXT_PLAIN, "%s", count);
    audit_ends(row);
    text_paragraph("Held", LABEL, TEXT_PLAIN, "%s%s",
                   member_count(member_num(row, "held"), "delivery", count),
                   member_is(row, "content") ? "; their content was read" : "");
    if (earlier > 0)
        text_paragraph(
            "Earlier", LABEL, TEXT_PLAIN,
            "%s about what was accepted before entry %" PRIu64 " not counted",
            member_count(earlier, "entry", count), member_num(row, "from"));
}

static void
audit_finding(const json_t *one)
{
    char when[WHEN_TEXT_MAX];
    int64_t time_ms = member_time(one, "time");

    if (time_ms != 0)
        text_paragraph("  -", 4, TEXT_TROUBLE, "%s [%s]",
                       member_text(one, "text"), when_print(time_ms, when));
    else
        text_paragraph("  -", 4, TEXT_TROUBLE, "%s", member_text(one, "text"));
}

static void
audit_row(const json_t *row)
{
    const json_t *findings = json_object_get(row, "findings");
    uint64_t more = member_num(row, "more_findings");
    const json_t *one;
    size_t i;

    audit_ledger(row);
    audit_accounts(row);
    printf("\n");
    if (json_array_size(findings) == 0) {
        text_paragraph("", 0, TEXT_PLAIN,
                       "It balances: all that was accepted has its end or is "
                       "here.");
        return;
    }
    text_paragraph("", 0, TEXT_TROUBLE, "This does not balance:");
    json_array_foreach (findings, i, one)
        audit_finding(one);
    if (more > 0)
        text_paragraph("  -", 4, TEXT_TROUBLE, "and %" PRIu64 " more", more);
}

const struct show show_audit = {.row = audit_row};

static void
checkpoint_row(const json_t *row)
{
    char when[MEMBER_TEXT_MAX], count[MEMBER_TEXT_MAX];
    uint64_t dropped = member_num(row, "dropped");

    text_paragraph("Checkpoint", LABEL, TEXT_PLAIN, "entry %" PRIu64 ", %s",
                   member_num(row, "entry"),
                   member_when(member_time(row, "time"), when));
    text_paragraph("Accounts", LABEL, TEXT_PLAIN,
                   "%" PRIu64 " deliveries accepted, %" PRIu64 " ended",
                   member_num(row, "accepted"), member_num(row, "ended"));
    text_paragraph("Hash", LABEL, TEXT_PLAIN, "%s", member_text(row, "hash"));
    text_paragraph("Signed by", LABEL, TEXT_PLAIN, "%s",
                   member_text(row, "signer"));
    text_paragraph("Signature", LABEL, TEXT_PLAIN, "%s",
                   member_text(row, "signature"));
    if (dropped > 0)
        text_paragraph("Dropped", LABEL, TEXT_PLAIN,
                       "%s older than "
                       "keep-ledger",
                       member_count(dropped, "entry", count));
}

const struct show show_checkpoint = {.row = checkpoint_row};
