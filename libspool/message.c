/* SPDX-License-Identifier: ISC */
/*
 * The field tables of the rows. Tags are part of the format on disk: add at
 * the end, never change, never reuse (spool.5 lists them; the lint compares).
 */
#include "message.h"

#include <stdio.h>

static const struct record_field message_fields[] = {
    RECORD_NEEDED_NUM(1, message, arrived_ms),
    RECORD_NEEDED_NUM(2, message, origin),
    RECORD_NUM_FIELD(3, message, flags),
    RECORD_VIEW_FIELD(4, message, sender),
    RECORD_VIEW_FIELD(5, message, flow),
    RECORD_NUM_FIELD(6, message, size),
    RECORD_NUM_FIELD(7, message, stored),
    RECORD_NUM_FIELD(8, message, pieces),
    RECORD_VIEW_FIELD(9, message, digest),
    RECORD_VIEW_FIELD(10, message, client),
    RECORD_VIEW_FIELD(11, message, helo),
    RECORD_VIEW_FIELD(12, message, protocol),
    RECORD_VIEW_FIELD(13, message, tls),
    RECORD_VIEW_FIELD(14, message, subject),
    RECORD_VIEW_FIELD(15, message, message_id),
    RECORD_NUM_FIELD(16, message, finished_ms),
    RECORD_NUM_FIELD(17, message, key),
    RECORD_NUM_FIELD(18, message, step),
    RECORD_VIEW_FIELD(19, message, salt),
    RECORD_NUM_FIELD(20, message, dictionary),
    RECORD_NUM_FIELD(21, message, block),
    RECORD_NUM_FIELD(22, message, purge_ms),
    RECORD_NUM_FIELD(23, message, port),
    RECORD_VIEW_FIELD(24, message, server),
    RECORD_NUM_FIELD(25, message, server_port),
    RECORD_NUM_FIELD(26, message, ret),
    RECORD_VIEW_FIELD(27, message, envid),
    RECORD_NUM_FIELD(28, message, about),
    RECORD_NUM_FIELD(29, message, bucket),
    RECORD_NUM_FIELD(30, message, prefer),
};
RECORD_TYPE(message);

/* The sender's domain, as it is written there. */
static struct view
sender_domain(const struct message *message)
{
    struct view sender = message->sender;
    const char *at =
        sender.len > 0 ? memrchr(sender.data, '@', sender.len) : NULL;

    if (at == NULL)
        return (struct view){NULL, 0};
    return view_skip(sender, (size_t)(at - sender.data) + 1);
}

void
message_pack(struct message *message)
{
    message->flags &= ~(uint64_t)MESSAGE_FLOW_IN_SENDER;
    if (message->flow.len == 0 ||
        !view_equal(message->flow, sender_domain(message)))
        return;
    message->flow = (struct view){NULL, 0};
    message->flags |= MESSAGE_FLOW_IN_SENDER;
}

void
message_unpack(struct message *message)
{
    if (message->flags & MESSAGE_FLOW_IN_SENDER)
        message->flow = sender_domain(message);
    message->flags &= ~(uint64_t)MESSAGE_FLOW_IN_SENDER;
}

void
message_prefer_key(uint64_t prefer, char key[MESSAGE_PREFER_LEN + 1])
{
    snprintf(key, MESSAGE_PREFER_LEN + 1, "%c%08x", MESSAGE_FLOW_PREFER,
             (unsigned)prefer);
}

size_t
message_flow_key(const struct message *message, char key[MESSAGE_FLOW_KEY_MAX])
{
    struct view domain = message->flow;
    size_t len = 0;

    if (message->prefer != 0) {
        message_prefer_key(message->prefer, key);
        len = MESSAGE_PREFER_LEN;
    }
    if (domain.len == 0 && message->bucket != 0)
        domain = VIEW("-");
    if (domain.len > MESSAGE_FLOW_KEY_MAX - MESSAGE_PREFER_LEN - 2)
        domain.len = MESSAGE_FLOW_KEY_MAX - MESSAGE_PREFER_LEN - 2;
    if (domain.len > 0)
        memcpy(key + len, domain.data, domain.len);
    len += domain.len;
    if (message->bucket != 0) {
        key[len++] = MESSAGE_FLOW_BUCKET;
        key[len++] = (char)('A' + message->bucket - 1); /* "A" to "\140" */
    }
    return len;
}

/* FNV-1a, with its bits mixed: all that differs counts. */
uint64_t
message_bucket(struct view recipient)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < recipient.len; i++) {
        uint8_t c = (uint8_t)recipient.data[i];

        if (c >= 'A' && c <= 'Z')
            c |= 0x20;
        hash = (hash ^ c) * UINT64_C(0x100000001b3);
    }
    hash = (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return (hash >> 59) + 1;
}

