/* SPDX-License-Identifier: ISC */
/*
 * What readers see is put right: the place in a mailbox that a delivery or a
 * user's mark names by its uid, and the login of an account. Uids stay what
 * they are. An address that lost its number gets another; then its other
 * deliveries follow one by one, since each names its place itself.
 */
#include "db_rules_reader.h"

static enum db_result
place_delivery(struct db_txn *txn, const struct db_snapshot *in,
               struct db_totals *totals, const struct proto_mend_item *item,
               uint64_t *changed)
{
    char text[MAILBOX_ADDRESS_MAX];
    struct view address;
    struct address_row known;
    struct delivery row;
    struct db_place place;
    enum db_result result;

    if (db_rules_get_delivery(in, item->id, item->n, &row) != 1 ||
        db_rules_delivery_placed(in, item->id, item->n, &row) != 0)
        return DB_OK;
    address = (struct view){text, mailbox_address(row.recipient, text)};
    place = (struct db_place){.box = row.moved ? BOX_DELIVERED : BOX_INBOX,
                              .uid = row.uid};
    result = db_get_address(txn, address, &known);
    if (result == DB_NONE || result == DB_DAMAGED) {
        known.number = ++totals->number;
        result = db_put_address(txn, address, &known);
    }
    place.number = known.number;
    if (result == DB_OK)
        result = db_put_mailbox(txn, &place, item->id, item->n);
    *changed += result == DB_OK;
    return result;
}

static enum db_result
place_mark(struct db_txn *txn, const struct db_snapshot *in,
           const struct proto_mend_item *item, uint64_t *changed)
{
    struct mark mark;
    struct db_place place = {.number = item->by};
    struct db_key key;
    enum db_result result =
        db_get_mark(txn, item->id, item->n, item->by, &mark);

    if (result != DB_OK)
        return result == DB_FAILED ? result : DB_OK;
    db_key_mark(&key, item->id, item->n, item->by);
    if (db_rules_mark_placed(in, (struct view){key.bytes, key.len}, &mark) != 0)
        return DB_OK;
    place.box = mark.box;
    place.uid = mark.uid;
    result = db_put_mailbox(txn, &place, item->id, item->n);
    *changed += result == DB_OK;
    return result;
}

static enum db_result
place_account(struct db_txn *txn, const struct db_snapshot *in, uint64_t number,
              uint64_t *changed)
{
    char name[ACCOUNT_NAME_MAX];
    struct account account;
    size_t len;
    int placed;
    enum db_result result = db_get_account(txn, number, &account);

    if (result != DB_OK)
        return result == DB_FAILED ? result : DB_OK;
    placed = db_rules_account_placed(in, &account);
    len = account.name.len <= sizeof(name) ? account.name.len : 0;
    memcpy(name, account.name.data, len);
    record_clear(&account_record, &account);
    if (placed != 0 || len == 0)
        return DB_OK;
    result = db_put_login(txn, (struct view){name, len}, number);
    *changed += result == DB_OK;
    return result;
}

enum db_result
db_mend_place(struct db_txn *txn, const struct db_snapshot *in,
              struct db_totals *totals, const struct proto_mend_item *item,
              uint64_t *changed)
{
    switch (db_table_named(item->table)) {
    case DB_delivery:
        return place_delivery(txn, in, totals, item, changed);
    case DB_mark:
        return place_mark(txn, in, item, changed);
    case DB_user:
        return place_account(txn, in, item->by, changed);
    default:
        return DB_OK;
    }
}
