/* SPDX-License-Identifier: ISC */
#include "db_rules.h"

#include "account.h"
#include "mailbox.h"

#include <inttypes.h>

int
db_rules_get(const struct db_snapshot *in, enum db_table table,
             const struct db_key *key, struct view *value)
{
    MDB_val k = {key->len, (void *)(uintptr_t)key->bytes}, v;
    int rc = mdb_get(in->txn, in->tables[table], &k, &v);

    if (rc == 0)
        *value = db_view(v);
    return rc;
}

bool
db_rules_key(struct db_key *key, struct view bytes)
{
    if (bytes.len > sizeof(key->bytes))
        return false;
    if (bytes.len > 0)
        memcpy(key->bytes, bytes.data, bytes.len);
    key->len = bytes.len;
    return true;
}

/* false, with the reason. */
static bool
wrong(struct why *why, const char *reason)
{
    why_text(why, "%s", reason);
    return false;
}

/* --- messages and deliveries ---------------------------------------------- */

static bool
is_name(struct view name, size_t max)
{
    return name.len <= max &&
           (name.len == 0 || memchr(name.data, '\0', name.len) == NULL);
}

bool
db_rules_message(struct view key, struct view value, struct message *row,
                 struct why *why)
{
    if (key.len != 8)
        return wrong(why, "its key is none");
    if (db_row_decode(DB_message, key, value, &message_record, row) != 0)
        return wrong(why, "its check bytes do not fit");
    message_unpack(row);
    if (!is_name(row->flow, DB_FLOW_MAX))
        return wrong(why, "its flow is none");
    if (row->digest.len != MESSAGE_DIGEST)
        return wrong(why, "it has no digest");
    if (row->key != 0 && row->salt.len == 0)
        return wrong(why, "it is sealed and has no salt");
    return true;
}

bool
db_rules_delivery(struct view key, struct view value, struct delivery *row,
                  struct why *why)
{
    if (key.len != 12)
        return wrong(why, "its key is none");
    if (db_row_decode(DB_delivery, key, value, &delivery_record, row) != 0)
        return wrong(why, "its check bytes do not fit");
    if (row->state < DELIVERY_READY || row->state > DELIVERY_STATE_MAX)
        return wrong(why, "it is in no state there is");
    if (row->target.len == 0 || !is_name(row->target, DB_TARGET_MAX))
        return wrong(why, "it has no target");
    if (delivery_waits(row->state) && row->next_ms == 0)
        return wrong(why, "it waits for no time");
    return true;
}

int
db_rules_key_ready(struct db_key *key, const struct message *message,
                   const struct delivery *row, uint64_t id, uint64_t n)
{
    char flow[MESSAGE_FLOW_KEY_MAX];

    return db_key_ready(key, row->target,
                        (struct view){flow, message_flow_key(message, flow)},
                        id, n);
}

int
db_rules_get_message(const struct db_snapshot *in, uint64_t id,
                     struct message *row)
{
    struct db_key key;
    struct view value;
    int rc;

    db_key_id(&key, id);
    rc = db_rules_get(in, DB_message, &key, &value);
    if (rc != 0)
        return rc == MDB_NOTFOUND ? 0 : -1;
    return db_rules_message((struct view){key.bytes, key.len}, value, row,
                            NULL);
}

int
db_rules_get_delivery(const struct db_snapshot *in, uint64_t id, uint64_t n,
                      struct delivery *row)
{
    struct db_key key;
    struct view value;
    int rc;

    db_key_id_n(&key, id, n);
    rc = db_rules_get(in, DB_delivery, &key, &value);
    if (rc != 0)
        return rc == MDB_NOTFOUND ? 0 : -1;
    return db_rules_delivery((struct view){key.bytes, key.len}, value, row,
                             NULL);
}

/* --- the small tables ------------------------------------------------------
 */

