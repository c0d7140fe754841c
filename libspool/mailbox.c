/* SPDX-License-Identifier: ISC */
/*
 * The field tables of mailbox rows, and the form in which addresses are
 * compared. Tags are for ever (spool.5).
 */
#include "mailbox.h"

#include "addr.h"

static const struct record_field mark_fields[] = {
    RECORD_NUM_FIELD(1, mark, flags),  RECORD_VIEW_FIELD(2, mark, keywords),
    RECORD_NUM_FIELD(3, mark, modseq), RECORD_NUM_FIELD(4, mark, hidden),
    RECORD_NUM_FIELD(5, mark, box),    RECORD_NUM_FIELD(6, mark, uid),
};
RECORD_TYPE(mark);

static const struct record_field address_row_fields[] = {
    RECORD_NEEDED_NUM(1, address_row, number),
};
RECORD_TYPE(address_row);

static const struct record_field structure_row_fields[] = {
    RECORD_NEEDED_VIEW(1, structure_row, bytes),
};
RECORD_TYPE(structure_row);

bool
mark_keyword_next(struct view *keywords, struct view *word)
{
    const char *space;

    while (keywords->len > 0 && keywords->data[0] == ' ')
        *keywords = view_skip(*keywords, 1);
    if (keywords->len == 0)
        return false;
    space = memchr(keywords->data, ' ', keywords->len);
    word->data = keywords->data;
    word->len =
        space != NULL ? (size_t)(space - keywords->data) : keywords->len;
    *keywords = view_skip(*keywords, word->len);
    return true;
}

bool
mark_has_keyword(struct view keywords, struct view wanted)
{
    struct view word;

    while (mark_keyword_next(&keywords, &word))
        if (view_equal_nocase(word, wanted))
            return true;
    return false;
}

size_t
mailbox_address(struct view address, char *out)
{
    const char *at =
        address.len > 0 ? memrchr(address.data, '@', address.len) : NULL;
    struct view local, domain;
    size_t len;

    if (at == NULL || address.len > MAILBOX_ADDRESS_MAX ||
        memchr(address.data, '\0', address.len) != NULL)
        return 0;
    local = (struct view){address.data, (size_t)(at - address.data)};
    domain = view_skip(address, local.len + 1);
    if (local.len == 0 || domain.len == 0)
        return 0;
    len = addr_unquote(local, out);
    addr_lower((struct view){out, len}, out);
    out[len++] = '@';
    addr_lower(domain, out + len);
    return len + domain.len;
}
