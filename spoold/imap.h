/* SPDX-License-Identifier: ISC */
/*
 * What the files of the imap role share. A session lives as long as its
 * connection; a view from SELECT to the end of the selection; a job as long
 * as one command. One command of a session runs at a time, in steps of a
 * millisecond or less: between two steps others get their turn, and nothing
 * of the store is held.
 *
 * imap.c           the role: who comes in, turns, stopping
 * imap_user.c      who is signed in
 * imap_key.c       the secrets, as the parent sends them
 * imap_session.c   one connection: commands in, responses out in order, TLS
 * imap_run.c       the table of commands, and the small ones
 * imap_login.c     signing in
 * imap_name.c      the names of mailboxes and what is behind them
 * imap_view.c      an open mailbox: numbers, UIDs, news of it
 * imap_rows.c      the rows of its messages
 * imap_list.c      LIST, LSUB, NAMESPACE
 * imap_status.c    STATUS, SUBSCRIBE
 * imap_select.c    SELECT, EXAMINE, CLOSE, UNSELECT
 * imap_cache.c     what was asked lately, in memory
 * imap_content.c   content and structure of a message, in pieces
 * imap_fetch.c     FETCH
 * imap_section.c   FETCH BODY[...] and BINARY[...]
 * imap_search.c    SEARCH, imap_sort.c SORT
 * imap_store.c     STORE, EXPUNGE, MOVE, COPY
 * imap_append.c    APPEND
 */
#ifndef SPOOLD_IMAP_H
#define SPOOLD_IMAP_H

#include <netinet/in.h>
#include <sys/queue.h>

#include "account.h"
#include "conf.h"
#include "gate.h"
#include "imap_command.h"
#include "imap_reader.h"
#include "mailbox.h"
#include "message.h"
#include "peer.h"
#include "seal.h"

#include <uthash.h>

struct db;
struct io;
struct tls;

/* --- what holds for all sessions ------------------------------------------ */

/* Who signed in; one for all his sessions. */
struct imap_user {
    uint64_t number;  /* account.number; the key */
    uint64_t version; /* account.version */
    char *name;
    struct record_list patterns; /* account_text, in memory */
    struct buf memory;
    size_t sessions;
    UT_hash_handle hh;
};

LIST_HEAD(imap_sessions, imap_session);
TAILQ_HEAD(imap_turns, imap_session);

struct imap_role {
    const struct conf *conf;
    struct db *db; /* NULL until the store has said that it is there */
    bool store_is_up;
    struct tls *tls;
    struct imap_sessions sessions;
    struct imap_user *users;
    struct buf out; /* for one response; nobody keeps it over a step */
    bool draining;
};
extern struct imap_role imap;

/* --- imap_user.c ---------------------------------------------------------- */

/* The user who signed in, one more session of his. NULL: he has too many, or
 * his account is another by now; *refusal is what he is told. */
struct imap_user *imap_user_enter(const struct proto_login_result *who,
                                  const char **refusal);
void imap_user_leave(struct imap_user **user);
/* Has somebody of this name a session from this address? */
bool imap_user_is_here(struct view name, const char *address);
/* The account of that number was changed or removed; of all: it may have. Who
 * must sign in again is sent away. */
void imap_user_changed(uint64_t number);
void imap_users_check(void);

/* --- sessions ------------------------------------------------------------- */

enum imap_state {
    IMAP_FRESH,    /* nobody has signed in */
    IMAP_AUTH,     /* somebody has */
    IMAP_SELECTED, /* and opened a mailbox: session->view */
    IMAP_OVER,     /* BYE was said; what is left to be sent goes yet */
};

/* Who gets the next input. */
enum imap_mode {
    IMAP_MODE_COMMAND, /* the next command, when none is under way */
    IMAP_MODE_BUSY,    /* nobody: a command is under way */
    IMAP_MODE_LINE,    /* session->job wants a line (IDLE, AUTHENTICATE) */
    IMAP_MODE_LITERAL, /* session->job wants the message of APPEND */
};

#define IMAP_OWN_SEQS 8

enum imap_enabled {
    IMAP_CONDSTORE = 1,
    IMAP_QRESYNC = 2,
    IMAP_UTF8 = 4,
    IMAP_REV2 = 8,
};

