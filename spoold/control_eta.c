/* SPDX-License-Identifier: ISC */
/*
 * When will the backlog of a target be gone? Replay tells how fast it goes;
 * what is left is counted here, in the table of what is ready, a bounded
 * number of rows a step. Only for targets that take mail now: of the others
 * nobody knows.
 *
 * Before: control_status.c, control_target.c   After: the command goes on
 */
#include "control.h"

#include "clock.h"
#include "eta.h"

json_t *
control_eta_json(const struct proto_target_now *target)
{
    return json_pack("{s:f, s:f, s:n, s:n}", "out", (double)target->out / 1000,
                     "in", (double)target->in / 1000, "left", "eta");
}

/* Messages in 1000 s. */
static uint64_t
speed(const json_t *drain, const char *name)
{
    return (uint64_t)(json_real_value(json_object_get(drain, name)) * 1000 +
                      0.5);
}

static bool
is_drained(const json_t *target)
{
    return speed(json_object_get(target, "drain"), "out") > 0 &&
           strcmp(json_string_value(json_object_get(target, "state")),
                  target_state_name(TARGET_UP)) == 0;
}

static void
eta_set(json_t *drain, uint64_t left)
{
    uint64_t ms;

    json_object_set_new(drain, "left", json_integer((json_int_t)left));
    if (left > 0 && eta_ms(left, speed(drain, "out"), speed(drain, "in"), &ms))
        json_object_set_new(drain, "eta",
                            control_json_time((uint64_t)clock_wall_ms() + ms));
}

static void
eta_next(struct control_eta *eta)
{
    eta->at++;
    eta->left = 0;
    eta->cursor = (struct db_ready_cursor){0};
}

/* Counts one target's on; false: there is more of it. */
static bool
eta_count(struct control_eta *eta, json_t *target)
{
    const char *name = json_string_value(json_object_get(target, "name"));
    struct why why;
    struct db *db = control_db(&why);
    int got = -1;

    if (db != NULL)
        got = db_read_ready_count(db, view_of(name), &eta->cursor,
                                  CONTROL_ROWS_MAX, &eta->left, &why);
    if (got == 0)
        eta_set(json_object_get(target, "drain"), eta->left);
    return got != 1;
}

static void
eta_step(struct control_client *client)
{
    struct control_eta *eta = client->work;
    size_t n = json_array_size(eta->targets);

    for (size_t i = 0; eta->at < n && i < CONTROL_MESSAGES_MAX; i++) {
        json_t *target = json_array_get(eta->targets, eta->at);

        if (is_drained(target) && !eta_count(eta, target))
            break;
        eta_next(eta);
    }
    if (eta->at < n)
        control_continue(client, eta_step);
    else
        eta->then(client);
}

void
control_eta(struct control_client *client, json_t *targets, control_fn *then)
{
    struct control_eta *eta = client->work;

    *eta = (struct control_eta){.targets = targets, .then = then};
    eta_step(client);
}
