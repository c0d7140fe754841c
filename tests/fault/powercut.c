/* SPDX-License-Identifier: ISC */
/*
 * powercut: a file system that forgets what was not synced (libfuse3).
 *
 *     powercut LIVE DISK MOUNTPOINT
 *
 * Everything goes through to the directory LIVE, so programs see a file
 * system like any other. What would be on the platters is kept apart: the
 * content of each file as of its last fsync, and names as of the last fsync
 * of a directory. Writes since then are remembered one by one.
 *
 * Writing "SEED CHANCE\n" to the file .powercut in its root cuts the power:
 * each 512-byte sector of each remembered write survives with CHANCE percent,
 * in any order, as do the first few of the remembered changes of names; the
 * result is built in DISK/tree, and from then on everything fails with EIO.
 * Writing "lie\n" makes it a disk whose syncs do nothing, and
 * "bad OFFSET LENGTH PATH\n" one that cannot read these bytes of that file.
 *
 * One thread, so that the order of calls is the order here.
 */
#define FUSE_USE_VERSION 31

#include <fuse.h>

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512
#define CUT    "/.powercut"

/* A write, or (data NULL) a change of length to offset, not synced yet. */
struct change {
    struct change *next;
    off_t offset;
    size_t len;
    char *data;
};

/* A file. Its synced content is DISK/object/ID. */
struct object {
    struct object *next;
    uint64_t id;
    ino_t ino; /* in LIVE, 0: gone there */
    mode_t mode;
    uid_t uid;
    gid_t gid;
    struct change *first;
    struct change **last;
};

/* A name as of the last sync of a directory; object NULL: a directory. */
struct name {
    struct name *next;
    char *path;
    struct object *object;
    mode_t mode;
    uid_t uid;
    gid_t gid;
};

/* A change of names, not synced yet. */
struct rename {
    struct rename *next;
    char *from; /* NULL: path appears */
    char *path; /* NULL: from disappears */
    struct object *object;
    mode_t mode;
    uid_t uid;
    gid_t gid;
};

static struct {
    const char *live;
    const char *disk;
    bool dead;
    bool lies;
    struct object *bad; /* cannot be read from bad_at to bad_end */
    unsigned long long bad_at;
    unsigned long long bad_end;
    uint64_t ids;
    uint64_t random;
    struct object *objects;
    struct name *names;
    struct rename *renames;
    struct rename **last;
} fs = {.last = &fs.renames};

