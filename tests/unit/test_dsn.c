/* SPDX-License-Identifier: ISC */
/* Delivery status notifications: form, fields, and texts of strangers. */
#include "dsn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PLAIN_HEADER                                                           \
    "Received: from a by b\r\nFrom: <ann@example.org>\r\n"                     \
    "Subject: hello\r\nMessage-ID: <1@example.org>\r\n"

static struct dsn_recipient bob = {
    .address = {"bob@example.com", 15},
    .cause = DSN_REFUSED,
    .code = 550,
    .reply = {"5.1.1 No such user", 18},
    .remote = {"mail.example.com", 16},
    .attempt_ms = 1700000300000,
};

static struct dsn
plain(void)
{
    return (struct dsn){
        .hostname = VIEW("mx2.example.com"),
        .sender = VIEW("ann@example.org"),
        .id = 0x123456789abcdef,
        .original_id = 0x123456789abcd00,
        .message_id = VIEW("<1@example.org>"),
        .now_ms = 1700000400000,
        .arrived_ms = 1700000000000,
        .recipients = &bob,
        .n_recipients = 1,
        .header = VIEW(PLAIN_HEADER),
    };
}

static bool
has(const struct buf *out, const char *text)
{
    return memmem(out->data, out->len, text, strlen(text)) != NULL;
}

/* The text between the nth and the next boundary line, with its header. */
static struct view
part(const struct buf *out, unsigned nth)
{
    char mark[80];
    const char *at = out->data, *end = out->data + out->len;
    const char *name = memmem(at, out->len, "boundary=\"", 10);
    size_t len;

    assert_non_null(name);
    name += 10;
    len = (size_t)snprintf(mark, sizeof(mark), "--%.*s",
                           (int)strcspn(name, "\""), name);
    for (unsigned i = 0; i <= nth; i++) {
        at = memmem(at, (size_t)(end - at), mark, len);
        assert_non_null(at);
        at += len;
    }
    assert_memory_equal(at, "\r\n", 2);
    end = memmem(at, (size_t)(end - at), mark, len);
    assert_non_null(end);
    return (struct view){at + 2, (size_t)(end - at) - 2};
}

static bool
part_has(const struct buf *out, unsigned nth, const char *text)
{
    struct view v = part(out, nth);

    return memmem(v.data, v.len, text, strlen(text)) != NULL;
}

/* What holds of every DSN whatever was put in. */
static void
check_form(const struct dsn *dsn, const struct buf *out)
{
    bool utf8 = dsn_is_utf8(dsn);
    size_t column = 0;
    const char *name = memmem(out->data, out->len, "boundary=\"=_", 12);
    const char *at = out->data;
    size_t marks = 0;

    for (size_t i = 0; i < out->len; i++) {
        unsigned char c = (unsigned char)out->data[i];

        if (c == '\r') {
            assert_true(i + 1 < out->len && out->data[i + 1] == '\n');
            column = 0;
            i++;
            continue;
        }
        assert_true(c != '\n' && c != 0);
        assert_true(utf8 || c < 128);
        assert_true(++column <= 998);
    }
    assert_int_equal(column, 0);
    assert_non_null(name);
    name += 10;
    /* The boundary is there where it is declared, and four times in use. */
    while ((at = memmem(at, (size_t)(out->data + out->len - at), name,
                        strcspn(name, "\""))) != NULL) {
        marks++;
        at++;
    }
    assert_int_equal(marks, 5);
}

static void
test_plain(void **state)
{
    struct dsn dsn = plain();
    struct buf out = {0};

    (void)state;
    dsn_write(&dsn, &out);
    check_form(&dsn, &out);
    assert_false(dsn_is_utf8(&dsn));
    assert_true(has(&out, "From: Mail Delivery System "
                          "<MAILER-DAEMON@mx2.example.com>\r\n"));
    assert_true(has(&out, "\r\nTo: <ann@example.org>\r\n"));
    assert_true(has(&out, "\r\nAuto-Submitted: auto-replied\r\n"));
    assert_true(has(&out, "\r\nReferences: <1@example.org>\r\n"));
    assert_true(part_has(&out, 0, "  <bob@example.com>\r\n"));
    assert_true(part_has(&out, 0, "550 5.1.1 No such user\r\n"));
    assert_true(part_has(&out, 1, "Content-Type: message/delivery-status\r\n"));
    assert_true(
        part_has(&out, 1, "\r\n\r\nReporting-MTA: dns; mx2.example.com\r\n"));
    assert_true(part_has(
        &out, 1, "\r\nArrival-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\n"));
    assert_true(
        part_has(&out, 1, "\r\nFinal-Recipient: rfc822; bob@example.com\r\n"));
    assert_true(part_has(&out, 1, "\r\nAction: failed\r\n"));
    assert_true(part_has(&out, 1, "\r\nStatus: 5.1.1\r\n"));
    assert_true(part_has(&out, 1, "\r\nRemote-MTA: dns; mail.example.com\r\n"));
    assert_true(part_has(
        &out, 1, "\r\nDiagnostic-Code: smtp; 550 5.1.1 No such user\r\n"));
    assert_true(part_has(&out, 2, "Content-Type: text/rfc822-headers\r\n"));
    assert_true(part_has(&out, 2, "\r\n\r\n" PLAIN_HEADER));
    buf_free(&out);
}

