/* SPDX-License-Identifier: ISC */
/*
 * Private to control*.c: the door for spoolctl, a unix stream socket.
 *
 * The protocol, lines of JSON in UTF-8. The client sends one request:
 *
 *     {"command": ["retry", "0DKX1V3Q2W000"], "args": {}}
 *
 * "command" is the words of a command (ctl_table.h) and its arguments, "args"
 * its options: {"follow": true} for events. The answer is any number of
 *
 *     {"row": {...}}     one document or list item (spoolctl.8 has the members)
 *     {"raw": N}         followed by N bytes of content
 *
 * and, last, one of
 *
 *     {"done": {"exit": 0}}
 *     {"done": {"exit": 1, "error": "why"}}
 *
 * To "import" belong messages, which the client sends after its request,
 *
 *     {"message": {...}, "raw": N}   followed by N bytes of content
 *
 * and, last, {"end": true}; a row answers each, in any order (the members of
 * a message are those of export's manifest, spoolctl.8). "export" answers with
 * a row for each message, its content as "raw", and the row {"end": ID}.
 *
 * A password is hashed by the client: "args" has the hash as "hash". To "user
 * import" belong lines {"line": N, "name": "...", "hash": "..."}, which the
 * client sends after its request, and {"end": true}.
 *
 * where exit is what spoolctl ends with; retry adds how many "messages" it
 * meant and how many targets were "probed". Then the connection closes. A
 * client that closes its end, even only for writing, takes the request back.
 *
 * A client has one command, a command is a chain of steps, and a step runs
 * only while the client keeps up: what a command has to say is asked for
 * piece by piece, never collected.
 */
#ifndef SPOOLD_CONTROL_H
#define SPOOLD_CONTROL_H

#include <jansson.h>

#include "conf.h"
#include "ctl.h"
#include "db_read.h"
#include "loop.h"
#include "peer.h"

#define CONTROL_CLIENTS_MAX  64
#define CONTROL_REQUEST_MAX  (512 * 1024)
#define CONTROL_OPERATOR_MAX 64
/* A step waits while more than this is on its way to the client. */
#define CONTROL_PENDING_MAX (256 * 1024)
/* A watcher is behind when this much of it waits (one turn's burst fits). */
#define CONTROL_WATCH_MAX (1024 * 1024)
/* Rows of the store looked at, and messages shown, in one step. */
#define CONTROL_ROWS_MAX     20000
#define CONTROL_MESSAGES_MAX 200
#define CONTROL_ANSWER_MS    5000  /* a role that should answer at once */
#define CONTROL_COMMIT_MS    60000 /* one that has to write first */

struct control_client;
struct io;
typedef void control_fn(struct control_client *client);
/* answer is NULL when the role is away or late; *why says which. */
typedef void control_answer_fn(struct control_client *client,
                               struct peer_message *answer,
                               const struct why *why);

enum control_phase {
    CONTROL_READING, /* the request has not come in whole */
    CONTROL_RUNNING, /* a command is under way */
    CONTROL_ENDING,  /* "done" is written; what is left goes out */
    CONTROL_DEAD,    /* freed at the end of the turn */
};

struct control_client {
    unsigned magic;
    struct control_client *next;
    struct control_client *prev;
    struct io *io;
    enum control_phase phase;
    struct buf line; /* READING: what has come of the request */
    json_t *request;
    enum ctl_command command;
    size_t first;  /* argument within "command" */
    size_t behind; /* arguments at the end that the query is not made of */

    control_fn *on_input; /* the command takes what follows the request */
    control_fn *step;     /* to run when the turn and the output allow */
    bool waits_for_drain;
    struct loop_timer *turn;
    enum role asked; /* by control_ask */
    uint64_t limit_ms;
    control_answer_fn *on_answer; /* NULL: nobody is asked */
    struct loop_timer *limit;

    char operator[CONTROL_OPERATOR_MAX]; /* who it is, for the ledger */

    void *work; /* what the command keeps between its steps */
    void (*work_free)(void *work);
    json_t *done; /* control_note; NULL: nothing yet */
};

/* Commands: one function each, control_NAME as ctl_table.h names it. */
#define X(NAME, answers, words, arguments, min, max, shape, sentence, details) \
    answers
#define CONTROL(function) control_fn control_##function;
#define TOOL(function)
#include "ctl_table.h"
#undef TOOL
#undef CONTROL
#undef X

