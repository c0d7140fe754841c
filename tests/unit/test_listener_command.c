/* SPDX-License-Identifier: ISC */
/*
 * listener_command: whole dialogues against the command table, without a
 * connection. A dialogue is lines of "> command" and "< reply" (of a reply of
 * many lines, the last); "! KNOB" turns what the policy says; "* TARGET ..." is
 * what an ETRN wakes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "listener.h"

static struct conf_domain domains[] = {
    {.name = {"example.com", 11}, .target = {"office", 6}},
    {.name = {"list.example.com", 16}, .target = {"lists", 5}},
};
static struct conf conf = {
    .hostname = {"mx.list.example.com", 19},
    .message_size = 1000,
    .recipients = 3,
    .memory = 100000,
    .errors = 5,
    .domains = {domains, 2},
};

struct world {
    struct listener_policy policy;
    struct listener_list lists[2];
    struct listener_session session;
    struct buf out;
    enum listener_next next;
    char woken[100]; /* targets, with a blank between */
};

static void
world_begin(struct world *world)
{
    struct why why;

    *world = (struct world){0};
    world->lists[1].list =
        recipients_parse(VIEW("anna\n"), "list", domains[1].name, &why);
    assert_non_null(world->lists[1].list);
    world->policy.conf = &conf;
    world->policy.lists = world->lists;
    world->policy.room = ROOM_THERE;
    world->session.state = STATE_FRESH;
    conf.etrn = 10;
}

static void
world_end(struct world *world)
{
    listener_transaction_free(&world->session.transaction);
    free(world->session.helo);
    recipients_free(&world->lists[1].list);
    buf_free(&world->out);
    buf_free(&world->policy.full_domains);
}

static void
turn(struct world *world, const char *knob)
{
    static const struct {
        const char *name;
        enum listener_room room;
    } rooms[] = {
        {"away", ROOM_UNKNOWN}, {"full", ROOM_FULL}, {"room", ROOM_THERE}};

    for (size_t i = 0; i < 3; i++)
        if (strcmp(knob, rooms[i].name) == 0)
            world->policy.room = rooms[i].room;
    if (strcmp(knob, "cert") == 0)
        world->policy.offers_tls = true;
    if (strcmp(knob, "tls") == 0) {
        world->session.tls = true;
        world->session.state = STATE_FRESH;
    }
    if (strcmp(knob, "unlisted") == 0) {
        recipients_free(&world->lists[1].list);
        world->lists[1].is_unknown = true;
    }
    if (strcmp(knob, "etrn") == 0)
        world->policy.etrn_left = 3;
    if (strcmp(knob, "no-etrn") == 0)
        conf.etrn = 0;
    if (strcmp(knob, "busy") == 0)
        world->policy.memory = conf.memory - 1000;
    if (strcmp(knob, "idle") == 0)
        world->policy.memory = 0;
    if (strcmp(knob, "used-up") == 0)
        buf_add(&world->policy.full_domains, "other.test\0example.com", 23);
    if (strcmp(knob, "lf") == 0 || strcmp(knob, "long") == 0) {
        struct listener_reply reply;

        buf_reset(&world->out);
        listener_command_bad(&world->session, &world->policy,
                             knob[1] == 'f' ? GOT_BAD : GOT_TOOBIG, &reply,
                             &world->out);
        world->next = reply.next;
    }
}

static void
command(struct world *world, const char *line)
{
    struct listener_reply reply;

    buf_reset(&world->out);
    listener_command(&world->session, &world->policy, view_of(line), &reply,
                     &world->out);
    world->next = reply.next;
    world->woken[0] = '\0';
    for (size_t i = 0; i < reply.n_wake; i++) {
        if (i > 0)
            strcat(world->woken, " ");
        strncat(world->woken, reply.wake[i].data, reply.wake[i].len);
    }
}

/* The last line of the reply, without its CRLF, against want: a prefix. */
static void
check_reply(struct world *world, const char *line, const char *want)
{
    const char *start = world->out.data;
    size_t len = world->out.len;

    assert_true(len > 2 && memcmp(start + len - 2, "\r\n", 2) == 0);
    len -= 2;
    for (size_t i = 0; i < len; i++)
        if (world->out.data[i] == '\n')
            start = world->out.data + i + 1;
    len -= (size_t)(start - world->out.data);
    if (len < strlen(want) || memcmp(start, want, strlen(want)) != 0)
        fail_msg("%s: \"%.*s\" instead of \"%s\"", line, (int)len, start, want);
}

