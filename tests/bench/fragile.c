/* SPDX-License-Identifier: ISC */
/*
 * fragile: an SMTP server that must be handled with care.
 *
 *     fragile PORT LOG [CONNECTIONS SLOW FALLS]
 *
 * It answers 421 to the connection after CONNECTIONS (8). A message takes 5
 * ms; where more than SLOW (200) came within the last second, it takes longer,
 * the more so the more there were. After more than FALLS (400) messages and
 * connections within a second it falls over: everything is dropped and nobody
 * listens for half a minute. 0 for SLOW and FALLS: it is only counted.
 *
 * Each message is a line of LOG: when it was taken (CLOCK_MONOTONIC, in ns)
 * and its sender. SIGTERM ends it with a JSON object: how it was treated.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS   1024
#define NS_A_MS   INT64_C(1000000)
#define NS_A_S    INT64_C(1000000000)
#define SERVICE   (5 * NS_A_MS)
#define SLOW_BY   50 /* times the service, at twice the rate */
#define DOWN      (30 * NS_A_S)
#define WINDOW    4096 /* of what came within the last second */
#define INPUT_MAX 65536

struct client {
    int fd; /* -1: free */
    bool data;
    bool refused;   /* has no place; its 421 is on its way */
    int64_t due_ns; /* the reply to the final dot; 0: none is due */
    char sender[256];
    size_t bytes;
    char in[INPUT_MAX];
};

static struct {
    struct client clients[CLIENTS];
    size_t served;
    uint16_t port;
    int listener; /* -1: it has fallen */
    int64_t down_until_ns;
    size_t most;
    size_t slow;
    size_t falls_from;
    int64_t came_ns[2][WINDOW]; /* messages; messages and connections */
    size_t came[2];
    FILE *log;
    uint64_t connections, refused, messages, falls, peak;
} sink;

static volatile sig_atomic_t stopped;

static int64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_A_S + now.tv_nsec;
}

static void
on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/* --- the last second ----------------------------------------------------- */

static void
count(unsigned what, int64_t at_ns)
{
    sink.came_ns[what][sink.came[what]++ % WINDOW] = at_ns;
}

static size_t
within_a_second(unsigned what, int64_t at_ns)
{
    size_t n = 0;

    while (n < sink.came[what] && n < WINDOW &&
           sink.came_ns[what][(sink.came[what] - 1 - n) % WINDOW] >
               at_ns - NS_A_S)
        n++;
    return n;
}

/* --- connections --------------------------------------------------------- */

