/* SPDX-License-Identifier: ISC */
/*
 * The field tables of what roles say to each other, and the rows of
 * proto_table.h with the questions asked of them.
 */
#include "proto.h"

static const struct record_field proto_none_fields[] = {
    RECORD_NUM_FIELD(1, proto_none, nothing),
};
RECORD_TYPE(proto_none);

static const struct record_field proto_blob_fields[] = {
    RECORD_VIEW_FIELD(1, proto_blob, bytes),
};
RECORD_TYPE(proto_blob);

static const struct record_field proto_name_fields[] = {
    RECORD_VIEW_FIELD(1, proto_name, name),
};
RECORD_TYPE(proto_name);

static const struct record_field proto_count_fields[] = {
    RECORD_NUM_FIELD(1, proto_count, count),
};
RECORD_TYPE(proto_count);

static const struct record_field proto_peer_fields[] = {
    RECORD_NEEDED_NUM(1, proto_peer, role),
};
RECORD_TYPE(proto_peer);

static const struct record_field proto_listen_fields[] = {
    RECORD_NEEDED_VIEW(1, proto_listen, service),
    RECORD_VIEW_FIELD(2, proto_listen, address),
};
RECORD_TYPE(proto_listen);

static const struct record_field proto_certificate_fields[] = {
    RECORD_NEEDED_VIEW(1, proto_certificate, certificate),
    RECORD_NEEDED_VIEW(2, proto_certificate, key),
};
RECORD_TYPE(proto_certificate);

static const struct record_field proto_drain_fields[] = {
    RECORD_NUM_FIELD(1, proto_drain, limit_ms),
};
RECORD_TYPE(proto_drain);

static const struct record_field proto_role_now_fields[] = {
    RECORD_NEEDED_VIEW(1, proto_role_now, name),
    RECORD_NUM_FIELD(2, proto_role_now, pid),
    RECORD_NUM_FIELD(3, proto_role_now, restarts),
    RECORD_NUM_FIELD(4, proto_role_now, since_ms),
};
RECORD_TYPE(proto_role_now);

static const struct record_field proto_roles_fields[] = {
    RECORD_LIST_FIELD(1, proto_roles, roles, proto_role_now_record),
};
RECORD_TYPE(proto_roles);

static const struct record_field proto_submit_fields[] = {
    RECORD_NEEDED_NUM(1, proto_submit, id),
    RECORD_NEEDED_VIEW(2, proto_submit, message),
    RECORD_LIST_FIELD(3, proto_submit, deliveries, delivery_record),
    RECORD_VIEW_FIELD(4, proto_submit, content),
    RECORD_NUM_FIELD(5, proto_submit, content_len),
    RECORD_VIEW_FIELD(6, proto_submit, data_key),
};
RECORD_TYPE(proto_submit);

static const struct record_field proto_submitted_fields[] = {
    RECORD_NEEDED_NUM(1, proto_submitted, id),
    RECORD_NEEDED_NUM(2, proto_submitted, result),
    RECORD_VIEW_FIELD(3, proto_submitted, reason),
};
RECORD_TYPE(proto_submitted);

static const struct record_field proto_space_fields[] = {
    RECORD_NUM_FIELD(1, proto_space, free_bytes),
    RECORD_NUM_FIELD(2, proto_space, full),
    RECORD_NUM_FIELD(3, proto_space, floor_ms),
    RECORD_LIST_FIELD(4, proto_space, full_domains, proto_name_record),
};
RECORD_TYPE(proto_space);

static const struct record_field proto_ready_item_fields[] = {
    RECORD_NEEDED_NUM(1, proto_ready_item, id),
    RECORD_NEEDED_VIEW(2, proto_ready_item, target),
    RECORD_VIEW_FIELD(3, proto_ready_item, flow),
};
RECORD_TYPE(proto_ready_item);

static const struct record_field proto_queued_fields[] = {
    RECORD_LIST_FIELD(1, proto_queued, items, proto_ready_item_record),
};
RECORD_TYPE(proto_queued);