/* --- control.c ----------------------------------------------------------- */

/* A client is gone: a drain may be over. */
void control_client_gone(void);

/* What the role knows without asking. */
struct control_state {
    const struct conf *conf;
    uint64_t started_ms; /* this process */
    struct buf roles;    /* the last ROLES, encoded; empty: none yet */
    struct buf pairs;    /* the last PAIRS, encoded */
    bool has_space;
    struct proto_space space; /* the last SPACE, without its list: */
    struct buf full_domains;  /* names, a NUL behind each */
};
extern struct control_state control_state;

/* The store, opened when first needed; NULL and a reason where it is not
 * there yet. */
struct db *control_db(struct why *why);

/* --- control_client.c ---------------------------------------------------- */

/* Takes fd. */
void control_client_new(int fd);
size_t control_n_clients(void);
/* Calls fn for each client that runs the command. */
typedef void control_each_fn(struct control_client *client, void *arg);
void control_each_running(enum ctl_command command, control_each_fn *fn,
                          void *arg);
/* Sends away those who have not sent their request. */
void control_clients_drain(void);

size_t control_n_arguments(const struct control_client *client);
struct view control_argument(const struct control_client *client, size_t i);
bool control_option(const struct control_client *client, const char *name);
/* An option of the command: NULL where it was not given, "" for a flag. */
const char *control_option_text(const struct control_client *client,
                                enum ctl_option option);

/* When the time of --for, from now on, is over: wall time, 0 without the
 * option. -1: it is none, or longer than max_ms. */
int control_until(struct control_client *client, uint64_t max_ms,
                  uint64_t *until_ms, struct why *why);

/* Who asks, by what the kernel says: "root", a user's name, "uid 1234". */
const char *control_operator(const struct control_client *client);

/* Marks what the query means as what goes first, by this rule; 0: counts. */
void control_steer_prefer(struct control_client *client, uint64_t rule);

/* Output. The row is given away. */
void control_row(struct control_client *client, json_t *row);
void control_raw(struct control_client *client, struct view bytes);
size_t control_pending(const struct control_client *client);
/* A number that "done" will carry besides "exit". */
void control_note(struct control_client *client, const char *name,
                  uint64_t value);
