/* SPDX-License-Identifier: ISC */
/*
 * The envelope of a message that was delivered to a mailbox, as its header
 * tells it: servers write Return-Path, and X-Original-To, Delivered-To or
 * Envelope-To. To and Cc are no envelope: who is in them got it otherwise.
 */
#include "import.h"

#include "addr.h"

/* In the order in which they are believed. */
static const char *const recipient_fields[] = {"X-Original-To", "Delivered-To",
                                               "Envelope-To"};
#define RECIPIENT_FIELDS                                                       \
    (sizeof(recipient_fields) / sizeof(recipient_fields[0]))

static struct view
trim(struct view text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.data[0]) != NULL)
        text = view_skip(text, 1);
    while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL)
        text.len--;
    return text;
}

static struct view
cut_line(struct view *rest)
{
    const char *lf = memchr(rest->data, '\n', rest->len);
    size_t len = lf != NULL ? (size_t)(lf - rest->data) + 1 : rest->len;
    struct view line = {rest->data, len};

    *rest = view_skip(*rest, len);
    return line;
}

/* The next field with its continuation lines; false: the header has ended. */
static bool
next_field(struct view *rest, struct view *name, struct view *value)
{
    struct view line;
    const char *colon;

    if (rest->len == 0)
        return false;
    line = cut_line(rest);
    while (rest->len > 0 && (rest->data[0] == ' ' || rest->data[0] == '\t'))
        line.len += cut_line(rest).len;
    if (trim(line).len == 0)
        return false;
    colon = memchr(line.data, ':', line.len);
    *name = *value = (struct view){"", 0};
    if (colon == NULL)
        return true; /* no field: the next may be one */
    *name = trim((struct view){line.data, (size_t)(colon - line.data)});
    *value = trim(view_skip(line, (size_t)(colon - line.data) + 1));
    return true;
}

static struct view
without_brackets(struct view text)
{
    if (text.len >= 2 && text.data[0] == '<' && text.data[text.len - 1] == '>')
        return (struct view){text.data + 1, text.len - 2};
    return text;
}

/* One address, or several with commas between. */
static void
add_recipients(struct view list, json_t *recipients)
{
    while (list.len > 0) {
        const char *comma = memchr(list.data, ',', list.len);
        size_t len = comma != NULL ? (size_t)(comma - list.data) : list.len;
        struct view one = without_brackets(trim((struct view){list.data, len}));
        struct addr addr;

        if (addr_parse_mailbox(one, &addr, NULL) == 0)
            json_array_append_new(
                recipients,
                json_pack("{s:o}", "address", json_stringn(one.data, one.len)));
        list = view_skip(list, len + (comma != NULL));
    }
}

int
import_envelope(struct view header, struct view from, json_t *message,
                struct why *why)
{
    struct view found[RECIPIENT_FIELDS] = {{0}};
    struct view name, value, sender = from;
    json_t *recipients = json_array();
    bool has_sender = from.len > 0, has_path = false;

    while (next_field(&header, &name, &value)) {
        if (view_equal_nocase(name, VIEW("Return-Path")) && !has_path) {
            sender = without_brackets(value);
            has_path = has_sender = true;
        }
        for (size_t i = 0; i < RECIPIENT_FIELDS; i++)
            if (view_equal_nocase(name, view_of(recipient_fields[i])) &&
                found[i].len == 0)
                found[i] = value;
    }
    for (size_t i = 0; i < RECIPIENT_FIELDS; i++)
        if (json_array_size(recipients) == 0)
            add_recipients(found[i], recipients);
    json_object_set_new(message, "recipients", recipients);
    json_object_set_new(message, "sender", import_json_text(sender));
    if (json_array_size(recipients) == 0)
        return why_text(why, "its header does not say for whom it is: there is "
                             "no X-Original-To, Delivered-To or Envelope-To");
    if (!has_sender)
        return why_text(why, "its header does not say from whom it is: there "
                             "is no Return-Path");
    if (json_object_get(message, "sender") == NULL)
        return why_text(why, "its sender is not UTF-8");
    return 0;
}
