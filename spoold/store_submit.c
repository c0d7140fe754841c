/* SPDX-License-Identifier: ISC */
/*
 * SUBMIT: a message comes in. Everything the listener says is checked before
 * the first row is written, since the listener faces the network: lengths,
 * names, the descriptor. What is recorded of the content is what was copied.
 *
 * Before: store_apply.c   After: store_batch.c (commit, then SUBMITTED)
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>

#include "body.h"
#include "bytes.h"
#include "event.h"
#include "msgid.h"
#include "store.h"

#define ADDRESS_MAX         1024
#define NOTICE_AHEAD_MAX_MS (UINT64_C(7) * 86400000)
#define DELIVERIES_MAX      20000
#define CONTENT_MAX         (UINT64_C(4) << 30)

/* Where the pieces come from: inline bytes or a descriptor. */
struct source {
    struct view inlined;
    int fd;
    uint64_t len;
    uint64_t at;
    char piece[BODY_PIECE_MAX];
};

static int
pread_all(int fd, char *to, size_t len, uint64_t at)
{
    while (len > 0) {
        ssize_t n = pread(fd, to, len, (off_t)at);

        if (n <= 0)
            return -1;
        to += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

/* 1: *piece is set, 0: the end, -1: malformed. */
static int
source_next(struct source *source, struct view *piece, struct why *why)
{
    char length[4];
    uint32_t len;

    if (source->fd < 0)
        return body_next_piece(&source->inlined, piece, why);
    if (source->at == source->len)
        return 0;
    if (source->len - source->at < sizeof(length) ||
        pread_all(source->fd, length, sizeof(length), source->at) != 0)
        return why_text(why, "body file cut in a length");
    len = bytes_get32(length);
    source->at += sizeof(length);
    if (len == 0 || len > BODY_PIECE_MAX || len > source->len - source->at ||
        pread_all(source->fd, source->piece, len, source->at) != 0)
        return why_text(why, "body file with a piece of %u bytes", len);
    source->at += len;
    *piece = (struct view){source->piece, len};
    return 1;
}

static int
source_check(const struct proto_submit *submit, struct view content, int fd,
             struct why *why)
{
    struct stat st;

    if (fd < 0) {
        struct view rest = content, piece;
        int more;

        while ((more = body_next_piece(&rest, &piece, why)) > 0)
            ;
        return more;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return why_text(why, "content is not a regular file");
    if ((uint64_t)st.st_size != submit->content_len ||
        submit->content_len > CONTENT_MAX)
        return why_text(why, "content has %lld bytes, not the announced",
                        (long long)st.st_size);
    return 0;
}

static int
submit_check(const struct proto_submit *submit, const struct message *message,
             struct view content, int fd, struct why *why)
{
    if (submit->id == 0)
        return why_text(why, "no id");
    if (message->key != 0 && message->salt.len != SEAL_SALT)
        return why_text(why, "a salt of %zu bytes", message->salt.len);
    if (message->sender.len > ADDRESS_MAX || message->flow.len > DB_FLOW_MAX ||
        (message->flow.len > 0 &&
         memchr(message->flow.data, '\0', message->flow.len) != NULL))
        return why_text(why, "sender too long");
    return source_check(submit, content, fd, why);
}

static int
check_deliveries(const struct proto_submit *submit, struct why *why)
{
    const struct delivery *deliveries = submit->deliveries.items;

    if (submit->deliveries.count == 0 ||
        submit->deliveries.count > DELIVERIES_MAX)
        return why_text(why, "%zu recipients", submit->deliveries.count);
    for (size_t i = 0; i < submit->deliveries.count; i++)
        if (deliveries[i].recipient.len > ADDRESS_MAX ||
            deliveries[i].target.len == 0 ||
            deliveries[i].target.len > DB_TARGET_MAX ||
            memchr(deliveries[i].target.data, '\0', deliveries[i].target.len) !=
                NULL)
            return why_text(why, "recipient %zu", i);
    return 0;
}

/* Copies the pieces and counts what was copied into *message. */
static enum apply_result
copy_content(struct store_apply *apply, uint64_t id, struct source *source,
             struct message *message, char digest[BODY_DIGEST_LEN])
{
    struct body_digest *sum = body_digest_new();
    enum apply_result result = APPLY_OK;
    struct view piece;
    int more = 1;

    message->pieces = 0;
    message->stored = 0;
    while (result == APPLY_OK &&
           (more = source_next(source, &piece, &apply->why)) > 0) {
        body_digest_add(sum, piece);
        result = store_apply_db(
            apply, db_put_piece(apply->txn, id, message->pieces++, piece));
        message->stored += piece.len;
    }
    body_digest_end(&sum, digest);
    message->digest = (struct view){digest, MESSAGE_DIGEST};
    return more < 0 ? APPLY_UNDO : result;
}

/* What a delivery is at first. An import brings state, attempts and clock
 * along; everything else comes in ready. */
static struct delivery
first_state(const struct delivery *wanted, const struct message *message)
{
    struct delivery delivery = {.recipient = wanted->recipient,
                                .target = wanted->target,
                                .state = DELIVERY_READY,
                                .notify = wanted->notify,
                                .orcpt = wanted->orcpt};

    if (message->origin != ORIGIN_IMPORT)
        return delivery;
    delivery.attempts = wanted->attempts;
    delivery.code = wanted->code;
    delivery.reply = wanted->reply;
    delivery.spent_ms = wanted->spent_ms;
    if (wanted->state == DELIVERY_HELD)
        delivery.state = DELIVERY_HELD;
    if (delivery_waits(wanted->state) && wanted->next_ms != 0) {
        delivery.state = wanted->state;
        delivery.next_ms = wanted->next_ms;
    }
    return delivery;
}

/* Notices go out one after the other, however many there are at a time: each
 * has its own moment, and waits for it as any delivery does. */
static void
pace_notice(struct store_apply *apply, const struct message *message,
            struct delivery *delivery)
{
    uint64_t at_ms = message->arrived_ms;
    uint64_t next_ms = apply->totals.notice_ms + apply->notice_gap_ms;

    if (apply->notice_gap_ms == 0)
        return;
    /* A clock that was far ahead once must not hold them back for ever. */
    if (next_ms > at_ms && next_ms - at_ms < NOTICE_AHEAD_MAX_MS)
        at_ms = next_ms;
    apply->totals.notice_ms = at_ms;
    if (at_ms == message->arrived_ms)
        return;
    delivery->state = DELIVERY_LATER;
    delivery->next_ms = at_ms;
}

/* One row in delivery for each recipient, and one in ready or later. */
static enum apply_result
put_deliveries(struct store_apply *apply, const struct proto_submit *submit,
               const struct message *message)
{
    const struct delivery *wanted = submit->deliveries.items;
    struct target_health health = {0};
    struct view known = {0}; /* health is that of this target */
    enum apply_result result = APPLY_OK;

    for (uint64_t n = 0; n < submit->deliveries.count; n++) {
        struct store_open open = {.id = submit->id, .n = n};

        open.row = first_state(&wanted[n], message);
        if (message->origin == ORIGIN_DSN)
            pace_notice(apply, message, &open.row);
        if (!view_equal(known, wanted[n].target)) {
            known = wanted[n].target;
            if (db_get_health(apply->txn, known, &health) != DB_OK)
                health = (struct target_health){0};
        }
        open.row.reach_ms = health.reach_ms;
        open.flow_len = message_flow_key(message, open.flow);
        result = store_open_enter(apply, &open);
        if (result != APPLY_OK)
            break;
    }
    return result;
}

enum apply_result
store_submit_content(struct store_apply *apply,
                     const struct proto_submit *submit, struct message *message,
                     struct view content, int fd, char *digest)
{
    struct source source;
    enum apply_result result;

    if (submit->content.len > 0)
        content = submit->content;
    if (submit_check(submit, message, content, fd, &apply->why) != 0)
        return APPLY_REFUSED;
    result = store_refs_need(apply, message, submit->data_key);
    if (result != APPLY_OK)
        return result;
    source.inlined = content;
    source.fd = fd;
    source.len = submit->content_len;
    source.at = 0;
    return copy_content(apply, submit->id, &source, message, digest);
}

static enum apply_result
submit_rows(struct store_apply *apply, const struct proto_submit *submit,
            struct message *message, struct view content, int fd)
{
    char digest[BODY_DIGEST_LEN];
    struct ledger_entry entry;
    struct sieve sieve;
    enum apply_result result =
        store_submit_content(apply, submit, message, content, fd, digest);

    if (result == APPLY_OK)
        result =
            store_refs_take(apply, message->stored, submit->deliveries.items,
                            submit->deliveries.count);
    if (result == APPLY_OK)
        result = store_prefer_new(apply, submit, message);
    sieve_of_message(&sieve, message, submit->deliveries.items,
                     submit->deliveries.count);
    if (result == APPLY_OK)
        result = store_apply_db(apply, db_sieve_add(apply->txn, submit->id,
                                                    &sieve, &message->block));
    if (result == APPLY_OK)
        result = store_apply_db(
            apply, db_add_message(apply->txn, submit->id, message));
    if (result == APPLY_OK)
        result = put_deliveries(apply, submit, message);
    if (result != APPLY_OK)
        return result;
    entry = (struct ledger_entry){.when_ms = message->arrived_ms,
                                  .event = EVENT_ACCEPTED,
                                  .id = submit->id,
                                  .code = submit->deliveries.count,
                                  .text = message->sender,
                                  .digest = message->digest};
    apply->totals.held++;
    apply->totals.held_stored += message->stored;
    if (msgid_ms(submit->id) > apply->totals.floor_ms)
        apply->totals.floor_ms = msgid_ms(submit->id);
    return store_apply_db(apply, db_add_ledger(apply->txn, &entry));
}

enum apply_result
store_apply_submit(struct store_apply *apply, struct view payload,
                   struct view content, int fd)
{
    struct proto_submit submit;
    struct message message, other;
    enum apply_result result = APPLY_REFUSED;

    if (record_decode(&proto_submit_record, payload, &submit, &apply->why) != 0)
        return APPLY_REFUSED;
    if (record_decode(&message_record, submit.message, &message, &apply->why) !=
            0 ||
        check_deliveries(&submit, &apply->why) != 0) {
        record_clear(&proto_submit_record, &submit);
        return APPLY_REFUSED;
    }
    message.finished_ms = 0;
    message.purge_ms = 0;
    message.bucket = 0;
    message.prefer = 0;
    if (message.origin == ORIGIN_DSN)
        message.bucket = MESSAGE_BUCKET_NOTICE;
    else if (submit.deliveries.count > 0)
        message.bucket = message_bucket(
            ((const struct delivery *)submit.deliveries.items)->recipient);
    switch (db_get_message(apply->txn, submit.id, &other)) {
    case DB_NONE:
        result = submit_rows(apply, &submit, &message, content, fd);
        break;
    case DB_OK: /* never write over a message, whatever the reason */
    case DB_DAMAGED:
        why_text(&apply->why, "the id is in use");
        result = APPLY_STALE; /* its client tries again, with another */
        break;
    default:
        result = APPLY_FAILED;
    }
    record_clear(&proto_submit_record, &submit);
    return result;
}
