/* SPDX-License-Identifier: ISC */
/*
 * Private to replay*.c. Four things, each with its own lifetime:
 *
 *   target   a section of the configuration: hosts, scheduler, what waits
 *   session  one connection to one of its hosts
 *   job      one message on its way to one target, until the store has
 *            recorded what became of it; in memory only, so a crash puts it
 *            back to where it stood
 *   try      one recipient of a job
 *
 * Who calls whom: a target runs its scheduler and opens sessions or gives
 * them jobs; a session reports back with replay_target_event and
 * replay_job_done, which never act before the end of the turn.
 */
#ifndef SPOOLD_REPLAY_H
#define SPOOLD_REPLAY_H

#include <sys/socket.h>

#include <uthash.h>

#include "conf.h"
#include "db_read.h"
#include "dsn.h"
#include "eta.h"
#include "proto.h"
#include "seal.h"
#include "replay_budget.h"
#include "replay_guard.h"
#include "replay_sched.h"

struct replay_job;
struct replay_link;
struct replay_route;
struct replay_session;
struct replay_target;
struct msgid_source;
struct peer_message;

/* --- replay.c: the role -------------------------------------------------- */

const struct conf *replay_conf(void);
struct db *replay_db(void); /* NULL before the store was there */
uint64_t *replay_random(void);
struct msgid_source *replay_ids(void);
/* Is there a store that would record outcomes? No job is begun without. */
bool replay_store_is_ready(void);
/* Something ended: perhaps the drain is over. */
void replay_check_drained(void);

/* --- replay_target.c ----------------------------------------------------- */

#define REPLAY_LIVE_MAX  1024 /* announced messages remembered for a target */
#define REPLAY_BATCH_MAX 64   /* messages found by cursor in one go */

/* The domain that had the last turn. */
struct replay_turn {
    bool began;
    size_t len;
    char domain[MESSAGE_FLOW_KEY_MAX + 1];
};

/* What waits (replay_queue.c). */
struct replay_queue {
    uint64_t *live; /* a ring; grows up to REPLAY_LIVE_MAX */
    size_t live_cap;
    size_t live_first;
    size_t live_n;
    uint64_t batch[REPLAY_BATCH_MAX]; /* of the backlog */
    size_t batch_first;
    size_t batch_n;
    unsigned turns;                /* of live and backlog */
    struct replay_turn *preferred; /* turns among those; NULL: none yet */
    struct replay_turn turn;       /* among all */
    size_t looked;                 /* rows, since others had their turn */
    bool maybe_more;     /* the table may hold messages that are not in here */
    bool round_began;    /* a job began since everything was looked at */
    bool round_ended;    /* and the batch is what was found last */
    bool passed_notices; /* since there was no token for them */
};

#define REPLAY_BY_MAX   64 /* of an operator's name */
#define REPLAY_BY_GUARD "guard"

struct replay_target {
    char *name;
    bool gone; /* no longer configured; freed when its last job is */
    struct replay_limits limits;
    uint64_t retry_min_ms;
    uint64_t retry_max_ms;
    uint64_t unknown_retry_ms;
    uint64_t probe_min_ms;
    int64_t woken_ms; /* loop time of the last ETRN that was obeyed, 0: none */
    uint64_t connect_timeout_ms;
    uint64_t reply_timeout_ms;
    uint64_t final_timeout_ms;
    uint64_t port;      /* of hosts that name none */
    uint64_t protocol;  /* enum conf_protocol */
    uint64_t client;    /* enum conf_client */
    bool client_told;   /* that the target does not take what client says */
    struct buf hosts;   /* for people: "mail.example.com, 192.0.2.1:2525" */
    struct buf routing; /* what the route is made of, to see a change */
    struct buf secured; /* how the last connection was, for people */

    struct replay_overrides *overrides; /* NULL: the operator set nothing */
    struct replay_route *route;
    struct replay_sched sched;
    struct replay_session **sessions; /* by slot */
    struct replay_link **links;       /* of the sessions, by slot */
    struct replay_budget_member budget;
    bool served; /* it waited for a connection and is asked now */
    struct replay_queue *queue;
    size_t under_way; /* jobs, but for those that are recorded or stuck */