static void
test_status(void **state)
{
    static const struct {
        enum dsn_cause cause;
        uint64_t code;
        const char *reply;
        const char *want;
        bool diagnostic;
    } rows[] = {
        {DSN_REFUSED, 550, "5.7.1 Go away", "\r\nStatus: 5.7.1\r\n", true},
        {DSN_REFUSED, 550, "Go away", "\r\nStatus: 5.0.0\r\n", true},
        {DSN_REFUSED, 550, "4.7.1 Go away", "\r\nStatus: 5.0.0\r\n", true},
        {DSN_EXPIRED, 451, "4.7.1 Later", "\r\nStatus: 4.4.7\r\n", true},
        {DSN_EXPIRED, 0, "connection lost", "\r\nStatus: 4.4.7\r\n", false},
        {DSN_UNSENDABLE, 552, "5.3.4 Too big", "\r\nStatus: 5.3.4\r\n", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dsn dsn = plain();
        struct dsn_recipient one = bob;
        struct buf out = {0};

        one.cause = rows[i].cause;
        one.code = rows[i].code;
        one.reply = view_of(rows[i].reply);
        dsn.recipients = &one;
        dsn_write(&dsn, &out);
        check_form(&dsn, &out);
        assert_true(part_has(&out, 1, rows[i].want));
        assert_int_equal(part_has(&out, 1, "Diagnostic-Code"),
                         rows[i].diagnostic);
        buf_free(&out);
    }
}

static void
test_utf8_recipient(void **state)
{
    struct dsn dsn = plain();
    struct dsn_recipient one = bob;
    struct buf out = {0};

    (void)state;
    one.address = VIEW("j\303\266rg+x@example.com");
    dsn.recipients = &one;
    assert_false(dsn_is_utf8(&dsn));
    dsn_write(&dsn, &out);
    check_form(&dsn, &out);
    assert_true(part_has(&out, 0, "charset=utf-8\r\n"));
    assert_true(part_has(&out, 0, "<j=C3=B6rg+x@example.com>"));
    assert_true(part_has(
        &out, 1, "Final-Recipient: utf-8; j\\x{F6}rg\\x{2B}x@example.com\r\n"));
    buf_free(&out);
}

static void
test_utf8_sender(void **state)
{
    struct dsn dsn = plain();
    struct dsn_recipient one = bob;
    struct buf out = {0};

    (void)state;
    one.address = VIEW("j\303\266rg@example.com");
    dsn.recipients = &one;
    dsn.sender = VIEW("\303\244nn@example.org");
    dsn.header = VIEW("Subject: \303\244\r\n");
    assert_true(dsn_is_utf8(&dsn));
    dsn_write(&dsn, &out);
    check_form(&dsn, &out);
    assert_true(has(&out, "\r\nTo: <\303\244nn@example.org>\r\n"));
    assert_true(has(&out, "\r\nContent-Transfer-Encoding: 8bit\r\n"));
    assert_true(part_has(&out, 1, "message/global-delivery-status\r\n"));
    assert_true(part_has(
        &out, 1, "Final-Recipient: utf-8; j\303\266rg@example.com\r\n"));
    assert_true(part_has(&out, 2, "message/global-headers\r\n"));
    assert_true(part_has(&out, 2, "Subject: \303\244\r\n"));
    buf_free(&out);
}

static void
test_odd_headers(void **state)
{
    static const struct {
        struct view header;
        const char *want;
    } rows[] = {
        {VIEW("Subject: gr\374n\r\n"), "Subject: gr=FCn\r\n"},
        {VIEW("Subject: a\rb\nc\r\n"), "Subject: a=0Db=0Ac\r\n"},
        {VIEW("Subject: cut"), "Subject: cut\r\n"},
        {VIEW("Subject: a\0b \r\n"), "Subject: a=00b=20\r\n"},
        {VIEW(""), "text/rfc822-headers\r\n\r\n\r\n"},
        {VIEW("X: =_0J6HB7HKAQKFF.0\r\n"), "X: =_0J6HB7HKAQKFF.0\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dsn dsn = plain();
        struct buf out = {0};

        dsn.header = rows[i].header;
        dsn_write(&dsn, &out);
        check_form(&dsn, &out);
        assert_true(part_has(&out, 2, rows[i].want));
        buf_free(&out);
    }
}

static void
test_boundary_is_new(void **state)
{
    struct dsn dsn = plain();
    struct buf out = {0}, header = {0};
    const char *name;

    (void)state;
    dsn_write(&dsn, &out);
    name = memmem(out.data, out.len, "boundary=\"", 10);
    assert_non_null(name);
    buf_addf(&header, "X: --%.*s\r\n", (int)strcspn(name + 10, "\""),
             name + 10);
    buf_reset(&out);
    dsn.header = buf_view(&header);
    dsn_write(&dsn, &out);
    check_form(&dsn, &out);
    assert_true(part_has(&out, 2, "X: --=_"));
    buf_free(&out);
    buf_free(&header);
}

static void
test_many(void **state)
{
    struct dsn dsn = plain();
    struct dsn_recipient many[50];
    struct buf out = {0};
    struct view v;
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < 50; i++)
        many[i] = bob;
    dsn.recipients = many;
    dsn.n_recipients = 50;
    dsn_write(&dsn, &out);
    check_form(&dsn, &out);
    assert_true(part_has(&out, 0, "and 30 more"));
    v = part(&out, 1);
    for (const char *at; (at = memmem(v.data, v.len, "Action: ", 8)) != NULL;
         n++)
        v = view_skip(v, (size_t)(at - v.data) + 1);
    assert_int_equal(n, 50);
    buf_free(&out);
}

static void
test_header_of(void **state)
{
    struct buf big = {0};

    (void)state;
    assert_true(view_equal(dsn_header_of(VIEW("A: 1\r\nB: 2\r\n\r\nbody")),
                           VIEW("A: 1\r\nB: 2\r\n")));
    assert_true(view_equal(dsn_header_of(VIEW("A: 1\r\n")), VIEW("A: 1\r\n")));
    assert_true(view_equal(dsn_header_of(VIEW("A: 1")), VIEW("A: 1")));
    assert_int_equal(dsn_header_of(VIEW("\r\nbody")).len, 0);
    assert_int_equal(dsn_header_of(VIEW("")).len, 0);
    for (int i = 0; i < 5000; i++)
        buf_add_text(&big, "X: 12345\r\n");
    assert_int_equal(dsn_header_of(buf_view(&big)).len,
                     DSN_HEADER_MAX / 10 * 10);
    memset(big.data, 'x', big.len);
    assert_int_equal(dsn_header_of(buf_view(&big)).len, DSN_HEADER_MAX);
    buf_free(&big);
}

static void
random_bytes(struct buf *out, unsigned *seed, size_t len)
{
    static const char odd[] = "\r\n=- .\t\0\377\303\266\360\237\230\200:<>\"\\";

    for (size_t i = 0; i < len; i++) {
        *seed = *seed * 1103515245u + 12345u;
        if (*seed >> 16 & 1)
            buf_add_byte(out, (uint8_t)odd[(*seed >> 17) % (sizeof(odd) - 1)]);
        else
            buf_add_byte(out, (uint8_t)(*seed >> 18));
    }
}

/* Whatever strangers put into their texts, the form holds. */
static void
test_hostile(void **state)
{
    unsigned seed = 1;

    (void)state;
    for (int i = 0; i < 500; i++) {
        struct dsn dsn = plain();
        struct dsn_recipient one = bob;
        struct buf header = {0}, reply = {0}, address = {0}, out = {0};

        random_bytes(&header, &seed, (size_t)i * 7);
        random_bytes(&reply, &seed, (size_t)i);
        random_bytes(&address, &seed, (size_t)i % 200);
        one.address = buf_view(&address);
        one.reply = buf_view(&reply);
        one.remote = buf_view(&address);
        dsn.recipients = &one;
        dsn.message_id = buf_view(&address);
        dsn.header = buf_view(&header);
        dsn_write(&dsn, &out);
        check_form(&dsn, &out);
        buf_free(&header);
        buf_free(&reply);
        buf_free(&address);
        buf_free(&out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_utf8_recipient),
        cmocka_unit_test(test_utf8_sender),
        cmocka_unit_test(test_odd_headers),
        cmocka_unit_test(test_boundary_is_new),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_header_of),
        cmocka_unit_test(test_hostile),
    };

    return cmocka_run_group_tests_name("dsn", tests, NULL, NULL);
}
