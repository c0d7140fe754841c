/* SPDX-License-Identifier: ISC */
/*
 * One client of the control socket: its request in, the steps of its command,
 * rows out with back-pressure, the end. A command never sees the connection:
 * it writes rows and says what comes next.
 *
 * Before: control.c (accepted, allowed)
 * After:  control_status.c, control_message.c, ... (the command)
 */
#include "control.h"

#include <sys/socket.h>

#include <malloc.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "io.h"
#include "log.h"
#include "mem.h"
#include "num.h"

#define CLIENT_MAGIC      0x63746c63u
#define CLIENT_REQUEST_MS 30000 /* between two pieces of the request */
#define CLIENT_GOODBYE_MS 10000 /* for the client to close after "done" */
#define COMMAND_WORDS_MAX 4

static control_fn *const commands[CTL_COUNT] = {
#define X(NAME, answers, words, arguments, min, max, shape, sentence, details) \
    [CTL_##NAME] = answers,
#define CONTROL(function) control_##function
#define TOOL(function)    NULL
#include "ctl_table.h"
#undef TOOL
#undef CONTROL
#undef X
};

static struct control_client *clients;
static size_t n_clients;

static struct control_client *
client_of(void *arg)
{
    struct control_client *client = arg;

    if (client->magic != CLIENT_MAGIC)
        bug("not a client of the control socket");
    return client;
}

/* --- output -------------------------------------------------------------- */

static void
write_json(struct control_client *client, const char *key, json_t *value)
{
    json_t *line = json_pack("{s:o}", key, value);
    char *text = json_dumps(line, JSON_COMPACT);

    if (text == NULL)
        bug("an answer that is not JSON");
    io_write(client->io, view_of(text));
    io_write(client->io, VIEW("\n"));
    free(text);
    json_decref(line);
}

void
control_row(struct control_client *client, json_t *row)
{
    write_json(client, "row", row);
}

void
control_raw(struct control_client *client, struct view bytes)
{
    io_printf(client->io, "{\"raw\":%zu}\n", bytes.len);
    io_write(client->io, bytes);
}

size_t
control_pending(const struct control_client *client)
{
    return io_pending(client->io);
}

/* --- the end ------------------------------------------------------------- */

/* A command keeps nothing once it has ended or lost its client. */
static void
client_stop(struct control_client *client)
{
    client->step = NULL;
    client->on_input = NULL;
    client->on_answer = NULL;
    peer_forget(client);
    loop_timer_cancel(client->limit);
    if (client->work != NULL)
        client->work_free(client->work);
    client->work = NULL;
}

static void
client_destroy(void *arg)
{
    struct control_client *client = client_of(arg);

    client->magic = 0;
    free(client);
    /* A long list leaves holes; between clients this role is to be small. */
    if (n_clients == 0)
        malloc_trim(0);
}

static void
client_free(struct control_client *client)
{
    if (client->phase == CONTROL_DEAD)
        return;
    client->phase = CONTROL_DEAD;
    client_stop(client);
    if (client->prev != NULL)
        client->prev->next = client->next;
    else
        clients = client->next;
    if (client->next != NULL)
        client->next->prev = client->prev;
    n_clients--;
    io_free(&client->io);
    loop_timer_free(&client->turn);
    loop_timer_free(&client->limit);
    json_decref(client->request);
    json_decref(client->done);
    buf_free(&client->line);
    /* Its own functions may be further up the stack. */
    loop_defer(client_destroy, client);
    control_client_gone();
}

void
control_note(struct control_client *client, const char *name, uint64_t value)
{
    if (client->done == NULL)
        client->done = json_object();
    json_object_set_new(client->done, name, json_integer((json_int_t)value));
}

static void
client_end(struct control_client *client, int status, const char *error)
{
    json_t *done;

    if (client->phase >= CONTROL_ENDING)
        return;
    client_stop(client);
    done = client->done != NULL ? client->done : json_object();
    client->phase = CONTROL_ENDING;
    client->done = NULL;
    json_object_set_new(done, "exit", json_integer(status));
    if (error != NULL)
        json_object_set_new(done, "error", control_json_text(view_of(error)));
    write_json(client, "done", done);
    io_shutdown(client->io);
    loop_timer_set(client->turn, 0);
}

void
control_done(struct control_client *client)
{
    client_end(client, 0, NULL);
}

#define END_WITH(status)                                                       \
    do {                                                                       \
        char text[WHY_TEXT_MAX + 64];                                          \
        va_list ap;                                                            \
        va_start(ap, format);                                                  \
        vsnprintf(text, sizeof(text), format, ap);                             \
        va_end(ap);                                                            \
        client_end(client, status, text);                                      \
    } while (0)

void
control_fail(struct control_client *client, const char *format, ...)
{
    END_WITH(1);
}

void
control_refuse(struct control_client *client, const char *format, ...)
{
    END_WITH(2);
}

/* --- steps --------------------------------------------------------------- */

/* The turn has come round and what was written before has been tried: if
 * much of it is still here, the client is slower than we are. */
static void
client_on_turn(void *arg)
{
    struct control_client *client = client_of(arg);
    control_fn *step = client->step;

    if (client->phase == CONTROL_ENDING && io_pending(client->io) == 0) {
        io_set_timeout(client->io, CLIENT_GOODBYE_MS);
        return;
    }
    if (client->phase != CONTROL_RUNNING || step == NULL)
        return;
    client->waits_for_drain = io_pending(client->io) > CONTROL_PENDING_MAX;
    if (client->waits_for_drain)
        return;
    client->step = NULL;
    step(client);
}

static void
client_on_drained(void *arg)
{
    struct control_client *client = client_of(arg);

    if (client->waits_for_drain || client->phase == CONTROL_ENDING)
        loop_timer_set(client->turn, 0);
}

void
control_continue(struct control_client *client, control_fn *step)
{
    client->step = step;
    loop_timer_set(client->turn, 0);
}

static void
client_answered(struct control_client *client, struct peer_message *answer,
                const struct why *why)
{
    control_answer_fn *on_answer = client->on_answer;

    client->on_answer = NULL;
    loop_timer_cancel(client->limit);
    if (on_answer != NULL)
        on_answer(client, answer, why);
}

static void
client_on_answer(void *arg, struct peer_message *answer)
{
    struct control_client *client = client_of(arg);
    struct why why = {0};

    if (answer == NULL)
        why_text(&why, "the %s role is not running", role_name(client->asked));
    client_answered(client, answer, &why);
}

static void
client_on_limit(void *arg)
{
    struct control_client *client = client_of(arg);
    struct why why;

    if (client->phase == CONTROL_READING) {
        client_free(client);
        return;
    }
    peer_forget(client);
    why_text(&why, "the %s role did not answer within %d seconds",
             role_name(client->asked), (int)(client->limit_ms / 1000));
    client_answered(client, NULL, &why);
}

void
control_ask(struct control_client *client, enum role role, unsigned kind,
            const void *payload, uint64_t limit_ms, control_answer_fn *fn)
{
    client->asked = role;
    client->limit_ms = limit_ms;
    client->on_answer = fn;
    loop_timer_set(client->limit, limit_ms);
    peer_call(role, kind, payload, -1, client_on_answer, client);
}

/* --- the request --------------------------------------------------------- */

size_t
control_n_arguments(const struct control_client *client)
{
    return json_array_size(json_object_get(client->request, "command")) -
           client->first - client->behind;
}

static struct view
request_word(const struct control_client *client, size_t i)
{
    const json_t *word =
        json_array_get(json_object_get(client->request, "command"), i);

    return (struct view){json_string_value(word), json_string_length(word)};
}

struct view
control_argument(const struct control_client *client, size_t i)
{
    return request_word(client, client->first + i);
}

bool
control_option(const struct control_client *client, const char *name)
{
    return json_is_true(
        json_object_get(json_object_get(client->request, "args"), name));
}

const char *
control_option_text(const struct control_client *client, enum ctl_option option)
{
    const json_t *value =
        json_object_get(json_object_get(client->request, "args"),
                        ctl_option_row(option)->name + 2);

    return json_is_true(value) ? "" : json_string_value(value);
}

#define FOR_MIN_MS 1000

int
control_until(struct control_client *client, uint64_t max_ms,
              uint64_t *until_ms, struct why *why)
{
    const char *text = control_option_text(client, CTL_OPTION_FOR);
    uint64_t for_ms;

    *until_ms = 0;
    if (text == NULL)
        return 0;
    if (num_parse_duration(view_of(text), FOR_MIN_MS, max_ms, &for_ms, why) !=
        0)
        return -1;
    *until_ms = (uint64_t)clock_wall_ms() + for_ms;
    return 0;
}

const struct proto_done *
control_was_done(struct control_client *client,
                 const struct peer_message *answer, const struct why *why)
{
    const struct proto_done *done = answer != NULL ? answer->payload : NULL;

    if (done == NULL)
        control_fail(client, "%s", why->text);
    else if (!done->done)
        control_fail(client, "%.*s", (int)done->text.len, done->text.data);
    return done != NULL && done->done ? done : NULL;
}

/* A role that was given its own root has no list of users: there, whoever is
 * not root is the daemon's own user. */
static void
operator_name(int fd, char name[CONTROL_OPERATOR_MAX])
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t len = sizeof(peer);
    bool has_users = access("/etc/passwd", R_OK) == 0;
    struct view own = control_state.conf->user;
    const struct passwd *user;

    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    user = has_users ? getpwuid(peer.uid) : NULL;
    if (peer.uid == 0)
        snprintf(name, CONTROL_OPERATOR_MAX, "root");
    else if (user != NULL)
        snprintf(name, CONTROL_OPERATOR_MAX, "%s", user->pw_name);
    else if (!has_users && peer.uid == geteuid())
        snprintf(name, CONTROL_OPERATOR_MAX, "%.*s", (int)own.len, own.data);
    else
        snprintf(name, CONTROL_OPERATOR_MAX, "uid %u", (unsigned)peer.uid);
}