enum imap_step {
    IMAP_STEP_MORE, /* call again */
    IMAP_STEP_WAIT, /* until imap_session_wake */
    IMAP_STEP_DONE, /* imap_session_finish was called */
};
typedef enum imap_step imap_step_fn(struct imap_session *session);

/* What a command needs beyond one step. */
struct imap_job_kind {
    imap_step_fn *step;
    void (*free)(void *job);
    /* Input in the modes LINE and LITERAL; how much of it was taken. */
    size_t (*input)(struct imap_session *session, struct view bytes);
};

struct imap_session {
    unsigned magic;
    enum imap_state state;
    enum imap_mode mode;
    bool tls;
    bool is_loopback;
    bool waits;    /* between IMAP_STEP_WAIT and imap_session_wake */
    bool has_turn; /* in the queue of turns */
    bool choked;   /* no command is read until its output is gone */
    unsigned enabled;
    struct io *io;
    struct gate_client *client;
    struct imap_user *user;
    struct imap_view *view;
    struct imap_reader reader;
    struct imap_command *command; /* under way */
    const struct imap_job_kind *kind;
    void *job;
    struct imap_set saved; /* UIDs: the "$" of RFC 9051 6.4.4.1 */
    unsigned errors;
    unsigned failed_logins;
    int64_t since_ms;
    uint64_t sent; /* messages whose content went out */
    /* Modseqs of its last changes: these are not news to it. */
    uint64_t own_seqs[IMAP_OWN_SEQS];
    unsigned n_own_seqs;
    LIST_ENTRY(imap_session) link;
    TAILQ_ENTRY(imap_session) turn;
    char address[INET6_ADDRSTRLEN];
};

void imap_session_new(int fd, const struct gate_guest *guest);
/* "* BYE text" and the end. */
void imap_session_bye(struct imap_session *session, const char *text);
void imap_session_close(struct imap_session *session, const char *why);
/* The same once the client has taken what was written. */
void imap_session_end(struct imap_session *session, const char *why);
/* Sends what is in imap.out, and empties it. */
void imap_session_send(struct imap_session *session);
/* The end of the command under way: what changed meanwhile as untagged
 * responses, then "tag status text" (text has its response code). */
void imap_session_finish(struct imap_session *session, const char *status,
                         const char *text);
__attribute__((format(printf, 3, 4))) void
imap_session_finishf(struct imap_session *session, const char *status,
                     const char *format, ...);
/* The command goes on in steps; takes job. */
void imap_session_begin(struct imap_session *session,
                        const struct imap_job_kind *kind, void *job);
void imap_session_mode(struct imap_session *session, enum imap_mode mode);
void imap_session_wake(struct imap_session *session);
/* One step of what it has to do. False: nothing more now. */
bool imap_session_step(struct imap_session *session);
/* A change of the view is to be told: at once when it idles. */
void imap_session_news(struct imap_session *session);
/* A change of its own was made. */
void imap_session_own(struct imap_session *session, uint64_t modseq);
bool imap_session_is_own(const struct imap_session *session, uint64_t modseq);
bool imap_session_is_idling(const struct imap_session *session);
/* Queues a turn (imap.c). */
void imap_turn(struct imap_session *session);
void imap_turn_cancel(struct imap_session *session);
void imap_closed(struct imap_session *session);

static inline struct imap_session *
imap_session_of(void *arg)
{
    return arg;
}

/* --- commands ------------------------------------------------------------- */

/* Runs the command that was read: answers it, or begins a job. */
void imap_run(struct imap_session *session);
/* Appends "IMAP4rev1 ...", what is offered now. */
void imap_run_capability(const struct imap_session *session, struct buf *out);

typedef void imap_run_fn(struct imap_session *session);
imap_run_fn imap_run_login, imap_run_authenticate, imap_run_select,
    imap_run_close, imap_run_unselect, imap_run_list, imap_run_namespace,
    imap_run_status, imap_run_subscribe, imap_run_append, imap_run_idle, imap_run_expunge,
    imap_run_search, imap_run_fetch, imap_run_store, imap_run_copy,
    imap_run_move;

/* Ids of what APPEND brings are later than this. */
void imap_append_floor(uint64_t floor_ms);

/* --- imap_key.c ----------------------------------------------------------- */

void imap_key_on_pairs(struct peer_message *message);
/* The key of a message's pieces. 1; 0: it is not sealed; -1: *why. */
int imap_key_of(const struct message *message, char key[SEAL_KEY],
                struct why *why);

#endif
