/* SPDX-License-Identifier: ISC */
/*
 * One connection to a target, shared by replay_session.c (connects, reads,
 * ends) and replay_step.c (says and understands SMTP), and by nobody else.
 */
#ifndef SPOOLD_REPLAY_SESSION_H
#define SPOOLD_REPLAY_SESSION_H

#include "io.h"
#include "replay.h"
#include "smtp_reply.h"

enum step {
    STEP_GREETING,
    STEP_EHLO,
    STEP_HELO,
    STEP_STARTTLS,
    STEP_RSET,
    STEP_XCLIENT,
    STEP_XHELLO, /* EHLO again, after XCLIENT */
    STEP_XFORWARD,
    STEP_MAIL,
    STEP_RCPT,
    STEP_DATA,
    STEP_BDAT,     /* said: the first chunk; awaited: any but the last */
    STEP_DOT,      /* the content was sent: the message is theirs, or not */
    STEP_LONE_DOT, /* DATA was taken with no recipient: empty content */
    STEP_QUIT,
    STEP_NONE,
};

struct expect {
    enum step step;
    size_t at; /* STEP_RCPT, and STEP_DOT of LMTP: which try */
};

enum name_state {
    NAME_UNASKED,
    NAME_ASKED, /* replay_client.c goes on with the answer */
    NAME_KNOWN, /* or known not to be there */
};

/* What of a job was said and heard on this connection. */
struct transaction {
    struct replay_job *job; /* NULL: there is none */
    enum step next;         /* to be said; STEP_NONE: all was */
    size_t asked;           /* tries up to here had their RCPT */
    size_t accepted;        /* of them, with 2xx */
    bool heard;             /* there was a reply to something of it */
    bool refused;      /* MAIL was; replies to RCPT and DATA mean nothing */
    bool chunked;      /* by BDAT (RFC 3030) */
    size_t chunks;     /* said so far */
    size_t unanswered; /* replies to come for the content */
    enum name_state name_state;
    bool name_unknown; /* for now */
    char name[254];    /* of the first client; empty: none */
};

struct replay_session {
    unsigned magic;
    struct replay_target *target;
    size_t slot;
    struct io *io;
    bool ready; /* EHLO was answered */
    bool lmtp;  /* RFC 2033, not SMTP */
    bool dead;  /* only the deferred free is to come */

    struct replay_connect *connect;       /* NULL: no addresses yet */
    const struct replay_address *address; /* in use; connect's */
    char *failed;                         /* why the last one was no good */
    bool refused;  /* the target takes no mail: there is no connection */
    bool securing; /* the TLS handshake is under way */
    bool secured;  /* it is done */
    bool plain;    /* TLS failed at this address and need not be */

    struct smtp_reply reply;
    struct smtp_offers offers;
    struct expect *queue; /* replies that are to come, in order */
    size_t queue_first;
    size_t queue_n;
    size_t queue_cap;
    uint64_t timeout_ms;

    struct transaction current;
    struct transaction ahead; /* said in one go with current's content */
    bool needs_reset;         /* the server may think a MAIL is under way */
    struct buf client; /* whose the session is, by XCLIENT; empty: ours */
    bool client_off;   /* XCLIENT, and XFORWARD, were refused */
    bool forward_off;
    bool asking;    /* for a client's name, which may be there at once */
    uint64_t mails; /* MAIL was said so often */
    size_t done;    /* transactions that ended */
    struct replay_content *content; /* current's, while it is being sent */
    size_t behind_dot;              /* bytes written after the end mark */
    struct loop_timer *turn;        /* for the next part of long content */
};

/* --- replay_session.c ---------------------------------------------------- */

struct replay_session *replay_session_of(void *arg);
void replay_session_expect(struct replay_session *session, enum step step,
                           size_t at);
/* The step whose reply comes next. */
enum step replay_session_awaits(const struct replay_session *session);

