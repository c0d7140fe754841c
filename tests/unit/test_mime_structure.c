/* SPDX-License-Identifier: ISC */
/*
 * mime_structure, mime_envelope, mime_print, mime_section: what IMAP says of
 * a message comes from the packed form, and that stays small and can be
 * damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mime_decode.h"
#include "mime_section.h"
#include "mime_structure.h"

static void
encode(const char *content, struct buf *structure)
{
    struct mime *mime = mime_scan_whole(view_of(content));

    mime_structure_encode(mime, structure);
    mime_free(&mime);
}

typedef int print_fn(struct view structure, struct buf *out);

static void
assert_prints(print_fn *print, const char *content, const char *wanted)
{
    struct buf structure = {0}, out = {0};

    encode(content, &structure);
    buf_add_byte(&out, ' '); /* it appends */
    assert_int_equal(print(buf_view(&structure), &out), 0);
    if (!view_equal(view_skip(buf_view(&out), 1), view_of(wanted)))
        fail_msg("%s\n%.*s\nnot\n%s", content, (int)out.len, out.data, wanted);
    buf_free(&structure);
    buf_free(&out);
}

/* --- ENVELOPE ---------------------------------------------------------------
 */

#define NILS " NIL NIL NIL NIL NIL NIL NIL NIL"

static const struct {
    const char *content, *envelope;
} envelopes[] = {
    {"\r\n", "(NIL NIL" NILS ")"},
    {"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n",
     "(\"Mon, 1 Jan 2024 00:00:00 +0000\" NIL" NILS ")"},
    {"Subject: a\r\n\tb \"c\" \\d\r\n\r\n",
     "(NIL \"a\tb \\\"c\\\" \\\\d\"" NILS ")"},
    {"Subject:\r\n\r\n", "(NIL \"\"" NILS ")"},
    {"Subject: \xe9t\xe9\r\n\r\n", "(NIL {3}\r\n\xe9t\xe9" NILS ")"},
    {"Subject: a\rb\r\n\r\n", "(NIL {3}\r\na\rb" NILS ")"},
    {"Subject: =?utf-8?q?J=C3=A9?=\r\n\r\n",
     "(NIL \"=?utf-8?q?J=C3=A9?=\"" NILS ")"},
    {"From: J <a@b>\r\n\r\n",
     "(NIL NIL ((\"J\" NIL \"a\" \"b\")) ((\"J\" NIL \"a\" \"b\")) "
     "((\"J\" NIL \"a\" \"b\")) NIL NIL NIL NIL NIL)"},
    {"From: a@b\r\nSender: c@d\r\nReply-To: e@f, g@h\r\n\r\n",
     "(NIL NIL ((NIL NIL \"a\" \"b\")) ((NIL NIL \"c\" \"d\")) "
     "((NIL NIL \"e\" \"f\")(NIL NIL \"g\" \"h\")) NIL NIL NIL NIL NIL)"},
    {"From: a@b\r\nSender:\r\n\r\n",
     "(NIL NIL ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) "
     "((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL NIL)"},
    {"To: x: a@b;\r\nTo: c@d\r\nCc: e@f\r\nBcc: g@h\r\n\r\n",
     "(NIL NIL NIL NIL NIL ((NIL NIL \"x\" NIL)(NIL NIL \"a\" \"b\")"
     "(NIL NIL NIL NIL)(NIL NIL \"c\" \"d\")) ((NIL NIL \"e\" \"f\")) "
     "((NIL NIL \"g\" \"h\")) NIL NIL)"},
    {"In-Reply-To: <a@b>\r\nMessage-ID: <c@d>\r\n\r\n",
     "(NIL NIL NIL NIL NIL NIL NIL NIL \"<a@b>\" \"<c@d>\")"},
};

static void
test_envelopes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(envelopes) / sizeof(envelopes[0]); i++)
        assert_prints(mime_structure_print_envelope, envelopes[i].content,
                      envelopes[i].envelope);
}