const char *
control_operator(const struct control_client *client)
{
    return client->operator;
}

/* An object with an array of texts, and options that are an object. */
static bool
request_is_sound(const struct control_client *client)
{
    const json_t *words = json_object_get(client->request, "command");
    const json_t *args = json_object_get(client->request, "args");

    if (json_array_size(words) == 0 || (args != NULL && !json_is_object(args)))
        return false;
    for (size_t i = 0; i < json_array_size(words); i++)
        if (!json_is_string(json_array_get(words, i)))
            return false;
    return true;
}

static void
client_run(struct control_client *client)
{
    struct view words[COMMAND_WORDS_MAX];
    struct why why;
    size_t n = 0;

    while (n < COMMAND_WORDS_MAX &&
           n < json_array_size(json_object_get(client->request, "command"))) {
        words[n] = request_word(client, n);
        n++;
    }
    client->command = ctl_find(words, n, &client->first, &why);
    if (client->command == CTL_COUNT || commands[client->command] == NULL)
        control_refuse(client, "%s",
                       client->command == CTL_COUNT
                           ? why.text
                           : "this command is for spoolctl itself");
    else if (ctl_check(client->command, control_n_arguments(client), &why) != 0)
        control_refuse(client, "%s", why.text);
    else
        commands[client->command](client);
}

