/* SPDX-License-Identifier: ISC */
/*
 * Tokens, and the sections of parameters (RFC 2231 3) that become one again:
 * "name*0=a; name*1=b" is "name=ab"; where a section is encoded ("name*0*")
 * all of it is, as "name*".
 */
#include "mime_token.h"

#include <stdint.h>

#define SECTION_NONE SIZE_MAX

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* token of RFC 2045, and bytes over 127, which file names have. */
static bool
is_token(char c)
{
    return (uint8_t)c > ' ' && c != 0x7f &&
           strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/* A comment at the front, nested ones with it. */
static void
skip_comment(struct view *value)
{
    size_t depth = 0, i = 0;

    while (i < value->len) {
        char c = value->data[i++];

        if (c == '\\' && i < value->len)
            i++;
        else if (c == '(')
            depth++;
        else if (c == ')' && --depth == 0)
            break;
    }
    *value = view_skip(*value, i);
}

void
mime_token_skip(struct view *value)
{
    while (value->len > 0) {
        if (is_blank(value->data[0]))
            *value = view_skip(*value, 1);
        else if (value->data[0] == '(')
            skip_comment(value);
        else
            break;
    }
}

bool
mime_token_take(struct view *value, struct view *token)
{
    size_t n = 0;

    while (n < value->len && is_token(value->data[n]))
        n++;
    *token = (struct view){value->data, n};
    *value = view_skip(*value, n);
    mime_token_skip(value);
    return n > 0;
}

void
mime_token_take_quoted(struct view *value, struct buf *out)
{
    size_t i = 1;

    while (i < value->len && value->data[i] != '"') {
        if (value->data[i] == '\\' && i + 1 < value->len)
            i++;
        buf_add_byte(out, (uint8_t)value->data[i++]);
    }
    *value = view_skip(*value, i + 1);
}

bool
mime_token_take_type(struct view *value, struct view *type,
                     struct view *subtype)
{
    *subtype = (struct view){0};
    mime_token_skip(value);
    if (!mime_token_take(value, type) || value->len == 0 ||
        value->data[0] != '/')
        return false;
    *value = view_skip(*value, 1);
    mime_token_skip(value);
    return mime_token_take(value, subtype) &&
           (value->len == 0 || value->data[0] == ';');
}

/* --- parameters -------------------------------------------------------------
 */

/* The value behind "=", up to ";" or what can't belong to it. */
static void
take_value(struct view *value, struct buf *out)
{
    if (value->len > 0 && value->data[0] == '"') {
        mime_token_take_quoted(value, out);
        return;
    }
    /* Unquoted values of real mail have bytes no token has. */
    while (value->len > 0 && !is_blank(value->data[0]) &&
           value->data[0] != ';' && value->data[0] != '(') {
        buf_add_byte(out, (uint8_t)value->data[0]);
        *value = view_skip(*value, 1);
    }
}

/* One parameter behind a ";". False: what is there is none. */
static bool
take_param(struct view *value, struct mime_param *param, struct buf *text)
{
    size_t start = text->len;

    mime_token_skip(value);
    if (!mime_token_take(value, &param->name) || value->len == 0 ||
        value->data[0] != '=')
        return false;
    *value = view_skip(*value, 1);
    mime_token_skip(value);
    if (value->len == 0 || value->data[0] == ';')
        return false;
    take_value(value, text);
    mime_token_skip(value);
    param->value = (struct view){text->data + start, text->len - start};
    start = text->len;
    buf_add_view(text, param->name);
    param->name.data = text->data + start;
    return true;
}

/* "name*3*" is section 3 of base "name", encoded. */
struct section {
    struct view base;
    size_t n; /* SECTION_NONE: a parameter as any */
    bool encoded;
    bool used;
};

static struct section
section_of(struct view name)
{
    struct section section = {.base = name, .n = SECTION_NONE};
    struct view base = name;
    size_t digits = 0;

    section.encoded = base.data[base.len - 1] == '*';
    if (section.encoded)
        base.len--;
    while (digits < base.len && digits < 4 &&
           base.data[base.len - 1 - digits] >= '0' &&
           base.data[base.len - 1 - digits] <= '9')
        digits++;
    if (digits == 0 || base.len < digits + 2 ||
        base.data[base.len - 1 - digits] != '*')
        return section;
    section.n = 0;
    for (size_t i = base.len - digits; i < base.len; i++)
        section.n = 10 * section.n + (size_t)(base.data[i] - '0');
    section.base.len = base.len - digits - 1;
    return section;
}

/* A section that is not encoded, in a value that is. */
static void
add_encoded(struct buf *text, struct view value)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = (uint8_t)value.data[i];

        if (is_token(value.data[i]) && c < 0x80 && c != '*' && c != '\'' &&
            c != '%') {
            buf_add_byte(text, c);
            continue;
        }
        buf_add_byte(text, '%');
        buf_add_byte(text, (uint8_t)hex[c >> 4]);
        buf_add_byte(text, (uint8_t)hex[c & 15]);
    }
}