static void
listen_again(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(sink.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;

    sink.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(sink.listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(sink.listener, (struct sockaddr *)&address, sizeof(address)) !=
            0 ||
        listen(sink.listener, 128) != 0)
        err(1, "port %u", sink.port);
}

static void
client_close(struct client *client)
{
    close(client->fd);
    client->fd = -1;
    sink.served -= !client->refused;
}

static void
fall_over(int64_t at_ns)
{
    sink.falls++;
    sink.down_until_ns = at_ns + DOWN;
    close(sink.listener);
    sink.listener = -1;
    for (size_t i = 0; i < CLIENTS; i++)
        if (sink.clients[i].fd >= 0)
            client_close(&sink.clients[i]);
}

/* Something came; true: that was too much. */
static bool
is_too_much(int64_t at_ns)
{
    size_t n;

    count(1, at_ns);
    n = within_a_second(1, at_ns);
    if (n > sink.peak)
        sink.peak = n;
    if (sink.falls_from == 0 || n <= sink.falls_from)
        return false;
    fall_over(at_ns);
    return true;
}

static void
say(struct client *client, const char *text)
{
    if (send(client->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        client_close(client);
}

static struct client *
free_client(void)
{
    for (size_t i = 0; i < CLIENTS; i++)
        if (sink.clients[i].fd < 0)
            return &sink.clients[i];
    return NULL;
}

static void
on_connection(int64_t at_ns)
{
    int fd = accept4(sink.listener, NULL, NULL, SOCK_NONBLOCK), yes = 1;
    struct client *client = free_client();

    if (fd < 0)
        return;
    if (client == NULL)
        errx(1, "more than %d clients", CLIENTS);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    client->fd = fd;
    client->data = client->refused = false;
    client->due_ns = 0;
    client->bytes = 0;
    sink.connections++;
    sink.served++;
    if (is_too_much(at_ns))
        return;
    if (sink.served > sink.most) {
        sink.refused++;
        client->refused = true;
        sink.served--;
        say(client, "421 4.7.0 too many connections\r\n");
        if (client->fd >= 0)
            client_close(client);
        return;
    }
    say(client, "220 fragile.test ESMTP\r\n");
}

/* --- SMTP ---------------------------------------------------------------- */

static void
keep_sender(struct client *client, const char *line)
{
    const char *from = strchr(line, '<'), *end;

    end = from != NULL ? strchr(from, '>') : NULL;
    client->sender[0] = 0;
    if (end != NULL)
        snprintf(client->sender, sizeof(client->sender), "%.*s",
                 (int)(end - from - 1), from + 1);
}

static void
on_command(struct client *client, const char *line)
{
    static const struct {
        const char *verb;
        const char *reply;
    } replies[] = {
        {"EHLO", "250-fragile.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
                 "250 SIZE 100000000\r\n"},
        {"HELO", "250 fragile.test\r\n"},
        {"MAIL", "250 2.1.0 ok\r\n"},
        {"RCPT", "250 2.1.5 ok\r\n"},
        {"RSET", "250 2.0.0 ok\r\n"},
        {"NOOP", "250 2.0.0 ok\r\n"},
        {"DATA", "354 go on\r\n"},
        {"QUIT", "221 2.0.0 bye\r\n"},
    };

    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        if (strncasecmp(line, replies[i].verb, 4) != 0)
            continue;
        if (replies[i].verb[0] == 'M')
            keep_sender(client, line);
        client->data = replies[i].verb[0] == 'D';
        say(client, replies[i].reply);
        if (replies[i].verb[0] == 'Q' && client->fd >= 0)
            client_close(client);
        return;
    }
    say(client, "500 5.5.2 what?\r\n");
}

/* The final dot: the reply waits. */
static void
on_message(struct client *client, int64_t at_ns)
{
    double over;

    client->data = false;
    count(0, at_ns);
    if (is_too_much(at_ns))
        return;
    over = (double)within_a_second(0, at_ns) - (double)sink.slow;
    client->due_ns = at_ns + SERVICE;
    if (sink.slow > 0 && over > 0)
        client->due_ns +=
            (int64_t)((double)SERVICE * SLOW_BY * over / (double)sink.slow);
}

static void
take(struct client *client, size_t n)
{
    memmove(client->in, client->in + n, client->bytes - n);
    client->bytes -= n;
}

/* Content up to the final dot; keeps what may be the start of it. */
static bool
take_content(struct client *client, int64_t at_ns)
{
    static const char dot[] = "\r\n.\r\n";
    const char *end = memmem(client->in, client->bytes, dot, 5);

    if (end != NULL) {
        take(client, (size_t)(end - client->in) + 5);
        on_message(client, at_ns);
        return true;
    }
    if (client->bytes > 4)
        take(client, client->bytes - 4);
    return false;
}

static bool
take_command(struct client *client)
{
    char line[1024];
    const char *end = memchr(client->in, '\n', client->bytes);
    size_t n = end != NULL ? (size_t)(end - client->in) + 1 : 0;

    if (n == 0 || n >= sizeof(line))
        return false;
    memcpy(line, client->in, n);
    line[n] = 0;
    take(client, n);
    on_command(client, line);
    return true;
}

static void
go_on(struct client *client, int64_t at_ns)
{
    bool more = true;

    while (more && client->fd >= 0 && client->due_ns == 0 && client->bytes > 0)
        more =
            client->data ? take_content(client, at_ns) : take_command(client);
}

static void
on_input(struct client *client, int64_t at_ns)
{
    ssize_t got = recv(client->fd, client->in + client->bytes,
                       INPUT_MAX - client->bytes, 0);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        client_close(client);
        return;
    }
    client->bytes += (size_t)got;
    go_on(client, at_ns);
}

static void
on_due(struct client *client, int64_t at_ns)
{
    client->due_ns = 0;
    sink.messages++;
    fprintf(sink.log, "%" PRId64 " %s\n", at_ns, client->sender);
    say(client, "250 2.0.0 taken\r\n");
    if (client->fd >= 0)
        go_on(client, at_ns);
}

/* --- the loop ------------------------------------------------------------ */

/* Fills polls, and who they are of; *due_ns is the next moment of interest. */
static nfds_t
look(struct pollfd *polls, struct client **whose, int64_t *due_ns)
{
    nfds_t n = 0;

    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &sink.clients[i];

        if (client->fd < 0)
            continue;
        if (client->due_ns != 0) {
            *due_ns = client->due_ns < *due_ns ? client->due_ns : *due_ns;
        } else if (client->bytes < INPUT_MAX) {
            whose[n] = client;
            polls[n++] = (struct pollfd){client->fd, POLLIN, 0};
        }
    }
    whose[n] = NULL;
    if (sink.listener >= 0)
        polls[n++] = (struct pollfd){sink.listener, POLLIN, 0};
    else if (sink.down_until_ns < *due_ns)
        *due_ns = sink.down_until_ns;
    return n;
}

