/* SPDX-License-Identifier: ISC */
/*
 * user import: a file of users and hashes. All of it is read and checked
 * before the daemon hears of it, and the daemon takes all of it or nothing;
 * whatever is wrong with a line is told with its number.
 */
#include "spoolctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "account.h"
#include "mem.h"

static struct {
    const char *file; /* its name for messages */
    char *path;
    json_t *users;  /* what to send */
    json_t *names;  /* that came already: the line of each */
    size_t skipped; /* without a password */
    size_t wrong;
    size_t added;
    size_t changed;
    bool dry_run;
} import;

/* --- the file ------------------------------------------------------------- */

static void
wrong(size_t number, const char *reason)
{
    complain("%s:%zu: %s", import.file, number, reason);
    import.wrong++;
}

static void
take_user(size_t number, const struct password_line *user)
{
    char hash[PASSWORD_HASH_MAX], name[ACCOUNT_NAME_MAX + 1] = "";
    size_t len = account_name(user->name, name);
    json_int_t before;
    struct why why;

    name[len] = '\0';
    before = json_integer_value(json_object_get(import.names, name));
    if (len == 0 || json_object_set_new(import.names, name,
                                        json_integer((json_int_t)number)) != 0)
        wrong(number, "this cannot be the name of a user");
    else if (before != 0)
        complain("%s:%zu: user %s is in line %lld already", import.file, number,
                 name, (long long)before);
    else if (password_import(user->hash, hash, &why) != 0)
        wrong(number, why.text);
    else
        json_array_append_new(import.users,
                              json_pack("{s:I, s:s, s:s}", "line",
                                        (json_int_t)number, "name", name,
                                        "hash", hash));
    import.wrong += before != 0;
}

static void
take_line(size_t number, struct view line)
{
    struct password_line user;
    struct why why;

    while (line.len > 0 &&
           (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
        line.len--;
    switch (password_line_parse(line, &user, &why)) {
    case 1:
        take_user(number, &user);
        break;
    case 0:
        import.skipped += line.len > 0 && line.data[0] != '#';
        break;
    default:
        wrong(number, why.text);
    }
}

static int
read_file(struct why *why)
{
    bool is_input = strcmp(import.path, "-") == 0;
    FILE *file = is_input ? stdin : fopen(import.path, "re");
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t n;
    int error;

    if (file == NULL)
        return why_text(why, "%s: %s", import.file, strerror(errno));
    errno = 0;
    while ((n = getline(&line, &cap, file)) >= 0)
        take_line(++number, (struct view){line, (size_t)n});
    error = ferror(file) ? errno : 0;
    if (cap > 0)
        explicit_bzero(line, cap);
    free(line);
    if (!is_input)
        fclose(file);
    return error == 0 ? 0
                      : why_text(why, "%s: %s", import.file, strerror(error));
}

static int
import_ask(const struct request *request, json_t *args, struct why *why)
{
    const struct view name = request->words[request->first];

    (void)args;
    import.path = mem_copy(name.data, name.len);
    import.file =
        strcmp(import.path, "-") == 0 ? "standard input" : import.path;
    import.dry_run = request->options[CTL_OPTION_DRY_RUN] != NULL;
    import.users = json_array();
    import.names = json_object();
    if (read_file(why) != 0)
        return -1;
    if (import.wrong > 0)
        return why_text(why, "nothing was imported: %zu %s wrong", import.wrong,
                        import.wrong == 1 ? "line is" : "lines are");
    if (json_array_size(import.users) == 0)
        return why_text(why, "%s: no line has a user with a password",
                        import.file);
    return 0;
}

/* --- the daemon ----------------------------------------------------------- */

static int
push_json(struct talk *talk, const json_t *json, struct why *why)
{
    char *text = json_dumps(json, JSON_COMPACT);
    struct buf line = {0};
    int rc;

    buf_addf(&line, "%s\n", text);
    rc = talk_push(talk, buf_view(&line), why);
    buf_free(&line);
    free(text);
    return rc;
}

static int
import_feed(struct talk *talk, struct why *why)
{
    const json_t *user;
    size_t i;
    int rc = 0;

    json_array_foreach (import.users, i, user)
        if (rc == 0)
            rc = push_json(talk, user, why);
    if (rc == 0)
        rc = talk_push_end(talk, why);
    return rc;
}

static void
import_row(const json_t *row)
{
    const char *result = member_text(row, "result");

    if (strcmp(result, "refused") == 0)
        complain("%s:%llu: %s", import.file,
                 (unsigned long long)member_num(row, "line"),
                 member_text(row, "reason"));
    import.added += strcmp(result, "added") == 0;
    import.changed += strcmp(result, "changed") == 0;
}

static void
import_end(const json_t *done, bool whole)
{
    char added[MEMBER_TEXT_MAX], changed[MEMBER_TEXT_MAX];

    (void)done;
    if (!whole)
        return;
    printf("%s %s, %s %s", member_count(import.added, "user", added),
           import.dry_run ? "would be added" : "added",
           member_count(import.changed, "password", changed),
           import.dry_run ? "would be changed" : "changed");
    if (import.skipped > 0)
        printf("; %zu %s locked or without a password", import.skipped,
               import.skipped == 1 ? "line is" : "lines are");
    printf("\n");
}

static int
import_finish(bool whole, struct why *why)
{
    (void)whole;
    (void)why;
    json_decref(import.users);
    json_decref(import.names);
    free(import.path);
    return 0;
}

const struct show show_user_import = {
    .ask = import_ask,
    .feed = import_feed,
    .row = import_row,
    .end = import_end,
    .finish = import_finish,
};
