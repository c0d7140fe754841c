/* SPDX-License-Identifier: ISC */
/*
 * What the files of the listener share. One struct for each lifetime: the
 * session lives as long as its connection, the transaction from MAIL to its
 * end (freeing it is all that RSET means), the content from DATA to the
 * store's answer. The policy is what holds for all of them.
 *
 * listener.c          the role: sockets, limits on connections, reload, drain
 * listener_session.c  one connection: lines in, replies out, TLS, its end
 * listener_command.c  the command table and what each command does
 * listener_etrn.c     ETRN: whose target is to be tried now
 * listener_data.c     content, SUBMIT, the reply that takes responsibility
 */
#ifndef SPOOLD_LISTENER_H
#define SPOOLD_LISTENER_H

#include <netinet/in.h>
#include <sys/queue.h>

#include "body.h"
#include "conf.h"
#include "dot.h"
#include "header.h"
#include "line.h"
#include "message.h"
#include "msgid.h"
#include "proto.h"
#include "recipients.h"
#include "smtp_verb.h"

struct io;
struct tls;
struct gate_client;
struct gate_guest;

/* --- what holds for all sessions ----------------------------------------- */

enum listener_room {
    ROOM_UNKNOWN, /* the store is away or has not said yet */
    ROOM_THERE,
    ROOM_FULL, /* free space is under the reserve */
};

/* The recipients of a domain. */
struct listener_list {
    struct recipients *list; /* NULL: any, or unknown */
    bool is_unknown;         /* there should be a list, but it is unreadable */
};

struct listener_policy {
    const struct conf *conf;
    struct listener_list *lists; /* by position in conf->domains */
    enum listener_room room;
    bool offers_tls;
    uint64_t memory;         /* held by content under way, of conf->memory */
    struct buf full_domains; /* names in lower case, a NUL behind each */
    uint64_t etrn_left; /* in this minute */
};

/* --- one message --------------------------------------------------------- */

struct listener_recipient {
    char *text;    /* what the delivery's views see, one behind the other */
    uint64_t hash; /* of the address, to find doubles */
};

struct listener_transaction {
    char *text;         /* what the views see */
    struct view sender; /* reverse-path, empty: null */
    struct view flow;   /* the sender's domain in lower case */
    uint64_t flags;     /* enum message_flag */
    uint64_t size;      /* announced by SIZE=, 0: not */
    uint64_t ret;       /* enum dsn_ret, 0: not given */
    struct view envid;  /* as given */
    struct listener_recipient *recipients;
    struct delivery *deliveries; /* the same, as SUBMIT has them */
    size_t n_recipients;
};

struct listener_content {
    struct dot_decoder dot;
    struct header header;
    struct body_writer *writer; /* NULL once the message is refused */
    struct why refused;         /* code 0: not so far */
    struct seal_key key;        /* how it is sealed; without the key itself */
    uint64_t id; /* 0: not yet; the Received field has room for it */
    size_t id_at;
    int64_t began_ms;   /* wall time */
    int64_t arrived_ms; /* the time of its id */
    uint64_t size;      /* bytes of the client's, decoded */
    uint64_t memory;    /* its share of the policy's */
};

/* --- one connection ------------------------------------------------------ */

/* What the client may do next; the command table has a mask of these. */
enum listener_state {
    STATE_FRESH = 1,       /* no EHLO yet, or none since TLS began */
    STATE_READY = 2,       /* greeted, no transaction */
    STATE_MAIL = 4,        /* there is a sender, but no recipient */
    STATE_RCPT = 8,        /* there is a recipient: DATA may come */
    STATE_DATA = 16,       /* content is coming; no commands are read */
    STATE_WAIT_STORE = 32, /* SUBMIT is out; input rests until the answer */
    STATE_WAIT_TLS = 64,   /* the handshake is under way */
};
#define STATE_ANY_COMMAND (STATE_FRESH | STATE_READY | STATE_MAIL | STATE_RCPT)

/* The two ends of it. */
struct listener_ends {
    char client[INET6_ADDRSTRLEN];
    char server[INET6_ADDRSTRLEN]; /* empty: not known */
    uint16_t client_port;
    uint16_t server_port;
};