static const struct record_field proto_result_fields[] = {
    RECORD_NUM_FIELD(1, proto_result, n),
    RECORD_NEEDED_NUM(2, proto_result, state),
    RECORD_NUM_FIELD(3, proto_result, code),
    RECORD_VIEW_FIELD(4, proto_result, reply),
    RECORD_NUM_FIELD(5, proto_result, next_ms),
    RECORD_NUM_FIELD(6, proto_result, untold),
    RECORD_NUM_FIELD(7, proto_result, alarmed),
};
RECORD_TYPE(proto_result);

static const struct record_field proto_outcome_fields[] = {
    RECORD_NEEDED_NUM(1, proto_outcome, id),
    RECORD_NEEDED_NUM(2, proto_outcome, when_ms),
    RECORD_LIST_FIELD(3, proto_outcome, results, proto_result_record),
    RECORD_VIEW_FIELD(4, proto_outcome, dsn),
    RECORD_NUM_FIELD(5, proto_outcome, what),
    RECORD_VIEW_FIELD(6, proto_outcome, by),
    RECORD_VIEW_FIELD(7, proto_outcome, reason),
    RECORD_VIEW_FIELD(8, proto_outcome, target),
};
RECORD_TYPE(proto_outcome);

static const struct record_field proto_recorded_fields[] = {
    RECORD_NEEDED_NUM(1, proto_recorded, id),
    RECORD_NEEDED_NUM(2, proto_recorded, result),
    RECORD_NUM_FIELD(3, proto_recorded, count),
};
RECORD_TYPE(proto_recorded);

static const struct record_field proto_id_fields[] = {
    RECORD_NEEDED_NUM(1, proto_id, id),
};
RECORD_TYPE(proto_id);

static const struct record_field proto_ids_fields[] = {
    RECORD_NUM_FIELD(1, proto_ids, when_ms),
    RECORD_LIST_FIELD(2, proto_ids, ids, proto_id_record),
    RECORD_NUM_FIELD(3, proto_ids, up_to),
};
RECORD_TYPE(proto_ids);

static const struct record_field proto_target_now_fields[] = {
    RECORD_NEEDED_VIEW(1, proto_target_now, name),
    RECORD_NUM_FIELD(2, proto_target_now, state),
    RECORD_NUM_FIELD(3, proto_target_now, since_ms),
    RECORD_NUM_FIELD(4, proto_target_now, reach_ms),
    RECORD_NUM_FIELD(5, proto_target_now, probe_ms),
    RECORD_NUM_FIELD(6, proto_target_now, connections),
    RECORD_NUM_FIELD(7, proto_target_now, connections_max),
    RECORD_NUM_FIELD(8, proto_target_now, ready),
    RECORD_NUM_FIELD(9, proto_target_now, delivered),
    RECORD_NUM_FIELD(10, proto_target_now, deferred),
    RECORD_VIEW_FIELD(11, proto_target_now, reason),
    RECORD_VIEW_FIELD(12, proto_target_now, hosts),
    RECORD_VIEW_FIELD(13, proto_target_now, limits),
    RECORD_NUM_FIELD(14, proto_target_now, pause_until_ms),
    RECORD_VIEW_FIELD(15, proto_target_now, paused_by),
    RECORD_NUM_FIELD(16, proto_target_now, rate),
    RECORD_NUM_FIELD(17, proto_target_now, window),
    RECORD_VIEW_FIELD(20, proto_target_now, tls),
    RECORD_NUM_FIELD(21, proto_target_now, guard),
    RECORD_NUM_FIELD(22, proto_target_now, alarm),
    RECORD_NUM_FIELD(23, proto_target_now, expiring),
    RECORD_NUM_FIELD(26, proto_target_now, expiring_ms),
    RECORD_NUM_FIELD(24, proto_target_now, out),
    RECORD_NUM_FIELD(25, proto_target_now, in),
};
RECORD_TYPE(proto_target_now);

static const struct record_field proto_pause_fields[] = {
    RECORD_NEEDED_VIEW(1, proto_pause, name),
    RECORD_NUM_FIELD(2, proto_pause, resume),
    RECORD_NUM_FIELD(3, proto_pause, until_ms),
    RECORD_VIEW_FIELD(4, proto_pause, by),
    RECORD_NUM_FIELD(5, proto_pause, trust),
};
RECORD_TYPE(proto_pause);

