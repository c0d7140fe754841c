/* SPDX-License-Identifier: ISC */
/*
 * The spool directory: made when it is missing, refused when it is somebody
 * else's, locked against a second daemon. The lock is held by an open file
 * that all roles inherit, so it lasts until the last of them is gone even
 * when the parent was killed.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "log.h"
#include "parent.h"

#define PATH_BYTES 4096
#define LOCK_NAME  "spoold.lock"
#define INCOMING   "incoming"
/* How long the old store may take to finish when its parent was killed. */
#define LOCK_WAIT_MS 3000
#define LOCK_STEP_MS 20

int
parent_owner_of(const struct conf *conf, struct parent_owner *owner,
                struct why *why)
{
    char name[256];
    struct passwd *user;

    *owner = (struct parent_owner){false, geteuid(), getegid()};
    if (geteuid() != 0)
        return 0;
    snprintf(name, sizeof(name), "%.*s", (int)conf->user.len, conf->user.data);
    if ((user = getpwnam(name)) == NULL)
        return why_text(why,
                        "there is no user \"%s\" to become: create it or set "
                        "user = in the configuration",
                        name);
    *owner = (struct parent_owner){true, user->pw_uid, user->pw_gid};
    return 0;
}

/* A directory that has things in it but no store is not ours to fill. */
static int
check_foreign(int dir, const char *path, struct why *why)
{
    DIR *list = fdopendir(dup(dir));
    const struct dirent *entry;
    bool ours = false, other = false;

    if (list == NULL)
        return why_text(why, "%s: %s", path, strerror(errno));
    while ((entry = readdir(list)) != NULL) {
        const char *name = entry->d_name;

        if (strcmp(name, "data.mdb") == 0 || strcmp(name, LOCK_NAME) == 0)
            ours = true;
        else if (name[0] != '.' && strcmp(name, "lost+found") != 0)
            other = true;
    }
    closedir(list);
    if (other && !ours)
        return why_text(why,
                        "%s is not empty and not a spool of spoold: "
                        "choose another directory",
                        path);
    return 0;
}

static int
check_owner(int dir, const char *path, const struct parent_owner *owner,
            struct why *why)
{
    struct stat st;

    if (fstat(dir, &st) != 0)
        return why_text(why, "%s: %s", path, strerror(errno));
    if (st.st_uid == owner->uid)
        return 0;
    if (owner->drops && st.st_uid == 0 &&
        fchown(dir, owner->uid, owner->gid) == 0)
        return 0;
    return why_text(why, "%s belongs to user %u, the daemon runs as %u", path,
                    (unsigned)st.st_uid, (unsigned)owner->uid);
}

/* The files of LMDB, as a restore by hand or another user may leave them. */
static int
check_file(int dir, const char *path, const char *name,
           const struct parent_owner *owner, struct why *why)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT
                   ? 0
                   : why_text(why, "%s/%s: %s", path, name, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return why_text(why, "%s/%s is not an ordinary file", path, name);
    if (st.st_uid == owner->uid)
        return 0;
    /* The directory is the roles': not another name of a file of root's. */
    if (owner->drops && st.st_uid == 0 && st.st_nlink == 1 &&
        fchownat(dir, name, owner->uid, owner->gid, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    return why_text(why, "%s/%s belongs to user %u, the daemon runs as %u",
                    path, name, (unsigned)st.st_uid, (unsigned)owner->uid);
}

static int
make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return -1;
        *slash = '/';
    }
    return mkdir(path, 0700) != 0 && errno != EEXIST ? -1 : 0;
}

static int
make_inside(int dir, const char *path, const char *name,
            const struct parent_owner *owner, struct why *why)
{
    if (mkdirat(dir, name, 0700) != 0 && errno != EEXIST)
        return why_text(why, "%s/%s: %s", path, name, strerror(errno));
    if (owner->drops &&
        fchownat(dir, name, owner->uid, owner->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return why_text(why, "%s/%s: %s", path, name, strerror(errno));
    return 0;
}

static int
take_lock(int dir, const char *path, const struct parent_owner *owner,
          struct why *why)
{
    const struct timespec step = {0, LOCK_STEP_MS * 1000000L};
    char pid[32] = "";
    struct stat st;
    int fd =
        openat(dir, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return why_text(why, "%s/%s: %s", path, LOCK_NAME, strerror(errno));
    /* The directory is the roles': not another name of a file of root's. */
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
        close(fd);
        return why_text(why, "%s/%s is not an ordinary file of its own", path,
                        LOCK_NAME);
    }
    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0;
         waited += LOCK_STEP_MS) {
        if (errno != EWOULDBLOCK || waited >= LOCK_WAIT_MS) {
            ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

            pid[n > 0 ? n : 0] = '\0';
            pid[strcspn(pid, "\n")] = '\0';
            why_text(why, "%s is in use by another spoold (process %s)", path,
                     pid);
            close(fd);
            return -1;
        }
        nanosleep(&step, NULL);
    }
    snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 ||
        pwrite(fd, pid, strlen(pid), 0) != (ssize_t)strlen(pid) ||
        (owner->drops && fchown(fd, owner->uid, owner->gid) != 0)) {
        why_text(why, "%s/%s: %s", path, LOCK_NAME, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

int
parent_spool_open(const struct conf *conf, const struct parent_owner *owner,
                  struct why *why)
{
    char path[PATH_BYTES];
    int dir, lock = -1;

    snprintf(path, sizeof(path), "%.*s", (int)conf->spool.len,
             conf->spool.data);
    if (make_directories(path) != 0)
        return why_text(why, "%s: %s", path, strerror(errno));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return why_text(why, "%s: %s", path, strerror(errno));
    if (check_foreign(dir, path, why) == 0 &&
        check_owner(dir, path, owner, why) == 0 &&
        check_file(dir, path, "data.mdb", owner, why) == 0 &&
        check_file(dir, path, "lock.mdb", owner, why) == 0 &&
        make_inside(dir, path, INCOMING, owner, why) == 0)
        lock = take_lock(dir, path, owner, why);
    close(dir);
    return lock;
}