    struct loop_timer *wake;
    bool running;           /* a run is queued for the end of the turn */
    bool unkept;            /* the state changed while the store was away */
    enum target_state told; /* the state that was announced last */
    struct replay_guard guard;
    size_t expiring;         /* deliveries about to expire (replay_alarm.c) */
    uint64_t expiring_ms;    /* wall time of the first of them */
    uint64_t pause_until_ms; /* wall time; 0: until it is resumed */
    char paused_by[REPLAY_BY_MAX]; /* or who resumed it */
    uint64_t since_ms;             /* wall time of the last change of state */
    uint64_t delivered;
    uint64_t deferred;
    struct eta eta; /* what comes and goes */
    UT_hash_handle hh; /* by name, in replay_target.c */
};

/* Takes the targets of a configuration: new ones begin, those that are gone
 * finish what they have under way. */
void replay_target_configure(const struct conf *conf);
struct replay_target *replay_target_find(struct view name);
/* One after the other: NULL gives the first. Gone ones included. */
struct replay_target *replay_target_next(const struct replay_target *after);
/* Something happened to the session in slot (or to the target). */
void replay_target_event(struct replay_target *target,
                         enum replay_event_kind kind, size_t slot,
                         bool accepted, const char *reason);
/* The same, with all that there is to say. */
void replay_target_report(struct replay_target *target,
                          const struct replay_event *event);
/* There may be something to do: runs the scheduler at the end of the turn. */
void replay_target_run(struct replay_target *target);
/* The next message for the busy session in slot, if it may have one already;
 * it reports REPLAY_AHEAD when it begins. */
struct replay_job *replay_target_ahead(struct replay_target *target,
                                       size_t slot);
/* The session in slot takes no message after those it has. */
void replay_target_last(struct replay_target *target, size_t slot);
void replay_target_probe(struct replay_target *target);
/* The store is there (again): health, and what became ready meanwhile. */
void replay_target_store_up(bool again);
/* No new work from now on. */
void replay_target_stop_all(void);
/* Ends every session at once: the time for the drain is over. */
void replay_target_abort_all(void);
/* For people: how the last connection is secured. */
void replay_target_secured(struct replay_target *target, const char *how);
void replay_target_describe(struct replay_target *target,
                            struct proto_target_now *now);
uint64_t replay_target_reach_ms(struct replay_target *target);

/* The limits the configuration or the operator sets are others now. */
void replay_target_limits_changed(struct replay_target *target);

/* --- replay_health.c ----------------------------------------------------- */

/* Keeps its state and reach_ms in the store; fn (may be NULL) is told when
 * that is durable, or with NULL that the store is away. */
void replay_target_keep(struct replay_target *target,
                        void (*fn)(void *arg, struct peer_message *answer),
                        void *arg);
/* What it kept of the target of this name, zeroed where it has nothing; *memory
 * holds its texts. */
struct target_health replay_target_kept(const char *name, struct buf *memory);

/* --- replay_place.c: the connections of all targets ----------------------- */

void replay_place_set(size_t total, size_t connecting);
/* How many connections the target may have now. */
size_t replay_place_share(const struct replay_target *target, int64_t now_ms);
/* The scheduler was asked what to do. The target waits (again) where its share
 * is used up, and the next one is asked. */
void replay_place_asked(struct replay_target *target);
/* Something became free: one that waits is asked, when it has its share the
 * next one, and so on. */
void replay_place_serve(void);
/* Opens a session in the slot. One that hangs may be given up for it. */
void replay_place_open(struct replay_target *target, size_t slot);
/* It works; false: there are too many, it is to end at once. */
bool replay_place_ready(struct replay_target *target, size_t slot);
void replay_place_ended(struct replay_target *target, size_t slot);
void replay_place_forget(struct replay_target *target);

/* --- replay_pause.c ------------------------------------------------------ */

/* Takes what the store kept. */
void replay_pause_load(struct replay_target *target,
                       const struct target_health *health);
/* until_ms: wall time, 0: until it is resumed. */
void replay_pause_begin(struct replay_target *target, uint64_t until_ms,
                        struct view by, const char *reason);
/* It is not paused any more: tells so. */
void replay_pause_ended(struct replay_target *target);
void replay_pause_on_pause(struct peer_message *message);

/* --- replay_recovery.c: a target that has just returned ------------------ */

void replay_recovery_configure(struct replay_target *target,
                               const struct conf_target *conf);
/* Takes what the store kept. */
void replay_recovery_load(struct replay_target *target,
                          const struct target_health *health);
