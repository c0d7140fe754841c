/* SPDX-License-Identifier: ISC */
/*
 * Signing in: LOGIN, and AUTHENTICATE with PLAIN (RFC 4616) and LOGIN, the
 * initial response with the command or after a "+" (RFC 4959). Passwords are
 * taken under TLS and from this host only; whether one is right says the auth
 * role, in its own time.
 */
#include <stdlib.h>

#include "imap.h"
#include "io.h"
#include "mem.h"

#define RESPONSE_MAX 2048 /* a line of AUTHENTICATE */
/* Wrong passwords before the connection ends. */
#define FAILURES_MAX 3

enum login_mechanism { LOGIN_PLAIN, LOGIN_LOGIN };

struct login_job {
    enum login_mechanism mechanism;
    struct buf name; /* LOGIN has told it */
    bool has_name;
};

static void
wipe(struct buf *buf)
{
    if (buf->cap > 0)
        explicit_bzero(buf->data, buf->cap);
    buf_free(buf);
}

static void
job_free(void *arg)
{
    struct login_job *job = arg;

    wipe(&job->name);
    free(job);
}

/* --- the answer of the auth role ------------------------------------------ */

static void
fail(struct imap_session *session, const struct proto_login_result *result)
{
    bool wrong = result != NULL && result->result == LOGIN_WRONG;
    const char *code = wrong ? "AUTHENTICATIONFAILED" : "UNAVAILABLE";

    if (result != NULL && result->text.len > 0)
        imap_session_finishf(session, "NO", "[%s] %.*s", code,
                             (int)result->text.len, result->text.data);
    else
        imap_session_finishf(session, "NO", "[%s] %s", code,
                             wrong ? "The name or the password is wrong"
                                   : "Signing in is not possible now, try "
                                     "again");
    if (wrong && ++session->failed_logins >= FAILURES_MAX &&
        session->state != IMAP_OVER)
        imap_session_bye(session, "too many wrong passwords");
}

static void
on_answer(void *arg, struct peer_message *answer)
{
    struct imap_session *session = arg;
    const struct proto_login_result *result =
        answer != NULL ? answer->payload : NULL;
    struct buf capability = {0};
    const char *refusal;

    buf_reset(&imap.out);
    if (result == NULL || result->result != LOGIN_OK) {
        fail(session, result);
        return;
    }
    session->user = imap_user_enter(result, &refusal);
    if (session->user == NULL) {
        imap_session_finish(session, "NO", refusal);
        return;
    }
    session->state = IMAP_AUTH;
    imap_run_capability(session, &capability);
    imap_session_finishf(session, "OK", "[CAPABILITY %.*s] Welcome",
                         (int)capability.len, capability.data);
    buf_free(&capability);
}

static enum imap_step
wait_step(struct imap_session *session)
{
    (void)session;
    return IMAP_STEP_WAIT;
}

static const struct imap_job_kind wait_kind = {.step = wait_step};

static void
ask(struct imap_session *session, struct view name, struct view password)
{
    struct proto_login login = {.name = name,
                                .password = password,
                                .client = view_of(session->address),
                                .beside =
                                    imap_user_is_here(name, session->address)};

    imap_session_begin(session, &wait_kind, NULL);
    peer_call(ROLE_AUTH, PROTO_LOGIN, &login, -1, on_answer, session);
}

/* True: it was answered. */
static bool
is_refused(struct imap_session *session)
{
    if (session->tls || session->is_loopback)
        return false;
    imap_session_finish(session, "NO",
                        "[PRIVACYREQUIRED] Your program must use TLS "
                        "(STARTTLS, or port 993) before it sends a password");
    return true;
}

void
imap_run_login(struct imap_session *session)
{
    const struct imap_command *command = session->command;
    struct buf *text = &session->reader.command;
    size_t at = (size_t)(command->first.data - text->data);

    if (!is_refused(session))
        ask(session, command->first, command->second);
    /* The answer needs the tag alone, which stands before the name. */
    if (session->state != IMAP_OVER)
        explicit_bzero(text->data + at, text->len - at);
}

/* --- AUTHENTICATE --------------------------------------------------------- */

static int
digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

