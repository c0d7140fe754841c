/* SPDX-License-Identifier: ISC */
/*
 * One attempt to sign in. What counts, in this order: who was right minutes
 * ago; an access code; the hashes the operator gave; the primary, while it
 * can be asked, whose refusal is final; what was learned from it, while it
 * cannot. Names that are not there take the same way and the same time, and
 * a refusal leaves at whole half seconds, so that nothing can be told from
 * when it comes.
 *
 * Being remembered saves the hashing, never the question to the primary. And
 * a code is used up by the first sign-in: what is remembered of it only opens
 * more connections beside that one, from the same client.
 *
 * Before: imap (LOGIN)   After: store_user.c (SIGN_IN), imap (LOGIN_RESULT)
 */
#include <sys/queue.h>

#include <stdlib.h>

#include "auth.h"
#include "clock.h"
#include "event.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "peer.h"

#define ATTEMPTS_MAX 500 /* waiting or under way */
/* Of one client: so that nobody fills all places with guesses. */
#define CLIENT_MAX 100
/* Of one client at the same moment; for each so many more the next waits a
 * second, since what it guesses side by side is not known to be wrong yet. */
#define CLIENT_AT_ONCE 8
#define REFUSE_STEP    500 /* ms */
/* A learned hash is written anew when it is this old: a write a day. */
#define LEARN_AGAIN_MS (UINT64_C(24) * 3600 * 1000)

struct attempt {
    LIST_ENTRY(attempt) link;
    uint64_t call;
    unsigned generation; /* of the imap role that asked */
    int64_t start_ms;
    struct loop_timer *timer; /* its wait, then the moment of its refusal */
    char name[ACCOUNT_NAME_MAX];
    size_t name_len; /* 0: no name */
    char client[64];
    size_t client_len;
    uint64_t client_key;
    char token[PASSWORD_TOKEN];
    char code_token[PASSWORD_TOKEN]; /* of the client and the password */
    bool is_code;
    bool beside; /* the same client has a session open */
    enum auth_right remembered;
    char pattern[MAILBOX_ADDRESS_MAX]; /* what a new user may read */
    size_t pattern_len;                /* 0: nobody new */
    struct account account;            /* number 0: nobody */
    struct buf memory;                 /* its views */
    struct auth_job job;               /* has the password */
    const char *how;                   /* for the log */
};

static struct {
    const struct conf *conf;
    struct db *db;
    struct auth_guess *guess;
    LIST_HEAD(, attempt) list;
    size_t attempts;
    unsigned generation;
} login;

static void attempt_free(void *arg);

static struct view
name_of(const struct attempt *attempt)
{
    return (struct view){attempt->name, attempt->name_len};
}

static struct view
client_of(const struct attempt *attempt)
{
    return (struct view){attempt->client, attempt->client_len};
}

static struct view
password_of(const struct attempt *attempt)
{
    return (struct view){attempt->job.password, attempt->job.password_len};
}

/* --- answers ----------------------------------------------------------------
 */

static void
log_result(const struct attempt *attempt, enum event_kind kind,
           const char *field, const char *text)
{
    struct event event;

    event_begin(&event, kind);
    event_view(&event, "user", name_of(attempt));
    event_view(&event, "client", client_of(attempt));
    event_text(&event, field, text);
    event_end(&event);
}

static void
answer(struct attempt *attempt, const struct proto_login_result *result)
{
    /* The same number means another call to an imap role that is new. */
    if (attempt->generation == login.generation)
        peer_answer(ROLE_IMAP, attempt->call, PROTO_LOGIN_RESULT, result);
    loop_defer(attempt_free, attempt);
}

/* Another when the operator changed something, or another password was
 * learned: then what is remembered does not count. */
static uint64_t
state_of(const struct account *account)
{
    return account->version + account->learned_ms;
}

static void
accept_now(struct attempt *attempt, enum auth_right by)
{
    const struct account *account = &attempt->account;
    struct proto_login_result result = {.result = LOGIN_OK,
                                        .user = account->number,
                                        .version = account->version,
                                        .name = account->name,
                                        .patterns = account->patterns};

    auth_guess_right(login.guess,
                     by == AUTH_RIGHT_CODE ? attempt->code_token
                                           : attempt->token,
                     account->number, state_of(account), by, loop_now_ms());
    log_result(attempt, EVENT_LOGIN, "how", attempt->how);
    answer(attempt, &result);
}