/* Its state is another one, and about to be kept. */
void replay_recovery_changed(struct replay_target *target,
                             enum target_state before);
/* Is it paused by its guard? */
bool replay_recovery_is_alarm(const struct replay_target *target);
/* What the target said of the job was judged. */
void replay_recovery_judged(const struct replay_job *job);
/* ... and is recorded. */
void replay_recovery_told(const struct replay_job *job);

/* --- replay_alarm.c: what is about to expire ------------------------------ */

/* What the target said of the job is recorded. */
void replay_alarm_told(const struct replay_job *job);
/* Before target->expiring is shown: what is gone meanwhile does not count. */
void replay_alarm_look(void);
void replay_alarm_forget(const struct replay_target *target);

/* --- replay_took.c ------------------------------------------------------- */

/* It took mail for the recipient. */
void replay_took_note(const struct replay_target *target,
                      struct view recipient);
/* Is it known that it did so before? */
bool replay_took(const struct replay_target *target, struct view recipient);

/* --- replay_limit.c: what the operator set for a time --------------------- */

struct replay_overrides;

/* The limit that holds now: the operator's, or else the configured one. */
uint64_t replay_limit_of(const struct replay_target *target,
                         enum target_limit_key key, uint64_t configured);
/* Takes what the store kept. */
void replay_limit_load(struct replay_target *target, struct view limits);
/* Appends them as they are kept, nothing where there are none. */
void replay_limit_encode(const struct replay_target *target, struct buf *out);
void replay_limit_free(struct replay_target *target);
void replay_limit_on_limit(struct peer_message *message);

/* --- replay_queue.c: which message next ---------------------------------- */

struct replay_queue *replay_queue_new(void);
void replay_queue_free(struct replay_queue **queue);
/* The rules of what goes first may be others: reads them. */
void replay_queue_rules(void);
/* The store announced it. */
void replay_queue_add(struct replay_target *target, uint64_t id);
/* Is it the flow of notices to senders? Those are left to the cursor. */
bool replay_queue_is_notice(struct view flow);
/* Were some passed over, since the last time this was asked? */
bool replay_queue_passed_notices(struct replay_target *target);
/* It was under way and is ready still: it goes next. */
void replay_queue_put_back(struct replay_target *target, uint64_t id);
/* The target takes no mail: what was live is backlog. */
void replay_queue_forget_live(struct replay_target *target);
/* The table may hold more than is known. */
void replay_queue_look(struct replay_target *target);
/* The same, and places in it that were passed are to be seen again. */
void replay_queue_again(struct replay_target *target);
/* Messages known to wait, without a look into the store. */
size_t replay_queue_known(const struct replay_target *target);
/* Looks into the store where none is known. */
size_t replay_queue_waiting(struct replay_target *target);
bool replay_queue_next(struct replay_target *target, uint64_t *id);
/* The one that came next was begun. */
void replay_queue_began(struct replay_target *target);

/* --- replay_work.c: jobs ------------------------------------------------- */

enum replay_said {
    SAID_NOTHING, /* not asked: the delivery stays as it is */
    SAID_WAITING, /* accepted at RCPT, the reply to the message is open */
    SAID_REPLY,   /* code and reply are the target's last word */
    SAID_US,      /* we do not send it there; code and reply say why */
    SAID_BROKEN,  /* the session ended with this message under way */
    SAID_UNKNOWN, /* it ended after the final dot, before the reply */
};

struct replay_try {
    uint64_t n;
    const struct delivery *row; /* in the job's message */
    enum replay_said said;
    bool at_rcpt;    /* the reply was one to RCPT */
    bool left_out;   /* not asked this time: LIMITS (RFC 9422) */
    bool dsn_passed; /* the target offers DSN: it has NOTIFY and ORCPT, and
                        answers for them once it took the message */
    uint64_t code;   /* 0 with SAID_BROKEN, unless a 421 came */
    char *reply;

    /* replay_outcome.c */
    uint64_t state; /* enum delivery_state it goes to; READY: no change */
    uint64_t next_ms;
    uint64_t untold; /* enum untold, with DROPPED */
    bool alarmed;    /* waits: hold-for is nearly over, and this is told now */
    bool told;       /* it is in the notice to the sender */
};

