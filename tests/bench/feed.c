/* SPDX-License-Identifier: ISC */
/*
 * feed: sends a file of messages over SMTP and says how long each waited
 * from its final dot to the 250.
 *
 *     feed SESSIONS COUNT PORT FILE
 *
 * COUNT messages go to a server on loopback, taken from FILE in turn and
 * from its start again. Each session is a thread with one connection: it
 * sends MAIL, RCPT and DATA in one piece, then the content, and waits for
 * the 250 before it takes the next message. The clock of a message starts
 * before the call that hands its content, final dot included, to the
 * kernel. Any other reply than the expected one ends the program.
 */
#include "mails.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct load { /* shared by all sessions */
    struct mails mails;
    size_t count;
    uint16_t port;
    atomic_size_t next; /* the first message nobody took yet */
    uint64_t *took_ns;  /* for each message */
};

struct session {
    struct load *load;
    pthread_t thread;
    int fd;
    size_t bytes; /* in in[]: replies not looked at yet */
    char in[4096];
};

static void
session_send(struct session *session, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(session->fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0)
            err(1, "send");
        bytes += sent;
        count -= (size_t)sent;
    }
}

/* Takes one line off in[], reading as needed; whether it is a reply's last. */
static bool
session_line(struct session *session, const char *code)
{
    char *end;

    while ((end = memchr(session->in, '\n', session->bytes)) == NULL) {
        ssize_t got = recv(session->fd, session->in + session->bytes,
                           sizeof(session->in) - session->bytes, 0);
        if (got <= 0)
            errx(1, "the server closed the connection");
        session->bytes += (size_t)got;
    }
    size_t line = (size_t)(end - session->in) + 1;
    if (line < 5 || memcmp(session->in, code, 3) != 0)
        errx(1, "wanted %s, got %.*s", code, (int)line, session->in);
    bool last = session->in[3] != '-';
    session->bytes -= line;
    memmove(session->in, end + 1, session->bytes);
    return last;
}

static void
session_expect(struct session *session, const char *code)
{
    while (!session_line(session, code))
        continue;
}

static void
session_connect(struct session *session)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(session->load->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int one = 1;

    session->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (session->fd < 0 ||
        setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) <
            0 ||
        connect(session->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        err(1, "connect");
    session_expect(session, "220");
    session_send(session, "EHLO feed.test\r\n", 16);
    session_expect(session, "250");
}

static void
session_mail(struct session *session, const struct mail *mail, size_t number)
{
    char envelope[1024];
    int bytes = snprintf(envelope, sizeof(envelope),
                         "MAIL FROM:<%.*s>\r\nRCPT TO:<%.*s>\r\nDATA\r\n",
                         (int)mail->sender_bytes, mail->sender,
                         (int)mail->recipient_bytes, mail->recipient);

    if (bytes < 0 || (size_t)bytes >= sizeof(envelope))
        errx(1, "an address is too long");
    session_send(session, envelope, (size_t)bytes);
    session_expect(session, "250");
    session_expect(session, "250");
    session_expect(session, "354");
    uint64_t start_ns = mails_now_ns();
    session_send(session, mail->content, mail->content_bytes);
    session_expect(session, "250");
    session->load->took_ns[number] = mails_now_ns() - start_ns;
}

static void *
session_run(void *argument)
{
    struct session *session = argument;
    struct load *load = session->load;
    size_t number;

    session_connect(session);
    while ((number = atomic_fetch_add(&load->next, 1)) < load->count)
        session_mail(session, &load->mails.list[number % load->mails.count],
                     number);
    session_send(session, "QUIT\r\n", 6);
    session_expect(session, "221");
    close(session->fd);
    return NULL;
}

int
main(int argc, char **argv)
{
    static struct load load;

    if (argc != 5)
        errx(2, "usage: feed SESSIONS COUNT PORT FILE");
    size_t count = mails_number(argv[1]);
    struct session *sessions = calloc(count, sizeof(*sessions));
    load.count = mails_number(argv[2]);
    load.port = (uint16_t)mails_number(argv[3]);
    load.took_ns = calloc(load.count, sizeof(*load.took_ns));
    if (sessions == NULL || load.took_ns == NULL)
        err(1, "calloc");
    mails_load(&load.mails, argv[4]);

    uint64_t start_ns = mails_now_ns();
    for (size_t i = 0; i < count; i++) {
        sessions[i].load = &load;
        if (pthread_create(&sessions[i].thread, NULL, session_run,
                           &sessions[i]) != 0)
            errx(1, "no thread");
    }
    for (size_t i = 0; i < count; i++)
        pthread_join(sessions[i].thread, NULL);
    mails_report(load.took_ns, load.count, mails_now_ns() - start_ns);
    return 0;
}
