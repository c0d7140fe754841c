/* SPDX-License-Identifier: ISC */
/*
 * What the client of an import says of a message: envelope, facts at arrival,
 * how its deliveries stand, its id. The words come from files that anybody
 * may have written, so each is checked before it can reach a record, a header
 * or a command of SMTP.
 *
 * An id that the source has is kept. A source that has none (another
 * program's queue) names each message by a key that does not change; the id
 * follows from key and time of arrival, so that an import that was cut can be
 * done again and finds what is here.
 */
#include "control_import.h"

#include <stdlib.h>

#include "addr.h"
#include "bytes.h"
#include "clock.h"
#include "db.h"
#include "dsn_param.h"
#include "mem.h"
#include "msgid.h"

#define WRITER_CONTROL 3 /* in message ids (msgid.h) */
#define RECIPIENTS_MAX 20000
/* An id may be so much later than our clock and still be kept: ids that are
 * made here afterwards are later than it. */
#define ID_AHEAD_MS UINT64_C(3600000)
#define NEXT_MAX_MS (UINT64_C(30) * 86400 * 1000)
#define ID_TRIES    16
#define REPLY_MAX   1000

static struct msgid_source ids = {.writer = WRITER_CONTROL};

struct view
import_text(const json_t *json, const char *name)
{
    const json_t *text = json_object_get(json, name);

    if (!json_is_string(text))
        return (struct view){"", 0};
    return (struct view){json_string_value(text), json_string_length(text)};
}

static uint64_t
num_of(const json_t *json, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(json, name));

    return value > 0 ? (uint64_t)value : 0;
}

static bool
is_plain(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 127)
            return false;
    return true;
}

/* What is only told, not used to deliver: left out where it is odd. */
static struct view
told(const json_t *json, const char *name, size_t max)
{
    struct view text = import_text(json, name);

    if (text.len > max || !is_plain(text))
        return (struct view){"", 0};
    return text;
}

static int
shown_len(struct view text)
{
    return (int)(text.len < 100 ? text.len : 100);
}

/* --- recipients ---------------------------------------------------------- */

static const char *
target_for(const struct import *import, struct view domain_name)
{
    static char name[DB_TARGET_MAX + 1];
    const struct conf_domain *domain;

    if (import->target[0] != '\0')
        return import->target;
    domain = conf_domain_by_name(control_state.conf, domain_name);
    if (domain == NULL)
        return NULL;
    snprintf(name, sizeof(name), "%.*s", (int)domain->target.len,
             domain->target.data);
    return name;
}

/* An open delivery as it was elsewhere; false: it has ended there. */
static bool
is_open(struct view state, struct delivery *row, uint64_t next_ms)
{
    uint64_t now_ms = (uint64_t)clock_wall_ms();

    row->state = state.len > 0 ? delivery_state_by_name(state) : DELIVERY_READY;
    if (delivery_waits(row->state)) {
        row->next_ms = next_ms;
        if (next_ms == 0 || next_ms > now_ms + NEXT_MAX_MS)
            row->state = DELIVERY_READY;
    }
    if (!delivery_waits(row->state))
        row->next_ms = 0;
    return delivery_is_open(row->state);
}

static int
check_address(struct view text, struct addr *addr, struct why *why)
{
    struct why reason;

    if (view_equal_nocase(text, VIEW("postmaster"))) {
        *addr = (struct addr){.kind = ADDR_POSTMASTER, .text = text};
        return 0;
    }
    if (addr_parse_mailbox(text, addr, &reason) == 0)
        return 0;
    return why_text(why, "\"%.*s\" is not an address: %s", shown_len(text),
                    text.data, reason.text);
}

