/* SPDX-License-Identifier: ISC */
/*
 * Three parts of multipart/report: words for people, fields for programs,
 * the header of the original. Every text of a stranger (addresses, replies,
 * the header) is cleaned or encoded on its way in, so none can end a line, a
 * part or the message.
 */
#include "dsn.h"

#include <stdio.h>

#include "clock.h"
#include "msgid.h"
#include "smtp_reply.h"
#include "utf8.h"

#define LINE_BYTES_MAX 998 /* RFC 5322 2.1.1, without CRLF */
#define WRAP_COLUMN    72

/* --- bytes --------------------------------------------------------------- */

static bool
is_utf8(struct view v)
{
    while (v.len > 0) {
        size_t before = v.len;

        if (utf8_take(&v) == UTF8_REPLACEMENT && before - v.len == 1)
            return false;
    }
    return true;
}

/* Appends text with what could break a line or a terminal as '?'. */
static void
add_clean(struct buf *out, struct view text, bool keep_utf8)
{
    bool keep = keep_utf8 && is_utf8(text);

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (c < ' ' || c == 127 || (c > 127 && !keep))
            c = '?';
        buf_add_byte(out, c);
    }
}

/* Lines of at most 998 bytes, each ending in CRLF, no other CR, LF or NUL. */
static bool
has_good_lines(struct view text)
{
    size_t column = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '\r' && i + 1 < text.len && text.data[i + 1] == '\n') {
            i++;
            column = 0;
        } else if (c == '\r' || c == '\n' || c == 0) {
            return false;
        } else if (++column > LINE_BYTES_MAX) {
            return false;
        }
    }
    return column == 0;
}

/* Quoted-printable (RFC 2045 6.7); CRLF stays a line end. */
static void
add_quoted_printable(struct buf *out, struct view text)
{
    size_t column = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool ends = i + 1 == text.len || text.data[i + 1] == '\r' ||
                    text.data[i + 1] == '\n';
        bool plain = (c > ' ' && c <= '~' && c != '=') ||
                     ((c == ' ' || c == '\t') && !ends);

        if (c == '\r' && i + 1 < text.len && text.data[i + 1] == '\n') {
            buf_add_text(out, "\r\n");
            i++;
            column = 0;
            continue;
        }
        if (column + (plain ? 1 : 3) > 75) {
            buf_add_text(out, "=\r\n");
            column = 0;
        }
        if (plain)
            buf_add_byte(out, c);
        else
            buf_addf(out, "=%02X", c);
        column += plain ? 1 : 3;
    }
    if (column > 0)
        buf_add_text(out, "\r\n");
}

/* Length of the word at the front; one without end is cut, because lines
 * have a limit. */
static size_t
word_len(struct view text)
{
    size_t n = 0;

    while (n < text.len && text.data[n] != ' ' && n < 400)
        n++;
    return n;
}

/* Appends text in lines of about WRAP_COLUMN, broken at blanks. The first
 * line goes on after what is there at column; each further one begins with
 * indent. */
static void
add_wrapped(struct buf *out, size_t column, const char *indent,
            struct view text)
{
    bool fresh = true;

    while (text.len > 0) {
        size_t n = word_len(text);

        if (!fresh && column + 1 + n > WRAP_COLUMN) {
            buf_addf(out, "\r\n%s", indent);
            column = strlen(indent);
            fresh = true;
        }
        if (!fresh)
            buf_add_byte(out, ' ');
        buf_add(out, text.data, n);
        column += n + (fresh ? 0 : 1);
        fresh = false;
        text = view_skip(text, n);
        if (text.len > 0 && text.data[0] == ' ')
            text = view_skip(text, 1);
    }
    buf_add_text(out, "\r\n");
}

/* --- the part for people ------------------------------------------------- */

static void
add_date(struct buf *out, const char *name, int64_t when_ms)
{
    char text[CLOCK_TEXT_MAX];

    buf_addf(out, "%s: %s\r\n", name, clock_print_mail(when_ms, text));
}

/* "550 5.1.1 No such user" */
static void
add_reply(struct buf *out, const struct dsn_recipient *recipient)
{
    if (recipient->code != 0)
        buf_addf(out, "%u ", (unsigned)(recipient->code % 1000));
    add_clean(out, recipient->reply, false);
}

static void
add_people_recipient(struct buf *out, const struct dsn_recipient *recipient)
{
    struct buf text = {0};

    buf_add_text(out, "  <");
    add_clean(out, recipient->address, true);
    buf_add_text(out, ">\r\n    ");
    switch (recipient->cause) {
    case DSN_REFUSED:
        buf_add_text(&text, "The server ");
        add_clean(&text, recipient->remote, false);
        buf_add_text(&text, " does not accept it. It said:");
        break;
    case DSN_EXPIRED:
        buf_add_text(&text, "The server ");
        add_clean(&text, recipient->remote, false);
        buf_add_text(&text, " put it off each time it was tried, and the time "
                            "for which we hold mail is over. The last time "
                            "it said:");
        break;
    case DSN_UNSENDABLE:
        buf_add_text(&text, "The recipient's server cannot take this message:");
        break;
    }
    add_wrapped(out, 4, "    ", buf_view(&text));
    buf_reset(&text);
    add_reply(&text, recipient);
    buf_add_text(out, "      ");
    add_wrapped(out, 6, "      ", buf_view(&text));
    buf_add_text(out, "\r\n");
    buf_free(&text);
}

