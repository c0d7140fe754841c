/* SPDX-License-Identifier: ISC */
/*
 * Every row that db_pages.c finds is looked at, and for a new store written
 * there as it is. Two things are not taken over but made anew, since rows may
 * be missing: the sums, and the end of the ledger's chain where the row that
 * has it is gone. Tables come in the order of their names: checkpoint before
 * ledger, ledger before setting.
 *
 * Before: spoolctl/tool_check.c   After: db_pages.c, db_migrate.c
 */
#include "db_rescue.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "db_pages.h"
#include "db_rules.h"
#include "event.h"
#include "msgid.h"

#define ROWS_A_COMMIT  5000
#define BYTES_A_COMMIT (32u << 20)

/* The chain of the ledger, as far as it is known where the walk is. */
struct chain {
    uint64_t seq;
    char head[LEDGER_HASH];
    bool known;
    struct buf heads; /* of checkpoints: seq (8 bytes) and head */
};

struct making {
    struct db_rescue *rescue;
    struct db *fresh;   /* NULL: only look */
    struct db_txn *txn; /* NULL after something failed */
    size_t rows, bytes; /* in txn */
    struct chain chain;
    struct db_totals totals; /* counted; seq and head as they were */
    char head[LEDGER_HASH];
    bool has_totals;
    struct why *why;
    bool failed;
};

/* --- findings ---------------------------------------------------------------
 */