/* --- BODYSTRUCTURE ----------------------------------------------------------
 */

#define ASCII "(\"charset\" \"us-ascii\")"
#define PLAIN "\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" "

static const struct {
    const char *content, *body, *bodystructure;
} bodies[] = {
    {"\r\nx\r\n", "(" PLAIN "3 1)", "(" PLAIN "3 1 NIL NIL NIL NIL)"},
    {"Content-Type: Text/HTML; Charset=utf-8; x=\"y z\"\r\n\r\nx",
     "(\"Text\" \"HTML\" (\"Charset\" \"utf-8\" \"x\" \"y z\") NIL NIL "
     "\"7bit\" 1 0)",
     "(\"Text\" \"HTML\" (\"Charset\" \"utf-8\" \"x\" \"y z\") NIL NIL "
     "\"7bit\" 1 0 NIL NIL NIL NIL)"},
    {"Content-Type: text/plain; format=flowed\r\n\r\n",
     "(\"text\" \"plain\" (\"format\" \"flowed\" \"charset\" \"us-ascii\") "
     "NIL NIL \"7bit\" 0 0)",
     "(\"text\" \"plain\" (\"format\" \"flowed\" \"charset\" \"us-ascii\") "
     "NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL)"},
    {"Content-Type: image/png; name*=utf-8''%C3%A9\r\n"
     "Content-Transfer-Encoding: base64\r\nContent-ID: <a@b>\r\n"
     "Content-Description: a picture\r\nContent-MD5: Q2hlY2s=\r\n"
     "Content-Disposition: attachment; filename=\"\xe9\"\r\n"
     "Content-Language: de, en-GB\r\nContent-Location: http://a/b\r\n\r\nxx",
     "(\"image\" \"png\" (\"name*\" \"utf-8''%C3%A9\") \"<a@b>\" "
     "\"a picture\" \"base64\" 2)",
     "(\"image\" \"png\" (\"name*\" \"utf-8''%C3%A9\") \"<a@b>\" "
     "\"a picture\" \"base64\" 2 \"Q2hlY2s=\" (\"attachment\" (\"filename\" "
     "{1}\r\n\xe9)) (\"de\" \"en-GB\") \"http://a/b\")"},
    /* Without MIME-Version and Content-Type it is not MIME. */
    {"Content-Transfer-Encoding: base64\r\n\r\n", "(" PLAIN "0 0)",
     "(" PLAIN "0 0 NIL NIL NIL NIL)"},
    {"MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n"
     "Content-Disposition: inline\r\n\r\n",
     "(\"text\" \"plain\" " ASCII " NIL NIL \"base64\" 0 0)",
     "(\"text\" \"plain\" " ASCII " NIL NIL \"base64\" 0 0 NIL "
     "(\"inline\" NIL) NIL NIL)"},
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n"
     "Content-Type: application/pdf\r\n\r\ny\r\n--b--\r\n",
     "((" PLAIN "1 0)(\"application\" \"pdf\" NIL NIL NIL \"7bit\" 1) "
     "\"mixed\")",
     "((" PLAIN "1 0 NIL NIL NIL NIL)(\"application\" \"pdf\" NIL NIL NIL "
     "\"7bit\" 1 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL "
     "NIL)"},
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\nx\r\n",
     "((" PLAIN "0 0) \"mixed\")",
     "((" PLAIN "0 0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL "
     "NIL)"},
    {"Content-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\nx\r\ny\r\n",
     "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 20 (NIL \"s\"" NILS
     ") (" PLAIN "6 2) 4)",
     "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 20 (NIL \"s\"" NILS
     ") (" PLAIN "6 2 NIL NIL NIL NIL) 4 NIL NIL NIL NIL)"},
    {"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n"
     "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--b--",
     "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 53 (NIL NIL" NILS
     ") ((" PLAIN "1 0) \"mixed\") 4) \"digest\")",
     "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 53 (NIL NIL" NILS
     ") ((" PLAIN "1 0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"c\") NIL "
     "NIL NIL) 4 NIL NIL NIL NIL) \"digest\" (\"boundary\" \"b\") NIL NIL "
     "NIL)"},
    /* What must not be shown as what it says it is. */
    {"Content-Type: message/rfc822; name=m\r\n"
     "Content-Transfer-Encoding: base64\r\n\r\nx",
     "(\"application\" \"octet-stream\" (\"name\" \"m\") NIL NIL \"base64\" "
     "1)",
     "(\"application\" \"octet-stream\" (\"name\" \"m\") NIL NIL \"base64\" "
     "1 NIL NIL NIL NIL)"},
    {"Content-Type: multipart/mixed\r\n\r\nx\r\n", "(" PLAIN "3 1)",
     "(" PLAIN "3 1 NIL NIL NIL NIL)"},
    /* Broken values. */
    {"Content-Type: text/plain charset=x\r\n\r\n", "(" PLAIN "0 0)",
     "(" PLAIN "0 0 NIL NIL NIL NIL)"},
    {"Content-Type: text\r\n\r\n",
     "(\"text\" \"\" " ASCII " NIL NIL \"7bit\" 0 0)",
     "(\"text\" \"\" " ASCII " NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL)"},
    {"Content-Type: ;x=y\r\n\r\n", "(" PLAIN "0 0)",
     "(" PLAIN "0 0 NIL NIL NIL NIL)"},
};

