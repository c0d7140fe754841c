/* SPDX-License-Identifier: ISC */
/*
 * The table sieve: signatures (sieve.h) in blocks of one page, in the order
 * in which messages came. A block: count (4 bytes), live (4), 8 zero bytes,
 * then DB_SIEVE_SLOTS slots of id (8) and signature. A message that is gone
 * leaves a slot of zeros; a full block goes when all of its slots are zero.
 *
 * One block is under change at a time and is written once, however many
 * messages of a batch go into it.
 */
#include "db_lmdb.h"
#include "db_read.h"

static size_t
block_count(const char *block)
{
    return bytes_get32(block);
}

static char *
block_slot(char *block, size_t slot)
{
    return block + DB_SIEVE_HEADER + slot * DB_SIEVE_SLOT;
}

/* --- the writer ----------------------------------------------------------- */

int
db_sieve_flush(struct db_txn *txn)
{
    struct db_sieve_block *block = &txn->sieve;
    MDB_dbi table = txn->db->tables[DB_sieve];
    struct db_key key;
    MDB_val k, v = {DB_SIEVE_BYTES, block->bytes};
    int rc = 0;

    if (block->number == 0 || !block->changed)
        return 0;
    db_key_id(&key, block->number);
    k = db_key_val(&key);
    if (block_count(block->bytes) == DB_SIEVE_SLOTS &&
        bytes_get32(block->bytes + 4) == 0) {
        rc = mdb_del(txn->mdb, table, &k, NULL);
        if (rc == MDB_NOTFOUND) /* filled and emptied in one transaction */
            rc = 0;
    } else {
        rc = mdb_put(txn->mdb, table, &k, &v, 0);
    }
    block->number = 0;
    block->changed = false;
    return rc;
}

/* Makes block number the one under change. MDB_NOTFOUND: there is none. */
static int
sieve_load(struct db_txn *txn, uint64_t number)
{
    struct db_key key;
    MDB_val k, v;
    int rc;

    if (number != 0 && txn->sieve.number == number)
        return 0;
    if ((rc = db_sieve_flush(txn)) != 0)
        return rc;
    db_key_id(&key, number);
    k = db_key_val(&key);
    rc = mdb_get(txn->mdb, txn->db->tables[DB_sieve], &k, &v);
    if (rc != 0)
        return rc;
    if (v.mv_size != DB_SIEVE_BYTES)
        return MDB_NOTFOUND;
    memcpy(txn->sieve.bytes, v.mv_data, DB_SIEVE_BYTES);
    txn->sieve.number = number;
    return 0;
}

/* The number of the last block; 0: there is none. */
static int
sieve_last(struct db_txn *txn, uint64_t *number)
{
    MDB_val k, v;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn->mdb, txn->db->tables[DB_sieve], &cursor);

    *number = 0;
    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
    if (rc == 0 && k.mv_size == 8)
        *number = bytes_get64(k.mv_data);
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* The block under change becomes one with room. */
static int
sieve_with_room(struct db_txn *txn)
{
    uint64_t number;
    int rc;

    /* Block numbers only rise: that under change, if it has room, is the
     * last, since only the last one has room. */
    if (txn->sieve.number != 0 &&
        block_count(txn->sieve.bytes) < DB_SIEVE_SLOTS)
        return 0;
    if ((rc = db_sieve_flush(txn)) != 0 || (rc = sieve_last(txn, &number)) != 0)
        return rc;
    rc = number != 0 ? sieve_load(txn, number) : MDB_NOTFOUND;
    if (rc == 0 && block_count(txn->sieve.bytes) < DB_SIEVE_SLOTS)
        return 0;
    if (rc != 0 && rc != MDB_NOTFOUND)
        return rc;
    if ((rc = db_sieve_flush(txn)) != 0)
        return rc;
    txn->sieve.number = number + 1;
    txn->sieve.changed = true;
    memset(txn->sieve.bytes, 0, DB_SIEVE_BYTES);
    return 0;
}

enum db_result
db_sieve_add(struct db_txn *txn, uint64_t id, const struct sieve *sieve,
             uint64_t *block)
{
    int rc = sieve_with_room(txn);
    char *bytes = txn->sieve.bytes;
    size_t count;
    char *slot;

    if (rc != 0)
        return db_txn_result(txn, rc);
    count = block_count(bytes);
    slot = block_slot(bytes, count);
    bytes_put64(slot, id);
    for (int i = 0; i < SIEVE_WORDS; i++)
        bytes_put64(slot + 8 + 8 * i, sieve->bits[i]);
    bytes_put32(bytes, (uint32_t)count + 1);
    bytes_put32(bytes + 4, bytes_get32(bytes + 4) + 1);
    txn->sieve.changed = true;
    *block = txn->sieve.number;
    return DB_OK;
}

