/* SPDX-License-Identifier: ISC */
/*
 * mime_token, mime_charset, mime_decode, mime_fold, mime_sort: from header
 * values and bodies to text, and to what text is compared by.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mime_charset.h"
#include "mime_decode.h"
#include "mime_fold.h"
#include "mime_sort.h"
#include "mime_structure.h"
#include "mime_token.h"
#include "utf8.h"

#define LEN(table) (sizeof(table) / sizeof((table)[0]))

static void
assert_text(const char *what, struct buf *out, const char *wanted)
{
    if (!view_equal(buf_view(out), view_of(wanted)))
        fail_msg("%s: \"%.*s\" not \"%s\"", what, (int)out->len,
                 out->len > 0 ? out->data : "", wanted);
    buf_free(out);
}

/* --- parameters -------------------------------------------------------------
 */

static const struct {
    const char *value, *params;
} values[] = {
    {"", ""},
    {";a=b", "a=b|"},
    {"; a = b ; c=\"d;e\" ", "a=b|c=d;e|"},
    {";a=\"b\\\"c\\\\\"", "a=b\"c\\|"},
    {";a=\"open", "a=open|"},
    {";a=b c; d=e", "a=b|d=e|"},
    {"junk;a=b", "a=b|"},
    {";;a=b;", "a=b|"},
    {";a;b=c", "b=c|"},
    {";a=;b=c", "b=c|"},
    {";=a;b=c", "b=c|"},
    {";a=\"\"", "a=|"},
    {";(x)a(y)=(z)b(w);c=d", "a=b|c=d|"},
    {";name=a/b.txt", "name=a/b.txt|"},
    {";name==?utf-8?q?a?=", "name==?utf-8?q?a?=|"},
    {";name=\xe9.txt", "name=\xe9.txt|"},
    /* RFC 2231. */
    {";a*0=b;a*1=c", "a=bc|"},
    {";a*1=c;x=y;A*0=b", "x=y|A=bc|"},
    {";a*0=b;a*2=d", "a=b|"},
    {";a*1=c", "a*1=c|"},
    {";a*=utf-8''x", "a*=utf-8''x|"},
    {";a*0*=utf-8''%41;a*1=b c", "a*=utf-8''%41b|"},
    {";a*0*=utf-8''%41;a*1=\"b c\";a*2*=%42", "a*=utf-8''%41b%20c%42|"},
    {";a*0=b;a*0=c;a*1=d", "a=bd|"},
    {";*0=b;a**=c;a*x=d", "*0=b|a**=c|a*x=d|"},
    {";a*00=b", "a=b|"},
};

static void
test_params(void **state)
{
    struct mime_params params = {0};
    struct buf many = {0};

    (void)state;
    for (size_t i = 0; i < LEN(values); i++) {
        struct buf out = {0};

        mime_params_parse(view_of(values[i].value), &params);
        for (size_t k = 0; k < params.count; k++) {
            buf_add_view(&out, params.items[k].name);
            buf_add_byte(&out, '=');
            buf_add_view(&out, params.items[k].value);
            buf_add_byte(&out, '|');
        }
        assert_text(values[i].value, &out, values[i].params);
    }
    for (int i = 0; i < 1000; i++)
        buf_addf(&many, ";a*%d*=\x01", i);
    mime_params_parse(buf_view(&many), &params);
    assert_int_equal(params.count, 1);
    assert_null(mime_params_find(&params, VIEW("a")));
    assert_non_null(mime_params_find(&params, VIEW("A*")));
    buf_free(&many);
    mime_params_free(&params);
}

/* --- headers ----------------------------------------------------------------
 */