struct listener_session {
    unsigned magic;
    enum listener_state state;
    struct io *io; /* NULL: the connection is over */
    LIST_ENTRY(listener_session) link;
    struct gate_client *client; /* counts its connections */
    struct listener_ends ends;
    struct line line;
    char *helo; /* as the client said it, NULL: not yet */
    bool esmtp; /* by EHLO */
    bool tls;
    unsigned errors;    /* bad commands since the last message */
    unsigned accepted;  /* messages */
    int64_t since_ms;   /* loop time */
    int64_t waiting_ms; /* loop time since when it owes a command */
    struct listener_transaction *transaction;
    struct listener_content *content;
};

/* --- listener.c ---------------------------------------------------------- */

/* Everything the role knows besides its sessions. */
struct listener {
    struct listener_policy policy;
    struct msgid_source ids;
    struct tls *tls; /* NULL: STARTTLS is not offered */
    bool draining;   /* an orderly stop: no new connections, no new mail */
    LIST_HEAD(listener_sessions, listener_session) sessions;
};
extern struct listener listener;

/* The session's connection is over and no longer counts. */
void listener_closed(struct listener_session *session);

/* --- listener_session.c -------------------------------------------------- */

/* Takes fd, greets. The client's counter is the caller's affair. */
void listener_session_new(int fd, const struct gate_guest *guest);
/* One reply line goes out in its turn. */
void listener_session_reply(struct listener_session *session,
                            const struct why *reply);
/* The store has answered or the content was refused: back to commands. */
void listener_session_next(struct listener_session *session);
/* Closes; why is for the log. The session is gone after this turn, or when
 * the store has answered. */
void listener_session_close(struct listener_session *session, const char *why);
/* An orderly stop: a session between messages is told 421 and closed; with
 * by_force every one. */
void listener_session_drain(struct listener_session *session, bool by_force);
/* The answer of the store to a session that is closed. */
void listener_session_free(struct listener_session *session);
/* An event "refused"; an empty recipient is left out. */
void listener_session_refused(const struct listener_session *session,
                              const char *what, struct view sender,
                              struct view recipient, const struct why *reply);

/* --- listener_command.c -------------------------------------------------- */

/* What the session does when the reply is written. */
enum listener_next {
    NEXT_COMMAND, /* reads on */
    NEXT_DATA,    /* reads content */
    NEXT_TLS,     /* starts the handshake */
    NEXT_CLOSE,   /* closes */
};

#define LISTENER_WAKE_MAX 16

struct listener_reply {
    enum listener_next next;
    struct view wake[LISTENER_WAKE_MAX]; /* ETRN: targets to be tried now; of
                                          * the configuration or the line */
    size_t n_wake;
    struct smtp_command command; /* borrows from the line */
    struct why why;              /* the reply, or its last line */
};

/* Runs one command line and appends its reply to out. Changes the session's
 * state, helo, errors and transaction, and what is left of the policy's ETRN;
 * touches no connection. */
void listener_command(struct listener_session *session,
                      struct listener_policy *policy, struct view line,
                      struct listener_reply *reply, struct buf *out);
/* The same for a line that line.h found bad. */
void listener_command_bad(struct listener_session *session,
                          struct listener_policy *policy, enum got got,
                          struct listener_reply *reply, struct buf *out);
/* Is this the reply to a mistake in the dialogue, not to mail? */
bool listener_command_is_error(const struct why *reply);
/* Appends "code enhanced text". */
void listener_command_print(const struct why *reply, struct buf *out);

/* What a content of this announced size (0: unknown) counts with against the
 * limit of memory before it comes. */
uint64_t listener_command_memory(uint64_t size);

/* --- listener_etrn.c ------------------------------------------------------ */

/* node is what stands behind ETRN: not empty, one word. Sets the reply and the
 * targets to wake. */
void listener_etrn(struct listener_policy *policy, struct view node,
                   struct listener_reply *reply);

void listener_transaction_free(struct listener_transaction **transaction);

/* --- listener_data.c ----------------------------------------------------- */

/* The 354 is out: from now on input is content. */
void listener_data_begin(struct listener_session *session);
/* Reads what is there. False: nothing more to do now. */
bool listener_data_input(struct listener_session *session);
/* Forgets the content and what it holds. */
void listener_data_drop(struct listener_session *session);

#endif
