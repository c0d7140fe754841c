/* SPDX-License-Identifier: ISC */
/*
 * user add, passwd, addresses, invite, list, remove. What can be wrong with a
 * name or an address is found here; the store changes the account, and
 * answers when that is durable. Passwords come as hashes, and an access code
 * is made here, told once, and kept as a hash.
 *
 * Before: control_client.c   After: store_user.c (USER)
 */
#include "control.h"

#include <stdlib.h>

#include "account.h"
#include "clock.h"
#include "db_mailbox_read.h"
#include "event.h"
#include "glob.h"
#include "mem.h"
#include "num.h"
#include "password.h"

#define CODE_MS     (UINT64_C(24) * 3600 * 1000)
#define CODE_MIN_MS 1000
#define CODE_MAX_MS (UINT64_C(30) * 24 * 3600 * 1000)
#define LIST_STEP   200 /* accounts */

void
control_user_log(const struct control_client *client, const char *what,
                 const char *user)
{
    struct event event;

    event_begin(&event, EVENT_USER);
    event_text(&event, "what", what);
    event_text(&event, "user", user);
    event_text(&event, "by", control_operator(client));
    event_end(&event);
}

/* --- a change ------------------------------------------------------------- */

/* The row that answers waits in client->work. */
static void
row_free(void *work)
{
    json_decref(work);
}

static void
on_changed(struct control_client *client, struct peer_message *answer,
           const struct why *why)
{
    if (control_was_done(client, answer, why) == NULL)
        return;
    control_user_log(client, ctl_row(client->command)->words + 5,
                     json_string_value(json_object_get(client->work, "user")));
    control_row(client, client->work);
    client->work = NULL;
    control_done(client);
}

/* Asks the store; row is given away. */
static void
change(struct control_client *client, enum user_change_what what,
       const struct account *account, json_t *row)
{
    struct buf encoded = {0};
    struct account_text one;
    struct proto_user request = {.what = what,
                                 .when_ms = (uint64_t)clock_wall_ms(),
                                 .by = view_of(control_operator(client))};

    client->work = row;
    client->work_free = row_free;
    record_encode(&account_record, account, &encoded);
    one.text = buf_view(&encoded);
    request.accounts = (struct record_list){&one, 1};
    control_ask(client, ROLE_STORE, PROTO_USER, &request, CONTROL_COMMIT_MS,
                on_changed);
    buf_free(&encoded);
}

/* The first argument; -1: the client was told. */
static int
read_name(struct control_client *client, char form[ACCOUNT_NAME_MAX],
          struct account *account)
{
    struct view name = control_argument(client, 0);

    account->name = (struct view){form, account_name(name, form)};
    if (account->name.len > 0)
        return 0;
    control_refuse(client,
                   "\"%.*s\" cannot be the name of a user: up to %d characters "
                   "without blanks",
                   (int)(name.len < 80 ? name.len : 80), name.data,
                   ACCOUNT_NAME_MAX);
    return -1;
}

/* --- addresses ------------------------------------------------------------ */

int
control_user_address(struct view name, struct view domain, struct buf *text,
                     struct why *why)
{
    const struct conf_domain *domains = control_state.conf->domains.items;
    char form[MAILBOX_ADDRESS_MAX];
    struct buf address = {0};
    size_t len;

    buf_add_view(&address, name);
    if (memchr(name.data, '@', name.len) == NULL) {
        if (domain.len == 0 && control_state.conf->domains.count == 1)
            domain = domains[0].name;
        buf_add_byte(&address, '@');
        buf_add_view(&address, domain);
    }
    if (address.data[address.len - 1] == '@') {
        buf_free(&address);
        return why_text(why,
                        "%.*s is not an address, and there are several "
                        "domains: whose mail does he read?",
                        (int)(name.len < 80 ? name.len : 80), name.data);
    }
    len = account_pattern(buf_view(&address), form, why);
    if (len > 0 && account_pattern_is_wild((struct view){form, len})) {
        why_text(why, "a name with \"*\": say whose mail he reads");
        len = 0;
    }
    if (len > 0)
        buf_add(text, form, len);
    buf_free(&address);
    return len > 0 ? 0 : -1;
}

/* Patterns under construction: their ends in text. */
struct patterns {
    struct buf text;
    size_t *ends;
    struct account_text *items;
    size_t n;
};

static void
patterns_free(struct patterns *patterns)
{
    buf_free(&patterns->text);
    free(patterns->ends);
    free(patterns->items);
}

/* The arguments behind the name; none: what the name stands for. -1: the
 * client was told. */