static const struct {
    const char *value, *text;
} headers[] = {
    {"", ""},
    {"plain", "plain"},
    {"a\r\n b\n\tc", "a b\tc"},
    {"=?utf-8?q?J=C3=A9?=", "J\xc3\xa9"},
    {"=?UTF-8?B?SsOp?=", "J\xc3\xa9"},
    {"=?iso-8859-1?q?J=E9_x?=", "J\xc3\xa9 x"},
    {"=?utf-8*fr?q?=C3=A9?=", "\xc3\xa9"},
    {"a =?utf-8?q?b?= c", "a b c"},
    {"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},
    {"=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"},
    {"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac"},
    {"=?koi8-r?q?=F0?=", "\xd0\x9f"},
    {"=?gb2312?b?1tA=?=", "\xe4\xb8\xad"},
    /* Raw bytes. */
    {"J\xc3\xa9", "J\xc3\xa9"},
    {"J\xe9", "J\xc3\xa9"},
    {"\x80", "\xe2\x82\xac"},
    {"J\xe9 =?utf-8?q?=C3=A9?=", "J\xc3\xa9 \xc3\xa9"},
    /* Charsets that are not taken, and what is no word. */
    {"=?x-nope?q?a=E9?=", "=?x-nope?q?a=E9?="},
    {"=?utf-7?q?+AGE-?= =?utf-8?q?b?=", "=?utf-7?q?+AGE-?= b"},
    {"=?", "=?"},
    {"=?utf-8?", "=?utf-8?"},
    {"=?utf-8?q?open", "=?utf-8?q?open"},
};

static void
test_headers(void **state)
{
    struct buf out = {0}, big = {0};

    (void)state;
    for (size_t i = 0; i < LEN(headers); i++) {
        mime_decode_header(view_of(headers[i].value), &out);
        assert_text(headers[i].value, &out, headers[i].text);
    }
    while (big.len < 1000000)
        buf_add_text(&big, "=?utf-8?q?a?= ");
    mime_decode_header(buf_view(&big), &out);
    assert_true(out.len > 0 && out.len <= MIME_DECODE_MAX);
    buf_free(&out);
    buf_free(&big);
}

static void
test_decoded_params(void **state)
{
    static const struct {
        const char *value, *text;
    } names[] = {
        {"a/b; name=x", "x"},
        {"a/b; name*=utf-8'en'%C3%A9.txt", "\xc3\xa9.txt"},
        {"a/b; name*=iso-8859-1''%E9", "\xc3\xa9"},
        {"a/b; name*0*=utf-8''%C3; name*1*=%A9", "\xc3\xa9"},
        {"a/b; name=x; name*=utf-8''y", "y"},
        {"a/b; name=\"=?utf-8?q?=C3=A9?=\"", "\xc3\xa9"},
        {"a/b; name*=x%4", "x%4"},
        {"a/b; name*=x%zz%", "x%zz%"},
        {"a/b; name*=utf-8''a%00b", "a\xef\xbf\xbd"
                                    "b"},
    };
    struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < LEN(names); i++) {
        assert_true(
            mime_decode_param(view_of(names[i].value), VIEW("name"), &out));
        assert_text(names[i].value, &out, names[i].text);
    }
    assert_false(mime_decode_param(VIEW("a/b; x=y"), VIEW("name"), &out));
}

static void
test_dates(void **state)
{
    static const struct {
        const char *text;
        int64_t utc_s;
        int32_t zone;
    } dates[] = {
        {"Mon, 1 Jan 2024 00:00:00 +0000", 1704067200, 0},
        {"1 Jan 2024 00:00 +0000", 1704067200, 0},
        {"Mon, 1 Jan 2024 02:00:00 +0200 (CEST)", 1704067200, 120},
        {"Mon, 01 Jan 24 00:00:00 GMT", 1704067200, 0},
        {"Sun, 31 Dec 2023 19:00:00 EST", 1704067200, -300},
        {"Mon, 1 Jan 2024 00:00:00", 1704067200, 0},
    };
    static const char *const bad[] = {"", "soon", "32 Jan 2024 00:00:00 +0000",
                                      "0 Foo 2024"};
    int64_t utc_s;
    int32_t zone;

    (void)state;
    for (size_t i = 0; i < LEN(dates); i++) {
        assert_int_equal(
            mime_decode_date(view_of(dates[i].text), &utc_s, &zone), 0);
        assert_int_equal(utc_s, dates[i].utc_s);
        assert_int_equal(zone, dates[i].zone);
    }
    for (size_t i = 0; i < LEN(bad); i++)
        assert_int_equal(mime_decode_date(view_of(bad[i]), &utc_s, &zone), -1);
}

/* --- bodies -----------------------------------------------------------------
 */

