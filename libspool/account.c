/* SPDX-License-Identifier: ISC */
/*
 * The field table of accounts, and which addresses a user reads. Tags are
 * for ever (spool.5).
 */
#include "account.h"

#include "addr.h"
#include "glob.h"
#include "mailbox.h"

static const struct record_field account_text_fields[] = {
    RECORD_NEEDED_VIEW(1, account_text, text),
};
RECORD_TYPE(account_text);

static const struct record_field account_code_fields[] = {
    RECORD_NEEDED_VIEW(1, account_code, hash),
    RECORD_NEEDED_NUM(2, account_code, until_ms),
};
RECORD_TYPE(account_code);

static const struct record_field account_fields[] = {
    RECORD_NEEDED_VIEW(1, account, name),
    RECORD_NUM_FIELD(2, account, number),
    RECORD_NUM_FIELD(3, account, made_ms),
    RECORD_LIST_FIELD(4, account, patterns, account_text_record),
    RECORD_LIST_FIELD(5, account, hashes, account_text_record),
    RECORD_LIST_FIELD(6, account, codes, account_code_record),
    RECORD_VIEW_FIELD(7, account, learned),
    RECORD_NUM_FIELD(8, account, learned_ms),
    RECORD_NUM_FIELD(9, account, version),
    RECORD_NUM_FIELD(10, account, own_bytes),
    RECORD_NUM_FIELD(11, account, upstream),
    RECORD_NUM_FIELD(12, account, own_count),
};
RECORD_TYPE(account);

size_t
account_name(struct view name, char *out)
{
    if (name.len == 0 || name.len > ACCOUNT_NAME_MAX)
        return 0;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.data[i] <= ' ' || name.data[i] == 0x7f)
            return 0;
    addr_lower(name, out);
    return name.len;
}

size_t
account_pattern(struct view text, char *out, struct why *why)
{
    const char *at = text.len > 0 ? memrchr(text.data, '@', text.len) : NULL;
    struct view domain;
    size_t len = mailbox_address(text, out);

    if (at == NULL || len == 0) {
        why_text(why, "\"%.*s\" is not an address, and no pattern of some",
                 (int)text.len, text.data);
        return 0;
    }
    domain = view_skip(text, (size_t)(at - text.data) + 1);
    if (!addr_is_domain(domain)) {
        why_text(why,
                 "\"%.*s\" is not a domain: \"*\" stands for a part of "
                 "the local part only",
                 (int)domain.len, domain.data);
        return 0;
    }
    return len;
}

bool
account_pattern_is_wild(struct view pattern)
{
    return memchr(pattern.data, '*', pattern.len) != NULL;
}

bool
account_reads(const struct record_list *patterns, struct view address)
{
    const struct account_text *items = patterns->items;

    for (size_t i = 0; i < patterns->count; i++)
        if (glob_matches(items[i].text, address))
            return true;
    return false;
}