/* The record of each table, for those whose rows say nothing more. */
static const struct record_type *const types[DB_TABLE_COUNT] = {
    [DB_message] = &message_record,
    [DB_delivery] = &delivery_record,
    [DB_target] = &target_health_record,
    [DB_key] = &data_key_record,
    [DB_dictionary] = &dictionary_row_record,
    [DB_domain] = &domain_share_record,
    [DB_checkpoint] = &checkpoint_record,
    [DB_aside] = &aside_row_record,
    [DB_address] = &address_row_record,
    [DB_mark] = &mark_record,
    [DB_own] = &message_record,
    [DB_structure] = &structure_row_record,
    [DB_login] = &address_row_record,
    [DB_user] = &account_record,
    [DB_undo] = &undo_row_record,
    [DB_prefer] = &prefer_rule_record,
};

union any_row {
    struct message message;
    struct delivery delivery;
    struct target_health health;
    struct data_key data_key;
    struct dictionary_row dictionary;
    struct domain_share share;
    struct checkpoint checkpoint;
    struct aside_row aside;
    struct address_row address;
    struct mark mark;
    struct structure_row structure;
    struct account account;
    struct undo_row undo;
    struct prefer_rule prefer;
    struct db_totals totals;
};

static bool
setting_is_right(struct view key, struct view value, struct why *why)
{
    struct db_totals totals;

    if (view_equal(key, VIEW("format")))
        return value.len == 8 || wrong(why, "the version is none");
    if (!view_equal(key, VIEW("totals")))
        return true; /* of a later version */
    return db_row_decode(DB_setting, key, value, &db_totals_record, &totals) ==
               0 ||
           wrong(why, "its check bytes do not fit");
}

/* Does the row stand where it says? */
static bool
names_itself(enum db_table table, struct view key, const union any_row *row)
{
    switch (table) {
    case DB_target:
        return view_equal(key, row->health.name);
    case DB_key:
        return key.len == 8 && bytes_get64(key.data) == row->data_key.id;
    case DB_dictionary:
        return key.len == 8 && bytes_get64(key.data) == row->dictionary.id;
    case DB_checkpoint:
        return key.len == 8 && bytes_get64(key.data) == row->checkpoint.seq;
    case DB_aside:
        return key.len == 8;
    case DB_prefer:
        return key.len == 8 && bytes_get64(key.data) == row->prefer.number;
    case DB_undo: /* a command, or a delivery in a state there is */
        return key.len == 20 &&
               (bytes_get64(key.data + 8) == 0
                    ? row->undo.what != 0 && row->undo.began_ms != 0
                    : row->undo.state >= DELIVERY_READY &&
                          row->undo.state <= DELIVERY_STATE_MAX);
    default:
        return true;
    }
}

static bool
ledger_is_right(struct view key, struct view value, struct why *why)
{
    struct ledger_entry entry;

    if (key.len != 8)
        return wrong(why, "its key is none");
    return (value.len >= LEDGER_CHECK &&
            record_decode(&ledger_entry_record, view_skip(value, LEDGER_CHECK),
                          &entry, NULL) == 0) ||
           wrong(why, "it is no entry");
}

bool
db_rules_row(enum db_table table, struct view key, struct view value,
             struct why *why)
{
    union any_row row;
    bool itself;

    switch (table) {
    case DB_message:
        return db_rules_message(key, value, &row.message, why);
    case DB_delivery:
        return db_rules_delivery(key, value, &row.delivery, why);
    case DB_body:
        return key.len == 12 || wrong(why, "its key is none");
    case DB_setting:
        return setting_is_right(key, value, why);
    case DB_ledger:
        return ledger_is_right(key, value, why);
    case DB_sieve:
        return (key.len == 8 && value.len == DB_SIEVE_BYTES) ||
               wrong(why, "it is no block");
    case DB_mailbox:
        return (key.len == 9 && value.len >= 8) || wrong(why, "it is none");
    case DB_vanished:
    case DB_ready:
    case DB_later:
        return true;
    default:
        break;
    }
    if (db_row_decode(table, key, value, types[table], &row) != 0)
        return wrong(why, "its check bytes do not fit");
    itself = names_itself(table, key, &row);
    record_clear(types[table], &row);
    return itself || wrong(why, "it stands in another's place");
}

