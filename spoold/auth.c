/* SPDX-License-Identifier: ISC */
/*
 * The auth role: is this the user's password? It reads the store and has no
 * key of the spool; what signing in leaves (a hash that was learned, a code
 * used up) goes to the store as a request.
 *
 * Before: imap (LOGIN)   After: auth_login.c
 */
#include "auth.h"

#include "db_copy.h"
#include "log.h"
#include "peer.h"
#include "role.h"
#include "system_file.h"

static struct db *store;

/* The store is in another file now. */
static void
auth_on_reopen(struct peer_message *message)
{
    struct why why;

    (void)message;
    if (store != NULL && db_is_replaced(store) && db_reopen(store, &why) != 0)
        fatal("%s", why.text);
}

static void
auth_on_lost(enum role role)
{
    if (role == ROLE_IMAP)
        auth_login_imap_lost();
}

static void
take_all(const struct conf *conf)
{
    system_file_adopt();
    auth_login_configure(conf);
    auth_upstream_configure(conf);
}

static void
auth_start(const struct conf *conf)
{
    struct why why;

    store = db_open_reader(".", &why);
    if (store == NULL)
        fatal("%s", why.text);
    auth_worker_start();
    auth_login_start(store);
    take_all(conf);
    role_ready();
}

/* Nothing is under way that must not be cut off: clients try again. */
static void
auth_drain(uint64_t limit_ms)
{
    (void)limit_ms;
    role_done();
}

static const struct peer_handler handlers[] = {
    {PROTO_LOGIN, auth_on_login},
    {PROTO_REOPEN, auth_on_reopen},
    {PROTO_SYSTEM_FILE, system_file_on_file},
};

const struct role_entry auth_role = {
    .role = ROLE_AUTH,
    .directory = ".",
    .handlers = handlers,
    .n_handlers = sizeof(handlers) / sizeof(handlers[0]),
    .hooks = {.on_lost = auth_on_lost},
    .start = auth_start,
    .reload = take_all,
    .drain = auth_drain,
};