static void
test_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_prints(mime_structure_print_body, bodies[i].content,
                      bodies[i].body);
        assert_prints(mime_structure_print_bodystructure, bodies[i].content,
                      bodies[i].bodystructure);
    }
}

/* --- sections ---------------------------------------------------------------
 */

static const char plain[] = "A: b\r\n\r\nx\r\n";

/* 1 text, 2 message (2.1 text, 2.2 empty multipart), 3 message with text. */
#define MIXED(b) "Content-Type: multipart/mixed; boundary=" b "\r\n\r\n"
#define INNER                                                                  \
    MIXED("c") "--c\r\nX: 21\r\n\r\nin\r\n--c\r\n" MIXED("d") "none\r\n--c--"
#define RFC822 "Content-Type: message/rfc822\r\n\r\n"

static const char mixed[] =
    MIXED("b") "--b\r\nX: 1\r\n\r\none\r\n--b\r\n" RFC822 INNER
               "\r\n--b\r\nContent-Transfer-Encoding: Base64\r\n"
               "Content-Type: image/png\r\n\r\nIMG\r\n--b\r\n" RFC822
               "Y: 4\r\n\r\nfour\r\n--b--\r\n";

static const char wrapped[] = RFC822 "A: b\r\n\r\nx\r\n";

/* NULL: there is no such section. */
static const struct {
    const char *content, *section, *bytes;
} sections[] = {
    {plain, "", plain},
    {plain, "HEADER", "A: b\r\n\r\n"},
    {plain, "TEXT", "x\r\n"},
    {plain, "header.fields", "A: b\r\n\r\n"},
    {plain, "HEADER.FIELDS.NOT", "A: b\r\n\r\n"},
    {plain, "1", "x\r\n"},
    {plain, "1.MIME", "A: b\r\n\r\n"},
    {plain, "1.HEADER", NULL},
    {plain, "1.TEXT", NULL},
    {plain, "2", NULL},
    {plain, "1.1", NULL},
    {mixed, "", mixed},
    {mixed, "1", "one"},
    {mixed, "1.mime", "X: 1\r\n\r\n"},
    {mixed, "1.1", NULL},
    {mixed, "1.TEXT", NULL},
    {mixed, "2", INNER},
    {mixed, "2.MIME", RFC822},
    {mixed, "2.HEADER", MIXED("c")},
    {mixed, "2.HEADER.FIELDS", MIXED("c")},
    {mixed, "2.TEXT",
     "--c\r\nX: 21\r\n\r\nin\r\n--c\r\n" MIXED("d") "none\r\n--c--"},
    {mixed, "2.1", "in"},
    {mixed, "2.1.MIME", "X: 21\r\n\r\n"},
    {mixed, "2.1.1", NULL},
    {mixed, "2.2", "none"},
    {mixed, "2.2.MIME", MIXED("d")},
    {mixed, "2.2.1", ""},
    {mixed, "2.2.1.MIME", ""},
    {mixed, "2.2.1.1", NULL},
    {mixed, "2.2.1.HEADER", NULL},
    {mixed, "2.2.2", NULL},
    {mixed, "2.3", NULL},
    {mixed, "3", "IMG"},
    {mixed, "4", "Y: 4\r\n\r\nfour"},
    {mixed, "4.HEADER", "Y: 4\r\n\r\n"},
    {mixed, "4.1", "four"},
    {mixed, "4.1.MIME", "Y: 4\r\n\r\n"},
    {mixed, "4.1.1", NULL},
    {mixed, "4.2", NULL},
    {mixed, "5", NULL},
    {mixed, "4294967295", NULL},
    {wrapped, "HEADER", RFC822},
    {wrapped, "1", "A: b\r\n\r\nx\r\n"},
    {wrapped, "1.HEADER", "A: b\r\n\r\n"},
    {wrapped, "1.TEXT", "x\r\n"},
    {wrapped, "1.1", "x\r\n"},
    {wrapped, "1.1.MIME", "A: b\r\n\r\n"},
    {wrapped, "1.1.1", NULL},
};

