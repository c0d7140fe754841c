/* SPDX-License-Identifier: ISC */
/* The parameters of RFC 3461, in both directions. */
#include "dsn_param.h"

#include <inttypes.h>

#include "utf8.h"
#include "xtext.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct name_row {
    const char *name;
    uint64_t value;
} rets[] =
    {
        {"FULL", DSN_RET_FULL},
        {"HDRS", DSN_RET_HDRS},
},
  notifies[] = {
      {"NEVER", DSN_NOTIFY_NEVER},
      {"SUCCESS", DSN_NOTIFY_SUCCESS},
      {"FAILURE", DSN_NOTIFY_FAILURE},
      {"DELAY", DSN_NOTIFY_DELAY},
};

static uint64_t
value_of(struct view text, const struct name_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (view_equal_nocase(text, view_of(rows[i].name)))
            return rows[i].value;
    return 0;
}

int
dsn_ret_parse(struct view text, uint64_t *ret)
{
    *ret = value_of(text, rets, COUNT(rets));
    return *ret != 0 ? 0 : -1;
}

const char *
dsn_ret_name(uint64_t ret)
{
    for (size_t i = 0; i < COUNT(rets); i++)
        if (rets[i].value == ret)
            return rets[i].name;
    return "";
}

bool
dsn_notify_is_valid(uint64_t notify)
{
    return notify <= DSN_NOTIFY_NEVER ||
           (notify % 2 == 0 && notify < 2 * DSN_NOTIFY_DELAY);
}

int
dsn_notify_parse(struct view text, uint64_t *notify)
{
    uint64_t all = 0;
    bool more = true;

    while (more) {
        const char *comma =
            text.len > 0 ? memchr(text.data, ',', text.len) : NULL;
        struct view word = text;
        uint64_t one;

        more = comma != NULL;
        if (more) {
            word.len = (size_t)(comma - text.data);
            text = view_skip(text, word.len + 1);
        }
        one = value_of(word, notifies, COUNT(notifies));
        if (one == 0 || (all & one) != 0)
            return -1;
        all |= one;
    }
    if (!dsn_notify_is_valid(all))
        return -1;
    *notify = all;
    return 0;
}

void
dsn_notify_print(uint64_t notify, struct buf *out)
{
    bool first = true;

    for (size_t i = 0; i < COUNT(notifies); i++) {
        if ((notify & notifies[i].value) == 0)
            continue;
        if (!first)
            buf_add_byte(out, ',');
        buf_add_text(out, notifies[i].name);
        first = false;
    }
}

bool
dsn_envid_is_valid(struct view text)
{
    return text.len > 0 && text.len <= DSN_ENVID_MAX &&
           xtext_is_printable(text, false);
}

/* RFC 5322 atext. */
static bool
is_atom(struct view text)
{
    static const char also[] = "!#$%&'*-/?^_`{|}~";

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') &&
            !(c >= 'a' && c <= 'z') &&
            memchr(also, c, sizeof(also) - 1) == NULL)
            return false;
    }
    return text.len > 0;
}

bool
dsn_orcpt_is_valid(struct view text)
{
    const char *semicolon =
        text.len > 0 ? memchr(text.data, ';', text.len) : NULL;
    struct view type = text, address;

    if (semicolon == NULL || text.len > DSN_ORCPT_MAX)
        return false;
    type.len = (size_t)(semicolon - text.data);
    address = view_skip(text, type.len + 1);
    return is_atom(type) && address.len > 0 &&
           xtext_is_printable(address, view_equal_nocase(type, VIEW("utf-8")));
}

void
dsn_orcpt_to_ascii(struct view orcpt, struct buf *out)
{
    while (orcpt.len > 0) {
        uint32_t c = utf8_take(&orcpt);

        if (c < 128)
            buf_add_byte(out, (uint8_t)c);
        else
            buf_addf(out, "\\x{%" PRIX32 "}", c);
    }
}
