/* SPDX-License-Identifier: ISC */
/*
 * prefer, prefer list, prefer remove: the store makes the rule, and then the
 * messages that are held already are marked as with any steering command.
 *
 * Before: control_client.c (step by step)
 * After:  store_prefer_due.c (PREFER), control_steer.c (STEER)
 */
#include "control.h"

#include <inttypes.h>
#include <stdlib.h>

#include "clock.h"
#include "db_read.h"
#include "event.h"
#include "mem.h"
#include "num.h"
#include "query.h"

#define FOR_MAX_MS (UINT64_C(366) * 86400000)
#define REASON_MAX 500

/* --- prefer --------------------------------------------------------------- */

/* The query of the arguments in its plain form. */
static int
print_query(const struct control_client *client, struct buf *out,
            struct why *why)
{
    struct buf text = {0};
    struct query *query;

    for (size_t i = 0; i < control_n_arguments(client); i++)
        query_add_word(&text, control_argument(client, i));
    query = query_parse(buf_view(&text), why);
    buf_free(&text);
    if (query == NULL)
        return -1;
    query_print(query, out);
    query_free(&query);
    if (out->len > QUERY_TEXT_MAX)
        return why_text(why, "the query is too long");
    return 0;
}

static void
on_made(struct control_client *client, struct peer_message *answer,
        const struct why *why)
{
    const struct proto_done *done = control_was_done(client, answer, why);

    if (done != NULL)
        control_steer_prefer(client, done->count);
}

void
control_prefer(struct control_client *client)
{
    const char *reason = control_option_text(client, CTL_OPTION_REASON);
    struct proto_prefer prefer = {
        .when_ms = (uint64_t)clock_wall_ms(),
        .by = view_of(control_operator(client)),
        .reason = view_of(reason),
    };
    struct buf query = {0};
    struct why why;

    if (prefer.reason.len > REASON_MAX)
        control_refuse(client, "a reason has %d bytes at the most", REASON_MAX);
    else if (print_query(client, &query, &why) != 0 ||
             control_until(client, FOR_MAX_MS, &prefer.until_ms, &why) != 0)
        control_refuse(client, "%s", why.text);
    else if (control_option_text(client, CTL_OPTION_DRY_RUN) != NULL) {
        control_steer_prefer(client, 0);
    } else {
        prefer.query = buf_view(&query);
        control_ask(client, ROLE_STORE, PROTO_PREFER, &prefer,
                    CONTROL_COMMIT_MS, on_made);
    }
    buf_free(&query);
}

/* --- prefer remove -------------------------------------------------------- */

static void
on_removed(struct control_client *client, struct peer_message *answer,
           const struct why *why)
{
    const struct proto_done *done = control_was_done(client, answer, why);
    struct event event;

    if (done == NULL)
        return;
    event_begin(&event, EVENT_PREFER_ENDED);
    event_num(&event, "rule", done->count);
    event_text(&event, "by", control_operator(client));
    event_end(&event);
    control_row(client, json_pack("{s:I}", "rule", (json_int_t)done->count));
    control_done(client);
}

void
control_prefer_remove(struct control_client *client)
{
    struct view text = control_argument(client, 0);
    struct proto_prefer prefer = {.when_ms = (uint64_t)clock_wall_ms(),
                                  .by = view_of(control_operator(client))};

    if (num_parse(text, 1, UINT32_MAX, &prefer.number, NULL) != 0)
        control_refuse(client,
                       "\"%.*s\" is no number of a rule: see \"spoolctl "
                       "prefer list\"",
                       (int)(text.len < 40 ? text.len : 40), text.data);
    else
        control_ask(client, ROLE_STORE, PROTO_PREFER, &prefer,
                    CONTROL_COMMIT_MS, on_removed);
}

/* --- prefer list ---------------------------------------------------------- */

void
control_prefer_list(struct control_client *client)
{
    struct buf memory = {0};
    struct prefer_rule rule = {0};
    struct why why;
    struct db *db = control_db(&why);
    int found = -1;

    /* There are PREFER_MAX of them at the most. */
    while (db != NULL && (found = db_read_prefer_after(db, rule.number, &rule,
                                                       &memory, &why)) == 1)
        control_row(client, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "rule",
                                      (json_int_t)rule.number, "query",
                                      control_json_text(rule.query), "by",
                                      control_json_text(rule.by), "reason",
                                      control_json_text(rule.reason), "since",
                                      control_json_time(rule.made_ms), "until",
                                      control_json_time(rule.until_ms)));
    buf_free(&memory);
    if (found < 0)
        control_fail(client, "%s", why.text);
    else
        control_done(client);
}