static int
take_recipient(struct import_one *one, json_t *json)
{
    struct delivery row = {.recipient = import_text(json, "address"),
                           .attempts = num_of(json, "attempts"),
                           .code = num_of(json, "code"),
                           .reply = told(json, "reply", REPLY_MAX),
                           .spent_ms = num_of(json, "spent_ms"),
                           .orcpt = import_text(json, "orcpt"),
                           .notify = num_of(json, "notify")};
    const char *target;
    struct addr addr;

    if (!is_open(import_text(json, "state"), &row, num_of(json, "next_ms")))
        return 0;
    if (check_address(row.recipient, &addr, &one->why) != 0)
        return -1;
    if ((row.orcpt.len > 0 && !dsn_orcpt_is_valid(row.orcpt)) ||
        !dsn_notify_is_valid(row.notify))
        return why_text(&one->why, "a recipient with a bad orcpt or notify");
    target = target_for(one->import, addr.domain);
    if (target == NULL)
        return why_text(&one->why,
                        "%.*s: its domain is not configured here (--target "
                        "NAME sends it to a target)",
                        shown_len(row.recipient), row.recipient.data);
    json_object_set_new(json, "target", json_string(target));
    row.target = import_text(json, "target");
    if (addr.is_utf8 && !one->has_flags)
        one->message.flags |= MESSAGE_UTF8;
    one->deliveries[one->n_deliveries++] = row;
    return 0;
}

static int
take_recipients(struct import_one *one)
{
    json_t *list = json_object_get(one->json, "recipients");
    size_t n = json_array_size(list);

    if (n == 0 || n > RECIPIENTS_MAX)
        return why_text(&one->why, "%zu recipients", n);
    one->deliveries = mem_alloc(n * sizeof(*one->deliveries));
    for (size_t i = 0; i < n; i++)
        if (take_recipient(one, json_array_get(list, i)) != 0)
            return -1;
    if (one->n_deliveries == 0)
        return why_text(&one->why, "all of its deliveries have ended");
    return 0;
}

/* --- the facts ----------------------------------------------------------- */

static int
take_sender(struct import_one *one)
{
    struct view sender = import_text(one->json, "sender");
    struct addr addr;

    if (sender.len == 0)
        return 0;
    if (check_address(sender, &addr, &one->why) != 0)
        return -1;
    one->message.sender = sender;
    if (addr.is_utf8 && !one->has_flags)
        one->message.flags |= MESSAGE_UTF8;
    if (addr.domain.len > 0 && addr.domain.len <= sizeof(one->flow)) {
        addr_lower(addr.domain, one->flow);
        one->message.flow = (struct view){one->flow, addr.domain.len};
    }
    return 0;
}

int
import_take_facts(struct import_one *one)
{
    uint64_t now_ms = (uint64_t)clock_wall_ms();

    one->message = (struct message){
        .arrived_ms = num_of(one->json, "arrived_ms"),
        .origin = ORIGIN_IMPORT,
        .flags = num_of(one->json, "flags") & (MESSAGE_8BIT | MESSAGE_UTF8),
        .client = told(one->json, "client", 64),
        .helo = told(one->json, "helo", 255),
        .protocol = told(one->json, "protocol", 32),
        .tls = told(one->json, "tls", 100),
        .port = num_of(one->json, "port"),
        .server = told(one->json, "server", 64),
        .server_port = num_of(one->json, "server_port"),
        .ret = num_of(one->json, "ret"),
        .envid = import_text(one->json, "envid"),
    };
    if (dsn_ret_name(one->message.ret)[0] == '\0')
        one->message.ret = 0;
    if (!dsn_envid_is_valid(one->message.envid))
        one->message.envid = (struct view){NULL, 0};
    one->has_flags = json_is_integer(json_object_get(one->json, "flags"));
    if (one->message.arrived_ms == 0 || one->message.arrived_ms > now_ms)
        one->message.arrived_ms = now_ms;
    if (take_sender(one) != 0)
        return -1;
    return take_recipients(one);
}

/* --- the id -------------------------------------------------------------- */

enum place { PLACE_FREE, PLACE_OURS, PLACE_TAKEN, PLACE_UNKNOWN };

static bool
has_recipient(const struct db_message *known, struct view recipient)
{
    for (size_t i = 0; i < known->n_deliveries; i++)
        if (view_equal(known->deliveries[i].delivery.recipient, recipient))
            return true;
    return false;
}

/* The time is not compared: what came without one got that of its import. */
static bool
is_same(const struct import_one *one, const struct db_message *known)
{
    if (!view_equal(one->message.sender, known->message.sender))
        return false;
    for (size_t i = 0; i < one->n_deliveries; i++)
        if (!has_recipient(known, one->deliveries[i].recipient))
            return false;
    return true;
}