static void
test_sections(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        struct buf structure = {0};
        struct mime_section section;
        struct mime_range range = {0};
        struct view found, wanted = view_of(sections[i].bytes);
        int got;

        encode(sections[i].content, &structure);
        assert_int_equal(
            mime_section_parse(view_of(sections[i].section), &section), 0);
        got = mime_section_find(buf_view(&structure), &section, &range);
        found = (struct view){sections[i].content + range.at, range.len};
        if (got != (sections[i].bytes != NULL) ||
            (got == 1 && !view_equal(found, wanted)))
            fail_msg("%s of %s: %d \"%.*s\"", sections[i].section,
                     sections[i].content, got, (int)range.len, found.data);
        buf_free(&structure);
    }
}

static void
test_section_kinds(void **state)
{
    struct buf structure = {0};
    struct mime_section section;
    struct mime_range range;

    (void)state;
    encode(mixed, &structure);
    mime_section_parse(VIEW("3"), &section);
    assert_int_equal(mime_section_find(buf_view(&structure), &section, &range),
                     1);
    assert_int_equal(range.encoding, MIME_BASE64);
    assert_true(range.encoding_known);
    assert_int_equal(range.kind, MIME_LEAF);
    mime_section_parse(VIEW("2"), &section);
    mime_section_find(buf_view(&structure), &section, &range);
    assert_int_equal(range.encoding, MIME_IDENTITY);
    assert_int_equal(range.kind, MIME_MESSAGE);
    buf_reset(&structure);
    encode("Content-Type: a/b\r\nContent-Transfer-Encoding: x-other\r\n\r\n",
           &structure);
    mime_section_parse(VIEW("1"), &section);
    mime_section_find(buf_view(&structure), &section, &range);
    assert_false(range.encoding_known);
    buf_free(&structure);
}

static void
test_bad_sections(void **state)
{
    static const char *const bad[] = {
        "0",
        "1.0",
        "1.",
        "1..2",
        "MIME",
        "HEADERS",
        "1.FOO",
        ".1",
        "TEXT.1",
        "1 ",
        "-1",
        "1.HEADER.",
        "HEADER.FIELDS.X",
        "4294967296",
        "99999999999999999999",
        "01",
    };
    struct mime_section section;
    struct buf deep = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (mime_section_parse(view_of(bad[i]), &section) != -1)
            fail_msg("%s", bad[i]);
    for (int i = 0; i < MIME_SECTION_DEPTH; i++)
        buf_add_text(&deep, i == 0 ? "1" : ".1");
    assert_int_equal(mime_section_parse(buf_view(&deep), &section), 0);
    buf_add_text(&deep, ".1");
    assert_int_equal(mime_section_parse(buf_view(&deep), &section), -1);
    buf_free(&deep);
}

