/* SPDX-License-Identifier: ISC */
/*
 * A minimal reader of an IMAP server's answers. Only our own command's
 * tagged answer decides, and only a plain NO says something of the password:
 * with a code that speaks of the server's own trouble nothing is known.
 */
#include "auth_answer.h"

/* Takes one word off the front, up to a space. */
static struct view
take_word(struct view *line)
{
    struct view word = *line;
    const char *space =
        line->len > 0 ? memchr(line->data, ' ', line->len) : NULL;

    if (space != NULL)
        word.len = (size_t)(space - line->data);
    *line = view_skip(*line, word.len + (space != NULL));
    return word;
}

/* RFC 5530 3, and what servers use that have no better word: these are not
 * about the password. */
static bool
is_own_trouble(struct view text)
{
    static const char *const codes[] = {
        "UNAVAILABLE",  "INUSE",     "SERVERBUG",      "LIMIT",
        "CONTACTADMIN", "CLIENTBUG", "PRIVACYREQUIRED"};
    size_t len = 0;

    if (text.len == 0 || text.data[0] != '[')
        return false;
    text = view_skip(text, 1);
    while (len < text.len && text.data[len] != ']' && text.data[len] != ' ')
        len++;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (view_equal_nocase((struct view){text.data, len}, view_of(codes[i])))
            return true;
    return false;
}

static enum auth_answer
parse_status(struct view status, struct view text)
{
    if (view_equal_nocase(status, VIEW("OK")))
        return AUTH_ANSWER_OK;
    if (view_equal_nocase(status, VIEW("NO")))
        return is_own_trouble(text) ? AUTH_ANSWER_LATER : AUTH_ANSWER_NO;
    return view_equal_nocase(status, VIEW("BAD")) ? AUTH_ANSWER_LATER
                                                  : AUTH_ANSWER_NONSENSE;
}

enum auth_answer
auth_answer_parse(struct view line, struct view tag)
{
    struct view rest = line, first = take_word(&rest), second;

    if (view_equal(first, VIEW("+")))
        return AUTH_ANSWER_GO_ON;
    second = take_word(&rest);
    if (view_equal(first, VIEW("*"))) {
        if (view_equal_nocase(second, VIEW("OK")))
            return AUTH_ANSWER_GREETING;
        if (view_equal_nocase(second, VIEW("BYE")))
            return AUTH_ANSWER_BYE;
        return second.len > 0 ? AUTH_ANSWER_OTHER : AUTH_ANSWER_NONSENSE;
    }
    if (!view_equal(first, tag))
        return AUTH_ANSWER_NONSENSE;
    return parse_status(second, rest);
}

void
auth_answer_abilities(struct view line, struct auth_abilities *out)
{
    /* In "* CAPABILITY ..." and in "[CAPABILITY ...]" alike. */
    while (line.len > 0) {
        struct view word = take_word(&line);

        while (word.len > 0 && word.data[0] == '[')
            word = view_skip(word, 1);
        while (word.len > 0 && word.data[word.len - 1] == ']')
            word.len--;
        out->plain |= view_equal_nocase(word, VIEW("AUTH=PLAIN"));
        out->starttls |= view_equal_nocase(word, VIEW("STARTTLS"));
        out->login_disabled |= view_equal_nocase(word, VIEW("LOGINDISABLED"));
    }
}

void
auth_answer_plain(struct view name, struct view password, struct buf *out)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789+/";
    struct buf text = {0};
    const unsigned char *at;

    buf_add_byte(&text, 0);
    buf_add_view(&text, name);
    buf_add_byte(&text, 0);
    buf_add_view(&text, password);
    at = (const unsigned char *)text.data;
    for (size_t i = 0; i < text.len; i += 3) {
        uint32_t three = (uint32_t)at[i] << 16;
        size_t left = text.len - i;

        three |= left > 1 ? (uint32_t)at[i + 1] << 8 : 0;
        three |= left > 2 ? at[i + 2] : 0;
        for (int n = 0; n < 4; n++)
            buf_add_byte(out, (size_t)n <= left
                                  ? (uint8_t)letters[three >> (18 - 6 * n) & 63]
                                  : '=');
    }
    if (text.len > 0)
        explicit_bzero(text.data, text.len);
    buf_free(&text);
}

bool
auth_answer_quote(struct view text, struct buf *out)
{
    buf_add_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (c == '\r' || c == '\n' || c == '\0' || c > 126)
            return false;
        if (c == '"' || c == '\\')
            buf_add_byte(out, '\\');
        buf_add_byte(out, c);
    }
    buf_add_byte(out, '"');
    return true;
}
