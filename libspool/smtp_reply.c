/* SPDX-License-Identifier: ISC */
/*
 * Replies, line by line. A line is
 *
 *     3 digits  ["-" more lines follow | " " this is the last]  text
 *
 * and three digits alone are a last line with no text (RFC 5321 4.2.1 asks
 * clients to take that).
 */
#include "smtp_reply.h"

#include "num.h"
#include "xclient.h"

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The code at the front of a line, 0 where there is none. */
static int
line_code(struct view line)
{
    if (line.len < 3 || line.data[0] < '2' || line.data[0] > '5' ||
        !is_digit(line.data[1]) || !is_digit(line.data[2]))
        return 0;
    if (line.len > 3 && line.data[3] != ' ' && line.data[3] != '-')
        return 0;
    return (line.data[0] - '0') * 100 + (line.data[1] - '0') * 10 +
           (line.data[2] - '0');
}

static void
add_text(struct buf *out, struct view text)
{
    size_t start = out->len;

    buf_add_view(out, text);
    for (size_t i = start; i < out->len; i++)
        if (out->data[i] < ' ' || out->data[i] > '~')
            out->data[i] = '?';
    buf_add_byte(out, '\n');
}

static enum got
bad(enum got got, struct why *why, const char *text)
{
    why_text(why, "%s", text);
    return got;
}

/* One more line of the reply under way. */
static enum got
take_line(struct smtp_reply *reply, struct view line, struct why *why)
{
    int code = line_code(line);

    if (code == 0)
        return bad(GOT_BAD, why, "not an SMTP reply");
    if (reply->n_lines > 0 && code != reply->code)
        return bad(GOT_BAD, why, "a reply with two codes");
    if (reply->n_lines == SMTP_REPLY_LINES_MAX)
        return bad(GOT_TOOBIG, why, "a reply of too many lines");
    reply->code = code;
    reply->n_lines++;
    add_text(&reply->text, view_skip(line, 4));
    return line.len > 3 && line.data[3] == '-' ? GOT_MORE : GOT_ONE;
}

/* The last reply stays readable until bytes of the next one come. */
static void
begin(struct smtp_reply *reply)
{
    reply->code = 0;
    reply->n_lines = 0;
    buf_reset(&reply->text);
    line_init(&reply->line, SMTP_REPLY_LINE_MAX);
}

enum got
smtp_reply_take(struct smtp_reply *reply, struct view input, size_t *taken,
                struct why *why)
{
    struct view text;
    size_t used;
    enum got got;

    *taken = 0;
    if (reply->line.limit == 0)
        begin(reply);
    for (;;) {
        got = line_cut(&reply->line, view_skip(input, *taken), &text, &used);
        *taken += used;
        if (got == GOT_MORE)
            return GOT_MORE;
        if (got == GOT_BAD)
            return bad(GOT_BAD, why, "a bare LF in a reply");
        if (got == GOT_TOOBIG)
            return bad(GOT_TOOBIG, why, "a reply line that is too long");
        got = take_line(reply, text, why);
        if (got != GOT_MORE) {
            reply->line.limit = 0; /* the next call begins a new reply */
            return got;
        }
    }
}

void
smtp_reply_free(struct smtp_reply *reply)
{
    buf_free(&reply->text);
    *reply = (struct smtp_reply){0};
}

bool
smtp_reply_line(const struct smtp_reply *reply, size_t *at, struct view *line)
{
    struct view rest = view_skip(buf_view(&reply->text), *at);
    const char *end;

    if (rest.len == 0)
        return false;
    end = memchr(rest.data, '\n', rest.len);
    *line = (struct view){rest.data, (size_t)(end - rest.data)};
    *at += line->len + 1;
    return true;
}

static bool
starts_with(struct view text, struct view start)
{
    return text.len >= start.len &&
           view_equal((struct view){text.data, start.len}, start);
}

void
smtp_reply_print(const struct smtp_reply *reply, struct buf *out)
{
    struct view line, enhanced = {NULL, 0};
    size_t start = out->len, at = 0;

    while (smtp_reply_line(reply, &at, &line)) {
        if (at == line.len + 1)
            enhanced = smtp_reply_enhanced(reply->code, line);
        else if (enhanced.len > 0 && starts_with(line, enhanced))
            line = view_skip(line, enhanced.len);
        while (line.len > 0 && line.data[0] == ' ')
            line = view_skip(line, 1);
        if (line.len > 0 && out->len > start)
            buf_add_byte(out, ' ');
        buf_add_view(out, line);
    }
    if (out->len - start > SMTP_REPLY_PRINT_MAX)
        out->len = start + SMTP_REPLY_PRINT_MAX;
}

