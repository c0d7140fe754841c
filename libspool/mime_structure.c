/* SPDX-License-Identifier: ISC */
#include "mime_structure.h"

#include "mime_decode.h"
#include "mime_envelope.h"
#include "mime_pack.h"
#include "mime_token.h"
#include "mime_walk.h"
#include "record.h"

/* --- packing (mime_walk.h has the form) -------------------------------------
 */

struct packer {
    const struct mime *mime;
    const struct mime_node *node;
    struct buf *out;
    struct buf scratch;
    struct mime_params params;
    struct buf members; /* of this node, behind its ranges */
    unsigned flags;
};

static bool
is_message(const struct mime *mime, const struct mime_node *node)
{
    return node->parent == MIME_NONE ||
           mime->nodes[node->parent].kind == MIME_MESSAGE;
}

static struct view
value_of(const struct packer *packer, enum mime_field_name name)
{
    return mime_value(packer->mime,
                      mime_find(packer->mime, packer->node, name));
}

static void
pack_envelope(struct packer *packer)
{
    if (!is_message(packer->mime, packer->node))
        return;
    packer->flags |= MIME_WALK_ENVELOPE;
    buf_reset(&packer->scratch);
    mime_envelope_encode(packer->mime, packer->node, &packer->scratch);
    record_put_varint(&packer->members, packer->scratch.len);
    buf_add_view(&packer->members, buf_view(&packer->scratch));
}

/* The parameters in what is left of a value. False: there are none. */
static bool
pack_params(struct packer *packer, struct view value)
{
    const struct mime_params *params = &packer->params;

    mime_params_parse(value, &packer->params);
    if (params->count == 0)
        return false;
    record_put_varint(&packer->members, 2 * params->count);
    for (size_t i = 0; i < params->count; i++) {
        mime_pack_string(params->items[i].name, &packer->members);
        mime_pack_string(params->items[i].value, &packer->members);
    }
    return true;
}

static void
pack_type(struct packer *packer)
{
    struct view value = value_of(packer, MIME_CONTENT_TYPE);
    struct view type = {0}, subtype = {0};
    bool whole = true;

    if (value.data != NULL)
        whole = mime_token_take_type(&value, &type, &subtype);
    else if (packer->node->kind == MIME_MESSAGE)
        type = VIEW("message"), subtype = VIEW("rfc822");
    /* A leaf must not be shown as what has parts. */
    if (packer->node->kind == MIME_LEAF &&
        view_equal_nocase(type, VIEW("multipart")))
        return; /* text/plain (RFC 2045 5.2) */
    if (packer->node->kind == MIME_LEAF &&
        view_equal_nocase(type, VIEW("message")) &&
        view_equal_nocase(subtype, VIEW("rfc822")))
        type = VIEW("application"), subtype = VIEW("octet-stream");
    if (type.len > 0) {
        packer->flags |= MIME_WALK_TYPE;
        mime_pack_string(type, &packer->members);
        mime_pack_string(subtype.data != NULL ? subtype : VIEW(""),
                         &packer->members);
    }
    if (whole && value.len > 0 && pack_params(packer, value))
        packer->flags |= MIME_WALK_PARAMS;
}

static void
pack_plain(struct packer *packer, enum mime_field_name name, unsigned flag)
{
    struct view value = value_of(packer, name);

    if (value.data == NULL)
        return;
    packer->flags |= flag;
    mime_pack_string(value, &packer->members);
}

static void
pack_encoding(struct packer *packer)
{
    struct view value = value_of(packer, MIME_CONTENT_TRANSFER_ENCODING);
    struct view word;

    mime_token_skip(&value);
    if (!mime_token_take(&value, &word) || value.len > 0)
        return;
    packer->flags |= MIME_WALK_ENCODING;
    mime_pack_string(word, &packer->members);
}

static void
pack_disposition(struct packer *packer)
{
    struct view value = value_of(packer, MIME_CONTENT_DISPOSITION);
    struct view word;

    mime_token_skip(&value);
    if (!mime_token_take(&value, &word))
        return;
    packer->flags |= MIME_WALK_DISPOSITION;
    mime_pack_string(word, &packer->members);
    if (!pack_params(packer, value))
        record_put_varint(&packer->members, 0);
}