/* --- indexes ---------------------------------------------------------------
 */

bool
db_rules_index(enum db_table table, struct view key, uint64_t *id, uint64_t *n)
{
    if (table == DB_later ? key.len != 20 : key.len < 12 + 3)
        return false;
    *id = bytes_get64(key.data + key.len - 12);
    *n = bytes_get32(key.data + key.len - 4);
    return true;
}

int
db_rules_ready(const struct db_snapshot *in, struct view key, struct why *why)
{
    struct message message;
    struct delivery row;
    struct db_key right;
    uint64_t id, n;
    int found;

    if (!db_rules_index(DB_ready, key, &id, &n))
        return wrong(why, "its key is none");
    found = db_rules_get_message(in, id, &message);
    if (found == 1)
        found = db_rules_get_delivery(in, id, n, &row);
    if (found != 1)
        return found == 0 ? wrong(why, "there is no such delivery") : found;
    if (row.state != DELIVERY_READY)
        return wrong(why, "the delivery is not ready");
    if (db_rules_key_ready(&right, &message, &row, id, n) != 0 ||
        !view_equal(key, (struct view){right.bytes, right.len}))
        return wrong(why, "the delivery has another target or flow");
    return 1;
}

static int
purge_is_right(const struct db_snapshot *in, uint64_t id, uint64_t when_ms,
               struct why *why)
{
    struct message message;
    int found = db_rules_get_message(in, id, &message);

    if (found != 1)
        return found == 0 ? wrong(why, "there is no such message") : found;
    if (message.finished_ms == 0)
        return wrong(why, "the message is not finished");
    return message.purge_ms == when_ms ||
           wrong(why, "the message goes at another time");
}

int
db_rules_later(const struct db_snapshot *in, struct view key, struct why *why)
{
    struct delivery row;
    uint64_t id, n;
    int found;

    if (!db_rules_index(DB_later, key, &id, &n))
        return wrong(why, "its key is none");
    if (n == DB_LATER_PURGE)
        return purge_is_right(in, id, bytes_get64(key.data), why);
    found = db_rules_get_delivery(in, id, n, &row);
    if (found != 1)
        return found == 0 ? wrong(why, "there is no such delivery") : found;
    if (!delivery_waits(row.state))
        return wrong(why, "the delivery does not wait");
    return row.next_ms == bytes_get64(key.data) ||
           wrong(why, "the delivery waits for another time");
}

/* --- signatures ------------------------------------------------------------
 */

size_t
db_rules_slots(struct view block)
{
    size_t count = block.len == DB_SIEVE_BYTES ? bytes_get32(block.data) : 0;

    return count < DB_SIEVE_SLOTS ? count : DB_SIEVE_SLOTS;
}

bool
db_rules_slot(struct view block, size_t slot, uint64_t *id, struct sieve *sieve)
{
    const char *at = block.data + DB_SIEVE_HEADER + slot * DB_SIEVE_SLOT;

    if (slot >= db_rules_slots(block))
        return false;
    *id = bytes_get64(at);
    for (int w = 0; w < SIEVE_WORDS; w++)
        sieve->bits[w] = bytes_get64(at + 8 + 8 * w);
    return true;
}

int
db_rules_signed(const struct db_snapshot *in, uint64_t id,
                const struct message *message, const struct sieve *want)
{
    struct sieve have;
    struct view block;
    struct db_key key;
    uint64_t owner;
    int rc;

    db_key_id(&key, message->block);
    rc = db_rules_get(in, DB_sieve, &key, &block);
    if (rc != 0)
        return rc == MDB_NOTFOUND ? 0 : -1;
    for (size_t i = 0; db_rules_slot(block, i, &owner, &have); i++)
        if (owner == id && sieve_passes(&have, want))
            return 1;
    return 0;
}