static const struct record_field proto_limit_fields[] = {
    RECORD_NEEDED_VIEW(1, proto_limit, name),
    RECORD_NEEDED_NUM(2, proto_limit, key),
    RECORD_NUM_FIELD(3, proto_limit, back),
    RECORD_NUM_FIELD(4, proto_limit, value),
    RECORD_NUM_FIELD(5, proto_limit, until_ms),
    RECORD_VIEW_FIELD(6, proto_limit, by),
};
RECORD_TYPE(proto_limit);

static const struct record_field proto_targets_fields[] = {
    RECORD_LIST_FIELD(1, proto_targets, targets, proto_target_now_record),
};
RECORD_TYPE(proto_targets);

static const struct record_field proto_pair_fields[] = {
    RECORD_NEEDED_VIEW(1, proto_pair, id),
    RECORD_VIEW_FIELD(2, proto_pair, public),
    RECORD_VIEW_FIELD(3, proto_pair, secret),
    RECORD_NUM_FIELD(4, proto_pair, lost),
    RECORD_NUM_FIELD(5, proto_pair, made_ms),
};
RECORD_TYPE(proto_pair);

static const struct record_field proto_pairs_fields[] = {
    RECORD_LIST_FIELD(1, proto_pairs, pairs, proto_pair_record),
    RECORD_VIEW_FIELD(2, proto_pairs, from),
    RECORD_NUM_FIELD(3, proto_pairs, seal),
};
RECORD_TYPE(proto_pairs);

static const struct record_field proto_signature_fields[] = {
    RECORD_NEEDED_VIEW(1, proto_signature, public),
    RECORD_NEEDED_VIEW(2, proto_signature, signature),
};
RECORD_TYPE(proto_signature);

static const struct record_field proto_done_fields[] = {
    RECORD_NUM_FIELD(1, proto_done, done),
    RECORD_NUM_FIELD(2, proto_done, count),
    RECORD_NUM_FIELD(3, proto_done, before),
    RECORD_NUM_FIELD(4, proto_done, after),
    RECORD_VIEW_FIELD(5, proto_done, text),
};
RECORD_TYPE(proto_done);

static const struct record_field proto_data_keys_fields[] = {
    RECORD_LIST_FIELD(1, proto_data_keys, keys, data_key_record),
};
RECORD_TYPE(proto_data_keys);

static const struct record_field proto_steer_item_fields[] = {
    RECORD_NEEDED_NUM(1, proto_steer_item, id),
    RECORD_NUM_FIELD(2, proto_steer_item, n),
};
RECORD_TYPE(proto_steer_item);

static const struct record_field proto_steer_fields[] = {
    RECORD_NEEDED_NUM(1, proto_steer, what),
    RECORD_NEEDED_NUM(2, proto_steer, when_ms),
    RECORD_VIEW_FIELD(3, proto_steer, by),
    RECORD_VIEW_FIELD(4, proto_steer, reason),
    RECORD_LIST_FIELD(5, proto_steer, items, proto_steer_item_record),
    RECORD_VIEW_FIELD(6, proto_steer, target),
    RECORD_NUM_FIELD(7, proto_steer, number),
    RECORD_NUM_FIELD(8, proto_steer, began_ms),
    RECORD_NUM_FIELD(9, proto_steer, undoes),
    RECORD_NUM_FIELD(10, proto_steer, dry_run),
    RECORD_NUM_FIELD(11, proto_steer, rule),
};
RECORD_TYPE(proto_steer);

static const struct record_field proto_prefer_fields[] = {
    RECORD_NUM_FIELD(1, proto_prefer, number),
    RECORD_NEEDED_NUM(2, proto_prefer, when_ms),
    RECORD_NUM_FIELD(3, proto_prefer, until_ms),
    RECORD_VIEW_FIELD(4, proto_prefer, query),
    RECORD_VIEW_FIELD(5, proto_prefer, by),
    RECORD_VIEW_FIELD(6, proto_prefer, reason),
};
RECORD_TYPE(proto_prefer);

static const struct record_field proto_mend_item_fields[] = {
    RECORD_NEEDED_NUM(1, proto_mend_item, what),
    RECORD_VIEW_FIELD(2, proto_mend_item, table),
    RECORD_VIEW_FIELD(3, proto_mend_item, key),
    RECORD_VIEW_FIELD(4, proto_mend_item, reason),
    RECORD_NUM_FIELD(5, proto_mend_item, id),
    RECORD_NUM_FIELD(6, proto_mend_item, n),
    RECORD_NUM_FIELD(7, proto_mend_item, by),
    RECORD_NUM_FIELD(8, proto_mend_item, bytes),
};
RECORD_TYPE(proto_mend_item);