static void
add_people(struct buf *out, const struct dsn *dsn)
{
    char id[MSGID_TEXT_MAX];
    size_t listed = dsn->n_recipients;

    buf_addf(out, "This is the mail server %.*s.\r\n\r\n",
             (int)dsn->hostname.len, dsn->hostname.data);
    buf_addf(out, "Your message could not be delivered to %s:\r\n\r\n",
             listed == 1 ? "this recipient" : "these recipients");
    if (listed > DSN_LISTED_MAX)
        listed = DSN_LISTED_MAX;
    for (size_t i = 0; i < listed; i++)
        add_people_recipient(out, &dsn->recipients[i]);
    if (listed < dsn->n_recipients)
        buf_addf(out,
                 "  and %zu more, who are named in the second part of this\r\n"
                 "  message.\r\n\r\n",
                 dsn->n_recipients - listed);
    buf_add_text(out,
                 "What you can do: look for a mistake in the address, or "
                 "reach the recipient\r\nin another way. If the answer above "
                 "does not tell you enough, send it to\r\nthe postmaster of "
                 "the recipient's domain. Sending the same message again\r\n"
                 "will most likely end the same way.\r\n\r\n");
    buf_add_text(out, "The message was received here:\r\n");
    add_date(out, "  Date", dsn->arrived_ms);
    buf_addf(out, "  Id: %s\r\n", msgid_print(dsn->original_id, id));
    buf_add_text(out, "Its header is the last part of this message.\r\n");
}

/* --- the part for programs ----------------------------------------------- */

/* RFC 6533 3, utf-8-addr-xtext: the form of an address that is not ASCII in
 * a 7-bit message. */
static void
add_address_xtext(struct buf *out, struct view address)
{
    while (address.len > 0) {
        uint32_t c = utf8_take(&address);

        if (c > ' ' && c < 127 && c != '\\' && c != '+' && c != '=')
            buf_add_byte(out, (uint8_t)c);
        else
            buf_addf(out, "\\x{%X}", c);
    }
}

static void
add_final_recipient(struct buf *out, struct view address, bool utf8)
{
    if (utf8_is_ascii(address)) {
        buf_add_text(out, "Final-Recipient: rfc822; ");
        add_clean(out, address, false);
    } else {
        buf_add_text(out, "Final-Recipient: utf-8; ");
        if (utf8)
            add_clean(out, address, true);
        else
            add_address_xtext(out, address);
    }
    buf_add_text(out, "\r\n");
}

static struct view
status_of(const struct dsn_recipient *recipient)
{
    struct view enhanced;

    if (recipient->cause == DSN_EXPIRED)
        return VIEW("4.4.7"); /* RFC 3463: delivery time expired */
    enhanced = smtp_reply_enhanced((int)recipient->code, recipient->reply);
    return enhanced.len > 0 ? enhanced : VIEW("5.0.0");
}

static void
add_program_recipient(struct buf *out, const struct dsn_recipient *recipient,
                      bool utf8)
{
    struct view status = status_of(recipient);
    struct buf reply = {0};

    buf_add_text(out, "\r\n");
    add_final_recipient(out, recipient->address, utf8);
    buf_add_text(out, "Action: failed\r\nStatus: ");
    buf_add_view(out, status);
    buf_add_text(out, "\r\n");
    if (recipient->remote.len > 0) {
        buf_add_text(out, "Remote-MTA: dns; ");
        add_clean(out, recipient->remote, false);
        buf_add_text(out, "\r\n");
    }
    if (recipient->code != 0 && recipient->cause != DSN_UNSENDABLE) {
        add_reply(&reply, recipient);
        buf_add_text(out, "Diagnostic-Code: smtp; ");
        add_wrapped(out, 23, " ", buf_view(&reply));
    }
    if (recipient->attempt_ms != 0)
        add_date(out, "Last-Attempt-Date", recipient->attempt_ms);
    buf_free(&reply);
}

static void
add_programs(struct buf *out, const struct dsn *dsn, bool utf8)
{
    buf_addf(out, "Reporting-MTA: dns; %.*s\r\n", (int)dsn->hostname.len,
             dsn->hostname.data);
    add_date(out, "Arrival-Date", dsn->arrived_ms);
    for (size_t i = 0; i < dsn->n_recipients; i++)
        add_program_recipient(out, &dsn->recipients[i], utf8);
}

/* --- the whole ----------------------------------------------------------- */