enum replay_job_state {
    JOB_TRYING,     /* a session has it */
    JOB_RECORDING,  /* OUTCOME was sent */
    JOB_UNRECORDED, /* OUTCOME is to be sent (again) when the store is there */
    JOB_STUCK,      /* a row or the content is damaged, or the store refused
                     * it: not tried again until the store announces it anew,
                     * or another replay is started. Only the key is left. */
    JOB_KEYLESS,    /* the same until its secret key comes: it is not here */
};

struct replay_job_key {
    uint64_t id;
    struct replay_target *target;
};

/* A notice to a sender, ready for the store. */
struct replay_notice {
    struct buf submit;   /* an encoded proto_submit, or empty */
    uint64_t id;         /* 0: there is none */
    struct seal_key key; /* how it is sealed; without the key itself */
};

#define REPLAY_TRIES_MAX                                                       \
    100 /* RFC 5321 4.5.3.1.8: every server takes these                        \
         */

struct replay_job {
    struct replay_job_key key;
    enum replay_job_state state;
    struct db_message message;
    struct replay_try *tries;
    size_t n_tries;
    bool more;    /* the message has further recipients at this target */
    bool damaged; /* its content cannot be read: see replay_job_damaged */
    char *remote; /* the host that was spoken to, for DSN and events */

    uint64_t when_ms; /* of the outcome */
    struct replay_notice notice;
    struct proto_result *results; /* of the OUTCOME, until it is recorded */
    size_t n_results;
    UT_hash_handle hh;
};

/* Is it under way to the target, or stuck? */
bool replay_job_is_known(struct replay_target *target, uint64_t id);
/* Or is it only known as one that cannot be sent? */
bool replay_job_is_under_way(const struct replay_target *target, uint64_t id);
/* Secret keys came: what waits for one is looked at again. */
void replay_job_keys_came(void);
/* How many messages wait, as far as known (0: none at all), and may go. */
size_t replay_work_waiting(struct replay_target *target);
/* The next message as a job; NULL: there is none after all. */
struct replay_job *replay_work_take(struct replay_target *target);

/* What became of a job: outcomes are judged and sent. Tries that all say
 * SAID_NOTHING put the message back. The job is the callee's. */
void replay_job_done(struct replay_job *job);
/* Its content is not what came in: told once, and nothing more is tried of it;
 * what the target said before of some recipients is recorded. The job goes
 * on to replay_job_done. */
void replay_job_damaged(struct replay_job *job, const char *reason);
/* Jobs of a target that goes. */
void replay_work_forget(struct replay_target *target);
/* Sends what could not be recorded so far. */
void replay_job_store_up(void);
size_t replay_job_count(void); /* jobs whose outcome is not recorded */
void replay_try_say(struct replay_try *attempt, enum replay_said said,
                    uint64_t code, struct view reply);

/* --- replay_route.c ------------------------------------------------------ */

#define REPLAY_ADDRESSES_MAX 16

struct replay_address {
    struct sockaddr_storage to;
    socklen_t to_len;
    unsigned group;   /* those of a lower one go first */
    char remote[256]; /* "mail.example.com" or "[192.0.2.1]" */
    char text[320];   /* "mail.example.com[192.0.2.1]:25" */
};

struct replay_found {
    const struct replay_address *addresses; /* to be tried in this order */
    size_t n;
    const char *reason; /* why there is none */
    bool refused;       /* ... for good: no mail is taken (RFC 7505) */
};

/* Valid until the callback returns. */
typedef void replay_route_fn(void *arg, const struct replay_found *found);

/* The target was checked with the rules of the configuration. */
struct replay_route *replay_route_new(const struct conf_target *target);
void replay_route_free(struct replay_route **route);
/* Calls back once, at once or after names were looked up. */
void replay_route_get(struct replay_route *route, replay_route_fn *fn,
                      void *arg);
void replay_route_forget(struct replay_route *route, const void *arg);
/* Names are looked up anew for the next connection, and TLS is tried again
 * where it failed: somebody says that something was put right. */
void replay_route_retry(struct replay_route *route);
/* An address failed or worked: failed ones are tried last for a while. */
void replay_route_report(struct replay_route *route,
                         const struct replay_address *address, bool worked);
/* What answers there is this server itself. true: it is an MX host, and those
 * that are not better are of no use either (RFC 5321 5.1). */
bool replay_route_is_self(struct replay_route *route,
                          const struct replay_address *address);