/* Something else than the server was awaited, and is there: goes on. */
void replay_session_resume(struct replay_session *session);

/* Calls replay_step_content again after others had their turn: the socket may
 * take all there is at once, and then nothing tells us to go on. */
void replay_session_go_on(struct replay_session *session);

/* Before EHLO was answered: this address is no good, try the next one. */
void replay_session_next_address(struct replay_session *session,
                                 const char *reason);
/* The same, but try this address once more, without TLS. */
void replay_session_without_tls(struct replay_session *session,
                                const char *reason);
/* Mail may go now. */
void replay_session_is_ready(struct replay_session *session);

enum replay_fault {
    FAULT_THEIRS,  /* the connection ended or makes no sense any more */
    FAULT_CONTENT, /* we cannot send what we began */
    FAULT_OURS,    /* we stop; nothing is held against anybody */
};
/* The session is over, at once; code is that of a reply that ended it (421)
 * or 0. What is under way is judged or put back. */
void replay_session_end(struct replay_session *session, enum replay_fault fault,
                        int code, const char *reason);

/* --- replay_starttls.c --------------------------------------------------- */

/* After the reply to EHLO or HELO. true: there is the TLS there has to be;
 * false: it goes first, or another address. */
bool replay_starttls_is_done(struct replay_session *session);
/* The reply to STARTTLS. */
void replay_starttls_reply(struct replay_session *session, size_t at);
void replay_starttls_on_tls(struct replay_session *session);
/* The handshake failed. */
void replay_starttls_failed(struct replay_session *session, const char *reason);
/* For people: how the connection is secured. Until the next call. */
const char *replay_starttls_describe(const struct replay_session *session);

/* --- replay_fit.c -------------------------------------------------------- */

/* Settles which tries this server can be given (the others have our word), and
 * which in one transaction (the others are left out); returns their number. */
size_t replay_fit_tries(const struct smtp_offers *offers,
                        struct replay_job *job);

/* --- replay_client.c ----------------------------------------------------- */

/* How a transaction begins: STEP_XCLIENT, STEP_XFORWARD or STEP_MAIL. */
enum step replay_client_step(const struct replay_session *session,
                             const struct replay_job *job);
/* May the next step of t be said? Not while the first client's name is being
 * looked up for it; replay_session_resume comes when it is there. */
bool replay_client_may_say(struct replay_session *session,
                           struct transaction *t);
void replay_client_forget(struct replay_session *session);
/* EHLO was answered: what is wanted and not offered is logged, once. */
void replay_client_ready(struct replay_session *session);
void replay_client_say_xclient(struct replay_session *session,
                               struct transaction *t);
void replay_client_on_xclient(struct replay_session *session, size_t at);
void replay_client_say_xhello(struct replay_session *session,
                              struct transaction *t);
void replay_client_on_xhello(struct replay_session *session, size_t at);
void replay_client_say_xforward(struct replay_session *session,
                                struct transaction *t);
void replay_client_on_xforward(struct replay_session *session, size_t at);

/* --- replay_step.c ------------------------------------------------------- */

/* What a step waits for, for people. */
const char *replay_step_awaited(enum step step);
void replay_step_say_quit(struct replay_session *session);
void replay_step_say_starttls(struct replay_session *session);
void replay_step_say_ehlo(struct replay_session *session);
/* The hello is over: TLS, or mail. */
void replay_step_hello_done(struct replay_session *session);
/* The reply is the last word for all recipients of the current transaction. */
void replay_step_refused(struct replay_session *session);
/* Begins with the job; false: every recipient was ruled out beforehand. */
bool replay_step_begin(struct replay_session *session, struct transaction *t,
                       struct replay_job *job);
/* Says what may be said now. */
void replay_step_say(struct replay_session *session);
/* session->reply is one: to the step that was expected, or to nothing. */
void replay_step_reply(struct replay_session *session);
/* There is room for more content. */
void replay_step_content(struct replay_session *session);

#endif