static void
play(struct world *world, const char *const dialogue[])
{
    const char *last = "";

    for (; *dialogue != NULL; dialogue++) {
        const char *text = *dialogue + 2;

        switch ((*dialogue)[0]) {
        case '>':
            command(world, text);
            last = text;
            break;
        case '<':
            check_reply(world, last, text);
            break;
        case '*':
            assert_string_equal(world->woken, text);
            break;
        default:
            turn(world, text);
            last = text;
        }
    }
}

static const char *const sequence[] = {
    "> MAIL FROM:<a@b>",
    "< 503 5.5.1",
    "> NOOP",
    "< 250 2.0.0",
    "> HELO client",
    "< 250 mx.list.example.com",
    "> RCPT TO:<x@example.com>",
    "< 503 5.5.1 MAIL first",
    NULL,
};
static const char *const transaction[] = {
    "> EHLO client.example",
    "< 250 ENHANCEDSTATUSCODES",
    "> DATA",
    "< 503 5.5.1",
    "> MAIL FROM:<> SIZE=500 BODY=8BITMIME",
    "< 250 2.1.0",
    "> MAIL FROM:<a@b>",
    "< 503 5.5.1",
    "> DATA",
    "< 554 5.5.1 no valid recipients",
    "> RCPT TO:<x@example.com>",
    "< 250 2.1.5",
    "> DATA",
    "< 354 End data",
    NULL,
};

/* One domain has used its share: only its recipients are refused. */
static const char *const used_up[] = {
    "! used-up",
    "> EHLO client",
    "< 250",
    "> MAIL FROM:<a@b>",
    "< 250",
    "> RCPT TO:<x@EXAMPLE.com>",
    "< 452 4.3.1 the share of example.com in the spool is used up",
    "> RCPT TO:<anna@list.example.com>",
    "< 250",
    NULL,
};

