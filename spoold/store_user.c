/* SPDX-License-Identifier: ISC */
/*
 * Accounts: what the operator makes of them, and what signing in leaves: a
 * hash that was learned, an access code used up. Passwords never come here,
 * only their hashes.
 *
 * Before: store_mailbox.c   After: db_mailbox.c
 */
#include "event.h"
#include "store_mailbox.h"

/* A row of the table has room in a few pages. */
#define ACCOUNT_BYTES_MAX 60000

/* --- the row ----------------------------------------------------------------
 */

static enum apply_result
put(struct store_apply *apply, struct account *account)
{
    struct account row;
    struct buf copy = {0};
    enum apply_result result = APPLY_UNDO;

    /* From a copy: its views may be of the row that is replaced. */
    record_encode(&account_record, account, &copy);
    if (copy.len > ACCOUNT_BYTES_MAX)
        why_text(&apply->why, "too many addresses for one user");
    else if (record_decode(&account_record, buf_view(&copy), &row,
                           &apply->why) == 0) {
        result = store_apply_db(apply, db_put_account(apply->txn, &row));
        record_clear(&account_record, &row);
    }
    buf_free(&copy);
    return result;
}

/* APPLY_REFUSED: there is none of that name. On APPLY_OK to be cleared. */
static enum apply_result
get(struct store_apply *apply, struct view name, struct account *account)
{
    uint64_t number;
    enum db_result got = db_get_login(apply->txn, name, &number);

    if (got == DB_OK)
        got = db_get_account(apply->txn, number, account);
    if (got == DB_NONE) {
        why_text(&apply->why, "there is no user %.*s", (int)name.len,
                 name.data);
        return APPLY_REFUSED;
    }
    return store_apply_db(apply, got);
}

static enum apply_result
create(struct store_apply *apply, struct account *account, uint64_t when_ms)
{
    enum db_result got;

    account->number = ++apply->totals.number;
    account->made_ms = when_ms;
    account->version = 1;
    account->own_bytes = account->own_count = 0;
    got = db_put_login(apply->txn, account->name, account->number);
    return got == DB_OK ? put(apply, account) : store_apply_db(apply, got);
}

static bool
is_name(struct view name)
{
    char form[ACCOUNT_NAME_MAX];
    size_t len = account_name(name, form);

    return len > 0 && view_equal(name, (struct view){form, len});
}

/* --- USER -------------------------------------------------------------------
 */

/* Own messages and what the user put into Trash go; marks of mail go with the
 * mail. */
static enum apply_result
remove_account(struct store_apply *apply, const struct account *account)
{
    struct db_place place = {.number = account->number};
    uint64_t number = account->number, id, n;
    struct message own;
    enum db_result got = db_del_login(apply->txn, account->name);
    enum apply_result result =
        store_apply_db(apply, got == DB_NONE ? DB_OK : got);

    while (result == APPLY_OK &&
           db_next_mailbox(apply->txn, &place, &id, &n) == DB_OK) {
        if (n == 0 && db_get_own(apply->txn, id, &own) == DB_OK)
            result = store_own_remove(apply, number, id);
        else
            result = store_apply_db(apply, db_del_mailbox(apply->txn, &place));
    }
    return result == APPLY_OK
               ? store_apply_db(apply, db_del_account(apply->txn, number))
               : result;
}

/* One more access code; those whose time is over make room. */
static enum apply_result
invite(struct store_apply *apply, struct account *row,
       const struct account *account, uint64_t when_ms)
{
    struct account_code codes[ACCOUNT_CODES_MAX];
    const struct record_list before = row->codes;
    const struct account_code *old = before.items;
    enum apply_result result;
    size_t n = 0;

    for (size_t i = 0; i < before.count; i++)
        if (old[i].until_ms > when_ms && n < ACCOUNT_CODES_MAX)
            codes[n++] = old[i];
    if (account->codes.count != 1 || n == ACCOUNT_CODES_MAX) {
        why_text(&apply->why, "%d access codes are open already",
                 ACCOUNT_CODES_MAX);
        return APPLY_REFUSED;
    }
    codes[n++] = *(const struct account_code *)account->codes.items;
    row->codes = (struct record_list){codes, n};
    result = put(apply, row);
    row->codes = before;
    return result;
}

/* What of account goes into row. */
static enum apply_result
change(struct store_apply *apply, uint64_t what, struct account *row,
       const struct account *account, uint64_t when_ms)
{
    if (what == USER_INVITE)
        return invite(apply, row, account, when_ms);
    row->version++;
    if (what == USER_PATTERNS) {
        row->patterns = account->patterns;
    } else {
        row->hashes = account->hashes;
        row->learned = (struct view){0};
        row->learned_ms = 0;
        row->codes.count = 0;
    }
    return put(apply, row);
}

/* Whoever is signed in as the user has to hear of it. */
static void
tell_user(struct store_apply *apply, uint64_t number)
{
    struct proto_news_item item = {
        .what = NEWS_USER, .user = number, .modseq = apply->totals.modseq};

    store_news(apply, &item);
}