static const struct record_field proto_mend_fields[] = {
    RECORD_NUM_FIELD(1, proto_mend, when_ms),
    RECORD_LIST_FIELD(2, proto_mend, items, proto_mend_item_record),
};
RECORD_TYPE(proto_mend);

static const struct record_field proto_fetch_fields[] = {
    RECORD_NEEDED_NUM(1, proto_fetch, id),
    RECORD_NUM_FIELD(2, proto_fetch, piece),
};
RECORD_TYPE(proto_fetch);

static const struct record_field proto_fetched_fields[] = {
    RECORD_NUM_FIELD(1, proto_fetched, found),
    RECORD_NUM_FIELD(2, proto_fetched, last),
    RECORD_VIEW_FIELD(3, proto_fetched, bytes),
    RECORD_VIEW_FIELD(4, proto_fetched, reason),
};
RECORD_TYPE(proto_fetched);

/* The columns from and to of proto_table.h are sets of these. */
enum {
    PARENT = 1 << ROLE_PARENT,
    LISTENER = 1 << ROLE_LISTENER,
    STORE = 1 << ROLE_STORE,
    REPLAY = 1 << ROLE_REPLAY,
    CONTROL = 1 << ROLE_CONTROL,
    IMAP = 1 << ROLE_IMAP,
    AUTH = 1 << ROLE_AUTH,
    ANY_ROLE = (1 << ROLE_COUNT) - 1 - PARENT,
};

static const struct proto_row rows[PROTO_COUNT] = {
#define X(NAME, from, to, descriptor, payload, sentence)                       \
    [PROTO_##NAME] = {#NAME, from, to, descriptor, &payload##_record},
#include "proto_table.h"
#undef X
};

const struct proto_row *
proto_row(unsigned kind)
{
    if (kind == PROTO_INVALID || kind >= PROTO_COUNT)
        return NULL;
    return &rows[kind];
}

bool
proto_allowed(unsigned kind, enum role from, enum role to)
{
    const struct proto_row *row = proto_row(kind);

    return row != NULL && (row->from >> from & 1) && (row->to >> to & 1);
}

bool
proto_meet(enum role a, enum role b)
{
    for (unsigned kind = 1; kind < PROTO_COUNT; kind++)
        if (proto_allowed(kind, a, b) || proto_allowed(kind, b, a))
            return true;
    return false;
}

static const char *const role_names[ROLE_COUNT] = {
    [ROLE_PARENT] = "parent",   [ROLE_LISTENER] = "listener",
    [ROLE_STORE] = "store",     [ROLE_REPLAY] = "replay",
    [ROLE_CONTROL] = "control", [ROLE_IMAP] = "imap",
    [ROLE_AUTH] = "auth",
};

const char *
role_name(enum role role)
{
    return role < ROLE_COUNT ? role_names[role] : "unknown";
}

const char *
steer_name(uint64_t what)
{
    static const char *const names[] = {
        [STEER_HOLD] = "hold",       [STEER_RELEASE] = "release",
        [STEER_DISCARD] = "discard", [STEER_AGAIN] = "replay again",
        [STEER_ERASE] = "erase",     [STEER_REDIRECT] = "redirect",
        [STEER_UNDO] = "undo",       [STEER_RETURN] = "return",
        [STEER_PREFER] = "prefer",
    };

    if (what >= sizeof(names) / sizeof(names[0]) || names[what] == NULL)
        return "steering";
    return names[what];
}

bool
steer_applies(uint64_t what, uint64_t state)
{
    switch (what) {
    case STEER_HOLD:
        return state == DELIVERY_READY || delivery_waits(state);
    case STEER_RELEASE:
        return state == DELIVERY_HELD;
    case STEER_DISCARD:
    case STEER_REDIRECT:
    case STEER_PREFER:
    case STEER_RETURN:
        return delivery_is_open(state);
    case STEER_AGAIN:
        return !delivery_is_open(state);
    default:
        return what == STEER_ERASE || what == STEER_UNDO;
    }
}
