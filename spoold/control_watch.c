/* SPDX-License-Identifier: ISC */
/*
 * events -f: while somebody watches, the roles send the line of each event
 * and it goes to all watchers. Roles send nothing while nobody does. A
 * watcher that does not keep up is cut off and told how much it missed: the
 * daemon's work does not wait for a terminal.
 *
 * Before: event.c of each role (WATCH, EVENT)
 * After:  control_client.c
 */
#include "control.h"

#include <inttypes.h>
#include <stdlib.h>

#include "mem.h"

static const enum role sources[] = {ROLE_PARENT, ROLE_LISTENER, ROLE_STORE,
                                    ROLE_REPLAY, ROLE_IMAP, ROLE_AUTH};

struct watcher {
    uint64_t lost; /* lines since the client fell behind */
};

static size_t n_watchers;

static void
watch_tell(enum role role, bool on)
{
    struct proto_count count = {on ? 1 : 0};

    peer_send(role, PROTO_WATCH, &count, -1);
}

static void
watch_tell_all(bool on)
{
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
        watch_tell(sources[i], on);
}

static void
watcher_free(void *work)
{
    free(work);
    if (--n_watchers == 0)
        watch_tell_all(false);
}

void
control_events(struct control_client *client)
{
    if (!control_option(client, "follow")) {
        control_refuse(client, "events are only there as they happen: "
                               "write \"events -f\"");
        return;
    }
    client->work = mem_alloc(sizeof(struct watcher));
    client->work_free = watcher_free;
    if (n_watchers++ == 0)
        watch_tell_all(true);
}

/* Runs once the client has taken what it was sent before it fell behind. */
static void
watcher_cut(struct control_client *client)
{
    const struct watcher *watcher = client->work;

    control_fail(client, "too slow to follow: %" PRIu64 " events were lost",
                 watcher->lost);
}

static void
watcher_send(struct control_client *client, void *arg)
{
    struct watcher *watcher = client->work;

    if (watcher->lost > 0 || control_pending(client) > CONTROL_WATCH_MAX) {
        if (watcher->lost++ == 0)
            control_continue(client, watcher_cut);
        return;
    }
    control_row(client, json_incref(arg));
}

void
control_on_event(struct peer_message *message)
{
    const struct proto_blob *line = message->payload;
    json_t *event;

    if (n_watchers == 0)
        return;
    event = control_json_event(message->from, line->bytes);
    if (event == NULL)
        return;
    control_each_running(CTL_EVENTS, watcher_send, event);
    json_decref(event);
}

void
control_watch_role(enum role role)
{
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
        if (sources[i] == role && n_watchers > 0)
            watch_tell(role, true);
}

static void
watcher_stop(struct control_client *client, void *arg)
{
    (void)arg;
    control_fail(client, "the daemon is stopping");
}

void
control_watch_stop(void)
{
    control_each_running(CTL_EVENTS, watcher_stop, NULL);
}