static enum apply_result
change_existing(struct store_apply *apply, const struct proto_user *request,
                const struct account *account)
{
    struct account row;
    struct record_list hashes, patterns;
    enum apply_result result = get(apply, account->name, &row);

    if (result != APPLY_OK)
        return result;
    hashes = row.hashes;
    patterns = row.patterns;
    if (request->what != USER_INVITE)
        tell_user(apply, row.number);
    if (request->what == USER_REMOVE)
        result = remove_account(apply, &row);
    else
        result = change(apply, request->what, &row, account, request->when_ms);
    row.hashes = hashes; /* the lists it was read with */
    row.patterns = patterns;
    record_clear(&account_record, &row);
    return result;
}

static enum apply_result
apply_change(struct store_apply *apply, const struct proto_user *request,
             struct account *account)
{
    uint64_t number;
    enum db_result got;

    if (!is_name(account->name)) {
        why_text(&apply->why, "not a user's name");
        return APPLY_REFUSED;
    }
    if (request->what != USER_ADD && request->what != USER_IMPORT)
        return change_existing(apply, request, account);
    got = db_get_login(apply->txn, account->name, &number);
    if (got == DB_NONE)
        return create(apply, account, request->when_ms);
    if (got != DB_OK)
        return store_apply_db(apply, got);
    if (request->what == USER_IMPORT)
        return change_existing(apply, request, account);
    why_text(&apply->why, "there is a user %.*s already",
             (int)account->name.len, account->name.data);
    return APPLY_REFUSED;
}

static enum apply_result
apply_one(struct store_apply *apply, const struct proto_user *request,
          struct view encoded)
{
    struct ledger_entry entry = {.when_ms = request->when_ms,
                                 .event = EVENT_USER,
                                 .code = request->what,
                                 .by = request->by};
    struct account account;
    enum apply_result result;

    if (record_decode(&account_record, encoded, &account, &apply->why) != 0)
        return APPLY_REFUSED;
    entry.text = account.name;
    result = apply_change(apply, request, &account);
    if (result == APPLY_OK)
        result = store_apply_db(apply, db_add_ledger(apply->txn, &entry));
    record_clear(&account_record, &account);
    return result;
}

enum apply_result
store_apply_user(struct store_apply *apply, const struct proto_user *request)
{
    const struct account_text *accounts = request->accounts.items;
    size_t max = request->what == USER_IMPORT ? USER_IMPORT_MAX : 1;
    enum apply_result result = APPLY_OK;

    if (request->what < USER_ADD || request->what > USER_IMPORT ||
        request->accounts.count == 0 || request->accounts.count > max) {
        why_text(&apply->why, "no such change of users");
        return APPLY_REFUSED;
    }
    for (size_t i = 0; i < request->accounts.count && result == APPLY_OK; i++) {
        result = apply_one(apply, request, accounts[i].text);
        if (result == APPLY_REFUSED && i > 0) /* nothing half done */
            result = APPLY_UNDO;
    }
    apply->count = request->accounts.count;
    return result;
}

/* --- SIGN_IN ----------------------------------------------------------------
 */

/* The primary took the password of a user we do not know: now we do. */
static enum apply_result
learn_new(struct store_apply *apply, const struct proto_sign_in *sign_in)
{
    struct account_text pattern = {sign_in->pattern};
    struct account account = {.name = sign_in->name,
                              .patterns = {&pattern, 1},
                              .learned = sign_in->hash,
                              .learned_ms = sign_in->when_ms,
                              .upstream = 1};

    if (sign_in->pattern.len == 0)
        return APPLY_REFUSED;
    return create(apply, &account, sign_in->when_ms);
}

/* count 0: it was used already, or never given. */
static enum apply_result
use_code(struct store_apply *apply, const struct proto_sign_in *sign_in,
         struct account *row)
{
    struct account_code *codes = row->codes.items;

    apply->count = 0;
    for (size_t i = 0; i < row->codes.count; i++)
        if (view_equal(codes[i].hash, sign_in->hash) &&
            codes[i].until_ms > sign_in->when_ms) {
            codes[i] = codes[--row->codes.count];
            apply->count = 1;
            return put(apply, row);
        }
    return APPLY_OK;
}

enum apply_result
store_apply_sign_in(struct store_apply *apply,
                    const struct proto_sign_in *sign_in)
{
    struct account row;
    enum apply_result result = is_name(sign_in->name)
                                   ? get(apply, sign_in->name, &row)
                                   : APPLY_REFUSED;

    apply->count = 1;
    if (result == APPLY_REFUSED && sign_in->what == SIGN_LEARN)
        return learn_new(apply, sign_in);
    if (result != APPLY_OK)
        return result;
    if (sign_in->what == SIGN_CODE) {
        result = use_code(apply, sign_in, &row);
    } else {
        row.learned =
            sign_in->what == SIGN_LEARN ? sign_in->hash : (struct view){0};
        row.learned_ms = sign_in->what == SIGN_LEARN ? sign_in->when_ms : 0;
        result = put(apply, &row);
    }
    record_clear(&account_record, &row);
    return result;
}
