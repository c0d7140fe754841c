/* SPDX-License-Identifier: ISC */
/*
 * Requests that serve readers: of imap what users do to their view of mail,
 * of auth what signing in leaves, of control the accounts. Each becomes a
 * record. And the mailboxes are switched on, and filled with what was there
 * before, as soon as somebody may read.
 *
 * Before: imap, auth, control   After: store_batch.c
 */
#include <unistd.h>

#include "clock.h"
#include "conf.h"
#include "db_mailbox_read.h"
#include "log.h"
#include "loop.h"
#include "peer.h"
#include "role.h"
#include "store_mailbox.h"

/* Deliveries filled in one record; the next batch takes the next. */
#define FILL_ROWS 500

static struct {
    bool wanted; /* an imap listener is configured */
    bool started;
    uint64_t quota_bytes;
    struct loop_timer *fill;
} reader;

/* --- mailboxes ------------------------------------------------------------ */

static void
add_own(enum store_kind kind, const struct record_type *type,
        const void *payload, store_done_fn *done)
{
    struct buf bytes = {0};
    struct store_record record = {
        .kind = kind, .when_ms = (uint64_t)clock_wall_ms(), .fd = -1};

    record_encode(type, payload, &bytes);
    record.payload = buf_view(&bytes);
    store_batch_add(&record, ROLE_STORE, 0, 0, done);
    buf_free(&bytes);
}

static void
fill_done(enum role from, uint64_t call, uint64_t id, enum submit_result result,
          const char *reason, uint64_t count)
{
    (void)from;
    (void)call;
    (void)id;
    (void)reason;
    if (result == SUBMIT_DONE && count < FILL_ROWS)
        return;
    loop_timer_set(reader.fill, result == SUBMIT_DONE ? 1 : 10000);
}

static void
fill(void *arg)
{
    struct store_fill record = {FILL_ROWS};

    (void)arg;
    add_own(STORE_FILL, &store_fill_record, &record, fill_done);
}

static void
switch_on(void)
{
    struct store_mailboxes on = {.uidvalidity =
                                     (uint64_t)clock_wall_ms() / 1000};

    add_own(STORE_MAILBOXES, &store_mailboxes_record, &on, NULL);
}

static void
restored_done(enum role from, uint64_t call, uint64_t id,
              enum submit_result result, const char *reason, uint64_t count)
{
    (void)from;
    (void)call;
    (void)id;
    (void)count;
    if (result != SUBMIT_DONE || unlink(DB_RESTORED) != 0)
        fatal("the store was restored, and that cannot be recorded: %s",
              reason);
}

void
store_imap_start(void)
{
    struct db_mailbox_facts facts = {0};
    struct store_mailboxes skip = {.skip = STORE_SKIP};
    struct why why;

    reader.started = true;
    if (reader.fill == NULL)
        reader.fill = loop_timer_new(fill, NULL);
    if (db_mailbox_facts(store_batch_db(), &facts, &why) < 0)
        fatal_exit(ROLE_EXIT_STORE, "%s", why.text);
    if (access(DB_RESTORED, F_OK) == 0)
        add_own(STORE_MAILBOXES, &store_mailboxes_record, &skip, restored_done);
    if (!facts.on && !reader.wanted)
        return;
    if (!facts.on)
        switch_on();
    if (!facts.filled)
        fill(NULL);
}

void
store_imap_configure(const struct conf *conf)
{
    const struct conf_listen *listens = conf->listens.items;
    bool before = reader.wanted;

    reader.wanted = false;
    for (size_t i = 0; i < conf->listens.count; i++)
        if (view_equal(listens[i].service, VIEW("imap")) ||
            view_equal(listens[i].service, VIEW("imaps")))
            reader.wanted = true;
    reader.quota_bytes = conf->user_quota;
    if (reader.started && reader.wanted && !before)
        store_imap_start();
}

/* --- imap ----------------------------------------------------------------- */