/* line is the whole request without its line end. */
static void
client_request(struct control_client *client)
{
    json_error_t error;

    client->phase = CONTROL_RUNNING;
    loop_timer_cancel(client->limit);
    client->request = json_loadb(client->line.data, client->line.len,
                                 JSON_REJECT_DUPLICATES, &error);
    buf_free(&client->line);
    if (client->request == NULL)
        control_refuse(client, "the request is not JSON: %s", error.text);
    else if (!request_is_sound(client))
        control_refuse(client, "the request is not {\"command\": [words], "
                               "\"args\": {options}}");
    else
        client_run(client);
}

static void
client_on_input(void *arg)
{
    struct control_client *client = client_of(arg);
    struct view input = io_input(client->io);
    const char *end = memchr(input.data, '\n', input.len);
    size_t len = end != NULL ? (size_t)(end - input.data) : input.len;

    if (client->phase == CONTROL_RUNNING && client->on_input != NULL) {
        client->on_input(client);
        return;
    }
    /* One request a connection; what follows it means nothing, unless the
     * command asks for it. */
    if (client->phase != CONTROL_READING) {
        io_consume(client->io, input.len);
        return;
    }
    buf_add(&client->line, input.data, len);
    loop_timer_set(client->limit, CLIENT_REQUEST_MS);
    io_consume(client->io, end != NULL ? len + 1 : len);
    if (client->line.len > CONTROL_REQUEST_MAX)
        control_refuse(client, "the request is longer than %d bytes",
                       CONTROL_REQUEST_MAX);
    else if (end != NULL)
        client_request(client);
    /* Some of what the command asked for may be here already. */
    if (client->phase == CONTROL_RUNNING && client->on_input != NULL &&
        io_input(client->io).len > 0)
        client->on_input(client);
}

/* --- what follows the request -------------------------------------------- */

void
control_receive(struct control_client *client, control_fn *on_input)
{
    client->on_input = on_input;
}

struct view
control_input(const struct control_client *client)
{
    return io_input(client->io);
}

void
control_consume(struct control_client *client, size_t n)
{
    io_consume(client->io, n);
}

void
control_pause(struct control_client *client, bool pause)
{
    if (client->phase != CONTROL_RUNNING)
        return;
    if (pause)
        io_pause(client->io);
    else
        io_resume(client->io);
}

static void
client_on_end(void *arg, enum io_end end)
{
    (void)end;
    client_free(client_of(arg));
}

void
control_client_new(int fd)
{
    static const struct io_handlers handlers = {
        .on_input = client_on_input,
        .on_drained = client_on_drained,
        .on_end = client_on_end,
    };
    struct control_client *client = mem_alloc(sizeof(*client));

    client->magic = CLIENT_MAGIC;
    operator_name(fd, client->operator);
    client->io = io_new(fd, &handlers, client);
    client->turn = loop_timer_new(client_on_turn, client);
    client->limit = loop_timer_new(client_on_limit, client);
    loop_timer_set(client->limit, CLIENT_REQUEST_MS);
    client->next = clients;
    if (clients != NULL)
        clients->prev = client;
    clients = client;
    n_clients++;
}

/* --- all of them --------------------------------------------------------- */

size_t
control_n_clients(void)
{
    return n_clients;
}

void
control_each_running(enum ctl_command command, control_each_fn *fn, void *arg)
{
    struct control_client *next;

    for (struct control_client *client = clients; client != NULL;
         client = next) {
        next = client->next;
        if (client->phase == CONTROL_RUNNING && client->command == command)
            fn(client, arg);
    }
}

void
control_clients_drain(void)
{
    struct control_client *next;

    for (struct control_client *client = clients; client != NULL;
         client = next) {
        next = client->next;
        if (client->phase == CONTROL_READING)
            control_fail(client, "the daemon is stopping");
    }
}
