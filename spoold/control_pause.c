/* SPDX-License-Identifier: ISC */
/*
 * target pause, target resume: replay is told, and answers when it holds and
 * is durable.
 *
 * Before: control_client.c   After: replay_pause.c (PAUSE)
 */
#include "control.h"


#define FOR_MAX_MS (UINT64_C(366) * 86400000)

static void
pause_on_paused(struct control_client *client, struct peer_message *answer,
                const struct why *why)
{
    const struct proto_done *done = control_was_done(client, answer, why);

    if (done == NULL)
        return;
    control_row(client,
                json_pack("{s:o, s:o}", "target",
                          control_json_text(control_argument(client, 0)),
                          "until", control_json_time(done->count)));
    control_done(client);
}

static void
pause_ask(struct control_client *client, struct proto_pause *pause)
{
    pause->name = control_argument(client, 0);
    pause->by = view_of(control_operator(client));
    if (pause->name.len == 0)
        control_refuse(client, "the name of a target is missing");
    else
        control_ask(client, ROLE_REPLAY, PROTO_PAUSE, pause, CONTROL_COMMIT_MS,
                    pause_on_paused);
}

void
control_target_pause(struct control_client *client)
{
    struct proto_pause pause = {0};
    struct why why;

    if (control_until(client, FOR_MAX_MS, &pause.until_ms, &why) != 0) {
        control_refuse(client, "--for: %s", why.text);
        return;
    }
    pause_ask(client, &pause);
}

void
control_target_resume(struct control_client *client)
{
    struct proto_pause pause = {
        .resume = 1,
        .trust = control_option_text(client, CTL_OPTION_TRUST) != NULL,
    };

    pause_ask(client, &pause);
}