static void
busy(struct attempt *attempt, const char *reason)
{
    struct proto_login_result result = {
        .result = LOGIN_BUSY,
        .text = VIEW("signing in is not possible right now, try again soon")};

    log_result(attempt, EVENT_LOGIN_REFUSED, "reason", reason);
    answer(attempt, &result);
}

static void
refuse_now(void *arg)
{
    struct proto_login_result result = {
        .result = LOGIN_WRONG, .text = VIEW("wrong user name or password")};

    answer(arg, &result);
}

static void
refuse(struct attempt *attempt, const char *reason)
{
    int64_t spent_ms = loop_now_ms() - attempt->start_ms;
    int64_t at_ms = (spent_ms / REFUSE_STEP + 1) * REFUSE_STEP;

    auth_guess_wrong(login.guess, client_of(attempt), name_of(attempt),
                     loop_now_ms());
    log_result(attempt, EVENT_LOGIN_REFUSED, "reason", reason);
    loop_timer_free(&attempt->timer);
    attempt->timer = loop_timer_new(refuse_now, attempt);
    loop_timer_set(attempt->timer, (uint64_t)(at_ms - spent_ms));
}

static void
attempt_free(void *arg)
{
    struct attempt *attempt = arg;

    LIST_REMOVE(attempt, link);
    login.attempts--;
    peer_forget(attempt);
    loop_timer_free(&attempt->timer);
    record_clear(&account_record, &attempt->account);
    buf_free(&attempt->memory);
    password_wipe(attempt, sizeof(*attempt));
    free(attempt);
}

/* --- the account ------------------------------------------------------------
 */

/* Reads it (again). -1: the store failed. */
static int
load_account(struct attempt *attempt)
{
    struct why why;
    int found;

    record_clear(&account_record, &attempt->account);
    if (attempt->name_len == 0)
        return 0;
    found = db_read_account_named(login.db, name_of(attempt), &attempt->account,
                                  &attempt->memory, &why);
    if (found < 0)
        log_warn("%s", why.text);
    return found;
}

/* Whom a name stands for that nobody has yet: an address of a domain that is
 * ours, or a name that becomes one where there is only one domain. Nothing
 * that would be a pattern of several. */
static void
make_pattern(struct attempt *attempt)
{
    const struct conf_domain *domains = login.conf->domains.items;
    struct view name = name_of(attempt);
    struct buf address = {0};
    const char *at;

    attempt->pattern_len = 0;
    if (name.len == 0 || memchr(name.data, '*', name.len) != NULL)
        return;
    buf_add_view(&address, name);
    if (memchr(name.data, '@', name.len) == NULL &&
        login.conf->domains.count == 1) {
        buf_add_byte(&address, '@');
        buf_add_view(&address, domains[0].name);
    }
    at = memrchr(address.data, '@', address.len);
    if (at != NULL &&
        conf_domain_by_name(login.conf,
                            view_skip(buf_view(&address),
                                      (size_t)(at - address.data) + 1)) != NULL)
        attempt->pattern_len =
            mailbox_address(buf_view(&address), attempt->pattern);
    buf_free(&address);
}

/* --- the store is told -------------------------------------------------------
 */

static void
on_signed_in(void *arg, struct peer_message *message)
{
    struct attempt *attempt = arg;
    const struct proto_done *done = message != NULL ? message->payload : NULL;

    if (done == NULL)
        busy(attempt, "the store is away");
    else if (!done->done)
        refuse(attempt, "the access code was used already");
    else if (load_account(attempt) == 1)
        accept_now(attempt,
                   attempt->is_code ? AUTH_RIGHT_CODE : AUTH_RIGHT_UPSTREAM);
    else
        busy(attempt, "the account cannot be read");
}

static void
tell_store(struct attempt *attempt, enum sign_in_what what, struct view hash,
           peer_answer_fn *fn)
{
    struct proto_sign_in request = {
        .what = what,
        .when_ms = (uint64_t)clock_wall_ms(),
        .name = name_of(attempt),
        .hash = hash,
        .pattern = {attempt->pattern, attempt->pattern_len}};

    if (fn != NULL)
        peer_call(ROLE_STORE, PROTO_SIGN_IN, &request, -1, fn, attempt);
    else
        peer_send(ROLE_STORE, PROTO_SIGN_IN, &request, -1);
}

/* --- the steps ---------------------------------------------------------------
 */

static void
add_hash(struct auth_job *job, struct view hash)
{
    if (hash.len == 0 || hash.len >= PASSWORD_HASH_MAX ||
        job->n_hashes == ACCOUNT_HASHES_MAX)
        return;
    memcpy(job->hashes[job->n_hashes], hash.data, hash.len);
    job->hashes[job->n_hashes++][hash.len] = '\0';
}