/* --- the packed form --------------------------------------------------------
 */

static void
test_sent(void **state)
{
    static const struct {
        const char *content;
        bool known;
        int64_t utc_s;
        int32_t zone;
    } dates[] = {
        {"Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\n", true, 0, 0},
        {"Date: Thu, 1 Jan 1970 01:00:01 +0130\r\n\r\n", true, -1799, 90},
        {"Date: Fri, 31 Dec 1999 23:59:59 -0800\r\n\r\n", true, 946713599,
         -480},
        {"Date: yesterday\r\n\r\n", false, 0, 0},
        {"\r\n", false, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        struct buf structure = {0};
        struct mime_sent sent;

        encode(dates[i].content, &structure);
        assert_int_equal(mime_structure_sent(buf_view(&structure), &sent), 0);
        assert_int_equal(sent.known, dates[i].known);
        assert_int_equal(sent.utc_s, dates[i].utc_s);
        assert_int_equal(sent.zone_minutes, dates[i].zone);
        buf_free(&structure);
    }
}

static void
test_small(void **state)
{
    struct buf structure = {0};

    (void)state;
    encode("Received: from a by b; Thu, 1 Jan 1970 00:00:00 +0000\r\n"
           "Message-ID: <20240101000000.12345@mail.example.org>\r\n"
           "Date: Mon, 1 Jan 2024 00:00:00 +0100\r\n"
           "From: Jane Doe <jane@example.org>\r\n"
           "To: John Smith <john@example.com>\r\n"
           "Subject: Lunch tomorrow?\r\nMIME-Version: 1.0\r\n"
           "Content-Type: text/plain; charset=utf-8\r\n"
           "Content-Transfer-Encoding: quoted-printable\r\n\r\nHello\r\n",
           &structure);
    assert_true(structure.len < 200);
    buf_free(&structure);
}

/* Every way to read a structure. */
static int
read_all(struct view structure)
{
    static const char *const paths[] = {"", "1", "2.1", "2.2.1.MIME",
                                        "4.HEADER"};
    struct mime_section section;
    struct mime_range range;
    struct mime_sent sent;
    struct buf out = {0};
    int status = mime_structure_print_envelope(structure, &out) |
                 mime_structure_print_body(structure, &out) |
                 mime_structure_print_bodystructure(structure, &out) |
                 mime_structure_sent(structure, &sent);

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        mime_section_parse(view_of(paths[i]), &section);
        mime_section_find(structure, &section, &range);
    }
    buf_free(&out);
    return status;
}

static void
test_damage(void **state)
{
    struct buf structure = {0};

    (void)state;
    encode(mixed, &structure);
    assert_int_equal(read_all(buf_view(&structure)), 0);
    for (size_t n = 0; n < structure.len; n++)
        assert_int_equal(read_all((struct view){structure.data, n}), -1);
    for (size_t n = 0; n < structure.len; n++)
        for (int bit = 0; bit < 8; bit++) {
            structure.data[n] = (char)(structure.data[n] ^ 1 << bit);
            read_all(buf_view(&structure));
            structure.data[n] = (char)(structure.data[n] ^ 1 << bit);
        }
    structure.data[0]++;
    assert_false(mime_structure_is_current(buf_view(&structure)));
    assert_int_equal(read_all(buf_view(&structure)), -1);
    buf_free(&structure);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_envelopes),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_section_kinds),
        cmocka_unit_test(test_bad_sections),
        cmocka_unit_test(test_sent),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_damage),
    };

    mime_decode_init();
    return cmocka_run_group_tests_name("mime_structure", tests, NULL, NULL);
}
