/* SPDX-License-Identifier: ISC */
/*
 * user import: the client sends a line for each user, which is checked as it
 * comes; when all are there and none is wrong, the store takes all of them in
 * one transaction, or none. So a file with a mistake changes nothing, and one
 * that was taken can be taken again.
 *
 * Before: control_client.c   After: store_user.c (USER)
 */
#include "control.h"

#include <stdlib.h>

#include "account.h"
#include "clock.h"
#include "db_mailbox_read.h"
#include "mem.h"
#include "password.h"

#define LINE_MAX_BYTES 4096
#define ROWS_STEP      500 /* that answer at once */

struct import {
    struct buf line;
    struct buf accounts; /* encoded, one behind the other */
    size_t *ends;        /* where each ends */
    size_t n;
    size_t cap;
    json_t *rows; /* to be told when it is done */
    json_t *seen; /* names */
    size_t told;
    size_t refused;
    bool dry_run;
};

static void
import_free(void *work)
{
    struct import *import = work;

    buf_free(&import->line);
    buf_free(&import->accounts);
    free(import->ends);
    json_decref(import->rows);
    json_decref(import->seen);
    free(import);
}

/* --- a line --------------------------------------------------------------- */

static void
refuse(struct control_client *client, const json_t *json, const char *reason)
{
    struct import *import = client->work;

    import->refused++;
    control_row(
        client,
        json_pack("{s:I, s:s, s:s, s:o}", "line",
                  (json_int_t)json_integer_value(json_object_get(json, "line")),
                  "user", json_string_value(json_object_get(json, "name")),
                  "result", "refused", "reason",
                  control_json_text(view_of(reason))));
}

static void
add_account(struct import *import, const struct account *account)
{
    if (import->n == import->cap) {
        import->cap = import->cap > 0 ? import->cap * 2 : 64;
        import->ends =
            mem_grow(import->ends, import->cap, sizeof(*import->ends));
    }
    record_encode(&account_record, account, &import->accounts);
    import->ends[import->n++] = import->accounts.len;
}

/* Is there one of that name? 1, 0, -1. */
static int
is_there(struct view name, struct why *why)
{
    struct db *db = control_db(why);
    struct account known;
    struct buf memory = {0};
    int found =
        db != NULL ? db_read_account_named(db, name, &known, &memory, why) : -1;

    if (found == 1)
        record_clear(&account_record, &known);
    buf_free(&memory);
    return found;
}

/* -1: it cannot be taken. */
static int
take_user(struct control_client *client, const json_t *json, struct why *why)
{
    struct import *import = client->work;
    const char *domain = control_option_text(client, CTL_OPTION_DOMAIN);
    const char *given = json_string_value(json_object_get(json, "name"));
    char name[ACCOUNT_NAME_MAX], hash[PASSWORD_HASH_MAX];
    struct account_text pattern, kept;
    struct account account = {.patterns = {&pattern, 1}, .hashes = {&kept, 1}};
    struct buf address = {0};
    int there;

    account.name = (struct view){name, account_name(view_of(given), name)};
    if (account.name.len == 0)
        return why_text(why, "this cannot be the name of a user");
    if (import->n == USER_IMPORT_MAX ||
        import->accounts.len > USER_IMPORT_BYTES_MAX)
        return why_text(why, "more than %d users at once", USER_IMPORT_MAX);
    if (password_import(
            view_of(json_string_value(json_object_get(json, "hash"))), hash,
            why) != 0 ||
        control_user_address(account.name,
                             view_of(domain != NULL ? domain : ""), &address,
                             why) != 0 ||
        (there = is_there(account.name, why)) < 0) {
        buf_free(&address);
        return -1;
    }
    pattern.text = buf_view(&address);
    kept.text = view_of(hash);
    add_account(import, &account);
    json_array_append_new(
        import->rows,
        json_pack("{s:O, s:s, s:s, s:o}", "line", json_object_get(json, "line"),
                  "user", given, "result", there ? "changed" : "added",
                  "address",
                  there ? json_null() : control_json_text(pattern.text)));
    buf_free(&address);
    return 0;
}

/* --- the end -------------------------------------------------------------- */

