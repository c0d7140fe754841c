/* SPDX-License-Identifier: ISC */
/*
 * The auth role: is this the user's password? It reads the store and has no
 * key of the spool.
 *
 * Before: imap (LOGIN)   After: imap (LOGIN_RESULT)
 */
#include "conf.h"
#include "db_copy.h"
#include "db_read.h"
#include "log.h"
#include "peer.h"
#include "role.h"

static struct {
    struct db *db;
} auth;

static void
auth_on_login(struct peer_message *message)
{
    struct proto_login_result result = {.result = LOGIN_BUSY,
                                        .text = VIEW("nobody can sign in yet")};

    peer_reply(message, PROTO_LOGIN_RESULT, &result);
}

/* The store is in another file now. */
static void
auth_on_reopen(struct peer_message *message)
{
    struct why why;

    (void)message;
    if (auth.db != NULL && db_is_replaced(auth.db) &&
        db_reopen(auth.db, &why) != 0)
        fatal("%s", why.text);
}

static void
auth_start(const struct conf *conf)
{
    struct why why;

    (void)conf;
    auth.db = db_open_reader(".", &why);
    if (auth.db == NULL)
        fatal("%s", why.text);
    role_ready();
}

static void
auth_reload(const struct conf *conf)
{
    (void)conf;
}

static void
auth_drain(uint64_t limit_ms)
{
    (void)limit_ms;
    role_done();
}

static const struct peer_handler handlers[] = {
    {PROTO_LOGIN, auth_on_login},
    {PROTO_REOPEN, auth_on_reopen},
};

const struct role_entry auth_role = {
    .role = ROLE_AUTH,
    .directory = ".",
    .handlers = handlers,
    .n_handlers = sizeof(handlers) / sizeof(handlers[0]),
    .start = auth_start,
    .reload = auth_reload,
    .drain = auth_drain,
};