static void
start_job(struct attempt *attempt, bool wants_hash, void (*done)(void *arg))
{
    struct auth_job *job = &attempt->job;

    job->wants_hash = wants_hash;
    job->right = false;
    job->made[0] = '\0';
    job->done = done;
    job->arg = attempt;
    auth_worker_add(job);
}

static bool
learned_is_good(const struct attempt *attempt)
{
    const struct account *account = &attempt->account;
    uint64_t now_ms = (uint64_t)clock_wall_ms();

    return account->learned.len > 0 &&
           account->learned_ms + login.conf->auth_learned_for_ms > now_ms;
}

/* The primary took it; the hash of it is there if none was right. */
static void
on_learned(void *arg)
{
    struct attempt *attempt = arg;
    const struct account *account = &attempt->account;
    bool fresh =
        account->learned_ms + LEARN_AGAIN_MS > (uint64_t)clock_wall_ms();

    attempt->how = "upstream";
    if (attempt->job.right && fresh)
        accept_now(attempt, AUTH_RIGHT_UPSTREAM);
    else if (attempt->job.right)
        tell_store(attempt, SIGN_LEARN, account->learned, on_signed_in);
    else if (attempt->job.made[0] != '\0')
        tell_store(attempt, SIGN_LEARN, view_of(attempt->job.made),
                   on_signed_in);
    else
        busy(attempt, "no memory for a hash");
}

static void
on_learned_verified(void *arg)
{
    struct attempt *attempt = arg;

    attempt->how = "learned";
    if (attempt->job.right)
        accept_now(attempt, AUTH_RIGHT_UPSTREAM);
    else
        refuse(attempt, "wrong password, and the primary cannot be asked");
}

/* The primary refused it. What was learned is forgotten only where it is this
 * password: others' guesses must not take a user's sign-in from him. */
static void
on_refused_verified(void *arg)
{
    struct attempt *attempt = arg;

    if (attempt->job.right)
        tell_store(attempt, SIGN_FORGET, (struct view){0}, NULL);
    refuse(attempt, "the primary refused it");
}

/* The job's end without its work, where the outcome is remembered. */
static void
skip_job(struct attempt *attempt, void (*done)(void *arg))
{
    attempt->job.right = true;
    attempt->job.made[0] = '\0';
    done(attempt);
}

static void
on_upstream(void *arg, enum auth_upstream said, const char *reason)
{
    struct attempt *attempt = arg;
    const struct account *account = &attempt->account;
    bool is_known = attempt->remembered == AUTH_RIGHT_UPSTREAM;

    attempt->job.n_hashes = 0;
    if (said != AUTH_UPSTREAM_GONE || learned_is_good(attempt))
        add_hash(&attempt->job, account->learned);
    is_known = is_known && attempt->job.n_hashes > 0;
    log_debug("auth-upstream: %s", reason);
    switch (said) {
    case AUTH_UPSTREAM_YES:
        if (is_known)
            skip_job(attempt, on_learned);
        else
            start_job(attempt, true, on_learned);
        break;
    case AUTH_UPSTREAM_NO:
        start_job(attempt, false, on_refused_verified);
        break;
    case AUTH_UPSTREAM_GONE:
        if (is_known)
            skip_job(attempt, on_learned_verified);
        else
            start_job(attempt, false, on_learned_verified);
    }
}

static void
on_verified(void *arg)
{
    struct attempt *attempt = arg;

    attempt->how = "password";
    if (attempt->job.right) {
        accept_now(attempt, AUTH_RIGHT_HASH);
        return;
    }
    make_pattern(attempt);
    if (!auth_upstream_is_set() ||
        (attempt->account.number == 0 && attempt->pattern_len == 0) ||
        memchr(password_of(attempt).data, '\0', password_of(attempt).len) !=
            NULL)
        refuse(attempt, attempt->account.number == 0 ? "there is no such user"
                                                     : "wrong password");
    else
        auth_upstream_ask(name_of(attempt), password_of(attempt), on_upstream,
                          attempt);
}

/* Is it an access code that is open? */
static bool
use_code(struct attempt *attempt)
{
    const struct account_code *codes = attempt->account.codes.items;
    char hash[PASSWORD_CODE_HASH];
    struct view wanted = {hash, sizeof(hash)};

    if (password_code_hash(password_of(attempt), hash) != 0)
        return false;
    for (size_t i = 0; i < attempt->account.codes.count; i++)
        if (view_equal(codes[i].hash, wanted)) {
            attempt->how = "code";
            attempt->is_code = true;
            tell_store(attempt, SIGN_CODE, wanted, on_signed_in);
            return true;
        }
    return false;
}