static void
turn(void)
{
    static struct pollfd polls[CLIENTS + 1];
    static struct client *whose[CLIENTS + 1];
    int64_t at_ns = now_ns(), due_ns = at_ns + NS_A_S, wait_ns;
    nfds_t n = look(polls, whose, &due_ns);
    struct timespec wait = {0};

    wait_ns = due_ns > at_ns ? due_ns - at_ns : 0;
    wait.tv_sec = wait_ns / NS_A_S;
    wait.tv_nsec = wait_ns % NS_A_S;
    ppoll(polls, n, &wait, NULL);
    at_ns = now_ns();
    for (size_t i = 0; i < CLIENTS; i++)
        if (sink.clients[i].fd >= 0 && sink.clients[i].due_ns != 0 &&
            sink.clients[i].due_ns <= at_ns)
            on_due(&sink.clients[i], at_ns);
    for (nfds_t i = 0; i < n && sink.listener >= 0; i++) {
        if (polls[i].revents == 0)
            continue;
        if (whose[i] == NULL)
            on_connection(at_ns);
        else if (whose[i]->fd == polls[i].fd && whose[i]->due_ns == 0)
            on_input(whose[i], at_ns);
    }
    if (sink.listener < 0 && at_ns >= sink.down_until_ns)
        listen_again();
}

static size_t
number(char **argv, int argc, int i, size_t usual)
{
    return i < argc ? strtoul(argv[i], NULL, 10) : usual;
}

int
main(int argc, char **argv)
{
    if (argc < 3)
        errx(2, "usage: fragile PORT LOG [CONNECTIONS SLOW FALLS]");
    sink.port = (uint16_t)number(argv, argc, 1, 0);
    sink.most = number(argv, argc, 3, 8);
    sink.slow = number(argv, argc, 4, 200);
    sink.falls_from = number(argv, argc, 5, 400);
    for (size_t i = 0; i < CLIENTS; i++)
        sink.clients[i].fd = -1;
    signal(SIGTERM, on_signal);
    listen_again();
    sink.log = fopen(argv[2], "w"); /* it is there: so is the server */
    if (sink.log == NULL)
        err(1, "%s", argv[2]);
    setlinebuf(sink.log);
    while (!stopped)
        turn();
    printf("{\"connections\": %" PRIu64 ", \"refused\": %" PRIu64
           ", \"messages\": %" PRIu64 ", \"falls\": %" PRIu64
           ", \"peak\": %" PRIu64 "}\n",
           sink.connections, sink.refused, sink.messages, sink.falls,
           sink.peak);
    return 0;
}
