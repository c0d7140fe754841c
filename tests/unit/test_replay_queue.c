/* SPDX-License-Identifier: ISC */
/*
 * Which message next: live mail and backlog, turns, what the operator prefers.
 * A real store, and around the queue a clock of our own and nobody else.
 */
#include "store_fixture.h"

#include "clock.h"
#include "loop.h"
#include "mem.h"
#include "replay.h"

/* --- the rest of replay --------------------------------------------------- */

#define TAKEN_MAX 500

static struct db *queue_db;
static int64_t now_ms;
static uint64_t taken[TAKEN_MAX]; /* under way for good */
static size_t n_taken;

struct db *
replay_db(void)
{
    return queue_db;
}

int64_t
loop_now_ms(void)
{
    return now_ms;
}

bool
replay_job_is_known(struct replay_target *target, uint64_t id)
{
    (void)target;
    for (size_t i = 0; i < n_taken; i++)
        if (taken[i] == id)
            return true;
    return false;
}

void
replay_target_run(struct replay_target *target)
{
    (void)target;
}

/* Notices are just mail here. */
bool replay_notices_may_go(void);
void replay_notices_went(void);

bool
replay_notices_may_go(void)
{
    return true;
}

void
replay_notices_went(void)
{
}

/* --- a scene -------------------------------------------------------------- */

static struct replay_target target;

static int
setup(void **state)
{
    struct fixture *f;

    if (fixture_setup(state) != 0)
        return -1;
    f = *state;
    queue_db = f->db;
    now_ms = 1000000;
    n_taken = 0;
    target = (struct replay_target){.name = mem_copy_text("office")};
    target.sched.state = TARGET_UP;
    target.queue = replay_queue_new();
    replay_queue_again(&target); /* places of the test before */
    return 0;
}

static int
teardown(void **state)
{
    replay_queue_free(&target.queue);
    free(target.name);
    return fixture_teardown(state);
}

/* A message of this sender's domain to a recipient. */
static void
bring(struct fixture *f, uint64_t id, const char *domain, const char *to)
{
    char content[4 + 6] = "\0\0\0\6"
                          "0hello";
    struct message message = {.arrived_ms = T0,
                              .origin = ORIGIN_SMTP,
                              .flow = view_of(domain),
                              .size = 5};
    struct delivery delivery = {.recipient = view_of(to),
                                .target = VIEW("office")};
    struct proto_submit submit = {.id = id,
                                  .deliveries = {&delivery, 1},
                                  .content = {content, sizeof(content)},
                                  .content_len = sizeof(content)};
    struct buf row = {0}, sender = {0};

    buf_addf(&sender, "a@%s", domain);
    message.sender = buf_view(&sender);
    record_encode(&message_record, &message, &row);
    submit.message = buf_view(&row);
    assert_int_equal(
        fixture_apply(f, STORE_SUBMIT, 0, &proto_submit_record, &submit),
        APPLY_OK);
    buf_free(&row);
    buf_free(&sender);
}

static uint64_t
prefer(struct fixture *f, const char *query, uint64_t until_ms)
{
    struct proto_prefer rule = {
        .when_ms = T0, .until_ms = until_ms, .query = view_of(query)};

    assert_int_equal(
        fixture_apply(f, STORE_PREFER, 0, &proto_prefer_record, &rule),
        APPLY_OK);
    return f->count;
}

static void
mark(struct fixture *f, uint64_t id, uint64_t rule)
{
    struct proto_steer_item item = {.id = id};
    struct proto_steer steer = {
        .what = STEER_PREFER, .when_ms = T0, .rule = rule, .items = {&item, 1}};

    assert_int_equal(
        fixture_apply(f, STORE_STEER, 0, &proto_steer_record, &steer),
        APPLY_OK);
    assert_int_equal(f->count, 1);
}

/* The next one, which is under way from then on; 0: there is none. */
static uint64_t
take(void)
{
    uint64_t id;

    if (!replay_queue_next(&target, &id))
        return 0;
    replay_queue_began(&target);
    assert_true(n_taken < TAKEN_MAX);
    for (size_t i = 0; i < n_taken; i++)
        assert_int_not_equal(taken[i], id);
    taken[n_taken++] = id;
    return id;
}

/* --- tests ---------------------------------------------------------------- */

/* While both wait, three of four are live; alone, each has all of it. */
static void
test_live_keeps_its_share(void **state)
{
    struct fixture *f = *state;
    size_t live = 0;

    for (uint64_t n = 1; n <= 60; n++)
        bring(f, ID(n), "old.test", "b@example.com");
    for (uint64_t n = 0; n < 30; n++)
        replay_queue_add(&target, ID(1000 + n));
    for (size_t n = 0; n < 40; n++) {
        live += take() >= ID(1000);
        assert_true(live >= (n + 1) / 2);
        assert_true(live <= (n + 1) - (n + 1) / 4);
    }
    assert_int_equal(live, 30);
    for (size_t n = 0; n < 50; n++)
        assert_true(take() < ID(1000));
    assert_int_equal(take(), 0);
}

/* What is preferred does not take live mail's share either. */
static void
test_live_beside_preferred(void **state)
{
    struct fixture *f = *state;
    size_t live = 0;

    prefer(f, "from:*", 0);
    for (uint64_t n = 1; n <= 60; n++)
        bring(f, ID(n), "vip.test", "b@example.com");
    for (uint64_t n = 0; n < 30; n++)
        replay_queue_add(&target, ID(1000 + n));
    replay_queue_rules();
    for (size_t n = 0; n < 40; n++)
        live += take() >= ID(1000);
    assert_int_equal(live, 30);
}

