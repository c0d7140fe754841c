/* SPDX-License-Identifier: ISC */
/*
 * The sums that are kept with the rows: what is held, and how many messages
 * need each data key and dictionary and count for each domain. All rows of
 * one moment are counted, by a thread. What differs is told as a difference:
 * it stays the same however the store goes on meanwhile, since it adds to
 * and takes from its sums as rows come and go.
 *
 * Rows that cannot be read count for nobody knows what: as long as there are
 * any, nothing is said of the sums.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <uthash.h>

#include "db_check.h"
#include "db_copy.h"
#include "db_rules_reader.h"
#include "dictionary.h"
#include "domains.h"
#include "mem.h"
#include "msgid.h"

#define TEXT_MAX 400

/* What should be in a row of key, dictionary or domain. */
struct count {
    struct count_name {
        uint64_t table;
        char key[DB_FLOW_MAX];
    } name;
    size_t key_len;
    uint64_t messages;
    uint64_t stored;
    bool seen; /* there is such a row */
    UT_hash_handle hh;
};

/* A finding, until it is told. */
struct sum_finding {
    struct sum_finding *next;
    char text[TEXT_MAX];
    enum db_table table;
    char key[DB_FLOW_MAX];
    size_t key_len;
    uint64_t by;
    uint64_t bytes;
};

struct db_sums {
    struct db_copy *copy; /* its thread owns all below until it has ended */
    struct count *counts;
    struct db_totals totals;
    uint64_t damaged;
    struct buf domains;
    struct sum_finding *first;
    struct sum_finding **last;
};

/* --- counting --------------------------------------------------------------
 */

/* What is compared byte by byte begins as zeros. */
static struct count *
find_count(struct db_sums *sums, enum db_table table, struct view key)
{
    struct count_name name;
    struct count *count;

    if (key.len > sizeof(name.key))
        return NULL;
    memset(&name, 0, sizeof(name));
    name.table = table;
    memcpy(name.key, key.data, key.len);
    HASH_FIND(hh, sums->counts, &name, sizeof(name), count);
    if (count != NULL)
        return count;
    count = mem_alloc(sizeof(*count));
    count->name = name;
    count->key_len = key.len;
    HASH_ADD(hh, sums->counts, name, sizeof(count->name), count);
    return count;
}

static void
count_need(struct db_sums *sums, enum db_table table, uint64_t id)
{
    struct db_key key;

    db_key_id(&key, id);
    find_count(sums, table, (struct view){key.bytes, key.len})->messages++;
}

static void
count_domains(struct db_sums *sums, uint64_t stored)
{
    struct view rest = buf_view(&sums->domains), domain;

    while (domains_next(&rest, &domain)) {
        struct count *count = find_count(sums, DB_domain, domain);

        count->messages++;
        count->stored += stored;
    }
}

