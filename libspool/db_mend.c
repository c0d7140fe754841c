/* SPDX-License-Identifier: ISC */
#include "db_mend.h"

#include "db_rules_reader.h"
#include "event.h"

struct mending {
    struct db_txn *txn;
    struct db_totals *totals;
    const struct proto_mend_item *item;
    const struct db_mend_times *times;
    struct db_snapshot in;
    uint64_t changed; /* by this item */
};

/* --- setting aside ---------------------------------------------------------
 */

/* Moves a row as it is. */
static enum db_result
move_aside(struct mending *m, enum db_table table, struct view key,
           struct view value)
{
    struct buf copy = {0};
    struct aside_row row = {.when_ms = m->times->now_ms,
                            .table = view_of(db_table_names[table]),
                            .reason = m->item->reason,
                            .id = m->item->id};
    enum db_result result;

    /* Views into the map end with the first change. */
    buf_add_view(&copy, key);
    buf_add_view(&copy, value);
    row.key = (struct view){copy.data, key.len};
    row.value = view_skip(buf_view(&copy), key.len);
    result = db_add_aside(m->txn, &row);
    if (result == DB_OK)
        result = db_del_raw(m->txn, row.table, row.key);
    buf_free(&copy);
    m->changed += result == DB_OK;
    return result;
}

/* A part of content that its message does not have. */
static bool
is_extra(const struct mending *m, struct view key)
{
    struct message message;

    return key.len != 12 || (db_rules_get_message(&m->in, bytes_get64(key.data),
                                                  &message) == 1 &&
                             bytes_get32(key.data + 8) >> 8 >= message.pieces);
}

static enum db_result
mend_aside(struct mending *m)
{
    int table = db_table_named(m->item->table);
    struct view value;
    enum db_result got;

    /* Without these there is no store; and entries of the ledger prove
     * something even when they are damaged. */
    if (table < 0 || table == DB_setting || table == DB_ledger ||
        table == DB_ready || table == DB_later)
        return DB_OK;
    got = db_get_raw(m->txn, m->item->table, m->item->key, &value);
    if (got != DB_OK)
        return got == DB_NONE ? DB_OK : got;
    if (table == DB_body
            ? !is_extra(m, m->item->key)
            : db_rules_row((enum db_table)table, m->item->key, value, NULL))
        return DB_OK;
    return move_aside(m, (enum db_table)table, m->item->key, value);
}

/* The first row of table whose key starts with the id. */
static enum db_result
first_of(const struct mending *m, enum db_table table, MDB_val *k, MDB_val *v)
{
    struct db_key start;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(m->txn->mdb, m->in.tables[table], &cursor);

    if (rc != 0)
        return db_txn_result(m->txn, rc);
    db_key_id(&start, m->item->id);
    *k = db_key_val(&start);
    rc = mdb_cursor_get(cursor, k, v, MDB_SET_RANGE);
    mdb_cursor_close(cursor);
    if (rc == 0 && (k->mv_size < 8 || memcmp(k->mv_data, start.bytes, 8) != 0))
        rc = MDB_NOTFOUND;
    return db_txn_result(m->txn, rc);
}

static enum db_result
move_all_of(struct mending *m, enum db_table table)
{
    MDB_val k, v;
    enum db_result result;

    while ((result = first_of(m, table, &k, &v)) == DB_OK)
        if ((result = move_aside(m, table, db_view(k), db_view(v))) != DB_OK)
            return result;
    return result == DB_NONE ? DB_OK : result;
}

/* The row of a delivery in an index, as far as it can be told. */
static enum db_result
leave_index(struct mending *m, const struct delivery *row, uint64_t n,
            const struct message *message)
{
    enum db_result result = DB_OK;
    char flow[MESSAGE_FLOW_KEY_MAX];

    if (row->state == DELIVERY_READY && message != NULL)
        result =
            db_del_ready(m->txn, row->target,
                         (struct view){flow, message_flow_key(message, flow)},
                         m->item->id, n);
    else if (delivery_waits(row->state))
        result = db_del_later(m->txn, row->next_ms, m->item->id, n);
    return result == DB_NONE ? DB_OK : result;
}

/* What stands for it elsewhere. What cannot be told by damaged rows is found
 * by the next check: rows of an index that stand for nothing. */
