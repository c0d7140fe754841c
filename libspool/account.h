/* SPDX-License-Identifier: ISC */
/*
 * Accounts: who may read held mail, whose mail, and how he signs in. The row
 * of the table user (spool.5). Passwords are kept as hashes only (password.h).
 */
#ifndef SPOOL_ACCOUNT_H
#define SPOOL_ACCOUNT_H

#include "record.h"

#define ACCOUNT_NAME_MAX     255
#define ACCOUNT_PATTERNS_MAX 1000
#define ACCOUNT_HASHES_MAX   4
#define ACCOUNT_CODES_MAX    16
#define ACCOUNT_CODE_HASH    32

/* A list's item that is one text: a pattern of addresses, a hash. */
struct account_text {
    struct view text;
};
/* An access code that was not used yet. */
struct account_code {
    struct view hash; /* ACCOUNT_CODE_HASH bytes, password_code_hash */
    uint64_t until_ms;
};

struct account {
    struct view name;            /* in lower case; the key, too */
    uint64_t number;             /* for keys of mailbox and mark; for ever */
    uint64_t made_ms;            /* set by the store, as number */
    struct record_list patterns; /* account_text: anna@example.com, *@... */
    struct record_list hashes;   /* account_text, password.h */
    struct record_list codes;    /* account_code */
    struct view learned;         /* hash of what the primary took, or empty */
    uint64_t learned_ms;
    uint64_t version;   /* changes with password and patterns, not with use */
    uint64_t own_bytes; /* in Drafts, Sent and Trash: content of his own */
    uint64_t own_count; /* and how many messages */
    uint64_t upstream;  /* 1: made by a learned sign-in, not by the operator */
};
extern const struct record_type account_record, account_text_record,
    account_code_record;

/* The name in the form it is looked up by, into out (ACCOUNT_NAME_MAX bytes);
 * its length, 0: no name can be this. */
size_t account_name(struct view name, char *out);

/* A pattern of addresses as an operator writes it: anna@example.com,
 * *@example.com, sales-*@example.com; one "@", the domain without "*". Into
 * out (MAILBOX_ADDRESS_MAX bytes) in lower case; its length, 0 and a reason. */
size_t account_pattern(struct view text, char *out, struct why *why);
bool account_pattern_is_wild(struct view pattern);

/* May the user read mail for this address (mailbox_address)? */
bool account_reads(const struct record_list *patterns, struct view address);

#endif
