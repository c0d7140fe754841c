/* SPDX-License-Identifier: ISC */
/*
 * The part of a notice that programs read: message/delivery-status (RFC 3464)
 * or, where the notice is UTF-8, message/global-delivery-status (RFC 6533).
 */
#include "dsn_part.h"

#include "msgid.h"
#include "smtp_reply.h"
#include "utf8.h"

#define FIELD_MAX 900 /* of a field's text; a line has 998 */

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* xtext (RFC 3461 4) as what it stands for: "+2B" is "+". */
static void
decode_xtext(struct buf *out, struct view text)
{
    for (size_t i = 0; i < text.len; i++) {
        int high = i + 2 < text.len ? hex_digit(text.data[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;

        if (text.data[i] == '+' && low >= 0) {
            buf_add_byte(out, (uint8_t)(high << 4 | low));
            i += 2;
        } else {
            buf_add_byte(out, (uint8_t)text.data[i]);
        }
    }
}

/* The number in "\\x{1F600}" at the front; its length, or 0 for none. */
static size_t
take_embedded(struct view text, uint32_t *character)
{
    size_t i = 3;

    *character = 0;
    if (text.len < 5 || memcmp(text.data, "\\x{", 3) != 0)
        return 0;
    for (; i < text.len && i < 9 && hex_digit(text.data[i]) >= 0; i++)
        *character = *character << 4 | (uint32_t)hex_digit(text.data[i]);
    return i > 3 && i < text.len && text.data[i] == '}' ? i + 1 : 0;
}

/* utf-8-addr-xtext or unitext (RFC 6533 3) as what it stands for. */
static void
decode_embedded(struct buf *out, struct view text)
{
    while (text.len > 0) {
        uint32_t character;
        size_t n = take_embedded(text, &character);

        if (n > 0) {
            utf8_put(out, character);
            text = view_skip(text, n);
        } else {
            buf_add_byte(out, (uint8_t)text.data[0]);
            text = view_skip(text, 1);
        }
    }
}

/* RFC 6533 3, utf-8-addr-xtext: the form of an address that is not ASCII in
 * a 7-bit message. */
static void
encode_embedded(struct buf *out, struct view address)
{
    while (address.len > 0) {
        uint32_t c = utf8_take(&address);

        if (c > ' ' && c < 127 && c != '\\' && c != '+' && c != '=')
            buf_add_byte(out, (uint8_t)c);
        else
            buf_addf(out, "\\x{%X}", c);
    }
}

/* An address behind its type, as the message may have it. */
static void
add_typed(struct buf *out, const char *field, struct view address, bool utf8)
{
    if (address.len > FIELD_MAX)
        address.len = FIELD_MAX;
    buf_addf(out, "%s: %s; ", field,
             utf8_is_ascii(address) ? "rfc822" : "utf-8");
    if (utf8_is_ascii(address) || utf8)
        dsn_add_clean(out, address, utf8);
    else
        encode_embedded(out, address);
    buf_add_text(out, "\r\n");
}

/* ORCPT as the sender gave it: "rfc822;xtext", "utf-8;...". */
static void
add_original_recipient(struct buf *out, struct view orcpt, bool utf8)
{
    const char *semicolon =
        orcpt.len > 0 ? memchr(orcpt.data, ';', orcpt.len) : NULL;
    struct view type = orcpt, text;
    struct buf address = {0};

    if (semicolon == NULL || semicolon == orcpt.data || orcpt.len > FIELD_MAX)
        return;
    type.len = (size_t)(semicolon - orcpt.data);
    text = view_skip(orcpt, type.len + 1);
    if (view_equal_nocase(type, VIEW("utf-8"))) {
        decode_embedded(&address, text);
        add_typed(out, "Original-Recipient", buf_view(&address), utf8);
    } else {
        decode_xtext(&address, text);
        buf_add_text(out, "Original-Recipient: ");
        dsn_add_clean(out, type, false);
        buf_add_text(out, "; ");
        dsn_add_clean(out, buf_view(&address), false);
        buf_add_text(out, "\r\n");
    }
    buf_free(&address);
}

static const char *const actions[DSN_ACTION_COUNT] = {
    [DSN_FAILED] = "failed",
    [DSN_DELAYED] = "delayed",
    [DSN_RELAYED] = "relayed",
};

static const char status_class[DSN_ACTION_COUNT] = {
    [DSN_FAILED] = '5',
    [DSN_DELAYED] = '4',
    [DSN_RELAYED] = '2',
};

/* RFC 3463, of the class that goes with the action. */
static void
add_status(struct buf *out, const struct dsn_recipient *recipient)
{
    char class = status_class[dsn_action_of(recipient)];
    struct view enhanced =
        smtp_reply_enhanced((int)recipient->code, recipient->reply);

    buf_add_text(out, "Status: ");
    if (recipient->cause == DSN_EXPIRED)
        buf_add_text(out, "4.4.7"); /* delivery time expired */
    else if (recipient->cause == DSN_GIVEN_UP)
        buf_add_text(out, "5.3.0"); /* the mail system, no further reason */
    else if (enhanced.len > 0 && enhanced.data[0] == class)
        buf_add_view(out, enhanced);
    else if (recipient->cause == DSN_WAITING && recipient->code == 0)
        buf_add_text(out, "4.4.1"); /* no answer from host */
    else
        buf_addf(out, "%c.0.0", class);
    buf_add_text(out, "\r\n");
}

static void
add_diagnostic(struct buf *out, const struct dsn_recipient *recipient)
{
    struct buf reply = {0};

    if (recipient->code == 0 || recipient->cause == DSN_UNSENDABLE)
        return;
    dsn_add_reply(&reply, recipient);
    buf_add_text(out, "Diagnostic-Code: smtp; ");
    dsn_add_wrapped(out, 23, " ", buf_view(&reply));
    buf_free(&reply);
}

static void
add_recipient(struct buf *out, const struct dsn *dsn,
              const struct dsn_recipient *recipient, bool utf8)
{
    char id[MSGID_TEXT_MAX];

    buf_add_text(out, "\r\n");
    add_original_recipient(out, recipient->orcpt, utf8);
    add_typed(out, "Final-Recipient", recipient->address, utf8);
    buf_addf(out, "Action: %s\r\n", actions[dsn_action_of(recipient)]);
    add_status(out, recipient);
    if (recipient->remote.len > 0) {
        buf_add_text(out, "Remote-MTA: dns; ");
        dsn_add_clean(out, recipient->remote, false);
        buf_add_text(out, "\r\n");
    }
    add_diagnostic(out, recipient);
    if (recipient->attempt_ms != 0)
        dsn_add_date(out, "Last-Attempt-Date", recipient->attempt_ms);
    buf_addf(out, "Final-Log-ID: %s\r\n", msgid_print(dsn->original_id, id));
}

void
dsn_status_write(struct buf *out, const struct dsn *dsn, bool utf8)
{
    struct buf envid = {0};

    if (dsn->envid.len > 0 && dsn->envid.len <= FIELD_MAX) {
        decode_xtext(&envid, dsn->envid);
        buf_add_text(out, "Original-Envelope-Id: ");
        dsn_add_clean(out, buf_view(&envid), false);
        buf_add_text(out, "\r\n");
        buf_free(&envid);
    }
    buf_addf(out, "Reporting-MTA: dns; %.*s\r\n", (int)dsn->hostname.len,
             dsn->hostname.data);
    dsn_add_date(out, "Arrival-Date", dsn->arrived_ms);
    for (size_t i = 0; i < dsn->n_recipients; i++)
        add_recipient(out, dsn, &dsn->recipients[i], utf8);
}