static enum db_result
leave_all(struct mending *m)
{
    struct message message;
    bool known = db_rules_get_message(&m->in, m->item->id, &message) == 1;
    uint64_t block = known ? message.block : 0;
    uint64_t purge_ms = known ? message.purge_ms : 0;
    struct delivery row;
    enum db_result result = DB_OK;

    for (uint64_t n = 0; result == DB_OK; n++) {
        result = db_next_delivery(m->txn, m->item->id, &n, &row);
        if (result == DB_DAMAGED) {
            result = DB_OK;
            continue;
        }
        if (result == DB_OK) {
            known = known &&
                    db_rules_get_message(&m->in, m->item->id, &message) == 1;
            result = leave_index(m, &row, n, known ? &message : NULL);
        }
    }
    if (result == DB_NONE && block != 0)
        result = db_sieve_drop(m->txn, block, m->item->id);
    if ((result == DB_NONE || result == DB_OK) && purge_ms != 0)
        result = db_del_later(m->txn, purge_ms, m->item->id, DB_LATER_PURGE);
    return result == DB_NONE ? DB_OK : result;
}

static enum db_result
mend_whole(struct mending *m)
{
    static const enum db_table tables[] = {DB_message, DB_delivery, DB_body,
                                           DB_own};
    enum db_result result = leave_all(m);

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        if (result == DB_OK)
            result = move_all_of(m, tables[i]);
    return result;
}

/* --- indexes ---------------------------------------------------------------
 */

static enum db_result
mend_drop(struct mending *m)
{
    int table = db_table_named(m->item->table);
    struct view value;
    enum db_result result;
    int right = 1;

    if (table == DB_ready)
        right = db_rules_ready(&m->in, m->item->key, NULL);
    else if (table == DB_later)
        right = db_rules_later(&m->in, m->item->key, NULL);
    else if (table >= 0 &&
             db_get_raw(m->txn, m->item->table, m->item->key, &value) == DB_OK)
        right = db_rules_stands(&m->in, (enum db_table)table, m->item->key,
                                value, NULL);
    if (right != 0)
        return right < 0 ? DB_FAILED : DB_OK;
    result = db_del_raw(m->txn, m->item->table, m->item->key);
    m->changed += result == DB_OK;
    return result == DB_NONE ? DB_OK : result;
}

static enum db_result
put_index(struct mending *m, enum db_table table, struct db_key *key)
{
    struct view value;
    enum db_result result;

    if (db_rules_get(&m->in, table, key, &value) == 0)
        return DB_OK;
    result = db_key_put(m->txn, table, key);
    m->changed += result == DB_OK;
    return result;
}

/* READY and LATER: as the delivery's state says by now. */
static enum db_result
mend_index(struct mending *m)
{
    uint64_t id = m->item->id, n = m->item->n;
    struct message message;
    struct delivery row;
    struct db_key key;

    if (db_rules_get_message(&m->in, id, &message) != 1)
        return DB_OK;
    if (n == DB_LATER_PURGE) {
        if (message.finished_ms == 0)
            return DB_OK;
        db_key_later(&key, message.purge_ms, id, n);
        return put_index(m, DB_later, &key);
    }
    if (db_rules_get_delivery(&m->in, id, n, &row) != 1)
        return DB_OK;
    if (row.state == DELIVERY_READY &&
        db_rules_key_ready(&key, &message, &row, id, n) == 0)
        return put_index(m, DB_ready, &key);
    if (!delivery_waits(row.state))
        return DB_OK;
    db_key_later(&key, row.next_ms, id, n);
    return put_index(m, DB_later, &key);
}

/* --- messages --------------------------------------------------------------
 */

/* Does it have an open delivery? 1, 0; -1: not to be told. */
static int
has_open(const struct mending *m)
{
    struct delivery row;
    enum db_result got = DB_OK;
    int open = 0;

    for (uint64_t n = 0; got == DB_OK; n++) {
        got = db_next_delivery(m->txn, m->item->id, &n, &row);
        if (got == DB_OK && delivery_is_open(row.state))
            open = 1;
    }
    return got == DB_NONE ? open : -1;
}

