/* SPDX-License-Identifier: ISC */
/*
 * The client's side of the protocol in spoold/control.h: one request, then
 * rows, bytes and the end, read as they come. Memory is that of the longest
 * single piece. What follows a request is pushed while answers are read: the
 * daemon stops reading while its answers wait.
 */
#include "spoolctl.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "mem.h"

#define READ_BYTES (64 * 1024)
#define PUSH_BYTES (64 * 1024)

struct talk {
    int fd;
    struct buf in;
    size_t taken; /* of in */
    size_t raw;   /* bytes of content still to come */
    json_t *line; /* of the last answer */

    struct buf out; /* pushed, not sent */
    talk_answer_fn *on_answer;
    void *arg;
    bool ended; /* the end came while something was pushed: */
    struct answer end;
};

static int
unreachable(const char *path, int error, struct why *why)
{
    const char *hint = "";

    if (error == ENOENT)
        hint = ": spoold is not running, or uses another socket (-s, -c)";
    else if (error == ECONNREFUSED)
        hint = ": spoold is not running";
    else if (error == EACCES)
        hint = ": use root or the daemon's user";
    return why_text(why, "%s: %s%s", path, strerror(error), hint);
}

struct talk *
talk_open(const char *path, struct why *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct talk *talk;
    int fd;

    if (strlen(path) >= sizeof(address.sun_path)) {
        unreachable(path, ENAMETOOLONG, why);
        return NULL;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        unreachable(path, errno, why);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    talk = mem_alloc(sizeof(*talk));
    talk->fd = fd;
    return talk;
}

/* Arguments are bytes; the request is UTF-8. */
static json_t *
json_words(const struct request *request)
{
    json_t *words = json_array();

    for (size_t i = 0; i < request->n_words; i++) {
        json_t *word =
            json_stringn(request->words[i].data, request->words[i].len);

        if (word == NULL) {
            json_decref(words);
            return NULL;
        }
        json_array_append_new(words, word);
    }
    return words;
}

/* Options by their names without the dashes; flags are true. */
static json_t *
json_options(const struct request *request)
{
    json_t *args = json_pack("{s:b}", "follow", (int)request->follow);

    for (int o = 0; o < CTL_OPTION_COUNT; o++) {
        const struct ctl_option_row *row = ctl_option_row((enum ctl_option)o);
        const char *value = request->options[o];

        if (value != NULL)
            json_object_set_new(args, row->name + 2,
                                row->takes_value ? json_string(value)
                                                 : json_true());
    }
    return args;
}

int
talk_send(struct talk *talk, const struct request *request, json_t *extra,
          struct why *why)
{
    json_t *words = json_words(request), *args = json_options(request);
    json_t *json;
    char *text;
    struct view rest;

    if (words == NULL) {
        json_decref(args);
        return why_text(why, "an argument is not UTF-8");
    }
    json_object_update(args, extra);
    json = json_pack("{s:o, s:o}", "command", words, "args", args);
    text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    rest = view_of(text);
    text[rest.len] = '\n'; /* in place of the end of the string */
    rest.len++;
    while (rest.len > 0) {
        ssize_t n = send(talk->fd, rest.data, rest.len, MSG_NOSIGNAL);

        /* Whoever is turned away finds the reason in what is received. */
        if (n < 0 && errno != EINTR)
            break;
        rest = view_skip(rest, n > 0 ? (size_t)n : 0);
    }
    free(text);
    return 0;
}

/* More input behind what is there; -1: the daemon is gone. */
static int
talk_fill(struct talk *talk, struct why *why)
{
    ssize_t n;

    if (talk->taken > 0) {
        buf_consume(&talk->in, talk->taken);
        talk->taken = 0;
    }
    buf_reserve(&talk->in, READ_BYTES);
    do
        n = recv(talk->fd, talk->in.data + talk->in.len, READ_BYTES, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return why_text(why, "the daemon ended before its answer did%s%s",
                        n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
    talk->in.len += (size_t)n;
    return 0;
}

static struct view
talk_rest(const struct talk *talk)
{
    return view_skip(buf_view(&talk->in), talk->taken);
}

/* The next line without its end. */
static int
talk_line(struct talk *talk, struct view *line, struct why *why)
{
    size_t looked = 0;

    for (;;) {
        struct view rest = talk_rest(talk);
        const char *end = rest.len > looked ? memchr(rest.data + looked, '\n',
                                                     rest.len - looked)
                                            : NULL;

        if (end != NULL) {
            *line = (struct view){rest.data, (size_t)(end - rest.data)};
            talk->taken += line->len + 1;
            return 0;
        }
        looked = rest.len;
        if (talk_fill(talk, why) != 0)
            return -1;
    }
}

static int
talk_raw(struct talk *talk, struct answer *answer, struct why *why)
{
    struct view rest = talk_rest(talk);

    if (rest.len == 0) {
        if (talk_fill(talk, why) != 0)
            return -1;
        rest = talk_rest(talk);
    }
    if (rest.len > talk->raw)
        rest.len = talk->raw;
    talk->raw -= rest.len;
    talk->taken += rest.len;
    answer->kind = ANSWER_RAW;
    answer->bytes = rest;
    return 0;
}

int
talk_next(struct talk *talk, struct answer *answer, struct why *why)
{
    struct view line;
    json_t *member;

    *answer = (struct answer){0};
    if (talk->ended) {
        *answer = talk->end;
        return 0;
    }
    if (talk->raw > 0)
        return talk_raw(talk, answer, why);
    if (talk_line(talk, &line, why) != 0)
        return -1;
    json_decref(talk->line);
    talk->line = json_loadb(line.data, line.len, 0, NULL);
    if ((member = json_object_get(talk->line, "row")) != NULL) {
        answer->kind = ANSWER_ROW;
        answer->row = member;
        return 0;
    }
    if (json_is_integer(member = json_object_get(talk->line, "raw"))) {
        talk->raw = (size_t)json_integer_value(member);
        return talk_next(talk, answer, why);
    }
    member = json_object_get(talk->line, "done");
    if (!json_is_integer(json_object_get(member, "exit")))
        return why_text(why, "the daemon's answer makes no sense");
    answer->kind = ANSWER_DONE;
    answer->done = member;
    answer->status = (int)json_integer_value(json_object_get(member, "exit"));
    answer->error = json_string_value(json_object_get(member, "error"));
    return 0;
}

/* --- what follows the request -------------------------------------------- */

void
talk_on_answer(struct talk *talk, talk_answer_fn *fn, void *arg)
{
    talk->on_answer = fn;
    talk->arg = arg;
}

void
talk_tell(struct talk *talk, json_t *row)
{
    struct answer answer = {.kind = ANSWER_ROW, .row = row};

    talk->on_answer(talk->arg, &answer);
}

/* Answers that are there whole. 1: the end is among them. */
static int
talk_answers(struct talk *talk, struct why *why)
{
    for (;;) {
        struct view rest = talk_rest(talk);
        struct answer answer;

        if (rest.len == 0 || memchr(rest.data, '\n', rest.len) == NULL)
            return 0;
        if (talk_next(talk, &answer, why) != 0)
            return -1;
        if (answer.kind == ANSWER_DONE) {
            talk->ended = true;
            talk->end = answer;
            return 1;
        }
        talk->on_answer(talk->arg, &answer);
    }
}

static int
talk_flush(struct talk *talk, struct why *why)
{
    size_t sent = 0;
    int rc = 0;

    while (rc == 0 && sent < talk->out.len) {
        struct pollfd poll_fd = {talk->fd, POLLIN | POLLOUT, 0};
        ssize_t n;

        if (poll(&poll_fd, 1, -1) < 0)
            continue; /* EINTR: nothing else can be wrong with it */
        if (poll_fd.revents & ~POLLOUT) {
            rc = talk_fill(talk, why) != 0 ? -1 : talk_answers(talk, why);
            continue;
        }
        n = send(talk->fd, talk->out.data + sent, talk->out.len - sent,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
    }
    buf_reset(&talk->out);
    return rc;
}

int
talk_push(struct talk *talk, struct view bytes, struct why *why)
{
    if (talk->ended)
        return 1;
    buf_add_view(&talk->out, bytes);
    return talk->out.len >= PUSH_BYTES ? talk_flush(talk, why) : 0;
}

int
talk_push_end(struct talk *talk, struct why *why)
{
    int rc = talk_push(talk, VIEW("{\"end\":true}\n"), why);

    return rc == 0 ? talk_flush(talk, why) : rc;
}

void
talk_close(struct talk **talk)
{
    if (*talk == NULL)
        return;
    close((*talk)->fd);
    json_decref((*talk)->line);
    buf_free(&(*talk)->in);
    buf_free(&(*talk)->out);
    free(*talk);
    *talk = NULL;
}