static void *
need(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static char *
under(const char *top, const char *path)
{
    char *whole;

    if (asprintf(&whole, "%s%s", top, path) < 0)
        abort();
    return whole;
}

/* The answer of a call on LIVE, as FUSE wants it; frees path. */
static int
done(int rc, char *path)
{
    int error = rc < 0 ? -errno : 0;

    free(path);
    return error;
}

/* splitmix64 */
static uint64_t
chance(void)
{
    uint64_t z = fs.random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* --- what is synced --------------------------------------------------------
 */

static int
object_open(const struct object *object, int flags)
{
    char name[64], *path;
    int fd;

    snprintf(name, sizeof(name), "/object/%llu",
             (unsigned long long)object->id);
    path = under(fs.disk, name);
    fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0) {
        perror(path);
        abort();
    }
    free(path);
    return fd;
}

static struct object *
object_new(ino_t ino, mode_t mode)
{
    struct object *object = need(calloc(1, sizeof(*object)));

    object->id = ++fs.ids;
    object->ino = ino;
    object->mode = mode;
    object->uid = fuse_get_context()->uid;
    object->gid = fuse_get_context()->gid;
    object->last = &object->first;
    object->next = fs.objects;
    fs.objects = object;
    close(object_open(object, O_WRONLY | O_CREAT | O_TRUNC));
    return object;
}

static struct object *
object_of(ino_t ino)
{
    for (struct object *object = fs.objects; object != NULL;
         object = object->next)
        if (object->ino == ino)
            return object;
    return NULL;
}

static struct object *
object_of_fd(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? object_of(st.st_ino) : NULL;
}

static struct object *
object_at(const char *path)
{
    char *live = under(fs.live, path);
    struct stat st;
    int rc = lstat(live, &st);

    free(live);
    return rc == 0 && S_ISREG(st.st_mode) ? object_of(st.st_ino) : NULL;
}

static void
object_change(struct object *object, off_t offset, const char *data, size_t len)
{
    struct change *change;

    if (object == NULL)
        return;
    change = need(calloc(1, sizeof(*change)));
    change->offset = offset;
    change->len = len;
    if (data != NULL)
        change->data = memcpy(need(malloc(len > 0 ? len : 1)), data, len);
    *object->last = change;
    object->last = &change->next;
}

static void
write_all(int fd, const char *data, size_t len, off_t offset)
{
    if (pwrite(fd, data, len, offset) != (ssize_t)len) {
        perror("powercut: the disk");
        abort();
    }
}

/* Writes what was remembered, percent of its sectors; forgets it. */
static void
object_settle(struct object *object, unsigned percent)
{
    int fd = object_open(object, O_WRONLY);

    while (object->first != NULL) {
        struct change *change = object->first;

        if (change->data == NULL) {
            if (chance() % 100 < percent && ftruncate(fd, change->offset) != 0)
                abort();
        }
        for (size_t at = 0; change->data != NULL && at < change->len;) {
            size_t len = SECTOR - (size_t)(change->offset + (off_t)at) % SECTOR;

            if (len > change->len - at)
                len = change->len - at;
            if (chance() % 100 < percent)
                write_all(fd, change->data + at, len,
                          change->offset + (off_t)at);
            at += len;
        }
        object->first = change->next;
        free(change->data);
        free(change);
    }
    object->last = &object->first;
    close(fd);
}

static struct name **
name_at(const char *path)
{
    struct name **at = &fs.names;

    while (*at != NULL && strcmp((*at)->path, path) != 0)
        at = &(*at)->next;
    return at;
}

static void
name_remove(const char *path)
{
    struct name **at = name_at(path), *name = *at;

    if (name == NULL)
        return;
    *at = name->next;
    free(name->path);
    free(name);
}

static void
name_add(const struct rename *from)
{
    struct name *name = need(calloc(1, sizeof(*name)));

    name_remove(from->path);
    name->path = need(strdup(from->path));
    name->object = from->object;
    name->mode = from->mode;
    name->uid = from->uid;
    name->gid = from->gid;
    name->next = fs.names;
    fs.names = name;
}

/* Everything below a directory moves with it. */
static void
name_move(const char *from, const char *to)
{
    size_t len = strlen(from);

    for (struct name *name = fs.names; name != NULL; name = name->next)
        if (strncmp(name->path, from, len) == 0 &&
            (name->path[len] == '/' || name->path[len] == '\0')) {
            char *path = under(to, name->path + len);

            free(name->path);
            name->path = path;
        }
}

/* The first most of the remembered changes of names happen. */
static void
names_settle(size_t most)
{
    for (size_t i = 0; fs.renames != NULL && i < most; i++) {
        struct rename *change = fs.renames;

        if (change->from == NULL)
            name_add(change);
        else if (change->path == NULL)
            name_remove(change->from);
        else {
            name_remove(change->path);
            name_move(change->from, change->path);
        }
        fs.renames = change->next;
        free(change->from);
        free(change->path);
        free(change);
    }
    if (fs.renames == NULL)
        fs.last = &fs.renames;
}

static void
remember(const char *from, const char *path, struct object *object, mode_t mode)
{
    struct rename *change = need(calloc(1, sizeof(*change)));

    change->from = from != NULL ? need(strdup(from)) : NULL;
    change->path = path != NULL ? need(strdup(path)) : NULL;
    change->object = object;
    change->mode = mode;
    change->uid = fuse_get_context()->uid;
    change->gid = fuse_get_context()->gid;
    *fs.last = change;
    fs.last = &change->next;
}

/* --- the cut -----------------------------------------------------------------
 */

static void
copy_object(const struct object *object, const char *to)
{
    static char block[1 << 20];
    int in = object_open(object, O_RDONLY);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t n;
    off_t at = 0;

    if (out < 0) { /* its directory did not survive */
        close(in);
        return;
    }
    while ((n = read(in, block, sizeof(block))) > 0) {
        write_all(out, block, (size_t)n, at);
        at += n;
    }
    if (fchown(out, object->uid, object->gid) != 0 && geteuid() == 0)
        abort();
    fchmod(out, object->mode & 07777);
    close(in);
    close(out);
}

static int
shallow_first(const void *a, const void *b)
{
    const struct name *const *left = a, *const *right = b;

    return strcmp((*left)->path, (*right)->path);
}

static void
build_tree(void)
{
    char *top = under(fs.disk, "/tree");
    struct name **sorted;
    size_t n = 0, i = 0;

    for (struct name *name = fs.names; name != NULL; name = name->next)
        n++;
    sorted = need(calloc(n + 1, sizeof(struct name *)));
    for (struct name *name = fs.names; name != NULL; name = name->next)
        sorted[i++] = name;
    qsort(sorted, n, sizeof(*sorted), shallow_first);
    for (i = 0; i < n; i++) {
        char *path = under(top, sorted[i]->path);

        if (sorted[i]->object != NULL)
            copy_object(sorted[i]->object, path);
        else if (mkdir(path, 0700) == 0 &&
                 chown(path, sorted[i]->uid, sorted[i]->gid) == 0)
            chmod(path, sorted[i]->mode & 07777);
        free(path);
    }
    free(sorted);
    free(top);
}

static void
cut(const char *text)
{
    unsigned long long seed = 0;
    unsigned percent = 0;
    size_t n = 0;
    char path[256];

    if (strncmp(text, "lie", 3) == 0)
        fs.lies = true;
    if (sscanf(text, "bad %llu %llu %255s", &fs.bad_at, &fs.bad_end, path) ==
        3) {
        fs.bad_end += fs.bad_at;
        fs.bad = object_at(path);
    }
    if (sscanf(text, "%llu %u", &seed, &percent) != 2)
        return;
    fs.random = seed;
    for (struct rename *change = fs.renames; change != NULL;
         change = change->next)
        n++;
    names_settle(n > 0 ? chance() % (n + 1) : 0);
    for (struct object *object = fs.objects; object != NULL;
         object = object->next)
        object_settle(object, percent);
    build_tree();
    fs.dead = true;
}

/* --- calls ---------------------------------------------------------------- */

#define ALIVE()                                                                \
    do {                                                                       \
        if (fs.dead)                                                           \
            return -EIO;                                                       \
    } while (0)

static int
fs_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    (void)fi;
    ALIVE();
    char *live = under(fs.live, path);
    return done(lstat(live, st), live);
}