static enum db_result
mend_finish(struct mending *m)
{
    uint64_t id = m->item->id, purge_ms;
    struct message message;
    enum db_result result;
    int open = has_open(m);

    if (open < 0 || db_rules_get_message(&m->in, id, &message) != 1 ||
        (open == 1) == (message.finished_ms == 0))
        return DB_OK;
    purge_ms = message.purge_ms;
    if (open == 1) {
        m->totals->held++;
        m->totals->held_stored += message.stored;
        message.finished_ms = message.purge_ms = 0;
        result = db_put_message(m->txn, id, &message);
        if (result == DB_OK && purge_ms != 0)
            result = db_del_later(m->txn, purge_ms, id, DB_LATER_PURGE);
    } else {
        m->totals->held--;
        m->totals->held_stored -= message.stored;
        message.finished_ms = m->times->now_ms;
        message.purge_ms = m->times->now_ms + m->times->keep_ms;
        purge_ms = message.purge_ms;
        result = db_put_message(m->txn, id, &message);
        if (result == DB_OK)
            result = db_put_later(m->txn, purge_ms, id, DB_LATER_PURGE);
    }
    m->changed++;
    return result == DB_NONE ? DB_OK : result;
}

/* --- signatures ------------------------------------------------------------
 */

/* As it is when the message comes in, of the deliveries there are. */
static enum db_result
signature_of(const struct mending *m, const struct message *message,
             struct sieve *all)
{
    struct delivery row;
    enum db_result got = DB_OK;

    sieve_of_message(all, message, NULL, 0);
    for (uint64_t n = 0; got == DB_OK || got == DB_DAMAGED; n++) {
        struct sieve one;

        got = db_next_delivery(m->txn, m->item->id, &n, &row);
        if (got != DB_OK)
            continue;
        sieve_of_message(&one, message, &row, 1);
        for (int w = 0; w < SIEVE_WORDS; w++)
            all->bits[w] |= one.bits[w];
    }
    return got == DB_NONE ? DB_OK : got;
}

/* Out of the block it names, and into the last one. */
static enum db_result
mend_sieve(struct mending *m)
{
    struct message message;
    struct sieve sieve;
    uint64_t block;
    enum db_result result;

    if (db_rules_get_message(&m->in, m->item->id, &message) != 1)
        return DB_OK;
    if ((result = signature_of(m, &message, &sieve)) != DB_OK ||
        db_rules_signed(&m->in, m->item->id, &message, &sieve) == 1)
        return result;
    result = db_sieve_drop(m->txn, message.block, m->item->id);
    if (result == DB_OK || result == DB_NONE)
        result = db_sieve_add(m->txn, m->item->id, &sieve, &block);
    if (result != DB_OK ||
        db_rules_get_message(&m->in, m->item->id, &message) != 1)
        return result;
    message.block = block;
    m->changed++;
    return db_put_message(m->txn, m->item->id, &message);
}

/* Is this slot's message here, and does it say that it is in this block? */
static bool
owns_slot(const struct mending *m, uint64_t id)
{
    struct message message;

    return id != 0 && db_rules_get_message(&m->in, id, &message) == 1 &&
           message.block == m->item->id;
}

static enum db_result
mend_block(struct mending *m)
{
    char bytes[DB_SIEVE_BYTES];
    struct view block;
    struct db_key key;
    uint32_t live = 0;
    size_t slots;

    db_key_id(&key, m->item->id);
    if (db_rules_get(&m->in, DB_sieve, &key, &block) != 0 ||
        block.len != DB_SIEVE_BYTES)
        return DB_OK;
    slots = db_rules_slots(block);
    memcpy(bytes, block.data, sizeof(bytes));
    for (size_t i = 0; i < slots; i++) {
        char *slot = bytes + DB_SIEVE_HEADER + i * DB_SIEVE_SLOT;

        if (owns_slot(m, bytes_get64(slot)))
            live++;
        else
            memset(slot, 0, DB_SIEVE_SLOT);
    }
    bytes_put32(bytes, (uint32_t)slots);
    bytes_put32(bytes + 4, live);
    if (memcmp(bytes, block.data, sizeof(bytes)) == 0)
        return DB_OK;
    m->changed++;
    return db_bytes_put(m->txn, DB_sieve, &key,
                        (struct view){bytes, sizeof(bytes)});
}

/* --- sums ------------------------------------------------------------------
 */

static enum db_result
mend_totals(struct mending *m)
{
    const struct {
        const char *name;
        uint64_t *sum;
    } sums[] = {
        {"held", &m->totals->held},
        {"held_stored", &m->totals->held_stored},
        {"on_hold", &m->totals->on_hold},
        {"unknown", &m->totals->unknown},
        {"floor_ms", &m->totals->floor_ms},
    };

    for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
        if (view_equal(m->item->key, view_of(sums[i].name))) {
            *sums[i].sum += m->item->by;
            m->changed++;
        }
    return DB_OK;
}