/* Strict base64 with padding (RFC 4648 4). */
static int
decode(struct view text, struct buf *out)
{
    if (text.len % 4 != 0)
        return -1;
    for (size_t i = 0; i < text.len; i += 4) {
        bool last = i + 4 == text.len;
        unsigned pad =
            last ? (text.data[i + 3] == '=') +
                       (text.data[i + 3] == '=' && text.data[i + 2] == '=')
                 : 0;
        uint32_t bits = 0;

        for (unsigned k = 0; k < 4; k++) {
            int digit = k >= 4 - pad ? 0 : digit_of(text.data[i + k]);

            if (digit < 0)
                return -1;
            bits = bits << 6 | (uint32_t)digit;
        }
        for (unsigned k = 0; k < 3 - pad; k++)
            buf_add_byte(out, (uint8_t)(bits >> (16 - 8 * k)));
    }
    return 0;
}

/* authzid NUL authcid NUL password. Acting for somebody else is not
 * possible: authzid is empty or the same. */
static bool
split_plain(struct view plain, struct view *name, struct view *password)
{
    const char *first =
        plain.len > 0 ? memchr(plain.data, '\0', plain.len) : NULL;
    const char *second;
    struct view zid;

    if (first == NULL)
        return false;
    zid = (struct view){plain.data, (size_t)(first - plain.data)};
    plain = view_skip(plain, zid.len + 1);
    second = plain.len > 0 ? memchr(plain.data, '\0', plain.len) : NULL;
    if (second == NULL)
        return false;
    *name = (struct view){plain.data, (size_t)(second - plain.data)};
    *password = view_skip(plain, name->len + 1);
    return memchr(password->data, '\0', password->len) == NULL &&
           (zid.len == 0 || view_equal(zid, *name));
}

/* A response in clear. */
static void
take_response(struct imap_session *session, struct view plain)
{
    struct login_job *job = session->job;
    struct view name, password;
    struct buf kept;

    if (job->mechanism == LOGIN_PLAIN) {
        if (!split_plain(plain, &name, &password)) {
            imap_session_finish(session, "BAD", "that is not PLAIN");
            return;
        }
        session->kind = NULL;
        session->job = NULL;
        ask(session, name, password);
        job_free(job);
        return;
    }
    if (!job->has_name) {
        buf_add_view(&job->name, plain);
        job->has_name = true;
        io_write(session->io, VIEW("+ UGFzc3dvcmQ6\r\n")); /* Password: */
        return;
    }
    kept = job->name;
    job->name = (struct buf){0};
    job_free(job);
    session->kind = NULL;
    session->job = NULL;
    ask(session, buf_view(&kept), plain);
    wipe(&kept);
}

static void
take_line(struct imap_session *session, struct view line)
{
    struct buf plain = {0};

    buf_reset(&imap.out);
    if (view_equal(line, VIEW("*")))
        imap_session_finish(session, "BAD", "given up");
    else if (decode(line, &plain) != 0)
        imap_session_finish(session, "BAD", "that is not base64");
    else
        take_response(session, buf_view(&plain));
    wipe(&plain);
}

static size_t
login_input(struct imap_session *session, struct view bytes)
{
    const char *lf = memchr(bytes.data, '\n', bytes.len);
    size_t len = lf != NULL ? (size_t)(lf - bytes.data) : bytes.len;

    if (len > RESPONSE_MAX || (lf != NULL && (len == 0 || lf[-1] != '\r'))) {
        imap_session_bye(session, "a line that is too long, or none");
        return 0;
    }
    if (lf == NULL)
        return 0;
    take_line(session, (struct view){bytes.data, len - 1});
    return len + 1;
}

static const struct imap_job_kind login_kind = {wait_step, job_free,
                                                login_input};

void
imap_run_authenticate(struct imap_session *session)
{
    const struct imap_command *command = session->command;
    struct login_job *job;
    bool is_plain = view_equal_nocase(command->first, VIEW("PLAIN"));
    struct view initial = command->second;

    if (is_refused(session))
        return;
    if (!is_plain && !view_equal_nocase(command->first, VIEW("LOGIN"))) {
        imap_session_finish(session, "NO",
                            "[CANNOT] There is PLAIN and LOGIN here");
        return;
    }
    job = mem_alloc(sizeof(*job));
    job->mechanism = is_plain ? LOGIN_PLAIN : LOGIN_LOGIN;
    imap_session_begin(session, &login_kind, job);
    imap_session_mode(session, IMAP_MODE_LINE);
    if (initial.data == NULL) {
        io_write(session->io,
                 is_plain ? VIEW("+ \r\n") : VIEW("+ VXNlcm5hbWU6\r\n"));
        return;
    }
    if (view_equal(initial, VIEW("=")))
        initial.len = 0;
    take_line(session, initial);
    if (initial.len > 0 && session->state != IMAP_OVER)
        explicit_bzero(session->reader.command.data +
                           (initial.data - session->reader.command.data),
                       initial.len);
}