/* *slot is the message's in its block, which is loaded. */
static int
find_slot(struct db_txn *txn, uint64_t block, uint64_t id, char **slot)
{
    int rc = block != 0 ? sieve_load(txn, block) : MDB_NOTFOUND;
    char *bytes = txn->sieve.bytes;

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < block_count(bytes) && i < DB_SIEVE_SLOTS; i++) {
        *slot = block_slot(bytes, i);
        if (bytes_get64(*slot) == id)
            return 0;
    }
    return MDB_NOTFOUND;
}

enum db_result
db_sieve_extend(struct db_txn *txn, uint64_t block, uint64_t id,
                const struct sieve *more)
{
    char *slot;
    int rc = find_slot(txn, block, id, &slot);

    if (rc != 0)
        return db_txn_result(txn, rc);
    for (int i = 0; i < SIEVE_WORDS; i++)
        bytes_put64(slot + 8 + 8 * i,
                    bytes_get64(slot + 8 + 8 * i) | more->bits[i]);
    txn->sieve.changed = true;
    return DB_OK;
}

enum db_result
db_sieve_drop(struct db_txn *txn, uint64_t block, uint64_t id)
{
    char *bytes = txn->sieve.bytes, *slot;
    int rc = find_slot(txn, block, id, &slot);

    if (rc != 0)
        return db_txn_result(txn, rc);
    memset(slot, 0, DB_SIEVE_SLOT);
    if (bytes_get32(bytes + 4) > 0)
        bytes_put32(bytes + 4, bytes_get32(bytes + 4) - 1);
    txn->sieve.changed = true;
    return DB_OK;
}

/* --- readers -------------------------------------------------------------- */

static size_t
block_candidates(const char *bytes, const struct sieve *mask, uint64_t *ids,
                 size_t max)
{
    size_t count = block_count(bytes), found = 0;

    if (count > DB_SIEVE_SLOTS)
        count = DB_SIEVE_SLOTS;
    for (size_t i = 0; i < count && found < max; i++) {
        const char *slot = bytes + DB_SIEVE_HEADER + i * DB_SIEVE_SLOT;
        struct sieve have;
        uint64_t id = bytes_get64(slot);

        for (int w = 0; w < SIEVE_WORDS; w++)
            have.bits[w] = bytes_get64(slot + 8 + 8 * w);
        if (id != 0 && sieve_passes(&have, mask))
            ids[found++] = id;
    }
    return found;
}

/* Blocks from *cursor on; a block is taken whole or not at all. */
static int
walk_blocks(MDB_cursor *walk, const struct sieve *mask, uint64_t *cursor,
            size_t *blocks, uint64_t *ids, size_t max, size_t *found)
{
    struct db_key key;
    MDB_val k, v;
    int rc;

    db_key_id(&key, *cursor);
    k = db_key_val(&key);
    rc = mdb_cursor_get(walk, &k, &v, MDB_SET_RANGE);
    while (rc == 0 && *blocks > 0 && max - *found >= DB_SIEVE_SLOTS) {
        if (k.mv_size == 8 && v.mv_size == DB_SIEVE_BYTES)
            *found +=
                block_candidates(v.mv_data, mask, ids + *found, max - *found);
        *cursor = k.mv_size == 8 ? bytes_get64(k.mv_data) + 1 : *cursor + 1;
        (*blocks)--;
        rc = mdb_cursor_get(walk, &k, &v, MDB_NEXT);
    }
    if (rc == MDB_NOTFOUND) {
        *cursor = UINT64_MAX;
        rc = 0;
    }
    return rc;
}

int
db_read_sieve(struct db *db, const struct sieve *mask, uint64_t *cursor,
              size_t *blocks, uint64_t *ids, size_t max, struct why *why)
{
    MDB_cursor *walk;
    MDB_txn *txn;
    size_t found = 0;
    int rc;

    if (*cursor == UINT64_MAX)
        return 0;
    if (db_read_begin(db, &txn, why) != 0)
        return -1;
    rc = mdb_cursor_open(txn, db->tables[DB_sieve], &walk);
    if (rc == 0) {
        rc = walk_blocks(walk, mask, cursor, blocks, ids, max, &found);
        mdb_cursor_close(walk);
    }
    db_read_end(db);
    if (rc != 0)
        return why_text(why, "reading the store: %s", mdb_strerror(rc));
    return (int)found;
}