/* TLS failed there. Where it need not be, it is not tried for a while. */
void replay_route_no_tls(struct replay_route *route,
                         const struct replay_address *address);

/* --- replay_self.c ------------------------------------------------------- */

/* Would a connection there end up here? */
bool replay_self_is(const struct sockaddr *address);

/* --- replay_connect.c ---------------------------------------------------- */

struct io;
struct replay_connect;
/* io: it is there, and the callee's. io NULL: the address failed, with the
 * reason; then perhaps the next one. All NULL: none is left. connect may be
 * freed but for where an address failed. */
typedef void replay_connect_fn(void *arg, struct io *io,
                               const struct replay_address *address,
                               const char *reason);
/* The addresses are copied. */
struct replay_connect *
replay_connect_new(struct replay_target *target,
                   const struct replay_address *addresses, size_t n,
                   replay_connect_fn *fn, void *arg);
void replay_connect_free(struct replay_connect **connect);
/* Calls back with the next connection. */
void replay_connect_next(struct replay_connect *connect);
/* The same, but with an address that was handed over before. */
void replay_connect_again(struct replay_connect *connect,
                          const struct replay_address *address);

/* --- replay_reverse.c ---------------------------------------------------- */

/* The name of an address that leads back to it (PTR, then A or AAAA). name
 * NULL: there is none; or, temporary, nobody knows now. */
typedef void replay_reverse_fn(void *arg, const char *name, bool temporary);
/* Calls back once, at once or later; not after the forget. */
void replay_reverse(const struct sockaddr *address, replay_reverse_fn *fn,
                    void *arg);
void replay_reverse_forget(const void *arg);

/* --- replay_session.c ---------------------------------------------------- */

/* Fills the slot with a session that connects and greets; it reports
 * REPLAY_READY or REPLAY_FAILED, perhaps before the return. */
void replay_session_open(struct replay_target *target, size_t slot);
/* The target has other hosts now: a session that waits for addresses asks
 * again. */
void replay_session_reroute(struct replay_session *session);
/* Takes the job; the session was idle. */
void replay_session_give(struct replay_session *session,
                         struct replay_job *job);
void replay_session_quit(struct replay_session *session); /* it was idle */
void replay_session_abort(struct replay_session *session, const char *reason);
/* It was on its way for too long: that counts as a failure of the target. */
void replay_session_give_up(struct replay_session *session, const char *reason);

/* --- replay_content.c ---------------------------------------------------- */

struct replay_content;

/* chunked: for BDAT, as it is, without an end mark. */
struct replay_content *replay_content_new(const struct replay_job *job,
                                          bool chunked);
void replay_content_free(struct replay_content **content);
/* Appends the next piece as it goes over the wire. 1: there is more; 0: that
 * was the last, with the end mark; -1: a piece is missing or damaged and the
 * end mark (BDAT: the last chunk) must never be sent. */
int replay_content_next(struct replay_content *content, struct buf *out,
                        struct why *why);
/* db_read_message(), but not of one whose reading ended a process before
 * (reading.h): -1 then, too. */
int replay_read_message(uint64_t id, struct db_message *message,
                        struct why *why);
/* One piece, decoded, until the next call of this file. 1: *bytes is set, 0:
 * there is no such piece, -1: damaged, or the store cannot be read. */
int replay_content_piece(uint64_t id, const struct message *message, uint64_t n,
                         struct view *bytes, struct why *why);
/* The header block of a message, as far as its first piece has it. */
int replay_content_header(uint64_t id, const struct message *message,
                          struct buf *out, struct why *why);

/* The content as it came in, if it has max bytes at the most; else, or where a
 * piece cannot be read, its header block. 1: it is whole, 0: only the header
 * block, as far as its first piece has it, -1: not even that. */
int replay_content_original(uint64_t id, const struct message *message,
                            uint64_t max, struct buf *out, struct why *why);

/* --- replay_report.c: notices to senders; knows no connections either ---- */

/* RET=FULL brings the content back up to this size. */
#define REPLAY_REPORT_CONTENT_MAX (1024 * 1024)

enum replay_report_kind { REPORT_FAILURE, REPORT_DELAY, REPORT_SUCCESS };

/* Why the sender is not told of this recipient (enum untold); 0: he is. */
uint64_t replay_report_untold(const struct conf *conf,
                              const struct message *message,
                              const struct delivery *row,
                              enum replay_report_kind kind);
