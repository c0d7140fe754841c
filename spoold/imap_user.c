/* SPDX-License-Identifier: ISC */
/*
 * Who is signed in. What a user may read is what his account said when he
 * signed in; the moment it says something else, or is gone, all his sessions
 * end, so that nobody reads on with a password that was taken from him. A
 * change that comes between the password's check and the session's start is
 * seen because the account is looked at once more then.
 *
 * Before: imap_login.c, store_batch.c (NEWS)   After: imap_session.c
 */
#include <stdlib.h>

#include "db_mailbox_read.h"
#include "imap.h"
#include "log.h"
#include "mem.h"

/* --- one user ------------------------------------------------------------- */

static struct imap_user *
user_new(const struct proto_login_result *who)
{
    struct imap_user *user = mem_alloc(sizeof(*user));
    const struct account_text *from = who->patterns.items;
    struct account_text *patterns =
        mem_alloc((who->patterns.count + 1) * sizeof(*patterns));
    size_t at = 0;

    for (size_t i = 0; i < who->patterns.count; i++)
        buf_add_view(&user->memory, from[i].text);
    for (size_t i = 0; i < who->patterns.count; i++) {
        patterns[i].text =
            (struct view){user->memory.data + at, from[i].text.len};
        at += from[i].text.len;
    }
    user->number = who->user;
    user->version = who->version;
    user->name = mem_copy(who->name.data, who->name.len);
    user->patterns = (struct record_list){patterns, who->patterns.count};
    return user;
}

static void
user_free(struct imap_user *user)
{
    free(user->name);
    free(user->patterns.items);
    buf_free(&user->memory);
    free(user);
}

/* Is the account the one of this number and version? */
static bool
is_current(uint64_t number, uint64_t version)
{
    struct account account;
    struct buf memory = {0};
    struct why why;
    int found = imap.db != NULL
                    ? db_read_account(imap.db, number, &account, &memory, &why)
                    : 0;
    bool same = found == 1 && account.version == version;

    if (found < 0)
        log_warn("%s", why.text);
    if (found == 1)
        record_clear(&account_record, &account);
    buf_free(&memory);
    return same;
}

/* --- in and out ----------------------------------------------------------- */

struct imap_user *
imap_user_enter(const struct proto_login_result *who, const char **refusal)
{
    struct imap_user *user;

    *refusal = "[UNAVAILABLE] Your account was changed just now, try again";
    if (!is_current(who->user, who->version))
        return NULL;
    imap_user_changed(who->user);
    HASH_FIND(hh, imap.users, &who->user, sizeof(who->user), user);
    if (user == NULL) {
        user = user_new(who);
        HASH_ADD(hh, imap.users, number, sizeof(user->number), user);
    }
    *refusal = "[LIMIT] You have too many connections open";
    if (user->sessions >= imap.conf->imap_connections_per_user)
        return NULL;
    user->sessions++;
    return user;
}

void
imap_user_leave(struct imap_user **user)
{
    if (*user != NULL && --(*user)->sessions == 0) {
        HASH_DEL(imap.users, *user);
        user_free(*user);
    }
    *user = NULL;
}

bool
imap_user_is_here(struct view name, const char *address)
{
    const struct imap_session *session;
    char form[ACCOUNT_NAME_MAX];
    size_t len = account_name(name, form);

    LIST_FOREACH (session, &imap.sessions, link)
        if (session->user != NULL &&
            view_equal(view_of(session->user->name),
                       (struct view){form, len}) &&
            strcmp(session->address, address) == 0)
            return true;
    return false;
}

/* --- changes -------------------------------------------------------------- */

static void
send_away(const struct imap_user *user)
{
    uint64_t number = user->number;
    struct imap_session *session, *next;

    /* With his last session the user goes as well. */
    for (session = LIST_FIRST(&imap.sessions); session != NULL;
         session = next) {
        next = LIST_NEXT(session, link);
        if (session->user != NULL && session->user->number == number)
            imap_session_bye(session,
                             "your account was changed: sign in again");
    }
}

void
imap_user_changed(uint64_t number)
{
    struct imap_user *user;

    HASH_FIND(hh, imap.users, &number, sizeof(number), user);
    if (user != NULL && !is_current(number, user->version))
        send_away(user);
}

void
imap_users_check(void)
{
    struct imap_user *user, *next;

    HASH_ITER (hh, imap.users, user, next)
        if (!is_current(user->number, user->version))
            send_away(user);
}
