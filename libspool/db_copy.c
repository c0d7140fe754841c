/* SPDX-License-Identifier: ISC */
/*
 * Copies of the store and their change of place.
 *
 * LMDB's own compacting copy omits free pages but keeps pages that are half
 * empty and the bytes of removed rows in them. It is used where the copy must
 * be a stream. For compaction the rows are written anew in the order of their
 * keys, which fills each page.
 *
 * Two traps of LMDB decide the shape of this file. Opening one file twice in
 * a process breaks its locks, so a copy reads through the environment of its
 * owner, and an environment that is exchanged lives on until its copy ends.
 * And a data file belongs to the lock file it was opened with, so both change
 * their names, with readers told to open them anew.
 */
#include "db_copy.h"

#include <sys/eventfd.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "db_lmdb.h"
#include "db_read.h"
#include "mem.h"

#define STACK_BYTES (256 * 1024)
/* Rows of one transaction of the second store; then a sync, so that the
 * owner's next sync does not find all of it waiting for the disk. */
#define PORTION_BYTES (4u << 20)
/* The old file is written over and cut in such portions. */
#define WIPE_BYTES   (1u << 20)
#define WIPE_POLL_MS 50
#define WIPE_WAIT_MS 600000 /* for others to let go of it */

struct db_copy {
    MDB_env *env; /* of the source */
    bool owns_env;
    struct db *owner;               /* NULL: it has let go */
    struct db *store;               /* the second store, or NULL */
    MDB_dbi tables[DB_TABLE_COUNT]; /* of the source */
    MDB_txn *snapshot;
    db_copy_fn *fn;
    void *fn_arg;
    int fd;
    int event_fd;
    bool joined;
    pthread_t thread;
    _Atomic bool stop;
    _Atomic bool ended;
    _Atomic uint64_t bytes;
    int error; /* of LMDB or errno; read after the join */
};

static int
start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int rc;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    /* Signals are the loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(thread, &attributes, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return rc;
}

static void
copy_ended(struct db_copy *copy, int error)
{
    static const uint64_t one = 1;
    ssize_t ignored;

    copy->error = error;
    atomic_store(&copy->ended, true);
    ignored = write(copy->event_fd, &one, sizeof(one));
    (void)ignored;
}

static int
copy_start(struct db_copy *copy, void *(*run)(void *), struct why *why)
{
    int rc;

    atomic_store(&copy->ended, false);
    rc = start_thread(&copy->thread, run, copy);
    copy->joined = rc != 0;
    return rc == 0 ? 0 : why_text(why, "a thread: %s", strerror(rc));
}

static struct db_copy *
copy_new(struct db *db, int fd)
{
    struct db_copy *copy = mem_alloc(sizeof(*copy));

    copy->env = db->env;
    copy->owner = db;
    memcpy(copy->tables, db->tables, sizeof(copy->tables));
    copy->fd = fd;
    copy->joined = true;
    copy->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    db->copy = copy;
    return copy;
}

int
db_copy_event_fd(const struct db_copy *copy)
{
    return copy->event_fd;
}

enum db_copy_state
db_copy_state(struct db_copy *copy, struct why *why)
{
    uint64_t count;
    ssize_t ignored = read(copy->event_fd, &count, sizeof(count));

    (void)ignored;
    if (!atomic_load(&copy->ended))
        return DB_COPY_RUNS;
    if (!copy->joined)
        pthread_join(copy->thread, NULL);
    copy->joined = true;
    if (copy->error == 0)
        return DB_COPY_DONE;
    why_text(why, "copying the store: %s", mdb_strerror(copy->error));
    return DB_COPY_FAILED;
}

uint64_t
db_copy_bytes(const struct db_copy *copy)
{
    return atomic_load(&copy->bytes);
}

void
db_copy_stop(struct db_copy *copy)
{
    atomic_store(&copy->stop, true);
}

static void leave_old(struct db *db, int lock);

/* What a second store holds may have been erased meanwhile. */
static void
drop_store(struct db *store)
{
    if (store == NULL)
        return;
    if (store->env != NULL) {
        int lock = openat(store->dir, "lock.mdb", O_RDWR | O_CLOEXEC);

        unlinkat(store->dir, "data.mdb", 0);
        unlinkat(store->dir, "lock.mdb", 0);
        leave_old(store, lock);
    }
    db_close(&store);
}

void
db_copy_free(struct db_copy **copy_ptr)
{
    struct db_copy *copy = *copy_ptr;

    if (copy == NULL)
        return;
    atomic_store(&copy->stop, true);
    if (!copy->joined)
        pthread_join(copy->thread, NULL);
    if (copy->snapshot != NULL)
        mdb_txn_abort(copy->snapshot);
    if (copy->owner != NULL)
        copy->owner->copy = NULL;
    if (copy->owns_env)
        mdb_env_close(copy->env);
    drop_store(copy->store);
    if (copy->fd >= 0)
        close(copy->fd);
    if (copy->event_fd >= 0)
        close(copy->event_fd);
    free(copy);
    *copy_ptr = NULL;
}

