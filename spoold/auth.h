/* SPDX-License-Identifier: ISC */
/*
 * Private to auth*.c: threads that hash, the primary that is asked, and one
 * attempt to sign in from LOGIN to LOGIN_RESULT.
 */
#ifndef SPOOLD_AUTH_H
#define SPOOLD_AUTH_H

#include "account.h"
#include "auth_guess.h"
#include "conf.h"
#include "db_mailbox_read.h"
#include "password.h"

struct peer_message;

/* --- auth_worker.c: threads --------------------------------------------- */

#define AUTH_WORKERS 2 /* at most so many hashes at once: 64 MB each */

/* What a thread is to do, and what it found. Owned by the caller, who leaves
 * it alone until done is called (in the loop). */
struct auth_job {
    char password[PASSWORD_MAX];
    size_t password_len;
    char hashes[ACCOUNT_HASHES_MAX][PASSWORD_HASH_MAX];
    size_t n_hashes; /* 0: nobody; takes the same time */
    bool wants_hash; /* a new one, where none of them is right */
    void (*done)(void *arg);
    void *arg;

    bool right;                   /* one of the hashes is the password's */
    char made[PASSWORD_HASH_MAX]; /* the new hash, "": none */

    struct auth_job *next;
};
void auth_worker_start(void);
void auth_worker_add(struct auth_job *job);

/* --- auth_upstream.c: the primary ----------------------------------------- */

enum auth_upstream {
    AUTH_UPSTREAM_YES,
    AUTH_UPSTREAM_NO,
    AUTH_UPSTREAM_GONE, /* it cannot be asked, or does not know */
};
/* At most so many conversations at once; others wait for one. */
#define AUTH_UPSTREAM_MAX 20

typedef void auth_upstream_fn(void *arg, enum auth_upstream said,
                              const char *reason);
/* The configuration is in force; nothing is asked where none is set. */
void auth_upstream_configure(const struct conf *conf);
bool auth_upstream_is_set(void);
/* Calls back once, never from inside, within AUTH_UPSTREAM_MS. */
#define AUTH_UPSTREAM_MS 10000
void auth_upstream_ask(struct view name, struct view password,
                       auth_upstream_fn *fn, void *arg);

/* --- auth_login.c: attempts -------------------------------------------------
 */

void auth_login_start(struct db *db);
void auth_login_configure(const struct conf *conf);
void auth_on_login(struct peer_message *message);
/* Nobody waits for the answers any more. */
void auth_login_imap_lost(void);

#endif