static void
tell_one(struct control_client *client, json_t *row)
{
    const struct import *import = client->work;

    if (!import->dry_run)
        control_user_log(client, "import",
                         json_string_value(json_object_get(row, "user")));
    control_row(client, json_incref(row));
}

static void
tell_step(struct control_client *client)
{
    struct import *import = client->work;

    for (int i = 0;
         i < ROWS_STEP && import->told < json_array_size(import->rows); i++)
        tell_one(client, json_array_get(import->rows, import->told++));
    if (import->told < json_array_size(import->rows))
        control_continue(client, tell_step);
    else
        control_done(client);
}

static void
on_imported(struct control_client *client, struct peer_message *answer,
            const struct why *why)
{
    const struct proto_done *done = answer != NULL ? answer->payload : NULL;

    if (done == NULL)
        control_fail(client, "%s", why->text);
    else if (!done->done)
        control_fail(client, "nothing was imported: %.*s", (int)done->text.len,
                     done->text.data);
    else
        tell_step(client);
}

static void
import_all(struct control_client *client)
{
    struct import *import = client->work;
    struct account_text *items = mem_alloc((import->n + 1) * sizeof(*items));
    struct proto_user request = {.what = USER_IMPORT,
                                 .when_ms = (uint64_t)clock_wall_ms(),
                                 .by = view_of(control_operator(client)),
                                 .accounts = {items, import->n}};

    for (size_t i = 0, at = 0; i < import->n; at = import->ends[i++])
        items[i].text =
            (struct view){import->accounts.data + at, import->ends[i] - at};
    control_ask(client, ROLE_STORE, PROTO_USER, &request, CONTROL_COMMIT_MS,
                on_imported);
    free(items);
}

static void
import_end(struct control_client *client)
{
    struct import *import = client->work;

    if (import->refused > 0)
        control_fail(client, "nothing was imported: %zu %s wrong",
                     import->refused,
                     import->refused == 1 ? "line is" : "lines are");
    else if (import->n == 0)
        control_fail(client, "there is nobody to import");
    else if (import->dry_run)
        tell_step(client);
    else
        import_all(client);
}

/* --- the stream ----------------------------------------------------------- */

/* False: the command has ended, or the store is asked. */
static bool
take_line(struct control_client *client, struct view line)
{
    struct import *import = client->work;
    json_t *json = json_loadb(line.data, line.len, 0, NULL);
    const char *name = json_string_value(json_object_get(json, "name"));
    struct why why;
    bool more = true;

    if (json_is_true(json_object_get(json, "end"))) {
        client->on_input = NULL;
        import_end(client);
        more = false;
    } else if (name == NULL || !json_is_string(json_object_get(json, "hash")) ||
               !json_is_integer(json_object_get(json, "line"))) {
        control_refuse(client, "what follows the request is not {\"line\": N, "
                               "\"name\": ..., \"hash\": ...}");
        more = false;
    } else if (json_object_get(import->seen, name) != NULL) {
        refuse(client, json, "this user is in the file twice");
    } else {
        json_object_set_new(import->seen, name, json_true());
        if (take_user(client, json, &why) != 0)
            refuse(client, json, why.text);
    }
    json_decref(json);
    return more;
}

static void
import_take(struct control_client *client)
{
    struct import *import = client->work;
    struct view input;
    const char *end;

    while ((input = control_input(client)).len > 0) {
        end = memchr(input.data, '\n', input.len);
        if (end == NULL && input.len > LINE_MAX_BYTES) {
            control_refuse(client, "a line of more than %d bytes",
                           LINE_MAX_BYTES);
            return;
        }
        if (end == NULL)
            return;
        buf_reset(&import->line);
        buf_add(&import->line, input.data, (size_t)(end - input.data));
        control_consume(client, import->line.len + 1);
        if (!take_line(client, buf_view(&import->line)))
            return;
    }
}

void
control_user_import(struct control_client *client)
{
    struct import *import = mem_alloc(sizeof(*import));

    import->dry_run = control_option_text(client, CTL_OPTION_DRY_RUN) != NULL;
    import->rows = json_array();
    import->seen = json_object();
    client->work = import;
    client->work_free = import_free;
    control_receive(client, import_take);
}