/* Length of 1 to 3 digits at the front of text, 0: none or more. */
static size_t
digits(struct view text)
{
    size_t n = 0;

    while (n < text.len && is_digit(text.data[n]))
        n++;
    return n <= 3 ? n : 0;
}

struct view
smtp_reply_enhanced(int code, struct view text)
{
    static const struct view none = {"", 0};
    struct view rest;
    size_t n;

    if (text.len < 5 || text.data[0] != '0' + code / 100 || text.data[1] != '.')
        return none;
    rest = view_skip(text, 2);
    n = digits(rest);
    if (n == 0 || n == rest.len || rest.data[n] != '.')
        return none;
    rest = view_skip(rest, n + 1);
    n = digits(rest);
    if (n == 0 || (n < rest.len && rest.data[n] != ' '))
        return none;
    return (struct view){text.data, (size_t)(rest.data - text.data) + n};
}

static const struct {
    struct view keyword;
    unsigned flag;
} offer_rows[] = {
    {{"PIPELINING", 10}, SMTP_OFFER_PIPELINING},
    {{"8BITMIME", 8}, SMTP_OFFER_8BITMIME},
    {{"SMTPUTF8", 8}, SMTP_OFFER_SMTPUTF8},
    {{"SIZE", 4}, SMTP_OFFER_SIZE},
    {{"STARTTLS", 8}, SMTP_OFFER_STARTTLS},
    {{"DSN", 3}, SMTP_OFFER_DSN},
    {{"CHUNKING", 8}, SMTP_OFFER_CHUNKING},
};

/* --- what takes words behind its keyword --------------------------------- */

/* Takes a word off the front of *text; false: there is none. */
static bool
take_word(struct view *text, struct view *word)
{
    while (text->len > 0 && text->data[0] == ' ')
        *text = view_skip(*text, 1);
    *word = (struct view){text->data, 0};
    while (word->len < text->len && text->data[word->len] != ' ')
        word->len++;
    *text = view_skip(*text, word->len);
    return word->len > 0;
}

static void
read_size(struct view rest, struct smtp_offers *offers)
{
    if (num_parse(rest, 0, INT64_MAX, &offers->size_max, NULL) != 0)
        offers->size_max = 0;
}

static void
read_xclient(struct view rest, struct smtp_offers *offers)
{
    offers->xclient = xclient_offer_parse(rest);
}

static void
read_xforward(struct view rest, struct smtp_offers *offers)
{
    offers->xforward = xclient_offer_parse(rest);
}

/* RFC 9422 4: "NAME=value"; what is not known, or makes no sense, is no
 * limit. */
static void
read_limits(struct view rest, struct smtp_offers *offers)
{
    const struct {
        struct view name;
        uint64_t *value;
    } limits[] = {
        {VIEW("MAILMAX="), &offers->mail_max},
        {VIEW("RCPTMAX="), &offers->rcpt_max},
        {VIEW("RCPTDOMAINMAX="), &offers->rcpt_domain_max},
    };
    struct view word;

    while (take_word(&rest, &word))
        for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
            size_t len = limits[i].name.len;

            if (word.len <= len ||
                !view_equal_nocase((struct view){word.data, len},
                                   limits[i].name) ||
                num_parse(view_skip(word, len), 1, 999999, limits[i].value,
                          NULL) == 0)
                continue;
            *limits[i].value = 0;
        }
}

static const struct {
    struct view keyword;
    void (*read)(struct view rest, struct smtp_offers *offers);
} word_rows[] = {
    {{"SIZE", 4}, read_size},
    {{"XCLIENT", 7}, read_xclient},
    {{"XFORWARD", 8}, read_xforward},
    {{"LIMITS", 6}, read_limits},
};

void
smtp_offers_read(const struct smtp_reply *reply, struct smtp_offers *offers)
{
    struct view line, word;
    size_t at = 0;

    *offers = (struct smtp_offers){0};
    if (!smtp_reply_line(reply, &at, &line)) /* the first line is a name */
        return;
    while (smtp_reply_line(reply, &at, &line)) {
        if (!take_word(&line, &word))
            continue;
        line = view_skip(line, 1);
        for (size_t i = 0; i < sizeof(offer_rows) / sizeof(offer_rows[0]); i++)
            if (view_equal_nocase(word, offer_rows[i].keyword))
                offers->flags |= offer_rows[i].flag;
        for (size_t i = 0; i < sizeof(word_rows) / sizeof(word_rows[0]); i++)
            if (view_equal_nocase(word, word_rows[i].keyword))
                word_rows[i].read(line, offers);
    }
}