static void
marked(enum role from, uint64_t call, uint64_t id, enum submit_result result,
       const char *reason, uint64_t count)
{
    struct proto_marked answer = {result, count, view_of(reason)};

    (void)id;
    peer_answer(from, call, PROTO_FLAGGED, &answer);
}

static void
placed(enum role from, uint64_t call, uint64_t id, enum submit_result result,
       const char *reason, uint64_t count)
{
    struct proto_marked answer = {result, count, view_of(reason)};

    (void)id;
    peer_answer(from, call, PROTO_PLACED, &answer);
}

static void
appended(enum role from, uint64_t call, uint64_t id, enum submit_result result,
         const char *reason, uint64_t count)
{
    struct proto_marked answer = {result, count, view_of(reason)};

    (void)id;
    peer_answer(from, call, PROTO_APPENDED, &answer);
}

static void
structured(enum role from, uint64_t call, uint64_t id,
           enum submit_result result, const char *reason, uint64_t count)
{
    struct proto_marked answer = {result, count, view_of(reason)};

    (void)id;
    peer_answer(from, call, PROTO_STRUCTURED, &answer);
}

static void
add(const struct peer_message *message, enum store_kind kind,
    store_done_fn *done)
{
    struct store_record record = {.kind = kind,
                                  .when_ms = (uint64_t)clock_wall_ms(),
                                  .payload = message->bytes,
                                  .fd = -1};

    store_batch_add(&record, message->from, message->call, 0, done);
}

void
store_on_flags(struct peer_message *message)
{
    add(message, STORE_FLAGS, marked);
}

void
store_on_place(struct peer_message *message)
{
    add(message, STORE_PLACE, placed);
}

void
store_on_structure(struct peer_message *message)
{
    add(message, STORE_STRUCTURE, structured);
}

/* The quota is asked here, for the answer, and again when it is applied. */
void
store_on_append(struct peer_message *message)
{
    struct proto_append *append = message->payload;
    struct account account;
    struct buf memory = {0}, bytes = {0};
    struct store_record record = {.kind = STORE_APPEND,
                                  .when_ms = (uint64_t)clock_wall_ms(),
                                  .fd = message->fd};
    const char *reason = NULL;

    if (store_is_full())
        reason = "free space is under the reserve";
    if (db_read_account(store_batch_db(), append->user, &account, &memory,
                        NULL) == 1) {
        if (account.own_bytes + append->submit.len > reader.quota_bytes)
            reason = "the user's quota is used up";
        record_clear(&account_record, &account);
    }
    buf_free(&memory);
    if (reason != NULL) {
        appended(message->from, message->call, 0, SUBMIT_FULL, reason, 0);
        return;
    }
    append->quota_bytes = reader.quota_bytes;
    record_encode(&proto_append_record, append, &bytes);
    record.payload = buf_view(&bytes);
    message->fd = -1;
    store_batch_add(&record, message->from, message->call, 0, appended);
    buf_free(&bytes);
}

void
store_on_news_seen(struct peer_message *message)
{
    (void)message;
    store_news_seen();
}

/* --- auth, control ----------------------------------------------------------
 */

static void
signed_in(enum role from, uint64_t call, uint64_t id, enum submit_result result,
          const char *reason, uint64_t count)
{
    struct proto_done answer = {.done = result == SUBMIT_DONE && count > 0,
                                .text = view_of(reason)};

    (void)id;
    peer_answer(from, call, PROTO_SIGNED_IN, &answer);
}

static void
user_changed(enum role from, uint64_t call, uint64_t id,
             enum submit_result result, const char *reason, uint64_t count)
{
    struct proto_done answer = {
        .done = result == SUBMIT_DONE, .count = count, .text = view_of(reason)};

    (void)id;
    peer_answer(from, call, PROTO_USER_CHANGED, &answer);
}

void
store_on_sign_in(struct peer_message *message)
{
    add(message, STORE_SIGN_IN, signed_in);
}

void
store_on_user(struct peer_message *message)
{
    add(message, STORE_USER, user_changed);
}