static int
fs_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset,
           struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    char *live;
    DIR *dir;

    (void)offset;
    (void)fi;
    (void)flags;
    ALIVE();
    live = under(fs.live, path);
    dir = opendir(live);
    if (dir == NULL)
        return done(-1, live);
    free(live);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        fill(buf, entry->d_name, NULL, 0, 0);
    closedir(dir);
    return 0;
}

static int
fs_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    struct object *object;
    struct stat st;
    char *live;
    int fd;

    ALIVE();
    live = under(fs.live, path);
    fd = open(live, (fi->flags & ~O_ACCMODE) | O_RDWR | O_CREAT, mode);
    if (fd < 0)
        return done(-1, live);
    free(live);
    fi->fh = (uint64_t)fd;
    if (strcmp(path, CUT) == 0 || fstat(fd, &st) != 0)
        return 0;
    fchown(fd, fuse_get_context()->uid, fuse_get_context()->gid);
    if ((object = object_of(st.st_ino)) != NULL)
        object->ino = 0; /* the number is used again */
    object = object_new(st.st_ino, mode);
    remember(NULL, path, object, mode);
    return 0;
}

static int
fs_open(const char *path, struct fuse_file_info *fi)
{
    char *live;
    int fd;

    ALIVE();
    live = under(fs.live, path);
    fd = open(live,
              (fi->flags & ~(O_ACCMODE | O_APPEND)) |
                  ((fi->flags & O_ACCMODE) == O_RDONLY ? O_RDONLY : O_RDWR));
    if (fd < 0)
        return done(-1, live);
    free(live);
    if ((fi->flags & O_TRUNC) != 0)
        object_change(object_of_fd(fd), 0, NULL, 0);
    fi->fh = (uint64_t)fd;
    return 0;
}

