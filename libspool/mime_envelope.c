/* SPDX-License-Identifier: ISC */
#include "mime_envelope.h"

#include "mime_pack.h"
#include "record.h"

/* The byte in front of an address: its kind, and which strings follow. */
#define ADDR_KIND    3u
#define ADDR_NAME    4u
#define ADDR_ROUTE   8u
#define ADDR_MAILBOX 16u
#define ADDR_HOST    32u

/* What an envelope has, in the order of IMAP. */
static const struct {
    enum mime_field_name name;
    bool is_list;
    bool is_from_else; /* without it, From stands for it */
} members[] = {
    {MIME_DATE, false, false},        {MIME_SUBJECT, false, false},
    {MIME_FROM, true, false},         {MIME_SENDER, true, true},
    {MIME_REPLY_TO, true, true},      {MIME_TO, true, false},
    {MIME_CC, true, false},           {MIME_BCC, true, false},
    {MIME_IN_REPLY_TO, false, false}, {MIME_MESSAGE_ID, false, false},
};

#define N_MEMBERS (sizeof(members) / sizeof(members[0]))

/* --- packing ----------------------------------------------------------------
 */

struct packer {
    struct buf items;
    size_t count;
};

static void
pack_address(void *arg, const struct mime_addr *addr)
{
    struct packer *packer = arg;
    const struct view strings[] = {addr->name, addr->route, addr->mailbox,
                                   addr->host};
    unsigned flags = addr->kind;

    if (packer->count == MIME_ADDRS_MAX + 1)
        return; /* of several fields; one more for the end of a group */
    for (unsigned i = 0; i < 4; i++)
        flags |= strings[i].data != NULL ? ADDR_NAME << i : 0;
    buf_add_byte(&packer->items, (uint8_t)flags);
    for (unsigned i = 0; i < 4; i++)
        if (strings[i].data != NULL)
            mime_pack_string(strings[i], &packer->items);
    packer->count++;
}

void
mime_envelope_encode(const struct mime *mime, const struct mime_node *node,
                     struct buf *out)
{
    struct packer packer = {0};

    for (size_t m = 0; m < N_MEMBERS; m++) {
        if (!members[m].is_list) {
            mime_pack_string(
                mime_value(mime, mime_find(mime, node, members[m].name)), out);
            continue;
        }
        buf_reset(&packer.items);
        packer.count = 0;
        for (size_t i = 0; i < node->n_fields; i++) {
            const struct mime_field *field =
                &mime->fields[node->first_field + i];

            if (field->name == members[m].name)
                mime_addr_parse(mime_value(mime, field), pack_address, &packer);
        }
        record_put_varint(out, packer.count);
        buf_add_view(out, buf_view(&packer.items));
    }
    buf_free(&packer.items);
}

/* --- reading ----------------------------------------------------------------
 */

static int
take_address(struct view *packed, struct mime_addr *addr)
{
    struct view *strings[] = {&addr->name, &addr->route, &addr->mailbox,
                              &addr->host};
    unsigned flags;

    *addr = (struct mime_addr){0};
    if (packed->len == 0)
        return -1;
    flags = (uint8_t)packed->data[0];
    if ((flags & ADDR_KIND) > MIME_ADDR_GROUP_END)
        return -1;
    addr->kind = (enum mime_addr_kind)(flags & ADDR_KIND);
    *packed = view_skip(*packed, 1);
    for (unsigned i = 0; i < 4; i++)
        if ((flags & ADDR_NAME << i) != 0 &&
            mime_pack_take_string(packed, strings[i]) != 0)
            return -1;
    return 0;
}

static int
skip_list(struct view *packed)
{
    struct mime_addr addr;
    uint64_t count;

    if (record_take_varint(packed, &count) != 0)
        return -1;
    while (count-- > 0)
        if (take_address(packed, &addr) != 0)
            return -1;
    return 0;
}

static int
skip_member(struct view *packed, size_t m)
{
    struct view text;

    return members[m].is_list ? skip_list(packed)
                              : mime_pack_take_string(packed, &text);
}

static void
print_address(void *arg, const struct mime_addr *addr)
{
    const struct view strings[] = {addr->name, addr->route, addr->mailbox,
                                   addr->host};
    struct buf *out = arg;

    for (unsigned i = 0; i < 4; i++) {
        buf_add_byte(out, i == 0 ? '(' : ' ');
        mime_pack_print(strings[i], out);
    }
    buf_add_byte(out, ')');
}

/* Takes a list; returns the number of addresses or -1. */
static int64_t
take_list(struct view *packed, mime_addr_fn *each, void *arg)
{
    uint64_t count;

    if (record_take_varint(packed, &count) != 0 || count > packed->len)
        return -1;
    for (uint64_t i = 0; i < count; i++) {
        struct mime_addr addr;

        if (take_address(packed, &addr) != 0)
            return -1;
        each(arg, &addr);
    }
    return (int64_t)count;
}

static bool
is_empty_list(struct view packed)
{
    return packed.len > 0 && packed.data[0] == 0;
}

static int
print_list(struct view *packed, struct buf *out)
{
    if (is_empty_list(*packed)) {
        *packed = view_skip(*packed, 1);
        buf_add_text(out, "NIL");
        return 0;
    }
    buf_add_byte(out, '(');
    if (take_list(packed, print_address, out) < 0)
        return -1;
    buf_add_byte(out, ')');
    return 0;
}

static int
print_string(struct view *packed, struct buf *out)
{
    struct view text;

    if (mime_pack_take_string(packed, &text) != 0)
        return -1;
    mime_pack_print(text, out);
    return 0;
}

int
mime_envelope_print(struct view *packed, struct buf *out)
{
    struct view from = {0};

    for (size_t m = 0; m < N_MEMBERS; m++) {
        struct view source;
        int status;

        buf_add_byte(out, m == 0 ? '(' : ' ');
        if (members[m].name == MIME_FROM)
            from = *packed;
        source = from;
        if (members[m].is_from_else && is_empty_list(*packed)) {
            *packed = view_skip(*packed, 1);
            status = print_list(&source, out);
        } else {
            status = members[m].is_list ? print_list(packed, out)
                                        : print_string(packed, out);
        }
        if (status != 0)
            return -1;
    }
    buf_add_byte(out, ')');
    return 0;
}

/* Steps packed to the member of that name. */
static int
find_member(struct view *packed, enum mime_field_name name)
{
    size_t m;

    for (m = 0; m < N_MEMBERS && members[m].name != name; m++)
        if (skip_member(packed, m) != 0)
            return -1;
    return m < N_MEMBERS ? 0 : -1;
}

int
mime_envelope_string(struct view packed, enum mime_field_name name,
                     struct view *value)
{
    if (find_member(&packed, name) != 0 ||
        mime_pack_take_string(&packed, value) != 0)
        return -1;
    return value->data != NULL;
}

int
mime_envelope_addresses(struct view packed, enum mime_field_name name,
                        mime_addr_fn *each, void *arg)
{
    int64_t count;

    if (find_member(&packed, name) != 0)
        return -1;
    count = take_list(&packed, each, arg);
    return count < 0 ? -1 : count > 0;
}