static const char *const relaying[] = {
    "> EHLO client",
    "< 250",
    "> MAIL FROM:<a@b>",
    "< 250",
    "> RCPT TO:<x@example.org>",
    "< 550 5.7.1 relaying denied",
    "> RCPT TO:<x@sub.example.com>",
    "< 550 5.7.1",
    "> RCPT TO:<x@com>",
    "< 550 5.7.1",
    "> RCPT TO:<x%example.org@example.com>",
    "< 550 5.7.1",
    "> RCPT TO:<\"x@example.org\"@example.com>",
    "< 550 5.7.1",
    "> RCPT TO:<example.org!x@example.com>",
    "< 550 5.7.1",
    "> RCPT TO:<\"x\\%y\"@example.com>",
    "< 550 5.7.1",
    "> RCPT TO:<x@[192.0.2.1]>",
    "< 550 5.7.1",
    "> RCPT TO:<@example.com:x@example.org>",
    "< 550 5.7.1",
    "> RCPT TO:<@example.org:x@example.com>",
    "< 250 2.1.5",
    "> RCPT TO:<X@EXAMPLE.com>",
    "< 250 2.1.5",
    NULL,
};
static const char *const lists[] = {
    "> EHLO client",
    "< 250",
    "> MAIL FROM:<a@b>",
    "< 250",
    "> RCPT TO:<bert@list.example.com>",
    "< 550 5.1.1 no such recipient",
    "> RCPT TO:<Anna@List.Example.Com>",
    "< 250 2.1.5",
    "> RCPT TO:<\"anna\"@list.example.com>",
    "< 250 2.1.5",
    "> RCPT TO:<postmaster@list.example.com>",
    "< 250 2.1.5",
    "> RSET",
    "< 250",
    "> MAIL FROM:<a@b>",
    "< 250",
    "! unlisted",
    "> RCPT TO:<anna@list.example.com>",
    "< 451 4.3.0",
    "> RCPT TO:<\"Postmaster\"@list.example.com>",
    "< 250 2.1.5",
    NULL,
};
static const char *const limits[] = {
    "> EHLO client",
    "< 250",
    "> MAIL FROM:<a@b> SIZE=1001",
    "< 552 5.3.4",
    "! away",
    "> MAIL FROM:<a@b>",
    "< 451 4.3.0",
    "! full",
    "> MAIL FROM:<a@b>",
    "< 452 4.3.1",
    "! room",
    "! busy",
    "> MAIL FROM:<a@b>",
    "< 452 4.3.1",
    "> MAIL FROM:<a@b> SIZE=1000",
    "< 250",
    "> RSET",
    "< 250 2.0.0",
    "! idle",
    "> MAIL FROM:<a@b>",
    "< 250",
    "> RCPT TO:<1@example.com>",
    "< 250",
    "> RCPT TO:<2@example.com>",
    "< 250",
    "> RCPT TO:<1@Example.com>",
    "< 250 2.1.5",
    "> RCPT TO:<3@example.com>",
    "< 250",
    "> RCPT TO:<4@example.com>",
    "< 452 4.5.3",
    "> RCPT TO:<3@example.com>",
    "< 250 2.1.5",
    "! busy",
    "> DATA",
    "< 452 4.3.1",
    "> RCPT TO:<3@example.com>",
    "< 503",
    NULL,
};
static const char *const utf8[] = {
    "> EHLO client",
    "< 250",
    "> MAIL FROM:<\xc3\xa4@b>",
    "< 553 5.6.7",
    "> MAIL FROM:<a@b>",
    "< 250",
    "> RCPT TO:<\xc3\xa4@example.com>",
    "< 553 5.6.7",
    "> RSET",
    "< 250",
    "> MAIL FROM:<\xc3\xa4@b> SMTPUTF8",
    "< 250",
    "> RCPT TO:<\xc3\xa4@example.com>",
    "< 250",
    NULL,
};
static const char *const etrn[] = {
    "! away",
    "> EHLO client",
    "< 250 ENHANCED",
    "> ETRN example.com",
    "< 458 4.3.2 Unable to queue messages for node example.com: try again "
    "later",
    "! room",
    "> ETRN @",
    "< 501 5.5.4",
    "> ETRN two words",
    "< 501 5.5.4",
    "> ETRN example.org",
    "< 459 4.7.1 Node example.org not allowed",
    "> ETRN #office",
    "< 459 4.7.1",
    "! etrn",
    "> ETRN example.com",
    "< 250 2.0.0 OK, queuing for node example.com started",
    "* office",
    "> etrn LIST.example.com",
    "< 250 2.0.0",
    "* lists",
    "> ETRN @com",
    "< 250 2.0.0",
    "* office lists",
    "> ETRN @ample.com",
    "< 459 4.7.1",
    "* ",
    "> MAIL FROM:<a@b>",
    "< 250",
    "> ETRN example.com",
    "< 503 5.5.1",
    "> RSET",
    "< 250",
    "> ETRN example.com",
    "< 458 4.3.2 Unable to queue messages for node example.com: asked too "
    "often",
    "* ",
    "! no-etrn",
    "> ETRN example.com",
    "< 502 5.5.1",
    NULL,
};
static const char *const others[] = {
    "> VRFY anna",
    "< 252 2.0.0",
    "> EXPN staff",
    "< 502 5.5.1",
    "> HELP",
    "< 214 2.0.0",
    "> RSET",
    "< 250 2.0.0",
    "> STARTTLS",
    "< 502 5.5.1",
    "! cert",
    "> EHLO client",
    "< 250 ENHANCED",
    "> MAIL FROM:<a@b>",
    "< 250",
    "> STARTTLS",
    "< 503 5.5.1",
    "> EHLO client",
    "< 250",
    "> STARTTLS",
    "< 220 2.0.0",
    "! tls",
    "> MAIL FROM:<a@b>",
    "< 503",
    NULL,
};

static void
test_dialogues(void **state)
{
    static const char *const *const all[] = {sequence, transaction, used_up,
                                             relaying, lists,       limits,
                                             utf8,     etrn,        others};

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct world world;

        world_begin(&world);
        play(&world, all[i]);
        world_end(&world);
    }
}

static void
test_ehlo_lists_extensions(void **state)
{
    static const char *const greet[] = {"> EHLO client", NULL};
    struct world world;

    (void)state;
    world_begin(&world);
    play(&world, greet);
    buf_add_byte(&world.out, '\0');
    assert_string_equal(world.out.data, "250-mx.list.example.com\r\n"
                                        "250-PIPELINING\r\n"
                                        "250-SIZE 1000\r\n"
                                        "250-ETRN\r\n"
                                        "250-8BITMIME\r\n"
                                        "250-SMTPUTF8\r\n"
                                        "250-DSN\r\n"
                                        "250 ENHANCEDSTATUSCODES\r\n");
    world.policy.offers_tls = true;
    play(&world, greet);
    buf_add_byte(&world.out, '\0');
    assert_non_null(strstr(world.out.data, "250-STARTTLS\r\n"));
    world.session.tls = true;
    play(&world, greet);
    buf_add_byte(&world.out, '\0');
    assert_null(strstr(world.out.data, "STARTTLS"));
    world_end(&world);
}

