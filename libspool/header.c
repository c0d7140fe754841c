/* SPDX-License-Identifier: ISC */
/*
 * The scan collects one line at a time (its first HEADER_LINE_MAX bytes) and
 * decides when the line is whole; what is kept of a field is copied out of
 * the line at once, so a folded field costs no more than a short one.
 */
#include "header.h"

#include "clock.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct field_row {
    struct view name;
    enum header_field field;
} fields[] = {
    {{"Received", 8}, HEADER_RECEIVED},
    {{"Subject", 7}, HEADER_SUBJECT},
    {{"Message-ID", 10}, HEADER_MESSAGE_ID},
};

void
header_init(struct header *header, struct view hostname)
{
    /* Not the whole struct: the buffers are large and lengths are enough. */
    header->done = false;
    header->started = false;
    header->field = HEADER_OTHER;
    header->hostname = hostname;
    header->received = 0;
    header->loops = 0;
    header->subject_len = 0;
    header->message_id_len = 0;
    header->has_subject = false;
    header->has_message_id = false;
    header->trace_len = 0;
    header->line_len = 0;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool
may_end_word(char c)
{
    return is_blank(c) || c == ';' || c == '(' || c == ')';
}

/* Does the text have "by hostname", each a word of its own? */
static bool
has_by(struct view text, struct view hostname)
{
    for (size_t i = 0; i + 3 + hostname.len <= text.len; i++) {
        size_t at = i + 3;

        if (strncasecmp(text.data + i, "by", 2) != 0 ||
            !is_blank(text.data[i + 2]) ||
            (i > 0 && !may_end_word(text.data[i - 1])))
            continue;
        while (at < text.len && is_blank(text.data[at]))
            at++;
        if (text.len - at < hostname.len ||
            strncasecmp(text.data + at, hostname.data, hostname.len) != 0)
            continue;
        at += hostname.len;
        if (at == text.len || may_end_word(text.data[at]))
            return true;
    }
    return false;
}

/* The field under way is whole. */
static void
end_field(struct header *header)
{
    struct view trace = {header->trace, header->trace_len};

    if (header->field == HEADER_RECEIVED && header->hostname.len > 0 &&
        has_by(trace, header->hostname))
        header->loops++;
    header->field = HEADER_OTHER;
    header->trace_len = 0;
}

static void
keep(char *to, size_t *len, size_t max, struct view more)
{
    size_t n = more.len < max - *len ? more.len : max - *len;

    if (n > 0)
        memcpy(to + *len, more.data, n);
    *len += n;
}

/* Adds a line's part of the value, the fold's blanks included (RFC 5322
 * 2.2.3: only the CRLF goes). */
static void
add_value(struct header *header, struct view part)
{
    switch (header->field) {
    case HEADER_RECEIVED:
        keep(header->trace, &header->trace_len, sizeof(header->trace), part);
        break;
    case HEADER_SUBJECT:
        keep(header->subject, &header->subject_len, sizeof(header->subject),
             part);
        break;
    case HEADER_MESSAGE_ID:
        keep(header->message_id, &header->message_id_len,
             sizeof(header->message_id), part);
        break;
    case HEADER_OTHER:
        break;
    }
}

/* The field a name stands for; a second Subject or Message-ID is none. */
static enum header_field
find_field(struct header *header, struct view name)
{
    for (size_t i = 0; i < COUNT(fields); i++) {
        enum header_field field = fields[i].field;
        bool *has = field == HEADER_SUBJECT      ? &header->has_subject
                    : field == HEADER_MESSAGE_ID ? &header->has_message_id
                                                 : NULL;

        if (!view_equal_nocase(name, fields[i].name))
            continue;
        if (has == NULL)
            return field;
        if (*has)
            return HEADER_OTHER;
        *has = true;
        return field;
    }
    return HEADER_OTHER;
}

/* Length of "name" in "name:", blanks before the colon not counted (RFC 5322
 * 4.5.8); 0: the line is no field. *value is what follows the colon. */
static size_t
split_field(struct view line, struct view *value)
{
    size_t len = 0, colon;

    while (len < line.len && line.data[len] > ' ' && line.data[len] < 0x7f &&
           line.data[len] != ':')
        len++;
    for (colon = len; colon < line.len && is_blank(line.data[colon]);)
        colon++;
    if (colon == line.len || line.data[colon] != ':')
        return 0;
    *value = view_skip(line, colon + 1);
    while (value->len > 0 && is_blank(value->data[0]))
        *value = view_skip(*value, 1);
    return len;
}

/* One whole line, without its CRLF. */
static void
on_line(struct header *header, struct view line)
{
    static const struct view mbox = {"From ", 5};
    bool first = !header->started;
    struct view value;
    size_t name_len;

    header->started = true;
    if (line.len > 0 && is_blank(line.data[0]) && !first) {
        add_value(header, line);
        return;
    }
    end_field(header);
    name_len = split_field(line, &value);
    if (name_len > 0) {
        header->field = find_field(header, (struct view){line.data, name_len});
        if (header->field == HEADER_RECEIVED)
            header->received++;
        add_value(header, value);
        return;
    }
    header->done = !first || line.len < mbox.len ||
                   memcmp(line.data, mbox.data, mbox.len) != 0;
}

static void
finish_value(char *text, size_t *len)
{
    size_t start = 0;

    while (*len > 0 && is_blank(text[*len - 1]))
        (*len)--;
    while (start < *len && is_blank(text[start]))
        start++;
    *len -= start;
    memmove(text, text + start, *len);
}

static void
finish(struct header *header)
{
    end_field(header);
    finish_value(header->subject, &header->subject_len);
    finish_value(header->message_id, &header->message_id_len);
    header->done = true;
}

static void
end_line(struct header *header)
{
    struct view line = {header->line, header->line_len};

    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    header->line_len = 0;
    on_line(header, line);
    if (header->done)
        finish(header);
}

bool
header_scan(struct header *header, struct view bytes)
{
    while (!header->done && bytes.len > 0) {
        const char *lf = memchr(bytes.data, '\n', bytes.len);
        size_t n = lf != NULL ? (size_t)(lf - bytes.data) : bytes.len;

        keep(header->line, &header->line_len, sizeof(header->line),
             (struct view){bytes.data, n});
        bytes = view_skip(bytes, lf != NULL ? n + 1 : n);
        if (lf != NULL)
            end_line(header);
    }
    return !header->done;
}

void
header_end(struct header *header)
{
    if (header->done)
        return;
    if (header->line_len > 0)
        end_line(header);
    if (!header->done)
        finish(header);
}

/* --- our Received field -------------------------------------------------- */

const char *
header_protocol(bool esmtp, bool tls, bool utf8)
{
    if (!esmtp)
        return "SMTP";
    if (utf8)
        return tls ? "UTF8SMTPS" : "UTF8SMTP";
    return tls ? "ESMTPS" : "ESMTP";
}

/* A name from a stranger: what may not stand in a domain or an address
 * literal becomes '?'. */
static void
add_name(struct buf *out, struct view name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]";

    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];

        buf_add_byte(out, c != '\0' && strchr(allowed, c) != NULL
                              ? (uint8_t)c
                              : (uint8_t)'?');
    }
}

static void
add_part(struct buf *out, const char *before, struct view value,
         const char *after)
{
    if (value.len == 0)
        return;
    buf_add_text(out, before);
    buf_add_view(out, value);
    buf_add_text(out, after);
}

void
header_received(const struct header_trace *trace, struct buf *out)
{
    bool v6 = trace->client.len > 0 &&
              memchr(trace->client.data, ':', trace->client.len) != NULL;
    char date[CLOCK_TEXT_MAX];

    buf_add_text(out, "Received: from ");
    if (trace->helo.len > 0)
        add_name(out, trace->helo);
    else
        buf_add_text(out, "unknown");
    add_part(out, v6 ? " ([IPv6:" : " ([", trace->client, "])");
    add_part(out, "\r\n\tby ", trace->hostname, " (spoold)");
    add_part(out, "\r\n\twith ", trace->protocol, "");
    add_part(out, " (", trace->tls, ")");
    add_part(out, " id ", trace->id, "");
    add_part(out, "\r\n\tfor <", trace->recipient, ">");
    buf_add_text(out, ";\r\n\t");
    buf_add_text(out, clock_print_mail(trace->when_ms, date));
    buf_add_text(out, "\r\n");
}
