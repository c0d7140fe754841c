/* SPDX-License-Identifier: ISC */
/*
 * One pass over the value. What stands in front of "<" is a name, in front of
 * "@" or an end a mailbox: which one is known only there, so both are
 * gathered.
 *
 *     WORDS   name or mailbox; "<" ANGLE, "@" HOST, ":" begins a group
 *     ANGLE   behind "<": mailbox; "@" ROUTE if first, else HOST; ">" DONE
 *     ROUTE   up to ":", back to ANGLE
 *     HOST    up to ">" or a blank that no "." is beside
 *     DONE    nothing more belongs to the address
 *
 * "," ends an address in all but ROUTE, ";" a group.
 */
#include "mime_addr.h"

#include <stdint.h>

#include "buf.h"
#include "mime_token.h"

enum addr_state {
    ADDR_WORDS,
    ADDR_ANGLE,
    ADDR_ROUTE,
    ADDR_HOST,
    ADDR_DONE,
};

struct parser {
    mime_addr_fn *each;
    void *arg;
    size_t count;
    bool in_group;

    enum addr_state state;
    bool blank; /* before the next word */
    bool in_angle;
    bool any;   /* something of an address was there */
    bool words; /* the mailbox is several words */
    bool has_comment;
    struct buf phrase; /* words with one blank between */
    struct buf mailbox, route, host, comment;
};

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Bytes that stand for themselves. */
static bool
is_word(char c)
{
    return (uint8_t)c > ' ' && strchr("()<>@,;:\".[", c) == NULL;
}

static struct view
view_or_none(const struct buf *buf)
{
    return buf->len > 0 ? buf_view(buf) : (struct view){0};
}

static bool
give(struct parser *parser, const struct mime_addr *addr)
{
    if (parser->count == MIME_ADDRS_MAX)
        return false;
    parser->count++;
    parser->each(parser->arg, addr);
    return true;
}

static void
begin_address(struct parser *parser)
{
    parser->state = ADDR_WORDS;
    parser->blank = parser->in_angle = parser->any = false;
    parser->has_comment = parser->words = false;
    buf_reset(&parser->phrase);
    buf_reset(&parser->mailbox);
    buf_reset(&parser->route);
    buf_reset(&parser->host);
    buf_reset(&parser->comment);
}

static void
end_address(struct parser *parser)
{
    struct mime_addr addr = {.kind = MIME_ADDR_MAILBOX};
    bool only_name = parser->state == ADDR_WORDS && parser->words;

    if (parser->any) {
        addr.route = view_or_none(&parser->route);
        if (!only_name)
            addr.mailbox = view_or_none(&parser->mailbox);
        addr.host = view_or_none(&parser->host);
        if (parser->in_angle || only_name)
            addr.name = view_or_none(&parser->phrase);
        else if (parser->has_comment)
            addr.name = view_or_none(&parser->comment);
        if (addr.mailbox.data == NULL)
            addr.mailbox = VIEW("MISSING_MAILBOX");
        if (addr.host.data == NULL)
            addr.host = VIEW("MISSING_DOMAIN");
        give(parser, &addr);
    }
    begin_address(parser);
}

static void
begin_group(struct parser *parser)
{
    struct mime_addr addr = {.kind = MIME_ADDR_GROUP,
                             .mailbox = buf_view(&parser->phrase)};

    if (addr.mailbox.data == NULL)
        addr.mailbox = VIEW("");
    parser->in_group = give(parser, &addr);
    begin_address(parser);
}

static void
end_group(struct parser *parser)
{
    struct mime_addr addr = {.kind = MIME_ADDR_GROUP_END};

    end_address(parser);
    if (parser->in_group) /* every group that was given ends */
        parser->each(parser->arg, &addr);
    parser->in_group = false;
}

static void
add_phrase(struct parser *parser, struct view word, bool blank)
{
    if (parser->in_angle)
        return;
    if (blank && parser->phrase.len > 0)
        buf_add_byte(&parser->phrase, ' ');
    buf_add_view(&parser->phrase, word);
}

/* Words that no "." joins are no mailbox: the blank shows it. */
static bool
joins(const struct buf *before, struct view word)
{
    return view_equal(word, VIEW(".")) || before->len == 0 ||
           before->data[before->len - 1] == '.';
}

static void
add_mailbox(struct parser *parser, struct view word, bool blank)
{
    if (blank && !joins(&parser->mailbox, word)) {
        buf_add_byte(&parser->mailbox, ' ');
        parser->words = true;
    }
    buf_add_view(&parser->mailbox, word);
}

static void
add_host(struct parser *parser, struct view word, bool blank)
{
    struct buf *host = &parser->host;

    add_phrase(parser, word, blank);
    if (blank && !joins(host, word))
        parser->state = ADDR_DONE;
    else
        buf_add_view(host, word);
}