static enum db_result
mend_share(struct mending *m)
{
    struct domain_share row;
    enum db_result result;

    if (m->item->key.len > DB_FLOW_MAX)
        return DB_OK;
    result = db_get_share(m->txn, m->item->key, &row);
    if (result == DB_NONE)
        row = (struct domain_share){0};
    else if (result != DB_OK)
        return result == DB_DAMAGED ? DB_OK : result;
    row.messages += m->item->by;
    row.stored += m->item->bytes;
    m->changed++;
    if (row.messages > 0)
        return db_put_share(m->txn, m->item->key, &row);
    result = db_del_share(m->txn, m->item->key);
    return result == DB_NONE ? DB_OK : result;
}

static enum db_result
mend_counts(struct mending *m)
{
    int table = db_table_named(m->item->table);
    struct dictionary_row dictionary;
    struct data_key data_key;
    struct buf bytes = {0};
    enum db_result result = DB_NONE;
    uint64_t id;

    if (table == DB_domain)
        return mend_share(m);
    if (m->item->key.len != 8)
        return DB_OK;
    id = bytes_get64(m->item->key.data);
    if (table == DB_key)
        result = db_get_data_key(m->txn, id, &data_key);
    else if (table == DB_dictionary)
        result = db_get_dictionary(m->txn, id, &dictionary);
    if (result != DB_OK) /* it is gone, or damaged: another finding */
        return result == DB_FAILED ? result : DB_OK;
    m->changed++;
    /* Copied: the views end with the change. */
    if (table == DB_key) {
        buf_add_view(&bytes, data_key.pair);
        buf_add_view(&bytes, data_key.sealed);
        data_key.messages += m->item->by;
        data_key.pair = (struct view){bytes.data, data_key.pair.len};
        data_key.sealed = view_skip(buf_view(&bytes), data_key.pair.len);
        result = db_put_data_key(m->txn, &data_key);
    } else {
        buf_add_view(&bytes, dictionary.bytes);
        dictionary.messages += m->item->by;
        dictionary.bytes = buf_view(&bytes);
        result = db_put_dictionary(m->txn, &dictionary);
    }
    buf_free(&bytes);
    return result;
}

/* --- mailboxes -------------------------------------------------------------
 */

static enum db_result
mend_place(struct mending *m)
{
    return db_mend_place(m->txn, &m->in, m->totals, m->item, &m->changed);
}

/* --- items -----------------------------------------------------------------
 */

typedef enum db_result mend_fn(struct mending *m);

static mend_fn *const mends[] = {
    [MEND_ASIDE] = mend_aside,   [MEND_DROP] = mend_drop,
    [MEND_READY] = mend_index,   [MEND_LATER] = mend_index,
    [MEND_TOTALS] = mend_totals, [MEND_FINISH] = mend_finish,
    [MEND_COUNTS] = mend_counts, [MEND_WHOLE] = mend_whole,
    [MEND_SIEVE] = mend_sieve,   [MEND_BLOCK] = mend_block,
    [MEND_PLACE] = mend_place,
};

enum db_result
db_mend(struct db_txn *txn, struct db_totals *totals,
        const struct proto_mend_item *item, const struct db_mend_times *times,
        uint64_t *changed)
{
    struct mending m = {.txn = txn,
                        .totals = totals,
                        .item = item,
                        .times = times,
                        .in = {txn->mdb, txn->db->tables}};
    struct ledger_entry entry = {.when_ms = times->now_ms,
                                 .event = EVENT_MENDED,
                                 .id = item->id,
                                 .text = item->reason};
    enum db_result result;

    if (item->what >= sizeof(mends) / sizeof(mends[0]) ||
        mends[item->what] == NULL)
        return DB_OK;
    result = db_txn_result(txn, db_sieve_flush(txn));
    if (result == DB_OK)
        result = mends[item->what](&m);
    if (result != DB_OK || m.changed == 0)
        return result;
    *changed += 1;
    if (item->what == MEND_ASIDE || item->what == MEND_WHOLE)
        entry.event = EVENT_ASIDE;
    if (item->what == MEND_BLOCK) /* its id is not a message's */
        entry.id = 0;
    entry.code = m.changed; /* rows */
    return db_add_ledger(txn, &entry);
}