static int
fs_release(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    close((int)fi->fh);
    return 0;
}

static int
fs_read(const char *path, char *buf, size_t len, off_t offset,
        struct fuse_file_info *fi)
{
    ssize_t n;

    (void)path;
    ALIVE();
    if (fs.bad != NULL && object_of_fd((int)fi->fh) == fs.bad &&
        (unsigned long long)offset < fs.bad_end &&
        (unsigned long long)offset + len > fs.bad_at)
        return -EIO;
    n = pread((int)fi->fh, buf, len, offset);
    return n < 0 ? -errno : (int)n;
}

static int
fs_write(const char *path, const char *buf, size_t len, off_t offset,
         struct fuse_file_info *fi)
{
    ssize_t n;

    ALIVE();
    if (path != NULL && strcmp(path, CUT) == 0) {
        cut(buf);
        return (int)len;
    }
    n = pwrite((int)fi->fh, buf, len, offset);
    if (n < 0)
        return -errno;
    object_change(object_of_fd((int)fi->fh), offset, buf, (size_t)n);
    return (int)n;
}

static int
fs_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    char *live;

    (void)fi;
    ALIVE();
    object_change(object_at(path), size, NULL, 0);
    live = under(fs.live, path);
    return done(truncate(live, size), live);
}

static int
fs_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
    struct object *object;

    (void)path;
    (void)data_only;
    ALIVE();
    object = object_of_fd((int)fi->fh);
    if (object != NULL && !fs.lies)
        object_settle(object, 100);
    return 0;
}

static int
fs_fsyncdir(const char *path, int data_only, struct fuse_file_info *fi)
{
    (void)path;
    (void)data_only;
    (void)fi;
    ALIVE();
    if (!fs.lies)
        names_settle(SIZE_MAX);
    return 0;
}

static int
fs_unlink(const char *path)
{
    struct object *object;
    struct stat st;
    char *live;

    ALIVE();
    object = object_at(path);
    remember(path, NULL, NULL, 0);
    live = under(fs.live, path);
    if (object != NULL && lstat(live, &st) == 0 && st.st_nlink > 1)
        object = NULL;
    return done(unlink(live), live);
}

static int
fs_mkdir(const char *path, mode_t mode)
{
    char *live;
    int rc;

    ALIVE();
    live = under(fs.live, path);
    rc = mkdir(live, mode);
    if (rc == 0) {
        chown(live, fuse_get_context()->uid, fuse_get_context()->gid);
        remember(NULL, path, NULL, mode);
    }
    return done(rc, live);
}

static int
fs_rmdir(const char *path)
{
    char *live;
    int rc;

    ALIVE();
    live = under(fs.live, path);
    rc = rmdir(live);
    if (rc == 0)
        remember(path, NULL, NULL, 0);
    return done(rc, live);
}

static int
fs_rename(const char *from, const char *to, unsigned flags)
{
    char *a, *b;
    int rc;

    ALIVE();
    if (flags != 0)
        return -EINVAL;
    a = under(fs.live, from);
    b = under(fs.live, to);
    rc = rename(a, b);
    if (rc == 0)
        remember(from, to, NULL, 0);
    free(b);
    return done(rc, a);
}

static int
fs_link(const char *from, const char *to)
{
    struct object *object;
    char *a, *b;
    int rc;

    ALIVE();
    object = object_at(from);
    a = under(fs.live, from);
    b = under(fs.live, to);
    rc = link(a, b);
    if (rc == 0)
        remember(NULL, to, object, object != NULL ? object->mode : 0);
    free(b);
    return done(rc, a);
}

static int
fs_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    struct object *object;
    char *live;

    (void)fi;
    ALIVE();
    if ((object = object_at(path)) != NULL)
        object->mode = mode;
    for (struct rename *change = fs.renames; change != NULL;
         change = change->next)
        if (change->path != NULL && strcmp(change->path, path) == 0)
            change->mode = mode;
    live = under(fs.live, path);
    return done(chmod(live, mode), live);
}