/* --- to a descriptor ----------------------------------------------------- */

static void *
run_to_fd(void *arg)
{
    struct db_copy *copy = arg;
    int rc = mdb_env_copyfd2(copy->env, copy->fd, MDB_CP_COMPACT);

    if (close(copy->fd) != 0 && rc == 0)
        rc = errno;
    copy->fd = -1;
    copy_ended(copy, rc);
    return NULL;
}

struct db_copy *
db_copy_to_fd(struct db *db, int fd, struct why *why)
{
    struct db_copy *copy;

    if (db->copy != NULL) {
        close(fd);
        why_text(why, "another copy of the store is being made");
        return NULL;
    }
    copy = copy_new(db, fd);
    if (copy->event_fd < 0)
        why_text(why, "an eventfd: %s", strerror(errno));
    if (copy->event_fd < 0 || copy_start(copy, run_to_fd, why) != 0)
        db_copy_free(&copy);
    return copy;
}

/* --- to a function ------------------------------------------------------- */

static void *
run_to_fn(void *arg)
{
    struct db_copy *copy = arg;
    int rc = copy->fn(copy->fn_arg, copy->snapshot, copy->tables, &copy->stop);

    mdb_txn_abort(copy->snapshot);
    copy->snapshot = NULL;
    copy_ended(copy, rc);
    return NULL;
}

struct db_copy *
db_copy_to_fn(struct db *db, db_copy_fn *fn, void *arg, struct why *why)
{
    struct db_copy *copy;
    int rc;

    if (db->copy != NULL) {
        why_text(why, "a copy of the store is being made: try again later");
        return NULL;
    }
    copy = copy_new(db, -1);
    copy->fn = fn;
    copy->fn_arg = arg;
    rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &copy->snapshot);
    if (rc != 0)
        why_text(why, "reading the store: %s", mdb_strerror(rc));
    if (rc != 0 || copy->event_fd < 0 || copy_start(copy, run_to_fn, why) != 0)
        db_copy_free(&copy);
    return copy;
}

/* --- to a second store --------------------------------------------------- */

/* A write transaction of the second store and what it has taken. */
struct portion {
    struct db_copy *copy;
    MDB_txn *txn;
    size_t bytes;
};

static int
portion_end(struct portion *portion)
{
    int fd;
    int rc = mdb_txn_commit(portion->txn);

    portion->txn = NULL;
    atomic_fetch_add(&portion->copy->bytes, portion->bytes);
    portion->bytes = 0;
    if (rc == 0 && (rc = mdb_env_get_fd(portion->copy->store->env, &fd)) == 0 &&
        fdatasync(fd) != 0)
        rc = errno;
    return rc;
}

static int
portion_put(struct portion *portion, int table, MDB_val *key, MDB_val *value)
{
    struct db *store = portion->copy->store;
    int rc = 0;

    if (portion->txn == NULL)
        rc = mdb_txn_begin(store->env, NULL, 0, &portion->txn);
    if (rc == 0)
        rc =
            mdb_put(portion->txn, store->tables[table], key, value, MDB_APPEND);
    portion->bytes += key->mv_size + value->mv_size;
    if (rc == 0 && portion->bytes >= PORTION_BYTES)
        rc = portion_end(portion);
    return rc;
}

/* All rows of one table, in order. */
static int
copy_table(struct portion *portion, MDB_dbi from, int table)
{
    struct db_copy *copy = portion->copy;
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open(copy->snapshot, from, &cursor);

    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0 &&
           !atomic_load(&copy->stop))
        if ((rc = portion_put(portion, table, &key, &value)) != 0)
            break;
    mdb_cursor_close(cursor);
    if (rc == MDB_NOTFOUND)
        return 0;
    return rc == 0 ? ECANCELED : rc;
}

static int
create_tables(struct db *store)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    if (db_open_tables(store, txn, MDB_CREATE, NULL) != 0) {
        mdb_txn_abort(txn);
        return EIO;
    }
    return mdb_txn_commit(txn);
}

static void *
run_to_store(void *arg)
{
    struct db_copy *copy = arg;
    struct portion portion = {.copy = copy};
    int rc = 0;

    for (int t = 0; t < DB_TABLE_COUNT && rc == 0; t++)
        rc = copy_table(&portion, copy->tables[t], t);
    if (rc == 0 && portion.txn != NULL)
        rc = portion_end(&portion);
    if (portion.txn != NULL)
        mdb_txn_abort(portion.txn);
    mdb_txn_abort(copy->snapshot);
    copy->snapshot = NULL;
    copy_ended(copy, rc);
    return NULL;
}