/* The deliveries of id, where the cursor stands or later. */
static int
count_deliveries(struct db_sums *sums, MDB_cursor *cursor, uint64_t id)
{
    struct db_key start;
    MDB_val k, v;
    int rc;

    buf_reset(&sums->domains);
    db_key_id(&start, id);
    k = db_key_val(&start);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && k.mv_size >= 8 &&
           memcmp(k.mv_data, start.bytes, 8) == 0) {
        struct delivery row;

        if (db_rules_delivery(db_view(k), db_view(v), &row, NULL)) {
            domains_add(&sums->domains, row.recipient);
            sums->totals.on_hold += row.state == DELIVERY_HELD;
            sums->totals.unknown += row.state == DELIVERY_UNKNOWN;
        } else {
            sums->damaged++;
        }
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static void
count_needs(struct db_sums *sums, const struct message *message)
{
    if (message->key != 0)
        count_need(sums, DB_key, message->key);
    if (message->dictionary >= DICTIONARY_TRAINED_ID)
        count_need(sums, DB_dictionary, message->dictionary);
}

static int
count_message(struct db_sums *sums, MDB_cursor *deliveries, struct view key,
              struct view value)
{
    struct message message;
    uint64_t id;
    int rc;

    if (!db_rules_message(key, value, &message, NULL)) {
        sums->damaged++;
        return 0;
    }
    id = bytes_get64(key.data);
    sums->totals.held += message.finished_ms == 0;
    sums->totals.held_stored += message.finished_ms == 0 ? message.stored : 0;
    if (msgid_ms(id) > sums->totals.floor_ms)
        sums->totals.floor_ms = msgid_ms(id);
    count_needs(sums, &message);
    rc = count_deliveries(sums, deliveries, id);
    count_domains(sums, message.stored);
    return rc;
}

static int
count_messages(struct db_sums *sums, const struct db_snapshot *in,
               const _Atomic bool *stop)
{
    MDB_cursor *messages, *deliveries;
    MDB_val k, v;
    int rc = mdb_cursor_open(in->txn, in->tables[DB_message], &messages);

    if (rc != 0)
        return rc;
    rc = mdb_cursor_open(in->txn, in->tables[DB_delivery], &deliveries);
    if (rc == 0) {
        while (
            !*stop && (rc = mdb_cursor_get(messages, &k, &v, MDB_NEXT)) == 0 &&
            (rc = count_message(sums, deliveries, db_view(k), db_view(v))) == 0)
            ;
        mdb_cursor_close(deliveries);
    }
    mdb_cursor_close(messages);
    return rc == MDB_NOTFOUND ? 0 : *stop ? ECANCELED : rc;
}

/* Users' own: nobody's mail, but they need keys. */
static int
count_own(struct db_sums *sums, const struct db_snapshot *in)
{
    struct message message;
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(in->txn, in->tables[DB_own], &cursor);

    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0)
        if (db_rules_own(db_view(k), db_view(v), &message, NULL))
            count_needs(sums, &message);
        else
            sums->damaged++;
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* --- comparing -------------------------------------------------------------
 */

static struct sum_finding *note(struct db_sums *sums, enum db_table table,
                                struct view key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static struct sum_finding *
note(struct db_sums *sums, enum db_table table, struct view key,
     const char *format, ...)
{
    struct sum_finding *finding = mem_alloc(sizeof(*finding));
    va_list ap;

    va_start(ap, format);
    vsnprintf(finding->text, sizeof(finding->text), format, ap);
    va_end(ap);
    finding->table = table;
    finding->key_len = key.len;
    memcpy(finding->key, key.data, key.len);
    *sums->last = finding;
    sums->last = &finding->next;
    return finding;
}

static void
compare_totals(struct db_sums *sums, const struct db_totals *said)
{
    const struct db_totals *are = &sums->totals;
    const struct {
        const char *name;
        uint64_t said;
        uint64_t is;
    } all[] = {
        {"held", said->held, are->held},
        {"held_stored", said->held_stored, are->held_stored},
        {"on_hold", said->on_hold, are->on_hold},
        {"unknown", said->unknown, are->unknown},
        /* It is the latest ever, and must not be earlier than what is here. */
        {"floor_ms", said->floor_ms,
         said->floor_ms > are->floor_ms ? said->floor_ms : are->floor_ms},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].said != all[i].is)
            note(sums, DB_setting, view_of(all[i].name),
                 "the sum %s is %" PRIu64 ", but %" PRIu64 " would be right",
                 all[i].name, all[i].said, all[i].is)
                ->by = all[i].is - all[i].said;
}

static void
compare_count(struct db_sums *sums, enum db_table table, struct view key,
              uint64_t messages, uint64_t stored)
{
    struct count *count = find_count(sums, table, key);
    struct sum_finding *finding;

    if (count == NULL)
        return;
    count->seen = true;
    if (count->messages == messages && count->stored == stored)
        return;
    if (table == DB_domain)
        finding =
            note(sums, table, key,
                 "the domain %.*s counts %" PRIu64 " messages with %" PRIu64
                 " bytes, but %" PRIu64 " with %" PRIu64 " would be right",
                 (int)key.len, key.data, messages, stored, count->messages,
                 count->stored);
    else
        finding = note(sums, table, key,
                       "row %" PRIu64 " of %s counts %" PRIu64
                       " messages, but %" PRIu64 " need it",
                       bytes_get64(key.data), db_table_names[table], messages,
                       count->messages);
    finding->by = count->messages - messages;
    finding->bytes = count->stored - stored;
}

static void
compare_row(struct db_sums *sums, enum db_table table, struct view key,
            struct view value)
{
    struct data_key data_key;
    struct dictionary_row dictionary;
    struct domain_share share;

    if (!db_rules_row(table, key, value, NULL)) {
        sums->damaged++;
    } else if (table == DB_key) {
        db_row_decode(table, key, value, &data_key_record, &data_key);
        compare_count(sums, table, key, data_key.messages, 0);
    } else if (table == DB_dictionary) {
        db_row_decode(table, key, value, &dictionary_row_record, &dictionary);
        compare_count(sums, table, key, dictionary.messages, 0);
    } else {
        db_row_decode(table, key, value, &domain_share_record, &share);
        compare_count(sums, table, key, share.messages, share.stored);
    }
}

static int
compare_table(struct db_sums *sums, const struct db_snapshot *in,
              enum db_table table)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(in->txn, in->tables[table], &cursor);

    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0)
        compare_row(sums, table, db_view(k), db_view(v));
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Domains that have messages and no row. Missing keys and dictionaries are
 * found with the messages that need them. */