static const struct {
    const char *encoding, *charset, *body, *text;
} texts[] = {
    {"7bit", "us-ascii", "a\r\nb", "a\r\nb"},
    {"8bit", "utf-8", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
     "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"8bit", "us-ascii", "\xc3\xa9\xe9x", "\xc3\xa9\xc3\xa9x"},
    {"8bit", "utf-8", "a\xe9x\xff", "a\xef\xbf\xbdx\xef\xbf\xbd"},
    {"8bit", "utf-8", "a\xf0\x9f", "a\xef\xbf\xbd\xef\xbf\xbd"},
    {"8bit", "utf-8", "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"8bit", "iso-8859-1", "\xe9\x80", "\xc3\xa9\xe2\x82\xac"},
    {"8bit", "x-unknown", "\xe9", "\xc3\xa9"},
    {"8bit", "koi8-r", "\xf0\xd2\xc9", "\xd0\x9f\xd1\x80\xd0\xb8"},
    {"8bit", "shift_jis", "\x93\xfa", "\xe6\x97\xa5"},
    {"8bit", "gbk", "a\xd6\xd0\xff", "a\xe4\xb8\xad\xef\xbf\xbd"},
    {"8bit", "big5", "\xa4", "\xef\xbf\xbd"},
    {"7bit", "iso-2022-jp", "\x1b$BF|\x1b(Bx", "\xe6\x97\xa5x"},
    {"base64", "utf-16le", "YQBiAA==", "ab"},
    {"base64", "utf-8", "w6k=", "\xc3\xa9"},
    {"base64", "utf-8", "w6\r\nk=\r\n", "\xc3\xa9"},
    {"BASE64", "utf-8", "YWJjw6k", "abc"}, /* its end is cut */
    {"base64", "utf-8", "!w?6k*=", "\xc3\xa9"},
    {"quoted-printable", "utf-8", "=C3=\r\n=A9 x=3D", "\xc3\xa9 x="},
    {"quoted-printable", "utf-8", "a=zz=", "a=zz"},
    {"quoted-printable", "iso-8859-1", "=e9", "\xc3\xa9"},
};

static void
test_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(texts); i++) {
        struct view body = view_of(texts[i].body);
        enum mime_encoding encoding;

        assert_true(
            mime_decode_encoding(view_of(texts[i].encoding), &encoding));
        for (size_t piece = 1; piece <= body.len; piece++) {
            struct mime_decoder *decoder =
                mime_decoder_new(encoding, view_of(texts[i].charset));
            struct buf out = {0};

            for (size_t at = 0; at < body.len; at += piece) {
                struct view part = view_skip(body, at);

                part.len = part.len < piece ? part.len : piece;
                mime_decoder_feed(decoder, part, &out);
            }
            mime_decoder_end(decoder, &out);
            mime_decoder_free(&decoder);
            assert_text(texts[i].body, &out, texts[i].text);
        }
    }
}

static void
test_bytes_stay(void **state)
{
    struct mime_decoder *decoder =
        mime_decoder_new(MIME_BASE64, (struct view){0});
    enum mime_encoding encoding;
    struct buf out = {0};

    (void)state;
    mime_decoder_feed(decoder, VIEW("AP8="), &out);
    mime_decoder_end(decoder, &out);
    assert_int_equal(out.len, 2);
    assert_memory_equal(out.data, "\0\xff", 2);
    mime_decoder_free(&decoder);
    buf_free(&out);
    assert_false(mime_decode_encoding(VIEW("x-uuencode"), &encoding));
    assert_false(mime_decode_encoding(VIEW(""), &encoding));
    assert_true(mime_decode_encoding(VIEW(" (x) 8BIT (y)"), &encoding));
}

/* Every charset of the table: no piece of any bytes is not UTF-8. */
static void
test_charsets_give_utf8(void **state)
{
    static const char *const names[] = {
        "iso-8859-2",  "windows-1251", "koi8-u",       "gb18030",
        "big5-hkscs",  "euc-kr",       "euc-jp",       "shift_jis",
        "iso-2022-jp", "utf-16",       "utf-16be",     "tis-620",
        "macintosh",   "cp437",        "windows-1255",
    };

    (void)state;
    for (size_t i = 0; i < LEN(names); i++) {
        struct mime_charset *charset = mime_charset_new(view_of(names[i]));
        struct buf out = {0}, clean = {0};

        assert_true(mime_charset_is_known(view_of(names[i])));
        for (unsigned k = 0; k < 100000; k++) {
            char byte = (char)(k * 2654435761u >> 24);

            mime_charset_feed(charset, (struct view){&byte, 1}, &out);
        }
        mime_charset_end(charset, &out);
        utf8_clean(buf_view(&out), &clean);
        assert_true(view_equal(buf_view(&out), buf_view(&clean)));
        assert_true(out.len > 1000);
        mime_charset_free(&charset);
        buf_free(&out);
        buf_free(&clean);
    }
}

/* --- comparison -------------------------------------------------------------
 */

