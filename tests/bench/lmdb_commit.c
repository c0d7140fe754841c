/* SPDX-License-Identifier: ISC */
/*
 * lmdb_commit: how long a bare LMDB commit of a message takes here.
 *
 *     lmdb_commit COUNT DIRECTORY FILE [BATCH]
 *
 * COUNT messages, taken from FILE in turn, go into one table one after the
 * other, BATCH of them (default: one) in a transaction, with full
 * durability. Times are those of transactions: nothing but
 * the database and the disk. What a server that answers 250 after its commit
 * needs more than this is its own doing. The database stays for another run.
 */
#include "mails.h"

#include <endian.h>
#include <err.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAP_BYTES ((size_t)1 << 34)

static void
check(int error, const char *what)
{
    if (error != 0)
        errx(1, "%s: %s", what, mdb_strerror(error));
}

static MDB_env *
env_open(const char *directory)
{
    MDB_env *env;

    check(mdb_env_create(&env), "mdb_env_create");
    check(mdb_env_set_mapsize(env, MAP_BYTES), "mdb_env_set_mapsize");
    check(mdb_env_open(env, directory, 0, 0600), directory);
    return env;
}

/* Stores some messages behind all others; the time that took. */
static uint64_t
commit_some(MDB_env *env, const struct mails *mails, uint64_t number,
            size_t batch)
{
    MDB_txn *txn;
    MDB_dbi table;

    uint64_t start_ns = mails_now_ns();
    check(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
    check(mdb_dbi_open(txn, NULL, 0, &table), "mdb_dbi_open");
    for (size_t i = 0; i < batch; i++, number++) {
        const struct mail *mail = &mails->list[number % mails->count];
        uint64_t name = htobe64(number);
        MDB_val key = {.mv_size = sizeof(name), .mv_data = &name};
        MDB_val value = {.mv_size = mail->content_bytes};

        check(mdb_put(txn, table, &key, &value, MDB_APPEND | MDB_RESERVE),
              "mdb_put");
        memcpy(value.mv_data, mail->content, mail->content_bytes);
    }
    check(mdb_txn_commit(txn), "mdb_txn_commit");
    return mails_now_ns() - start_ns;
}

int
main(int argc, char **argv)
{
    struct mails mails;
    MDB_stat stored;

    if (argc != 4 && argc != 5)
        errx(2, "usage: lmdb_commit COUNT DIRECTORY FILE [BATCH]");
    size_t count = mails_number(argv[1]);
    size_t batch = argc == 5 ? mails_number(argv[4]) : 1;
    uint64_t *took_ns = calloc(count, sizeof(*took_ns));
    size_t n = 0;
    if (took_ns == NULL)
        err(1, "calloc");
    mails_load(&mails, argv[3]);
    MDB_env *env = env_open(argv[2]);
    check(mdb_env_stat(env, &stored), "mdb_env_stat");

    uint64_t start_ns = mails_now_ns();
    for (size_t done = 0; done < count; done += batch, n++) {
        size_t some = count - done < batch ? count - done : batch;

        took_ns[n] = commit_some(env, &mails, stored.ms_entries + done, some);
    }
    mails_report(took_ns, n, mails_now_ns() - start_ns);
    mdb_env_close(env);
    return 0;
}
