/* SPDX-License-Identifier: ISC */
/*
 * spoolctl: the operator's tool. Finds the daemon's socket, sends it what the
 * command line asks (request.c) and shows what comes back, as text (show_*.c)
 * or as JSON.
 *
 * After: spoold/control.c
 */
#include "spoolctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf.h"
#include "log.h"
#include "mem.h"
#include "text.h"

#define USUAL_CONTROL "/run/spoold/control"

static const struct show *const shows[CTL_COUNT] = {
#define X(NAME, answers, words, arguments, min, max, shape, sentence, details) \
    [CTL_##NAME] = answers,
#define CONTROL(function) &show_##function
#define TOOL(function)    NULL
#include "ctl_table.h"
#undef TOOL
#undef CONTROL
#undef X
};

static tool_fn *const tools[CTL_COUNT] = {
#define X(NAME, answers, words, arguments, min, max, shape, sentence, details) \
    [CTL_##NAME] = answers,
#define CONTROL(function) NULL
#define TOOL(function)    tool_##function
#include "ctl_table.h"
#undef TOOL
#undef CONTROL
#undef X
};

void
complain(const char *format, ...)
{
    struct buf clean = {0};
    char *words = NULL;
    va_list ap;

    va_start(ap, format);
    if (vasprintf(&words, format, ap) < 0)
        abort();
    va_end(ap);
    text_clean(view_of(words), &clean);
    fflush(stdout);
    fprintf(stderr, "spoolctl: %.*s\n", (int)clean.len, clean.data);
    buf_free(&clean);
    free(words);
}

/* --- where the daemon is ------------------------------------------------- */

/* The control path of a configuration; NULL when it cannot be had. */
static char *
path_from_conf(const char *conf_path, struct why *why)
{
    struct conf *conf;
    char *path;

    if (access(conf_path, R_OK) != 0) {
        why_text(why, "%s: %s%s", conf_path, strerror(errno),
                 errno == EACCES ? ": use root" : "");
        return NULL;
    }
    conf = conf_load(conf_path, why);
    if (conf == NULL)
        return NULL;
    path = mem_copy(conf->control.data, conf->control.len);
    conf_free(&conf);
    return path;
}

/* Exit status; on CTL_EXIT_DONE *path is set, to be freed. A configuration
 * that was named must be good; the usual one may be missing, and when it is
 * being edited at a bad time the daemon that runs can still be reached. */
static int
find_socket(const struct request *request, char **path)
{
    const char *conf_path =
        request->conf_path != NULL ? request->conf_path : USUAL_CONF;
    struct why why;

    *path = request->socket_path != NULL ? mem_copy_text(request->socket_path)
                                         : path_from_conf(conf_path, &why);
    if (*path != NULL)
        return CTL_EXIT_DONE;
    if (request->conf_path != NULL) {
        complain("%s (the socket can be named with -s)", why.text);
        return CTL_EXIT_USAGE;
    }
    if (access(USUAL_CONF, F_OK) == 0)
        complain("%s; trying %s", why.text, USUAL_CONTROL);
    *path = mem_copy_text(USUAL_CONTROL);
    return CTL_EXIT_DONE;
}

/* --- the answer ---------------------------------------------------------- */

static void
print_json(const json_t *row, size_t flags)
{
    json_dumpf(row, stdout, flags);
    printf("\n");
}

void
json_rows_print(const json_t *rows, enum ctl_output output)
{
    const json_t *row;
    size_t i;

    if (output == OUTPUT_JSON) {
        print_json(rows, JSON_INDENT(2));
        return;
    }
    json_array_foreach (rows, i, row)
        print_json(row, JSON_COMPACT);
}

/* Rows as they come: an array for a list, one a line for what never ends. */
static void
print_row_json(const struct request *request, const json_t *row, size_t n)
{
    bool many = ctl_row(request->command)->shape == CTL_MANY;
    bool array = many && request->output == OUTPUT_JSON && !request->follow;

    if (array)
        printf(n == 0 ? "[\n" : ",\n");
    if (array)
        json_dumpf(row, stdout, JSON_COMPACT);
    else
        print_json(row, !many && request->output == OUTPUT_JSON ? JSON_INDENT(2)
                                                                : JSON_COMPACT);
    if (request->follow)
        fflush(stdout);
}

static void
print_end_json(const struct request *request, size_t n_rows, bool whole)
{
    const struct ctl_row *row = ctl_row(request->command);

    if (row->shape == CTL_RAW && whole)
        json_content_print(request->words[request->first]);
    if (row->shape == CTL_MANY && request->output == OUTPUT_JSON &&
        !request->follow)
        printf(n_rows == 0 ? "[]\n" : "\n]\n");
}

static void
show_answer(const struct request *request, const struct answer *answer,
            size_t n_rows)
{
    const struct show *show = shows[request->command];
    bool text = request->output == OUTPUT_TEXT;

    if (answer->kind == ANSWER_RAW && !text && show->begin == NULL)
        json_content_add(answer->bytes);
    else if (answer->kind == ANSWER_RAW && show->raw != NULL)
        show->raw(answer->bytes);
    else if (answer->kind == ANSWER_ROW && !text && !show->keeps_rows)
        print_row_json(request, answer->row, n_rows);
    else if (answer->kind == ANSWER_ROW && show->row != NULL)
        show->row(answer->row);
}

static void
show_end(const struct request *request, const struct answer *answer,
         size_t n_rows)
{
    bool whole = answer->done != NULL && answer->status == CTL_EXIT_DONE;

    if (request->output != OUTPUT_TEXT)
        print_end_json(request, n_rows, whole);
    else if (shows[request->command]->end != NULL)
        shows[request->command]->end(answer->done, whole);
}

/* What goes to a file is whole only if all went well. Exit status. */
static int
finish_file(const struct request *request, int status)
{
    const struct show *show = shows[request->command];
    struct why why;

    if (show->finish == NULL ||
        show->finish(status == CTL_EXIT_DONE, &why) == 0)
        return status;
    complain("%s", why.text);
    return CTL_EXIT_REFUSED;
}

static int
begin_file(const struct request *request)
{
    const struct show *show = shows[request->command];
    struct why why;

    if (show->begin == NULL || show->begin(request, &why) == 0)
        return CTL_EXIT_DONE;
    complain("%s", why.text);
    return CTL_EXIT_REFUSED;
}

struct shown {
    const struct request *request;
    size_t n_rows;
};

static void
show_one(void *arg, const struct answer *answer)
{
    struct shown *shown = arg;

    show_answer(shown->request, answer, shown->n_rows);
    if (answer->kind == ANSWER_ROW)
        shown->n_rows++;
}

/* Exit status. */
static int
show_all(struct talk *talk, const struct request *request)
{
    const struct show *show = shows[request->command];
    struct shown shown = {.request = request};
    struct answer answer = {0};
    struct why why;
    int rc = 0;

    talk_on_answer(talk, show_one, &shown);
    if (show->feed != NULL)
        rc = show->feed(talk, &why) < 0 ? -1 : 0;
    while (rc == 0 && (rc = talk_next(talk, &answer, &why)) == 0 &&
           answer.kind != ANSWER_DONE)
        show_one(&shown, &answer);
    show_end(request, &answer, shown.n_rows);
    if (rc != 0) {
        complain("%s", why.text);
        finish_file(request, CTL_EXIT_AWAY);
        return CTL_EXIT_AWAY;
    }
    if (answer.error != NULL)
        complain("%s", answer.error);
    return finish_file(request, answer.status);
}

static int
ask_at(const char *path, const struct request *request, json_t *extra)
{
    struct why why;
    struct talk *talk = talk_open(path, &why);
    int status = CTL_EXIT_USAGE;

    if (talk == NULL) {
        complain("%s", why.text);
        return CTL_EXIT_AWAY;
    }
    if (talk_send(talk, request, extra, &why) != 0)
        complain("%s", why.text);
    else if ((status = begin_file(request)) == CTL_EXIT_DONE)
        status = show_all(talk, request);
    talk_close(&talk);
    return status;
}

/* Shows what would be done, and asks. Exit status: CTL_EXIT_DONE for yes. */
static int
confirm_at(const char *path, const struct request *request)
{
    struct request dry = *request;
    int status;

    dry.options[CTL_OPTION_DRY_RUN] = "";
    status = ask_at(path, &dry, NULL);
    if (status != CTL_EXIT_DONE || confirm_ask("This cannot be undone. Do it?"))
        return status;
    complain("nothing was done");
    return CTL_EXIT_REFUSED;
}

static int
ask_daemon(const struct request *request)
{
    const struct show *show = shows[request->command];
    json_t *extra = json_object();
    struct why why;
    char *path;
    int status = find_socket(request, &path);

    if (status == CTL_EXIT_DONE && show->ask != NULL &&
        show->ask(request, extra, &why) != 0) {
        complain("%s", why.text);
        status = CTL_EXIT_REFUSED;
    }
    if (status == CTL_EXIT_DONE && confirm_is_needed(request))
        status = confirm_at(path, request);
    if (status == CTL_EXIT_DONE)
        status = ask_at(path, request, extra);
    json_decref(extra);
    free(path);
    return status;
}

static int
finish_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    complain("writing the output: %s", strerror(errno));
    return status == CTL_EXIT_DONE ? CTL_EXIT_REFUSED : status;
}

static int
run(char **argv, struct request *request)
{
    struct why why;

    if (request_parse(request, argv, &why) != 0) {
        complain("%s", why.text);
        fprintf(stderr, "Try \"spoolctl help\".\n");
        return CTL_EXIT_USAGE;
    }
    if (request->options[CTL_OPTION_OFFLINE] != NULL)
        return tool_check(request);
    if (tools[request->command] != NULL)
        return tools[request->command](request);
    return ask_daemon(request);
}

int
main(int argc, char **argv)
{
    struct request request;
    int status;

    log_init("spoolctl", false);
    text_init();
    request_init(&request, (size_t)argc);
    status = run(argv, &request);
    request_free(&request);
    return finish_output(status);
}
