/* SPDX-License-Identifier: ISC */
/*
 * The table of roles and how a process becomes one. Each role file has one
 * entry of this shape; role.c enters it after the configuration is there,
 * the root directory is changed and the user dropped.
 */
#ifndef SPOOLD_ROLE_H
#define SPOOLD_ROLE_H

#include "conf.h"
#include "peer.h"

struct role_entry {
    enum role role;
    /* Where the process lives: the spool, or an empty directory in it. */
    const char *directory; /* relative to the spool, "." for itself */

    const struct peer_handler *handlers;
    size_t n_handlers;
    struct peer_hooks hooks;

    /* Before the root directory is changed and the user dropped: what needs
     * the files of the system. May be NULL. */
    void (*prepare)(void);
    /* Everything the parent sends at start has come: set up, then call
     * role_ready(). The loop runs after it returns. */
    void (*start)(const struct conf *conf);
    /* A new configuration is in force (SIGHUP); the old one is gone after
     * the return. */
    void (*reload)(const struct conf *conf);
    /* Take no new work; call role_done() when finished or when the time is
     * over. */
    void (*drain)(uint64_t limit_ms);
};

extern const struct role_entry listener_role, store_role, replay_role,
    control_role, imap_role, auth_role;

/* WATCH, which the parent understands as well. */
void role_on_watch(struct peer_message *message);

void role_ready(void); /* tells the parent */
void role_done(void);  /* leaves the loop; the process exits 0 */

/* Exit statuses the parent understands (sysexits(3)). */
#define ROLE_EXIT_CONFIG 78 /* cannot be used as it is: do not try again */
#define ROLE_EXIT_STORE  75 /* the disk failed: try again, with back-off */

/* main.c: runs the role called name; the channel to the parent is fd 3. */
int role_run(const char *name, bool debug);

#endif
