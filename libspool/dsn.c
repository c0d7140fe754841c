/* SPDX-License-Identifier: ISC */
/*
 * Three parts of multipart/report (RFC 6522): words for people, fields for
 * programs, the header or all of the original. Every text of a stranger
 * (addresses, replies, the original) is cleaned, encoded or checked on its way
 * in, so none can end a line, a part or the message.
 */
#include "dsn.h"

#include "dsn_part.h"

#include <stdio.h>

#include "clock.h"
#include "msgid.h"
#include "utf8.h"

#define LINE_BYTES_MAX 998 /* RFC 5322 2.1.1, without CRLF */
#define WRAP_COLUMN    72

/* --- what it is about ----------------------------------------------------- */

enum dsn_action
dsn_action_of(const struct dsn_recipient *recipient)
{
    if (recipient->cause == DSN_WAITING)
        return DSN_DELAYED;
    return recipient->cause == DSN_PASSED_ON ? DSN_RELAYED : DSN_FAILED;
}

enum dsn_action
dsn_action_first(const struct dsn *dsn)
{
    enum dsn_action first = DSN_RELAYED;

    for (size_t i = 0; i < dsn->n_recipients; i++)
        if (dsn_action_of(&dsn->recipients[i]) < first)
            first = dsn_action_of(&dsn->recipients[i]);
    return first;
}

/* --- bytes --------------------------------------------------------------- */

bool
dsn_text_is_utf8(struct view v)
{
    while (v.len > 0) {
        size_t before = v.len;

        if (utf8_take(&v) == UTF8_REPLACEMENT && before - v.len == 1)
            return false;
    }
    return true;
}

void
dsn_add_clean(struct buf *out, struct view text, bool keep_utf8)
{
    bool keep = keep_utf8 && dsn_text_is_utf8(text);

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

void
dsn_add_wrapped(struct buf *out, size_t column, const char *indent,
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

void
dsn_add_date(struct buf *out, const char *name, int64_t when_ms)
{
    char text[CLOCK_TEXT_MAX];

    buf_addf(out, "%s: %s\r\n", name, clock_print_mail(when_ms, text));
}

void
dsn_add_reply(struct buf *out, const struct dsn_recipient *recipient)
{
    if (recipient->code != 0)
        buf_addf(out, "%u ", (unsigned)(recipient->code % 1000));
    dsn_add_clean(out, recipient->reply, false);
}

/* --- the original --------------------------------------------------------- */

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

bool
dsn_has_content(const struct dsn *dsn)
{
    return dsn->content.len > 0 && has_good_lines(dsn->content) &&
           (utf8_is_ascii(dsn->header) ||
            (dsn_is_utf8(dsn) && dsn_text_is_utf8(dsn->header)));
}

bool
dsn_is_8bit(const struct dsn *dsn)
{
    return dsn_is_utf8(dsn) ||
           (dsn_has_content(dsn) && !utf8_is_ascii(dsn->content));
}

/* --- the whole ----------------------------------------------------------- */

static const char *const subjects[DSN_ACTION_COUNT] = {
    [DSN_FAILED] = "Your message could not be delivered",
    [DSN_DELAYED] = "Your message is delayed",
    [DSN_RELAYED] = "Your message was passed on",
};

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
    dsn_add_clean(out, dsn->sender, true);
    buf_addf(out, ">\r\nSubject: %s\r\n", subjects[dsn_action_first(dsn)]);
    dsn_add_date(out, "Date", dsn->now_ms);
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
    if (dsn_is_8bit(dsn))
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
    } else if (good && may_8bit && dsn_text_is_utf8(body)) {
        buf_add_text(out, "Content-Transfer-Encoding: 8bit\r\n\r\n");
        buf_add_view(out, body);
    } else {
        buf_add_text(out,
                     "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        add_quoted_printable(out, body);
    }
    buf_add_text(out, "\r\n");
}

/* The original: its header, or all of it as it is, since what is in a message
 * part may not be encoded (RFC 2046 5.2.1). */
static void
add_original(struct buf *out, const struct dsn *dsn, const char *boundary)
{
    bool utf8 = dsn_is_utf8(dsn);
    bool global =
        utf8 && !utf8_is_ascii(dsn->header) && dsn_text_is_utf8(dsn->header);

    if (!dsn_has_content(dsn)) {
        add_part(out, boundary,
                 global ? "message/global-headers" : "text/rfc822-headers",
                 dsn->header, utf8);
        return;
    }
    buf_addf(out, "--%s\r\nContent-Type: %s\r\n", boundary,
             global ? "message/global" : "message/rfc822");
    if (!utf8_is_ascii(dsn->content))
        buf_add_text(out, "Content-Transfer-Encoding: 8bit\r\n");
    buf_add_text(out, "\r\n");
    buf_add_view(out, dsn->content);
    buf_add_text(out, "\r\n");
}

static bool
occurs(struct view text, const char *boundary, size_t len)
{
    return text.len > 0 && memmem(text.data, text.len, boundary, len) != NULL;
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
    } while (occurs(people, boundary, len) || occurs(programs, boundary, len) ||
             occurs(dsn->header, boundary, len) ||
             occurs(dsn->content, boundary, len));
}

void
dsn_write(const struct dsn *dsn, struct buf *out)
{
    bool utf8 = dsn_is_utf8(dsn);
    struct buf people = {0}, programs = {0};
    char boundary[48];

    dsn_people_write(&people, dsn);
    dsn_status_write(&programs, dsn, utf8);
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
    add_original(out, dsn, boundary);
    buf_addf(out, "--%s--\r\n", boundary);
    buf_free(&people);
    buf_free(&programs);
}