struct view
dsn_header_of(struct view content)
{
    size_t end = 0, at = 0;

    while (at < content.len && at < DSN_HEADER_MAX) {
        const char *lf = memchr(content.data + at, '\n', content.len - at);
        size_t next =
            lf == NULL ? content.len : (size_t)(lf - content.data) + 1;
        size_t len = next - at;

        if (len == 1 || (len == 2 && content.data[at] == '\r'))
            break;
        if (next > DSN_HEADER_MAX) {
            if (end == 0) /* one line without end: cut it anywhere */
                end = DSN_HEADER_MAX;
            break;
        }
        end = at = next;
    }
    return (struct view){content.data, end};
}

bool
dsn_is_utf8(const struct dsn *dsn)
{
    return !utf8_is_ascii(dsn->sender);
}

/* A Message-ID that can be repeated in References as it is. */
static bool
is_clean_message_id(struct view v)
{
    if (v.len < 5 || v.len > 900 || v.data[0] != '<' ||
        v.data[v.len - 1] != '>')
        return false;
    for (size_t i = 1; i + 1 < v.len; i++)
        if (v.data[i] <= ' ' || v.data[i] > '~' || v.data[i] == '<' ||
            v.data[i] == '>')
            return false;
    return memchr(v.data, '@', v.len) != NULL;
}

static void
add_header(struct buf *out, const struct dsn *dsn, const char *boundary)
{
    char id[MSGID_TEXT_MAX];
    int host_len = (int)dsn->hostname.len;
    const char *host = dsn->hostname.data;

    buf_addf(out, "From: Mail Delivery System <MAILER-DAEMON@%.*s>\r\n",
             host_len, host);
    buf_add_text(out, "To: <");
    add_clean(out, dsn->sender, true);
    buf_add_text(out, ">\r\nSubject: Your message could not be delivered\r\n");
    add_date(out, "Date", dsn->now_ms);
    buf_addf(out, "Message-ID: <%s.dsn@%.*s>\r\n", msgid_print(dsn->id, id),
             host_len, host);
    if (is_clean_message_id(dsn->message_id))
        buf_addf(out, "In-Reply-To: %.*s\r\nReferences: %.*s\r\n",
                 (int)dsn->message_id.len, dsn->message_id.data,
                 (int)dsn->message_id.len, dsn->message_id.data);
    buf_add_text(out, "Auto-Submitted: auto-replied\r\n"
                      "MIME-Version: 1.0\r\n"
                      "Content-Type: multipart/report; "
                      "report-type=delivery-status;\r\n");
    buf_addf(out, "    boundary=\"%s\"\r\n", boundary);
    if (dsn_is_utf8(dsn))
        buf_add_text(out, "Content-Transfer-Encoding: 8bit\r\n");
    buf_add_text(out, "\r\nThis is a delivery status notification in MIME "
                      "format.\r\n\r\n");
}

/* One part, in the mildest encoding its bytes allow. */
static void
add_part(struct buf *out, const char *boundary, const char *type,
         struct view body, bool may_8bit)
{
    bool good = has_good_lines(body);

    buf_addf(out, "--%s\r\nContent-Type: %s\r\n", boundary, type);
    if (good && utf8_is_ascii(body)) {
        buf_add_text(out, "\r\n");
        buf_add_view(out, body);
    } else if (good && may_8bit && is_utf8(body)) {
        buf_add_text(out, "Content-Transfer-Encoding: 8bit\r\n\r\n");
        buf_add_view(out, body);
    } else {
        buf_add_text(out,
                     "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        add_quoted_printable(out, body);
    }
    buf_add_text(out, "\r\n");
}

/* RFC 2046 5.1.1: the boundary must not occur in any part. */
static void
choose_boundary(const struct dsn *dsn, struct view people, struct view programs,
                char boundary[48])
{
    char id[MSGID_TEXT_MAX];
    unsigned n = 0;
    size_t len;

    msgid_print(dsn->id, id);
    do {
        len = (size_t)snprintf(boundary, 48, "=_%s.%u", id, n++);
    } while (memmem(people.data, people.len, boundary, len) != NULL ||
             memmem(programs.data, programs.len, boundary, len) != NULL ||
             (dsn->header.len > 0 && memmem(dsn->header.data, dsn->header.len,
                                            boundary, len) != NULL));
}

void
dsn_write(const struct dsn *dsn, struct buf *out)
{
    bool utf8 = dsn_is_utf8(dsn);
    bool global = utf8 && !utf8_is_ascii(dsn->header) && is_utf8(dsn->header);
    struct buf people = {0}, programs = {0};
    char boundary[48];

    add_people(&people, dsn);
    add_programs(&programs, dsn, utf8);
    choose_boundary(dsn, buf_view(&people), buf_view(&programs), boundary);
    add_header(out, dsn, boundary);
    add_part(out, boundary,
             utf8_is_ascii(buf_view(&people)) ? "text/plain; charset=us-ascii"
                                              : "text/plain; charset=utf-8",
             buf_view(&people), utf8);
    add_part(out, boundary,
             utf8 ? "message/global-delivery-status"
                  : "message/delivery-status",
             buf_view(&programs), utf8);
    add_part(out, boundary,
             global ? "message/global-headers" : "text/rfc822-headers",
             dsn->header, utf8);
    buf_addf(out, "--%s--\r\n", boundary);
    buf_free(&people);
    buf_free(&programs);
}