static const struct record_field delivery_fields[] = {
    RECORD_NEEDED_VIEW(1, delivery, recipient),
    RECORD_NEEDED_VIEW(2, delivery, target),
    RECORD_NUM_FIELD(3, delivery, state),
    RECORD_NUM_FIELD(4, delivery, attempts),
    RECORD_NUM_FIELD(5, delivery, next_ms),
    RECORD_NUM_FIELD(6, delivery, changed_ms),
    RECORD_NUM_FIELD(7, delivery, reach_ms),
    RECORD_NUM_FIELD(8, delivery, code),
    RECORD_VIEW_FIELD(9, delivery, reply),
    RECORD_NUM_FIELD(10, delivery, spent_ms),
    RECORD_NUM_FIELD(11, delivery, notify),
    RECORD_VIEW_FIELD(12, delivery, orcpt),
    RECORD_VIEW_FIELD(13, delivery, home),
    RECORD_NUM_FIELD(14, delivery, warned_ms),
    RECORD_NUM_FIELD(15, delivery, untold),
    RECORD_NUM_FIELD(16, delivery, alarmed_ms),
    RECORD_NUM_FIELD(20, delivery, uid),
    RECORD_NUM_FIELD(21, delivery, moved),
};
RECORD_TYPE(delivery);

static const struct record_field target_limit_fields[] = {
    RECORD_NEEDED_NUM(1, target_limit, key),
    RECORD_NUM_FIELD(2, target_limit, value),
    RECORD_NUM_FIELD(3, target_limit, until_ms),
    RECORD_VIEW_FIELD(4, target_limit, by),
};
RECORD_TYPE(target_limit);

static const struct record_field target_limits_fields[] = {
    RECORD_LIST_FIELD(1, target_limits, limits, target_limit_record),
};
RECORD_TYPE(target_limits);

static const struct record_field target_health_fields[] = {
    RECORD_NEEDED_VIEW(1, target_health, name),
    RECORD_NEEDED_NUM(2, target_health, state),
    RECORD_NUM_FIELD(3, target_health, since_ms),
    RECORD_NUM_FIELD(4, target_health, reach_ms),
    RECORD_VIEW_FIELD(5, target_health, reason),
    RECORD_NUM_FIELD(6, target_health, pause_until_ms),
    RECORD_VIEW_FIELD(7, target_health, paused_by),
    RECORD_NUM_FIELD(8, target_health, guard),
    RECORD_NUM_FIELD(9, target_health, rate),
    RECORD_VIEW_FIELD(10, target_health, limits),
    RECORD_NUM_FIELD(11, target_health, hurt_rate),
    RECORD_NUM_FIELD(12, target_health, hurt_connections),
};
RECORD_TYPE(target_health);

static const struct record_field data_key_fields[] = {
    RECORD_NEEDED_NUM(1, data_key, id),
    RECORD_NUM_FIELD(2, data_key, made_ms),
    RECORD_NEEDED_VIEW(3, data_key, pair),
    RECORD_NEEDED_VIEW(4, data_key, sealed),
    RECORD_NUM_FIELD(5, data_key, messages),
};
RECORD_TYPE(data_key);

static const struct record_field dictionary_row_fields[] = {
    RECORD_NEEDED_NUM(1, dictionary_row, id),
    RECORD_NUM_FIELD(2, dictionary_row, made_ms),
    RECORD_VIEW_FIELD(3, dictionary_row, bytes),
    RECORD_NUM_FIELD(4, dictionary_row, messages),
    RECORD_NUM_FIELD(5, dictionary_row, retired),
};
RECORD_TYPE(dictionary_row);

static const struct record_field domain_share_fields[] = {
    RECORD_NUM_FIELD(1, domain_share, messages),
    RECORD_NUM_FIELD(2, domain_share, stored),
};
RECORD_TYPE(domain_share);

static const struct record_field checkpoint_fields[] = {
    RECORD_NEEDED_NUM(1, checkpoint, seq),
    RECORD_NEEDED_NUM(2, checkpoint, when_ms),
    RECORD_NEEDED_VIEW(3, checkpoint, head),
    RECORD_NUM_FIELD(4, checkpoint, accepted),
    RECORD_NUM_FIELD(5, checkpoint, ended),
    RECORD_VIEW_FIELD(6, checkpoint, public),
    RECORD_VIEW_FIELD(7, checkpoint, signature),
};
RECORD_TYPE(checkpoint);

static const struct record_field aside_row_fields[] = {
    RECORD_NUM_FIELD(1, aside_row, when_ms),
    RECORD_NEEDED_VIEW(2, aside_row, table),
    RECORD_VIEW_FIELD(3, aside_row, key),
    RECORD_VIEW_FIELD(4, aside_row, value),
    RECORD_VIEW_FIELD(5, aside_row, reason),
    RECORD_NUM_FIELD(6, aside_row, id),
};
RECORD_TYPE(aside_row);