/* The wait is over. */
static void
look(void *arg)
{
    struct attempt *attempt = arg;
    const struct account_text *hashes;

    if (load_account(attempt) < 0) {
        busy(attempt, "the account cannot be read");
        return;
    }
    if (use_code(attempt))
        return;
    hashes = attempt->account.hashes.items;
    for (size_t i = 0; i < attempt->account.hashes.count; i++)
        add_hash(&attempt->job, hashes[i].text);
    start_job(attempt, false, on_verified);
}

/* --- LOGIN ------------------------------------------------------------------
 */

static struct attempt *
attempt_new(const struct peer_message *message)
{
    const struct proto_login *request = message->payload;
    struct attempt *attempt = mem_alloc(sizeof(*attempt));

    login.attempts++;
    LIST_INSERT_HEAD(&login.list, attempt, link);
    attempt->call = message->call;
    attempt->generation = login.generation;
    attempt->start_ms = loop_now_ms();
    attempt->name_len = account_name(request->name, attempt->name);
    if (request->client.len > 0 &&
        request->client.len < sizeof(attempt->client)) {
        attempt->client_len = request->client.len;
        memcpy(attempt->client, request->client.data, request->client.len);
    }
    if (request->password.len > 0 && request->password.len <= PASSWORD_MAX) {
        attempt->job.password_len = request->password.len;
        memcpy(attempt->job.password, request->password.data,
               request->password.len);
    }
    attempt->client_key = auth_guess_client(client_of(attempt));
    attempt->beside = request->beside != 0;
    password_token(name_of(attempt), password_of(attempt), attempt->token);
    password_token(client_of(attempt), password_of(attempt),
                   attempt->code_token);
    return attempt;
}

/* By what he was right minutes ago, with an account that is still the same. */
static enum auth_right
remembered(const struct attempt *attempt)
{
    const struct account *account = &attempt->account;
    enum auth_right by =
        auth_guess_is_right(login.guess, attempt->token, account->number,
                            state_of(account), loop_now_ms());

    if (by == AUTH_RIGHT_NONE && attempt->beside)
        by = auth_guess_is_right(login.guess, attempt->code_token,
                                 account->number, state_of(account),
                                 loop_now_ms());
    if (by == AUTH_RIGHT_UPSTREAM && !auth_upstream_is_set())
        by = AUTH_RIGHT_NONE;
    return by;
}

/* How many of the same client are there, with this one. */
static size_t
count_of_client(const struct attempt *attempt)
{
    const struct attempt *other;
    size_t n = 0;

    LIST_FOREACH (other, &login.list, link)
        n += other->client_key == attempt->client_key;
    return n;
}

static void
wait_for_turn(struct attempt *attempt, size_t of_client)
{
    uint64_t wait_ms = auth_guess_wait_ms(login.guess, client_of(attempt),
                                          name_of(attempt), loop_now_ms());

    attempt->timer = loop_timer_new(look, attempt);
    loop_timer_set(attempt->timer, wait_ms + of_client / CLIENT_AT_ONCE * 1000);
}

/* He does not wait. */
static void
welcome_back(struct attempt *attempt)
{
    attempt->how = "again";
    if (attempt->remembered == AUTH_RIGHT_UPSTREAM)
        auth_upstream_ask(name_of(attempt), password_of(attempt), on_upstream,
                          attempt);
    else
        accept_now(attempt, attempt->remembered);
}

void
auth_on_login(struct peer_message *message)
{
    const struct proto_login *request = message->payload;
    struct attempt *attempt = attempt_new(message);
    size_t of_client = count_of_client(attempt);

    if (load_account(attempt) == 1)
        attempt->remembered = remembered(attempt);
    if (attempt->remembered != AUTH_RIGHT_NONE) {
        welcome_back(attempt);
    } else if (login.attempts > ATTEMPTS_MAX || of_client > CLIENT_MAX) {
        busy(attempt, "too many are waiting");
    } else if (request->password.len == 0 ||
               request->password.len > PASSWORD_MAX) {
        refuse(attempt, "no password");
    } else {
        wait_for_turn(attempt, of_client);
    }
}

void
auth_login_imap_lost(void)
{
    login.generation++;
}

void
auth_login_start(struct db *db)
{
    login.db = db;
    login.guess = auth_guess_new();
}

void
auth_login_configure(const struct conf *conf)
{
    login.conf = conf;
}