static void find(struct making *m, uint64_t id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void
find(struct making *m, uint64_t id, const char *format, ...)
{
    char text[2 * WHY_TEXT_MAX];
    struct db_finding finding = {.what = "damaged", .text = text, .id = id};
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    m->rescue->findings++;
    m->rescue->fn(m->rescue->arg, &finding);
}

static uint64_t
id_in(int table, struct view key)
{
    if ((table == DB_message || table == DB_delivery || table == DB_body) &&
        key.len >= 8)
        return bytes_get64(key.data);
    if (table == DB_ready && key.len >= 12)
        return bytes_get64(key.data + key.len - 12);
    return table == DB_later && key.len == 20 ? bytes_get64(key.data + 8) : 0;
}

/* "message 0DKX..., 3": what a key says to people. */
static void
print_key(int table, struct view key, struct buf *out)
{
    uint64_t id = id_in(table, key);
    char text[MSGID_TEXT_MAX];
    bool is_text = key.len > 0;

    for (size_t i = 0; i < key.len; i++)
        is_text = is_text && key.data[i] > ' ' && key.data[i] <= '~';
    if (id != 0)
        buf_addf(out, "message %s", msgid_print(id, text));
    if (table == DB_delivery && key.len == 12)
        buf_addf(out, ", recipient %" PRIu64,
                 bytes_get32(key.data + 8) + UINT64_C(1));
    if (id != 0)
        return;
    if (key.len == 8 && table != DB_target && table != DB_domain)
        buf_addf(out, "%" PRIu64, bytes_get64(key.data));
    else if (is_text)
        buf_addf(out, "\"%.*s\"", (int)key.len, key.data);
    else
        for (size_t i = 0; i < key.len; i++)
            buf_addf(out, "%02x", (unsigned char)key.data[i]);
}

static void
on_damage(void *arg, const struct db_pages_damage *damage)
{
    struct making *m = arg;
    int table = db_table_named(damage->table);
    uint64_t from = id_in(table, damage->from), to = id_in(table, damage->to);
    struct buf text = {0};

    if (damage->table.len == 0)
        buf_add_text(&text, "of the tables themselves");
    else
        buf_addf(&text, "of table %.*s", (int)damage->table.len,
                 damage->table.data);
    if (damage->from.len > 0 && view_equal(damage->from, damage->to)) {
        buf_add_text(&text, ", row of ");
        print_key(table, damage->from, &text);
    } else {
        if (damage->from.len > 0)
            buf_add_text(&text, ", from ");
        print_key(table, damage->from, &text);
        if (damage->to.len > 0)
            buf_add_text(&text, ", up to ");
        print_key(table, damage->to, &text);
    }
    find(m, from == to ? from : 0, "page %" PRIu64 ", %.*s: %s", damage->page,
         (int)text.len, text.data, damage->text);
    buf_free(&text);
}

static void
on_table(void *arg, struct view table, uint64_t rows, uint64_t found)
{
    struct making *m = arg;

    if (found >= rows)
        return;
    m->rescue->missing += rows - found;
    find(m, 0, "table %.*s: %" PRIu64 " of %" PRIu64 " rows are lost",
         (int)table.len, table.data, rows - found, rows);
}

/* --- the chain --------------------------------------------------------------
 */

static bool
head_at(const struct chain *chain, uint64_t seq, char head[LEDGER_HASH])
{
    const size_t size = 8 + LEDGER_HASH;

    if (seq == 0) {
        memset(head, 0, LEDGER_HASH);
        return true;
    }
    for (size_t at = 0; at + size <= chain->heads.len; at += size)
        if (bytes_get64(chain->heads.data + at) == seq) {
            memcpy(head, chain->heads.data + at + 8, LEDGER_HASH);
            return true;
        }
    return false;
}

static void
chain_checkpoint(struct chain *chain, struct view key, struct view value)
{
    struct checkpoint row;
    char seq[8];

    if (db_row_decode(DB_checkpoint, key, value, &checkpoint_record, &row) !=
            0 ||
        row.head.len != LEDGER_HASH)
        return;
    bytes_put64(seq, row.seq);
    buf_add(&chain->heads, seq, sizeof(seq));
    buf_add_view(&chain->heads, row.head);
}

static void
chain_entry(struct chain *chain, struct view key, struct view value)
{
    uint64_t seq = key.len == 8 ? bytes_get64(key.data) : 0;

    if (seq == 0 || value.len < LEDGER_CHECK)
        return;
    if (!chain->known || seq != chain->seq + 1)
        chain->known = head_at(chain, seq - 1, chain->head);
    chain->seq = seq;
    if (!chain->known)
        return;
    ledger_chain_next(chain->head, seq, view_skip(value, LEDGER_CHECK));
    chain->known = memcmp(chain->head, value.data, LEDGER_CHECK) == 0 ||
                   head_at(chain, seq, chain->head);
}

/* --- rows -------------------------------------------------------------------
 */

static int
fail(struct making *m, const char *what)
{
    m->failed = true;
    return why_text(m->why, "making the new store: %s: %s", what,
                    m->txn != NULL ? db_reason(m->txn) : "no transaction");
}

static int
begin(struct making *m)
{
    m->rows = m->bytes = 0;
    return db_begin(m->fresh, &m->txn) == DB_OK ? 0 : fail(m, "begin");
}

static int
commit(struct making *m)
{
    if (db_commit(&m->txn, m->why) == DB_OK)
        return 0;
    m->failed = true;
    return -1;
}

static int
write_row(struct making *m, enum db_table table, struct view key,
          struct view value)
{
    struct db_key copy = {.len = key.len};

    if (key.len > sizeof(copy.bytes))
        return 0; /* not ours: it was told of */
    memcpy(copy.bytes, key.data, key.len);
    if (db_bytes_put(m->txn, table, &copy, value) != DB_OK)
        return fail(m, db_table_names[table]);
    m->bytes += key.len + value.len;
    if (++m->rows < ROWS_A_COMMIT && m->bytes < BYTES_A_COMMIT)
        return 0;
    return commit(m) == 0 ? begin(m) : -1;
}

static void
count_message(struct making *m, struct view key, struct view value)
{
    struct message row;
    struct why why;

    m->rescue->messages++;
    if (!db_rules_message(key, value, &row, &why) || row.finished_ms != 0)
        return;
    m->totals.held++;
    m->totals.held_stored += row.stored;
}

static void
count_delivery(struct making *m, struct view key, struct view value)
{
    struct delivery row;
    struct why why;

    if (!db_rules_delivery(key, value, &row, &why))
        return;
    m->totals.on_hold += row.state == DELIVERY_HELD;
    m->totals.unknown += row.state == DELIVERY_UNKNOWN;
}

/* The sums are counted anew; the rest of totals is kept. */
static void
keep_totals(struct making *m, struct view key, struct view value)
{
    struct db_totals row;

    if (!view_equal(key, VIEW("totals")) ||
        db_row_decode(DB_setting, key, value, &db_totals_record, &row) != 0)
        return;
    m->has_totals = true;
    if (row.head.len == LEDGER_HASH)
        memcpy(m->head, row.head.data, LEDGER_HASH);
    row.head = m->totals.head;
    row.held = m->totals.held;
    row.held_stored = m->totals.held_stored;
    row.on_hold = m->totals.on_hold;
    row.unknown = m->totals.unknown;
    if (row.floor_ms < m->totals.floor_ms)
        row.floor_ms = m->totals.floor_ms;
    m->totals = row;
}

static void
look_at(struct making *m, enum db_table table, struct view key,
        struct view value)
{
    uint64_t id = id_in(table, key);

    if (table == DB_message || table == DB_delivery)
        m->totals.floor_ms = msgid_ms(id) > m->totals.floor_ms
                                 ? msgid_ms(id)
                                 : m->totals.floor_ms;
    switch (table) {
    case DB_message:
        count_message(m, key, value);
        break;
    case DB_delivery:
        count_delivery(m, key, value);
        break;
    case DB_checkpoint:
        chain_checkpoint(&m->chain, key, value);
        break;
    case DB_ledger:
        chain_entry(&m->chain, key, value);
        break;
    case DB_setting:
        keep_totals(m, key, value);
        break;
    default:
        break;
    }
}

static bool
on_row(void *arg, struct view name, struct view key, struct view value)
{
    struct making *m = arg;
    int table = db_table_named(name);
    struct buf text = {0};
    struct why why = {0};

    if (table < 0) {
        find(m, 0, "a row of a table \"%.*s\", which spoold does not have",
             (int)name.len, name.data);
        return true;
    }
    m->rescue->rows++;
    if (!db_rules_row((enum db_table)table, key, value, &why)) {
        m->rescue->damaged++;
        print_key(table, key, &text);
        find(m, id_in(table, key), "table %.*s, row of %.*s: %s", (int)name.len,
             name.data, (int)text.len, text.data, why.text);
        buf_free(&text);
    }
    look_at(m, (enum db_table)table, key, value);
    if (m->fresh == NULL || table == DB_setting)
        return true;
    return write_row(m, (enum db_table)table, key, value) == 0;
}

/* --- looking ----------------------------------------------------------------
 */

static int
read_file(int dir, struct making *m)
{
    const struct db_pages_reader reader = {
        .row = on_row, .damage = on_damage, .table = on_table, .arg = m};
    int fd = openat(dir, "data.mdb", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int rc;

    if (fd < 0)
        return why_text(m->why, "data.mdb: %s", strerror(errno));
    rc = db_pages_read(fd, &reader, m->why);
    close(fd);
    if (rc == 0 && !m->has_totals && m->chain.seq > 0)
        find(m, 0, "the row with the sums and the end of the ledger is lost");
    return rc == 0 ? 0 : -1;
}

int
db_rescue_look(int dir, struct db_rescue *rescue, struct why *why)
{
    struct making m = {.rescue = rescue, .why = why};
    int rc = read_file(dir, &m);

    buf_free(&m.chain.heads);
    return rc;
}

/* --- a new store ------------------------------------------------------------
 */

/* The end of the chain is that of totals; else what the entries lead to. */
static void
settle_chain(struct making *m)
{
    char *head = m->txn->head;

    m->txn->chain_known = true;
    m->txn->seq = m->totals.seq;
    memcpy(head, m->head, LEDGER_HASH);
    if (m->has_totals && m->totals.seq >= m->chain.seq)
        return;
    m->txn->seq = m->chain.seq;
    memset(head, 0, LEDGER_HASH);
    if (m->chain.known)
        memcpy(head, m->chain.head, LEDGER_HASH);
    else if (m->chain.seq > 0)
        find(m, 0,
             "the chain of the ledger cannot go on from entry %" PRIu64
             ": it begins anew there",
             m->chain.seq);
}

static int
write_totals(struct making *m)
{
    struct ledger_entry entry = {
        .when_ms = (uint64_t)clock_wall_ms(),
        .event = EVENT_MENDED,
        .text = VIEW("a new store was made of what could be read")};

    settle_chain(m);
    /* Ids that nobody remembers may have been used until now. */
    if (!m->has_totals && entry.when_ms > m->totals.floor_ms)
        m->totals.floor_ms = entry.when_ms;
    if (db_add_ledger(m->txn, &entry) != DB_OK ||
        db_put_totals(m->txn, &m->totals) != DB_OK)
        return fail(m, "totals");
    return commit(m);
}

static int
give_away(int dir, const struct stat *owner, struct why *why)
{
    static const char *const names[] = {"rebuild/data.mdb", "rebuild/lock.mdb"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (fchownat(dir, names[i], owner->st_uid, owner->st_gid,
                     AT_SYMLINK_NOFOLLOW) != 0)
            return why_text(why, "%s: %s", names[i], strerror(errno));
    return 0;
}

static int
install(int dir, const struct stat *owner, const char *keep, struct making *m)
{
    if (give_away(dir, owner, m->why) != 0)
        return -1;
    if (linkat(dir, "data.mdb", dir, keep, 0) != 0)
        return why_text(m->why, "%s: %s", keep, strerror(errno));
    return db_rebuild_install(dir, &m->fresh, m->why);
}

int
db_rescue_make(int dir, const char *path, const struct stat *owner,
               const char *keep, struct db_rescue *rescue, struct why *why)
{
    struct making m = {
        .rescue = rescue, .why = why, .fresh = db_rebuild_open(dir, path, why)};
    int rc = m.fresh != NULL ? begin(&m) : -1;

    if (rc == 0)
        rc = read_file(dir, &m);
    if (rc == 0 && !m.failed)
        rc = write_totals(&m);
    if (m.txn != NULL)
        db_abort(&m.txn);
    if (rc == 0)
        rc = install(dir, owner, keep, &m);
    db_close(&m.fresh);
    if (rc != 0)
        db_rebuild_clear(dir);
    buf_free(&m.chain.heads);
    return rc;
}
