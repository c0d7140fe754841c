/* SPDX-License-Identifier: ISC */
#include "mime_field.h"

#include <stdlib.h>

#include "mem.h"

/* What a field counts besides its value. */
#define FIELD_COST 16

static const struct {
    struct view name;
    bool of_messages; /* kept of messages alone */
    bool repeats;     /* all of that name count */
} names[MIME_FIELD_NAMES] = {
#define NAME(text, ...)                                                        \
    {                                                                          \
        {text, sizeof(text) - 1}, __VA_ARGS__                                  \
    }
    [MIME_CONTENT_TYPE] = NAME("Content-Type", false, false),
    [MIME_CONTENT_TRANSFER_ENCODING] =
        NAME("Content-Transfer-Encoding", false, false),
    [MIME_CONTENT_ID] = NAME("Content-ID", false, false),
    [MIME_CONTENT_DESCRIPTION] = NAME("Content-Description", false, false),
    [MIME_CONTENT_DISPOSITION] = NAME("Content-Disposition", false, false),
    [MIME_CONTENT_LANGUAGE] = NAME("Content-Language", false, false),
    [MIME_CONTENT_LOCATION] = NAME("Content-Location", false, false),
    [MIME_CONTENT_MD5] = NAME("Content-MD5", false, false),
    [MIME_DATE] = NAME("Date", true, false),
    [MIME_SUBJECT] = NAME("Subject", true, false),
    [MIME_FROM] = NAME("From", true, true),
    [MIME_SENDER] = NAME("Sender", true, true),
    [MIME_REPLY_TO] = NAME("Reply-To", true, true),
    [MIME_TO] = NAME("To", true, true),
    [MIME_CC] = NAME("Cc", true, true),
    [MIME_BCC] = NAME("Bcc", true, true),
    [MIME_IN_REPLY_TO] = NAME("In-Reply-To", true, false),
    [MIME_MESSAGE_ID] = NAME("Message-ID", true, false),
    [MIME_VERSION] = NAME("MIME-Version", true, false),
#undef NAME
};

void
mime_fields_begin_header(struct mime_fields *fields)
{
    fields->seen = 0;
    fields->open = false;
}

/* MIME_FIELD_NAMES: another. */
static enum mime_field_name
known_name(struct view name)
{
    size_t i = 0;

    while (name.len > 0 &&
           (name.data[name.len - 1] == ' ' || name.data[name.len - 1] == '\t'))
        name.len--;
    while (i < MIME_FIELD_NAMES && !view_equal_nocase(names[i].name, name))
        i++;
    return (enum mime_field_name)i;
}

void
mime_fields_begin(struct mime_fields *fields, struct view text, bool of_message,
                  uint64_t at)
{
    struct mime *mime = fields->mime;
    enum mime_field_name name = known_name(text);

    if (name == MIME_FIELD_NAMES || (names[name].of_messages && !of_message))
        return;
    if (!names[name].repeats && (fields->seen & 1u << name) != 0)
        return;
    fields->seen |= 1u << name;
    if (fields->cost + FIELD_COST > MIME_FIELDS_MAX) {
        mime->cut = true;
        return;
    }
    fields->cost += FIELD_COST;
    if (mime->n_fields == fields->cap) {
        fields->cap = fields->cap == 0 ? 16 : 2 * fields->cap;
        mime->fields =
            mem_grow(mime->fields, fields->cap, sizeof(mime->fields[0]));
    }
    mime->fields[mime->n_fields++] =
        (struct mime_field){.name = name, .at = at, .value = mime->values.len};
    fields->open = true;
}

void
mime_fields_add(struct mime_fields *fields, struct view text)
{
    struct mime *mime = fields->mime;
    size_t start = mime->values.len, value, room;

    if (!fields->open)
        return;
    value = mime->fields[mime->n_fields - 1].value;
    room = MIME_FIELD_MAX - (start - value);
    while (start == value && text.len > 0 &&
           (text.data[0] == ' ' || text.data[0] == '\t'))
        text = view_skip(text, 1);
    if (room > MIME_FIELDS_MAX - fields->cost)
        room = MIME_FIELDS_MAX - fields->cost;
    if (text.len > room) {
        text.len = room;
        mime->cut = true;
    }
    buf_add_view(&mime->values, text);
    fields->cost += text.len;
    for (size_t i = start; i < mime->values.len; i++)
        if (mime->values.data[i] == '\0')
            mime->values.data[i] = '?';
}

void
mime_fields_drop_cr(struct mime_fields *fields)
{
    struct mime *mime = fields->mime;
    struct buf *values = &mime->values;

    if (fields->open && values->len > mime->fields[mime->n_fields - 1].value &&
        values->data[values->len - 1] == '\r')
        values->len--;
}

void
mime_fields_end(struct mime_fields *fields, uint64_t at)
{
    struct mime *mime = fields->mime;
    struct buf *values = &mime->values;
    struct mime_field *field;

    if (!fields->open)
        return;
    fields->open = false;
    field = &mime->fields[mime->n_fields - 1];
    field->len = at - field->at;
    while (values->len > field->value &&
           (values->data[values->len - 1] == ' ' ||
            values->data[values->len - 1] == '\t'))
        values->len--;
    field->value_len = values->len - field->value;
}

const struct mime_field *
mime_find(const struct mime *mime, const struct mime_node *node,
          enum mime_field_name name)
{
    for (size_t i = 0; i < node->n_fields; i++) {
        const struct mime_field *field = &mime->fields[node->first_field + i];

        if (field->name == name)
            return field;
    }
    return NULL;
}

struct view
mime_value(const struct mime *mime, const struct mime_field *field)
{
    if (field == NULL)
        return (struct view){0};
    return (struct view){mime->values.len > 0 ? mime->values.data + field->value
                                              : "",
                         field->value_len};
}

void
mime_free(struct mime **mime)
{
    if (*mime == NULL)
        return;
    free((*mime)->nodes);
    free((*mime)->fields);
    buf_free(&(*mime)->values);
    free(*mime);
    *mime = NULL;
}
