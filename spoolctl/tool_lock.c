/* SPDX-License-Identifier: ISC */
/*
 * The lock of the spool, for commands that work on the store themselves: as
 * long as they hold it no daemon starts, and while a daemon runs they do not.
 */
#include "spoolctl.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LOCK_NAME "spoold.lock"

int
tool_lock_spool(int dir, const char *path, const struct stat *owner, int *lock,
                struct why *why)
{
    char pid[32] = "";
    ssize_t n;

    *lock =
        openat(dir, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock < 0 || fchown(*lock, owner->st_uid, owner->st_gid) != 0)
        return why_text(why, "%s/" LOCK_NAME ": %s", path, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    n = pread(*lock, pid, sizeof(pid) - 1, 0);
    pid[n > 0 ? n : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    return why_text(why, "%s is in use by spoold (process %s): stop it first",
                    path, pid);
}