struct db_copy *
db_copy_to_store(struct db *db, const char *dir, struct why *why)
{
    struct db_copy *copy;
    int rc;

    if (db->copy != NULL) {
        why_text(why, "another copy of the store is being made");
        return NULL;
    }
    copy = copy_new(db, -1);
    copy->store = db_open_env(dir, MDB_NOSYNC, why);
    if (copy->store == NULL || copy->event_fd < 0) {
        db_copy_free(&copy);
        return NULL;
    }
    rc = create_tables(copy->store);
    if (rc == 0) /* the moment of the copy */
        rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &copy->snapshot);
    if (rc != 0)
        why_text(why, "%s: %s", dir, mdb_strerror(rc));
    if (rc != 0 || copy_start(copy, run_to_store, why) != 0)
        db_copy_free(&copy);
    return copy;
}

struct db *
db_copy_store(struct db_copy *copy)
{
    return copy->store;
}

static void *
run_sync(void *arg)
{
    struct db_copy *copy = arg;
    int fd;
    int rc = mdb_env_get_fd(copy->store->env, &fd);

    if (rc == 0 && fdatasync(fd) != 0)
        rc = errno;
    copy_ended(copy, rc);
    return NULL;
}

int
db_copy_sync(struct db_copy *copy, struct why *why)
{
    return copy_start(copy, run_sync, why);
}

/* --- is it the same ------------------------------------------------------ */

static bool
tables_are_equal(struct db *a, MDB_txn *in_a, struct db *b, MDB_txn *in_b,
                 struct why *why)
{
    for (int t = 0; t < DB_TABLE_COUNT; t++) {
        MDB_stat of_a, of_b;

        if (mdb_stat(in_a, a->tables[t], &of_a) != 0 ||
            mdb_stat(in_b, b->tables[t], &of_b) != 0 ||
            of_a.ms_entries != of_b.ms_entries) {
            why_text(why, "table %s has %zu rows, its copy %zu",
                     db_table_names[t], of_a.ms_entries, of_b.ms_entries);
            return false;
        }
    }
    return true;
}

/* The sums with the head of the chain, and the format. */
static bool
settings_are_equal(struct db *a, MDB_txn *in_a, struct db *b, MDB_txn *in_b,
                   struct why *why)
{
    MDB_cursor *cursor;
    MDB_val key, value, other;
    bool equal = true;

    if (mdb_cursor_open(in_a, a->tables[DB_setting], &cursor) != 0)
        return false;
    while (equal && mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0)
        equal = mdb_get(in_b, b->tables[DB_setting], &key, &other) == 0 &&
                view_equal(db_view(value), db_view(other));
    mdb_cursor_close(cursor);
    if (!equal)
        why_text(why, "the sums of the copy are not those of the store");
    return equal;
}

bool
db_copy_is_equal(struct db *db, struct db_copy *copy, struct why *why)
{
    MDB_txn *here, *there;
    bool equal;

    if (db_read_begin(db, &here, why) != 0)
        return false;
    if (db_read_begin(copy->store, &there, why) != 0) {
        db_read_end(db);
        return false;
    }
    equal = tables_are_equal(db, here, copy->store, there, why) &&
            settings_are_equal(db, here, copy->store, there, why);
    db_read_end(copy->store);
    db_read_end(db);
    return equal;
}

/* --- the change of place ------------------------------------------------- */

/* What is left of the old store: a thread's. */
struct old_store {
    MDB_env *env;
    MDB_txn *reader;
    int data;
    int lock;
};

static void
pause_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

/* Whoever has a store open holds a lock on the first byte of its lock file. */
static bool
nobody_has_it(int lock)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

    for (long waited = 0; fcntl(lock, F_OFD_SETLK, &all) != 0;
         waited += WIPE_POLL_MS) {
        if (waited >= WIPE_WAIT_MS)
            return false;
        pause_ms(WIPE_POLL_MS);
    }
    return true;
}

/* Writes zeros over the file, no faster than the disk takes them and with
 * pauses for others, and gives its room back from the end. */
static void
wipe(int fd)
{
    static const char zeros[WIPE_BYTES];
    struct stat st;

    if (fstat(fd, &st) != 0 || st.st_nlink > 0)
        return; /* somebody gave it another name */
    while (st.st_size > 0) {
        off_t from = (st.st_size - 1) / (off_t)WIPE_BYTES * (off_t)WIPE_BYTES;
        size_t len = (size_t)(st.st_size - from);
        int64_t start_us = clock_mono_us();

        if (pwrite(fd, zeros, len, from) != (ssize_t)len ||
            fdatasync(fd) != 0 || ftruncate(fd, from) != 0)
            return;
        st.st_size = from;
        pause_ms(1 + (long)((clock_mono_us() - start_us) / 1000));
    }
}

