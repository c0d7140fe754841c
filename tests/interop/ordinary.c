/* SPDX-License-Identifier: ISC */
/*
 * Preloaded into servers that insist on root, on users of their own and on
 * directories of the system, so that they run as whoever runs the tests,
 * within a directory of the test, and change nothing outside of it.
 *
 * ORDINARY_USERS   "name name ...": users and groups that are there
 * ORDINARY_ID      the number of the first, the next has the next one; 0 is
 *                  all of them. The process takes itself for root until it
 *                  becomes another.
 * ORDINARY_OWNER   whose the files show as that are really ours
 * ORDINARY_ROOT    a directory: there are the paths below those of moved[],
 *                  and what chroot(2) goes to
 *
 * Programs see this through the functions of the C library that they call
 * themselves; what the library does on its own is as it really is.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const moved[] = {"/var/spool/smtpd", "/var/lib/opensmtpd",
                                    "/var/run"};
#define MOVED (sizeof(moved) / sizeof(moved[0]))

static char jail[PATH_MAX]; /* of chroot; "": none */

static void *
next_of(const char *name)
{
    void *next = dlsym(RTLD_NEXT, name);

    if (next == NULL)
        abort();
    return next;
}

#define NEXT(name)                                                             \
    static __typeof__(&name) next;                                             \
    if (next == NULL)                                                          \
    next = (__typeof__(&name))next_of(#name)

/* --- who we are ----------------------------------------------------------- */

static unsigned now[4]; /* of the four below; 0: root */

static unsigned
number(const char *name)
{
    const char *text = getenv(name);

    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : 0;
}

static unsigned
their_id(void)
{
    return number("ORDINARY_ID");
}

/* The name of them at this place; NULL: there are not so many. */
static char *
name_at(unsigned at)
{
    static char name[64];
    const char *names = getenv("ORDINARY_USERS");

    for (; names != NULL && *names != '\0'; at--) {
        size_t len = strcspn(names, " ");

        if (at == 0) {
            snprintf(name, sizeof(name), "%.*s", (int)len, names);
            return name;
        }
        names += len + strspn(names + len, " ");
    }
    return NULL;
}

/* Its place, or -1. */
static int
place_of(const char *name)
{
    const char *other;

    for (int at = 0; (other = name_at((unsigned)at)) != NULL; at++)
        if (strcmp(name, other) == 0)
            return at;
    return -1;
}

/* All are root, or no two the same. */
static unsigned
id_at(unsigned at)
{
    return their_id() == 0 ? 0 : their_id() + at;
}

uid_t
getuid(void)
{
    return now[0];
}

uid_t
geteuid(void)
{
    return now[1];
}

gid_t
getgid(void)
{
    return now[2];
}

gid_t
getegid(void)
{
    return now[3];
}

static int
become(unsigned at, unsigned id)
{
    if (id != (unsigned)-1)
        now[at] = id;
    return 0;
}

int
setuid(uid_t id)
{
    return become(0, id) + become(1, id);
}

int
seteuid(uid_t id)
{
    return become(1, id);
}

int
setreuid(uid_t real, uid_t effective)
{
    return become(0, real) + become(1, effective);
}

int
setresuid(uid_t real, uid_t effective, uid_t saved)
{
    (void)saved;
    return setreuid(real, effective);
}

int
setgid(gid_t id)
{
    return become(2, id) + become(3, id);
}

int
setegid(gid_t id)
{
    return become(3, id);
}

int
setregid(gid_t real, gid_t effective)
{
    return become(2, real) + become(3, effective);
}

int
setresgid(gid_t real, gid_t effective, gid_t saved)
{
    (void)saved;
    return setregid(real, effective);
}

int
setgroups(size_t n, const gid_t *groups)
{
    (void)n;
    (void)groups;
    return 0;
}

int
initgroups(const char *user, gid_t group)
{
    (void)user;
    (void)group;
    return 0;
}

/* --- users and groups ----------------------------------------------------- */

static char empty[] = "", top[] = "/", shell[] = "/bin/sh";

static struct passwd *
their_user(unsigned at)
{
    static struct passwd user;

    user = (struct passwd){.pw_name = name_at(at),
                           .pw_passwd = empty,
                           .pw_uid = id_at(at),
                           .pw_gid = id_at(at),
                           .pw_gecos = empty,
                           .pw_dir = top,
                           .pw_shell = shell};
    return &user;
}

static struct group *
their_group(unsigned at)
{
    static struct group group;
    static char *nobody[] = {NULL};

    group = (struct group){.gr_name = name_at(at),
                           .gr_passwd = empty,
                           .gr_gid = id_at(at),
                           .gr_mem = nobody};
    return &group;
}

struct passwd *
getpwnam(const char *name)
{
    NEXT(getpwnam);
    int at = place_of(name);

    return at >= 0 ? their_user((unsigned)at) : next(name);
}

struct passwd *
getpwuid(uid_t id)
{
    NEXT(getpwuid);

    for (unsigned at = 0; name_at(at) != NULL; at++)
        if (id_at(at) == id)
            return their_user(at);
    return next(id);
}

struct group *
getgrnam(const char *name)
{
    NEXT(getgrnam);
    int at = place_of(name);

    return at >= 0 ? their_group((unsigned)at) : next(name);
}

/* --- paths ---------------------------------------------------------------- */

static bool
is_below(const char *path, const char *directory)
{
    size_t len = strlen(directory);

    return strncmp(path, directory, len) == 0 &&
           (path[len] == '/' || path[len] == '\0');
}

/* Where the path really is; until the next call but one. */
static const char *
really(const char *path)
{
    static char texts[2][PATH_MAX];
    static unsigned turn;
    const char *root = getenv("ORDINARY_ROOT");
    char *text = texts[turn++ % 2];
    bool elsewhere = jail[0] != '\0';

    if (root == NULL || path == NULL || path[0] != '/' || is_below(path, root))
        return path;
    for (size_t i = 0; i < MOVED; i++)
        elsewhere |= is_below(path, moved[i]);
    if (!elsewhere)
        return path;
    snprintf(text, PATH_MAX, "%s%s", jail[0] != '\0' ? jail : root, path);
    return text;
}

int
chroot(const char *path)
{
    char to[PATH_MAX];

    snprintf(to, sizeof(to), "%s", really(path));
    if (access(to, X_OK) != 0)
        return -1;
    memcpy(jail, to, sizeof(jail));
    return 0;
}

int
chdir(const char *path)
{
    NEXT(chdir);
    return next(really(path));
}

int
open(const char *path, int flags, ...)
{
    NEXT(open);
    va_list list;
    mode_t mode = 0;

    va_start(list, flags);
    if (flags & (O_CREAT | O_TMPFILE))
        mode = va_arg(list, mode_t);
    va_end(list);
    return next(really(path), flags, mode);
}

FILE *
fopen(const char *path, const char *mode)
{
    NEXT(fopen);
    return next(really(path), mode);
}

DIR *
opendir(const char *path)
{
    NEXT(opendir);
    return next(really(path));
}

FTS *
fts_open(char *const *paths, int options,
         int (*compare)(const FTSENT **, const FTSENT **))
{
    static __typeof__(&fts_open) next;
    char path[PATH_MAX];
    char *one[] = {path, NULL};

    if (next == NULL)
        next = (__typeof__(&fts_open))next_of("fts_open");
    if (paths[0] == NULL || paths[1] != NULL)
        return next(paths, options, compare);
    snprintf(path, sizeof(path), "%s", really(paths[0]));
    return next(one, options, compare);
}

int
mkdir(const char *path, mode_t mode)
{
    NEXT(mkdir);
    return next(really(path), mode);
}

int
rmdir(const char *path)
{
    NEXT(rmdir);
    return next(really(path));
}

int
rename(const char *from, const char *to)
{
    NEXT(rename);
    return next(really(from), really(to));
}

int
unlink(const char *path)
{
    NEXT(unlink);
    return next(really(path));
}

int
chmod(const char *path, mode_t mode)
{
    NEXT(chmod);
    return next(really(path), mode);
}

int
mkstemp(char *path)
{
    NEXT(mkstemp);
    char text[PATH_MAX];
    int fd;

    snprintf(text, sizeof(text), "%s", really(path));
    fd = next(text);
    memcpy(path, text + strlen(text) - strlen(path), strlen(path));
    return fd;
}

int
chown(const char *path, uid_t user, gid_t group)
{
    (void)path;
    (void)user;
    (void)group;
    return 0;
}

int
lchown(const char *path, uid_t user, gid_t group)
{
    return chown(path, user, group);
}

int
fchown(int fd, uid_t user, gid_t group)
{
    (void)fd;
    (void)user;
    (void)group;
    return 0;
}

/* As another's, where it is ours. */
static int
shown(int done, struct stat *st)
{
    static __typeof__(&getuid) next;

    if (next == NULL)
        next = (__typeof__(&getuid))next_of("getuid");
    if (done == 0 && st->st_uid == next())
        st->st_uid = st->st_gid = number("ORDINARY_OWNER");
    return done;
}

int
stat(const char *path, struct stat *st)
{
    NEXT(stat);
    return shown(next(really(path), st), st);
}

int
lstat(const char *path, struct stat *st)
{
    NEXT(lstat);
    return shown(next(really(path), st), st);
}

int
fstat(int fd, struct stat *st)
{
    NEXT(fstat);
    return shown(next(fd, st), st);
}

/* --- sockets with a path -------------------------------------------------- */

static const struct sockaddr *
really_at(const struct sockaddr *address, socklen_t *len,
          struct sockaddr_un *text)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)address;

    if (address->sa_family != AF_UNIX || un->sun_path[0] != '/')
        return address;
    *text = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(text->sun_path, sizeof(text->sun_path), "%s",
             really(un->sun_path));
    *len = sizeof(*text);
    return (const struct sockaddr *)text;
}

int
bind(int fd, const struct sockaddr *address, socklen_t len)
{
    NEXT(bind);
    struct sockaddr_un text;

    address = really_at(address, &len, &text);
    return next(fd, address, len);
}

int
connect(int fd, const struct sockaddr *address, socklen_t len)
{
    NEXT(connect);
    struct sockaddr_un text;

    address = really_at(address, &len, &text);
    return next(fd, address, len);
}