static void
pack_languages(struct packer *packer)
{
    struct view value = value_of(packer, MIME_CONTENT_LANGUAGE);
    struct view word;
    uint64_t count = 0;

    buf_reset(&packer->scratch);
    mime_token_skip(&value);
    while (mime_token_take(&value, &word)) {
        mime_pack_string(word, &packer->scratch);
        count++;
        if (value.len == 0 || value.data[0] != ',')
            break;
        value = view_skip(value, 1);
        mime_token_skip(&value);
    }
    if (count == 0)
        return;
    packer->flags |= MIME_WALK_LANGUAGES;
    record_put_varint(&packer->members, count);
    buf_add_view(&packer->members, buf_view(&packer->scratch));
}

/* Content fields of a message count if it says that it is MIME. */
static bool
is_mime(const struct packer *packer)
{
    return !is_message(packer->mime, packer->node) ||
           mime_find(packer->mime, packer->node, MIME_VERSION) != NULL ||
           mime_find(packer->mime, packer->node, MIME_CONTENT_TYPE) != NULL;
}

static void
pack_members(struct packer *packer)
{
    pack_envelope(packer);
    if (!is_mime(packer))
        return;
    pack_type(packer);
    pack_plain(packer, MIME_CONTENT_ID, MIME_WALK_ID);
    pack_plain(packer, MIME_CONTENT_DESCRIPTION, MIME_WALK_DESCRIPTION);
    pack_encoding(packer);
    pack_plain(packer, MIME_CONTENT_MD5, MIME_WALK_MD5);
    pack_disposition(packer);
    pack_languages(packer);
    pack_plain(packer, MIME_CONTENT_LOCATION, MIME_WALK_LOCATION);
}

/* end: where the last sibling or the parent's header ends. */
static void
pack_node(struct packer *packer, uint64_t end)
{
    const struct mime_node *node = packer->node;
    struct buf *out = packer->out;

    buf_reset(&packer->members);
    packer->flags = node->kind;
    pack_members(packer);
    record_put_varint(out, packer->flags);
    record_put_varint(out, node->header_at - end);
    record_put_varint(out, node->header_len);
    record_put_varint(out, node->body_len);
    record_put_varint(out, node->lines);
    if (node->kind == MIME_MULTIPART)
        record_put_varint(out, node->children);
    buf_add_view(out, buf_view(&packer->members));
}

/* Small numbers of either sign as small numbers. */
static uint64_t
fold_sign(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static int64_t
unfold_sign(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

/* 0: not known; else 1 more than the time. */
static void
pack_sent(const struct mime *mime, struct buf *out)
{
    struct view date =
        mime_value(mime, mime_find(mime, &mime->nodes[0], MIME_DATE));
    int64_t utc_s = 0;
    int32_t zone_minutes = 0;
    bool known =
        date.data != NULL && mime_decode_date(date, &utc_s, &zone_minutes) == 0;

    record_put_varint(out, known ? fold_sign(utc_s) + 1 : 0);
    record_put_varint(out, fold_sign(zone_minutes));
}

void
mime_structure_encode(const struct mime *mime, struct buf *out)
{
    struct packer packer = {.mime = mime, .out = out};
    uint64_t ends[MIME_DEPTH_MAX + 2] = {0};

    buf_add_byte(out, MIME_STRUCTURE_VERSION);
    pack_sent(mime, out);
    for (size_t i = 0; i < mime->n_nodes; i++) {
        const struct mime_node *node = &mime->nodes[i];
        size_t depth = 0;

        for (uint32_t up = node->parent; up != MIME_NONE;
             up = mime->nodes[up].parent)
            depth++;
        packer.node = node;
        pack_node(&packer, ends[depth]);
        ends[depth] = node->body_at + node->body_len;
        ends[depth + 1] = node->body_at;
    }
    buf_free(&packer.scratch);
    buf_free(&packer.members);
    mime_params_free(&packer.params);
}

bool
mime_structure_is_current(struct view structure)
{
    return structure.len > 0 && structure.data[0] == MIME_STRUCTURE_VERSION;
}

int
mime_structure_sent(struct view structure, struct mime_sent *sent)
{
    uint64_t when, zone;

    *sent = (struct mime_sent){0};
    if (!mime_structure_is_current(structure))
        return -1;
    structure = view_skip(structure, 1);
    if (record_take_varint(&structure, &when) != 0 ||
        record_take_varint(&structure, &zone) != 0)
        return -1;
    if (when == 0)
        return 0;
    sent->known = true;
    sent->utc_s = unfold_sign(when - 1);
    sent->zone_minutes = (int32_t)unfold_sign(zone);
    return 0;
}
