/* SPDX-License-Identifier: ISC */
/*
 * Private to parent*.c. The parent is the only process that may be root: it
 * opens what the roles need and hands it over, starts them, and reads no
 * byte of a stranger.
 */
#ifndef SPOOLD_PARENT_H
#define SPOOLD_PARENT_H

#include <sys/types.h>

#include <stdbool.h>

#include "conf.h"
#include "key_file.h"
#include "proto.h"

/* --- parent_spool.c: the directory, its lock, its owner ------------------ */

struct parent_owner { /* who the roles will be */
    bool drops;       /* started as root */
    uid_t uid;
    gid_t gid;
};

/* Who conf->user is; when not started as root, who we are. */
int parent_owner_of(const struct conf *conf, struct parent_owner *owner,
                    struct why *why);
/* Makes the spool ready: created or checked, owned, locked. Returns the
 * descriptor that holds the lock; -1 and a reason. */
int parent_spool_open(const struct conf *conf, const struct parent_owner *owner,
                      struct why *why);

/* --- parent_socket.c: what is listened on, and connected to
 * ----------------------- */

struct parent_socket {
    struct view service;
    char address[128];
    int fd;
    bool kept; /* still in the configuration (during a reload) */
};
struct parent_sockets {
    struct parent_socket *items;
    size_t count;
};

/* Binds what conf names and is not bound yet, closes what it no longer
 * names. -1: an address could not be bound; the earlier ones are kept. */
int parent_sockets_bind(struct parent_sockets *sockets, const struct conf *conf,
                        struct why *why);
/* The control socket; any old one is replaced. */
int parent_control_bind(const struct conf *conf,
                        const struct parent_owner *owner, struct why *why);

/* Connects to a unix socket that a target names as a host; nothing else is
 * reached this way. Returns the descriptor, or -1 and a reason. */
int parent_socket_connect(const struct conf *conf, struct view path,
                          struct why *why);

/* --- parent_roles.c: the processes --------------------------------------- */

/* What all roles are given; lives as long as the parent. */
struct parent_gifts {
    struct conf *conf;
    struct parent_sockets sockets;
    int control_fd;
    int stats_fd;
    int lock_fd;
    struct parent_lists *lists; /* the recipient files */
    struct parent_files *files; /* what replay looks up and vouches with */
    char *certificate;          /* PEM, NULL: no TLS */
    size_t certificate_len;
    char *key;
    size_t key_len;
    struct parent_keys *keys;
    bool debug;
};

void parent_roles_init(struct parent_gifts *gifts);
void
parent_roles_start(void); /* the store first, the others when it is ready */
void parent_roles_reload(void); /* sends the new gifts */
/* Stops them in order and leaves the loop; again: at once. */
void parent_roles_stop(void);
/* 0: stopped in order, 1: a role could not start or did not stop. */
int parent_roles_status(void);

/* --- parent_key.c: the spool's secrets ------------------------------------ */

struct parent_keys;
/* Finds and reads the key file, or makes one; in place of what was read
 * before, which stays on -1. The spool is there already. */
int parent_keys_load(struct parent_keys **keys, const struct conf *conf,
                     struct why *why);
void parent_keys_free(struct parent_keys **keys);
/* Sends PAIRS, if it is for that role. */
void parent_keys_give(const struct parent_keys *keys, enum role to,
                      const struct conf *conf);
/* A new pair, on disk before it is in force; its id goes to pair. */
int parent_keys_rotate(struct parent_keys *keys, char pair[KEY_PAIR_TEXT_MAX],
                       struct why *why);
/* 0: the former pair is gone from the file and from here. */
int parent_keys_drop(struct parent_keys *keys, struct view pair_id);
void parent_keys_sign(const struct parent_keys *keys, struct view bytes,
                      char public[KEY_SIGN_PUBLIC],
                      char signature[KEY_SIGNATURE]);

/* --- parent_list.c: the open recipient files ----------------------------- */

struct parent_lists;
/* Opens and checks the file of each domain that has one. A file that is bad
 * keeps the one opened before; without one it is an error. */
int parent_lists_load(struct parent_lists **lists, const struct conf *conf,
                      struct why *why);
/* The open file of a domain, for handing over (dup it); -1: none. */
int parent_list_fd(const struct parent_lists *lists, struct view domain);
void parent_lists_free(struct parent_lists **lists);

/* --- parent_file.c: files of the system for replay, auth
 * ------------------------ */

struct parent_files;
/* Opens those the configuration asks for, in place of those opened before,
 * which stay on -1. What need not be there is left out. */
int parent_files_load(struct parent_files **files, const struct conf *conf,
                      struct why *why);
void parent_files_give(const struct parent_files *files, enum role to);
void parent_files_free(struct parent_files **files);

/* --- parent.c ------------------------------------------------------------ */

/* Runs the daemon; returns the exit status. Takes conf. */
int parent_run(struct conf *conf, const char *path, bool debug);

#endif
