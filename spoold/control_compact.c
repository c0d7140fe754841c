/* SPDX-License-Identifier: ISC */
/*
 * compact: the operator has the store rewritten without its free pages.
 *
 * Before: control_client.c
 * After:  store_compact.c (COMPACT)
 */
#include "control.h"

#define COMPACT_MS UINT64_C(86400000) /* as long as the disk takes */

static void
compact_done(struct control_client *client, struct peer_message *answer,
             const struct why *why)
{
    const struct proto_done *done;

    if (answer == NULL) {
        control_fail(client, "%s", why->text);
        return;
    }
    done = answer->payload;
    if (!done->done) {
        control_fail(client, "the store was not compacted: %.*s",
                     (int)done->text.len, done->text.data);
        return;
    }
    control_row(client,
                json_pack("{s:I, s:I}", "before", (json_int_t)done->before,
                          "after", (json_int_t)done->after));
    control_done(client);
}

void
control_compact(struct control_client *client)
{
    const struct proto_none none = {0};

    control_ask(client, ROLE_STORE, PROTO_COMPACT, &none, COMPACT_MS,
                compact_done);
}