static void *
run_old(void *arg)
{
    struct old_store *old = arg;

    if (old->reader != NULL)
        mdb_txn_abort(old->reader);
    mdb_env_close(old->env);
    if (old->lock >= 0 && old->data >= 0 && nobody_has_it(old->lock))
        wipe(old->data);
    if (old->data >= 0)
        close(old->data);
    if (old->lock >= 0)
        close(old->lock);
    free(old);
    return NULL;
}

/* Takes the environment out of db and leaves it to a thread: giving back a
 * large file takes a while. */
static void
leave_old(struct db *db, int lock)
{
    struct old_store *old = mem_alloc(sizeof(*old));
    pthread_t thread;
    int fd;

    old->env = db->env;
    old->reader = db->reader;
    old->lock = lock;
    old->data =
        mdb_env_get_fd(db->env, &fd) == 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    db->env = NULL;
    db->reader = NULL;
    if (start_thread(&thread, run_old, old) == 0)
        pthread_detach(thread);
    else
        run_old(old);
}

static int
rename_pair(struct db *db, struct db *store, struct why *why)
{
    if (renameat(store->dir, "lock.mdb", db->dir, "lock.mdb") != 0 ||
        renameat(store->dir, "data.mdb", db->dir, "data.mdb") != 0 ||
        fsync(db->dir) != 0)
        return why_text(why,
                        "the compacted store could not be put in place: "
                        "%s",
                        strerror(errno));
    return 0;
}

static void
take_over(struct db *db, struct db *store)
{
    db->env = store->env;
    db->reader = store->reader;
    memcpy(db->tables, store->tables, sizeof(db->tables));
    db->lock_inode = store->lock_inode;
    db->written = 0;
    store->env = NULL;
    store->reader = NULL;
}

int
db_copy_install(struct db *db, struct db_copy **copy, struct why *why)
{
    struct db *store = (*copy)->store;
    int lock = openat(db->dir, "lock.mdb", O_RDWR | O_CLOEXEC);
    int rc = mdb_env_set_flags(store->env, MDB_NOSYNC, 0);

    if (rc == 0)
        rc = mdb_env_sync(store->env, 1);
    if (rc != 0)
        why_text(why, "the compacted store: %s", mdb_strerror(rc));
    else
        rc = rename_pair(db, store, why);
    if (rc == 0) {
        leave_old(db, lock);
        take_over(db, store);
    }
    db_copy_free(copy);
    return rc == 0 ? 0 : -1;
}

/* --- opening again ------------------------------------------------------- */

static bool
data_has_its_name(const struct db *db)
{
    struct stat open_one, named;
    int fd;

    return mdb_env_get_fd(db->env, &fd) == 0 && fstat(fd, &open_one) == 0 &&
           fstatat(db->dir, "data.mdb", &named, 0) == 0 &&
           open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev;
}

bool
db_has_its_name(const struct db *db)
{
    struct stat lock;

    return data_has_its_name(db) &&
           fstatat(db->dir, "lock.mdb", &lock, 0) == 0 &&
           lock.st_ino == db->lock_inode;
}

bool
db_is_replaced(const struct db *db)
{
    return !db_has_its_name(db);
}

void
db_let_go(struct db *db)
{
    if (db->reader != NULL)
        mdb_txn_abort(db->reader);
    db->reader = NULL;
    if (db->copy != NULL) {
        db->copy->owns_env = true;
        db->copy->owner = NULL;
        db->copy = NULL;
    } else if (db->env != NULL) {
        mdb_env_close(db->env);
    }
    db->env = NULL;
}

int
db_reopen(struct db *db, struct why *why)
{
    struct db *fresh;

    if (db->copy != NULL && data_has_its_name(db))
        return why_text(why, "a copy of the store is being made");
    db_let_go(db);
    fresh = db->reads_only ? db_open_reader(db->path, why)
                           : db_open_writer(db->path, why);
    if (fresh == NULL)
        return -1;
    take_over(db, fresh);
    db_close(&fresh);
    return 0;
}

/* --- sizes --------------------------------------------------------------- */

uint64_t
db_file_bytes(struct db *db)
{
    MDB_envinfo info;
    MDB_stat stat;

    if (mdb_env_info(db->env, &info) != 0 || mdb_env_stat(db->env, &stat) != 0)
        return 0;
    return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

uint64_t
db_used_bytes(struct db *db)
{
    uint64_t all = db_file_bytes(db);
    uint64_t unused = db_free_in_file(db);

    return all > unused ? all - unused : 0;
}