static void
test_errors_end_the_session(void **state)
{
    static const char *const first[] = {
        "> RCPT TO:<x@example.com>",
        "< 503",
        "> FROB",
        "< 500 5.5.2 command not recognized",
        "! lf",
        "< 500 5.5.2 a line ends in CRLF",
        "! long",
        "< 500 5.5.2 line too long",
        "> EHLO c",
        "< 250",
        "> MAIL FROM:<a@b>",
        "< 250",
        "> RCPT TO:<x@example.org>",
        "< 550", /* no mistake in the dialogue */
        NULL};
    static const char *const last[] = {"> DATA x", "< 421 4.7.0", NULL};
    struct world world;

    (void)state;
    world_begin(&world);
    play(&world, first);
    assert_int_equal(world.next, NEXT_COMMAND);
    assert_int_equal(world.session.errors, 4);
    play(&world, last);
    assert_int_equal(world.next, NEXT_CLOSE);
    world_end(&world);
}

static void
test_next(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world);
    play(&world, transaction);
    assert_int_equal(world.next, NEXT_DATA);
    assert_int_equal(world.session.state, STATE_DATA);
    world_end(&world);

    world_begin(&world);
    play(&world, (const char *const[]){"! cert", "> STARTTLS", NULL});
    assert_int_equal(world.next, NEXT_TLS);
    assert_int_equal(world.session.state, STATE_WAIT_TLS);
    world_end(&world);

    world_begin(&world);
    play(&world, (const char *const[]){"> QUIT", "< 221 2.0.0", NULL});
    assert_int_equal(world.next, NEXT_CLOSE);
    world_end(&world);
}

static void
assert_view(struct view have, const char *want)
{
    assert_int_equal(have.len, strlen(want));
    assert_memory_equal(have.data, want, have.len);
}

static void
test_envelope(void **state)
{
    static const char *const dialogue[] = {
        "> EHLO c",
        "> MAIL FROM:<@x:Sender@Mixed.Example> BODY=8BITMIME SMTPUTF8",
        "> RCPT TO:<One@Example.Com>",
        "> RCPT TO:<Postmaster>",
        "> RCPT TO:<postmaster@list.example.com>",
        NULL};
    const struct listener_transaction *made;
    struct world world;

    (void)state;
    world_begin(&world);
    play(&world, dialogue);
    made = world.session.transaction;
    assert_view(made->sender, "Sender@Mixed.Example");
    assert_view(made->flow, "mixed.example");
    assert_int_equal(made->flags, MESSAGE_8BIT | MESSAGE_UTF8);
    assert_int_equal(made->n_recipients, 3);
    assert_view(made->deliveries[0].recipient, "One@Example.Com");
    assert_view(made->deliveries[0].target, "office");
    /* The host is mx.list.example.com: the nearest domain is list's. */
    assert_view(made->deliveries[1].recipient, "Postmaster@list.example.com");
    assert_view(made->deliveries[1].target, "lists");
    assert_view(made->deliveries[2].recipient, "postmaster@list.example.com");

    play(&world, (const char *const[]){"> RSET", NULL});
    assert_null(world.session.transaction);
    assert_int_equal(world.session.state, STATE_READY);
    play(&world, (const char *const[]){"> MAIL FROM:<>", NULL});
    assert_view(world.session.transaction->sender, "");
    assert_view(world.session.transaction->flow, "");
    play(&world, (const char *const[]){"> EHLO again", NULL});
    assert_null(world.session.transaction);
    assert_string_equal(world.session.helo, "again");
    world_end(&world);
}

static void
test_memory(void **state)
{
    (void)state;
    assert_int_equal(listener_command_memory(10), 10);
    assert_true(listener_command_memory(0) > 0);
    assert_true(listener_command_memory(UINT64_MAX) < 1024 * 1024);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialogues),
        cmocka_unit_test(test_ehlo_lists_extensions),
        cmocka_unit_test(test_errors_end_the_session),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests_name("listener_command", tests, NULL, NULL);
}