/* Is the other, which is on its way to the store, this one once more? */
static bool
is_twin(const struct import_one *one, const struct import_one *other)
{
    return view_equal(import_text(one->json, "key"),
                      import_text(other->json, "key")) &&
           view_equal(import_text(one->json, "id"),
                      import_text(other->json, "id")) &&
           view_equal(one->message.sender, other->message.sender);
}

static enum place
place_in_store(const struct import_one *one, struct why *why)
{
    struct db *db = control_db(why);
    struct db_message known;
    enum place place;
    int found;

    found = db != NULL ? db_read_message(db, one->id, &known, why) : -1;
    if (found <= 0)
        return found == 0 ? PLACE_FREE : PLACE_UNKNOWN;
    place = is_same(one, &known) ? PLACE_OURS : PLACE_TAKEN;
    db_message_free(&known);
    return place;
}

static enum place
place_of(struct import_one *one)
{
    const struct import_one *other = one->import->under_way;

    while (other != NULL && other->id != one->id)
        other = other->next;
    if (other == NULL)
        return place_in_store(one, &one->why);
    if (!is_twin(one, other))
        return PLACE_TAKEN;
    why_text(&one->why, "it comes twice in this import");
    return PLACE_OURS;
}

bool
import_is_here(const struct import_one *one)
{
    struct why why;

    return place_in_store(one, &why) == PLACE_OURS;
}

/* The source's own id. */
static int
keep_id(struct import_one *one)
{
    char text[MSGID_TEXT_MAX];

    switch (place_of(one)) {
    case PLACE_FREE:
        return 0;
    case PLACE_OURS:
        return 1;
    case PLACE_TAKEN:
        return why_text(&one->why, "another message here has the id %s",
                        msgid_print(one->id, text));
    default:
        return -1;
    }
}

/* Try number n of the ids that follow from the key. Where the time of arrival
 * has only seconds, or is none we can count from, the key makes the rest. */
static uint64_t
id_from(struct view key, uint64_t arrived_ms, uint64_t n)
{
    struct body_digest *sum = body_digest_new();
    char digest[BODY_DIGEST_LEN];
    char number = (char)('0' + n);
    uint64_t rest, spread;

    body_digest_add(sum, key);
    body_digest_add(sum, (struct view){&number, 1});
    body_digest_end(&sum, digest);
    rest = bytes_get32(digest);
    spread = bytes_get32(digest + 4);
    if (arrived_ms <= MSGID_EPOCH_MS || arrived_ms > (uint64_t)clock_wall_ms())
        arrived_ms = MSGID_EPOCH_MS + spread;
    else if (arrived_ms % 1000 == 0)
        arrived_ms -= spread % 1000; /* never later than now */
    return msgid_make(arrived_ms, rest);
}

static int
make_id(struct import_one *one, struct view key)
{
    uint64_t arrived_ms = num_of(one->json, "arrived_ms");

    for (uint64_t n = 0; n < ID_TRIES; n++) {
        one->id = id_from(key, arrived_ms, n);
        if (one->id == 0)
            continue;
        switch (place_of(one)) {
        case PLACE_FREE:
            return 0;
        case PLACE_OURS:
            return 1;
        case PLACE_TAKEN:
            break;
        case PLACE_UNKNOWN:
            return -1;
        }
    }
    return why_text(&one->why, "no id is free for it");
}

int
import_take_id(struct import_one *one)
{
    struct view text = import_text(one->json, "id");
    struct view key = import_text(one->json, "key");
    int64_t now_ms = clock_wall_ms();

    if (text.len > 0 && (msgid_parse(text, &one->id) != 0 || one->id == 0))
        return why_text(&one->why, "\"%.*s\" is not a message id",
                        shown_len(text), text.data);
    if (text.len > 0 && msgid_ms(one->id) <= (uint64_t)now_ms + ID_AHEAD_MS)
        return keep_id(one);
    if (key.len > 0 || text.len > 0)
        return make_id(one, key.len > 0 ? key : text);
    msgid_set_floor(&ids, control_state.space.floor_ms);
    one->id = msgid_next(&ids, now_ms);
    return 0;
}