static void
compare_missing(struct db_sums *sums)
{
    struct count *count, *next;

    HASH_ITER (hh, sums->counts, count, next) {
        struct view key = {count->name.key, count->key_len};

        if (!count->seen && count->name.table == DB_domain)
            compare_count(sums, DB_domain, key, 0, 0);
    }
}

static int
sums_run(void *arg, MDB_txn *snapshot, const MDB_dbi *tables,
         const _Atomic bool *stop)
{
    static const enum db_table counted[] = {DB_key, DB_dictionary, DB_domain};
    const struct db_snapshot in = {snapshot, tables};
    struct db_sums *sums = arg;
    struct db_totals said;
    struct view name = VIEW("totals"), value = {0};
    struct db_key key;
    int rc = count_messages(sums, &in, stop);

    if (rc == 0)
        rc = count_own(sums, &in);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++)
        if ((rc = compare_table(sums, &in, counted[i])) != 0)
            return rc;
    compare_missing(sums);
    db_key_name(&key, name);
    rc = db_rules_get(&in, DB_setting, &key, &value);
    if (rc == MDB_NOTFOUND)
        compare_totals(sums, &(struct db_totals){0});
    else if (rc == 0 && db_row_decode(DB_setting, name, value,
                                      &db_totals_record, &said) == 0)
        compare_totals(sums, &said);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* --- asking ----------------------------------------------------------------
 */

bool
db_sums_may_start(const struct db *db)
{
    return db->copy == NULL;
}

struct db_sums *
db_sums_start(struct db *db, struct why *why)
{
    struct db_sums *sums = mem_alloc(sizeof(*sums));

    sums->last = &sums->first;
    sums->copy = db_copy_to_fn(db, sums_run, sums, why);
    if (sums->copy == NULL)
        db_sums_free(&sums);
    return sums;
}

int
db_sums_event_fd(const struct db_sums *sums)
{
    return db_copy_event_fd(sums->copy);
}

static void
tell(const struct sum_finding *one, db_check_fn *fn, void *arg)
{
    const struct db_finding finding = {
        .what = "sum",
        .text = one->text,
        .mend = {.what = one->table == DB_setting ? MEND_TOTALS : MEND_COUNTS,
                 .table = view_of(db_table_names[one->table]),
                 .key = {one->key, one->key_len},
                 .reason = view_of(one->text),
                 .by = one->by,
                 .bytes = one->bytes}};

    fn(arg, &finding);
}

int
db_sums_end(struct db_sums *sums, db_check_fn *fn, void *arg, struct why *why)
{
    switch (db_copy_state(sums->copy, why)) {
    case DB_COPY_RUNS:
        return 1;
    case DB_COPY_FAILED:
        return -1;
    case DB_COPY_DONE:
        break;
    }
    for (const struct sum_finding *one = sums->first; one != NULL;
         one = one->next)
        if (sums->damaged == 0)
            tell(one, fn, arg);
    return 0;
}

void
db_sums_free(struct db_sums **sums_ptr)
{
    struct db_sums *sums = *sums_ptr;
    struct count *count, *next;

    if (sums == NULL)
        return;
    db_copy_free(&sums->copy);
    HASH_ITER (hh, sums->counts, count, next) {
        HASH_DEL(sums->counts, count);
        free(count);
    }
    while (sums->first != NULL) {
        struct sum_finding *rest = sums->first->next;

        free(sums->first);
        sums->first = rest;
    }
    buf_free(&sums->domains);
    free(sums);
    *sums_ptr = NULL;
}
