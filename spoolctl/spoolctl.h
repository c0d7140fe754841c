/* SPDX-License-Identifier: ISC */
/*
 * Private to spoolctl: what was asked on the command line, the talk with the
 * daemon, and how each command's answer is shown to a person. With --json the
 * rows are printed as they come and no show function is called.
 */
#ifndef SPOOLCTL_SPOOLCTL_H
#define SPOOLCTL_SPOOLCTL_H

#include <jansson.h>

#include "buf.h"
#include "clock.h"
#include "ctl.h"
#include "password.h"
#include "view.h"
#include "why.h"

/* A promise of spoolctl.8. */
enum ctl_exit {
    CTL_EXIT_DONE = 0,
    CTL_EXIT_REFUSED = 1, /* refused or not found */
    CTL_EXIT_USAGE = 2,
    CTL_EXIT_AWAY = 3, /* the daemon cannot be reached */
};

#define USUAL_CONF "/etc/spoold/spoold.conf"

enum ctl_output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_JSONL };

struct request {
    enum ctl_output output;
    const char *conf_path;   /* -c, or NULL */
    const char *socket_path; /* -s, or NULL */
    bool follow;             /* -f */
    bool help;               /* -h: already part of words */
    /* Options of the command; NULL: not given, flags: "". */
    const char *options[CTL_OPTION_COUNT];
    struct view *words; /* the command and its arguments */
    size_t n_words;
    enum ctl_command command;
    size_t first;               /* argument within words */
    char since[CLOCK_TEXT_MAX]; /* --since, when it is a date */
    struct buf query;           /* what a query among the words points into */
};

/* --- request.c ------------------------------------------------------------ */

void request_init(struct request *request, size_t n_arguments);
/* Reads the command line; -1 and a reason when it cannot be right. The words
 * borrow from argv. */
int request_parse(struct request *request, char **argv, struct why *why);
void request_free(struct request *request);

/* --- confirm.c ------------------------------------------------------------ */

/* Is somebody there who is to be asked before it is done? */
bool confirm_is_needed(const struct request *request);
bool confirm_ask(const char *question);

/* --- main.c --------------------------------------------------------------- */

/* A line on standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An array as one document, or its items one a line. */
void json_rows_print(const json_t *rows, enum ctl_output output);

/* --- talk.c --------------------------------------------------------------- */

struct talk;
struct answer {
    enum { ANSWER_ROW, ANSWER_RAW, ANSWER_DONE } kind;
    json_t *row;       /* borrowed until the next answer */
    struct view bytes; /* RAW */
    json_t *done;      /* DONE: the whole of it */
    int status;        /* DONE */
    const char *error; /* DONE: NULL when all is well */
};

/* Connects to the socket; NULL and a reason. */
struct talk *talk_open(const char *path, struct why *why);
/* extra are members for "args" besides the options. */
int talk_send(struct talk *talk, const struct request *request, json_t *extra,
              struct why *why);
/* Waits for the next piece. -1: the daemon is gone or makes no sense. */
int talk_next(struct talk *talk, struct answer *answer, struct why *why);
void talk_close(struct talk **talk);

/* What follows a request (import). Answers that come meanwhile go to fn;
 * talk_tell gives it a row of our own. */
typedef void talk_answer_fn(void *arg, const struct answer *answer);
void talk_on_answer(struct talk *talk, talk_answer_fn *fn, void *arg);
void talk_tell(struct talk *talk, json_t *row);
/* 0: sent, or kept to be sent with what follows; 1: the daemon has ended it
 * and nothing more is of use, talk_next has why; -1: the daemon is gone. */
int talk_push(struct talk *talk, struct view bytes, struct why *why);
/* Nothing follows any more. */
int talk_push_end(struct talk *talk, struct why *why);

/* --- show_*.c ------------------------------------------------------------- */

struct show {
    void (*row)(const json_t *row);
    void (*raw)(struct view bytes); /* CTL_RAW */
    /* After the last row; done is NULL when the daemon did not get there,
     * whole says that nothing failed. */
    void (*end)(const json_t *done, bool whole);
    /* What goes to a file and not to the output, with --json as well: before
     * the daemon is asked, and at the end; raw has the bytes in between. NULL
     * elsewhere. -1 and a reason. */
    int (*begin)(const struct request *request, struct why *why);
    int (*finish)(bool whole, struct why *why);
    /* The rows go to files as well, whatever the output is. */
    bool keeps_rows;
    /* What the request needs besides the command line, a password or a file:
     * asked for before the daemon is. Sets members of args. */
    int (*ask)(const struct request *request, json_t *args, struct why *why);
    /* Pushes what follows the request. As talk_push answers. */
    int (*feed)(struct talk *talk, struct why *why);
};

/* Commands, as ctl_table.h names them: show_NAME for those the daemon
 * answers, tool_NAME for those it does not. */
typedef int tool_fn(const struct request *request);
#define X(NAME, answers, words, arguments, min, max, shape, sentence, details) \
    answers
#define CONTROL(function) extern const struct show show_##function;
#define TOOL(function)    tool_fn tool_##function;
#include "ctl_table.h"
#undef TOOL
#undef CONTROL
#undef X

/* check --offline, which the daemon cannot answer. */
int tool_check(const struct request *request);

/* secret.c: a new password for the user as a hash, from the terminal, twice and
 * without echo, or the first line of standard input. */
int secret_hash(struct view user, char hash[PASSWORD_HASH_MAX],
                struct why *why);

/* tool_lock.c: takes the lock the daemon holds while it runs; dir is the
 * spool, path its name. */
struct stat;
int tool_lock_spool(int dir, const char *path, const struct stat *owner,
                    int *lock, struct why *why);

/* cat --json: the content that show_cat would have printed. */
void json_content_add(struct view bytes);
void json_content_print(struct view id);

/* --- member.c: members of rows -------------------------------------------- */

const char *member_text(const json_t *row, const char *name); /* "": none */
uint64_t member_num(const json_t *row, const char *name);
bool member_is(const json_t *row, const char *name);      /* true? */
int64_t member_time(const json_t *row, const char *name); /* ms; 0: none */

#define MEMBER_TEXT_MAX 64
/* "2026-11-25 03:22 (12m ago)"; returns text. */
const char *member_when(int64_t wall_ms, char text[MEMBER_TEXT_MAX]);
/* "in 42s", "now", "-" for 0; returns text. */
const char *member_until(int64_t wall_ms, char text[MEMBER_TEXT_MAX]);
/* "188 bytes", "1.5M"; returns text. */
const char *member_size(uint64_t bytes, char text[MEMBER_TEXT_MAX]);
/* "1 message", "2 messages"; returns text. */
const char *member_count(uint64_t n, const char *one,
                         char text[MEMBER_TEXT_MAX]);

#endif