static const struct record_field prefer_rule_fields[] = {
    RECORD_NEEDED_NUM(1, prefer_rule, number),
    RECORD_NUM_FIELD(2, prefer_rule, made_ms),
    RECORD_NUM_FIELD(3, prefer_rule, until_ms),
    RECORD_VIEW_FIELD(4, prefer_rule, query),
    RECORD_VIEW_FIELD(5, prefer_rule, by),
    RECORD_VIEW_FIELD(6, prefer_rule, reason),
};
RECORD_TYPE(prefer_rule);

static const struct record_field undo_row_fields[] = {
    RECORD_NUM_FIELD(1, undo_row, began_ms),
    RECORD_NUM_FIELD(2, undo_row, what),
    RECORD_NUM_FIELD(3, undo_row, count),
    RECORD_VIEW_FIELD(4, undo_row, by),
    RECORD_VIEW_FIELD(5, undo_row, reason),
    RECORD_NUM_FIELD(6, undo_row, after_ms),
    RECORD_NUM_FIELD(7, undo_row, after),
    RECORD_NUM_FIELD(8, undo_row, state),
    RECORD_NUM_FIELD(9, undo_row, next_ms),
    RECORD_NUM_FIELD(10, undo_row, changed_ms),
    RECORD_NUM_FIELD(11, undo_row, attempts),
    RECORD_NUM_FIELD(12, undo_row, spent_ms),
    RECORD_NUM_FIELD(13, undo_row, untold),
    RECORD_VIEW_FIELD(14, undo_row, target),
    RECORD_VIEW_FIELD(15, undo_row, home),
};
RECORD_TYPE(undo_row);

static const struct record_field ledger_entry_fields[] = {
    RECORD_NEEDED_NUM(1, ledger_entry, when_ms),
    RECORD_NEEDED_NUM(2, ledger_entry, event),
    RECORD_NUM_FIELD(3, ledger_entry, id),
    RECORD_NUM_FIELD(4, ledger_entry, n),
    RECORD_NUM_FIELD(5, ledger_entry, code),
    RECORD_VIEW_FIELD(6, ledger_entry, text),
    RECORD_VIEW_FIELD(7, ledger_entry, digest),
    RECORD_VIEW_FIELD(8, ledger_entry, by),
};
RECORD_TYPE(ledger_entry);

static const char *const delivery_states[] = {
    [DELIVERY_READY] = "ready",         [DELIVERY_LATER] = "later",
    [DELIVERY_DELIVERED] = "delivered", [DELIVERY_RETURNED] = "returned",
    [DELIVERY_EXPIRED] = "expired",     [DELIVERY_DROPPED] = "dropped",
    [DELIVERY_HELD] = "on-hold",        [DELIVERY_DISCARDED] = "discarded",
    [DELIVERY_UNKNOWN] = "unknown",
};
static const char *const untold_texts[] = {
    [UNTOLD_NULL_SENDER] = "the sender is null",
    [UNTOLD_NOTIFY] = "the sender asked not to be told",
    [UNTOLD_POLICY] = "return = never",
    [UNTOLD_NO_WAY] = "there is no way back to the sender",
};
static const char *const target_limits[] = {
    [TARGET_LIMIT_CONNECTIONS] = "connections",
    [TARGET_LIMIT_CONNECTION_RATE] = "connection-rate",
    [TARGET_LIMIT_MESSAGE_RATE] = "message-rate",
    [TARGET_LIMIT_BYTE_RATE] = "byte-rate",
};
static const char *const target_states[] = {
    [TARGET_UP] = "up",
    [TARGET_DOWN] = "down",
    [TARGET_RETURNING] = "returning",
    [TARGET_PAUSED] = "paused",
};

#define NAME_IN(names, value)                                                  \
    ((value) < sizeof(names) / sizeof((names)[0]) && (names)[value] != NULL    \
         ? (names)[value]                                                      \
         : "invalid")

const char *
delivery_state_name(uint64_t state)
{
    return NAME_IN(delivery_states, state);
}

uint64_t
delivery_state_by_name(struct view name)
{
    for (uint64_t s = DELIVERY_READY; s <= DELIVERY_STATE_MAX; s++)
        if (view_equal_nocase(name, view_of(delivery_states[s])))
            return s;
    return 0;
}

const char *
target_state_name(uint64_t state)
{
    return NAME_IN(target_states, state);
}

const char *
target_guard_name(uint64_t guard)
{
    static const char *const names[] = {
        [GUARD_NONE] = "none",
        [GUARD_WATCHES] = "watches",
        [GUARD_TRUSTS] = "trusts",
    };

    return guard < sizeof(names) / sizeof(names[0]) ? names[guard] : "unknown";
}

const char *
target_limit_name(uint64_t key)
{
    return NAME_IN(target_limits, key);
}

uint64_t
target_limit_by_name(struct view name)
{
    for (uint64_t k = 1; k <= TARGET_LIMIT_MAX; k++)
        if (view_equal(name, view_of(target_limits[k])))
            return k;
    return 0;
}

const char *
untold_text(uint64_t untold)
{
    return NAME_IN(untold_texts, untold);
}