/* The sections of a base by number, in whatever order they stand, up to the
 * first that lacks; marks all of them used. Returns how many. */
static size_t
order_sections(struct section *sections, size_t count, struct view base,
               size_t order[MIME_PARAMS_MAX + 1])
{
    size_t n = 0, whole = 0;

    for (size_t i = 0; i < count; i++) {
        size_t k = n;

        if (sections[i].n == SECTION_NONE ||
            !view_equal_nocase(sections[i].base, base))
            continue;
        sections[i].used = true;
        while (k > 0 && sections[order[k - 1]].n > sections[i].n)
            k--;
        if (k > 0 && sections[order[k - 1]].n == sections[i].n)
            continue; /* the first of a number counts */
        memmove(&order[k + 1], &order[k], (n++ - k) * sizeof(order[0]));
        order[k] = i;
    }
    while (whole < n && sections[order[whole]].n == whole)
        whole++;
    return whole;
}

/* Makes items[first], number 0 of a base, the parameter of all sections. */
static void
join(struct mime_params *params, struct section *sections, size_t first)
{
    size_t order[MIME_PARAMS_MAX + 1], start = params->text.len;
    struct view base = sections[first].base;
    size_t n = order_sections(sections, params->count, base, order);
    bool encoded = false;

    sections[first].used = false;
    for (size_t k = 0; k < n; k++)
        encoded |= sections[order[k]].encoded;
    for (size_t k = 0; k < n; k++) {
        if (encoded && !sections[order[k]].encoded)
            add_encoded(&params->text, params->items[order[k]].value);
        else
            buf_add_view(&params->text, params->items[order[k]].value);
    }
    params->items[first].value =
        (struct view){params->text.data + start, params->text.len - start};
    if (encoded) {
        start = params->text.len;
        buf_add_view(&params->text, base);
        buf_add_byte(&params->text, '*');
        base = (struct view){params->text.data + start, base.len + 1};
    }
    params->items[first].name = base;
}

static void
join_sections(struct mime_params *params)
{
    struct section sections[MIME_PARAMS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < params->count; i++)
        sections[i] = section_of(params->items[i].name);
    for (size_t i = 0; i < params->count; i++)
        if (!sections[i].used && sections[i].n == 0)
            join(params, sections, i);
    for (size_t i = 0; i < params->count; i++)
        if (!sections[i].used)
            params->items[count++] = params->items[i];
    params->count = count;
}

void
mime_params_parse(struct view value, struct mime_params *params)
{
    bool sections = false;

    buf_reset(&params->text);
    params->count = 0;
    /* Names and values once, joined ones again with 3 bytes for 1: text does
     * not move. */
    buf_reserve(&params->text, 5 * value.len + 1);
    while (value.len > 0 && params->count < MIME_PARAMS_MAX) {
        struct mime_param *param = &params->items[params->count];
        bool begins = value.data[0] == ';';

        value = view_skip(value, 1);
        if (!begins || !take_param(&value, param, &params->text))
            continue;
        sections |= memchr(param->name.data, '*', param->name.len) != NULL;
        params->count++;
    }
    if (sections)
        join_sections(params);
}

void
mime_params_free(struct mime_params *params)
{
    buf_free(&params->text);
    params->count = 0;
}

const struct mime_param *
mime_params_find(const struct mime_params *params, struct view name)
{
    for (size_t i = 0; i < params->count; i++)
        if (view_equal_nocase(params->items[i].name, name))
            return &params->items[i];
    return NULL;
}