static int
read_patterns(struct control_client *client, struct patterns *patterns,
              struct account *account)
{
    size_t n = control_n_arguments(client) - 1;
    char form[MAILBOX_ADDRESS_MAX];
    struct view nothing = {"", 0};
    struct why why;
    int rc = 0;

    *patterns = (struct patterns){
        .ends = mem_alloc((n + 1) * sizeof(*patterns->ends)),
        .items = mem_alloc((n + 1) * sizeof(*patterns->items))};
    if (n == 0)
        rc =
            control_user_address(account->name, nothing, &patterns->text, &why);
    for (size_t i = 0; rc == 0 && i < (n > 0 ? n : 1); i++) {
        size_t len =
            n > 0 ? account_pattern(control_argument(client, i + 1), form, &why)
                  : 0;

        rc = n > 0 && len == 0 ? -1 : 0;
        buf_add(&patterns->text, form, len);
        patterns->ends[patterns->n++] = patterns->text.len;
    }
    if (rc != 0) {
        control_refuse(client, "%s", why.text);
        patterns_free(patterns);
        return -1;
    }
    for (size_t i = 0, at = 0; i < patterns->n; at = patterns->ends[i++])
        patterns->items[i].text =
            (struct view){patterns->text.data + at, patterns->ends[i] - at};
    account->patterns = (struct record_list){patterns->items, patterns->n};
    return 0;
}

static json_t *
json_patterns(const struct record_list *patterns)
{
    const struct account_text *items = patterns->items;
    json_t *json = json_array();

    for (size_t i = 0; i < patterns->count; i++)
        json_array_append_new(json, control_json_text(items[i].text));
    return json;
}

/* Those for whose domain no mail is taken. */
static json_t *
json_not_served(const struct record_list *patterns)
{
    const struct account_text *items = patterns->items;
    json_t *json = json_array();

    for (size_t i = 0; i < patterns->count; i++) {
        struct view text = items[i].text;
        const char *at = memrchr(text.data, '@', text.len);

        if (conf_domain_by_name(
                control_state.conf,
                view_skip(text, (size_t)(at - text.data) + 1)) == NULL)
            json_array_append_new(json, control_json_text(text));
    }
    return json;
}

static json_t *
json_account(const struct account *account)
{
    return json_pack("{s:o, s:o, s:o, s:b}", "user",
                     control_json_text(account->name), "addresses",
                     json_patterns(&account->patterns), "not_served",
                     json_not_served(&account->patterns), "password",
                     (int)(account->hashes.count > 0));
}

/* --- commands ------------------------------------------------------------- */

/* "hash" among the options, in the form that is kept. 1; 0: there is none;
 * -1: the client was told. */
static int
read_hash(struct control_client *client, char hash[PASSWORD_HASH_MAX],
          struct account_text *text, struct account *account)
{
    const json_t *given =
        json_object_get(json_object_get(client->request, "args"), "hash");
    struct why why;

    if (!json_is_string(given))
        return 0;
    if (password_import(view_of(json_string_value(given)), hash, &why) != 0) {
        control_refuse(client, "%s", why.text);
        return -1;
    }
    text->text = view_of(hash);
    account->hashes = (struct record_list){text, 1};
    return 1;
}

void
control_user_add(struct control_client *client)
{
    char name[ACCOUNT_NAME_MAX], hash[PASSWORD_HASH_MAX];
    struct account account = {0};
    struct account_text text;
    struct patterns patterns;

    if (read_name(client, name, &account) != 0 ||
        read_hash(client, hash, &text, &account) < 0 ||
        read_patterns(client, &patterns, &account) != 0)
        return;
    change(client, USER_ADD, &account, json_account(&account));
    patterns_free(&patterns);
}

void
control_user_passwd(struct control_client *client)
{
    char name[ACCOUNT_NAME_MAX], hash[PASSWORD_HASH_MAX];
    struct account account = {0};
    struct account_text text;
    int given;

    if (read_name(client, name, &account) != 0 ||
        (given = read_hash(client, hash, &text, &account)) < 0)
        return;
    if (given == 0)
        control_refuse(client, "the hash of the password is missing");
    else
        change(client, USER_PASSWORD, &account,
               json_pack("{s:o}", "user", control_json_text(account.name)));
}

void
control_user_addresses(struct control_client *client)
{
    char name[ACCOUNT_NAME_MAX];
    struct account account = {0};
    struct patterns patterns;
    json_t *row;

    if (read_name(client, name, &account) != 0 ||
        read_patterns(client, &patterns, &account) != 0)
        return;
    row = json_account(&account);
    json_object_del(row, "password");
    change(client, USER_PATTERNS, &account, row);
    patterns_free(&patterns);
}

