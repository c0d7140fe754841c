/* SPDX-License-Identifier: ISC */
/*
 * restore FILE: puts a backup (spoold/control_backup.c) in place of the
 * store. It works beside the store until everything has been looked at: that
 * the backup is whole, that this version reads it, that the keys for it are
 * there. What was in the spool is moved aside, not written over.
 */
#include "spoolctl.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "body.h"
#include "clock.h"
#include "conf.h"
#include "db_read.h"
#include "key_file.h"
#include "mem.h"
#include "text.h"

#define WORK_DIR       "restore"
#define TRAILER_MAX    1024
#define CHUNK_BYTES    (1024 * 1024)
#define PATH_BYTES     4096
#define KEY_PATH_BYTES (PATH_BYTES + 16)

struct restore {
    const char *file;
    int fd;
    char spool[PATH_BYTES];
    int dir;  /* the spool */
    int work; /* the directory the store is made in */
    int lock;
    struct stat owner; /* of the spool */
    uint64_t bytes;
    char digest[2 * BODY_DIGEST_LEN + 1];
    char made[64];
    uint64_t held;
    char hostname[256];
    char aside[64]; /* where the old store is, empty: there was none */
};

/* --- the backup ----------------------------------------------------------- */

/* The last line: what is before it must be as long as it says. */
static int
read_trailer(struct restore *r, struct why *why)
{
    static const char magic[] = "spoold-backup 1 ";
    char tail[TRAILER_MAX + 1];
    struct stat st;
    off_t from;
    ssize_t n;
    const char *line = NULL;

    if (fstat(r->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return why_text(why, "%s is not a file", r->file);
    from = st.st_size > TRAILER_MAX ? st.st_size - TRAILER_MAX : 0;
    n = pread(r->fd, tail, TRAILER_MAX, from);
    if (n < 0)
        return why_text(why, "%s: %s", r->file, strerror(errno));
    tail[n] = '\0';
    for (const char *at = tail; (at = memmem(at, (size_t)(tail + n - at), magic,
                                             strlen(magic))) != NULL;
         at++)
        line = at;
    if (line == NULL || tail[n - 1] != '\n' ||
        sscanf(line, "spoold-backup 1 %" SCNu64 " %64s %63s %" SCNu64 " %255s",
               &r->bytes, r->digest, r->made, &r->held, r->hostname) != 5 ||
        r->bytes != (uint64_t)(from + (line - tail)))
        return why_text(why, "%s is not a whole backup of spoold", r->file);
    return 0;
}

static int
write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

static int
check_digest(const struct restore *r, struct body_digest **digest,
             struct why *why)
{
    char sum[BODY_DIGEST_LEN], text[2 * BODY_DIGEST_LEN + 1];

    body_digest_end(digest, sum);
    for (size_t i = 0; i < sizeof(sum); i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned char)sum[i]);
    if (strcmp(text, r->digest) != 0)
        return why_text(why,
                        "%s is damaged: its bytes do not have the digest "
                        "they had",
                        r->file);
    return 0;
}

/* Copies the store out of the backup; the digest is of what was copied. */
static int
extract(const struct restore *r, struct why *why)
{
    struct body_digest *digest = body_digest_new();
    char *chunk = mem_alloc(CHUNK_BYTES);
    int out =
        openat(r->work, "data.mdb",
               O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = out >= 0 ? 0 : why_text(why, "data.mdb: %s", strerror(errno));

    for (uint64_t at = 0; rc == 0 && at < r->bytes;) {
        uint64_t rest = r->bytes - at;
        ssize_t n =
            pread(r->fd, chunk, rest < CHUNK_BYTES ? (size_t)rest : CHUNK_BYTES,
                  (off_t)at);

        if (n <= 0 || write_all(out, chunk, (size_t)n) != 0) {
            rc = why_text(why, "copying %s: %s", r->file,
                          n == 0 ? "it ends too early" : strerror(errno));
            break;
        }
        body_digest_add(digest, (struct view){chunk, (size_t)n});
        at += (uint64_t)n;
    }
    if (rc == 0 &&
        (fchown(out, r->owner.st_uid, r->owner.st_gid) != 0 || fsync(out) != 0))
        rc = why_text(why, "data.mdb: %s", strerror(errno));
    if (out >= 0)
        close(out);
    free(chunk);
    if (rc == 0)
        return check_digest(r, &digest, why);
    check_digest(r, &digest, &(struct why){0});
    return -1;
}

/* --- its keys ------------------------------------------------------------- */

static struct key_file *
load_keys(const struct restore *r, const struct conf *conf, char *path,
          struct why *why)
{
    struct key_file *keys;
    struct why other;

    snprintf(path, KEY_PATH_BYTES, "%.*s", (int)conf->key_file.len,
             conf->key_file.data);
    keys = key_file_load(path, NULL, why);
    if (keys != NULL)
        return keys;
    snprintf(path, KEY_PATH_BYTES, "%s/spool.key", r->spool);
    keys = key_file_load(path, NULL, &other);
    if (keys == NULL) /* the first one is what was configured */
        snprintf(path, KEY_PATH_BYTES, "%.*s", (int)conf->key_file.len,
                 conf->key_file.data);
    return keys;
}

/* Every pair a data key is sealed to is in the file, or known to be lost. */
static int
check_pairs(struct db *db, const struct key_file *keys, const char *path,
            const struct why *no_keys, struct why *why)
{
    struct buf memory = {0};
    struct data_key row;
    uint64_t after = 0;
    int found;

    while ((found = db_read_data_key_after(db, after, &row, &memory, why)) ==
           1) {
        char text[KEY_PAIR_TEXT_MAX];

        after = row.id;
        if (row.messages == 0 || row.pair.len != SEAL_PAIR_ID ||
            (keys != NULL && (key_file_has(keys, row.pair) ||
                              key_file_is_lost(keys, row.pair))))
            continue;
        found = -1;
        why_text(why,
                 "the backup needs the key pair %s, which %s does not have%s%s:"
                 " put that key file in place first (or --force)",
                 key_pair_print(row.pair.data, text), path,
                 keys == NULL ? ": " : "", keys == NULL ? no_keys->text : "");
        break;
    }
    buf_free(&memory);
    return found;
}

static int
check_keys(const struct restore *r, const struct conf *conf, struct db *db,
           struct why *why)
{
    char path[KEY_PATH_BYTES];
    struct why no_keys = {0};
    struct key_file *keys = load_keys(r, conf, path, &no_keys);
    int rc = check_pairs(db, keys, path, &no_keys, why);

    key_file_free(&keys);
    return rc;
}

static int
check_store(const struct restore *r, const struct conf *conf, bool force,
            struct why *why)
{
    char path[PATH_BYTES + sizeof(WORK_DIR) + 1];
    struct db *db;
    int rc = 0;

    snprintf(path, sizeof(path), "%s/" WORK_DIR, r->spool);
    db = db_open_reader(path, why);
    if (db == NULL)
        return -1;
    if (!force)
        rc = check_keys(r, conf, db, why);
    db_close(&db);
    unlinkat(r->work, "lock.mdb", 0);
    return rc;
}

/* --- the spool ------------------------------------------------------------ */

/* The same as the daemon would make. */
static int
make_spool(const struct restore *r, const struct conf *conf, struct why *why)
{
    char name[256];
    const struct passwd *user;

    if (mkdir(r->spool, 0700) != 0)
        return errno == EEXIST
                   ? 0
                   : why_text(why, "%s: %s", r->spool, strerror(errno));
    if (geteuid() != 0)
        return 0;
    snprintf(name, sizeof(name), "%.*s", (int)conf->user.len, conf->user.data);
    user = getpwnam(name);
    if (user == NULL || chown(r->spool, user->pw_uid, user->pw_gid) != 0)
        return why_text(why, "%s cannot be given to user \"%s\"", r->spool,
                        name);
    return 0;
}

static void
clear_work(const struct restore *r)
{
    unlinkat(r->work, "data.mdb", 0);
    unlinkat(r->work, "lock.mdb", 0);
}

static int
open_spool(struct restore *r, const struct conf *conf, struct why *why)
{
    snprintf(r->spool, sizeof(r->spool), "%.*s", (int)conf->spool.len,
             conf->spool.data);
    if (make_spool(r, conf, why) != 0)
        return -1;
    r->dir = open(r->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->dir < 0 || fstat(r->dir, &r->owner) != 0)
        return why_text(why, "%s: %s", r->spool, strerror(errno));
    if (tool_lock_spool(r->dir, r->spool, &r->owner, &r->lock, why) != 0)
        return -1;
    if (mkdirat(r->dir, WORK_DIR, 0700) != 0 && errno != EEXIST)
        return why_text(why, "%s/" WORK_DIR ": %s", r->spool, strerror(errno));
    r->work = openat(r->dir, WORK_DIR,
                     O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (r->work < 0)
        return why_text(why, "%s/" WORK_DIR ": %s", r->spool, strerror(errno));
    clear_work(r);
    return 0;
}

/* The store that is there goes to a directory with the time in its name. */
static int
move_aside(struct restore *r, struct why *why)
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;
    int aside;

    if (faccessat(r->dir, "data.mdb", F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    gmtime_r(&now, &tm);
    strftime(r->aside, sizeof(r->aside), "before-restore-%Y%m%dT%H%M%SZ", &tm);
    if (mkdirat(r->dir, r->aside, 0700) != 0)
        return why_text(why, "%s/%s: %s", r->spool, r->aside, strerror(errno));
    aside = openat(r->dir, r->aside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (aside < 0 || fchown(aside, r->owner.st_uid, r->owner.st_gid) != 0 ||
        renameat(r->dir, "data.mdb", aside, "data.mdb") != 0 ||
        fsync(aside) != 0) {
        why_text(why, "%s/%s: %s", r->spool, r->aside, strerror(errno));
        if (aside >= 0)
            close(aside);
        return -1;
    }
    close(aside);
    return 0;
}

/* For the store: it is not as old as it was. Before it is in place, so that
 * it cannot start without (store_imap.c). */
static int
leave_word(const struct restore *r, struct why *why)
{
    int fd = openat(r->dir, DB_RESTORED, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || fchown(fd, r->owner.st_uid, r->owner.st_gid) != 0 ||
        fsync(r->dir) != 0) {
        why_text(why, "%s/%s: %s", r->spool, DB_RESTORED, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    close(fd);
    return 0;
}

static int
put_in_place(struct restore *r, struct why *why)
{
    if (move_aside(r, why) != 0 || leave_word(r, why) != 0)
        return -1;
    unlinkat(r->dir, "lock.mdb", 0);
    if (renameat(r->work, "data.mdb", r->dir, "data.mdb") != 0 ||
        unlinkat(r->dir, WORK_DIR, AT_REMOVEDIR) != 0 || fsync(r->dir) != 0)
        return why_text(why, "%s: %s", r->spool, strerror(errno));
    return 0;
}

/* --- all of it ------------------------------------------------------------ */

static void
tell(const struct restore *r, enum ctl_output output)
{
    char held[MEMBER_TEXT_MAX];
    struct buf host = {0};
    json_t *row;

    if (output != OUTPUT_TEXT) {
        row = json_pack("{s:s, s:I, s:s, s:s}", "made", r->made, "held",
                        (json_int_t)r->held, "spool", r->spool, "aside",
                        r->aside);
        json_dumpf(row, stdout,
                   output == OUTPUT_JSON ? JSON_INDENT(2) : JSON_COMPACT);
        printf("\n");
        json_decref(row);
        return;
    }
    text_clean(view_of(r->hostname), &host);
    printf("The backup of %s on %.*s is in place in %s: %s held.\n", r->made,
           (int)host.len, host.data, r->spool,
           member_count(r->held, "message", held));
    printf("What was delivered after that will be delivered again.\n");
    if (*r->aside != '\0')
        printf("The store that was there is in %s/%s.\n", r->spool, r->aside);
    buf_free(&host);
}

static int
restore(struct restore *r, const struct request *request,
        const struct conf *conf, struct why *why)
{
    bool force = request->options[CTL_OPTION_FORCE] != NULL;

    r->fd = open(r->file, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        return why_text(why, "%s: %s", r->file, strerror(errno));
    if (read_trailer(r, why) != 0 || open_spool(r, conf, why) != 0)
        return -1;
    if (extract(r, why) != 0 || check_store(r, conf, force, why) != 0) {
        clear_work(r);
        unlinkat(r->dir, WORK_DIR, AT_REMOVEDIR);
        return -1;
    }
    return put_in_place(r, why);
}

int
tool_restore(const struct request *request)
{
    struct restore r = {.fd = -1, .dir = -1, .work = -1, .lock = -1};
    const struct view name = request->words[request->first];
    char *file = mem_copy(name.data, name.len);
    struct why why;
    struct conf *conf = conf_load(
        request->conf_path != NULL ? request->conf_path : USUAL_CONF, &why);
    int rc = -1;

    r.file = file;
    if (conf != NULL)
        rc = restore(&r, request, conf, &why);
    if (rc == 0)
        tell(&r, request->output);
    else
        complain("%s", why.text);
    if (r.work >= 0)
        close(r.work);
    if (r.dir >= 0)
        close(r.dir);
    if (r.fd >= 0)
        close(r.fd);
    if (r.lock >= 0) /* last: until here nobody starts */
        close(r.lock);
    conf_free(&conf);
    free(file);
    return rc == 0 ? CTL_EXIT_DONE : CTL_EXIT_REFUSED;
}