static void
test_fold(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } pairs[] = {
        {"abcxyz09-", "ABCXYZ09-", true}, {"\xc3\xa9", "\xc3\x89", true},
        {"\xc3\xa9", "e\xcc\x81", true},  {"\xc3\xa9", "e", false},
        {"\xc7\x86", "\xc7\x84", true}, /* one letter of two */
        {"\xef\xac\x81", "FI", false},  /* RFC 5051: no title case, then "fi" */
        {"\xd0\xbf", "\xd0\x9f", true},   {"\xe2\x91\xa0", "1", true},
        {"\xff", "\xef\xbf\xbd", true},   {"[", "{", false},
    };

    (void)state;
    for (size_t i = 0; i < LEN(pairs); i++) {
        struct buf a = {0}, b = {0};

        mime_fold(view_of(pairs[i].a), &a);
        mime_fold(view_of(pairs[i].b), &b);
        if (view_equal(buf_view(&a), buf_view(&b)) != pairs[i].same)
            fail_msg("%s %s", pairs[i].a, pairs[i].b);
        buf_free(&a);
        buf_free(&b);
    }
}

static void
test_base_subjects(void **state)
{
    static const struct {
        const char *raw, *base;
        bool reply;
    } subjects[] = {
        {"", "", false},
        {"Lunch", "Lunch", false},
        {"  Lunch \t today ", "Lunch today", false},
        {"Re: Lunch", "Lunch", true},
        {"RE : Lunch", "Lunch", true},
        {"Fwd: re: FW: Lunch", "Lunch", true},
        {"Re[2]: Lunch", "Lunch", true},
        {"Re [x] : Lunch", "Lunch", true},
        {"[list] Re: Lunch", "Lunch", true},
        {"[list] Lunch", "Lunch", false},
        {"[a][b] c [d]", "c [d]", false},
        {"[list]", "[list]", false},
        {"[a] [b]", "[b]", false},
        {"Re: [list]", "[list]", true},
        {"Lunch (fwd)", "Lunch", true},
        {"Lunch (FWD) (fwd) ", "Lunch", true},
        {"[Fwd: Lunch]", "Lunch", true},
        {"[fwd: [fwd: Re: Lunch (fwd)]]", "Lunch", true},
        {"[Fwd: Lunch", "[Fwd: Lunch", false},
        {"Re", "Re", false},
        {"Real: Lunch", "Real: Lunch", false},
        {"Re: ", "", true},
        {"(fwd)", "", true},
        {"[", "[", false},
        {"[[a] b", "[[a] b", false},
        {"=?utf-8?q?Re=3A_Caf=C3=A9?=", "Caf\xc3\xa9", true},
    };
    struct buf hostile = {0}, out = {0};

    (void)state;
    for (size_t i = 0; i < LEN(subjects); i++) {
        bool reply;

        mime_sort_base_subject(view_of(subjects[i].raw), &out, &reply);
        if (reply != subjects[i].reply)
            fail_msg("%s: %d", subjects[i].raw, reply);
        assert_text(subjects[i].raw, &out, subjects[i].base);
    }
    while (hostile.len < 30000)
        buf_add_text(&hostile, "[a]");
    mime_sort_base_subject(buf_view(&hostile), &out, NULL);
    assert_text("blobs", &out, "[a]");
    buf_free(&hostile);
}

static void
test_sort_keys(void **state)
{
    struct mime *mime = mime_scan_whole(
        VIEW("Subject: Re: =?utf-8?q?Caf=C3=A9?=\r\n"
             "From: \"zoe Q\" <Jane@x>, b@c\r\nTo: x: u@v;\r\n\r\n"));
    struct buf structure = {0}, out = {0};

    (void)state;
    mime_structure_encode(mime, &structure);
    mime_free(&mime);
    assert_int_equal(mime_sort_subject(buf_view(&structure), &out), 0);
    assert_text("subject", &out, "CAFE\xcc\x81");
    assert_int_equal(mime_sort_address(buf_view(&structure), MIME_FROM, &out),
                     0);
    assert_text("from", &out, "JANE");
    assert_int_equal(mime_sort_address(buf_view(&structure), MIME_TO, &out), 0);
    assert_text("to", &out, "X");
    assert_int_equal(mime_sort_address(buf_view(&structure), MIME_CC, &out), 0);
    assert_text("cc", &out, "");
    assert_int_equal(mime_sort_display(buf_view(&structure), MIME_FROM, &out),
                     0);
    assert_text("display", &out, "ZOE Q");
    assert_int_equal(mime_sort_display(buf_view(&structure), MIME_TO, &out), 0);
    assert_text("display of a group", &out, "X");
    assert_int_equal(mime_sort_subject(VIEW("?"), &out), -1);
    buf_free(&structure);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_decoded_params),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_bytes_stay),
        cmocka_unit_test(test_charsets_give_utf8),
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_base_subjects),
        cmocka_unit_test(test_sort_keys),
    };

    mime_decode_init();
    return cmocka_run_group_tests_name("mime_decode", tests, NULL, NULL);
}