/* A target that does not take mail has no live mail. */
static void
test_down_has_only_backlog(void **state)
{
    struct fixture *f = *state;

    bring(f, ID(1), "a.test", "b@example.com");
    replay_queue_add(&target, ID(2));
    bring(f, ID(2), "b.test", "b@example.com");
    target.sched.state = TARGET_DOWN;
    replay_queue_forget_live(&target);
    replay_queue_add(&target, ID(2));
    assert_int_equal(replay_queue_known(&target), 0);
    assert_int_equal(take(), ID(1));
    assert_int_equal(take(), ID(2));
    assert_int_equal(take(), 0);
}

/* One sender with nine tenths of it, and a recipient with nine tenths of that:
 * nobody waits for more than his turn. */
static void
test_turns(void **state)
{
    struct fixture *f = *state;
    size_t last = 0;

    for (uint64_t n = 1; n <= 100; n++)
        bring(f, ID(n), "flood.test", "b@example.com");
    for (uint64_t n = 0; n < 5; n++)
        bring(f, ID(200 + n), "flood.test", "carl@example.com");
    for (uint64_t n = 0; n < 5; n++)
        bring(f, ID(300 + n), "quiet.test", "b@example.com");
    for (size_t n = 0; n < 110; n++) {
        uint64_t id = take();

        if (id >= ID(300))
            assert_true(n < 2 * (size_t)(id / ID(1) - 300 + 1));
        else if (id >= ID(200))
            assert_true(n < 4 * (size_t)(id / ID(1) - 200 + 1));
        else
            last = n;
    }
    assert_int_equal(last, 109);
    assert_int_equal(take(), 0);
}

/* Rule by rule, in turns within each; then the rest. */
static void
test_preferred_first(void **state)
{
    static const struct {
        int id;
        const char *domain;
    } mails[] = {
        {1, "a.test"},  {2, "a.test"},  {20, "b.test"}, {21, "b.test"},
        {30, "c.test"}, {31, "c.test"}, {40, "d.test"}, {41, "d.test"},
    };
    static const int order[] = {30, 40, 31, 41, 20, 21, 1, 2};
    struct fixture *f = *state;

    prefer(f, "from:*@c.test", 0);
    prefer(f, "from:*@b.test", 0);
    for (size_t i = 0; i < sizeof(mails) / sizeof(mails[0]); i++)
        bring(f, ID(mails[i].id), mails[i].domain, "b@example.com");
    mark(f, ID(40), 1);
    mark(f, ID(41), 1);
    replay_queue_rules();
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        assert_int_equal(take(), ID(order[i]));
    assert_int_equal(take(), 0);
}

/* More senders than are picked in one go: each has his turn among them. */
static void
test_turns_of_preferred(void **state)
{
    struct fixture *f = *state;
    char domain[32];

    prefer(f, "from:*", 0);
    for (uint64_t n = 0; n < 2 * REPLAY_BATCH_MAX; n++) {
        snprintf(domain, sizeof(domain), "d%03d.test", (int)n);
        bring(f, ID(1 + 2 * n), domain, "b@example.com");
        bring(f, ID(2 + 2 * n), domain, "b@example.com");
    }
    replay_queue_rules();
    for (uint64_t n = 0; n < 2 * REPLAY_BATCH_MAX; n++)
        assert_int_equal(take(), ID(1 + 2 * n));
    for (uint64_t n = 0; n < 2 * REPLAY_BATCH_MAX; n++)
        assert_int_equal(take(), ID(2 + 2 * n));
}

/* Rules end by the clock, or are removed: turns again, and nothing is lost. */
static void
test_rules_end(void **state)
{
    struct fixture *f = *state;
    struct proto_prefer removal = {.when_ms = T0};

    prefer(f, "from:*@y.test", (uint64_t)clock_wall_ms() + 600000);
    removal.number = prefer(f, "from:*@z.test", 0);
    for (uint64_t n = 0; n < 100; n++) {
        bring(f, ID(100 + n), "a.test", "b@example.com");
        bring(f, ID(300 + n), "y.test", "b@example.com");
        bring(f, ID(500 + n), "z.test", "b@example.com");
    }
    replay_queue_rules();
    for (int n = 0; n < REPLAY_BATCH_MAX; n++)
        assert_in_range(take(), ID(300), ID(399));
    now_ms += 700000;
    for (int n = 0; n < REPLAY_BATCH_MAX; n++)
        assert_in_range(take(), ID(500), ID(599));
    assert_int_equal(
        fixture_apply(f, STORE_PREFER, 0, &proto_prefer_record, &removal),
        APPLY_OK);
    replay_queue_rules();
    for (int n = 0; n < 6; n += 3) { /* each of the three has its turn */
        uint64_t sum = take() / ID(100) + take() / ID(100) + take() / ID(100);

        assert_int_equal(sum, 1 + 3 + 5);
    }
    while (take() != 0)
        continue;
    assert_int_equal(n_taken, 300);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_live_keeps_its_share),
        TEST(test_live_beside_preferred),
        TEST(test_down_has_only_backlog),
        TEST(test_turns),
        TEST(test_preferred_first),
        TEST(test_turns_of_preferred),
        TEST(test_rules_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
