/* SPDX-License-Identifier: ISC */
/*
 * control_walk: by signatures or row by row, in steps of any size, a query
 * finds what looking at every message finds, in the order of the ids.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "control.h"
#include "db.h"
#include "msgid.h"
#include "query.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HOUR         INT64_C(3600000)
#define MESSAGES     3000
#define MANY         60000 /* more than are collected */

static char dir[64];
static struct db *db;
static struct buf arguments; /* the query, as the client's only argument */

/* --- what the walk takes of the role -------------------------------------- */

struct db *
control_db(struct why *why)
{
    (void)why;
    return db;
}

size_t
control_n_arguments(const struct control_client *client)
{
    (void)client;
    return 1;
}

struct view
control_argument(const struct control_client *client, size_t i)
{
    (void)client;
    (void)i;
    return buf_view(&arguments);
}

/* --- messages ------------------------------------------------------------- */

static int
setup(void **state)
{
    struct why why = {0};

    (void)state;
    strcpy(dir, "/tmp/spoold-test-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    db = db_open_writer(dir, &why);
    return db != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char path[128];

    (void)state;
    db_close(&db);
    buf_free(&arguments);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static uint64_t seed;

static uint64_t
random_below(uint64_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % n;
}

/* One message of some age; an imported one has a new id and is older. */
static void
add_message(struct db_txn *txn, uint64_t id, int64_t when_ms)
{
    char from[64], to[64], client[64], subject[64];
    bool imported = random_below(50) == 0;
    struct message message = {.arrived_ms = (uint64_t)when_ms,
                              .origin = imported ? ORIGIN_IMPORT : ORIGIN_SMTP};
    struct delivery delivery = {.target = VIEW("office")};
    struct sieve sieve;

    if (imported)
        message.arrived_ms -= (uint64_t)(100 * HOUR);
    snprintf(from, sizeof(from), "user%d@host%d.test", (int)random_below(40),
             (int)random_below(20));
    snprintf(to, sizeof(to), "staff%d@example.org", (int)random_below(9));
    snprintf(client, sizeof(client), "192.0.%d.%d", (int)random_below(5),
             (int)random_below(30));
    snprintf(subject, sizeof(subject), "number %d", (int)random_below(300));
    message.sender = view_of(from);
    message.client = view_of(client);
    message.subject = view_of(subject);
    delivery.recipient = view_of(to);
    delivery.state = 1 + random_below(DELIVERY_STATE_MAX);
    if (!delivery_is_open(delivery.state))
        message.finished_ms = message.arrived_ms + 1;
    sieve_of_message(&sieve, &message, &delivery, 1);
    assert_int_equal(db_sieve_add(txn, id, &sieve, &message.block), DB_OK);
    assert_int_equal(db_add_message(txn, id, &message), DB_OK);
    assert_int_equal(db_put_delivery(txn, id, 0, &delivery), DB_OK);
}

/* They come to the store in nearly the order of their ids. n is even. */
static void
fill(size_t n)
{
    struct msgid_source ids = {0};
    int64_t now_ms = clock_wall_ms();
    struct db_txn *txn;
    struct why why;

    assert_int_equal(db_begin(db, &txn), DB_OK);
    for (size_t i = 0; i < n; i += 2) {
        int64_t when_ms =
            now_ms - 200 * HOUR + (int64_t)i * 200 * HOUR / (int64_t)n;
        uint64_t first = msgid_next(&ids, when_ms);

        add_message(txn, msgid_next(&ids, when_ms), when_ms);
        add_message(txn, first, when_ms);
    }
    assert_int_equal(db_commit(&txn, &why), DB_OK);
}

/* --- both ways ------------------------------------------------------------ */

static void
find_by_looking(int64_t now_ms, bool any, struct buf *found)
{
    struct why why;
    struct query *query = query_parse(buf_view(&arguments), &why);
    struct db_message message;
    uint64_t after = 0;

    assert_non_null(query);
    if (!any)
        query_want_held(query);
    while (db_read_message_after(db, after, &message, &why) == 1) {
        after = message.id;
        if (query_matches(query, &message, now_ms))
            buf_add(found, (const char *)&after, sizeof(after));
        db_message_free(&message);
    }
    query_free(&query);
}

/* The time is that of the walk. */
static int64_t
find_by_walking(bool any, size_t rows, struct buf *found)
{
    struct control_walk walk;
    struct db_message message;
    struct why why;
    int64_t now_ms;
    int got;

    assert_int_equal(any ? control_walk_begin_any(&walk, NULL, &why)
                         : control_walk_begin(&walk, NULL, &why),
                     0);
    walk.rows = rows;
    while ((got = control_walk_next(&walk, &message, &why)) > 0) {
        if (got == 2) {
            walk.rows = rows;
            continue;
        }
        buf_add(found, (const char *)&message.id, sizeof(message.id));
        db_message_free(&message);
    }
    assert_int_equal(got, 0);
    assert_int_equal(walk.damaged, 0);
    now_ms = walk.now_ms;
    control_walk_end(&walk);
    return now_ms;
}

static size_t
compare(bool any, size_t rows)
{
    struct buf walked = {0}, looked = {0};
    int64_t now_ms = find_by_walking(any, rows, &walked);
    size_t n;

    find_by_looking(now_ms, any, &looked);
    if (!view_equal(buf_view(&walked), buf_view(&looked)))
        fail_msg("%.*s: %zu by walking, %zu by looking", (int)arguments.len,
                 arguments.data, walked.len / 8, looked.len / 8);
    n = looked.len / 8;
    buf_free(&walked);
    buf_free(&looked);
    return n;
}

static void
add_random_term(struct buf *out)
{
    switch (random_below(9)) {
    case 0:
        buf_addf(out, "from:user%d@*", (int)random_below(50));
        break;
    case 1:
        buf_addf(out, "from:host%d.test", (int)random_below(25));
        break;
    case 2:
        buf_addf(out, "to:staff%d", (int)random_below(10));
        break;
    case 3:
        buf_addf(out, "client:192.0.%d.0/24", (int)random_below(6));
        break;
    case 4:
        buf_addf(out, "subject:\"number %d\"", (int)random_below(300));
        break;
    case 5:
        buf_addf(out, "since:%dh", (int)random_below(250));
        break;
    case 6:
        buf_addf(out, "before:%dh", (int)random_below(250));
        break;
    case 7:
        buf_addf(out, "state:%s",
                 delivery_state_name(1 + random_below(DELIVERY_STATE_MAX)));
        break;
    case 8:
        buf_addf(out, "%sfrom:*user1*", random_below(2) == 0 ? "-" : "");
        break;
    }
    buf_add_byte(out, ' ');
}

static void
test_both_ways_find_the_same(void **state)
{
    size_t found = 0;

    (void)state;
    fill(MESSAGES);
    for (int i = 0; i < 300; i++) {
        size_t terms = 1 + random_below(3);

        buf_reset(&arguments);
        while (terms-- > 0)
            add_random_term(&arguments);
        found += compare(random_below(2) == 0, 20 + random_below(5000)) > 0;
    }
    assert_true(found > 100);
}

/* Imported messages have ids of today: before: must find them all the same. */
static void
test_before_finds_what_was_imported(void **state)
{
    (void)state;
    fill(MESSAGES);
    buf_add_text(&arguments, "before:220h");
    assert_true(compare(true, 1000) > 0); /* nothing but imports is so old */
}

static void
test_too_many_candidates(void **state)
{
    (void)state;
    fill(MANY);
    buf_add_text(&arguments, "to:example.org");
    assert_int_equal(compare(true, CONTROL_ROWS_MAX), MANY);
}

#define TEST(function)                                                         \
    cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_both_ways_find_the_same),
        TEST(test_before_finds_what_was_imported),
        TEST(test_too_many_candidates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