void
control_user_remove(struct control_client *client)
{
    char name[ACCOUNT_NAME_MAX];
    struct account account = {0};

    if (read_name(client, name, &account) == 0)
        change(client, USER_REMOVE, &account,
               json_pack("{s:o}", "user", control_json_text(account.name)));
}

void
control_user_invite(struct control_client *client)
{
    const char *text = control_option_text(client, CTL_OPTION_FOR);
    char name[ACCOUNT_NAME_MAX], code[PASSWORD_CODE_TEXT];
    char hash[PASSWORD_CODE_HASH];
    struct account account = {0};
    struct account_code one = {{hash, sizeof(hash)}, 0};
    uint64_t for_ms = CODE_MS;
    struct why why;

    if (read_name(client, name, &account) != 0)
        return;
    if (text != NULL && num_parse_duration(view_of(text), CODE_MIN_MS,
                                           CODE_MAX_MS, &for_ms, &why) != 0) {
        control_refuse(client, "--for: %s", why.text);
        return;
    }
    one.until_ms = (uint64_t)clock_wall_ms() + for_ms;
    password_code_make(code);
    password_code_hash(view_of(code), hash);
    account.codes = (struct record_list){&one, 1};
    change(client, USER_INVITE, &account,
           json_pack("{s:o, s:s, s:o}", "user", control_json_text(account.name),
                     "code", code, "until", control_json_time(one.until_ms)));
    password_wipe(code, sizeof(code));
}

/* --- user list ------------------------------------------------------------ */

struct listing {
    char after[ACCOUNT_NAME_MAX];
    size_t after_len;
};

static json_t *
json_codes(const struct account *account, uint64_t now_ms)
{
    const struct account_code *codes = account->codes.items;
    json_t *json = json_array();

    for (size_t i = 0; i < account->codes.count; i++)
        if (codes[i].until_ms > now_ms)
            json_array_append_new(json, control_json_time(codes[i].until_ms));
    return json;
}

static json_t *
json_hashes(const struct account *account)
{
    const struct account_text *hashes = account->hashes.items;
    json_t *json = json_array();

    for (size_t i = 0; i < account->hashes.count; i++)
        json_array_append_new(json, json_string(password_kind(hashes[i].text)));
    return json;
}

static void
list_one(struct control_client *client, const struct account *account)
{
    uint64_t learned_ms = account->learned.len > 0 ? account->learned_ms : 0;
    uint64_t good_ms = control_state.conf->auth_learned_for_ms;
    json_t *row = json_account(account);

    json_object_del(row, "password");
    json_object_set_new(row, "hashes", json_hashes(account));
    json_object_set_new(row, "codes",
                        json_codes(account, (uint64_t)clock_wall_ms()));
    json_object_set_new(row, "learned", control_json_time(learned_ms));
    json_object_set_new(
        row, "learned_until",
        control_json_time(learned_ms > 0 ? learned_ms + good_ms : 0));
    json_object_set_new(row, "made", control_json_time(account->made_ms));
    json_object_set_new(row, "by_primary", json_boolean(account->upstream));
    json_object_set_new(row, "own_messages",
                        json_integer((json_int_t)account->own_count));
    json_object_set_new(row, "own_bytes",
                        json_integer((json_int_t)account->own_bytes));
    control_row(client, row);
}

static bool
is_wanted(const struct control_client *client, struct view name)
{
    return control_n_arguments(client) == 0 ||
           glob_matches(control_argument(client, 0), name);
}

static void
list_step(struct control_client *client)
{
    struct listing *listing = client->work;
    struct account account;
    struct buf memory = {0};
    struct why why;
    struct db *db = control_db(&why);
    int found = db != NULL ? 1 : -1;

    for (int i = 0; found == 1 && i < LIST_STEP; i++) {
        buf_reset(&memory);
        found = db_read_account_after(
            db, (struct view){listing->after, listing->after_len}, &account,
            &memory, &why);
        if (found != 1)
            break;
        if (is_wanted(client, account.name))
            list_one(client, &account);
        listing->after_len = account.name.len;
        memcpy(listing->after, account.name.data, account.name.len);
        record_clear(&account_record, &account);
    }
    buf_free(&memory);
    if (found < 0)
        control_fail(client, "%s", why.text);
    else if (found == 0)
        control_done(client);
    else
        control_continue(client, list_step);
}

void
control_user_list(struct control_client *client)
{
    client->work = mem_alloc(sizeof(struct listing));
    client->work_free = free;
    list_step(client);
}