/* Where a notice goes: to the target of the sender's domain when it is ours,
 * else to the one that takes notices for the recipient's domain. An empty
 * view: nowhere. */
struct view replay_report_way_back(const struct conf *conf,
                                   const struct message *message,
                                   const struct delivery *row);

struct replay_report {
    const struct conf *conf;
    struct msgid_source *ids;
    uint64_t now_ms;
    uint64_t id; /* of the message it is about */
    const struct message *message;
    const struct dsn_recipient *recipients;
    size_t n_recipients;
    struct view target;   /* where it goes */
    struct view original; /* content, or its header block */
    bool whole;           /* all of it goes back */
};
/* Fills *notice, which was zero or cleared. */
void replay_report_write(const struct replay_report *report,
                         struct replay_notice *notice);
void replay_notice_clear(struct replay_notice *notice);

/* --- replay_delay.c: notices of delay ------------------------------------ */

/* The domains' warn-after, at first and when it is another. */
void replay_delay_configure(const struct conf *conf);
void replay_delay_store_up(void);

/* --- replay_notices.c ----------------------------------------------------- */

/* So many a minute, and no more than a second's worth at once. Pure: any clock
 * of milliseconds. Begins as {0}. */
struct replay_tokens {
    uint64_t a_minute;
    double level;
    int64_t at_ms;
};
void replay_tokens_set(struct replay_tokens *tokens, uint64_t a_minute,
                       int64_t now_ms);
/* 0: one may be taken. */
int64_t replay_tokens_wait_ms(const struct replay_tokens *tokens,
                              int64_t now_ms);
void replay_tokens_take(struct replay_tokens *tokens, int64_t now_ms);

void replay_notices_configure(const struct conf *conf);
/* May a notice to a sender go now? If not, queues that passed some over are
 * told when. */
bool replay_notices_may_go(void);
void replay_notices_went(void); /* one was taken */

/* --- replay_return.c ------------------------------------------------------ */

void replay_return_on_return(struct peer_message *message);
/* Is it just being given back to its sender? Then it is not to be begun, and
 * comes again if something of it stays. */
bool replay_return_keeps(uint64_t id);
/* Some target takes mail again. */
void replay_delay_target_up(void);

/* --- replay_outcome.c: knows neither connections nor the loop ------------ */

struct replay_rules {
    const struct conf *conf;
    uint64_t now_ms;
    uint64_t reach_ms; /* of the target, now */
    uint64_t retry_min_ms;
    uint64_t retry_max_ms;
    uint64_t unknown_retry_ms;
    bool guarded; /* what is refused for good is kept back, nothing expires */
    uint64_t *random;
    struct msgid_source *ids;
};

/* An alarm tells of a delivery when the last such part of hold-for begins, and
 * it expires this part after the alarm at the earliest. */
#define REPLAY_ALARM_PART 10

/* Does it say that the target has enough? Then it is given less; a refusal
 * that is about the message or a recipient says nothing of that. */
bool replay_outcome_is_distress(const struct replay_try *attempt);
/* Decides for each try; true: a DSN is due, and replay_outcome_return must
 * follow. */
bool replay_outcome_judge(struct replay_job *job,
                          const struct replay_rules *rules);
/* Does the notice bring all of the message back (RFC 3461 4.3)? */
bool replay_outcome_wants_whole(const struct replay_job *job);
/* Writes job->notice. original is the content (whole) or its header block. */
void replay_outcome_return(struct replay_job *job,
                           const struct replay_rules *rules,
                           struct view original, bool whole);
/* Fills job->results. */
void replay_outcome_results(struct replay_job *job);
/* Events and counters of what was decided; after the store recorded it. */
void replay_outcome_tell(const struct replay_job *job);

/* --- replay_train.c --------------------------------------------------------
 */

struct peer_message;
void replay_train_on_train(struct peer_message *message);

/* --- replay_key.c ----------------------------------------------------------
 */

struct peer_message;
void replay_key_on_pairs(struct peer_message *message);
/* The key of the message's pieces. 1: key is set; 0: it is not sealed; -1: it
 * cannot be had (*why). */
int replay_key_of(const struct message *message, char key[SEAL_KEY],
                  struct why *why);
/* Could it be had? 1: yes; 0: not yet, PAIRS must come first; -1: no. */
int replay_key_check(const struct message *message, struct why *why);

#endif
