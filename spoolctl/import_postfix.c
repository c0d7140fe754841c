/* SPDX-License-Identifier: ISC */
#include "import_postfix.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "num.h"

struct parse {
    struct view file;
    size_t at;
    unsigned jumps;
    bool in_content;
    bool ended;
    struct postfix_message *out;
    struct why *why;
};

/* The next record. -1: the file ends within it. */
static int
take_record(struct parse *p, char *type, struct view *data)
{
    size_t at = p->at, len = 0;
    unsigned shift = 0;
    unsigned char byte;

    if (at >= p->file.len)
        return why_text(p->why, "it ends without its end record");
    *type = p->file.data[at++];
    do {
        if (at >= p->file.len || shift > 28)
            return why_text(p->why, "a record of no sensible length");
        byte = (unsigned char)p->file.data[at++];
        len |= (size_t)(byte & 0x7f) << shift;
        shift += 7;
    } while ((byte & 0x80) != 0);
    if (len > p->file.len - at)
        return why_text(p->why, "it ends within a record");
    *data = (struct view){p->file.data + at, len};
    p->at = at + len;
    return 0;
}

static struct view
trimmed(struct view text)
{
    while (text.len > 0 && text.data[0] == ' ')
        text = view_skip(text, 1);
    while (text.len > 0 &&
           (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\0'))
        text.len--;
    return text;
}

/* "seconds" or "seconds microseconds" */
static void
take_time(struct parse *p, struct view data)
{
    uint64_t seconds;
    size_t len = 0;

    data = trimmed(data);
    while (len < data.len && data.data[len] != ' ')
        len++;
    if (num_parse((struct view){data.data, len}, 0, UINT64_C(1) << 40, &seconds,
                  NULL) == 0)
        p->out->arrived_ms = seconds * 1000;
}

static bool
attribute(struct view data, const char *name, struct view *value)
{
    size_t len = strlen(name);

    if (data.len <= len || memcmp(data.data, name, len) != 0 ||
        data.data[len] != '=')
        return false;
    *value = view_skip(data, len + 1);
    return true;
}

static void
take_attribute(struct parse *p, struct view data)
{
    struct postfix_message *out = p->out;
    struct view value;

    if (attribute(data, "client_address", &value))
        out->client = value;
    else if (attribute(data, "helo_name", &value))
        out->helo = value;
    else if (attribute(data, "protocol_name", &value))
        out->protocol = value;
    else if (attribute(data, "encoding", &value))
        out->is_8bit = view_equal(value, VIEW("8bit"));
    else if (attribute(data, "smtputf8", &value))
        out->is_utf8 = true;
}

static int
add_recipient(struct parse *p, struct view address)
{
    struct postfix_message *out = p->out;

    if (address.len == 0 || memchr(address.data, '\0', address.len) != NULL)
        return why_text(p->why, "a recipient that is none");
    if (out->n_recipients == POSTFIX_RECIPIENTS_MAX)
        return why_text(p->why, "more than %d recipients",
                        POSTFIX_RECIPIENTS_MAX);
    if ((out->n_recipients & (out->n_recipients - 1)) == 0)
        out->recipients = mem_grow(out->recipients, 2 * out->n_recipients + 1,
                                   sizeof(*out->recipients));
    out->recipients[out->n_recipients++] = address;
    return 0;
}

/* Where the file goes on; 0: nowhere, the record is room for one. */
static int
take_pointer(struct parse *p, struct view data)
{
    uint64_t to;

    data = trimmed(data);
    if (num_parse(data, 0, UINT64_MAX, &to, NULL) != 0)
        return why_text(p->why, "a pointer that is none");
    if (to == 0)
        return 0;
    if (to >= p->file.len || ++p->jumps > POSTFIX_JUMPS_MAX)
        return why_text(p->why, "a pointer that leads nowhere");
    p->at = (size_t)to;
    return 0;
}

static int
take_content(struct parse *p, char type, struct view data)
{
    struct buf *content = &p->out->content;

    if (content->len + data.len > POSTFIX_CONTENT_MAX)
        return why_text(p->why, "content that is too long");
    buf_add_view(content, data);
    if (type == 'N')
        buf_add_text(content, "\r\n");
    return 0;
}

/* One record; types that say nothing here are passed over. */
static int
take(struct parse *p, char type, struct view data)
{
    switch (type) {
    case 'M':
        p->in_content = true;
        return 0;
    case 'X':
        p->in_content = false;
        return 0;
    case 'E':
        p->ended = true;
        return 0;
    case 'N':
    case 'L':
        return p->in_content ? take_content(p, type, data) : 0;
    case 'p':
        return take_pointer(p, data);
    case 'S':
        p->out->sender = data;
        return 0;
    case 'R':
        return add_recipient(p, data);
    case 'T':
        take_time(p, data);
        return 0;
    case 'A':
        take_attribute(p, data);
        return 0;
    default: /* D among them: a recipient who has it already */
        return 0;
    }
}

int
postfix_parse(struct view file, struct postfix_message *out, struct why *why)
{
    struct parse p = {.file = file, .out = out, .why = why};
    struct view data = {NULL, 0};
    char type = '\0';

    *out = (struct postfix_message){.arrived_ms = 0};
    while (!p.ended)
        if (take_record(&p, &type, &data) != 0 || take(&p, type, data) != 0)
            return -1;
    if (out->n_recipients == 0)
        return why_text(why, "nobody is left to deliver it to");
    if (out->content.len == 0)
        return why_text(why, "it has no content");
    return 0;
}

void
postfix_free(struct postfix_message *message)
{
    free(message->recipients);
    buf_free(&message->content);
    *message = (struct postfix_message){.arrived_ms = 0};
}
