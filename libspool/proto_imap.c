/* SPDX-License-Identifier: ISC */
/* The field tables of proto_imap.h. */
#include "proto_imap.h"

#include "account.h"

static const struct record_field proto_login_fields[] = {
    RECORD_VIEW_FIELD(1, proto_login, name),
    RECORD_VIEW_FIELD(2, proto_login, password),
    RECORD_VIEW_FIELD(3, proto_login, client),
    RECORD_NUM_FIELD(4, proto_login, beside),
};
RECORD_TYPE(proto_login);

static const struct record_field proto_login_result_fields[] = {
    RECORD_NEEDED_NUM(1, proto_login_result, result),
    RECORD_NUM_FIELD(2, proto_login_result, user),
    RECORD_VIEW_FIELD(3, proto_login_result, name),
    RECORD_LIST_FIELD(4, proto_login_result, patterns, account_text_record),
    RECORD_VIEW_FIELD(5, proto_login_result, text),
    RECORD_NUM_FIELD(6, proto_login_result, version),
};
RECORD_TYPE(proto_login_result);

static const struct record_field proto_mail_fields[] = {
    RECORD_NEEDED_NUM(1, proto_mail, id),
    RECORD_NUM_FIELD(2, proto_mail, n),
};
RECORD_TYPE(proto_mail);

static const struct record_field proto_flags_fields[] = {
    RECORD_NEEDED_NUM(1, proto_flags, user),
    RECORD_NEEDED_NUM(2, proto_flags, what),
    RECORD_NUM_FIELD(3, proto_flags, flags),
    RECORD_VIEW_FIELD(4, proto_flags, keywords),
    RECORD_NUM_FIELD(5, proto_flags, conditional),
    RECORD_NUM_FIELD(6, proto_flags, unchanged_since),
    RECORD_LIST_FIELD(7, proto_flags, items, proto_mail_record),
};
RECORD_TYPE(proto_flags);

static const struct record_field proto_place_fields[] = {
    RECORD_NEEDED_NUM(1, proto_place, user),
    RECORD_NUM_FIELD(2, proto_place, box),
    RECORD_LIST_FIELD(3, proto_place, items, proto_mail_record),
};
RECORD_TYPE(proto_place);

static const struct record_field proto_append_fields[] = {
    RECORD_NEEDED_NUM(1, proto_append, user),
    RECORD_NEEDED_NUM(2, proto_append, box),
    RECORD_NUM_FIELD(3, proto_append, flags),
    RECORD_VIEW_FIELD(4, proto_append, keywords),
    RECORD_NEEDED_VIEW(5, proto_append, submit),
    RECORD_NUM_FIELD(6, proto_append, quota_bytes),
};
RECORD_TYPE(proto_append);

static const struct record_field proto_marked_fields[] = {
    RECORD_NEEDED_NUM(1, proto_marked, result),
    RECORD_NUM_FIELD(2, proto_marked, modseq),
    RECORD_VIEW_FIELD(3, proto_marked, reason),
};
RECORD_TYPE(proto_marked);

static const struct record_field proto_structure_item_fields[] = {
    RECORD_NEEDED_NUM(1, proto_structure_item, id),
    RECORD_NEEDED_VIEW(2, proto_structure_item, bytes),
};
RECORD_TYPE(proto_structure_item);

static const struct record_field proto_structure_fields[] = {
    RECORD_LIST_FIELD(1, proto_structure, items, proto_structure_item_record),
};
RECORD_TYPE(proto_structure);

static const struct record_field proto_news_item_fields[] = {
    RECORD_NEEDED_NUM(1, proto_news_item, what),
    RECORD_VIEW_FIELD(2, proto_news_item, address),
    RECORD_NUM_FIELD(3, proto_news_item, user),
    RECORD_NUM_FIELD(4, proto_news_item, box),
    RECORD_NUM_FIELD(5, proto_news_item, uid),
    RECORD_NUM_FIELD(6, proto_news_item, id),
    RECORD_NUM_FIELD(7, proto_news_item, n),
    RECORD_NUM_FIELD(8, proto_news_item, modseq),
};
RECORD_TYPE(proto_news_item);

static const struct record_field proto_news_fields[] = {
    RECORD_NUM_FIELD(1, proto_news, all),
    RECORD_LIST_FIELD(2, proto_news, items, proto_news_item_record),
};
RECORD_TYPE(proto_news);

static const struct record_field proto_sign_in_fields[] = {
    RECORD_NEEDED_NUM(1, proto_sign_in, what),
    RECORD_NEEDED_NUM(2, proto_sign_in, when_ms),
    RECORD_NEEDED_VIEW(3, proto_sign_in, name),
    RECORD_VIEW_FIELD(4, proto_sign_in, hash),
    RECORD_VIEW_FIELD(5, proto_sign_in, pattern),
};
RECORD_TYPE(proto_sign_in);

static const struct record_field proto_user_fields[] = {
    RECORD_NEEDED_NUM(1, proto_user, what),
    RECORD_NEEDED_NUM(2, proto_user, when_ms),
    RECORD_VIEW_FIELD(3, proto_user, by),
    RECORD_LIST_FIELD(4, proto_user, accounts, account_text_record),
};
RECORD_TYPE(proto_user);