static int
fs_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
    struct object *object;
    struct name *name = *name_at(path);
    char *live;

    (void)fi;
    ALIVE();
    if ((object = object_at(path)) != NULL) {
        object->uid = uid;
        object->gid = gid;
    }
    if (name != NULL) {
        name->uid = uid;
        name->gid = gid;
    }
    for (struct rename *change = fs.renames; change != NULL;
         change = change->next)
        if (change->path != NULL && strcmp(change->path, path) == 0) {
            change->uid = uid;
            change->gid = gid;
        }
    live = under(fs.live, path);
    return done(lchown(live, uid, gid), live);
}

static int
fs_utimens(const char *path, const struct timespec times[2],
           struct fuse_file_info *fi)
{
    char *live;

    (void)fi;
    ALIVE();
    live = under(fs.live, path);
    return done(utimensat(AT_FDCWD, live, times, AT_SYMLINK_NOFOLLOW), live);
}

static int
fs_statfs(const char *path, struct statvfs *st)
{
    char *live;

    ALIVE();
    live = under(fs.live, path);
    return done(statvfs(live, st), live);
}

static const struct fuse_operations operations = {
    .getattr = fs_getattr,
    .readdir = fs_readdir,
    .create = fs_create,
    .open = fs_open,
    .release = fs_release,
    .read = fs_read,
    .write = fs_write,
    .truncate = fs_truncate,
    .fsync = fs_fsync,
    .fsyncdir = fs_fsyncdir,
    .unlink = fs_unlink,
    .mkdir = fs_mkdir,
    .rmdir = fs_rmdir,
    .rename = fs_rename,
    .link = fs_link,
    .chmod = fs_chmod,
    .chown = fs_chown,
    .utimens = fs_utimens,
    .statfs = fs_statfs,
};

/* What is in LIVE already counts as synced. */
static void
adopt(const char *path)
{
    static char block[1 << 20];
    char *live = under(fs.live, path);
    DIR *dir = opendir(*path != '\0' ? live : fs.live);

    if (dir == NULL)
        abort();
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct rename add = {0};
        struct stat st;
        char *below, *file;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (asprintf(&below, "%s/%s", path, entry->d_name) < 0)
            abort();
        file = under(fs.live, below);
        if (lstat(file, &st) == 0 &&
            (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
            add.path = below;
            add.mode = st.st_mode;
            add.uid = st.st_uid;
            add.gid = st.st_gid;
        }
        if (add.path != NULL && S_ISREG(st.st_mode)) {
            int in = open(file, O_RDONLY), out;
            ssize_t n;
            off_t at = 0;

            add.object = need(calloc(1, sizeof(*add.object)));
            *add.object = (struct object){.next = fs.objects,
                                          .id = ++fs.ids,
                                          .ino = st.st_ino,
                                          .mode = st.st_mode,
                                          .uid = st.st_uid,
                                          .gid = st.st_gid};
            add.object->last = &add.object->first;
            fs.objects = add.object;
            out = object_open(add.object, O_WRONLY | O_CREAT | O_TRUNC);
            while (in >= 0 && (n = read(in, block, sizeof(block))) > 0) {
                write_all(out, block, (size_t)n, at);
                at += n;
            }
            close(in);
            close(out);
        }
        if (add.path != NULL)
            name_add(&add);
        if (add.path != NULL && S_ISDIR(st.st_mode))
            adopt(below);
        free(below);
        free(file);
    }
    closedir(dir);
    free(live);
}

static void
make_directory(const char *name)
{
    char *path = under(fs.disk, name);

    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        perror(path);
        exit(1);
    }
    free(path);
}

int
main(int argc, char **argv)
{
    char foreground[] = "-f", one_thread[] = "-s", option[] = "-o";
    char options[] = "default_permissions,allow_other,attr_timeout=0,"
                     "entry_timeout=0,negative_timeout=0";
    char *arguments[] = {argv[0], foreground, one_thread, option,
                         options, NULL,       NULL};

    if (argc != 4) {
        fprintf(stderr, "usage: powercut LIVE DISK MOUNTPOINT\n");
        return 2;
    }
    /* fuse_main changes the directory. */
    fs.live = need(realpath(argv[1], NULL));
    fs.disk = need(realpath(argv[2], NULL));
    make_directory("/object");
    make_directory("/tree");
    adopt("");
    arguments[5] = need(realpath(argv[3], NULL));
    umask(0);
    return fuse_main(6, arguments, &operations, NULL);
}