/* The end: done, or refused with a reason. */
void control_done(struct control_client *client);
void control_fail(struct control_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for a request that no command could make sense of: exit 2. */
void control_refuse(struct control_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Runs step in a later turn, once there is room for its output. Whoever
 * neither ends nor waits for an answer calls this. */
void control_continue(struct control_client *client, control_fn *step);
/* The command wants what the client sends after the request: on_input is
 * called when some is there, looks at it and consumes what it can use. Paused,
 * the client's bytes stay with the kernel. */
void control_receive(struct control_client *client, control_fn *on_input);
struct view control_input(const struct control_client *client);
void control_consume(struct control_client *client, size_t n);
void control_pause(struct control_client *client, bool pause);
/* What a role says of what it was asked to do (DONE); NULL: it could not, or
 * no answer came, and the client was told. */
const struct proto_done *control_was_done(struct control_client *client,
                                          const struct peer_message *answer,
                                          const struct why *why);
/* One question to a role; fn is always told, within limit_ms. */
void control_ask(struct control_client *client, enum role role, unsigned kind,
                 const void *payload, uint64_t limit_ms, control_answer_fn *fn);

/* --- control_json.c ------------------------------------------------------ */

/* Text of a stranger: what is not UTF-8 becomes U+FFFD. */
json_t *control_json_text(struct view text);
json_t *control_json_time(uint64_t wall_ms); /* ISO; 0: null */
json_t *control_json_message(const struct db_message *message);
json_t *control_json_target(const struct proto_target_now *target);
json_t *control_json_roles(void);
/* An event's line; NULL where it is none. */
json_t *control_json_event(enum role role, struct view line);

/* --- control_eta.c ------------------------------------------------------- */

struct control_eta {
    json_t *targets;
    size_t at;
    struct db_ready_cursor cursor;
    uint64_t left;
    control_fn *then;
};

/* What comes and goes at a target; what is left is not known yet. */
json_t *control_eta_json(const struct proto_target_now *target);
/* Counts what is left for those of the targets (rows of control_json_target)
 * that take mail and tells when it will be gone. client->work begins with a
 * struct control_eta; targets, an array, stays the caller's. then goes on. */
void control_eta(struct control_client *client, json_t *targets,
                 control_fn *then);

/* --- control_walk.c ------------------------------------------------------ */

struct query;

enum control_walk_phase {
    WALK_ROWS,    /* the rows of all messages, one after the other */
    WALK_COLLECT, /* signatures; those that pass are collected */
    WALK_IDS,     /* those that passed, in the order of their ids */
};

/* Messages that match a query, a bounded number of rows a step. */
struct control_walk {
    struct query *query;
    bool held_only;
    int64_t now_ms;
    uint64_t after_id; /* what is still to be seen lies in */
    uint64_t last_id;  /* after_id < id <= last_id */
    size_t rows;       /* left in this step */
    size_t damaged;    /* messages that could not be read */
    struct why first_damage;

    enum control_walk_phase phase;
    struct sieve mask;
    uint64_t cursor;       /* of the signatures */
    struct buf candidates; /* uint64_t */
    size_t next_candidate;
    uint64_t imported_to; /* 0, or up to here only what was imported */
};

/* Reads the client's arguments as a query; the default is what is held. */
int control_walk_begin(struct control_walk *walk,
                       const struct control_client *client, struct why *why);
/* The same, but the default is all there is. */
int control_walk_begin_any(struct control_walk *walk,
                           const struct control_client *client,
                           struct why *why);
/* 1: *message is the next one, to be freed; 0: the end; 2: enough rows for
 * this step, set rows and go on in another; -1: the store failed. */
int control_walk_next(struct control_walk *walk, struct db_message *message,
                      struct why *why);
void control_walk_end(struct control_walk *walk);

/* --- control_undo.c ------------------------------------------------------- */

/* One of the operator's commands, and where a walk through its deliveries is.
 * Begins as {0}. */
struct control_undo {
    uint64_t number;
    uint64_t id, n;          /* of the delivery that was the last */
    struct undo_row command; /* points into memory */
    struct buf memory;
};
/* A number for a new command. */
int control_undo_number(uint64_t *number, struct why *why);
/* The command the argument names, or the last one. 1; 0: there is none (*why
 * says so); -1: the store failed. */
int control_undo_begin(struct control_undo *undo,
                       const struct control_client *client, struct why *why);
/* 1: *item is the next delivery; 2: it is, but (look) is not any more as the
 * command left it; 0: the end; -1. */
int control_undo_next(struct control_undo *undo, bool look,
                      struct proto_steer_item *item, struct why *why);
void control_undo_end(struct control_undo *undo);

/* --- control_trace.c ----------------------------------------------------- */

/* The entries of the ledger about one message, in their order. */
typedef void control_trail_fn(void *arg, uint64_t seq,
                              const struct ledger_entry *entry);
struct control_trail {
    uint64_t id;
    control_trail_fn *fn;
    void *arg;
    enum { TRAIL_SEARCH, TRAIL_LOOK, TRAIL_TELL, TRAIL_END } phase;
    uint64_t first; /* entry of the ledger, and where the message's begin */
    uint64_t start;
    uint64_t at; /* the next entry */
    uint64_t last;
    uint64_t found; /* the first of the message, 0: none yet */
    uint64_t told;
    bool found_accepted;
    bool gone; /* nothing can follow */
};
/* fn is called inside a read transaction: it asks the store nothing. */
void control_trail_begin(struct control_trail *trail, uint64_t id,
                         control_trail_fn *fn, void *arg);
/* 1: call it again, 0: the end, -1: the store failed. */
int control_trail_step(struct control_trail *trail, struct db *db,
                       struct why *why);
/* The id that the first argument names; -1: the client was told. */
int control_read_id(struct control_client *client, uint64_t *id);

/* --- control_user.c ------------------------------------------------------ */

/* What a user reads of whom nothing else was said: his name, or his name in
 * domain (empty: the only one there is). Appended to text. */
int control_user_address(struct view name, struct view domain, struct buf *text,
                         struct why *why);

/* The event of a change that is durable. */
void control_user_log(const struct control_client *client, const char *what,
                      const char *user);

/* --- control_watch.c ----------------------------------------------------- */

void control_on_event(struct peer_message *message);
/* A channel is there: tell the role if somebody watches. */
void control_watch_role(enum role role);
/* The daemon stops: watchers are sent away. */
void control_watch_stop(void);

#endif