/* A word (in quotes or not), or a "." where the state has no other use. */
static void
add_word(struct parser *parser, struct view word)
{
    bool blank = parser->blank;

    parser->blank = false;
    parser->any = true;
    switch (parser->state) {
    case ADDR_WORDS:
        add_phrase(parser, word, blank);
        add_mailbox(parser, word, blank);
        break;
    case ADDR_ANGLE:
        add_mailbox(parser, word, blank);
        break;
    case ADDR_ROUTE:
        buf_add_view(&parser->route, word);
        break;
    case ADDR_HOST:
        add_host(parser, word, blank);
        break;
    case ADDR_DONE:
        add_phrase(parser, word, blank);
        break;
    }
}

static void
take_word(struct parser *parser, struct view *value)
{
    size_t n = 1;

    if (is_word(value->data[0]))
        while (n < value->len && is_word(value->data[n]))
            n++;
    add_word(parser, (struct view){value->data, n});
    *value = view_skip(*value, n);
}

static void
take_quoted(struct parser *parser, struct view *value)
{
    struct buf text = {0};

    mime_token_take_quoted(value, &text);
    add_word(parser, buf_view(&text));
    buf_free(&text);
}

/* "[...]", brackets included. */
static void
take_literal(struct parser *parser, struct view *value)
{
    size_t n = 1;

    while (n < value->len && value->data[n] != ']')
        n += value->data[n] == '\\' && n + 1 < value->len ? 2 : 1;
    if (n < value->len)
        n++;
    add_word(parser, (struct view){value->data, n});
    *value = view_skip(*value, n);
}

/* The text of a comment, nested ones with their parentheses. */
static void
take_comment(struct parser *parser, struct view *value)
{
    struct buf *comment = &parser->comment;
    size_t depth = 0, i = 0;

    buf_reset(comment);
    while (i < value->len) {
        char c = value->data[i++];

        if (c == '\\' && i < value->len)
            c = value->data[i++];
        else if (c == '(' && depth++ == 0)
            continue;
        else if (c == ')' && --depth == 0)
            break;
        buf_add_byte(comment, (uint8_t)c);
    }
    *value = view_skip(*value, i);
    parser->has_comment = true;
    parser->blank = true;
}

static void
take_at(struct parser *parser)
{
    if (parser->state == ADDR_ANGLE && parser->mailbox.len == 0)
        parser->state = ADDR_ROUTE;
    else if (parser->state == ADDR_WORDS || parser->state == ADDR_ANGLE)
        parser->state = ADDR_HOST;
    else if (parser->state == ADDR_HOST)
        parser->state = ADDR_DONE;
    parser->any = true;
    if (parser->state == ADDR_ROUTE)
        buf_add_byte(&parser->route, '@');
    else
        add_phrase(parser, VIEW("@"), false);
}

static void
take_less(struct parser *parser)
{
    parser->any = true;
    if (parser->in_angle) {
        parser->state = ADDR_DONE;
        return;
    }
    parser->in_angle = true;
    parser->state = ADDR_ANGLE;
    parser->words = false;
    buf_reset(&parser->mailbox);
    buf_reset(&parser->host);
}

static void
take_colon(struct parser *parser)
{
    if (parser->state == ADDR_ROUTE)
        parser->state = ADDR_ANGLE;
    else if (parser->state == ADDR_WORDS && !parser->in_group)
        begin_group(parser);
    else
        add_word(parser, VIEW(":"));
}

/* Between "<" and ">". */
static bool
is_open(const struct parser *parser)
{
    return parser->in_angle && parser->state != ADDR_DONE;
}

static void
take_special(struct parser *parser, struct view *value)
{
    char c = value->data[0];

    *value = view_skip(*value, 1);
    if (c == '@')
        take_at(parser);
    else if (c == '<')
        take_less(parser);
    else if (c == '>')
        parser->state = parser->in_angle ? ADDR_DONE : parser->state;
    else if (c == ':')
        take_colon(parser);
    else if (c == ';' && is_open(parser))
        add_word(parser, VIEW(";")); /* <undisclosed:;@host> */
    else if (c == ';')
        end_group(parser);
    else if (parser->state == ADDR_ROUTE)
        buf_add_byte(&parser->route, ',');
    else
        end_address(parser);
}

void
mime_addr_parse(struct view value, mime_addr_fn *each, void *arg)
{
    struct parser parser = {.each = each, .arg = arg};

    while (value.len > 0) {
        char c = value.data[0];

        if (is_blank(c)) {
            parser.blank = true;
            value = view_skip(value, 1);
        } else if (c == '(') {
            take_comment(&parser, &value);
        } else if (c == '"') {
            take_quoted(&parser, &value);
        } else if (c == '[') {
            take_literal(&parser, &value);
        } else if (memchr("@<>:;,", c, 6) != NULL) {
            take_special(&parser, &value);
        } else {
            take_word(&parser, &value);
        }
    }
    end_group(&parser);
    buf_free(&parser.phrase);
    buf_free(&parser.mailbox);
    buf_free(&parser.route);
    buf_free(&parser.host);
    buf_free(&parser.comment);
}
