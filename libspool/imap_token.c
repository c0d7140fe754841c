/* SPDX-License-Identifier: ISC */
#include "imap_token.h"

#include "imap_utf7.h"

bool
imap_is_atom_char(char c)
{
    return c > ' ' && c < 0x7f && strchr("(){%*\"\\]", c) == NULL;
}

/* atom-specials are "(){%*\"\\]" and blanks; "]" may be in an astring. */
static bool
is_astring_char(char c)
{
    return imap_is_atom_char(c) || c == ']';
}

static bool
is_tag_char(char c)
{
    return is_astring_char(c) && c != '+';
}

static bool
is_pattern_char(char c)
{
    return is_astring_char(c) || c == '*' || c == '%';
}

static int
take_run(struct imap_in *in, bool (*belongs)(char c), size_t max,
         struct view *text, const char *what, struct why *why)
{
    const char *from = in->at;

    while (in->at < in->end && belongs(*in->at))
        in->at++;
    *text = (struct view){from, (size_t)(in->at - from)};
    if (text->len == 0)
        return why_text(why, "%s is missing", what);
    if (text->len > max)
        return why_text(why, "%s is longer than %zu bytes", what, max);
    return 0;
}

int
imap_take_char(struct imap_in *in, char c, struct why *why)
{
    if (imap_sees(in, c)) {
        in->at++;
        return 0;
    }
    if (c == ' ')
        return why_text(why, in->at == in->end ? "arguments are missing"
                                               : "a blank is missing");
    return why_text(why, "\"%c\" is missing", c);
}

int
imap_take_tag(struct imap_in *in, struct view *tag, struct why *why)
{
    return take_run(in, is_tag_char, IMAP_TAG_MAX, tag, "a tag", why);
}

int
imap_take_atom(struct imap_in *in, struct view *atom, struct why *why)
{
    return take_run(in, imap_is_atom_char, IMAP_ATOM_MAX, atom, "a word", why);
}

/* --- strings -------------------------------------------------------------- */

static int
take_quoted(struct imap_in *in, struct view *text, struct why *why)
{
    char *to = ++in->at;

    text->data = to;
    for (; in->at < in->end && *in->at != '"'; in->at++) {
        if (*in->at == '\\') {
            in->at++;
            if (in->at == in->end || (*in->at != '"' && *in->at != '\\'))
                return why_text(why, "\"\\\" before what needs none");
        }
        if (*in->at == '\0' || *in->at == '\r' || *in->at == '\n')
            return why_text(why, "a line end in a quoted string");
        *to++ = *in->at;
    }
    text->len = (size_t)(to - text->data);
    return imap_take_char(in, '"', why);
}

/* The reader has seen the whole literal: its length is right. */
static int
take_literal(struct imap_in *in, struct view *text, struct why *why)
{
    uint64_t length;

    in->at++;
    if (imap_take_number(in, UINT32_MAX, &length, why) != 0)
        return -1;
    if (imap_sees(in, '+'))
        in->at++;
    if (imap_take_char(in, '}', why) != 0 ||
        imap_take_char(in, '\r', why) != 0 ||
        imap_take_char(in, '\n', why) != 0)
        return -1;
    if (length > (uint64_t)(in->end - in->at))
        return why_text(why, "a literal is cut off");
    *text = (struct view){in->at, (size_t)length};
    in->at += length;
    if (length > 0 && memchr(text->data, '\0', text->len) != NULL)
        return why_text(why, "a NUL in a literal");
    return 0;
}

int
imap_take_string(struct imap_in *in, struct view *text, struct why *why)
{
    if (imap_sees(in, '"'))
        return take_quoted(in, text, why);
    if (imap_sees(in, '{'))
        return take_literal(in, text, why);
    return why_text(why, "a string is missing");
}

int
imap_take_astring(struct imap_in *in, struct view *text, struct why *why)
{
    if (imap_sees(in, '"') || imap_sees(in, '{'))
        return imap_take_string(in, text, why);
    return take_run(in, is_astring_char, SIZE_MAX, text, "an argument", why);
}

int
imap_take_nstring(struct imap_in *in, struct view *text, struct why *why)
{
    *text = (struct view){NULL, 0};
    return imap_take_word(in, "NIL") ? 0 : imap_take_string(in, text, why);
}

int
imap_take_pattern(struct imap_in *in, struct view *text, struct why *why)
{
    if (imap_sees(in, '"') || imap_sees(in, '{'))
        return imap_take_string(in, text, why);
    return take_run(in, is_pattern_char, SIZE_MAX, text, "a pattern", why);
}

/* --- numbers and words ---------------------------------------------------- */

int
imap_take_number(struct imap_in *in, uint64_t max, uint64_t *number,
                 struct why *why)
{
    const char *from = in->at;
    uint64_t value = 0;

    while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
        uint64_t digit = (uint64_t)(*in->at - '0');

        if (value > (max - digit) / 10)
            return why_text(why, "a number that is too large");
        value = value * 10 + digit;
        in->at++;
    }
    if (in->at == from)
        return why_text(why, "a number is missing");
    *number = value;
    return 0;
}

int
imap_take_end(const struct imap_in *in, struct why *why)
{
    if (in->at == in->end)
        return 0;
    return why_text(why, "unexpected after the arguments: \"%.*s\"",
                    (int)(in->end - in->at < 20 ? in->end - in->at : 20),
                    in->at);
}

bool
imap_take_word(struct imap_in *in, const char *word)
{
    size_t len = strlen(word);

    if (imap_rest(in).len < len || strncasecmp(in->at, word, len) != 0 ||
        (in->at + len < in->end && imap_is_atom_char(in->at[len])))
        return false;
    in->at += len;
    return true;
}

/* --- into responses ------------------------------------------------------- */

/* Quoted it would be long, or have what only a literal can have. */
static bool
needs_literal(struct view text)
{
    if (text.len > 1000)
        return true;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.data[i];

        if (c == '\r' || c == '\n' || c == '\0' || c > 0x7e)
            return true;
    }
    return false;
}

static void
put_quoted(struct view text, struct buf *out)
{
    buf_add_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            buf_add_byte(out, '\\');
        buf_add_byte(out, (uint8_t)text.data[i]);
    }
    buf_add_byte(out, '"');
}

void
imap_put_string(struct view text, struct buf *out)
{
    if (!needs_literal(text)) {
        put_quoted(text, out);
        return;
    }
    buf_addf(out, "{%zu}\r\n", text.len);
    buf_add_view(out, text);
}

static bool
is_astring(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_astring_char(text.data[i]))
            return false;
    return text.len > 0 && !view_equal_nocase(text, VIEW("NIL"));
}

void
imap_put_mailbox(struct view name, bool utf8, struct buf *out)
{
    struct buf encoded = {0};

    if (!utf8) {
        imap_utf7_encode(name, &encoded);
        name = buf_view(&encoded);
    }
    if (is_astring(name))
        buf_add_view(out, name);
    else
        put_quoted(name, out);
    buf_free(&encoded);
}
